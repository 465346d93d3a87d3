"""Orders: pages of lines, search, one order, and files, each against SQL."""

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from streamlit.testing.v1 import AppTest

from scripts.bench_dashboard import PUBLISH
from tests.conftest import beside
from tests.e2e.conftest import LAST_DAY, READY, Warehouse, another, forget

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
WEEK = """
    with main as (
        select currency, max(sale_date) as last_date from kpi.kpi_daily_sales
        group by currency order by sum(net_sales) desc limit 1
    )
    select lines.* from kpi.kpi_order_lines as lines inner join main using (currency)
    where sale_date > last_date - 7
"""
# An order that came back in part on a later day, with the days and what it was sold for.
RETURNED = """
    select sold.feed, sold.sale_id, sold.sale_date, min(returned.sale_date), sum(distinct returned.return_amount)
    from kpi.kpi_order_lines as sold
    inner join kpi.kpi_order_lines as returned using (feed, sale_id)
    where sold.line_type = 'sale' and returned.line_type = 'return' and returned.sale_date > sold.sale_date
    group by sold.feed, sold.sale_id, sold.sale_date
    having count(distinct returned.row_number) = 1
    order by 4 desc, 2
    limit 1
"""
GROSS = "select sum(gross_amount) from kpi.kpi_order_lines where sale_date = %s and sale_id = %s"
# The lines of a number once more, so many days later.
AGAIN = """
    insert into core.fct_sales_lines
    select (jsonb_populate_record(line, jsonb_build_object(
        'sale_date', line.sale_date + %s, 'row_number', line.row_number + 1000000
    ))).*
    from core.fct_sales_lines as line
    where sale_id = %s
"""
ORDERED_AGAIN = """
    insert into core.fct_orders
    select (jsonb_populate_record(sold, jsonb_build_object('sale_date', sold.sale_date + %s))).*
    from core.fct_orders as sold
    where sale_id = %s
"""
HOSTILE = ("'", '"', "%", "_", "\\", "'; drop table kpi.kpi_daily_sales; --", "x" * 200, "a\x00b", "$1", ":search")
HOSTILE_LINE = """
    insert into core.fct_sales_lines
    select (jsonb_populate_record(line, jsonb_build_object(
        'sale_id', 'hostile', 'row_number', 1000000, 'product_name', '=HYPERLINK("http://x","y")', 'store_id', 'a;@b'
    ))).*
    from core.fct_sales_lines as line
    where currency = (select currency from kpi.kpi_daily_sales group by currency order by sum(net_sales) desc limit 1)
    order by sale_date desc limit 1
"""


CALLED = f"select count(*) from ({WEEK}) as lines where position(lower(%s) in lower(product_name)) > 0"


def test_pages_together_are_the_lines_of_the_period(app: AppTest, warehouse: Warehouse) -> None:
    [(count, net)] = warehouse.sql(f"select count(*), sum(net_amount) from ({WEEK}) as lines")
    _open(app, period="7D")
    assert f"{count:,} lines" in _captions(app)
    pages = int(app.number_input(key="page").max or 0)
    assert pages > 3
    rows = []
    for number in range(1, pages + 1):
        app.number_input(key="page").set_value(number).run()
        rows += _table(app)
    assert len({(row["file_id"], row["row_number"]) for row in rows}) == len(rows) == count
    assert sum(row["net_amount"] for row in rows) == net
    assert [row["sale_date"] for row in rows] == sorted((row["sale_date"] for row in rows), reverse=True)


def test_single_orders_begin_where_those_before_are_in_a_lake(app: AppTest, warehouse: Warehouse) -> None:
    since = LAST_DAY.replace(day=1)
    [(count,)] = warehouse.sql(f"select count(*) from ({WEEK.replace('last_date - 7', '%s - 1')}) as lines", since)
    warehouse.sql("insert into ops.seam (live_since, lake) values (%s, '/data/lake')", since)
    try:
        forget()
        _open(app, period="12M")
        assert f"from 1 {since:%b %Y} on" in app.info[0].value
        assert f"{count:,} lines" in _captions(app)
        app.number_input(key="page").set_value(int(app.number_input(key="page").max or 0)).run()
        assert {row["sale_date"] for row in _table(app)} == {since}
    finally:
        warehouse.sql("delete from ops.seam")
        forget()


