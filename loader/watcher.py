"""`loader watch`: announces every object of the bucket that the ledger has not seen.

It takes the difference of listing and ledger, and never a time watermark: no object is skipped for its age, and an
object whose message was lost is announced again. Where the server sends notifications itself, the watcher reconciles.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event

import structlog

from loader import metrics
from loader.broker import Publisher, ensure_topics
from loader.errors import TransientError
from loader.events import FileArrived
from loader.feeds import Feeds
from loader.ledger import State
from loader.object_store import ObjectStore, ObjectVersion
from loader.settings import Settings
from loader.sql import watch as sql
from loader.warehouse import Warehouse

log = structlog.get_logger()


def run(settings: Settings, stop: Event) -> None:
    """Look every `watch_seconds` until `stop` is set; trouble is logged and the next look tries again."""
    with closing(Watcher(settings)) as watcher:
        log.info("watcher_started", bucket=settings.s3_bucket, prefix=settings.s3_prefix)
        while not stop.is_set():
            try:
                watcher.look()
                metrics.LOOKS.labels("done").inc()
            except TransientError as error:
                metrics.LOOKS.labels("failed").inc()
                log.warning("look_failed", error=str(error))
            metrics.heartbeat.beat(silence=settings.watch_seconds)
            stop.wait(settings.watch_seconds)
    log.info("watcher_stopped")


class Watcher:
    """Remembers what it announced, so that a long queue is not announced at every look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._feeds = Feeds(settings.feeds_dir)
        self._store = ObjectStore(settings)
        self._warehouse = Warehouse(settings.database_url.get_secret_value())
        self._publisher = Publisher(settings)
        self._announced: dict[ObjectVersion, _Announced] = {}
        self._checked = False
        self._recorded_none = False

    def look(self) -> int:
        """Look once. Returns how many objects were announced. Raises TransientError."""
        if not self._checked:  # at the first look for which PostgreSQL answers
            self._warehouse.check()
            self._checked = True
        looked_at, waiting = self._warehouse.ask(sql.waiting_objects, self._settings.s3_bucket)
        unseen = self.unseen()
        metrics.UNSEEN.set(len(unseen))
        self._record(unseen, waiting, looked_at)
        now = time.monotonic()
        self._announced = {version: self._announced[version] for version in unseen if version in self._announced}
        due = [each for each in unseen if each not in self._announced or now >= self._announced[each].again_at]
        if not due:
            return 0
        self.announce(due)
        metrics.ANNOUNCED.inc(len(due))
        for version in due:
            earlier = self._announced.get(version)
            seconds = earlier.seconds * 2 if earlier else self._settings.watch_again_seconds
            self._announced[version] = _Announced(seconds, now + seconds)
        log.info("files_announced", files=len(due), unseen=len(unseen))
        return len(due)

    def _record(self, unseen: list[ObjectVersion], waiting: set[sql.Identity], looked_at: datetime) -> None:
        """Record how many of these objects the ledger does not know, if that changes anything."""
        objects = sum((each.key, each.etag, each.size) not in waiting for each in unseen)
        if not objects and self._recorded_none:
            return
        with self._warehouse.session() as session:
            sql.looked(session, self._settings.s3_bucket, objects, looked_at)
            session.commit()
        self._recorded_none = not objects

    def announce(self, versions: list[ObjectVersion]) -> None:
        """Put them on the topic. Raises TransientError."""
        ensure_topics(self._settings)
        self._publisher.announce([_arrival(version) for version in versions])

    def close(self) -> None:
        self._store.close()
        self._warehouse.close()

    def listing(self) -> Iterator[ObjectVersion]:
        """Every object of the bucket under S3_PREFIX."""
        for version in self._store.list(self._settings.s3_bucket, self._settings.s3_prefix):
            metrics.heartbeat.beat()  # a large bucket takes minutes
            yield version

    def unseen(self, listing: Iterable[ObjectVersion] | None = None) -> list[ObjectVersion]:
        """Objects of the listing (default: a new one) whose current version the ledger has not dealt with."""
        bucket = self._settings.s3_bucket
        seen = {
            (each.key, each.etag, each.size_bytes)
            for each in self._warehouse.ask(sql.seen, bucket)
            # A feed may have been added since for a key that no feed knew.
            if each.status != State.IGNORED or not self._feeds.for_key(each.key)
        }
        listed = self.listing() if listing is None else listing
        return [version for version in listed if (version.key, version.etag, version.size) not in seen]


@dataclass(frozen=True)
class _Announced:
    seconds: float  # to wait before it is announced again; doubles each time
    again_at: float


def _arrival(version: ObjectVersion) -> FileArrived:
    return FileArrived(version.bucket, version.key, version.modified_at.astimezone(UTC))
