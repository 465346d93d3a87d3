"""Overview: how the latest day stands, how sales do against a fair comparison, what moved, what has just arrived."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pandas as pd
import streamlit as st

from dashboard import charts, daily_sales, explain, filters, freshness, headline, notes, panels, printing, queries
from dashboard.filters import LABELS, View
from dashboard.measures import CARDS, MEASURES, Kind, Writer
from dashboard.periods import TREND_DAYS, Span
from dashboard.settings import settings

LEADERS = 8
RECENT_FILES = 5
SHARED_BY = ("category", "region", "channel")  # the first of them that has several members is shown
RUN_RATE = "run_rate"
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
NET_SALES = MEASURES["net_sales"]


def page() -> None:
    """Draw the page for the view that the filters describe."""
    view = filters.chosen()
    writer = Writer(settings().number_style, view.scope.currency)
    printing.heading(view)
    sources = explain.measures(view, CARDS)
    if not view.scope.converted:
        sources[RUN_RATE] = partial(_explain_run_rate, view)
    explain.panel(view, sources)
    words = st.container(key="words")  # the cards ask for less than the words above them, so they are drawn first
    _cards(view, writer)
    with words:
        _latest_day(view, writer)
        st.markdown(" ".join(headline.sentences(view, writer)))
    by = next((name for name in SHARED_BY if name in view.dimensions), None)
    left, *right = st.columns([2, 1]) if by else [st.container()]
    with left.container(border=True, height="stretch"):
        _trend(view, writer)
    if by:
        with right[0].container(border=True, height="stretch"):
            _shares(view, by, writer)
    if "product" in view.dimensions:
        left, right_half = st.columns(2)
        names = queries.product_names(view.version)
        with left.container(border=True, height="stretch"):
            _products(view, names, writer)
        with right_half.container(border=True, height="stretch"):
            _movers(view, names, writer)
    _recent_files(view, writer)


def _latest_day(view: View, writer: Writer) -> None:
    """The state of the latest day with sales, in a sentence: so far, or against the same weekday a week before."""
    day = Span(view.last, view.last)
    latest = replace(view, period="Today", span=day, past=day.back(WEEK))
    now = latest.total(day)
    name = f"{view.last:%a} {day}{', today' if view.last == filters.viewers_today() else ''}"
    if now.empty:
        st.markdown(f":material/today: **{name}**: no sales for this choice yet.")
        return
    sold, orders, average = (
        writer.write(MEASURES[measure].over(now), MEASURES[measure].kind) for measure in ("net_sales", "orders", "aov")
    )
    text = f"{sold} in {orders} orders, {average} each"
    if latest.is_running:
        text += f" so far{_by_this_time(latest, writer)}"
    elif latest.comparable:
        before = NET_SALES.over(latest.total(latest.comparable))
        if change := writer.change(NET_SALES.over(now), before, Kind.MONEY):
            text += f", {change} against {latest.comparable}"
    st.markdown(f":material/today: **{name}**: {filters.escape(text)}.")


def _by_this_time(latest: View, writer: Writer) -> str:
    """The day in progress up to its last full hour, against the same weekday a week before up to that hour.

    Nothing where that is not known: of a line without a time, of a product, of a day before the first sales, or of
    several currencies.
    """
    day, past = latest.span, latest.past
    assert past
    if latest.scope.converted or not latest.knows(past.start) or daily_sales.placed(latest.scope) != latest.scope:
        return ""
    hours = {span: daily_sales.hours(latest.version, latest.scope, span.start, span.end) for span in (day, past)}
    if any(frame.empty or sum(frame["lines"]) != sum(latest.total(span)["lines"]) for span, frame in hours.items()):
        return ""
    until = max(hours[day]["sale_hour"])
    now, before = (sum(frame["net_sales"][frame["sale_hour"] < until], Decimal(0)) for frame in hours.values())
    change = writer.change(now, before, Kind.MONEY)
    return f"; {writer.money(now)} by {until}:00, {change} against {past} by {until}:00" if change else ""


def _cards(view: View, writer: Writer) -> None:
    daily = view.sales(view.span.widened(TREND_DAYS).until(view.complete))
    with st.grid(6, min_column_width=150, key="cards"):
        for measure in CARDS:
            with st.container(border=True, height="stretch", gap="xsmall"):
                panels.figure(view, measure, writer, course=measure.by_day(daily))
                explain.button(measure.name, measure.label)
        if not view.scope.converted:
            with st.container(border=True, height="stretch", gap="xsmall"):
                _run_rate(view, writer)
                explain.button(RUN_RATE, "Run rate")


def _run_rate(view: View, writer: Writer) -> None:
    months = queries.run_rate(view.version, view.scope.currency)
    this_month = months.iloc[-1]
    run_rate, target = this_month["run_rate"], this_month["target_net_sales"]
    last_month = this_month["month"] - DAY
    before = this_month["previous_month_net_sales"] if view.knows(last_month.replace(day=1)) else None
    compared, benchmark = (run_rate, before), f"{last_month:%B}"
    if target is not None:
        compared, benchmark = (this_month["planned_run_rate"], target), "target"
    band, elapsed = "", Span(this_month["elapsed_until"], this_month["elapsed_until"])
    if this_month["run_rate_low"] is not None:
        low, high = (writer.brief(this_month[name], Kind.MONEY) for name in ("run_rate_low", "run_rate_high"))
        band = f" By how wrong it was in earlier months: {filters.escape(f'{low} to {high}')}."
    panels.compared(
        "Run rate, all sales" if view.filtered else f"{this_month['month']:%B} run rate",
        compared,
        Kind.MONEY,
        writer,
        shown=run_rate,
        benchmark=benchmark,
        alone=panels.ALONE if run_rate is not None else "no complete day yet",
        help=queries.descriptions(view.version).get("kpi_monthly_run_rate.run_rate", "")
        + f"{band} It counts complete days, to {elapsed}, and always all sales in this currency.",
        course=[*months["net_sales"][:-1], run_rate or Decimal(0)],
        bars=True,
    )
    if compared[1] is not None:
        st.caption(filters.escape(_benchmark(this_month, compared, benchmark, writer)))


def _benchmark(
    month: pd.Series, compared: tuple[Decimal | None, Decimal | None], benchmark: str, writer: Writer
) -> str:
    """The benchmark of the run rate: `Target $1.10M`, and whose target it is where others sell too."""
    come_to, against = (writer.brief(value, Kind.MONEY) for value in compared)
    text = f"{benchmark.capitalize()} {against}"
    if month["target_net_sales"] is None or month["planned_places"] == month["places"]:
        return text
    places = "regions" if month["target_of"] == "sales_region" else "stores"
    return f"{text} of {month['planned_places']} of {month['places']} {places}, which come to {come_to}"


def _explain_run_rate(view: View) -> explain.Source:
    return explain.of_statement(
        view,
        "Run rate",
        "kpi_monthly_run_rate.run_rate",
        "The figure is `run_rate` of the last row that this statement returns.",
        "run_rate",
        day=view.complete,
        currency=view.scope.currency,
    )


def _trend(view: View, writer: Writer) -> None:
    shape = panels.heading("Sales trend", "Draw the trend", ("Each", "Cumulative"), "trend-shape")
    cumulative = shape == "Cumulative"
    # A sum over the period is drawn from its start; single days also show the days before it.
    span, past_span = panels.led_up_to(view, 1 if cumulative else TREND_DAYS)
    st.caption(
        f"Net sales {'since the first day' if cumulative else f'per {view.grain.lower()}'}"
        f"{f', dashed: {past_span}' if past_span else ''}"
    )
    spec = panels.trend(view, NET_SALES, writer, span, past_span, cumulative=cumulative)
    panels.draw(spec, "Net sales over time", key="trend", height=300)
    notes.below(view, span)


def _shares(view: View, by: str, writer: Writer) -> None:
    label = LABELS[by].lower()
    st.subheader(f"Sales by {label}", anchor=False)
    frame = view.sales(view.span, by).sort_values("net_sales", ascending=False, kind="stable")
    st.caption("Net sales and share")
    total = sum(frame["net_sales"]) or Decimal(1)
    texts = pd.Series(
        [f"{writer.money(value)} · {writer.write(value / total, Kind.SHARE)}" for value in frame["net_sales"]],
        index=frame.index,
    )
    frame, texts = frame.head(LEADERS), texts.head(LEADERS)
    spec = charts.leaderboard(frame[daily_sales.DIMENSIONS[by]], frame["net_sales"], texts, room=2.1)
    panels.draw(spec, f"Net sales by {label}", key="shares")


def _products(view: View, names: dict[str, str], writer: Writer) -> None:
    by = panels.heading("Top-selling products", "Rank products by", ("Value", "Units"), "top")
    column = "units_sold" if by == "Units" else "net_sales"
    products = view.sales(view.span, "product", shown=daily_sales.OF_PRODUCTS)
    sold = products[products[column] > 0].sort_values(column, ascending=False, kind="stable").head(LEADERS)
    st.caption("Units sold" if by == "Units" else "Net sales")
    if sold.empty:
        st.caption("No product sold in this period.")
        return
    texts = sold[column].map(lambda value: writer.number(value, 0) if by == "Units" else writer.money(value))
    labels = sold["product_id"].map(lambda product: names.get(product) or product)
    spec = charts.leaderboard(labels, sold[column], texts)
    panels.draw(spec, "Top-selling products", key="products")


def _movers(view: View, names: dict[str, str], writer: Writer) -> None:
    st.subheader("Movers", anchor=False)
    if view.past is None:
        st.caption("No comparison is chosen.")
        return
    if view.comparable is None:
        st.caption(panels.why_alone(view))
        return
    now, before = (
        view.sales(span, "product", shown=daily_sales.OF_PRODUCTS).set_index("product_id")["net_sales"]
        for span in (view.span, view.comparable)
    )
    both = pd.DataFrame({"net_sales": now, "net_sales_before": before}).map(
        lambda value: value if isinstance(value, Decimal) else Decimal(0)
    )
    both["product_name"] = [names.get(product) or product for product in both.index]
    spec = charts.movers(both, LEADERS, writer)
    if spec is None:
        st.caption("No product that makes as much as one percent of sales has changed.")
        return
    st.caption(f"Largest gains and losses of net sales against {view.past}, of products with at least 1% of sales")
    panels.draw(spec, "Products whose net sales changed most", key="movers")


def _recent_files(view: View, writer: Writer) -> None:
    frame = queries.files(freshness.shown(), (), RECENT_FILES)
    with st.container(border=True):
        st.subheader("Last files", anchor=False)
        if view.filtered:
            st.caption("The filters do not apply here: these are the last of all sheets.")
        panels.table(
            frame,
            {
                "key": st.column_config.TextColumn("File", width="medium"),
                "status": "Status",
                "event_at": st.column_config.DatetimeColumn(
                    "Arrived", format="D MMM, HH:mm:ss", timezone=st.context.timezone
                ),
                "rows_loaded": ("Rows", Kind.COUNT),
                "rows_rejected": ("Rejected", Kind.COUNT),
                "arrival_to_mart_seconds": ("To dashboard", Kind.SECONDS),
            },
            writer,
            key="recent",
            mart="ops_load_history",
        )


page()
