"""Which column is which field: by its header, and by what its cells prove."""

import re
from collections import Counter
from difflib import SequenceMatcher
from typing import Any

from loader.drafting import vocabulary
from loader.drafting.belonging import counts_up, has_fractions, may_be_order
from loader.drafting.continuation import may_be
from loader.drafting.recognition import LOOKS_DATED, TOKENS, Column, Guess, Sheet, plain_number, probe_feed
from loader.drafting.vocabulary import CURRENCY_SIGNS, DISCOUNT, PHRASES, content_words, words
from loader.sales_line import DATE_FIELDS, FIELDS, MONEY_FIELDS, NUMBER_FIELDS, TIME_FIELDS

_ALIKE = 0.66
_MANY_WORDS = 20  # more are no words for types of lines
_EVIDENT_TOKENS = frozenset({"n/a", "#n/a", "nan", "null"})  # no word of any language


def match_headers(columns: list[Column], guess: Guess) -> dict[str, Column]:
    """The most likely column of each field, by its header first and then by what its cells are."""
    folded = Counter(column.header.casefold() for column in columns)
    usable = [
        (place, each)
        for place, each in enumerate(columns)
        if folded[each.header.casefold()] == 1 and each.header and not each.empty and not each.nested
    ]
    ranked = sorted(
        (-likeness, place, order, name)
        for place, column in usable
        for order, name in enumerate(PHRASES)
        if (likeness := _likeness(name, column)) >= _ALIKE
    )
    found: dict[str, Column] = {}
    taken: set[int] = set()
    for place, column in usable:
        if column.role == "order":
            found["sale_id"] = column
            taken.add(place)
        elif "line_type" not in found and len(kinds(column)) > 1:
            found["line_type"] = column
            taken.add(place)
    for _, place, _, name in ranked:
        if name not in found and place not in taken:
            found[name] = columns[place]
            taken.add(place)
    if several := sorted({each.header for each in columns if folded[each.header.casefold()] > 1 and each.header}):
        guess.remarks.append(f"in the header more than once, so no field: {', '.join(several)}; rename all but one")
    if any(each.dated and LOOKS_DATED.match(each.header) for each in columns):
        guess.remarks.append("the first row looks like one of data: put a row with the names of the columns above it")
    empty = [each.header for each in columns if each.empty and each.header]
    if empty:
        guess.remarks.append(f"empty in every row, so no field: {', '.join(empty)}; map it once it has cells")
    return found


def kinds(column: Column) -> dict[str, list[str]]:
    """The words of each line type, where the column has nothing but such words; else nothing."""
    kinds: dict[str, list[str]] = {}
    for text in column.values if len(column.values) < _MANY_WORDS else ():
        kind = next((kind for kind, pattern in vocabulary.LINE_TYPES.items() if pattern.match(words(text))), None)
        if not kind:
            return {}
        kinds.setdefault(kind, []).append(text)
    return kinds


def _likeness(name: str, column: Column) -> float:
    if not _fits(name, column) or not may_be(name, column):
        return 0.0
    header = words(column.header)
    if header not in PHRASES[name] and any(header in phrases for phrases in PHRASES.values()):
        return 0.0  # a word of another field is no likeness
    short = words(re.sub(r"\(.*?\)|\[.*?\]", "", column.header))
    best = max(
        max(_alike(header, phrase), _alike(short, phrase) - 0.01) - order / 1000
        for order, phrase in enumerate(PHRASES[name])
    )
    coded = name.endswith("_id")
    if name in ("customer_id", "product_id", "customer_name", "product_name") and column.coded != coded:
        best -= 0.1
    return best


def _alike(header: str, phrase: str) -> float:
    if header == phrase:
        return 1.0
    own, other = content_words(header), content_words(phrase)
    common = 2 * len(own & other) / ((len(own) + len(other)) or 1)
    typing = SequenceMatcher(None, header, phrase).ratio() if len(header) > 4 else 0.0
    return max(common * 0.98, typing if typing > 0.88 else 0.0)


