"""The marts as DataFrames. Every answer is cached under the mart version it was read at, for all sessions.

An answer that only some may have takes the `reader` to read as, which keeps the cached answers of each role apart.
"""

# ruff: noqa: ARG001 -- `version`, `entries` and `state` are part of the cache key, not of the query

from datetime import date, datetime
from typing import Any

import pandas as pd
import streamlit as st
from sqlalchemy import column, select, table

from dashboard import database, freshness
from dashboard.freshness import Freshness

CUSTOMER = (
    "customer_id", "net_sales", "orders", "first_order_date", "last_order_date", "window_net_sales", "window_orders",
)  # fmt: skip


@st.cache_data(max_entries=4, show_spinner=False)
def descriptions(version: int) -> dict[str, str]:
    """`relation.column` to its description, which dbt keeps as a comment in PostgreSQL."""
    return {row["name"]: " ".join(row["description"].split()) for row in database.rows("descriptions")}


@st.cache_data(max_entries=4, show_spinner=False)
def currencies(version: int) -> pd.DataFrame:
    """first_date, last_date, net_sales of each currency, that which sold most first; how far its newest day is.

    complete_until: its last complete day; lines: of the newest day so far; usual_lines: what that weekday usually has.
    The newest day has begun: lines_ahead, up to latest_date, are of days that have not.
    """
    return database.frame("currencies")


@st.cache_data(max_entries=4, show_spinner=False)
def reporting(version: int) -> tuple[str, tuple[str, ...]] | None:
    """The currency into which all sales can be converted, and which currencies have no rate for some of their days.

    None where all sales are in one currency.
    """
    [row] = database.rows("reporting") or [{"currencies": 0}]
    return (row["reporting_currency"], tuple(row["without_rate"])) if row["currencies"] > 1 else None


@st.cache_data(max_entries=16, show_spinner=False)
def members(version: int, currency: str) -> dict[str, tuple[str, ...]]:
    """The members of every dimension but the products that have sales in this currency."""
    return {name: tuple(values) for name, values in database.rows("members", currency=currency)[0].items()}


@st.cache_data(max_entries=16, show_spinner=False)
def product_names(version: int) -> dict[str, str]:
    """product_id to its latest name."""
    return {row["product_id"]: row["product_name"] for row in database.rows("product_names")}


def run_rate(version: int, currency: str) -> pd.DataFrame:
    """The last twelve months, oldest first: month, net_sales, run_rate, previous_month_net_sales, target_net_sales.

    The target is the sum of those that there are, `target_of` regions or stores: None where there are none. It is that
    of `planned_places` of the `places` that sold something; `planned_run_rate` is their run rate alone.
    """
    return _run_rate(version, freshness.shown().entries, currency)


