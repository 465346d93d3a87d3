"""Where a figure comes from: the panel's statement gives the figure, and its files and tests are those of SQL."""

import re
from datetime import date
from decimal import Decimal
from types import ModuleType
from typing import Literal

import pandas as pd
import psycopg
import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from dashboard import daily_sales, database, explain, order_lines, queries, saved
from dashboard.measures import CARDS, MEASURES, Measure, Writer
from tests.e2e.conftest import READY, Warehouse, chart

NUMBER = re.compile(r"[^0-9.-]")


@pytest.mark.parametrize("measure", CARDS, ids=lambda measure: measure.name)
def test_statement_that_is_shown_gives_the_figure_of_the_card(
    app: AppTest, warehouse: Warehouse, measure: Measure
) -> None:
    app.query_params["region"] = str(warehouse.sql("select min(sales_region) from kpi.kpi_daily_sales")[0][0])
    app.run()
    app.button(key=f"explain-{measure.name}").click().run()
    assert not app.exception
    statement = app.code[0].value
    assert "sales_region" in statement
    card = next(card.value for card in app.metric if card.label == measure.label)
    row = _rows(warehouse, statement)
    assert Writer("1,234.56", "USD").write(measure.over(row), measure.kind) == card


def test_statement_of_the_run_rate_gives_its_card(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["explain"] = "run_rate"
    app.run()
    rate = _rows(warehouse, app.code[0].value)["run_rate"].iloc[-1]
    card = next(card.value for card in app.metric if card.label.endswith("run rate"))
    assert NUMBER.sub("", card) == f"{Decimal(rate):.0f}"


@pytest.mark.parametrize(
    ("page_name", "name"),
    [("explore", "net_sales"), ("explore", "margin_rate"), ("places", "on_time_rate"), ("places", "days_to_deliver")],
)
def test_statement_of_a_measure_on_other_pages_gives_its_card(
    app: AppTest, warehouse: Warehouse, page_name: str, name: str
) -> None:
    measure = MEASURES[name]
    row = _rows(warehouse, _explained(app, page_name, name))
    card = next(card.value for card in app.metric if card.label == measure.label)
    assert Writer("1,234.56", "USD").write(measure.over(row), measure.kind) == card


def test_statement_of_the_attainment_gives_its_card(app: AppTest, warehouse: Warehouse) -> None:
    rows = _rows(warehouse, _explained(app, "places", "attainment"))
    rows = rows[(rows["month"] == rows["month"].max()) & rows["attainment_rate"].notna()]
    rate = sum(rows["net_sales"]) / sum(rows["target_to_date"])
    assert next(card.value for card in app.metric if "Attainment" in card.label) == f"{100 * rate:.1f}%"


def test_statement_of_pending_payments_gives_their_card(app: AppTest, warehouse: Warehouse) -> None:
    rows = _rows(warehouse, _explained(app, "places", "pending"))
    card = next(card.value for card in app.metric if card.label == "Pending")
    assert NUMBER.sub("", card) == f"{sum(rows['pending_payment_value']):.0f}"


def test_statements_of_products_give_what_is_drawn(app: AppTest, warehouse: Warehouse) -> None:
    sold = _rows(warehouse, _explained(app, "products", "units_sold"))["units_sold"]
    drawn = chart(app, "Units sold by product")
    assert list(drawn["Value"]) == sorted(map(float, sold), reverse=True)[:10]
    classes = _rows(warehouse, _explained(app, "products", "classes"))
    shown = {card.label: card.value for card in app.metric}
    assert shown == {f"{row.abc_class} products": f"{row.products}" for row in classes.itertuples()}
    change = _rows(warehouse, _explained(app, "products", "change")).iloc[0]
    steps = chart(app, "Net sales from month to month")
    assert list(steps["Text"]) == [
        Writer("1,234.56", "USD").money(change[f"total_{name}"], cents=True, signed=name.endswith("effect"))
        for name in ("base_net_sales", "volume_effect", "price_effect", "mix_effect", "net_sales")
    ]


def test_statements_of_customers_give_their_cards(app: AppTest, warehouse: Warehouse) -> None:
    rows = _rows(warehouse, _explained(app, "customers", "order-of-new"))
    new, returning = (rows[rows["customer_type"] == kind] for kind in ("new", "returning"))
    cards = {card.label: card.value for card in app.metric}
    assert cards["New customers"] == f"{new['customers'].sum():,}"
    assert cards["Returning orders"] == f"{returning['orders'].sum():,}"
    share = returning["orders"].sum() / (new["orders"].sum() + returning["orders"].sum())
    assert cards["Returning share"] == f"{100 * share:.1f}%"
    assert cards["Order of new"] == f"${sum(new['sold_value']) / int(new['orders'].sum()):,.2f}"
    months = _rows(warehouse, _explained(app, "customers", "repeat-rate"))
    assert cards["March repeat rate"] == f"{100 * months['repeat_rate'].iloc[-1]:.1f}%"


def test_statements_of_tables_and_maps_give_what_they_show(app: AppTest, warehouse: Warehouse) -> None:
    pairs = _rows(warehouse, _explained(app, "products", "pairs"))
    table = next(each.value for each in app.dataframe if "product_b" in each.value)
    assert list(table["orders"]) == list(pairs["orders"])
    assert list(table["lift"]) == list(pairs["lift"])
    rated = _rows(warehouse, _explained(app, "products", "ratings"))
    assert list(chart(app, "Customer ratings by product")["Text"]) == [f"{mean:.2f}" for mean in rated["mean_rating"]]
    rated = _rows(warehouse, _explained(app, "places", "ratings"))
    drawn = chart(app, "Shares of one to five stars by representative")["Text"]
    assert list(drawn) == [f"{mean:.2f}" for mean in rated["mean_rating"]][: len(drawn)]
    days = _rows(warehouse, _explained(app, "places", "weekdays"))
    assert sorted(chart(app, "Net sales by weekday and week")["Value"]) == sorted(map(float, days["net_sales"]))
    cells = _rows(warehouse, _explained(app, "customers", "cohorts"))
    cohorts = chart(app, "Retention by cohort and months since the first order")
    assert list(cohorts["Value"]) == [float(rate) for rate in cells["retention_rate"][cells["months_since"] > 0]]
    segments = _rows(warehouse, _explained(app, "customers", "segments"))
    table = next(each.value for each in app.dataframe if "segment" in each.value)
    assert list(table["net_sales"]) == list(segments["net_sales"])


def test_files_are_those_that_hold_the_last_day(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["explain"] = "net_sales"
    app.run()
    shown = next(table.value for table in app.dataframe if "net_amount" in table.value)
    assert list(shown[["key", "lines", "net_amount"]].itertuples(index=False, name=None)) == warehouse.sql(
        "with main as (select currency, max(sale_date) as last_date from kpi.kpi_daily_sales "
        "group by currency order by sum(net_sales) desc limit 1) "
        "select key, count(*), sum(net_amount) from kpi.kpi_order_lines inner join main using (currency) "
        "inner join ops.ops_load_history using (file_id) where sale_date = last_date "
        "group by key, file_id order by 2 desc, file_id"
    )


def test_files_of_the_run_rate_are_those_of_its_month_whatever_the_period(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["period"] = "Custom"
    app.query_params["dates"] = ["2026-02-03", "2026-02-10"]
    app.query_params["explain"] = "run_rate"
    app.run()
    shown = next(table.value for table in app.dataframe if "net_amount" in table.value)
    assert [(key,) for key in shown["key"]] == warehouse.sql(
        "select distinct key from kpi.kpi_order_lines inner join ops.ops_load_history using (file_id) "
        "where sale_date = (select max(sale_date) from kpi.kpi_daily_sales)"
    )


def test_tests_of_a_mart_are_its_own_and_those_of_all_marts() -> None:
    marts = ("kpi_daily_sales", "kpi_products", "kpi_product", "ops_freshness")
    names = ["not_null_kpi_daily_sales_orders", "unique_kpi_products_id", "unique_kpi_product_id", "marts_reconcile"]
    results = pd.DataFrame({"test_name": names})
    assert list(explain.tests_of("kpi_product", results, marts)["test_name"]) == [names[2], names[3]]
    assert list(explain.tests_of("kpi_daily_sales", results, marts)["test_name"]) == [names[0], names[3]]


def test_results_that_are_shown_are_the_last_ones(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["explain"] = "orders"
    app.run()
    shown = next(table.value for table in app.dataframe if "test_name" in table.value)
    assert len(shown)
    last = dict(warehouse.sql("select test_name, status from ops.ops_test_results"))
    assert {name: last[name] for name in shown["test_name"]} == dict(
        zip(shown["test_name"], shown["status"], strict=True)
    )


@pytest.mark.parametrize(("module", "read"), [(queries, "test_results"), (order_lines, "files_of")])
def test_part_that_cannot_be_read_leaves_the_panel_and_the_page(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, module: ModuleType, read: str
) -> None:
    def slow(*_: object) -> None:
        raise database.Unavailable(database.Problem.SLOW)

    monkeypatch.setattr(module, read, slow)
    app.query_params["explain"] = "net_sales"
    app.run()
    assert not app.exception
    assert [each.value for each in app.error] == [database.Problem.SLOW.value]
    assert [each.value for each in app.subheader if each.value in ("SQL", "dbt tests", "Files")] == [
        "SQL", "dbt tests", "Files",
    ]  # fmt: skip
    assert len(app.metric) == 6


def test_link_to_no_figure_opens_nothing(app: AppTest) -> None:
    app.query_params["explain"] = "'; drop table kpi.kpi_daily_sales; --"
    app.run()
    assert not app.exception
    assert not app.code


@pytest.mark.parametrize("member", ["50% off", "O'Brien", "back\\slash", ":colon", "$1", "naïve"])
def test_statement_is_written_out_as_it_would_be_run(warehouse: Warehouse, member: str) -> None:
    statement = daily_sales.sales_sql(
        daily_sales.Scope("USD", (("region", (member,)),)), date(2026, 1, 1), date(2026, 1, 31)
    )
    literal = re.search(r"sales_region IN \((.*?)\)\)", statement)
    assert literal
    assert _rows(warehouse, f"select {literal[1]} as member")["member"].tolist() == [member]


def test_panel_is_opened_and_closed_by_keyboard(page: Page, dashboard: str) -> None:
    page.goto(dashboard)
    page.get_by_role("button", name="Explain total sales").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("kpi.kpi_daily_sales")
    expect(page).to_have_url(re.compile("explain=net_sales"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("explain="))


def _explained(app: AppTest, page_name: str, name: str) -> str:
    """The statement that the panel of this figure shows."""
    app.switch_page(f"views/{page_name}.py").run()
    app.button(key=f"explain-{name}").click().run()
    assert not app.exception
    return app.code[0].value


def _rows(warehouse: Warehouse, statement: str) -> pd.DataFrame:
    with psycopg.connect(warehouse.admin_url) as connection:
        cursor = connection.execute(statement.encode())
        return pd.DataFrame(cursor.fetchall(), columns=[each.name for each in cursor.description or ()])


def test_printing_is_offered_by_the_page_that_is_laid_out_for_it(app: AppTest) -> None:
    for path in ("orders", "pipeline", ""):
        app.switch_page(saved.PAGES[path]).run()
        assert not app.exception
        drawn = [each.proto.component_name for each in app.get("bidi_component")]
        assert ("print" in drawn) is (path == "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_holds_the_figures_and_what_they_are_of_but_nothing_to_press(
    page: Page, dashboard: str, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{dashboard}/?period=7D")
    expect(page.get_by_test_id("stMetric")).to_have_count(6)
    expect(page.locator(READY)).to_be_visible()
    expect(page.locator(".st-key-printed")).to_be_hidden()
    page.evaluate("() => { window.prints = 0; window.print = () => { window.prints += 1 } }")
    page.get_by_role("button", name="Print / PDF").click()
    assert page.evaluate("window.prints") == 1
    page.emulate_media(media="print")
    for part in ("live-bar", "filters", "trend-shape", "top"):
        expect(page.locator(f".st-key-{part}")).to_be_hidden()
    expect(page.get_by_test_id("stMetric").first).to_be_visible()
    expect(page.locator(".st-key-printed")).to_contain_text("period=Custom")
    pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 2
    assert {(int(float(w)), int(float(h))) for w, h in re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)} == {
        (594, 841)
    }
