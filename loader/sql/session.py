"""Questions of every session: is the schema migrated, and may this session have an object to itself?"""

from typing import NamedTuple

from loader.sql import Session, statements

_SQL = statements("session")


class Holder(NamedTuple):
    """A session that holds a lock and is stalled, or belongs to another login.

    `ended`: whether PostgreSQL ended it; None where it is of another login, which this one may not end.
    """

    pid: int
    login: str
    idle_seconds: float
    ended: bool | None


def revision_is_readable(session: Session) -> bool:
    """Whether this login may ask for the revision: it may since 0007."""
    return bool(session.execute(_SQL["revision_is_readable"]).scalar_one())


def revision(session: Session) -> str | None:
    """The newest migration that has run."""
    return session.execute(_SQL["revision"]).scalar_one_or_none()


def limit_lock_wait(session: Session, seconds: float) -> None:
    session.execute(_SQL["limit_lock_wait"], milliseconds=str(round(seconds * 1000)))


def lock_file(session: Session, bucket: str, key: str) -> None:
    """Wait for the lock of this object. Raises sqlalchemy's OperationalError when the limit of the wait is over."""
    session.execute(_SQL["lock_file"], bucket=bucket, key=key)


def end_stalled_holder(session: Session, bucket: str, key: str, lease_seconds: float) -> list[Holder]:
    """End the session that holds the lock, if PostgreSQL has heard nothing of it for `lease_seconds`."""
    where = {"bucket": bucket, "key": key, "lease_seconds": lease_seconds}
    return session.all(Holder, _SQL["end_stalled_holder"], **where)


def unlock_file(session: Session, bucket: str, key: str) -> None:
    session.execute(_SQL["unlock_file"], bucket=bucket, key=key)
