"""Which columns go together: codes and names, products and their prices, the lines of an order."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np

from loader.drafting.recognition import Column, Guess, Sheet
from loader.drafting.vocabulary import CURRENCIES, PHRASES, words

_MOST = 0.95
_WORDS = 3  # at least, of something that repeats
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.\w+")


def prove_products(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """Code and name of the product: columns of which each cell has one price, and each code one name."""
    free = [each for each in _free(sheet, by_field) if not has_fractions(each)]
    known = by_field.get("product_id") or by_field.get("product_name")
    if known:
        name = "product_name" if "product_id" in by_field else "product_id"
        partners = [each for each in free if each.coded == (name == "product_id") and _is_one_to_one(known, each)]
        if name not in by_field and len(partners) == 1 and known.coded != partners[0].coded:
            give(by_field, name, partners[0])
            guess.review(name, f"by its cells: one for each {known.header!r}")
        return
    if "unit_price" not in by_field:
        return
    priced = [each for each in free if determines(each.cells, by_field["unit_price"].cells)]
    finest = max((len(set(each.cells)) for each in priced), default=0)
    priced = [each for each in priced if len(set(each.cells)) == finest]
    if not priced or not all(_is_one_to_one(priced[0], each) for each in priced[1:]):
        return
    for name, coded in (("product_id", True), ("product_name", False)):
        if column := next((each for each in priced if each.coded == coded), None):
            give(by_field, name, column)
            guess.review(name, "by its cells: each has one price; is it the product?")


def prove_words(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """A column of currencies; and who may be the customer, where a person decides."""
    for column in _free(sheet, by_field):
        if "currency" not in by_field and "" not in column.cells and set(column.cells) <= CURRENCIES:
            give(by_field, "currency", column)
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


def is_named(name: str, column: Column | None) -> bool:
    """Whether its header is a word of this field; one that is only like such a word gives way to proof."""
    return column is not None and (words(column.header) in PHRASES.get(name, ()) or bool(column.parts))


def give(by_field: dict[str, Column], name: str, column: Column) -> None:
    for other in [each for each, has in by_field.items() if has is column]:
        del by_field[other]
    by_field[name] = column


def stands_once(column: Column, sheet: Sheet) -> bool:
    return sum(column.header.casefold() == each.header.casefold() for each in sheet.columns) == 1


def _free(sheet: Sheet, by_field: dict[str, Column]) -> list[Column]:
    """Columns with cells that no header gives a field."""
    taken = [id(column) for name, column in by_field.items() if is_named(name, column)]
    free = [each for each in sheet.columns if each.header and each.values and not each.dated]
    return [each for each in free if id(each) not in taken and stands_once(each, sheet)]


def has_fractions(column: Column) -> bool:
    return column.numeric and any(re.search(r"\d[.,]\d", text) for text in column.values)


def determines(cells: list[str], others: list[str]) -> bool:
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
