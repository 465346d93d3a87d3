"""Kafka: the topic of arrivals and the dead-letter topic. Only this module uses confluent_kafka.

Kafka is the trigger and S3 the truth: all messages may be lost, and the watcher announces again what is missing.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from time import monotonic
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from loader.errors import InvalidEvent, SettingsError, TransientError
from loader.events import FileArrived, encode
from loader.settings import Settings

log = structlog.get_logger()

_DELIVERY_SECONDS = 10
_LEAVE_SECONDS = 10
_POLL_EVERY_SECONDS = 5
# With its headers, a letter stays below the million bytes that brokers take by default.
_LETTER_BYTES = 900_000
_STATISTICS_SECONDS = 5
_CHECK = "Check KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL and the KAFKA_SASL_* and KAFKA_SSL_* settings"


def ensure_topics(settings: Settings) -> None:
    """Create the two topics where they are missing: a broker may start empty, and not create topics by itself.

    Raises TransientError when the broker does not answer.
    """
    aside: list[KafkaError] = []
    with _settings_errors():
        admin = AdminClient(_connection(settings) | {"error_cb": aside.append})
    topics = [
        NewTopic(settings.kafka_topic, num_partitions=settings.kafka_partitions),
        NewTopic(settings.kafka_dead_letter_topic, num_partitions=1),
    ]
    try:
        there = admin.list_topics(timeout=_DELIVERY_SECONDS).topics
        missing = [topic for topic in topics if topic.topic not in there]
        for created in admin.create_topics(missing).values() if missing else ():
            created.result(_DELIVERY_SECONDS)
    except TimeoutError as error:  # it has gone silent since it listed its topics
        raise TransientError(
            f"Kafka at {settings.kafka_bootstrap_servers} made no topic within {_DELIVERY_SECONDS} s. {_CHECK}"
        ) from error
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            admin.poll(0)  # calls error_cb: only it hears of a refused connection, certificate or login
            reason = next((each.str() for each in aside if each.code() != KafkaError._ALL_BROKERS_DOWN), error)  # noqa: SLF001
            raise TransientError(
                f"Kafka at {settings.kafka_bootstrap_servers} did not answer: {reason}. {_CHECK}"
            ) from error


class Publisher:
    """Puts messages on the two topics, and returns when the broker has them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with _settings_errors():
            self._producer = Producer(
                _connection(settings) | {"acks": "all", "delivery.timeout.ms": _DELIVERY_SECONDS * 1000}
            )
        self._failed: list[KafkaError] = []

    def announce(self, arrivals: list[FileArrived]) -> None:
        """Raises TransientError when one of them was not delivered."""
        for arrival in arrivals:
            self._produce(self._settings.kafka_topic, arrival.key.encode(), encode(arrival), {})
        self._flush()

    def forward(self, messages: list[tuple[str | None, bytes]]) -> None:
        """Put keys and values on the topic of arrivals as they are. Of a huge one, the beginning is dead-lettered.

        Raises TransientError when one of them was not delivered.
        """
        for key, value in messages:
            if len(value) > _LETTER_BYTES:
                headers = {"reason": InvalidEvent.__name__, "error": "too large for the topic", "attempts": "1"}
                self._letter(key, value, headers)
            else:
                self._produce(self._settings.kafka_topic, key, value, {})
        self._flush()

    def dead_letter(self, message: Message, error: Exception, attempts: int) -> None:
        """Keep a message that cannot be processed, with the reason in its headers; only the beginning of a huge one.

        Raises TransientError when it was not delivered.
        """
        headers = {
            "reason": type(error).__name__,
            "error": str(error)[:10_000],
            "attempts": str(attempts),
            "topic": str(message.topic()),
            "partition": str(message.partition()),
            "offset": str(message.offset()),
        }
        self._letter(message.key(), message.value() or b"", headers)
        self._flush()

    def _letter(self, key: bytes | str | None, value: bytes, headers: dict[str, str]) -> None:
        if len(value) > _LETTER_BYTES:
            headers["bytes"] = str(len(value))
        self._produce(self._settings.kafka_dead_letter_topic, key, value[:_LETTER_BYTES], headers)

    def _produce(self, topic: str, key: bytes | str | None, value: bytes | str, headers: Mapping[str, str]) -> None:
        encoded: dict[str, str | bytes | None] = {name: text.encode() for name, text in headers.items()}
        while True:
            try:
                return self._producer.produce(topic, value, key, headers=encoded, on_delivery=self._done)
            except BufferError:  # librdkafka's queue is full: let it deliver some
                self._producer.poll(_DELIVERY_SECONDS)
            except KafkaException as error:  # such as a topic that the broker has lost
                raise self._refused(error.args[0]) from error

    def _done(self, error: KafkaError | None, _: Message) -> None:
        if error:
            self._failed.append(error)

    def _flush(self) -> None:
        undelivered = self._producer.flush(_DELIVERY_SECONDS + 1)
        failed, self._failed = self._failed, []
        if undelivered or failed:
            reason = failed[0] if failed else f"{undelivered} messages undelivered"
            raise self._refused(reason)

    def _refused(self, reason: object) -> TransientError:
        return TransientError(f"Kafka at {self._settings.kafka_bootstrap_servers} took no message: {reason}. {_CHECK}")


