"""From the topic to the ledger: every event, lost, doubled, malformed or replayed, ends in the same rows."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, closing, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer
from structlog.testing import capture_logs

from loader import broker, consumer, failpoints, metrics
from loader.broker import Subscription, ensure_topics
from loader.errors import TransientError
from loader.events import FileArrived, encode
from loader.object_store import ObjectStore
from loader.pipeline import Pipeline
from loader.watcher import Watcher
from scripts.csv_generator import sheet
from tests.conftest import World, beside, eventually

SHEETS = [sheet(7, date(2026, 3, day), rows=40, bad_ratio=0.05) for day in range(1, 13)]
SHEET = SHEETS[0]


def running_loader(world: World, **settings: str) -> AbstractContextManager[None]:
    """The consumer loop in a thread."""
    return beside(consumer.run, world.settings.model_copy(update=settings))


def publish(world: World, *messages: bytes) -> None:
    ensure_topics(world.settings)
    producer = Producer({"bootstrap.servers": world.settings.kafka_bootstrap_servers})
    for message in messages:
        producer.produce(world.settings.kafka_topic, message)
    assert producer.flush(30) == 0


def consume(world: World, topic: str, messages: int) -> list[Message]:
    settings = {
        "group.id": "test",
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 2000,
        "heartbeat.interval.ms": 500,
    }
    with closing(Consumer({"bootstrap.servers": world.settings.kafka_bootstrap_servers, **settings})) as reader:
        reader.subscribe([topic])
        found: list[Message] = []

        def enough() -> bool:
            found.extend(reader.consume(1, 0.5))
            return len(found) >= messages

        eventually(f"{messages} messages on {topic}", enough)
    return found


def ledger(world: World) -> list[dict[str, Any]]:
    """What must be the same whatever happened on the way: not the times, nor how often it was tried."""
    columns = "key, status, rows_read, rows_loaded, rows_rejected, sha256, error"
    return world.rows(f"select {columns} from raw.files order by key, file_id")


def lines(world: World) -> list[dict[str, Any]]:
    return world.rows(
        "select key, line.* from raw.sales_lines as line join raw.files using (file_id) order by key, row_number"
    )


def events(world: World) -> int:
    """Messages that reached the ledger; delivery is at least once, so there may be more than were sent."""
    return int(world.value("select coalesce(sum(events), 0) from raw.files"))


def loaded(world: World, files: int) -> bool:
    return bool(world.value("select count(*) = %s from raw.files where status = 'loaded'", files))


def test_every_arrival_is_loaded_once_however_often_it_is_announced(world: World) -> None:
    arrivals = [world.drop(each.key, each.content) for each in SHEETS]
    publish(world, *(encode(arrival) for arrival in arrivals * 3))
    with running_loader(world):
        eventually("all events", lambda: events(world) >= 3 * len(SHEETS))
    assert [row["status"] for row in ledger(world)] == ["loaded"] * len(SHEETS)
    assert world.value("select count(*) from raw.sales_lines") == sum(each.summary["rows"] for each in SHEETS)


def test_a_replay_from_the_first_offset_changes_nothing(world: World) -> None:
    publish(world, *(encode(world.drop(each.key, each.content)) for each in SHEETS[:4]))
    with running_loader(world):
        eventually("the first pass", lambda: loaded(world, 4))
    before = ledger(world), lines(world)
    with running_loader(world, kafka_group="another"):
        eventually("the replay", lambda: events(world) >= 8)
    assert (ledger(world), lines(world)) == before


def test_two_replicas_share_a_topic_and_load_each_file_once(world: World) -> None:
    arrivals = [world.drop(each.key, each.content) for each in SHEETS]
    with running_loader(world), running_loader(world):
        publish(world, *(encode(arrival) for arrival in arrivals * 2))
        eventually("all events", lambda: events(world) >= 2 * len(SHEETS))
    assert world.value("select count(*) from raw.sales_lines") == sum(each.summary["rows"] for each in SHEETS)
    assert world.value("select max(attempts) from raw.files") == 1


def test_a_message_in_work_for_longer_than_the_session_is_given_once(world: World) -> None:
    publish(world, b"first", b"second")
    with closing(Subscription(world.settings)) as subscription:
        [first] = eventually("a message", lambda: subscription.take(1, 0.1))
        end = monotonic() + 2 * world.settings.kafka_session_timeout_ms / 1000
        with subscription.paused() as stay:
            eventually("two sessions' time", lambda: stay() or monotonic() > end)
        subscription.commit(first)
        given = [first.value(), eventually("the next message", lambda: subscription.take(1, 0.1))[0].value()]
    assert sorted(given) == [b"first", b"second"]


def test_a_malformed_message_goes_to_the_dead_letters_with_its_reason(world: World) -> None:
    arrival = world.drop(SHEET.key, SHEET.content)
    malformed = [b"", b"{not json", b'{"Records": [{"eventName": "ObjectCreated:Put"}]}']
    publish(world, *malformed, encode(arrival))
    with running_loader(world):
        eventually("the good one", lambda: loaded(world, 1))
        letters = consume(world, world.settings.kafka_dead_letter_topic, 3)
    for letter in letters:
        headers = dict(letter.headers() or [])
        assert headers["reason"] == b"InvalidEvent"
        assert headers["topic"] == world.settings.kafka_topic.encode()
        assert {"error", "partition", "offset", "attempts"} <= headers.keys()
    assert sorted(letter.value() or b"" for letter in letters) == sorted(malformed)


def test_a_huge_malformed_message_is_dead_lettered_by_its_beginning(world: World) -> None:
    publish(world, b"x" * 990_000, encode(world.drop(SHEET.key, SHEET.content)))
    with running_loader(world):
        eventually("the good one", lambda: loaded(world, 1))
        (letter,) = consume(world, world.settings.kafka_dead_letter_topic, 1)
    assert dict(letter.headers() or [])["bytes"] == b"990000"
    assert (letter.value() or b"").startswith(b"xxx")


def test_more_arrivals_than_the_producer_can_queue_are_all_announced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = [FileArrived(world.bucket, f"CSV/{number}.csv", datetime.now(UTC)) for number in range(60)]
    connection = broker._connection
    monkeypatch.setattr(broker, "_connection", lambda of: connection(of) | {"queue.buffering.max.messages": 10})
    ensure_topics(world.settings)
    broker.Publisher(world.settings).announce(arrivals)
    monkeypatch.undo()
    assert len(consume(world, world.settings.kafka_topic, 60)) == 60


def named(logs: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How often each event was logged."""
    return Counter(entry["event"] for entry in logs)


