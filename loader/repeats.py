"""Rows that repeat an earlier row of their file, which a feed may have skipped or rejected."""

import sqlite3
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow.compute as pc

from loader.columns import Decided, Mask, column_as_seen

if TYPE_CHECKING:
    from loader.feeds import Feed
    from loader.reader import Batch


class Repeats:
    """Knows every row that one file has had until now, by what the feed says makes two rows the same."""

    def __init__(self, feed: "Feed", marked: set[int]) -> None:
        """`marked`: positions of the columns whose cells may carry the mark of a text."""
        self._key = feed.unique_key if feed.duplicates == "key" else ()
        self._marked = marked
        self._seen = _Seen()

    def of(self, batch: "Batch", fields: Mapping[str, Decided], accepted: Mask) -> Iterator["Repeat"]:
        """The accepted rows that repeat an earlier one, in order."""
        seen = (column_as_seen(column, unmark=at in self._marked) for at, column in enumerate(batch.columns))
        contents = pc.binary_join_element_wise(*seen, "\x1f").to_pylist()
        keys = contents
        if self._key:
            parts = (pc.fill_null(fields[name].canonical, "") for name in self._key)
            keys = pc.binary_join_element_wise(*parts, "\x1f").to_pylist()
        for index in np.flatnonzero(accepted).tolist():
            earlier = self._seen.line_of(keys[index], contents[index], int(batch.source_lines[index]))
            if earlier and earlier.same:
                yield Repeat(index, None)
            elif earlier:
                key = ", ".join(self._key)
                yield Repeat(index, f"Line {earlier.line} has the same {key}, and other cells")


class Repeat(NamedTuple):
    """`problem`: what is wrong with a row that has the key of an earlier one and other cells; None: it is the same."""

    row: int  # position in the batch
    problem: str | None


class _Earlier(NamedTuple):
    line: int
    same: bool  # the same cells, not only the same key


class _Seen:
    """The keys of a file's rows, in a temporary database: a file may have more of them than memory."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._rows.execute("pragma journal_mode = off")
        self._rows.execute("begin")
        self._rows.execute("create table seen (key blob primary key, content blob, line integer) without rowid")

    def line_of(self, key: str, content: str, line: int) -> _Earlier | None:
        """The earlier row with this key, or None, and then this one is the first."""
        digests = [blake2b(text.encode(), digest_size=16).digest() for text in (key, content)]
        added = self._rows.execute("insert or ignore into seen values (?, ?, ?)", (*digests, line))
        if added.rowcount:
            return None
        found = self._rows.execute("select content, line from seen where key = ?", digests[:1]).fetchone()
        return _Earlier(found[1], found[0] == digests[1])
