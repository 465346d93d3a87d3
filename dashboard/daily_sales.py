"""The sums of daily sales, by dates and dimensions, of the mart that can answer: what most figures are made of.

Every answer is cached under the mart version it was read at, for all sessions of the process.
"""

# ruff: noqa: ARG001 -- `version` is part of the cache key, not of the query

from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum
from typing import Any

import pandas as pd
import streamlit as st
from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Date,
    Numeric,
    Select,
    and_,
    cast,
    column,
    func,
    literal,
    null,
    or_,
    select,
    table,
    union_all,
)

from dashboard import database
from dashboard.settings import settings

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Scope:
    """The sales that count: those of one currency and, by dimension, of the members kept or all but those left out.

    A dimension that neither names keeps all.
    """

    currency: str
    kept: tuple[tuple[str, tuple[str, ...]], ...] = ()
    left_out: tuple[tuple[str, tuple[str, ...]], ...] = ()
    converted: bool = False  # sales of every currency, converted into this one

    @property
    def narrowed(self) -> set[str]:
        """The dimensions that do not keep all."""
        return {name for name, _ in (*self.kept, *self.left_out)}

    def keeps(self, name: str, member: str) -> bool:
        """Whether sales of this member of a dimension count."""
        return member in dict(self.kept).get(name, (member,)) and member not in dict(self.left_out).get(name, ())


# The dimensions by which sales can be filtered and grouped, and their columns.
DIMENSIONS = {
    "category": "product_category",
    "product": "product_id",
    "region": "sales_region",
    "channel": "sales_channel",
    "store": "store_id",
    "rep": "sales_representative",
}
GRAINS = ("date", "week", "month")  # what else sales can be grouped by
PLACES = {"region", "channel", "store", "rep"}
# The daily marts with the dimensions they have: a question is asked of the first that can answer. Those by category or
# product come after, as they count an order once for each that it holds.
MARTS = {
    "kpi_daily_sales": PLACES,
    "kpi_daily_category_sales": {"category"},
    "kpi_daily_product_sales": {"product", "category"},
    "kpi_daily_place_category_sales": PLACES | {"category"},
    "kpi_daily_place_product_sales": PLACES | {"category", "product"},
}
CONVERTED = "kpi_reporting_daily_sales"  # the mart of all currencies, converted into one
CONVERTED_BY = ("region", "channel")  # the dimensions that it has
NOT_CONVERTED = {"pending_payment_value", "delivered_lines", "delivered_on_time_lines", "delivery_days"}
MEASURES = (
    "gross_sales", "discounts", "returns", "net_sales", "orders", "units_sold", "returned_units", "cost_amount",
    "gross_margin", "costed_net_sales", "cancelled_value", "pending_payment_value", "delivered_lines",
    "delivered_on_time_lines", "delivery_days", "lines",
)  # fmt: skip
MOST_COUNTED = 100_000  # lines of which orders are counted one by one, where no mart has counted them: see `counting`
OF_PRODUCTS = (
    "net_sales",
    "units_sold",
    "returned_units",
)  # what most panels show of products: one statement for all of these


@st.cache_data(max_entries=256, show_spinner=False)
def sales(
    version: int,
    scope: Scope,
    start: date,
    end: date,
    by: tuple[str, ...] = ("date",),
    *,
    sums: tuple[str, ...] = MEASURES,
) -> pd.DataFrame:
    """The sums of the dates from `start` to `end`: a row for each combination of `by` that has lines.

    `by` names dimensions, or "date", whose columns are then `sale_date` and those of DIMENSIONS; empty: one row at
    most. `sums`: see `asked_for`. Orders are right for each row, or not known: see `orders_known`; those of several
    categories or products must not be added up.
    """
    return read_sales(scope, start, end, by, sums)


def asked_for(by: tuple[str, ...], shown: tuple[str, ...]) -> tuple[str, ...]:
    """The MEASURES that `sales` has to sum where these are shown.

    All of them, in one statement for whoever asks next; but of thousands of products they take twice as long as two.
    """
    if "product" not in by:
        return MEASURES
    return OF_PRODUCTS if set(shown) <= set(OF_PRODUCTS) else shown


