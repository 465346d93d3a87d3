"""PostgreSQL: the ledger, the one transaction that loads a file, and the rebuild queue. The only home of SQL.

The statements are in sql/warehouse.sql, by name.
"""

import csv
import json
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, LiteralString, Self

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import Connection as DriverConnection
from psycopg import sql
from sqlalchemy.engine import URL, Connection, make_url

from loader.decoding import Decoded
from loader.errors import InvalidFile, LoaderError, SettingsError, TransientError
from loader.feeds import Feed
from loader.header import Drift
from loader.ledger import Entry, State
from loader.object_store import ObjectVersion
from loader.profile import Profile
from loader.validation import Counts, Rejected, Verdict, warning_of

log = structlog.get_logger()

_KEEPALIVES = "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
_LOCK_WAIT_SECONDS = 3  # before a waiter looks whether the holder is alive
_NO_ROW = ("the sheet has no rows", "its only row was not loaded")  # where it has none, or one
_SPOOL_BYTES = 16 * 1024 * 1024
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_REJECTED = ("file_id", "row_number", "source_line", "raw_text", "errors", "revenue_at_risk")


def _read_statements() -> dict[str, sa.TextClause]:
    parts = re.split(r"^-- name: (\w+)\n", (files("loader") / "sql" / "warehouse.sql").read_text(), flags=re.MULTILINE)
    return {name: sa.text(body) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


_STATEMENTS = _read_statements()


class Warehouse:
    """One engine. Every method raises TransientError when PostgreSQL does not answer, gives up a session or takes no
    writes, and SettingsError when a table or a right is missing.

    `patience_seconds`: for each connection and each statement, where an answer is of no use later.
    """

    def __init__(self, database_url: str, patience_seconds: int | None = None) -> None:
        # A session holds locks: the server must notice within half a minute that its host or network is gone.
        arguments: dict[str, Any] = {"options": _KEEPALIVES}
        if patience_seconds:
            arguments["options"] += f" -c statement_timeout={patience_seconds}s"
            arguments |= {"connect_timeout": patience_seconds, "tcp_user_timeout": patience_seconds * 1000}
        self._engine = sa.create_engine(
            _psycopg(database_url),
            pool_pre_ping=True,
            hide_parameters=True,  # cells of a sheet do not belong in a traceback
            connect_args=arguments,
        )

    def check(self) -> None:
        """Raises SettingsError when the database is not migrated so far, TransientError when it does not answer.

        A revision that this loader does not know is newer than it, with which a rollout begins.
        """
        with _database_errors(), self._engine.connect() as connection:
            if not sa.inspect(connection).has_table("files", schema="raw"):
                raise SettingsError("the database of DATABASE_URL has no tables yet: run `loader migrate`")
            session = Session(connection)
            readable = session.execute("revision_is_readable").scalar_one()  # since 0007
            revision = session.execute("revision").scalar_one_or_none() if readable else "0006 or older"
        newest, *older = ScriptDirectory.from_config(_migrations()).walk_revisions()
        if not readable or revision in [each.revision for each in older]:
            raise SettingsError(
                f"the database of DATABASE_URL is of revision {revision}, and this loader needs {newest.revision}: "
                "run `loader migrate`"
            )

    @contextmanager
    def session(self) -> Iterator["Session"]:
        """A connection of its own; what it did and has not committed is undone when it ends."""
        with _database_errors(), self._engine.connect() as connection:
            try:
                yield Session(connection)
            except (sa.exc.DBAPIError, psycopg.Error):
                connection.invalidate()  # the next attempt connects anew: the address may lead to another server by now
                raise

    def rows(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        """The result of a named query."""
        with self.session() as session:
            return [dict(row) for row in session.execute(statement, **parameters).mappings()]

    def listen(self, channel: str) -> "Listener":
        with _database_errors():
            return Listener(self._engine, channel)

    def close(self) -> None:
        self._engine.dispose()


class Session:
    """A connection, and the steps of a load in the order in which they happen."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, **parameters: Any) -> sa.CursorResult[Any]:
        return self._connection.execute(_STATEMENTS[statement], parameters)

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    @contextmanager
    def file_lock(self, bucket: str, key: str, lease_seconds: float) -> Iterator[None]:
        """Nobody else loads this object meanwhile. Waits for a loader that does, as long as it shows life.

        A holder that PostgreSQL has had nothing of for `lease_seconds` loses its session, and the lock with it.
        """
        while not self._lock(bucket, key, min(_LOCK_WAIT_SECONDS, lease_seconds)):
            ended = self.execute("end_stalled_holder", bucket=bucket, key=key, lease_seconds=lease_seconds)
            for each in ended.all():
                if each.ended is None:
                    remedy = f"an administrator ends it: select pg_terminate_backend({each.pid})"
                    log.warning("lock_of_another_login", key=key, login=each.login, pid=each.pid, remedy=remedy)
                else:
                    log.warning("lease_taken_over", key=key, pid=each.pid, idle_seconds=int(each.idle_seconds))
            self.commit()
        try:
            yield
        finally:
            if not self._connection.invalidated:
                self._connection.rollback()
                self.execute("unlock_file", bucket=bucket, key=key)
                self.commit()

    def _lock(self, bucket: str, key: str, seconds: float) -> bool:
        self.execute("limit_lock_wait", milliseconds=str(round(seconds * 1000)))
        try:
            self.execute("lock_file", bucket=bucket, key=key)
        except sa.exc.OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise
            self.rollback()
            return False
        self.commit()
        return True

    def discover(self, version: ObjectVersion, event_at: datetime, dialect: str | None) -> Entry:
        row = self.execute(
            "discover",
            bucket=version.bucket,
            key=version.key,
            version_id=version.version_id,
            etag=version.etag,
            size=version.size,
            event_at=event_at,
            dialect=dialect,
        ).one()
        return Entry(row.file_id, State(row.status))

    def other_version_counts(self, version: ObjectVersion, file_id: int) -> bool:
        where = {"bucket": version.bucket, "key": version.key, "file_id": file_id}
        return bool(self.execute("current_versions", **where).all())

    def land(self, file_id: int, feed: Feed, verdict: Verdict) -> None:
        """Copy the accepted rows into a file that is loaded. Raises InvalidFile when PostgreSQL refuses one."""
        driver: DriverConnection[Any] = self._connection.connection.driver_connection  # type: ignore[assignment]
        _copy_rows(driver, feed, _encoded(file_id, verdict))

    def put_together(self, file_id: int) -> "Moved":
        """Make lines of order items and order headers that this file has brought, or taken away, for each other.

        Its ledger entry says which feeds belong together. Nobody else does so with them meanwhile: see `Pipeline.lock`.
        """
        undated = set(self.execute("undate_items", file_id=file_id).scalars())
        return Moved(undated, set(self.execute("date_items", file_id=file_id).scalars()))

    def load(self, version: ObjectVersion, file_id: int, feed: Feed) -> "Load":
        """Begin the transaction of this file; nothing of it is seen by anybody before `commit`."""
        return Load(self, self._connection, version, file_id, feed)


class Load:
    """The transaction of one file: lines and rejected rows, then either `finish_*`, then the session's `commit`."""

    def __init__(
        self, session: Session, connection: Connection, version: ObjectVersion, file_id: int, feed: Feed
    ) -> None:
        self._session = session
        self._version = version
        self._file_id = file_id
        self._feed = feed
        self._driver: DriverConnection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        self._dates: set[date] = set()
        self._spool = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, "w+", encoding="utf-8", newline="")  # noqa: SIM115
        self.counts = Counts()
        self.drift: Drift | None = None
        self.error: str | None = None  # why the file is rejected
        self.warning: str | None = None  # what is odd about it though it counts
        self._described: dict[str, Any] = {}
        self._profile = Profile(feed)
        session.execute("clear_rejected_rows", file_id=file_id)
        # Dates to be rebuilt, whatever becomes of the lines that are copied from here on.
        self._changed: set[date] = set(session.execute("remove_lines", file_id=file_id).scalars())
        self._savepoint = connection.begin_nested()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    def describe(self, text: Decoded, header: list[str]) -> None:
        """How the file was read, for the ledger."""
        self._described = {
            "compression": text.compression,
            "encoding": text.encoding,
            "encoding_guessed": text.encoding_guessed,
            "header": header,
        }

    def encoded(self, verdict: Verdict) -> "Encoded":
        """What `add` sends; made apart from it, so that it can be made while PostgreSQL takes the batch before."""
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
            _copy_rows(self._driver, self._feed, batch)

    def finish_loaded(self, sha256: str | None) -> State:
        """Make this the version that counts, or record that it is the same as one that does. Returns the status.

        By a feed with `reupload: append` it counts beside the earlier ones. By one with `shrink: reject` it is rejected
        where it would leave nothing; otherwise that is its `warning`.
        """
        where = {"bucket": self._version.bucket, "key": self._version.key, "file_id": self._file_id}
        earlier = self._session.execute("current_versions", **where).all()
        if any(each.sha256 == sha256 for each in earlier):
            self._savepoint.rollback()
            self.counts = Counts()
            self._finish(State.UNCHANGED, sha256, None)
            return State.UNCHANGED
        removed = set(self._changed)
        for each in earlier if self._feed.reupload != "append" else ():
            removed |= set(self._session.execute("remove_lines", file_id=each.file_id).scalars())
        self._session.execute("supersede", **where, reupload=self._feed.reupload)
        # Other sheets may have items of orders that an earlier version had, also where its key has another feed by now.
        for file_id in [self._file_id] if self._feed.pair else [each.file_id for each in earlier]:
            moved = self._session.put_together(file_id)
            removed |= moved.undated
            self._dates |= moved.dated
        shrunk = self._shrunk(removed - self._dates)
        if shrunk and self._feed.shrink == "reject":
            return self.finish_rejected(f"{shrunk} (shrink: reject)", sha256)
        self.warning = "; ".join(filter(None, (shrunk, warning_of(self.counts, self.drift)))) or None
        self._copy_rejected()
        self._changed = removed | self._dates
        self._finish(State.LOADED, sha256, None)
        self._session.execute("notify_queue")
        return State.LOADED

    def _shrunk(self, lost: Collection[date]) -> str | None:
        """What the file leaves less of than there was, or than a sheet has. `lost`: dates that only other lines had."""
        emptied = self._session.execute("emptied_dates", dates=sorted(lost)).scalars().all()
        if emptied:
            listed = ", ".join(map(str, emptied[:3])) + ", …" * (len(emptied) > 3)
            return f"no sale is left of {listed}, which had some by the version before"
        if self.counts.loaded:
            return None
        return f"none of its {self.counts.read} rows was loaded" if self.counts.read > 1 else _NO_ROW[self.counts.read]

    def finish_rejected(self, error: str, sha256: str | None) -> State:
        """Undo the lines, keep the report. Rows that had no fault count as skipped. Returns the status."""
        self.error = error
        self._savepoint.rollback()
        self.counts.skip(self.counts.loaded, "file rejected")
        self.counts.loaded = 0
        self._copy_rejected()
        self._finish(State.REJECTED, sha256, error)
        return State.REJECTED

    def _copy_rejected(self) -> None:
        self._spool.seek(0)
        if self.counts.rejected:
            blocks = iter(lambda: self._spool.read(1 << 20), "")
            _copy(self._driver, "rejected_rows", _REJECTED, blocks, "format csv")

    def _finish(self, status: State, sha256: str | None, error: str | None) -> None:
        if self._described:
            drift = json.dumps(asdict(self.drift)) if self.drift else None
            profile = str(self._profile)
            self._session.execute("describe", file_id=self._file_id, drift=drift, profile=profile, **self._described)
        self._session.execute("enqueue_dates", dates=sorted(self._changed), file_id=self._file_id)
        self._session.execute(
            "finish",
            file_id=self._file_id,
            status=status,
            error=error,
            sha256=sha256,
            rows_read=self.counts.read,
            rows_loaded=self.counts.loaded,
            rows_rejected=self.counts.rejected,
            rows_skipped=self.counts.skipped,
            skipped=json.dumps(self.counts.skipped_as),
            reupload=self._feed.reupload,
            warning=self.warning,
        )


@dataclass(frozen=True)
class Moved:
    """Dates from which lines went, and dates to which lines came."""

    undated: set[date]
    dated: set[date]


@dataclass(frozen=True)
class Encoded:
    """A verdict, and its accepted rows as COPY reads them, in place of their cells."""

    verdict: Verdict
    columns: tuple[str, ...]
    lines: pa.Buffer


class Listener:
    """A connection that waits for a NOTIFY on one channel."""

    def __init__(self, engine: sa.Engine, channel: str) -> None:
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._driver: DriverConnection[Any] = self._connection.connection.driver_connection  # type: ignore[assignment]
        self._driver.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))

    def wait(self, seconds: float) -> bool:
        """True when somebody notified, False when the time is over."""
        with _database_errors():
            return any(True for _ in self._driver.notifies(timeout=seconds, stop_after=1))

    def close(self) -> None:
        self._connection.invalidate()  # a pooled connection would go on listening
        self._connection.close()


