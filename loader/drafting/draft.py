"""A sheet → the draft of its feed: YAML with a comment at each guess that a person should look at.

What is guessed is tried at once: by the feed's own reading of cells, and by the load's own verdict on a sample of the
sheet. Of two readings, the one that refuses fewer rows is taken. A required field that nothing in the sheet tells is
left out, so that the loader refuses the feed until somebody has filled it in.
"""

import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from loader.contract import check_encoding
from loader.drafting.advice import faults_of
from loader.drafting.amounts import (
    drop_disproved,
    drop_totals_of_orders,
    find_discount,
    settle_cost,
    settle_discount,
)
from loader.drafting.belonging import prove_products, prove_words
from loader.drafting.columns import find_orders, guess_currency, map_columns, match_headers, take_totals
from loader.drafting.continuation import guess_fill_down, mark_orders
from loader.drafting.dates import guess_dates
from loader.drafting.line_types import guess_line_types
from loader.drafting.pairs import match_orders, share_key
from loader.drafting.proof import prove_amounts, prove_price_by_orders
from loader.drafting.recognition import (
    Column,
    Guess,
    Sheet,
    guess_numbers,
    guess_text,
    read_sheet,
    stand_ins,
    trial_feed,
)
from loader.drafting.totals import settle_price, settle_totals, take_discount_off
from loader.drafting.writing import written
from loader.errors import SettingsError
from loader.feeds import FEED_NAME, Feed, parse_yaml
from loader.pipeline import Check, check_file
from loader.sales_line import ORDER_FIELDS
from loader.settings import Limits

_ENOUGH = 20_000  # rejected rows to judge a draft by: a draft takes seconds
_FIXES = 3  # rounds of edits: a mended cell may show what else is wrong with its row


@dataclass(frozen=True)
class Draft:
    """`text` is the feed as YAML; `feed` the same with stand-ins for what is `missing`, by which `check` was made."""

    text: str
    feed: Feed
    missing: list[str]
    reviews: int
    check: Check


def draft_feed(
    path: Path,
    name: str | None,
    limits: Limits,
    *,
    fix: bool = False,
    sheet_name: str | None = None,
    encoding: str | None = None,
) -> Draft:
    """Guess the feed of a local file, and check the file by it. `fix`: with the edits that rejected cells prove.

    `sheet_name` is one of a workbook.

    Raises InvalidFile when it cannot be read as a sheet at all, SettingsError when `name` or `encoding` is none.
    """
    sheet, guess = _begun(path, limits, sheet_name, encoding)
    by_field = match_headers(sheet.columns, guess)
    head = {"feed": _name(path, name), "match": _match(path)}
    _draft_lines(sheet, by_field, guess, head)
    return _tried(sheet, guess, head, limits, fix=fix)


def draft_pair(
    items: Path, orders: Path, name: str | None, limits: Limits, *, fix: bool = False, encoding: str | None = None
) -> tuple[Draft, Draft]:
    """The feeds of a sheet of order items and of the sheet that has their orders. Raises as `draft_feed` does."""
    sheet, guess = _begun(items, limits, None, encoding)
    others, of_orders = _begun(orders, limits, None, encoding)
    guess.part, of_orders.part = "items", "orders"
    by_field, of_order = match_headers(sheet.columns, guess), match_headers(others.columns, of_orders)
    match_orders(sheet, others, by_field, of_order, guess)
    head = {"feed": _name(orders, None), "match": _match(orders), "kind": "order_headers"}
    guess_numbers(others, of_orders)
    of_order = {each: column for each, column in of_order.items() if each in ORDER_FIELDS}
    guess_dates(others, of_order, of_orders)
    map_columns(of_order, of_orders)
    guess_line_types(of_order, of_orders, head)
    own = {"feed": _name(items, name), "match": _match(items), "order_headers": head["feed"]}
    if own["feed"] == head["feed"]:
        own["feed"] += "_items"
    _draft_lines(sheet, by_field, guess, own)
    share_key(guess, of_orders, by_field, of_order)
    return _tried(sheet, guess, own, limits, fix=fix), _tried(others, of_orders, head, limits, fix=fix)


