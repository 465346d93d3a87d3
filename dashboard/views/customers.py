"""Customers: how many are new and how many come back, how cohorts stay, which segments there are, and who buys most."""

from decimal import Decimal
from functools import partial

import pandas as pd
import streamlit as st

from dashboard import charts, daily_sales, database, explain, export, filters, links, panels, queries, segments
from dashboard.filters import View
from dashboard.measures import Kind, Writer
from dashboard.periods import TREND_DAYS, Span
from dashboard.settings import settings

TYPES = {"returning": "Returning", "new": "New", "unknown": "Unknown"}
SOLD_VALUE, ORDERS, CUSTOMERS = "Sold value", "Orders", "Customers"
COLUMNS = {ORDERS: "orders", SOLD_VALUE: "sold_value", CUSTOMERS: "customers"}
RETENTION, VALUE = "Retention", "Net sales per member"


def page() -> None:
    """Draw the page for the view that the filters describe."""
    view = filters.chosen()
    writer = Writer(settings().number_style, view.scope.currency)
    meaning = queries.descriptions(view.version)
    if "kpi_cohort_months" not in queries.history_marts(view.version):
        st.info(
            "What is known of customers is being counted for the first time: this page will show it in a moment.",
            icon=":material/hourglass_top:",
        )
        return
    months = queries.monthly_customers(view.version, view.scope.currency)
    if months.empty:
        st.info(
            f"No sheet names a customer of a sale in {view.scope.currency}. With a `Customer ID` on every line this "
            "page shows who is new, who comes back and what they are worth.",
            icon=":material/person_off:",
        )
        return
    if view.filtered:
        st.caption(
            f"Customers are counted over all sales in {view.scope.currency}: of the filters only the period and the "
            "currency apply on this page."
        )
    _cards(view, months, meaning, writer)
    left, right = st.columns([3, 2])
    with left.container(border=True, height="stretch"):
        _new_and_returning(view, months, meaning, writer)
    with right.container(border=True, height="stretch"):
        _repeat_rate(view, months, meaning, writer)
    with st.container(border=True):
        _cohorts(view, meaning, writer)
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        segments.overview(view, meaning, writer)
    with right.container(border=True, height="stretch"):
        segments.top_customers(view, meaning, writer)


def _cards(view: View, months: pd.DataFrame, meaning: dict[str, str], writer: Writer) -> None:
    now = _figures(view, view.span)
    past = _figures(view, view.comparable) if view.comparable else {}
    described = meaning.get
    orders, sold_value = described("kpi_daily_customers.orders", ""), described("kpi_daily_customers.sold_value", "")
    kind_of = described("kpi_daily_customers.customer_type", "")
    against = f" Compared with {view.past}." if view.comparable else ""
    alone = panels.alone(view)
    # Each with how it follows from the sums of one statement.
    cards = (
        ("New customers", Kind.COUNT, f"Customers whose first completed order lies in the period. {kind_of}",
         "the sum of `customers` of `new`"),
        ("Returning orders", Kind.COUNT, f"{orders} Only those of customers that had ordered before. {kind_of}",
         "the sum of `orders` of `returning`"),
        ("Returning share", Kind.SHARE, "Orders of returning customers ÷ orders of all known customers.",
         "the sum of `orders` of `returning` ÷ that of `new` and `returning`"),
        ("Order of new", Kind.AVERAGE_MONEY, f"Sold value ÷ orders of new customers. {sold_value}",
         "the sum of `sold_value` ÷ the sum of `orders` of `new`"),
        ("Order of returning", Kind.AVERAGE_MONEY, f"Sold value ÷ orders of returning customers. {sold_value}",
         "the sum of `sold_value` ÷ the sum of `orders` of `returning`"),
    )  # fmt: skip
    repeat = meaning.get("kpi_monthly_customers.repeat_rate", "")
    explain.panel(
        view,
        {_key(label): partial(_explain_card, view, label, told, how) for label, _, told, how in cards}
        | {
            "repeat-rate": partial(_explain_repeat_rate, view),
            "segments": partial(segments.source, view),
        },
    )
    with st.grid(6, min_column_width=150, key="cards"):
        for label, kind, told, _ in cards:
            with st.container(border=True, height="stretch", gap="xsmall"):
                panels.compared(label, (now[label], past.get(label)), kind, writer, alone=alone, help=told + against)
                explain.button(_key(label), label)
        # A month that still runs has had less time to see a customer twice.
        whole = months[months["is_month_complete"]] if len(months) > 1 else months
        latest = whole.iloc[-1]
        before = whole.iloc[-2]["repeat_rate"] if len(whole) > 1 and view.knows(whole.iloc[-2]["month"]) else None
        with st.container(border=True, height="stretch", gap="xsmall"):
            panels.compared(
                f"{latest['month']:%B} repeat rate",
                (latest["repeat_rate"], before),
                Kind.SHARE,
                writer,
                help=f"{repeat} The latest month that is over, whatever the period, against the one before.",
            )
            explain.button("repeat-rate", "Repeat rate")


