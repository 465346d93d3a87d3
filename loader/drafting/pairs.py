"""Two sheets, one sale: which column of the items is that of the orders."""

from loader.drafting.recognition import Column, Guess, Sheet

_MOST = 0.95
_WITHOUT_ZEROS = r"^0*(.+)$"


def match_orders(
    items: Sheet, orders: Sheet, by_field: dict[str, Column], of_order: dict[str, Column], guess: Guess
) -> None:
    """The order's number in both: columns of one name, or of which the orders of the one sheet are in the other."""
    keys = [each for each in orders.columns if each.header and each.unique]
    pairs = [
        (item, order, _shared(item, order), item.header.casefold() == order.header.casefold())
        for order in keys
        for item in items.columns
        if item.header and item.values and not item.nested and not item.dated
    ]
    likely = by_field.get("sale_id"), of_order.get("sale_id")
    best = max(pairs, key=lambda each: (each[2] >= _MOST, each[3], each[0] in likely, each[1] in likely), default=None)
    if not best or not (best[2] >= _MOST or best[3]):
        guess.remarks.append(f"no column has the orders of {orders.path.name}: which one is the key, nothing says")
        return
    item, order, shared, _ = best
    for fields, column in ((by_field, item), (of_order, order)):
        for name in [name for name, has in fields.items() if has is column]:
            del fields[name]
        fields["sale_id"] = column
    if shared < _MOST:
        guess.review(
            "sale_id", f"by its name, as {orders.path.name} has it; {shared:.0%} of the first orders are in both"
        )


def share_key(guess: Guess, of_orders: Guess, by_field: dict[str, Column], of_order: dict[str, Column]) -> None:
    """Take the zeros in front off both keys, where only one of the sheets has them."""
    if {"sale_id"} <= by_field.keys() & of_order.keys():
        both = set(by_field["sale_id"].cells), set(of_order["sale_id"].cells)
        if len(both[0] & both[1]) < _MOST * len(both[0]) <= len(_bare(both[0]) & _bare(both[1])):
            for each in (guess, of_orders):
                each.columns["sale_id"]["pattern"] = _WITHOUT_ZEROS


def _shared(item: Column, order: Column) -> float:
    """The share of the items' orders that the other sheet has."""
    wanted = _bare(set(item.cells))
    return len(wanted & _bare(set(order.cells))) / len(wanted)


def _bare(cells: set[str]) -> set[str]:
    return {cell.lstrip("0") or cell for cell in cells}
