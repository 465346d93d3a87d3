"""Blank cells that mean the cell above: `fill_down`, within the rows of one order."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from loader.cells import as_seen
from loader.header import Matched
from loader.no_data import NoData

if TYPE_CHECKING:
    from loader.feeds import Feed
    from loader.reader import Batch


class Filling:
    """Fills one file, batch by batch."""

    def __init__(self, feed: "Feed", matched: Matched, no_data: NoData) -> None:
        self._feed = feed
        self._matched = matched
        self._no_data = no_data
        self._last_order: list[str] = []  # texts of the last data row
        self._torn = False  # a malformed row stands behind it: nobody can tell whose order goes on

    def filled(self, batch: "Batch") -> tuple["Batch", dict[int, str]]:
        """The batch with blank cells of the fill_down fields filled from the row above, within one order.

        Rows that say Total would become sales: they are left as they are, and returned with the reason.
        """
        (order,) = self._matched.sources["sale_id"]
        filled = {position: name for name in self._feed.fill_down for position in self._matched.sources.get(name, ())}
        columns = [column.to_pylist() for column in batch.columns]
        nulls = self._feed.format.nulls
        torn = [each.row_number for each in batch.malformed]
        no_data: dict[int, str] = {}
        for index, row_number in enumerate(batch.row_numbers.tolist()):
            while torn and torn[0] < row_number:
                self._torn = bool(torn.pop(0))
            row = [column[index] for column in columns]
            if not any(map(str.strip, row)):
                continue
            goes_on = as_seen(row[order]) in nulls
            reason = self._no_data.reason(row, self._last_order[order] if self._last_order else "")
            if goes_on and reason == "footer" and sum(map(bool, map(str.strip, row))) > 1:
                reason = None  # a sale whose first text looks like one
            if reason:
                if goes_on:
                    no_data[index] = reason
                continue  # nor can the lines below go on with it, as with a header that is repeated
            above = self._last_order
            if goes_on and above and order in filled and not self._torn:
                row[order] = above[order]
            if above and as_seen(row[order]) == as_seen(above[order]):
                for position in filled:
                    if as_seen(row[position]) in nulls:
                        row[position] = above[position]
            for position in filled:
                columns[position][index] = row[position]
            if as_seen(row[order]) not in nulls:
                self._torn = False
                self._last_order = row
        self._torn = self._torn or bool(torn)
        return replace(batch, columns=[pa.array(column, pa.string()) for column in columns]), no_data
