"""DataFrame to ECharts option. No Streamlit here; text and grid take the colours of the page's theme."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from dashboard.filters import Span
from dashboard.measures import MEASURES, Kind, Measure, Writer

Spec = dict[str, Any]

NET_SALES = MEASURES["net_sales"]
ACCENT = "#4f6bed"
MUTED = "#8a93a6"
UP = "#1a9e6e"
DOWN = "#d9534f"
ROW_PIXELS = 34
MOVER_BASE = Decimal("0.01")  # share of all sales below which a change is noise


def trend(
    daily: pd.DataFrame,
    past: pd.DataFrame | None,
    span: Span,
    past_span: Span | None,
    writer: Writer,
    *,
    measure: Measure = NET_SALES,
    grain: str = "Day",
    cumulative: bool = False,
) -> Spec:
    """A measure over time; what lies as far into the comparison is dashed beneath.

    `daily` and `past` have sale_date and the columns of the measure; a date without a row sold nothing. A `grain` of
    Week or Month adds the days up to the next Monday or first of a month, the comparison's to the same lengths; a ratio
    is one of sums.
    """
    days = [span.start + timedelta(days=offset) for offset in range(span.days)]
    cuts = _cuts(days, grain)
    frame = pd.DataFrame({"Day": [_day(days[cut], days, grain) for cut in cuts]})
    frame[measure.label] = _figures(measure, daily, days, cuts, cumulative)
    columns = [(measure.label, ACCENT, "solid", 2.5, 0.10)]
    if past is not None and past_span is not None:
        shifted = [past_span.start + timedelta(days=offset) for offset in range(span.days)]
        values = _figures(measure, past, shifted, cuts, cumulative)
        # A comparison that is shorter than the period, such as February, ends where it ends.
        frame["Comparison"] = [
            value if shifted[cut] <= past_span.end else None for cut, value in zip(cuts, values, strict=True)
        ]
        columns.append(("Comparison", MUTED, "dashed", 1.5, 0))
    return {
        "dataset": {"source": frame},
        "grid": {"left": 4, "right": 42, "top": 34, "bottom": 4, "containLabel": True},
        "legend": {"top": 0, "left": 0, "icon": "roundRect", "itemHeight": 3, "itemWidth": 16},
        "tooltip": {"trigger": "axis", "valueFormatter": tooltip_format(writer, measure.kind)},
        "xAxis": {
            "type": "category",
            "boundaryGap": False,
            "axisTick": {"show": False},
        },
        "yAxis": {"type": "value", "splitNumber": 4},
        "series": [
            {
                "type": "line",
                "name": name,
                "encode": {"x": "Day", "y": name},
                "showSymbol": len(cuts) == 1,
                "color": color,
                "lineStyle": {"type": dash, "width": width},
                "areaStyle": {"opacity": shade},
            }
            for name, color, dash, width, shade in columns
        ],
    }


def leaderboard(
    names: pd.Series, values: pd.Series, texts: pd.Series, *, room: float = 1.5, clickable: bool = False
) -> Spec:
    """Horizontal bars, the first row on top, each with its text behind it; the axis is `room` longest bars long."""
    frame = pd.DataFrame({"Name": names, "Value": values.astype(float), "Text": texts})
    spec = _bars(frame, [("Value", ACCENT, "right")], high=room * max(frame["Value"].max(), 0) or 1, low=0)
    if clickable:
        spec["series"][0] |= {"selectedMode": "single", "cursor": "pointer", "showBackground": True,
                              "backgroundStyle": {"color": "transparent"}}  # fmt: skip
    return spec


def movers(products: pd.DataFrame, rows: int, money: Writer) -> Spec | None:
    """The products whose net sales changed most, gains and losses on either side of zero; None when none qualifies.

    `products` has product_name, net_sales and net_sales_before. A product counts when it made at least one percent of
    all sales in either period, so that small numbers do not lead with large percentages.
    """
    base = MOVER_BASE * max(sum(products["net_sales"]), sum(products["net_sales_before"]), Decimal(0))
    large = products[(products["net_sales"] >= base) & (products["net_sales_before"] >= 0)
                     | (products["net_sales_before"] >= base)]  # fmt: skip
    change = large["net_sales"] - large["net_sales_before"]
    order = change.abs().sort_values(ascending=False).index[:rows]
    large, change = large.loc[order], change.loc[order].sort_values(ascending=False)
    if change.empty:
        return None
    large = large.loc[change.index]
    text = [money.money(value, signed=True) for value in change]
    frame = pd.DataFrame({
        "Name": large["product_name"],
        "Up": [float(value) if value >= 0 else None for value in change],
        "Down": [float(value) if value < 0 else None for value in change],
        "Text": text,
    })  # fmt: skip
    reach = 2.1 * (float(change.abs().max()) or 1)
    return _bars(frame, [("Up", UP, "right"), ("Down", DOWN, "left")], high=reach, low=-reach)


def tooltip_format(writer: Writer, kind: Kind = Kind.MONEY) -> str:
    """The format of figures in a tooltip, in Streamlit's printf dialect: `$%,.2f`."""
    match kind:
        case Kind.MONEY | Kind.AVERAGE_MONEY:
            return f"{writer.symbol.replace('%', '%%')}%,.2f"
        case Kind.SHARE:
            return "percent"
        case Kind.COUNT:
            return "%,d"
        case _:
            return "%,.2f"


