"""What the cells prove of columns whose headers say nothing, in whatever language: figures that belong together.

What they leave open stays open: a required field is then a TODO of the draft, with a remark on what was found.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from loader.drafting.recognition import Column, Guess, Sheet, plain_number, probe_feed
from loader.drafting.vocabulary import CURRENCIES, CURRENCY_SIGNS, DISCOUNT, MEASURES, PHRASES, content_words, words

_COLUMNS = 16  # of amounts at most: of more, every fourth with every three would take too long
_LOOKED_AT = 2_000  # rows
_ROWS = 10  # at least, for a figure to be one of the sheet and not of a few rows
_TELLING = 5  # of them in which neither factor is one: others prove nothing
_MOST = 0.95
_CENT = 0.011  # in figures with binary errors
_WORDS = 3  # at least, of something that repeats
_OURS = frozenset({"quantity", "unit_price", "stated_total", DISCOUNT})
_SIGNS = re.compile("|".join(map(re.escape, CURRENCY_SIGNS)))
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.\w+")
Numbers = npt.NDArray[np.float64]


class _Product(NamedTuple):
    """Two columns whose product is a third, less a discount perhaps."""

    factors: frozenset[int]
    total: int


def prove_amounts(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """Quantity, unit price and total of the line, from quantity x price = total in the rows."""
    others = [column for name, column in by_field.items() if name not in _OURS and _is_named(name, column)]
    numbers = {
        place: figures
        for place, column in enumerate(sheet.columns)
        if _may_be_amount(column) and _stands_once(column, sheet) and not any(column is each for each in others)
        if column.role != "of_order"
        if np.isfinite(figures := _numbers(column, guess)).sum() >= _ROWS
    }
    if len(numbers) > _COLUMNS:
        return
    place_of = {
        name: place for place, column in enumerate(sheet.columns) for name in _OURS if by_field.get(name) is column
    }
    found = [each for each in _products(numbers) if _may_be_sales(each, numbers)]
    found = [each for each in found if not MEASURES & content_words(words(sheet.columns[each.total].header))]
    named = {name: place for name, place in place_of.items() if _is_named(name, by_field[name])}
    likely = {place_of.get("quantity"), place_of.get("unit_price")} - {None}
    if any(likely <= each.factors for each in found):
        named = place_of
    quantity, price = named.get("quantity"), named.get("unit_price")
    if price is not None and found and not any(price in each.factors for each in found):
        found_as_total = [each for each in found if each.total == price]
        if not found_as_total:
            return
        found, price = found_as_total, None
    if quantity is not None and price is not None:
        return  # headers say so, and no figure contradicts
    known = {place for place in (quantity, price) if place is not None}
    if agreeing := [each for each in found if known <= each.factors]:
        found = agreeing
    elif known:
        return
    found = _of_sales(found, numbers, sheet, by_field, guess)
    factors = {each.factors for each in found}
    if len(factors) != 1:
        _say_several(found, sheet, guess)
        return
    one, two = sorted(next(iter(factors)))
    if quantity is None:
        quantity = (one if two == price else two) if price is not None else _quantity(one, two, found, sheet, numbers)
    headers = [sheet.columns[each].header for each in (one, two, found[0].total)]
    said = "{!r} × {!r} = {!r}".format(*headers)
    if quantity is None:
        guess.remarks.append(
            f"{said} in the rows: one is the quantity and one the price, and the cells do not say which"
        )
        return
    for name, place in (("quantity", quantity), ("unit_price", one + two - quantity), ("stated_total", found[0].total)):
        if name != "stated_total" or len(found) == 1:
            column = sheet.columns[place]
            _give(by_field, name, column)
            guess.review(name, f"by its cells: {said} in the rows")


def prove_products(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """Code and name of the product: columns of which each cell has one price, and each code one name."""
    free = [each for each in _free(sheet, by_field) if not has_fractions(each)]
    known = by_field.get("product_id") or by_field.get("product_name")
    if known:
        name = "product_name" if "product_id" in by_field else "product_id"
        partners = [each for each in free if each.coded == (name == "product_id") and _is_one_to_one(known, each)]
        if name not in by_field and len(partners) == 1 and known.coded != partners[0].coded:
            _give(by_field, name, partners[0])
            guess.review(name, f"by its cells: one for each {known.header!r}")
        return
    if "unit_price" not in by_field:
        return
    priced = [each for each in free if _determines(each.cells, by_field["unit_price"].cells)]
    finest = max((len(set(each.cells)) for each in priced), default=0)
    priced = [each for each in priced if len(set(each.cells)) == finest]
    if not priced or not all(_is_one_to_one(priced[0], each) for each in priced[1:]):
        return
    for name, coded in (("product_id", True), ("product_name", False)):
        if column := next((each for each in priced if each.coded == coded), None):
            _give(by_field, name, column)
            guess.review(name, "by its cells: each has one price; is it the product?")


def prove_words(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """A column of currencies; and who may be the customer, where a person decides."""
    for column in _free(sheet, by_field):
        if "currency" not in by_field and "" not in column.cells and set(column.cells) <= CURRENCIES:
            _give(by_field, "currency", column)
            guess.review("currency", "by its cells: codes of currencies")
        elif "customer_id" not in by_field and all(map(_MAIL.fullmatch, column.values)):
            guess.remarks.append(
                f"{column.header!r} has addresses of mail: of the customer? `customer_id: {column.header}`"
            )


def may_be_order(column: Column, by_field: dict[str, Column]) -> bool:
    """Whether equal cells are of rows of one date, or of dates that follow each other; true where no date is known.

    Rows that are sorted by their customers go back and forth in time.
    """
    dates = by_field.get("sold_at")
    if not dates:
        return True
    steps = sum(one != two for one, two in pairwise(dates.cells))
    return steps < 2 * len(set(dates.cells)) or _agree(column.cells, dates.cells) >= _MOST


def counts_up(column: Column) -> bool:
    """Numbers that only grow or only fall, as those of orders do and amounts do not."""
    if not all(map(str.isdecimal, column.cells)):
        return True
    steps = np.diff([float(cell) for cell in column.cells])
    return bool((steps > 0).all() or (steps < 0).all())


def _is_named(name: str, column: Column) -> bool:
    """Whether its header is a word of this field; one that is only like such a word gives way to proof."""
    return words(column.header) in PHRASES.get(name, ()) or bool(column.parts)


def _give(by_field: dict[str, Column], name: str, column: Column) -> None:
    for other in [each for each, has in by_field.items() if has is column]:
        del by_field[other]
    by_field[name] = column


def _may_be_amount(column: Column) -> bool:
    return bool(column.header and column.numeric and len(column.values) > 1 and not column.counts_rows)


def _stands_once(column: Column, sheet: Sheet) -> bool:
    return sum(column.header.casefold() == each.header.casefold() for each in sheet.columns) == 1


def _free(sheet: Sheet, by_field: dict[str, Column]) -> list[Column]:
    """Columns with cells that no header gives a field."""
    taken = [id(column) for name, column in by_field.items() if _is_named(name, column)]
    free = [each for each in sheet.columns if each.header and each.values and not each.dated]
    return [each for each in free if id(each) not in taken and _stands_once(each, sheet)]


def has_fractions(column: Column) -> bool:
    return column.numeric and any(re.search(r"\d[.,]\d", text) for text in column.values)


def _numbers(column: Column, guess: Guess) -> Numbers:
    """By row; NaN where there is none."""
    probe = probe_feed(**guess.form)
    read = {match[0]: plain_number(probe, match["number"]) for match in column.numbers}
    return np.array([float(read.get(cell) or "nan") for cell in column.cells[:_LOOKED_AT]])


def _products(numbers: dict[int, Numbers]) -> Iterator[_Product]:
    """Triples of columns by place; with a fourth that is taken off only where no three do."""
    plain = [
        _Product(frozenset({one, two}), total)
        for one, two in combinations(numbers, 2)
        for total in numbers.keys() - {one, two}
        if _are_equal(numbers[one] * numbers[two], numbers[total], numbers[one], numbers[two])
    ]
    yield from plain
    for one, two in combinations(numbers, 2) if not plain else ():
        gross = numbers[one] * numbers[two]
        for total in numbers.keys() - {one, two}:
            if any(_leads(gross, numbers[off], numbers[total]) for off in numbers.keys() - {one, two, total}):
                yield _Product(frozenset({one, two}), total)


def _are_equal(product: Numbers, total: Numbers, one: Numbers, two: Numbers) -> bool:
    known = np.isfinite(product) & np.isfinite(total)
    right = known & (np.abs(product - total) < _CENT)
    telling = right & (product != 0) & (np.abs(one) != 1) & (np.abs(two) != 1)
    return bool(known.sum() >= _ROWS and right.sum() >= _MOST * known.sum() and telling.sum() >= _TELLING)


def _leads(gross: Numbers, off: Numbers, total: Numbers) -> bool:
    """Whether this discount, as an amount, a share or a percentage, leads to the total."""
    taken = np.nan_to_num(off)
    known = np.isfinite(gross) & np.isfinite(total)
    if known.sum() < _ROWS or (known & (taken != 0)).sum() < _TELLING:
        return False
    ways = (gross - taken, gross * (1 - taken), gross * (1 - taken / 100))
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
    others = [
        each.cells
        for place, each in enumerate(sheet.columns)
        if each.values
        and not each.dated
        and not has_fractions(each)
        and place not in (one, two, *(product.total for product in found))
    ]
    prices = {
        place
        for place in (one, two)
        if _has_sign(sheet.columns[place]) or any(_determines(cells, sheet.columns[place].cells) for cells in others)
    }
    if len(prices) != 1:
        return None
    (price,) = prices
    quantity = one + two - price
    return quantity if _is_whole(numbers[quantity]) or _has_sign(sheet.columns[price]) else None


def _may_be_sales(product: _Product, numbers: dict[int, Numbers]) -> bool:
    """Not net x rate of the tax, nor boxes x pieces of a box: money has cents where any figure has them."""
    if any(np.nanmax(np.abs(numbers[each])) <= 1 for each in product.factors):
        return False
    others = numbers.keys() - product.factors - {product.total}
    return not _is_whole(numbers[product.total]) or all(_is_whole(numbers[each]) for each in others)


def _is_whole(figures: Numbers) -> bool:
    known = figures[np.isfinite(figures)]
    return bool((np.mod(known, 1) == 0).all())


def _has_sign(column: Column) -> bool:
    return any(_SIGNS.search(text) for text in column.values)


def _determines(cells: list[str], others: list[str]) -> bool:
    """Cells that repeat, and of which each stands beside one of the others: a product and its price."""
    distinct = len(set(cells) - {""})
    if distinct < _WORDS or len(set(others)) < _WORDS or 2 * distinct > len(cells):
        return False
    return _agree(cells, others) >= _MOST


def _agree(cells: list[str], others: list[str]) -> float:
    """The share of rows that have the commonest of the others for their cell."""
    beside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for cell, other in zip(cells, others, strict=True):
        beside[cell][other] += 1
    return sum(each.most_common(1)[0][1] for each in beside.values()) / (len(cells) or 1)


def _is_one_to_one(one: Column, two: Column) -> bool:
    pairs = set(zip(one.cells, two.cells, strict=True))
    distinct = len(set(one.cells))
    enough = distinct >= _WORDS and 2 * distinct <= len(one.cells)
    return enough and len(pairs) == distinct == len(set(two.cells))
