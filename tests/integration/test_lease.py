"""One dbt worker at a time: one that hangs is relieved, changes nothing when it wakes up, and nobody else keeps it."""

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from subprocess import Popen
from typing import Any

import psycopg
import pytest

from loader.errors import TransientError
from loader.lease import Lease
from loader.warehouse import Warehouse
from scripts.csv_generator import sheet
from tests.conftest import DEADLINE_SECONDS, World, eventually
from tests.integration.test_marts import load, mart_version, marts, net_by_date
from tests.integration.test_metrics import Endpoint, serving
from tests.integration.test_operating import state_of

SHEETS = [sheet(7, date(2026, 3, day), rows=60) for day in range(1, 4)]


@pytest.fixture
def brief(world: World) -> World:
    """A world in which a worker may be silent for three seconds."""
    return replace(world, env=world.env | {"LEASE_SECONDS": "3"})


def publishes(world: World, version: int) -> None:
    eventually(f"version {version}", lambda: mart_version(world) == version)


def stop(process: Popen[bytes]) -> None:
    """It stands still from now on, and all that it holds it goes on holding."""
    process.send_signal(signal.SIGSTOP)
    eventually("it to stand still", lambda: state_of(process.pid) == "T")


def holder(world: World) -> object:
    return world.value("select holder from raw.transform_lease")


def worker_of(endpoint: Endpoint) -> dict[str, Any]:
    found = endpoint.health()[1].get("dbt_worker")
    return found if isinstance(found, dict) else {}


def test_a_worker_that_stands_still_in_a_run_is_relieved_and_changes_nothing_when_it_wakes_up(brief: World) -> None:
    in_place = (
        "select * from pg_locks "
        "where relation = 'core.fct_sales_lines'::regclass and mode = 'RowExclusiveLock' and granted"
    )
    in_dbt = "select * from pg_stat_activity where application_name = %s and wait_event = 'relation'"
    load(brief, SHEETS[0].key, SHEETS[0].content)
    brief.transform()
    with brief.process("transform") as first, psycopg.connect(brief.env["ADMIN_DATABASE_URL"]) as other:
        taken_by = eventually("its turn", lambda: holder(brief))
        other.execute("lock table kpi.kpi_customers in access exclusive mode")  # so that it stays in its run
        load(brief, SHEETS[1].key, SHEETS[1].content)
        eventually("rows in place", lambda: brief.rows(in_place))
        eventually("a model at work", lambda: brief.rows(in_dbt, f"dbt of {taken_by}"))
        stop(first)
        other.rollback()
        with brief.process("transform"):
            publishes(brief, 2)
            assert list(net_by_date(brief)) == [date(2026, 3, 1), date(2026, 3, 2)]
            left = "select * from pg_stat_activity where application_name = %s"
            assert brief.rows(left, f"dbt of {taken_by}") == []
            before = marts(brief), brief.rows("select * from raw.dbt_runs order by run_id")
            first.send_signal(signal.SIGCONT)
            assert first.wait(DEADLINE_SECONDS) == 1
            assert (marts(brief), brief.rows("select * from raw.dbt_runs order by run_id")) == before
            load(brief, SHEETS[2].key, SHEETS[2].content)
            publishes(brief, 3)
    assert [row["status"] for row in brief.rows("select status from raw.dbt_runs order by run_id")] == [
        "succeeded",
        "failed",
        "succeeded",
        "succeeded",
    ]


def test_an_idle_worker_that_stands_still_is_said_to_be_silent_and_relieved(brief: World) -> None:
    with serving(brief, "watch") as watcher, brief.process("transform") as first:
        taken_by = eventually("its turn", lambda: holder(brief))
        assert (worker_of(watcher)["holder"], worker_of(watcher)["silent"]) == (str(taken_by), False)
        assert brief.value("select worker_silent_since from ops.ops_freshness") is None
        stop(first)
        eventually("it to be silent", lambda: worker_of(watcher)["silent"])
        assert (watcher.value("loader_dbt_worker_silence_seconds") or 0) > 3
        told = json.loads(brief.loader("status", "--json").stdout)["dbt_worker"]
        assert (told["holder"], told["silent"]) == (str(taken_by), True)
        seen_at = brief.value("select seen_at from raw.transform_lease")
        assert brief.value("select worker_silent_since from ops.ops_freshness") == seen_at
        load(brief, SHEETS[0].key, SHEETS[0].content)
        with brief.process("transform"):
            publishes(brief, 1)
            assert worker_of(watcher)["silent"] is False
            assert brief.value("select worker_silent_since from ops.ops_freshness") is None
            first.send_signal(signal.SIGCONT)
            assert first.wait(DEADLINE_SECONDS) == 1
            assert holder(brief) not in (taken_by, None)
            load(brief, SHEETS[1].key, SHEETS[1].content)
            publishes(brief, 2)
    assert holder(brief) is None, "it was given back"


