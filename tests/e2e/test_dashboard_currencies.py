"""Sales of several currencies, read in one: the figures of the mart that converts them, and no others beside them."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import saved
from loader.pipeline import Pipeline
from scripts.csv_generator import sheet
from scripts.stack import Stack
from tests.conftest import new_world
from tests.e2e.conftest import APP, EVERYTHING, Warehouse, chart, forget, minus

LAST_DAY = date(2026, 3, 31)
DAYS = 15
CONVERTED = "kpi.kpi_reporting_daily_sales where sale_date"


@pytest.fixture(scope="module")
def books(stack: Stack, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Two weeks of which every third line was sold in euros."""
    with new_world(stack, template, tmp_path_factory.mktemp("books")) as world:
        with Pipeline(world.settings) as pipeline:
            for back in range(DAYS):
                each = sheet(7, LAST_DAY - timedelta(back), rows=60)
                pipeline.load_file(world.drop(each.key, each.content))
        world.run("update raw.sales_lines set currency = 'EUR' where row_number % 3 = 0")
        world.transform()
        yield Warehouse(world.env["DASHBOARD_DATABASE_URL"], world.env["ADMIN_DATABASE_URL"])


@pytest.fixture
def app(books: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The dashboard of both currencies, without a browser."""
    monkeypatch.setenv("DASHBOARD_DATABASE_URL", books.dashboard_url)
    monkeypatch.setenv("DASHBOARD_ANONYMOUS_ROLES", EVERYTHING)
    forget()
    yield AppTest.from_file(APP, default_timeout=30)
    forget()


def test_all_sales_are_read_in_one_currency(app: AppTest, books: Warehouse) -> None:
    app.query_params["currency"], app.query_params["period"] = "All in USD", "7D"
    app.run()
    assert not app.exception
    [(sold, orders, change)] = books.sql(
        "select to_char(round(now), 'FM$999,999,999'), to_char(orders, 'FM999,999'), "
        "to_char(100 * (now / past - 1), 'SFM990.0') from (select "
        "sum(net_sales) filter (where sale_date > '2026-03-24') as now, "
        "sum(orders) filter (where sale_date > '2026-03-24') as orders, "
        "sum(net_sales) filter (where sale_date <= '2026-03-24') as past "
        f"from {CONVERTED} > '2026-03-17') as weeks"
    )
    cards = {card.label: card for card in app.metric}
    assert (cards["Total sales"].value, cards["Total sales"].delta) == (sold, f"{minus(change)}%")
    assert cards["Orders"].value == orders
    assert not any("run rate" in label for label in cards)
    drawn = chart(app, "Net sales by region")
    assert list(drawn["Value"]) == [
        float(str(value))
        for (value,) in books.sql(
            f"select sum(net_sales) from {CONVERTED} > '2026-03-24' group by sales_region order by 1 desc"
        )
    ]
    assert "converted into USD at the rate of their day" in " ".join(caption.value for caption in app.caption)
    [said] = [each.value for each in app.markdown if each.value.startswith("Net sales of 25 to 31 Mar 2026")]
    assert f"were [**{sold}**](".replace("$", "\\$") in said


def test_a_filter_narrows_converted_sales(app: AppTest, books: Warehouse) -> None:
    [(region, sold)] = books.sql(
        f"select sales_region, to_char(round(sum(net_sales)), 'FM$999,999,999') from {CONVERTED} > '2026-03-24' "
        "group by sales_region order by sum(net_sales) desc limit 1"
    )
    app.query_params["currency"], app.query_params["period"] = "All in USD", "7D"
    app.query_params["region"] = region
    app.run()
    assert {card.label: card.value for card in app.metric}["Total sales"] == sold


REASONS = {
    "products": "the products would not add up to the total.",
    "customers": "somebody who pays in two currencies is counted in each.",
    "orders": "the currency that its sheet states.",
}


@pytest.mark.parametrize("path", [path for path in saved.PAGES if path not in ("", "explore", "places", "pipeline")])
def test_what_is_of_one_currency_asks_for_one_and_says_why(app: AppTest, path: str) -> None:
    app.query_params["currency"] = "All in USD"
    app.switch_page(saved.PAGES[path]).run()
    assert not app.exception
    [told] = [info.value for info in app.info]
    assert told.startswith("This page has the figures of one currency at a time: choose one. ")
    assert told.endswith(REASONS[path])


def test_explore_has_the_dimensions_that_are_converted(app: AppTest) -> None:
    app.query_params["currency"] = "All in USD"
    app.switch_page(saved.PAGES["explore"]).run()
    assert not app.exception
    drawn = {element.proto.alt for element in app.get("echarts_chart")}
    assert {alt for alt in drawn if " by " in alt} == {"Total sales by region", "Total sales by channel"}
    assert app.selectbox(key="rows").options == ["Region", "Channel", "Day", "Week", "Month"]


def test_weekdays_and_leaders_are_converted_and_the_page_says_what_is_not(app: AppTest, books: Warehouse) -> None:
    app.query_params["currency"], app.query_params["period"] = "All in USD", "7D"
    app.switch_page(saved.PAGES["places"]).run()
    assert not app.exception
    drawn = {element.proto.alt for element in app.get("echarts_chart")}
    assert drawn == {
        "Net sales by weekday and week",
        "Total sales by region",
        "Total sales by channel",
        "Shares of one to five stars by representative",
    }
    for name, place in (("week", "sale_date"), ("region", "sales_region")):
        sold = books.sql(f"select sum(net_sales) from {CONVERTED} > '2026-03-24' group by {place}")
        shown = chart(app, f"Net sales by weekday and {name}" if name == "week" else f"Total sales by {name}")
        assert sorted(shown["Value"]) == sorted(float(str(value)) for (value,) in sold)
    said = [caption.value for caption in app.caption]
    assert "Targets, hours, delivery and pending payments are shown of one currency at a time." in said


def test_without_a_rate_the_currencies_that_lack_one_are_named(app: AppTest, books: Warehouse) -> None:
    books.sql("create table core.kept_rates as select * from core.currency_rates")
    books.sql("delete from core.currency_rates where currency = 'EUR'")
    try:
        app.run()
        assert app.selectbox(key="currency").options == ["USD", "EUR"]
        assert "Not yet: EUR." in app.selectbox(key="currency").help
    finally:
        books.sql("insert into core.currency_rates select * from core.kept_rates where currency = 'EUR'")
        books.sql("drop table core.kept_rates")