def test_filtered_and_sorted_pages_equal_sql(app: AppTest, warehouse: Warehouse) -> None:
    [(region,)] = warehouse.sql(f"select min(sales_region) from ({WEEK}) as lines")
    expected = warehouse.sql(f"select net_amount from ({WEEK}) as lines where sales_region = %s", region)
    _open(app, period="7D", sort="Highest value", region=str(region))
    assert {row["sales_region"] for row in _table(app)} == {region}
    amounts = sorted((Decimal(str(row[0])) for row in expected), reverse=True)
    assert [row["net_amount"] for row in _table(app)] == amounts[:50]


@pytest.mark.parametrize("column", ["sale_id", "product_id", "customer_id", "product_name"])
def test_search_finds_by_number_and_by_any_part_of_a_name(app: AppTest, warehouse: Warehouse, column: str) -> None:
    [(wanted, lines)] = warehouse.sql(
        f"select {column}, count(*) from ({WEEK}) as lines where {column} <> 'unknown' "
        "group by 1 order by 2 desc limit 1"
    )
    search = str(wanted)[2:7].upper() if column == "product_name" else str(wanted)
    if column == "product_name":
        [(lines,)] = warehouse.sql(CALLED, search)
    _open(app, period="7D", search=search)
    assert f"{lines:,} lines" in _captions(app)
    assert all(search.upper() in str(row[column]).upper() for row in _table(app))


def test_search_finds_a_word_inside_a_name(app: AppTest, warehouse: Warehouse) -> None:
    [(lines,)] = warehouse.sql(CALLED, "monitor")
    _open(app, period="7D", search="Monitor")
    assert lines > 0
    assert f"{lines:,} lines" in _captions(app)
    assert {row["product_name"] for row in _table(app)} == {'27" Monitor'}


def test_search_for_a_number_that_is_part_of_a_name_too_finds_both(app: AppTest, warehouse: Warehouse) -> None:
    [(sale_id,)] = warehouse.sql(f"select max(sale_id) from ({WEEK}) as lines where line_type = 'sale'")
    renamed = "update {} set sale_id = %s where sale_id = %s"
    tables = ("core.fct_sales_lines", "core.fct_orders")
    for table in tables:
        warehouse.sql(renamed.format(table), "27", sale_id)
    try:
        [(lines,)] = warehouse.sql(
            f"select count(*) from ({WEEK}) as lines where sale_id = '27' or position('27' in product_name) > 0"
        )
        _open(app, period="7D", search="27")
        assert f"{lines:,} lines" in _captions(app)
    finally:
        for table in tables:
            warehouse.sql(renamed.format(table), sale_id, "27")


def test_search_finds_a_product_of_one_feed_by_what_its_sheet_calls_it(app: AppTest, warehouse: Warehouse) -> None:
    [(wanted,)] = warehouse.sql(f"select min(product_id) from ({WEEK}) as lines")
    renamed = "update core.{} set product_id = %s where product_id = %s"
    tables = ("fct_sales_lines", "dim_products")
    [(feed, lines)] = warehouse.sql(f"select min(feed), count(*) from ({WEEK}) as lines where product_id = %s", wanted)
    for table in tables:
        warehouse.sql(renamed.format(table), f"{feed}:{wanted}", wanted)
    try:
        _open(app, period="7D", search=str(wanted))
        assert f"{lines:,} lines" in _captions(app)
    finally:
        for table in tables:
            warehouse.sql(renamed.format(table), wanted, f"{feed}:{wanted}")


@pytest.mark.parametrize("search", HOSTILE)
def test_search_takes_any_text_for_just_that(app: AppTest, warehouse: Warehouse, search: str) -> None:
    _open(app, period="7D")
    app.text_input(key="search").set_value(search).run()
    assert not app.exception
    [(lines,)] = warehouse.sql(CALLED, search.replace("\x00", ""))
    assert f"{lines:,} lines" in _captions(app) if lines else "Nothing in" in app.info[0].value
    assert warehouse.sql("select count(*) > 0 from kpi.kpi_daily_sales") == [(True,)]