def migrate(admin_database_url: str) -> str:
    """Bring the schema to the newest revision; repeatable. Returns that revision.

    Raises TransientError when PostgreSQL does not answer.
    """
    config = _migrations()
    engine = sa.create_engine(_psycopg(admin_database_url), poolclass=sa.NullPool)
    with _database_errors(), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return str(connection.execute(sa.text("select version_num from alembic_version")).scalar_one())


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(str(files("loader"))) / "migrations"))
    return config


def _psycopg(database_url: str) -> URL:
    return make_url(database_url).set(drivername="postgresql+psycopg")


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
    statement = sql.SQL("copy raw.{} ({}) from stdin ({})").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(form)
    )
    try:
        with driver.cursor().copy(statement) as copy:
            for block in blocks:
                copy.write(block)
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded) as error:
        raise InvalidFile(f"PostgreSQL refused rows that validation let through: {_without_cells(error)}") from None


def _encoded(file_id: int, verdict: Verdict) -> Encoded:
    columns = ("file_id", *verdict.accepted.column_names)
    lines = _as_copy_text(file_id, verdict)
    # The cells are in the lines now: several batches wait for PostgreSQL, each once in memory.
    return Encoded(replace(verdict, accepted=verdict.accepted.select(["row_number"])), columns, lines)


