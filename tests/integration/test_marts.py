"""From the ledger to the marts: what dbt publishes equals the accepted rows, also after corrections and failures."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from scripts import demo
from scripts.csv_generator import Summary, sheet
from tests.conftest import FIRST_SHEET, World, eventually

SHEETS = [FIRST_SHEET, *(sheet(7, date(2026, 3, day), rows=60, bad_ratio=0.03) for day in range(2, 6))]
HEADER, *LINES = SHEETS[0].content.decode().splitlines()

NET_BY_DATE = "select sale_date, sum(net_sales) as net from kpi.kpi_daily_sales group by 1 order by 1"
# New rows of customers meet it when they take their place; those of dates already when they are built.
OBSTACLE = "alter table kpi.kpi_customers add constraint obstacle check (first_order_date < '2026-03-02') not valid"
BRIEF_LOCK_TIMEOUT = "-c lock_timeout=1s"  # and not the ten of the login
# The indexes that facts and customers had before revision 0008.
EARLIER_INDEXES = """
    do $$
    declare
        lately regclass;
    begin
        for lately in
            select indexrelid from pg_index
            where
                indrelid in ('core.fct_sales_lines'::regclass, 'core.fct_orders'::regclass)
                and pg_get_indexdef(indexrelid) like '%customer_id%'
        loop
            execute format('drop index %s', lately);
        end loop;
    end
    $$;
    create index on core.fct_sales_lines (sale_date);
    create index on core.fct_sales_lines (customer_id, sale_date);
    create index on core.fct_orders (customer_id, sale_date);
