"""What the dashboard computes before it draws: periods, comparisons, figures, chart options and the CSV."""

from base64 import b64decode
from datetime import date
from decimal import Decimal
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from dashboard import charts, export
from dashboard.filters import Span, comparison, period_span, possible_dates
from dashboard.measures import MEASURES, Kind, Writer

DOLLARS = Writer("1,234.56", "USD")


def _span(start: str, end: str) -> Span:
    return Span(date.fromisoformat(start), date.fromisoformat(end))


@pytest.mark.parametrize(
    ("period", "last", "basis", "now", "before"),
    [
        ("Today", "2026-11-23", "Previous period", ("2026-11-23", "2026-11-23"), ("2026-11-16", "2026-11-16")),
        ("7D", "2026-11-23", "Previous period", ("2026-11-17", "2026-11-23"), ("2026-11-10", "2026-11-16")),
        ("28D", "2026-11-23", "Last year", ("2026-10-27", "2026-11-23"), ("2025-10-28", "2025-11-24")),
        ("MTD", "2026-03-31", "Previous period", ("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-02-28")),
        ("MTD", "2026-01-15", "Previous period", ("2026-01-01", "2026-01-15"), ("2025-12-01", "2025-12-15")),
        ("QTD", "2026-05-02", "Previous period", ("2026-04-01", "2026-05-02"), ("2026-01-01", "2026-02-01")),
        ("YTD", "2025-12-31", "Previous period", ("2025-01-01", "2025-12-31"), ("2024-01-01", "2024-12-30")),
        ("Custom", "2026-05-02", "Previous period", ("2026-04-02", "2026-04-11"), ("2026-03-23", "2026-04-01")),
        ("Yesterday", "2026-11-23", "Previous period", ("2026-11-22", "2026-11-22"), ("2026-11-15", "2026-11-15")),
        ("Yesterday", "2026-11-23", "Last year", ("2026-11-22", "2026-11-22"), ("2025-11-23", "2025-11-23")),
        ("Last month", "2026-03-31", "Previous period", ("2026-02-01", "2026-02-28"), ("2026-01-01", "2026-01-31")),
        ("Last month", "2024-03-01", "Last year", ("2024-02-01", "2024-02-29"), ("2023-02-01", "2023-02-28")),
        ("Last month", "2026-01-05", "Previous period", ("2025-12-01", "2025-12-31"), ("2025-11-01", "2025-11-30")),
        ("12M", "2026-11-23", "Previous period", ("2025-11-24", "2026-11-23"), ("2024-11-24", "2025-11-23")),
        ("12M", "2025-02-28", "Last year", ("2024-03-01", "2025-02-28"), ("2023-03-01", "2024-02-29")),
        ("Last year", "2025-06-30", "Previous period", ("2024-01-01", "2024-12-31"), ("2023-01-01", "2023-12-31")),
    ],
)
def test_period_is_compared_fairly(
    period: str, last: str, basis: str, now: tuple[str, str], before: tuple[str, str]
) -> None:
    day = date.fromisoformat(last)
    span = period_span(period, day, day, _span("2026-04-02", "2026-04-11"))
    assert span == _span(*now)
    assert comparison(period, span, basis) == _span(*before)


@pytest.mark.parametrize(
    ("period", "now"),
    [
        ("Today", ("2026-12-01", "2026-12-01")),
        ("7D", ("2026-11-24", "2026-11-30")),
        ("MTD", ("2026-11-01", "2026-11-30")),
        ("QTD", ("2026-10-01", "2026-11-30")),
        ("YTD", ("2026-01-01", "2026-11-30")),
        ("Yesterday", ("2026-11-30", "2026-11-30")),
        ("Last month", ("2026-10-01", "2026-10-31")),
        ("12M", ("2025-12-01", "2026-11-30")),
        ("Last year", ("2025-01-01", "2025-12-31")),
    ],
)
def test_periods_end_on_the_last_complete_day(period: str, now: tuple[str, str]) -> None:
    newest, complete = date(2026, 12, 1), date(2026, 11, 30)
    assert period_span(period, newest, complete, _span("2026-04-02", "2026-04-11")) == _span(*now)


