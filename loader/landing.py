"""The one transaction of a file: COPY of its rows, the report of its bad ones, its ledger entry, dates to rebuild."""

import csv
import json
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, LiteralString, Self

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection as DriverConnection
from psycopg.sql import SQL, Identifier

from loader.decoding import Decoded
from loader.errors import InvalidFile
from loader.feeds import Feed
from loader.header import Drift
from loader.ledger import State
from loader.object_store import ObjectVersion
from loader.profile import Profile
from loader.rejects import Rejected
from loader.sql import Session
from loader.sql import load as sql
from loader.sqlstates import without_cells
from loader.verdict import Counts, Verdict, warning_of

_NO_ROW = ("the sheet has no rows", "its only row was not loaded")  # where it has none, or one
_SPOOL_BYTES = 16 * 1024 * 1024
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_REJECTED = ("file_id", "row_number", "source_line", "raw_text", "errors", "revenue_at_risk")


class Load:
    """The transaction of one file: lines and rejected rows, then either `finish_*`, then the session's `commit`."""

    def __init__(self, session: Session, version: ObjectVersion, file_id: int, feed: Feed) -> None:
        """Begin it; nothing of it is seen by anybody before the session's `commit`."""
        self._session = session
        self._version = version
        self._file_id = file_id
        self._feed = feed
        self._dates: set[date] = set()
        self._spool = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, "w+", encoding="utf-8", newline="")  # noqa: SIM115
        self.counts = Counts()
        self.drift: Drift | None = None
        self.error: str | None = None  # why the file is rejected
        self.warning: str | None = None  # a file that counts may still be odd
        self._described: tuple[Decoded, list[str]] | None = None
        self._profile = Profile(feed)
        sql.clear_rejected_rows(session, file_id)
        removed = sql.remove_lines(session, file_id)
        # Dates to be rebuilt, whatever becomes of the lines that are copied from here on.
        self._changed = removed.dates
        self._orders = removed.orders  # feeds of orders that came or went
        self._savepoint = session.savepoint()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    def describe(self, text: Decoded, header: list[str]) -> None:
        """Keep how the file was read, for the ledger."""
        self._described = text, header

    def encoded(self, verdict: Verdict) -> "Encoded":
        """The batch as `add` sends it. It is made apart, so that PostgreSQL can take the batch before meanwhile."""
        self._profile.add(verdict.accepted)
        return _encoded(self._file_id, verdict)

    def add(self, batch: "Encoded") -> None:
        """Copy the accepted lines. Rejected rows wait for `finish_*`: a connection copies into one table at a time."""
        verdict = batch.verdict
        self.counts.add(verdict)
        self._dates |= verdict.dates
        rows = csv.writer(self._spool)
        for each in verdict.rejected:
            rows.writerow(_rejected_cells(self._file_id, each))
        if verdict.accepted.num_rows:
            _copy_rows(self._session.driver, self._feed, batch)

    def finish_loaded(self, sha256: str | None) -> State:
        """Make this the version that counts, or record that it is the same as one that does. Returns the status.

        If its feed has `reupload: append`, it counts beside the earlier ones. If it would leave nothing, that is its
        `warning`, or with `shrink: reject` the reason to reject it.
        """
        session = self._session
        earlier = sql.current_versions(session, self._version, self._file_id)
        if any(each.sha256 == sha256 for each in earlier):
            self._savepoint.rollback()
            self.counts = Counts()
            self._finish(State.UNCHANGED, sha256, None)
            return State.UNCHANGED
        removed = set(self._changed)
        # Other sheets may have items of orders of an earlier version, even if its key belongs to another feed by now.
        orders = self._orders | ({self._feed.feed} if self._feed.kind == "order_headers" else set())
        for each in earlier if self._feed.reupload != "append" else ():
            gone = sql.remove_lines(session, each.file_id)
            removed |= gone.dates
            orders |= gone.orders
        sql.supersede(session, self._version, self._file_id, self._feed.reupload)
        contradicted = 0
        if self._feed.pair or orders:
            moved = sql.put_together(session, self._file_id, orders)
            removed |= moved.undated
            self._dates |= moved.dated
            contradicted = moved.rejected
            self.counts.reject(contradicted)
        shrunk = self._shrunk(removed - self._dates)
        if shrunk and self._feed.shrink == "reject":
            self.counts.reject(-contradicted)  # the report of those goes with the savepoint
            return self.finish_rejected(f"{shrunk} (shrink: reject)", sha256)
        self.warning = "; ".join(filter(None, (shrunk, warning_of(self.counts, self.drift)))) or None
        self._copy_rejected()
        self._changed = removed | self._dates
        self._finish(State.LOADED, sha256, None)
        sql.notify_queue(session)
        return State.LOADED

    def _shrunk(self, lost: Collection[date]) -> str | None:
        """A sentence if the file leaves a date without sales, or has none. `lost`: dates that only old lines had."""
        emptied = sql.emptied_dates(self._session, lost)
        if emptied:
            listed = ", ".join(map(str, emptied[:3])) + ", …" * (len(emptied) > 3)
            return f"no sale is left of {listed}, which had some by the version before"
        if self.counts.loaded:
            return None
        return f"none of its {self.counts.read} rows was loaded" if self.counts.read > 1 else _NO_ROW[self.counts.read]

    def finish_rejected(self, error: str, sha256: str | None) -> State:
        """Undo the lines and keep the report. Rows without a fault count as skipped. Returns the status."""
        self.error = error
        self._savepoint.rollback()
        self.counts.reject_file()
        self._copy_rejected()
        self._finish(State.REJECTED, sha256, error)
        return State.REJECTED

    def _copy_rejected(self) -> None:
        self._spool.seek(0)
        if self.counts.rejected:
            blocks = iter(lambda: self._spool.read(1 << 20), "")
            _copy(self._session.driver, "rejected_rows", _REJECTED, blocks, "format csv")

    def _finish(self, status: State, sha256: str | None, error: str | None) -> None:
        if self._described:
            sql.describe(self._session, self._file_id, *self._described, drift=self.drift, profile=self._profile)
        sql.enqueue_dates(self._session, self._file_id, self._changed)
        ending = sql.Ending(status, self.counts, sha256, error, self.warning)
        sql.finish(self._session, self._file_id, self._feed.reupload, ending)


