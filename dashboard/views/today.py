"""Today: how sales are doing against a fair comparison, what sells, what moved, and what has just arrived."""

from decimal import Decimal

import pandas as pd
import streamlit as st

from dashboard import charts, filters, queries
from dashboard.filters import TREND_DAYS, View
from dashboard.measures import MEASURES, MISSING, Kind, Writer
from dashboard.queries import Freshness
from dashboard.settings import settings

LEADERS = 8
RECENT_FILES = 5


def page() -> None:
    """Draw the page for the view that the filters describe."""
    state = queries.freshness()
    currencies = queries.currencies(state.mart_version)
    if currencies.empty:
        _no_data(state)
        return
    heading = st.empty()
    view = filters.choose(state.mart_version, currencies)
    writer = Writer(settings().number_style, view.scope.currency)
    heading.title(_title(view), anchor=False)
    daily = _daily(state, view, view.span.widened(TREND_DAYS))
    within = daily[daily["sale_date"] >= view.span.start]
    if within.empty:
        _no_row(view)
        return
    _cards(state, view, daily, within, writer)
    left, right = st.columns([2, 1])
    with left.container(border=True, height="stretch"):
        _trend(state, view, daily, writer)
    with right.container(border=True, height="stretch"):
        _categories(state, view, writer)
    left, right = st.columns(2)
    products = queries.product_sales(
        state.mart_version, view.scope.currency, view.span.start, view.span.end, (view.past.start, view.past.end)
    )
    with left.container(border=True, height="stretch"):
        _products(products, view, writer)
    with right.container(border=True, height="stretch"):
        _movers(products, view, writer)
    _recent_files(state)


def _title(view: View) -> str:
    if view.period == "Today":
        return f"{view.span.end:%A} {view.span}"
    return str(view.span)


def _daily(state: Freshness, view: View, span: filters.Span) -> pd.DataFrame:
    return queries.daily_sales(state.mart_version, view.scope, span.start, span.end)


def _cards(state: Freshness, view: View, daily: pd.DataFrame, within: pd.DataFrame, writer: Writer) -> None:
    past = _daily(state, view, view.past)
    meaning = queries.descriptions(state.mart_version)
    with st.grid(6, min_column_width=150, key="cards"):
        for measure in MEASURES:
            now = measure.over(within)
            before = measure.over(past) if view.comparable else None
            change = writer.change(now, before, measure.kind)
            st.metric(
                measure.label,
                writer.write(now, measure.kind),
                change or "no comparison",
                delta_color="normal" if change else "off",
                delta_arrow="auto" if change else "off",
                delta_description=f"vs {writer.brief(before, measure.kind)}" if change else None,
                help=_with_comparison(meaning.get(f"kpi_daily_sales.{measure.described_by}", ""), view),
                chart_data=measure.by_day(daily),
                chart_type="area",
                border=True,
                height="stretch",
            )
        _run_rate(state, view, meaning, writer)


def _run_rate(state: Freshness, view: View, meaning: dict[str, str], writer: Writer) -> None:
    months = queries.run_rate(state.mart_version, view.scope.currency)
    this_month = months.iloc[-1]
    run_rate, last_month = this_month["run_rate"], this_month["previous_month_net_sales"]
    change = writer.change(run_rate, last_month, Kind.MONEY)
    course = [float(value) for value in months["net_sales"][:-1]] + [float(run_rate or 0)]
    label = f"{this_month['month']:%B} run rate"
    st.metric(
        label,
        writer.write(run_rate, Kind.MONEY),
        change or "no comparison",
        delta_color="normal" if change else "off",
        delta_arrow="auto" if change else "off",
        delta_description=f"vs {writer.brief(last_month, Kind.MONEY)}" if change else None,
        help=meaning.get("kpi_monthly_run_rate.run_rate", "")
        + " Compared with the whole month before; always of all regions and channels.",
        chart_data=course,
        chart_type="bar",
        border=True,
        height="stretch",
    )


def _with_comparison(description: str, view: View) -> str:
    if view.comparable:
        return f"{description} Compared with {view.past}."
    since = filters.Span(view.since, view.since)
    return f"{description} Not compared with {view.past}: sales are known from {since} on."


