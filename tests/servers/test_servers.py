"""On Apache Kafka and versitygw as on the servers of the local stack: nothing is lost, and nothing is doubled."""

import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date
from decimal import Decimal

import pytest
from confluent_kafka import ConsumerGroupState, KafkaException

from loader.broker import ensure_topics
from loader.errors import TransientError
from scripts.csv_generator import Sheet, sheet
from tests.conftest import World, eventually
from tests.servers.kafka import LOGIN, PASSWORD, Broker

SHEETS = [sheet(7, date(2026, 3, day), rows=40, bad_ratio=0.05) for day in range(1, 31)]


def drop(world: World, sheets: Iterable[Sheet]) -> None:
    for each in sheets:
        world.drop(each.key, each.content)


def loaded(world: World, files: int) -> bool:
    return bool(world.value("select count(*) = %s from raw.files where status = 'loaded'", files))


def published(world: World, files: int) -> bool:
    return bool(world.value("select count(*) = %s from raw.files where modelled_at is not null", files))


def check(world: World, sheets: list[Sheet]) -> None:
    """Each sheet is loaded once, with all of its rows, at the first attempt."""
    found = world.rows("select key, status, attempts, rows_loaded, rows_rejected from raw.files order by key")
    assert [tuple(row.values()) for row in found] == [
        (each.key, "loaded", 1, each.summary["rows"], len(each.summary["bad_lines"])) for each in sheets
    ]
    assert world.value("select count(*) from raw.sales_lines") == sum(each.summary["rows"] for each in sheets)


def check_marts(world: World, sheets: list[Sheet]) -> None:
    """The marts are the sheets, to the cent."""
    net = sum(Decimal(each.summary["net_sales"]) for each in sheets)
    assert world.value("select sum(net_sales) from kpi.kpi_daily_sales") == net


def test_a_dropped_sheet_is_published_by_the_notification_of_the_s3_server_alone(world: World) -> None:
    odd = sheet(7, date(2026, 4, 1), rows=40)
    sheets = [*SHEETS[:3], Sheet("CSV/sales_data_ß+é 1 %2F&=.csv", odd.content, odd.summary)]
    with world.process("run"):
        drop(world, sheets)
        eventually("the marts", lambda: published(world, len(sheets)))
    check(world, sheets)
    check_marts(world, sheets)
    assert world.rows("select distinct dialect from raw.files") == [{"dialect": "versitygw"}]


def test_what_is_put_while_the_broker_is_down_is_announced_by_the_watcher(world: World, broker: Broker) -> None:
    with world.process("run", "--no-transform"), world.process("watch"):
        drop(world, SHEETS[:1])
        eventually("the first sheet", lambda: loaded(world, 1))
        broker.stop(signal.SIGKILL)
        drop(world, SHEETS[1:4])
        broker.start()
        drop(world, SHEETS[4:6])
        eventually("every sheet", lambda: loaded(world, 6))
    check(world, SHEETS[:6])


def test_a_broker_that_lost_its_volume_loses_no_sheet(world: World, broker: Broker) -> None:
    with world.process("run", "--no-transform"), world.process("watch"):
        drop(world, SHEETS[:2])
        eventually("the first sheets", lambda: loaded(world, 2))
        broker.wipe()
        drop(world, SHEETS[2:5])
        eventually("every sheet", lambda: loaded(world, 5))
    check(world, SHEETS[:5])


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_replicas_that_come_and_go_share_six_partitions_and_load_each_sheet_once(
    new_house: Callable[..., World], broker: Broker, protocol: str
) -> None:
    world = new_house(6, KAFKA_GROUP_PROTOCOL=protocol)
    if protocol == "consumer":
        del world.env["KAFKA_SESSION_TIMEOUT_MS"]
    with world.process("run", "--no-transform"):
        drop(world, SHEETS[:10])
        eventually("the first sheets", lambda: loaded(world, 10))
        with world.process("run", "--no-transform"):
            eventually("two members with three partitions each", lambda: shares(world, broker) == [3, 3])
            drop(world, SHEETS[10:20])
            eventually("the next sheets", lambda: loaded(world, 20))
            drop(world, SHEETS[20:25])
        drop(world, SHEETS[25:])
        eventually("every sheet", lambda: loaded(world, 30))
        eventually("one member with everything", lambda: shares(world, broker) == [6])
    check(world, SHEETS)
    admin = broker.admin()
    kinds = {each.group_id: each.type for each in admin.list_consumer_groups().result(30).valid}
    assert kinds[world.env["KAFKA_GROUP"]].name.lower() == protocol


def test_a_replica_that_is_killed_leaves_its_sheets_to_the_other(
    new_house: Callable[..., World], broker: Broker
) -> None:
    world = new_house(6)
    with world.process("run", "--no-transform"), world.process("run", "--no-transform") as second:
        eventually("two members", lambda: shares(world, broker) == [3, 3])
        drop(world, SHEETS[:6])
        second.kill()
        drop(world, SHEETS[6:12])
        eventually("every sheet", lambda: loaded(world, 12))
    assert world.value("select count(*) from raw.files") == 12
    assert world.value("select count(*) from raw.sales_lines") == sum(each.summary["rows"] for each in SHEETS[:12])


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_sheet_is_loaded_by_way_of_a_listener_with_tls_and_a_login(
    new_house: Callable[..., World], broker: Broker, mechanism: str
) -> None:
    world = new_house(**secure(broker, mechanism))
    with world.process("run", "--no-transform"), world.process("watch"):
        drop(world, SHEETS[:2])
        eventually("the sheets", lambda: loaded(world, 2))
    check(world, SHEETS[:2])
    wrong = World(world.env | {"KAFKA_SASL_PASSWORD": "wrong"}, world.stack)
    with pytest.raises(TransientError, match=r"(?i)authentication failed"):
        ensure_topics(wrong.settings)


def shares(world: World, broker: Broker) -> list[int]:
    """How many partitions each member of the group has."""
    group = world.env["KAFKA_GROUP"]
    with suppress(KafkaException):
        admin = broker.admin()
        told = admin.describe_consumer_groups([group])[group].result(30)
        if told.state == ConsumerGroupState.STABLE:
            return sorted(len(each.assignment.topic_partitions) for each in told.members)
    return []


def secure(broker: Broker, mechanism: str) -> dict[str, str]:
    """The loader's settings for the listener with TLS and a login."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{broker.secure_port}",
        "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
        "KAFKA_SSL_CA_LOCATION": str(broker.authority),
        "KAFKA_SASL_MECHANISM": mechanism,
        "KAFKA_SASL_USERNAME": LOGIN,
        "KAFKA_SASL_PASSWORD": PASSWORD,
    }
