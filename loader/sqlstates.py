"""The meaning of PostgreSQL's errors for a loop: try again, or say that the settings are wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa

from loader.errors import LoaderError, SettingsError, TransientError


@dataclass(frozen=True)
class _Meaning:
    """The error to raise, and its text, in which {} stands for the words of PostgreSQL."""

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

# The meaning of an SQLSTATE, by its longest beginning in this table. A state that is not here is a defect of ours and
# crashes the process. Classes 22, 23 and 54 are the fault of a file whose rows COPY refuses: see loader/landing.py.
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
def database_errors() -> Iterator[None]:
    """Raise PostgreSQL's errors as those that the loop knows. An error without a meaning here is raised as it is."""
    try:
        yield
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        if not (meaning := _meaning(error)):
            raise
        raise meaning.kind(meaning.text.format(without_cells(_of_driver(error)))) from None


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


def without_cells(error: BaseException | None) -> str:
    """The words of PostgreSQL without the cells of a sheet: DETAIL and CONTEXT quote them, and so do data exceptions.

    Classes of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    if not isinstance(error, psycopg.Error) or not (primary := error.diag.message_primary):
        return next(iter(str(error).splitlines()), "")
    if (error.sqlstate or "").startswith("22"):
        primary = primary.partition(":")[0]
    constraint = f", constraint {error.diag.constraint_name}" if error.diag.constraint_name else ""
    return f"{primary} (SQLSTATE {error.sqlstate}{constraint})"
