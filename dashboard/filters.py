"""What the viewer chose: period, comparison, granularity, currency and filters, the same on every page, in the URL."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard import links, queries
from dashboard.queries import Scope

PERIODS = ("Today", "7D", "28D", "MTD", "QTD", "YTD", "Custom")
PERIOD = "28D"
BASES = ("Previous period", "Last year", "None")
GRAINS = ("Day", "Week", "Month")
LABELS = {
    "category": "Category", "product": "Product", "region": "Region", "channel": "Channel", "store": "Store",
    "rep": "Representative",
}  # fmt: skip
SEVERAL = ("region", "channel")  # of the others one member is kept, which keeps their orders exact
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

    def dates(self) -> list[date]:
        """Each of them; none where the end lies before the start."""
        return [self.start + timedelta(days=offset) for offset in range(self.days)]

    def back(self, by: timedelta) -> "Span":
        """The span of equal length that much earlier."""
        return Span(self.start - by, self.end - by)

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


@dataclass(frozen=True)
class View:
    """One state of the filters.

    `since` is the first date with sales, before which no comparison is fair, and `last` the last; up to `complete` all
    days are over.
    """

    period: str
    span: Span
    past: Span | None  # None: the viewer wants no comparison
    grain: str
    scope: Scope
    since: date
    last: date
    complete: date
    version: int

    @property
    def day_in_progress(self) -> date | None:
        """The newest day, until its usual share of sales has arrived or a later day has sales."""
        return self.last if self.complete < self.last else None

    @property
    def is_running(self) -> bool:
        """Whether the period reaches into the day in progress."""
        return self.span.end > self.complete

    @property
    def comparable(self) -> Span | None:
        """The dates to compare with, where that is wanted and fair: complete days with complete days that are known."""
        return self.past if self.past and self.knows(self.past.start) and not self.is_running else None

    def knows(self, day: date) -> bool:
        """Whether the history reaches back to that day; what began before it would only show how young it is."""
        return day >= self.since

    @property
    def filtered(self) -> bool:
        return bool(self.scope.kept)

    def sales(self, span: Span, *by: str, shown: tuple[str, ...] = queries.MEASURES) -> pd.DataFrame:
        """`queries.sales` of these dates under the filters, with what is `shown`; by date where no other is named."""
        sums = queries.asked_for(by, shown)
        return queries.sales(self.version, self.scope, span.start, span.end, by or ("date",), sums=sums)

    def total(self, span: Span) -> pd.DataFrame:
        """`queries.sales` of these dates in one row, or none."""
        return queries.sales(self.version, self.scope, span.start, span.end, ())


def period_span(period: str, last: date, complete: date, custom: Span) -> Span:
    """The dates of a preset: for Today the last date with sales, else what ends on the last one that is complete."""
    match period:
        case "Today":
            return Span(last, last)
        case "MTD":
            return Span(complete.replace(day=1), complete)
        case "QTD":
            return Span(date(complete.year, 3 * ((complete.month - 1) // 3) + 1, 1), complete)
        case "YTD":
            return Span(date(complete.year, 1, 1), complete)
        case "Custom":
            return custom
        case _:
            return Span(complete - timedelta(days=int(period.removesuffix("D")) - 1), complete)


def comparison(period: str, span: Span, basis: str) -> Span | None:
    """What a period is fairly compared with.

    Last year means 364 days earlier, weekday for weekday. The previous period is the same weekday of the week before
    for a single preset day, the same elapsed days of the month, quarter or year before for a period to date, and the
    days just before otherwise.
    """
    if basis == "None":
        return None
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
    """Draw the filter row and return what it says; each is in the URL."""
    offered = list(currencies["currency"])
    known = {row["currency"]: row for row in currencies.to_dict("records")}

    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        period = links.choose(
            st.segmented_control, "Period", PERIODS, default=PERIOD, required=True, key="period", wrap=True
        )
        basis = links.choose(st.selectbox, "Compare with", BASES, key="compare", width=160)
        currency = offered[0]
        if len(offered) > 1:
            currency = links.choose(st.selectbox, "Currency", offered, key="currency", width=100)
        else:
            links.check("currency", set(links.asked("currency")) <= {currency})
        newest = known[currency]
        limit, complete = Span(newest["first_date"], newest["last_date"]), newest["complete_until"]
        choices = queries.members(version, currency) | {"product": tuple(queries.product_names(version))}
        kept = {}
        for name in SEVERAL:
            kept[name] = links.choose(
                st.multiselect, LABELS[name], choices[name], most=None, key=name, placeholder=f"All {name}s", width=170
            )
        with st.popover("More", icon=":material/tune:", help="Granularity of the charts, and more filters"):
            grain = links.choose(st.segmented_control, "Granularity", GRAINS, default="Day", required=True, key="grain")
            for name, label in LABELS.items():
                if name not in SEVERAL:
                    one = links.choose(st.selectbox, label, choices[name], index=None, key=name, placeholder="All")
                    kept[name] = [one] if one is not None else []
        latest = Span(complete, complete).widened(TREND_DAYS)
        custom = Span(max(latest.start, limit.start), complete)
        if period == "Custom":
            picked = links.enter(
                st.date_input,
                "Dates",
                (custom.start, custom.end),
                min_value=limit.start,
                max_value=limit.end,
                key="dates",
                fits=possible_dates(links.asked("dates"), limit),
                width=230,
            )
            # While the second date has not been picked yet, the first stands alone.
            if isinstance(picked, tuple) and picked and picked[0] <= picked[-1]:
                custom = Span(picked[0], picked[-1])
    _chips(kept, queries.product_names(version))

    scope = Scope(currency, tuple((name, tuple(sorted(values))) for name, values in sorted(kept.items()) if values))
    view = _view(version, scope, limit, complete, period=period, basis=basis, grain=grain, custom=custom)
    if view.day_in_progress:
        st.caption(_so_far(view, newest["lines"], newest["usual_lines"]))
    if view.last > (today := viewers_today()):
        st.info(
            f"The latest sales are of {Span(view.last, view.last)}, a day that has not begun by your clock "
            f"({Span(today, today)}): a sheet has a wrong date, or comes from where it is later. *Today* is that day.",
            icon=":material/event_upcoming:",
        )
    st.session_state["view"] = view
    return view


def of_parameters(
    version: int, currencies: pd.DataFrame, parameters: Sequence[tuple[str, str]]
) -> tuple[View, list[str]]:
    """The view of complete days that the parameters of a link choose, and the names of those that fit nothing here.

    What `choose` reads from its widgets, for whom there are none: a report. *Today* is the last complete day.
    """
    asked: dict[str, list[str]] = {}
    for name, value in parameters:
        if value:
            asked.setdefault(name, []).append(value)
    missing = []

    def members(name: str, options: Sequence[str], most: int | None = 1) -> list[str]:
        values = asked.get(name, [])
        if set(values) <= set(options) and (most is None or len(values) <= most):
            return values
        missing.append(name)
        return []

    def one(name: str, options: Sequence[str], usual: str) -> str:
        return next(iter(members(name, options)), usual)

    known = {row["currency"]: row for row in currencies.to_dict("records")}
    currency = one("currency", list(known), next(iter(known)))
    complete = known[currency]["complete_until"]
    limit = Span(known[currency]["first_date"], complete)
    choices = queries.members(version, currency) | {"product": tuple(queries.product_names(version))}
    kept = {name: members(name, choices[name], None if name in SEVERAL else 1) for name in LABELS}
    scope = Scope(currency, tuple((name, tuple(sorted(values))) for name, values in sorted(kept.items()) if values))
    dates = asked.get("dates", [])
    custom = Span(max(complete - timedelta(days=TREND_DAYS - 1), limit.start), complete)
    if dates and possible_dates(dates, limit):
        custom = Span(date.fromisoformat(dates[0]), date.fromisoformat(dates[-1]))
    elif dates:
        missing.append("dates")
    period, basis, grain = one("period", PERIODS, PERIOD), one("compare", BASES, BASES[0]), one("grain", GRAINS, "Day")
    view = _view(version, scope, limit, complete, period=period, basis=basis, grain=grain, custom=custom)
    return view, missing


def _view(
    version: int, scope: Scope, limit: Span, complete: date, *, period: str, basis: str, grain: str, custom: Span
) -> View:
    """What these choices come to; `limit`: the first and the last date with sales."""
    span = period_span(period, limit.end, complete, custom)
    return View(
        period=period,
        span=span,
        past=comparison(period, span, basis),
        grain=grain,
        scope=scope,
        since=limit.start,
        last=limit.end,
        complete=complete,
        version=version,
    )


def viewers_today() -> date:
    """The date by the viewer's clock."""
    return datetime.now(ZoneInfo(st.context.timezone or "UTC")).date()


