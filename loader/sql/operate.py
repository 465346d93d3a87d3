"""Questions that a person asks about the ledger, and changes that a person makes to versions and rows."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from loader.ledger import State
from loader.sql import Session, statements

_SQL = statements("operate")


def files(
    session: Session,
    *,
    status: str | None = None,
    key: str | None = None,
    feed: str | None = None,
    since: datetime | None = None,
    file_id: int | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """At most `limit` versions, newest first, each as `loader files --json` prints it. `key` is a LIKE pattern."""
    chosen = {"status": status, "key": key, "feed": feed, "since": since, "file_id": file_id, "limit": limit}
    return session.all(dict, _SQL["files"], **chosen)


def rejects(
    session: Session,
    *,
    file_id: int | None,
    key: str | None,
    field: str | None,
    message: str | None,
    since: datetime | None,
    limit: int,
) -> list[dict[str, Any]]:
    """At most `limit` rejected rows, each as `loader rejects --json` prints it. `key` and `message` are patterns."""
    chosen = {"file_id": file_id, "key": key, "field": field, "message": message, "since": since, "limit": limit}
    return session.all(dict, _SQL["rejects"], **chosen)


def status(session: Session) -> dict[str, Any]:
    """Where everything stands, as `loader status --json` prints it."""
    return dict(session.execute(_SQL["status"]).mappings().one())


class Version(NamedTuple):
    """A version that a person speaks of; `corrected`: how many of its rejected rows were corrected by hand."""

    file_id: int
    bucket: str
    key: str
    status: str
    corrected: int


def versions(
    session: Session,
    *,
    file_ids: Sequence[int] | None = None,
    states: Collection[State] | None = None,
    key: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Version]:
    """The versions that fit all that is given, in the order in which they were first seen."""
    chosen = {
        "file_ids": list(file_ids) if file_ids is not None else None,
        "states": sorted(states) if states is not None else None,
        "key": key,
        "since": since,
        "until": until,
    }
    return session.all(Version, _SQL["versions"], **chosen)


class Described(NamedTuple):
    """A version, and what its rows are by the contract that it was loaded by."""

    bucket: str
    key: str
    feed: str
    kind: str
    order_headers: str | None
    header: list[str] | None
    status: str


def ledger_entry(session: Session, file_id: int) -> Described | None:
    return next(iter(session.all(Described, _SQL["ledger_entry"], file_id=file_id)), None)


def skip(session: Session, file_id: int, reason: str) -> bool:
    """Whether the version could be set aside."""
    return session.execute(_SQL["skip"], file_id=file_id, reason=reason).one_or_none() is not None


def withdraw(session: Session, file_id: int, reason: str) -> bool:
    """Whether the version counted until now. Its rows are still there."""
    return session.execute(_SQL["withdraw"], file_id=file_id, reason=reason).one_or_none() is not None


class Counting(NamedTuple):
    """A version whose rows count."""

    file_id: int
    key: str
    etag: str
    size_bytes: int
    rows_loaded: int


def counting(session: Session, bucket: str, prefix: str) -> list[Counting]:
    return session.all(Counting, _SQL["counting"], bucket=bucket, prefix=prefix)


class ToExport(NamedTuple):
    """A rejected row, with the header of its sheet."""

    file_id: int
    key: str
    feed: str
    header: list[str] | None
    row_number: int
    source_line: int
    raw_text: str
    errors: list[dict[str, Any]]


def rejects_to_export(session: Session, file_ids: Sequence[int], key: str | None) -> list[ToExport]:
    """The rejected rows of these versions; where none is named, of all that count. `key` is a LIKE pattern."""
    return session.all(ToExport, _SQL["rejects_to_export"], file_ids=list(file_ids) or None, key=key)


class Correctable(NamedTuple):
    """A row that a person has corrected; `replayed`: it was landed before."""

    row_number: int
    source_line: int
    replayed: bool


def correctable(session: Session, file_id: int, row_numbers: Collection[int]) -> list[Correctable]:
    return session.all(Correctable, _SQL["correctable"], file_id=file_id, row_numbers=list(row_numbers))


def mark_replayed(session: Session, file_id: int, texts: Mapping[int, str]) -> None:
    """`texts`: the corrected text of each row number."""
    session.execute(_SQL["mark_replayed"], file_id=file_id, row_numbers=list(texts.keys()), texts=list(texts.values()))


def still_rejected(session: Session, file_id: int, row_numbers: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """The faults of those of the corrected rows that their orders contradict: they count as rejected, as before."""
    rows = session.execute(_SQL["still_rejected"], file_id=file_id, row_numbers=list(row_numbers))
    return {row.row_number: row.errors for row in rows}


def count_replayed(session: Session, file_id: int, rows: int, *, is_awaited: bool) -> None:
    """`is_awaited`: dates of the version wait to be rebuilt, so it is not modelled until they are."""
    session.execute(_SQL["count_replayed"], file_id=file_id, rows=rows, is_awaited=is_awaited)
