"""What the charts of products and customers are made of: bars that float, shares, cells and their text."""

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from dashboard import charts
from dashboard.measures import Kind, Writer
from dashboard.periods import Span

DOLLARS = Writer("1,234.56", "USD")


def test_waterfall_floats_each_effect_from_where_the_one_before_ended() -> None:
    rows = _rows(charts.waterfall(
        [("Feb", Decimal(100), True), ("Volume", Decimal(30), False), ("Mix", Decimal(-50), False),
         ("Mar", Decimal(80), True)],
        DOLLARS,
    ))  # fmt: skip
    assert [row["Hidden"] for row in rows] == [0, 100, 80, 0]
    assert [_drawn(row) for row in rows] == [{"Total": 100}, {"Up": 30}, {"Down": 50}, {"Total": 80}]
    assert [row["Text"] for row in rows] == ["$100.00", "+$30.00", "−$50.00", "$80.00"]


def test_waterfall_draws_a_bar_across_zero_on_both_sides() -> None:
    spec = charts.waterfall([("Feb", Decimal(20), True), ("Volume", Decimal(-50), False), ("Mar", Decimal(-30), True)],
                            DOLLARS)  # fmt: skip
    rows = _rows(spec)
    assert [row["Hidden"] for row in rows] == [0, 0, 0]
    assert [_drawn(row) for row in rows] == [
        {"Total": 20},
        {"Down": 20, "Down below zero": -30},
        {"Total below zero": -30},
    ]
    assert rows[2]["Text below"] == "−$30.00"
    assert not rows[1]["Text below"]  # it is written once, behind the side above zero
    assert spec["xAxis"]["min"] < -30 < 20 < spec["xAxis"]["max"]


def test_waterfall_below_zero_hangs_from_what_is_unseen() -> None:
    rows = _rows(charts.waterfall([("Feb", Decimal(-20), True), ("Volume", Decimal(-10), False)], DOLLARS))
    assert rows[1]["Hidden"] == -20
    assert _drawn(rows[1]) == {"Down below zero": -10}


def test_waterfall_keeps_a_name_to_an_effect_of_nothing() -> None:
    rows = _rows(charts.waterfall([("Feb", Decimal(5), True), ("Price", Decimal(0), False)], DOLLARS))
    assert _drawn(rows[1]) == {"Up": 0}
    assert rows[1]["Text"] == "$0.00"


def test_pareto_colours_a_bar_by_its_class_and_reads_names_off_the_line() -> None:
    products = pd.DataFrame({
        "product_name": ["desk", "chair", "lamp"],
        "net_sales": [Decimal(80), Decimal(15), Decimal(5)],
        "cumulative_share": [Decimal("0.80"), Decimal("0.95"), Decimal(1)],
        "abc_class": ["A", "B", "C"],
    })  # fmt: skip
    spec = charts.pareto(products, DOLLARS)
    frame = spec["dataset"]["source"]
    assert [list(frame[name].dropna()) for name in "ABC"] == [[80], [15], [5]]
    assert list(frame["Cumulative share"]) == [80, 95, 100]
    # A tooltip of an axis reads the first series, which must have a value of every product.
    assert spec["series"][0]["encode"]["y"] == "Cumulative share"


def test_ratings_split_each_bar_by_its_own_lines() -> None:
    products = pd.DataFrame({
        "product_name": ["desk", "lamp"],
        **{f"ratings_{stars}": [Decimal(each) for each in lines] for stars, lines in
           {1: (1, 0), 2: (0, 0), 3: (1, 0), 4: (0, 1), 5: (2, 2)}.items()},
        "rated_lines": [Decimal(4), Decimal(3)],
        "mean_rating": [Decimal("3.5"), Decimal("4.6666")],
    })  # fmt: skip
    rows = _rows(charts.ratings(products, DOLLARS))
    assert [rows[0][f"{stars} star{'s' if stars > 1 else ''}"] for stars in range(1, 6)] == [25, 0, 25, 0, 50]
    assert [row["Text"] for row in rows] == ["3.50", "4.67"]
    for row in rows:
        assert sum(row[name] for name in row if "star" in name) == pytest.approx(100, abs=0.05)


