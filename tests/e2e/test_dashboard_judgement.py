"""What is compared with what: a day in progress stands apart, and what cannot be judged fairly is not judged."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Metric

from dashboard import filters, queries
from dashboard.measures import Kind, Writer
from dashboard.periods import Span
from tests.e2e.conftest import LAST_DAY, Warehouse, chart, forget, minus

DOLLARS = Writer("1,234.56", "USD")
SOLD = "kpi.kpi_daily_sales where currency = 'USD' and sale_date"
STORES_ONLY = """
    with less as (delete from core.sales_targets where place <> 'Europe')
    update core.sales_targets set place_type = 'store_id', place = 'unknown' where place = 'Europe'
"""


@pytest.fixture
def days(warehouse: Warehouse) -> Iterator[None]:
    """Days of categories that a test may change."""
    warehouse.sql("create table public.kept as select * from kpi.kpi_daily_category_sales")
    yield
    warehouse.sql("truncate kpi.kpi_daily_category_sales")
    warehouse.sql("insert into kpi.kpi_daily_category_sales select * from public.kept")
    warehouse.sql("drop table public.kept")


@pytest.fixture
def day_in_progress(warehouse: Warehouse, days: None) -> None:  # puts the day back
    """Of the last day a sales line of each category is there so far; the days before stay whole."""
    warehouse.sql(f"update kpi.kpi_daily_category_sales set lines = 1 where sale_date = '{LAST_DAY}'")
    forget()


@pytest.mark.usefixtures("day_in_progress")
def test_cards_compare_complete_days_and_say_so(app: AppTest, warehouse: Warehouse) -> None:
    card = _card(app.run(), "Total sales")
    [(now, change)] = warehouse.sql(
        "select to_char(round(now), 'FM$999,999,999'), to_char(100 * (now / past - 1), 'SFM990.0') from (select "
        f"(select sum(net_sales) from {SOLD} between '2026-03-03' and '2026-03-30') as now, "
        f"(select sum(net_sales) from {SOLD} between '2026-02-03' and '2026-03-02') as past) as sold"
    )
    assert (card.value, card.delta) == (now, f"{minus(change)}%")
    [(lines, usual)] = warehouse.sql("select lines, usual_lines from kpi.kpi_newest_days where currency = 'USD'")
    assert f"**Tue 31 Mar is in progress**: {lines} of the {usual} sales lines that a Tuesday usually" in _said(app)
    assert "Figures are of complete days, to 30 Mar 2026." in _said(app)
    app.multiselect(key="region").set_value(app.multiselect(key="region").options[:1]).run()
    assert "have arrived, whatever the filters." in _said(app)


@pytest.mark.usefixtures("day_in_progress")
def test_trend_draws_the_day_in_progress_apart(app: AppTest, warehouse: Warehouse) -> None:
    drawn = chart(app.run(), "Net sales over time")
    [(before, so_far)] = warehouse.sql(
        f"select sum(net_sales) filter (where sale_date = '2026-03-30'), "
        f"sum(net_sales) filter (where sale_date = '2026-03-31') from {SOLD} >= '2026-03-30'"
    )
    assert list(drawn["Day"].iloc[-2:]) == ["Mon 30 Mar", "Tue 31 Mar"]
    assert drawn["Total sales"].iloc[-2] == float(before)
    assert pd.isna(drawn["Total sales"].iloc[-1])
    assert drawn["In progress"].dropna().to_dict() == {len(drawn) - 1: float(so_far)}


@pytest.mark.usefixtures("day_in_progress")
def test_weeks_are_drawn_of_complete_days(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["grain"] = "Week"
    drawn = chart(app.run(), "Net sales over time")
    [(sold,)] = warehouse.sql(f"select sum(net_sales) from {SOLD} = '2026-03-30'")
    assert drawn["Total sales"].iloc[-1] == float(sold)
    assert "In progress" not in drawn


@pytest.mark.parametrize("period", ["Today", "Custom"])
@pytest.mark.usefixtures("day_in_progress")
def test_a_period_with_the_day_in_progress_has_no_arrow(app: AppTest, warehouse: Warehouse, period: str) -> None:
    app.query_params["period"] = period
    app.query_params["dates"] = ["2026-03-31", "2026-03-31"]
    app.run()
    [(sold,)] = warehouse.sql(f"select to_char(round(sum(net_sales)), 'FM$999,999,999') from {SOLD} = '2026-03-31'")
    assert _card(app, "Total sales").value == sold
    assert {card.delta for card in app.metric if "run rate" not in card.label} == {"so far"}
    assert "Until it is complete, nothing is compared with whole days." in _said(app)
    past = "24 Mar 2026" if period == "Today" else "30 Mar 2026"
    assert f"Not compared with {past}: 31 Mar 2026 is in progress." in _said(app)
    alts = [element.proto.alt for element in app.get("echarts_chart")]
    assert "Products whose net sales changed most" not in alts


@pytest.mark.usefixtures("day_in_progress")
def test_run_rate_counts_complete_days(app: AppTest, warehouse: Warehouse) -> None:
    """A Tuesday weighs what Tuesdays had on average in the 56 days before March: all of the history there is."""
    [(expected,)] = warehouse.sql(
        "with days as ("
        f"select sale_date, sum(net_sales) as net_sales from {SOLD} < '2026-03-01' group by sale_date"
        "), weights as ("
        "select extract(isodow from sale_date) as weekday, avg(net_sales) as weight from days group by 1"
        "), march as ("
        "select day::date as day, weight from generate_series('2026-03-01'::timestamp, '2026-03-31', '1 day') as day "
        "inner join weights on weekday = extract(isodow from day)"
        f") select to_char(round((select sum(net_sales) from {SOLD} between '2026-03-01' and '2026-03-30') "
        "* sum(weight) / sum(weight) filter (where day <= '2026-03-30')), 'FM$999,999,999') from march"
    )
    card = _card(app.run(), "March run rate")
    assert card.value == expected
    assert "It counts complete days, to 30 Mar 2026," in card.help


@pytest.mark.usefixtures("day_in_progress")
def test_the_bridge_of_the_running_month_is_of_complete_days(app: AppTest, warehouse: Warehouse) -> None:
    now, before = (
        warehouse.sql(f"select sum(net_sales) from {SOLD} between '{first}' and '{last}'")[0][0]
        for first, last in (("2026-03-01", "2026-03-30"), ("2026-02-01", "2026-02-28"))
    )
    effects = warehouse.sql(
        "select sum(net_sales), sum(base_net_sales), sum(volume_effect + price_effect + mix_effect) "
        "from kpi.kpi_price_volume_mix where currency = 'USD' and month = '2026-03-01' and not is_month_complete"
    )
    assert effects == [(now, before, now - before)]
    app.switch_page("views/products.py").run()
    change = DOLLARS.money(now - before, cents=True, signed=True)
    assert f"March 2026 against February 2026: {change}, of it volume" in _said(app)
    assert "its 30 complete days stand beside the first 28 of February 2026" in _said(app)
    steps = chart(app, "Net sales from month to month")
    assert list(steps["Text"])[::4] == [DOLLARS.money(value, cents=True) for value in (before, now)]


@pytest.mark.usefixtures("days")
def test_a_month_whose_first_day_is_in_progress_has_no_run_rate_yet(app: AppTest, warehouse: Warehouse) -> None:
    warehouse.sql("delete from kpi.kpi_daily_category_sales where sale_date > '2026-03-01'")
    warehouse.sql("update kpi.kpi_daily_category_sales set lines = 1 where sale_date = '2026-03-01'")
    forget()
    card = _card(app.run(), "March run rate")
    assert (card.value, card.delta) == ("–", "no complete day yet")
    app.switch_page("views/places.py").run()
    assert not app.exception
    assert "No day of March 2026 is complete yet." in _said(app)


@pytest.fixture
def targets(warehouse: Warehouse) -> Iterator[None]:
    """Targets that a test may change."""
    warehouse.sql("create table public.kept_targets as select * from core.sales_targets")
    yield
    warehouse.sql("truncate core.sales_targets")
    warehouse.sql("insert into core.sales_targets select * from public.kept_targets")
    warehouse.sql("drop table public.kept_targets")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("select", ""),
        ("delete from core.sales_targets where place = 'Oceania'", " of 3 of 4 regions, which come to"),
        (STORES_ONLY, ""),
    ],
    ids=["every region", "some regions", "stores"],
)
@pytest.mark.usefixtures("targets")
def test_run_rate_compares_what_has_a_target_with_it(app: AppTest, warehouse: Warehouse, edit: str, said: str) -> None:
    warehouse.sql(edit)
    card = _card(app.run(), "March run rate")
    of_march = "core.sales_targets where currency = 'USD' and month = '2026-03-01'"
    [(change, target)] = warehouse.sql(
        f"select to_char(100 * (sum(net_sales) / (select sum(target_net_sales) from {of_march}) - 1), 'SFM990.0'), "
        f"(select sum(target_net_sales) from {of_march}) "
        "from kpi.kpi_daily_sales where currency = 'USD' and sale_date between '2026-03-01' and '2026-03-31' "
        f"and (sales_region in (select place from {of_march}) or store_id in (select place from {of_march}))"
    )
    assert (card.delta, card.proto.delta_description) == (f"{minus(change)}%", "vs target")
    assert f"Target {DOLLARS.brief(target, Kind.MONEY)}{said}" in _said(app)


@pytest.mark.usefixtures("targets")
def test_sales_without_a_target_do_not_change_what_the_run_rate_is_compared_with(
    app: AppTest, warehouse: Warehouse
) -> None:
    before = _card(app.run(), "March run rate")
    try:
        warehouse.sql(
            'insert into kpi.kpi_daily_sales select (jsonb_populate_record(sold, \'{"sales_region": "Stray"}\')).* '
            f"from {SOLD.replace('kpi_daily_sales', 'kpi_daily_sales as sold')} = '{LAST_DAY}' limit 1"
        )
        forget()
        card = _card(app.run(), "March run rate")
    finally:
        warehouse.sql("delete from kpi.kpi_daily_sales where sales_region = 'Stray'")
    assert (card.value, card.delta) == (before.value, before.delta)
    assert card.proto.delta_description == before.proto.delta_description == "vs target"
    assert " of 4 of 5 regions, which come to" in _said(app)


@pytest.mark.usefixtures("targets")
def test_run_rate_without_targets_names_the_month_that_it_is_compared_with(app: AppTest, warehouse: Warehouse) -> None:
    warehouse.sql("delete from core.sales_targets")
    card = _card(app.run(), "March run rate")
    [(change, february)] = warehouse.sql(
        "select to_char(100 * (run_rate / previous_month_net_sales - 1), 'SFM990.0'), previous_month_net_sales "
        "from kpi.kpi_monthly_run_rate where currency = 'USD' and month = '2026-03-01'"
    )
    assert (card.delta, card.proto.delta_description) == (f"{minus(change)}%", "vs February")
    assert f"February {DOLLARS.brief(february, Kind.MONEY)}" in _said(app)


@pytest.mark.usefixtures("days", "targets")
def test_a_month_that_began_before_the_history_is_no_benchmark(app: AppTest, warehouse: Warehouse) -> None:
    warehouse.sql("delete from core.sales_targets")
    warehouse.sql("delete from kpi.kpi_daily_category_sales where sale_date < '2026-02-02'")
    forget()
    card = _card(app.run(), "March run rate")
    assert (card.delta, card.proto.delta_description) == ("no comparison", "")
    assert "February" not in _said(app)
    app.switch_page("views/customers.py").run()
    assert _card(app, "March repeat rate").delta == "no comparison"


def test_movers_are_the_largest_gains_and_losses(app: AppTest, warehouse: Warehouse) -> None:
    drawn = chart(app.run(), "Products whose net sales changed most")
    changes = warehouse.sql(
        "with sold as (select product_id, coalesce(sum(net_sales) filter (where sale_date > '2026-03-03'), 0) as now, "
        "coalesce(sum(net_sales) filter (where sale_date <= '2026-03-03'), 0) as before "
        "from kpi.kpi_daily_product_sales where currency = 'USD' and sale_date > '2026-02-03' group by product_id), "
        "large as (select now - before as change from sold where greatest(now, before) >= "
        "0.01 * (select greatest(sum(now), sum(before)) from sold)) "
        "(select change from large where change > 0 order by change desc limit 4) union all "
        "(select change from (select change from large where change < 0 order by change limit 4) as losses "
        "order by change desc)"
    )
    assert len(changes) == 8
    assert list(drawn["Up"].dropna()) + list(drawn["Down"].dropna()) == [float(change) for (change,) in changes]


def test_who_was_rated_a_few_times_is_not_ranked(app: AppTest, warehouse: Warehouse) -> None:
    warehouse.sql("create table public.kept_sales as select * from kpi.kpi_daily_sales")
    try:
        [(rep,)] = warehouse.sql("select min(sales_representative) from kpi.kpi_daily_sales where ratings_1 > 0")
        stars = ", ".join(f"ratings_{number} = 0" for number in range(1, 5))
        warehouse.sql(f"update kpi.kpi_daily_sales set {stars}, ratings_5 = 0 where sales_representative = %s", rep)
        warehouse.sql(
            "update kpi.kpi_daily_sales set ratings_5 = 4 where ctid = (select max(ctid) from kpi.kpi_daily_sales "
            "where sales_representative = %s and sale_date >= '2026-03-04')",
            rep,
        )
        forget()
        app.switch_page("views/places.py").run()
        drawn = chart(app, "Shares of one to five stars by representative")
        expected = warehouse.sql(
            "select sales_representative from kpi.kpi_rep_ratings where month = '2026-03-01' and rated_lines >= 5 "
            "order by mean_rating desc, rated_lines desc, 1 limit 10"
        )
        assert rep not in list(drawn["Name"])
        assert list(drawn["Name"]) == [name for (name,) in expected]
        assert "of who was rated 5 times or more" in _said(app)
    finally:
        warehouse.sql("truncate kpi.kpi_daily_sales")
        warehouse.sql("insert into kpi.kpi_daily_sales select * from public.kept_sales")
        warehouse.sql("drop table public.kept_sales")


def test_what_no_filter_narrows_says_so_on_the_overview(app: AppTest) -> None:
    app.run()
    assert "filters do not apply here" not in _said(app)
    app.multiselect(key="region").set_value(app.multiselect(key="region").options[:1]).run()
    assert "The filters do not apply here: these are the last of all sheets." in _said(app)
    assert _card(app, "Run rate, all sales")


def test_the_landing_page_begins_with_the_latest_day(app: AppTest, warehouse: Warehouse) -> None:
    assert app.run().title[0].value == "Overview · 4 to 31 Mar 2026"
    [(sold, orders, average, change)] = warehouse.sql(
        "select to_char(sum(net_sales) filter (where is_latest), 'FM$999,999'), sum(orders) filter (where is_latest), "
        "to_char(sum(net_sales) filter (where is_latest) / sum(orders) filter (where is_latest), 'FM$990.00'), "
        "to_char(100 * (sum(net_sales) filter (where is_latest) / sum(net_sales) filter (where not is_latest) - 1), "
        "'SFM990.0') from (select *, sale_date = '2026-03-31' as is_latest "
        f"from {SOLD} in ('2026-03-31', '2026-03-24')) as days"
    )
    assert _latest_day(app) == (
        f":material/today: **Tue 31 Mar 2026**: {sold} in {orders} orders, {average} each, "
        f"{minus(change)}% against 24 Mar 2026."
    )


@pytest.mark.usefixtures("day_in_progress")
def test_the_landing_page_begins_with_the_day_so_far(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "viewers_today", lambda: LAST_DAY)
    line = _latest_day(app.run())
    assert line.startswith(":material/today: **Tue 31 Mar 2026, today**: ")
    assert " each so far; " in line
    assert not app.info


@pytest.fixture
def a_line_of_tomorrow(warehouse: Warehouse, days: None) -> date:  # puts the days back
    """A day in progress, today by the clock, and one line that is dated a day later."""
    [(today,)] = warehouse.sql("select max((now() at time zone timezone)::date) from raw.files")
    warehouse.sql("update kpi.kpi_daily_category_sales set sale_date = sale_date + (%s - %s)", today, LAST_DAY)
    warehouse.sql("update kpi.kpi_daily_category_sales set lines = 1 where sale_date = %s", today)
    warehouse.sql(
        "insert into kpi.kpi_daily_category_sales select (jsonb_populate_record(sold, jsonb_build_object("
        "'sale_date', sale_date + 1, 'lines', 1))).* from kpi.kpi_daily_category_sales as sold "
        "where sale_date = %s limit 1",
        today,
    )
    forget()
    assert isinstance(today, date)
    return today


def test_a_line_of_tomorrow_ends_no_day(app: AppTest, warehouse: Warehouse, a_line_of_tomorrow: date) -> None:
    today, tomorrow = a_line_of_tomorrow, a_line_of_tomorrow + timedelta(1)
    assert warehouse.sql(
        "select sale_date, is_in_progress, complete_until from kpi.kpi_newest_days where currency = 'USD'"
    ) == [(today, True, today - timedelta(1))]
    app.run()
    assert app.title[0].value == f"Overview · {Span(today - timedelta(28), today - timedelta(1))}"
    assert f"**{today:%a} {today.day} {today:%b} is in progress**" in _said(app)
    # Only the days of categories were moved, from which the dates of all pages come.
    [ahead] = [each.value for each in app.info if "has not begun" in each.value]
    assert ahead == (
        f"1 sales line is of a day that has not begun, up to {Span(tomorrow, tomorrow)}: a sheet has a wrong date, or "
        "came early. Until then only dates of your own (*Custom*) show what is ahead."
    )
    months = queries.run_rate(0, "USD")
    assert months["month"].iloc[-1] == today.replace(day=1), "tomorrow may be of the next month"


def test_dates_of_ones_own_reach_into_what_is_ahead(app: AppTest, a_line_of_tomorrow: date) -> None:
    tomorrow = a_line_of_tomorrow + timedelta(1)
    app.query_params["period"], app.query_params["dates"] = "Custom", [str(tomorrow), str(tomorrow)]
    assert app.run().title[0].value == f"Overview · {Span(tomorrow, tomorrow)}"


def test_sales_of_a_day_that_has_not_begun_are_explained(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "viewers_today", lambda: date(2026, 3, 30))
    app.query_params["period"] = "Today"
    assert app.run().title[0].value == "Overview · 31 Mar 2026"
    assert app.info[0].value == (
        "The latest sales are of 31 Mar 2026, a day that has not begun by your clock (30 Mar 2026): a sheet has a "
        "wrong date, or comes from where it is later. *Today* is that day."
    )


def test_the_headline_says_what_happened_and_what_drove_it(app: AppTest, warehouse: Warehouse) -> None:
    app.query_params["period"] = "MTD"
    said = _headline(app.run())
    now, before = (
        warehouse.sql(f"select sum(net_sales) from {SOLD} between '{first}' and '{last}'")[0][0]
        for first, last in (("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-02-28"))
    )
    by = f"{DOLLARS.brief(abs(now - before), Kind.MONEY)} {'more' if now > before else 'less'}"
    change = DOLLARS.change(now, before, Kind.MONEY)
    assert f"Net sales of 1 to 31 Mar 2026 were {DOLLARS.money(now)}, {by} ({change}) than those of 1 to 28 Feb" in said
    [effects] = warehouse.sql(
        "select sum(volume_effect), sum(price_effect), sum(mix_effect) from kpi.kpi_price_volume_mix "
        "where currency = 'USD' and month = '2026-03-01' and comparison = 'previous_month'"
    )
    for name, effect in zip(("volume", "price", "mix"), effects, strict=True):
        assert re.search(rf"{name}( made)? \+?{re.escape(DOLLARS.brief(effect, Kind.MONEY))}", said, re.IGNORECASE)
    changes = {
        dimension: dict(
            warehouse.sql(
                f"select {column}, sum(case when sale_date >= '2026-03-01' then net_sales else -net_sales end) "
                f"from kpi.{mart} where currency = 'USD' and sale_date >= '2026-02-01' group by 1"
            )
        )
        for dimension, column, mart in (
            ("product", "product_name", "kpi_daily_product_sales"),
            ("category", "product_category", "kpi_daily_category_sales"),
            ("region", "sales_region", "kpi_daily_sales"),
            ("channel", "sales_channel", "kpi_daily_sales"),
        )
    }
    found = re.search(r"(product|category|region|channel) ([^:]*?)(: | alone made )([^ ]*)\.( |$)", said, re.IGNORECASE)
    assert found, said
    named = changes[found[1].lower()][found[2]]
    assert found[4] == f"{'+' if named > 0 else ''}{DOLLARS.brief(named, Kind.MONEY)}"
    assert named * (now - before) > 0
    assert abs(named) == max(abs(part) for part in changes[found[1].lower()].values() if part * (now - before) > 0)


def test_each_figure_of_the_headline_opens_what_it_is_of(app: AppTest) -> None:
    app.query_params["period"] = "MTD"
    links = re.findall(r"\]\(([^)]*)\)", _headline_as_written(app.run()))
    assert "explore?period=MTD&measures=Total+sales" in links
    assert links.count("products?period=MTD") == 3
    assert re.fullmatch(r"explore\?period=MTD&measures=Total\+sales&(product|category|region|channel)=\S+", links[4])


def test_a_day_unlike_its_weekday_is_told(app: AppTest, warehouse: Warehouse, days: None) -> None:
    assert "Odd in the data" not in _headline(app.run())
    warehouse.sql("update kpi.kpi_daily_category_sales set lines = 50 * lines where sale_date = '2026-03-30'")
    forget()
    [(lines,)] = warehouse.sql("select lines from kpi.kpi_volume_anomalies where is_anomaly and currency = 'USD'")
    odd = f"Odd in the data: Monday 30 Mar 2026 had {lines:,} lines, far above what its weekday usually has."
    assert odd in _headline(app.run())


def test_a_young_history_has_a_headline_without_a_comparison(app: AppTest) -> None:
    app.query_params["compare"] = "Last year"
    said = _headline(app.run())
    assert "Not compared with" in said
    assert " than those of " not in said


def _headline(app: AppTest) -> str:
    return re.sub(r"\]\([^)]*\)|[\\*\[]", "", _headline_as_written(app))


def _headline_as_written(app: AppTest) -> str:
    assert not app.exception
    [text] = [each.value for each in app.markdown if each.value.startswith("Net sales of")]
    return str(text)


def _latest_day(app: AppTest) -> str:
    [line] = [each.value for each in app.markdown if each.value.startswith(":material/today:")]
    return line.replace("\\", "")


def _card(app: AppTest, label: str) -> Metric:
    assert not app.exception
    [card] = [card for card in app.metric if card.label == label]
    return card


def _said(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption).replace("\\", "")
