"""How the cells of a sheet are written: its delimiter, encoding and numbers, recognised from a sample.

A draft of a feed is made with this (draft.py). A guess that the cells do not prove carries the reason for it.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal

from loader.decoding import Decoded, decode, guess_late
from loader.errors import InvalidFile
from loader.feeds import Feed
from loader.formats import as_csv
from loader.months import NAMES
from loader.no_data import says_total
from loader.reader import HEADER_LINES, Reader
from loader.sales_line import FIELDS, ORDER_FIELDS, REQUIRED
from loader.settings import Limits
from loader.validation import Validator

SAMPLE_BYTES = 1024 * 1024
LATE_BLOCKS = 256  # of 2 MiB, in which words beyond ASCII are looked for where the sample has none
DISTINCT = 1000  # distinct cells of a column that are tried in each number or date format
_FOOTER = 5  # lines at most
_LOOKED_AT = 2_000  # lines, for the delimiter and the header
DELIMITERS = (",", ";", "\t", "|")

# Cells that say that there is nothing; in columns of words, `none` and `na` may be words.
TOKENS = frozenset({"n/a", "#n/a", "nan", "null", "none", "na", "-", "--", "?", "error", "unknown", "s/d", "k.a."})
_MOSTLY = 0.5  # of a column's cells are numbers, or dates: dirty sheets are why one drafts
_MONTH = rf"(?:{'|'.join(sorted(NAMES, key=len, reverse=True))})\.?"
LOOKS_DATED = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?![-\d])|\d{8}$"
    r"|\d{4}年\d{1,2}月\d{1,2}日"
    rf"|(?:[^\W\d_]+,? )?(?:\d{{1,2}}\.?[ /-](?:de )?{_MONTH}[ /-](?:de )?\d|{_MONTH}[ -]\d{{1,2}}(?:, |[ -])\d\d)",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?P<before>(?:[^\W\d_]{1,3}\.?|[₹₩₽₺])\s*)??"
    r"(?P<number>(?:R\$|[-+($€£¥]|\s)*(?:\d[\d.,'\u2019\u00a0\u202f ]*|-\s*)\)?-?)"
    r"(?P<after>\s*[^\d\s(),.'-][^\d,]*)?"
)
_STAND_IN = {"sale_id": "?", "product_id": "?", "quantity": "1", "unit_price": "0"}  # of what is missing
_CONVENTIONS: tuple[tuple[str, str | None], ...] = (
    *((".", None), (".", ","), (",", None), (",", "."), (",", " "), (".", "'"), (".", " ")),
)


@dataclass
class Guess:
    """What is known of a feed so far, each part with what a person should know of it."""

    first_header: str
    form: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    line_type: list[dict[str, Any]] = field(default_factory=list)
    fill_down: list[str] = field(default_factory=list)
    reviews: dict[str, list[str]] = field(default_factory=dict)  # by key, e.g. encoding, or canonical field
    remarks: list[str] = field(default_factory=list)  # of columns that stay unmapped
    before_discount: str | None = None  # why the line's total is one before its discount
    part: Literal["orders", "items"] | None = None  # of two sheets, one sale

    @property
    def missing(self) -> list[str]:
        priced = () if "line_total" in self.columns else ("unit_price",)
        needed = [each for each in (*REQUIRED, *priced) if not (each == "sold_at" and self.part == "items")]
        return [
            each
            for each in needed
            if each not in self.columns and not (self.part == "orders" and each not in ORDER_FIELDS)
        ]

    @property
    def filled(self) -> list[str]:
        return [each for each in self.fill_down if each in self.columns]

    def review(self, key: str, reason: str) -> None:
        if reason not in self.reviews.setdefault(key, []):
            self.reviews[key].append(reason)


@dataclass(frozen=True)
class Column:
    """One column of the sample, its cells without outer spaces."""

    header: str
    cells: list[str]
    parts: tuple[str, ...] = ()  # headers of the columns that it joins
    role: Literal["order", "of_order"] | None = None  # its number; blank but on its first line: see continuation.py

    @cached_property
    def values(self) -> Counter[str]:
        """Distinct cells that are no token for "nothing", most frequent first."""
        counted = Counter(cell for cell in self.cells if cell and cell.casefold() not in TOKENS)
        return Counter(dict(counted.most_common(DISTINCT)))

    @cached_property
    def numbers(self) -> Counter[re.Match[str]]:
        """Those that look like numbers, whichever signs they are written with."""
        return Counter({match: n for text, n in self.values.items() if (match := _NUMBER.fullmatch(text))})

    @cached_property
    def dated(self) -> bool:
        """Most cells look like a date, in figures or in words."""
        return self._share(n for text, n in self.values.items() if LOOKS_DATED.match(text)) >= _MOSTLY

    @property
    def numeric(self) -> bool:
        return self._share(self.numbers.values()) >= _MOSTLY

    @property
    def coded(self) -> bool:
        """Cells are codes, not names: digits, and no spaces."""
        return (
            self._share(n for text, n in self.values.items() if re.search(r"\d", text) and " " not in text) >= _MOSTLY
        )

    @property
    def unique(self) -> bool:
        return len(set(self.cells)) == len(self.cells) > 1 and "" not in self.cells

    @cached_property
    def nested(self) -> bool:
        """Whether it holds the lists and objects of JSON lines."""
        return bool(self.values) and all(value[0] in "[{" for value in self.values)

    @property
    def empty(self) -> bool:
        """There are rows, and it has nothing in any of them."""
        return bool(self.cells) and not any(self.cells)

    @property
    def counts_rows(self) -> bool:
        """1, 2, 3 … in order, or from 0: the number of the row."""
        return any(self.cells == [str(n) for n in range(first, first + len(self.cells))] for first in (0, 1))

    @cached_property
    def stands_together(self) -> bool:
        """Cells come several times, and equal ones in rows that follow each other, as those of one order do."""
        distinct = len(set(self.cells))
        runs = 1 + sum(one != two for one, two in pairwise(self.cells))
        return "" not in self.cells and max(3, len(self.cells) / 20) <= distinct < len(self.cells) and runs == distinct

    def _share(self, counts: Iterable[int]) -> float:
        return sum(counts) / (self.values.total() or 1)


@dataclass(frozen=True)
class Sheet:
    """What a draft is made from: the beginning of a file, as UTF-8, and its columns."""

    path: Path
    sample: bytes
    compression: str | None
    encoding: str
    encoding_guessed: bool
    late_word: str | None  # a word beyond ASCII, where the first one comes later than a load looks for it
    delimiter: str
    titled: bool  # lines of titles stand above the header
    columns: list[Column]
    limits: Limits

    def errors(self, feed: Feed) -> Counter[str]:
        """How many rows of the sample have a fault in which field, by the load's own verdict; "" is any."""
        reader = Reader(decode(io.BytesIO(self.sample), "utf-8", self.limits), self.delimiter)
        found: Counter[str] = Counter()
        for verdict in map(Validator(feed, reader.header).validate, reader.batches()):
            for row in verdict.rejected:
                found.update({error["field"] for error in row.errors if error["field"]} | {""})
        return found

    @property
    def rows(self) -> int:
        return len(self.columns[0].cells)


