"""`loader run`: messages from the topic, files into the warehouse, and only then the offset."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from enum import Enum, auto
from threading import Event
from typing import TypeVar

import structlog
from confluent_kafka import Message

from loader import failpoints, metrics
from loader.broker import Publisher, Subscription, ensure_topics
from loader.errors import InvalidEvent, TransientError
from loader.events import FileArrived, FileRemoved, parse
from loader.ledger import State
from loader.pipeline import Outcome, Pipeline
from loader.retries import retrying
from loader.settings import Settings

log = structlog.get_logger()

_POLL_SECONDS = 0.5
_MESSAGES_AT_A_TIME = 100

T = TypeVar("T")


def run(settings: Settings, stop: Event) -> None:
    """Consume until `stop` is set, and finish the file in hand first.

    Raises TransientError when PostgreSQL or the broker stays away: the offset stays uncommitted for a restart.
    """
    with Pipeline(settings) as pipeline, ThreadPoolExecutor(max_workers=1, thread_name_prefix="load") as executor:
        retrying(settings, stop)(pipeline.check)
        retrying(settings, stop)(ensure_topics, settings)
        metrics.expect(each.feed for each in pipeline.feeds.all)
        worker = Worker(settings, pipeline, Publisher(settings), stop)
        with closing(Subscription(settings, metrics.show_lag if settings.metrics_port else None)) as subscription:

            def in_thread(work: Callable[..., T], *arguments: object) -> T:
                """The result of `work`. The group and the health check hear of this process while it takes its time."""
                done = executor.submit(work, *arguments)
                if not wait([done], _POLL_SECONDS).done:
                    with subscription.paused() as stay:
                        while not wait([done], _POLL_SECONDS).done:
                            stay()
                            metrics.heartbeat.beat()
                return done.result()

            log.info("loader_started", topic=settings.kafka_topic, group=settings.kafka_group)
            while not stop.is_set():
                metrics.heartbeat.beat()
                messages = subscription.take(_MESSAGES_AT_A_TIME, _POLL_SECONDS)
                needless = in_thread(worker.needless, messages) if messages else set()
                gone: set[int | None] = set()
                for message in messages:
                    metrics.heartbeat.beat()
                    # Another replica processes a partition that has gone to it. If it comes back, it comes with the
                    # first of these messages, which the offset of a later one must not pass over.
                    if stop.is_set() or message.partition() in gone or not subscription.holds(message):
                        gone.add(message.partition())
                        continue
                    failpoints.reach("received")
                    match in_thread(worker.work, message, needless):
                        case Progress.WORKED:
                            subscription.commit(message)
                            failpoints.reach("offset")
                        case Progress.PASSED:
                            subscription.commit_later(message)
    log.info("loader_stopped")


class Progress(Enum):
    """How far a message was processed, which decides about its offset."""

    STOPPED = auto()  # not to its end
    PASSED = auto()  # there was nothing to do
    WORKED = auto()


class Worker:
    """Processes messages, in the thread that loads."""

    def __init__(self, settings: Settings, pipeline: Pipeline, publisher: Publisher, stop: Event) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._publisher = publisher
        self._stop = stop

    def needless(self, messages: Sequence[Message]) -> set[FileArrived | FileRemoved]:
        """Events of these messages that need no work. None if S3 or PostgreSQL fails: `work` deals with that."""
        events: list[FileArrived | FileRemoved] = []
        for message in messages:
            with suppress(InvalidEvent):
                events += parse(message.value() or b"")
        try:
            return self._pipeline.needless([each for each in events if each.bucket == self._settings.s3_bucket])
        except TransientError:
            return set()

    def work(self, message: Message, needless: Collection[FileArrived | FileRemoved] = ()) -> Progress:
        """Process every event that the message announces, except the needless ones."""
        try:
            events = parse(message.value() or b"")
        except InvalidEvent as error:
            log.warning("message_dead_lettered", offset=message.offset(), error=str(error))
            self._dead_letter(message, error, attempts=1)
            return Progress.WORKED
        progress = Progress.PASSED
        for event in events:
            match self._pass(event) if event in needless else self._work(event, message):
                case Progress.STOPPED:
                    return Progress.STOPPED
                case Progress.WORKED:
                    progress = Progress.WORKED
        return progress

    def _pass(self, event: FileArrived | FileRemoved) -> Progress:
        if isinstance(event, FileArrived):
            metrics.FILES.labels("", State.SOURCE_GONE).inc()
            log_outcome(Outcome(State.SOURCE_GONE, event.key, error="there is no such object"), event.dialect)
        else:
            log.info("object_removed", key=event.key, files=[], dialect=event.dialect)
        return Progress.PASSED

    def _work(self, event: FileArrived | FileRemoved, message: Message) -> Progress:
        if event.bucket != self._settings.s3_bucket:
            metrics.FOREIGN.inc()
            log.info("event_ignored", bucket=event.bucket, key=event.key, dialect=event.dialect)
            return Progress.PASSED
        attempts = retrying(self._settings, self._stop)
        try:
            if isinstance(event, FileArrived):
                outcome = attempts(metrics.measured(self._pipeline.load_file), event)
                log_outcome(outcome, event.dialect)
                return Progress.PASSED if outcome.file_id is None else Progress.WORKED
            marked = attempts(self._pipeline.remove_file, event)
            log.info("object_removed", key=event.key, files=[each.file_id for each in marked], dialect=event.dialect)
            return Progress.WORKED if marked else Progress.PASSED
        except TransientError as error:
            if self._stop.is_set():
                return Progress.STOPPED
            self._pipeline.give_up(event.bucket, event.key, error)
            log.error("file_failed", bucket=event.bucket, key=event.key, dialect=event.dialect, error=str(error))
            metrics.FAILED.inc()
            self._dead_letter(message, error, attempts.statistics["attempt_number"])
            return Progress.WORKED

    def _dead_letter(self, message: Message, error: Exception, attempts: int) -> None:
        try:
            self._publisher.dead_letter(message, error, attempts)
        except TransientError:  # a broker that has lost its topics may have forgotten this one too
            ensure_topics(self._settings)
            self._publisher.dead_letter(message, error, attempts)
        metrics.DEAD_LETTERS.labels(type(error).__name__).inc()


def log_outcome(outcome: Outcome, dialect: str | None) -> None:
    details: dict[str, object] = dict(vars(outcome.counts)) if outcome.counts else {}
    details |= {name: said for name in ("error", "warning") if (said := getattr(outcome, name))}
    event = "file_duplicate" if outcome.duplicate else f"file_{outcome.status}"
    report = log.warning if outcome.error or outcome.warning else log.info
    report(event, file_id=outcome.file_id, key=outcome.key, dialect=dialect, **details)
