"""Order lines: found, sorted and counted a page at a time, streamed into files, and one order whole.

Who may not see customers is refused them by PostgreSQL: see `database`. As an argument, the `reader` keeps the cached
answers of each role apart.
"""

# ruff: noqa: ARG001 -- `version` is part of the cache key, not of the query

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pandas as pd
import streamlit as st
from sqlalchemy import ColumnClause, Select, String, and_, column, func, or_, select, table, union_all
from sqlalchemy.exc import DBAPIError

from dashboard import daily_sales, database, queries
from dashboard.daily_sales import Scope


@dataclass(frozen=True)
class Lines:
    """A choice of order lines: those of the dates in scope that `search` finds, sorted; `customers`: with the buyers.

    `search` is an order, a product or a customer by its whole identifier, with the name of its feed or without, or any
    part of a product's name. Where `products` are named, it is these that it means: they are found along an index.
    """

    scope: Scope
    start: date
    end: date
    search: str = ""
    order_by: str = "sale_date"
    descending: bool = True
    customers: bool = False
    products: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """The identity of an order: its number in a sheet may come again on another day or in another feed."""

    sale_date: date
    feed: str
    sale_id: str


LINE_COLUMNS = (
    "sale_date", "feed", "sale_id", "line_type", "product_id", "product_name", "product_category", "quantity",
    "unit_price", "gross_amount", "discount_amount", "return_amount", "net_amount", "cost_amount", "currency",
    "store_id", "sales_region", "sales_channel", "sales_representative", "payment_method", "payment_status",
    "delivery_status", "delivery_date", "customer_rating", "file_id", "row_number",
)  # fmt: skip
CUSTOMER_COLUMNS = ("customer_id", "customer_name")
LINE_ORDERS = ("sale_date", "net_amount", "quantity", "product_name", "sale_id")
COUNTED = 10_000  # lines that a search finds are counted up to so many; so far are those leafed that no index orders
MOST_SORTED = 500_000  # beyond so many lines, putting them in an order that no index has would take seconds


def products_called(version: int, text: str) -> tuple[str, ...]:
    """The products whose name has this text in it, or that have it as their identifier, with the feed's or without."""
    words = text.lower()
    return tuple(
        product
        for product, name in queries.product_names(version).items()
        if words in name.lower() or product == text or product.endswith(f":{text}")
    )


@st.cache_data(max_entries=64, show_spinner=False)
def is_number(reader: str, version: int, text: str, customers: bool) -> bool:
    """Whether an order has this number or, where the reader may know, a customer."""
    if database.rows("is_order", number=text)[0]["found"]:
        return True
    return customers and bool(
        database.rows("is_customer", reader, number=text, feed_and_number=f"%:{_escaped(text)}")[0]["found"]
    )


def _escaped(text: str) -> str:
    """Text for LIKE to find as it is."""
    return re.sub(r"([\\%_])", r"\\\1", text)


@st.cache_data(max_entries=64, show_spinner=False)
def order_lines(reader: str, version: int, lines: Lines, limit: int, offset: int) -> pd.DataFrame:
    """One page of order lines, with LINE_COLUMNS and, where asked for, CUSTOMER_COLUMNS."""
    if lines.order_by == "sale_date" and not lines.search:
        # A page deep in ten million lines costs what the first one does: the daily mart tells the dates that hold it.
        days = daily_sales.sales(version, lines.scope, lines.start, lines.end)
        start, end, offset = dates_of_page(
            dict(zip(days["sale_date"], map(int, days["lines"]), strict=True)), limit, offset, lines.descending
        )
        lines = replace(lines, start=start or lines.start, end=end or lines.end)
    rows, columns = database.run(_lines(lines).limit(limit).offset(offset), reader=reader)
    return pd.DataFrame(rows, columns=columns)


def dates_of_page(
    days: dict[date, int], limit: int, offset: int, descending: bool
) -> tuple[date | None, date | None, int]:
    """The first and the last date that hold these lines, and how many lines of them come before.

    `days` has the number of lines of each date; no date where no line lies beyond the offset.
    """
    held: list[date] = []
    passed, skipped = 0, offset
    for day in sorted(days, reverse=descending):
        if passed < offset + limit and passed + days[day] > offset:
            if not held:
                skipped = offset - passed
            held.append(day)
        passed += days[day]
    return (min(held), max(held), skipped) if held else (None, None, offset)


@st.cache_data(max_entries=64, show_spinner=False)
def count_lines(reader: str, version: int, lines: Lines) -> int:
    """How many lines there are: of a search COUNTED + 1 at most, else from the daily marts, whatever their number."""
    if not lines.search:
        found = daily_sales.sales(version, lines.scope, lines.start, lines.end, ())
        return int(found["lines"].iloc[0]) if len(found) else 0
    some = _lines(lines).order_by(None).limit(COUNTED + 1).subquery()
    rows, _ = database.run(select(func.count()).select_from(some), reader=reader)
    return int(rows[0][0])


