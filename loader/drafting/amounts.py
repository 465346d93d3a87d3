"""What a line is worth and costs, where figures of the sheet that belong together prove it."""

import re
from collections import defaultdict
from dataclasses import replace
from math import isfinite, log
from statistics import pstdev
from typing import Any

import numpy as np
import numpy.typing as npt

from loader.drafting.columns import affixes
from loader.drafting.recognition import Column, Guess, Sheet, plain_number, probe_feed, trial_feed
from loader.drafting.vocabulary import DISCOUNT, words
from loader.feeds import Feed
from loader.sales_line import PRICES, REQUIRED

_FEW = 0.2  # of the rows contradict a total that the sheet states, or the total is another one
_ROWS = 10  # at least, for a figure to be one of the sheet and not of a few rows
_MOST = 0.95
_SAME = 0.001
_CENT = 0.011  # in figures with binary errors
_HALF = 0.5
_RATES = 4  # of tax, that one sheet has
_NEGATIVE = re.compile(r"[^\d\s]*[-(]")
_ORDERS = 5  # at least, of several lines that differ, for a total to be one of the order
_OF_THE_ORDER = "{!r} is the same in all lines of an order, or in one of them: it is of the order, so no field"
Numbers = npt.NDArray[np.float64]
_KEPT = frozenset({*REQUIRED, *PRICES, "line_type", "currency", "stated_total", "stated_cost", "stated_profit"})


def numbers_of(feed: Feed, name: str, column: Column) -> Numbers:
    """The column's numbers by row, as this field of the feed; NaN where there is none."""
    read = {text: float(plain_number(feed, text, name) or "nan") for text in set(column.cells)}
    return np.array([read[cell] for cell in column.cells])


def plain_numbers(feed: Feed, column: Column) -> Numbers:
    """The same of a column that the feed does not map: without what stands around its numbers."""
    texts = {match[0]: match["number"] for match in column.numbers}
    read = {text: float(plain_number(feed, texts.get(text, ""), feed.price) or "nan") for text in set(column.cells)}
    return np.array([read[cell] for cell in column.cells])


def drop_totals_of_orders(by_field: dict[str, Column], guess: Guess) -> dict[str, Column]:
    """An amount that every line of an order repeats, or one of them has, is of the order: what was dropped so."""
    dropped: dict[str, Column] = {}
    for name in ("stated_total", "stated_cost", "stated_profit", "tax_amount", "shipping_cost"):
        if name in by_field and _repeats_in_orders(by_field[name], by_field, once=name.startswith("stated_")):
            dropped[name] = by_field.pop(name)
            guess.remarks.append(_OF_THE_ORDER.format(dropped[name].header))
    return dropped


def _repeats_in_orders(amount: Column, by_field: dict[str, Column], *, once: bool = False) -> bool:
    """Whether lines of one order have the same amount, though they differ in what was bought; `once`: or one has it."""
    if "sale_id" not in by_field:
        return False
    what = [by_field[name].cells for name in ("quantity", "product_id", "product_name") if name in by_field]
    lines: defaultdict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for order, cell, *bought in zip(by_field["sale_id"].cells, amount.cells, *what, strict=True):
        if order:
            lines[order].append((cell if re.search("[1-9]", cell) else "", tuple(bought)))
    stated = [each for each in lines.values() if any(cell for cell, _ in each)]
    told = [each for each in stated if len({bought for _, bought in each}) > 1]
    same = sum(len({cell for cell, _ in each} - ({""} if once else set())) == 1 for each in told)
    varied = len({cell for each in told for cell, _ in each}) >= _ORDERS
    return len(told) >= _ORDERS and varied and same >= _MOST * len(told)


