"""One run of arrivals at a time, whoever began it; what a person types ends in right figures or in a clear refusal."""

import json
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from tests import forked
from tests.conftest import DEADLINE_SECONDS, PROJECT, World, eventually
from tests.integration.test_histories import marts as views_and_marts
from tests.integration.test_marts import SHEETS, load, mart_version, marts, net_by_date
from tests.integration.test_operating import state_of

VIEWS = "select schemaname, viewname from pg_views where schemaname in ('staging', 'core', 'kpi', 'ops') order by 1, 2"


def arrive(world: World, *numbers: int) -> None:
    for number in numbers:
        load(world, SHEETS[number].key, SHEETS[number].content)


@contextmanager
def typed(world: World, *arguments: str) -> Iterator[forked.Process]:
    """A dbt that a person has started for the production target, and that goes on meanwhile."""
    with forked.Process([forked.DBT, *arguments, "--target", "prod"], PROJECT, world.env) as process:
        yield process


def equals_a_full_refresh(world: World) -> bool:
    world.transform()  # a worker may not have come to the marts of the whole history
    before = views_and_marts(world)
    done = world.dbt("run", "--full-refresh")
    assert done.returncode == 0, done.stdout
    return views_and_marts(world) == before


def test_a_reader_that_meets_a_publication_the_other_way_round_does_not_undo_it(modelled: World) -> None:
    version = mart_version(modelled)
    waits = "select 1 from pg_locks where not granted and relation = 'kpi.kpi_monthly_product_sales'::regclass"
    with (
        psycopg.connect(modelled.env["ADMIN_DATABASE_URL"]) as reader,
        typed(modelled, "run", "--full-refresh") as refresh,
    ):
        reader.execute("select count(*) from kpi.kpi_monthly_product_sales")
        eventually("the publication waits for the reader", lambda: modelled.rows(waits))
        # It is exchanged already. PostgreSQL looks for a circle when somebody has waited for a second: the publication.
        assert reader.execute("select count(*) from core.fct_orders").fetchone()
        reader.commit()
        assert refresh.wait(DEADLINE_SECONDS) == 0
    assert mart_version(modelled) == version + 1


def test_a_view_that_goes_while_a_table_below_it_is_exchanged_does_not_undo_the_publication(modelled: World) -> None:
    waits = "select 1 from pg_locks where not granted and relation = 'kpi.replaced'::regclass"
    modelled.run("create view kpi.replaced as select * from kpi.kpi_cohort_months")
    with (
        psycopg.connect(modelled.env["ADMIN_DATABASE_URL"]) as other,
        typed(modelled, "run", "--selector", "history") as history,
    ):
        other.execute("drop view kpi.replaced")
        eventually("the publication waits for the text of the view", lambda: modelled.rows(waits))
        other.commit()
        assert history.wait(DEADLINE_SECONDS) == 0
    assert not modelled.rows("select 1 from pg_views where viewname = 'replaced'")


def test_what_would_publish_a_part_is_refused(modelled: World) -> None:
    before, version = marts(modelled), mart_version(modelled)
    arrive(modelled, 1)
    for command, message in {
        "run --select fct_sales_lines": "select fct_sales_lines+",
        "build --full-refresh --select fct_orders": "select fct_orders+",
        "run --select kpi_rfm_segments": "select kpi_customer_rfm+",
        "run --empty": "use them with --target dev",
        "build --sample '3 days'": "use them with --target dev",
    }.items():
        done = modelled.dbt(*shlex.split(command))
        assert (done.returncode != 0, message in done.stdout) == (True, True), done.stdout
        assert (marts(modelled), mart_version(modelled)) == (before, version)


def test_a_selection_leaves_every_view_and_figure_right_also_after_a_failed_run(modelled: World) -> None:
    views = modelled.rows(VIEWS)
    for number, command in enumerate(
        (
            "run --full-refresh --select kpi_daily_sales",
            "run --select kpi_monthly_product_pairs",
            "build --select kpi_daily_sales+ --exclude-resource-type unit_test",
            "run --full-refresh --select fct_orders+",
        ),
        start=1,
    ):
        arrive(modelled, number)
        modelled.run("revoke select on raw.sales_lines from transformer")
        assert modelled.loader("transform", "--once").returncode == 1
        modelled.run("grant select on raw.sales_lines to transformer")
        done = modelled.dbt(*command.split())
        assert done.returncode == 0, done.stdout
        assert modelled.rows(VIEWS) == views
        assert modelled.value("select count(*) from raw.rebuild_queue") > 0, "nobody has rebuilt the whole of it"
    modelled.transform()
    assert modelled.rows(VIEWS) == views
    assert len(net_by_date(modelled)) == 5
    assert modelled.value("select count(*) from raw.rebuild_queue") == 0
    assert equals_a_full_refresh(modelled)


