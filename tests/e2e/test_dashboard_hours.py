"""Time of day: an hour x weekday picture against the lines, and the day in progress by this time of day."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from dashboard.measures import Kind, Writer
from tests.e2e.conftest import LAST_DAY, READY, Warehouse, chart, download, forget

DOLLARS = Writer("1,234.56", "USD")
SOLD = "core.fct_sales_lines where currency = 'USD' and sale_date"
ALT = "Net sales by hour and weekday"


@pytest.fixture
def hours(warehouse: Warehouse) -> Iterator[None]:
    """Hours that a test may change."""
    warehouse.sql("create table public.kept_hours as select * from kpi.kpi_hourly_sales")
    yield
    warehouse.sql("truncate kpi.kpi_hourly_sales")
    warehouse.sql("insert into kpi.kpi_hourly_sales select * from public.kept_hours")
    warehouse.sql("drop table public.kept_hours")


@pytest.fixture
def day_in_progress(warehouse: Warehouse) -> Iterator[None]:
    """Of the last day a sales line of each category is there so far; the days before stay whole."""
    warehouse.sql("create table public.kept as select * from kpi.kpi_daily_category_sales")
    warehouse.sql(f"update kpi.kpi_daily_category_sales set lines = 1 where sale_date = '{LAST_DAY}'")
    forget()
    yield
    warehouse.sql("truncate kpi.kpi_daily_category_sales")
    warehouse.sql("insert into kpi.kpi_daily_category_sales select * from public.kept")
    warehouse.sql("drop table public.kept")


@pytest.mark.parametrize(
    ("link", "condition"),
    [
        ({}, "true"),
        ({"region": "Europe"}, "sales_region = 'Europe'"),
        ({"region": "Europe", "except": "Region"}, "sales_region <> 'Europe'"),
    ],
)
def test_a_cell_is_an_average_weekday_at_that_hour(
    app: AppTest, warehouse: Warehouse, link: dict[str, str], condition: str
) -> None:
    drawn = chart(_places(app, **link), ALT)
    rows = warehouse.sql(
        "select to_char(sale_date, 'Dy'), extract(hour from sold_at at time zone 'UTC')::int, sum(net_amount) / 4 "
        f"from {SOLD} between '2026-03-04' and '2026-03-31' and {condition} group by 1, 2"
    )
    assert {
        (row, column): value
        for row, column, value in zip(drawn["Row"], drawn["Column"], drawn["Value"], strict=True)
        if value
    } == pytest.approx({(day, f"{hour}:00"): float(value) for day, hour, value in rows if value})
    assert not any("have a time of day" in caption.value for caption in app.caption), "all lines have one"
    figures = {(day, f"{hour}:00"): DOLLARS.cell(value, Kind.MONEY) for day, hour, value in rows if value}
    written = dict(zip(zip(drawn["Row"], drawn["Column"], strict=True), drawn["Text"], strict=True))
    assert {place: text for place, text in written.items() if place in figures} == figures


def test_cells_state_their_figures_where_they_have_room_and_the_table_in_words_everywhere(
    page: Page, dashboard: str, app: AppTest, warehouse: Warehouse
) -> None:
    [(most,)] = warehouse.sql(
        f"select max(sold) from (select sum(net_amount) / 4 as sold from {SOLD} between '2026-03-04' and '2026-03-31' "
        "group by extract(isodow from sale_date), extract(hour from sold_at at time zone 'UTC')) as cells"
    )
    [spec] = [json.loads(each.proto.spec) for each in _places(app).get("echarts_chart") if each.proto.alt == ALT]
    page.goto(f"{dashboard}/places")
    expect(page.locator(READY)).to_be_visible()
    picture = page.locator(".st-key-hour-heat canvas").first
    expect(picture).to_be_visible()
    told = page.locator("details.told", has_text=ALT)
    told.locator("summary").press("Enter")
    expect(told).to_contain_text(DOLLARS.write(most, Kind.MONEY))
    for width, has_room in ((1366, True), (390, False)):
        page.set_viewport_size({"width": width, "height": 900})
        expect(told).to_contain_text(DOLLARS.write(most, Kind.MONEY))
        page.wait_for_function(
            "([least, has_room]) => (document.querySelector('.st-key-hour-heat canvas').getBoundingClientRect().width "
            ">= least) === has_room",
            arg=[spec["media"][0]["query"]["minWidth"], has_room],
        )


@pytest.mark.usefixtures("hours")
def test_the_page_says_what_share_of_lines_has_a_time(app: AppTest, warehouse: Warehouse) -> None:
    warehouse.sql("delete from kpi.kpi_hourly_sales where sale_hour < 12")
    forget()
    [(share,)] = warehouse.sql(
        f"select avg(case when sale_hour >= 12 then 1 else 0 end) from {SOLD} between '2026-03-04' and '2026-03-31'"
    )
    _places(app)
    said = [caption.value.replace("\\", "") for caption in app.caption]
    timed = f"{DOLLARS.write(Decimal(share), Kind.SHARE)} of the lines have a time of day, and only these count."
    assert any(timed in each for each in said)


@pytest.mark.usefixtures("hours")
def test_where_no_sheet_has_times_nothing_is_drawn(app: AppTest, warehouse: Warehouse) -> None:
    warehouse.sql("truncate kpi.kpi_hourly_sales")
    forget()
    _places(app)
    assert ALT not in [element.proto.alt for element in app.get("echarts_chart")]
    assert "Hours and weekdays" not in [each.value for each in app.subheader]


def test_a_product_does_not_narrow_the_hours_and_the_page_says_so(app: AppTest) -> None:
    everything = chart(_places(app), ALT)
    app.multiselect(key="category").set_value(["Electronics"]).run()
    drawn = chart(app, ALT)
    assert list(drawn["Value"]) == list(everything["Value"])
    assert any("whatever the category and product" in caption.value for caption in app.caption)


@pytest.mark.usefixtures("day_in_progress")
def test_the_day_in_progress_meets_the_week_before_up_to_the_same_hour(app: AppTest, warehouse: Warehouse) -> None:
    [(until, now, before)] = warehouse.sql(
        f"with sold as (select * from {SOLD} in ('2026-03-31', '2026-03-24')), "
        "last as (select max(sale_hour) as hour from sold where sale_date = '2026-03-31') "
        "select hour, sum(net_amount) filter (where sale_date = '2026-03-31' and sale_hour < hour), "
        "sum(net_amount) filter (where sale_date = '2026-03-24' and sale_hour < hour) from sold, last group by hour"
    )
    change = DOLLARS.change(now, before, Kind.MONEY)
    app.run()
    said = next(each.value for each in app.markdown if "so far" in each.value).replace("\\", "")
    assert f"so far; {DOLLARS.money(now)} by {until}:00, {change} against 24 Mar 2026 by {until}:00" in said


@pytest.mark.usefixtures("day_in_progress", "hours")
def test_a_day_of_which_some_lines_have_no_time_is_compared_with_none(app: AppTest, warehouse: Warehouse) -> None:
    warehouse.sql("update kpi.kpi_hourly_sales set lines = lines - 1 where sale_date = '2026-03-24' and lines > 1")
    forget()
    app.run()
    said = next(each.value for each in app.markdown if "so far" in each.value)
    assert "against" not in said


def test_the_file_has_the_hours_of_every_day(page: Page, dashboard: str, warehouse: Warehouse, tmp_path: Path) -> None:
    page.goto(f"{dashboard}/places?channel=Online")
    expect(page.locator(READY)).to_be_visible()
    expect(page.locator(".st-key-hour-heat canvas").first).to_be_visible()
    name, rows = download(page, "hours", tmp_path)
    assert re.fullmatch(r"hours-2026-03-04-to-2026-03-31-v\d+\.csv", name)
    assert [(row["sale_date"], int(row["sale_hour"]), Decimal(row["net_sales"])) for row in rows] == warehouse.sql(
        "select sale_date::text, extract(hour from sold_at at time zone 'UTC')::int, sum(net_amount) "
        f"from {SOLD} between '2026-03-04' and '2026-03-31' and sales_channel = 'Online' group by 1, 2 order by 1, 2"
    )
    assert rows[0]["filters"] == "Currency: USD; Channel: Online"


def _places(app: AppTest, **link: str) -> AppTest:
    for name, value in link.items():
        app.query_params[name] = value
    app.switch_page("views/places.py").run()
    assert not app.exception
    return app
