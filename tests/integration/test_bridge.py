"""From AWS S3 over SQS to the topic and the ledger. AWS is moto's server, which notifies queues as AWS does."""

import json
import socket
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import date
from threading import Event

import pytest
import structlog
from moto.server import ThreadedMotoServer

from loader import bridge, sqs
from loader.aws import s3_client, sqs_client
from loader.broker import ensure_topics
from loader.errors import TransientError
from loader.object_store import ObjectStore
from loader.settings import Settings
from scripts.csv_generator import sheet
from tests.conftest import World, beside, eventually
from tests.integration.test_delivery import consume, events, ledger, loaded, running_loader

SHEETS = [sheet(7, date(2026, 5, day), rows=40, bad_ratio=0.05) for day in range(1, 13)]
ODD_KEY = "CSV/sales_data_Umsätze 100% + mehr & 東京/%2B (1).csv"


@dataclass(frozen=True)
class Aws:
    """A world whose bucket is moto's and notifies a queue; messages are delivered again after a second."""

    world: World

    @property
    def settings(self) -> Settings:
        return self.world.settings

    @property
    def queue(self) -> str:
        return self.world.env["SQS_QUEUE_URL"]

    def send(self, body: str) -> None:
        with closing(sqs_client(self.settings)) as client:
            client.send_message(QueueUrl=self.queue, MessageBody=body)

    def waiting(self) -> int:
        """Messages in the queue, in flight or not."""
        with closing(sqs_client(self.settings)) as client:
            found = client.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])

    def purge(self) -> None:
        with closing(sqs_client(self.settings)) as client:
            client.purge_queue(QueueUrl=self.queue)


@pytest.fixture
def aws(world: World, moto: str) -> Aws:
    """The bucket with its notifications; the queue holds S3's test event then."""
    env = world.env | {"S3_ENDPOINT_URL": moto, "SQS_ENDPOINT_URL": moto}
    settings = World(env, world.stack).settings
    with closing(sqs_client(settings)) as client:
        url = client.create_queue(QueueName=world.bucket, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    with closing(ObjectStore(settings)) as store:
        store.create_bucket(world.bucket)
    with closing(s3_client(settings)) as client:
        client.put_bucket_notification_configuration(
            Bucket=world.bucket,
            NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]},
        )
    return Aws(World(env | {"SQS_QUEUE_URL": url}, world.stack))


def running_bridge(aws: Aws) -> AbstractContextManager[None]:
    """The bridge in a thread."""
    return beside(bridge.run, aws.settings)


def test_objects_put_into_s3_are_loaded_once_whatever_their_keys(aws: Aws) -> None:
    keys = [each.key for each in SHEETS[1:]] + [ODD_KEY]
    with aws.world.process("bridge"), aws.world.process("run", "--no-transform"):
        for key, each in zip(keys, SHEETS[1:] + SHEETS[:1], strict=True):
            aws.world.drop(key, each.content)
        eventually("every file", lambda: loaded(aws.world, len(SHEETS)))
        eventually("an empty queue", lambda: aws.waiting() == 0)
    assert sorted(row["key"] for row in ledger(aws.world)) == sorted(keys)
    assert aws.world.value("select count(*) from raw.sales_lines") == sum(each.summary["rows"] for each in SHEETS)


def test_a_body_goes_over_unchanged_with_the_key_of_its_object(aws: Aws) -> None:
    aws.purge()
    ensure_topics(aws.settings)
    aws.world.drop(ODD_KEY, SHEETS[0].content)
    with closing(sqs.Queue(aws.settings, aws.queue)) as reader:
        (sent,) = reader.receive()
    with running_bridge(aws):
        (message,) = consume(aws.world, aws.settings.kafka_topic, 1)
    assert message.value() == sent.body.encode()
    assert message.key() == ODD_KEY.encode()


def test_the_test_event_and_a_poison_body_stop_nothing_and_lose_nothing(aws: Aws) -> None:
    poison = '{"Records": "Ünlesbar"}'
    aws.send(poison)
    aws.send("x" * 950_000)
    aws.world.drop(SHEETS[0].key, SHEETS[0].content)
    with running_bridge(aws), running_loader(aws.world):
        eventually("the good one", lambda: loaded(aws.world, 1))
        eventually("an empty queue", lambda: aws.waiting() == 0)
        letters = consume(aws.world, aws.settings.kafka_dead_letter_topic, 2)
    found = {letter.value() or b"": dict(letter.headers() or []) for letter in letters}
    assert found.keys() == {poison.encode(), b"x" * 900_000}
    assert {headers["reason"] for headers in found.values()} == {b"InvalidEvent"}
    assert found[b"x" * 900_000]["bytes"] == b"950000"
    topic = consume(aws.world, aws.settings.kafka_topic, 3)
    assert {json.loads(each.value() or b"").get("Event") for each in topic} == {"s3:TestEvent", None}


