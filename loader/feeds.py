"""Feeds: the YAML contracts that map families of files to the canonical sale line.

A feed says which keys it is for, how the bytes are written, which header is which canonical field, and how many bad
rows are too many. Its part of a load is `Feed.cell`: the text of one cell → canonical text (ISO dates, plain decimal
numbers, None for an empty token). Whether that text is acceptable is for pydantic to say (validation.py).
"""

import re
from datetime import UTC, datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from loader.cells import all_as_seen, as_seen, unmarked
from loader.errors import SettingsError
from loader.months import in_english
from loader.sales_line import (
    DATE_FIELDS,
    FIELDS,
    IDENTIFIER_FIELDS,
    MONEY_FIELDS,
    NUMBER_FIELDS,
    ORDER_FIELDS,
    PRICES,
    REQUIRED,
    TIME_FIELDS,
    LineType,
)


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


def _whole_date(form: str) -> str:
    sample = datetime(2024, 12, 31, 23, 59, 58, tzinfo=UTC)
    try:
        parsed = datetime.strptime(sample.strftime(form), form)  # noqa: DTZ007  # only its date is looked at
    except (ValueError, re.error) as error:
        raise ValueError(f"{form!r} is not a date format such as %Y-%m-%d: {error}") from error
    if parsed.date() != sample.date():
        raise ValueError(f"{form!r} does not give year, month and day, as %Y-%m-%d does")
    if "%Z" in form and "%z" in form:
        raise ValueError(f"{form!r} has a zone twice: %Z reads UTC, GMT and Z, and %z an offset")
    if ("%I" in form) != ("%p" in form):
        raise ValueError(f"{form!r} does not tell morning from evening: %I and %p go together, and %H goes alone")
    return form


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


FEED_NAME = r"^[a-z][a-z0-9_]*$"
FieldName = Annotated[str, AfterValidator(_known_field)]


# Of a cell, that a feed's patterns look at. Many a harmless one, such as (\d+) pieces, takes the square of the length,
# and a cell may be a megabyte long.
_PATTERN_CHARACTERS = 1_000
_RATING_CHARACTERS = 21  # as many as a canonical number has at most
# Fields of which a feed has one, as both say the same, and what they say.
_NOT_BOTH = (
    ("discount_rate", "discount_amount", ""),
    ("unit_price", "line_total", ": a line is worth quantity × price, which stated_total checks, or its total"),
    ("line_total", "stated_total", ": the total counts as it stands, or is only checked"),
    ("line_cost", "stated_cost", ": the cost of the line counts as it stands, or is only checked"),
)
# Put before a text that is not as the feed writes it, or it could pass for canonical and mean something else: 1.234
# where the decimal sign is a comma, 2024-05-06 where the sheet writes %Y-%d-%m.
_UNREADABLE = "unreadable: "
# The currencies (ISO 4217) that write a sign.
_CURRENCIES = {
    "R$": "BRL",
    "$": "USD ARS AUD BBD BMD BND BSD BZD CAD CLP COP CUP CVE DOP FJD GYD HKD JMD KYD LRD MXN NAD NIO NZD SBD SGD SRD "
    "TTD TWD UYU XCD ZWG ZWL",
    "€": "EUR",
    "£": "GBP EGP FKP GIP LBP SDG SHP SSP SYP",
    "¥": "JPY CNY",
}
SIGNS = {sign: frozenset(currencies.split()) for sign, currencies in _CURRENCIES.items()}
_CURRENCY = "|".join(map(re.escape, SIGNS))
_SIGN = re.compile(_CURRENCY)
_ZONE = re.compile(r"\b(?:UTC|GMT|Z)\b")
# Digits of strptime's numeric codes. https://docs.python.org/3/library/datetime.html#format-codes
_WIDTHS = dict.fromkeys("dmyHIMSUWV", r"\d{2}") | dict.fromkeys("YG", r"\d{4}") | {"j": r"\d{3}", "f": r"\d{1,6}"}
_ZERO = re.compile(rf"(?:{_CURRENCY})\s*-")  # accounting formats write nothing as a dash
_CANONICAL_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?", re.ASCII)
_ISO_FORMATS = {10: "%Y-%m-%d", 19: "%Y-%m-%d %H:%M:%S"}
_GROUPS = {" ": "[ \u00a0\u202f]", "'": "['\u2019]"}  # spreadsheets group with characters that look like these


