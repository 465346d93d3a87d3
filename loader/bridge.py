"""`loader bridge`: carries the notifications of AWS S3, which never speaks to Kafka, from an SQS queue to the topic.

Bodies go over unchanged, readable or not: the loader recognises their dialect, and dead-letters what has none.
A message is deleted only when the broker has it, so it comes at least once; the ledger makes that exactly once.
"""

from contextlib import closing, suppress
from threading import Event

import structlog
from tenacity import RetryError, stop_when_event_set

from loader import metrics
from loader.broker import Publisher, ensure_topics
from loader.errors import InvalidEvent, SettingsError
from loader.events import parse
from loader.retries import retrying
from loader.settings import Settings
from loader.sqs import Queue, Queued

log = structlog.get_logger()


def run(settings: Settings, stop: Event) -> None:
    """Carry messages over until `stop` is set; those in hand are finished first.

    After trouble it tries again, with longer and longer pauses and the same messages in hand: to receive others in
    between would only count against their `maxReceiveCount`. Raises SettingsError where no queue is named.
    """
    if not settings.sqs_queue_url:
        raise SettingsError("settings: SQS_QUEUE_URL: required by `loader bridge`: the queue that the bucket notifies")
    patiently = retrying(settings, stop).copy(stop=stop_when_event_set(stop), reraise=False)
    with closing(Queue(settings, settings.sqs_queue_url)) as queue:
        log.info("bridge_started", queue=settings.sqs_queue_url, topic=settings.kafka_topic)
        carrier = Carrier(settings)
        with suppress(RetryError):  # stopped in trouble: SQS delivers again what is not deleted
            while not stop.is_set():
                metrics.heartbeat.beat()
                if messages := patiently(queue.receive):
                    patiently(carrier.forward, messages)
                    patiently(queue.delete, messages)
                    metrics.FORWARDED.inc(len(messages))
                    log.info("notifications_forwarded", messages=len(messages))
    log.info("bridge_stopped")


class Carrier:
    """Remembers whether the last messages arrived: after trouble, it makes sure first that the topics exist."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher = Publisher(settings)
        self._in_doubt = True

    def forward(self, messages: list[Queued]) -> None:
        """Put them on the topic. Raises TransientError; some of them may be there then, and come a second time."""
        if self._in_doubt:
            ensure_topics(self._settings)
        self._in_doubt = True
        self._publisher.forward([(_key(each.body), each.body.encode()) for each in messages])
        self._in_doubt = False


def _key(body: str) -> str | None:
    """The object's key, as the watcher's announcements have it; None where there is none to be read."""
    try:
        return next((event.key for event in parse(body.encode())), None)
    except InvalidEvent:
        return None