def test_another_search_begins_at_its_first_page(app: AppTest, warehouse: Warehouse) -> None:
    [(name,)] = warehouse.sql(f"select product_name from ({WEEK}) as lines group by 1 order by count(*) desc limit 1")
    _open(app, period="7D", page="4")
    assert app.number_input(key="page").value == 4
    app.text_input(key="search").set_value(str(name)[:1]).run()
    assert app.number_input(key="page").value == 1


@pytest.mark.parametrize("page", ["inf", "-1e400", "nan", "9" * 400, "1e300", "-1", "x"], ids=lambda page: page[:12])
def test_link_to_no_page_opens_the_first(app: AppTest, page: str) -> None:
    _open(app, period="7D", page=page)
    assert app.number_input(key="page").value == 1
    assert len(_table(app)) == 50


def test_link_opens_an_order_with_all_its_lines_and_totals(app: AppTest, warehouse: Warehouse) -> None:
    [(key, lines, gross, discount, net)] = warehouse.sql(
        f"select concat_ws('/', sale_date, feed, sale_id), count(*), sum(gross_amount), sum(discount_amount), "
        f"sum(net_amount) from ({WEEK}) as lines where line_type = 'sale' "
        "group by sale_date, feed, sale_id order by 2 desc, 1 limit 1"
    )
    # What is searched for does not keep a link from opening its order.
    _open(app, order=str(key), search="nothing is called this")
    cards = {card.label: card.value for card in app.metric}
    for label, amount in (("Gross", gross), ("Discounts", discount)):
        assert cards[label].endswith(f"{amount:,.2f}")
    shown = app.dataframe[0].value
    returned = sum(shown[shown["line_type"] == "return"]["net_amount"], Decimal(0))
    assert cards["Net sales"].endswith(f"{Decimal(str(net)) + returned:,.2f}")
    assert (shown["line_type"] == "sale").sum() == lines


def test_return_opens_the_order_that_it_is_of(page: Page, dashboard: str, warehouse: Warehouse) -> None:
    [(_, sale_id, sold_on, _, returned)] = warehouse.sql(RETURNED)
    [(gross,)] = warehouse.sql(GROSS, sold_on, sale_id)
    page.goto(f"{dashboard}/orders?period=YTD&search={sale_id}")  # the newest line first, which is the return
    table = page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    page.locator(READY).wait_for()
    _select_first_row(table)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_test_id("stMetric").filter(has_text="Gross")).to_contain_text(f"{gross:,.2f}")
    expect(dialog.get_by_test_id("stMetric").filter(has_text="Returned")).to_contain_text(f"{returned:,.2f}")


def test_number_that_comes_again_is_another_order(app: AppTest, warehouse: Warehouse) -> None:
    [(feed, sale_id, sold_on, returned_on, returned)] = warehouse.sql(RETURNED)
    [(gross,)] = warehouse.sql(GROSS, sold_on, sale_id)
    later = 40
    warehouse.sql(AGAIN, later, sale_id)
    warehouse.sql(ORDERED_AGAIN, later, sale_id)
    try:
        for day in (sold_on, returned_on):
            for moved in (0, later):
                shown, cards = _order(app, f"{day + timedelta(moved)}/{feed}/{sale_id}")
                assert set(shown["sale_date"]) == {sold_on + timedelta(moved), returned_on + timedelta(moved)}
                assert cards["Gross"].endswith(f"{gross:,.2f}")
                assert cards["Returned"].endswith(f"{returned:,.2f}")
    finally:
        warehouse.sql("delete from core.fct_sales_lines where row_number > 1000000 and sale_id = %s", sale_id)
        warehouse.sql("delete from core.fct_orders where sale_id = %s and sale_date > %s", sale_id, sold_on)


