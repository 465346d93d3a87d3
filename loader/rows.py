"""Rows of cells → the header, and batches of text columns, for kinds of files that keep cells apart themselves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loader.cells import as_seen, record
from loader.decoding import BLOCK_BYTES
from loader.errors import InvalidFile
from loader.reader import HEADER_LINES, Batch, Malformed, other_width
from loader.records import too_large
from loader.settings import Limits

BATCH_ROWS = 20_000
NUL = "The row contains a NUL byte"


@dataclass(frozen=True)
class Row:
    """One row as it stands in the file. `problem`: why it cannot be read; `text` is then what stands there."""

    line: int  # on which a person finds it, from 1
    cells: list[str]
    problem: str | None = None
    text: str = ""


class RowReader:
    """Reads rows as `Reader` reads lines of CSV: `header` at once, then `batches`. A row without cells is blank."""

    def __init__(
        self,
        rows: Iterator[Row],
        limits: Limits,
        delimiter: str,
        is_header: Callable[[int, list[str]], bool] = lambda *_: True,
        header: list[str] | None = None,
    ) -> None:
        """Read the header, as `Reader` does, where it is not given. `delimiter` is that of the texts of rows.

        Raises InvalidFile when there is no header, or it is too wide.
        """
        self._rows = rows
        self._limits = limits
        self._delimiter = delimiter
        self._first = 1  # line of the first row
        self.titles: list[str] = []
        self.header = header if header is not None else self._read_header(is_header)
        if len(self.header) > limits.max_columns:
            columns = f"the header has {len(self.header)} columns"
            raise InvalidFile(f"{columns}, more than MAX_COLUMNS={limits.max_columns}")
        if "\0" in "".join(self.header):
            raise InvalidFile("the header is not readable: it has a NUL byte")

    def batches(self) -> Iterator[Batch]:
        """Every row after the header, in order. Raises InvalidFile when the file cannot be read further."""
        rows: list[Row] = []
        size = 0
        for row in self._rows:
            rows.append(row)
            size += sum(map(len, row.cells))
            if len(rows) == BATCH_ROWS or size > BLOCK_BYTES:
                yield self._batch(rows)
                rows, size = [], 0
        if rows:
            yield self._batch(rows)

    def _read_header(self, is_header: Callable[[int, list[str]], bool]) -> list[str]:
        for row in self._rows:
            if row.line > HEADER_LINES:
                raise InvalidFile(
                    f"none of the first {HEADER_LINES} rows is the header that format.header_row describes"
                )
            if not any(map(str.strip, row.cells)):
                continue
            if is_header(row.line, row.cells):
                self._first = row.line + 1
                width = max(at for at, cell in enumerate(row.cells, 1) if cell.strip())
                return [" ".join(as_seen(cell).split()) for cell in row.cells[:width]]
            self.titles.append(record(row.cells, self._delimiter).replace("\0", "␀"))
        if self.titles:
            raise InvalidFile(f"no row is the header that format.header_row describes; first: {self.titles[0]}")
        raise InvalidFile("the sheet is empty: it has no header")

    def _batch(self, rows: list[Row]) -> Batch:
        width = len(self.header)
        limit = self._limits.max_cell_bytes
        good: list[list[str]] = []
        lines: list[int] = []
        malformed: list[Malformed] = []
        blank = 0
        for row in rows:
            cells = row.cells
            if len(cells) > width and not any(map(str.strip, cells[width:])):
                cells = cells[:width]
            problem = row.problem
            if not problem and not any(cells):
                blank += 1
                continue
            if not problem and len(cells) > width:
                problem = other_width(len(cells), width)
            elif not problem:
                problem = _fault(cells, limit)
            if problem:
                text = row.text or record(cells, self._delimiter).replace("\0", "␀")
                malformed.append(Malformed(row.line - self._first + 1, row.line, text, problem))
            else:
                good.append(cells + [""] * (width - len(cells)))
                lines.append(row.line)
        source_lines = np.array(lines, dtype=np.int64)
        columns = zip(*good, strict=True) if good else [()] * width
        texts = dict(zip(lines, good, strict=True))
        return Batch(
            [pa.array(column, pa.string()) for column in columns],
            source_lines - self._first + 1,
            source_lines,
            lambda line: record(texts[line], self._delimiter),
            malformed,
            blank,
            by_quotes=False,
        )


def _fault(cells: list[str], limit: int) -> str | None:
    """A sentence if PostgreSQL cannot keep these cells, or the settings do not allow them."""
    text = "".join(cells)
    if "\0" in text:
        return NUL
    if len(text) * 4 > limit and any(len(cell.encode("utf-8", "replace")) > limit for cell in cells):
        return too_large(limit)
    return None