def test_objects_that_are_gone_hold_up_nothing_and_are_passed_over_once(world: World) -> None:
    gone = [FileArrived(world.bucket, f"CSV/sales_data_{number}.csv", datetime.now(UTC)) for number in range(200)]
    publish(world, *map(encode, gone), encode(world.drop(SHEET.key, SHEET.content)))
    with capture_logs() as logs, running_loader(world):
        eventually("every message", lambda: named(logs)["file_source_gone"] == 200 and loaded(world, 1))
    assert named(logs).keys() == {"loader_started", "file_source_gone", "file_loaded", "loader_stopped"}
    assert [row["key"] for row in ledger(world)] == [SHEET.key]
    publish(world, encode(world.drop(SHEETS[1].key, SHEETS[1].content)))
    with capture_logs() as logs, running_loader(world):
        eventually("the next file", lambda: loaded(world, 2))
    assert named(logs)["file_source_gone"] == 0, "their offsets are committed, if not one by one"


def test_events_of_another_bucket_are_counted_and_left_alone(world: World) -> None:
    elsewhere = World(world.env | {"S3_BUCKET": f"{world.bucket}-of-others"}, world.stack)
    with closing(ObjectStore(elsewhere.settings)) as store:
        store.create_bucket(elsewhere.bucket)
    arrived = encode(elsewhere.drop(SHEETS[1].key, SHEETS[1].content))
    removed = arrived.replace(b"ObjectCreated:Put", b"ObjectRemoved:Delete")
    publish(world, arrived, removed, encode(world.drop(SHEET.key, SHEET.content)))
    before = metrics.REGISTRY.get_sample_value("loader_events_ignored_total") or 0
    with capture_logs() as logs, running_loader(world):
        eventually("every message", lambda: named(logs)["event_ignored"] == 2 and loaded(world, 1))
    assert [entry["bucket"] for entry in logs if entry["event"] == "event_ignored"] == [elsewhere.bucket] * 2
    assert metrics.REGISTRY.get_sample_value("loader_events_ignored_total") == before + 2
    assert named(logs).keys() == {"loader_started", "event_ignored", "file_loaded", "loader_stopped"}
    assert world.rows("select distinct bucket from raw.files") == [{"bucket": world.bucket}]


