"""Periods of days, and what each is fairly compared with. No Streamlit here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

PERIODS = (
    "Today", "Yesterday", "7D", "28D", "MTD", "Last month", "QTD", "YTD", "12M", "Last year", "Custom",
)  # fmt: skip
PERIOD = "28D"
BASES = ("Previous period", "Last year", "Custom", "None")
DAY = timedelta(days=1)
LAST_YEAR = timedelta(days=364)  # 52 weeks: every weekday meets the same weekday
TO_DATE = {"MTD": 1, "QTD": 3, "YTD": 12}  # periods from the first of so many months on
WHOLE = {"Last month": 1, "12M": 12, "Last year": 12}  # periods of so many months, whatever their days
TREND_DAYS = 28  # a shorter period is drawn within the days that led up to it


@dataclass(frozen=True)
class Span:
    """Dates from `start` to `end`, both included."""

    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1

    def dates(self) -> list[date]:
        """Each of them; none where the end lies before the start."""
        return [self.start + timedelta(days=offset) for offset in range(self.days)]

    def back(self, by: timedelta) -> "Span":
        """The span of equal length that much earlier."""
        return Span(self.start - by, self.end - by)

    def months_back(self, months: int) -> "Span":
        """The span so many months earlier: of whole months, whole months of other lengths."""
        return Span(months_before(self.start, months), months_before(self.end + DAY, months) - DAY)

    def until(self, last: date) -> "Span":
        """The part of the span up to that day."""
        return Span(self.start, min(self.end, last))

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


def period_span(period: str, last: date, complete: date, custom: Span) -> Span:
    """The dates of a preset: for Today the last date with sales, else what ends on the last one that is complete."""
    latest, month = Span(complete, complete), complete.replace(day=1)
    return {
        "Today": Span(last, last),
        "Yesterday": Span(last - DAY, last - DAY),
        "7D": latest.widened(7),
        "28D": latest.widened(28),
        "MTD": Span(month, complete),
        "Last month": Span(months_before(month, 1), month - DAY),
        "QTD": Span(months_before(month, (month.month - 1) % 3), complete),
        "YTD": Span(month.replace(month=1), complete),
        "12M": Span(months_before(complete + DAY, 12), complete),
        "Last year": Span(date(month.year - 1, 1, 1), date(month.year - 1, 12, 31)),
        "Custom": custom,
    }[period]


def comparison(period: str, span: Span, basis: str) -> Span | None:
    """The dates that a period is fairly compared with; None where there are none, or where the viewer names them.

    Last year means 364 days earlier, weekday for weekday, and of whole months the same months. The previous period is
    the same weekday of the week before for a single preset day, the same elapsed days of the month, quarter or year
    before for a period to date, the months before for whole months, and the days just before otherwise.
    """
    if basis in ("None", "Custom"):
        return None
    if basis == "Last year":
        return span.months_back(12) if period in WHOLE else span.back(LAST_YEAR)
    if period in WHOLE:
        return span.months_back(WHOLE[period])
    if period not in TO_DATE:
        return span.back(timedelta(days=7 if period in ("Today", "Yesterday") else span.days))
    start = months_before(span.start, TO_DATE[period])
    # A shorter month, such as February, is compared whole, never with days of the month that follows it.
    return Span(start, min(start + timedelta(days=span.days - 1), span.start - DAY))


def months_before(day: date, months: int) -> date:
    """The same day of that month, or its last."""
    earlier: date = (pd.Timestamp(day) - pd.DateOffset(months=months)).date()
    return earlier


def week_of(day: date, first_weekday: int) -> date:
    """The first day of its week, which begins on that weekday, from 0 (Monday) to 6."""
    return day - timedelta(days=(day.weekday() - first_weekday) % 7)


def possible_dates(asked: Sequence[str], limit: Span) -> bool:
    """Whether each date in the URL is one, lies within the sales, and not before the one it follows."""
    try:
        days = [date.fromisoformat(value) for value in asked]
    except ValueError:
        return False
    return len(days) <= 2 and days == sorted(days) and all(limit.start <= day <= limit.end for day in days)
