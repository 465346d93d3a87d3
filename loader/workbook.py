"""An Excel workbook (.xlsx) → the rows of one of its sheets, as text, in bounded memory.

A cell's value is written as the feed writes numbers and dates, whatever country the workbook is of. Its format counts
where it makes a difference: dates, percentages, and the zeros in front of a code such as 0042. A formula counts as the
result that was saved with it. Where the program that wrote the workbook saved none, the cell is the formula's text, so
that a number is refused and not 0.
Format: ECMA-376, part 1.
"""

import re
import warnings
import zipfile
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import IO, Any

import openpyxl

from loader.decoding import BLOCK_BYTES, Stored, check_expansion
from loader.errors import InvalidFile
from loader.feeds import Feed
from loader.rows import Row
from loader.settings import Limits

# Parts that are read as a whole. A text that stands in many cells is stored once, in a part of its own.
_PART_BYTES = 16 * 1024 * 1024
_TEXTS_BYTES = 128 * 1024 * 1024
_ROW_BYTES = 16 * 1024 * 1024
_OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # a compound file: an .xls, or a workbook with a password
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_MEMBER = re.compile(rb"PK\x03\x04.{22}(..)..(.*)", re.DOTALL)
_OFFICE = re.compile(rb"\[Content_Types\]\.xml|_rels/|docProps/|xl/|customXml/")
_ROW_END = re.compile(rb"</(?:\w+:)?row>|<(?:\w+:)?row\s[^>]*/>")
_ROW_NUMBER = re.compile(rb"<(?:\w+:)?row\s(?:[^>]*?\s)?r=[\"'](\d+)")
_NO_RESULT = re.compile(
    rb"(?:</(?:\w+:)?f>|<(?:\w+:)?f(?:\s[^>]*)?/>)\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_LARGEST_EXACT = 2**53  # beyond it a float has lost digits
# A program that computes no formulas leaves that to the spreadsheet, and writes nothing, or 0, as the result.
_CALCULATED_LATER = re.compile(rb"fullCalcOnLoad=[\"'](?:1|true)[\"']")
_ROWS = 1_048_576  # of a sheet, at most
_DIGITS = 15  # of a number, that Excel keeps and shows
_PADDED = re.compile("0{2,}")
_LITERAL = re.compile(r'"[^"]*"|[\\_*].')  # of a format: text that is shown as it stands

# The warnings of openpyxl are about parts that are not read, such as rules of validation.
warnings.filterwarnings("ignore", category=UserWarning, module="openpyxl")


def is_workbook(first: bytes) -> bool:
    """Whether a file that begins so is an office document, or may be one with a password."""
    if first.startswith(_OLD):
        return True
    member = _MEMBER.match(first[:4096])
    return bool(member and _OFFICE.match(member[2][: int.from_bytes(member[1], "little")]))


def workbook_rows(file: IO[bytes], first: bytes, stored: Stored, feed: Feed, limits: Limits) -> Generator[Row]:
    """The rows of the sheet that the feed names, from its first line on; those that the file leaves out are blank.

    Raises InvalidFile when the file is no workbook that can be read, larger than the limits allow, or has other sheets.
    """
    try:
        parts = _check_parts(file, first, stored, limits)
        file.seek(0)
        book = openpyxl.load_workbook(file, read_only=True, data_only=parts.has_results, keep_links=False)
        try:
            sheet = _chosen(book, feed.format.sheet)
            if fault := parts.faults.get(sheet._worksheet_path):  # noqa: SLF001  # by which part it is nothing else says
                raise InvalidFile(f"the sheet {sheet.title!r} {fault}")
            sheet.reset_dimensions()  # which a program may have written wrong: rows beyond them would be lost
            cells = _Cells(feed)
            for line, row in enumerate(sheet.iter_rows(), 1):
                if line > _ROWS:
                    raise InvalidFile(f"the sheet {sheet.title!r} is damaged: it has a row beyond {_ROWS:,}")
                yield Row(line, cells.texts(row))
        finally:
            book.close()
    except (InvalidFile, MemoryError):
        raise
    except Exception as error:  # whatever a parser stumbles on in a damaged file
        raise InvalidFile(f"the workbook cannot be read, it is damaged: {type(error).__name__}: {error}") from error


@dataclass
class _Parts:
    """The faults of sheets, by the names of their parts, and whether every formula has its result."""

    faults: dict[str, str] = field(default_factory=dict)
    has_results: bool = True


def _check_parts(file: IO[bytes], first: bytes, stored: Stored, limits: Limits) -> _Parts:
    """Unpack every part once, and keep nothing.

    Raises InvalidFile where one is larger than it may be. So a bomb is found before anything is built from it.
    """
    if first.startswith(_OLD):
        raise InvalidFile(_old(file))
    found = _Parts()
    text_bytes = 0
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if "xl/workbook.bin" in names:
            raise InvalidFile("the file is a binary workbook (.xlsb): save it as .xlsx, or as CSV")
        if not any(name.startswith("xl/") for name in names):
            raise InvalidFile("the file is an office document and no workbook: save the sheet as .xlsx, or as CSV")
        for part in archive.infolist():
            if part.flag_bits & 1:
                raise InvalidFile("the workbook is encrypted: save it without a password")
            is_sheet = part.filename.startswith("xl/worksheets/")
            limit = _TEXTS_BYTES if part.filename.casefold().endswith("sharedstrings.xml") else _PART_BYTES
            limit = max(limit, 2 * part.compress_size)  # a picture is as large as it is
            check = _SheetCheck()
            part_bytes = 0
            with archive.open(part) as content:
                while block := content.read(BLOCK_BYTES):
                    if not part_bytes and b"<!DOCTYPE" in block:
                        raise InvalidFile(f"the workbook's {part.filename} defines entities: this is no workbook")
                    part_bytes += len(block)
                    text_bytes += len(block)
                    check_expansion(text_bytes, stored.delivered, limits)
                    if is_sheet:
                        check.look_at(block)
                    elif part_bytes > limit:
                        raise InvalidFile(
                            f"the workbook's {part.filename} has more than {limit:,} bytes: save the sheet as CSV"
                        )
            if check.fault:
                found.faults[part.filename] = check.fault
            found.has_results &= check.has_results
        if _CALCULATED_LATER.search(archive.read("xl/workbook.xml")):
            found.has_results = False
    return found


class _SheetCheck:
    """Finds what a reader of a sheet would pass over, or would have to keep in memory."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.has_results = True
        self._rest = b""  # behind the last whole row
        self._row = 0

    def look_at(self, block: bytes) -> None:
        """Raises InvalidFile where a row is too long to be one."""
        text = self._rest + block
        ends = [0, *(match.end() for match in _ROW_END.finditer(text))]
        rows, self._rest = text[: ends[-1]], text[ends[-1] :]
        if max([len(self._rest), *(after - before for before, after in pairwise(ends))]) > _ROW_BYTES:
            raise InvalidFile(f"a row of the workbook has more than {_ROW_BYTES:,} bytes: this is no sheet")
        for number in map(int, _ROW_NUMBER.findall(rows)):
            if number <= self._row:
                self.fault = f"is damaged: row {number} stands behind row {self._row}"
            elif number > _ROWS:  # for which a million blank ones would be read
                self.fault = f"is damaged: it has a row beyond {_ROWS:,}"
            self._row = number
        if self.has_results and any(not _is_text(rows, match.start()) for match in _NO_RESULT.finditer(rows)):
            self.has_results = False


def _is_text(rows: bytes, place: int) -> bool:
    """Whether the cell around this place has a text for its result, which may be an empty one."""
    start = max(rows.rfind(b"<c ", 0, place), rows.rfind(b":c ", 0, place))
    return b't="str"' in rows[start : rows.find(b">", start)]


def _old(file: IO[bytes]) -> str:
    """A sentence on what this compound file is."""
    file.seek(0)
    tail = b""
    while block := file.read(BLOCK_BYTES):
        if _ENCRYPTED in tail + block:
            return "the workbook is encrypted: save it without a password"
        tail = block[-len(_ENCRYPTED) :]
    return "the file is an old workbook (.xls) or another old office document: save it as .xlsx, or as CSV"


def _chosen(book: Any, name: str | None) -> Any:
    """The sheet that is named; without a name, the only one that a person sees."""
    sheets = book.worksheets
    titles = ", ".join(repr(each.title) for each in sheets)
    if name is not None:
        for sheet in sheets:
            if sheet.title.strip().casefold() == name.strip().casefold():
                return sheet
        raise InvalidFile(f"the workbook has no sheet {name!r}, which format.sheet names: it has {titles or 'none'}")
    seen = [each for each in sheets if each.sheet_state == "visible"]
    if len(seen) == 1:
        return seen[0]
    if not seen:
        raise InvalidFile("the workbook has no sheet that can be read")
    titles = ", ".join(repr(each.title) for each in seen)
    where = "Name one in the feed, as format.sheet, or as --sheet to draft one"
    raise InvalidFile(f"the workbook has {len(seen)} sheets: {titles}. {where}")


class _Cells:
    """Texts of cells, as the feed writes them."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._decimal = feed.format.decimal

    def texts(self, row: tuple[Any, ...]) -> list[str]:
        found = []
        for cell in row:
            value = cell.value
            kind = value.__class__
            if kind is str:
                found.append(value.replace("_x000D_", "") if "_x000D_" in value else value)
            elif value is None:
                found.append("")
            elif kind is int or kind is float:
                found.append(self._number(value, cell.number_format))
            elif kind is bool:
                found.append(str(value).upper())
            elif isinstance(value, date):
                moment = value if isinstance(value, datetime) else datetime.combine(value, time())
                found.append(self._feed.written(moment))
            else:
                found.append(str(getattr(value, "text", value)))  # of a formula for many cells, its text
        return found

    def _number(self, value: float, form: str) -> str:
        if _is_percentage(form):
            return self._plain(Decimal(_digits(value)) * 100) + "%"
        if isinstance(value, int) or (value.is_integer() and abs(value) < _LARGEST_EXACT):
            text = str(int(value))
            return text.zfill(len(form)) if value >= 0 and _PADDED.fullmatch(form) else text
        if abs(value) >= _LARGEST_EXACT:
            return repr(value)  # with an exponent, which is refused: its digits are lost
        return self._plain(Decimal(_digits(value)))

    def _plain(self, number: Decimal) -> str:
        text = format(number, "f")
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return text.replace(".", self._decimal)


@cache
def _is_percentage(form: str) -> bool:
    return "%" in _LITERAL.sub("", form)


def _digits(value: float) -> str:
    """The number with as many digits as Excel shows: 0.3 where the file has 0.30000000000000004."""
    return repr(float(f"{value:.{_DIGITS}g}")) if isinstance(value, float) else str(value)
