"""The numbers over HTTP are those of the ledger, and a process says when it is not well."""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from loader.events import encode
from scripts.csv_generator import sheet
from scripts.stack import REPOSITORY, free_port
from tests.conftest import World, eventually
from tests.integration.test_delivery import publish
from tests.unit.test_metrics import check, get

SHEETS = [sheet(7, date(2026, 3, day), rows=40, bad_ratio=0.05) for day in range(1, 4)]


class Endpoint:
    """What a process answers on its port."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def text(self) -> str:
        status, text = get(f"{self.address}/metrics")
        assert status == 200, text
        return text

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Of every series of this name, by its labels' values in the order of the labels' names."""
        return {
            tuple(text for _, text in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
            if sample.name == name
        }

    def value(self, name: str) -> float | None:
        return self.values(name).get(())

    def total(self, counter: str) -> float:
        return sum(self.values(f"{counter}_total").values())

    def health(self) -> tuple[int, dict[str, object]]:
        try:
            status, text = get(f"{self.address}/healthz")
        except OSError:  # it does not listen yet
            return 0, {}
        return status, json.loads(text)

    def healthy(self) -> bool:
        return self.health()[0] == 200


@contextmanager
def serving(world: World, *command: str) -> Iterator[Endpoint]:
    """A process of the loader, once it says that it is well."""
    port = free_port()
    with replace(world, env=world.env | {"METRICS_PORT": str(port)}).process(*command):
        endpoint = Endpoint(port)
        eventually("the endpoint", endpoint.healthy)
        yield endpoint


def test_the_counters_of_a_loader_are_what_the_ledger_holds(world: World) -> None:
    arrivals = [world.drop(each.key, each.content) for each in SHEETS]
    arrivals.append(world.drop("CSV/sales_data_20260401.csv", b"no,header,of,ours\n1,2,3,4\n"))
    arrivals.append(world.drop("notes.txt", b"no sheet"))
    gone = encode(arrivals[0]).replace(b"20260301", b"20251231")
    elsewhere = encode(replace(arrivals[0], bucket="of-others"))
    publish(world, b"{not json", gone, elsewhere, *map(encode, arrivals), encode(arrivals[0]))
    with serving(world, "run", "--no-transform") as endpoint:
        eventually("every message to be worked", lambda: endpoint.total("loader_files") >= 7)
        eventually("the dead letter", lambda: endpoint.total("loader_messages_dead_lettered") >= 1)
        eventually("the event of another bucket", lambda: endpoint.value("loader_events_ignored_total") == 1)
        files = endpoint.values("loader_files_total")
        assert files["sales_data", "unchanged"] == 0, "told from the start, for alerts on what it becomes"
        assert {outcome: number for (_, outcome), number in files.items() if number} == {
            "loaded": 3,
            "rejected": 1,
            "ignored": 1,
            "duplicate": 1,
            "source_gone": 1,
        }
        (ledger,) = world.rows(
            """select sum(rows_loaded) as loaded, sum(rows_rejected) as rejected, sum(rows_skipped) as skipped,
                   sum(size_bytes) filter (where status <> 'ignored') as bytes
               from raw.files"""
        )
        rows = endpoint.values("loader_rows_total")
        for outcome in ("loaded", "rejected", "skipped"):
            assert rows["sales_data", outcome] == ledger[outcome]
        assert endpoint.values("loader_file_bytes_total") == {("sales_data",): float(ledger["bytes"])}
        assert endpoint.values("loader_load_duration_seconds_count") == {("sales_data",): 4}
        assert endpoint.values("loader_messages_dead_lettered_total") == {
            ("InvalidEvent",): 1,
            ("ObjectGone",): 0,
            ("TransientError",): 0,
        }
        assert endpoint.value("loader_retries_total") == 0
        assert endpoint.value("loader_rebuild_queue_dates") == world.value(
            "select count(distinct sale_date) from raw.rebuild_queue"
        )
        assert (endpoint.value("loader_rebuild_queue_age_seconds") or 0) > 0
        assert not [arrival.key for arrival in arrivals if arrival.key in endpoint.text()]


def test_any_process_tells_of_the_published_marts_and_every_metric_is_in_the_docs(world: World) -> None:
    with serving(world, "run") as loader, serving(world, "watch") as watcher:
        world.drop(SHEETS[0].key, SHEETS[0].content)
        eventually("the marts", lambda: (watcher.value("loader_mart_version") or 0) > 0)
        for each in (loader, watcher):
            assert each.value("loader_mart_version") == world.value("select mart_version from ops.mart_version")
            assert each.value("loader_rebuild_queue_dates") == 0
            assert each.value("loader_dbt_last_run_success") == 1
            assert each.value("loader_dbt_failed_runs") == 0
            query = "select extract(epoch from finished_at - started_at) from raw.dbt_runs order by run_id desc limit 1"
            assert each.value("loader_dbt_last_run_duration_seconds") == float(world.value(query))
            (seconds,) = world.rows("select extract(epoch from modelled_at - event_at) as taken from raw.files")
            quantiles = each.values("loader_arrival_to_mart_seconds")
            assert quantiles == dict.fromkeys([("0.5",), ("0.95",), ("1.0",)], float(seconds["taken"]))
            assert each.values("loader_files_waiting") == {("discovered",): 0, ("loading",): 0, ("failed",): 0}
        assert (watcher.value("loader_watcher_announced_total") or 0) >= 1
        eventually("a look that finds nothing", lambda: watcher.value("loader_watcher_unseen") == 0)
        assert watcher.values("loader_watcher_looks_total")[("done",)] > 0
        assert documented() == exposed(loader) == exposed(watcher)


def documented() -> dict[str, str]:
    """The table's metrics with their types."""
    text = (REPOSITORY / "docs/operating.md").read_text()
    return dict(re.findall(r"^\| `(loader_\w+)(?:\{[a-z, ]+\})?` \| (\w+) \|", text, re.MULTILINE))


def exposed(endpoint: Endpoint) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (loader_\w+) (\w+)$", endpoint.text(), re.MULTILINE))


def test_a_failed_dbt_run_is_told_and_is_no_reason_to_restart_anything(world: World) -> None:
    with serving(world, "transform") as endpoint:
        assert endpoint.value("loader_dbt_last_run_success") is None
        failed = (
            "insert into raw.dbt_runs (status, dates, files, finished_at) values ('failed', 1, 1, clock_timestamp())"
        )
        world.run(failed)
        world.run(failed)
        status, health = endpoint.health()
        assert (status, health["last_dbt_run"]) == (200, "failed")
        assert check(endpoint.address.rpartition(":")[2]).returncode == 0
        assert endpoint.value("loader_dbt_last_run_success") == 0
        assert endpoint.value("loader_dbt_failed_runs") == 2


def test_a_process_is_unhealthy_while_postgresql_is_down_and_well_again_after(world: World) -> None:
    with serving(world, "run", "--no-transform") as endpoint:
        world.stack.stop("postgres")
        try:
            eventually("the process to notice", lambda: endpoint.health()[0] == 503)
            _, health = endpoint.health()
            assert "PostgreSQL did not do its part" in str(health["problems"])
            assert endpoint.value("loader_database_up") == 0
        finally:
            world.stack.up()
        eventually("the process to be well", endpoint.healthy)
        assert endpoint.value("loader_database_up") == 1


def test_a_postgresql_that_hangs_is_noticed_and_askers_do_not_pile_up(world: World) -> None:
    with serving(world, "run", "--no-transform") as endpoint:
        sessions = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        hanging = [row["pid"] for row in world.rows(sessions)]
        for pid in hanging:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                urlopen(f"{endpoint.address}/healthz", timeout=1)
            status, health = endpoint.health()
            assert (status, health["problems"]) == (
                503,
                ["PostgreSQL has not answered the question before this one yet"],
            )
            assert endpoint.value("loader_database_up") == 0
        finally:
            for pid in hanging:
                os.kill(pid, signal.SIGCONT)
        eventually("the process to be well", endpoint.healthy)


def test_a_second_process_on_the_same_port_ends_with_one_clear_line(world: World) -> None:
    port = free_port()
    sharing = replace(world, env=world.env | {"METRICS_PORT": str(port)})
    with sharing.process("watch"):
        eventually("the endpoint", Endpoint(port).healthy)
        second = sharing.loader("watch")
        assert second.returncode == 2
        assert re.fullmatch(rf"loader: settings: .*METRICS_PORT={port}: Address already in use.*\n", second.stderr)
        assert sharing.loader("transform", "--once").returncode == 0, "a run by hand needs no port"


def test_a_process_that_ends_gives_its_port_back(world: World) -> None:
    port = free_port()
    for _ in range(2):
        with replace(world, env=world.env | {"METRICS_PORT": str(port)}).process("watch") as process:
            eventually("the endpoint", Endpoint(port).healthy)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
