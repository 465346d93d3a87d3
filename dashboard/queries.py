"""SQL to DataFrame. Every answer is cached under the mart version it was read at, for all sessions of the process.

A query reads as a viewer, whoever looks. What only some may see takes the `reader` to read as, `access.reader()` of the
session: PostgreSQL refuses it to others, and as an argument it keeps the cached answers of each role apart.
"""

# ruff: noqa: ARG001 -- `version`, `entries`, `state` and `heard` are part of the cache key, not of the query

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import psycopg.errors
import streamlit as st
from sqlalchemy import (
    ClauseElement,
    ColumnClause,
    ColumnElement,
    Date,
    Engine,
    Executable,
    FromClause,
    Numeric,
    Select,
    String,
    TextClause,
    and_,
    case,
    cast,
    column,
    create_engine,
    func,
    literal,
    make_url,
    null,
    or_,
    select,
    table,
    text,
    union_all,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from dashboard import push
from dashboard.access import VIEWER
from dashboard.measures import Kind, Measure
from dashboard.settings import settings

DAY = timedelta(days=1)
SQL = Path(__file__).parent / "sql"
CONNECT_SECONDS = 3
WRITER = "dashboard_writer"
# Each time: a connection of the pool has the role, and is of the person, of whom it was used for last. Which views are
# somebody's own, PostgreSQL tells by the person; it is nobody's where there is none.
TAKE_ROLE = text("select set_config('role', :role, :local), set_config('dashboard.person', :person, :local)")
FRESHNESS_SECONDS = 1.5  # so many sessions that look at the same moment cost one read


class Problem(Enum):
    """Why figures cannot be read, in words for those who read figures."""

    DOWN = "The database does not answer."
    NOT_BUILT = "The figures are not calculated yet."
    DENIED = "The dashboard may not read the figures."
    SLOW = "The database took too long to answer."


class Unavailable(Exception):
    """A read failed for a reason that the page can explain; the driver's own error is its cause."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong: one row of ops.problems."""

    problem: str
    severity: Literal["red", "amber"]
    subject: str | None
    since: datetime
    title: str  # for the badge
    sentence: str  # for those who read figures
    remedy: str  # for those who run the pipeline


@dataclass(frozen=True)
class Freshness:
    """The published state of the marts and of the pipeline that feeds them, and what is wrong, the worst first."""

    mart_version: int
    published_at: datetime
    last_event_at: datetime | None
    last_loaded_at: datetime | None
    files_waiting: int
    last_run_status: str | None
    last_run_error: str | None
    latency_p50_seconds: Decimal | None
    latency_p95_seconds: Decimal | None
    problems: tuple[Trouble, ...]
    entries: str  # tells apart the states of targets and notes: what shows them is cached under it, too


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
MOST_COUNTED = 100_000  # lines of which orders are counted one by one, where no mart has counted them: see `_counting`
OF_PRODUCTS = (
    "net_sales",
    "units_sold",
    "returned_units",
)  # what most panels show of products: one statement for all of these
CUSTOMER = (
    "customer_id", "net_sales", "orders", "first_order_date", "last_order_date", "window_net_sales", "window_orders",
)  # fmt: skip


def look() -> Freshness:
    """The state now; raises Unavailable."""
    state = _freshness(push.heard())
    _looked()[:] = [state]
    return state


def last_look() -> Freshness | None:
    """The last finding of `look` in this process, which survives an outage; answers are cached under it."""
    return next(iter(_looked()), None)


def freshness() -> Freshness:
    """The state that the page is drawn of; raises Unavailable where none has been found yet."""
    return last_look() or look()


@st.cache_resource(show_spinner=False)
def _looked() -> list[Freshness]:
    return []


@st.cache_data(ttl=FRESHNESS_SECONDS, max_entries=2, show_spinner=False)
def _freshness(heard: int) -> Freshness:
    [row] = _rows("freshness")
    troubles = [Trouble(**each | {"since": datetime.fromisoformat(each["since"])}) for each in row["problems"]]
    return Freshness(**row | {"problems": tuple(troubles)})


@st.cache_data(max_entries=4, show_spinner=False)
def descriptions(version: int) -> dict[str, str]:
    """`relation.column` to its description, which dbt keeps as a comment in PostgreSQL."""
    return {row["name"]: " ".join(row["description"].split()) for row in _rows("descriptions")}


@st.cache_data(max_entries=4, show_spinner=False)
def currencies(version: int) -> pd.DataFrame:
    """first_date, last_date, net_sales of each currency, that which sold most first; how far its newest day is.

    complete_until: its last complete day; lines: of the newest day so far; usual_lines: what that weekday usually has.
    The newest day has begun: lines_ahead, up to latest_date, are of days that have not.
    """
    return _frame("currencies")


@st.cache_data(max_entries=4, show_spinner=False)
def reporting(version: int) -> tuple[str, tuple[str, ...]] | None:
    """The currency into which all sales can be converted, and which currencies have no rate for some of their days.

    None where all sales are in one currency.
    """
    [row] = _rows("reporting") or [{"currencies": 0}]
    return (row["reporting_currency"], tuple(row["without_rate"])) if row["currencies"] > 1 else None


@st.cache_data(max_entries=16, show_spinner=False)
def members(version: int, currency: str) -> dict[str, tuple[str, ...]]:
    """The members of every dimension but the products that have sales in this currency."""
    return {name: tuple(values) for name, values in _rows("members", currency=currency)[0].items()}


@st.cache_data(max_entries=16, show_spinner=False)
def product_names(version: int) -> dict[str, str]:
    """product_id to its latest name."""
    return {row["product_id"]: row["product_name"] for row in _rows("product_names")}


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
    rows, columns = _run(_sales(scope, start, end, by, sums, counting=_counting(scope, start, end, by, sums)))
    return pd.DataFrame(rows, columns=columns)


def sales_sql(scope: Scope, start: date, end: date, by: tuple[str, ...] = (), sums: tuple[str, ...] = MEASURES) -> str:
    """The statement that `sales` runs, its values written out, for people to read and to run again."""
    return _written_out(_sales(scope, start, end, by, sums, counting=_counting(scope, start, end, by, sums)))


def statement_sql(name: str, /, **parameters: object) -> str:
    """A statement of `sql/`, as `sales_sql` gives that of `sales`."""
    return _written_out(_statement(name).bindparams(**parameters))


def _written_out(statement: ClauseElement) -> str:
    # Named parameters, so that a `%` stands for itself; strings as PostgreSQL reads them, where a backslash does too.
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    dialect._backslash_escapes = False  # noqa: SLF001 -- otherwise found out from a server
    return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


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
    return _counting(scope, start, end, (), MEASURES) is not Counting.NOWHERE


def _counting(scope: Scope, start: date, end: date, by: tuple[str, ...], sums: tuple[str, ...]) -> Counting:
    """A mart by product counts an order once for each product, so of several together the lines have to be asked."""
    if "orders" not in sums or not _counts_twice(scope, by):
        return Counting.MART
    rows, _ = _run(_sales(scope, start, end, (), ("lines",)))
    return Counting.LINES if not rows or rows[0][0] <= MOST_COUNTED else Counting.NOWHERE


def _counts_twice(scope: Scope, by: tuple[str, ...]) -> bool:
    """Whether a row would be of several products, or of several categories, by which its mart counts orders."""
    needed = {*by} | scope.narrowed
    counted_by = next((name for name in ("product", "category") if name in needed), None)
    return counted_by is not None and counted_by not in by and len(dict(scope.kept).get(counted_by, ())) != 1


def _sales(
    scope: Scope,
    start: date,
    end: date,
    by: tuple[str, ...],
    sums: tuple[str, ...],
    *,
    counting: Counting = Counting.MART,
    later: int = 0,
) -> Select[Any]:
    """`later`: by how many days the dates of rows are put off, so that they meet those they are compared with."""
    groups = [_group(name, later) for name in by]
    conditions = _in_scope(scope)
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


def _in_scope(scope: Scope) -> list[ColumnElement[bool]]:
    # The mart of converted sales has one currency, and lines are those of all.
    of_currency = [] if scope.converted else [column("currency") == scope.currency]
    return [
        *of_currency,
        *(column(DIMENSIONS[name]).in_(values) for name, values in scope.kept),
        *(column(DIMENSIONS[name]).not_in(values) for name, values in scope.left_out),
    ]


BEFORE, CHANGE = "_before", "_change"


@dataclass(frozen=True)
class Grid:
    """The question of a grid: rows by one or two of DIMENSIONS and GRAINS, for some dates and maybe others `before`.

    `order_by` is one of `by`, or the name of a measure, with `_before` or `_change` behind it where it is of those.
    """

    scope: Scope
    by: tuple[str, ...]
    measures: tuple[Measure, ...]
    now: tuple[date, date]
    before: tuple[date, date] | None
    order_by: str
    descending: bool

    @property
    def sums(self) -> tuple[str, ...]:
        """The columns that make up the measures."""
        return tuple(dict.fromkeys(name for measure in self.measures for name in measure.sums))

    @property
    def columns(self) -> list[str]:
        """The columns that it shows and can be sorted by."""
        forms = ("", BEFORE, CHANGE) if self.before else ("",)
        return [*self.by, *(f"{measure.name}{form}" for measure in self.measures for form in forms)]


@st.cache_data(max_entries=64, show_spinner=False)
def grid(version: int, asked: Grid, limit: int | None, offset: int = 0) -> pd.DataFrame:
    """Rows of a grid, sorted as a whole: the columns of `by`, of products their name, the sums now and `_before`.

    `rows`: how many there are in all. A member that sold only before has no sums now.
    """
    rows, columns = _run(_grid(asked).limit(limit).offset(offset))
    return pd.DataFrame(rows, columns=columns)


def grid_sql(asked: Grid) -> str:
    """The statement that `grid` runs, of all rows, as `sales_sql` gives that of `sales`."""
    return _written_out(_grid(asked))


def _grid(asked: Grid) -> Select[Any]:
    now = _side(asked, asked.now).subquery("now")
    names = [key(name) for name in asked.by]
    keys: dict[str, ColumnElement[Any]] = {name: now.c[name] for name in names}
    figures: dict[str, ColumnElement[Any]] = {name: now.c[name] for name in asked.sums}
    rows: FromClause = now
    if asked.before:
        before = _side(asked, asked.before).subquery("before")
        rows = now.join(before, and_(*(now.c[name] == before.c[name] for name in names)), full=True)
        keys = {name: func.coalesce(now.c[name], before.c[name]) for name in names}
        figures |= {f"{name}_before": before.c[name] for name in asked.sums}
    told = dict(keys)
    if "product" in asked.by:
        products = table("kpi_products", column("product_id"), column("product_name"), schema="kpi")
        rows = rows.outerjoin(products, products.c.product_id == keys["product_id"])
        told["product_name"] = products.c.product_name
    if asked.order_by in asked.by:
        first = told["product_name"] if asked.order_by == "product" else keys[key(asked.order_by)]
    else:
        first = _figure(asked, figures)
    return (
        select(*(each.label(name) for name, each in (told | figures).items()), func.count().over().label("rows"))
        .select_from(rows)
        # Unknown figures come last, whichever way; and every page is the same each time it is asked for.
        .order_by((first.desc() if asked.descending else first.asc()).nulls_last(), *keys.values())
    )


def _side(asked: Grid, dates: tuple[date, date]) -> Select[Any]:
    start, end = dates
    counting = _counting(asked.scope, start, end, asked.by, asked.sums)
    later = (asked.now[0] - start).days
    return _sales(asked.scope, start, end, asked.by, asked.sums, counting=counting, later=later).order_by(None)


def _figure(asked: Grid, figures: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
    """The figure that a grid is sorted by: what `Measure.over` and `Writer.change` come to."""

    def of(measure: Measure, form: str = "") -> ColumnElement[Any]:
        top = figures[measure.numerator + form]
        if measure.denominator is None:
            return top
        return top / func.nullif(figures[measure.denominator + form], 0)

    for measure in asked.measures:
        if asked.order_by in (measure.name, f"{measure.name}{BEFORE}"):
            return of(measure, asked.order_by.removeprefix(measure.name))
        if asked.order_by == f"{measure.name}{CHANGE}":
            now, before = of(measure), of(measure, BEFORE)
            return now - before if measure.kind is Kind.SHARE else case((before > 0, now / func.nullif(before, 0)))
    raise AssertionError(asked.order_by)


def _whole_months(start: date, end: date) -> tuple[date, date]:
    """The first days of the first month that lies within the dates, and of the first after it that does not."""
    first = start if start.day == 1 else (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return first, (end + DAY).replace(day=1)


@st.cache_data(max_entries=64, show_spinner=False)
def hours(version: int, scope: Scope, start: date, end: date) -> pd.DataFrame:
    """sale_date, sale_hour, net_sales, orders, lines of what has a time of day, in the places of the scope."""
    sums: list[ColumnElement[Any]] = [func.sum(column(name)).label(name) for name in ("net_sales", "orders", "lines")]
    keys: list[ColumnClause[Any]] = [column("sale_date"), column("sale_hour")]
    rows, columns = _run(
        select(*keys, *sums)
        .select_from(table("kpi_hourly_sales", schema="kpi"))
        .where(column("sale_date").between(start, end), *_in_scope(placed(scope)))
        .group_by(*keys)
        .order_by(*keys)
    )
    return pd.DataFrame(rows, columns=columns)


def placed(scope: Scope) -> Scope:
    """The scope without what it says of products and categories, which hours do not have."""
    kept, left_out = (tuple(each for each in chosen if each[0] in PLACES) for chosen in (scope.kept, scope.left_out))
    return replace(scope, kept=kept, left_out=left_out)


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
        for product, name in product_names(version).items()
        if words in name.lower() or product == text or product.endswith(f":{text}")
    )


@st.cache_data(max_entries=64, show_spinner=False)
def is_number(reader: str, version: int, text: str, customers: bool) -> bool:
    """Whether an order has this number or, where the reader may know, a customer."""
    if _rows("is_order", number=text)[0]["found"]:
        return True
    return customers and bool(
        _rows("is_customer", reader, number=text, feed_and_number=f"%:{_escaped(text)}")[0]["found"]
    )


def _escaped(text: str) -> str:
    """Text for LIKE to find as it is."""
    return re.sub(r"([\\%_])", r"\\\1", text)


@st.cache_data(max_entries=64, show_spinner=False)
def order_lines(reader: str, version: int, lines: Lines, limit: int, offset: int) -> pd.DataFrame:
    """One page of order lines, with LINE_COLUMNS and, where asked for, CUSTOMER_COLUMNS."""
    if lines.order_by == "sale_date" and not lines.search:
        # A page deep in ten million lines costs what the first one does: the daily mart tells the dates that hold it.
        days = sales(version, lines.scope, lines.start, lines.end)
        start, end, offset = dates_of_page(
            dict(zip(days["sale_date"], map(int, days["lines"]), strict=True)), limit, offset, lines.descending
        )
        lines = replace(lines, start=start or lines.start, end=end or lines.end)
    rows, columns = _run(_lines(lines).limit(limit).offset(offset), reader=reader)
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
        found = sales(version, lines.scope, lines.start, lines.end, ())
        return int(found["lines"].iloc[0]) if len(found) else 0
    some = _lines(lines).order_by(None).limit(COUNTED + 1).subquery()
    rows, _ = _run(select(func.count()).select_from(some), reader=reader)
    return int(rows[0][0])


def stream_lines(reader: str, lines: Lines, limit: int, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
    """Up to `limit` lines in batches, none of them kept, each line with the mart version it is of; raises Unavailable.

    All are of one snapshot, which may be newer than the page that asks.
    """
    version = select(column("mart_version")).select_from(table("mart_version", schema="ops")).scalar_subquery()
    parts = [lines]
    if lines.order_by == "sale_date":
        # A date at a time: no statement sorts, or runs into the time limit, however long the period is.
        days = [lines.start + DAY * number for number in range((lines.end - lines.start).days + 1)]
        parts = [replace(lines, start=day, end=day) for day in sorted(days, reverse=lines.descending)]
    try:
        with _engine().connect() as connection, connection.execution_options(isolation_level="REPEATABLE READ").begin():
            connection.execute(TAKE_ROLE, {"role": reader, "person": "", "local": True})
            for part in parts:
                statement = _lines(part).add_columns(version.label("mart_version")).limit(limit)
                result = connection.execute(statement, execution_options={"stream_results": True})
                for batch in result.partitions(size):
                    limit -= len(batch)
                    yield [tuple(row) for row in batch]
                if limit <= 0:
                    break
    except DBAPIError as error:
        raise Unavailable(_problem(error)) from error


@st.cache_data(max_entries=64, show_spinner=False)
def order(reader: str, version: int, wanted: Order, customers: bool) -> pd.DataFrame:
    """All lines of the order that a line of this number and day is of, and its returns until the number comes again."""
    [days] = _rows("order_days", feed=wanted.feed, sale_id=wanted.sale_id, line_date=wanted.sale_date)
    day: ColumnClause[date] = column("sale_date")
    ordered, again = days["order_date"], days["next_date"] or date.max
    of_order = and_(column("feed") == wanted.feed, column("sale_id") == wanted.sale_id)
    lines = select(*_shown(customers)).select_from(table("kpi_order_lines", schema="kpi")).where(of_order)
    rows, columns = _run(
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
        .where(column("sale_date") == day, *_in_scope(scope))
        .group_by(column("file_id"))
        .subquery("held")
    )
    told: list[ColumnClause[Any]] = [
        column(name) for name in ("file_id", "key", "event_at", "loaded_at", "modelled_at")
    ]
    files = table("ops_load_history", *told, schema="ops")
    rows, columns = _run(
        select(files.c.key, held.c.lines, held.c.net_amount, files.c.event_at, files.c.loaded_at, files.c.modelled_at)
        .join_from(held, files, held.c.file_id == files.c.file_id)
        .order_by(held.c.lines.desc(), held.c.file_id)
        .limit(limit)
    )
    return pd.DataFrame(rows, columns=columns)


def _shown(customers: bool) -> list[ColumnClause[Any]]:
    return [column(name) for name in LINE_COLUMNS + (CUSTOMER_COLUMNS if customers else ())]


def _lines(lines: Lines) -> Select[Any]:
    conditions = [column("sale_date").between(lines.start, lines.end), *_in_scope(lines.scope)]
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


def run_rate(version: int, currency: str) -> pd.DataFrame:
    """The last twelve months, oldest first: month, net_sales, run_rate, previous_month_net_sales, target_net_sales.

    The target is the sum of those that there are, `target_of` regions or stores: None where there are none. It is that
    of `planned_places` of the `places` that sold something; `planned_run_rate` is their run rate alone.
    """
    return _run_rate(version, freshness().entries, currency)


@st.cache_data(max_entries=16, show_spinner=False)
def _run_rate(version: int, entries: str, currency: str) -> pd.DataFrame:
    return _frame("run_rate", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def product_classes(version: int, currency: str) -> pd.DataFrame:
    """abc_class, products, net_sales, sales_share, product_share, last_month: a row for each class with products."""
    return _frame("product_classes", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def product_abc(version: int, currency: str, limit: int) -> pd.DataFrame:
    """The first `limit` products by net sales of the twelve months, with their class and the cumulative share."""
    return _frame("product_abc", currency=currency, limit=limit)


@st.cache_data(max_entries=16, show_spinner=False)
def bridge_months(version: int, currency: str) -> dict[str, list[date]]:
    """Comparison (`previous_month`, `last_year`) to the months that have one, newest first."""
    months: dict[str, list[date]] = {}
    for row in _rows("bridge_months", currency=currency):
        months.setdefault(row["comparison"], []).append(row["month"])
    return months


@st.cache_data(max_entries=64, show_spinner=False)
def bridge(version: int, currency: str, month: date, comparison: str, limit: int) -> pd.DataFrame:
    """The `limit` products whose net sales changed most, with their effects and, in total_*, those of all products.

    Each row also says which days are compared: is_month_complete, last_day, base_last_day.
    """
    return _frame("bridge", currency=currency, month=month, comparison=comparison, limit=limit)


@st.cache_data(max_entries=8, show_spinner=False)
def history_marts(version: int) -> dict[str, tuple[datetime, bool]]:
    """Mart of the whole history to when the facts that it was built from were published, and whether later ones are."""
    return {row["mart"]: (row["as_of"], row["is_behind"]) for row in _rows("history_marts")}


@st.cache_data(max_entries=16, show_spinner=False)
def pair_months(version: int) -> list[date]:
    """The months with orders of several products, newest first."""
    return [row["month"] for row in _rows("pair_months")]


@st.cache_data(max_entries=64, show_spinner=False)
def product_pairs(version: int, month: date, by_lift: bool, limit: int) -> pd.DataFrame:
    """The pairs of a month, by lift or by orders: product_a, product_b, orders, support, confidences, lift."""
    return _frame("product_pairs", month=month, by_lift=by_lift, limit=limit)


@st.cache_data(max_entries=64, show_spinner=False)
def product_ratings(version: int, months: tuple[date, date], *, at_least: int, best: bool, limit: int) -> pd.DataFrame:
    """Ratings of the months from first to last, of products with `at_least` so many rated lines, best or worst first.

    product_id, ratings_1 to ratings_5, rated_lines, mean_rating.
    """
    first, last = months
    return _frame(
        "product_ratings", first_month=first, last_month=last, at_least=at_least, best_first=best, limit=limit
    )


@st.cache_data(max_entries=64, show_spinner=False)
def daily_customers(version: int, currency: str, start: date, end: date) -> pd.DataFrame:
    """sale_date, customer_type (new, returning, unknown), customers, orders, sold_value."""
    return _frame("daily_customers", currency=currency, first_date=start, last_date=end)


@st.cache_data(max_entries=16, show_spinner=False)
def monthly_customers(version: int, currency: str) -> pd.DataFrame:
    """The last 24 months, oldest first: customers, new_customers, repeat_customers, orders and their rates.

    is_first_month where the history begins, is_month_complete unless it still runs.
    """
    return _frame("monthly_customers", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def cohorts(version: int, currency: str) -> pd.DataFrame:
    """The cohorts of the last thirteen months, a row for each month since: retention and net sales per member.

    is_first_cohort where the history begins, is_month_complete unless the month since still runs.
    """
    return _frame("cohorts", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def rfm_segments(version: int, currency: str) -> pd.DataFrame:
    """segment, as_of_date, customers, orders, net_sales: the segment that bought for most first."""
    return _frame("rfm_segments", currency=currency)


@st.cache_data(max_entries=64, show_spinner=False)
def top_customers(reader: str, version: int, currency: str, *, by: str, limit: int, offset: int = 0) -> pd.DataFrame:
    """One page of customers, those with most `net_sales` or `orders` of all time first.

    The only read of single customers.
    """
    rows, columns = _run(
        select(*(column(name) for name in CUSTOMER))
        .select_from(table("kpi_customers", schema="kpi"))
        .where(column("currency") == currency)
        .order_by(column(by).desc(), column("customer_id").desc())
        .limit(limit)
        .offset(offset),
        reader=reader,
    )
    return pd.DataFrame(rows, columns=columns)


def targets(version: int, currency: str) -> pd.DataFrame:
    """Every month and place with its target and attainment, latest month first, largest target first."""
    return _targets(version, freshness().entries, currency)


@st.cache_data(max_entries=16, show_spinner=False)
def _targets(version: int, entries: str, currency: str) -> pd.DataFrame:
    return _frame("targets", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def planned(version: int, entries: str, currency: str) -> pd.DataFrame:
    """Every target, of past and future months: month, place_type, place, target_net_sales, changed_by, changed_at."""
    return _frame("planned", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def target_changes(entries: str, currency: str, limit: int) -> pd.DataFrame:
    """The last changes of targets, the newest first.

    month, place_type, place, target_net_sales, changed_by, changed_at, previous_target: that of the change before.
    """
    return _frame("target_changes", currency=currency, limit=limit)


@st.cache_data(max_entries=4, show_spinner=False)
def annotations(entries: str) -> list[dict[str, Any]]:
    """Every note on a day that nobody has deleted, the newest day first."""
    return _rows("annotations")


@st.cache_data(max_entries=32, show_spinner=False)
def rep_ratings(version: int, first: date, last: date, at_least: int) -> pd.DataFrame:
    """Ratings of representatives over the months that begin from `first` to `last`, best mean first.

    Representatives with fewer than `at_least` rated lines are left out.
    """
    return _frame("rep_ratings", first=first, last=last, at_least=at_least)


@st.cache_data(max_entries=16, show_spinner=False)
def pending_payments(version: int, currency: str) -> pd.DataFrame:
    """as_of_date, age, pending_payment_value: a row for each age that has some, the youngest first."""
    return _frame("pending_payments", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def volume_anomalies(version: int, limit: int) -> pd.DataFrame:
    """The newest days, in every currency, whose lines or net sales are not what their weekday had before."""
    return _frame("volume_anomalies", limit=limit)


@st.cache_data(max_entries=64, show_spinner=False)
def files(state: Freshness, statuses: tuple[str, ...], limit: int, offset: int = 0) -> pd.DataFrame:
    """Files by arrival, newest first; no status named means every status."""
    return _frame("files", statuses=list(statuses), limit=limit, offset=offset)


@st.cache_data(max_entries=16, show_spinner=False)
def file_counts(state: Freshness) -> dict[str, int]:
    """Status to the number of files in it, the most frequent first."""
    return {row["status"]: row["files"] for row in _rows("file_counts")}


@st.cache_data(max_entries=16, show_spinner=False)
def quality(state: Freshness, since: datetime) -> dict[str, Any]:
    """files_since (arrived since `since`), rejected_rows of the files that count, rows_read."""
    return _rows("quality", since=since)[0]


@st.cache_data(max_entries=8, show_spinner=False)
def revenue_at_risk(state: Freshness) -> list[dict[str, Any]]:
    """Rejected rows of the files that count, by currency, that of most rows first: readable_rows, revenue_at_risk.

    Rows of no known currency (None) are counted only.
    """
    return _rows("revenue_at_risk")


@st.cache_data(max_entries=8, show_spinner=False)
def sheet_changes(state: Freshness, limit: int) -> list[dict[str, Any]]:
    """The differences of sheets from those of their feed before them, the newest first."""
    return _rows("sheet_changes", limit=limit)


@st.cache_data(max_entries=8, show_spinner=False)
def rejected_rows(reader: str, state: Freshness, limit: int) -> pd.DataFrame:
    """Rejected rows, newest file first, in the order of the file."""
    return read_rejected_rows(reader, limit)


def read_rejected_rows(reader: str, limit: int) -> pd.DataFrame:
    """`rejected_rows` as they are now, past the cache."""
    return _frame("rejected_rows", reader, limit=limit)


@st.cache_data(max_entries=8, show_spinner=False)
def dbt_runs(state: Freshness) -> pd.DataFrame:
    """The last fifty runs of dbt, newest first."""
    return _frame("dbt_runs")


@st.cache_data(max_entries=8, show_spinner=False)
def test_results(state: Freshness) -> pd.DataFrame:
    """The latest result of every dbt test, failures first."""
    return _frame("test_results")


def read(name: str, /, *, person: str | None = None, **parameters: object) -> list[dict[str, Any]]:
    """The answer of a statement of `sql/` now, past the cache; raises Unavailable.

    `person`: who asks, `Rights.person`, where the answer holds what is theirs alone.
    """
    rows, columns = _run(_statement(name), parameters, person=person)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def write(name: str, /, *, person: str | None = None, **parameters: object) -> list[dict[str, Any]]:
    """Carry out a statement of `sql/` that changes what the dashboard itself keeps, and return its rows.

    The login reads only; this is the one transaction that does not, in a role that may change nothing else, and of what
    is somebody's own only that of `person`. Raises Unavailable, and sqlalchemy.exc.IntegrityError where a constraint
    forbids it.
    """
    try:
        with (
            _engine().connect() as connection,
            connection.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False).begin(),
        ):
            connection.execute(TAKE_ROLE, {"role": WRITER, "person": person or "", "local": True})
            result = connection.execute(_statement(name), parameters)
            rows = [dict(row) for row in result.mappings()] if result.returns_rows else []
    except DBAPIError as error:
        raise Unavailable(_problem(error)) from error
    _freshness.clear()  # who has written sees it at once, and not when the notification has come back
    return rows


def _frame(name: str, reader: str = VIEWER, /, **parameters: object) -> pd.DataFrame:
    rows, columns = _read(name, reader, parameters)
    return pd.DataFrame(rows, columns=columns)


def _rows(name: str, reader: str = VIEWER, /, **parameters: object) -> list[dict[str, Any]]:
    rows, columns = _read(name, reader, parameters)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _read(name: str, reader: str, parameters: dict[str, object]) -> tuple[list[tuple[Any, ...]], list[str]]:
    return _run(_statement(name), parameters, reader)


def _run(
    statement: Executable,
    parameters: dict[str, object] | None = None,
    reader: str = VIEWER,
    person: str | None = None,
) -> tuple[list[tuple[Any, ...]], list[str]]:
    try:
        with _engine().connect() as connection:
            connection.execute(TAKE_ROLE, {"role": reader, "person": person or "", "local": False})
            result = connection.execute(statement, parameters)
            return [tuple(row) for row in result], list(result.keys())
    except DBAPIError as error:
        raise Unavailable(_problem(error)) from error


def _problem(error: DBAPIError) -> Problem:
    match error.orig:
        case psycopg.errors.UndefinedTable() | psycopg.errors.InvalidSchemaName() | psycopg.errors.UndefinedColumn():
            return Problem.NOT_BUILT
        case psycopg.errors.InvalidParameterValue():  # no role of that name
            return Problem.NOT_BUILT
        case psycopg.errors.InsufficientPrivilege():
            return Problem.DENIED
        case psycopg.errors.QueryCanceled():
            return Problem.SLOW
        case psycopg.OperationalError():
            return Problem.DOWN
        case _:
            raise error


def _engine() -> Engine:
    return _engine_of(settings().database_url.get_secret_value())


@lru_cache  # not Streamlit's: alerts are judged outside of any session
def _engine_of(database_url: str) -> Engine:
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    # Autocommit: an open read transaction would make dbt wait when it swaps a table.
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "dashboard"},
    )


@lru_cache
def _statement(name: str) -> TextClause:
    return text((SQL / name).with_suffix(".sql").read_text(encoding="utf-8"))
