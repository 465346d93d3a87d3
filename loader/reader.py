"""Blocks of CSV text → batches of text columns, with row numbers and physical line numbers, in bounded memory.

The text is cut at line ends into blocks of bounded size and number of lines. A plain block (every line a record,
nothing that needs care) is parsed by Arrow at memory speed. Any other block is parsed by Python's csv module, which
knows on which physical line a record with quoted newlines starts. A property test holds the two equal.
Format: RFC 4180 with the feed's delimiter, LF or CR LF, in UTF-8 (decoding.py makes it so). A first line such as
`sep=;`, by which Excel is told the delimiter, is no record.
"""

import codecs
import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from loader.blocks import Blocks, LineText, is_utf8, printable
from loader.cells import as_seen
from loader.decoding import Decoded
from loader.errors import InvalidFile
from loader.records import Lines, too_large

# The header is looked for in this many lines where it is not the first record.
HEADER_LINES = 100
_DELIMITER_LINE = re.compile(r'"?sep=(.?)"?', re.IGNORECASE)


@dataclass(frozen=True)
class Malformed:
    """A record that is not a row of the header's columns."""

    row_number: int
    source_line: int
    raw_text: str
    message: str

    @property
    def lines(self) -> int:
        """Physical lines that it holds."""
        return self.raw_text.count("\n") + 1


@dataclass(frozen=True)
class Batch:
    """Consecutive records. `columns` are in the order of the header; arrays have one entry for each good record."""

    columns: list[pa.Array]
    row_numbers: npt.NDArray[np.int64]  # 1-based among the file's records after the header
    source_lines: npt.NDArray[np.int64]  # 1-based physical line on which the record starts
    text_at: Callable[[int], str]  # physical line → the record that starts there, as it stands in the file
    malformed: list[Malformed]
    blank: int  # lines with nothing on them
    by_quotes: bool = True  # quotes tell where a record ends: one of several lines may have swallowed others

    def __len__(self) -> int:
        return len(self.row_numbers)

    @property
    def rows_read(self) -> int:
        return len(self) + len(self.malformed) + self.blank