@pytest.mark.parametrize("link", ["x", "'/'/'", "2026-13-45/sales_data/1", "2026-03-01/sales_data/" + "9" * 500, "//"])
def test_link_to_no_order_says_so(app: AppTest, link: str) -> None:
    _open(app, order=link)
    assert app.warning[0].value.endswith("shown without it: `order`.")
    assert len(_table(app)) == 50


def test_without_the_role_no_customer_is_shown_or_found(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(customer,)] = warehouse.sql(f"select max(customer_id) from ({WEEK}) as lines where customer_id <> 'unknown'")
    monkeypatch.setenv("DASHBOARD_ANONYMOUS_ROLES", "")
    forget()
    _open(app, period="7D")
    assert not {"customer_id", "customer_name"} & set(_table(app)[0])
    app.text_input(key="search").set_value(str(customer)).run()
    assert "Nothing in" in app.info[0].value


def test_row_opens_its_order_and_closing_takes_it_off_the_link(page: Page, dashboard: str) -> None:
    page.goto(f"{dashboard}/orders?period=7D")
    table = page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    for _ in range(2):  # the same row again: once closed, it is not selected any more
        page.locator(READY).wait_for()
        _select_first_row(table)
        expect(page.get_by_role("dialog")).to_contain_text("Net sales")
        expect(page).to_have_url(re.compile("order="))
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page).not_to_have_url(re.compile("order="))


@contextmanager
def arriving(warehouse: Warehouse) -> Iterator[None]:
    """Something that open pages show changes, and they are told so, three times a second."""

    def arrive(stop: Event) -> None:
        while not stop.wait(0.3):
            warehouse.sql(f"update raw.files set event_at = event_at + interval '1 second' where {newest}")
            warehouse.sql("select pg_notify('pipeline', '')")

    newest = "file_id = (select max(file_id) from raw.files)"
    [(event_at,)] = warehouse.sql(f"select event_at from raw.files where {newest}")
    try:
        with beside(arrive):
            yield
    finally:
        warehouse.sql(f"update raw.files set event_at = %s where {newest}", event_at)


def test_order_opens_stays_and_closes_while_sales_arrive(page: Page, dashboard: str, warehouse: Warehouse) -> None:
    page.goto(f"{dashboard}/orders?period=7D")
    table = page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    dialog = page.get_by_role("dialog")
    with arriving(warehouse):
        for _ in range(6):
            page.wait_for_timeout(1500)  # so long the page is drawn anew again and again
            _open_first_row(table, dialog)
            expect(dialog).to_contain_text("Net sales")
            drawn = dialog.element_handle()
            page.wait_for_timeout(1500)  # several changes, each of which would draw the page anew
            assert drawn.evaluate("dialog => dialog.isConnected"), "the dialog was taken away while it was read"
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
            expect(page).not_to_have_url(re.compile("order="))
            page.wait_for_timeout(500)  # within which it would come back
            expect(dialog).to_have_count(0)


