"""JSON lines (one object a line) → rows of cells, as text: https://jsonlines.org

The columns are all keys of the file, in the order in which they come; a key that an object lacks is an empty cell. No
key may be lost, so the text is read twice, and waits on disk. Numbers stay as they are written.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from loader.blocks import printable, whole_lines
from loader.cells import as_seen
from loader.decoding import BLOCK_BYTES, Decoded
from loader.errors import InvalidFile
from loader.feeds import Feed
from loader.rows import Row

_EXPONENT = 30  # the largest that is written out


class _Number(str):
    """A number of the text, as it is written."""

    __slots__ = ()


class _Twice(ValueError):
    """A key of an object stands there twice."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Twice(f"The key {twice!r} stands twice")
    return found


_NO_OBJECT = "The line is no JSON object"
_HALF = "The row has one half of a character"
_LINE = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=str, object_pairs_hook=_each_once)
_KEYS = json.JSONDecoder(parse_int=str, parse_float=str)


def _written(value: Any) -> str:
    """JSON with its numbers as they were."""
    if isinstance(value, _Number):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_written(key)}: {_written(each)}' for key, each in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


class JsonLines:
    """The header of a text, and its rows, to be read once. The text is kept until `close`."""

    def __init__(self, text: Decoded, feed: Feed) -> None:
        """Raises InvalidFile when the text cannot be decoded, a line has no end, or there are too many keys."""
        self._decimal = feed.format.decimal
        self._mapped = {name for column in feed.columns.values() for name in column.folded_headers}
        self._limits = text.limits
        self._spool: IO[bytes] = SpooledTemporaryFile(BLOCK_BYTES)  # noqa: SIM115  # `close` closes it
        try:
            self._all = self._keys(text)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._spool.close()

    @property
    def header(self) -> list[str]:
        """The keys, as headers are read."""
        return [" ".join(as_seen(key).split()) for key in self._all]

    def rows(self) -> Iterator[Row]:
        """Every line of the text. A line that is no object, or has a list or an object for a field, has a problem."""
        places = {key: at for at, key in enumerate(self._all)}
        for line, text in enumerate(self._lines(), 1):
            if not text.strip():
                yield Row(line, [])
                continue
            problem = None
            try:
                found = _LINE.decode(text.decode())
            except UnicodeDecodeError:
                problem = "The row is not UTF-8; say in the feed which encoding the file has"
            except _Twice as error:
                problem = str(error)
            except (ValueError, RecursionError):  # invalid JSON, or a thousand brackets
                problem = _NO_OBJECT
            else:
                if not isinstance(found, dict):
                    problem = _NO_OBJECT
            if problem:
                yield Row(line, [], problem, printable(text.decode("utf-8", "surrogateescape")))
            else:
                yield self._row(line, found, places)

    def _row(self, line: int, found: dict[str, Any], places: dict[str, int]) -> Row:
        cells = [""] * len(places)
        problem = None
        for key, value in found.items():
            if key not in places:
                problem = _HALF
                continue
            if isinstance(value, list | dict) and " ".join(as_seen(key).split()).casefold() in self._mapped:
                what = "a list" if isinstance(value, list) else "an object"
                problem = f"The value of {key!r} is {what}: only plain values can be read"
            try:
                cells[places[key]] = self._text(value)
            except RecursionError:
                problem = f"The value of {key!r} has too many parts within parts"
        try:
            "".join(cells).encode()
        except UnicodeEncodeError:
            problem = _HALF
            cells = [cell.encode("utf-8", "backslashreplace").decode() for cell in cells]
        return Row(line, cells, problem)

    def _keys(self, text: Decoded) -> list[str]:
        keys: dict[str, None] = {}
        for block in text.blocks:
            self._spool.write(block)
        for line in self._lines():
            try:
                found = _KEYS.decode(line.decode())
                if isinstance(found, dict) and not found.keys() <= keys.keys():
                    "".join(found).encode()  # raises UnicodeEncodeError, which is a ValueError
                    keys |= dict.fromkeys(found)
            except (ValueError, RecursionError):
                continue
            if len(keys) > self._limits.max_columns:
                limit = self._limits.max_columns
                raise InvalidFile(f"the objects have {len(keys)} keys and more, more than MAX_COLUMNS={limit}")
        if not keys:
            raise InvalidFile("the file has no line that is a JSON object: write one object a line, as `jq -c .` does")
        return list(keys)

    def _lines(self) -> Iterator[bytes]:
        self._spool.seek(0)
        blocks = iter(lambda: self._spool.read(BLOCK_BYTES), b"")
        for block in whole_lines(blocks):
            yield from block.splitlines()

    def _text(self, value: Any) -> str:
        if isinstance(value, _Number):
            return self._number(value)
        if isinstance(value, str):
            return value
        return "" if value is None else _written(value)

    def _number(self, written: str) -> str:
        if "e" in written or "E" in written:
            number = Decimal(written)
            if abs(number.adjusted()) <= _EXPONENT:
                written = format(number, "f")
        return written.replace(".", self._decimal)
