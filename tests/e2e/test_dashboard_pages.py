"""Explore, Products and Regions & reps: figures, charts and states against SQL, and a click on a bar in a browser."""

import re
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from dashboard import daily_sales, queries
from dashboard.measures import Writer
from scripts.bench_dashboard import PUBLISH
from tests.e2e.conftest import READY, Warehouse, chart, download

DOLLARS = Writer("1,234.56", "USD")
# The last 28 days of the currency that sold most, as the pages show them unless asked otherwise.
SOLD = """
    with main as (
        select currency, max(sale_date) as last_date from kpi.kpi_daily_sales
        group by currency order by sum(net_sales) desc limit 1
    ), sold as (
        select * from kpi.kpi_daily_sales inner join main using (currency) where sale_date > last_date - 28
    )
"""
MAIN = "(select currency from kpi.kpi_daily_sales group by currency order by sum(net_sales) desc limit 1)"
# A month that is over, whatever other tests have added.
MONTH = "date_trunc('month', '2026-03-31'::date)::date"


def test_explore_figures_equal_the_marts(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["measures"] = ["Discount rate", "Average transaction", "Delivered on time"]
    cards = _cards(_open(app, "explore"))
    [(discounts, average, on_time)] = warehouse.sql(
        SOLD + "select to_char(100 * sum(discounts) / sum(gross_sales), 'FM990.0'), "
        "to_char(sum(net_sales) / sum(orders), 'FM999,999,990.00'), "
        "to_char(100.0 * sum(delivered_on_time_lines) / sum(delivered_lines), 'FM990.0') from sold"
    )
    assert cards == {
        "Discount rate": f"{discounts}%", "Average transaction": f"${average}", "Delivered on time": f"{on_time}%"
    }  # fmt: skip


def test_explore_draws_a_rate_of_sums_per_week(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["grain"] = "Week"
    drawn = chart(_open(app, "explore"), "Margin per week")
    rates = warehouse.sql(
        SOLD + "select 100 * sum(gross_margin) / sum(costed_net_sales) from sold "
        "group by date_trunc('week', sale_date) order by date_trunc('week', sale_date)"
    )
    assert list(drawn["Margin"]) == pytest.approx([float(str(rate)) for (rate,) in rates])
    assert drawn["Comparison"].notna().all()


@pytest.mark.parametrize(
    ("dimension", "column", "mart"),
    [
        ("channel", "sales_channel", "kpi_daily_sales"),
        ("category", "product_category", "kpi_daily_category_sales"),
    ],
)
def test_leaderboard_equals_the_marts(
    app: AppTest, warehouse: Warehouse, dimension: str, column: str, mart: str
) -> None:
    drawn = chart(_open(app, "explore"), f"Total sales by {dimension}")
    rows = warehouse.sql(
        SOLD.replace("select * from kpi.kpi_daily_sales", f"select * from kpi.{mart}")
        + f"select {column}, sum(net_sales), to_char(100 * sum(net_sales) / sum(sum(net_sales)) over (), 'FM990.0') "
        f"from sold group by {column} order by sum(net_sales) desc limit 10"
    )
    assert list(drawn["Name"]) == [name for name, _, _ in rows]
    assert list(drawn["Value"]) == pytest.approx([float(str(value)) for _, value, _ in rows])
    assert all(f" {share}%" in text for text, (_, _, share) in zip(drawn["Text"], rows, strict=True))


def test_orders_of_categories_are_not_shares_of_a_whole(app: AppTest) -> None:
    app.query_params["measures"] = "Orders"
    app.query_params["compare"] = "None"
    _open(app, "explore")
    assert not chart(app, "Orders by category")["Text"].str.contains("%").any()
    assert chart(app, "Orders by region")["Text"].str.contains("%").all()


def test_explore_without_a_measure_asks_for_one(app: AppTest) -> None:
    _open(app, "explore")
    app.multiselect(key="measures").set_value([]).run()
    assert not app.exception
    assert "Choose a measure" in app.info[0].value


def test_explore_says_where_nothing_is_compared(app: AppTest) -> None:
    app.query_params["compare"] = "None"
    _open(app, "explore")
    assert {card.delta for card in app.metric} == {"no comparison"}
    assert "Comparison" not in chart(app, "Total sales per day")


def test_explore_leads_to_the_lines(app: AppTest) -> None:
    _open(app, "explore")
    assert "Show the lines" in [link.label for link in app.get("page_link")]  # type: ignore[union-attr]


def test_products_that_sell_most_equal_the_marts(app: AppTest, warehouse: Warehouse) -> None:
    _open(app, "products")
    for alt, column in (("Total sales by product", "net_sales"), ("Units sold by product", "units_sold")):
        rows = warehouse.sql(
            SOLD.replace("select * from kpi.kpi_daily_sales", "select * from kpi.kpi_daily_product_sales")
            + f"select sum({column}) from sold group by product_id having sum({column}) > 0 order by 1 desc limit 10"
        )
        assert list(chart(app, alt)["Value"]) == pytest.approx([float(str(value)) for (value,) in rows])


def test_classes_equal_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    cards = {card.label: (card.value, card.delta) for card in _open(app, "products").metric}
    rows = warehouse.sql(
        "select abc_class, count(*)::text, to_char(100 * sum(sales_share), 'FM990.0') from kpi.kpi_product_abc "
        f"where currency = {MAIN} group by abc_class"
    )
    assert cards == {f"{name} products": (count, f"{share}% of sales") for name, count, share in rows}
    drawn = chart(app, "Net sales by product and their cumulative share")
    [(products,)] = warehouse.sql(f"select count(*) from kpi.kpi_product_abc where currency = {MAIN}")
    assert len(drawn) == products
    assert drawn["Cumulative share"].is_monotonic_increasing
    assert drawn["Cumulative share"].iloc[-1] == 100


def test_bridge_explains_the_difference_to_the_cent(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["bridge-month"] = "Mar 2026"
    _open(app, "products")
    [(before, now, volume, price, mix)] = warehouse.sql(
        "select sum(base_net_sales), sum(net_sales), sum(volume_effect), sum(price_effect), sum(mix_effect) "
        f"from kpi.kpi_price_volume_mix where month = {MONTH} and comparison = 'previous_month' "
        f"and currency = {MAIN}"
    )
    values = [Decimal(str(value)) for value in (before, volume, price, mix, now)]
    assert sum(values[:-1]) == values[-1]
    drawn = chart(app, "Net sales from month to month")
    whole = (True, False, False, False, True)
    assert list(drawn["Text"]) == [
        DOLLARS.money(value, cents=True, signed=not each) for value, each in zip(values, whole, strict=True)
    ]


def test_products_that_drive_the_difference_equal_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["bridge-month"] = "Mar 2026"
    _open(app, "products")
    rows = warehouse.sql(
        "select net_sales_change, price_effect, volume_effect, mix_effect from kpi.kpi_price_volume_mix "
        f"where month = {MONTH} and comparison = 'previous_month' and currency = {MAIN} "
        "order by abs(net_sales_change) desc, product_id limit 10"
    )
    shown = _table(app, "net_sales_change")
    columns = ["net_sales_change", "price_effect", "volume_effect", "mix_effect"]
    assert [tuple(map(float, row)) for row in shown[columns].itertuples(index=False)] == [
        tuple(float(str(value)) for value in row) for row in rows
    ]


def test_pairs_equal_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["pairs-month"] = "Mar 2026"
    _open(app, "products")
    shown = _table(app, "lift")
    rows = warehouse.sql(
        f"select orders, lift, support from kpi.kpi_product_pairs where month = {MONTH} order by lift desc limit 15"
    )
    assert list(shown["lift"]) == [lift for _, lift, _ in rows]
    assert sorted(shown["orders"]) == sorted(orders for orders, _, _ in rows)
    assert sorted(shown["support"]) == sorted(support for _, _, support in rows)


def test_product_ratings_equal_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["rated"] = "Highest"
    drawn = chart(_open(app, "products"), "Customer ratings by product")
    rows = warehouse.sql(
        SOLD + "select to_char(sum(mean_rating * rated_lines) / sum(rated_lines), 'FM0.00'), sum(rated_lines)::text "
        "from kpi.kpi_product_ratings where month between (select date_trunc('month', min(sale_date)) from sold) "
        "and (select max(sale_date) from sold) group by product_id having sum(rated_lines) >= 5 "
        "order by sum(mean_rating * rated_lines) / sum(rated_lines) desc, sum(rated_lines) desc limit 10"
    )
    assert list(zip(drawn["Text"], drawn["Lines"], strict=True)) == rows


def test_what_no_filter_narrows_says_so(app: AppTest) -> None:
    _open(app, "products")
    assert _captions(app).count("All sales in USD: the filters do not apply here.") == 0
    app.multiselect(key="region").set_value(app.multiselect(key="region").options[:1]).run()
    assert not app.exception
    assert _captions(app).replace("\\", "").count("All sales in USD: the filters do not apply here.") == 2


def test_products_without_history_say_why(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "bridge_months", lambda *_: {})
    monkeypatch.setattr(queries, "pair_months", lambda *_: [])
    monkeypatch.setattr(queries, "product_ratings", lambda *_, **__: pd.DataFrame())
    monkeypatch.setattr(queries, "product_classes", lambda *_: pd.DataFrame())
    said = _captions(_open(app, "products"))
    assert "once the whole month before it lies in the history" in said
    assert "No two products were bought together often enough yet" in said
    assert "No product was rated" in said
    assert "No product has earned anything" in said


def test_attainment_equals_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["target-month"] = "March 2026"
    card = _open(app, "places").metric[0]
    of_month = (
        "from kpi.kpi_target_attainment where place_type = 'sales_region' and attainment_rate is not null "
        f"and currency = {MAIN} and month = {MONTH}"
    )
    [(rate, gap)] = warehouse.sql(
        "select to_char(100 * sum(net_sales) / sum(target_to_date), 'FM990.0'), "
        f"to_char(abs(round(sum(gap))), 'FM999,999,999') {of_month}"
    )
    assert (card.value, card.delta) == (f"{rate}%", f"−${gap}")
    drawn = chart(app, "Net sales against target").set_index("Name")
    rows = warehouse.sql(f"select place, net_sales, target_net_sales, target_to_date {of_month}")
    for place, *values in rows:
        assert list(drawn.loc[place, ["Net sales", "Target", "By now"]]) == [float(str(value)) for value in values]


def test_attainment_of_a_kept_region_is_its_own(app: AppTest, warehouse: Warehouse) -> None:
    [(place, rate)] = warehouse.sql(
        "select place, to_char(100 * attainment_rate, 'FM990.0') from kpi.kpi_target_attainment "
        f"where place_type = 'sales_region' and currency = {MAIN} and month = {MONTH} "
        "and attainment_rate is not null order by target_net_sales limit 1"
    )
    app.query_params["region"] = place
    app.query_params["target-month"] = "March 2026"
    assert _open(app, "places").metric[0].value == f"{rate}%"
    assert list(chart(app, "Net sales against target")["Name"]) == [place]


def test_a_place_without_a_target_is_shown_without_one(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    known = queries.targets

    def with_another(version: int, currency: str) -> pd.DataFrame:
        targets = known(version, currency)
        other = targets.iloc[[0]].assign(
            place="Antarctica", target_net_sales=None, target_to_date=None, gap=None, attainment_rate=None
        )
        return pd.DataFrame(
            [*targets.to_dict("records"), *other.to_dict("records")], columns=targets.columns, dtype=object
        )

    before = _open(app, "places").metric[0].value
    monkeypatch.setattr(queries, "targets", with_another)
    assert app.run().metric[0].value == before
    drawn = chart(app, "Net sales against target").set_index("Name")
    assert drawn.loc["Antarctica", "Text"] == "no target"


def test_places_without_targets_say_how_to_set_them(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "targets", lambda *_: pd.DataFrame())
    _open(app, "places")
    assert "sales_targets.csv" in app.info[0].value


def test_weekdays_equal_the_marts(app: AppTest, warehouse: Warehouse) -> None:
    _open(app, "places")
    cells = chart(app, "Net sales by weekday and week")
    rows = warehouse.sql(
        SOLD + "select to_char(date_trunc('week', sale_date), 'FMDD Mon'), to_char(sale_date, 'Dy'), sum(net_sales) "
        "from sold group by sale_date order by sale_date"
    )
    assert _cells(cells) == pytest.approx({(week, day): float(str(value)) for week, day, value in rows})


@pytest.mark.parametrize(("by", "divisor"), [("Region average", 4), ("Region total", 1)])
def test_weekdays_of_regions_equal_the_marts(app: AppTest, warehouse: Warehouse, by: str, divisor: int) -> None:
    app.query_params["weekdays"] = by
    cells = chart(_open(app, "places"), "Net sales by weekday and region")
    rows = warehouse.sql(
        SOLD + "select sales_region, to_char(sale_date, 'Dy'), sum(net_sales) / %s from sold group by 1, 2", divisor
    )
    drawn = {place: value for place, value in _cells(cells).items() if value}
    assert drawn == pytest.approx({(region, day): float(str(value)) for region, day, value in rows})


def test_leaders_are_ranked_by_what_is_chosen(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["rank"] = "Margin"
    drawn = chart(_open(app, "places"), "Margin by representative")
    rows = warehouse.sql(
        SOLD + "select sales_representative from sold group by 1 "
        "order by sum(gross_margin) / sum(costed_net_sales) desc limit 10"
    )
    assert list(drawn["Name"]) == [name for (name,) in rows]


def test_delivery_equals_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    cards = _cards(_open(app, "places"))
    [(on_time, days)] = warehouse.sql(
        SOLD.replace("select * from kpi.kpi_daily_sales", "select * from kpi.kpi_daily_fulfilment")
        + "select to_char(100.0 * sum(delivered_on_time_lines) / sum(delivered_lines), 'FM990.0'), "
        "to_char(sum(delivery_days)::numeric / sum(delivered_lines), 'FM990.00') from sold"
    )
    assert (cards["Delivered on time"], cards["Days to deliver"]) == (f"{on_time}%", days)


def test_representatives_ratings_equal_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    drawn = chart(_open(app, "places"), "Shares of one to five stars by representative")
    rows = warehouse.sql(
        SOLD + "select sales_representative, to_char(sum(mean_rating * rated_lines) / sum(rated_lines), 'FM0.00') "
        "from kpi.kpi_rep_ratings where month between (select date_trunc('month', min(sale_date)) from sold) "
        "and (select max(sale_date) from sold) group by 1 having sum(rated_lines) >= 5 "
        "order by sum(mean_rating * rated_lines) / sum(rated_lines) desc limit 10"
    )
    assert list(zip(drawn["Name"], drawn["Text"], strict=True)) == rows


def test_pending_payments_by_age_equal_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    card = next(card for card in _open(app, "places").metric if card.label == "Pending")
    rows = warehouse.sql(
        "select age, pending_payment_value from kpi.kpi_pending_payments "
        f"where currency = {MAIN} order by length(age), age"
    )
    [(total, old)] = warehouse.sql(
        "select to_char(round(sum(net)), 'FM999,999,990'), "
        "to_char(100 * sum(net) filter (where sale_date < last_date - 30) / sum(net), 'FM990.0') from ("
        "select sale_date, gross_amount - discount_amount as net, max(sale_date) over () as last_date "
        "from kpi.kpi_order_lines where line_type = 'sale' and lower(payment_status) = 'pending') as pending"
    )
    assert (card.value, card.delta) == (f"${total}", f"{old}% older than 30 days")
    drawn = chart(app, "Pending payments by the age of the sale")
    assert len(rows) > 1
    assert list(zip(drawn["Name"], drawn["Value"], strict=True)) == [(age, float(str(value))) for age, value in rows]


def test_places_without_pending_payments_say_so(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "pending_payments", lambda *_: pd.DataFrame())
    assert "No sheet states a payment as pending" in _captions(_open(app, "places"))


def test_places_without_deliveries_and_ratings_say_so(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    known = daily_sales.sales

    def undelivered(*asked: object, **sums: object) -> pd.DataFrame:
        return known(*asked, **sums).assign(delivered_lines=Decimal(0))  # type: ignore[arg-type]

    monkeypatch.setattr(daily_sales, "sales", undelivered)
    monkeypatch.setattr(queries, "rep_ratings", lambda *_: pd.DataFrame())
    said = _captions(_open(app, "places"))
    assert "has been delivered yet" in said
    assert "Nobody was rated" in said


def test_files_of_places_hold_what_is_shown_and_say_what_it_is(
    page: Page, dashboard: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    page.goto(f"{dashboard}/places?period=7D&region=Europe&channel=Online")
    name, rows = download(page, "targets", tmp_path)
    assert re.fullmatch(r"targets-2026-03-v\d+\.csv", name)
    assert rows[0]["filters"] == "Month: March 2026; Currency: USD; Region: Europe"
    assert [tuple(map(Decimal, (row["net_sales"], row["target_to_date"]))) for row in rows] == warehouse.sql(
        "select net_sales, target_to_date from kpi.kpi_target_attainment "
        f"where place = 'Europe' and month = {MONTH} and currency = {MAIN}"
    )
    kept = "sales_region = 'Europe' and sales_channel = 'Online' and sale_date > last_date - 7"
    sold = SOLD.replace("sale_date > last_date - 28", kept)
    filters = "Currency: USD; Channel: Online; Region: Europe"
    for table, columns, key in (
        ("weekdays", ("net_sales",), "sale_date"),
        ("delivery-by-day", ("delivered_lines", "delivered_on_time_lines", "delivery_days"), "sale_date"),
    ):
        name, rows = download(page, table, tmp_path)
        assert re.fullmatch(rf"{table}-2026-03-25-to-2026-03-31-v\d+\.csv", name)
        assert rows[0]["filters"].startswith(filters)
        sums = ", ".join(f"sum({column})" for column in columns)
        expected = warehouse.sql(f"{sold} select {sums} from sold group by {key} order by {key}")
        assert [tuple(Decimal(row[column]) for column in columns) for row in rows] == expected
    name, rows = download(page, "ratings", tmp_path)
    assert re.fullmatch(r"ratings-2026-03-to-2026-03-v\d+\.csv", name)
    assert rows[0]["filters"] == "Months: March 2026; Currency: every currency; Filters: not applied"
    assert [Decimal(row["rated_lines"]) for row in rows] == [
        lines for (lines,) in warehouse.sql(
            f"select sum(rated_lines) from kpi.kpi_rep_ratings where month = {MONTH} group by sales_representative "
            "having sum(rated_lines) >= 5 order by sum(mean_rating * rated_lines) / sum(rated_lines) desc, 1 desc"
        )
    ]  # fmt: skip
    name, rows = download(page, "pending-payments", tmp_path)
    assert re.fullmatch(r"pending-payments-2026-03-31-v\d+\.csv", name)
    assert rows[0]["filters"] == "Currency: USD; Filters: not applied"
    assert {row["age"]: Decimal(row["pending_payment_value"]) for row in rows} == dict(
        warehouse.sql(f"select age, pending_payment_value from kpi.kpi_pending_payments where currency = {MAIN}")
    )


def test_file_of_unusual_days_holds_them(page: Page, dashboard: str, warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.sql("create table public.kept as select * from kpi.kpi_daily_category_sales")
    try:
        warehouse.sql("update kpi.kpi_daily_category_sales set lines = lines * 50 where sale_date = '2026-03-30'")
        warehouse.sql(PUBLISH)
        page.goto(f"{dashboard}/pipeline")
        name, rows = download(page, "unusual-days", tmp_path)
        assert re.fullmatch(r"unusual-days-newest-v\d+\.csv", name)
        assert [(row["sale_date"], int(row["lines"])) for row in rows] == warehouse.sql(
            "select sale_date::text, lines from kpi.kpi_volume_anomalies where is_anomaly "
            "order by sale_date desc, currency"
        )
    finally:
        warehouse.sql("truncate kpi.kpi_daily_category_sales")
        warehouse.sql("insert into kpi.kpi_daily_category_sales select * from public.kept")
        warehouse.sql("drop table public.kept")
        warehouse.sql(PUBLISH)


@pytest.mark.parametrize("path", ["/explore", "/places"])
def test_click_on_a_bar_filters_everything_and_a_second_shows_all(
    page: Page, dashboard: str, warehouse: Warehouse, path: str
) -> None:
    [(region, net_sales)] = warehouse.sql(
        SOLD + "select sales_region, to_char(round(sum(net_sales)), 'FM999,999,999') from sold "
        "group by 1 order by sum(net_sales) desc limit 1"
    )
    page.goto(f"{dashboard}{path}?compare=None")
    expect(page.locator(READY)).to_be_visible()
    _click_first_bar(page, "region")
    page.wait_for_url(re.compile(r"[?&]region="))
    chosen = page.get_by_role("combobox", name=re.compile("Region")).locator("xpath=ancestor::*[@data-testid][1]")
    expect(chosen).to_contain_text(str(region))
    if path == "/explore":
        expect(page.get_by_test_id("stMetric").first).to_contain_text(str(net_sales))
    expect(page.locator(READY)).to_be_visible()
    _click_first_bar(page, "region")
    expect(page).not_to_have_url(re.compile(r"[?&]region="))


def _click_first_bar(page: Page, dimension: str) -> None:
    canvas = page.locator(f"[class*='st-key-by-{dimension}-'] canvas").first
    canvas.scroll_into_view_if_needed()
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    assert box
    rows = max(round(box["height"] / 34), 1)
    # The longest bar reaches over a third of the chart; bars grow when they are drawn first, hence the waiting.
    canvas.hover(position={"x": box["width"] * 0.33, "y": box["height"] / rows / 2})
    page.wait_for_timeout(1500)
    canvas.click(position={"x": box["width"] * 0.33, "y": box["height"] / rows / 2})


def _open(app: AppTest, name: str) -> AppTest:
    app.switch_page(f"views/{name}.py").run()
    assert not app.exception
    return app


def _cards(app: AppTest) -> dict[str, str]:
    return {card.label: card.value for card in app.metric}


def _captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def _table(app: AppTest, column: str) -> pd.DataFrame:
    """The table that has this column."""
    [frame] = [table.value for table in app.dataframe if column in table.value]
    return frame


def _cells(cells: pd.DataFrame) -> dict[tuple[str, str], float]:
    return {
        (column, row): value for column, row, value in zip(cells["Column"], cells["Row"], cells["Value"], strict=True)
    }
