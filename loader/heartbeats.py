"""Signs of life in PostgreSQL (`raw.heartbeats`): `ops.problems` knows by them which processes are up."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread
from typing import Literal

import structlog

from loader import metrics
from loader.errors import LoaderError
from loader.settings import Settings
from loader.sql import Session
from loader.sql import metrics as sql
from loader.warehouse import Warehouse

log = structlog.get_logger()

Process = Literal["loader", "watcher", "dbt worker"]

_SECONDS = 5  # `ops.problems` misses a process after 30
_PATIENCE_SECONDS = 3


@contextmanager
def told(settings: Settings, process: Process) -> Iterator[None]:
    """While the context lasts, say every few seconds that the loop of this process is alive; take it back at the end.

    A process that dies leaves what it said last, which tells since when it has been missing.
    """
    instance = f"{socket.gethostname()}:{os.getpid()}"
    stop = Event()
    with closing(Warehouse(settings.database_url.get_secret_value(), _PATIENCE_SECONDS)) as warehouse:
        thread = Thread(target=_beat, args=[warehouse, process, instance, stop], name="heartbeats", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        _tell(warehouse, sql.end_heartbeat, process, instance)


def _beat(warehouse: Warehouse, process: str, instance: str, stop: Event) -> None:
    while not stop.is_set():
        if not metrics.heartbeat.overdue:
            _tell(warehouse, sql.beat, process, instance)
        stop.wait(_SECONDS)


def _tell(warehouse: Warehouse, what: Callable[[Session, str, str], None], process: str, instance: str) -> None:
    try:
        with warehouse.session() as session:
            what(session, process, instance)
            session.commit()
    except LoaderError as error:  # the loop meets the same trouble, and deals with it
        log.debug("heartbeat_not_told", error=str(error))
