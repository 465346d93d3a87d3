"""What the cells prove of columns whose headers say nothing, in whatever language: figures that belong together.

What they leave open stays open: a required field is then a TODO of the draft, with a remark on what was found.
"""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loader.drafting.belonging import determines, give, has_fractions, is_named, stands_once
from loader.drafting.recognition import Column, Guess, Sheet, plain_number, probe_feed
from loader.drafting.vocabulary import CURRENCY_SIGNS, DISCOUNT, MEASURES, content_words, words

_COLUMNS = 16  # of amounts at most: of more, every fourth with every three would take too long
_LOOKED_AT = 2_000  # rows
_ROWS = 10  # at least, for a figure to be one of the sheet and not of a few rows
_TELLING = 5  # of them in which neither factor is one: others prove nothing
_MOST = 0.95
_CENT = 0.011  # in figures with binary errors
_SLIGHT = 1e-6
_HALF = 0.5
_OURS = frozenset({"quantity", "unit_price", "stated_total", DISCOUNT})
_SIGNS = re.compile("|".join(map(re.escape, CURRENCY_SIGNS)))
Numbers = npt.NDArray[np.float64]


class _Product(NamedTuple):
    """Two columns whose product is a third, less a discount perhaps; by place."""

    factors: frozenset[int]
    total: int
    off: int | None = None


