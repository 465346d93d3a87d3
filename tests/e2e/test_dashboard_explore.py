"""Explore: links, months, and the ways to filter from a leaderboard, in a browser as people do it."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from streamlit.testing.v1 import AppTest

from dashboard.measures import MEASURES, Kind, Writer
from tests.e2e.conftest import READY, Warehouse, another, chart

DOLLARS = Writer("1,234.56", "USD")
MAIN = """
    with main as (
        select currency, max(sale_date) as last_date from kpi.kpi_daily_sales
        group by currency order by sum(net_sales) desc limit 1
    )
"""
LEADERS = (
    MAIN
    + """
    select
        {column} as member,
        sum(net_sales) filter (where sale_date > last_date - 28) as now,
        sum(net_sales) filter (where sale_date <= last_date - 28) as before
    from kpi.{mart} inner join main using (currency)
    where sale_date > last_date - 56
    group by {column}
    having sum(net_sales) filter (where sale_date > last_date - 28) is not null
    order by now desc, member
"""
)


@pytest.mark.parametrize(
    ("dimension", "column", "mart"),
    [
        ("region", "sales_region", "kpi_daily_sales"),
        ("representative", "sales_representative", "kpi_daily_sales"),
        ("product", "product_id", "kpi_daily_product_sales"),
    ],
)
def test_leaders_have_value_share_and_change(
    app: AppTest, warehouse: Warehouse, dimension: str, column: str, mart: str
) -> None:
    rows = warehouse.sql(LEADERS.format(column=column, mart=mart))
    total = sum(now for _, now, _ in rows)
    expected = [
        " · ".join(
            filter(
                None,
                (
                    DOLLARS.brief(now, Kind.MONEY),
                    DOLLARS.write(now / total, Kind.SHARE),
                    DOLLARS.change(now, before, Kind.MONEY),
                ),
            )
        )
        for _, now, before in rows[:10]
    ]
    drawn = chart(_open(app), f"Total sales by {dimension}")
    assert list(drawn["Text"]) == expected
    if len(rows) > 10:
        assert f"The first 10 of {len(rows)}." in [caption.value for caption in app.caption]


def test_months_add_days_up(app: AppTest, warehouse: Warehouse) -> None:
    rows = warehouse.sql(
        MAIN + "select sum(orders) from kpi.kpi_daily_sales inner join main using (currency) "
        "where sale_date >= date_trunc('year', last_date) group by date_trunc('month', sale_date) "
        "order by date_trunc('month', sale_date)"
    )
    drawn = chart(_open(app, period="YTD", grain="Month"), "Orders per month")
    shown = [value for value in drawn["Orders"] if value]
    assert shown == [float(orders) for (orders,) in rows]


def test_every_measure_can_be_drawn(app: AppTest) -> None:
    _open(app)
    names = list(MEASURES)
    for start in range(0, len(names), 3):
        three = names[start : start + 3]
        app.multiselect(key="measures").set_value(three).run()
        assert not app.exception
        assert [card.label for card in app.metric] == [MEASURES[name].label for name in three]


def test_link_to_too_many_or_unknown_measures_still_opens(app: AppTest) -> None:
    app.run()
    app.query_params["measures"] = [MEASURES[name].label for name in ("aov", "returns", "orders", "discounts")]
    app.switch_page("views/explore.py").run()
    assert not app.exception
    assert 1 <= len(app.metric) <= 3
    app.query_params["measures"] = "'; drop table kpi.kpi_daily_sales; --"
    app.run()
    assert not app.exception


def test_click_on_a_representative_shows_a_chip_that_takes_the_filter_away(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    [(rep, now, _), *_] = warehouse.sql(LEADERS.format(column="sales_representative", mart="kpi_daily_sales"))
    _visit(page, f"{dashboard}/explore")
    everything = _card(page).inner_text()
    _click_first_bar(page, "rep")
    chip = page.get_by_role("button", name=f"Representative: {rep}")
    expect(chip).to_be_visible()
    expect(page).to_have_url(re.compile(r"[?&]rep="))
    expect(_card(page)).to_contain_text(DOLLARS.write(now, Kind.MONEY))
    # What is kept is kept on every page, and in a copied link.
    other = another(page, page.url)
    expect(_card(other)).to_contain_text(DOLLARS.write(now, Kind.MONEY))
    chip.click()
    expect(page).not_to_have_url(re.compile(r"[?&]rep="))
    expect(_card(page)).to_have_text(everything, use_inner_text=True)


def test_keyboard_reaches_the_same_filter(page: Page, dashboard: str, warehouse: Warehouse) -> None:
    [(rep, now, _), *_] = warehouse.sql(LEADERS.format(column="sales_representative", mart="kpi_daily_sales"))
    _visit(page, f"{dashboard}/explore")
    page.get_by_role("button", name=re.compile("More")).press("Enter")
    box = page.get_by_role("combobox", name=re.compile("Representative"))
    box.focus()
    page.keyboard.type(str(rep))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]rep="))
    expect(_card(page)).to_contain_text(DOLLARS.write(now, Kind.MONEY))


def test_lines_open_under_the_same_filters(page: Page, dashboard: str) -> None:
    _visit(page, f"{dashboard}/explore?period=7D")
    _click_first_bar(page, "region")
    expect(page).to_have_url(re.compile(r"[?&]region="))
    expect(page.locator(READY)).to_be_visible()
    page.get_by_role("link", name=re.compile("Show the lines")).click()
    expect(page).to_have_url(re.compile(r"/orders\?.*region="))
    expect(page).to_have_url(re.compile("period=7D"))
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible()


def _open(app: AppTest, **parameters: str) -> AppTest:
    for name, value in parameters.items():
        app.query_params[name] = value
    app.switch_page("views/explore.py").run()
    assert not app.exception
    return app


def _visit(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator(READY)).to_be_visible()
    expect(page.get_by_test_id("stMetric")).to_have_count(3)


def _card(page: Page) -> Locator:
    # The first: while a page is drawn anew, what it showed before may still be there.
    return page.get_by_test_id("stMetric").filter(has_text="Total sales").first


def _click_first_bar(page: Page, dimension: str) -> None:
    """Click the longest bar, again while nothing has come of it: what still grows is not yet under the pointer."""
    before = page.url
    canvas = page.locator(f"[class*='st-key-by-{dimension}-'] canvas").first
    for _ in range(10):
        expect(page.locator(READY)).to_be_visible()
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box
        canvas.click(position={"x": box["width"] * 0.36, "y": 20 if box["height"] > 40 else box["height"] / 2})
        try:
            page.wait_for_url(lambda url: url != before, timeout=2000)
        except PlaywrightTimeout:
            continue
        return
    pytest.fail(f"no click on the chart by {dimension} changed the link")
