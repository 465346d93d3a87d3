"""Pydantic's verdict on every row of a batch, decided column by column.

A field's verdict depends on its value alone, and the columns of sales sheets repeat: so pydantic decides each distinct
value of a column once (columns.py), and the verdict is mapped back by index. Rows with a bad value, and rows that may
break a rule across fields (rules.py), go through the whole model, which has the last word and gives their full list of
errors. The result is that of `SalesLine` row by row (a property test holds the two equal), at the speed of columns.
"""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from loader import rules
from loader.columns import Decided, FieldDecider, Mask, column_as_seen
from loader.filling import Filling
from loader.header import match_header
from loader.no_data import NoData, without_text
from loader.numbers import contradicts
from loader.rejects import Rejected, Reporter, error_of, errors_of
from loader.repeats import Repeats
from loader.rules import TYPES_BY_RULE, LineTypes
from loader.sales_line import (
    COLUMNS,
    DATE_FIELDS,
    IDENTIFIER_FIELDS,
    NUMBER_FIELDS,
    TIME_FIELDS,
    SalesLine,
    cents,
    line_model,
)
from loader.verdict import Verdict

if TYPE_CHECKING:
    from loader.feeds import Feed
    from loader.reader import Batch


class Validator:
    """Decides the batches of one file by one feed."""

    def __init__(self, feed: "Feed", header: list[str], titles: Sequence[str] = ()) -> None:
        """Match the file's header with the feed's columns.

        Raises InvalidFile when a mapped column is missing or ambiguous, naming the likely renamed header.
        """
        self._feed = feed
        self._matched = match_header(feed, header, titles)
        self.drift = self._matched.drift
        self._deciders = {name: FieldDecider(feed, name) for name in feed.columns}
        self._reporter = Reporter(feed, self._matched, header)
        self._no_data = NoData(feed, self._matched, header)
        self._filling = Filling(feed, self._matched, self._no_data) if feed.fill_down else None
        marked = NUMBER_FIELDS | DATE_FIELDS | TIME_FIELDS | IDENTIFIER_FIELDS
        places = {at for name in marked for at in self._matched.sources.get(name, ())}
        self._repeats = Repeats(feed, places) if feed.duplicates != "keep" else None

    def validate(self, batch: "Batch") -> Verdict:
        """The verdict on every row of the batch, and the accepted rows as canonical text."""
        rows = len(batch)
        no_data: dict[int, str] = {}
        if self._filling:
            batch, no_data = self._filling.filled(batch)
        texts = {name: self._texts(name, batch) for name in self._feed.columns}
        fields = {
            name: self._deciders[name].decide(column)
            if column is not None
            else Decided.nothing(rows, sum(name in when for when in self._feed.tests))
            for name, column in texts.items()
        }
        by_test = rules.tests(self._feed, fields, rows)
        line_types = rules.line_types(self._feed, by_test, rows)
        skip = np.logical_or.reduce(by_test[len(self._feed.line_type) :], axis=0, initial=False) & np.ones(rows, bool)
        suspect = rules.may_break_a_rule(fields, line_types, before_discount=self._feed.before_discount)
        suspect |= rules.contradict_the_currency(fields, rows)
        for name, decided in fields.items():
            bad = decided.rows(decided.bad)
            suspect |= bad & (line_types == 0) if name == "line_type" else bad
        skip[list(no_data)] = False
        skipped = Counter(no_data.values()) + Counter(blank=batch.blank, rule=int(skip.sum()))
        rejected = []
        for each in batch.malformed:
            if reason := self._no_data.reason_though_ragged(each.raw_text):
                skipped[reason] += 1
            else:
                rejected.append(self._reporter.malformed(each, each.lines if batch.by_quotes else 1))
        accepted = ~skip
        accepted[list(no_data)] = False
        suspects = np.flatnonzero(suspect & accepted)
        nothing = without_text(batch, suspects)
        skipped["blank"] += int(nothing.sum())
        accepted[suspects[nothing]] = False
        for index in suspects[~nothing].tolist():
            verdict = self._refusal(batch, texts, index)
            if isinstance(verdict, str):
                skipped[verdict] += 1
            elif verdict:
                rejected.append(verdict)
            accepted[index] = verdict is None
        for repeat in self._repeats.of(batch, fields, accepted) if self._repeats else ():
            if repeat.problem:
                errors = [error_of(None, repeat.problem, None)]
                row = {name: column[repeat.row].as_py() for name, column in texts.items() if column is not None}
                rejected.append(self._reporter.rejected(batch, repeat.row, errors, row))
            else:
                skipped["duplicate"] += 1
            accepted[repeat.row] = False
        rules.report_undecided(self._feed, fields, (line_types == 0) & accepted, self.drift)
        signed = self._signed(batch, texts, fields, accepted)
        table, dates = self._table(batch, fields, line_types, accepted, signed)
        rejected.sort(key=lambda each: each.row_number)
        return Verdict(table, rejected, +skipped, dates)

    def _texts(self, name: str, batch: "Batch") -> pa.Array | None:
        """The rows' texts of a field as they stand; None where the file has no column for it."""
        if (constant := self._feed.columns[name].value) is not None:
            return pa.repeat(constant, len(batch))
        match self._matched.sources.get(name):
            case None:
                return None
            case (position,):
                return batch.columns[position]
            case positions:
                unmark = name in IDENTIFIER_FIELDS | DATE_FIELDS | TIME_FIELDS
                parts = [column_as_seen(batch.columns[position], unmark=unmark) for position in positions]
                joined = pc.binary_join_element_wise(*parts, " ")
                if name not in IDENTIFIER_FIELDS:
                    return joined
                # An identifier that lacks one of its parts would be that of many things.
                nothing = pa.array(["", *self._feed.format.nulls], pa.string())
                incomplete = reduce(pc.or_, (pc.is_in(part, nothing) for part in parts))
                return pc.if_else(incomplete, "", joined)

    def _refusal(self, batch: "Batch", columns: dict[str, pa.Array | None], index: int) -> Rejected | str | None:
        """The report of one row by the whole model; None if the model accepts it; the reason if it is no data."""
        texts = {name: column[index].as_py() for name, column in columns.items() if column is not None}
        try:
            validate_row(self._feed, texts)
        except ValidationError as error:
            cells = [column[index].as_py() for column in batch.columns]
            errors = errors_of(self._feed, error, texts)
            return self._no_data.reason(cells) or self._reporter.rejected(batch, index, errors, texts)
        return None

    def _signed(
        self, batch: "Batch", columns: dict[str, pa.Array | None], fields: dict[str, Decided], accepted: Mask
    ) -> pa.Array | None:
        """For each row with a currency's sign, and no currency, its report: its order may contradict it."""
        if not self._feed.order_headers:
            rules.report_signs(fields, accepted, self.drift)
            return None
        if not (alone := rules.signs_alone(fields, accepted)).any():
            return None
        present = {name: column for name, column in columns.items() if column is not None}
        reports: list[str | None] = [None] * len(batch)
        for index in np.flatnonzero(alone).tolist():
            texts = {name: column[index].as_py() for name, column in present.items()}
            reports[index] = self._reporter.signed(batch, index, texts)
        return pa.array(reports, pa.string())

    def _table(
        self,
        batch: "Batch",
        fields: dict[str, Decided],
        line_types: LineTypes,
        accepted: Mask,
        signed: pa.Array | None,
    ) -> tuple[pa.Table, frozenset[date]]:
        rows = len(batch)
        columns = {name: decided.canonical for name, decided in fields.items() if name not in self.drift.missing}
        stated = columns.get("line_type", pa.repeat("sale", rows))
        if line_types.any():
            by_rule = pa.array([*TYPES_BY_RULE], pa.string()).take(pa.array(line_types))
            stated = pc.if_else(pc.equal(by_rule, ""), stated, by_rule)
        columns["line_type"] = pc.fill_null(stated, "sale")
        if self._feed.before_discount:
            columns |= _less_discount(columns)
        if not self._feed.pair:  # else the other of the two sheets may state it
            currency = SalesLine.model_fields["currency"].default
            columns["currency"] = (
                pc.fill_null(columns["currency"], currency) if "currency" in columns else pa.repeat(currency, rows)
            )
        if sold := fields.get("sold_at"):
            columns["sale_date"] = pc.utf8_slice_codeunits(sold.distinct, 0, 10).take(pa.array(sold.indices))
        if self._matched.unknown:
            columns["extra"] = self._extra(batch)
        places = {"row_number": pa.array(batch.row_numbers), "source_line": pa.array(batch.source_lines)}
        of_items = {} if signed is None else {"signed": signed}
        table = pa.table(places | {name: columns[name] for name in COLUMNS if name in columns} | of_items)
        if not accepted.all():
            table = table.filter(pa.array(accepted))
        if self._feed.pair:  # whose lines are dated where the two are put together
            return table, frozenset()
        return table, frozenset(date.fromisoformat(day) for day in pc.unique(table["sale_date"]).to_pylist())

    def _extra(self, batch: "Batch") -> pa.Array:
        """The cells of unknown columns as one JSON object per row, written per distinct value."""
        parts = []
        for position, name in self._matched.unknown.items():
            encoded = batch.columns[position].dictionary_encode()
            cells = (json.dumps(text.strip() or None) for text in encoded.dictionary.to_pylist())
            texts = [f"{json.dumps(name)}: {cell}" for cell in cells]
            parts.append(pa.array(texts, pa.string()).take(encoded.indices))
        return pc.binary_join_element_wise("{", pc.binary_join_element_wise(*parts, ", "), "}", "")