def _begun(path: Path, limits: Limits, sheet_name: str | None, encoding: str | None) -> tuple[Sheet, Guess]:
    if encoding:
        check_encoding(encoding)
    sheet = mark_orders(read_sheet(path, limits, sheet_name, encoding))
    form = {"sheet": sheet_name} if sheet_name else {}
    headers = [each.header for each in sheet.columns]
    named = [each for each in headers if each and headers.count(each) == 1] or headers
    guess = Guess(named[0], form | ({"encoding": encoding} if encoding else {}))
    guess_text(sheet, guess)
    return sheet, guess


def _draft_lines(sheet: Sheet, by_field: dict[str, Column], guess: Guess, head: dict[str, str]) -> None:
    guess_numbers(sheet, guess)
    if guess.part == "items":
        by_field.pop("sold_at", None)
    guess_dates(sheet, by_field, guess)
    prove_amounts(sheet, by_field, guess)
    prove_products(sheet, by_field, guess)
    prove_words(sheet, by_field, guess)
    find_orders(sheet, by_field, guess)
    prove_price_by_orders(sheet, by_field, guess)
    of_orders = drop_totals_of_orders(by_field, guess)
    map_columns(by_field, guess)
    guess_fill_down(sheet, by_field, guess)
    take_totals(by_field, guess)
    guess_currency(sheet, by_field, guess)
    drop_disproved(sheet, by_field, guess, head)
    settle_price(by_field, of_orders, guess, head)
    settle_cost(by_field, guess, head)
    find_discount(sheet, by_field, guess, head)
    settle_discount(sheet, by_field, guess, head)
    take_discount_off(by_field, guess)
    settle_totals(sheet, by_field, guess, head)
    guess_line_types(by_field, guess, head)


def _tried(sheet: Sheet, guess: Guess, head: dict[str, str], limits: Limits, *, fix: bool) -> Draft:
    """The draft, as the load's own verdict on the whole file finds it."""
    feed = trial_feed(head, guess)
    check = check_file(sheet.path, feed, limits, _ENOUGH)
    for _ in range(_FIXES if fix else 0):
        edited = _mended(guess, check, feed)
        trial = trial_feed(head, edited)
        after = check_file(sheet.path, trial, limits, _ENOUGH)
        if trial == feed or after.counts.rejected > check.counts.rejected:
            break
        guess, feed, check = edited, trial, after
    text = written(head, guess, sheet, check.counts.refused_by(feed.rejects))
    said = parse_yaml(text)
    said["columns"] = (said["columns"] or {}) | stand_ins(guess)
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


def _name(path: Path, name: str | None) -> str:
    """`Ventas 2024-01.csv.gz` → ventas, where no name is given. Raises SettingsError."""
    if name and not re.fullmatch(FEED_NAME, name):
        raise SettingsError(f"--name {name!r}: a feed's name has small letters, digits and _, and begins with a letter")
    if name:
        return name
    plain = unicodedata.normalize("NFKD", path.name.split(".")[0]).encode("ascii", "ignore").decode().casefold()
    return re.sub(r"[^a-z]+", "_", plain).strip("_") or "my_feed"


def _match(path: Path) -> str:
    """The file's name as a pattern: what changes from file to file, which is dates and numbers, may be anything."""
    stem, *suffixes = re.split(r"(?=\.[A-Za-z])", path.name, maxsplit=1)
    pattern = re.sub(r"\d+(?:[-_. T]?\d+)*", "*", re.sub(r"([\[\]?*])", "?", stem)) + "".join(suffixes)
    folder = path.parent.as_posix()
    return pattern if path.is_absolute() or folder == "." or ".." in path.parts else f"{folder}/{pattern}"
