"""A few figures on the cells of one file, kept in its ledger entry, so that later sheets can be compared with it.

They are taken from batches that are in memory anyway. The dashboard shows what differs from sheet to sheet
(dbt_sales/models/ops/ops_sheet_changes.sql).
"""

import json
from collections import Counter
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc

from loader.feeds import Feed

AMOUNTS = ("quantity", "unit_price", "line_total", "unit_cost", "line_cost")
WORDS = (
    *("product_category", "sales_channel", "sales_region", "store_id"),
    *("payment_method", "payment_status", "delivery_status", "currency"),
)
MANY_WORDS = 50  # in a field with more, a new word is no news
_ROWS = 1_000  # taken evenly from each batch of fifty thousand: enough for a median
_KEPT = 200_000  # numbers of a field in memory; then every other one goes, and batches give half as many


class Profile:
    """Grows batch by batch. Fields that the feed masks are left out."""

    def __init__(self, feed: Feed) -> None:
        masked = {name.casefold() for name in feed.mask}
        shown = {name for name, each in feed.columns.items() if not ({name} | each.folded_headers) & masked}
        self._rows = _ROWS
        self._amounts: dict[str, list[float]] = {name: [] for name in AMOUNTS if name in shown}
        self._words: dict[str, Counter[str]] = {name: Counter() for name in WORDS if name in shown}

    def add(self, accepted: pa.Table) -> None:
        """Take in the accepted rows of a batch, in canonical text."""
        places = pa.array(range(0, len(accepted), len(accepted) // self._rows + 1), pa.int64())
        for name in [each for each in self._amounts if each in accepted.column_names]:
            self._amounts[name] += pc.cast(accepted[name].take(places).drop_null(), pa.float64()).to_pylist()
        if any(len(found) > _KEPT for found in self._amounts.values()):
            self._rows = max(1, self._rows // 2)
            self._amounts = {name: found[::2] for name, found in self._amounts.items()}
        for name in [each for each in self._words if each in accepted.column_names]:
            for each in pc.value_counts(accepted[name].drop_null()).to_pylist():
                self._words[name][each["values"]] += each["counts"]
            if len(self._words[name]) > MANY_WORDS:
                del self._words[name]

    def __str__(self) -> str:
        """The figures as JSON: `medians` by field, from a sample of a large file; `words` by field, with their rows."""
        medians = {name: round(median(found), 6) for name, found in self._amounts.items() if found}
        return json.dumps({"medians": medians, "words": {name: words for name, words in self._words.items() if words}})