def _trend(state: Freshness, view: View, daily: pd.DataFrame, writer: Writer) -> None:
    span = view.span.widened(TREND_DAYS)
    past_span = view.past if span == view.span else span.back(view.span.end - view.past.end)
    fair = past_span.start >= view.since
    span = filters.Span(max(span.start, view.since), span.end)
    st.subheader("Sales trend", anchor=False)
    st.caption(f"Net sales per day{f', dashed: {past_span}' if fair else ''}")
    past = _daily(state, view, past_span) if fair else None
    st.echarts_chart(
        charts.trend(daily, past, span, past_span, writer), height=300, key="trend", alt="Net sales per day"
    )


def _categories(state: Freshness, view: View, writer: Writer) -> None:
    st.subheader("Sales by category", anchor=False)
    frame = queries.category_sales(state.mart_version, view.scope.currency, view.span.start, view.span.end)
    st.caption(f"Net sales and share{_unfiltered(view)}")
    total = sum(frame["net_sales"]) or Decimal(1)
    texts = pd.Series(
        [f"{writer.money(value)} · {writer.write(value / total, Kind.SHARE)}" for value in frame["net_sales"]],
        index=frame.index,
    )
    spec = charts.leaderboard(frame["product_category"], frame["net_sales"], texts, room=2.1)
    st.echarts_chart(spec, height=charts.height(spec), key="categories", alt="Net sales by product category")


def _products(products: pd.DataFrame, view: View, writer: Writer) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Top-selling products", anchor=False, width="content")
        by = st.segmented_control(
            "Rank products by", ("Value", "Units"), default="Value", required=True, key="top", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
    column = "units_sold" if by == "Units" else "net_sales"
    sold = products[products[column] > 0].sort_values(column, ascending=False, kind="stable").head(LEADERS)
    st.caption(f"{'Units sold' if by == 'Units' else 'Net sales'}{_unfiltered(view)}")
    if sold.empty:
        st.caption("No product sold in this period.")
        return
    texts = sold[column].map(lambda value: writer.number(value, 0) if by == "Units" else writer.money(value))
    spec = charts.leaderboard(sold["product_name"], sold[column], texts)
    st.echarts_chart(spec, height=charts.height(spec), key="products", alt="Top-selling products")


def _movers(products: pd.DataFrame, view: View, writer: Writer) -> None:
    st.subheader("Movers", anchor=False)
    spec = charts.movers(products, LEADERS, writer) if view.comparable else None
    if spec is None:
        st.caption(f"Nothing to compare with: {view.past} lies before the first sales.")
        return
    st.caption(f"Change of net sales against {view.past}, of products with at least 1% of sales{_unfiltered(view)}")
    st.echarts_chart(spec, height=charts.height(spec), key="movers", alt="Products whose net sales changed most")


def _unfiltered(view: View) -> str:
    return " · all regions and channels" if view.filtered else ""


def _recent_files(state: Freshness) -> None:
    frame = queries.files(state, (), RECENT_FILES)
    with st.container(border=True):
        st.subheader("Last files", anchor=False)
        st.dataframe(
            frame,
            hide_index=True,
            placeholder=MISSING,
            key="recent",
            column_order=("key", "status", "event_at", "rows_loaded", "rows_rejected", "arrival_to_mart_seconds"),
            column_config={
                "key": st.column_config.TextColumn("File", width="medium"),
                "status": "Status",
                "event_at": st.column_config.DatetimeColumn(
                    "Arrived", format="D MMM, HH:mm:ss", timezone=st.context.timezone
                ),
                "rows_loaded": st.column_config.NumberColumn("Rows", format="localized"),
                "rows_rejected": st.column_config.NumberColumn("Rejected", format="localized"),
                "arrival_to_mart_seconds": st.column_config.NumberColumn("To dashboard", format="%.1f s"),
            },
        )


def _no_data(state: Freshness) -> None:
    st.title("No sales yet", anchor=False)
    st.info(
        "Drop a sales sheet into the bucket and it shows up here within seconds. `make demo` starts everything and "
        "fills it with three months of sales.",
        icon=":material/inbox:",
    )
    if state.last_event_at is not None:
        _recent_files(state)


def _no_row(view: View) -> None:
    st.info(
        f"No sales in {view.span} for this choice. Take a longer period, or remove a region or a channel.",
        icon=":material/filter_alt_off:",
    )


page()