def validate_row(feed: "Feed", texts: dict[str, str]) -> SalesLine:
    """One row, cell by cell: the reference that the columns must equal.

    `texts` are the cells as they stand, by canonical field. Raises pydantic's ValidationError.
    """
    cells = {name: feed.cell(name, text) for name, text in texts.items()}
    for name in NUMBER_FIELDS & texts.keys():
        if contradicts(texts[name], cells.get("currency")):
            cells[name] = texts[name]  # with its sign it is no number
    if line_type := feed.line_type_of(cells):
        cells["line_type"] = line_type
    model = line_model(feed.columns, before_discount=feed.before_discount)
    return model.model_validate({name: cell for name, cell in cells.items() if cell is not None})


def _less_discount(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    """Totals before discount → what is left of them, and what was taken off: in cents, so that the two add up."""
    is_rate = "discount_rate" in columns
    discounts = columns.get("discount_rate" if is_rate else "discount_amount")
    if discounts is None:  # the file has no column for it
        return {}
    left: list[str | None] = []
    taken_off: list[str | None] = []
    rows = (columns[name] for name in ("line_total", "line_type"))
    for total, line_type, discount in zip(*(each.to_pylist() for each in (*rows, discounts)), strict=True):
        if total is None or discount is None:
            left.append(total)
            taken_off.append(None)
            continue
        size, less = abs(Decimal(total)), Decimal(discount)
        # The marts take it off the size of a return, whichever signs the sheet gives the two.
        less = cents(size * less) if is_rate else cents(less if line_type == "sale" else abs(less))
        rest = cents(size) - less
        left.append(format(-rest if Decimal(total) < 0 else rest, "f"))
        taken_off.append(format(less, "f"))
    return {"line_total": pa.array(left, pa.string()), "discount_amount": pa.array(taken_off, pa.string())}
