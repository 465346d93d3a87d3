"""PostgreSQL: one engine, the sessions with it, and the migrations of its schema.

The statements are in `loader/sql`, the transaction of a load in `loader/landing.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import Connection as DriverConnection
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from loader.errors import SettingsError
from loader.sql import Session
from loader.sql.session import revision, revision_is_readable
from loader.sqlstates import database_errors

P = ParamSpec("P")
T = TypeVar("T")

_KEEPALIVES = "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"


class Warehouse:
    """One engine. Every method raises TransientError when PostgreSQL does not answer, gives up a session or takes no
    writes, and SettingsError when a table or a right is missing.

    `patience_seconds` limits each connection attempt and each statement, for callers that cannot use a late answer.
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

        A revision that this loader does not know is newer than the loader, as at the beginning of a rollout.
        """
        with database_errors(), self._engine.connect() as connection:
            if not sa.inspect(connection).has_table("files", schema="raw"):
                raise SettingsError("the database of DATABASE_URL has no tables yet: run `loader migrate`")
            session = Session(connection)
            readable = revision_is_readable(session)
            found = revision(session) if readable else "0006 or older"
        newest, *older = ScriptDirectory.from_config(_migrations()).walk_revisions()
        if not readable or found in [each.revision for each in older]:
            raise SettingsError(
                f"the database of DATABASE_URL is of revision {found}, and this loader needs {newest.revision}: "
                "run `loader migrate`"
            )

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A connection of its own. Whatever is not committed when it ends is undone."""
        with database_errors(), self._engine.connect() as connection:
            try:
                yield Session(connection)
            except (sa.exc.DBAPIError, psycopg.Error):
                connection.invalidate()  # the next attempt connects anew: the address may lead to another server by now
                raise

    def ask(self, question: Callable[Concatenate[Session, P], T], /, *arguments: P.args, **parameters: P.kwargs) -> T:
        """The answer of a function of `loader/sql`, in a session of its own that changes nothing."""
        with self.session() as session:
            return question(session, *arguments, **parameters)

    def listen(self, channel: str) -> "Listener":
        with database_errors():
            return Listener(self._engine, channel)

    def close(self) -> None:
        self._engine.dispose()


class Listener:
    """A connection that waits for a NOTIFY on one channel."""

    def __init__(self, engine: sa.Engine, channel: str) -> None:
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._driver: DriverConnection[Any] = self._connection.connection.driver_connection  # type: ignore[assignment]
        self._driver.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))

    def wait(self, seconds: float) -> bool:
        """Whether somebody notified before the time was over."""
        with database_errors():
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
    with database_errors(), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return str(connection.execute(sa.text("select version_num from alembic_version")).scalar_one())


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(str(files("loader"))) / "migrations"))
    return config


def _psycopg(database_url: str) -> URL:
    return make_url(database_url).set(drivername="postgresql+psycopg")