def _as_copy_text(file_id: int, verdict: Verdict) -> pa.Buffer:
    """COPY's text format, a null being nothing: no canonical text is empty.

    A third faster for both sides than its CSV, where every cell has to be quoted. Arrow lays the texts of a column end
    to end, so the lines joined are one buffer, ready to be sent.
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
    """What COPY would read as the end of a cell or of a row, or as an escape. Few columns have any of it."""
    data = texts.buffers()[2]
    found = data.to_pybytes() if data else b""
    for character, escaped in _ESCAPES:
        if character.encode() in found:
            texts = pc.replace_substring(texts, character, escaped)
    return texts


def _rejected_cells(file_id: int, row: Rejected) -> tuple[object, ...]:
    errors = json.dumps(row.errors).replace("\\u0000", "\\u2400")  # PostgreSQL's text has no NUL
    return file_id, row.row_number, row.source_line, row.raw_text, errors, row.revenue_at_risk


@dataclass(frozen=True)
class _Meaning:
    """What the loop does about it, and what is said, where {} is what PostgreSQL said."""

    kind: type[LoaderError]
    text: str


_UNREACHED = _Meaning(TransientError, "PostgreSQL did not do its part (check DATABASE_URL): {}")
_AGAIN = _Meaning(TransientError, "PostgreSQL did not do its part, and a running process tries again: {}")
_LOST = _Meaning(
    TransientError,
    "the session with PostgreSQL was lost, and a running process tries again: {}. An administrator ended it, or one "
    "who waited for its lock, or the server was restarted",
)
_READ_ONLY = _Meaning(
    TransientError,
    "PostgreSQL takes no writes, and a running process tries again until it does: {}. It is a stand-by, or was set to "
    "read only",
)
_NOT_MIGRATED = _Meaning(
    SettingsError,
    "the database of DATABASE_URL is not as the migrations leave it: {}. Check which login the URL names, and run "
    "`loader migrate` with ADMIN_DATABASE_URL, which repeats all grants",
)

# What an SQLSTATE means, by its longest beginning that stands here. One that has none here is a defect of ours, and
# crashes the process; what COPY refuses of a file, 22, 23 and 54, is the file's fault: see `_copy`.
# Classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_MEANINGS = {
    "08": _LOST,  # connection exception
    "25006": _READ_ONLY,  # after a failover
    "25P03": _LOST,  # idle in a transaction for too long
    "25P04": _AGAIN,  # the transaction took too long
    "28": _UNREACHED,  # the login is refused
    "3D": _UNREACHED,  # there is no such database
    "3F": _NOT_MIGRATED,  # there is no such schema
    "40": _AGAIN,  # a deadlock, or another conflict of transactions
    "42501": _NOT_MIGRATED,  # no right to it
    "42703": _NOT_MIGRATED,  # there is no such column,
    "42704": _NOT_MIGRATED,  # type or constraint,
    "42883": _NOT_MIGRATED,  # function,
    "42P01": _NOT_MIGRATED,  # table
    "53": _AGAIN,  # the disk or the memory is full, or there are too many connections
    "55": _AGAIN,  # something is locked, or in use, or not ready yet
    "57": _LOST,  # the session was ended, or the server is starting or going down
    "57014": _AGAIN,  # the statement was cancelled, or took too long
    "58": _AGAIN,  # an error of the server's system
    "XX": _AGAIN,  # an internal error, such as damaged data: other files may be spared
}


@contextmanager
def _database_errors() -> Iterator[None]:
    """Raise what PostgreSQL says as what the loop does about it; what has no meaning here is raised as it is."""
    try:
        yield
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        if not (meaning := _meaning(error)):
            raise
        raise meaning.kind(meaning.text.format(_without_cells(_of_driver(error)))) from None


def _meaning(error: sa.exc.DBAPIError | psycopg.Error) -> _Meaning | None:
    reason = _of_driver(error)
    state = reason.sqlstate if isinstance(reason, psycopg.Error) else None
    if state:
        return next((_MEANINGS[state[:length]] for length in (5, 2) if state[:length] in _MEANINGS), None)
    if not isinstance(reason, (psycopg.OperationalError, psycopg.InterfaceError)):
        return None
    # The driver itself says so. Where SQLAlchemy had no connection yet, none was to be had.
    had_one = not isinstance(error, sa.exc.DBAPIError) or error.connection_invalidated
    return _LOST if had_one else _UNREACHED


def _of_driver(error: sa.exc.DBAPIError | psycopg.Error) -> BaseException | None:
    return error.orig if isinstance(error, sa.exc.DBAPIError) else error


def _without_cells(error: BaseException | None) -> str:
    """What PostgreSQL said, without the cells of a sheet: DETAIL and CONTEXT quote them, and so do data exceptions.

    Classes of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    if not isinstance(error, psycopg.Error) or not (primary := error.diag.message_primary):
        return next(iter(str(error).splitlines()), "")
    if (error.sqlstate or "").startswith("22"):
        primary = primary.partition(":")[0]
    constraint = f", constraint {error.diag.constraint_name}" if error.diag.constraint_name else ""
    return f"{primary} (SQLSTATE {error.sqlstate}{constraint})"
