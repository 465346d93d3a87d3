"""Parquet → batches of text columns, in bounded memory: https://parquet.apache.org/docs/file-format

Each distinct value of a column is written once, as the feed writes numbers and dates. Nested columns are refused.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from loader.cells import as_seen, record
from loader.decoding import BLOCK_BYTES, Stored, check_expansion
from loader.errors import InvalidFile
from loader.feeds import Feed
from loader.reader import Batch, Malformed
from loader.records import too_large
from loader.rows import BATCH_ROWS, NUL
from loader.settings import Limits

_MAGIC = b"PAR1"
_ENCRYPTED = b"PARE"
_BATCH_BYTES = 16 * 1024 * 1024  # of text
_DAMAGED = (pa.ArrowException, OSError, ValueError, OverflowError, TypeError)
_ROW_TOO_LARGE = f"The row has more than {BLOCK_BYTES:,} bytes"


def is_parquet(first: bytes) -> bool:
    return first[:4] in (_MAGIC, _ENCRYPTED)


class ParquetReader:
    """Reads a file as `Reader` reads CSV: `header` at once, then `batches`. The first row is line 1."""

    titles: tuple[str, ...] = ()

    def __init__(self, file: IO[bytes], first: bytes, stored: Stored, feed: Feed, limits: Limits) -> None:
        """Raises InvalidFile when the file is no Parquet that can be read, has nested columns or too many."""
        if first.startswith(_ENCRYPTED):
            raise InvalidFile("the Parquet file is encrypted")
        self._stored = stored
        self._feed = feed
        self._limits = limits
        self._rows = 0
        self._text_bytes = 0
        try:
            schema = parquet.read_schema(file)
            texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_binary(field.type)]
            file.seek(0)
            self._file = parquet.ParquetFile(file, read_dictionary=texts, pre_buffer=False)
            self.header = [" ".join(as_seen(each.name).split()) for each in schema]
        except _DAMAGED as error:
            raise InvalidFile(f"the Parquet file cannot be read, it is damaged or cut off: {error}") from error
        if len(schema) > limits.max_columns:
            raise InvalidFile(f"the file has {len(schema)} columns, more than MAX_COLUMNS={limits.max_columns}")
        if nested := [f"{each.name!r} ({each.type})" for each in schema if pa.types.is_nested(each.type)]:
            raise InvalidFile(f"columns with values of several parts cannot be read: {', '.join(nested)[:500]}")
        if "\0" in "".join(self.header):
            raise InvalidFile("the header is not readable: it has a NUL byte")

    def batches(self) -> Iterator[Batch]:
        """Every row, in order. Raises InvalidFile when the file cannot be read further, or its text is too long."""
        try:
            for batch in self._file.iter_batches(BATCH_ROWS):
                yield from self._batches(batch)
        except _DAMAGED as error:
            raise InvalidFile(f"the Parquet file cannot be read, it is damaged: {error}") from error

    def _batches(self, batch: pa.RecordBatch) -> Iterator[Batch]:
        """The batch in parts whose text is small: a word that many rows have is written once in the file."""
        columns = [self._written(column) for column in batch.columns]
        sizes = [_sizes(column) for column in columns]
        of_rows = sum(sizes, np.zeros(batch.num_rows, np.int64))
        self._text_bytes += int(of_rows.sum()) + batch.num_rows * (len(columns) + 1)
        check_expansion(self._text_bytes, self._stored.delivered, self._limits)
        largest = np.max(sizes, axis=0) if sizes else of_rows
        start = 0
        while start < batch.num_rows:
            within = np.searchsorted(np.cumsum(np.minimum(of_rows[start:], BLOCK_BYTES)), _BATCH_BYTES)
            rows = slice(start, start + max(1, int(within)))
            problems = np.where(largest[rows] > self._limits.max_cell_bytes, too_large(self._limits.max_cell_bytes), "")
            problems[of_rows[rows] > BLOCK_BYTES] = _ROW_TOO_LARGE
            yield self._batch([column.slice(start, len(problems)) for column in columns], problems.astype(object))
            start = rows.stop

    def _batch(self, columns: list[pa.DictionaryArray], problems: npt.NDArray[np.object_]) -> Batch:
        for column in columns:
            nul = np.array([NUL if text and "\0" in text else "" for text in column.dictionary.to_pylist()], object)
            if nul.any():
                problems = np.where(problems == "", nul[column.indices.to_numpy()], problems)
        lines = np.arange(1, len(problems) + 1, dtype=np.int64) + self._rows
        self._rows += len(problems)
        bad = np.flatnonzero(problems).tolist()
        good = pa.array(np.flatnonzero(problems == ""))
        delimiter = self._feed.format.delimiter

        def text_of(index: int) -> str:
            return record([_cut(column[index].as_py()) for column in columns], delimiter)

        first = int(lines[0]) if len(lines) else 0
        place = lines[good.to_numpy()]
        return Batch(
            [column.take(good).cast(pa.string()) for column in columns],
            place,
            place,
            lambda line: text_of(line - first),
            [Malformed(first + at, first + at, text_of(at).replace("\0", "␀"), problems[at]) for at in bad],
            blank=0,
            by_quotes=False,
        )

    def _written(self, column: pa.Array) -> pa.DictionaryArray:
        """The column's texts; an empty one where there is no value. Raises UnicodeDecodeError, ArrowInvalid."""
        if pa.types.is_null(column.type):
            return pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(column), np.int32)), pa.array([""]))
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        values = encoded.dictionary
        texts = [*self._texts(values), ""]
        indices = pc.fill_null(encoded.indices.cast(pa.int32()), len(texts) - 1)
        return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))

    def _texts(self, values: pa.Array) -> list[str]:
        kind = values.type
        types = pa.types
        if types.is_timestamp(kind) and kind.unit == "ns":  # Python's moments have no more than millionths
            values = values.cast(pa.timestamp("us", kind.tz), safe=False)
        if types.is_time(kind) and kind.bit_width == 64 and kind.unit == "ns":
            values = values.cast(pa.time64("us"), safe=False)
        if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
            values = values.cast(pa.binary()).cast(pa.string())
        if types.is_floating(kind):
            return [self._number(_shortest(value)) for value in values.to_numpy(zero_copy_only=False)]
        return ["" if value is None else self._text(value) for value in values.to_pylist()]

    def _text(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, date):
            return self._feed.written(value if isinstance(value, datetime) else datetime.combine(value, time()))
        if isinstance(value, time):
            return value.isoformat()
        return self._number(format(value, "f") if hasattr(value, "as_tuple") else str(value))

    def _number(self, text: str) -> str:
        return text.replace(".", self._feed.format.decimal)


_shortest: Callable[[Any], str] = lambda value: np.format_float_positional(value, trim="-")  # noqa: E731


def _sizes(column: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    """Bytes of each row's text."""
    lengths = pc.binary_length(column.dictionary).to_numpy().astype(np.int64)
    return np.asarray(lengths[column.indices.to_numpy()])


def _cut(text: str) -> str:
    return text if len(text) <= BLOCK_BYTES else text[:BLOCK_BYTES]