class Subscription:
    """This process's share of the topic. Offsets are committed after the work, by `commit` or `commit_later` alone.

    `on_lag` is told every few seconds how far the group is behind, by partition of this share.
    """

    def __init__(self, settings: Settings, on_lag: Callable[[dict[int, int]], None] | None = None) -> None:
        self._topic = settings.kafka_topic
        self._on_lag = on_lag
        self._last_error = ""
        self._polled_at = monotonic()
        told = {"statistics.interval.ms": _STATISTICS_SECONDS * 1000, "stats_cb": self._tell_lag} if on_lag else {}
        with _settings_errors():
            self._consumer = Consumer(
                _connection(settings)
                | {
                    "group.id": settings.kafka_group,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "earliest",
                    "error_cb": self._hear,
                }
                | _membership(settings)
                | told
            )
        self._consumer.subscribe([settings.kafka_topic])

    def take(self, count: int, seconds: float) -> list[Message]:
        """At most `count` messages that have arrived; none when the first did not come in time."""
        messages: list[Message] = []
        while len(messages) < count and (message := self._next(0 if messages else seconds)) is not None:
            messages.append(message)
        return messages

    def holds(self, message: Message) -> bool:
        """Whether the message's partition is still in this process's share.

        Messages that were taken together may take long, so the group hears of this process between them.
        """
        if monotonic() - self._polled_at > _POLL_EVERY_SECONDS:
            with self.paused() as stay:
                stay()
        return _position(message).partition in {each.partition for each in self._consumer.assignment()}

    def _next(self, seconds: float) -> Message | None:
        """A message, or None when none came in time. Broker trouble is logged; librdkafka keeps trying."""
        message = self._consumer.poll(seconds)
        self._polled_at = monotonic()
        if message is None or not (error := message.error()):
            return message
        log.warning("broker_trouble", error=str(error))
        return None

    def _hear(self, error: KafkaError) -> None:
        """Log why no broker can be reached, and not each of the many attempts to."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            log.warning("broker_trouble", error=f"{error.str()}: {self._last_error}")
        self._last_error = error.str()

    @contextmanager
    def paused(self) -> Iterator[Callable[[], None]]:
        """Take no further message for now. Call the result again and again, or the group takes this member for dead."""
        self._paused: list[TopicPartition] = []
        self._pause()
        yield self._stay
        with self._broker_errors():
            # Those too that have gone meanwhile: one that comes back would still be paused, and nobody would know.
            self._consumer.resume(self._paused + self._consumer.assignment())

    def _pause(self) -> None:
        with self._broker_errors():
            share = self._consumer.assignment()
            self._paused += share
            self._consumer.pause(share)

    def _stay(self) -> None:
        if (message := self._next(0)) is not None:  # of a partition that was assigned meanwhile: give it back
            with self._broker_errors():
                self._consumer.seek(_position(message))
            self._pause()

    @contextmanager
    def _broker_errors(self) -> Iterator[None]:
        """Raise TransientError for what librdkafka cannot do now, such as going back in a partition that is gone."""
        try:
            yield
        except KafkaException as error:
            raise TransientError(f"Kafka took the topic {self._topic} away: {error.args[0]}. {_CHECK}") from error

    def commit(self, message: Message) -> None:
        """The message is done. If its partition has gone to another replica, that one sees it again: harmless."""
        try:
            position = _position(message)
            position.offset += 1
            self._consumer.commit(offsets=[position], asynchronous=False)
        except KafkaException as error:
            log.warning("offset_not_committed", offset=message.offset(), error=str(error))

    def commit_later(self, message: Message) -> None:
        """The message came to nothing: its offset goes to the broker with others, every few seconds and at the end.

        Waiting for the broker after each would take longer than everything else. What is not committed comes again.
        """
        try:
            position = _position(message)
            position.offset += 1
            self._consumer.store_offsets(offsets=[position])
        except KafkaException as error:
            log.warning("offset_not_committed", offset=message.offset(), error=str(error))

    def close(self) -> None:
        """Leave the group, if the broker answers in time; else the group finds out by itself."""
        # librdkafka waits for the broker without end, for one that hangs or has forgotten the group.
        leaving = Thread(target=self._consumer.close, name="leave", daemon=True)
        leaving.start()
        leaving.join(_LEAVE_SECONDS)
        if leaving.is_alive():
            log.warning("group_not_left", seconds=_LEAVE_SECONDS)

    def _tell_lag(self, statistics: str) -> None:
        """Fields: https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md."""
        partitions = json.loads(statistics)["topics"].get(self._topic, {}).get("partitions", {})
        share = {each.partition for each in self._consumer.assignment()}
        lag = {}
        for each in (each for each in partitions.values() if each["partition"] in share):
            # A group that has committed nothing begins with the first message.
            done = each["committed_offset"] if each["committed_offset"] >= 0 else each["lo_offset"]
            # Offsets below zero are not known yet. A broker whose end lies before the committed offset counts wrongly.
            if 0 <= done <= each["hi_offset"]:
                lag[each["partition"]] = each["hi_offset"] - done
        if self._on_lag:
            self._on_lag(lag)


def _membership(settings: Settings) -> dict[str, Any]:
    """How the group shares out its partitions: its members by the classic protocol, else the broker (KIP-848)."""
    if settings.kafka_group_protocol == "consumer":
        return {"group.protocol": "consumer"}
    return {
        "session.timeout.ms": settings.kafka_session_timeout_ms,
        "heartbeat.interval.ms": _heartbeat_ms(settings.kafka_session_timeout_ms),
        "partition.assignment.strategy": "cooperative-sticky",
    }


def _heartbeat_ms(session_timeout: int) -> int:
    """At most a third of the session timeout, as Kafka's manual advises: librdkafka's own 3 s may be longer."""
    return max(1, min(3000, session_timeout // 3))


def _position(message: Message) -> TopicPartition:
    return TopicPartition(str(message.topic()), int(message.partition() or 0), int(message.offset() or 0))


def _connection(settings: Settings) -> dict[str, Any]:
    """The settings of the connection, as librdkafka names them; those that are not set keep its defaults."""
    sasl_password, key_password = settings.kafka_sasl_password, settings.kafka_ssl_key_password
    given = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "log_level": 0,
        "security.protocol": settings.kafka_security_protocol,
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": sasl_password and sasl_password.get_secret_value(),
        "ssl.ca.location": settings.kafka_ssl_ca_location,
        "ssl.certificate.location": settings.kafka_ssl_certificate_location,
        "ssl.key.location": settings.kafka_ssl_key_location,
        "ssl.key.password": key_password and key_password.get_secret_value(),
    }
    return {name: str(value) for name, value in given.items() if value is not None}


@contextmanager
def _settings_errors() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:  # a file that holds no certificate, a wrong password of the key
        raise SettingsError(f"settings: KAFKA_*: librdkafka does not take them: {error.args[0].str()}") from error
