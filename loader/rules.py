"""The rules of a feed and of the sale line, asked of whole columns: which rows does each of them concern?"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from loader import sales_line
from loader.columns import Decided, Mask
from loader.contract import WORD_FIELDS
from loader.header import Drift
from loader.numbers import contradicts
from loader.sales_line import AMOUNT_FIELDS, LINE_TYPES, Amounts

if TYPE_CHECKING:
    from loader.feeds import Feed

TYPES_BY_RULE = ("", *LINE_TYPES)  # the first: no rule gives one
LineTypes = npt.NDArray[np.int8]  # for each row, a position in TYPES_BY_RULE
Fields = Mapping[str, Decided]
_UNDECIDED = 20  # words of a field that are reported, at most
_WORD = 40  # characters of a word
_LARGE = 1e9
_SLACK = 0.99  # of a rule's tolerance, from which on the model decides


def tests(feed: "Feed", fields: Fields, rows: int) -> list[Mask]:
    """For each test of the feed (line_type rules, then skip rules), the rows that match all of its patterns."""
    found = []
    position = dict.fromkeys(fields, 0)
    for when in feed.tests:
        matches = np.ones(rows, dtype=bool)
        for name in when:
            matches &= fields[name].rows(fields[name].rules[position[name]])
            position[name] += 1
        found.append(matches)
    return found


def line_types(feed: "Feed", by_test: list[Mask], rows: int) -> LineTypes:
    """The type that the first matching rule gives to each row."""
    types = np.zeros(rows, dtype=np.int8)
    for rule, matches in zip(feed.line_type, by_test, strict=False):
        if matches.any():
            types[matches & (types == 0)] = TYPES_BY_RULE.index(rule.line_type)
    return types


def may_break_a_rule(fields: Fields, line_types: LineTypes, *, before_discount: bool) -> Mask:
    """Rows that could break one of `sales_line.RULES`, by floats and with slack: the model decides exactly.

    `before_discount`: so are the totals.

    Rows with large amounts, where a float is no longer good to a hundredth of a cent, always go to the model.
    """
    numbers = {name: fields[name].numbers for name in AMOUNT_FIELDS & fields.keys()}
    stated = {name: ~np.isnan(each) for name, each in numbers.items()}
    amounts = Amounts(
        {name: np.nan_to_num(each) for name, each in numbers.items()}, nothing=0.0, before_discount=before_discount
    )
    suspect = np.zeros(len(line_types), dtype=bool)
    for each in (*numbers.values(), amounts.gross, amounts.total, amounts.cost):
        suspect |= np.abs(each) > _LARGE
    for rule in sales_line.RULES:
        if any(name not in fields for name in rule.needs):
            continue
        perhaps = (line_types == 0) | np.isin(line_types, [TYPES_BY_RULE.index(each) for each in rule.line_types])
        for name in rule.needs:
            perhaps &= stated[name]
        for name in rule.lacks:
            if name in fields:
                perhaps &= ~stated[name]
        suspect |= perhaps & (rule.excess(amounts) > float(rule.tolerance) * _SLACK)
    return np.asarray(suspect, dtype=bool)


def contradict_the_currency(fields: Fields, rows: int) -> Mask:
    """Rows with an amount whose sign is not that of their currency."""
    found = np.zeros(rows, dtype=bool)
    if "currency" not in fields:
        return found
    for decided in fields.values():
        for sign, texts in decided.signs.items():
            others = [contradicts(sign, currency) for currency in fields["currency"].distinct.to_pylist()]
            found |= decided.rows(texts) & fields["currency"].rows(np.array(others, dtype=bool))
    return found


def signs_alone(fields: Fields, accepted: Mask) -> Mask:
    """Rows with the sign of a currency that state none themselves."""
    found = np.zeros(len(accepted), dtype=bool)
    for decided in fields.values():
        for texts in decided.signs.values():
            found |= decided.rows(texts)
    if found.any() and "currency" in fields:
        found &= fields["currency"].rows(np.array([each is None for each in fields["currency"].distinct.to_pylist()]))
    return np.asarray(found & accepted, dtype=bool)


def report_undecided(feed: "Feed", fields: Fields, sales: Mask, drift: Drift) -> None:
    """Add to the drift the words that no line_type rule knows, in the rows that are `sales` for lack of a rule."""
    for name in WORD_FIELDS & {name for rule in feed.line_type for name in rule.when}:
        decided = fields[name]
        if name in feed.mask or not sales.any():
            continue
        known = np.logical_or.reduce(decided.rules)
        unknown = decided.rows(~known) & sales
        words = drift.undecided.setdefault(name, {}) if unknown.any() else {}
        for place, rows in Counter(decided.indices[unknown].tolist()).items():
            word = (decided.distinct[place].as_py() or "")[:_WORD]
            if word and (word in words or len(words) < _UNDECIDED):
                words[word] = words.get(word, 0) + rows


def report_signs(fields: Fields, accepted: Mask, drift: Drift) -> None:
    """Add to the drift the signs of currencies in rows that state no currency."""
    for decided in fields.values():
        for sign in sorted(decided.signs.keys() - {*drift.signs}):
            rows = decided.rows(decided.signs[sign]) & accepted
            if "currency" in fields:
                stated = fields["currency"].distinct.to_pylist()
                rows &= fields["currency"].rows(np.array([each in (None, "XXX") for each in stated], dtype=bool))
            if rows.any():
                drift.signs.append(sign)
