"""Alerts: rules over the measures of a day, judged at every published version, and told to who is not on the page.

A rule fires once for a day, however often and by however many processes it is judged: a constraint sees to it. What a
rule would have done is answered by the function that judges it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st
import structlog
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from dashboard import notify, push, queries
from dashboard.measures import MEASURES, MINUS, Kind, Measure, Writer
from dashboard.queries import Problem, Scope, Unavailable
from dashboard.settings import settings

BASES = {"value": 0, "previous day": 1, "same weekday": 7}  # the day compared with lies so many days back
BACKTEST_DAYS = 90
LOOK_BACK_DAYS = 35  # a day that is corrected later than that fires no more
MOST_ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 10
SHORTEST_PAUSE_SECONDS = 1
LONGEST_PAUSE_SECONDS = 3600
LEASE_SECONDS = 60  # longer than an attempt can take
RECENT = 50
COUNT_SECONDS = 30  # where no notification comes

log = structlog.get_logger()


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
        return self.measure in MEASURES and self.basis in BASES and set(self.kept) <= set(queries.DIMENSIONS)

    @property
    def channels(self) -> list[str]:
        return [name for name, wanted in (("webhook", self.webhook), ("email", self.email)) if wanted]


@dataclass(frozen=True)
class Breach:
    """A day that a rule fires on; `reference` is what a change is measured from."""

    sale_date: date
    value: Decimal
    reference: Decimal | None


def judge(rule: Rule, daily: pd.DataFrame, start: date, since: date, newest: date) -> list[Breach]:
    """The days from `start` on which the rule fires, in order.

    `daily` has a row of sums for each day with sales, from seven days before `start` on; `since` and `newest` are the
    first and the last day with any. Between them a day without a row sold nothing. A figure that is not defined (a
    ratio of nothing, a change from nothing) never fires.
    """
    rows = {row["sale_date"]: daily.iloc[[place]] for place, row in enumerate(daily.to_dict("records"))}

    def figure(day: date) -> Decimal | None:
        if day in rows:
            return rule.of.over(rows[day])
        return Decimal(0) if since <= day <= newest and rule.of.denominator is None else None

    found = []
    last = newest - timedelta(days=1) if rule.finished_days else newest
    for offset in range((last - start).days + 1):
        day = start + timedelta(days=offset)
        value = figure(day)
        reference = figure(day - timedelta(days=BASES[rule.basis])) if BASES[rule.basis] else None
        if value is not None and _fires(rule, value, reference):
            found.append(Breach(day, value, reference))
    return found


def _fires(rule: Rule, value: Decimal, reference: Decimal | None) -> bool:
    share = rule.of.kind is Kind.SHARE
    if rule.basis == "value":
        figure = value * 100 if share else value
        return figure > rule.threshold if rule.direction == "above" else figure < rule.threshold
    if reference is None or (not share and reference <= 0):
        return False
    change = (value - reference) * 100 if share else (value / reference - 1) * 100
    return change > rule.threshold if rule.direction == "above" else change < -rule.threshold


def breaches(rule: Rule, start: date, since: date, newest: date) -> list[Breach]:
    """The days from `start` on which the rule fires by the marts as they are now."""
    start = max(start, since)
    daily = queries.read_sales(rule.scope, start - timedelta(days=max(BASES.values())), newest, ("date",))
    return judge(rule, daily, start, since, newest)


@st.cache_data(max_entries=64, show_spinner=False)
def backtest(version: int, rule: Rule, since: date, newest: date) -> list[Breach]:  # noqa: ARG001  # a part of the key
    """The days of the last ninety on which the rule would have fired."""
    return breaches(rule, newest - timedelta(days=BACKTEST_DAYS - 1), since, newest)


def evaluate() -> int:
    """Judge every rule that is on by the marts as they are now, and record what fires; returns how much has.

    Raises Unavailable: when nothing can be read, or for one rule after all the others have been judged.
    """
    on = [rule for rule in rules() if rule.enabled and rule.known]
    if not on:
        return 0
    [state] = queries.read("freshness")
    known = {row["currency"]: (row["first_date"], row["last_date"]) for row in queries.read("currencies")}
    fired = 0
    failed: Unavailable | None = None
    for rule in on:
        if rule.currency not in known:
            continue
        try:
            fired += _fire(rule, *known[rule.currency], state["mart_version"])
        except Unavailable as error:
            if error.problem is Problem.DOWN:
                raise
            log.warning("alert_not_judged", rule_id=rule.rule_id, error=str(error))
            failed = error
        except IntegrityError:
            log.info("alert_is_gone", rule_id=rule.rule_id)  # deleted while it was judged
    if failed:
        raise failed
    return fired


def _fire(rule: Rule, since: date, newest: date, mart_version: int) -> int:
    fired = 0
    for breach in breaches(rule, max(rule.from_date, newest - timedelta(days=LOOK_BACK_DAYS)), since, newest):
        recorded = queries.write(
            "fire_alert",
            rule_id=rule.rule_id,
            sale_date=breach.sale_date,
            mart_version=mart_version,
            value=breach.value,
            reference=breach.reference,
            channels=rule.channels,
        )
        fired += len(recorded)
        if recorded:
            log.info("alert_fired", rule_id=rule.rule_id, sale_date=str(breach.sale_date))
    return fired


def deliver() -> float | None:
    """Hand over every delivery that is due, and return the seconds until the next one is; raises Unavailable."""
    while claimed := queries.write("claim_delivery", lease_seconds=LEASE_SECONDS):
        [row] = claimed
        rule = _rule(row)
        error: str | None = "its measure is no longer known"
        if rule.known:
            error = notify.send(row["channel"], _message(row, rule), settings())
        again = None
        if error is not None and rule.known and row["attempts"] < MOST_ATTEMPTS:
            again = min(FIRST_PAUSE_SECONDS * 2 ** (row["attempts"] - 1), LONGEST_PAUSE_SECONDS)
        queries.write(
            "end_delivery", event_id=row["event_id"], channel=row["channel"], error=error, again_seconds=again
        )
        outcome = {"event_id": row["event_id"], "channel": row["channel"], "attempt": row["attempts"]}
        if error is None:
            log.info("alert_delivered", **outcome)
        else:
            log.warning("alert_not_delivered", **outcome, error=error, again_seconds=again)
    [due] = queries.read("next_delivery")
    return None if due["seconds"] is None else max(float(due["seconds"]), SHORTEST_PAUSE_SECONDS)


def _message(row: Mapping[str, Any], rule: Rule) -> notify.Message:
    breach = Breach(row["sale_date"], row["value"], row["reference"])
    return notify.Message(
        event_id=row["event_id"],
        text=describe(rule, breach),
        subject=f"{rule.name}: {rule.of.label} on {breach.sale_date}",
        fields={
            "alert": rule.name,
            "measure": rule.measure,
            "currency": rule.currency,
            "only": rule.kept,
            "basis": rule.basis,
            "direction": rule.direction,
            "threshold": str(rule.threshold),
            "sale_date": str(breach.sale_date),
            "value": str(breach.value),
            "reference": None if breach.reference is None else str(breach.reference),
            "mart_version": row["mart_version"],
            "fired_at": row["fired_at"].isoformat(),
        },
    )


@asynccontextmanager
async def watching(published: asyncio.Event) -> AsyncIterator[None]:
    """Judge and deliver in a thread while inside: whenever `published` is set, and when a delivery is due again."""
    watcher = asyncio.create_task(_watch(published))
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def _watch(published: asyncio.Event) -> None:
    while True:
        judged, _ = await asyncio.to_thread(_attempt, evaluate)
        delivered, pause = await asyncio.to_thread(_attempt, deliver)
        if not (judged and delivered):
            pause = min(pause or LEASE_SECONDS, LEASE_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await published.wait()
        published.clear()


def _attempt(step: Callable[[], float | None]) -> tuple[bool, float | None]:
    """Whether the step could be taken, and its answer: what is not judged keeps nothing from being delivered."""
    try:
        return True, step()
    except (Unavailable, ValidationError) as error:
        reason = str(error) if isinstance(error, Unavailable) else "settings"
        log.warning("alerts_not_judged", step=step.__name__, error=reason)
    except Exception:  # the dashboard shows what it can even where an alert cannot be judged
        log.exception("alerts_failed", step=step.__name__)
    return False, None


def rules() -> list[Rule]:
    """Every rule by its name, as they are now."""
    return [_rule(row) for row in queries.read("alert_rules")]


def save(rule: Rule) -> None:
    """Keep a rule from now on; raises sqlalchemy.exc.IntegrityError where its name is taken."""
    queries.write(
        "save_alert",
        name=rule.name, measure=rule.measure, currency=rule.currency, kept=json.dumps(rule.kept), basis=rule.basis,
        direction=rule.direction, threshold=rule.threshold, finished_days=rule.finished_days, from_date=rule.from_date,
        webhook=rule.webhook, email=rule.email, created_by=rule.created_by,
    )  # fmt: skip


def enable(rule_id: int, enabled: bool) -> None:
    """Switch a rule on or off."""
    queries.write("enable_alert", rule_id=rule_id, enabled=enabled)


def delete(rule_id: int) -> None:
    """Forget a rule and what it has raised."""
    queries.write("delete_alert", rule_id=rule_id)


def see(newest: int) -> None:
    """Everything raised up to this event has been seen, and the bell stops counting it."""
    queries.write("see_alerts", newest=newest)


def events() -> list[tuple[dict[str, Any], Rule, Breach]]:
    """What was raised lately, newest first: event_id, fired_at, is_open and deliveries; by which rule; and the day."""
    raised = [
        (row, _rule(row), Breach(row["sale_date"], row["value"], row["reference"]))
        for row in queries.read("alert_events", limit=RECENT)
    ]
    return [each for each in raised if each[1].known]


def count() -> int:
    """How many alerts nobody has seen yet."""
    return _count(push.heard())


@st.cache_data(ttl=COUNT_SECONDS, max_entries=2, show_spinner=False)
def _count(heard: int) -> int:  # noqa: ARG001  # a part of the key
    return int(queries.read("open_alerts")[0]["open_alerts"])


def describe(rule: Rule, breach: Breach) -> str:
    """What a rule that is known has found: `Orders on 31 Mar 2026: 12, 18.2% less than the day before (15).`"""
    writer = Writer(settings().number_style, rule.currency)
    kind = rule.of.kind
    day = f"{breach.sale_date.day} {breach.sale_date:%b %Y}"
    figure = f"{rule.of.label} on {day}: {writer.write(breach.value, kind)}"
    if breach.reference is None:
        return f"{figure}, {rule.direction} {limit(rule)}.{_only(rule)}"
    change = writer.change(breach.value, breach.reference, kind) or ""
    before = "the day before" if rule.basis == "previous day" else "the same weekday a week before"
    more = "more" if rule.direction == "above" else "less"
    reference = writer.write(breach.reference, kind)
    return f"{figure}, {change.lstrip(f'+{MINUS}')} {more} than {before} ({reference}).{_only(rule)}"


def condition(rule: Rule) -> str:
    """When a rule fires, in a line: `Total sales below $1,000, on finished days.`"""
    when = " On finished days." if rule.finished_days else ""
    if rule.basis == "value":
        return f"{rule.of.label} {rule.direction} {limit(rule)}.{when}{_only(rule)}"
    verb = "rises" if rule.direction == "above" else "falls"
    before = "the day before" if rule.basis == "previous day" else "the same weekday a week before"
    return f"{rule.of.label} {verb} by more than {limit(rule)} against {before}.{when}{_only(rule)}"


def limit(rule: Rule) -> str:
    """The threshold with its unit."""
    writer = Writer(settings().number_style, rule.currency)
    share = rule.of.kind is Kind.SHARE
    if rule.basis != "value":
        return f"{writer.number(rule.threshold, 1)}{' pp' if share else '%'}"
    return writer.write(rule.threshold / 100 if share else rule.threshold, rule.of.kind)


def _only(rule: Rule) -> str:
    kept = "; ".join(f"{name} {', '.join(members)}" for name, members in rule.kept.items() if members)
    return f" Only {kept}." if kept else ""


def _rule(row: Mapping[str, Any]) -> Rule:
    return Rule(**{name: row[name] for name in Rule.__dataclass_fields__})
