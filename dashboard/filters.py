"""What the viewer chose: period, comparison, currency, regions and channels, all kept in the URL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd
import streamlit as st

from dashboard import queries
from dashboard.queries import Scope

PERIODS = ("Today", "7D", "28D", "MTD", "QTD", "YTD", "Custom")
PERIOD = "28D"
BASES = ("Previous period", "Last year")
LAST_YEAR = timedelta(days=364)  # 52 weeks: every weekday meets the same weekday
TREND_DAYS = 28  # a shorter period is drawn within the days that led up to it


@dataclass(frozen=True)
class Span:
    """Dates from `start` to `end`, both included."""

    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1

    def back(self, by: timedelta) -> "Span":
        """The span of equal length that much earlier."""
        return Span(self.start - by, self.end - by)

    def widened(self, days: int) -> "Span":
        """The span that ends on the same day and has at least that many days."""
        return Span(min(self.start, self.end - timedelta(days=days - 1)), self.end)

    def __str__(self) -> str:
        """As short as it is unambiguous: `23 Nov 2026`, `1 to 23 Nov 2026`, `27 Oct to 23 Nov 2026`."""
        end = f"{self.end.day} {self.end:%b %Y}"
        if self.start == self.end:
            return end
        if (self.start.year, self.start.month) == (self.end.year, self.end.month):
            return f"{self.start.day} to {end}"
        if self.start.year == self.end.year:
            return f"{self.start.day} {self.start:%b} to {end}"
        return f"{self.start.day} {self.start:%b %Y} to {end}"


@dataclass(frozen=True)
class View:
    """One state of the filters. `since` is the first date with sales, before which no comparison is fair."""

    period: str
    span: Span
    past: Span
    scope: Scope
    since: date

    @property
    def comparable(self) -> bool:
        return self.past.start >= self.since

    @property
    def filtered(self) -> bool:
        return bool(self.scope.regions or self.scope.channels)


def period_span(period: str, last: date, custom: Span) -> Span:
    """The dates of a preset that ends on the last date with sales."""
    match period:
        case "Today":
            return Span(last, last)
        case "MTD":
            return Span(last.replace(day=1), last)
        case "QTD":
            return Span(date(last.year, 3 * ((last.month - 1) // 3) + 1, 1), last)
        case "YTD":
            return Span(date(last.year, 1, 1), last)
        case "Custom":
            return custom
        case _:
            return Span(last - timedelta(days=int(period.removesuffix("D")) - 1), last)


def comparison(period: str, span: Span, basis: str) -> Span:
    """What a period is fairly compared with.

    Last year means 364 days earlier, weekday for weekday. The previous period is the same weekday of the week before
    for a single preset day, the same elapsed days of the month, quarter or year before for a period to date, and the
    days just before otherwise.
    """
    if basis == "Last year":
        return span.back(LAST_YEAR)
    months = {"MTD": 1, "QTD": 3, "YTD": 12}.get(period)
    if months is None:
        return span.back(timedelta(days=7 if period == "Today" else span.days))
    month_index = span.start.year * 12 + span.start.month - 1 - months
    start = date(month_index // 12, month_index % 12 + 1, 1)
    # A shorter month, such as February, is compared whole, never with days of the month that follows it.
    return Span(start, min(start + timedelta(days=span.days - 1), span.start - timedelta(days=1)))


def choose(version: int, currencies: pd.DataFrame) -> View:
    """Draw the filter row and return what it says; a value in the URL that cannot be is named and ignored."""
    offered = list(currencies["currency"])
    limits = {row["currency"]: Span(row["first_date"], row["last_date"]) for row in currencies.to_dict("records")}
    asked = {name: st.query_params.get_all(name) for name in ("period", "compare", "currency", "region", "channel")}
    asked_dates = st.query_params.get_all("dates") if "Custom" in asked["period"] else []

    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        period = st.segmented_control(
            "Period", PERIODS, default=PERIOD, required=True, key="period", bind="query-params", wrap=True
        )
        basis = st.selectbox("Compare with", BASES, key="compare", bind="query-params", width=160)
        currency = offered[0]
        if len(offered) > 1:
            currency = st.selectbox("Currency", offered, key="currency", bind="query-params", width=100)
        limit = limits[currency]
        choices = queries.dimensions(version, currency)
        regions = st.multiselect(
            "Region", choices["regions"], key="region", bind="query-params", placeholder="All regions", width=185
        )
        channels = st.multiselect(
            "Channel", choices["channels"], key="channel", bind="query-params", placeholder="All channels", width=185
        )
        latest = Span(limit.end, limit.end).widened(TREND_DAYS)
        custom = Span(max(latest.start, limit.start), limit.end)
        if period == "Custom":
            picked = st.date_input(
                "Dates",
                value=(custom.start, custom.end),
                min_value=limit.start,
                max_value=limit.end,
                key="dates",
                bind="query-params",
                width=230,
            )
            # While the second date has not been picked yet, the first stands alone.
            custom = Span(picked[0], picked[-1]) if isinstance(picked, tuple) and picked else custom

    allowed = {"period": PERIODS, "compare": BASES, "currency": offered, "region": choices["regions"],
               "channel": choices["channels"]}  # fmt: skip
    if wrong := impossible(asked, allowed) + impossible_dates(asked_dates, limit):
        names = " and a ".join(wrong)
        st.warning(f"The link names a {names} that is not here: shown without it.", icon=":material/link_off:")

    span = period_span(period, limit.end, custom)
    return View(
        period=period,
        span=span,
        past=comparison(period, span, basis),
        scope=Scope(currency, tuple(sorted(regions)), tuple(sorted(channels))),
        since=limit.start,
    )


def impossible(asked: Mapping[str, Sequence[str]], allowed: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the parameters that ask for a value that is not offered."""
    return [name for name, values in asked.items() if not set(values) <= set(allowed[name]) | {""}]


def impossible_dates(asked: Sequence[str], limit: Span) -> list[str]:
    """`["date"]` where a date in the URL is no date or lies outside the sales, else nothing."""
    for value in asked:
        try:
            day = date.fromisoformat(value)
        except ValueError:
            return ["date"]
        if not limit.start <= day <= limit.end:
            return ["date"]
    return []
