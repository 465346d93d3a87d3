"""The pages of products and of customers over real marts: figures against SQL, and what is shown without any."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Page, expect
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from dashboard import queries
from tests.e2e.conftest import Warehouse, another, download, forget

PRODUCTS, CUSTOMERS = "views/products.py", "views/customers.py"
MAIN = """
    with main as (
        select currency, max(sale_date) as last_date from kpi.kpi_daily_sales
        group by currency order by sum(net_sales) desc limit 1
    )
"""
NEW_AND_RETURNING = f"""
    {MAIN}
    select to_char(sum(customers) filter (where customer_type = 'new'), 'FM999,999,990'),
        to_char(sum(orders) filter (where customer_type = 'returning'), 'FM999,999,990'),
        to_char(round(100 * sum(orders) filter (where customer_type = 'returning')
            / sum(orders) filter (where customer_type <> 'unknown'), 1), 'FM990.0'),
        to_char(round(sum(sold_value) filter (where customer_type = 'new')
            / sum(orders) filter (where customer_type = 'new'), 2), 'FM999,990.00')
    from kpi.kpi_daily_customers inner join main using (currency)
    where sale_date > last_date - 28
"""


def test_classes_equal_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    cards = {card.label: (card.value, card.delta) for card in _open(app, PRODUCTS).metric}
    classes = warehouse.sql(
        f"{MAIN} select abc_class, count(*)::text, to_char(round(100 * sum(sales_share), 1), 'FM990.0') "
        "from kpi.kpi_product_abc inner join main using (currency) group by abc_class"
    )
    assert classes
    for name, products, share in classes:
        assert cards[f"{name} products"] == (products, f"{share}% of sales")


def test_effects_sum_to_the_change_to_the_cent(app: AppTest, warehouse: Warehouse) -> None:
    _open(app, PRODUCTS)
    month = warehouse.sql(f"{MAIN} select date_trunc('month', last_date)::date from main")[0][0]
    [figures] = warehouse.sql(
        f"{MAIN} select sum(net_sales_change), sum(volume_effect), sum(price_effect), sum(mix_effect), "
        "sum(base_net_sales), sum(net_sales) from kpi.kpi_price_volume_mix inner join main using (currency) "
        "where month = %s and comparison = 'previous_month'",
        month,
    )
    change, volume, price, mix, before, now = (Decimal(str(figure)) for figure in figures)
    assert change == volume + price + mix == now - before
    [caption] = [caption.value.replace("\\", "") for caption in app.caption if " against " in caption.value]
    for name, effect in (("", change), ("volume ", volume), ("price ", price), ("mix ", mix)):
        assert f"{name}{_signed(effect)}" in caption
    steps = _charts(app)["waterfall"]
    assert list(steps["Text"]) == [f"${before:,.2f}", *map(_signed, (volume, price, mix)), f"${now:,.2f}"]


def test_drivers_are_those_that_changed_most(app: AppTest, warehouse: Warehouse) -> None:
    table = _table(_open(app, PRODUCTS), "net_sales_change")
    expected = warehouse.sql(
        f"{MAIN} select net_sales_change from kpi.kpi_price_volume_mix inner join main using (currency) "
        "where month = date_trunc('month', last_date)::date and comparison = 'previous_month' "
        "order by abs(net_sales_change) desc, product_id limit 10"
    )
    assert [(value,) for value in table["net_sales_change"]] == expected


def test_top_sellers_follow_the_filter(app: AppTest, warehouse: Warehouse) -> None:
    _open(app, PRODUCTS)
    region = app.multiselect(key="region").options[0]
    app.multiselect(key="region").set_value([region]).run()
    assert not app.exception
    units = _charts(app)["by-product-units_sold"]
    expected = warehouse.sql(
        f"{MAIN} select sum(units_sold)::float from kpi.kpi_daily_place_product_sales inner join main using (currency) "
        "where sale_date > last_date - 28 and sales_region = %s group by product_id order by 1 desc limit 10",
        region,
    )
    assert [(value,) for value in units["Value"]] == expected
    said = [caption.value for caption in app.caption if "filters do not apply" in caption.value]
    assert len(said) == 4  # classes, the bridge, pairs and ratings know no places


def test_pairs_equal_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    _open(app, PRODUCTS)
    table = _table(app, "lift")
    month = "(select max(month) from kpi.kpi_monthly_product_pairs)"
    expected = warehouse.sql(
        f"select lift, orders, support from kpi.kpi_product_pairs where month = {month} "
        "order by lift desc, orders desc, product_a, product_b limit 15"
    )
    assert expected
    assert list(table["lift"]) == [lift for lift, _, _ in expected]
    assert list(table["orders"]) == [orders for _, orders, _ in expected]
    assert list(table["support"]) == [support for _, _, support in expected]
    app.segmented_control(key="pairs").set_value("Orders").run()
    [(most,)] = warehouse.sql(f"select max(orders) from kpi.kpi_product_pairs where month = {month}")
    assert _table(app, "lift")["orders"].iloc[0] == most


def test_ratings_are_of_all_lines_of_the_months(app: AppTest, warehouse: Warehouse) -> None:
    _open(app, PRODUCTS)
    shown = _charts(app)["ratings"]
    expected = warehouse.sql(
        f"{MAIN} select to_char(round(sum(mean_rating * rated_lines) / sum(rated_lines), 2), 'FM0.00') "
        "from kpi.kpi_product_ratings cross join main "
        "where month between date_trunc('month', last_date - 27) and date_trunc('month', last_date) "
        "group by product_id having sum(rated_lines) >= 5 "
        "order by sum(mean_rating * rated_lines) / sum(rated_lines), sum(rated_lines) desc, product_id limit 10"
    )
    assert expected
    assert [(text,) for text in shown["Text"]] == expected


def test_customer_cards_equal_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    cards = {card.label: card.value for card in _open(app, CUSTOMERS).metric}
    new, returning, share, order = warehouse.sql(NEW_AND_RETURNING)[0]
    assert cards["New customers"] == new
    assert cards["Returning orders"] == returning
    assert cards["Returning share"] == f"{share}%"
    assert cards["Order of new"] == f"${order}"
    [(rate,)] = warehouse.sql(
        f"{MAIN} select to_char(round(100 * repeat_rate, 1), 'FM990.0') from kpi.kpi_monthly_customers "
        "inner join main using (currency) where month = date_trunc('month', last_date)::date"
    )
    assert cards["March repeat rate"] == f"{rate}%"  # March is over: the last sales are of its last day


def test_orders_over_time_are_those_of_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["grain"] = "Month"
    app.query_params["period"] = "YTD"
    _open(app, CUSTOMERS)
    drawn = _charts(app)["new-returning"]
    expected = warehouse.sql(
        f"{MAIN} select sum(orders) filter (where customer_type = 'new')::float, "
        "sum(orders) filter (where customer_type = 'returning')::float "
        "from kpi.kpi_daily_customers inner join main using (currency) "
        "where sale_date >= date_trunc('year', last_date) group by date_trunc('month', sale_date) "
        "order by date_trunc('month', sale_date)"
    )
    assert [(row["New"], row["Returning"]) for row in drawn.to_dict("records")] == expected


@pytest.mark.parametrize(
    ("shown", "column", "first"), [("Retention", "retention_rate", 1), ("Net sales per member",
     "cumulative_net_sales_per_member", 0)],
)  # fmt: skip
def test_cohorts_equal_the_mart(app: AppTest, warehouse: Warehouse, shown: str, column: str, first: int) -> None:
    _open(app, CUSTOMERS)
    app.segmented_control(key="cohorts-by").set_value(shown).run()
    expected = warehouse.sql(
        f"{MAIN} select {column}::float from kpi.kpi_cohort_retention inner join main using (currency) "
        "where months_since >= %s order by cohort_month, months_since",
        first,
    )
    assert len(expected) > 1
    assert list(_charts(app)["cohorts"]["Value"]) == pytest.approx([value for (value,) in expected])


def test_the_page_says_which_customers_may_be_older_and_which_months_still_run(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history begins on the last day of January and ends with March: of a month that runs, the mart is told so."""
    app.query_params["period"] = "YTD"
    said = "\n".join(caption.value for caption in _open(app, CUSTOMERS).caption)
    assert "The history begins in January 2026: who ordered before counts as new" in said
    assert "The first row is of customers who may have ordered before" in said
    assert "still runs" not in said
    assert "the running one so far" not in said
    assert list(dict.fromkeys(_charts(app)["cohorts"]["Cohort"])) == ["Jan 2026\nor earlier", "Feb 2026"]
    for name, month in (("cohorts", "months_since"), ("monthly_customers", "month")):
        monkeypatch.setattr(queries, name, _the_latest_of_which_runs(getattr(queries, name), month))
    said = "\n".join(caption.value for caption in app.run().caption)
    assert "the last one, in each row, still runs" in said
    assert "the running one so far" in said
    assert "February repeat rate" in {card.label for card in app.metric}


def clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%d %b %H:%M}"


def test_what_is_counted_over_the_whole_history_says_as_of_when(app: AppTest, warehouse: Warehouse) -> None:
    [(moment,)] = warehouse.sql("select distinct as_of from ops.history_marts")
    for page, panels in ((CUSTOMERS, 3), (PRODUCTS, 1)):
        said = [caption.value for caption in _open(app, page).caption if f"As of {clock(moment)}." in caption.value]
        assert len(said) == panels
    warehouse.sql("update ops.history_marts set as_of = as_of - interval '2 days'")
    try:
        forget()
        later = f"As of {clock(moment - timedelta(2))}; later sales are worked in when nothing else waits."
        assert len([caption for caption in _open(app, CUSTOMERS).caption if later in caption.value]) == 3
    finally:
        warehouse.sql("update ops.history_marts set as_of = as_of + interval '2 days'")


def test_customers_that_were_never_counted_are_awaited(app: AppTest, warehouse: Warehouse) -> None:
    warehouse.sql("create table public.kept as select * from ops.history_marts")
    try:
        warehouse.sql("delete from ops.history_marts")
        forget()
        _open(app, CUSTOMERS)
        assert "for the first time" in app.info[0].value
    finally:
        warehouse.sql("insert into ops.history_marts select * from public.kept")
        warehouse.sql("drop table public.kept")


