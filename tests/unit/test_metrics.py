"""What is counted, when a process counts as alive, and what it tells while PostgreSQL is away."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen
from wsgiref.types import WSGIApplication

import pytest
import yaml
from confluent_kafka import Producer

from loader import broker, metrics
from loader.broker import Subscription
from loader.errors import SettingsError
from loader.events import FileArrived
from loader.pipeline import Outcome
from loader.settings import Settings
from loader.verdict import Counts
from scripts.stack import free_port
from tests.conftest import eventually

REPOSITORY = Path(__file__).resolve().parents[2]
ARRIVAL = FileArrived("sales", "CSV/a-key-that-nobody-may-see.csv", datetime.now(UTC))


def settings(**given: str) -> Settings:
    """Of a process whose database is away."""
    required = {"kafka_bootstrap_servers": "127.0.0.1:1", "s3_bucket": "sales"}
    return Settings.read(database_url=f"postgresql://loader:hush@127.0.0.1:{free_port()}/sales", **required | given)


@contextmanager
def served() -> Iterator[str]:
    """The address at which this process answers."""
    port = free_port()
    with metrics.served(settings(metrics_port=str(port))):
        yield f"http://127.0.0.1:{port}"


def get(address: str) -> tuple[int, str]:
    try:
        with urlopen(address, timeout=10) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0


def test_nothing_is_answered_before_it_is_known_what(monkeypatch: pytest.MonkeyPatch) -> None:
    port, made = free_port(), metrics._app

    def asked_meanwhile(state: metrics.State) -> WSGIApplication:
        with pytest.raises(URLError, match="refused"), urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10):
            pass
        return made(state)

    monkeypatch.setattr(metrics, "_app", asked_meanwhile)
    with metrics.served(settings(metrics_port=str(port))):
        _, text = get(f"http://127.0.0.1:{port}/healthz")
    assert json.loads(text)["status"] == "unhealthy"


def test_an_outcome_is_counted_by_feed_with_its_rows_and_bytes() -> None:
    counts = Counts(loaded=7, rejected=2, skipped=1)
    outcome = Outcome("loaded", ARRIVAL.key, 1, counts, feed="counted", size=1234)
    assert metrics.measured(lambda _: outcome)(ARRIVAL) is outcome
    assert value("loader_files_total", feed="counted", outcome="loaded") == 1
    rows = {
        name: value("loader_rows_total", feed="counted", outcome=name) for name in ("loaded", "rejected", "skipped")
    }
    assert rows == {"loaded": 7, "rejected": 2, "skipped": 1}
    assert value("loader_file_bytes_total", feed="counted") == 1234
    assert value("loader_load_duration_seconds_count", feed="counted") == 1


def test_a_duplicate_is_counted_as_such_and_not_timed() -> None:
    before = value("loader_files_total", feed="", outcome="duplicate")
    metrics.measured(lambda _: Outcome("loaded", ARRIVAL.key, 1, duplicate=True))(ARRIVAL)
    assert value("loader_files_total", feed="", outcome="duplicate") == before + 1
    assert value("loader_load_duration_seconds_count", feed="") == 0


def test_an_attempt_that_fails_is_no_outcome() -> None:
    def load(_: FileArrived) -> Outcome:
        raise TimeoutError

    def counted() -> float:
        return sum(
            sample.value
            for family in metrics.FILES.collect()
            for sample in family.samples
            if sample.name[-6:] == "_total"
        )

    before = counted()
    with pytest.raises(TimeoutError):
        metrics.measured(load)(ARRIVAL)
    assert counted() == before


def test_no_label_can_take_more_than_a_few_values() -> None:
    names = {name for each in metrics.REGISTRY.collect() for sample in each.samples for name in sample.labels}
    assert names <= {"feed", "outcome", "partition", "reason", "le"}


def test_a_loop_is_alive_until_it_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(metrics, "monotonic", lambda: now)
    heart = metrics.Heartbeat()
    now += 89
    assert (heart.age, heart.overdue) == (89, False)
    now += 2
    assert heart.overdue
    heart.beat(silence=3600)
    now += 3600 + 89
    assert not heart.overdue
    now += 2
    assert heart.overdue


def test_without_a_port_nothing_listens() -> None:
    with metrics.served(settings()):
        assert value("loader_loop_alive") == 0


def test_while_postgresql_is_away_the_process_is_unhealthy_and_its_counters_are_served() -> None:
    metrics.heartbeat.beat()  # the tests before have run for longer than a loop may be silent
    with served() as address:
        status, text = get(f"{address}/healthz")
        assert status == 503
        health = json.loads(text)
        assert health["status"] == "unhealthy"
        assert ["PostgreSQL did not do its part" in problem for problem in health["problems"]] == [True]
        assert "hush" not in text
        status, text = get(f"{address}/metrics")
        assert status == 200
        assert "loader_database_up 0.0" in text
        assert "loader_loop_alive 1.0" in text
        assert "loader_retries_total" in text
        assert "loader_mart_version" not in text
        assert get(address)[0] == 404


def test_a_loop_that_hangs_is_a_problem_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = metrics.Heartbeat()
    stopped.beat(silence=-100)
    monkeypatch.setattr(metrics, "heartbeat", stopped)
    with served() as address:
        status, text = get(f"{address}/healthz")
        assert status == 503
        assert json.loads(text)["problems"][0].startswith("the loop has given no sign of life")
        assert "loader_loop_alive 0.0" in get(f"{address}/metrics")[1]


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with pytest.raises(SettingsError, match=f"METRICS_PORT={port}: Address already in use"):
            metrics.served(settings(metrics_port=port)).__enter__()


def test_the_health_check_of_the_container_repeats_what_the_process_says() -> None:
    with served() as address:
        unhealthy = check(address.rpartition(":")[2])
    assert unhealthy.returncode == 1
    assert "PostgreSQL did not do its part" in unhealthy.stderr
    closed = check(address.rpartition(":")[2])
    assert closed.returncode == 1
    assert "/healthz does not answer" in closed.stderr


def test_every_metric_that_the_docs_alarm_by_is_in_their_table() -> None:
    operating, deploying = ((REPOSITORY / "docs" / page).read_text() for page in ("operating.md", "deploying.md"))
    listed = set(re.findall(r"^\| `(loader_\w+)", operating, re.MULTILINE))
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", deploying, re.DOTALL)]
    scrape, rules = (next(block for block in blocks if name in block) for name in ("scrape_configs", "groups"))
    alarmed = {name for rule in rules["groups"][0]["rules"] for name in re.findall(r"loader_\w+", rule["expr"])}
    assert alarmed <= listed
    (found,) = scrape["scrape_configs"][0]["dns_sd_configs"]
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    assert {services[name]["environment"]["METRICS_PORT"] for name in found["names"]} == {str(found["port"])}


def check(port: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "docker" / "healthcheck.py"), "METRICS_PORT"]
    env = os.environ | {"METRICS_PORT": port}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_lag_is_what_the_group_has_not_committed_by_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the cluster that librdkafka brings: unlike the local stack's broker, it knows where its partitions end."""
    monkeypatch.setattr(broker, "_STATISTICS_SECONDS", 0.1)
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    (server,) = producer.list_topics(timeout=10).brokers.values()
    there = settings(kafka_bootstrap_servers=f"{server.host}:{server.port}", kafka_session_timeout_ms="6000")
    for number in range(5):
        producer.produce(there.kafka_topic, b"message", partition=number % 2)
    assert producer.flush(10) == 0
    with closing(Subscription(there, metrics.show_lag)) as subscription:
        [first] = eventually("a message", lambda: subscription.take(1, 0.1))
        with subscription.paused() as stay:
            eventually("its partitions' lag", lambda: stay() or lag() == {"0": 3, "1": 2, "2": 0, "3": 0})
            subscription.commit(first)
            behind = {"0": 3, "1": 2, "2": 0, "3": 0}
            behind[str(first.partition())] -= 1
            eventually("the commit", lambda: stay() or lag() == behind)
    metrics.show_lag({7: 1})
    assert lag() == {"7": 1}


def lag() -> dict[str, float]:
    return {sample.labels["partition"]: sample.value for each in metrics.LAG.collect() for sample in each.samples}
