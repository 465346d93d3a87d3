"""Rejected rows by column: how many, three of them, and the edit of the feed that would mend them.

An edit is tried on the very cells by the feed's own reading, and never changes how a cell is read that was good. Where
a person has to judge what the rows mean, the advice says "if".
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from loader.drafting.dates import dates_of
from loader.drafting.recognition import TOKENS, plain_number
from loader.feeds import Feed
from loader.rejects import MASK, Rejected
from loader.sales_line import DATE_FIELDS, NUMBER_FIELDS, REQUIRED, TIME_FIELDS, TYPES

_EXAMPLES = 3
_DISTINCT = 200  # cells of a fault on which edits are tried
_CELL = 60  # characters of an example
_OF_AN_ORDER = frozenset({"sale_id", "sold_at"})
_ADAPTERS: dict[str, TypeAdapter[Any]] = {name: TypeAdapter(kind) for name, kind in TYPES.items()}
Change = dict[str, Any]  # keys of a feed, nested as in its YAML; None takes a column out


@dataclass(frozen=True)
class Edit:
    """What to change in the feed. `condition`: what a person has to judge; "" where the cells prove the edit."""

    change: Change
    condition: str = ""
    mends: int = 0  # rows whose cells it makes good, where the cells say so

    def __str__(self) -> str:
        left_out = [name for name, column in self.change.get("columns", {}).items() if column is None]
        if left_out:
            text = f"leave {left_out[0]} out of columns: its cells are then kept in extra"
        else:
            dumped = yaml.safe_dump(self.change, default_flow_style=True, allow_unicode=True, width=10_000)
            text = f"set {dumped.strip()[1:-1]}"
        return f"if {self.condition}, {text}" if self.condition else text


@dataclass
class Fault:
    """Rows that are rejected for one reason. `name` is the canonical field; None: it is the row as a whole."""

    name: str | None
    message: str  # of the first of the rows
    rows: int = 0
    examples: list[tuple[int, str | None]] = field(default_factory=list)  # physical line, cell
    cells: Counter[str] = field(default_factory=Counter)
    edit: Edit | None = None


def faults_of(rejected: list[Rejected], feed: Feed) -> list[Fault]:
    """The reasons for which rows are rejected, the commonest first; a row with several counts under each."""
    found: dict[tuple[str | None, str], Fault] = {}
    for row in rejected:
        for error in row.errors:
            message = error["message"] or ""
            reason = error["field"], re.sub(r"\d+(?:\.\d+)?", "0", message)  # figures differ from row to row
            fault = found.setdefault(reason, Fault(error["field"], message))
            fault.rows += 1
            if len(fault.examples) < _EXAMPLES:
                fault.examples.append((row.source_line, error["value"]))
            if len(fault.cells) < _DISTINCT or error["value"] in fault.cells:
                fault.cells[error["value"] or ""] += 1
    blank = {fault.name for fault in found.values() if fault.name and not any(map(str.strip, fault.cells))}
    for fault in found.values():
        if fault.name and MASK not in fault.cells:
            fault.edit = _edit(feed, fault.name, fault.cells, blank)
    return sorted(found.values(), key=lambda fault: -fault.rows)


def told(faults: list[Fault], feed: Feed) -> Iterator[str]:
    """The report: lines of text."""
    for fault in faults:
        of_field = feed.columns[fault.name].wanted_headers if fault.name in feed.columns else []
        column = " ".join([*(repr(names[0]) for names in of_field), f"({fault.name})"])
        shown = (
            f"line {line}" + ("" if cell is None else f" {cell[:_CELL]!r}{'…' * (len(cell) > _CELL)}")
            for line, cell in fault.examples
        )
        where = f" by {column}" if fault.name else ", as a whole"
        yield f"{fault.rows} row{'s' * (fault.rows > 1)} rejected{where}: {fault.message}"
        yield f"    {', '.join(shown)}"
        mends = fault.edit.mends if fault.edit else 0
        part = f", for {mends} of {fault.cells.total()} cells" if 0 < mends < fault.cells.total() else ""
        yield f"    to mend it{part}: {fault.edit or 'correct the sheet; no edit of the feed reads it'}"


def patched(feed: Feed, change: Change) -> Feed:
    """The feed with an edit. Raises ValidationError where that is none."""
    written = feed.model_dump(mode="json", by_alias=True, exclude_none=True)
    written["columns"] = feed.model_dump(mode="json", exclude_defaults=True)["columns"]
    for key, value in change.items():
        written[key] = {**written[key], **value} if isinstance(value, dict) else value
    written["columns"] = {name: column for name, column in written["columns"].items() if column is not None}
    return Feed.model_validate(written)


def _edit(feed: Feed, name: str, cells: Counter[str], blank: set[str]) -> Edit | None:
    """The edit by which most of these cells are read; where there is none, one that a person may decide on."""
    if all(_is_good(feed, name, text) for text in cells):
        return _edit_of_meaning(feed, name, cells)
    mended: list[tuple[int, Edit]] = []
    for edit in _edits_of_writing(feed, name, cells):
        try:
            trial = patched(feed, edit.change)
        except ValidationError:
            continue
        mended.append((sum(n for text, n in cells.items() if _is_good(trial, name, text)), edit))
    rows, best = max(mended, key=lambda pair: pair[0], default=(0, None))
    return replace(best, mends=rows) if best and rows else _edit_of_purpose(feed, name, cells, blank)


def _edit_of_purpose(feed: Feed, name: str, cells: Counter[str], blank: set[str]) -> Edit | None:
    """For cells that nothing reads; `blank` are the required fields that are empty somewhere."""
    change: Change | None = None
    condition = "rows without it are no sales"
    if name not in REQUIRED:
        change, condition = {"columns": {name: None}}, "the column is something else"
    elif name in blank and name in _OF_AN_ORDER and "sale_id" in blank:
        change = {"fill_down": [*feed.fill_down, *sorted(_OF_AN_ORDER & blank)]}
        condition = "a blank one continues the order above"
    elif name in blank:
        change = {"skip": [*_skips(feed), {name: "^$"}]}
    elif name == "quantity" and all(_is_zero(feed, text) for text in cells):
        change, condition = {"skip": [*_skips(feed), {name: r"^-?0+(\.0+)?$"}]}, "rows of no pieces are no sales"
    return Edit(change, condition) if change else None


def _edit_of_meaning(feed: Feed, name: str, cells: Counter[str]) -> Edit | None:
    """For cells that are read, and say what a sale does not."""
    kind = {"quantity": "return", "unit_price": "adjustment"}.get(name)
    if kind and all((feed.cell(name, text) or "").startswith("-") for text in cells):
        rules = feed.model_dump(mode="json", by_alias=True)["line_type"]
        rules = [*rules, {"when": {name: "^-"}, "is": kind}]
        return Edit({"line_type": rules}, f"such rows are {kind}s")
    return Edit({"columns": {name: None}}, "that is another figure") if name.startswith("stated_") else None


def _edits_of_writing(feed: Feed, name: str, cells: Counter[str]) -> Iterator[Edit]:
    """Ways in which these cells may be written, each only more than what the feed reads already."""
    texts = [text for text in cells if text.strip()]
    form, column = feed.format, feed.model_dump(mode="json", exclude_defaults=True)["columns"][name]
    measured = name in NUMBER_FIELDS | DATE_FIELDS | TIME_FIELDS
    if tokens := [text for text in texts if text.strip().casefold() in TOKENS] if measured else []:
        yield Edit({"format": {"nulls": sorted(form.nulls | {text.strip() for text in tokens})}})
    if name in DATE_FIELDS | TIME_FIELDS:
        for more, condition in dates_of(texts, form.dates):
            yield Edit({"format": {"dates": [*form.dates, more]}}, condition)
    elif name in NUMBER_FIELDS:
        if not form.trailing_minus:
            yield Edit({"format": {"trailing_minus": True}})
        if not form.thousands:
            for sign in {",": ". ", ".": ", '"}[form.decimal]:
                grouped = next((text for text in texts if sign in text), "")
                proven = sign in " '" or form.decimal in grouped
                yield Edit({"format": {"thousands": sign}}, "" if proven else f"{grouped!r} is more than a thousand")
        after = Counter(match[0] for text in texts if (match := re.search(r"[^\W\d_]+\.?$|%$", text.strip())))
        if after and not column.get("strip_suffix"):
            suffix = after.most_common(1)[0][0]
            if suffix != "%":
                yield Edit({"columns": {name: column | {"strip_suffix": suffix}}}, f"{suffix!r} is no more than a unit")
            elif name == "discount_rate":
                yield Edit({"columns": {name: column | {"strip_suffix": suffix, "percent": True}}})
    if measured and name not in REQUIRED and texts and not any(re.search(r"\d", text) for text in texts):
        words = sorted(form.nulls | {text.strip() for text in texts})
        yield Edit({"format": {"nulls": words}}, "these words mean nothing")


def _is_good(feed: Feed, name: str, text: str) -> bool:
    cell = feed.cell(name, text)
    if cell is None:
        return name not in REQUIRED
    try:
        _ADAPTERS[name].validate_python(cell)
    except ValidationError:
        return False
    return True


def _is_zero(feed: Feed, text: str) -> bool:
    number = plain_number(feed, text, "quantity")
    return number is not None and not float(number)


def _skips(feed: Feed) -> list[Any]:
    rules: list[Any] = feed.model_dump(mode="json")["skip"]
    return rules