def settle_cost(by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """The cost of a piece or of a line: a margin makes cost / price steady, or cost / (price * quantity)."""
    for name in ("unit_cost", "stated_cost", "line_cost"):
        wanted = ("quantity", "unit_price", name)
        if not {*wanted} <= guess.columns.keys():
            continue
        feed, header = trial_feed(head, guess), by_field[name].header
        rows = zip(*(numbers_of(feed, each, by_field[each]) for each in wanted), strict=True)
        known = [(abs(quantity), cost / price) for quantity, price, cost in rows if quantity and price and cost]
        of_piece = [ratio for quantity, ratio in known if quantity > 0 and ratio > 0]
        of_line = [ratio / quantity for quantity, ratio in known if quantity > 0 and ratio > 0]
        if len(of_piece) < _ROWS:
            continue
        if _all_one(of_line) or (name == "unit_cost" and _all_one(of_piece)):
            del guess.columns[name], by_field[name]
            guess.remarks.append(f"{header!r} looked like {name}, but it is the price again, which is no cost")
        elif name == "unit_cost" and 2 * _spread(of_line) < _spread(of_piece):
            column = guess.columns.pop(name)
            why = "cost ÷ (price × quantity) is steady, and cost ÷ price is not"
            if "stated_cost" in guess.columns:
                guess.remarks.append(f"{header!r} is the cost of a line: {why}")
            else:
                guess.columns["line_cost"] = column
                by_field["line_cost"] = by_field.pop(name)
                guess.review("line_cost", f"the cost of a line: {why}")
        elif name == "unit_cost" and not 2 * _spread(of_piece) < _spread(of_line):
            guess.review(name, "taken for the cost of one piece; the cells do not tell it from that of the line")


def _spread(ratios: list[float]) -> float:
    return pstdev(map(log, ratios))


def _all_one(ratios: list[float]) -> bool:
    return sum(abs(ratio - 1) < _SAME for ratio in ratios) >= _MOST * len(ratios)


def find_discount(sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """The discount where no header is one: the column that leads from quantity * price to the sheet's total."""
    wanted = ("quantity", "unit_price", "stated_total")
    if DISCOUNT in by_field or not {*wanted} <= guess.columns.keys():
        return
    feed = trial_feed(head, guess)
    quantities, prices, totals = (numbers_of(feed, each, by_field[each]) for each in wanted)
    for column in sheet.columns:
        if not (column.header and column.numeric and len(column.values) > 1) or column in by_field.values():
            continue
        discounts = plain_numbers(feed, column)
        rows = [
            (abs(quantity * price), abs(total), abs(discount))
            for quantity, price, total, discount in zip(quantities, prices, totals, discounts, strict=True)
            if discount and isfinite(quantity * price + total + discount)
        ]
        for less in (lambda gross, off: gross - off, lambda gross, off: gross * (1 - off), _less_percent):
            fits = sum(abs(less(gross, off) - total) < _CENT for gross, total, off in rows)
            if fits >= max(_ROWS, _MOST * len(rows)):
                by_field[DISCOUNT] = column
                guess.remarks.append(
                    f"{column.header!r} is the discount: {by_field['stated_total'].header!r} is lower by it"
                )
                return


def _less_percent(gross: float, off: float) -> float:
    return gross * (1 - off / 100)


def settle_discount(sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """A share, a percentage or an amount: what its header says, unless the sheet's totals say otherwise."""
    column = by_field.get(DISCOUNT)
    if not column:
        return
    base = {"header": column.header} | affixes(DISCOUNT, column, guess)
    base |= _without_minus(column, by_field, guess) if "pattern" not in base else {}
    probe = probe_feed(**guess.form)
    numbers = [float(number) for match in column.numbers if (number := plain_number(probe, match["number"]))]
    percent = (
        "%" in column.header
        or base.get("strip_suffix") == "%"
        or re.search(r"rate|percent|pct|porcent|satz", words(column.header))
    )
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "a share from 0 to 1": ("discount_rate", base),
        "a percentage": ("discount_rate", base | {"percent": True}),
        "an amount for the line": ("discount_amount", base),
    }
    if base.get("strip_suffix") == "%":
        kinds = {"a percentage": kinds["a percentage"]}
        first = "a percentage"
    elif percent:
        first = "a percentage" if max(numbers, default=0) > 1 else "a share from 0 to 1"
    else:
        first = "a share from 0 to 1" if 0 < max(numbers, default=0) <= 1 else "an amount for the line"
    faults: dict[str, int] = {}
    for kind in sorted(kinds, key=lambda kind: kind != first):
        name, mapped = kinds[kind]
        trial = replace(guess, columns=guess.columns | {name: mapped})
        faults[kind] = sheet.errors(trial_feed(head, trial))[""]
    best = min(faults, key=lambda kind: faults[kind])
    name, mapped = kinds[best]
    is_proven = len(set(faults.values())) > 1 and "stated_total" in guess.columns  # the totals have decided
    if name == "discount_amount" and not is_proven and _repeats_in_orders(column, by_field):
        guess.remarks.append(_OF_THE_ORDER.format(column.header))
        return
    guess.columns[name] = mapped
    by_field[name] = column
    if is_proven:
        return
    if not percent or best != first:
        guess.review(name, f"taken for {best}")


def _without_minus(column: Column, by_field: dict[str, Column], guess: Guess) -> dict[str, str]:
    """A pattern that takes the minus off discounts, where sales or returns have one: a feed wants what is taken off."""
    quantities = by_field["quantity"].cells if "quantity" in by_field else [""] * len(column.cells)
    signs: defaultdict[bool, list[bool]] = defaultdict(list)  # of sales, and of returns
    for cell, quantity in zip(column.cells, quantities, strict=True):
        if re.search("[1-9]", cell):
            signs[bool(_NEGATIVE.match(quantity))].append(bool(_NEGATIVE.match(cell)))
    if not any(sum(each) > _HALF * len(each) for each in signs.values()):
        return {}
    guess.review("discount_amount", "a minus is taken off, as it says what is taken off")
    return {"pattern": r"^\D*?[-(](.+?)\)?$"}


def drop_disproved(sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """A column whose cells are mostly no such thing is none, such as ratings up to ten; sales do not need it."""
    refused = sheet.errors(trial_feed(head, guess))
    for name in [each for each in guess.columns if each not in _KEPT and each in by_field]:
        if refused[name] > _FEW * sum(map(bool, by_field[name].cells)):
            column = guess.columns.pop(name)
            example = by_field[name].values.most_common(1)[0][0]
            header = column.get("header", by_field[name].header)
            guess.remarks.append(
                f"{header!r} looked like {name}, but {refused[name]} rows, as with {example!r}, are none"
            )
