"""Rows that are not loaded: the report of each, and what of it must not be seen."""

import json
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from typing import TYPE_CHECKING

from pydantic import ValidationError

from loader.cells import record
from loader.header import Matched
from loader.numbers import contradicts, sign_of
from loader.sales_line import NUMBER, NUMBER_FIELDS, cents

if TYPE_CHECKING:
    from loader.feeds import Feed
    from loader.reader import Batch, Malformed

MASK = "•••"
Error = dict[str, str | None]  # field (None: the whole row), message, value (the cell as it stands)


@dataclass(frozen=True)
class Rejected:
    """A row that is not loaded, with all that is needed to find it, understand it and load it later."""

    row_number: int
    source_line: int
    raw_text: str
    errors: list[Error]
    revenue_at_risk: Decimal | None = None  # quantity x unit price, or the line's total, as far as it can be read
    lines: int = 1  # physical lines that it holds: as many sales may be lost in it


class Reporter:
    """Reports the rejected rows of one file, with the cells masked that its feed says must not be seen."""

    def __init__(self, feed: "Feed", matched: Matched, header: list[str]) -> None:
        self._feed = feed
        self._masked = _masked_positions(feed, matched, header)
        self._unquoted = {name for name, origin in matched.sources.items() if self._masked & {*origin}}

    def rejected(self, batch: "Batch", index: int, errors: list[Error], texts: dict[str, str]) -> Rejected:
        """The report of a well-formed row; `texts` are its cells by canonical field."""
        line = int(batch.source_lines[index])
        raw_text = batch.text_at(line)
        lines = raw_text.count("\n") + 1 if batch.by_quotes else 1
        if self._masked:
            cells = [column[index].as_py() for column in batch.columns]
            kept = [MASK if position in self._masked and cell else cell for position, cell in enumerate(cells)]
            raw_text = record(kept, self._feed.format.delimiter)
            errors = [_masked(each) if each["field"] in self._unquoted else each for each in errors]
        place = int(batch.row_numbers[index]), line
        return Rejected(*place, raw_text, errors, _revenue(self._feed, texts), lines)

    def signed(self, batch: "Batch", index: int, texts: dict[str, str]) -> str:
        """The report, in JSON, of an item whose order may turn out to have another currency than its amounts."""
        signs = {name: sign_of(texts[name]) for name in NUMBER_FIELDS & texts.keys()}
        found = [error_of(name, sign, texts[name]) for name, sign in sorted(signs.items()) if sign]
        report = self.rejected(batch, index, found, texts)
        amounts = [{"field": each["field"], "sign": each["message"], "value": each["value"]} for each in report.errors]
        at_risk = None if report.revenue_at_risk is None else str(report.revenue_at_risk)
        return json.dumps({"raw_text": report.raw_text, "revenue_at_risk": at_risk, "amounts": amounts})

    def malformed(self, each: "Malformed", lines: int) -> Rejected:
        """The report of a row whose cells nobody can tell apart: none is kept where some must not be seen."""
        raw_text = MASK if self._masked else each.raw_text
        errors = [error_of(None, each.message, None)]
        return Rejected(each.row_number, each.source_line, raw_text, errors, lines=lines)


def errors_of(feed: "Feed", error: ValidationError, texts: dict[str, str]) -> list[Error]:
    found = []
    for each in error.errors(include_url=False):
        if each["type"] == "rules":
            found += [error_of(name, message, texts.get(name)) for name, message in each["ctx"]["broken"]]
        else:
            name = str(each["loc"][0])
            message = "Required, but the cell is empty" if each["type"] == "missing" else each["msg"]
            if each["type"] in ("number_format", "date_format") and name in texts:
                message += f": {way_of_writing(feed, name, texts)}"
            found.append(error_of(name, message, texts.get(name)))
    return found


def way_of_writing(feed: "Feed", name: str, texts: dict[str, str]) -> str:
    """What could be read in place of this number or date; `texts` are those of `validate_row`."""
    currency = feed.cell("currency", texts["currency"]) if "currency" in texts else None
    if name in NUMBER_FIELDS and contradicts(texts[name], currency):
        return f"the sign {sign_of(texts[name])} is not one of {currency}, the currency of the row"
    return feed.way_of_writing(name, texts[name], currency)


def error_of(field: str | None, message: str, value: str | None) -> Error:
    return {"field": field, "message": message, "value": value}


def _masked(error: Error) -> Error:
    return error | {"value": MASK if error["value"] else error["value"]}


def _masked_positions(feed: "Feed", matched: Matched, header: list[str]) -> frozenset[int]:
    """Positions of the cells that must not be seen. A name of the feed's mask is a canonical field, or a header.

    Where it is neither, a column was renamed or the feed has it wrong. Then nobody can tell which cells are meant, so
    all of them are masked.
    """
    folded = [name.casefold() for name in header]
    masked: set[int] = set()
    for name in feed.mask:
        found = {*matched.sources.get(name, ())} | {at for at, other in enumerate(folded) if other == name.casefold()}
        if not found and name not in feed.columns:
            return frozenset(range(len(header)))
        masked |= found
    return frozenset(masked)


def _revenue(feed: "Feed", texts: dict[str, str]) -> Decimal | None:
    if feed.kind == "order_headers":
        return None
    names = ("line_total",) if feed.price == "line_total" else ("quantity", "unit_price")
    try:
        amounts = [NUMBER.validate_python(feed.cell(name, texts[name])) for name in names]
    except ValidationError:
        return None
    return cents(abs(prod(amounts, start=Decimal(1))))
