"""Sales of several currencies: converted at a rate that exists, or refused; never added up as they are."""

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import psycopg
import pytest

from scripts.csv_generator import sheet
from tests.conftest import World

DAY = date(2026, 3, 1)
REPORTED = "select sum(net_sales) as net, sum(orders) as orders from kpi.kpi_reporting_daily_sales"
PLACES = """
    select currency, sum(gross_sales) as gross_sales, sum(discounts) as discounts, sum(returns) as returns
    from kpi.kpi_daily_sales group by sale_date, sales_region, sales_channel, currency
"""


@pytest.fixture
def two_currencies(world: World) -> World:
    """A day on which every third line was sold in yen, of which the rates know nothing."""
    each = sheet(7, DAY, rows=60)
    world.drop(each.key, each.content)
    assert world.loader("load", each.key).returncode == 0
    world.run("update raw.sales_lines set currency = 'JPY' where row_number % 3 = 0")
    world.transform()
    return world


def test_a_missing_rate_is_an_error_that_names_currency_and_date(two_currencies: World) -> None:
    with psycopg.connect(two_currencies.env["DASHBOARD_DATABASE_URL"], autocommit=True) as dashboard:
        dashboard.execute("set role dashboard_viewer")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="no rate of JPY to USD on 2026-03-01"):
            dashboard.execute(REPORTED)
        assert dashboard.execute(f"{REPORTED} where sale_date > '2026-03-01'").fetchone() == (None, None)
    done = two_currencies.dbt("test", "--select", "every_sale_has_a_rate")
    assert "WARN=1" in done.stdout


def test_a_total_of_two_currencies_is_the_sum_of_converted_rows(two_currencies: World) -> None:
    two_currencies.run("insert into core.currency_rates values ('2026-01-01', 'JPY', 'USD', 0.0067)")
    rates = {"USD": Decimal(1), "JPY": Decimal("0.0067")}

    def converted(amount: Decimal, currency: str) -> Decimal:
        return (amount * rates[currency]).quantize(Decimal("0.01"), ROUND_HALF_UP)

    rows = two_currencies.rows(PLACES)
    assert {row["currency"] for row in rows} == rates.keys()
    net = sum(
        converted(row["gross_sales"], row["currency"])
        - converted(row["discounts"], row["currency"])
        - converted(row["returns"], row["currency"])
        for row in rows
    )
    orders = two_currencies.value("select sum(orders) from kpi.kpi_daily_sales")
    assert two_currencies.rows(REPORTED) == [{"net": net, "orders": orders}]


def test_newer_sales_in_another_currency_leave_the_customers_of_this_one_in_their_segments(world: World) -> None:
    """The year of recency, frequency and monetary value ends with the latest sale of each currency."""
    for day, currency in ((DAY - timedelta(400), "GBP"), (DAY, "USD")):
        each = sheet(7, day, rows=60)
        world.drop(each.key, each.content)
        assert world.loader("load", each.key).returncode == 0
        world.run(f"update raw.sales_lines set currency = '{currency}' where sale_date = '{day}'")
        world.transform()
    segments = """
        select currency, as_of_date, sum(customers) as customers
        from kpi.kpi_rfm_segments group by currency, as_of_date order by currency
    """
    ordered = "select count(*) from kpi.kpi_customers where currency = '{}' and orders > 0"
    assert world.rows(segments) == [
        {"currency": "GBP", "as_of_date": DAY - timedelta(400), "customers": world.value(ordered.format("GBP"))},
        {"currency": "USD", "as_of_date": DAY, "customers": world.value(ordered.format("USD"))},
    ]
