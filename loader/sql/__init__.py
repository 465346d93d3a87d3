"""Every statement of the loader: a file of SQL for each story, and beside it a module of typed functions that run them.

`load.sql` has the statements of a load, and `load.py` a function for each: what it needs, and what it gives. No other
module of the loader has SQL, except the COPY of `loader/landing.py`, whose columns are those of the feed.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, TypeVar

import sqlalchemy as sa
from psycopg import Connection as DriverConnection
from sqlalchemy.engine import Connection, NestedTransaction

T = TypeVar("T")


def statements(story: str) -> Mapping[str, sa.TextClause]:
    """The statements of a file, by the names that stand above them."""
    text = (files(__name__) / f"{story}.sql").read_text()
    _, *parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {name: sa.text(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


class Session:
    """A connection with PostgreSQL in a transaction: `Warehouse.session` opens one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: sa.TextClause, **parameters: Any) -> sa.CursorResult[Any]:
        """Run a statement. Only the functions of this package call this; everybody else calls them."""
        return self._connection.execute(statement, parameters)

    def all(self, kind: type[T], statement: sa.TextClause, **parameters: Any) -> list[T]:
        """The rows of a query, each as what `kind` makes of its columns, by their names."""
        return [kind(**row) for row in self.execute(statement, **parameters).mappings()]

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def savepoint(self) -> NestedTransaction:
        """A point to which the transaction can be rolled back without losing what came before."""
        return self._connection.begin_nested()

    @property
    def driver(self) -> DriverConnection[Any]:
        """The connection as psycopg has it, for COPY."""
        return self._connection.connection.driver_connection  # type: ignore[return-value]  # of the dialect that we use

    @property
    def lost(self) -> bool:
        """Whether the connection was given up, and its locks with it."""
        return self._connection.invalidated
