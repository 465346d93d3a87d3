"""Pydantic's verdict on every row of a batch, decided column by column.

A field's verdict depends on its value alone, and the columns of sales sheets repeat: so pydantic decides each distinct
value of a column once (`TypeAdapter(list[FieldType])`) and the verdict is mapped back by index. Rows with a bad value,
and rows that may break a rule across fields, go through the whole model, which has the last word and gives their full
list of errors. The result is that of `SalesLine` row by row (a property test holds the two equal), at the speed of
columns.
"""

import csv
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import reduce
from hashlib import blake2b
from io import StringIO
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from loader import sales_line
from loader.cells import all_as_seen, as_seen, record, unmarked
from loader.feeds import WORD_FIELDS, contradicts, sign_of
from loader.header import Matched, match_header
from loader.rejects import Rejected
from loader.sales_line import (
    AMOUNT_FIELDS,
    COLUMNS,
    DATE_FIELDS,
    IDENTIFIER_FIELDS,
    LINE_TYPES,
    NUMBER,
    NUMBER_FIELDS,
    PLAIN_NUMBER_FIELDS,
    TIME_FIELDS,
    TYPES,
    Amounts,
    PlainNumber,
    SalesLine,
    cents,
    line_model,
)
from loader.verdict import Verdict

if TYPE_CHECKING:
    from loader.feeds import Feed
    from loader.reader import Batch, Malformed

# Distinct values remembered per column across batches; a column with more is mostly unique, and memory is the limit.
REMEMBERED = 20_000
MASK = "•••"
_TOTAL = re.compile(
    r"\W*(((grand|sub|sous)[\s-]?)?total(s|es)?( g[eé]n[eé]ral| geral)?"
    r"|(sum|suma|soma|somme|(zwischen|teil|end|gesamt)?summe|gesamt(betrag)?))[\s:=.*]*([\d\s.,]*|\(\d+\))",
    re.IGNORECASE,
)
_BEHIND_TOTAL = " :.*="
_LETTER = re.compile(r"[^\W\d_]")
_UNDECIDED = 20  # words of a field that are reported, at most
_WORD = 40  # characters of a word
_LARGE = 1e9
_SLACK = 0.99  # of a rule's tolerance, from which on the model decides
_LINE_TYPES = ("", *LINE_TYPES)
_ADAPTERS: dict[str, TypeAdapter[list[Any]]] = {name: TypeAdapter(list[kind]) for name, kind in TYPES.items()}  # type: ignore[valid-type]
_PLAIN_NUMBERS = TypeAdapter(list[PlainNumber])
_DECIMALS = TypeAdapter(list[Decimal])
Mask = npt.NDArray[np.bool_]


class _Decision(NamedTuple):
    """Of one distinct text of one field, where it is not simply good as it stands."""

    cell: str | None  # what the feed makes of the text: the line_type rules look at it
    canonical: str | None
    good: bool
    sign: str | None  # of a currency


