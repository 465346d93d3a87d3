"""Targets that people set: they count before the seed whatever dbt does, and the log of them cannot be changed."""

from datetime import date
from decimal import Decimal

import psycopg
import pytest

from scripts.csv_generator import sheet
from tests.conftest import WITHOUT_TESTS, World

SHEET = sheet(7, date(2026, 3, 2), rows=60)
SET = """
    insert into dashboard.target_changes (month, place_type, place, currency, target_net_sales, changed_by)
    values ('2026-03-01', 'sales_region', 'Europe', 'USD', 120.50, 'ann')
"""
OF_MARCH = """
    select place, target_net_sales from {}
    where month = '2026-03-01' and place_type = 'sales_region' and currency = 'USD'
"""


def targets(world: World, relation: str) -> dict[str, Decimal]:
    return {row["place"]: row["target_net_sales"] for row in world.rows(OF_MARCH.format(relation))}


def as_role(world: World, role: str, statement: str) -> None:
    with psycopg.connect(world.env["DASHBOARD_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("set role {}").format(psycopg.sql.Identifier(role)))
        connection.execute("set default_transaction_read_only = off")  # so that it is the grant that refuses
        connection.execute(statement.encode())


def test_a_target_counts_at_once_and_survives_whatever_dbt_does(world: World) -> None:
    world.drop(SHEET.key, SHEET.content)
    assert world.loader("load", SHEET.key).returncode == 0
    world.transform()
    seed = targets(world, "core.sales_targets")
    assert targets(world, "kpi.kpi_target_attainment") == targets(world, "kpi.kpi_sales_targets") == seed
    version = world.value("select mart_version from ops.mart_version")
    as_role(world, "dashboard_writer", SET)
    wanted = seed | {"Europe": Decimal("120.50")}
    assert targets(world, "kpi.kpi_target_attainment") == targets(world, "kpi.kpi_sales_targets") == wanted
    assert world.value("select mart_version from ops.mart_version") == version
    for command in (
        ["build", "--full-refresh", *WITHOUT_TESTS],
        ["test", "--select", "sales_targets+", "--exclude-resource-type", "unit_test"],
    ):
        done = world.dbt(*command)
        assert done.returncode == 0, done.stdout
        assert targets(world, "kpi.kpi_target_attainment") == wanted
    done = world.dbt("build", "--select", "+kpi_target_attainment", *WITHOUT_TESTS, target="dev")
    assert done.returncode == 0, done.stdout
    assert targets(world, "dev_kpi.kpi_target_attainment") == wanted


def test_nobody_changes_what_the_log_says(world: World) -> None:
    as_role(world, "dashboard_writer", SET)
    refused = [
        ("dashboard_viewer", SET),
        ("dashboard_full", SET),
        ("dashboard_writer", "update dashboard.target_changes set target_net_sales = 1"),
        ("dashboard_writer", "delete from dashboard.target_changes"),
        ("dashboard_viewer", "insert into dashboard.annotations (day, note) values ('2026-03-01', 'x')"),
        ("dashboard_writer", "delete from dashboard.annotations"),
        ("dashboard_writer", "update dashboard.annotations set note = 'x'"),
    ]
    for role, statement in refused:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role(world, role, statement)
    # dbt reads them, and writes nothing there.
    done = world.rows(
        """select has_table_privilege('transformer', 'dashboard.target_changes', 'select') as reads,
               has_table_privilege('transformer', 'dashboard.target_changes', 'insert, update, delete') as writes,
               has_table_privilege('transformer', 'dashboard.saved_views', 'select') as reads_views"""
    )
    assert done == [{"reads": True, "writes": False, "reads_views": False}]
