"""When customers buy: net sales by weekday, of weeks, regions and hours of the day, as pictures."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial

import pandas as pd
import streamlit as st

from dashboard import charts, daily_sales, explain, export, filters, panels
from dashboard.filters import View
from dashboard.measures import MEASURES, Kind, Writer
from dashboard.periods import Span, week_of
from dashboard.settings import settings

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEKS = 14  # that a heat map has room for


def heat(view: View, writer: Writer) -> None:
    """Which weekdays sell: net sales by weekday, of each week or each region."""
    by = panels.heading("Weekdays", "Weekdays by", ("Week", "Region average", "Region total"), "weekdays")
    span = Span(max(view.span.start, view.since), view.span.end)
    if by == "Week":
        weeks = view.sales(span)
        starts = [week_of(day, settings().first_weekday) for day in weeks["sale_date"]]
        # A long period is drawn by its last weeks.
        columns = sorted(set(starts))[-WEEKS:]
        labels = {start: f"{start.day} {start:%b}" for start in columns}
        cells = pd.DataFrame({
            "column": [labels.get(start) for start in starts],
            "row": [WEEKDAYS[day.weekday()] for day in weeks["sale_date"]],
            "value": weeks["net_sales"],
        }).dropna(subset=["column"])  # fmt: skip
        st.caption(f"Net sales of each day, by the first day of its week{_last_weeks(span, columns)}")
        spec = charts.heat(cells, writer, list(labels.values()), _weekday_names())
    else:
        cells = _by_region(view, span, average=by == "Region average")
        regions = list(dict.fromkeys(cells["column"]))
        st.caption(
            f"Net sales of an average weekday of {span}" if by == "Region average" else f"Net sales of {span}, added up"
        )
        spec = charts.heat(cells, writer, regions, _weekday_names())
    panels.draw(spec, f"Net sales by weekday and {by.split()[0].lower()}", key="weekday-heat", height=320)
    cells = cells.rename(columns={"column": by.split()[0].lower(), "row": "weekday", "value": "net_sales"})
    export.offer("weekdays", export.Stamp.of(view, ("By", by.lower())), lambda: cells)
    explain.button("weekdays", "Weekdays")
    explain.panel(view, {"weekdays": partial(_explain_weekdays, view, by)})


def _explain_weekdays(view: View, by: str) -> explain.Source:
    source = explain.of_measure(view, MEASURES["net_sales"], "date", *([] if by == "Week" else ["region"]))
    cell = {
        "Week": f"A cell is `net_sales` of the row of its day, in the last {WEEKS} weeks",
        "Region average": "A cell is the sum of `net_sales` of a region on a weekday ÷ the number of such weekdays in "
        "the period, from the first sales on",
        "Region total": "A cell is the sum of `net_sales` of a region on a weekday",
    }[by]
    return replace(source, title="Weekdays", reading=f"{cell}, of what this statement returns.")


def hours(view: View, writer: Writer) -> None:
    """When customers buy: an average weekday by the hour, where sheets tell the time of day."""
    span = Span(max(view.span.start, view.since), view.span.end)
    by_hour = daily_sales.hours(view.version, view.scope, span.start, span.end)
    if by_hour.empty:
        return
    scope = daily_sales.placed(view.scope)
    lines = sum(daily_sales.sales(view.version, scope, span.start, span.end, ())["lines"])
    timed = sum(by_hour["lines"])
    cells = _by_hour(by_hour, span)
    with st.container(border=True):
        st.subheader("Hours and weekdays", anchor=False)
        whatever = ", whatever the category and product" if scope != view.scope else ""
        share = writer.write(timed / lines, Kind.SHARE)
        told = "" if timed == lines else f" {share} of the lines have a time of day, and only these count."
        st.caption(
            filters.escape(f"Net sales of an average weekday of {span}, by the hour of the sale{whatever}.{told}")
        )
        columns = list(dict.fromkeys(cells["column"]))
        spec = charts.heat(cells, writer, columns, _weekday_names())
        panels.draw(spec, "Net sales by hour and weekday", key="hour-heat", height=320)
        stamp = export.Stamp.apart(
            view.version,
            f"{span.start}-to-{span.end}",
            export.link(view.span),
            ("From", str(span.start)),
            ("To", str(span.end)),
            ("Currency", view.scope.currency),
            *export.narrowed(view, *daily_sales.PLACES),
        )
        export.offer("hours", stamp, lambda: by_hour)


def _by_hour(hours: pd.DataFrame, span: Span) -> pd.DataFrame:
    """The net sales of an average weekday by the hour, from the first hour with sales to the last one."""
    days = [(span.start + timedelta(days=offset)).weekday() for offset in range(span.days)]
    sums: dict[tuple[int, int], Decimal] = {}
    for day, hour, value in zip(hours["sale_date"], hours["sale_hour"], hours["net_sales"], strict=True):
        sums[hour, day.weekday()] = sums.get((hour, day.weekday()), Decimal(0)) + value
    return pd.DataFrame(
        [
            (f"{hour}:00", WEEKDAYS[weekday], sums.get((hour, weekday), Decimal(0)) / days.count(weekday))
            for hour in range(min(hours["sale_hour"]), max(hours["sale_hour"]) + 1)
            for weekday in sorted(set(days))
        ],
        columns=["column", "row", "value"],
    )


def _weekday_names() -> list[str]:
    first = settings().first_weekday
    return [*WEEKDAYS[first:], *WEEKDAYS[:first]]


def _by_region(view: View, span: Span, *, average: bool) -> pd.DataFrame:
    """The net sales of each region on each weekday, the largest region first; days without sales count as zero."""
    daily = view.sales(span, "date", "region")
    days = [span.start + timedelta(days=offset) for offset in range(span.days)]
    sums: dict[tuple[str, int], Decimal] = {}
    regions: dict[str, Decimal] = {}
    for day, region, value in zip(daily["sale_date"], daily["sales_region"], daily["net_sales"], strict=True):
        sums[region, day.weekday()] = sums.get((region, day.weekday()), Decimal(0)) + value
        regions[region] = regions.get(region, Decimal(0)) + value
    times = [sum(day.weekday() == weekday for day in days) for weekday in range(7)]
    return pd.DataFrame(
        [
            (region or "(none)", WEEKDAYS[weekday], sums.get((region, weekday), Decimal(0)) / (count if average else 1))
            for region in sorted(regions, key=lambda name: -regions[name])
            for weekday, count in enumerate(times)
            if count
        ],
        columns=["column", "row", "value"],
    )


def _last_weeks(span: Span, columns: list[date]) -> str:
    return f"; the last {len(columns)} weeks" if columns and columns[0] > span.start else ""