@dataclass(frozen=True)
class Encoded:
    """A verdict, and its accepted rows as COPY reads them, in place of their cells."""

    verdict: Verdict
    columns: tuple[str, ...]
    lines: pa.Buffer


def land(session: Session, file_id: int, feed: Feed, verdict: Verdict) -> None:
    """Copy the accepted rows into a file that is loaded. Raises InvalidFile when PostgreSQL refuses one."""
    _copy_rows(session.driver, feed, _encoded(file_id, verdict))


def _copy_rows(driver: DriverConnection[Any], feed: Feed, batch: Encoded) -> None:
    table = "order_headers" if feed.kind == "order_headers" else "sales_items" if feed.pair else "sales_lines"
    _copy(driver, table, batch.columns, iter([batch.lines]), "format text, null ''")


def _copy(
    driver: DriverConnection[Any],
    table: str,
    columns: tuple[str, ...],
    blocks: Iterator[str] | Iterator[pa.Buffer],
    form: LiteralString,
) -> None:
    """Raises InvalidFile when PostgreSQL refuses a row: a data exception, a constraint, a limit (22, 23, 54)."""
    statement = SQL("copy raw.{} ({}) from stdin ({})").format(
        Identifier(table), SQL(", ").join(map(Identifier, columns)), SQL(form)
    )
    try:
        with driver.cursor().copy(statement) as copy:
            for block in blocks:
                copy.write(block)
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded) as error:
        raise InvalidFile(f"PostgreSQL refused rows that validation let through: {without_cells(error)}") from None


def _encoded(file_id: int, verdict: Verdict) -> Encoded:
    columns = ("file_id", *verdict.accepted.column_names)
    lines = _as_copy_text(file_id, verdict)
    # The cells are in the lines now: several batches wait for PostgreSQL, each once in memory.
    return Encoded(replace(verdict, accepted=verdict.accepted.select(["row_number"])), columns, lines)


def _as_copy_text(file_id: int, verdict: Verdict) -> pa.Buffer:
    """The rows in COPY's text format, in which nothing stands for null: no canonical text is empty.

    It is a third faster for both sides than CSV, where every cell has to be quoted. Arrow stores the texts of a column
    end to end, so the joined lines are one buffer, ready to be sent.
    https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
    """
    table = verdict.accepted
    columns = []
    for column in table.columns:
        texts = column.combine_chunks()
        if not pa.types.is_string(texts.type):
            texts = pc.cast(texts, pa.string())
        columns.append(_escaped(texts))
    # Each line begins with the line end of the one before; the first one's is cut off.
    lines = pc.binary_join_element_wise(f"\n{file_id}", *columns, "\t", null_handling="replace", null_replacement="")
    return lines.buffers()[2].slice(1)


def _escaped(texts: pa.Array) -> pa.Array:
    """The texts with an escape wherever COPY would read the end of a cell or row, or an escape. Few columns need it."""
    data = texts.buffers()[2]
    found = data.to_pybytes() if data else b""
    for character, escaped in _ESCAPES:
        if character.encode() in found:
            texts = pc.replace_substring(texts, character, escaped)
    return texts


def _rejected_cells(file_id: int, row: Rejected) -> tuple[object, ...]:
    errors = json.dumps(row.errors).replace("\\u0000", "\\u2400")  # PostgreSQL's text has no NUL
    return file_id, row.row_number, row.source_line, row.raw_text, errors, row.revenue_at_risk
