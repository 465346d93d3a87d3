"""Rules for lines that are no sales."""

import re
from collections import Counter

from pydantic import TypeAdapter, ValidationError

from loader.drafting import vocabulary
from loader.drafting.columns import kinds
from loader.drafting.recognition import Column, Guess, trial_feed
from loader.drafting.vocabulary import words
from loader.sales_line import StatedLineType


def guess_line_types(by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """Rules for lines that are no sales: by a status, by the letter of a number, by a negative quantity."""
    _guess_by_status(by_field, guess)
    if "line_type" in by_field:
        said = kinds(by_field["line_type"])
        if not _understood([word for texts in said.values() for word in texts]):
            guess.line_type.extend({"when": {"line_type": texts}, "is": kind} for kind, texts in said.items())
            guess.review("line_type", f"the words of {by_field['line_type'].header!r}")
    if "line_type" in guess.columns or "quantity" not in by_field:
        return
    feed = trial_feed(head, guess)
    ids = by_field["sale_id"].cells if "sale_id" in by_field else [""] * len(by_field["quantity"].cells)

    def below_zero(name: str) -> list[bool]:
        return [(feed.cell(name, cell) or "").startswith("-") for cell in by_field[name].cells]

    def by_letter(negative: list[bool], kind: str) -> int:
        """Rules for the letters that only numbers of such rows begin with. Returns the rows that they explain."""
        letters = Counter(zip((re.match(r"[A-Za-z]*", cell)[0] for cell in ids), negative, strict=True))  # type: ignore[index]
        others = any(not minus for _, minus in letters)
        own = sorted(one for one, minus in letters if minus and one and letters[one, True] > 20 * letters[one, False])
        guess.line_type.extend({"when": {"sale_id": f"^{one}"}, "is": kind} for one in own if others)
        return sum(letters[one, True] for one in own) if others else 0

    if "unit_price" in by_field and (prices := sum(below_zero("unit_price"))):
        explained = by_letter(below_zero("unit_price"), "adjustment")
        if explained:
            guess.review("line_type", f"{explained} of {prices} rows with a negative price have numbers of their own")
    negative = below_zero("quantity")
    if not any(negative) and "line_total" in guess.columns:
        _guess_credits(sum(below_zero("line_total")), guess)
    if count := sum(negative):
        explained = by_letter(negative, "return")
        if explained:
            rest = f", the others are rejected: {count - explained}" * (explained < count)
            guess.review(
                "line_type", f"{explained} of {count} rows with a negative quantity have numbers of their own{rest}"
            )
        elif count > 1:
            guess.line_type.append({"when": {"quantity": "^-"}, "is": "return"})
            guess.review("line_type", f"{count} rows have a negative quantity; without this rule they are rejected")
        else:
            guess.remarks.append(
                "one row has a negative quantity and is rejected; if such rows are returns, add "
                '`line_type: [{when: {quantity: "^-"}, is: return}]`'
            )


def _guess_by_status(by_field: dict[str, Column], guess: Guess) -> None:
    for kind, pattern in (("cancellation", vocabulary.CANCELLED), ("return", vocabulary.RETURNED)):
        for name in ("delivery_status", "payment_status"):
            values = [each for each in by_field[name].values if pattern.match(words(each))] if name in by_field else []
            if values:
                undone = kind == "return" and _are_sales(by_field[name].cells, values, by_field)
                texts = "|".join(re.escape(each) for each in sorted(values))
                guess.line_type.append(
                    {
                        "when": {name: f"^(?:{texts})$" if len(values) > 1 else f"^{texts}$"},
                        "is": "cancellation" if undone else kind,
                    }
                )
                guess.review("line_type", f"{name} says {', '.join(sorted(values))}")
                if undone:
                    guess.review(
                        "line_type",
                        "such a row is the sale that was taken back, so that nothing of it counts; "
                        "if the sale stands in another row or sheet too, the row is a `return`",
                    )
                break


def _are_sales(statuses: list[str], values: list[str], by_field: dict[str, Column]) -> bool:
    """Whether the sales that were undone stand in these very rows: none of them takes anything back."""
    orders = by_field["sale_id"].cells if "sale_id" in by_field else [""] * len(statuses)
    of_others = {order for order, status in zip(orders, statuses, strict=True) if order and status not in ("", *values)}
    amounts = [by_field[name].cells for name in ("quantity", "unit_price", "line_total") if name in by_field]
    paid_back = [place for place, status in enumerate(statuses) if status in values]
    return not any(orders[each] in of_others or any("-" in cells[each] for cells in amounts) for each in paid_back)


def _guess_credits(totals: int, guess: Guess) -> None:
    if totals:
        guess.line_type.append({"when": {"line_total": "^-"}, "is": "return"})
        guess.review("line_type", f"{totals} rows have a negative total; without this rule they are rejected")


def _understood(texts: list[str]) -> bool:
    """Whether a load knows these words of types without a rule."""
    try:
        TypeAdapter(list[StatedLineType]).validate_python(texts)
    except ValidationError:
        return False
    return True