class Reader:
    """Reads one file: `header` at once, then `batches`; after those, `sha256` of the bytes as stored."""

    def __init__(
        self, text: Decoded, delimiter: str, is_header: Callable[[int, list[str]], bool] = lambda *_: True
    ) -> None:
        """Read the header: the first record that is not blank and that `is_header` takes for it, by its line and cells.

        `titles` are the records above it. Raises InvalidFile when there is no header, it is too wide, or the text
        cannot be decoded.
        """
        self.text = text
        csv.field_size_limit(text.limits.max_cell_bytes)  # for the whole process: all files have the same limits
        self._delimiter = delimiter
        # A quote at the start of a cell, to the next that is not doubled, which ends the cell on the same line.
        after = re.escape(delimiter.encode())
        self._quoted_cell = re.compile(rb'"(?<![^\n%b]")[^"\r\n]*(?:""[^"\r\n]*)*"(?=%b|\r?\n|\Z)' % (after, after))
        self._blocks = Blocks(text.blocks)
        self._line = 1  # physical line on which the next block starts
        self._row = 1
        self.titles: list[str] = []
        self.header = self._read_header(is_header)

    @property
    def sha256(self) -> str:
        return self.text.sha256

    def batches(self) -> Iterator[Batch]:
        """Every record after the header, in order.

        Raises InvalidFile when the text cannot be decoded, or a line has no end.
        """
        for block in self._blocks:
            yield self._by_arrow(block) if self._is_plain(block) else self._by_csv(block)

    def _read_header(self, is_header: Callable[[int, list[str]], bool]) -> list[str]:
        """The cells of the header. The text that follows it in its block is handed back to the blocks."""
        first_title = 0
        for block in self._blocks:
            lines = Lines(block, self._blocks, self._delimiter)
            while lines.pending:
                record = lines.next_record()
                line = self._line + record.first
                if line > HEADER_LINES:
                    raise InvalidFile(
                        f"none of the first {HEADER_LINES} lines is the header that format.header_row describes"
                    )
                if not record.text.strip() or (line == 1 and self._says_delimiter(record.text)):
                    continue
                if not is_header(line, record.cells):
                    first_title = first_title or line
                    self.titles.append(printable(record.text))
                    continue
                if record.problem:
                    raise InvalidFile(f"line {line}: the header is not readable: {record.problem}")
                if len(record.cells) > self.text.limits.max_columns:
                    limit = self.text.limits.max_columns
                    raise InvalidFile(f"the header has {len(record.cells)} columns, more than MAX_COLUMNS={limit}")
                self._line += lines.position
                self._blocks.give_back(lines.rest())
                return [" ".join(as_seen(cell).split()) for cell in record.cells]
            self._line += lines.position
        if self.titles:
            raise InvalidFile(
                f"no line is the header that format.header_row describes; line {first_title}: {self.titles[0]}"
            )
        raise InvalidFile("the file is empty: it has no header")

    def _says_delimiter(self, text: str) -> bool:
        """Whether the text names the delimiter, as Excel does. Raises InvalidFile if it is not that of the feed."""
        said = _DELIMITER_LINE.fullmatch(text.strip())
        if said and (said[1] or "\t") != self._delimiter:
            raise InvalidFile(f"line 1 says {text.strip()}, and the feed's format.delimiter is {self._delimiter!r}")
        return bool(said)

    def _is_plain(self, block: bytes) -> bool:
        """Whether quotes stand only around whole cells of one line, and there is no NUL and no invalid UTF-8.

        Nor may a byte order mark stand in front: Arrow would take it off, and here it is part of a cell.
        """
        if b"\0" in block or block.startswith(codecs.BOM_UTF8) or not is_utf8(block):
            return False
        if b'"' not in block:
            return True
        quoted: list[bytes] = self._quoted_cell.findall(block)
        return block.count(b'"') == sum(cell.count(b'"') for cell in quoted)

    def _by_arrow(self, block: bytes) -> Batch:
        names = [str(index) for index in range(len(self.header))]
        ragged: list[arrow_csv.InvalidRow] = []

        def skip(row: arrow_csv.InvalidRow) -> str:
            ragged.append(row)
            return "skip"

        table = arrow_csv.read_csv(
            pa.BufferReader(block),
            # Single-threaded and in one block, else a ragged row has no number.
            arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
            arrow_csv.ParseOptions(
                delimiter=self._delimiter,
                quote_char='"' if b'"' in block else False,
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
        limit = self.text.limits.max_cell_bytes
        if any(column.nbytes > limit and pc.max(pc.binary_length(column)).as_py() > limit for column in table.columns):
            return self._by_csv(block)
        text_at = LineText(block, self._line)
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        kept = np.delete(np.arange(lines, dtype=np.int64), [row.number - 1 for row in ragged])
        malformed = [
            Malformed(self._row + row.number - 1, line, text_at(line), other_width(row.actual_columns, len(names)))
            for row in ragged
            if text_at(line := self._line + row.number - 1).strip()
        ]
        columns = [column.combine_chunks() for column in table.columns]
        batch = Batch(
            columns,
            kept + self._row,
            kept + self._line,
            text_at,
            malformed,
            blank=len(ragged) - len(malformed),
        )
        self._line += lines
        self._row += lines
        return batch

    def _by_csv(self, block: bytes) -> Batch:
        lines = Lines(block, self._blocks, self._delimiter, len(self.header))
        rows: list[list[str]] = []
        row_numbers: list[int] = []
        texts: dict[int, str] = {}
        malformed: list[Malformed] = []
        blank = 0
        limit = self.text.limits.max_cell_bytes
        own = lines.read  # a last record that draws on the next block does not draw all of that one in
        while lines.position < own:
            record = lines.next_record()
            line = self._line + record.first
            if not record.text.strip():
                blank += 1
            elif record.problem or len(record.cells) != len(self.header):
                message = record.problem or other_width(len(record.cells), len(self.header))
                malformed.append(Malformed(self._row, line, printable(record.text), message))
            elif len(record.text) * 4 > limit and any(len(cell.encode()) > limit for cell in record.cells):
                malformed.append(Malformed(self._row, line, record.text, too_large(limit)))
            else:
                rows.append(record.cells)
                row_numbers.append(self._row)
                texts[line] = record.text
            self._row += 1
        self._line += lines.position
        self._blocks.give_back(lines.rest())
        return Batch(
            [
                pa.array(column, pa.string())
                for column in (zip(*rows, strict=True) if rows else [()] * len(self.header))
            ],
            np.array(row_numbers, dtype=np.int64),
            np.array(list(texts), dtype=np.int64),
            texts.__getitem__,
            malformed,
            blank,
        )


def other_width(found: int, expected: int) -> str:
    return f"The row has {found} cell{'s' * (found != 1)} where the header has {expected}"
