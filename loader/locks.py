"""One loader at a time for each object, by a lock of PostgreSQL that a dead loader gives back."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
import structlog

from loader.sql import Session
from loader.sql import session as sql

log = structlog.get_logger()

_WAIT_SECONDS = 3  # before a waiter looks whether the holder is alive


@contextmanager
def file_lock(session: Session, bucket: str, key: str, lease_seconds: float) -> Iterator[None]:
    """Nobody else loads this object meanwhile. Waits for a loader that does, as long as it shows life.

    A holder that PostgreSQL has had nothing of for `lease_seconds` loses its session, and the lock with it.
    """
    while not _lock(session, bucket, key, min(_WAIT_SECONDS, lease_seconds)):
        for each in sql.end_stalled_holder(session, bucket, key, lease_seconds):
            if each.ended is None:
                remedy = f"an administrator ends it: select pg_terminate_backend({each.pid})"
                log.warning("lock_of_another_login", key=key, login=each.login, pid=each.pid, remedy=remedy)
            else:
                log.warning("lease_taken_over", key=key, pid=each.pid, idle_seconds=int(each.idle_seconds))
        session.commit()
    try:
        yield
    finally:
        if not session.lost:
            session.rollback()
            sql.unlock_file(session, bucket, key)
            session.commit()


def _lock(session: Session, bucket: str, key: str, seconds: float) -> bool:
    sql.limit_lock_wait(session, seconds)
    try:
        sql.lock_file(session, bucket, key)
    except sa.exc.OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise
        session.rollback()
        return False
    session.commit()
    return True
