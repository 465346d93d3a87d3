"""The rows of a grid: sales by one or two dimensions beside those of other dates, sorted and paged by the database."""

# ruff: noqa: ARG001 -- `version` is part of the cache key, not of the query

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st
from sqlalchemy import ColumnElement, FromClause, Select, and_, case, column, func, select, table

from dashboard import daily_sales, database
from dashboard.daily_sales import Scope
from dashboard.measures import Kind, Measure

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
    rows, columns = database.run(_grid(asked).limit(limit).offset(offset))
    return pd.DataFrame(rows, columns=columns)


def grid_sql(asked: Grid) -> str:
    """The statement that `grid` runs, of all rows, as `sales_sql` gives that of `sales`."""
    return database.written_out(_grid(asked))


def _grid(asked: Grid) -> Select[Any]:
    now = _side(asked, asked.now).subquery("now")
    names = [daily_sales.key(name) for name in asked.by]
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
        first = told["product_name"] if asked.order_by == "product" else keys[daily_sales.key(asked.order_by)]
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
    counting = daily_sales.counting(asked.scope, start, end, asked.by, asked.sums)
    later = (asked.now[0] - start).days
    return daily_sales.statement(
        asked.scope, start, end, asked.by, asked.sums, counting=counting, later=later
    ).order_by(None)


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
