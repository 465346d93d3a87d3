"""The stack's PostgreSQL, and for S3 and Kafka the servers that docker-compose.yml names."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.stack import Stack
from tests.conftest import World, new_world
from tests.servers import gateway, parts
from tests.servers.kafka import Broker

MARK = "STACK_SUPERVISOR_PASSWORD"  # whoever has it in the environment is ended with the stack


@pytest.fixture(scope="session")
def programs() -> None:
    """Kafka and versitygw, before anything is started: without them the suite is skipped."""
    parts.kafka()
    parts.versitygw()


@pytest.fixture(scope="session")
def broker(programs: None, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Apache Kafka."""
    broker = Broker(tmp_path_factory.mktemp("kafka"), {MARK: stack.env()[MARK]})
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def new_house(broker: Broker, stack: Stack, template: str, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes a world whose S3 server announces to a topic of its own, of so many partitions."""
    with ExitStack() as opened:

        def make(partitions: int | None = None, **env: str) -> World:
            plain = opened.enter_context(new_world(stack, template, tmp_path))
            topic = plain.env["KAFKA_TOPIC"]
            broker.create_topic(topic, partitions)
            served = gateway.serving(tmp_path / "objects", plain.env, broker.addresses, topic)
            address = opened.enter_context(served)
            changed = {
                "S3_ENDPOINT_URL": address,
                "KAFKA_BOOTSTRAP_SERVERS": broker.address,
                "KAFKA_SESSION_TIMEOUT_MS": "6000",  # the least that Kafka takes
            }
            return World(plain.env | changed | env, stack)

        yield make


@pytest.fixture
def world(new_house: Callable[..., World]) -> World:
    return new_house()