def read_sheet(path: Path, limits: Limits, sheet: str | None = None, encoding: str | None = None) -> Sheet:
    """`sheet` names one of a workbook. Raises InvalidFile when the file cannot be read as a sheet at all."""
    probe = probe_feed(sheet=sheet, encoding=encoding)
    try:
        decoded, sample = _sample(path, probe, limits, _is_wide)
    except InvalidFile:  # no row of a workbook is so wide, or it is no sheet, as is said now
        decoded, sample = _sample(path, probe, limits, probe.is_header)
    text = sample.decode("utf-8", "replace")
    delimiter = _delimiter(text)
    titles = _titles(text, delimiter)
    sample = sample[len(titles.encode()) :]
    reader = Reader(decode(io.BytesIO(sample), "utf-8", limits), delimiter)
    cells: list[list[str]] = [[] for _ in reader.header]
    for batch in reader.batches():
        for column, arrow in zip(cells, batch.columns, strict=True):
            column += [cell.strip() for cell in arrow.to_pylist()]
    _leave_footer(cells)
    columns = [Column(header, column) for header, column in zip(reader.header, cells, strict=True)]
    compression, encoding, guessed = decoded.compression, decoded.encoding, decoded.encoding_guessed
    late_word = None
    if guessed and encoding == "utf-8" and sample.isascii():
        with path.open("rb") as stream:
            blocks = islice(decode(stream, encoding, limits).blocks, LATE_BLOCKS)
            encoding, late_word = guess_late(blocks) or (encoding, None)
    return Sheet(path, sample, compression, encoding, guessed, late_word, delimiter, bool(titles), columns, limits)


