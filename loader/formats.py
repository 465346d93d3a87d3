"""The bytes of a file → its sheet, whichever kind of file it is: the bytes themselves tell the kind.

Every kind gives the same batches of text columns, so that one validation decides all of them.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from tempfile import TemporaryFile
from typing import BinaryIO, Protocol

from loader.cells import record
from loader.decoding import BLOCK_BYTES, Decoded, Stored, ZipSpool, decode
from loader.errors import InvalidFile
from loader.feeds import Feed
from loader.jsonlines import JsonLines
from loader.parquet import ParquetReader, is_parquet
from loader.reader import Batch, Reader
from loader.rows import RowReader
from loader.settings import Limits
from loader.workbook import is_workbook, workbook_rows

_OBJECT = re.compile(rb'\s*\{\s*["}]')
_LIST = re.compile(rb"\s*\[\s*\{")
_NAMES = {"xlsx": "an Excel workbook (.xlsx)", "parquet": "a Parquet file", "jsonl": "a file of JSON lines"}
KINDS = frozenset(_NAMES)  # that are no text: the `encoding` of such a file is its kind


class Rows(Protocol):
    """The rows of a sheet, as `Reader` gives them."""

    @property
    def header(self) -> list[str]: ...
    @property
    def titles(self) -> Sequence[str]: ...
    def batches(self) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Sheet:
    """One file as rows. `text` says how it was written; for a kind that is no text, `encoding` is the kind."""

    text: Decoded
    rows: Rows

    @property
    def sha256(self) -> str:
        """The checksum of the bytes as stored, once all batches have been read."""
        return self.text.sha256


@contextmanager
def open_sheet(stream: BinaryIO, feed: Feed, limits: Limits) -> Iterator[Sheet]:
    """The sheet in these bytes, for as long as the context lasts.

    Raises InvalidFile, here or from its batches, when the file cannot be read, is larger than the limits allow, or is
    of another kind than the feed says.
    """
    with _opened(stream, feed, limits, feed.is_header) as (text, read):
        yield Sheet(text, read())


@contextmanager
def as_csv(
    stream: BinaryIO, feed: Feed, limits: Limits, is_header: Callable[[int, list[str]], bool]
) -> Iterator[Decoded]:
    """The same sheet as the text of a CSV, to draft a feed from; a text stays as it is. Raises InvalidFile.

    `is_header` takes a line and its cells, and says whether this row of a workbook is the header.
    """
    with _opened(stream, feed, limits, is_header) as (text, read):
        rows = read() if text.encoding in _NAMES else None
        yield replace(text, blocks=_lines(rows, feed.format.delimiter)) if rows else text


@contextmanager
def _opened(
    stream: BinaryIO, feed: Feed, limits: Limits, is_header: Callable[[int, list[str]], bool]
) -> Iterator[tuple[Decoded, Callable[[], Rows]]]:
    """How the file is written, and a function that reads its header and gives its rows."""
    stored = Stored(stream)
    first, form = stored.first, feed.format
    kind = form.kind or _kind_of(first)
    if kind in ("csv", "text", "jsonl"):
        text = decode(stored, form.encoding, limits)
        if kind == "text":
            kind, text = _kind_of_text(text)
        if kind == "csv":
            yield text, lambda: Reader(text, form.delimiter, is_header)
        else:
            with closing(JsonLines(text, feed)) as lines:
                keys = lines.header
                described = replace(text, encoding=kind, encoding_guessed=False)
                yield described, lambda: RowReader(lines.rows(), limits, form.delimiter, header=keys)
        return
    if not {"xlsx": is_workbook, "parquet": is_parquet}[kind](first):
        raise InvalidFile(f"the file is not {_NAMES[kind]}, which the feed's format.kind says")
    described = Decoded(iter(()), None, kind, False, limits, stored)
    with ZipSpool(BLOCK_BYTES) if kind == "xlsx" else TemporaryFile() as file:
        shutil.copyfileobj(stored, file, BLOCK_BYTES)
        if kind == "parquet":
            yield described, lambda: ParquetReader(file, first, stored, feed, limits)
            return
        with closing(workbook_rows(file, first, stored, feed, limits)) as rows:
            yield described, lambda: RowReader(rows, limits, form.delimiter, is_header)


def _kind_of(first: bytes) -> str:
    return "xlsx" if is_workbook(first) else "parquet" if is_parquet(first) else "text"


def _kind_of_text(text: Decoded) -> tuple[str, Decoded]:
    """A header of CSV does not begin as an object does. Raises InvalidFile where all objects are one list."""
    first = b""
    while not first.strip() and (block := next(text.blocks, b"")):
        first += block
    if _LIST.match(first):
        raise InvalidFile("the file is one JSON list: write one object a line, as `jq -c '.[]'` does")
    return "jsonl" if _OBJECT.match(first) else "csv", replace(text, blocks=chain([first], text.blocks))


def _lines(rows: Rows, delimiter: str) -> Iterator[bytes]:
    yield "".join(f"{line}\n" for line in (*rows.titles, record(rows.header, delimiter))).encode()
    for batch in rows.batches():
        cells = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        yield "".join(f"{record(each, delimiter)}\n" for each in cells).encode()