def _so_far(view: View, lines: int, usual: int) -> str:
    """What the day in progress has by now, and what that means for the figures."""
    day = f"{view.last:%a} {view.last.day} {view.last:%b}"
    whatever = ", whatever the filters" if view.filtered else ""
    share = f"{lines:,} of the {usual:,} sales lines that a {view.last:%A} usually has have arrived{whatever}"
    if view.is_running:
        return f"**{day} is in progress**: {share}. Until it is complete, nothing is compared with whole days."
    return f"**{day} is in progress**: {share}. Figures are of complete days, to {Span(view.complete, view.complete)}."


def chosen() -> View:
    """What the shell has drawn, for the page under it."""
    view: View = st.session_state["view"]
    return view


def keep(dimension: str, member: str | None) -> None:
    """For a widget's callback: filter everything by this member, or by none. Asked twice, the filter goes again."""
    if dimension in SEVERAL:
        here = st.session_state[dimension]
        st.session_state[dimension] = [] if member is None or here == [member] else [member]
    else:
        st.session_state[dimension] = None if st.session_state[dimension] == member else member


def _chips(kept: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> None:
    """One button for each filter of the popover, which otherwise nobody would see; pressing it takes it away."""
    shown = [(name, member) for name, values in kept.items() if name not in SEVERAL for member in values]
    if shown:
        with st.container(horizontal=True, key="chips"):
            for name, member in shown:
                text = names.get(member, member) if name == "product" else member
                st.button(
                    f"{LABELS[name]}: {escape(text) or '(none)'}",
                    icon=":material/close:",
                    key=f"chip-{name}",
                    help=f"Show every {LABELS[name].lower()} again",
                    on_click=keep,
                    args=(name, None),
                )


def escape(words: str) -> str:
    """Text as Markdown that shows just it: names come from sheets."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!<>|~$:&])", r"\\\1", words)


def possible_dates(asked: Sequence[str], limit: Span) -> bool:
    """Whether each date in the URL is one, lies within the sales, and not before the one it follows."""
    try:
        days = [date.fromisoformat(value) for value in asked]
    except ValueError:
        return False
    return len(days) <= 2 and days == sorted(days) and all(limit.start <= day <= limit.end for day in days)