def _leave_footer(cells: list[list[str]]) -> None:
    """Take rows off the end that say Total or have one cell only: what rows of data prove, they would hide."""
    for _ in range(_FOOTER):
        last = [column[-1] for column in cells if column and column[-1]]
        if len(cells) < len(REQUIRED) or len(cells[0]) < 2 or not (len(last) == 1 or (last and says_total(last[0]))):
            return
        for column in cells:
            column.pop()


def _sample(
    path: Path, probe: Feed, limits: Limits, is_header: Callable[[int, list[str]], bool]
) -> tuple[Decoded, bytes]:
    """The first lines of the sheet, whole ones, as CSV in UTF-8."""
    with path.open("rb") as stream, as_csv(stream, probe, limits, is_header) as decoded:
        sample = b""
        for block in decoded.blocks:
            sample += block
            if len(sample) > SAMPLE_BYTES:
                return decoded, sample[: sample.rfind(b"\n", 0, SAMPLE_BYTES) + 1]
        return decoded, sample


def _is_wide(_: int, cells: Sequence[str]) -> bool:
    """Whether this can be the header of a sheet of sales, and is no title above it."""
    return sum(bool(cell.strip()) for cell in cells) >= len(REQUIRED)


def _titles(text: str, delimiter: str) -> str:
    """What stands above the header: lines of which fewer than half the cells of a usual line have something."""
    lines = text.splitlines(keepends=True)[:_LOOKED_AT]
    try:
        rows = [next(csv.reader([line], delimiter=delimiter), []) for line in lines]
    except csv.Error:
        return ""
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    usual = max(Counter(filter(None, filled)).items(), key=lambda each: each[1], default=(0, 0))[0]
    header = next((place for place, count in enumerate(filled) if usual >= len(REQUIRED) and count > usual / 2), 0)
    above = [row for row, count in zip(rows[:header], filled, strict=False) if count]
    says_delimiter = len(above) == 1 and above[0][0].casefold().startswith("sep=")
    return "" if says_delimiter or not above or header >= HEADER_LINES else "".join(lines[:header])


def _delimiter(text: str) -> str:
    """The one by which most rows have as many cells as the header; of several, the one with more columns."""

    def score(delimiter: str) -> tuple[float, int]:
        lines = text[len(_titles(text, delimiter)) :].lstrip("\r\n").splitlines()[:_LOOKED_AT]
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if "".join(row).strip()]
        except csv.Error:
            return 0.0, 0
        if not widths or widths[0] < 2:
            return 0.0, 0
        return round(widths.count(widths[0]) / len(widths), 1), widths[0]

    return max(DELIMITERS, key=score)


