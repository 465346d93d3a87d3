"""What the dashboard computes before it draws: periods, comparisons, figures, chart options and the CSV."""

import tomllib
from base64 import b64decode
from datetime import date
from decimal import Decimal
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from dashboard import charts, export
from dashboard.measures import MEASURES, Kind, Writer, direction
from dashboard.periods import Span, comparison, period_span, possible_dates
from scripts.stack import REPOSITORY

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
        (Writer("1,234.56", "JPY"), "1234.5", Kind.AVERAGE_MONEY, "¥1,235"),
        (DOLLARS, "-0.001", Kind.MONEY, "$0.00"),
    ],
)
def test_figures_are_written_in_currency_and_style(writer: Writer, value: str, kind: Kind, text: str) -> None:
    assert writer.write(Decimal(value), kind) == text


def test_change_is_percent_or_points_and_never_against_nothing() -> None:
    assert DOLLARS.change(Decimal(110), Decimal(100), Kind.MONEY) == "+10.0%"
    assert DOLLARS.change(Decimal("0.40"), Decimal("0.413"), Kind.SHARE) == "−1.3 pp"
    assert DOLLARS.change(Decimal("99.99"), Decimal(100), Kind.MONEY) == "0.0%"
    assert [direction(change) for change in ("+1.0%", "−1.3 pp", "0.0%", None)] == [1, -1, 0, 0]
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


def test_trend_of_a_rate_of_which_nothing_is_known_is_drawn_empty() -> None:
    days = [date(2026, 3, 2), date(2026, 3, 3)]
    sales = pd.DataFrame({"sale_date": days, "gross_margin": [None, None], "costed_net_sales": [Decimal(0)] * 2})
    for grain, gaps in (("Day", 2), ("Week", 1)):
        span = _span("2026-03-02", "2026-03-03")
        spec = charts.trend(sales, sales, span, span, DOLLARS, measure=MEASURES["margin_rate"], grain=grain)
        assert list(spec["dataset"]["source"]["Margin, written"]) == ["–"] * gaps


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
    assert list(frame["Margin, written"]) == ["19.0%", "–"]
    assert all(text.endswith("%") for text in _ticks(spec))


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
    spec = charts.trend(sales, None, _span("2026-03-01", "2026-03-02"), None, DOLLARS, measure=on_time)
    assert (spec["yAxis"]["min"], spec["yAxis"]["max"]) == (80, 100)
    assert _ticks(spec) == ["80%", "85%", "90%", "95%", "100%"]


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


def test_equal_cells_are_drawn() -> None:
    cells = pd.DataFrame({"column": ["a", "b"], "row": ["Mon", "Mon"], "value": [Decimal(5), Decimal(5)]})
    spec = charts.heat(cells, DOLLARS, ["a", "b"], ["Mon"])
    assert spec["visualMap"]["min"] < spec["visualMap"]["max"]


def test_bars_of_less_than_nothing_are_drawn() -> None:
    values = pd.Series([Decimal(10), Decimal(-40)])
    spec = charts.leaderboard(pd.Series(["a", "b"]), values, pd.Series(["$10", "−$40"]))
    assert spec["xAxis"]["min"] <= -40
    assert spec["xAxis"]["max"] >= 10


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


@pytest.mark.parametrize(
    ("writer", "sold", "written", "ticks"),
    [
        (DOLLARS, ["60000", "1234.5"], "$1,234.50", ["$0", "$20K", "$40K", "$60K"]),
        (Writer("1.234,56", "EUR"), ["9000", "1234.5"], "€1.234,50", ["€0", "€2,5K", "€5K", "€7,5K", "€10K"]),
        (Writer("1 234,56", "JPY"), ["3000000", "1234"], "¥1 234", ["¥0", "¥1M", "¥2M", "¥3M"]),
        (DOLLARS, ["2100000000", "5"], "$5.00", ["$0", "$1B", "$2B", "$3B"]),
        (DOLLARS, ["-50", "70"], "$70.00", ["−$50", "$0", "$50", "$100"]),
        (DOLLARS, ["0", "0"], "$0.00", ["$0", "$0.25"]),
    ],
)
def test_axis_and_tooltip_are_written_as_cards_are(
    writer: Writer, sold: list[str], written: str, ticks: list[str]
) -> None:
    days = [date(2026, 3, 1), date(2026, 3, 2)]
    sales = pd.DataFrame({"sale_date": days, "net_sales": [Decimal(value) for value in sold]})
    spec = charts.trend(sales, None, Span(*days), None, writer)
    assert spec["dataset"]["source"]["Total sales, written"].iloc[1] == written
    assert "{@Total sales, written}" in spec["tooltip"]["formatter"]
    assert _ticks(spec) == ticks


def _ticks(spec: charts.Spec) -> list[str]:
    """What the axis of figures says, from below."""
    return [line["label"]["formatter"] for line in spec["series"][0]["markLine"]["data"]]