def test_last_year_meets_the_same_weekday() -> None:
    span = _span("2026-11-23", "2026-11-23")
    past = comparison("Today", span, "Last year")
    assert past
    assert past.start.weekday() == span.start.weekday()


def test_dates_of_a_link_lie_within_the_sales_and_in_order() -> None:
    limit = _span("2026-01-01", "2026-02-01")
    assert possible_dates(["2026-01-05", "2026-01-06"], limit)
    assert not possible_dates(["2026-02-30"], limit)
    assert not possible_dates(["2025-12-31"], limit)
    assert not possible_dates(["2026-01-06", "2026-01-05"], limit)
    assert not possible_dates(["2026-01-05", "2026-01-06", "2026-01-07"], limit)


def test_ratio_is_a_ratio_of_sums() -> None:
    daily = pd.DataFrame({"net_sales": [Decimal("10.00"), Decimal("90.00")], "orders": [Decimal(1), Decimal(3)]})
    assert MEASURES["aov"].over(daily) == Decimal(25)


def test_figure_without_known_values_is_missing() -> None:
    daily = pd.DataFrame({"gross_margin": [None, None], "costed_net_sales": [Decimal(0), Decimal(0)]}, dtype=object)
    assert MEASURES["margin_rate"].over(daily) is None
    assert DOLLARS.write(None, Kind.SHARE) == "–"
    assert MEASURES["net_sales"].over(pd.DataFrame({"net_sales": []}, dtype=object)) is None


@pytest.mark.parametrize(
    ("writer", "value", "kind", "text"),
    [
        (DOLLARS, "1234567.50", Kind.MONEY, "$1,234,568"),
        (DOLLARS, "999.994", Kind.MONEY, "$999.99"),
        (DOLLARS, "-12.345", Kind.AVERAGE_MONEY, "−$12.35"),
        (DOLLARS, "0.41449", Kind.SHARE, "41.4%"),
        (Writer("1.234,56", "EUR"), "1234.5", Kind.AVERAGE_MONEY, "€1.234,50"),
        (Writer("1 234,56", "CHF"), "1234.5", Kind.AVERAGE_MONEY, "CHF 1 234,50"),
    ],
)
def test_figures_are_written_in_currency_and_style(writer: Writer, value: str, kind: Kind, text: str) -> None:
    assert writer.write(Decimal(value), kind) == text


def test_change_is_percent_or_points_and_never_against_nothing() -> None:
    assert DOLLARS.change(Decimal(110), Decimal(100), Kind.MONEY) == "+10.0%"
    assert DOLLARS.change(Decimal("0.40"), Decimal("0.413"), Kind.SHARE) == "-1.3 pp"
    assert DOLLARS.change(Decimal(110), Decimal(0), Kind.MONEY) is None
    assert DOLLARS.change(Decimal(110), None, Kind.MONEY) is None


def test_trend_fills_days_without_sales_and_aligns_the_comparison() -> None:
    sales = pd.DataFrame({"sale_date": [date(2026, 3, 1), date(2026, 3, 3)], "net_sales": [Decimal(5), Decimal(7)]})
    past = pd.DataFrame({"sale_date": [date(2026, 2, 28)], "net_sales": [Decimal(9)]})
    spec = charts.trend(sales, past, _span("2026-03-01", "2026-03-03"), _span("2026-02-27", "2026-02-28"), DOLLARS)
    frame = spec["dataset"]["source"]
    assert list(frame["Total sales"]) == [5, 0, 7]
    assert list(frame["Comparison"].dropna()) == [0, 9]


