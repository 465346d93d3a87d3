"""Continuation lines: orders whose own cells stand on their first line only, as Shopify exports them.

What the cells prove: in rows that go on with an order, some columns are blank, and in no others. Such columns are of
the order. The draft of a feed fills them down, and takes no amount of an order for that of a line.
"""

from dataclasses import dataclass, replace

from loader.drafting import vocabulary
from loader.drafting.recognition import Column, Guess, Sheet
from loader.drafting.vocabulary import DISCOUNT, content_words, words
from loader.sales_line import MONEY_FIELDS

# Fields that say something of the order, and are the same in all of its lines.
_OF_AN_ORDER = (
    *("sold_at", "currency", "payment_method", "payment_status", "payment_date", "customer_id", "customer_name"),
    *("store_id", "sales_channel", "sales_region", "sales_representative", "delivery_status", "delivery_date"),
)
# Amounts of which the sum over the lines is that of the orders, wherever they stand.
_SUMMED = frozenset({"tax_amount", "shipping_cost", "discount_amount"})
_ENOUGH = 2  # rows that go on with an order


@dataclass(frozen=True)
class _Orders:
    key: Column
    goes_on: list[bool]  # of each row: it is of the order above
    of_order: list[Column]  # blank in all of those rows
    proof: int  # columns that are blank in those and in no others


def mark_orders(sheet: Sheet) -> Sheet:
    """The same sheet, with each column marked that is an order's number, or of an order and not of its lines."""
    found = [orders for key in sheet.columns if (orders := _orders(key, sheet.columns))]
    best = max(found, key=lambda orders: orders.proof, default=None)
    if not best:
        return sheet
    columns = [
        replace(each, role="order" if each is best.key else "of_order" if each in best.of_order else each.role)
        for each in sheet.columns
    ]
    return replace(sheet, columns=columns)


def may_be(name: str, column: Column) -> bool:
    """Whether a column of an order can be this field of its lines."""
    amount = name in (MONEY_FIELDS | {"quantity"}) - _SUMMED
    return not (column.role == "of_order" and amount)


def guess_fill_down(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """Fill what is of the order, and say which totals are none of a line."""
    key = by_field.get("sale_id")
    if not key or key.role != "order":
        return
    fields = [name for name in _OF_AN_ORDER if name in guess.columns and by_field[name].role == "of_order"]
    if "" in key.cells:
        fields = ["sale_id", *fields]
    if fields:
        guess.fill_down = fields
        guess.review("fill_down", f"cells of the order stand on its first line only, as {key.header!r} proves")
    mapped = {column.header for column in by_field.values()}
    amounts = (each for each in sheet.columns if each.role == "of_order" and each.numeric and not each.dated)
    if totals := [each.header for each in amounts if each.header not in mapped]:
        guess.remarks.append(f"of the order and not of its lines, so no field: {', '.join(totals)}")
    if DISCOUNT in by_field and by_field[DISCOUNT].role == "of_order":
        guess.review(
            "discount_amount",
            "of the whole order, and taken off its first line: orders are right, products are not, and a first line "
            "that is worth less is rejected",
        )


def _orders(key: Column, columns: list[Column]) -> _Orders | None:
    """What the sheet says if this column has the order's number; None where nothing proves it."""
    if not key.header or not key.coded or key.dated or not key.cells[:1] or not key.cells[0]:
        return None
    has_blanks = "" in key.cells
    if has_blanks and not content_words(words(key.header)) & vocabulary.ORDER_WORDS:
        return None
    above = key.cells[0]
    goes_on = [False]
    for cell in key.cells[1:]:
        goes_on.append(cell in ("", above))
        above = cell or above
    first = [cell for cell, on in zip(key.cells, goes_on, strict=True) if not on]
    if sum(goes_on) < _ENOUGH or len(set(first)) < len(first):
        return None
    of_order, proof = [], 0
    for each in columns:
        blank = [not cell for cell in each.cells]
        if each is key or all(blank) or any(on and not nothing for on, nothing in zip(goes_on, blank, strict=True)):
            continue
        of_order.append(each)
        proof += blank == goes_on
    return _Orders(key, goes_on, of_order, proof) if proof else None
