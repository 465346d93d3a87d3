"""Regions & reps: who meets the target, which weekdays sell, who leads, delivery, pending payments, ratings."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial

import pandas as pd
import streamlit as st

from dashboard import charts, daily_sales, explain, export, filters, links, notes, panels, queries, targets
from dashboard.filters import View
from dashboard.measures import MEASURES, Kind, Writer
from dashboard.periods import Span, week_of
from dashboard.settings import settings

LEADERS = 10
PLACES = ("region", "channel", "store", "rep")
RANKED_BY = ("net_sales", "orders", "aov", "margin_rate")
DELIVERY = ("on_time_rate", "days_to_deliver")
OVERDUE = ("31 to 90 days", "over 90 days")
TARGET_OF = targets.PLACES
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEKS = 14  # that a heat map has room for


def page() -> None:
    """Draw the page for the view that the filters describe."""
    view = filters.chosen()
    writer = Writer(settings().number_style, view.scope.currency)
    if view.scope.converted:
        st.caption("Targets, hours, delivery and pending payments are shown of one currency at a time.")
        with st.container(border=True):
            _weekdays(view, writer)
    else:
        _targets_and_times(view, writer)
    _leaders(view, writer)
    if not view.scope.converted:
        _delivery_and_payments(view, writer)
    with st.container(border=True):
        _ratings(view, writer)


def _targets_and_times(view: View, writer: Writer) -> None:
    targets.panel(view, writer)
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        _targets(view, writer)
    with right.container(border=True, height="stretch"):
        _weekdays(view, writer)
    _hours(view, writer)


def _leaders(view: View, writer: Writer) -> None:
    labels = {MEASURES[name].label: MEASURES[name] for name in RANKED_BY}
    ranked = labels[panels.heading("Who leads", "Rank by", tuple(labels), "rank")]
    st.caption("Click a bar to keep only that one everywhere; click it again to show all.")
    with st.grid(2, min_column_width=300, key="leaders"):
        for dimension in (name for name in PLACES if name in view.dimensions):
            with st.container(border=True, height="stretch"):
                panels.leaderboard(view, dimension, ranked, writer, LEADERS)


def _delivery_and_payments(view: View, writer: Writer) -> None:
    delivery = explain.measures(view, [MEASURES[name] for name in DELIVERY])
    explain.panel(view, delivery | {"pending": partial(_explain_pending, view)})
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        _delivery(view, writer)
    with right.container(border=True, height="stretch"):
        _pending(view, writer)


def _targets(view: View, writer: Writer) -> None:
    st.subheader("Target attainment", anchor=False)
    attained = queries.targets(view.version, view.scope.currency)
    if attained.empty:
        st.info(
            f"There are no targets in {view.scope.currency}. Set them here, or list them by month and region or store "
            "in `dbt_sales/seeds/sales_targets.csv` and run `dbt build`: they are shown here, and the run rate is "
            "compared with them.",
            icon=":material/flag:",
        )
        targets.button(view.last.replace(day=1), "sales_region")
        return
    months = list(dict.fromkeys(attained["month"]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        month = links.choose(
            st.selectbox, "Month", months, format_func=lambda each: f"{each:%B %Y}", key="target-month", width=180
        )
        of_month = attained[attained["month"] == month]
        types = [name for name in TARGET_OF if name in set(of_month["place_type"])]
        kind = types[0]
        if len(types) > 1:
            labels = {filters.LABELS[TARGET_OF[name]]: name for name in types}
            kind = labels[panels.choice("Targets by", tuple(labels), "target-of")]
        targets.button(month, kind)
    places = of_month[of_month["place_type"] == kind]
    places = places[places["place"].map(partial(view.scope.keeps, TARGET_OF[kind])).astype(bool)]
    if month > view.complete:
        st.caption(f"No day of {month:%B %Y} is complete yet.")
        return
    due = places[places["attainment_rate"].notna()]
    if due.empty:
        st.caption("What the filter keeps has no target in this month.")
        return
    sold, aim, gap = (sum(due[column], Decimal(0)) for column in ("net_sales", "target_to_date", "gap"))
    change = writer.money(gap, signed=True)
    st.metric(
        f"Attainment, {month:%B %Y}",
        writer.write(sold / aim, Kind.SHARE),
        change,
        **panels.judged(change),
        delta_description=f"{writer.money(sold)} of {writer.money(aim)} due by now",
        help=queries.descriptions(view.version).get("kpi_target_attainment.attainment_rate"),
    )
    explain.button("attainment", "Attainment")
    explain.panel(view, {"attainment": partial(_explain_attainment, view, month, kind)})
    shown = places.head(LEADERS)
    spec = charts.bullets(shown, writer)
    panels.draw(spec, "Net sales against target", key="targets")
    others = ", whatever the other filters" if view.scope.narrowed - {TARGET_OF[kind]} else ""
    st.caption(f"Pale: the whole month's target. Red mark: what is due by now{others}.")
    targets.last_change(view, writer)
    stamp = export.Stamp.apart(
        view.version,
        f"{month:%Y-%m}",
        export.link(view.span, target_month=f"{month:%B %Y}", target_of=filters.LABELS[TARGET_OF[kind]]),
        ("Month", f"{month:%B %Y}"),
        ("Currency", view.scope.currency),
        *(export.narrowed(view, TARGET_OF[kind]) or [export.UNFILTERED]),
    )
    export.offer("targets", stamp, lambda: places)


def _explain_attainment(view: View, month: date, kind: str) -> explain.Source:
    return explain.of_statement(
        view,
        "Target attainment",
        "kpi_target_attainment.attainment_rate",
        f"The figure is the sum of `net_sales` ÷ the sum of `target_to_date` of the rows of {month} and `{kind}` "
        "that have a target, of the places that the filters keep.",
        "targets",
        day=panels.last_day(view, month),
        currency=view.scope.currency,
    )


def _weekdays(view: View, writer: Writer) -> None:
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


def _hours(view: View, writer: Writer) -> None:
    """When customers buy: an average weekday by the hour, where sheets tell the time of day."""
    span = Span(max(view.span.start, view.since), view.span.end)
    hours = daily_sales.hours(view.version, view.scope, span.start, span.end)
    if hours.empty:
        return
    scope = daily_sales.placed(view.scope)
    lines = sum(daily_sales.sales(view.version, scope, span.start, span.end, ())["lines"])
    timed = sum(hours["lines"])
    cells = _by_hour(hours, span)
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
            *export.narrowed(view, *PLACES),
        )
        export.offer("hours", stamp, lambda: hours)


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


def _delivery(view: View, writer: Writer) -> None:
    st.subheader("Delivery", anchor=False)
    if not sum(view.total(view.span)["delivered_lines"]):
        st.caption("Nothing of this choice has been delivered yet.")
        return
    st.caption("By the day of the sale; of lines that have been delivered")
    for place, name in zip(st.columns(2), DELIVERY, strict=True):
        with place:
            panels.figure(view, MEASURES[name], writer)
            explain.button(name, MEASURES[name].label)
    spec = panels.trend(view, MEASURES["on_time_rate"], writer, view.span, view.comparable)
    panels.draw(spec, f"Share delivered on time per {view.grain.lower()}", key="on-time", height=240)
    notes.below(view, view.span)
    export.offer(
        "delivery-by-day",
        export.Stamp.of(view),
        lambda: panels.by_day(view, [MEASURES[name] for name in DELIVERY]),
    )


def _pending(view: View, writer: Writer) -> None:
    st.subheader("Pending payments", anchor=False)
    ages = queries.pending_payments(view.version, view.scope.currency)
    if ages.empty:
        st.caption("No sheet states a payment as pending.")
        return
    as_of = ages["as_of_date"].iloc[0]
    total = sum(ages["pending_payment_value"])
    old = sum(ages["pending_payment_value"][ages["age"].isin(OVERDUE)])
    st.caption(f"By the age of the sale on {as_of.day} {as_of:%b %Y}, whatever the period{panels.everywhere(view)}")
    st.metric(
        "Pending",
        writer.write(total, Kind.MONEY),
        f"{writer.write(old / total, Kind.SHARE)} older than 30 days" if total else None,
        delta_color="off",
        delta_arrow="off",
        help=queries.descriptions(view.version).get("kpi_pending_payments.pending_payment_value"),
    )
    explain.button("pending", "Pending payments")
    values = ages["pending_payment_value"]
    texts = values.map(lambda value: writer.write(value, Kind.MONEY))
    spec = charts.leaderboard(ages["age"], values, texts)
    panels.draw(spec, "Pending payments by the age of the sale", key="pending")
    stamp = export.Stamp.apart(
        view.version, f"{as_of}", export.link(view.span), ("Currency", view.scope.currency), export.UNFILTERED
    )
    export.offer("pending-payments", stamp, lambda: ages)


def _explain_pending(view: View) -> explain.Source:
    return explain.of_statement(
        view,
        "Pending payments",
        "kpi_pending_payments.pending_payment_value",
        "The figure is the sum of `pending_payment_value` of the rows that this statement returns.",
        "pending_payments",
        currency=view.scope.currency,
    )


def _ratings(view: View, writer: Writer) -> None:
    st.subheader("How customers rate representatives", anchor=False)
    first, last = view.span.start.replace(day=1), view.span.end.replace(day=1)
    rated = queries.rep_ratings(view.version, first, last, panels.ENOUGH_RATINGS)
    if "rep" in view.scope.narrowed:
        rated = rated[rated["sales_representative"].map(partial(view.scope.keeps, "rep")).astype(bool)]
    if rated.empty:
        st.caption(f"Nobody was rated {panels.ENOUGH_RATINGS} times in these months.")
        return
    months = f"{first:%B %Y}" if first == last else f"{first:%B %Y} to {last:%B %Y}"
    st.caption(
        f"Mean and number of one to five stars, of who was rated {panels.ENOUGH_RATINGS} times or more, whole months: "
        f"{months}, whatever currency and other filters"
    )
    shown = rated.head(LEADERS)
    labels = pd.Series([name or "(none)" for name in shown["sales_representative"]])
    spec = charts.ratings(shown.assign(product_name=labels.to_list()), writer)
    panels.draw(
        spec, "Shares of one to five stars by representative", key="rep-ratings", height=charts.height(spec) + 30
    )
    stamp = export.Stamp.apart(
        view.version,
        f"{first:%Y-%m}-to-{last:%Y-%m}",
        export.link(view.span),
        ("Months", months),
        ("Currency", "every currency"),
        *(export.narrowed(view, "rep") or [export.UNFILTERED]),
    )
    export.offer("ratings", stamp, lambda: rated)
    explain.button("ratings", "Ratings")
    explain.panel(view, {"ratings": partial(_explain_ratings, view, first, last)})


def _explain_ratings(view: View, first: date, last: date) -> explain.Source:
    return explain.of_statement(
        view,
        "Ratings of representatives",
        "kpi_rep_ratings.mean_rating",
        f"A bar is a row that this statement returns, of the first {LEADERS} that the filters keep: `mean_rating`, and "
        f"the shares of `ratings_1` to `ratings_5`. {explain.OF_EVERY_CURRENCY}",
        "rep_ratings",
        day=panels.last_day(view, last),
        first=first,
        last=last,
        at_least=panels.ENOUGH_RATINGS,
    )


page()