def test_news_wait_for_an_open_dialog_and_are_there_when_it_closes(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    page.goto(f"{dashboard}/orders?period=7D")
    table = page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    page.locator(READY).wait_for()
    _select_first_row(table)
    expect(page.get_by_role("dialog")).to_contain_text("Net sales")
    drawn = page.get_by_role("dialog").element_handle()
    warehouse.sql(PUBLISH)
    [(version,)] = warehouse.sql("select mart_version from ops.mart_version")
    waiting = page.get_by_text("Updates waiting")
    expect(waiting).to_be_visible()
    page.wait_for_timeout(1000)  # within which a page without a dialog is drawn anew
    assert drawn.evaluate("dialog => dialog.isConnected"), "the dialog was taken away while it was read"
    page.keyboard.press("Escape")
    expect(page.get_by_text(re.compile(f"Version {version} "))).to_be_visible()
    expect(waiting).to_have_count(0)


def test_news_come_by_themselves_once_nobody_has_touched_the_page(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    page.goto(f"{dashboard}/orders?period=7D")
    expect(page.get_by_test_id("stDataFrame").first).to_be_visible()
    page.mouse.click(5, 5)
    warehouse.sql(PUBLISH)
    [(version,)] = warehouse.sql("select mart_version from ops.mart_version")
    expect(page.get_by_text(re.compile(f"Version {version} "))).to_be_visible()


def test_files_hold_every_line_to_the_cent_and_no_formula(
    page: Page, dashboard: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    warehouse.sql(HOSTILE_LINE)
    try:
        [(count, net, discounts)] = warehouse.sql(
            f"select count(*), sum(net_amount), sum(discount_amount) from ({WEEK}) as lines"
        )
        page.goto(f"{dashboard}/orders?period=7D&sort=Lowest+value")
        # Having been over the table keeps nobody from the button: the table's own tools do not lie above it.
        page.get_by_test_id("stDataFrame").first.hover()
        page.get_by_test_id("stPopoverButton").filter(has_text="Download").click()
        files = {}
        for kind in ("CSV", "XLSX"):
            with page.expect_download() as download:
                page.get_by_role("button", name=f"Download {kind}").click()
            assert re.search(rf"-v\d+\.{kind.lower()}$", download.value.suggested_filename)
            files[kind] = tmp_path / kind
            download.value.save_as(files[kind])
    finally:
        warehouse.sql("delete from core.fct_sales_lines where sale_id = 'hostile'")

    rows = list(csv.DictReader(io.StringIO(files["CSV"].read_text("utf-8-sig"))))
    assert len(rows) == count
    assert sum(Decimal(row["net_amount"]) for row in rows) == net
    assert sum(Decimal(row["discount_amount"]) for row in rows) == discounts
    [hostile] = [row for row in rows if row["sale_id"] == "hostile"]
    assert hostile["product_name"] == """'=HYPERLINK("http://x","y")"""
    assert hostile["store_id"] == "a;'@b"
    [(version,)] = warehouse.sql("select mart_version from ops.mart_version")
    assert {row["mart_version"] for row in rows} == {str(version)}

    book = zipfile.ZipFile(files["XLSX"])
    data = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    header, *written = [
        {re.sub(r"\d", "", cell.get("r", "")): "".join(cell.itertext()) for cell in row}
        for row in data.iter(f"{SHEET}row")
    ]
    place = {name: letter for letter, name in header.items()}
    assert len(written) == count
    assert sum(Decimal(row[place["net_amount"]]) for row in written) == net
    assert data.find(f".//{SHEET}f") is None
    about = "".join(ET.fromstring(book.read("xl/worksheets/sheet2.xml")).itertext())
    assert rows[0]["view"] in about

    title = page.locator("h1").inner_text()
    other = another(page, rows[0]["view"])
    expect(other.locator("h1")).to_have_text(title)
    expect(other.get_by_text(f"{int(str(count)) - 1:,} lines")).to_be_visible()
    expect(other.get_by_test_id("stAlert")).to_have_count(0)


def _open(app: AppTest, **parameters: str) -> None:
    """As from a link: the first page drawn reads the filters off it, and this one the rest."""
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    for name, value in parameters.items():
        app.query_params[name] = value
    app.switch_page("views/orders.py").run()
    assert not app.exception


def _order(app: AppTest, link: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """The lines and the figures of the order that the link opens."""
    _open(app, order=link, search="nothing is called this")
    return app.dataframe[0].value, {card.label: card.value for card in app.metric}


def _select_first_row(table: Locator) -> None:
    box = table.bounding_box()
    assert box
    table.page.mouse.click(box["x"] + 16, box["y"] + 54)


def _open_first_row(table: Locator, dialog: Locator) -> None:
    """A click in the moment in which the table is drawn anew finds no row: a person clicks again."""
    for _ in range(3):
        _select_first_row(table)
        with suppress(PlaywrightTimeout):
            return dialog.wait_for(timeout=10_000)
    raise AssertionError("no order opens")


def _table(app: AppTest) -> list[dict[Any, Any]]:
    rows: list[dict[Any, Any]] = app.dataframe[-1].value.to_dict("records")
    return rows


def _captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)