def test_weeks_begin_on_the_day_that_the_shop_says() -> None:
    sales = pd.DataFrame({
        "sale_date": [date(2026, 3, 6), date(2026, 3, 7), date(2026, 3, 8)],  # Friday to Sunday
        "net_sales": [Decimal(1), Decimal(10), Decimal(100)],
    })  # fmt: skip
    span = _span("2026-03-02", "2026-03-09")
    for first, weeks in ((0, {"Mon 2 Mar": 111, "Mon 9 Mar": 0}), (5, {"Mon 2 Mar": 1, "Sat 7 Mar": 110}),
                         (6, {"Mon 2 Mar": 11, "Sun 8 Mar": 100})):  # fmt: skip
        frame = charts.trend(sales, None, span, None, DOLLARS, grain="Week", first_weekday=first)["dataset"]["source"]
        assert dict(zip(frame["Day"], frame["Total sales"], strict=True)) == weeks


def test_trend_draws_a_day_in_progress_apart() -> None:
    sales = pd.DataFrame({"sale_date": [date(2026, 3, 1), date(2026, 3, 3)], "net_sales": [Decimal(5), Decimal(1)]})
    span = _span("2026-03-01", "2026-03-03")
    for cumulative, whole, so_far in ((False, [5, 0], 1), (True, [5, 5], 6)):
        spec = charts.trend(sales, None, span, None, DOLLARS, cumulative=cumulative, in_progress=True)
        frame = spec["dataset"]["source"]
        assert list(frame["Total sales"].dropna()) == whole
        assert frame["In progress"].dropna().to_dict() == {2: so_far}
        assert [series["name"] for series in spec["series"]] == ["Total sales", "In progress"]


def test_trend_of_a_rate_divides_sums_and_is_drawn_in_percent() -> None:
    margin = MEASURES["margin_rate"]
    sales = pd.DataFrame({
        "sale_date": [date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 9)],
        "gross_margin": [Decimal(9), Decimal(10), None],
        "costed_net_sales": [Decimal(10), Decimal(90), Decimal(0)],
    })  # fmt: skip
    span = _span("2026-03-02", "2026-03-15")
    spec = charts.trend(sales, None, span, None, DOLLARS, measure=margin, grain="Week")
    frame = spec["dataset"]["source"]
    assert list(frame["Day"]) == ["Mon 2 Mar", "Mon 9 Mar"]
    # 19 of 100, not the mean of 90 and 11 percent; a week of which nothing is known has a gap, not a zero.
    assert frame["Margin"].iloc[0] == pytest.approx(19)
    assert pd.isna(frame["Margin"].iloc[1])
    assert spec["tooltip"]["valueFormatter"].endswith("%%")
    assert spec["yAxis"]["axisLabel"]["formatter"].endswith("%")


def test_trend_of_a_month_adds_a_sum_up_and_cuts_the_comparison_alike() -> None:
    days = [date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 28)]
    sales = pd.DataFrame({"sale_date": days, "orders": [Decimal(1), Decimal(2), Decimal(4), Decimal(8)]})
    past = sales.assign(sale_date=[day.replace(year=2025) for day in days])
    spec = charts.trend(
        sales, past, _span("2026-01-30", "2026-02-28"), _span("2025-01-30", "2025-02-28"), DOLLARS,
        measure=MEASURES["orders"], grain="Month",
    )  # fmt: skip
    frame = spec["dataset"]["source"]
    assert list(frame["Day"]) == ["Jan", "Feb"]
    assert list(frame["Orders"]) == [3, 12]
    assert list(frame["Comparison"]) == [3, 12]
    assert [series["lineStyle"]["type"] for series in spec["series"]] == ["solid", "dashed"]


def test_axis_of_a_rate_near_the_whole_ends_at_the_whole() -> None:
    sales = pd.DataFrame({
        "sale_date": [date(2026, 3, 1), date(2026, 3, 2)],
        "delivered_on_time_lines": [Decimal(82), Decimal(99)],
        "delivered_lines": [Decimal(100), Decimal(100)],
    })  # fmt: skip
    on_time = MEASURES["on_time_rate"]
    axis = charts.trend(sales, None, _span("2026-03-01", "2026-03-02"), None, DOLLARS, measure=on_time)["yAxis"]
    assert (axis["min"], axis["max"]) == (80, 100)
    assert (axis["max"] - axis["min"]) % axis["interval"] == 0