def test_the_watcher_announces_exactly_what_the_ledger_has_not_seen(world: World) -> None:
    for each in SHEETS[:3]:
        world.drop(each.key, each.content)
    world.loader("load", SHEETS[0].key)
    world.drop("CSV/notes.txt", b"no sheet")
    world.loader("load", "CSV/notes.txt")
    with closing(Watcher(world.settings)) as watcher:
        assert [version.key for version in watcher.unseen()] == [SHEETS[1].key, SHEETS[2].key]
        assert watcher.look() == 2
        assert watcher.look() == 0
    announced = consume(world, world.settings.kafka_topic, 2)
    keys = {json.loads(message.value() or b"")["Records"][0]["s3"]["object"]["key"] for message in announced}
    assert keys == {SHEETS[1].key, SHEETS[2].key}


def test_the_watcher_announces_again_what_nobody_loads(world: World) -> None:
    world.drop(SHEET.key, SHEET.content)
    with closing(Watcher(world.settings)) as watcher:
        assert watcher.look() == 1
        eventually("the second announcement", lambda: watcher.look() == 1)


def test_the_watcher_sees_a_new_version_of_a_loaded_file(world: World) -> None:
    world.drop(SHEET.key, SHEET.content)
    world.loader("load", SHEET.key)
    with closing(Watcher(world.settings)) as watcher:
        assert watcher.unseen() == []
        world.drop(SHEET.key, SHEETS[1].content)
        assert [version.key for version in watcher.unseen()] == [SHEET.key]


def test_a_broker_that_forgets_everything_loses_no_file(world: World) -> None:
    with world.process("watch"), world.process("run", "--no-transform"):
        world.drop(SHEETS[0].key, SHEETS[0].content)
        eventually("the first file", lambda: loaded(world, 1))
        world.stack.stop("kafka")
        world.drop(SHEETS[1].key, SHEETS[1].content)
        world.stack.up()
        world.drop(SHEETS[2].key, SHEETS[2].content)
        eventually("the others", lambda: loaded(world, 3), seconds=120)
    assert world.value("select count(*) from raw.sales_lines") == sum(each.summary["rows"] for each in SHEETS[:3])


def forget_topics(world: World) -> None:
    """The broker keeps its topics in memory."""
    world.stack.stop("kafka")
    world.stack.up()


@pytest.mark.timeout(120)
def test_what_is_announced_to_a_topic_that_was_lost_is_trouble_or_arrives_and_no_crash(world: World) -> None:
    ensure_topics(world.settings)
    publisher = broker.Publisher(world.settings)
    arrival = FileArrived(world.bucket, "CSV/1.csv", datetime.now(UTC))
    publisher.announce([arrival])
    forget_topics(world)
    for _ in range(3):
        with suppress(TransientError):
            publisher.announce([arrival])

    def announced() -> bool:
        ensure_topics(world.settings)
        with suppress(TransientError):
            publisher.announce([arrival])
            return True
        return False

    eventually("the new topic", announced)
    assert consume(world, world.settings.kafka_topic, 1)


