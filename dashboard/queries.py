"""SQL to DataFrame. Every answer is cached under the mart version it was read at, for all sessions of the process."""

# ruff: noqa: ARG001 -- `version`, `state` and `heard` are part of the cache key, not of the query

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg.errors
import streamlit as st
from sqlalchemy import (
    ColumnClause,
    Engine,
    Executable,
    TextClause,
    column,
    create_engine,
    func,
    make_url,
    select,
    table,
    text,
)
from sqlalchemy.exc import DBAPIError

from dashboard import push
from dashboard.settings import settings

SQL = Path(__file__).parent / "sql"
CONNECT_SECONDS = 3
FRESHNESS_SECONDS = 1.5  # so many sessions that look at the same moment cost one read


class Problem(Enum):
    """Why nothing can be shown."""

    DOWN = "The database does not answer."
    NOT_BUILT = "The marts are not built yet."
    DENIED = "The dashboard's role may not read the marts."
    SLOW = "The database took too long to answer."


class Unavailable(Exception):
    """A read failed for a reason that the page can explain; the driver's own error is its cause."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True)
class Freshness:
    """The published state of the marts and of the pipeline that feeds them: one row of ops.ops_freshness."""

    mart_version: int
    published_at: datetime
    last_event_at: datetime | None
    last_loaded_at: datetime | None
    last_modelled_at: datetime | None
    files_waiting: int
    dates_waiting: int
    last_run_status: str | None
    last_run_error: str | None
    latency_p50_seconds: Decimal | None
    latency_p95_seconds: Decimal | None


@dataclass(frozen=True)
class Scope:
    """Which sales count: one currency, and of some dimensions the members kept (a dimension not named keeps all)."""

    currency: str
    kept: tuple[tuple[str, tuple[str, ...]], ...] = ()


# What sales can be filtered and grouped by, and the column that holds it.
DIMENSIONS = {
    "category": "product_category",
    "product": "product_id",
    "region": "sales_region",
    "channel": "sales_channel",
    "store": "store_id",
    "rep": "sales_representative",
}
PLACES = {"region", "channel", "store", "rep"}
# The daily marts with the dimensions they have, the smallest first: a question is asked of the first that can answer.
MARTS = {
    "kpi_daily_category_sales": {"category"},
    "kpi_daily_sales": PLACES,
    "kpi_daily_product_sales": {"product", "category"},
    "kpi_daily_place_category_sales": PLACES | {"category"},
    "kpi_daily_place_product_sales": PLACES | {"category", "product"},
}
MEASURES = (
    "gross_sales", "discounts", "returns", "net_sales", "orders", "units_sold", "returned_units", "cost_amount",
    "gross_margin", "costed_net_sales", "cancelled_value", "pending_payment_value", "delivered_lines",
    "delivered_on_time_lines", "delivery_days", "lines",
)  # fmt: skip
CUSTOMER = (
    "customer_id", "net_sales", "orders", "units_sold", "first_order_date", "last_order_date", "window_net_sales",
    "window_orders",
)  # fmt: skip


def freshness() -> Freshness:
    """The state now; raises Unavailable."""
    return _freshness(push.heard())


@st.cache_data(ttl=FRESHNESS_SECONDS, max_entries=2, show_spinner=False)
def _freshness(heard: int) -> Freshness:
    return Freshness(**_rows("freshness")[0])


@st.cache_data(max_entries=4, show_spinner=False)
def descriptions(version: int) -> dict[str, str]:
    """`relation.column` to its description, which dbt keeps as a comment in PostgreSQL."""
    return {row["name"]: " ".join(row["description"].split()) for row in _rows("descriptions")}


@st.cache_data(max_entries=4, show_spinner=False)
def currencies(version: int) -> pd.DataFrame:
    """currency, first_date, last_date, net_sales: the currency that sold most first."""
    return _frame("currencies")


@st.cache_data(max_entries=16, show_spinner=False)
def members(version: int, currency: str) -> dict[str, tuple[str, ...]]:
    """The members of every dimension but the products that have sales in this currency."""
    return {name: tuple(values) for name, values in _rows("members", currency=currency)[0].items()}


@st.cache_data(max_entries=16, show_spinner=False)
def product_names(version: int) -> dict[str, str]:
    """product_id to its latest name."""
    return {row["product_id"]: row["product_name"] for row in _rows("product_names")}


@st.cache_data(max_entries=256, show_spinner=False)
def sales(version: int, scope: Scope, start: date, end: date, by: tuple[str, ...] = ("date",)) -> pd.DataFrame:
    """The sums MEASURES of the dates from `start` to `end`: a row for each combination of `by` that has lines.

    `by` names dimensions, or "date", whose columns are then `sale_date` and those of DIMENSIONS; empty: one row at
    most. Orders are right for each row; those of several categories or products must not be added up.
    """
    needed = {*by, *(dimension for dimension, _ in scope.kept)} - {"date"}
    mart = next(name for name, dimensions in MARTS.items() if needed <= dimensions)
    groups: list[ColumnClause[Any]] = [column("sale_date" if name == "date" else DIMENSIONS[name]) for name in by]
    conditions = [column(DIMENSIONS[name]).in_(values) for name, values in scope.kept]
    rows, columns = _run(
        select(*groups, *(func.sum(column(name)).label(name) for name in MEASURES))
        .select_from(table(mart, schema="kpi"))
        .where(column("sale_date").between(start, end), column("currency") == scope.currency, *conditions)
        .group_by(*groups)
        .having(func.count() > 0)
        .order_by(*groups)
    )
    return pd.DataFrame(rows, columns=columns)


@st.cache_data(max_entries=16, show_spinner=False)
def run_rate(version: int, currency: str) -> pd.DataFrame:
    """The last twelve months, oldest first: month, net_sales, run_rate, previous_month_net_sales."""
    return _frame("run_rate", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def product_classes(version: int, currency: str) -> pd.DataFrame:
    """abc_class, products, net_sales, sales_share, product_share, last_month: a row for each class that has products."""
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
    """The `limit` products whose net sales changed most, with their effects and, in total_*, those of all products."""
    return _frame("bridge", currency=currency, month=month, comparison=comparison, limit=limit)


@st.cache_data(max_entries=16, show_spinner=False)
def pair_months(version: int) -> list[date]:
    """The months with orders of several products, newest first."""
    return [row["month"] for row in _rows("pair_months")]


@st.cache_data(max_entries=64, show_spinner=False)
def product_pairs(version: int, month: date, by_lift: bool, limit: int) -> pd.DataFrame:
    """The pairs of a month, by lift or by orders: product_a, product_b, orders, support, confidences, lift."""
    return _frame("product_pairs", month=month, by_lift=by_lift, limit=limit)


@st.cache_data(max_entries=64, show_spinner=False)
def product_ratings(
    version: int, first_month: date, last_month: date, at_least: int, best_first: bool, limit: int
) -> pd.DataFrame:
    """Products with `at_least` so many rated lines in these months: ratings_1 to ratings_5, rated_lines, mean_rating."""
    return _frame(
        "product_ratings", first_month=first_month, last_month=last_month, at_least=at_least, best_first=best_first,
        limit=limit,
    )  # fmt: skip


@st.cache_data(max_entries=64, show_spinner=False)
def daily_customers(version: int, currency: str, start: date, end: date) -> pd.DataFrame:
    """sale_date, customer_type (new, returning, unknown), customers, orders, order_value."""
    return _frame("daily_customers", currency=currency, first_date=start, last_date=end)


@st.cache_data(max_entries=16, show_spinner=False)
def monthly_customers(version: int, currency: str) -> pd.DataFrame:
    """The last 24 months, oldest first: customers, new_customers, repeat_customers, orders and their rates."""
    return _frame("monthly_customers", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def cohorts(version: int, currency: str) -> pd.DataFrame:
    """The cohorts of the last thirteen months, a row for each month since: retention and net sales per member."""
    return _frame("cohorts", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def rfm_segments(version: int, currency: str) -> pd.DataFrame:
    """segment, as_of_date, customers, orders, net_sales: the segment that bought for most first."""
    return _frame("rfm_segments", currency=currency)


@st.cache_data(max_entries=64, show_spinner=False)
def top_customers(version: int, currency: str, by: str, limit: int, offset: int = 0) -> pd.DataFrame:
    """One page of customers, those with most `net_sales` or `orders` of all time first: all figures of kpi_customers.

    The only read of single customers.
    """
    rows, columns = _run(
        select(*(column(name) for name in CUSTOMER))
        .select_from(table("kpi_customers", schema="kpi"))
        .where(column("currency") == currency)
        .order_by(column(by).desc(), column("customer_id").desc())
        .limit(limit)
        .offset(offset)
    )
    return pd.DataFrame(rows, columns=columns)


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
    """files_since (arrived since `since`), rejected_rows and revenue_at_risk of the files that count, rows_read."""
    return _rows("quality", since=since)[0]


@st.cache_data(max_entries=8, show_spinner=False)
def rejected_rows(state: Freshness, limit: int) -> pd.DataFrame:
    """Rejected rows, newest file first, in the order of the file."""
    return _frame("rejected_rows", limit=limit)


@st.cache_data(max_entries=8, show_spinner=False)
def dbt_runs(state: Freshness) -> pd.DataFrame:
    """The last fifty runs of dbt, newest first."""
    return _frame("dbt_runs")


@st.cache_data(max_entries=8, show_spinner=False)
def test_results(state: Freshness) -> pd.DataFrame:
    """The latest result of every dbt test, failures first."""
    return _frame("test_results")


def _frame(name: str, **parameters: object) -> pd.DataFrame:
    rows, columns = _read(name, parameters)
    return pd.DataFrame(rows, columns=columns)


def _rows(name: str, **parameters: object) -> list[dict[str, Any]]:
    rows, columns = _read(name, parameters)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _read(name: str, parameters: dict[str, object]) -> tuple[list[tuple[Any, ...]], list[str]]:
    return _run(_statement(name), parameters)


def _run(statement: Executable, parameters: dict[str, object] | None = None) -> tuple[list[tuple[Any, ...]], list[str]]:
    try:
        with _engine().connect() as connection:
            result = connection.execute(statement, parameters)
            return [tuple(row) for row in result], list(result.keys())
    except DBAPIError as error:
        raise Unavailable(_problem(error)) from error


def _problem(error: DBAPIError) -> Problem:
    match error.orig:
        case psycopg.errors.UndefinedTable() | psycopg.errors.InvalidSchemaName() | psycopg.errors.UndefinedColumn():
            return Problem.NOT_BUILT
        case psycopg.errors.InsufficientPrivilege():
            return Problem.DENIED
        case psycopg.errors.QueryCanceled():
            return Problem.SLOW
        case psycopg.OperationalError():
            return Problem.DOWN
        case _:
            raise error


@st.cache_resource(on_release=Engine.dispose)
def _engine() -> Engine:
    url = make_url(settings().database_url.get_secret_value()).set(drivername="postgresql+psycopg")
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
