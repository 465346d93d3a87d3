"""Regions & reps: who meets the target, which weekdays sell, who leads, delivery, pending payments, ratings."""

from datetime import date
from decimal import Decimal
from functools import partial

import pandas as pd
import streamlit as st

from dashboard import charts, explain, export, filters, links, notes, panels, queries, targets, weekdays
from dashboard.filters import View
from dashboard.measures import MEASURES, Kind, Writer
from dashboard.settings import settings

LEADERS = 10
PLACES = ("region", "channel", "store", "rep")
RANKED_BY = ("net_sales", "orders", "aov", "margin_rate")
DELIVERY = ("on_time_rate", "days_to_deliver")
OVERDUE = ("31 to 90 days", "over 90 days")
TARGET_OF = targets.PLACES


def page() -> None:
    """Draw the page for the view that the filters describe."""
    view = filters.chosen()
    writer = Writer(settings().number_style, view.scope.currency)
    if view.scope.converted:
        st.caption("Targets, hours, delivery and pending payments are shown of one currency at a time.")
        with st.container(border=True):
            weekdays.heat(view, writer)
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
        weekdays.heat(view, writer)
    weekdays.hours(view, writer)


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