def test_nothing_is_deleted_while_the_broker_is_away(aws: Aws) -> None:
    with structlog.testing.capture_logs() as logged, running_bridge(aws), running_loader(aws.world):
        aws.world.drop(SHEETS[0].key, SHEETS[0].content)
        eventually("the first file", lambda: loaded(aws.world, 1))
        eventually("an empty queue", lambda: aws.waiting() == 0)
        aws.world.stack.stop("kafka")
        try:
            aws.world.drop(SHEETS[1].key, SHEETS[1].content)
            eventually(
                "a failed attempt", lambda: [each for each in logged if "took no message" in each.get("error", "")]
            )
            assert aws.waiting() == 1
        finally:
            aws.world.stack.up()
        eventually("the second file", lambda: loaded(aws.world, 2), seconds=120)
        eventually("an empty queue", lambda: aws.waiting() == 0)


def test_a_message_that_is_delivered_again_is_loaded_once(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.purge()
    monkeypatch.setattr(sqs.Queue, "delete", lambda *_: None)
    aws.world.drop(SHEETS[0].key, SHEETS[0].content)
    with running_loader(aws.world):
        with running_bridge(aws):
            eventually("a second delivery", lambda: events(aws.world) >= 2)
        assert aws.waiting() == 1
        monkeypatch.undo()
        with running_bridge(aws):
            eventually("an empty queue", lambda: aws.waiting() == 0)
    assert [(row["key"], row["status"]) for row in ledger(aws.world)] == [(SHEETS[0].key, "loaded")]
    assert aws.world.value("select count(*) from raw.sales_lines") == SHEETS[0].summary["rows"]


def test_sqs_that_does_not_answer_is_asked_again_until_it_does(aws: Aws) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    elsewhere = Aws(World(aws.world.env | {"SQS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}, aws.world.stack))
    with structlog.testing.capture_logs() as logged, running_bridge(elsewhere):
        eventually("the second try", lambda: [each["event"] for each in logged].count("retrying") >= 2)
        server = ThreadedMotoServer("127.0.0.1", port, verbose=False)  # its queues are those of the other one
        server.start()
        eventually("an empty queue", lambda: aws.waiting() == 0)
    server.stop()
    assert "SQS did not answer" in next(each["error"] for each in logged if each["event"] == "retrying")


def test_a_queue_that_is_not_there_is_named(aws: Aws) -> None:
    with (
        closing(sqs.Queue(aws.settings, f"{aws.queue}-of-nobody")) as reader,
        pytest.raises(TransientError, match=rf"SQS refused {aws.queue}-of-nobody: .*Check SQS_QUEUE_URL"),
    ):
        reader.receive()


def test_a_message_whose_receipt_is_unknown_is_logged_and_the_others_are_deleted(aws: Aws) -> None:
    with closing(sqs.Queue(aws.settings, aws.queue)) as reader, structlog.testing.capture_logs() as logged:
        reader.delete([sqs.Queued("", "unknown"), *reader.receive()])
    assert [(each["event"], each["messages"]) for each in logged] == [("messages_not_deleted", 1)]
    assert aws.waiting() == 0


def test_a_stop_finishes_the_messages_in_hand(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, forward = Event(), bridge.Carrier.forward

    def forward_and_stop(carrier: bridge.Carrier, messages: list[sqs.Queued]) -> None:
        stop.set()
        forward(carrier, messages)

    monkeypatch.setattr(bridge.Carrier, "forward", forward_and_stop)
    bridge.run(aws.settings, stop)
    assert aws.waiting() == 0
    assert len(consume(aws.world, aws.settings.kafka_topic, 1)) == 1


def test_sigterm_ends_the_bridge_within_seconds_while_it_waits_for_messages(aws: Aws) -> None:
    with aws.world.process("bridge") as process:
        eventually("an empty queue", lambda: aws.waiting() == 0)
        process.terminate()
        assert process.wait(15) == 0  # it asks for three seconds at a time, where SQS allows twenty


def test_without_a_queue_the_command_says_which_setting_is_missing(world: World) -> None:
    done = world.loader("bridge")
    assert done.returncode == 2
    assert done.stderr.startswith("loader: settings: SQS_QUEUE_URL: ")