def test_bullet_of_a_place_without_target_says_so() -> None:
    places = pd.DataFrame({
        "place": ["North", "South"],
        "net_sales": [Decimal(90), Decimal(70)],
        "target_net_sales": [Decimal(200), None],
        "target_to_date": [Decimal(100), None],
        "gap": [Decimal(-10), None],
        "attainment_rate": [Decimal("0.9"), None],
    })  # fmt: skip
    frame = charts.bullets(places, DOLLARS)["dataset"]["source"]
    assert list(frame["Text"]) == ["90.0% · −$10", "no target"]
    assert list(frame["End"]) == [200, 70]


def test_equal_cells_are_drawn_and_many_go_without_figures() -> None:
    cells = pd.DataFrame({"column": ["a", "b"], "row": ["Mon", "Mon"], "value": [Decimal(5), Decimal(5)]})
    spec = charts.heat(cells, DOLLARS, ["a", "b"], ["Mon"], room=2)
    assert spec["visualMap"]["min"] < spec["visualMap"]["max"]
    assert spec["series"][0]["label"]["show"]
    assert not charts.heat(cells, DOLLARS, ["a", "b"], ["Mon"], room=1)["series"][0]["label"]["show"]


def test_movers_need_a_minimum_of_sales() -> None:
    products = pd.DataFrame({
        "product_name": ["large", "small", "gone"],
        "net_sales": [Decimal(900), Decimal(5), Decimal(0)],
        "net_sales_before": [Decimal(800), Decimal("0.01"), Decimal(200)],
    })  # fmt: skip
    spec = charts.movers(products, 8, DOLLARS)
    assert spec is not None
    assert list(spec["dataset"]["source"]["Name"]) == ["large", "gone"]
    assert list(spec["dataset"]["source"]["Text"]) == ["+$100", "−$200"]


def test_movers_show_gains_and_losses_however_large_the_others_are() -> None:
    products = pd.DataFrame({
        "product_name": ["a", "b", "c", "d", "e", "same"],
        "net_sales": [Decimal(value) for value in (900, 800, 700, 600, 90, 100)],
        "net_sales_before": [Decimal(100)] * 6,
    })  # fmt: skip
    spec = charts.movers(products, 4, DOLLARS)
    assert spec is not None
    assert list(spec["dataset"]["source"]["Name"]) == ["a", "b", "e"]


def test_tooltip_format_follows_the_currency() -> None:
    assert charts.tooltip_format(DOLLARS) == "$%,.2f"
    assert charts.tooltip_format(Writer("1,234.56", "CHF")) == "CHF %,.2f"


def test_export_defuses_formulas_but_keeps_numbers() -> None:
    frame = pd.DataFrame({"text": ["=1+1", "@x", "\tx", "plain"], "number": [-1, 2, 3, 4]})
    assert export.csv_bytes(frame).decode("utf-8-sig").splitlines()[1:] == ["'=1+1,-1", "'@x,2", "'\tx,3", "plain,4"]


def test_rate_over_time_is_drawn_in_percent_of_sums() -> None:
    sales = pd.DataFrame({
        "sale_date": [date(2026, 3, 2), date(2026, 3, 3)],
        "gross_margin": [Decimal(10), None],
        "costed_net_sales": [Decimal(20), Decimal(0)],
    })  # fmt: skip
    margin = MEASURES["margin_rate"]
    spec = charts.trend(sales, None, _span("2026-03-02", "2026-03-04"), None, DOLLARS, measure=margin)
    assert spec["dataset"]["source"]["Margin"].fillna(-1).to_list() == [50, -1, -1]
    weekly = charts.trend(sales, None, _span("2026-03-02", "2026-03-04"), None, DOLLARS, measure=margin, grain="Week")
    assert list(weekly["dataset"]["source"]["Margin"]) == [50]