def test_stacked_adds_days_up_to_the_grain_and_fills_those_without_a_row() -> None:
    daily = pd.DataFrame({
        "sale_date": [date(2026, 2, 27), date(2026, 3, 1), date(2026, 3, 3)],
        "new": [1, 2, 3],
        "returning": [0, 5, 6],
    })  # fmt: skip
    span = Span(date(2026, 2, 27), date(2026, 3, 3))
    names = {"returning": "Returning", "new": "New"}
    by_day = charts.stacked(daily, span, names, DOLLARS, Kind.COUNT)
    assert list(by_day["dataset"]["source"]["New"]) == [1, 0, 2, 0, 3]
    by_month = charts.stacked(daily, span, names, DOLLARS, Kind.COUNT, grain="Month")["dataset"]["source"]
    assert list(by_month["New"]) == [1, 5]
    assert list(by_month["Returning"]) == [0, 11]
    assert [series["stack"] for series in by_day["series"]] == ["bars", "bars"]


def test_monthly_rate_is_written_in_percent() -> None:
    months = pd.DataFrame({"month": [date(2026, 2, 1), date(2026, 3, 1)], "repeat_rate": [Decimal("0.2566"), None]})
    frame = charts.monthly_rate(months, "repeat_rate", "Repeat rate", DOLLARS)["dataset"]["source"]
    assert list(frame["Month"]) == ["Feb 2026", "Mar 2026"]
    assert list(frame["Repeat rate"].dropna()) == [25.66]
    assert list(frame["Text"]) == ["25.7%", "–"]


def test_cohorts_have_a_row_each_and_text_in_the_colour_of_the_theme() -> None:
    cells = pd.DataFrame({
        "cohort_month": [date(2026, 2, 1), date(2026, 1, 1), date(2026, 1, 1)],
        "months_since": [1, 2, 1],
        "cohort_size": [1200, 4, 4],
        "retention_rate": [Decimal("0.125"), Decimal("0.25"), Decimal("0.5")],
        "is_first_cohort": [False, True, True],
        "is_month_complete": [False, False, True],
    })  # fmt: skip
    light = charts.cohorts(cells, "retention_rate", Kind.SHARE, DOLLARS)
    dark = charts.cohorts(cells, "retention_rate", Kind.SHARE, DOLLARS, dark=True)
    rows = _rows(light)
    assert light["yAxis"]["data"] == ["Jan 2026\nor earlier", "Feb 2026"]
    assert light["yAxis"]["axisLabel"]["lineHeight"] >= 12, "the two lines of a label lie on each other"
    assert light["xAxis"]["data"] == ["1", "2"]
    assert [(row["Cohort"], row["Since"], row["Text"]) for row in rows] == [
        ("Jan 2026\nor earlier", "1", "50%"), ("Jan 2026\nor earlier", "2", "25%…"), ("Feb 2026", "1", "13%…"),
    ]  # fmt: skip
    assert [row["Exact"] for row in rows] == ["50.0%", "25.0% so far", "12.5% so far"]
    assert rows[2]["Members"] == "1,200"
    assert light["visualMap"]["max"] == 0.5
    assert light["series"][0]["label"]["color"] != dark["series"][0]["label"]["color"]


def test_cells_of_a_cohort_write_thousands_short() -> None:
    cells = pd.DataFrame({
        "cohort_month": [date(2026, 1, 1)] * 2,
        "months_since": [0, 1],
        "cohort_size": [4, 4],
        "cumulative_net_sales_per_member": [Decimal("930.4"), Decimal("1257.90")],
        "is_first_cohort": [False, False],
        "is_month_complete": [True, True],
    })  # fmt: skip
    rows = _rows(charts.cohorts(cells, "cumulative_net_sales_per_member", Kind.MONEY, DOLLARS))
    assert [(row["Text"], row["Exact"]) for row in rows] == [("$930", "$930.40"), ("$1.3K", "$1,258")]


def _rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = spec["dataset"]["source"].to_dict("records")
    return rows


def _drawn(row: dict[str, Any]) -> dict[str, float]:
    """The bars of a row that are seen."""
    colors = ("Total", "Up", "Down")
    return {name: value for name, value in row.items() if name.startswith(colors) and not pd.isna(value)}
