"""Marts of the whole history: built by runs of their own, which hold up no arrival and are held up by none."""

from contextlib import closing
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import psycopg

from loader.sql.transform import waiting_for_dbt
from loader.warehouse import Warehouse
from tests.conftest import DEADLINE_SECONDS, World, eventually
from tests.integration.test_marts import SHEETS, load, mart_version, net_by_date
from tests.integration.test_runs import arrive, equals_a_full_refresh, typed

HISTORY = {"kpi_cohort_months", "kpi_customer_rfm", "kpi_monthly_product_pairs", "kpi_rfm_segments"}
ORDERS = "select coalesce(sum(orders), 0) from kpi.kpi_cohort_months"
# What fct_customer_days has of the same orders.
ALL_ORDERS = "select coalesce(sum(orders), 0) from core.fct_customer_days where customer_id <> 'unknown'"


def told(world: World) -> dict[str, dict[str, Any]]:
    return {row["mart"]: row for row in world.rows("select * from ops.ops_history_marts")}


def as_of(world: World) -> datetime:
    (moment,) = {row["as_of"] for row in told(world).values()}
    assert isinstance(moment, datetime)
    return moment


def test_an_arrival_leaves_them_behind_and_says_so_until_they_are_built(world: World) -> None:
    arrive(world, 0)
    assert told(world) == {}
    world.transform()
    assert set(told(world)) == HISTORY
    assert not any(row["is_behind"] for row in told(world).values())
    first, counted = as_of(world), world.value(ORDERS)
    assert counted == world.value(ALL_ORDERS) > 0

    arrive(world, 1)
    done = world.dbt("build", "--selector", "on_arrival")
    assert done.returncode == 0, done.stdout
    assert len(net_by_date(world)) == 2
    assert world.value("select count(*) from raw.rebuild_queue") == 0
    assert (as_of(world), world.value(ORDERS)) == (first, counted)
    assert all(row["is_behind"] for row in told(world).values())

    version = mart_version(world)
    done = world.dbt("build", "--selector", "history")
    assert done.returncode == 0, done.stdout
    assert mart_version(world) == version + 1, "pages are told"
    assert as_of(world) > first
    assert not any(row["is_behind"] for row in told(world).values())
    assert world.value(ORDERS) == world.value(ALL_ORDERS) > counted
    (run,) = world.rows("select * from raw.dbt_runs order by run_id desc limit 1")
    assert (run["is_live"], run["is_history"], run["dates"], run["status"]) == (False, True, 0, "succeeded")


def test_a_run_of_the_history_holds_up_no_arrival_and_says_of_which_facts_it_is(modelled: World) -> None:
    first = as_of(modelled)
    arrive(modelled, 1)
    done = modelled.dbt("build", "--selector", "on_arrival")
    assert done.returncode == 0, done.stdout
    between = modelled.value("select max(finished_at) from raw.dbt_runs")
    # It stands at its end while a sheet arrives and is published.
    patient = replace(modelled, env=modelled.env | {"PGOPTIONS": "-c lock_timeout=0"})
    with (
        typed(patient, "build", "--selector", "history") as slow,
        psycopg.connect(modelled.env["ADMIN_DATABASE_URL"]) as other,
    ):
        eventually(
            "its claim",
            lambda: modelled.value("select count(*) from raw.dbt_runs where status = 'running' and is_history"),
        )
        other.execute("lock table kpi.kpi_cohort_months in share mode")  # which it exchanges at its end
        arrive(modelled, 2)
        done = modelled.dbt("build", "--selector", "on_arrival")
        assert done.returncode == 0, done.stdout
        assert len(net_by_date(modelled)) == 3
        assert as_of(modelled) == first
        other.rollback()
        assert slow.wait(DEADLINE_SECONDS) == 0
    assert as_of(modelled) == between, "of the facts that it began with, whatever came later"
    assert all(row["is_behind"] for row in told(modelled).values())
    modelled.transform()
    assert not any(row["is_behind"] for row in told(modelled).values())


def test_a_second_run_of_the_history_is_refused(modelled: World) -> None:
    modelled.run(
        "insert into raw.dbt_runs (invocation_id, started_by, dates, files, is_live, is_history)"
        " values ('x', 'Ann', 0, 0, false, true)"
    )
    done = modelled.dbt("run", "--selector", "history", "--vars", "{wait_for_other_run_seconds: 1}")
    assert done.returncode != 0
    assert "another dbt run is under way: Ann" in done.stdout
    # It shows no life: the next one takes over after a while.
    done = modelled.dbt("run", "--selector", "history")
    assert done.returncode == 0, done.stdout
    (run,) = modelled.rows("select status, error from raw.dbt_runs where invocation_id = 'x'")
    assert run["status"] == "failed"
    assert "taken over by" in run["error"]


