"""The ledger as the watcher compares it with the bucket, and the difference that it records."""

from datetime import datetime
from typing import NamedTuple

from loader.sql import Session, statements

_SQL = statements("watch")

Identity = tuple[str, str, int]  # key, ETag and size of a version


class Seen(NamedTuple):
    """A version with which the ledger has dealt, or will."""

    key: str
    etag: str
    size_bytes: int
    status: str


def seen(session: Session, bucket: str) -> list[Seen]:
    return session.all(Seen, _SQL["seen"], bucket=bucket)


def waiting_objects(session: Session, bucket: str) -> tuple[datetime, set[Identity]]:
    """PostgreSQL's time now, and the versions that wait to be loaded."""
    rows = session.execute(_SQL["waiting_objects"], bucket=bucket).all()
    return rows[0].looked_at, {(row.key, row.etag, row.size_bytes) for row in rows if row.key is not None}


def looked(session: Session, bucket: str, objects: int, looked_at: datetime) -> None:
    """`objects`: how many the ledger has nothing of."""
    session.execute(_SQL["looked"], bucket=bucket, objects=objects, looked_at=looked_at)
