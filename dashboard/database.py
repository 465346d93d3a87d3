"""The database: who reads and writes as which role, the statements of `sql/`, and its faults in words.

A query reads as a viewer, whoever looks. What only some may see takes the `reader` to read as, `access.reader()` of the
session: PostgreSQL refuses it to others.
"""

from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg.errors
from sqlalchemy import ClauseElement, Engine, Executable, TextClause, create_engine, make_url, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from dashboard.access import VIEWER
from dashboard.settings import settings

SQL = Path(__file__).parent / "sql"
CONNECT_SECONDS = 3
WRITER = "dashboard_writer"
# Each time, as a connection of the pool still has the role and the person that it was used for last. PostgreSQL shows a
# view of somebody's own to that person alone; the person is empty where nobody asks for theirs.
TAKE_ROLE = text("select set_config('role', :role, :local), set_config('dashboard.person', :person, :local)")
_WRITTEN = [0]


class Problem(Enum):
    """Why figures cannot be read, in words for those who read figures."""

    DOWN = "The database does not answer."
    NOT_BUILT = "The figures are not calculated yet."
    DENIED = "The dashboard may not read the figures."
    SLOW = "The database took too long to answer."


class Unavailable(Exception):
    """A read failed for a reason that the page can explain; the driver's own error is its cause."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


def read(name: str, /, *, person: str | None = None, **parameters: object) -> list[dict[str, Any]]:
    """The answer of a statement of `sql/` now, past the cache; raises Unavailable.

    `person`: who asks, `Rights.person`, where the answer holds what is theirs alone.
    """
    rows, columns = run(statement(name), parameters, person=person)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def write(name: str, /, *, person: str | None = None, **parameters: object) -> list[dict[str, Any]]:
    """Carry out a statement of `sql/` that changes what the dashboard itself keeps, and return its rows.

    The login reads only; this is the one transaction that does not, in a role that may change nothing else, and of what
    is somebody's own only that of `person`. Raises Unavailable, and sqlalchemy.exc.IntegrityError where a constraint
    forbids it.
    """
    try:
        with (
            engine().connect() as connection,
            connection.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False).begin(),
        ):
            connection.execute(TAKE_ROLE, {"role": WRITER, "person": person or "", "local": True})
            result = connection.execute(statement(name), parameters)
            rows = [dict(row) for row in result.mappings()] if result.returns_rows else []
    except DBAPIError as error:
        raise Unavailable(problem_of(error)) from error
    _WRITTEN[0] += 1  # who has written sees it at once, and not when the notification has come back
    return rows


def written() -> int:
    """How many changes this process has made: after each, the state is read anew."""
    return _WRITTEN[0]


def frame(name: str, reader: str = VIEWER, /, **parameters: object) -> pd.DataFrame:
    """The answer of a statement of `sql/`, read as this role; raises Unavailable."""
    rows, columns = _read(name, reader, parameters)
    return pd.DataFrame(rows, columns=columns)


def rows(name: str, reader: str = VIEWER, /, **parameters: object) -> list[dict[str, Any]]:
    """As `frame`, a dictionary for each row."""
    rows, columns = _read(name, reader, parameters)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _read(name: str, reader: str, parameters: dict[str, object]) -> tuple[list[tuple[Any, ...]], list[str]]:
    return run(statement(name), parameters, reader)


def run(
    statement: Executable,
    parameters: dict[str, object] | None = None,
    reader: str = VIEWER,
    person: str | None = None,
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The rows of a statement and the names of its columns, read as this role; raises Unavailable."""
    try:
        with engine().connect() as connection:
            connection.execute(TAKE_ROLE, {"role": reader, "person": person or "", "local": False})
            result = connection.execute(statement, parameters)
            return [tuple(row) for row in result], list(result.keys())
    except DBAPIError as error:
        raise Unavailable(problem_of(error)) from error


def problem_of(error: DBAPIError) -> Problem:
    """The problem that an error of the driver stands for; raises the error where it is a fault of ours."""
    match error.orig:
        case psycopg.errors.UndefinedTable() | psycopg.errors.InvalidSchemaName() | psycopg.errors.UndefinedColumn():
            return Problem.NOT_BUILT
        case psycopg.errors.InvalidParameterValue():  # no role of that name
            return Problem.NOT_BUILT
        case psycopg.errors.InsufficientPrivilege():
            return Problem.DENIED
        case psycopg.errors.QueryCanceled():
            return Problem.SLOW
        case psycopg.OperationalError():
            return Problem.DOWN
        case _:
            raise error


def engine() -> Engine:
    """Connections that read, each statement in a transaction of its own."""
    return _engine_of(settings().database_url.get_secret_value())


@lru_cache  # not Streamlit's: alerts are judged outside of any session
def _engine_of(database_url: str) -> Engine:
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    # Autocommit: an open read transaction would make dbt wait when it swaps a table.
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "dashboard"},
    )


@lru_cache
def statement(name: str) -> TextClause:
    """A statement of `sql/`."""
    return text((SQL / name).with_suffix(".sql").read_text(encoding="utf-8"))


def statement_sql(name: str, /, **parameters: object) -> str:
    """A statement of `sql/`, as `sales_sql` gives that of `sales`."""
    return written_out(statement(name).bindparams(**parameters))


def written_out(statement: ClauseElement) -> str:
    """A statement as text, its values written out, for people to read and to run again."""
    # Named parameters, so that a `%` stands for itself; strings as PostgreSQL reads them, where a backslash does too.
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    dialect._backslash_escapes = False  # noqa: SLF001 -- otherwise found out from a server
    return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