"""


def net_by_date(world: World) -> dict[date, Decimal]:
    return {row["sale_date"]: row["net"] for row in world.rows(NET_BY_DATE)}


def mart_version(world: World) -> int:
    return int(world.value("select mart_version from ops.mart_version"))


def load(world: World, key: str, content: bytes) -> None:
    world.drop(key, content)
    done = world.loader("load", key)
    assert done.returncode == 0, done.stdout + done.stderr


def marts(world: World) -> dict[str, list[dict[str, Any]]]:
    """Every row of every core and kpi table, in an order of its own."""
    tables = world.rows("select schemaname, tablename from pg_tables where schemaname in ('core', 'kpi') order by 1, 2")
    names = [f"{table['schemaname']}.{table['tablename']}" for table in tables]
    assert {"core.fct_sales_lines", "kpi.kpi_daily_sales", "kpi.kpi_daily_product_sales"} <= set(names)
    return {name: world.rows(f"select * from {name} as mart order by mart::text") for name in names}


def kpi(world: World) -> dict[str, list[dict[str, Any]]]:
    return {name: rows for name, rows in marts(world).items() if name.startswith("kpi.")}


def test_the_marts_equal_the_sheets_to_the_cent(world: World) -> None:
    for each in SHEETS:
        load(world, each.key, each.content)
    world.transform()
    expected = {date.fromisoformat(each.summary["sale_date"]): each.summary for each in SHEETS}
    rows = world.rows(
        """select sale_date, sum(gross_sales) as gross_sales, sum(discounts) as discounts, sum(returns) as returns,
               sum(net_sales) as net_sales, sum(orders) as orders, sum(units_sold) as units_sold,
               sum(cancelled_value) as cancelled_value
           from kpi.kpi_daily_sales group by sale_date"""
    )
    assert {row["sale_date"] for row in rows} == expected.keys()
    for row in rows:
        summary = expected[row["sale_date"]]
        for money in ("gross_sales", "discounts", "returns", "net_sales", "cancelled_value"):
            assert row[money] == Decimal(str(summary[money])), money
        assert (row["orders"], row["units_sold"]) == (summary["orders"], summary["units_sold"])
    by_product = "select sale_date, sum(net_sales) as net from kpi.kpi_daily_product_sales group by 1 order by 1"
    assert world.rows(by_product) == world.rows(NET_BY_DATE)
    assert world.value("select bool_and(modelled_at >= loaded_at) from raw.files")
    assert world.value("select count(*) from raw.rebuild_queue") == 0


def test_the_demo_reconciles_beside_sheets_of_your_own(world: World) -> None:
    for each in SHEETS:
        load(world, each.key, each.content)
    own = SHEETS[0].content.replace(b"2026-03-01", b"2026-03-03")
    load(world, "CSV/sales_data_own.csv", own)
    world.transform()
    reader = demo.connect(world.env["DASHBOARD_DATABASE_URL"], "dashboard_viewer")
    with reader as marts, demo.connect(world.env["DATABASE_URL"]) as raw:
        manifest = {each.key: each.summary for each in SHEETS}
        assert "5 files" in demo.reconcile(marts, raw, manifest)
        assert "(1 dates of other sheets left out)" in demo.reconcile(marts, raw, manifest)
        wrong: Summary = {**SHEETS[1].summary, "net_sales": "1.00"}
        with pytest.raises(demo.DemoError, match="2026-03-02: the sheets say"):
            demo.reconcile(marts, raw, manifest | {SHEETS[1].key: wrong})


def test_the_marts_follow_a_correction_and_equal_a_full_refresh(world: World) -> None:
    """A first version with two dates; the second lacks one of them, and a customer; the third is a broken file."""
    key = SHEETS[0].key
    other_date = [line.replace("2026-03-01", "2026-02-27", 1) for line in LINES[:6]]
    load(world, key, "\n".join([HEADER, *LINES, *other_date, ""]).encode())
    load(world, SHEETS[1].key, SHEETS[1].content)
    world.transform()
    assert date(2026, 2, 27) in net_by_date(world)
    load(world, key, "\n".join([HEADER, *LINES[:20], ""]).encode())
    world.drop(key, b"broken")
    assert world.loader("load", key).returncode == 1
    world.transform()
    assert list(net_by_date(world)) == [date(2026, 3, 1), date(2026, 3, 2)]
    after_correction = marts(world)
    done = world.dbt("run", "--full-refresh")
    assert done.returncode == 0, done.stdout
    assert marts(world) == after_correction


def test_a_customer_number_of_two_feeds_is_one_customer_only_where_both_share_it(world: World, tmp_path: Path) -> None:
    columns = {"sale_id": "id", "sold_at": "day", "product_id": "product", "quantity": "n", "unit_price": "price"}
    columns |= {"customer_id": "customer", "store_id": "store"}
    here = replace(world, env=world.env | {"FEEDS_DIR": str(tmp_path)})

    def share(*members: str) -> None:
        for name in ("web", "till"):
            feed = {"feed": name, "match": f"{name}/*", "columns": columns, "shares": [*members]}
            (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(feed))

    share()
    for name in ("web", "till"):
        load(here, f"{name}/1.csv", b"id,day,product,n,price,customer,store\nS1,2026-03-02,P,1,10,17,1\n")
    here.transform()
    customers = "select customer_id, orders from kpi.kpi_customers order by customer_id"
    products = "select product_id from core.dim_products order by product_id"
    assert world.rows(customers) == [{"customer_id": "till:17", "orders": 1}, {"customer_id": "web:17", "orders": 1}]
    share("customers", "stores")
    replayed = here.loader("replay", "--since", "1d")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    here.transform()
    assert world.rows(customers) == [{"customer_id": "17", "orders": 2}]
    assert world.rows("select distinct store_id from kpi.kpi_daily_sales") == [{"store_id": "1"}]
    assert world.rows(products) == [{"product_id": "till:P"}, {"product_id": "web:P"}]


def test_a_worker_that_starts_again_before_anything_arrives_is_ready_again(world: World) -> None:
    for _ in range(2):
        world.transform()
    load(world, SHEETS[0].key, SHEETS[0].content)
    world.transform()
    assert list(net_by_date(world)) == [date(2026, 3, 1)]


@pytest.mark.parametrize("built_anew", [False, True])
def test_tables_of_an_earlier_revision_get_the_indexes_of_new_ones(world: World, built_anew: bool) -> None:
    definitions = """
        select tablename, regexp_replace(indexdef, 'INDEX \\S+', 'INDEX') as definition
        from pg_indexes where tablename in ('fct_sales_lines', 'fct_orders')
        order by tablename, definition
    """
    new = world.rows(definitions)
    if not built_anew:
        world.run(EARLIER_INDEXES)
        assert world.rows(definitions) != new
    world.run("update public.alembic_version set version_num = '0007'")
    assert world.loader("migrate").returncode == 0
    assert world.rows(definitions) == new


def test_pairs_of_an_earlier_revision_are_built_anew_though_nothing_waits(modelled: World) -> None:
    published = marts(modelled)
    modelled.run("drop view kpi.kpi_product_pairs; alter table kpi.kpi_monthly_product_pairs drop column all_orders")
    modelled.run("update public.alembic_version set version_num = '0012'")
    assert modelled.loader("migrate").returncode == 0
    modelled.transform()
    assert marts(modelled) == published


@pytest.mark.parametrize(
    ("fault", "remedy", "message"),
    [
        pytest.param(
            "revoke select on raw.sales_lines from transformer",
            "grant select on raw.sales_lines to transformer",
            "permission denied",
            id="first model",
        ),
        pytest.param(
            """create function public.stand_in_the_way() returns event_trigger language plpgsql as $$ begin
                   if exists (
                       select from pg_event_trigger_ddl_commands()
                       where object_identity ~ 'next_.*kpi_daily_product_sales'
                   ) then raise 'an obstacle'; end if; end $$;
               create event trigger obstacle on ddl_command_end execute function public.stand_in_the_way()""",
            "drop event trigger obstacle",
            "an obstacle",
            id="one mart of several",
        ),
    ],
)
def test_a_failed_dbt_run_publishes_nothing_and_is_made_up_for(
    modelled: World, fault: str, remedy: str, message: str
) -> None:
    version, published = mart_version(modelled), kpi(modelled)
    load(modelled, SHEETS[1].key, SHEETS[1].content)
    modelled.run(fault)
    failed = modelled.loader("transform", "--once")
    assert failed.returncode == 1
    assert "nodes=['model." in failed.stderr
    assert message not in failed.stderr  # PostgreSQL's messages may quote rows
    assert (mart_version(modelled), kpi(modelled)) == (version, published)
    assert modelled.value("select count(*) from raw.rebuild_queue") == 1
    (run,) = modelled.rows("select status, error from raw.dbt_runs order by run_id desc limit 1")
    assert run["status"] == "failed"
    assert message in run["error"]
    freshness = modelled.rows("select last_run_status, files_waiting from ops.ops_freshness")
    assert freshness == [{"last_run_status": "failed", "files_waiting": 1}]
    modelled.run(remedy)
    modelled.transform()
    assert mart_version(modelled) == version + 1
    assert len(net_by_date(modelled)) == 2
    assert modelled.value("select count(*) from raw.rebuild_queue") == 0


def test_what_is_missing_is_built_again_and_counts_nothing_twice(modelled: World) -> None:
    there = modelled.rows(
        "select viewname from pg_views where schemaname in ('staging', 'core', 'kpi', 'ops') order by 1"
    )
    modelled.run(
        "drop table kpi.kpi_customers, kpi.kpi_monthly_product_pairs cascade; drop view kpi.kpi_orders cascade"
    )
    load(modelled, SHEETS[1].key, SHEETS[1].content)
    modelled.transform()
    assert (
        modelled.rows("select viewname from pg_views where schemaname in ('staging', 'core', 'kpi', 'ops') order by 1")
        == there
    )
    repeated = marts(modelled)
    done = modelled.dbt("run", "--full-refresh")
    assert done.returncode == 0, done.stdout
    assert marts(modelled) == repeated


def test_a_failed_run_takes_back_what_it_created_in_its_place(modelled: World) -> None:
    modelled.run("drop table kpi.kpi_monthly_product_pairs cascade")
    modelled.run(OBSTACLE)
    load(modelled, SHEETS[1].key, SHEETS[1].content)
    assert modelled.loader("transform", "--once").returncode == 1
    assert modelled.value("select to_regclass('kpi.kpi_monthly_product_pairs') is null")
    modelled.run("alter table kpi.kpi_customers drop constraint obstacle")
    modelled.transform()
    repeated = marts(modelled)
    assert modelled.dbt("run", "--full-refresh").returncode == 0
    assert marts(modelled) == repeated


def test_marts_that_break_a_constraint_are_not_published_and_the_run_has_failed(modelled: World) -> None:
    version, published = mart_version(modelled), marts(modelled)
    load(modelled, SHEETS[1].key, SHEETS[1].content)
    modelled.run(OBSTACLE)
    assert modelled.loader("transform", "--once").returncode == 1
    assert (mart_version(modelled), marts(modelled)) == (version, published)
    (run,) = modelled.rows("select status, error from raw.dbt_runs order by run_id desc limit 1")
    assert (run["status"], "constraint obstacle" in run["error"]) == ("failed", True)
    modelled.run("alter table kpi.kpi_customers drop constraint obstacle")
    modelled.transform()
    assert mart_version(modelled) == version + 1
    assert len(net_by_date(modelled)) == 2


def test_a_run_gives_way_to_who_has_locked_a_mart(modelled: World) -> None:
    modelled.env["PGOPTIONS"] = BRIEF_LOCK_TIMEOUT
    version, published = mart_version(modelled), net_by_date(modelled)
    load(modelled, SHEETS[1].key, SHEETS[1].content)
    with psycopg.connect(modelled.env["ADMIN_DATABASE_URL"]) as other:
        other.execute("lock table core.fct_customer_days in access exclusive mode")
        assert modelled.loader("transform", "--once").returncode == 1
        assert net_by_date(modelled) == published
    (run,) = modelled.rows("select status, error from raw.dbt_runs order by run_id desc limit 1")
    assert (run["status"], "lock timeout" in run["error"]) == ("failed", True)
    assert (mart_version(modelled), net_by_date(modelled)) == (version, published)
    modelled.transform()
    assert len(net_by_date(modelled)) == 2


def test_a_mart_that_is_locked_when_its_rows_are_put_in_place_fails_the_run(modelled: World) -> None:
    modelled.env["PGOPTIONS"] = BRIEF_LOCK_TIMEOUT
    published = marts(modelled)
    load(modelled, SHEETS[1].key, SHEETS[1].content)
    with psycopg.connect(modelled.env["ADMIN_DATABASE_URL"]) as other:
        other.execute("lock table core.dim_products in exclusive mode")  # who reads goes on
        assert modelled.loader("transform", "--once").returncode == 1
    (run,) = modelled.rows("select status, error from raw.dbt_runs order by run_id desc limit 1")
    assert run["status"] == "failed"
    assert "another session has locked" in run["error"], run["error"]
    assert marts(modelled) == published
    modelled.transform()
    assert len(net_by_date(modelled)) == 2


def test_a_run_that_dies_in_the_moment_of_publishing_leaves_its_work_to_the_next(modelled: World) -> None:
    version, published = mart_version(modelled), marts(modelled)
    load(modelled, SHEETS[1].key, SHEETS[1].content)
    modelled.run(
        "create or replace function ops.publish(next text) returns void language plpgsql as "
        "$$ begin perform pg_terminate_backend(pg_backend_pid()); end $$"
    )
    assert modelled.loader("transform", "--once").returncode == 1
    assert modelled.value("select status from raw.dbt_runs order by run_id desc limit 1") == "running"
    assert (mart_version(modelled), marts(modelled)) == (version, published)
    modelled.run("update public.alembic_version set version_num = '0010'")
    assert modelled.loader("migrate").returncode == 0
    modelled.transform()
    assert (mart_version(modelled), len(net_by_date(modelled))) == (version + 1, 2)


def test_connections_of_a_run_serve_the_next_and_are_replaced_once_cut_off(world: World) -> None:
    of_dbt = "from pg_stat_activity where usename = 'transformer' and datname = current_database()"

    def arrives(number: int) -> set[int]:
        load(world, SHEETS[number].key, SHEETS[number].content)
        eventually("its marts are published", lambda: len(net_by_date(world)) == number + 1)
        return {row["pid"] for row in world.rows(f"select pid {of_dbt}")}

    with world.process("transform"):
        first = arrives(0)
        assert first
        assert first <= arrives(1)
        world.run(f"select pg_terminate_backend(pid) {of_dbt}")
        assert not first & arrives(2)
    assert world.rows("select distinct status from raw.dbt_runs") == [{"status": "succeeded"}]


def test_a_burst_of_files_is_one_run(world: World) -> None:
    for each in SHEETS:
        load(world, each.key, each.content)
    world.transform()
    assert world.rows("select dates, files, status from raw.dbt_runs") == [
        {"dates": 5, "files": 5, "status": "succeeded"}
    ]


def test_a_worker_that_died_leaves_its_work_to_the_next(world: World) -> None:
    load(world, SHEETS[0].key, SHEETS[0].content)
    world.run("insert into raw.dbt_runs (dates, files) values (1, 1)")
    world.run("update raw.rebuild_queue set run_id = (select max(run_id) from raw.dbt_runs)")
    world.transform()
    assert world.rows("select status from raw.dbt_runs order by run_id") == [
        {"status": "failed"},
        {"status": "succeeded"},
    ]
    assert net_by_date(world) == {date(2026, 3, 1): Decimal(SHEETS[0].summary["net_sales"])}


def test_a_dropped_sheet_is_in_the_marts_and_subscribers_are_told(world: World) -> None:
    with (
        psycopg.connect(world.env["DASHBOARD_DATABASE_URL"], autocommit=True) as listener,
        world.process("watch"),
        world.process("run"),
    ):
        listener.execute("listen mart_version")
        world.drop(SHEETS[0].key, SHEETS[0].content)
        (notice,) = list(listener.notifies(timeout=60, stop_after=1))
        assert int(notice.payload) == mart_version(world)
        assert net_by_date(world) == {date(2026, 3, 1): Decimal(SHEETS[0].summary["net_sales"])}
        world.drop(SHEETS[1].key, SHEETS[1].content)
        eventually("the second sheet", lambda: len(net_by_date(world)) == 2)


@pytest.mark.parametrize(
    "statement",
    [
        "select * from raw.sales_lines",
        "select * from raw.files",
        "select * from core.fct_sales_lines",
        "update ops.mart_version set mart_version = 0",
        "create table kpi.mine (a int)",
    ],
)
def test_the_dashboard_role_reads_marts_and_nothing_else(world: World, statement: str) -> None:
    with psycopg.connect(world.env["DASHBOARD_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("set role dashboard_full")
        assert connection.execute("select count(*) from kpi.kpi_daily_sales").fetchone() == (0,)
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
            connection.execute(statement)


def test_dbt_works_from_the_shell(world: World) -> None:
    load(world, SHEETS[0].key, SHEETS[0].content)
    # Unit tests need no rows, and have been run with every other test in test_dbt_project.py.
    test = ["test", "--exclude-resource-type", "unit_test"]
    for command in (["run"], test, ["docs", "generate", "--static"], ["source", "freshness"]):
        done = world.dbt("--warn-error", *command)
        assert done.returncode == 0, done.stdout
    assert net_by_date(world) == {date(2026, 3, 1): Decimal(SHEETS[0].summary["net_sales"])}
