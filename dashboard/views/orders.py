"""Orders: the lines behind every figure, a page at a time, one order in a dialog, and all of them as a file."""

import re
from collections.abc import Container
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from math import ceil

import pandas as pd
import streamlit as st

from dashboard import access, export, filters, links, live, order_lines, panels
from dashboard.filters import View
from dashboard.measures import Kind, Writer
from dashboard.order_lines import Lines, Order
from dashboard.settings import settings

ROWS = 50
SEARCH_CHARS = 200
ORDERS = {
    "Newest": ("sale_date", True),
    "Oldest": ("sale_date", False),
    "Highest value": ("net_amount", True),
    "Lowest value": ("net_amount", False),
    "Product": ("product_name", False),
    "Order": ("sale_id", False),
}


def page() -> None:
    """Draw the page for the view that the filters describe."""
    view = filters.chosen()
    customers = access.may("customers")
    reader = access.reader() if customers else access.VIEWER
    # First, so that a link to an order opens it whatever is searched for below.
    if asked := links.asked(links.ORDER):
        _open(asked[0], view, reader, customers)
    with st.container(horizontal=True, vertical_alignment="bottom", key="find"):
        found = "an order, product or customer number" if customers else "an order or product number"
        search = links.enter(
            st.text_input,
            "Search",
            key="search",
            fits=all(len(text) <= SEARCH_CHARS for text in links.asked("search")),
            max_chars=SEARCH_CHARS,
            placeholder="Number, or part of a product's name",
            icon=":material/search:",
            help=f"Finds {found}, written as in the sheet, and products by any part of their name, within the period "
            "and the filters.",
        )
        by = links.choose(st.selectbox, "Sort by", ORDERS, key="sort", width=170)
        download = st.container(width="content")
    # PostgreSQL has no text with a zero byte, so nothing can be found by one.
    search = search.replace("\x00", "").strip()
    since = order_lines.kept_since(view.version)
    start = max(view.span.start, since or view.span.start)
    lines = Lines(view.scope, start, view.span.end, search, customers=customers)
    if search and not order_lines.is_number(reader, view.version, search, customers):
        lines = replace(lines, products=order_lines.products_called(view.version, search))
    count = order_lines.count_lines(reader, view.version, lines)
    if since and view.span.start < since:
        st.info(f"Single orders are kept here from {since.day} {since:%b %Y} on. Earlier ones are in the archive of "
                "sheets; the totals on the other pages have them.", icon=":material/inventory_2:")  # fmt: skip
    if not count:
        st.info(f"Nothing in {view.span} is found by this. Take a longer period, or search for something else.",
                icon=":material/search_off:")  # fmt: skip
        return
    column, descending = ORDERS[by]
    writer = Writer(settings().number_style, view.scope.currency)
    many = f"{writer.number(count, 0)} lines"
    if lines.search and count > order_lines.COUNTED:
        many = f"More than {writer.number(order_lines.COUNTED, 0)} lines"
    elif column != "sale_date" and count > order_lines.MOST_SORTED and not lines.search:
        column, descending = ORDERS["Newest"]
        many += f", newest first: only {writer.number(order_lines.MOST_SORTED, 0)} can be sorted otherwise"
    lines = replace(lines, order_by=column, descending=descending)
    with download:
        _downloads(view, lines, reader, count, writer)

    leafed = count if column == "sale_date" and not lines.search else min(count, order_lines.COUNTED)
    pages = ceil(leafed / ROWS)
    if leafed < count and not lines.search:
        many += f", of which the first {writer.number(leafed, 0)} can be leafed through"
    number = _page(lines, pages, many, writer)
    frame = order_lines.order_lines(reader, view.version, lines, ROWS, (number - 1) * ROWS)
    # A dialog that was closed is another table, in which no row is selected.
    _table(frame, writer, key=f"lines-{number}-{by}-{st.session_state.get('orders-closed', 0)}")


def _page(lines: Lines, pages: int, many: str, writer: Writer) -> int:
    """The page to show, the first one where other lines are asked for than before."""
    before = st.session_state.get("lines-shown", lines)
    if before != lines:
        st.session_state["page"] = 1
    elif st.session_state.get("page", 1) > pages:
        st.session_state["page"] = pages
    st.session_state["lines-shown"] = lines
    with st.container(horizontal=True, vertical_alignment="bottom"):
        # As decimals: of whole numbers, Streamlit does not survive an infinite one in the link.
        number = links.enter(
            st.number_input,
            f"Page of {writer.number(pages, 0)}",
            1.0,
            float(pages),
            step=1.0,
            format="%.0f",
            key="page",
            # While other lines are asked for, the link still has the page of those before.
            fits=before != lines or all(is_page(text, pages) for text in links.asked("page")),
            width=150,
        )
        st.caption(f"{many}. Select a row to see its order whole.", width="content")
    return int(number)


def is_page(text: str, pages: int) -> bool:
    """Whether this is the number of a page; the browser writes `7` and Streamlit `7.0`."""
    return bool(re.fullmatch(r"[0-9]{1,9}(\.0)?", text)) and 1 <= float(text) <= pages