@pytest.mark.timeout(120)
def test_a_malformed_message_is_dead_lettered_though_the_topic_of_letters_was_lost(world: World) -> None:
    publish(world, b"{not json")
    (message,) = consume(world, world.settings.kafka_topic, 1)
    with Pipeline(world.settings) as pipeline:
        worker = consumer.Worker(world.settings, pipeline, broker.Publisher(world.settings), Event())
        assert worker.work(message) is consumer.Progress.WORKED
        forget_topics(world)
        assert worker.work(message) is consumer.Progress.WORKED
    (letter,) = consume(world, world.settings.kafka_dead_letter_topic, 1)
    assert letter.value() == b"{not json"


def test_a_group_is_left_in_time_though_the_broker_does_not_answer(world: World) -> None:
    publish(world, b"first")
    subscription = Subscription(world.settings)
    [message] = eventually("a message", lambda: subscription.take(1, 0.1))
    threads = [Thread(target=subscription.commit, args=[message]), Thread(target=subscription.close)]
    os.kill(frozen := world.stack.pid("kafka"), signal.SIGSTOP)
    try:
        for each in threads:
            each.start()
        threads[1].join(20)
        assert not threads[1].is_alive()
    finally:
        os.kill(frozen, signal.SIGCONT)
        for each in threads:
            each.join(20)


@pytest.mark.parametrize("step", failpoints.STEPS)
def test_a_loader_killed_at_any_step_and_restarted_ends_in_the_same_rows(world: World, step: str) -> None:
    second = SHEETS[1].content
    with running_loader(world):
        publish(world, encode(world.drop(SHEET.key, SHEET.content)))
        eventually("the earlier version", lambda: loaded(world, 1))
    publish(world, encode(world.drop(SHEET.key, second)))
    with world.process(step, "run", "--no-transform", module="tests.integration.crashing_loader") as crashing:
        assert crashing.wait(60) == -9
    with running_loader(world):
        recovered = "select count(*) = 1 from raw.files where status = 'superseded'"
        eventually("the recovery", lambda: world.value(recovered))
        publish(world, encode(world.drop(SHEETS[2].key, SHEETS[2].content)))
        eventually("what came after", lambda: loaded(world, 2))
    summary = SHEETS[1].summary
    assert [(row["key"], row["status"]) for row in ledger(world)] == [
        (SHEET.key, "superseded"),
        (SHEET.key, "loaded"),
        (SHEETS[2].key, "loaded"),
    ]
    (current,) = world.rows("select * from raw.files where key = %s and status = 'loaded'", SHEET.key)
    assert (current["rows_loaded"], current["rows_rejected"]) == (summary["rows"], len(summary["bad_lines"]))
    assert [line["row_number"] for line in lines(world) if line["key"] == SHEET.key] == [
        row for row in range(1, current["rows_read"] + 1) if row not in _rejected(world, current["file_id"])
    ]
    assert net_sales(world, current["file_id"]) == Decimal(summary["net_sales"])
    query = "select distinct sale_date from raw.rebuild_queue where file_id = %s order by 1"
    queued = world.rows(query, current["file_id"])
    assert [row["sale_date"] for row in queued] == [date(2026, 3, 1), date(2026, 3, 2)]


def _rejected(world: World, file_id: int) -> set[int]:
    rows = world.rows("select row_number from raw.rejected_rows where file_id = %s", file_id)
    return {row["row_number"] for row in rows}


def net_sales(world: World, file_id: int) -> Decimal:
    return Decimal(
        world.value(
            """select sum(case line_type when 'sale' then 1 when 'return' then -1 else 0 end * (
                   round(abs(quantity) * unit_price, 2) - round(abs(quantity) * unit_price * discount_rate, 2)))
               from raw.sales_lines where file_id = %s""",
            file_id,
        )
    )
