"""Who may read what is decided by the database, and dbt keeps it so whatever it makes anew."""

from collections.abc import Iterator
from datetime import date

import psycopg
import pytest

from scripts.csv_generator import sheet
from scripts.stack import Stack
from tests.conftest import WITHOUT_TESTS, World, at_database, new_world

SHEET = sheet(7, date(2026, 3, 1), rows=60, bad_ratio=0.05)
# Every column that shows who bought, or a row that nobody could read.
PERSONAL = "column_name in ('customer_id', 'customer_name', 'raw_text', 'errors', 'reasons')"
READABLE = """
    select table_schema || '.' || table_name || '.' || column_name as name
    from information_schema.columns
    where table_schema in ('kpi', 'ops') and has_column_privilege(
        %s, format('%%I.%%I', table_schema, table_name)::regclass, column_name, 'select'
    )
    order by 1
"""
CUSTOMERS = {"kpi.kpi_customers", "kpi.kpi_customer_rfm", "kpi.kpi_order_lines"}
REJECTS = {"ops.ops_rejected_rows"}
ROLES = {
    "dashboard": set(),
    "dashboard_writer": set(),
    "dashboard_viewer": {"viewer"},
    "dashboard_customers": {"viewer", "customers"},
    "dashboard_rejects": {"viewer", "rejects"},
    "dashboard_full": {"viewer", "customers", "rejects"},
    "analyst": {"viewer", "customers", "rejects"},
}
DASHBOARDS_OWN = (
    "saved_views", "default_views", "alert_rules", "alert_events", "deliveries", "reports", "report_issues",
    "target_changes", "annotations",
)  # fmt: skip