def _table(frame: pd.DataFrame, writer: Writer, key: str) -> None:
    aside = ("feed", "file_id", "row_number", "product_id", "currency")
    panels.table(
        frame,
        _columns(frame, aside),
        writer,
        key=key,
        height=560,
        on_select=lambda: _select(frame, key),
        selection_mode="single-row",
        alt="Order lines",
    )


def _columns(frame: pd.DataFrame, aside: Container[str]) -> dict[str, panels.Column]:
    """How the columns of order lines are shown, but for those that stand `aside`."""
    money = {"gross_amount": "Gross", "discount_amount": "Discount", "return_amount": "Returned", "net_amount": "Net",
             "unit_price": "Unit price", "cost_amount": "Cost"}  # fmt: skip
    words = {"sale_id": "Order", "line_type": "Kind", "product_name": "Product", "product_category": "Category",
             "store_id": "Store", "sales_region": "Region", "sales_channel": "Channel",
             "sales_representative": "Representative", "payment_method": "Payment", "payment_status": "Paid",
             "delivery_status": "Delivery", "product_id": "Number",
             "customer_id": "Customer", "customer_name": "Customer name"}  # fmt: skip
    known: dict[str, panels.Column] = {
        "sale_date": st.column_config.DateColumn("Date", format="D MMM YYYY"),
        "delivery_date": st.column_config.DateColumn("Delivered", format="D MMM YYYY"),
        "quantity": ("Quantity", Kind.COUNT),
        "customer_rating": st.column_config.NumberColumn("Rating"),
        **{name: (label, Kind.MONEY) for name, label in money.items()},
        **words,
    }
    return {name: known[name] for name in frame.columns if name in known and name not in aside}


def _select(frame: pd.DataFrame, key: str) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    if rows:
        line = frame.iloc[rows[0]]
        st.query_params[links.ORDER] = f"{line['sale_date']}/{line['feed']}/{line['sale_id']}"


def _open(asked: str, view: View, reader: str, customers: bool) -> None:
    day, _, rest = asked.replace("\x00", "").partition("/")
    feed, _, sale_id = rest.partition("/")
    try:
        wanted = Order(date.fromisoformat(day), feed, sale_id)
    except ValueError:
        lines = pd.DataFrame()
    else:
        lines = order_lines.order(reader, view.version, wanted, customers)
    if lines.empty:
        links.check(links.ORDER, fits=False)
        return
    # Not the currency of the filters: a link opens any order.
    writer = Writer(settings().number_style, lines["currency"].iloc[0])
    live.dialog(f"Order {filters.escape(sale_id)}", _close, _order, lines, writer)


def _close() -> None:
    st.query_params.pop(links.ORDER, None)
    st.session_state["orders-closed"] = st.session_state.get("orders-closed", 0) + 1


def _order(lines: pd.DataFrame, writer: Writer) -> None:
    first = lines.iloc[0]
    told = [f"{first['sale_date']:%A} {first['sale_date'].day} {first['sale_date']:%b %Y}"]
    told += [str(first[name]) for name in ("sales_channel", "sales_region", "store_id", "sales_representative")
             if first[name] not in (None, "", "unknown")]  # fmt: skip
    st.caption(filters.escape(" · ".join(told)))
    with st.grid(4, min_column_width=110):
        for label, name in (("Gross", "gross_amount"), ("Discounts", "discount_amount"),
                            ("Returned", "return_amount"), ("Net sales", "net_amount")):  # fmt: skip
            total = sum(lines[name].dropna(), Decimal(0))
            st.metric(label, writer.write(total, Kind.AVERAGE_MONEY), border=True)
    aside = ("feed", "file_id", "row_number", "sale_id", "currency", "store_id", "sales_region", "sales_channel",
             "sales_representative")  # fmt: skip
    panels.table(lines, _columns(lines, aside), writer, key="order-lines", alt="Lines of the order")


def _downloads(view: View, lines: Lines, reader: str, count: int, writer: Writer) -> None:
    with st.popover("Download", icon=":material/download:", width="content", key="download"):
        held = {kind: writer.number(most, 0) for kind, most in export.MOST_ROWS.items()}
        if cut := [f"{kind} {held[kind]}" for kind, most in export.MOST_ROWS.items() if count > most]:
            st.warning(
                f"Not all lines fit into a file. It holds the first of them, in the order chosen: {' and '.join(cut)}. "
                "Take a shorter period to have all.",
                icon=":material/content_cut:",
            )
        most = " or ".join(f"{most} ({kind})" for kind, most in held.items())
        st.caption(
            "The lines of this choice, each with the version of the figures, the filters and the link to this view; "
            f"at most {most}."
        )
        stamp = export.Stamp.of(view, ("Search", lines.search))
        for kind, make in (("CSV", export.lines_csv), ("XLSX", export.lines_xlsx)):
            st.download_button(
                f"Download {kind}",
                partial(make, reader, lines, stamp),  # made when it is asked for
                file_name=f"order-lines-{stamp.name}.{kind.lower()}",
                mime=export.MIME[kind],
                on_click="ignore",
                key=f"download-{kind}",
            )


page()
