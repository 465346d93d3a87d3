"""Patches of dbt and of its driver, psycopg2, for a process that runs dbt again and again."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import psycopg2.extensions
from dbt_common.behavior_flags import BehaviorFlagRendered

# Hours may pass between two arrivals: no firewall may forget the connection, and dbt must not wait for a dead one.
_KEEPALIVES = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}


@contextmanager
def patched() -> Iterator[None]:
    """Both patches, for as long as the context lasts."""
    with plain_flags(), kept_connections():
        yield


@contextmanager
def plain_flags() -> Iterator[None]:
    """Behaviour flags do not look for the module that asks.

    At the start of every run dbt walks through the call stack for each flag, to name a module in a warning: 0.12 s.
    """
    look = BehaviorFlagRendered._default_source  # noqa: SLF001
    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")  # type: ignore[method-assign]  # noqa: SLF001
    try:
        yield
    finally:
        BehaviorFlagRendered._default_source = staticmethod(look)  # type: ignore[method-assign]  # noqa: SLF001


@contextmanager
def kept_connections() -> Iterator[None]:
    """A connection that is closed is the one that is opened next with the same arguments, within a run and after it.

    dbt has no pool. Each of some twenty connections of a run costs both sides a sign-in, and PostgreSQL a process that
    maps the pages of large indexes anew: see docs/benchmarks.md.
    """
    connect = psycopg2.connect
    idle: dict[Hashable, list[_Kept]] = {}

    def connect_again(*arguments: Any, **options: Any) -> _Kept:
        own = idle.setdefault((arguments, tuple(sorted(options.items()))), [])
        with suppress(IndexError):  # none is left; another thread may take the last one at any moment
            while True:
                kept = own.pop()
                with suppress(psycopg2.Error):  # it has been cut off since
                    kept.reset()
                    return kept
        fresh: _Kept = connect(*arguments, connection_factory=_Kept, **(_KEEPALIVES | options))
        fresh.idle = own
        return fresh

    psycopg2.connect = connect_again
    try:
        yield
    finally:
        psycopg2.connect = connect
        for own in idle.values():
            for kept in own:
                kept.end()


class _Kept(psycopg2.extensions.connection):  # type: ignore[misc]  # dbt's driver, which brings no types
    idle: "list[_Kept]"

    def close(self) -> None:
        try:
            self.rollback()
        except psycopg2.Error:
            self.end()
        else:
            self.idle.append(self)

    def end(self) -> None:
        super().close()
