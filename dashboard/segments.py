"""Segments of customers by recency, frequency and value, and the customers that buy most."""

from datetime import timedelta
from decimal import Decimal
from math import ceil

import pandas as pd
import streamlit as st

from dashboard import access, charts, explain, export, panels, queries
from dashboard.filters import View
from dashboard.measures import Kind, Writer
from dashboard.periods import Span

TOP_CUSTOMERS = 25  # on a page
TOP_PAGES = 10


def overview(view: View, meaning: dict[str, str], writer: Writer) -> None:
    """How much each segment buys."""
    frame = queries.rfm_segments(view.version, view.scope.currency)
    st.subheader("Segments", anchor=False, help=meaning.get("kpi_rfm_segments.segment"))
    if frame.empty:
        st.caption("No customer has ordered in the latest year.")
        return
    as_of = frame["as_of_date"].iloc[0]
    year = Span(as_of - timedelta(days=364), as_of)
    st.caption(
        f"By recency, frequency and monetary value, {year}: net sales and share."
        f"{panels.as_of(view, 'kpi_rfm_segments')}"
    )
    total = sum(frame["net_sales"])
    share = [value / total if total else None for value in frame["net_sales"]]
    members = int(frame["customers"].sum())
    texts = pd.Series(
        [
            f"{writer.brief(value, Kind.MONEY)} · {writer.write(part, Kind.SHARE)}"
            for value, part in zip(frame["net_sales"], share, strict=True)
        ]
    )
    names = frame["segment"].str.capitalize()
    spec = charts.leaderboard(names, frame["net_sales"], texts, room=1.9)
    panels.draw(spec, "Net sales by customer segment", key="segments")
    panels.table(
        frame.assign(
            segment=names,
            customer_share=frame["customers"].map(lambda count: Decimal(count) / members),
            share=pd.Series(share, dtype=object),
        ),
        {
            "segment": st.column_config.TextColumn("Segment", help=meaning.get("kpi_rfm_segments.segment")),
            "customers": ("Customers", Kind.COUNT),
            "customer_share": ("of all", Kind.SHARE),
            "orders": ("Orders", Kind.COUNT),
            "net_sales": ("Net sales", Kind.MONEY),
            "share": ("of all sales", Kind.SHARE),
        },
        writer,
        key="segment-table",
        mart="kpi_rfm_segments",
    )
    stamp = export.Stamp.apart(
        view.version,
        f"{year.start}-to-{year.end}",
        export.link(view.span),
        ("Orders of", str(year)),
        ("Currency", view.scope.currency),
        export.UNFILTERED,
    )
    export.offer("customer-segments", stamp, lambda: frame)
    explain.button("segments", "Segments")


def source(view: View) -> explain.Source:
    """What the figures of the segments are made of."""
    return explain.of_statement(
        view,
        "Segments",
        "kpi_rfm_segments.segment",
        "A bar is `net_sales` of the row of its segment, a share that ÷ the sum over all segments.",
        "rfm_segments",
        currency=view.scope.currency,
    )


def top_customers(view: View, meaning: dict[str, str], writer: Writer) -> None:
    """The customers that have bought most, for those who may see them."""
    if not access.may("customers"):
        st.subheader("Top customers", anchor=False)
        access.explain("customers")
        return
    by = panels.heading("Top customers", "Rank customers by", ("Value", "Orders"), "top-customers")
    # The customers of the latest year are fewer than those of all time: no page of these is empty.
    known = int(queries.rfm_segments(view.version, view.scope.currency)["customers"].sum())
    pages = max(1, min(TOP_PAGES, ceil(known / TOP_CUSTOMERS)))
    shown = min(st.session_state.get("customers-page", 1), pages)
    column = "orders" if by == "Orders" else "net_sales"
    offset = (shown - 1) * TOP_CUSTOMERS
    frame = queries.top_customers(
        access.reader(), view.version, view.scope.currency, by=column, limit=TOP_CUSTOMERS, offset=offset
    )
    st.caption(f"All time, in {view.scope.currency}; the year ends with the latest sale in it")
    panels.table(
        frame,
        {
            "customer_id": st.column_config.TextColumn("Customer", pinned=True),
            "net_sales": ("Net sales", Kind.MONEY),
            "orders": ("Orders", Kind.COUNT),
            **{
                name: st.column_config.DateColumn(label, format="D MMM YYYY", help=meaning.get(f"kpi_customers.{name}"))
                for name, label in (("first_order_date", "First order"), ("last_order_date", "Latest order"))
            },
            "window_net_sales": ("Sales, year", Kind.MONEY),
            "window_orders": ("Orders, year", Kind.COUNT),
        },
        writer,
        key="customer-table",
        mart="kpi_customers",
        height=420,
    )
    if pages > 1:
        st.pagination(pages, key="customers-page")
    stamp = export.Stamp.apart(
        view.version,
        f"all-time-page-{shown}",
        export.link(view.span),
        ("Orders of", "all time"),
        ("Customers", f"page {shown} of {pages}, most {'orders' if by == 'Orders' else 'net sales'} first"),
        ("Currency", view.scope.currency),
        export.UNFILTERED,
    )
    export.offer("top-customers", stamp, lambda: frame)
