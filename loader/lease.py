"""The turn of the dbt worker: a lease that its holder renews for as long as its loop shows life, and that else lapses.

Who takes over ends the sessions of the one before, so that their locks go, before it does anything. Whoever has lost
the lease publishes nothing: that is asked in the transaction that would, and before dbt gets a connection.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from uuid import uuid4

import structlog

from loader import metrics
from loader.errors import LoaderError, TransientError
from loader.warehouse import Session, Warehouse

log = structlog.get_logger()

_RENEWALS = 5  # in the time in which the lease would lapse
_RENEW_SECONDS = 10  # at most, so that what is told of the last sign of life is near the truth


class Lease:
    """The lease as this process would hold it; `session` is the one in which it publishes."""

    def __init__(self, warehouse: Warehouse, session: Session, lease_seconds: float) -> None:
        self._warehouse = warehouse
        self._session = session
        self._seconds = lease_seconds
        self._renewed = monotonic()
        self.holder = uuid4()

    @property
    def application_name(self) -> str:
        """What the sessions of this worker's dbt are called; `ops.end_dbt_of_others` knows them by it."""
        return f"dbt of {self.holder}"

    def take(self) -> bool:
        """Take the lease if it is free, or has lapsed; whether it is held now. Then nothing of the one before goes on.

        Raises TransientError when PostgreSQL goes away.
        """
        for each in self._session.execute("end_silent_worker").all():
            log.warning("worker_relieved", host=each.host, pid=each.pid, silent_seconds=int(each.silent_seconds))
        self._session.commit()
        mine = {"holder": self.holder, "host": socket.gethostname(), "lease_seconds": self._seconds}
        self._renewed = monotonic()
        taken = self._session.execute("take_lease", **mine).one_or_none()
        self._session.commit()
        if not taken:
            return False
        # Not before it is taken: what dbt opens from now on for another holder is refused by its `check`.
        self._session.execute("end_dbt_of_others", holder=self.holder)
        self._session.commit()
        return True

    def hold(self) -> None:
        """Keep it to the end of the session's transaction. Raises TransientError when another worker has it."""
        if not self._session.execute("hold_lease", holder=self.holder).one_or_none():
            raise self._lost()

    def check(self) -> None:
        """Raises TransientError when another worker has it."""
        if not self._warehouse.rows("hold_lease", holder=self.holder):
            raise self._lost()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew it meanwhile, from a thread and a connection of its own; give it back at an orderly end.

        When it is lost the process ends at once, whatever its other threads do: they may hang, or be deep in dbt.
        """
        done = Event()
        thread = Thread(target=self._renew_until, args=[done], name="lease", daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            done.set()  # what is locked goes with the session, after this, and the lease is free then
            raise
        done.set()
        thread.join()
        self._session.execute("return_lease", holder=self.holder)
        self._session.commit()

    def _renew_until(self, done: Event) -> None:
        while not done.wait(min(self._seconds / _RENEWALS, _RENEW_SECONDS)):
            held = monotonic() < self._renewed + self._seconds
            if not metrics.heartbeat.overdue:
                held = self._renew(otherwise=held)
            if not held:
                log.error("lease_lost", error=str(self._lost()), heartbeat_age_seconds=round(metrics.heartbeat.age))
                os._exit(1)

    def _renew(self, *, otherwise: bool) -> bool:
        """Whether it is held; `otherwise`: where PostgreSQL does not say."""
        asked = monotonic()
        try:
            with self._warehouse.session() as session:
                held = session.execute("renew_lease", holder=self.holder, lease_seconds=self._seconds).one_or_none()
                session.commit()
        except LoaderError as error:
            log.warning("lease_not_renewed", error=str(error))
            return otherwise
        if held:
            self._renewed = asked
        return held is not None

    def _lost(self) -> TransientError:
        return TransientError(
            f"this dbt worker gave no sign of life for LEASE_SECONDS={self._seconds:g} and has lost its lease: it "
            "ends, publishes nothing, and stands by when it is started again. `loader status` says which one has it now"
        )