def read_sales(
    scope: Scope, start: date, end: date, by: tuple[str, ...], sums: tuple[str, ...] = MEASURES
) -> pd.DataFrame:
    """`sales` as they are now, past the cache."""
    rows, columns = database.run(statement(scope, start, end, by, sums, counting=counting(scope, start, end, by, sums)))
    return pd.DataFrame(rows, columns=columns)


def sales_sql(scope: Scope, start: date, end: date, by: tuple[str, ...] = (), sums: tuple[str, ...] = MEASURES) -> str:
    """The statement that `sales` runs, its values written out, for people to read and to run again."""
    return database.written_out(statement(scope, start, end, by, sums, counting=counting(scope, start, end, by, sums)))


def mart_of(scope: Scope, by: tuple[str, ...] = ()) -> str:
    """The mart that `sales` asks."""
    if scope.converted:
        return CONVERTED
    needed = ({*by} | scope.narrowed).difference(GRAINS)
    return next(name for name, dimensions in MARTS.items() if needed <= dimensions)


class Counting(Enum):
    """Where the number of orders comes from."""

    MART = "the mart"
    LINES = "the lines"
    NOWHERE = "nowhere"


@st.cache_data(max_entries=64, show_spinner=False)
def orders_known(version: int, scope: Scope, start: date, end: date) -> bool:
    """Whether `sales` can tell how many orders hold several products or categories: of MOST_COUNTED lines at most."""
    return counting(scope, start, end, (), MEASURES) is not Counting.NOWHERE


def counting(scope: Scope, start: date, end: date, by: tuple[str, ...], sums: tuple[str, ...]) -> Counting:
    """Where the orders come from: a mart by product counts one for each product, so several together need the lines."""
    if "orders" not in sums or not _counts_twice(scope, by):
        return Counting.MART
    rows, _ = database.run(statement(scope, start, end, (), ("lines",)))
    return Counting.LINES if not rows or rows[0][0] <= MOST_COUNTED else Counting.NOWHERE


def _counts_twice(scope: Scope, by: tuple[str, ...]) -> bool:
    """Whether a row would be of several products, or of several categories, by which its mart counts orders."""
    needed = {*by} | scope.narrowed
    counted_by = next((name for name in ("product", "category") if name in needed), None)
    return counted_by is not None and counted_by not in by and len(dict(scope.kept).get(counted_by, ())) != 1


def statement(
    scope: Scope,
    start: date,
    end: date,
    by: tuple[str, ...],
    sums: tuple[str, ...],
    *,
    counting: Counting = Counting.MART,
    later: int = 0,
) -> Select[Any]:
    """The statement of `sales`.

    `later`: by how many days the dates of rows are put off, so that they meet those they are compared with.
    """
    groups = [_group(name, later) for name in by]
    conditions = in_scope(scope)
    mart = mart_of(scope, by)

    # The mart adds no orders where the lines are counted; where neither tells them, they are not known.
    elsewhere = {"orders": cast(literal(0) if counting is Counting.LINES else null(), Numeric).label("orders")}
    if counting is Counting.MART:
        elsewhere = {each: cast(null(), Numeric).label(each) for each in NOT_CONVERTED} if scope.converted else {}

    def part(name: str, dates: ColumnElement[bool]) -> Select[Any]:
        summed: list[ColumnElement[Any]] = [elsewhere.get(each, column(each)) for each in sums]
        return select(*groups, *summed).select_from(table(name, schema="kpi")).where(dates, *conditions)

    dates = column("sale_date").between(start, end)
    parts = [part(mart, dates)]
    first, last = _whole_months(start, end)
    if mart == "kpi_daily_product_sales" and {*by} | scope.narrowed == {"product"} and first < last:
        # The sums of whole months are at hand: a year of many products is then a tenth of the rows.
        edges = or_(column("sale_date").between(start, first - DAY), column("sale_date").between(last, end))
        months = and_(column("month") >= first, column("month") < last)
        parts = [part(mart, edges), part("kpi_monthly_product_sales", months)]
    if counting is Counting.LINES:
        parts.append(_orders(groups, by, sums, dates, *conditions))
    rows = union_all(*parts).subquery("sales") if len(parts) > 1 else parts[0].subquery("sales")
    keys = [rows.c[each.name] for each in groups]
    return (
        select(*keys, *(func.sum(rows.c[name]).label(name) for name in sums))
        .group_by(*keys)
        .having(func.count() > 0)
        .order_by(*keys)
    )