def guess_text(sheet: Sheet, guess: Guess) -> None:
    guess.form["delimiter"] = sheet.delimiter
    if sheet.titled:
        guess.form["header_row"] = "found"
        guess.review("header_row", f"titles stand above; is {sheet.columns[0].header!r} the first column?")
    if len(sheet.columns) == 1:
        why = "the header is one cell: none of , ; TAB | parts it, or it is a title: take titles off for the draft"
        guess.review("delimiter", why)
    if sheet.late_word:
        guess.form["encoding"] = sheet.encoding
        guess.review("encoding", f"guessed from words far down in the file; is {sheet.late_word!r} right?")
    elif sheet.encoding_guessed and not sheet.sample.isascii():
        guess.form["encoding"] = sheet.encoding
        if sheet.encoding != "utf-8":
            text = sheet.sample.decode()
            words_beyond = (word for word in re.findall(r"\w+", text) if not word.isascii())
            example = next(words_beyond, None) or re.findall(r"\w*[^\x00-\x7f]\w*", text)[0]
            guess.review("encoding", f"guessed from the letters; is {example!r} right?")


def guess_numbers(sheet: Sheet, guess: Guess) -> None:
    """Decimal and thousands signs: those by which most cells are numbers."""
    texts = [
        match["number"]
        for column in sheet.columns
        if column.numeric and not column.dated
        for match in column.numbers
        if re.search(r"\d\D+\d", match["number"]) and not re.fullmatch(r"-?\d+\.0", match["number"])
    ]  # 17.0 is what a program makes of 17 in any country
    order = _CONVENTIONS if sheet.delimiter != ";" else (_CONVENTIONS[0], *_CONVENTIONS[2:4], *_CONVENTIONS)
    behind = {"trailing_minus": True} if any(text.endswith("-") for text in texts) else {}
    readings = {
        convention: [plain_number(probe, text) for text in texts]
        for convention in order
        if (probe := probe_feed(decimal=convention[0], thousands=convention[1], **behind))
    }
    counts = {convention: len(texts) - numbers.count(None) for convention, numbers in readings.items()}
    best = max(counts, key=lambda convention: counts[convention])
    guess.form["decimal"], thousands = best
    if thousands:
        guess.form["thousands"] = thousands
    guess.form |= behind
    for other, numbers in readings.items():
        if counts[other] == counts[best]:
            for text, ours, theirs in zip(texts, readings[best], numbers, strict=True):
                if ours != theirs and ours and theirs and float(ours) != float(theirs):
                    guess.review("decimal", f"AMBIGUOUS: {text.strip()!r} is taken for {ours}, and could be {theirs}")
                    return


def probe_feed(**form: Any) -> Feed:
    """A feed for nothing but reading cells."""
    columns = {each: {"header": each} for each in (*REQUIRED, "unit_price")}
    return Feed.model_validate({"feed": "probe", "match": "*", "format": form, "columns": columns})


def trial_feed(head: dict[str, str], guess: Guess) -> Feed:
    """The feed as far as it is known, with stand-ins for required columns that are missing."""
    said = {"format": guess.form, "columns": guess.columns | stand_ins(guess), "line_type": guess.line_type}
    return Feed.model_validate({**head, **said, "fill_down": guess.filled})


def stand_ins(guess: Guess) -> dict[str, dict[str, str]]:
    """Of what is missing, so that the rest can be tried; a feed of constants alone would be refused."""
    day = datetime(2024, 1, 1).strftime(guess.form.get("dates", ["%Y-%m-%d"])[0])  # noqa: DTZ001  # a date only
    ours = {each: {"value": (_STAND_IN | {"sold_at": day})[each]} for each in guess.missing}
    telling = {
        "orders": {"sale_id", "sold_at"},
        "items": {"quantity", "unit_price"},
        None: {"sold_at", "quantity", "unit_price"},
    }
    if telling[guess.part] <= ours.keys():
        ours[min(telling[guess.part] - {"quantity"}, key=FIELDS.index)] = {"header": guess.first_header}
    return ours


def plain_number(feed: Feed, text: str, name: str = "unit_price") -> str | None:
    cell = feed.cell(name, text)
    return cell if cell and re.fullmatch(r"-?\d+(\.\d+)?", cell, re.ASCII) else None