def stream_lines(reader: str, lines: Lines, limit: int, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
    """Up to `limit` lines in batches, none of them kept, each with the mart version it is of; raises Unavailable.

    All are of one snapshot, which may be newer than the page that asks.
    """
    version = select(column("mart_version")).select_from(table("mart_version", schema="ops")).scalar_subquery()
    parts = [lines]
    if lines.order_by == "sale_date":
        # A date at a time: no statement sorts, or runs into the time limit, however long the period is.
        days = [lines.start + timedelta(days=1) * number for number in range((lines.end - lines.start).days + 1)]
        parts = [replace(lines, start=day, end=day) for day in sorted(days, reverse=lines.descending)]
    try:
        with (
            database.engine().connect() as connection,
            connection.execution_options(isolation_level="REPEATABLE READ").begin(),
        ):
            connection.execute(database.TAKE_ROLE, {"role": reader, "person": "", "local": True})
            for part in parts:
                statement = _lines(part).add_columns(version.label("mart_version")).limit(limit)
                result = connection.execute(statement, execution_options={"stream_results": True})
                for batch in result.partitions(size):
                    limit -= len(batch)
                    yield [tuple(row) for row in batch]
                if limit <= 0:
                    break
    except DBAPIError as error:
        raise database.Unavailable(database.problem_of(error)) from error


@st.cache_data(max_entries=4, show_spinner=False)
def kept_since(version: int) -> date | None:
    """The first date of which single lines are kept here, where earlier ones are in a lake; else None."""
    return next((row["live_since"] for row in database.rows("live_since")), None)


@st.cache_data(max_entries=64, show_spinner=False)
def order(reader: str, version: int, wanted: Order, customers: bool) -> pd.DataFrame:
    """All lines of the order that a line of this number and day is of, and its returns until the number comes again."""
    [days] = database.rows("order_days", feed=wanted.feed, sale_id=wanted.sale_id, line_date=wanted.sale_date)
    day: ColumnClause[date] = column("sale_date")
    ordered, again = days["order_date"], days["next_date"] or date.max
    of_order = and_(column("feed") == wanted.feed, column("sale_id") == wanted.sale_id)
    lines = select(*_shown(customers)).select_from(table("kpi_order_lines", schema="kpi")).where(of_order)
    rows, columns = database.run(
        union_all(
            lines.where(day.in_({ordered, wanted.sale_date})),
            lines.where(column("line_type") == "return", day > ordered, day < again, day != wanted.sale_date),
        ).order_by("sale_date", "file_id", "row_number"),
        reader=reader,
    )
    return pd.DataFrame(rows, columns=columns)


@st.cache_data(max_entries=32, show_spinner=False)
def files_of(version: int, scope: Scope, day: date, limit: int) -> pd.DataFrame:
    """The files that hold lines of a day in scope, those with most first: key, lines, net_amount and their times."""
    held = (
        select(
            column("file_id"),
            func.count().label("lines"),
            func.sum(column("net_amount")).label("net_amount"),
        )
        .select_from(table("kpi_order_lines", schema="kpi"))
        .where(column("sale_date") == day, *daily_sales.in_scope(scope))
        .group_by(column("file_id"))
        .subquery("held")
    )
    told: list[ColumnClause[Any]] = [
        column(name) for name in ("file_id", "key", "event_at", "loaded_at", "modelled_at")
    ]
    files = table("ops_load_history", *told, schema="ops")
    rows, columns = database.run(
        select(files.c.key, held.c.lines, held.c.net_amount, files.c.event_at, files.c.loaded_at, files.c.modelled_at)
        .join_from(held, files, held.c.file_id == files.c.file_id)
        .order_by(held.c.lines.desc(), held.c.file_id)
        .limit(limit)
    )
    return pd.DataFrame(rows, columns=columns)


def _shown(customers: bool) -> list[ColumnClause[Any]]:
    return [column(name) for name in LINE_COLUMNS + (CUSTOMER_COLUMNS if customers else ())]


def _lines(lines: Lines) -> Select[Any]:
    conditions = [column("sale_date").between(lines.start, lines.end), *daily_sales.in_scope(lines.scope)]
    if lines.products:
        conditions.append(column("product_id").in_(lines.products))
    elif lines.search:
        members = ["product_id", *(["customer_id"] if lines.customers else [])]
        own = column("feed", String) + ":" + lines.search  # as the sheet has it, where its feed shares it with no other
        name: ColumnClause[str] = column("product_name")
        conditions.append(
            or_(
                column("sale_id") == lines.search,
                *(or_(column(each) == lines.search, column(each) == own) for each in members),
                func.lower(name).contains(lines.search.lower(), autoescape=True),
            )
        )
    first: ColumnClause[Any] = column(lines.order_by if lines.order_by in LINE_ORDERS else "sale_date")
    # The last two make every page the same each time it is asked for. No key is ever null, and to say where nulls
    # belong would keep PostgreSQL from reading an index backwards.
    keys = [first, column("file_id"), column("row_number")]
    return (
        select(*_shown(lines.customers))
        .select_from(table("kpi_order_lines", schema="kpi"))
        .where(*conditions)
        .order_by(*(key.desc() if lines.descending else key.asc() for key in keys))
    )