def test_the_lock_of_another_login_keeps_no_worker_from_its_work(world: World) -> None:
    load(world, SHEETS[0].key, SHEETS[0].content)
    with psycopg.connect(world.env["DASHBOARD_DATABASE_URL"], autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtextextended('transform', 0))")
        for statement in (
            "update raw.transform_lease set holder = gen_random_uuid()",
            "select * from raw.transform_lease for update",
            "do $$ begin lock table raw.transform_lease; end $$",
            "select ops.end_dbt_of_others(gen_random_uuid())",
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                other.execute(statement)
        world.transform()
    assert mart_version(world) == 1


def test_a_worker_whose_lease_is_taken_in_a_run_publishes_nothing_and_says_why(world: World) -> None:
    load(world, SHEETS[0].key, SHEETS[0].content)
    world.run(
        """create function raw.take() returns trigger language plpgsql security definer as
           $$ begin update raw.transform_lease set holder = gen_random_uuid(); return null; end $$;
           create trigger take after update on ops.mart_version execute function raw.take()"""
    )
    done = world.loader("transform", "--once")
    assert (done.returncode, "has lost its lease" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr
    assert mart_version(world) == 0
    assert world.value("select status from raw.dbt_runs") == "running", "it is the next worker's to abandon"
    world.run("drop trigger take on ops.mart_version")
    world.transform()
    assert mart_version(world) == 1


@pytest.fixture
def warehouse(world: World) -> Iterator[Warehouse]:
    with closing(Warehouse(world.settings.database_url.get_secret_value())) as warehouse:
        yield warehouse


def test_the_lease_is_free_at_once_where_it_was_given_back_or_its_session_ended(
    world: World, warehouse: Warehouse
) -> None:
    with warehouse.session() as session, warehouse.session() as other:
        first, second = Lease(warehouse, session, 300), Lease(warehouse, other, 300)
        with first.kept():
            assert first.take()
            assert not second.take()
        assert second.take(), "it was given back"
        with pytest.raises(TransientError, match="has lost its lease"):
            first.hold()
        pid = world.value("select pid from raw.transform_lease")
        world.run(f"select pg_terminate_backend({pid}, 10000)")
        assert first.take(), "its session was ended"


def test_a_silent_holder_that_keeps_the_row_locked_is_ended_and_waited_for_by_nobody(
    world: World, warehouse: Warehouse
) -> None:
    def stand_still_in_the_moment_of_publishing() -> None:
        with warehouse.session() as session, warehouse.session() as other:
            silent, waiting = Lease(warehouse, session, 0.5), Lease(warehouse, other, 300)
            assert silent.take()
            silent.hold()
            eventually("the other to take over", waiting.take)
            silent.hold()

    with pytest.raises(TransientError, match="session with PostgreSQL was lost"):
        stand_still_in_the_moment_of_publishing()


def test_only_the_sessions_of_other_workers_are_ended(world: World, warehouse: Warehouse) -> None:
    login = f"host={world.env['PGHOST']} port={world.env['PGPORT']} user=transformer dbname={world.env['PGDATABASE']}"
    with warehouse.session() as session:
        lease = Lease(warehouse, session, 300)
        names = [lease.application_name, "dbt", "dbt of another"]
        opened = [
            psycopg.connect(login, password=world.env["PGPASSWORD"], application_name=name, autocommit=True)
            for name in names
        ]
        assert lease.take()
        alive = [name for name, connection in zip(names, opened, strict=True) if answers(connection)]
        for connection in opened:
            connection.close()
    assert alive == names[:2]


def answers(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return False
    return True
