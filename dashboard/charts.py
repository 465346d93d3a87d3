"""DataFrame to ECharts option, and figures to a sparkline. No Streamlit here; the theme colours text and grid.

It is long because each chart is one function, to be read by itself, and all of them share colours, scales and steps.
"""

import math
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from html import escape
from typing import Any

import pandas as pd

from dashboard.measures import MEASURES, Kind, Measure, Writer
from dashboard.periods import Span, week_of

Spec = dict[str, Any]

NET_SALES = MEASURES["net_sales"]
ACCENT = "#4f6bed"
MUTED = "#8a93a6"
UP = "#1a9e6e"
DOWN = "#d9534f"
CLASSES = {"A": "#4f6bed", "B": "#e0912f", "C": "#8a93a6"}
NOTE_COLOR = "#e0912f"
STARS = ("#d9534f", "#e0912f", "#8a93a6", "#5bb891", "#1a9e6e")  # from one to five
STACK = ("#4f6bed", "#1a9e6e", "#8a93a6")
HEAT = 0.62  # opacity of the strongest cell, through which a label is read in either theme
INK, INK_ON_DARK = "#1c2333", "#e8ebf2"
LINE = "rgba(138, 147, 166, 0.28)"
FAINT, FAINT_ON_DARK = "#5b6478", "#a9b2c3"  # for axes
ROW_PIXELS = 34
SPARK_PIXELS = 56
FEW = 6  # columns, each of which has room for its name
STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))  # of an axis, and the tens of them
SPLITS = 4  # that many steps an axis has, about
LETTER_PIXELS = 7
CELL_LETTER_PIXELS, CELL_MARGIN = 6.5, 6  # of the figure in a cell
ROW_NAME_PIXELS = 40
LABEL_LINE_PIXELS = 13  # of a label of two lines, which else lie on each other
LEGEND_PIXELS = 32  # below a picture
COMPARISON, IN_PROGRESS = "Comparison", "In progress"
WRITTEN = ", written"  # a column that has the figures of another as text
MOST_TOLD = 400  # rows
_RING: Spec = {
    "type": "scatter",
    "name": IN_PROGRESS,
    "encode": {"x": "Day", "y": IN_PROGRESS},
    "symbol": "emptyCircle",
    "symbolSize": 9,
    "color": ACCENT,
}
NOTE, NOTED = "Note", "Noted"
LONGEST_NOTE = 40  # characters that a tooltip has room for; the whole stands below the chart
_PIN: Spec = {
    "type": "scatter",
    "name": NOTE,
    "encode": {"x": "Day", "y": NOTED},
    "symbol": "pin",
    "symbolSize": 22,
    "color": NOTE_COLOR,
    "z": 5,
}
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
    first_weekday: int = 0,
    cumulative: bool = False,
    in_progress: bool = False,
    notes: Sequence[tuple[date, str]] = (),
) -> Spec:
    """A measure over time; what lies as far into the comparison is dashed beneath.

    A last day that is `in_progress` stands apart as a ring: the line would fall towards it. `notes` on days are pins,
    which tell in the tooltip what they say.

    `daily` and `past` have sale_date and the columns of the measure; a date without a row sold nothing. A `grain` of
    Week or Month adds the days up to where the next one begins, the comparison's to the same lengths; a ratio is one of
    sums.
    """
    days = [span.start + timedelta(days=offset) for offset in range(span.days)]
    cuts = _cuts(days, grain, first_weekday)
    frame = pd.DataFrame({"Day": [_day(days[cut], days, grain) for cut in cuts]})
    figures = _figures(measure, daily, days, cuts, cumulative)
    frame[measure.label], frame[f"{measure.label}{WRITTEN}"] = _drawn(figures), _written(figures, measure, writer)
    columns = [(measure.label, ACCENT, "solid", 2.5, 0.10)]
    hover = f"{{@Day}}<br/>{measure.label} <b>{{@{measure.label}{WRITTEN}}}</b>"
    if past is not None and past_span is not None:
        shifted = [past_span.start + timedelta(days=offset) for offset in range(span.days)]
        values = _figures(measure, past, shifted, cuts, cumulative)
        # A comparison that is shorter than the period, such as February, ends where it ends.
        before = [value if shifted[cut] <= past_span.end else None for cut, value in zip(cuts, values, strict=True)]
        frame[COMPARISON], frame[f"{COMPARISON}{WRITTEN}"] = _drawn(before), _written(before, measure, writer)
        columns.append((COMPARISON, MUTED, "dashed", 1.5, 0))
        hover += f"<br/>{COMPARISON} {{@{COMPARISON}{WRITTEN}}}"
    names = [name for name, *_ in columns]
    if in_progress:
        whole = len(cuts) - 1
        frame[measure.label] = _drawn([*figures[:whole], None])
        frame[IN_PROGRESS] = _drawn([*[None] * whole, figures[whole]])
        names.append(IN_PROGRESS)
    pinned = _pinned(notes, days, cuts, grain)
    if pinned:
        bottom = min((figure for figure in figures if figure is not None), default=Decimal(0))
        frame[NOTED] = _drawn(
            [
                None if place not in pinned else bottom if figure is None else figure
                for place, figure in enumerate(figures)
            ]
        )
        frame[NOTE] = [pinned.get(place, "") for place in range(len(cuts))]
        hover += f"<br/>{{@{NOTE}}}"
    # A rate moves too little to be seen from zero on.
    rate = measure.denominator is not None
    axis, lines, left = _scale(frame[names], writer, measure.kind, from_zero=not rate)
    spec: Spec = {
        "dataset": {"source": frame},
        "grid": {"left": left, "right": 42, "top": 34, "bottom": 4, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemStyle": {"opacity": 0}, "itemWidth": 22,
                   "data": [name if name != IN_PROGRESS else {"name": name, "itemStyle": {"opacity": 1}}
                            for name in names]},
        "tooltip": {"trigger": "axis", "formatter": hover},
        "xAxis": {
            "type": "category",
            "boundaryGap": False,
            "axisTick": {"show": False},
        },
        "yAxis": axis,
        "series": [
            {
                "type": "line",
                "name": name,
                "encode": {"x": "Day", "y": name},
                "showSymbol": len(cuts) == 1,
                "color": color,
                "lineStyle": {"type": dash, "width": width},
                "areaStyle": {"opacity": 0 if rate else shade},
            }
            for name, color, dash, width, shade in columns
        ]
        + ([_RING] if in_progress else [])
        + ([_PIN] if pinned else []),
    }  # fmt: skip
    spec["series"][0]["markLine"] = lines
    return spec


