"""The physical lines of a block → records, as Python's csv module reads them, and why a record cannot be read."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from loader.blocks import is_utf8

# The most physical lines of one record. A quote that is never closed draws that many, and with `x","` on every line
# each of them would otherwise be read to the end of the file.
RECORD_LINES = 200
_TORN = "A quote is opened and not closed, or text stands behind a closing quote"
_SWALLOWED = "A quote is opened and not closed: the lines below it look like rows of their own"
_NUMBER_LIKE = re.compile(r"[\s\"'=]*[-+(]?\W{0,2}\d", re.ASCII)


@dataclass(frozen=True)
class Record:
    first: int  # index of its first line
    text: str
    cells: list[str]
    problem: str | None


class Lines:
    """The physical lines of a block, read record by record. A record that the block's end cuts draws another block."""

    def __init__(self, block: bytes, blocks: Iterator[bytes], delimiter: str, width: int = 0) -> None:
        """`width`: cells of a record, where it is known."""
        self._blocks = blocks
        self._delimiter = delimiter
        self._width = width
        self._lines: list[str] = []
        self._faults: dict[int, str] = {}
        self.position = 0
        self._first = 0  # line of the record in hand
        self._append(block)
        self._records = self._csv()

    @property
    def read(self) -> int:
        return len(self._lines)

    @property
    def pending(self) -> bool:
        return self.position < self.read

    def next_record(self) -> Record:
        """The next record. If csv cannot read it, or a stray quote makes it swallow others, it is its first line."""
        first = self._first = self.position
        problem = None
        cells: list[str] = []
        try:
            cells = next(self._records)
            if (
                self._width
                and self.position > first + 1
                and self._has_swallowed(cells, self._lines[first : self.position])
            ):
                problem = _SWALLOWED
        except csv.Error:
            problem = _TORN
            if sum(len(line) for line in self._lines[first : self.position]) > csv.field_size_limit():
                problem = f"{too_large(csv.field_size_limit())}, or a quote is never closed"
        if problem:
            self.position = first + 1
            self._records = self._csv()
        faults = [self._faults[line] for line in range(first, self.position) if line in self._faults]
        text = "".join(self._lines[first : self.position]).rstrip("\r\n")
        return Record(first, text, cells, faults[0] if faults else problem)

    def _has_swallowed(self, cells: list[str], lines: list[str]) -> bool:
        """Whether lines within a cell look like records: as many cells, and numbers where this record has numbers.

        The lines on which a cell begins and ends are looked at where it goes from the first line of the record to the
        last: each of them alone may look so by what stands beside the cell.
        """
        ragged = len(cells) != self._width
        numbers = [index for index, cell in enumerate(cells) if "\n" not in cell and _NUMBER_LIKE.match(cell)]

        def is_record(line: str) -> bool:
            found = line.split(self._delimiter)
            if len(found) != self._width or ragged:
                return len(found) == self._width
            filled = [found[index] for index in numbers if found[index].strip()]
            return bool(filled) and all(map(_NUMBER_LIKE.match, filled))

        for cell in cells:
            _, *inner = cell.split("\n")
            if any(map(is_record, inner[:-1])):
                return True
            if len(inner) == len(lines) - 1 and is_record(lines[-1]) and (ragged or is_record(lines[0])):
                return True
        return False

    def rest(self) -> bytes:
        return "".join(self._lines[self.position :]).encode("utf-8", "surrogateescape")

    def _csv(self) -> Iterator[list[str]]:
        return csv.reader(self._draw(), delimiter=self._delimiter, strict=True)

    def _draw(self) -> Iterator[str]:
        while self.position - self._first < RECORD_LINES and (self.pending or self._append(next(self._blocks, b""))):
            self.position += 1
            yield self._lines[self.position - 1]

    def _append(self, block: bytes) -> bool:
        text = block.decode("utf-8", "surrogateescape")
        lines = io.StringIO(text, newline="\n").readlines()
        if "\0" in text or not is_utf8(block):
            for index, line in enumerate(lines, len(self._lines)):
                if "\0" in line:
                    self._faults[index] = "The row contains a NUL byte"
                elif not is_utf8(line.encode("utf-8", "surrogateescape")):
                    self._faults[index] = "The row is not UTF-8; say in the feed which encoding the file has"
        self._lines += lines
        return bool(lines)


def too_large(limit: int) -> str:
    return f"A cell is larger than MAX_CELL_BYTES={limit}"
