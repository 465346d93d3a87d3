"""A sheet → the draft of its feed: YAML with a comment at each guess that a person should look at.

What is guessed is tried at once: by the feed's own reading of cells, and by the load's own verdict on a sample of the
sheet. Of two readings, the one that refuses fewer rows is taken. A required field that nothing in the sheet tells is
left out, so that the loader refuses the feed until somebody has filled it in.
"""

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import SequenceMatcher
from math import isfinite, log
from pathlib import Path
from statistics import median, pstdev
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from loader import vocabulary
from loader.advice import faults_of
from loader.continuation import guess_fill_down, mark_orders, may_be
from loader.errors import SettingsError
from loader.feeds import FEED_NAME, Feed, parse_yaml
from loader.pipeline import Check, check_file
from loader.recognition import (
    LOOKS_DATED,
    TOKENS,
    Column,
    Guess,
    Sheet,
    guess_dates,
    guess_numbers,
    guess_text,
    plain_number,
    probe_feed,
    read_sheet,
)
from loader.sales_line import DATE_FIELDS, FIELDS, NUMBER_FIELDS, PRICES, REQUIRED, TIME_FIELDS, StatedLineType
from loader.settings import Limits
from loader.vocabulary import CURRENCY_SIGNS, DISCOUNT, PHRASES, content_words, words

_ALIKE = 0.66
_MANY_WORDS = 20  # more are no words for types of lines
_FEW = 0.2  # of the rows contradict a total that the sheet states, or the total is another one
_EVIDENT_TOKENS = frozenset({"n/a", "#n/a", "nan", "null"})  # no word of any language
_ROWS = 10  # at least, for a figure to be one of the sheet and not of a few rows
_MOST = 0.95
_SAME = 0.001
_CENT = 0.011  # in figures with binary errors
_KEPT = frozenset({*REQUIRED, *PRICES, "line_type", "currency", "stated_total", "stated_cost", "stated_profit"})
_ENOUGH = 20_000  # rejected rows to judge a draft by: a draft takes seconds
_FIXES = 3  # rounds of edits: a mended cell may show what else is wrong with its row
_STAND_IN = {"sale_id": "?", "product_id": "?", "quantity": "1", "unit_price": "0"}


@dataclass(frozen=True)
class Draft:
    """`text` is the feed as YAML; `feed` the same with stand-ins for what is `missing`, by which `check` was made."""

    text: str
    feed: Feed
    missing: list[str]
    reviews: int
    check: Check


def draft_feed(
    path: Path, name: str | None, limits: Limits, *, fix: bool = False, sheet_name: str | None = None
) -> Draft:
    """Guess the feed of a local file, and check the file by it. `fix`: with the edits that rejected cells prove.

    `sheet_name` is one of a workbook.

    Raises InvalidFile when it cannot be read as a sheet at all, SettingsError when `name` is none for a feed.
    """
    if name and not re.fullmatch(FEED_NAME, name):
        raise SettingsError(f"--name {name!r}: a feed's name has small letters, digits and _, and begins with a letter")
    sheet = mark_orders(read_sheet(path, limits, sheet_name))
    guess = Guess(sheet.columns[0].header, {"sheet": sheet_name} if sheet_name else {})
    guess_text(sheet, guess)
    by_field = _match_headers(sheet.columns, guess)
    guess_numbers(sheet, guess)
    guess_dates(sheet, by_field, guess)
    _find_orders(sheet, by_field, guess)
    _map(by_field, guess)
    guess_fill_down(sheet, by_field, guess)
    _take_totals(by_field, guess)
    _guess_currency(sheet, by_field, guess)
    head = {"feed": name or _name(path), "match": _match(path)}
    _drop_disproved(sheet, by_field, guess, head)
    _settle_cost(by_field, guess, head)
    _find_discount(sheet, by_field, guess, head)
    _settle_discount(sheet, by_field, guess, head)
    _settle_totals(sheet, by_field, guess, head)
    _guess_line_types(by_field, guess, head)
    feed = _feed(head, guess)
    check = check_file(path, feed, limits, _ENOUGH)
    for _ in range(_FIXES if fix else 0):
        edited = _mended(guess, check, feed)
        trial = _feed(head, edited)
        after = check_file(path, trial, limits, _ENOUGH)
        if trial == feed or after.counts.rejected > check.counts.rejected:
            break
        guess, feed, check = edited, trial, after
    text = _written(head, guess, sheet, check.counts.refused_by(feed.rejects))
    said = parse_yaml(text)
    said["columns"] = (said["columns"] or {}) | _stand_ins(guess)
    assert Feed.model_validate(said) == feed, "the draft says what was tried"
    return Draft(text, feed, guess.missing, text.count("# review"), check)