@pytest.mark.parametrize(("rate", "ends"), [("0.99", {"min": 95, "max": 100, "interval": 1}), ("0.5", {})])
def test_axis_of_a_rate_never_exceeds_the_whole(rate: str, ends: dict[str, int]) -> None:
    lines = pd.DataFrame({
        "sale_date": [date(2026, 3, 2)], "delivered_on_time_lines": [Decimal(rate) * 100],
        "delivered_lines": [Decimal(100)],
    })  # fmt: skip
    on_time = MEASURES["on_time_rate"]
    axis = charts.trend(lines, None, _span("2026-03-02", "2026-03-02"), None, DOLLARS, measure=on_time)["yAxis"]
    assert {name: axis[name] for name in ("min", "max", "interval") if name in axis} == ends


def test_bullets_write_the_gap_and_leave_what_has_no_target_without_one() -> None:
    places = pd.DataFrame({
        "place": ["Europe", "Moon"],
        "net_sales": [Decimal(90), Decimal(5)],
        "target_net_sales": [Decimal(200), None],
        "target_to_date": [Decimal(100), None],
        "gap": [Decimal(-10), None],
        "attainment_rate": [Decimal("0.9"), None],
    }, dtype=object)  # fmt: skip
    spec = charts.bullets(places, DOLLARS)
    frame = spec["dataset"]["source"]
    assert list(frame["Text"]) == ["90.0% · −$10", "no target"]
    assert list(frame["End"]) == [200, 5]
    assert spec["xAxis"]["max"] > 200


def test_heat_states_figures_only_where_they_fit() -> None:
    cells = pd.DataFrame({"column": ["a", "b"], "row": ["Mon", "Mon"], "value": [Decimal(12_345), Decimal(-1)]})
    spec = charts.heat(cells, DOLLARS, ["a", "b"], ["Mon"])
    assert list(spec["dataset"]["source"]["Text"]) == ["$12K", "−$1.00"]
    assert spec["series"][0]["label"]["show"]
    assert not charts.heat(cells, DOLLARS, ["a", "b"], ["Mon"], room=1)["series"][0]["label"]["show"]


def test_heat_of_one_value_has_a_scale() -> None:
    cells = pd.DataFrame({"column": ["a"], "row": ["Mon"], "value": [Decimal(7)]})
    scale = charts.heat(cells, DOLLARS, ["a"], ["Mon"])["visualMap"]
    assert scale["min"] < scale["max"]


def test_figures_of_rows_are_those_of_each() -> None:
    rows = pd.DataFrame({"net_sales": [Decimal(10), Decimal(5), None], "orders": [Decimal(4), Decimal(0), Decimal(1)]})
    assert MEASURES["aov"].each(rows) == [Decimal("2.5"), None, None]
    assert MEASURES["aov"].by_day(rows) == [2.5, 0, 0]


def test_sparkline_reaches_from_its_lowest_to_its_highest_value() -> None:
    assert ET.fromstring(charts.sparkline([5], charts.UP, 'from "5" to 10')).get("alt") == 'from "5" to 10'
    shade, line = _drawn(charts.sparkline([5, 10, 7.5], charts.UP, ""), "path")
    assert line.get("d") == "M0.00 56.00L50.00 0.00L100.00 28.00"
    assert line.get("stroke") == charts.UP
    assert shade.get("d") == f"{line.get('d')}L100 56L0 56Z"


def test_sparkline_of_bars_stands_on_zero() -> None:
    bars = _drawn(charts.sparkline([30, -10, 0], charts.UP, "", bars=True), "rect")
    assert [bar.get("fill") for bar in bars] == [charts.MUTED, charts.MUTED, charts.UP]
    assert [(bar.get("y"), bar.get("height")) for bar in bars] == [
        ("0.00", "42.00"),
        ("42.00", "14.00"),
        ("42.00", "0.00"),
    ]


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0]])
def test_sparkline_of_one_value_is_a_line_halfway(values: list[float]) -> None:
    _, line = _drawn(charts.sparkline(values, charts.UP, ""), "path")
    assert line.get("d") == "M0.00 28.00L100.00 28.00"


def _drawn(picture: str, what: str) -> list[ET.Element]:
    source = ET.fromstring(picture).get("src", "")
    svg = ET.fromstring(b64decode(source.removeprefix("data:image/svg+xml;base64,")))
    return svg.findall(f"{{http://www.w3.org/2000/svg}}{what}")