def _key(label: str) -> str:
    return label.lower().replace(" ", "-")


def _explain_card(view: View, label: str, definition: str, how: str) -> explain.Source:
    currency = view.scope.currency
    return explain.Source(
        label,
        definition,
        f"The figure is {how}, of the rows that this statement returns, by their `customer_type`.",
        database.statement_sql(
            "daily_customers", currency=currency, first_date=view.span.start, last_date=view.span.end
        ),
        "kpi_daily_customers",
        daily_sales.Scope(currency),
        view.span.end,
    )


def _explain_repeat_rate(view: View) -> explain.Source:
    return explain.of_statement(
        view,
        "Repeat rate",
        "kpi_monthly_customers.repeat_rate",
        "The figure is `repeat_rate` of the latest month that is over, of the rows that this statement returns.",
        "monthly_customers",
        currency=view.scope.currency,
    )


def _explain_cohorts(view: View, column: str) -> explain.Source:
    first = " The first month of each is not drawn: all of it is there." if column == "retention_rate" else ""
    return explain.of_statement(
        view,
        "Cohorts",
        f"kpi_cohort_retention.{column}",
        f"A cell is `{column}` of the row of its cohort and month.{first}",
        "cohorts",
        currency=view.scope.currency,
    )


def _figures(view: View, span: Span) -> dict[str, Decimal | None]:
    daily = queries.daily_customers(view.version, view.scope.currency, span.start, span.end)
    sums = {kind: daily[daily["customer_type"] == kind] for kind in TYPES}
    orders = {kind: Decimal(int(rows["orders"].sum())) for kind, rows in sums.items()}
    value = {kind: Decimal(sum(rows["sold_value"])) for kind, rows in sums.items()}
    known = orders["new"] + orders["returning"]
    return {
        "New customers": Decimal(int(sums["new"]["customers"].sum())),
        "Returning orders": orders["returning"],
        "Returning share": orders["returning"] / known if known else None,
        "Order of new": value["new"] / orders["new"] if orders["new"] else None,
        "Order of returning": value["returning"] / orders["returning"] if orders["returning"] else None,
    }