def _mended(guess: Guess, check: Check, feed: Feed) -> Guess:
    """The guess with the edits that the cells of rejected rows prove."""
    form, columns = dict(guess.form), dict(guess.columns)
    reviews = {key: list(reasons) for key, reasons in guess.reviews.items()}
    for fault in faults_of(check.rejected, feed):
        if not fault.edit or fault.edit.condition:
            continue
        for key, value in fault.edit.change.get("format", {}).items():
            more = [each for each in value if each not in form.get(key, [])] if isinstance(value, list) else value
            form[key] = [*form.get(key, []), *more] if isinstance(value, list) else value
            reviews.setdefault(key, []).append(f"--fix, for {fault.edit.mends} rows of {fault.name}")
        columns |= fault.edit.change.get("columns", {})
    return replace(guess, form=form, columns=columns, reviews=reviews)


def _match_headers(columns: list[Column], guess: Guess) -> dict[str, Column]:
    """The most likely column of each field, by its header first and then by what its cells are."""
    folded = Counter(column.header.casefold() for column in columns)
    usable = [
        (place, each)
        for place, each in enumerate(columns)
        if folded[each.header.casefold()] == 1 and each.header and not each.empty
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
        elif "line_type" not in found and len(_kinds(column)) > 1:
            found["line_type"] = column
            taken.add(place)
    for _, place, _, name in ranked:
        if name not in found and place not in taken:
            found[name] = columns[place]
            taken.add(place)
    empty = [each.header for each in columns if each.empty and each.header]
    if empty:
        guess.remarks.append(f"empty in every row, so no field: {', '.join(empty)}; map it once it has cells")
    return found


def _kinds(column: Column) -> dict[str, list[str]]:
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
    return max(common * 0.98, typing if typing > 0.85 else 0.0)


def _fits(name: str, column: Column) -> bool:
    if name in DATE_FIELDS | TIME_FIELDS:
        return column.dated or not column.cells
    if name in NUMBER_FIELDS or name == DISCOUNT:
        return (column.numeric and not LOOKS_DATED.match(next(iter(column.values), ""))) or not column.cells
    if name == "line_type":
        return bool(_kinds(column))
    if name == "sale_id" and column.counts_rows:
        return bool(content_words(words(column.header)) & vocabulary.ORDER_WORDS)
    if name == "currency":
        return all(re.fullmatch(r"[A-Z]{3}", value) for value in column.values)
    return not column.dated or column.numeric


def _find_orders(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """The order number where no header is one: ids that several rows in a row share, or else a key of every row."""
    found = by_field.get("sale_id")
    if found and not (found.unique and (found.counts_rows or words(found.header) == "id")):
        return
    free = [each for each in sheet.columns if each.header and each.coded and not each.dated]
    free = [each for each in free if each not in by_field.values()]
    shared = sorted((each for each in free if each.stands_together), key=lambda each: -len(set(each.cells)))
    named = [each for each in shared if content_words(words(each.header)) & vocabulary.ORDER_WORDS]
    if named:
        by_field["sale_id"] = named[0]
    elif "sale_id" not in by_field and (keys := [each for each in free if each.unique and not each.counts_rows]):
        by_field["sale_id"] = keys[0]
    elif "sale_id" not in by_field and shared:
        by_field["sale_id"] = shared[0]
        guess.review("sale_id", "by its cells: rows with the same one stand together; is it the order?")
    if "sale_id" not in by_field and (counted := next((each for each in sheet.columns if each.counts_rows), None)):
        guess.remarks.append(
            f"{counted.header!r} counts the rows: no order number; if each row is an order, `sale_id: {counted.header}`"
        )


def _map(by_field: dict[str, Column], guess: Guess) -> None:
    """The columns of the feed, in the order of the canonical fields."""
    if "product_id" not in by_field and "product_name" in by_field:
        by_field["product_id"] = by_field["product_name"]
        guess.review("product_id", "the sheet has no code of its own: the name serves as one")
    if "product_id" in by_field and "product_name" not in by_field and not by_field["product_id"].coded:
        by_field["product_name"] = by_field["product_id"]
        guess.review("product_id", "these are names; a code of its own would survive renaming")
    if "sale_id" in by_field and by_field["sale_id"].unique:
        guess.review("sale_id", "different in every row: each row counts as an order")
    for name in FIELDS:
        if column := by_field.get(name):
            origin: dict[str, Any] = {"join": list(column.parts)} if column.parts else {"header": column.header}
            guess.columns[name] = origin | _affixes(name, column, guess)
            phrase = max(_alike(words(column.header), each) for each in PHRASES[name])
            if phrase < 1 and name not in guess.reviews and column.role != "order":
                guess.review(name, "by likeness of the header; is it?")
    _guess_nulls(by_field, guess)


def _affixes(name: str, column: Column, guess: Guess) -> dict[str, Any]:
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


def _take_totals(by_field: dict[str, Column], guess: Guess) -> None:
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
        if cell.casefold() in (TOKENS if name in NUMBER_FIELDS | DATE_FIELDS | TIME_FIELDS else _EVIDENT_TOKENS)
    }
    if found:
        guess.form["nulls"] = ["", *sorted(found)]
        guess.review("nulls", "in every column a cell with one of these is empty")


def _guess_currency(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
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


def _numbers(feed: Feed, name: str, column: Column) -> list[float]:
    """The column's numbers by row, as this field of the feed; NaN where there is none."""
    read = {text: float(plain_number(feed, text, name) or "nan") for text in set(column.cells)}
    return [read[cell] for cell in column.cells]


def _settle_cost(by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """The cost of a piece or of a line: a margin makes cost / price steady, or cost / (price * quantity)."""
    for name in ("unit_cost", "stated_cost", "line_cost"):
        wanted = ("quantity", "unit_price", name)
        if not {*wanted} <= guess.columns.keys():
            continue
        feed, header = _feed(head, guess), by_field[name].header
        rows = zip(*(_numbers(feed, each, by_field[each]) for each in wanted), strict=True)
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


def _find_discount(sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """The discount where no header is one: the column that leads from quantity * price to the sheet's total."""
    wanted = ("quantity", "unit_price", "stated_total")
    if DISCOUNT in by_field or not {*wanted} <= guess.columns.keys():
        return
    feed = _feed(head, guess)
    quantities, prices, totals = (_numbers(feed, each, by_field[each]) for each in wanted)
    for column in sheet.columns:
        if not (column.header and column.numeric and len(column.values) > 1) or column in by_field.values():
            continue
        texts = {match[0]: match["number"] for match in column.numbers}
        discounts = _numbers(feed, "unit_price", Column(column.header, [texts.get(cell, "") for cell in column.cells]))
        rows = [
            (abs(quantity * price), abs(total), discount)
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


def _settle_discount(sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """A share, a percentage or an amount: what its header says, unless the sheet's totals say otherwise."""
    column = by_field.get(DISCOUNT)
    if not column:
        return
    base = {"header": column.header} | _affixes(DISCOUNT, column, guess)
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
        faults[kind] = sheet.errors(_feed(head, trial))[""]
    best = min(faults, key=lambda kind: faults[kind])
    name, mapped = kinds[best]
    guess.columns[name] = mapped
    by_field[name] = column
    if len(set(faults.values())) > 1 and "stated_total" in guess.columns:
        return  # the totals have decided
    if not percent or best != first:
        guess.review(name, f"taken for {best}")


def _settle_totals(sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """A stated result that most rows contradict is another figure, and is not mapped."""

    def contradicted(name: str) -> int:
        rows = sheet.errors(_feed(head, guess))[name] if name in guess.columns else 0
        return rows if rows > _FEW * sheet.rows else 0

    def drop(name: str, why: str) -> None:
        header = guess.columns.pop(name)["header"]
        guess.remarks.append(f"{header!r} looked like {name}, but {why}")

    if "stated_total" in guess.columns and {"quantity", "unit_price"} & {*guess.missing}:
        drop("stated_total", "quantity and unit price to hold it against are missing")
    elif rows := contradicted("stated_total"):
        feed = _feed(head, guess)
        wanted = ("quantity", "unit_price", "stated_total")
        numbers = zip(*(_numbers(feed, each, by_field[each]) for each in wanted), strict=True)
        shares = [total / gross for quantity, price, total in numbers if (gross := quantity * price)]
        usual = median(filter(isfinite, shares)) if any(map(isfinite, shares)) else 0.0
        why = f"quantity, price and discount give something else in {rows} of {sheet.rows} rows"
        drop("stated_total", f"{why}: it is {usual:.2f} × quantity × price in the middle of them, a discount or a tax?")
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


def _drop_disproved(sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """A column whose cells are mostly no such thing is none, such as ratings up to ten; sales do not need it."""
    refused = sheet.errors(_feed(head, guess))
    for name in [each for each in guess.columns if each not in _KEPT and each in by_field]:
        if refused[name] > _FEW * sum(map(bool, by_field[name].cells)):
            column = guess.columns.pop(name)
            example = by_field[name].values.most_common(1)[0][0]
            header = column.get("header", by_field[name].header)
            guess.remarks.append(
                f"{header!r} looked like {name}, but {refused[name]} rows, as with {example!r}, are none"
            )


def _guess_line_types(by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    """Rules for lines that are no sales: by a status, by the letter of a number, by a negative quantity."""
    _guess_by_status(by_field, guess)
    if "line_type" in by_field:
        kinds = _kinds(by_field["line_type"])
        if not _understood([word for texts in kinds.values() for word in texts]):
            guess.line_type.extend({"when": {"line_type": texts}, "is": kind} for kind, texts in kinds.items())
            guess.review("line_type", f"the words of {by_field['line_type'].header!r}")
    if "line_type" in guess.columns or "quantity" not in by_field:
        return
    feed = _feed(head, guess)
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
                texts = "|".join(re.escape(each) for each in sorted(values))
                guess.line_type.append(
                    {"when": {name: f"^(?:{texts})$" if len(values) > 1 else f"^{texts}$"}, "is": kind}
                )
                guess.review("line_type", f"{name} says {', '.join(sorted(values))}")
                break


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


def _feed(head: dict[str, str], guess: Guess) -> Feed:
    """The feed as far as it is known, with stand-ins for required columns that are missing."""
    said = {"format": guess.form, "columns": guess.columns | _stand_ins(guess), "line_type": guess.line_type}
    filled = [name for name in guess.fill_down if name in guess.columns]
    return Feed.model_validate({**head, **said, "fill_down": filled})


def _stand_ins(guess: Guess) -> dict[str, dict[str, str]]:
    """Of what is missing, so that the rest can be tried; a feed of constants alone would be refused."""
    day = datetime(2024, 1, 1).strftime(guess.form.get("dates", ["%Y-%m-%d"])[0])  # noqa: DTZ001  # a date only
    ours = {each: {"value": (_STAND_IN | {"sold_at": day})[each]} for each in guess.missing}
    if {"sold_at", "quantity", "unit_price"} <= ours.keys():
        ours["sold_at"] = {"header": guess.first_header}
    return ours


def _name(path: Path) -> str:
    """`Ventas 2024-01.csv.gz` → ventas."""
    plain = unicodedata.normalize("NFKD", path.name.split(".")[0]).encode("ascii", "ignore").decode().casefold()
    return re.sub(r"[^a-z]+", "_", plain).strip("_") or "my_feed"


def _match(path: Path) -> str:
    """The file's name as a pattern: what changes from file to file, which is dates and numbers, may be anything."""
    stem, *suffixes = re.split(r"(?=\.[A-Za-z])", path.name, maxsplit=1)
    pattern = re.sub(r"\d+(?:[-_. T]?\d+)*", "*", re.sub(r"([\[\]?*])", "?", stem)) + "".join(suffixes)
    folder = path.parent.as_posix()
    return pattern if path.is_absolute() or folder == "." or ".." in path.parts else f"{folder}/{pattern}"


def _written(head: dict[str, str], guess: Guess, sheet: Sheet, exceeded: str | None) -> str:
    """The YAML, line by line: a comment is what a dump would lose."""

    def line(key: str, text: str, *more: str) -> str:
        reasons = [*more, *guess.reviews.get(key, [])]
        return text + (f" # review: {'; '.join(_one_line(each) for each in reasons)}" if reasons else "")

    lines = [
        f'# Draft for {_one_line(sheet.path.name)}. Look at every line with "review", then run `loader check`.',
        f"feed: {_scalar(head['feed'])}",
        line("match", f"match: {_scalar(head['match'])}", "keys in the bucket, with their folders"),
        "format:",
    ]
    if sheet.compression:
        lines.append(f"  # {sheet.compression}: compression is found out for each file")
    if "encoding" not in guess.form:
        lines.append("  # encoding: found out for each file; name it here if it is ever found wrong")
    lines += [
        line(key, f"  {key}: {_flow(value, quoted=key in ('delimiter', 'decimal', 'thousands'))}")
        for key, value in guess.form.items()
    ]
    lines.append("columns:")
    lines += [f"  # TODO {name}: required, and no column looks like it. {_ADVICE[name]}" for name in guess.missing]
    for name in sorted(guess.columns, key=FIELDS.index):
        column = guess.columns[name]
        written = _flow(column["header"] if column.keys() == {"header"} else column)
        lines.append(line(name, f"  {name}: {written}"))
    used = {each for column in guess.columns.values() for each in (column.get("header"), *column.get("join", ()))}
    if unmapped := [each.header for each in sheet.columns if each.header and each.header not in used]:
        lines.append(f"  # kept in extra: {', '.join(map(_one_line, unmapped))}")
    lines += [f"  # review: {_one_line(remark)}" for remark in guess.remarks]
    if guess.line_type:
        lines.append(line("line_type", "line_type:"))
        lines += [f"  - {_flow(rule)}" for rule in guess.line_type]
    if filled := [name for name in guess.fill_down if name in guess.columns]:
        lines.append(line("fill_down", f"fill_down: {_flow(filled)}"))
    keys = {"customers": "customer_id", "products": "product_id", "stores": "store_id"}
    own = ", ".join(members for members, key in keys.items() if key in guess.columns)
    lines.append(f"# shares: [{own}] # if the same identifier means the same in other feeds")
    if exceeded:
        lines.append(f"# review: {exceeded}")
        lines.append("rejects: {max_ratio: 0.05}")
    return "\n".join(lines) + "\n"


_ADVICE = {
    "sale_id": "`sale_id: HEADER` of what tells one order from another",
    "sold_at": "`sold_at: HEADER`, and its format in format.dates",
    "product_id": "`product_id: HEADER`",
    "quantity": '`quantity: HEADER`, or `quantity: {value: "1"}` where each row is one piece',
    "unit_price": "`unit_price: HEADER`, before discount and for one piece",
}


def _flow(value: Any, *, quoted: bool = False) -> str:
    """A value in YAML's flow style, on one line."""
    if isinstance(value, dict):
        inner = (
            f"{key}: {_flow(each, quoted=key in ('pattern', 'strip_suffix') or '^' in str(each))}"
            for key, each in value.items()
        )
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(each, quoted=True) for each in value)}]"
    if isinstance(value, bool | int):
        return str(value).lower()
    return _quoted(value) if quoted else _scalar(value)


def _scalar(text: str) -> str:
    """Plain where YAML reads it back as this very text, also within braces; else quoted as JSON, which is YAML."""
    plain = re.fullmatch(r"[^\W\d_](?:[\w./()%+-]|\s(?=[\w(%+]))*", text) and "\n" not in text
    return text if plain and yaml.safe_load(text) == text else _quoted(text)


def _quoted(text: str) -> str:
    """JSON but for the characters that YAML wants escaped by code point."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in plain)


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
