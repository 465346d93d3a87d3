"""Feeds: the YAML contracts that map families of files to the canonical sale line.

A feed says which keys it is for, how the bytes are written, which header is which canonical field, and how many bad
rows are too many. Its part of a load is `Feed.cell`: the text of one cell → canonical text (ISO dates, plain decimal
numbers, None for an empty token). Whether that text is acceptable is for pydantic to say (validation.py).
"""

import re
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from loader.cells import UNREADABLE, all_as_seen, as_seen, unmarked
from loader.contract import Column, Contract, FieldName, Format, LineTypeRule, Rejects, Test, Words
from loader.errors import SettingsError
from loader.moments import is_midnight, iso_text, read_moment, write_moment
from loader.numbers import CANONICAL_NUMBER, SIGNS, number_pattern, read_number, read_rating
from loader.sales_line import (
    DATE_FIELDS,
    IDENTIFIER_FIELDS,
    MONEY_FIELDS,
    NUMBER_FIELDS,
    ORDER_FIELDS,
    PRICES,
    REQUIRED,
    TIME_FIELDS,
)

FEED_NAME = r"^[a-z][a-z0-9_]*$"
# Characters of a cell that a pattern of a feed looks at. Many a harmless pattern, such as (\d+) pieces, takes time by
# the square of the length, and a cell may be a megabyte long.
_PATTERN_CHARACTERS = 1_000
_DISCOUNTS = ("discount_rate", "discount_amount")
# Pairs of fields that say the same, so a feed maps one of them; and why.
_NOT_BOTH = (
    ("discount_rate", "discount_amount", ""),
    ("unit_price", "line_total", ": a line is worth quantity × price, which stated_total checks, or its total"),
    ("line_total", "stated_total", ": the total counts as it stands, or is only checked"),
    ("line_cost", "stated_cost", ": the cost of the line counts as it stands, or is only checked"),
)


class Feed(Contract):
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
    # For a file without a good row, and for one that leaves a day without any sale which had some.
    shrink: Literal["warn", "reject"] = "warn"
    duplicates: Literal["keep", "exact", "key"] = "keep"
    unique_key: tuple[FieldName, ...] = ()
    mask: frozenset[str] = frozenset()  # canonical fields, or headers, not to be seen in rejected rows

    @model_validator(mode="before")
    @classmethod
    def _one_header_of_an_order(cls, data: object) -> object:
        """Reject the second of two rows with one order: nobody can tell which is right, unless the feed says so."""
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
            if {one, other} <= self.columns.keys() and not (other == "stated_total" and self.before_discount):
                raise ValueError(f"columns: map {one} or {other}, not both{why}")
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
        """The field that says what a line is worth: multiplied by the quantity, or as it stands."""
        return "line_total" if "line_total" in self.columns else "unit_price"

    @model_validator(mode="after")
    def _options_fit_their_fields(self) -> "Feed":
        for name, column in self.columns.items():
            if column.scale and name != "customer_rating":
                raise ValueError(f"columns: {name} is no rating, so its column has no scale")
            if column.before_discount and name != "line_total":
                raise ValueError(f"columns: {name} is no line_total, so its column has no before_discount")
        if self.before_discount and not self.columns.keys() & {*_DISCOUNTS}:
            raise ValueError(f"columns: line_total is before_discount: map {' or '.join(_DISCOUNTS)}, to be taken off")
        return self

    @property
    def before_discount(self) -> bool:
        """Whether its totals are those before discount."""
        return "line_total" in self.columns and self.columns["line_total"].before_discount

    @property
    def pair(self) -> str | None:
        """The feed of the order headers, which may be this one; None: this feed's sheets stand alone."""
        return self.feed if self.kind == "order_headers" else self.order_headers

    @cached_property
    def tests(self) -> list[dict[str, re.Pattern[str]]]:
        """The tests of the line_type rules, then those of the skip rules."""
        return [*(rule.when for rule in self.line_type), *self.skip]

    def cells(self, field: str, texts: list[str]) -> list[str | None]:
        """The `cell` of each text."""
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
        canonical = CANONICAL_NUMBER.fullmatch
        return [text if canonical(text) and text not in nulls else self.cell(field, text) for text in texts]

    def takes_plain_numbers(self, field: str) -> bool:
        """Whether the cell of a text such as -1234.50 is that text."""
        column = self.columns[field]
        changed = column.strip_suffix or column.pattern or column.percent or self.format.decimal != "."
        return not changed and not any(map(CANONICAL_NUMBER.fullmatch, self.format.nulls))

    def cell(self, field: str, text: str) -> str | None:
        """Canonical text of one cell, or None where the feed calls it empty.

        A text that is not written as the feed says comes back marked, and pydantic refuses it.
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
            return read_rating(text, self._number_pattern, column.scale)
        if field in NUMBER_FIELDS:
            number = read_number(text, self._number_pattern, percent=column.percent)
            lacks_sign = column.has_percent_sign and "%" not in written and number.strip("-0.")
            return UNREADABLE + text if lacks_sign else number
        if field in DATE_FIELDS or field in TIME_FIELDS:
            return read_moment(text, self.format.dates, self.format.timezone, with_zone=field in TIME_FIELDS)
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
        """How a cell of this field, a number or a date, should look where this one cannot be read.

        `currency` is that of its row, None where nothing states it: it decides which signs an amount may carry.
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

    def written(self, moment: datetime) -> str:
        """A moment of a typed cell as the feed writes it."""
        dates = DATE_FIELDS | TIME_FIELDS
        if any(column.join for name, column in self.columns.items() if name in dates) and is_midnight(moment):
            return iso_text(moment)  # a time of another cell stands behind it
        return write_moment(moment, self.format.dates, self.format.timezone)

    @cached_property
    def _number_pattern(self) -> re.Pattern[str]:
        form = self.format
        return number_pattern(form.decimal, form.thousands, trailing_minus=form.trailing_minus)


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
