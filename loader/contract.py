"""The parts of a feed's contract: how the file is written, where a column comes from, what a rule looks at."""

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from loader.errors import SettingsError
from loader.moments import whole_date
from loader.sales_line import FIELDS, LineType


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is not a time zone such as Europe/London") from error
    return name


def check_encoding(name: str) -> None:
    """Raises SettingsError where Python knows no such encoding."""
    try:
        _known_encoding(name)
    except ValueError as error:
        raise SettingsError(f"--encoding: {error}") from error


def _known_encoding(name: str) -> str:
    try:
        "".encode(name)
    except LookupError as error:
        raise ValueError(f"{name!r} is not an encoding such as utf-8 or cp1252") from error
    return name


def _usable_delimiter(character: str) -> str:
    if not (character.isascii() and character not in '"\r\n\0'):
        raise ValueError(f"{character!r} is not a delimiter such as ',' or ';': ASCII, no quote, no line end")
    return character


def _pattern_of_words(written: object) -> object:
    """A list of words is the pattern of a cell that says one of them."""
    if isinstance(written, list) and written and all(isinstance(word, str) and word.strip() for word in written):
        words = (r"\s+".join(map(re.escape, word.split())) for word in written)
        return f"^(?:{'|'.join(words)})$"
    return written


def _without_case(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(pattern.pattern, pattern.flags | re.IGNORECASE)


def _known_field(name: str) -> str:
    if name not in FIELDS:
        raise ValueError(f"{name!r} is not a canonical field: those are {', '.join(FIELDS)}")
    return name


FieldName = Annotated[str, AfterValidator(_known_field)]


class Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Format(Contract):
    """How the file is written. Kinds of files that have no encoding or header row ignore those settings."""

    kind: Literal["csv", "xlsx", "parquet", "jsonl"] | None = None  # None: find out
    sheet: Annotated[str, Field(min_length=1)] | None = None  # of a workbook; None: the only one
    delimiter: Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_usable_delimiter)] = ","
    encoding: Annotated[str, AfterValidator(_known_encoding)] | None = None  # None: find out
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    dates: Annotated[tuple[Annotated[str, AfterValidator(whole_date)], ...], Field(min_length=1)] = ("%Y-%m-%d",)
    timezone: Annotated[str, AfterValidator(_known_timezone)] = "UTC"
    nulls: frozenset[str] = frozenset({""})
    trailing_minus: bool = False  # 5- means -5
    # The physical line of the header; found: the first with all columns of the feed; None: the first that is not blank.
    header_row: Annotated[int, Field(ge=1, le=100)] | Literal["found"] | None = None

    @model_validator(mode="after")
    def _separators_differ(self) -> "Format":
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}")
        return self

    @model_validator(mode="after")
    def _sheets_are_of_workbooks(self) -> "Format":
        if self.sheet and self.kind not in (None, "xlsx"):
            raise ValueError(f"sheet names one of a workbook, and kind is {self.kind}")
        return self

    @property
    def times(self) -> Literal["never", "sometimes", "always"]:
        """Whether its moments have a time of day: where only some forms do, midnight is taken for a bare date."""
        clocks = ["%H" in form or "%I" in form for form in self.dates]
        return "always" if all(clocks) else "sometimes" if any(clocks) else "never"


class Column(Contract):
    """Where a canonical field comes from: `header`, `headers` (the first that the file has), `join` or `value`."""

    header: str | None = None
    headers: tuple[str, ...] = ()
    join: tuple[str, ...] = ()  # several columns, whose cells make one, with a space between: a date and its time
    value: Annotated[str, Field(pattern=r"^[^\x00-\x1f]*$")] | None = None
    optional: bool = False  # a file without this column is no fault
    strip_suffix: str = ""
    pattern: re.Pattern[str] | None = None  # its first group (or the whole match) is the cell; no match: as it is
    percent: bool = False  # 15 means 0.15; where suffix or pattern have a percent sign, each cell has one too
    before_discount: bool = False  # a line's total as it was before the discount that the row states
    scale: Annotated[int, Field(ge=2, le=1000)] | None = None  # the best rating: 8, or 8/10, of 10 is four stars

    @model_validator(mode="before")
    @classmethod
    def _bare_header(cls, data: object) -> object:
        return {"header": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one_origin(self) -> "Column":
        if sum((self.header is not None, bool(self.headers), bool(self.join), self.value is not None)) != 1:
            raise ValueError("a column has exactly one of header, headers, join, value")
        if self.strip_suffix.strip() == "%" and not self.percent:
            raise ValueError("strip_suffix takes a percent sign away: say percent: true, or 0.5% means 50%")
        return self

    @property
    def has_percent_sign(self) -> bool:
        """Whether the cells carry one: then a cell without it may be a share as well as a percentage."""
        return self.percent and "%" in self.strip_suffix + (self.pattern.pattern if self.pattern else "")

    @property
    def wanted_headers(self) -> list[tuple[str, ...]]:
        """The columns that are needed, each with the names that it may have."""
        if self.join:
            return [(each,) for each in self.join]
        return [] if self.value is not None else [self.headers or (str(self.header),)]

    @property
    def folded_headers(self) -> set[str]:
        """Every name that one of its columns may have, in small letters."""
        return {name.casefold() for aliases in self.wanted_headers for name in aliases}


# Letter case does not count: sheets are typed by hand, and "cancelled" must not be a sale where "Cancelled" is none.
Words = Annotated[re.Pattern[str], BeforeValidator(_pattern_of_words), AfterValidator(_without_case)]
Test = Annotated[dict[FieldName, Words], Field(min_length=1)]
# Fields with few different words: if a line_type rule looks at such a field, a word that no rule knows is reported.
WORD_FIELDS = frozenset({"payment_status", "payment_method", "delivery_status", "sales_channel"})


class LineTypeRule(Contract):
    """A line whose canonical cells match every pattern is of this type."""

    when: Test
    line_type: LineType = Field(alias="is")


class Rejects(Contract):
    """The limits of bad rows: beyond them, the whole file is rejected."""

    max_ratio: Annotated[float, Field(ge=0, le=1)] | None = 0.05
    max_rows: Annotated[int, Field(ge=0)] | None = None

    def exceeded(self, rejected: int, rows: int) -> str | None:
        """Why the file is rejected as a whole, or None; `rows` are the good and the bad ones."""
        if self.max_rows is not None and rejected > self.max_rows:
            return f"{rejected} bad rows, and the feed allows {self.max_rows} (rejects.max_rows)"
        if self.max_ratio is not None and rejected > self.max_ratio * rows:
            return (
                f"{rejected} of {rows} rows are bad ({rejected / rows:.1%}), and the feed allows "
                f"{self.max_ratio:.1%} (rejects.max_ratio)"
            )
        return None