def test_segments_equal_the_mart_and_make_up_the_whole(app: AppTest, warehouse: Warehouse) -> None:
    table = _table(_open(app, CUSTOMERS), "segment")
    expected = warehouse.sql(
        f"{MAIN} select initcap(left(segment, 1)) || substr(segment, 2), customers, orders, net_sales "
        "from kpi.kpi_rfm_segments inner join main using (currency) order by net_sales desc, segment"
    )
    assert [tuple(row) for row in table[["segment", "customers", "orders", "net_sales"]].to_numpy()] == expected
    assert float(table["customer_share"].sum()) == pytest.approx(1)
    assert float(table["share"].sum()) == pytest.approx(1)


def test_top_customers_come_a_page_at_a_time(app: AppTest, warehouse: Warehouse) -> None:
    _open(app, CUSTOMERS)
    ranked = warehouse.sql(
        f"{MAIN} select customer_id from kpi.kpi_customers inner join main using (currency) "
        "order by net_sales desc, customer_id desc limit 50"
    )
    assert [(customer,) for customer in _table(app, "customer_id")["customer_id"]] == ranked[:25]
    app.session_state["customers-page"] = 2
    app.run()
    assert [(customer,) for customer in _table(app, "customer_id")["customer_id"]] == ranked[25:]


