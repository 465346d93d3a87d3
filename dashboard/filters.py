"""The viewer's choice: period, comparison, granularity, currency and filters, the same on every page, in the URL."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard import daily_sales, links, queries
from dashboard.books import Book, books_of, choices_of, told_ahead, why_not_converted
from dashboard.daily_sales import Scope
from dashboard.measures import Writer
from dashboard.periods import BASES, PERIOD, PERIODS, TREND_DAYS, Span, comparison, period_span, possible_dates
from dashboard.settings import settings

GRAINS = ("Day", "Week", "Month")
LABELS = {
    "category": "Category", "product": "Product", "region": "Region", "channel": "Channel", "store": "Store",
    "rep": "Representative",
}  # fmt: skip
PLURALS = {"category": "categories", "rep": "representatives"}
IN_ROW = ("region", "channel")  # the others are chosen in the popover
EXCEPT = "except"  # names the dimensions of which what is chosen is left out, and the rest is kept
BEHIND_ID = " · "  # between the identifier of a product and its name
CHIP_MEMBERS = 3


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
    dimensions: tuple[str, ...] = tuple(LABELS)  # by which its sales differ: those with several members

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
        fair = self.past and self.knows(self.past.start) and self.past.end <= self.complete and not self.is_running
        return self.past if fair else None

    def knows(self, day: date) -> bool:
        """Whether the history reaches back to that day; what began before it would only show how young it is."""
        return day >= self.since

    @property
    def filtered(self) -> bool:
        return bool(self.scope.narrowed)

    def sales(self, span: Span, *by: str, shown: tuple[str, ...] = daily_sales.MEASURES) -> pd.DataFrame:
        """`daily_sales.sales` of these dates under the filters, with the sums `shown`; by date where `by` is empty."""
        sums = daily_sales.asked_for(by, shown)
        return daily_sales.sales(self.version, self.scope, span.start, span.end, by or ("date",), sums=sums)

    def total(self, span: Span) -> pd.DataFrame:
        """`daily_sales.sales` of these dates in one row, or none."""
        return daily_sales.sales(self.version, self.scope, span.start, span.end, ())


def choose(version: int, currencies: pd.DataFrame) -> View:
    """Draw the filter row and return what it says; each is in the URL."""
    books = books_of(version, currencies)

    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        name = next(iter(books))
        if len(books) > 1:
            name = links.choose(
                st.selectbox, "Currency", books, key="currency", width=120, help=why_not_converted(version)
            )
        else:
            links.check("currency", set(links.asked("currency")) <= {name})
        book = books[name]
        limit, complete = Span(book.first, book.latest), book.complete
        period = links.choose(st.selectbox, "Period", PERIODS, index=PERIODS.index(PERIOD), key="period", width=130)
        span = period_span(period, book.last, complete, Span(complete, complete).widened(TREND_DAYS))
        if period == "Custom":
            span = _pick("Dates", "dates", span, limit)
        basis = links.choose(st.selectbox, "Compare with", BASES, key="compare", width=160)
        past = comparison(period, span, basis)
        if basis == "Custom":
            past = _pick("Compare with dates", "against", span.back(timedelta(days=span.days)), limit)
        names = queries.product_names(version)
        choices = choices_of(version, book, currencies["currency"])
        chosen = {name: _members(name, choices[name], names, width=170) for name in IN_ROW}
        with st.popover("More", icon=":material/tune:", help="Granularity of the charts, and more filters"):
            grain = links.choose(st.segmented_control, "Granularity", GRAINS, default="Day", required=True, key="grain")
            chosen |= {name: _members(name, choices[name], names) for name in choices if name not in IN_ROW}
            links.choose(
                st.pills,
                "Leave out what is chosen, and keep the rest, of",
                [LABELS[name] for name in LABELS if name in choices],
                most=None,
                selection_mode="multi",
                key=EXCEPT,
            )
    _chips(chosen, names)

    scope = _scope(book, chosen, [name for name in LABELS if _is_left_out(name)])
    view = _view(version, book, scope, choices, period=period, span=span, past=past, grain=grain)
    if book.converted:
        st.caption(
            f"Sales of every currency, converted into {book.currency} at the rate of their day. Products, customers, "
            "targets and order lines are shown of one currency at a time."
        )
    if view.day_in_progress:
        st.caption(_so_far(view, book.lines, book.usual_lines))
    if view.last > (today := viewers_today()):
        st.info(
            f"The latest sales are of {Span(view.last, view.last)}, a day that has not begun by your clock "
            f"({Span(today, today)}): a sheet has a wrong date, or comes from where it is later. *Today* is that day.",
            icon=":material/event_upcoming:",
        )
    if book.lines_ahead:
        st.info(told_ahead(book), icon=":material/event_upcoming:")
    if not daily_sales.orders_known(version, view.scope, span.start, span.end):
        most = Writer(settings().number_style, book.currency).number(daily_sales.MOST_COUNTED, 0)
        st.caption(
            f"How many orders hold any of several products or categories is counted in up to {most} "
            "lines, and this choice has more: orders, and what is divided by them, are shown as –. Take a shorter "
            "period, or keep one of them."
        )
    st.session_state["view"] = view
    return view


def _pick(label: str, key: str, offered: Span, limit: Span) -> Span:
    """Dates that the viewer picks, of those with sales; `offered` until then."""
    offered = Span(max(offered.start, limit.start), max(min(offered.end, limit.end), limit.start))
    picked = links.enter(
        st.date_input,
        label,
        (offered.start, offered.end),
        min_value=limit.start,
        max_value=limit.end,
        key=key,
        fits=possible_dates(links.asked(key), limit),
        width=230,
    )
    # While the second date has not been picked yet, the first stands alone.
    if isinstance(picked, tuple) and picked and picked[0] <= picked[-1]:
        return Span(picked[0], picked[-1])
    return offered


def _members(name: str, choices: Sequence[str], products: Mapping[str, str], **looks: Any) -> list[str]:
    """Draw the filter of a dimension; a search in it finds what a name contains."""
    of_products: dict[str, Any] = {"format_func": partial(_shown, products), "meant": partial(_product, products)}
    chosen: list[str] = links.choose(
        st.multiselect,
        f"{LABELS[name]}, all but" if _is_left_out(name) else LABELS[name],
        choices,
        most=None,
        key=name,
        placeholder=f"All {PLURALS.get(name, f'{name}s')}",
        filter_mode="contains",
        **(of_products if name == "product" else {}),
        **looks,
    )
    return chosen


def _shown(products: Mapping[str, str], product: str) -> str:
    name = products.get(product)
    return product if name in (None, product) else f"{product}{BEHIND_ID}{name}"


def _product(products: Mapping[str, str], named: str) -> str:
    """The product that a link means, which may have the identifier alone, or an earlier name behind it."""
    return named if named in products else named.partition(BEHIND_ID)[0]


def _is_left_out(name: str) -> bool:
    """Whether its members are left out, as the widget says or, before that is drawn, the link."""
    return LABELS[name] in (st.session_state[EXCEPT] if EXCEPT in st.session_state else links.asked(EXCEPT))


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

    def members(name: str, options: Iterable[str], most: int | None = 1) -> list[str]:
        values = asked.get(name, [])
        if set(values) <= set(options) and (most is None or len(values) <= most):
            return values
        missing.append(name)
        return []

    def one(name: str, options: Iterable[str], usual: str) -> str:
        return next(iter(members(name, options)), usual)

    def dates(name: str, usual: Span) -> Span:
        if possible_dates(days := asked.get(name, []), limit):
            return Span(date.fromisoformat(days[0]), date.fromisoformat(days[-1])) if days else usual
        missing.append(name)
        return usual

    books = books_of(version, currencies)
    book = books[one("currency", books, next(iter(books)))]
    book = replace(book, last=book.complete)
    limit, names = Span(book.first, book.last), queries.product_names(version)
    asked["product"] = [_product(names, value) for value in asked.get("product", [])]
    choices = choices_of(version, book, currencies["currency"])
    chosen = {name: members(name, choices.get(name, ()), None) for name in LABELS}
    apart = members(EXCEPT, LABELS.values(), None)
    scope = _scope(book, chosen, [name for name in LABELS if LABELS[name] in apart])
    period, basis, grain = one("period", PERIODS, PERIOD), one("compare", BASES, BASES[0]), one("grain", GRAINS, "Day")
    latest = Span(limit.end, limit.end).widened(TREND_DAYS)
    span = period_span(period, limit.end, limit.end, dates("dates", Span(max(latest.start, limit.start), limit.end)))
    past = comparison(period, span, basis)
    if basis == "Custom":
        past = dates("against", span.back(timedelta(days=span.days)))
    return _view(version, book, scope, choices, period=period, span=span, past=past, grain=grain), missing


def _scope(book: Book, chosen: Mapping[str, Sequence[str]], left_out: Container[str]) -> Scope:
    named = [(name, tuple(sorted(members))) for name, members in sorted(chosen.items()) if members]
    return Scope(
        book.currency,
        kept=tuple(each for each in named if each[0] not in left_out),
        left_out=tuple(each for each in named if each[0] in left_out),
        converted=book.converted,
    )


def _view(
    version: int,
    book: Book,
    scope: Scope,
    choices: Mapping[str, Sequence[str]],
    *,
    period: str,
    span: Span,
    past: Span | None,
    grain: str,
) -> View:
    return View(
        period=period,
        span=span,
        past=past,
        grain=grain,
        scope=scope,
        since=book.first,
        last=book.last,
        complete=book.complete,
        version=version,
        dimensions=tuple(name for name in LABELS if len(choices.get(name, ())) > 1),
    )


def viewers_today() -> date:
    """The date by the viewer's clock."""
    return datetime.now(ZoneInfo(st.context.timezone or "UTC")).date()