class _Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Format(_Contract):
    """How the file is written. Encoding and header_row do not matter to kinds of files that have none."""

    kind: Literal["csv", "xlsx", "parquet", "jsonl"] | None = None  # None: find out
    sheet: Annotated[str, Field(min_length=1)] | None = None  # of a workbook; None: the only one
    delimiter: Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_usable_delimiter)] = ","
    encoding: Annotated[str, AfterValidator(_known_encoding)] | None = None  # None: find out
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    dates: Annotated[tuple[Annotated[str, AfterValidator(_whole_date)], ...], Field(min_length=1)] = ("%Y-%m-%d",)
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


class Column(_Contract):
    """Where a canonical field comes from: `header`, `headers` (the first that the file has), `join` or `value`."""

    header: str | None = None
    headers: tuple[str, ...] = ()
    join: tuple[str, ...] = ()  # several columns, whose cells make one, with a space between: a date and its time
    value: Annotated[str, Field(pattern=r"^[^\x00-\x1f]*$")] | None = None
    optional: bool = False  # a file without this column is no fault
    strip_suffix: str = ""
    pattern: re.Pattern[str] | None = None  # its first group (or the whole match) is the cell; no match: as it is
    percent: bool = False  # 15 means 0.15; where suffix or pattern have a percent sign, each cell has one too
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
        """The cells carry one: then a cell without it may be a share as well as a percentage."""
        return self.percent and "%" in self.strip_suffix + (self.pattern.pattern if self.pattern else "")

    @property
    def wanted_headers(self) -> list[tuple[str, ...]]:
        """Each column that is needed, with the names that it may have."""
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
# Fields whose cells are words of a few: where a line_type rule looks at one, a word that no rule knows is reported.
WORD_FIELDS = frozenset({"payment_status", "payment_method", "delivery_status", "sales_channel"})


class LineTypeRule(_Contract):
    """A line whose canonical cells match every pattern is of this type."""

    when: Test
    line_type: LineType = Field(alias="is")


class Rejects(_Contract):
    """More bad rows than this, and the whole file is rejected."""

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