def test_a_full_refresh_beside_a_busy_worker_loses_nothing(modelled: World) -> None:
    """It waits for the run that is under way, and the worker for it."""
    running = "select 1 from raw.dbt_runs where status = 'running' and (started_by like 'the loader%%') is {}"
    with modelled.process("transform"):
        arrive(modelled, 1)
        eventually(
            "the worker to be at it", lambda: modelled.rows(running.format(True)) or len(net_by_date(modelled)) == 2
        )
        with typed(modelled, "run", "--full-refresh") as refresh:
            eventually("the refresh to be at it", lambda: modelled.rows(running.format(False)))
            arrive(modelled, 2)
            assert refresh.wait(DEADLINE_SECONDS) == 0
        eventually("every sheet in the marts", lambda: len(net_by_date(modelled)) == 3)
    assert list(net_by_date(modelled).values()) == [Decimal(each.summary["net_sales"]) for each in SHEETS[:3]]
    assert modelled.rows("select started_by, error from raw.dbt_runs where status <> 'succeeded'") == []


def test_a_run_of_a_person_publishes_as_the_worker_does(world: World) -> None:
    arrive(world, 0)
    with psycopg.connect(world.env["DASHBOARD_DATABASE_URL"], autocommit=True) as listener:
        listener.execute("listen mart_version")
        done = world.dbt("run")
        assert done.returncode == 0, done.stdout
        (notice,) = list(listener.notifies(timeout=10, stop_after=1))
        assert int(notice.payload) == mart_version(world) == 1
    assert world.value("select count(*) from raw.rebuild_queue") == 0
    assert world.value("select bool_and(modelled_at is not null) from raw.files")
    (run,) = world.rows("select * from raw.dbt_runs")
    assert (run["status"], run["dates"], run["files"], run["mart_version"]) == ("succeeded", 1, 1, 1)
    assert "dbt run" in run["started_by"]


def test_a_second_run_says_who_is_at_it_and_changes_nothing(modelled: World) -> None:
    with psycopg.connect(modelled.env["ADMIN_DATABASE_URL"]) as other:
        other.execute("lock table kpi.kpi_daily_sales in share mode")  # so that the first one stays at its end
        patient = replace(modelled, env=modelled.env | {"PGOPTIONS": "-c lock_timeout=0"})
        with typed(patient, "run", "--full-refresh") as first:
            eventually(
                "its claim", lambda: modelled.value("select count(*) from raw.dbt_runs where status = 'running'")
            )
            second = modelled.dbt("run", "--vars", "{wait_for_other_run_seconds: 1}")
            assert second.returncode != 0
            assert "another dbt run is under way" in second.stdout
            assert "dbt run --full-refresh" in second.stdout
            told = json.loads(modelled.loader("status", "--json").stdout)["dbt_under_way"]
            assert "dbt run --full-refresh" in told["started_by"]
            assert told["silent_seconds"] < DEADLINE_SECONDS
            other.rollback()
            assert first.wait(DEADLINE_SECONDS) == 0
    assert mart_version(modelled) == 2


def test_a_run_that_stands_still_is_relieved_and_changes_nothing_when_it_wakes_up(modelled: World) -> None:
    brief = replace(modelled, env=modelled.env | {"LEASE_SECONDS": "3"})
    arrive(brief, 1)
    with psycopg.connect(brief.env["ADMIN_DATABASE_URL"]) as other, brief.process("transform") as first:
        other.execute("lock table core.fct_customer_days in access exclusive mode")  # so that it stays in its run
        eventually(
            "a model at work",
            lambda: brief.rows(
                "select * from pg_stat_activity where usename = 'transformer' and wait_event = 'relation'"
            ),
        )
        first.send_signal(signal.SIGSTOP)
        eventually("it to stand still", lambda: state_of(first.pid) == "T")
        other.rollback()
        with brief.process("transform"):
            eventually("version 2", lambda: mart_version(brief) == 2)
            first.send_signal(signal.SIGCONT)
            arrive(brief, 2)
            eventually("version 3", lambda: mart_version(brief) == 3)
        assert len(net_by_date(brief)) == 3
    told = [row["error"] for row in brief.rows("select error from raw.dbt_runs where status = 'failed'")]
    assert any("taken over by" in (error or "") for error in told)
    assert equals_a_full_refresh(modelled)


def test_dates_that_wait_and_no_run_begins_are_said(world: World) -> None:
    arrive(world, 0)
    still = "select title, since from ops.problems where problem = 'standing still'"
    assert world.rows(still) == []
    world.run("update raw.rebuild_queue set enqueued_at = now() - interval '6 minutes'")
    since = world.value("select enqueued_at from raw.rebuild_queue")
    assert world.rows(still) == [{"title": "Waiting for dbt", "since": since}]
    world.transform()
    assert world.rows(still) == []


def test_no_other_login_begins_or_ends_a_run(world: World) -> None:
    with psycopg.connect(world.env["DASHBOARD_DATABASE_URL"], autocommit=True) as other:
        for statement in (
            "select raw.begin_run('x', 'x', 1, 1, true, true)",
            "select raw.finish_run('x', null, null, true, true, null)",
            "select ops.end_sessions_of_run('x')",
            "select ops.sessions_of_run('x')",
            "update raw.dbt_runs set status = 'failed'",
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                other.execute(statement)


@pytest.mark.parametrize("lacking", ["drop schema raw cascade", "drop table ops.seam cascade"])
def test_a_database_that_is_not_migrated_is_said_once(world: World, lacking: str) -> None:
    world.run(lacking)
    for target in ("prod", "dev"):
        done = world.dbt("build", target=target)
        assert done.returncode != 0
        assert done.stdout.count("loader migrate") == 1
