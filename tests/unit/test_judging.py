"""Alerts that look at weeks and months: which periods they fire on, by figures that are worked out by hand."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from dashboard.alert_rules import BASES, COMPARED_DAYS, Breach, Rule, condition, describe, judge
from dashboard.periods import Span

SINCE, NEWEST = date(2026, 1, 1), date(2026, 4, 2)  # a Thursday and a Thursday
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_DATABASE_URL", "postgresql://dashboard:x@127.0.0.1/sales")


def rule(**given: Any) -> Rule:
    usual = {
        "name": "A rule", "measure": "net_sales", "currency": "USD", "kept": {}, "basis": "week", "direction": "below",
        "threshold": Decimal(20), "finished_days": True, "from_date": SINCE,
    }  # fmt: skip
    return Rule(**{**usual, **given})


def sold(*, without: Span | None = None, **by_month: int) -> pd.DataFrame:
    """Net sales of 10 on each day, or so much as is said of its month, in two orders."""
    days = [day for day in Span(SINCE, NEWEST).dates() if without is None or not without.start <= day <= without.end]
    net_sales = [Decimal(by_month.get(f"{day:%b}", 10)) for day in days]
    return pd.DataFrame({"sale_date": days, "net_sales": net_sales, "orders": [2] * len(days)})


def fired(judged: Rule, daily: pd.DataFrame, newest: date = NEWEST) -> list[Breach]:
    return judge(judged, daily[daily["sale_date"] <= newest], SINCE, SINCE, newest)


def test_a_week_is_judged_whole_from_monday_to_sunday() -> None:
    # Three days are missing of the week from Monday 9 to Sunday 15 March: 4 x 10.
    daily = sold(without=Span(date(2026, 3, 10), date(2026, 3, 12)))
    assert fired(rule(threshold=Decimal(41)), daily) == [Breach(date(2026, 3, 15), Decimal(40), None)]
    assert fired(rule(threshold=Decimal(40)), daily) == [], "40 is not below 40"


def test_a_week_is_compared_with_the_week_before() -> None:
    daily = sold(without=Span(date(2026, 3, 10), date(2026, 3, 12)))
    less = rule(basis="previous week", threshold=Decimal(40))
    assert fired(less, daily) == [Breach(date(2026, 3, 15), Decimal(40), Decimal(70))]  # 42.9 % less
    more = rule(basis="previous week", direction="above", threshold=Decimal(70))
    assert fired(more, daily) == [Breach(date(2026, 3, 22), Decimal(70), Decimal(40))]  # 75 % more
    assert fired(rule(basis="previous week", threshold=Decimal(43)), daily) == []


def test_a_month_is_compared_whole_with_the_month_before() -> None:
    # 31 x 10 in January, 28 x 10 in February, 31 x 20 in March; April has only begun.
    daily = sold(Mar=20)
    more = rule(basis="previous month", direction="above", threshold=Decimal(100))
    assert fired(more, daily) == [Breach(date(2026, 3, 31), Decimal(620), Decimal(280))]  # 121 % more
    less = rule(basis="previous month", threshold=Decimal(9))
    assert fired(less, daily) == [Breach(date(2026, 2, 28), Decimal(280), Decimal(310))]  # 9.7 % less
    assert fired(rule(basis="month", threshold=Decimal(300)), daily) == [Breach(date(2026, 2, 28), Decimal(280), None)]


def test_a_period_that_still_runs_or_began_before_the_history_is_not_judged() -> None:
    below_anything = rule(threshold=Decimal(1000))
    weeks = [each.sale_date for each in fired(below_anything, sold())]
    assert weeks[0] == date(2026, 1, 11), "the week of the first sale, a Thursday, is not whole"
    assert weeks[-1] == date(2026, 3, 29), "the week of the newest day still runs"
    assert fired(rule(basis="previous week", threshold=Decimal(-100)), sold())[0].sale_date == date(2026, 1, 18)


@pytest.mark.parametrize(("finished", "newest", "weeks"), [(True, 0, 11), (False, 0, 12), (True, 1, 12)])
def test_a_week_waits_for_a_later_day_where_the_rule_says_so(finished: bool, newest: int, weeks: int) -> None:
    sunday = date(2026, 3, 29)
    found = fired(rule(threshold=Decimal(1000), finished_days=finished), sold(), sunday + newest * DAY)
    assert len(found) == weeks


def test_a_ratio_of_a_week_is_one_of_its_sums() -> None:
    # Monday to Wednesday at 5 each, none after, in two orders a day: 15 / 6.
    daily = sold(without=Span(date(2026, 3, 12), date(2026, 3, 15)))
    low = daily["sale_date"].between(date(2026, 3, 9), date(2026, 3, 11))
    daily["net_sales"] = daily["net_sales"].where(~low, Decimal(5))
    assert fired(rule(measure="aov", threshold=Decimal(3)), daily) == [Breach(date(2026, 3, 15), Decimal("2.5"), None)]
    empty = sold(without=Span(date(2026, 3, 9), date(2026, 3, 15)))
    assert fired(rule(measure="aov", threshold=Decimal(3)), empty) == [], "no order, no average"
    assert fired(rule(threshold=Decimal(1)), empty) == [Breach(date(2026, 3, 15), Decimal(0), None)]


def test_enough_days_are_read_for_every_comparison() -> None:
    for basis in BASES.values():
        for day in Span(date(2023, 1, 1), date(2024, 12, 31)).dates():
            if span := basis.ending(day):
                past = basis.reference(span) or span
                assert (day - past.start).days <= COMPARED_DAYS


def test_what_a_rule_of_weeks_says_is_a_sentence() -> None:
    weekly = rule(basis="previous week", kept={"region": ["North"]})
    assert condition(weekly) == (
        "Total sales falls by more than 20.0% against the week before. On finished weeks. Only region North."
    )
    assert describe(weekly, Breach(date(2026, 3, 29), Decimal(800), Decimal(1000))) == (
        "Total sales from 23 to 29 Mar 2026: $800.00, 20.0% less than the week before ($1,000). Only region North."
    )
    assert condition(rule(basis="month", finished_days=False)) == "Total sales of a month below $20.00."
