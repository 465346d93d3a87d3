"""Alerts: rules over the measures of a day, a week or a month, judged at every published version.

A rule fires once for a day, a week or a month, however often and by however many processes it is judged: a constraint
sees to it. What a rule would have done is answered by the function that judges it.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import streamlit as st
import structlog
from sqlalchemy.exc import IntegrityError

from dashboard import daily_sales, database, notify, push
from dashboard.alert_rules import COMPARED_DAYS, Breach, Rule, describe, judge, period_of
from dashboard.database import Problem, Unavailable
from dashboard.periods import DAY
from dashboard.settings import settings

BACKTEST_DAYS = 90
LOOK_BACK_DAYS = 35  # a day that is corrected later than that fires no more
RECENT = 50
COUNT_SECONDS = 30  # where no notification comes

log = structlog.get_logger()


def breaches(rule: Rule, start: date, since: date, newest: date) -> list[Breach]:
    """The periods that end from `start` on of which the rule fires by the marts as they are now."""
    start = max(start, since)
    daily = daily_sales.read_sales(rule.scope, start - COMPARED_DAYS * DAY, newest, ("date",))
    return judge(rule, daily, start, since, newest)


@st.cache_data(max_entries=64, show_spinner=False)
def backtest(version: int, rule: Rule, since: date, newest: date) -> list[Breach]:  # noqa: ARG001  # a part of the key
    """The breaches on which the rule would have fired in the last ninety days."""
    return breaches(rule, newest - timedelta(days=BACKTEST_DAYS - 1), since, newest)


def evaluate() -> int:
    """Judge every rule that is on by the marts as they are now, and record what fires; returns how much has.

    Raises Unavailable: when nothing can be read, or for one rule after all the others have been judged.
    """
    on = [rule for rule in rules() if rule.enabled and rule.known]
    if not on:
        return 0
    [state] = database.read("freshness")
    known = {row["currency"]: (row["first_date"], row["last_date"]) for row in database.read("currencies")}
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
    told = _told(rule)
    for breach in breaches(rule, max(rule.from_date, newest - timedelta(days=LOOK_BACK_DAYS)), since, newest):
        recorded = database.write(
            "fire_alert",
            rule_id=rule.rule_id,
            sale_date=breach.sale_date,
            mart_version=mart_version,
            value=breach.value,
            reference=breach.reference,
            judged=json.dumps(rule.judged),
            channels=[channel for channel, _ in told],
            recipients=[recipient for _, recipient in told],
        )
        fired += len(recorded)
        if recorded:
            log.info("alert_fired", rule_id=rule.rule_id, sale_date=str(breach.sale_date))
    return fired


def _told(rule: Rule) -> list[tuple[str, str]]:
    """Channel and recipient of each delivery; without any address, one that will say what is missing."""
    addresses = rule.recipients or settings().alert_email_to or ("",)
    return [(name, each) for name in rule.channels for each in (addresses if name == "email" else ("",))]


def message(event_id: int) -> notify.Message:
    """The message of an alert that was raised; raises notify.Undeliverable."""
    rows = database.read("alert_event", event_id=event_id)
    if not rows:
        raise notify.Undeliverable("the alert is deleted")
    [row] = rows
    rule = _raised_by(row)
    if not rule.known:
        raise notify.Undeliverable("its measure is no longer known")
    breach = Breach(row["sale_date"], row["value"], row["reference"])
    return notify.Message(
        message_id=f"alert-{event_id}",
        subject=f"{rule.name}: {rule.of.label} {period_of(rule, breach.sale_date)}",
        text=describe(rule, breach),
        link=notify.link(settings(), "alerts"),
        fields={
            "id": event_id,
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


def rules() -> list[Rule]:
    """Every rule by its name, as they are now."""
    return [_rule(row) for row in database.read("alert_rules")]


def save(rule: Rule) -> None:
    """Keep a rule from now on, or as it is now where it is one already; it looks at no day before its `from_date`.

    Raises sqlalchemy.exc.IntegrityError where its name is taken.
    """
    kept: dict[str, Any] = {
        "name": rule.name, "measure": rule.measure, "currency": rule.currency, "kept": json.dumps(rule.kept),
        "basis": rule.basis, "direction": rule.direction, "threshold": rule.threshold,
        "finished_days": rule.finished_days, "from_date": rule.from_date, "webhook": rule.webhook, "email": rule.email,
        "recipients": list(rule.recipients),
    }  # fmt: skip
    if rule.rule_id is None:
        database.write("save_alert", **kept, created_by=rule.created_by)
    else:
        database.write("change_alert", **kept, rule_id=rule.rule_id)


def enable(rule_id: int, enabled: bool) -> None:
    """Switch a rule on or off."""
    database.write("enable_alert", rule_id=rule_id, enabled=enabled)


def delete(rule_id: int) -> None:
    """Forget a rule and what it has raised."""
    database.write("delete_alert", rule_id=rule_id)


def see(newest: int) -> None:
    """Everything raised up to this event has been seen, and the bell stops counting it."""
    database.write("see_alerts", newest=newest)


def events() -> list[tuple[dict[str, Any], Rule, Breach]]:
    """The alerts raised lately, newest first: event_id, fired_at, is_open and deliveries; their rule; and the day."""
    raised = [
        (row, _raised_by(row), Breach(row["sale_date"], row["value"], row["reference"]))
        for row in database.read("alert_events", limit=RECENT)
    ]
    return [each for each in raised if each[1].known]


def count() -> int:
    """How many alerts nobody has seen yet."""
    return _count(push.heard())


@st.cache_data(ttl=COUNT_SECONDS, max_entries=2, show_spinner=False)
def _count(heard: int) -> int:  # noqa: ARG001  # a part of the key
    return int(database.read("open_alerts")[0]["open_alerts"])


def _rule(row: Mapping[str, Any]) -> Rule:
    return Rule(**{name: row[name] for name in Rule.__dataclass_fields__} | {"recipients": tuple(row["recipients"])})


def _raised_by(row: Mapping[str, Any]) -> Rule:
    """The rule as it was when it raised an event."""
    judged: dict[str, Any] = row["judged"]
    return replace(_rule(row), **judged | {"threshold": Decimal(judged["threshold"])})