class _FieldDecider:
    """Decides the texts of one field, each distinct one once."""

    def __init__(self, feed: "Feed", name: str) -> None:
        self._feed = feed
        self._name = name
        self._adapter = _ADAPTERS[name]
        self._required = line_model(feed.columns).model_fields[name].is_required()
        self._patterns = [when[name] for when in feed.tests if name in when]
        self._plain = name in PLAIN_NUMBER_FIELDS and feed.takes_plain_numbers(name)
        self._repeats = True  # else nearly every batch has other texts, and to remember them is lost labour
        self._as_is: set[str] = set()  # good, and canonical as it stands: most of them
        self._others: dict[str, _Decision] = {}

    def decide(self, column: pa.Array) -> "_Decided":
        encoded = column.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        as_is, others = self._as_is, self._others
        unseen = texts
        if self._repeats:
            unseen = [text for text in texts if text not in as_is and text not in others]
            self._repeats = len(as_is) + len(others) + len(unseen) <= REMEMBERED or 2 * len(unseen) < len(texts)
        if len(as_is) + len(others) + len(unseen) > REMEMBERED or not self._repeats:
            as_is.clear()
            others.clear()
            unseen = texts
        self._learn(unseen)
        indices = encoded.indices.to_numpy(zero_copy_only=False)
        if others and (found := [others.get(text) for text in texts]) and any(found):
            pairs = list(zip(texts, found, strict=True))
            canonical = pa.array([each.canonical if each else text for text, each in pairs], pa.string())
            bad = np.array([each is not None and not each.good for each in found], dtype=bool)
            cells = [each.cell if each else text for text, each in pairs] if self._patterns else []
            signs = {each.sign for each in found if each and each.sign}
            by_sign = {
                sign: np.array([bool(each and each.sign == sign) for each in found], dtype=bool) for sign in signs
            }
            return _Decided(canonical, indices, None, bad, self._matches(cells), by_sign)
        return _Decided(encoded.dictionary, indices, column, np.zeros(len(texts), dtype=bool), self._matches(texts))

    def _matches(self, cells: list[str | None]) -> list[Mask]:
        return [np.array([self._feed.matches(pattern, cell) for cell in cells], bool) for pattern in self._patterns]

    def _learn(self, texts: list[str]) -> None:
        if self._plain and _are_plain_numbers(texts):
            self._remember(texts)
            return
        cells = self._feed.cells(self._name, texts)
        filled = [cell for cell in cells if cell is not None]
        try:
            values = self._adapter.validate_python(filled)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            bad = {filled[int(each["loc"][0])] for each in details}
            filled = [cell for cell in filled if cell not in bad]
            values = self._adapter.validate_python(filled)
        if cells == texts and list(map(str, values)) == texts:
            self._remember(texts)
            return
        written: dict[str | None, str] = dict(zip(filled, map(_canonical, values), strict=True))
        for text, cell in zip(texts, cells, strict=True):
            canonical = written.get(cell)
            if canonical == text == cell:
                self._remember([text])
            else:
                good = canonical is not None or (cell is None and not self._required)
                sign = sign_of(text) if self._name in NUMBER_FIELDS else None
                self._others[text] = _Decision(cell, canonical, good, sign)

    def _remember(self, texts: list[str]) -> None:
        if self._repeats:
            self._as_is.update(texts)


def _are_plain_numbers(texts: list[str]) -> bool:
    """Whether pydantic takes all of them as numbers within the bounds of `Number`, each canonical as it stands.

    The shorter way to the same verdict, a fourth of the time: no call of Python for each text.
    """
    try:
        return list(map(str, _DECIMALS.validate_python(_PLAIN_NUMBERS.validate_python(texts)))) == texts
    except ValidationError:
        return False


