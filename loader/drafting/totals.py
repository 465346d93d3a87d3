"""What a line is worth: quantity times price, or a total of the sheet, as figures that belong together prove it."""

from collections import Counter, defaultdict
from decimal import Decimal
from itertools import combinations
from math import fsum, inf, isfinite, log, sqrt
from statistics import median, pstdev

import numpy as np

from loader.drafting.amounts import Numbers, numbers_of, plain_numbers
from loader.drafting.recognition import Column, Guess, Sheet, plain_number, trial_feed
from loader.drafting.vocabulary import DISCOUNT, PHRASES, words
from loader.feeds import Feed
from loader.sales_line import CENT, Amounts, cents

_FEW = 0.2  # of the rows contradict a total that the sheet states, or the total is another one
_ROWS = 10  # at least, for a figure to be one of the sheet and not of a few rows
_MOST = 0.95
_HALF = 0.5
_SAME = 0.001
_CENT = 0.011  # in figures with binary errors
_RATES = 4  # of tax, that one sheet has


def settle_price(by_field: dict[str, Column], of_orders: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """What a product costs one by one is steady, whatever the quantity; what a line comes to grows with it."""
    name = "line_total" if "line_total" in guess.columns else "unit_price"
    if "stated_total" in guess.columns or not {"product_id", "quantity", name} <= guess.columns.keys():
        return
    feed = trial_feed(head, guess)
    quantities, amounts = (np.abs(numbers_of(feed, each, by_field[each])) for each in ("quantity", name))
    products, header = by_field["product_id"].cells, by_field[name].header
    of_line = _spread_within(products, quantities, amounts)
    of_piece = _spread_within(products, quantities, _ratio(amounts, quantities))
    if name == "unit_price" and 2 * of_piece < of_line:
        name = "line_total"
        why = f"for a product, {header!r} ÷ quantity is steady, and {header!r} is not"
        _count_as_total("unit_price", by_field, guess, why)
    elif name == "line_total" and 2 * of_line < of_piece:
        guess.columns["unit_price"], by_field["unit_price"] = guess.columns.pop(name), by_field.pop(name)
        del guess.reviews[name]
        guess.review(
            "unit_price", f"for a product, {header!r} is the same whatever the quantity, so it is of one piece"
        )
        return
    if name == "line_total" and (part := _foreign_part(amounts, of_piece, feed, by_field | of_orders)):
        field, said = part
        if field == DISCOUNT and field in by_field:
            guess.before_discount = f"by the prices of the products, it has {said}"
            return
        del guess.columns[name], by_field[name]
        guess.remarks.append(f"{header!r} is not what a line comes to: by the prices of the products, it has {said}")


def take_discount_off(by_field: dict[str, Column], guess: Guess) -> None:
    """Say of a total that it is before its discount, or leave it out where nothing says what that is."""
    if not guess.before_discount or "line_total" not in guess.columns:
        return
    if {"discount_rate", "discount_amount"} & guess.columns.keys():
        guess.columns["line_total"] |= {"before_discount": True}
        guess.reviews["line_total"] = [f"the total of the line: {guess.before_discount}"]
        return
    header = guess.columns.pop("line_total")["header"]
    del by_field["line_total"]
    guess.remarks.append(f"{header!r} is not what a line comes to: {guess.before_discount}")


def _foreign_part(amounts: Numbers, of_piece: float, feed: Feed, by_field: dict[str, Column]) -> tuple[str, str] | None:
    """What the prices of products show a total to have in it that is no part of sales: its field, and in words."""
    products, quantities = by_field["product_id"].cells, np.abs(numbers_of(feed, "quantity", by_field["quantity"]))
    for name, sign in (("shipping_cost", -1), ("tax_amount", -1), (DISCOUNT, 1)):
        if name in by_field:
            part = np.abs(np.nan_to_num(plain_numbers(feed, by_field[name])))
            without = _spread_within(products, quantities, _ratio(amounts + sign * part, quantities))
            if name == DISCOUNT and 2 * of_piece < without:
                return name, f"{by_field[name].header!r} not taken off"
            if name != DISCOUNT and 2 * without < of_piece:
                return name, f"{by_field[name].header!r} in it"
    return None


def _spread_within(products: list[str], quantities: Numbers, amounts: Numbers) -> float:
    """How far the amounts of a product are from each other, by ratio, where it was sold in several quantities."""
    rows: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for product, quantity, amount in zip(products, quantities, amounts, strict=True):
        if quantity > 0 and 0 < amount < inf:
            rows[product].append((quantity, log(amount)))
    told = [each for each in rows.values() if len({quantity for quantity, _ in each}) > 1]
    if sum(map(len, told)) < _ROWS:
        return 0.0
    return sqrt(fsum(len(each) * pstdev(amount for _, amount in each) ** 2 for each in told))


def _ratio(ones: Numbers, others: Numbers) -> Numbers:
    return np.divide(ones, others, out=np.full_like(ones, np.nan), where=others != 0)


def _count_as_total(name: str, by_field: dict[str, Column], guess: Guess, why: str) -> None:
    """The column of this field is what the line comes to, and no price is mapped."""
    column, found = guess.columns.pop(name), by_field.pop(name)
    for each in {name, "unit_price"}:
        guess.columns.pop(each, None)
        by_field.pop(each, None)
        for reason in guess.reviews.pop(each, []):
            guess.review("line_total", reason)
    guess.columns["line_total"], by_field["line_total"] = column, found
    guess.review("line_total", f"counts as it stands: {why}")


def settle_totals(sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """A stated result that most rows contradict is another figure, and is not mapped."""

    def contradicted(name: str) -> int:
        rows = sheet.errors(trial_feed(head, guess))[name] if name in guess.columns else 0
        return rows if rows > _FEW * sheet.rows else 0

    def drop(name: str, why: str) -> None:
        header = guess.columns.pop(name)["header"]
        guess.remarks.append(f"{header!r} looked like {name}, but {why}")

    if "stated_total" in guess.columns and {"quantity", "unit_price"} & {*guess.missing}:
        drop("stated_total", "quantity and unit price to hold it against are missing")
    elif rows := contradicted("stated_total"):
        _settle_contradicted_total(rows, sheet, by_field, guess, head)
    elif "stated_total" in guess.columns and (others := _rounded_otherwise(by_field, guess, head)):
        why = f"quantity, price and discount are rounded otherwise in {others} of {sheet.rows} rows"
        if "discount_amount" in guess.columns:  # what was taken off is stated, to the cent
            guess.review("stated_total", f"{why}: it is a cent off there, and is only checked")
        else:
            _count_as_total("stated_total", by_field, guess, why)
    if rows := contradicted("stated_cost"):
        cost = guess.columns.pop("stated_cost")
        wrong_profit = contradicted("stated_profit") or "stated_profit" not in guess.columns
        guess.columns["stated_cost"] = cost
        why = f"{{}} in {rows} of {sheet.rows} rows"
        if wrong_profit:
            drop("unit_cost", why.format(f"times quantity it is not {cost['header']!r}"))
            guess.columns["line_cost"] = guess.columns.pop("stated_cost")
            guess.review("line_cost", "the cost of a line, which counts as it stands")
        else:
            drop("stated_cost", why.format("quantity and unit cost give something else"))
    if rows := contradicted("stated_profit"):
        drop("stated_profit", f"total and cost give something else in {rows} of {sheet.rows} rows")


def _settle_contradicted_total(
    rows: int, sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]
) -> None:
    """Tell a total that is lower by a discount, which counts, from one with tax or shipping in it, which does not."""
    total = by_field["stated_total"]
    feed = trial_feed(head, guess)
    wanted = ("quantity", "unit_price", "stated_total")
    numbers = list(zip(*(numbers_of(feed, each, by_field[each]) for each in wanted), strict=True))
    shares = [abs(total / gross) for quantity, price, total in numbers if (gross := quantity * price)]
    shares = [share for share in shares if isfinite(share)]
    usual = median(shares) if shares else 0.0
    if _is_gross(shares, feed, sheet, by_field, guess):
        price = by_field["unit_price"].header
        why = f"it is quantity × {price!r}, which is the same for a product, so the discount is still to be taken off"
        _count_as_total("stated_total", by_field, guess, why)
        guess.columns["line_total"] |= {"before_discount": True}
        return
    why = f"quantity, price and discount give something else in {rows} of {sheet.rows} rows"
    why = f"{why}: it is {usual:.2f} × quantity × price in the middle of them"
    enough = len(shares) >= max(_ROWS, _MOST * sheet.rows)
    higher = sum(share > 1 + _SAME for share in shares)
    if (
        enough
        and higher <= (1 - _MOST) * len(shares)
        and usual > _HALF
        and words(total.header) in PHRASES["stated_total"]
    ):
        _count_as_total("stated_total", by_field, guess, f"{why}, and hardly ever more")
        return
    rates = Counter(round(share, 2) for share in shares).most_common(_RATES)
    has_tax = usual >= 1 - _SAME and sum(n for _, n in rates) >= _MOST * len(shares)
    header = guess.columns.pop("stated_total")["header"]
    guess.remarks.append(f"{header!r} looked like stated_total, but {why}, a discount or a tax?")
    if (
        enough
        and not has_tax
        and words(total.header) in PHRASES["stated_total"]
        and not _has_parts(sheet, by_field, feed)
    ):
        del guess.columns["unit_price"]
        price = by_field.pop("unit_price").header
        guess.remarks.append(
            f"a line is worth {header!r}, or quantity × {price!r}: `line_total: {header}` or `unit_price: {price}`"
        )


def _is_gross(shares: list[float], feed: Feed, sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> bool:
    """Whether a total is quantity times price, and what a product costs is steady without the discount taken off."""
    same = sum(abs(share - 1) < _SAME for share in shares)
    if not (DISCOUNT in by_field and {"discount_rate", "discount_amount"} & guess.columns.keys()):
        return False
    if same < max(_ROWS, _MOST * sheet.rows) or "product_id" not in by_field:
        return False
    quantities, totals = (np.abs(numbers_of(feed, each, by_field[each])) for each in ("quantity", "stated_total"))
    of_piece = _spread_within(by_field["product_id"].cells, quantities, _ratio(totals, quantities))
    part = _foreign_part(totals, of_piece, feed, by_field)
    return part is not None and part[0] == DISCOUNT


def _has_parts(sheet: Sheet, by_field: dict[str, Column], feed: Feed) -> bool:
    """Whether other columns, one or two of them, are what the total has more than quantity x price: tax, shipping."""
    wanted = ("quantity", "unit_price", "stated_total")
    quantity, price, total = (np.abs(numbers_of(feed, each, by_field[each])) for each in wanted)
    more = total - quantity * price
    known = np.isfinite(more)
    others = [each for each in sheet.columns if not any(each is by_field[name] for name in wanted)]
    others = [each for each in others if each.numeric and not each.dated]
    parts = [np.abs(np.nan_to_num(plain_numbers(feed, each))) for each in others]
    pairs = (one + two for one, two in combinations(parts, 2))
    return any((np.abs(more - part)[known] < 2 * _CENT).mean() >= _MOST for part in (*parts, *pairs))


def _rounded_otherwise(by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> int:
    """In how many rows the sheet's total is a cent off what quantity, price and discount come to, each in cents."""
    feed = trial_feed(head, guess)
    wanted = [
        each
        for each in ("quantity", "unit_price", "discount_rate", "discount_amount", "stated_total")
        if each in guess.columns
    ]
    found = 0
    for cells in zip(*(by_field[each].cells for each in wanted), strict=True):
        read = {name: plain_number(feed, cell, name) for name, cell in zip(wanted, cells, strict=True)}
        amounts = {name: Decimal(number) for name, number in read.items() if number is not None}
        if "stated_total" not in amounts:
            return 0  # it cannot count where it is missing
        if {"quantity", "unit_price"} <= amounts.keys():
            line = Amounts(amounts)
            ours = cents(abs(line.gross)) - cents(abs(line.gross - line.total))
            found += 0 < abs(ours - cents(abs(amounts["stated_total"]))) <= CENT
    return found