def prove_amounts(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """Quantity, unit price and total of the line, from quantity x price = total in the rows."""
    others = [column for name, column in by_field.items() if name not in _OURS and is_named(name, column)]
    numbers = {
        place: figures
        for place, column in enumerate(sheet.columns)
        if _may_be_amount(column) and stands_once(column, sheet) and not any(column is each for each in others)
        if column.role != "of_order"
        if np.isfinite(figures := _numbers(column, guess)).sum() >= _ROWS
    }
    if len(numbers) > _COLUMNS:
        return
    place_of = {
        name: place for place, column in enumerate(sheet.columns) for name in _OURS if by_field.get(name) is column
    }
    found, known = _of_known(_products(numbers, sheet), place_of, numbers, by_field)
    if len(known) < len({"quantity", "unit_price"}):
        found = _of_sales(found, numbers, sheet, by_field, guess)
    if len({each.factors for each in found}) != 1:
        _say_several(found, sheet, guess)
        return
    one, two = sorted(found[0].factors)
    if "quantity" in known:
        quantity = known["quantity"]
    elif "unit_price" in known:
        quantity = one + two - known["unit_price"]
    elif (proven := _quantity(one, two, found, sheet, numbers)) is None:
        told = "one is the quantity and one the price, and the cells do not say which"
        guess.remarks.append(f"{_said(found[0], sheet)} in the rows: {told}")
        return
    else:
        quantity = proven
    if found[0].off is None:
        found = list(_discounted((one, two), numbers)) or found
        _say_what_else_is_less((one, two), numbers, sheet, by_field, guess)
    given = {"quantity": quantity, "unit_price": one + two - quantity}
    totals = {each.total for each in found}
    if len(totals) == 1 and (found[0].off is not None or not is_named("stated_total", by_field.get("stated_total"))):
        given["stated_total"] = totals.pop()
    for name, place in given.items():
        if place not in known.values() and by_field.get(name) is not sheet.columns[place]:
            give(by_field, name, sheet.columns[place])
            guess.review(name, f"by its cells: {_said(found[0], sheet)} in the rows")
    if rivals := _rivals(sheet.columns[given["unit_price"]], found, numbers, sheet, by_field):
        guess.review("unit_price", f"{' and '.join(rivals)} might be the price as well, and no figure proves it")


def _of_known(
    found: list[_Product], place_of: dict[str, int], numbers: dict[int, Numbers], by_field: dict[str, Column]
) -> tuple[list[_Product], dict[str, int]]:
    """The products that agree with the headers, and the quantity and price that these name; none where they do not."""
    known = {name: place for name, place in place_of.items() if name in ("quantity", "unit_price")}
    if not any({*known.values()} <= each.factors for each in found):
        known = {name: place for name, place in known.items() if is_named(name, by_field[name])}
    price = known.get("unit_price")
    if price is not None and found and not any(price in each.factors for each in found):
        found_as_total = [each for each in found if each.total == price]
        if found_as_total:
            del known["unit_price"]
            found = found_as_total
    agreeing = [each for each in found if {*known.values()} <= each.factors]
    if not agreeing and len(known) > 1 and {*known.values()} <= numbers.keys():
        agreeing = list(_discounted((known["quantity"], known["unit_price"]), numbers))
    return agreeing, known


def prove_price_by_orders(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """The price where no line has a total: quantity x price, summed over an order, is an amount that the order has."""
    if "unit_price" in by_field or not {"sale_id", "quantity"} <= by_field.keys():
        return
    _, order = np.unique(by_field["sale_id"].cells[:_LOOKED_AT], return_inverse=True)
    quantity = _numbers(by_field["quantity"], guess)
    if np.count_nonzero(np.bincount(order) > 1) < _TELLING or np.count_nonzero(quantity > 1) < _TELLING:
        return
    taken = [column for name, column in by_field.items() if is_named(name, column) and name != "stated_total"]
    free = [each for each in sheet.columns if _may_be_amount(each) and not any(each is other for other in taken)]
    amounts = {each.header: _numbers(each, guess) for each in free if stands_once(each, sheet)}
    of_orders = {header: stated for header, each in amounts.items() if (stated := _of_orders(each, order)) is not None}
    found = {}
    for price in amounts.keys() - of_orders.keys():
        sums = np.bincount(order, np.nan_to_num(quantity * amounts[price]))
        for header, stated in of_orders.items():
            known = np.isfinite(stated)
            if known.sum() >= _ROWS and (np.abs(sums - stated)[known] < _CENT).mean() >= _MOST:
                found[price] = header
    if len(found) == 1:
        ((price, total),) = found.items()
        give(by_field, "unit_price", next(each for each in free if each.header == price))
        told = f"{by_field['quantity'].header!r} × {price!r} of an order's lines come to its {total!r}"
        guess.review("unit_price", f"by its cells: {told}")


def _of_orders(figures: Numbers, order: npt.NDArray[np.intp]) -> Numbers | None:
    """What each order states, on one of its lines or on all of them; None where lines of an order differ."""
    highest, lowest = np.full(order.max() + 1, -np.inf), np.full(order.max() + 1, np.inf)
    known = np.isfinite(figures)
    np.maximum.at(highest, order[known], figures[known])
    np.minimum.at(lowest, order[known], figures[known])
    stated = np.isfinite(highest)
    if (highest[stated] != lowest[stated]).any():
        return None
    return np.where(stated, highest, np.nan)


def _said(product: _Product, sheet: Sheet) -> str:
    one, two = (column_of(sheet, each) for each in sorted(product.factors))
    less = f" less {column_of(sheet, product.off)}" if product.off is not None else ""
    return f"{one} × {two}{less} = {column_of(sheet, product.total)}"


def _may_be_amount(column: Column) -> bool:
    return bool(column.header and column.numeric and len(column.values) > 1 and not column.counts_rows)


def _numbers(column: Column, guess: Guess) -> Numbers:
    """By row; NaN where there is none."""
    probe = probe_feed(**guess.form)
    read = {match[0]: plain_number(probe, match["number"]) for match in column.numbers}
    return np.array([float(read.get(cell) or "nan") for cell in column.cells[:_LOOKED_AT]])


def _products(numbers: dict[int, Numbers], sheet: Sheet) -> list[_Product]:
    """Products that may be sales; with a discount only where there are none without."""
    plain = [
        _Product(frozenset({one, two}), total)
        for one, two in combinations(numbers, 2)
        for total in numbers.keys() - {one, two}
        if _are_equal(numbers[one] * numbers[two], numbers[total], numbers[one], numbers[two])
    ]
    with_discount = (each for pair in combinations(numbers, 2) for each in _discounted(pair, numbers))
    for found in (plain, with_discount):
        if sales := [each for each in found if _may_be_sales(each, numbers, sheet)]:
            return sales
    return []


def _discounted(pair: tuple[int, int], numbers: dict[int, Numbers]) -> Iterator[_Product]:
    """Totals that are the product of these two in some rows, and in others less by what a fourth column says."""
    gross = np.abs(numbers[pair[0]] * numbers[pair[1]])
    for total in numbers.keys() - {*pair}:
        less = gross - np.abs(numbers[total])
        known = np.isfinite(less)
        is_less = less > _CENT
        if (
            is_less.sum() < _TELLING
            or (np.abs(less) < _CENT).sum() < _TELLING
            or (less < -_CENT).sum() > known.sum() / 20
        ):
            continue
        for off in numbers.keys() - {*pair, total}:
            if _leads(gross, numbers[off], numbers[total]):
                yield _Product(frozenset(pair), total, off)


def _are_equal(product: Numbers, total: Numbers, one: Numbers, two: Numbers) -> bool:
    known = np.isfinite(product) & np.isfinite(total)
    right = known & (np.abs(product - total) < _CENT)
    telling = right & (product != 0) & (np.abs(one) != 1) & (np.abs(two) != 1)
    return bool(known.sum() >= _ROWS and right.sum() >= _MOST * known.sum() and telling.sum() >= _TELLING)


def _leads(gross: Numbers, off: Numbers, total: Numbers) -> bool:
    """Whether this discount, as an amount, a share or a percentage, leads to the total; signs do not matter."""
    gross, taken, total = np.abs(gross), np.abs(np.nan_to_num(off)), np.abs(total)
    known = np.isfinite(gross) & np.isfinite(total)
    if known.sum() < _ROWS or (known & (taken != 0)).sum() < _TELLING:
        return False
    ways = [gross * (1 - taken), gross * (1 - taken / 100)]
    if taken[known].sum() < total[known].sum():  # else the total is the discount, and what is left stands here
        ways.append(gross - taken)
    return any((known & (np.abs(way - total) < _CENT)).sum() >= _MOST * known.sum() for way in ways)


def _of_sales(
    found: list[_Product], numbers: dict[int, Numbers], sheet: Sheet, by_field: dict[str, Column], guess: Guess
) -> list[_Product]:
    """Tell quantity x price from quantity x cost: a third column is the difference of the two, and mostly a gain."""
    for sales, costs in ((one, two) for one in found for two in found if len(one.factors & two.factors) == 1):
        profit = numbers[sales.total] - numbers[costs.total]
        for place, column in numbers.items():
            if place in (sales.total, costs.total) or not np.nanmedian(profit) > 0:
                continue
            if _are_equal(profit, column, np.full_like(profit, 2), np.full_like(profit, 2)):
                (quantity,) = sales.factors & costs.factors
                (cost,) = costs.factors - {quantity}
                named = {"unit_cost": cost, "stated_cost": costs.total, "stated_profit": place}
                for name, at in named.items():
                    if name not in by_field:
                        by_field[name] = sheet.columns[at]
                        guess.review(
                            name,
                            f"by its cells: {column_of(sheet, place)} is {column_of(sheet, sales.total)} "
                            f"less {column_of(sheet, costs.total)}",
                        )
                return [sales]
    return found


def column_of(sheet: Sheet, place: int) -> str:
    return repr(sheet.columns[place].header)


def _say_several(found: list[_Product], sheet: Sheet, guess: Guess) -> None:
    if found:
        told = " and ".join(
            f"{' × '.join(column_of(sheet, each) for each in sorted(one.factors))} = {column_of(sheet, one.total)}"
            for one in found[:3]
        )
        guess.remarks.append(f"{told}: which of them is quantity × price, the cells do not say")


def _quantity(one: int, two: int, found: list[_Product], sheet: Sheet, numbers: dict[int, Numbers]) -> int | None:
    """Which of the factors is no price: a price has a sign of money, or is the same for each of some words or codes."""
    others = _words_or_codes(sheet, {one, two, *(product.total for product in found)})
    prices = {
        place
        for place in (one, two)
        if _has_sign(sheet.columns[place]) or any(determines(cells, sheet.columns[place].cells) for cells in others)
    }
    if len(prices) != 1:
        return None
    (price,) = prices
    quantity = one + two - price
    return quantity if _is_whole(numbers[quantity]) or _has_sign(sheet.columns[price]) else None


def _may_be_sales(product: _Product, numbers: dict[int, Numbers], sheet: Sheet) -> bool:
    """Not net x rate of the tax, boxes x pieces of a box, nor weights: money has cents where any figure has them."""
    if any(np.nanmax(np.abs(numbers[each])) <= 1 for each in product.factors):
        return False
    if MEASURES & content_words(words(sheet.columns[product.total].header)):
        return False
    others = [figures for place, figures in numbers.items() if place not in product.factors | {product.total}]
    if _is_whole(numbers[product.total]):
        return all(map(_is_whole, others))
    return not _has_more_than_cents(numbers[product.total]) or all(
        _is_whole(each) or _has_more_than_cents(each) for each in others
    )


def _has_more_than_cents(figures: Numbers) -> bool:
    """In most rows, as weights have."""
    known = figures[np.isfinite(figures)]
    return bool((np.abs(known * 100 - np.round(known * 100)) > _SLIGHT).mean() > _HALF)


def _say_what_else_is_less(
    pair: tuple[int, int], numbers: dict[int, Numbers], sheet: Sheet, by_field: dict[str, Column], guess: Guess
) -> None:
    """Name a column that is lower than quantity x price in every row by another one: a discount, or no sales at all."""
    gross = np.abs(numbers[pair[0]] * numbers[pair[1]])
    if tax := [(place, each) for place, each in enumerate(sheet.columns) if each is by_field.get("tax_amount")]:
        numbers = numbers | {place: _numbers(each, guess) for place, each in tax}
    mapped = [column for name, column in by_field.items() if name not in (DISCOUNT, "tax_amount")]
    free = [place for place in numbers.keys() - {*pair} if not any(sheet.columns[place] is each for each in mapped)]
    for total, off in combinations(free, 2):
        higher, lower = sorted((total, off), key=lambda each: -np.nansum(np.abs(numbers[each])))
        left = gross - np.abs(numbers[higher]) - np.abs(numbers[lower])
        known = np.isfinite(left)
        if (
            known.sum() >= _ROWS
            and (np.abs(left) < _CENT).sum() >= _MOST * known.sum()
            and np.all(numbers[lower][known])
        ):
            both = f"{column_of(sheet, higher)} and {column_of(sheet, lower)}"
            paid = "what was paid after a discount, or without tax"
            guess.remarks.append(
                f"quantity × price is {both} together: if one is {paid}, map it as line_total in place of unit_price"
            )


def _rivals(
    price: Column, found: list[_Product], numbers: dict[int, Numbers], sheet: Sheet, by_field: dict[str, Column]
) -> list[str]:
    """Other columns that might be the price, where its header does not say that it is one."""
    if is_named("unit_price", price) or _has_sign(price):
        return []
    taken = {place for each in found for place in (*each.factors, each.total, each.off)}
    others = _words_or_codes(sheet, taken)
    return [
        column_of(sheet, place)
        for place, figures in numbers.items()
        if place not in taken and not any(column is sheet.columns[place] for column in by_field.values())
        if not _is_whole(figures) and not _has_more_than_cents(figures)
        if any(determines(cells, sheet.columns[place].cells) for cells in others)
    ]


def _words_or_codes(sheet: Sheet, taken: set[int | None]) -> list[list[str]]:
    """The cells of columns that may say what was sold."""
    free = [each for place, each in enumerate(sheet.columns) if place not in taken]
    return [each.cells for each in free if each.values and not each.dated and not has_fractions(each)]


def _is_whole(figures: Numbers) -> bool:
    known = figures[np.isfinite(figures)]
    return bool((np.mod(known, 1) == 0).all())


def _has_sign(column: Column) -> bool:
    return any(_SIGNS.search(text) for text in column.values)