def _so_far(view: View, lines: int, usual: int) -> str:
    """A sentence about the day in progress so far, and what it means for the figures."""
    day = f"{view.last:%a} {view.last.day} {view.last:%b}"
    whatever = ", whatever the filters" if view.filtered else ""
    writer = Writer(settings().number_style, view.scope.currency)
    arrived = f"{writer.number(lines, 0)} of the {writer.number(usual, 0)}"
    share = f"{arrived} sales lines that a {view.last:%A} usually has have arrived{whatever}"
    if view.is_running:
        return f"**{day} is in progress**: {share}. Until it is complete, nothing is compared with whole days."
    return f"**{day} is in progress**: {share}. Figures are of complete days, to {Span(view.complete, view.complete)}."


def chosen() -> View:
    """The view that the shell has drawn, for the page under it."""
    view: View = st.session_state["view"]
    return view


def keep(members: Mapping[str, str]) -> None:
    """For a widget's callback: of these dimensions, keep this member alone. Asked twice, the filters go again."""
    again = all(st.session_state[name] == [member] and not _is_left_out(name) for name, member in members.items())
    for name, member in members.items():
        _choose_members(name, [] if again else [member])


def _choose_members(name: str, members: list[str]) -> None:
    st.session_state[name] = members
    st.session_state[EXCEPT] = [label for label in st.session_state[EXCEPT] if label != LABELS[name]]


def _chips(chosen: Mapping[str, Sequence[str]], products: Mapping[str, str]) -> None:
    """A button for each filter that the row does not show as it is; pressing it takes the filter away."""
    shown = {
        name: members for name, members in chosen.items() if members and (name not in IN_ROW or _is_left_out(name))
    }
    if shown:
        with st.container(horizontal=True, key="chips"):
            for name, members in shown.items():
                texts = [(products.get(each, each) if name == "product" else each) or "(none)" for each in members]
                more = f" and {len(texts) - CHIP_MEMBERS} more" if len(texts) > CHIP_MEMBERS else ""
                st.button(
                    f"{LABELS[name]}: {'all but ' if _is_left_out(name) else ''}"
                    f"{escape(', '.join(texts[:CHIP_MEMBERS]))}{more}",
                    icon=":material/close:",
                    key=f"chip-{name}",
                    help=f"Show every {LABELS[name].lower()} again",
                    on_click=_choose_members,
                    args=(name, []),
                )


def escape(words: str) -> str:
    """Text as Markdown that shows just it: names come from sheets."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!<>|~$:&])", r"\\\1", words)