@pytest.fixture(scope="module")
def loaded(stack: Stack, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with one day in its marts, and rejected rows; every test leaves it with the grants it should have."""
    with new_world(stack, template, tmp_path_factory.mktemp("access")) as world:
        world.drop(SHEET.key, SHEET.content)
        assert world.loader("load", SHEET.key).returncode == 0
        world.transform()
        yield world


@pytest.fixture
def login(loaded: World) -> Iterator[psycopg.Connection]:
    """A session of the dashboard's login."""
    with psycopg.connect(loaded.env["DASHBOARD_DATABASE_URL"], autocommit=True) as connection:
        yield connection


def readable(world: World, role: str) -> set[str]:
    return {row["name"] for row in world.rows(READABLE, role)}


def check(world: World) -> None:
    """Every role reads what it should, column by column, and nothing more."""
    columns = {
        f"{row['relation']}.{row['column_name']}": row
        for row in world.rows(
            f"select format('%%I.%%I', table_schema, table_name) as relation, column_name, {PERSONAL} as personal "
            "from information_schema.columns where table_schema in ('kpi', 'ops')"
        )
    }
    of = {
        "customers": {name for name, row in columns.items() if row["relation"] in CUSTOMERS},
        "rejects": {name for name, row in columns.items() if row["relation"] in REJECTS},
    }
    hidden = (of["customers"] - {name for name in columns if name.startswith("kpi.kpi_order_lines.")}) | of["rejects"]
    of["viewer"] = {name for name, row in columns.items() if not row["personal"]} - hidden
    for role, parts in ROLES.items():
        assert readable(world, role) == {name for part in parts for name in of[part]}, role


def test_a_role_reads_its_part_of_the_marts_and_no_more(loaded: World) -> None:
    check(loaded)


@pytest.mark.parametrize(
    "statement",
    [
        "select customer_id from kpi.kpi_customers",
        "select customer_id from kpi.kpi_customer_rfm",
        "select customer_name from kpi.kpi_order_lines",
        "select sale_id from kpi.kpi_order_lines where customer_id = 'CUST-1'",
        "select * from kpi.kpi_order_lines",
        "select raw_text from ops.ops_rejected_rows",
        "select count(*) from ops.ops_rejected_rows",
        "insert into dashboard.saved_views (name, page, query) values ('mine', '', '')",
    ],
)
def test_postgresql_refuses_a_viewer(login: psycopg.Connection, statement: str) -> None:
    login.execute("set role dashboard_viewer")
    login.execute("set default_transaction_read_only = off")  # so that it is the grant that refuses
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        login.execute(statement.encode())


def test_a_viewer_reads_order_lines_without_who_bought(login: psycopg.Connection, loaded: World) -> None:
    login.execute("set role dashboard_viewer")
    rows = login.execute("select count(*), sum(net_amount) from kpi.kpi_order_lines").fetchone()
    assert rows == tuple(
        loaded.rows("select count(*) as n, sum(net_amount) as s from core.fct_sales_lines")[0].values()
    )


def test_the_login_without_a_role_reads_nothing(login: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        login.execute("select count(*) from kpi.kpi_daily_sales")


def test_readers_are_read_only_and_short_whatever_role_they_take(login: psycopg.Connection) -> None:
    login.execute("set role dashboard_full")
    assert login.execute("show default_transaction_read_only").fetchone() == ("on",)
    assert login.execute("show statement_timeout").fetchone() == ("5s",)
    assert login.execute("show jit").fetchone() == ("off",)


@pytest.fixture
def analyst(loaded: World) -> Iterator[psycopg.Connection]:
    """A session of a SQL client's login."""
    address = at_database(loaded.env["ANALYST_DATABASE_URL"], loaded.env["PGDATABASE"])
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


def test_an_analyst_reads_core_kpi_and_ops_without_naming_the_schema(
    analyst: psycopg.Connection, loaded: World
) -> None:
    relations = loaded.rows(
        "select format('%%I.%%I', table_schema, table_name) as name from information_schema.tables "
        "where table_schema in ('core', 'kpi', 'ops')"
    )
    assert len(relations) > 30
    for each in relations:
        analyst.execute(f"select * from {each['name']} limit 1".encode())
    found = analyst.execute("select sum(net_sales) from kpi_daily_sales").fetchone()
    assert found == analyst.execute("select sum(net_amount) from fct_sales_lines").fetchone()


@pytest.mark.parametrize(
    "statement",
    [
        "select count(*) from raw.files",
        "select count(*) from raw.sales_lines",
        "select count(*) from dashboard.saved_views",
        "select count(*) from staging.stg_sales_lines",
        "delete from kpi.kpi_daily_sales",
        "update ops.mart_version set mart_version = 0",
        "insert into core.fct_orders select * from core.fct_orders",
        "truncate core.fct_sales_lines",
        "drop view kpi.kpi_order_lines",
        "create table kpi.mine (number integer)",
        "create table public.mine (number integer)",
        "create schema mine",
        "set role loader",
    ],
)
def test_postgresql_refuses_an_analyst(analyst: psycopg.Connection, statement: str) -> None:
    analyst.execute("set default_transaction_read_only = off")  # so that it is the grant that refuses
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        analyst.execute(statement.encode())


def test_no_function_that_an_analyst_may_call_has_the_rights_of_another(loaded: World) -> None:
    assert not loaded.rows(
        "select oid::regprocedure::text as name from pg_proc where prosecdef and pronamespace in "
        "('core'::regnamespace, 'kpi'::regnamespace, 'ops'::regnamespace) "
        "and has_function_privilege('analyst', oid, 'execute')"
    )


def test_an_analyst_holds_nothing_up_for_long(analyst: psycopg.Connection) -> None:
    shown = [
        analyst.execute(f"show {name}".encode()).fetchone()
        for name in ("default_transaction_read_only", "statement_timeout", "idle_in_transaction_session_timeout")
    ]
    assert shown == [("on",), ("1min",), ("1min",)]


def test_the_writer_changes_only_what_the_dashboard_keeps(loaded: World) -> None:
    tables = loaded.rows(
        "select format('%%I.%%I', schemaname, tablename) as name from pg_tables where schemaname !~ '^pg_' "
        "and schemaname <> 'information_schema' and has_table_privilege('dashboard_writer', "
        "format('%%I.%%I', schemaname, tablename)::regclass, 'select, insert, update, delete, truncate')"
    )
    assert {row["name"] for row in tables} == {f"dashboard.{name}" for name in DASHBOARDS_OWN}


def test_grants_survive_every_way_in_which_dbt_makes_things_anew(loaded: World) -> None:
    def build(*arguments: str) -> None:
        done = loaded.dbt("build", *arguments, *WITHOUT_TESTS)
        assert done.returncode == 0, done.stdout
        check(loaded)

    build("--full-refresh")
    loaded.run("drop view kpi.kpi_order_lines cascade")
    loaded.run("drop table kpi.kpi_daily_customers, kpi.kpi_customer_rfm cascade")
    build()  # what is missing, and the rest as it is there


def test_grants_survive_a_run_of_the_worker(loaded: World) -> None:
    other = sheet(7, date(2026, 3, 2), rows=60)
    loaded.drop(other.key, other.content)
    assert loaded.loader("load", other.key).returncode == 0
    loaded.transform()
    check(loaded)


def test_marts_built_before_the_roles_are_granted_by_the_migration(loaded: World) -> None:
    """As on a warehouse that has been in use: the grants of 0001 are there, those of dbt are not."""
    loaded.run("drop schema dashboard cascade")
    loaded.run("create function ops.publish_marts() returns void language sql as ''")  # of an earlier revision
    loaded.run("drop function raw.tell_pages cascade")
    loaded.run(
        "revoke all on all tables in schema kpi, ops from dashboard_viewer, dashboard_customers, dashboard_rejects"
    )
    loaded.run("revoke usage on schema kpi, ops from dashboard_viewer")
    loaded.run("grant usage on schema kpi, ops to dashboard")
    loaded.run("grant select on all tables in schema kpi, ops to dashboard")
    loaded.run("update public.alembic_version set version_num = '0004'")
    assert loaded.loader("migrate").returncode == 0
    check(loaded)


def test_a_loader_asks_for_the_migration_that_its_database_lacks(world: World) -> None:
    """And not for one that is newer than it: a rollout begins with the database."""
    world.drop(SHEET.key, SHEET.content)
    world.run("update public.alembic_version set version_num = '0006'")
    world.run("revoke select on public.alembic_version from loader")
    refused = world.loader("load", SHEET.key)
    assert refused.returncode == 2, refused.stderr
    assert "run `loader migrate`" in refused.stderr
    assert world.value("select count(*) from raw.files") == 0
    assert world.loader("migrate").returncode == 0
    world.run("update public.alembic_version set version_num = '9999'")
    assert world.loader("load", SHEET.key).returncode == 0
