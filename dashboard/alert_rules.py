"""The rules of alerts: what each looks at, when it fires, and its findings in words. Nothing is read or kept here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd

from dashboard import daily_sales
from dashboard.daily_sales import Scope
from dashboard.measures import MEASURES, MINUS, Kind, Measure, Writer
from dashboard.periods import DAY, Span
from dashboard.settings import settings

COMPARED_DAYS = 62  # so far back lie the two months of which the first begins on the day after


@dataclass(frozen=True)
class Basis:
    """The basis of a rule: the figure of a day, a week or a month, or its change against an earlier one."""

    period: str  # day, week (from Monday on) or month
    label: str
    before: str = ""  # what a change is measured from, in words; empty: the figure itself is judged
    back: int = 0  # days that a day is compared with lie before it; a week or a month follows on that before it

    def ending(self, day: date) -> Span | None:
        """The period whose last day this is."""
        if self.period == "day":
            return Span(day, day)
        if self.period == "week":
            return Span(day - 6 * DAY, day) if day.isoweekday() == 7 else None
        return Span(day.replace(day=1), day) if (day + DAY).day == 1 else None

    def reference(self, span: Span) -> Span | None:
        """The period that it is compared with."""
        if not self.before:
            return None
        return span.back(self.back * DAY) if self.back else self.ending(span.start - DAY)


BASES = {
    "value": Basis("day", "the figure of a day"),
    "previous day": Basis("day", "its change against the day before", "the day before", 1),
    "same weekday": Basis(
        "day", "its change against the same weekday a week before", "the same weekday a week before", 7
    ),
    "week": Basis("week", "the figure of a week, Monday to Sunday"),
    "previous week": Basis("week", "the change of a week against the week before", "the week before"),
    "month": Basis("month", "the figure of a month"),
    "previous month": Basis("month", "the change of a month against the month before", "the month before"),
}


@dataclass(frozen=True)
class Rule:
    """When to raise an alert: one row of dashboard.alert_rules.

    `threshold` is in percent for a share, in percentage points for the change of one, in percent for any other change,
    and in the measure's own unit else. A change falls when its direction is below.
    """

    name: str
    measure: str
    currency: str
    kept: Mapping[str, list[str]]
    basis: str
    direction: str
    threshold: Decimal
    finished_days: bool
    from_date: date
    webhook: bool = False
    email: bool = False
    recipients: tuple[str, ...] = ()  # of mail; none: the addresses of the settings
    enabled: bool = True
    created_by: str | None = None
    rule_id: int | None = None

    @property
    def of(self) -> Measure:
        return MEASURES[self.measure]

    @property
    def scope(self) -> Scope:
        return Scope(self.currency, tuple((name, tuple(members)) for name, members in self.kept.items() if members))

    @property
    def known(self) -> bool:
        """Whether it can be judged: its measure and what it is limited to still exist."""
        return self.measure in MEASURES and self.basis in BASES and set(self.kept) <= set(daily_sales.DIMENSIONS)

    @property
    def channels(self) -> list[str]:
        return [name for name, wanted in (("webhook", self.webhook), ("email", self.email)) if wanted]

    @property
    def judged(self) -> dict[str, Any]:
        """The rule as JSON: kept with what it raises, as the rule may be changed later."""
        return {
            "measure": self.measure, "currency": self.currency, "kept": self.kept, "basis": self.basis,
            "direction": self.direction, "threshold": str(self.threshold),
        }  # fmt: skip


@dataclass(frozen=True)
class Breach:
    """A period that a rule fires on, by its last day; `reference` is what a change is measured from."""

    sale_date: date
    value: Decimal
    reference: Decimal | None


def judge(rule: Rule, daily: pd.DataFrame, start: date, since: date, newest: date) -> list[Breach]:
    """The periods that end from `start` on of which the rule fires, in order.

    `daily` has a row of sums for each day with sales, from COMPARED_DAYS before `start` on; `since` and `newest` are
    the first and the last day with any. Between them a day without a row sold nothing; what reaches beyond them is not
    known. A figure that is not known, or not defined (a ratio of nothing, a change from nothing), never fires. For a
    rule of finished days, a later day has to follow a week or a month, too.
    """
    basis = BASES[rule.basis]
    days = {day: place for place, day in enumerate(daily["sale_date"])}

    def figure(span: Span) -> Decimal | None:
        sold = [days[day] for day in span.dates() if day in days]
        if span.start < since or span.end > newest:
            return None
        if sold:
            return rule.of.over(daily.iloc[sold])
        return Decimal(0) if rule.of.denominator is None else None

    found = []
    last = newest - DAY if rule.finished_days else newest
    for day in Span(start, last).dates():
        if span := basis.ending(day):
            value = figure(span)
            past = basis.reference(span)
            reference = figure(past) if past else None
            if value is not None and _fires(rule, value, reference):
                found.append(Breach(day, value, reference))
    return found


def _fires(rule: Rule, value: Decimal, reference: Decimal | None) -> bool:
    share = rule.of.kind is Kind.SHARE
    if not BASES[rule.basis].before:
        figure = value * 100 if share else value
        return figure > rule.threshold if rule.direction == "above" else figure < rule.threshold
    if reference is None or (not share and reference <= 0):
        return False
    change = (value - reference) * 100 if share else (value / reference - 1) * 100
    return change > rule.threshold if rule.direction == "above" else change < -rule.threshold


def describe(rule: Rule, breach: Breach) -> str:
    """The finding of a rule in words: `Orders on 31 Mar 2026: 12, 18.2% less than the day before (15).`"""
    writer = Writer(settings().number_style, rule.currency)
    kind = rule.of.kind
    figure = f"{rule.of.label} {period_of(rule, breach.sale_date)}: {writer.write(breach.value, kind)}"
    if breach.reference is None:
        return f"{figure}, {rule.direction} {limit(rule)}.{_only(rule)}"
    change = writer.change(breach.value, breach.reference, kind) or ""
    more = "more" if rule.direction == "above" else "less"
    reference = writer.write(breach.reference, kind)
    return f"{figure}, {change.lstrip(f'+{MINUS}')} {more} than {BASES[rule.basis].before} ({reference}).{_only(rule)}"


def period_of(rule: Rule, last_day: date) -> str:
    """`on 31 Mar 2026`, `from 23 to 29 Mar 2026`."""
    span = BASES[rule.basis].ending(last_day) or Span(last_day, last_day)
    return f"on {span}" if span.days == 1 else f"from {span}"


def condition(rule: Rule) -> str:
    """When a rule fires, in a line: `Total sales below $1,000. On finished days.`"""
    basis = BASES[rule.basis]
    when = f" On finished {basis.period}s." if rule.finished_days else ""
    if not basis.before:
        of = "" if basis.period == "day" else f" of a {basis.period}"
        return f"{rule.of.label}{of} {rule.direction} {limit(rule)}.{when}{_only(rule)}"
    verb = "rises" if rule.direction == "above" else "falls"
    return f"{rule.of.label} {verb} by more than {limit(rule)} against {basis.before}.{when}{_only(rule)}"


def limit(rule: Rule) -> str:
    """The threshold with its unit."""
    writer = Writer(settings().number_style, rule.currency)
    share = rule.of.kind is Kind.SHARE
    if BASES[rule.basis].before:
        return f"{writer.number(rule.threshold, 1)}{' pp' if share else '%'}"
    return writer.write(rule.threshold / 100 if share else rule.threshold, rule.of.kind)


def _only(rule: Rule) -> str:
    kept = "; ".join(f"{name} {', '.join(members)}" for name, members in rule.kept.items() if members)
    return f" Only {kept}." if kept else ""