class Feed(_Contract):
    """One contract; docs/adding-a-feed.md explains every key."""

    feed: Annotated[str, Field(pattern=FEED_NAME)]
    match: Annotated[str, Field(min_length=1)]
    kind: Literal["lines", "order_headers"] = "lines"  # what a row is
    # The feed whose rows are the orders of these lines, which say when and to whom they were sold; None: they say it.
    order_headers: Annotated[str, Field(pattern=FEED_NAME)] | None = None
    format: Format = Format()
    columns: dict[FieldName, Column]
    line_type: tuple[LineTypeRule, ...] = ()
    skip: tuple[Test, ...] = ()  # a row whose canonical cells match every pattern of one of these is no data
    footers: tuple[Words, ...] = ()  # a row without identifiers whose first text matches one of these is no data
    fill_down: tuple[FieldName, ...] = ()  # blank cells take that of the row above, if it is of the same sale_id
    rejects: Rejects = Rejects()
    # Members whose identifiers mean the same in all feeds that share them; others are this feed's own.
    shares: tuple[Literal["customers", "products", "stores"], ...] = ()
    reupload: Literal["supersede", "ignore", "append"] = "supersede"
    # Of a file without a good row, or that leaves a day which counted without any.
    shrink: Literal["warn", "reject"] = "warn"
    duplicates: Literal["keep", "exact", "key"] = "keep"
    unique_key: tuple[FieldName, ...] = ()
    mask: frozenset[str] = frozenset()  # canonical fields, or headers, not to be seen in rejected rows

    @model_validator(mode="before")
    @classmethod
    def _one_header_of_an_order(cls, data: object) -> object:
        """Reject the second of two rows with one order, as nobody can tell which is right, unless the feed says it."""
        if isinstance(data, dict) and data.get("kind") == "order_headers" and "duplicates" not in data:
            return {"unique_key": ["sale_id"]} | data | {"duplicates": "key"}
        return data

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> "Feed":
        if self.kind == "lines":
            if self.order_headers and "sold_at" in self.columns:
                raise ValueError("order_headers: the date is that of the order, so columns does not map sold_at")
            return self
        if self.order_headers:
            raise ValueError("order_headers: a row of this feed is an order itself (kind: order_headers)")
        if of_lines := [field for field in self.columns if field not in ORDER_FIELDS]:
            raise ValueError(
                f"columns: {', '.join(of_lines)} is of a line, and a row of this feed is an order "
                "(kind: order_headers): map it in the feed of the items, or not at all"
            )
        if self.shares:
            raise ValueError("shares: belongs into the feed of the items, whose lines are in the marts")
        return self

    @model_validator(mode="after")
    def _fields_fit_together(self) -> "Feed":
        needed = [field for field in REQUIRED if not (field == "sold_at" and self.order_headers)]
        if self.kind == "order_headers":
            needed = [field for field in REQUIRED if field in ORDER_FIELDS]
        missing = [field for field in needed if field not in self.columns]
        if self.kind == "lines" and not self.columns.keys() & {*PRICES}:
            missing.append(" or ".join(PRICES))
        if missing:
            raise ValueError(f"columns: required but not mapped: {', '.join(missing)}")
        needed += [self.price] if self.kind == "lines" else []
        if optional := [field for field in needed if self.columns[field].optional]:
            raise ValueError(f"columns: {', '.join(optional)} is required of every row, so its column is not optional")
        telling = [field for field in needed if self.kind == "order_headers" or field not in IDENTIFIER_FIELDS]
        if all(self.columns[field].value is not None for field in telling):
            said = f"{', '.join(telling[:-1])} and {telling[-1]}"
            raise ValueError(f"columns: {said} are all constants: nothing tells a row from none")
        for one, other, why in _NOT_BOTH:
            if {one, other} <= self.columns.keys():
                raise ValueError(f"columns: map {one} or {other}, not both{why}")
        if scaled := [field for field, column in self.columns.items() if column.scale and field != "customer_rating"]:
            raise ValueError(f"columns: {', '.join(scaled)} is no rating, so its column has no scale")
        named = [("line_type: tests", rule.when) for rule in self.line_type] + [
            ("skip: tests", when) for when in self.skip
        ]
        for what, fields in [*named, ("fill_down: names", self.fill_down), ("unique_key: names", self.unique_key)]:
            if unmapped := set(fields) - self.columns.keys():
                raise ValueError(f"{what} {', '.join(sorted(unmapped))}, which columns does not map")
        if self.fill_down and len(self.columns["sale_id"].wanted_headers) != 1:
            raise ValueError("fill_down: rows belong together by the column of sale_id, and it has none of its own")
        if (self.duplicates == "key") != bool(self.unique_key):
            raise ValueError("duplicates: key needs unique_key, and unique_key needs duplicates: key")
        return self

    @property
    def price(self) -> Literal["unit_price", "line_total"]:
        """The field that says what a line is worth: times the quantity, or as it stands."""
        return "line_total" if "line_total" in self.columns else "unit_price"

    @property
    def pair(self) -> str | None:
        """The feed of order headers that its sheets have to do with, itself or another one; None: they stand alone."""
        return self.feed if self.kind == "order_headers" else self.order_headers

    @cached_property
    def tests(self) -> list[dict[str, re.Pattern[str]]]:
        """Those of the line_type rules, then those of the skip rules."""
        return [*(rule.when for rule in self.line_type), *self.skip]

    def cells(self, field: str, texts: list[str]) -> list[str | None]:
        """`cell` of each text."""
        column, nulls = self.columns[field], self.format.nulls
        if (
            column.strip_suffix
            or column.pattern
            or column.percent
            or column.scale
            or field in DATE_FIELDS | TIME_FIELDS
        ):
            return [self.cell(field, text) for text in texts]
        if field not in NUMBER_FIELDS:
            seen = all_as_seen(texts)
            if field in IDENTIFIER_FIELDS:
                seen = [unmarked(text) for text in seen]
            return [None if text in nulls else text for text in seen]
        if self.format.decimal != ".":
            return [self.cell(field, text) for text in texts]
        canonical = _CANONICAL_NUMBER.fullmatch
        return [text if canonical(text) and text not in nulls else self.cell(field, text) for text in texts]

    def takes_plain_numbers(self, field: str) -> bool:
        """Whether the cell of a text such as -1234.50 is that text."""
        column = self.columns[field]
        changed = column.strip_suffix or column.pattern or column.percent or self.format.decimal != "."
        return not changed and not any(map(_CANONICAL_NUMBER.fullmatch, self.format.nulls))

    def cell(self, field: str, text: str) -> str | None:
        """Canonical text of one cell, or None where the feed calls it empty.

        What cannot be read as the feed writes the field's kind comes back marked, for pydantic to refuse.
        """
        column = self.columns[field]
        text = as_seen(text)
        if field in IDENTIFIER_FIELDS or field in NUMBER_FIELDS or field in DATE_FIELDS | TIME_FIELDS:
            text = unmarked(text)
        if text in self.format.nulls:
            return None
        written = text
        text = text.removesuffix(column.strip_suffix)
        if column.pattern and len(text) <= _PATTERN_CHARACTERS and (match := column.pattern.search(text)):
            text = match[1] if match.re.groups else match[0]
        if column.scale:
            return self._stars(text, column.scale)
        if field in NUMBER_FIELDS:
            number = self._number(text, column.percent)
            lacks_sign = column.has_percent_sign and "%" not in written and number.strip("-0.")
            return _UNREADABLE + text if lacks_sign else number
        if field in DATE_FIELDS or field in TIME_FIELDS:
            return self._time(text, with_zone=field in TIME_FIELDS)
        return text

    def is_header(self, line: int, cells: list[str]) -> bool:
        """Whether the record on this physical line is the header."""
        match self.format.header_row:
            case None:
                return True
            case "found":
                found = {" ".join(as_seen(cell).split()).casefold() for cell in cells}
                wanted = (
                    aliases for each in self.columns.values() if not each.optional for aliases in each.wanted_headers
                )
                return all(any(name.casefold() in found for name in aliases) for aliases in wanted)
            case row:
                return line == row

    def way_of_writing(self, field: str, text: str, currency: str | None = None) -> str:
        """What a cell of this field, a number or a date, should look like where this one cannot be read.

        `currency` of its row, None where nothing states it: which signs an amount may carry.
        """
        if field in DATE_FIELDS | TIME_FIELDS:
            return " or ".join(self.format.dates)
        if scale := self.columns[field].scale:
            return f"above 0 and at most {scale}, the scale that the feed states, as in {scale} or {scale}/{scale}"
        if re.search(r"\d\s*-\s*$", text) and not self.format.trailing_minus:
            return "a minus behind a number is read where the feed says format.trailing_minus: true"
        if self.columns[field].has_percent_sign and "%" not in text:
            return "the feed says that its cells carry a percent sign, and 0.1 may be 0.1% or 10%"
        if "%" in text and not self.columns[field].has_percent_sign:
            return 'a percent sign is read where the column says percent: true and strip_suffix: "%"'
        example = f"1{self.format.thousands or ''}234{self.format.decimal}56"
        allowed = [sign for sign, those in SIGNS.items() if currency in (None, "XXX") or currency in those]
        signs = " or ".join(filter(None, (", ".join(allowed[:-1]), *allowed[-1:])))
        with_sign = f", with or without {signs}" if signs and field in MONEY_FIELDS else ""
        return f"the feed writes numbers such as {example}{with_sign}"

    @staticmethod
    def matches(pattern: re.Pattern[str], cell: str | None) -> bool:
        """Whether a pattern of `tests` matches the beginning of a canonical cell; None is an empty text."""
        return bool(pattern.search(cell or "", 0, _PATTERN_CHARACTERS))

    def line_type_of(self, cells: dict[str, str | None]) -> str | None:
        """The type that the first matching rule gives to a line with these canonical cells."""
        for rule in self.line_type:
            if all(self.matches(pattern, cells.get(field)) for field, pattern in rule.when.items()):
                return rule.line_type
        return None

    def _number(self, text: str, percent: bool) -> str:
        if _ZERO.fullmatch(text):
            return "0"
        match = self._number_pattern.fullmatch(text)
        if not match:
            return _UNREADABLE + text
        whole = re.sub(r"\D", "", match["whole"] or "0")
        sign = "-" if match["sign"] in ("-", "\u2212") or match["open"] or match["after"] else ""
        fraction = match["fraction"] or match["bare"] or ""
        if percent:
            digits = whole.rjust(3, "0")
            whole, fraction = digits[:-2], digits[-2:] + fraction
        return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"

    def _stars(self, text: str, scale: int) -> str:
        """A rating as its share of five stars, half a star up; never less than one. `4,5/5` says its scale again."""
        given, slash, best = (part.strip() for part in text.partition("/"))
        number = self._number(given, percent=False)
        within = len(number) <= _RATING_CHARACTERS and _CANONICAL_NUMBER.fullmatch(number)
        if (
            not within
            or not 0 < Decimal(number) <= scale
            or (slash and self._number(best, percent=False) != str(scale))
        ):
            return _UNREADABLE + text
        return str(max(1, int((10 * Decimal(number) + scale) // (2 * scale))))

    def _time(self, text: str, with_zone: bool) -> str:
        iso = _ISO_FORMATS[len(text)] if _ISO_TIME.fullmatch(text) else None
        for form in self.format.dates:
            try:
                # The feed's zone is given below. strptime reads the same, ten times as slowly.
                parsed = datetime.fromisoformat(text) if form == iso else _strptime(text, form)
                if not with_zone:
                    return parsed.date().isoformat()
                zone = ZoneInfo(self.format.timezone)
                local = parsed.astimezone(zone) if parsed.tzinfo else parsed.replace(tzinfo=zone)
                return local.isoformat()
            except (ValueError, OverflowError):  # of another format, or beyond the calendar in the feed's zone
                continue
        return _UNREADABLE + text

    def written(self, moment: datetime) -> str:
        """A moment of a typed cell in the first of the feed's formats that reads as it, to the second; else as ISO.

        One without a zone is of the feed's. What no format can say is then refused as any date in another format is.
        """
        zone = ZoneInfo(self.format.timezone)
        local = moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)
        dates = DATE_FIELDS | TIME_FIELDS
        if any(column.join for name, column in self.columns.items() if name in dates) and is_midnight(moment):
            return iso_text(moment)  # a time of another cell stands behind it
        meant = {local.isoformat(), local.replace(microsecond=0).isoformat()}
        for form in self.format.dates:
            if self._time(text := local.strftime(form), with_zone=True) in meant:
                return text
        return iso_text(moment)

    @cached_property
    def _number_pattern(self) -> re.Pattern[str]:
        """Optional currency sign, parentheses or a leading sign, grouped digits, fraction.

        Grouping is checked (three digits at the end, two or three before: lakhs), so that 1.5 never reads as 15.
        """
        whole = r"\d+"
        if self.format.thousands:
            group = _GROUPS.get(self.format.thousands, re.escape(self.format.thousands))
            whole = rf"(?:\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+)"
        decimal = re.escape(self.format.decimal)
        number = rf"(?:(?P<whole>{whole})(?:{decimal}(?P<fraction>\d*))?|{decimal}(?P<bare>\d+))"
        after = r"(?(sign)(?!)|(?(open)(?!)|(?P<after>-)))?" if self.format.trailing_minus else "(?P<after>(?!))?"
        return re.compile(
            rf"(?:(?P<currency>{_CURRENCY})\s*)?(?:(?P<open>\()|(?P<sign>[-+\u2212]))?\s*"
            rf"(?(currency)|(?:(?:{_CURRENCY})\s*)?){number}\s*{after}(?(open)\))",
            re.ASCII,
        )


def is_midnight(moment: datetime) -> bool:
    return moment.time() == time() and not moment.tzinfo


def iso_text(moment: datetime) -> str:
    """Without a time of day where that is midnight."""
    return moment.date().isoformat() if is_midnight(moment) else moment.isoformat(sep=" ")


def sign_of(text: str) -> str | None:
    """The sign of a currency that an amount carries."""
    found = _SIGN.search(text)
    return found[0] if found else None


def contradicts(text: str, currency: str | None) -> bool:
    """Whether an amount carries the sign of a currency that is not the one of its line."""
    sign = sign_of(text) if currency and currency != "XXX" else None
    return sign is not None and currency not in SIGNS[sign]


def _strptime(text: str, form: str) -> datetime:
    """As Python's, without what it passes over: a zone's name, a weekday that is another, zeros that were lost.

    Raises ValueError.
    """
    exact = _exact(form)
    if exact and not exact.fullmatch(text):
        raise ValueError("its digits are of another number than the format's")
    if "%b" in form or "%B" in form:
        text = in_english(text, form)
    if "%Z" in form:
        text, form = _ZONE.sub("+0000", text), form.replace("%Z", "%z")
    parsed = datetime.strptime(text, form)  # noqa: DTZ007  # a time without a zone gets the feed's
    if re.search("%[aA]", form) and f"{parsed:%a}".casefold() not in text.casefold():
        raise ValueError("its weekday is another one")
    return parsed


@lru_cache
def _exact(form: str) -> re.Pattern[str] | None:
    """Where codes stand side by side, each has all its digits: 1112026 may be two dates. None: no two do."""
    parts = re.findall(r"%.|[^%]+", form)
    numeric = [part[0] == "%" and part[1:] in _WIDTHS for part in parts]
    beside = [
        each and (before or after)
        for before, each, after in zip([False, *numeric[:-1]], numeric, [*numeric[1:], False], strict=True)
    ]
    if not any(beside):
        return None
    return re.compile(
        "".join(
            _WIDTHS[part[1]] if fixed else ".+?" if part[0] == "%" else r"\s+" if part.isspace() else re.escape(part)
            for part, fixed in zip(parts, beside, strict=True)
        ),
        re.ASCII,
    )


class Feeds:
    """All feeds: the user's own (FEEDS_DIR) before the built-in ones, each in order of file name."""

    def __init__(self, feeds_dir: Path | None = None) -> None:
        """Raises SettingsError that names the file, the YAML path and what was expected."""
        if feeds_dir and not feeds_dir.is_dir():
            raise SettingsError(f"FEEDS_DIR={feeds_dir} is not a folder: create it, or unset FEEDS_DIR")
        built_in = Path(str(files("loader") / "feeds"))
        folders = [feeds_dir, built_in] if feeds_dir else [built_in]
        paths = [path for folder in folders for path in sorted(folder.glob("*.y*ml"))]
        self.all = [read_feed(path) for path in paths]
        headers = [each.feed for each in self.all if each.kind == "order_headers"]
        for path, feed in zip(paths, self.all, strict=True):
            if feed.order_headers and feed.order_headers not in headers:
                raise SettingsError(
                    f"feed {path}: order_headers: {feed.order_headers!r} is no feed of order headers: those say "
                    f"`kind: order_headers`, and are {', '.join(headers) or 'none'}. "
                    "docs/adding-a-feed.md explains each key"
                )

    def for_key(self, key: str) -> Feed | None:
        """The first feed whose `match` fits the object key; `*` also matches `/`."""
        return next((feed for feed in self.all if fnmatchcase(key, feed.match)), None)

    def dating(self, feed: Feed) -> Feed:
        """The feed by which its lines are dated: its own, or that of their order headers."""
        return self.named(feed.order_headers) if feed.order_headers else feed

    def named(self, name: str) -> Feed:
        """Raises SettingsError when there is none."""
        for feed in self.all:
            if feed.feed == name:
                return feed
        raise SettingsError(f"there is no feed {name!r}: those are {', '.join(feed.feed for feed in self.all)}")


def read_feed(path: Path) -> Feed:
    """Raises SettingsError that names the file, the YAML path and what was expected."""
    try:
        return Feed.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in each['loc']) or 'feed'}: {each['msg']}" for each in error.errors()
        )
        raise SettingsError(f"feed {path}: {problems}. docs/adding-a-feed.md explains each key") from error
    except (yaml.YAMLError, ValueError, OSError) as error:  # ValueError: bad UTF-8, or a date that does not exist
        raise SettingsError(f"feed {path}: not readable as YAML: {error}") from error


def parse_yaml(text: str) -> Any:
    """The plain values of a YAML text. Raises yaml.YAMLError, or ValueError where a mapping has a key twice."""
    return yaml.load(text, _OneOfEachKey)  # noqa: S506  # a SafeLoader


class _OneOfEachKey(yaml.SafeLoader):
    """YAML 1.2 forbids a key twice (section 3.2.1.1), PyYAML takes the last: a column would silently be another."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)