def leaderboard(
    names: pd.Series, values: pd.Series, texts: pd.Series, *, room: float = 1.5, clickable: bool = False
) -> Spec:
    """Horizontal bars, the first row on top, each with its text behind it; the axis is `room` longest bars long."""
    frame = pd.DataFrame({"Name": names, "Value": values.astype(float), "Text": texts})
    high, low = max(frame["Value"].max(), 0), min(frame["Value"].min(), 0)
    spec = _bars(frame, [("Value", ACCENT, "right")], high=high + (room - 1) * max(high, -low) or 1, low=low)
    if clickable:
        spec["series"][0] |= {"selectedMode": "single", "cursor": "pointer", "showBackground": True,
                              "backgroundStyle": {"color": "transparent"}}  # fmt: skip
    return spec


def movers(products: pd.DataFrame, rows: int, money: Writer) -> Spec | None:
    """The products whose net sales rose most and fell most, up to half of the `rows` each; None when none qualifies.

    `products` has product_name, net_sales and net_sales_before. A product counts when it made at least one percent of
    all sales in either period, so that small numbers do not lead with large percentages.
    """
    base = MOVER_BASE * max(sum(products["net_sales"]), sum(products["net_sales_before"]), Decimal(0))
    large = products[(products["net_sales"] >= base) & (products["net_sales_before"] >= 0)
                     | (products["net_sales_before"] >= base)]  # fmt: skip
    change = large["net_sales"] - large["net_sales_before"]
    change = change.sort_values(ascending=False, kind="stable")
    change = pd.concat([change[change > 0].head(rows // 2), change[change < 0].tail(rows // 2)])
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


def bullets(frame: pd.DataFrame, writer: Writer) -> Spec:
    """Net sales of each place on the bar of its target, with a mark where they should be by now.

    `frame` has place, net_sales, and where there is a target target_net_sales, target_to_date, gap, attainment_rate.
    """
    known = frame["attainment_rate"].notna()
    source = pd.DataFrame({
        "Name": frame["place"],
        "Target": frame["target_net_sales"].astype(float),
        "Net sales": frame["net_sales"].astype(float),
        "By now": frame["target_to_date"].astype(float),
        "Text": [
            f"{writer.write(rate, Kind.SHARE)} · {writer.money(gap, signed=True)}" if due else "no target"
            for rate, gap, due in zip(frame["attainment_rate"], frame["gap"], known, strict=True)
        ],
    })  # fmt: skip
    spec = _bars(source, [("Target", MUTED, "right")], low=0, high=1.75 * _reach(source[["Target", "Net sales"]]))
    hover = "{@Name}<br/><b>{@Text}</b>"
    spec["tooltip"] = {"trigger": "item", "formatter": hover}
    # On an axis of its own a bar lies in the middle of the wider one behind it.
    spec["yAxis"] = [spec["yAxis"], {"type": "category", "inverse": True, "show": False}]
    spec["series"][0] |= {"itemStyle": {"borderRadius": 3, "opacity": 0.3}, "label": {"show": False}, "stack": None}
    spec["series"] += [
        {
            "type": "bar",
            "name": "Net sales",
            "yAxisIndex": 1,
            "barWidth": 8,
            "color": ACCENT,
            "itemStyle": {"borderRadius": 2},
            "encode": {"x": "Net sales", "y": "Name"},
        },
        {
            "type": "scatter",
            "name": "By now",
            "symbol": "rect",
            "symbolSize": [3, 22],
            "color": DOWN,
            "encode": {"x": "By now", "y": "Name"},
        },
        # The text stands behind the longer of the bars.
        {
            "type": "scatter",
            "name": "Text",
            "symbolSize": 0,
            "silent": True,
            "encode": {"x": "End", "y": "Name"},
            "label": {"show": True, "position": "right", "formatter": "{@Text}"},
        },
    ]
    source["End"] = source[["Target", "Net sales"]].max(axis=1)
    return spec


def heat(cells: pd.DataFrame, writer: Writer, columns: list[str], rows: list[str]) -> Spec:
    """A cell for each row and column, the darker the more; `cells` has column, row and value.

    A cell states its figure where every cell of the picture has room for its own, which the browser knows; where not, a
    legend says what the palest and the darkest stand for.
    """
    values = cells["value"].astype(float)
    low, high = values.min(), values.max()
    source = pd.DataFrame({
        "Column": cells["column"], "Row": cells["row"], "Value": values,
        "Text": [writer.cell(value, Kind.MONEY) for value in cells["value"]],
        "Whole": [writer.write(value, Kind.MONEY) for value in cells["value"]],
    })  # fmt: skip
    axis = {"type": "category", "axisTick": {"show": False}, "axisLine": {"show": False}, "splitLine": {"show": False}}
    enough = len(columns) * (CELL_LETTER_PIXELS * source["Text"].str.len().max() + CELL_MARGIN) + ROW_NAME_PIXELS
    return {
        "dataset": {"source": source},
        "grid": {"left": 4, "right": 4, "top": 4, "containLabel": True},
        "tooltip": {"trigger": "item", "formatter": "{@Row}, {@Column}<br/><b>{@Whole}</b>"},
        "xAxis": {**axis, "data": columns, "axisLabel": {"interval": 0, "width": 60, "overflow": "break"}
                  if len(columns) <= FEW else {}},
        "yAxis": {**axis, "data": rows, "inverse": True},
        "visualMap": {
            "type": "continuous", "dimension": 2, "min": low, "max": high if high > low else low + 1,
            "inRange": {"color": ["rgba(79, 107, 237, 0.06)", "rgba(79, 107, 237, 0.6)"]},
            "outOfRange": {"color": ["transparent"]},  # stands behind the legend
            "orient": "horizontal", "left": "center", "bottom": 0, "itemWidth": 10, "itemHeight": 120,
            "text": [writer.cell(cells["value"].max(), Kind.MONEY), writer.cell(cells["value"].min(), Kind.MONEY)],
        },
        "series": [
            {
                "type": "heatmap",
                "encode": {"x": "Column", "y": "Row", "value": "Value"},
                "itemStyle": {"borderRadius": 3, "borderWidth": 2, "borderColor": "transparent"},
                "label": {"formatter": "{@Text}", "fontSize": 11},
            }
        ],
        "media": [
            {"query": {"minWidth": int(enough)}, "option": _figures_or_legend(figures=True)},
            {"option": _figures_or_legend(figures=False)},
        ],
    }  # fmt: skip


def _figures_or_legend(*, figures: bool) -> Spec:
    return {
        "grid": {"bottom": 4 if figures else LEGEND_PIXELS},
        "visualMap": {"show": not figures},
        "series": [{"label": {"show": figures}}],
    }


def pareto(products: pd.DataFrame, money: Writer) -> Spec:
    """Bars of net sales by rank, in the colour of their class, under the line of the cumulative share.

    `products` has product_name, net_sales, cumulative_share (None where nothing was sold) and abc_class, best first.
    """
    frame = pd.DataFrame({
        "Rank": [str(place) for place in range(1, len(products) + 1)],
        "Name": products["product_name"],
        "Cumulative share": [_percent(share) for share in products["cumulative_share"]],
        "Text": [money.money(value) for value in products["net_sales"]],
        "Share": [money.write(share, Kind.SHARE) for share in products["cumulative_share"]],
        "Class": products["abc_class"],
    })  # fmt: skip
    for name in CLASSES:
        frame[name] = [
            float(value) if place == name else None
            for value, place in zip(products["net_sales"], products["abc_class"], strict=True)
        ]
    line: Spec = {
        "type": "line",
        "name": "Cumulative share",
        "encode": {"x": "Rank", "y": "Cumulative share"},
        "yAxisIndex": 1,
        "showSymbol": False,
        "color": UP,
        "z": 3,
        "markLine": {
            "silent": True,
            "symbol": "none",
            "label": {"position": "insideEndBottom", "formatter": "{c}%", "color": MUTED},
            "lineStyle": {"color": MUTED, "type": "dashed", "width": 1},
            "data": [{"yAxis": 80}, {"yAxis": 95}],
        },
    }
    axis, lines, left = _scale(frame[list(CLASSES)], money, Kind.MONEY)
    bars: list[Spec] = [
        {
            "type": "bar",
            "name": name,
            "stack": "bars",
            "color": color,
            "barCategoryGap": "20%",
            "encode": {"x": "Rank", "y": name},
        }
        for name, color in CLASSES.items()
    ]
    bars[0]["markLine"] = lines
    return {
        "dataset": {"source": frame},
        "grid": {"left": left, "right": 4, "top": 34, "bottom": 4, "containLabel": True},
        "legend": {"top": 0, "left": 0, "data": list(CLASSES), "itemHeight": 10, "itemWidth": 16},
        # The line is the first series, since a tooltip of the axis reads the row of the first.
        "tooltip": {
            "trigger": "axis",
            "formatter": "{@Rank}. {@Name}<br/><b>{@Text}</b> · class {@Class}<br/>{@Share} with all before it",
        },
        "xAxis": {"type": "category", "axisTick": {"show": False}},
        "yAxis": [
            axis,
            {
                "type": "value",
                "min": 0,
                "max": 100,
                "splitLine": {"show": False},
                "axisLabel": {"formatter": "{value}%"},
            },
        ],
        "series": [line, *bars],
    }


def waterfall(steps: list[tuple[str, Decimal, bool]], money: Writer) -> Spec:
    """From one total to another: (name, value, is it a total) in order, where what is not a total is a change.

    Bars that float are stacked on unseen ones; one that crosses zero is drawn as its two sides.
    """
    rows: list[dict[str, object]] = []
    level = reach = Decimal(0)
    for name, value, is_total in steps:
        start, end = (Decimal(0), value) if is_total else (level, level + value)
        level = end
        low, high = sorted((start, end))
        reach = max(reach, high)
        above, below = max(high, Decimal(0)) - max(low, Decimal(0)), min(low, Decimal(0)) - min(high, Decimal(0))
        color = "Total" if is_total else "Up" if value >= 0 else "Down"
        text = money.money(value, cents=True, signed=not is_total)
        sides = {color: float(above)} if above or not below else {}
        if below:
            sides[f"{color} below zero"] = float(below)
        hidden = float(low if low > 0 else min(high, Decimal(0)))
        rows.append({"Name": name, "Text": text, "Text below": "" if above else text, "Hidden": hidden, **sides})
    frame = pd.DataFrame(rows)
    columns = [
        (f"{name}{side}", color, place)
        for name, color in (("Total", ACCENT), ("Up", UP), ("Down", DOWN))
        for side, place in (("", "right"), (" below zero", "left"))
        if f"{name}{side}" in frame
    ]
    depth = min((frame[column].add(frame["Hidden"]).min() for column, _, _ in columns), default=0.0)
    room = 1.45 if depth >= 0 else 1.8
    spec = _bars(
        frame,
        [("Hidden", "transparent", "right"), *columns],
        high=room * float(reach) or 1,
        low=min(room * float(depth), 0),
    )
    spec["series"][0] |= {"silent": True, "label": {"show": False}}
    for series in spec["series"]:
        if series["name"].endswith("below zero"):
            series["label"]["formatter"] = "{@Text below}"
    return spec


def ratings(products: pd.DataFrame, number: Writer) -> Spec:
    """One bar for each product, split by the share of its ratings from one star to five; the mean stands behind.

    `products` has product_name, ratings_1 to ratings_5, rated_lines (over zero) and mean_rating.
    """
    frame = pd.DataFrame({
        "Name": products["product_name"],
        "Text": [number.number(mean, 2) for mean in products["mean_rating"]],
        "Lines": [number.number(lines, 0) for lines in products["rated_lines"]],
    })  # fmt: skip
    names = [f"{stars} star{'s' if stars > 1 else ''}" for stars in range(1, 6)]
    for stars, name in enumerate(names, 1):
        shares = zip(products[f"ratings_{stars}"], products["rated_lines"], strict=True)
        frame[name] = [_percent(Decimal(lines) / Decimal(rated)) for lines, rated in shares]
    spec = _bars(frame, [(name, color, "right") for name, color in zip(names, STARS, strict=True)], high=116, low=0)
    for series in spec["series"]:
        series |= {"itemStyle": {"borderRadius": 0}, "label": {"show": False}}
    spec["series"][-1]["label"] = {"show": True, "position": "right", "formatter": "{@Text}", "fontWeight": "bold"}
    spec["grid"]["top"] = 30
    spec["legend"] = {"top": 0, "left": 0, "itemHeight": 10, "itemWidth": 12, "itemGap": 8}
    spec["tooltip"]["formatter"] = "{@Name}: <b>{@Text}</b> of {@Lines} ratings<br/>" + "<br/>".join(
        f"{name}: {{@{name}}}%" for name in reversed(names)
    )
    return spec


def stacked(
    daily: pd.DataFrame,
    span: Span,
    columns: dict[str, str],
    writer: Writer,
    kind: Kind,
    *,
    grain: str = "Day",
    first_weekday: int = 0,
) -> Spec:
    """Bars over time, one on the other.

    `daily` has sale_date and, additive over days, the keys of `columns`, which gives what each is called; a date
    without a row is zero.
    """
    days = [span.start + timedelta(days=offset) for offset in range(span.days)]
    cuts = _cuts(days, grain, first_weekday)
    frame = pd.DataFrame({"Day": [_day(days[cut], days, grain) for cut in cuts]})
    total = [Decimal(0)] * len(cuts)
    for column, name in columns.items():
        measure = Measure(column, name, kind, column)
        figures = _figures(measure, daily, days, cuts, cumulative=False)
        frame[name], frame[f"{name}{WRITTEN}"] = _drawn(figures), _written(figures, measure, writer)
        total = [whole + (figure or 0) for whole, figure in zip(total, figures, strict=True)]
    hover = "<br/>".join(["{@Day}", *(f"{name} <b>{{@{name}{WRITTEN}}}</b>" for name in columns.values())])
    axis, lines, left = _scale(pd.DataFrame({"Total": _drawn(total)}), writer, kind)
    spec: Spec = {
        "dataset": {"source": frame},
        "grid": {"left": left, "right": 12, "top": 34, "bottom": 4, "containLabel": True},
        "legend": {"top": 0, "left": 0, "itemHeight": 10, "itemWidth": 16},
        "tooltip": {"trigger": "axis", "formatter": hover},
        "xAxis": {"type": "category", "axisTick": {"show": False}},
        "yAxis": axis,
        "series": [
            {
                "type": "bar",
                "name": name,
                "stack": "bars",
                "color": color,
                "barCategoryGap": "25%",
                "encode": {"x": "Day", "y": name},
            }
            for name, color in zip(columns.values(), STACK, strict=False)
        ],
    }
    spec["series"][0]["markLine"] = lines
    return spec


def monthly_rate(months: pd.DataFrame, column: str, name: str, number: Writer) -> Spec:
    """A share of each month, from 0 to 1 in `column`, as a line with its figures on it."""
    frame = pd.DataFrame({
        "Month": [f"{month:%b %Y}" for month in months["month"]],
        name: [_percent(share) for share in months[column]],
        "Text": [number.write(share, Kind.SHARE) for share in months[column]],
    })  # fmt: skip
    axis, lines, left = _scale(frame[[name]], number, Kind.SHARE)
    return {
        "dataset": {"source": frame},
        "grid": {"left": left, "right": 4, "top": 24, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "axis", "formatter": f"{{@Month}}<br/>{name} <b>{{@Text}}</b>"},
        "xAxis": {"type": "category", "axisTick": {"show": False}},
        "yAxis": axis,
        "series": [
            {
                "type": "line",
                "name": name,
                "color": ACCENT,
                "encode": {"x": "Month", "y": name},
                "symbolSize": 7,
                "areaStyle": {"opacity": 0.1},
                "markLine": lines,
                "label": {"show": True, "position": "top", "formatter": "{@Text}"},
                "labelLayout": {"hideOverlap": True},
            }
        ],
    }


def cohorts(cells: pd.DataFrame, column: str, kind: Kind, money: Writer, *, dark: bool = False) -> Spec:
    """A cell for each cohort and month since: the stronger its colour, the higher `column`.

    `cells` has cohort_month, months_since, cohort_size, is_first_cohort, is_month_complete and `column`. Text on a cell
    cannot take the theme's colour by itself, so it is told whether the page is dark.
    """
    cells = cells.sort_values(["cohort_month", "months_since"], kind="stable")
    frame = pd.DataFrame({
        "Cohort": [
            f"{month:%b %Y}\nor earlier" if first else f"{month:%b %Y}"
            for month, first in zip(cells["cohort_month"], cells["is_first_cohort"], strict=True)
        ],
        "Since": [str(since) for since in cells["months_since"]],
        "Value": cells[column].astype(float),
        "Text": [
            money.cell(value, kind) + ("" if complete else "…")
            for value, complete in zip(cells[column], cells["is_month_complete"], strict=True)
        ],
        "Exact": [
            money.write(value, kind) + ("" if complete else " so far")
            for value, complete in zip(cells[column], cells["is_month_complete"], strict=True)
        ],
        "Members": [money.number(Decimal(int(size)), 0) for size in cells["cohort_size"]],
    })  # fmt: skip
    since = [str(month) for month in range(cells["months_since"].min(), cells["months_since"].max() + 1)]
    return {
        "dataset": {"source": frame},
        "grid": {"left": 4, "right": 4, "top": 24, "bottom": 0, "containLabel": True},
        "tooltip": {
            "trigger": "item",
            "formatter": "{@Cohort}, {@Members} members<br/>after {@Since} months: <b>{@Exact}</b>",
        },
        "xAxis": {
            "type": "category",
            "data": since,
            "position": "top",
            "axisTick": {"show": False},
            "axisLine": {"show": False},
        },
        "yAxis": {
            "type": "category",
            "data": list(dict.fromkeys(frame["Cohort"])),
            "inverse": True,
            "axisLabel": {"lineHeight": LABEL_LINE_PIXELS},
            "axisTick": {"show": False},
            "axisLine": {"show": False},
        },
        "visualMap": {
            "show": False,
            "dimension": "Value",
            "min": 0,
            "max": frame["Value"].max() or 1,
            "inRange": {"color": [ACCENT, ACCENT], "opacity": [0.06, HEAT]},
        },
        "series": [
            {
                "type": "heatmap",
                "name": "Cohorts",
                "encode": {"x": "Since", "y": "Cohort", "value": "Value"},
                "label": {
                    "show": True,
                    "formatter": "{@Text}",
                    "fontSize": 11,
                    "color": INK_ON_DARK if dark else INK,
                    "opacity": 1,
                },
                "labelLayout": {"hideOverlap": True},
            }
        ],
    }


def sparkline(values: Sequence[float], color: str, told: str, *, bars: bool = False) -> str:
    """HTML of a picture as wide as its place: a line from its lowest to its highest value, or bars from zero.

    Beneath it stands what is `told` of it: between what it runs.

    The values are in order of time; the colour, a judgement, is of the last bar alone. Not `chart_data` of `st.metric`,
    for which a browser loads a second chart engine: a fifth of a page's time.
    """
    low, high = min(values), max(values)
    if bars:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = low - 1, high + 1  # what never changes is drawn halfway
    tops = [SPARK_PIXELS * (high - value) / (high - low) for value in values]
    if bars:
        zero, room = SPARK_PIXELS * high / (high - low), 100 / len(tops)
        marks = "".join(
            f'<rect x="{(place + 0.1) * room:.2f}" width="{0.8 * room:.2f}"'
            f' y="{min(top, zero):.2f}" height="{abs(top - zero):.2f}"'
            f' fill="{color if place == len(tops) - 1 else MUTED}"/>'
            for place, top in enumerate(tops)
        )
    else:
        tops = tops if len(tops) > 1 else tops * 2
        line = "L".join(f"{100 * place / (len(tops) - 1):.2f} {top:.2f}" for place, top in enumerate(tops))
        marks = (
            f'<path d="M{line}L100 {SPARK_PIXELS}L0 {SPARK_PIXELS}Z" opacity="0.12"/>'
            f'<path d="M{line}" fill="none" stroke="{color}" stroke-width="1.75" vector-effect="non-scaling-stroke"/>'
        )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 {SPARK_PIXELS}" preserveAspectRatio="none"'
        f' fill="{color}">{marks}</svg>'
    )
    # `st.html` takes elements of SVG away, and leaves pictures.
    source = f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"
    picture = f'<img alt="" src="{source}" width="100%" height="{SPARK_PIXELS}" />'
    return f'<figure class="sparkline">{picture}<figcaption>{escape(told)}</figcaption></figure>'


def inked(spec: Spec, *, dark: bool) -> Spec:
    """The chart with labels of its axes that stand out from the page by 4.5 to 1 and more, as WCAG asks of text."""
    ink = {"color": FAINT_ON_DARK if dark else FAINT}

    def axis(each: Spec) -> Spec:
        return each | {"axisLabel": ink | each.get("axisLabel", {})}

    spec = dict(spec)
    if "visualMap" in spec:
        spec["visualMap"] = spec["visualMap"] | {"textStyle": ink}
    for name in ("xAxis", "yAxis"):
        axes = spec[name]
        spec[name] = [axis(each) for each in axes] if isinstance(axes, list) else axis(axes)
    spec["series"] = [
        each | {"markLine": each["markLine"] | {"label": ink | each["markLine"]["label"]}}
        if "markLine" in each
        else each
        for each in spec["series"]
    ]
    # On the strongest colour of a cell, too, and without the halo that makes small digits hard to read.
    inside = {"color": INK_ON_DARK if dark else INK, "textBorderWidth": 0}
    spec["series"] = [
        each | {"label": each["label"] | inside} if each["type"] == "heatmap" else each for each in spec["series"]
    ]
    return spec


def told(spec: Spec, title: str) -> str:
    """HTML of what a chart draws, for who hears the page or goes through it by keys: in words, then its rows."""
    frame: pd.DataFrame = spec["dataset"]["source"]
    names = [str(name) for name in frame]
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(frame[name]) and frame[name].notna().all()]
    drawn = [name for name in names if name not in texts and frame[name].notna().any()]
    words = f"{len(frame)} rows"
    if drawn and len(texts) > 1 and len(frame) > 1:
        order = frame[drawn[0]].astype(float)
        most, least = (
            ", ".join(frame[name].iloc[place] for name in texts[:2]) for place in (order.argmax(), order.argmin())
        )
        words += f", from {frame[texts[0]].iloc[0]} to {frame[texts[0]].iloc[-1]}. Most: {most}. Least: {least}"
    rows = frame[texts].rename(columns=lambda name: str(name).removesuffix(WRITTEN)).head(MOST_TOLD)
    shown = rows.to_html(index=False, border=0, escape=True)
    return (
        f'<details class="told"><summary>{escape(title)}: the figures</summary><p>{escape(words)}.</p>{shown}</details>'
    )


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


def _scale(drawn: pd.DataFrame, writer: Writer, kind: Kind, *, from_zero: bool = True) -> tuple[Spec, Spec, int]:
    """A vertical axis of figures as they are drawn, its lines, and the pixels that its labels need on the left.

    An axis of ECharts groups digits its own way and knows no units: so its labels are those of lines of a series.
    """
    drawn = drawn.astype(float)  # a measure that has no figure at all is a column of objects
    high, low = Decimal(_most(drawn.max(), 1)), Decimal(_most(-drawn.min(), -1)) * -1
    if from_zero:
        high, low = max(high, Decimal(0)), min(low, Decimal(0))
    step = _step((high - low or abs(high) or Decimal(1)) / SPLITS)
    smallest = {Kind.COUNT: Decimal(1), Kind.MONEY: Decimal(1).scaleb(-writer.decimals)}
    step = max(step, smallest.get(kind, step))
    first, last = low // step, -(-high // step)
    if low < 0 and low % step:
        first -= 1  # a remainder has the sign of what is divided
    if high > 0 and high % step:
        last = high // step + 1
    if first == last:
        first, last = (first - 1, last) if first > 0 else (first, last + 1)
    ticks = [step * place for place in range(int(first), int(last) + 1)]
    if kind is Kind.SHARE and high <= 100:
        ticks = [tick for tick in ticks if tick <= 100]  # no share exceeds the whole
    texts = [writer.tick(tick / 100 if kind is Kind.SHARE else tick, kind) for tick in ticks]
    axis = {
        "type": "value",
        "min": float(ticks[0]),
        "max": float(max(ticks[-1], high)),
        "axisLabel": {"show": False},
        "splitLine": {"show": False},
    }
    lines = {
        "silent": True,
        "symbol": "none",
        "animation": False,
        "lineStyle": {"color": LINE, "type": "solid", "width": 1},  # opacity would be that of the labels too
        "label": {"position": "start"},
        "data": [{"yAxis": float(tick), "label": {"formatter": text}} for tick, text in zip(ticks, texts, strict=True)],
    }
    return axis, lines, LETTER_PIXELS * max(map(len, texts)) + 8


def _most(values: "pd.Series[float]", otherwise: int) -> float:
    most = float(values.max())
    return otherwise if math.isnan(most) else most


def _step(wanted: Decimal) -> Decimal:
    """The next round step that is no smaller."""
    tens = Decimal(1).scaleb(wanted.adjusted())
    return next(step * tens for step in STEPS if step * tens >= wanted)


def _cuts(days: list[date], grain: str, first_weekday: int) -> list[int]:
    """Where each stretch of the grain begins: weeks from their first day on, months from the first."""
    if grain == "Day":
        return list(range(len(days)))
    return [
        place for place, day in enumerate(days)
        if place == 0 or (day == week_of(day, first_weekday) if grain == "Week" else day.day == 1)
    ]  # fmt: skip


def _pinned(notes: Sequence[tuple[date, str]], days: list[date], cuts: list[int], grain: str) -> dict[int, str]:
    """The notes on each stretch, by its place; those of a week or a month begin with their day."""
    pinned: dict[int, list[str]] = {}
    for day, text in sorted(notes):
        if days and days[0] <= day <= days[-1]:
            place = bisect_right(cuts, (day - days[0]).days) - 1
            pinned.setdefault(place, []).append(text if grain == "Day" else f"{day.day} {day:%b}: {text}")
    told = {place: "; ".join(texts) for place, texts in pinned.items()}
    return {place: text if len(text) <= LONGEST_NOTE else f"{text[:LONGEST_NOTE]}…" for place, text in told.items()}


def _figures(
    measure: Measure, daily: pd.DataFrame, days: list[date], cuts: list[int], cumulative: bool
) -> list[Decimal | None]:
    """The measure of each stretch; nothing was sold on a date without a row, so only a ratio is then unknown."""
    bottoms = daily[measure.denominator] if measure.denominator else [None] * len(daily)
    sums = dict(zip(daily["sale_date"], zip(daily[measure.numerator], bottoms, strict=True), strict=True))
    figures = []
    for cut, end in zip(cuts, [*cuts[1:], len(days)], strict=True):
        sold = [sums[day] for day in days[0 if cumulative else cut : end] if day in sums]
        figure = measure.of([top for top, _ in sold], [bottom for _, bottom in sold])
        if figure is None and measure.denominator is None:
            figure = Decimal(0)
        figures.append(None if figure is None else figure * 100 if measure.kind is Kind.SHARE else figure)
    return figures


def _drawn(figures: Sequence[Decimal | None]) -> list[float | None]:
    return [None if figure is None else float(figure) for figure in figures]


def _written(figures: Sequence[Decimal | None], measure: Measure, writer: Writer) -> list[str]:
    share = measure.kind is Kind.SHARE
    return [writer.exact(figure / 100 if share and figure is not None else figure, measure.kind) for figure in figures]


def _day(day: date, days: list[date], grain: str) -> str:
    year = f" {day.year}" if days[0].year != days[-1].year else ""
    if grain == "Month":
        return f"{day:%b}{year}"
    return f"{day:%a} {day.day} {day:%b}{year}"


def _percent(share: Decimal | None) -> float | None:
    return None if share is None else round(float(share) * 100, 2)


def _reach(frame: pd.DataFrame) -> float:
    """The largest of all values, for the end of an axis."""
    return float(frame.max().max()) or 1