def _canonical(value: Any) -> str:
    """The text that PostgreSQL reads back as exactly this value."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


@dataclass(frozen=True)
class _Decided:
    """One field over one batch: what is said of each distinct text, and which row has which."""

    distinct: pa.Array  # canonical text; null where the cell is empty or bad
    indices: npt.NDArray[np.int32]
    column: pa.Array | None  # the rows' texts, where all are canonical as they stand
    bad: Mask  # per distinct text
    rules: list[Mask]  # per test of the feed that looks at this field: does the distinct text match
    signs: dict[str, Mask] = field(default_factory=dict)  # sign of a currency → which distinct texts have it

    def rows(self, flags: Mask) -> Mask:
        """Flags of distinct texts → flags of rows."""
        return flags[self.indices] if flags.any() else np.zeros(len(self.indices), dtype=bool)

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        return np.asarray(pc.cast(self.distinct, pa.float64()).to_numpy(zero_copy_only=False)[self.indices])

    @property
    def canonical(self) -> pa.Array:
        return self.column if self.column is not None else self.distinct.take(pa.array(self.indices))

    @classmethod
    def nothing(cls, rows: int, tests: int) -> "_Decided":
        """Of a column that the file need not have, and has not."""
        none = pa.array([None], pa.string())
        return cls(none, np.zeros(rows, np.int32), None, np.zeros(1, bool), [np.zeros(1, bool)] * tests)


class Validator:
    """Decides the batches of one file by one feed."""

    def __init__(self, feed: "Feed", header: list[str], titles: Sequence[str] = ()) -> None:
        """Match the file's header with the feed's columns.

        Raises InvalidFile when a mapped column is missing or ambiguous, naming the likely renamed header.
        """
        self._feed = feed
        self._header = header
        self._matched: Matched = match_header(feed, header, titles)
        self.drift = self._matched.drift
        self._deciders = {name: _FieldDecider(feed, name) for name in feed.columns}
        self._masked = _masked_positions(feed, self._matched, header)
        self._unquoted = {name for name, origin in self._matched.sources.items() if self._masked & {*origin}}
        # Columns that make a row a sale of something: what has none of them is no row of data that went wrong.
        self._identifying = {at for name in ("sale_id", "product_id") for at in self._matched.sources.get(name, ())}
        sources = self._matched.sources
        measured = NUMBER_FIELDS | DATE_FIELDS | TIME_FIELDS
        self._measured = {at for name in measured for at in sources.get(name, ())}
        self._marked = self._measured | {at for name in IDENTIFIER_FIELDS for at in sources.get(name, ())}
        self._last_order: list[str] = []  # texts of the last data row, for fill_down
        self._torn = False  # a malformed row stands behind it: whose order goes on, nobody can tell
        self._seen = _Seen() if feed.duplicates != "keep" else None

    def validate(self, batch: "Batch") -> Verdict:
        """The verdict on every row of the batch, and the accepted rows as canonical text."""
        rows = len(batch)
        no_data: dict[int, str] = {}
        if self._feed.fill_down:
            batch, no_data = self._filled_down(batch)
        texts = {name: self._texts(name, batch) for name in self._feed.columns}
        fields = {
            name: self._deciders[name].decide(column)
            if column is not None
            else _Decided.nothing(rows, sum(name in when for when in self._feed.tests))
            for name, column in texts.items()
        }
        by_test = self._tests(fields, rows)
        line_types = self._line_types(by_test, rows)
        skip = np.logical_or.reduce(by_test[len(self._feed.line_type) :], axis=0, initial=False) & np.ones(rows, bool)
        suspect = self._may_break_a_rule(fields, line_types) | self._contradict_the_currency(fields, rows)
        for name, decided in fields.items():
            bad = decided.rows(decided.bad)
            suspect |= bad & (line_types == 0) if name == "line_type" else bad
        skip[list(no_data)] = False
        skipped = Counter(no_data.values()) + Counter(blank=batch.blank, rule=int(skip.sum()))
        rejected = []
        for each in batch.malformed:
            if reason := self._no_data_though_ragged(_cells(each.raw_text, self._feed.format.delimiter)):
                skipped[reason] += 1
            else:
                rejected.append(self._malformed(each, each.lines if batch.by_quotes else 1))
        accepted = ~skip
        accepted[list(no_data)] = False
        suspects = np.flatnonzero(suspect & accepted)
        nothing = _without_text(batch, suspects)
        skipped["blank"] += int(nothing.sum())
        accepted[suspects[nothing]] = False
        for index in suspects[~nothing].tolist():
            verdict = self._refusal(batch, texts, index)
            if isinstance(verdict, str):
                skipped[verdict] += 1
            elif verdict:
                rejected.append(verdict)
            accepted[index] = verdict is None
        for index, refusal in self._repeated(batch, texts, fields, accepted):
            if refusal:
                rejected.append(refusal)
            else:
                skipped["duplicate"] += 1
            accepted[index] = False
        self._report_undecided(fields, (line_types == 0) & accepted)
        self._report_signs(fields, accepted)
        table, dates = self._table(batch, fields, line_types, accepted)
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
                parts = [_as_seen(batch.columns[position], unmark=unmark) for position in positions]
                joined = pc.binary_join_element_wise(*parts, " ")
                if name not in IDENTIFIER_FIELDS:
                    return joined
                # What is left of an identifier without one of its parts is that of many things.
                nothing = pa.array(["", *self._feed.format.nulls], pa.string())
                incomplete = reduce(pc.or_, (pc.is_in(part, nothing) for part in parts))
                return pc.if_else(incomplete, "", joined)

    def _tests(self, fields: dict[str, _Decided], rows: int) -> list[Mask]:
        """Per test of the feed (line_type rules, then skip rules), the rows that match all of its patterns."""
        found = []
        position = dict.fromkeys(fields, 0)
        for when in self._feed.tests:
            matches = np.ones(rows, dtype=bool)
            for name in when:
                matches &= fields[name].rows(fields[name].rules[position[name]])
                position[name] += 1
            found.append(matches)
        return found

    def _line_types(self, by_test: list[Mask], rows: int) -> npt.NDArray[np.int8]:
        """The type that the first matching rule gives, per row, by position in _LINE_TYPES; 0 where none matches."""
        types = np.zeros(rows, dtype=np.int8)
        for rule, matches in zip(self._feed.line_type, by_test, strict=False):
            if matches.any():
                types[matches & (types == 0)] = _LINE_TYPES.index(rule.line_type)
        return types

    def _may_break_a_rule(self, fields: dict[str, _Decided], line_types: npt.NDArray[np.int8]) -> Mask:
        """Rows that could break one of `sales_line.RULES`, asked of floats with slack: the model decides exactly.

        Large amounts, where a float is no longer good to a hundredth of a cent, are always sent to the model.
        """
        numbers = {name: fields[name].numbers for name in AMOUNT_FIELDS & fields.keys()}
        stated = {name: ~np.isnan(each) for name, each in numbers.items()}
        amounts = Amounts({name: np.nan_to_num(each) for name, each in numbers.items()}, nothing=0.0)
        suspect = np.zeros(len(line_types), dtype=bool)
        for each in (*numbers.values(), amounts.gross, amounts.total, amounts.cost):
            suspect |= np.abs(each) > _LARGE
        for rule in sales_line.RULES:
            if any(name not in fields for name in rule.needs):
                continue
            perhaps = (line_types == 0) | np.isin(line_types, [_LINE_TYPES.index(each) for each in rule.line_types])
            for name in rule.needs:
                perhaps &= stated[name]
            for name in rule.lacks:
                if name in fields:
                    perhaps &= ~stated[name]
            suspect |= perhaps & (rule.excess(amounts) > float(rule.tolerance) * _SLACK)
        return np.asarray(suspect, dtype=bool)

    def _refusal(self, batch: "Batch", columns: dict[str, pa.Array | None], index: int) -> Rejected | str | None:
        """All errors of one row, by the whole model; None when the model accepts it; why, when it is no data."""
        texts = {name: column[index].as_py() for name, column in columns.items() if column is not None}
        try:
            validate_row(self._feed, texts)
        except ValidationError as error:
            cells = [column[index].as_py() for column in batch.columns]
            errors = _errors(self._feed, error, texts)
            return self._no_data(cells) or self._rejected(batch, index, cells, errors, texts)
        return None

    def _no_data(self, cells: list[str], order: str = "") -> str | None:
        """Why a row that the contract refuses is not even meant as data; None where it is.

        `order`: what a subtotal may name, the id of the order above.
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

    def _no_data_though_ragged(self, cells: list[str]) -> str | None:
        """The same of a row whose cells nobody can tell apart: what has no more text than a label is no sale.

        Nor has it more than an amount beside the label, where an identifier would stand: a store may be called Total.
        """
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

    def _report_undecided(self, fields: dict[str, _Decided], sales: Mask) -> None:
        """Words of a column that decides the line type which no rule knows, of `sales` for lack of one."""
        for name in WORD_FIELDS & {name for rule in self._feed.line_type for name in rule.when}:
            decided = fields[name]
            if name in self._feed.mask or not sales.any():
                continue
            known = np.logical_or.reduce(decided.rules)
            unknown = decided.rows(~known) & sales
            words = self.drift.undecided.setdefault(name, {}) if unknown.any() else {}
            for place, rows in Counter(decided.indices[unknown].tolist()).items():
                word = (decided.distinct[place].as_py() or "")[:_WORD]
                if word and (word in words or len(words) < _UNDECIDED):
                    words[word] = words.get(word, 0) + rows

    def _report_signs(self, fields: dict[str, _Decided], accepted: Mask) -> None:
        """Signs of currencies in rows that state none."""
        for decided in fields.values():
            for sign in sorted(decided.signs.keys() - {*self.drift.signs}):
                rows = decided.rows(decided.signs[sign]) & accepted
                if "currency" in fields:
                    stated = fields["currency"].distinct.to_pylist()
                    rows &= fields["currency"].rows(np.array([each in (None, "XXX") for each in stated], dtype=bool))
                if rows.any():
                    self.drift.signs.append(sign)

    def _contradict_the_currency(self, fields: dict[str, _Decided], rows: int) -> Mask:
        """Rows with an amount whose sign is not that of their currency."""
        found = np.zeros(rows, dtype=bool)
        if "currency" not in fields:
            return found
        for decided in fields.values():
            for sign, texts in decided.signs.items():
                others = [contradicts(sign, currency) for currency in fields["currency"].distinct.to_pylist()]
                found |= decided.rows(texts) & fields["currency"].rows(np.array(others, dtype=bool))
        return found

    def _rejected(
        self, batch: "Batch", index: int, cells: list[str], errors: list[dict[str, str | None]], texts: dict[str, str]
    ) -> Rejected:
        line = int(batch.source_lines[index])
        raw_text = batch.text_at(line)
        lines = raw_text.count("\n") + 1 if batch.by_quotes else 1
        if self._masked:
            kept = [MASK if position in self._masked and cell else cell for position, cell in enumerate(cells)]
            raw_text = record(kept, self._feed.format.delimiter)
            errors = [_masked(each) if each["field"] in self._unquoted else each for each in errors]
        place = int(batch.row_numbers[index]), line
        return Rejected(*place, raw_text, errors, _revenue(self._feed, texts), lines)

    def _malformed(self, each: "Malformed", lines: int) -> Rejected:
        # Which of its cells is which nobody can tell, so none of them is kept where some must not be seen.
        raw_text = MASK if self._masked else each.raw_text
        errors = [_error(None, each.message, None)]
        return Rejected(each.row_number, each.source_line, raw_text, errors, lines=lines)

    def _filled_down(self, batch: "Batch") -> tuple["Batch", dict[int, str]]:
        """Blank cells of the feed's fill_down fields take that of the row above, if it is of the same order.

        Rows that say Total, which would be filled up to a sale, are left as they are and given with the reason.
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
            reason = self._no_data(row, self._last_order[order] if self._last_order else "")
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

    def _repeated(
        self, batch: "Batch", texts: dict[str, pa.Array | None], fields: dict[str, _Decided], accepted: Mask
    ) -> Iterator[tuple[int, Rejected | None]]:
        """Rows that repeat an earlier one: the same cells are no data; the same key with other cells is a bad row."""
        if not self._seen:
            return
        seen = (_as_seen(column, unmark=position in self._marked) for position, column in enumerate(batch.columns))
        contents = pc.binary_join_element_wise(*seen, "\x1f").to_pylist()
        keys = contents
        if self._feed.duplicates == "key":
            parts = (pc.fill_null(fields[name].canonical, "") for name in self._feed.unique_key)
            keys = pc.binary_join_element_wise(*parts, "\x1f").to_pylist()
        for index in np.flatnonzero(accepted).tolist():
            earlier = self._seen.line_of(keys[index], contents[index], int(batch.source_lines[index]))
            if earlier and earlier.same:
                yield index, None
            elif earlier:
                key = ", ".join(self._feed.unique_key)
                errors = [_error(None, f"Line {earlier.line} has the same {key}, and other cells", None)]
                row = {name: column[index].as_py() for name, column in texts.items() if column is not None}
                cells = [column[index].as_py() for column in batch.columns]
                yield index, self._rejected(batch, index, cells, errors, row)

    def _table(
        self, batch: "Batch", fields: dict[str, _Decided], line_types: npt.NDArray[np.int8], accepted: Mask
    ) -> tuple[pa.Table, frozenset[date]]:
        rows = len(batch)
        columns = {name: decided.canonical for name, decided in fields.items() if name not in self.drift.missing}
        stated = columns.get("line_type", pa.repeat("sale", rows))
        if line_types.any():
            by_rule = pa.array([*_LINE_TYPES], pa.string()).take(pa.array(line_types))
            stated = pc.if_else(pc.equal(by_rule, ""), stated, by_rule)
        columns["line_type"] = pc.fill_null(stated, "sale")
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
        table = pa.table(places | {name: columns[name] for name in COLUMNS if name in columns})
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


class _Earlier(NamedTuple):
    line: int
    same: bool  # the same cells, not only the same key


class _Seen:
    """The keys of a file's rows, in a temporary database: a file may have more of them than memory."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._rows.execute("pragma journal_mode = off")
        self._rows.execute("begin")
        self._rows.execute("create table seen (key blob primary key, content blob, line integer) without rowid")

    def line_of(self, key: str, content: str, line: int) -> _Earlier | None:
        """The earlier row with this key, or None, and then this one is the first."""
        digests = [blake2b(text.encode(), digest_size=16).digest() for text in (key, content)]
        added = self._rows.execute("insert or ignore into seen values (?, ?, ?)", (*digests, line))
        if added.rowcount:
            return None
        found = self._rows.execute("select content, line from seen where key = ?", digests[:1]).fetchone()
        return _Earlier(found[1], found[0] == digests[1])


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
    return line_model(feed.columns).model_validate({name: cell for name, cell in cells.items() if cell is not None})