def test_single_customers_are_shown_to_those_with_the_role(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_ANONYMOUS_ROLES", "")
    forget()
    _open(app, CUSTOMERS)
    assert not [frame for frame in app.dataframe if "customer_id" in frame.value]
    assert any("role `customers`" in info.value for info in app.info)
    assert {card.label for card in app.metric} >= {"New customers"}
    [(customer,)] = warehouse.sql("select customer_id from kpi.kpi_customers order by net_sales desc limit 1")
    assert str(customer) not in str(app)


def test_sheets_without_customers_are_told_what_to_add(app: AppTest, warehouse: Warehouse) -> None:
    warehouse.sql("create table public.kept as select * from kpi.kpi_cohort_months")
    try:
        warehouse.sql("delete from kpi.kpi_cohort_months")
        _open(app, CUSTOMERS)
        assert not app.metric
        assert "Customer ID" in app.info[0].value
    finally:
        warehouse.sql("insert into kpi.kpi_cohort_months select * from public.kept")
        warehouse.sql("drop table public.kept")


def test_months_of_the_bridge_and_of_pairs_are_those_of_their_marts(app: AppTest, warehouse: Warehouse) -> None:
    app.run()
    [(currency,)] = warehouse.sql(f"{MAIN} select currency from main")
    offered = queries.bridge_months(0, str(currency))
    assert {(name, month) for name, months in offered.items() for month in months} == set(
        warehouse.sql(
            f"{MAIN} select distinct comparison, month from kpi.kpi_price_volume_mix inner join main using (currency)"
        )
    )
    assert [(month,) for month in queries.pair_months(0)] == warehouse.sql(
        "select distinct month from kpi.kpi_monthly_product_pairs order by month desc"
    )


def test_files_say_of_which_month_they_are_and_lead_there_again(
    page: Page, dashboard: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    page.goto(f"{dashboard}/products?period=7D&region=Europe")
    name, rows = download(page, "product-changes", tmp_path)
    assert re.fullmatch(r"product-changes-2026-03-against-2026-02-v\d+\.csv", name)
    assert rows[0]["filters"] == (
        "Month: March 2026; Compared with: February 2026; Products: the 10 that changed most; Currency: USD; "
        "Filters: not applied"
    )
    assert [(Decimal(row["net_sales_change"]),) for row in rows] == warehouse.sql(
        f"{MAIN} select net_sales_change from kpi.kpi_price_volume_mix inner join main using (currency) "
        "where month = '2026-03-01' and comparison = 'previous_month' "
        "order by abs(net_sales_change) desc, product_id limit 10"
    )
    other = another(page, rows[0]["view"])
    expect(other.get_by_text("March 2026 against February 2026")).to_be_visible()
    expect(other.get_by_test_id("stAlert")).to_have_count(0)
    assert {"bridge=Month+before", "bridge-month=Mar+2026"} <= set(rows[0]["view"].partition("?")[2].split("&"))

    name, rows = download(page, "product-pairs", tmp_path)
    assert re.fullmatch(r"product-pairs-2026-03-v\d+\.csv", name)
    assert rows[0]["filters"] == (
        "Month: March 2026; Pairs: the 15 strongest by lift; Currency: every currency; Filters: not applied"
    )


def test_files_of_customers_say_of_which_time_and_page_they_are(
    page: Page, dashboard: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    page.goto(f"{dashboard}/customers?period=7D")
    name, rows = download(page, "customer-segments", tmp_path)
    assert re.fullmatch(r"customer-segments-2025-04-01-to-2026-03-31-v\d+\.csv", name)
    assert rows[0]["filters"] == "Orders of: 1 Apr 2025 to 31 Mar 2026; Currency: USD; Filters: not applied"
    name, rows = download(page, "cohorts", tmp_path)
    assert re.fullmatch(r"cohorts-2026-03-v\d+\.csv", name)
    assert rows[0]["filters"] == ("Cohorts: of the latest thirteen months; Currency: USD; Filters: not applied")
    assert [Decimal(row["retention_rate"]) for row in rows] == [
        rate for (rate,) in warehouse.sql(
            f"{MAIN} select retention_rate from kpi.kpi_cohort_retention inner join main using (currency) "
            "where months_since > 0 order by cohort_month, months_since"
        )
    ]  # fmt: skip
    name, rows = download(page, "top-customers", tmp_path)
    assert re.fullmatch(r"top-customers-all-time-page-1-v\d+\.csv", name)
    assert re.fullmatch(
        r"Orders of: all time; Customers: page 1 of \d+, most net sales first; Currency: USD; Filters: not applied",
        rows[0]["filters"],
    )


def _open(app: AppTest, path: str) -> AppTest:
    app.switch_page(path).run()
    assert not app.exception
    return app


def _charts(app: AppTest) -> dict[str, pd.DataFrame]:
    """Key to the rows that a chart draws; the key of a leaderboard without what tells its choices of filters apart."""
    return {
        re.sub(r"^(by-.*)-\d+$", r"\1", chart.key or ""): convert_arrow_bytes_to_pandas_df(
            chart.proto.datasets[0].data.data
        )
        for chart in app.get("echarts_chart")
    }


def _table(app: AppTest, column: str) -> pd.DataFrame:
    [frame] = [table.value for table in app.dataframe if column in table.value]
    return frame


def _signed(value: Decimal) -> str:
    return f"{'−' if value < 0 else '+'}${abs(value):,.2f}"


def _the_latest_of_which_runs(asked: Callable[..., pd.DataFrame], month: str) -> Callable[..., pd.DataFrame]:
    def running(*parameters: Any) -> pd.DataFrame:
        frame = asked(*parameters)
        return frame.assign(is_month_complete=frame[month] != frame[month].max())

    return running