@st.cache_data(max_entries=16, show_spinner=False)
def _run_rate(version: int, entries: str, currency: str) -> pd.DataFrame:
    return database.frame("run_rate", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def product_classes(version: int, currency: str) -> pd.DataFrame:
    """abc_class, products, net_sales, sales_share, product_share, last_month: a row for each class with products."""
    return database.frame("product_classes", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def product_abc(version: int, currency: str, limit: int) -> pd.DataFrame:
    """The first `limit` products by net sales of the twelve months, with their class and the cumulative share."""
    return database.frame("product_abc", currency=currency, limit=limit)


@st.cache_data(max_entries=16, show_spinner=False)
def bridge_months(version: int, currency: str) -> dict[str, list[date]]:
    """Comparison (`previous_month`, `last_year`) to the months that have one, newest first."""
    months: dict[str, list[date]] = {}
    for row in database.rows("bridge_months", currency=currency):
        months.setdefault(row["comparison"], []).append(row["month"])
    return months


@st.cache_data(max_entries=64, show_spinner=False)
def bridge(version: int, currency: str, month: date, comparison: str, limit: int) -> pd.DataFrame:
    """The `limit` products whose net sales changed most, with their effects and, in total_*, those of all products.

    Each row also says which days are compared: is_month_complete, last_day, base_last_day.
    """
    return database.frame("bridge", currency=currency, month=month, comparison=comparison, limit=limit)


@st.cache_data(max_entries=8, show_spinner=False)
def history_marts(version: int) -> dict[str, tuple[datetime, bool]]:
    """Mart of the whole history to when the facts that it was built from were published, and whether later ones are."""
    return {row["mart"]: (row["as_of"], row["is_behind"]) for row in database.rows("history_marts")}


@st.cache_data(max_entries=16, show_spinner=False)
def pair_months(version: int) -> list[date]:
    """The months with orders of several products, newest first."""
    return [row["month"] for row in database.rows("pair_months")]


@st.cache_data(max_entries=64, show_spinner=False)
def product_pairs(version: int, month: date, by_lift: bool, limit: int) -> pd.DataFrame:
    """The pairs of a month, by lift or by orders: product_a, product_b, orders, support, confidences, lift."""
    return database.frame("product_pairs", month=month, by_lift=by_lift, limit=limit)


@st.cache_data(max_entries=64, show_spinner=False)
def product_ratings(version: int, months: tuple[date, date], *, at_least: int, best: bool, limit: int) -> pd.DataFrame:
    """Ratings of the months from first to last, of products with `at_least` so many rated lines, best or worst first.

    product_id, ratings_1 to ratings_5, rated_lines, mean_rating.
    """
    first, last = months
    return database.frame(
        "product_ratings", first_month=first, last_month=last, at_least=at_least, best_first=best, limit=limit
    )


@st.cache_data(max_entries=64, show_spinner=False)
def daily_customers(version: int, currency: str, start: date, end: date) -> pd.DataFrame:
    """sale_date, customer_type (new, returning, unknown), customers, orders, sold_value."""
    return database.frame("daily_customers", currency=currency, first_date=start, last_date=end)


@st.cache_data(max_entries=16, show_spinner=False)
def monthly_customers(version: int, currency: str) -> pd.DataFrame:
    """The last 24 months, oldest first: customers, new_customers, repeat_customers, orders and their rates.

    is_first_month where the history begins, is_month_complete unless it still runs.
    """
    return database.frame("monthly_customers", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def cohorts(version: int, currency: str) -> pd.DataFrame:
    """The cohorts of the last thirteen months, a row for each month since: retention and net sales per member.

    is_first_cohort where the history begins, is_month_complete unless the month since still runs.
    """
    return database.frame("cohorts", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def rfm_segments(version: int, currency: str) -> pd.DataFrame:
    """segment, as_of_date, customers, orders, net_sales: the segment that bought for most first."""
    return database.frame("rfm_segments", currency=currency)


@st.cache_data(max_entries=64, show_spinner=False)
def top_customers(reader: str, version: int, currency: str, *, by: str, limit: int, offset: int = 0) -> pd.DataFrame:
    """One page of customers, those with most `net_sales` or `orders` of all time first.

    The only read of single customers.
    """
    rows, columns = database.run(
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
    return _targets(version, freshness.shown().entries, currency)


@st.cache_data(max_entries=16, show_spinner=False)
def _targets(version: int, entries: str, currency: str) -> pd.DataFrame:
    return database.frame("targets", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def planned(version: int, entries: str, currency: str) -> pd.DataFrame:
    """Every target, of past and future months: month, place_type, place, target_net_sales, changed_by, changed_at."""
    return database.frame("planned", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def target_changes(entries: str, currency: str, limit: int) -> pd.DataFrame:
    """The last changes of targets, the newest first.

    month, place_type, place, target_net_sales, changed_by, changed_at, previous_target: that of the change before.
    """
    return database.frame("target_changes", currency=currency, limit=limit)


@st.cache_data(max_entries=4, show_spinner=False)
def annotations(entries: str) -> list[dict[str, Any]]:
    """Every note on a day that nobody has deleted, the newest day first."""
    return database.rows("annotations")


@st.cache_data(max_entries=32, show_spinner=False)
def rep_ratings(version: int, first: date, last: date, at_least: int) -> pd.DataFrame:
    """Ratings of representatives over the months that begin from `first` to `last`, best mean first.

    Representatives with fewer than `at_least` rated lines are left out.
    """
    return database.frame("rep_ratings", first=first, last=last, at_least=at_least)


@st.cache_data(max_entries=16, show_spinner=False)
def pending_payments(version: int, currency: str) -> pd.DataFrame:
    """as_of_date, age, pending_payment_value: a row for each age that has some, the youngest first."""
    return database.frame("pending_payments", currency=currency)


@st.cache_data(max_entries=16, show_spinner=False)
def volume_anomalies(version: int, limit: int) -> pd.DataFrame:
    """The newest days, in every currency, whose lines or net sales are not what their weekday had before."""
    return database.frame("volume_anomalies", limit=limit)


@st.cache_data(max_entries=64, show_spinner=False)
def files(state: Freshness, statuses: tuple[str, ...], limit: int, offset: int = 0) -> pd.DataFrame:
    """Files by arrival, newest first; no status named means every status."""
    return database.frame("files", statuses=list(statuses), limit=limit, offset=offset)


@st.cache_data(max_entries=16, show_spinner=False)
def file_counts(state: Freshness) -> dict[str, int]:
    """Status to the number of files in it, the most frequent first."""
    return {row["status"]: row["files"] for row in database.rows("file_counts")}


@st.cache_data(max_entries=16, show_spinner=False)
def quality(state: Freshness, since: datetime) -> dict[str, Any]:
    """files_since (arrived since `since`), rejected_rows of the files that count, rows_read."""
    return database.rows("quality", since=since)[0]


@st.cache_data(max_entries=8, show_spinner=False)
def revenue_at_risk(state: Freshness) -> list[dict[str, Any]]:
    """Rejected rows of the files that count, by currency, that of most rows first: readable_rows, revenue_at_risk.

    Rows of no known currency (None) are counted only.
    """
    return database.rows("revenue_at_risk")


@st.cache_data(max_entries=8, show_spinner=False)
def sheet_changes(state: Freshness, limit: int) -> list[dict[str, Any]]:
    """The differences of sheets from those of their feed before them, the newest first."""
    return database.rows("sheet_changes", limit=limit)


@st.cache_data(max_entries=8, show_spinner=False)
def rejected_rows(reader: str, state: Freshness, limit: int) -> pd.DataFrame:
    """Rejected rows, newest file first, in the order of the file."""
    return read_rejected_rows(reader, limit)


def read_rejected_rows(reader: str, limit: int) -> pd.DataFrame:
    """`rejected_rows` as they are now, past the cache."""
    return database.frame("rejected_rows", reader, limit=limit)


@st.cache_data(max_entries=8, show_spinner=False)
def dbt_runs(state: Freshness) -> pd.DataFrame:
    """The last fifty runs of dbt, newest first."""
    return database.frame("dbt_runs")


@st.cache_data(max_entries=8, show_spinner=False)
def test_results(state: Freshness) -> pd.DataFrame:
    """The latest result of every dbt test, failures first."""
    return database.frame("test_results")