def test_the_worker_builds_them_when_nothing_waits(modelled: World) -> None:
    first = as_of(modelled)
    modelled.env["HISTORY_SECONDS"] = "1"
    with modelled.process("transform"):
        arrive(modelled, 1)
        eventually("the sheet in the marts", lambda: len(net_by_date(modelled)) == 2)
        eventually("marts of the whole history", lambda: as_of(modelled) > first)
    assert not any(row["is_behind"] for row in told(modelled).values())
    assert modelled.value(ORDERS) == modelled.value(ALL_ORDERS)
    kinds = modelled.rows("select is_live, is_history, status from raw.dbt_runs order by run_id")
    assert [tuple(row.values()) for row in kinds] == [
        (True, True, "succeeded"), (True, False, "succeeded"), (False, True, "succeeded"),
    ]  # fmt: skip


def test_they_take_a_tenth_of_the_time_at_most(modelled: World) -> None:
    """What the worker asks, where the last run of the whole history took so long, and ended so long ago."""
    marts = [f"kpi.{mart}" for mart in HISTORY]
    modelled.run("update ops.history_marts set as_of = as_of - interval '1 hour' where mart = 'kpi.kpi_cohort_months'")
    modelled.run("insert into ops.history_marts (mart, as_of) values ('kpi.gone', '2000-01-01')")
    cases = (("1 s", "20 s", False), ("1 s", "31 s", True), ("5 s", "31 s", False), ("5 s", "46 s", True))
    with closing(Warehouse(modelled.env["DATABASE_URL"])) as warehouse, warehouse.session() as session:
        for took, ended, is_due in cases:
            modelled.run("delete from raw.dbt_runs where not is_live")
            modelled.run(
                "insert into raw.dbt_runs (status, started_at, finished_at, dates, files, is_live, is_history)"
                f" select 'succeeded', ended - interval '{took}', ended, 0, 0, false, true"
                f" from (select now() - interval '{ended}' as ended) as moment"
            )
            row = waiting_for_dbt(session, lease_seconds=300, history_seconds=30, history_marts=marts)
            session.commit()
            assert (row.is_behind, row.is_due) == (True, is_due), (took, ended)
        modelled.run("update ops.history_marts set as_of = now() where mart <> 'kpi.gone'")
        row = waiting_for_dbt(session, lease_seconds=300, history_seconds=30, history_marts=marts)
        assert (row.is_behind, row.is_due) == (False, False), "a mart that the project does not have is not missed"


def test_a_run_of_arrivals_rebuilds_its_own_dates_whatever_begins_meanwhile(world: World) -> None:
    """A date goes with the only file that had it, and a run of the whole history begins before any model is built."""
    arrive(world, 0, 1)
    world.transform()
    load(world, SHEETS[0].key, SHEETS[2].content)
    patient = replace(world, env=world.env | {"PGOPTIONS": "-c lock_timeout=0"})
    running = "select count(*) from raw.dbt_runs where status = 'running' and {}"
    with psycopg.connect(world.env["ADMIN_DATABASE_URL"]) as other:
        other.execute("lock table core.fct_sales_lines in access exclusive mode")
        with typed(patient, "build", "--selector", "on_arrival") as live:
            eventually("the claim of dates", lambda: world.value(running.format("is_live")))
            with typed(patient, "run", "--selector", "history") as history:
                eventually("both claims", lambda: world.value(running.format("is_history")))
                other.rollback()
                assert history.wait(DEADLINE_SECONDS) == 0
            assert live.wait(DEADLINE_SECONDS) == 0
    assert list(net_by_date(world)) == [date(2026, 3, 2), date(2026, 3, 3)]
    assert world.value("select count(*) from raw.rebuild_queue") == 0
    assert equals_a_full_refresh(world)


def test_views_that_a_person_has_built_are_built_again_by_the_next_arrival(modelled: World) -> None:
    """They may be those of another project: only what the loader has built itself is taken for its own."""
    assert modelled.value("select is_touched from raw.dbt_project") is False
    assert modelled.dbt("run", "--select", "kpi_orders").returncode == 0
    assert modelled.value("select is_touched from raw.dbt_project") is True
    said = "select obj_description('kpi.kpi_orders'::regclass)"
    described = modelled.value(said)
    modelled.run("comment on view kpi.kpi_orders is 'of another project'")
    arrive(modelled, 1)
    modelled.transform()
    assert modelled.value(said) == described
    assert modelled.value("select is_touched from raw.dbt_project") is False