def _orders(
    groups: list[ColumnElement[Any]], by: tuple[str, ...], sums: tuple[str, ...], *conditions: ColumnElement[bool]
) -> Select[Any]:
    """Rows of `orders`, each counted once where its first line in scope was sold, and of no other sum."""
    told_apart: list[ColumnClause[Any]] = [column(name) for name in ("sale_date", "feed", "sale_id")]
    apart: list[ColumnClause[Any]] = [column(DIMENSIONS[name]) for name in by if name in ("category", "product")]
    lines = (
        select(
            *groups,
            func.row_number()
            .over(partition_by=[*told_apart, *apart], order_by=[column("file_id"), column("row_number")])
            .label("nth"),
        )
        .select_from(table("kpi_order_lines", schema="kpi"))
        .where(column("line_type") == "sale", *conditions)
        .subquery("lines")
    )
    keys = [lines.c[each.name] for each in groups]
    counted = [(func.count() if name == "orders" else cast(null(), Numeric)).label(name) for name in sums]
    return select(*keys, *counted).where(lines.c.nth == 1).group_by(*keys)


def _group(name: str, later: int) -> ColumnElement[Any]:
    if name not in GRAINS:
        return column(DIMENSIONS[name])
    day: ColumnElement[Any] = column("sale_date", Date)
    day = day.op("+")(later) if later else day
    match name:
        case "week":  # PostgreSQL's begin on Monday
            first = settings().first_weekday
            day = cast(func.date_trunc("week", day.op("-")(first)), Date).op("+")(first)
        case "month":
            day = cast(func.date_trunc("month", day), Date)
    return day.label(key(name))


def key(name: str) -> str:
    """The column that rows by this have."""
    return "sale_date" if name == "date" else DIMENSIONS.get(name, name)


def in_scope(scope: Scope) -> list[ColumnElement[bool]]:
    """The conditions that keep the rows in scope."""
    # The mart of converted sales has one currency, and lines are those of all.
    of_currency = [] if scope.converted else [column("currency") == scope.currency]
    return [
        *of_currency,
        *(column(DIMENSIONS[name]).in_(values) for name, values in scope.kept),
        *(column(DIMENSIONS[name]).not_in(values) for name, values in scope.left_out),
    ]


def _whole_months(start: date, end: date) -> tuple[date, date]:
    """The first days of the first month that lies within the dates, and of the first after it that does not."""
    first = start if start.day == 1 else (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return first, (end + DAY).replace(day=1)


@st.cache_data(max_entries=64, show_spinner=False)
def hours(version: int, scope: Scope, start: date, end: date) -> pd.DataFrame:
    """sale_date, sale_hour, net_sales, orders, lines of what has a time of day, in the places of the scope."""
    sums: list[ColumnElement[Any]] = [func.sum(column(name)).label(name) for name in ("net_sales", "orders", "lines")]
    keys: list[ColumnClause[Any]] = [column("sale_date"), column("sale_hour")]
    rows, columns = database.run(
        select(*keys, *sums)
        .select_from(table("kpi_hourly_sales", schema="kpi"))
        .where(column("sale_date").between(start, end), *in_scope(placed(scope)))
        .group_by(*keys)
        .order_by(*keys)
    )
    return pd.DataFrame(rows, columns=columns)


def placed(scope: Scope) -> Scope:
    """The scope without what it says of products and categories, which hours do not have."""
    kept, left_out = (tuple(each for each in chosen if each[0] in PLACES) for chosen in (scope.kept, scope.left_out))
    return replace(scope, kept=kept, left_out=left_out)
