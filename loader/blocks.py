"""Bytes of text → blocks of whole lines, of bounded size and number of lines."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from loader import decoding
from loader.errors import InvalidFile

# Lines of one batch. A rejected line of two bytes takes about a hundred times as much memory.
BATCH_LINES = 50_000


class Blocks:
    """The blocks of a text, cut into whole lines. The rest of a block can be given back, and comes next."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = whole_lines(blocks)
        self._given_back = b""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block, self._given_back = self._given_back, b""
        return block or next(self._blocks)

    def give_back(self, block: bytes) -> None:
        self._given_back = block


def whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut after a line end. Raises InvalidFile when a line is longer than a block."""
    rest = b""
    for block in blocks:
        end = block.rfind(b"\n") + 1
        if end:
            yield from _few_lines(rest + block[:end])
            rest = block[end:]
        else:
            rest += block
        if len(rest) > decoding.BLOCK_BYTES:
            raise InvalidFile(f"a line is longer than {decoding.BLOCK_BYTES} bytes: this is no sheet")
    if rest:
        yield rest


def _few_lines(block: bytes) -> Iterator[bytes]:
    """The same bytes, cut after every BATCH_LINES line ends."""
    if block.count(b"\n") <= BATCH_LINES:
        yield block
        return
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))[BATCH_LINES - 1 :: BATCH_LINES] + 1
    for start, end in zip([0, *ends.tolist()], [*ends.tolist(), len(block)], strict=True):
        if start < end:
            yield block[start:end]


class LineText:
    """The text of a physical line of a plain block. Line ends are looked up when the first text is asked for."""

    def __init__(self, block: bytes, first_line: int) -> None:
        self._block = block
        self._first_line = first_line

    def __call__(self, line: int) -> str:
        index = line - self._first_line
        start = self._ends[index - 1] + 1 if index else 0
        end = self._ends[index] if index < len(self._ends) else len(self._block)
        return self._block[start:end].rstrip(b"\r").decode()

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(np.frombuffer(self._block, dtype=np.uint8) == ord("\n"))


def is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def printable(text: str) -> str:
    """The text without what PostgreSQL cannot keep: bytes that are no UTF-8 become escapes, and NUL its symbol."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").replace("\0", "␀")