def _new_and_returning(view: View, months: pd.DataFrame, meaning: dict[str, str], writer: Writer) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(
            "New and returning",
            anchor=False,
            width="content",
            help=meaning.get("kpi_daily_customers.customer_type"),
        )
        by = links.choose(
            st.segmented_control, "Count", (ORDERS, SOLD_VALUE, CUSTOMERS), default=ORDERS, required=True,
            key="customers-by", label_visibility="collapsed",
        )  # fmt: skip
    span = view.span.widened(TREND_DAYS)
    span = Span(max(span.start, view.since), span.end)
    grain = view.grain
    if by == CUSTOMERS and grain != "Day":
        grain = "Day"
        st.caption(f"Customers per day, {span}: one that comes on two days counts on both, so days are not added up.")
    else:
        st.caption(f"{by} per {grain.lower()}, {span}")
    for first in months["month"][months["is_first_month"]]:
        if span.start <= panels.last_day(view, first):
            st.caption(f"The history begins in {first:%B %Y}: who ordered before counts as new at first.")
    daily = queries.daily_customers(view.version, view.scope.currency, span.start, span.end)
    wide = daily.pivot_table(index="sale_date", columns="customer_type", values=COLUMNS[by], aggfunc="sum")
    wide = wide.astype(object).where(wide.notna(), 0).reset_index()
    shown = {kind: name for kind, name in TYPES.items() if kind in wide and wide[kind].astype(float).any()}
    kind = Kind.MONEY if by == SOLD_VALUE else Kind.COUNT
    spec = charts.stacked(wide, span, shown, writer, kind, grain=grain, first_weekday=settings().first_weekday)
    panels.draw(spec, f"{by} of new and returning customers over time", key="new-returning", height=300)


def _as_of(view: View) -> str:
    return panels.as_of(view, "kpi_cohort_months")


def _repeat_rate(view: View, months: pd.DataFrame, meaning: dict[str, str], writer: Writer) -> None:
    st.subheader("Repeat rate", anchor=False, help=meaning.get("kpi_monthly_customers.repeat_rate"))
    running = "" if months["is_month_complete"].iloc[-1] else ", the running one so far"
    st.caption(
        f"Customers with two orders or more in a month, of all customers of it, per month{running}.{_as_of(view)}"
    )
    spec = charts.monthly_rate(months, "repeat_rate", "Repeat rate", writer)
    panels.draw(spec, "Repeat rate by month", key="repeat-rate", height=300)


def _cohorts(view: View, meaning: dict[str, str], writer: Writer) -> None:
    cells = queries.cohorts(view.version, view.scope.currency)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Cohorts", anchor=False, width="content", help=meaning.get("kpi_cohort_retention.cohort_month"))
        by = links.choose(
            st.segmented_control, "Show in each cell", (RETENTION, VALUE), default=RETENTION, required=True,
            key="cohorts-by", label_visibility="collapsed",
        )  # fmt: skip
    column, kind = "cumulative_net_sales_per_member", Kind.MONEY
    if by == RETENTION:
        column, kind = "retention_rate", Kind.SHARE
        cells = cells[cells["months_since"] > 0]  # in its first month all of a cohort is there
    if cells.empty:
        st.caption("A cohort is a month's new customers; the next month shows how many of them come back.")
        return
    what = meaning.get(f"kpi_cohort_retention.{column}", "").rstrip(".")
    amount = "" if kind is Kind.SHARE else f", in {view.scope.currency}"
    running = "" if cells["is_month_complete"].all() else "; the last one, in each row, still runs"
    first = " The first row is of customers who may have ordered before." if cells["is_first_cohort"].any() else ""
    grid = f"A row for each month of first orders, a column for each month since{running}."
    st.caption(f"{what}{amount}. {grid}{first}{_as_of(view)}")
    spec = charts.cohorts(cells, column, kind, writer, dark=st.context.theme.type == "dark")
    rows = cells["cohort_month"].nunique()
    panels.draw(spec, f"{by} by cohort and months since the first order", key="cohorts", height=30 * rows + 30)
    stamp = export.Stamp.apart(
        view.version,
        f"{view.last:%Y-%m}",
        export.link(view.span),
        ("Cohorts", "of the latest thirteen months"),
        ("Currency", view.scope.currency),
        export.UNFILTERED,
    )
    export.offer("cohorts", stamp, lambda: cells)
    explain.button("cohorts", "Cohorts")
    explain.panel(view, {"cohorts": partial(_explain_cohorts, view, column)})


page()