def height(spec: Spec) -> int:
    """Pixels that give every bar of a horizontal chart the same room."""
    return ROW_PIXELS * len(spec["dataset"]["source"]) + 8


def _bars(frame: pd.DataFrame, columns: list[tuple[str, str, str]], *, high: float, low: float) -> Spec:
    return {
        "dataset": {"source": frame},
        "grid": {"left": 4, "right": 4, "top": 0, "bottom": 0, "containLabel": True},
        "tooltip": {"trigger": "item", "formatter": "{@Name}<br/><b>{@Text}</b>"},
        "xAxis": {"type": "value", "show": False, "min": low, "max": high},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "axisTick": {"show": False},
            "axisLine": {"show": False, "onZero": False},
            "axisLabel": {"width": 120, "overflow": "truncate"},
        },
        "series": [
            {
                "type": "bar",
                "name": column,
                "stack": "bars",
                "barWidth": 16,
                "color": color,
                "itemStyle": {"borderRadius": 3},
                "encode": {"x": column, "y": "Name"},
                "label": {"show": True, "position": side, "formatter": "{@Text}"},
            }
            for column, color, side in columns
        ],
    }


def _cuts(days: list[date], grain: str) -> list[int]:
    """Where each stretch of the grain begins: weeks from Monday on, months from the first."""
    if grain == "Day":
        return list(range(len(days)))
    return [
        place for place, day in enumerate(days)
        if place == 0 or (day.weekday() == 0 if grain == "Week" else day.day == 1)
    ]  # fmt: skip


def _figures(
    measure: Measure, daily: pd.DataFrame, days: list[date], cuts: list[int], cumulative: bool
) -> list[float | None]:
    """The measure of each stretch; nothing was sold on a date without a row, so only a ratio is then unknown."""
    place = {day: number for number, day in enumerate(days)}
    at = daily["sale_date"].map(place)
    figures = []
    for cut, end in zip(cuts, [*cuts[1:], len(days)], strict=True):
        rows = daily[(at >= (0 if cumulative else cut)) & (at < end)]
        figure = measure.over(rows)
        if figure is None and measure.denominator is None:
            figure = Decimal(0)
        figures.append(None if figure is None else float(figure))
    return figures


def _day(day: date, days: list[date], grain: str) -> str:
    year = f" {day.year}" if days[0].year != days[-1].year else ""
    if grain == "Month":
        return f"{day:%b}{year}"
    return f"{day:%a} {day.day} {day:%b}{year}"
