"""Rows that are not even meant as data: blank ones, headers that are repeated, totals, footers."""

import csv
import re
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loader.cells import as_seen
from loader.columns import Mask
from loader.header import Matched
from loader.sales_line import DATE_FIELDS, NUMBER_FIELDS, TIME_FIELDS

if TYPE_CHECKING:
    from loader.feeds import Feed
    from loader.reader import Batch

_TOTAL = re.compile(
    r"\W*(((grand|sub|sous)[\s-]?)?total(s|es)?( g[eé]n[eé]ral| geral)?"
    r"|(sum|suma|soma|somme|(zwischen|teil|end|gesamt)?summe|gesamt(betrag)?))[\s:=.*]*([\d\s.,]*|\(\d+\))",
    re.IGNORECASE,
)
_BEHIND_TOTAL = " :.*="
_LETTER = re.compile(r"[^\W\d_]")


class NoData:
    """Distinguishes rows of one file that are no data from data rows that went wrong."""

    def __init__(self, feed: "Feed", matched: Matched, header: list[str]) -> None:
        self._feed = feed
        self._header = header
        # Columns that make a row a sale of something: a row without any of them is no row of data that went wrong.
        self._identifying = {at for name in ("sale_id", "product_id") for at in matched.sources.get(name, ())}
        measured = NUMBER_FIELDS | DATE_FIELDS | TIME_FIELDS
        self._measured = {at for name in measured for at in matched.sources.get(name, ())}

    def reason(self, cells: list[str], order: str = "") -> str | None:
        """Why a row that the contract refuses is not even meant as data; None where it is.

        `order`: the id of the order above, which a subtotal may name.
        """
        if not any(map(str.strip, cells)):
            return "blank"
        if all(" ".join(as_seen(cell).split()) == name for cell, name in zip(cells, self._header, strict=True)):
            return "header"
        first, *others = (at for at, cell in enumerate(cells) if cell.strip())
        if not self._is_identified(cells, first) and (reason := self._label(cells[first], order)):
            return reason
        # A subtotal may have a date or a number in front of its label.
        text = next((at for at in others if at not in self._measured and _LETTER.search(cells[at])), None)
        if text is None or self._is_identified(cells, text):
            return None
        return "total" if says_total(cells[text], order) else None

    def _is_identified(self, cells: list[str], label: int) -> bool:
        """Whether a row has an order or a product beside its label."""
        nulls = self._feed.format.nulls
        return any(as_seen(cells[at]) not in nulls for at in self._identifying - {label})

    def reason_though_ragged(self, raw_text: str) -> str | None:
        """The same for a row whose cells nobody can tell apart: a row with no more text than a label is no sale.

        Beside the label, it may have an amount where an identifier would stand, no more: a store can be named Total.
        """
        cells = _cells(raw_text, self._feed.format.delimiter)
        filled = {at: cell for at, cell in enumerate(map(as_seen, cells)) if cell}
        if not filled:
            return None
        label, *others = filled
        if any(_LETTER.search(filled[at]) for at in others):
            return None
        return None if len(others) > 1 and self._identifying & {*others} else self._label(filled[label])

    def _label(self, text: str, order: str = "") -> str | None:
        """Whether the first text of a row says no more than "Total", or what the feed's footers say."""
        if any(self._feed.matches(footer, as_seen(text)) for footer in self._feed.footers):
            return "footer"
        return "total" if says_total(text, order) else None


def says_total(text: str, order: str = "") -> bool:
    """Whether a label says no more than Total, with the order above or a number of rows at most."""
    label = as_seen(text).rstrip(_BEHIND_TOTAL).removesuffix(as_seen(order)).rstrip(_BEHIND_TOTAL)
    return bool(_TOTAL.fullmatch(label))


def without_text(batch: "Batch", rows: npt.NDArray[np.int64]) -> Mask:
    """Which of these rows have nothing but empty cells. A sheet may end in a million such, too many for the model."""
    nothing = np.ones(len(rows), dtype=bool)
    for column in batch.columns:
        if not nothing.any():
            break
        nothing &= np.asarray(pc.equal(column.take(pa.array(rows)), ""))
    return nothing


def _cells(raw_text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(StringIO(raw_text, newline=""), delimiter=delimiter), [])
    except csv.Error:
        return []