def _fits(name: str, column: Column) -> bool:
    if name in DATE_FIELDS | TIME_FIELDS:
        return column.dated or not column.cells
    if name in NUMBER_FIELDS or name == DISCOUNT:
        is_rate = name in MONEY_FIELDS and all(text.endswith("%") for text in column.values)
        is_number = column.numeric and not LOOKS_DATED.match(next(iter(column.values), ""))
        return (is_number and not is_rate) or not column.cells
    if name == "line_type":
        return bool(kinds(column))
    if name == "sale_id" and column.counts_rows:
        return bool(content_words(words(column.header)) & vocabulary.ORDER_WORDS)
    if name == "currency":
        return all(re.fullmatch(r"[A-Z]{3}", value) for value in column.values)
    return not column.dated or column.numeric


def find_orders(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """The order number where no header is one: ids that several rows in a row share, or else a key of every row."""
    found = by_field.get("sale_id")
    if found and not (found.unique and (found.counts_rows or words(found.header) == "id")):
        return
    free = [each for each in sheet.columns if each.header and each.coded and not each.dated and not has_fractions(each)]
    free = [each for each in free if each not in by_field.values()]
    shared = sorted((each for each in free if each.stands_together), key=lambda each: -len(set(each.cells)))
    named = [each for each in shared if content_words(words(each.header)) & vocabulary.ORDER_WORDS]
    shared = [each for each in shared if may_be_order(each, by_field)]
    if named:
        by_field["sale_id"] = named[0]
    elif "sale_id" not in by_field and (
        keys := [each for each in free if each.unique and not each.counts_rows and counts_up(each)]
    ):
        by_field["sale_id"] = keys[0]
    elif "sale_id" not in by_field and shared:
        finest = [each for each in shared if len(set(each.cells)) == len(set(shared[0].cells))]
        if len(finest) > 1:
            told = " or ".join(repr(each.header) for each in finest)
            guess.remarks.append(f"rows with the same {told} stand together: which is the order, the cells do not say")
            return
        by_field["sale_id"] = shared[0]
        guess.review("sale_id", "by its cells: rows with the same one stand together; is it the order?")
    if "sale_id" not in by_field and (counted := next((each for each in sheet.columns if each.counts_rows), None)):
        guess.remarks.append(
            f"{counted.header!r} counts the rows: no order number; if each row is an order, `sale_id: {counted.header}`"
        )


def map_columns(by_field: dict[str, Column], guess: Guess) -> None:
    """The columns of the feed, in the order of the canonical fields."""
    wanted = {"product_id", "product_name", "quantity"}
    if guess.part is None and not wanted & by_field.keys() and "sale_id" in by_field and by_field["sale_id"].unique:
        guess.remarks.append("each row is an order, without what was sold: with the sheet of its items, use --orders")
    if "product_id" not in by_field and "product_name" in by_field:
        by_field["product_id"] = by_field["product_name"]
        guess.review("product_id", "the sheet has no code of its own: the name serves as one")
    if "product_id" not in by_field and "product_category" in by_field:
        by_field["product_id"] = by_field["product_category"]
        guess.review("product_id", "no column looks like a product: its category serves as one")
    if "product_id" in by_field and "product_name" not in by_field and not by_field["product_id"].coded:
        by_field["product_name"] = by_field["product_id"]
        guess.review("product_id", "these are names; a code of its own would survive renaming")
    if "sale_id" in by_field and by_field["sale_id"].unique and guess.part != "orders":
        guess.review("sale_id", "different in every row: each row counts as an order")
    for name in FIELDS:
        if column := by_field.get(name):
            origin: dict[str, Any] = {"join": list(column.parts)} if column.parts else {"header": column.header}
            guess.columns[name] = origin | affixes(name, column, guess)
            phrase = max(_alike(words(column.header), each) for each in PHRASES[name])
            if phrase < 1 and name not in guess.reviews and column.role != "order":
                guess.review(name, "by likeness of the header; is it?")
    _guess_nulls(by_field, guess)


def affixes(name: str, column: Column, guess: Guess) -> dict[str, Any]:
    """What stands around the value of each cell."""
    if name.endswith("_id") or (name == "quantity" and guess.form["decimal"] == ","):
        floats = sum(n for text, n in column.values.items() if re.fullmatch(r"-?\d+\.0", text))
        return {"strip_suffix": ".0"} if floats and floats >= 0.9 * column.values.total() else {}
    if name not in NUMBER_FIELDS | {DISCOUNT}:
        return {}
    before = {match["before"].strip() for match in column.numbers if match["before"] and match["before"].strip()}
    after = {match["after"].strip() for match in column.numbers if match["after"] and match["after"].strip()}
    if name == "customer_rating":
        return {"pattern": r"^(\d)\b"} if after else _scale(column, guess)
    found: dict[str, Any] = {}
    if len(after) == 1:
        found["strip_suffix"] = after.pop()
    elif after:
        guess.review(name, f"units differ: {', '.join(sorted(after)[:3])}; rows without the first are rejected")
        found["strip_suffix"] = min(after)
    if before:
        found["pattern"] = rf"^(?:{'|'.join(re.escape(each) for each in sorted(before))})\s*(.+)$"
    return found


def _scale(column: Column, guess: Guess) -> dict[str, Any]:
    """The scale of ratings that are not whole stars from one to five."""
    probe = probe_feed(**guess.form)
    ratings = [float(number) for match in column.numbers if (number := plain_number(probe, match["number"]))]
    best = max(ratings, default=0)
    scale = next((each for each in (5, 10, 100) if best <= each), None)
    if not scale or (scale == 5 and all(map(float.is_integer, ratings))):
        return {}
    guess.review("customer_rating", f"the best is {best:g}, so the scale is taken to end at {scale}")
    return {"scale": scale}


def take_totals(by_field: dict[str, Column], guess: Guess) -> None:
    """Where nothing is the price of one piece, the total of the line is what it is worth; and so is a cost."""
    for one, stated, counted in (
        ("unit_price", "stated_total", "line_total"),
        ("unit_cost", "stated_cost", "line_cost"),
    ):
        if one not in by_field and stated in by_field:
            guess.columns[counted] = guess.columns.pop(stated)
            guess.reviews[counted] = guess.reviews.pop(stated, [])
            guess.review(counted, f"counts as it stands, as no column looks like {one}")
            by_field[counted] = by_field.pop(stated)


def _guess_nulls(by_field: dict[str, Column], guess: Guess) -> None:
    """Tokens for "nothing": such words in columns of numbers and dates, and everywhere those that are no words."""
    found = {
        cell
        for name, column in by_field.items()
        for cell in set(column.cells)
        if cell.casefold()
        in (TOKENS if name in NUMBER_FIELDS | DATE_FIELDS | TIME_FIELDS | {DISCOUNT} else _EVIDENT_TOKENS)
    }
    if found:
        guess.form["nulls"] = ["", *sorted(found)]
        guess.review("nulls", "in every column a cell with one of these is empty")


def guess_currency(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """Signs and codes at the amounts, else a code in a header or in the file's name."""
    if "currency" in guess.columns:
        return
    amounts = [each for name, each in by_field.items() if name in NUMBER_FIELDS | {DISCOUNT}]
    signs = Counter(
        sign
        for column in amounts
        for match in column.numbers
        for sign in re.findall(r"R\$|Rs|[$€£¥₹]|\b[A-Z]{3}\b", match[0])
        if sign in CURRENCY_SIGNS or sign in vocabulary.CURRENCIES
    )
    codes = {CURRENCY_SIGNS.get(sign, sign) for sign in signs}
    where = f"the sign {signs.most_common(1)[0][0]}" if signs else ""
    if not codes:
        for text, origin in [
            *((each.header, f"the header {each.header!r}") for each in amounts),
            (sheet.path.stem, "the file's name"),
        ]:
            said = {word.upper() for word in re.split(r"[\W_]+", text)} & vocabulary.CURRENCIES
            said |= {CURRENCY_SIGNS[sign] for sign in re.findall(r"R\$|[$€£¥₹]", text)}
            if said:
                codes, where = said, origin
                break
    if len(codes) == 1:
        guess.columns["currency"] = {"value": codes.pop()}
        guess.review("currency", f"from {where}")
    elif codes:
        guess.remarks.append(f"several currencies: {', '.join(sorted(codes))}; a feed has one, or a column of codes")
    else:
        guess.remarks.append("no currency is stated: add `currency: {value: EUR}` or the like, or it is XXX, for none")