def _errors(feed: "Feed", error: ValidationError, texts: dict[str, str]) -> list[dict[str, str | None]]:
    found = []
    for each in error.errors(include_url=False):
        if each["type"] == "rules":
            found += [_error(name, message, texts.get(name)) for name, message in each["ctx"]["broken"]]
        else:
            name = str(each["loc"][0])
            message = "Required, but the cell is empty" if each["type"] == "missing" else each["msg"]
            if each["type"] in ("number_format", "date_format") and name in texts:
                message += f": {way_of_writing(feed, name, texts)}"
            found.append(_error(name, message, texts.get(name)))
    return found


def way_of_writing(feed: "Feed", name: str, texts: dict[str, str]) -> str:
    """What would be read where a number or a date is not; `texts` as of `validate_row`."""
    currency = feed.cell("currency", texts["currency"]) if "currency" in texts else None
    if name in NUMBER_FIELDS and contradicts(texts[name], currency):
        return f"the sign {sign_of(texts[name])} is not one of {currency}, the currency of the row"
    return feed.way_of_writing(name, texts[name], currency)


def says_total(text: str, order: str = "") -> bool:
    """Whether a label says no more than Total, of the order above or of how many rows."""
    label = as_seen(text).rstrip(_BEHIND_TOTAL).removesuffix(as_seen(order)).rstrip(_BEHIND_TOTAL)
    return bool(_TOTAL.fullmatch(label))


def _error(field: str | None, message: str, value: str | None) -> dict[str, str | None]:
    return {"field": field, "message": message, "value": value}


def _masked(error: dict[str, str | None]) -> dict[str, str | None]:
    return error | {"value": MASK if error["value"] else error["value"]}


def _without_text(batch: "Batch", rows: npt.NDArray[np.int64]) -> Mask:
    """Of each of these rows: are all of its cells empty? A sheet may end in a million such, too many for the model."""
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


def _as_seen(column: pa.Array, *, unmark: bool) -> pa.Array:
    """The cells without what nobody sees, nor, where `unmark` says so, the mark of a text."""
    encoded = column.dictionary_encode()
    seen = all_as_seen(encoded.dictionary.to_pylist())
    return pa.array(map(unmarked, seen) if unmark else seen, pa.string()).take(encoded.indices)


def _masked_positions(feed: "Feed", matched: Matched, header: list[str]) -> frozenset[int]:
    """A name of the feed's mask is a canonical field, or else a header of the sheet.

    Where it is neither, a column was renamed or the feed has it wrong: which cells must not be seen nobody can tell, so
    it is all of them.
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