@pytest.mark.parametrize("dark", [False, True])
def test_axes_stand_out_from_the_page(dark: bool) -> None:
    sales = pd.DataFrame({"sale_date": [date(2026, 3, 1)], "net_sales": [Decimal(5)]})
    span = _span("2026-03-01", "2026-03-01")
    spec = charts.inked(charts.trend(sales, None, span, None, DOLLARS), dark=dark)
    theme = tomllib.loads((REPOSITORY / ".streamlit" / "config.toml").read_text())["theme"]["dark" if dark else "light"]
    for ink in (spec["xAxis"]["axisLabel"]["color"], spec["series"][0]["markLine"]["label"]["color"]):
        for page in (theme["backgroundColor"], theme["secondaryBackgroundColor"]):
            assert _contrast(ink, page) >= 4.5


def _contrast(one: str, other: str) -> float:
    """As WCAG 2.2 defines it, of two colours as #rrggbb."""

    def luminance(color: str) -> float:
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_a_chart_is_told_in_words_and_rows() -> None:
    sales = pd.DataFrame({
        "sale_date": [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)],
        "net_sales": [Decimal(5), Decimal("1234.5"), Decimal(-2)],
    })  # fmt: skip
    told = charts.told(charts.trend(sales, None, _span("2026-03-01", "2026-03-03"), None, DOLLARS), "<Sales>")
    assert "<summary>&lt;Sales&gt;: the figures</summary>" in told
    assert "from Sun 1 Mar to Tue 3 Mar. Most: Mon 2 Mar, $1,234.50. Least: Tue 3 Mar, −$2.00." in told
    assert "<th>Total sales</th>" in told
    assert told.count("<tr>") == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("9999", "$9,999"), ("12345", "$12K"), ("999499", "$999K"), ("999500", "$1.00M"), ("-1234567", "−$1.23M"),
        ("999999999", "$1.00B"), ("2000000000", "$2.00B"),
    ],
)  # fmt: skip
def test_large_figures_are_shortened_to_the_unit_that_they_round_to(value: str, text: str) -> None:
    assert DOLLARS.brief(Decimal(value), Kind.MONEY) == text


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


@pytest.mark.parametrize(("rate", "last"), [("0.99", "100%"), ("1", "100%"), ("0.5", "60%")])
def test_axis_of_a_rate_never_exceeds_the_whole(rate: str, last: str) -> None:
    lines = pd.DataFrame({
        "sale_date": [date(2026, 3, 2)], "delivered_on_time_lines": [Decimal(rate) * 100],
        "delivered_lines": [Decimal(100)],
    })  # fmt: skip
    on_time = MEASURES["on_time_rate"]
    spec = charts.trend(lines, None, _span("2026-03-02", "2026-03-02"), None, DOLLARS, measure=on_time)
    assert _ticks(spec)[-1] == last
    assert spec["yAxis"]["min"] < 100 * float(rate) <= spec["yAxis"]["max"]


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


def test_heat_states_figures_only_where_they_fit_and_else_has_a_legend() -> None:
    cells = pd.DataFrame({"column": ["a", "b"], "row": ["Mon", "Mon"], "value": [Decimal(12_345), Decimal(-1)]})
    spec = charts.heat(cells, DOLLARS, ["a", "b"], ["Mon"])
    assert list(spec["dataset"]["source"]["Text"]) == ["$12.3K", "−$1"]
    assert spec["visualMap"]["text"] == ["$12.3K", "−$1"]
    roomy, narrow = spec["media"]
    assert "query" not in narrow, "it counts where the other one does not"
    for each, figures in ((roomy, True), (narrow, False)):
        assert each["option"]["series"][0]["label"]["show"] is figures
        assert each["option"]["visualMap"]["show"] is not figures
    day = [f"{hour}:00" for hour in range(24)]
    hours = pd.DataFrame({"column": day, "row": ["Mon"] * 24, "value": [Decimal(12_345)] * 24})
    [enough, *_] = [each["query"]["minWidth"] for each in charts.heat(hours, DOLLARS, day, ["Mon"])["media"][:1]]
    assert 390 < enough < 1366, "a whole day has room on a screen, and none on a telephone"


def test_heat_of_one_value_has_a_scale() -> None:
    cells = pd.DataFrame({"column": ["a"], "row": ["Mon"], "value": [Decimal(7)]})
    scale = charts.heat(cells, DOLLARS, ["a"], ["Mon"])["visualMap"]
    assert scale["min"] < scale["max"]


def test_figures_of_rows_are_those_of_each() -> None:
    rows = pd.DataFrame({"net_sales": [Decimal(10), Decimal(5), None], "orders": [Decimal(4), Decimal(0), Decimal(1)]})
    assert MEASURES["aov"].each(rows) == [Decimal("2.5"), None, None]
    assert MEASURES["aov"].by_day(rows) == [2.5, 0, 0]


def test_sparkline_reaches_from_its_lowest_to_its_highest_value() -> None:
    assert ET.fromstring(charts.sparkline([5], charts.UP, 'from "5" to 10')).findtext("figcaption") == 'from "5" to 10'
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
    source = ET.fromstring(picture)[0].get("src", "")
    svg = ET.fromstring(b64decode(source.removeprefix("data:image/svg+xml;base64,")))
    return svg.findall(f"{{http://www.w3.org/2000/svg}}{what}")
