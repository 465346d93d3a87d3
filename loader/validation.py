"""The canonical sale line, and pydantic's verdict on every row of a batch.

A field's verdict depends on its value alone, and the columns of sales sheets repeat: so pydantic decides each distinct
value of a column once (`TypeAdapter(list[FieldType])`) and the verdict is mapped back by index. Rows with a bad value,
and rows that may break a rule across fields, go through the whole model, which has the last word and gives their full
list of errors. The result is that of `SalesLine` row by row (a property test holds the two equal), at the speed of
columns.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from difflib import get_close_matches
from itertools import chain, count
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_type_hints

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from loader.errors import InvalidFile

if TYPE_CHECKING:
    from loader.feeds import Feed
    from loader.reader import Batch

LineType = Literal["sale", "return", "cancellation", "adjustment"]

CENT = Decimal("0.01")
FIRST_YEAR = 2000  # of the calendar in dbt_sales
_WIDE = Context(prec=60)  # 14 digits before the point twice give 28, which the default context cannot round to cents
# Distinct values remembered per column across batches; a column with more is mostly unique, and memory is the limit.
REMEMBERED = 200_000


def _plain_number(text: object) -> object:
    """Python's Decimal also reads 1_000, 1e5 and digits of other scripts; a sheet that has those has a fault."""
    if isinstance(text, str) and not re.fullmatch(r"[+-]?\d+(\.\d+)?", text, re.ASCII):
        raise PydanticCustomError("number_format", "Input should be a number")
    return text


def _iso_date(text: object) -> object:
    """Pydantic also reads bare numbers as Unix time; 20240105 would become a day in 1970."""
    if isinstance(text, str) and not re.match(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        raise PydanticCustomError("date_format", "Input should be a date in one of the feed's formats")
    return text


def _not_zero(number: Decimal) -> Decimal:
    if not number:
        raise PydanticCustomError("zero", "Input should not be zero")
    return number


def _in_calendar(moment: datetime) -> datetime:
    """A misread date would move every "latest day" of the dashboard, and has no day in dbt's calendar."""
    if moment.year < FIRST_YEAR:
        raise PydanticCustomError("before_calendar", "Input should not be before {year}", {"year": FIRST_YEAR})
    if moment > datetime.now(UTC) + timedelta(days=1):
        raise PydanticCustomError("future", "Input should not be in the future")
    return moment


Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
# What the marts group and index by: several of them share one PostgreSQL index entry of at most 2,704 bytes.
Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Number = Annotated[Decimal, BeforeValidator(_plain_number), Field(max_digits=20, decimal_places=6)]
Rate = Annotated[Number, Field(ge=0, le=1)]
Whole = Annotated[int, BeforeValidator(_plain_number), Field(ge=0, lt=2**31)]
Day = Annotated[date, BeforeValidator(_iso_date)]


class SalesLine(BaseModel):
    """One line of a sale, return, cancellation or adjustment. `raw.sales_lines` has the same columns.

    Amounts are exact decimals in `currency` (ISO 4217; XXX is its code for "none"). `quantity` keeps the sheet's sign;
    `discount_rate` is a share from 0 to 1, `discount_amount` the discount of the whole line. `tax_amount` and
    `shipping_cost` are no part of sales. `stated_*` are the sheet's own results, checked against ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sale_id: Name
    line_number: Whole | None = None
    sold_at: Annotated[AwareDatetime, BeforeValidator(_iso_date), AfterValidator(_in_calendar)]
    line_type: LineType = "sale"
    product_id: Name
    product_name: Text | None = None
    product_category: Name | None = None
    quantity: Annotated[Number, AfterValidator(_not_zero)]
    unit_price: Number
    discount_rate: Rate | None = None
    discount_amount: Number | None = None
    unit_cost: Annotated[Number, Field(ge=0)] | None = None
    tax_amount: Number | None = None
    shipping_cost: Number | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "XXX"
    payment_method: Text | None = None
    payment_status: Text | None = None
    payment_date: Day | None = None
    customer_id: Name | None = None
    customer_name: Text | None = None
    store_id: Name | None = None
    sales_channel: Name | None = None
    sales_region: Name | None = None
    sales_representative: Name | None = None
    customer_rating: Annotated[Whole, Field(ge=1, le=5)] | None = None
    delivery_status: Text | None = None
    delivery_date: Day | None = None
    stated_total: Number | None = None
    stated_cost: Number | None = None
    stated_profit: Number | None = None

    @model_validator(mode="after")
    def _rules_across_fields(self) -> "SalesLine":
        if broken := list(self._broken_rules()):
            raise PydanticCustomError("rules", "{broken}", {"broken": broken})
        return self

    def _broken_rules(self) -> Iterable[tuple[str, str]]:
        if self.line_type == "sale" and self.quantity < 0:
            yield "quantity", "A sale has a positive quantity; the feed's line_type rules say what a negative one is"
        if self.line_type != "adjustment" and self.unit_price < 0:
            yield "unit_price", "Only an adjustment has a negative price"
        # To within a cent: sheets round at different steps. By size: sheets disagree on the sign of a return.
        total = self.quantity * self.unit_price
        total -= total * self.discount_rate if self.discount_rate else (self.discount_amount or 0) * _sign(total)
        if self.stated_total is not None and abs(abs(self.stated_total) - abs(total)) > CENT:
            yield "stated_total", f"Quantity, price and discount give {_cents(total)}"
        if self.unit_cost is not None:
            cost = self.quantity * self.unit_cost
            if self.stated_cost is not None and abs(abs(self.stated_cost) - abs(cost)) > CENT:
                yield "stated_cost", f"Quantity and unit cost give {_cents(cost)}"
            if self.stated_profit is not None and abs(abs(self.stated_profit) - abs(total - cost)) > 2 * CENT:
                yield "stated_profit", f"Total and cost give {_cents(total - cost)}"


def _sign(number: Decimal) -> int:
    return -1 if number < 0 else 1


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP, _WIDE)


_NUMBER: TypeAdapter[Decimal] = TypeAdapter(Number)
_TYPES: dict[str, Any] = get_type_hints(SalesLine, include_extras=True)
FIELDS = tuple(SalesLine.model_fields)
REQUIRED = tuple(name for name, info in SalesLine.model_fields.items() if info.is_required())
TIME_FIELDS = frozenset({"sold_at"})
DATE_FIELDS = frozenset({"payment_date", "delivery_date"})
NUMBER_FIELDS = frozenset(
    {"line_number", "quantity", "unit_price", "discount_rate", "discount_amount", "unit_cost", "tax_amount"}
    | {"shipping_cost", "customer_rating", "stated_total", "stated_cost", "stated_profit"}
)
# What COPY writes, in this order.
COLUMNS = ("row_number", "source_line", *FIELDS, "sale_date", "extra")


@dataclass(frozen=True)
class Rejected:
    """A row that is not loaded, with all that is needed to find it, understand it and load it later."""

    row_number: int
    source_line: int
    raw_text: str
    errors: list[dict[str, str | None]]  # field (None: the whole row), message, value (the cell as it stands)
    revenue_at_risk: Decimal | None = None  # quantity x unit price, where both can be read


@dataclass(frozen=True)
class Verdict:
    """What pydantic says of one batch: read = accepted + rejected + skipped."""

    accepted: pa.Table  # COLUMNS, canonical text
    rejected: list[Rejected]
    skipped: int
    dates: frozenset[date]


@dataclass
class Counts:
    """read = loaded + rejected + skipped, which the ledger enforces."""

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    skipped: int = 0

    def add(self, verdict: Verdict) -> None:
        self.loaded += verdict.accepted.num_rows
        self.rejected += len(verdict.rejected)
        self.skipped += verdict.skipped
        self.read += verdict.accepted.num_rows + len(verdict.rejected) + verdict.skipped


class _Decision(NamedTuple):
    """Of one distinct cell of one field."""

    canonical: str | None
    good: bool
    number: float
    rules: tuple[bool, ...]  # per line_type rule that tests this field: does it match


class _FieldDecider:
    """Decides the cells of one field, each distinct text once."""

    def __init__(self, feed: "Feed", name: str) -> None:
        self._feed = feed
        self._name = name
        self._adapter: TypeAdapter[list[Any]] = TypeAdapter(list[_TYPES[name]])  # type: ignore[valid-type]
        self._patterns = [rule.when[name] for rule in feed.line_type if name in rule.when]
        self._decided: dict[str, _Decision] = {}

    def decide(self, texts: list[str]) -> list[_Decision]:
        unseen = [text for text in texts if text not in self._decided]
        if len(self._decided) + len(unseen) > REMEMBERED:
            self._decided.clear()
            unseen = texts
        cells = [self._feed.cell(self._name, text) for text in unseen]
        values = self._values([cell for cell in cells if cell is not None])
        for text, cell in zip(unseen, cells, strict=True):
            rules = tuple(bool(pattern.search(cell or "")) for pattern in self._patterns)
            if cell is None:
                decision = _Decision(None, self._name not in REQUIRED, np.nan, rules)
            else:
                value = values[cell]
                good = value is not None
                number = float(value) if good and self._name in NUMBER_FIELDS else np.nan
                decision = _Decision(_canonical(value) if good else cell, good, number, rules)
            self._decided[text] = decision
        return [self._decided[text] for text in texts]

    def _values(self, cells: list[str]) -> dict[str, Any]:
        """Each cell's value as pydantic reads it, None where it refuses."""
        try:
            return dict(zip(cells, self._adapter.validate_python(cells), strict=True))
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            bad = {cells[int(each["loc"][0])] for each in details}
        good = [cell for cell in cells if cell not in bad]
        return dict.fromkeys(bad) | dict(zip(good, self._adapter.validate_python(good), strict=True))


def _canonical(value: Any) -> str:
    """The text that PostgreSQL reads back as exactly this value."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


class _Decided:
    """One field over one batch: indices into the batch's distinct decisions."""

    def __init__(self, decisions: list[_Decision], indices: npt.NDArray[np.int32]) -> None:
        self._decisions = decisions
        self.indices = indices

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        return np.array([each.good for each in self._decisions], dtype=bool)[self.indices]

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        return np.array([each.number for each in self._decisions], dtype=float)[self.indices]

    def rule(self, position: int) -> npt.NDArray[np.bool_]:
        return np.array([each.rules[position] for each in self._decisions], dtype=bool)[self.indices]

    def canonical(self, keep: npt.NDArray[np.bool_]) -> pa.Array:
        texts = pa.array([each.canonical for each in self._decisions], pa.string())
        return texts.take(pa.array(self.indices[keep]))


class Validator:
    """Decides the batches of one file by one feed."""

    def __init__(self, feed: "Feed", header: list[str]) -> None:
        """Match the file's header with the feed's columns.

        Raises InvalidFile when a mapped column is missing or ambiguous, naming the likely renamed header.
        """
        self._feed = feed
        self._header = header
        self._sources = _match_header(feed, header)
        used = set(self._sources.values())
        # By position, the key in `extra`: a header that stands twice is numbered, or JSON would keep one of its cells.
        self._unknown: dict[int, str] = {}
        for index, name in enumerate(header):
            if index not in used:
                numbered = (f"{name} ({number})" for number in count(2))
                taken = {*header[:index], *self._unknown.values()}
                self._unknown[index] = next(each for each in chain([name], numbered) if each not in taken)
        self._deciders = {name: _FieldDecider(feed, name) for name in feed.columns}

    def validate(self, batch: "Batch") -> Verdict:
        """The verdict on every row of the batch, and the accepted rows as canonical text."""
        skipped = self._no_data(batch)
        fields = {name: self._decide(name, batch) for name in self._deciders}
        line_types = self._line_types(fields, len(batch))
        good = np.ones(len(batch), dtype=bool)
        for name, decided in fields.items():
            good &= decided.good | ((line_types != "") & (name == "line_type"))
        suspect = ~good | self._may_break_a_rule(fields, line_types)
        accepted = ~skipped
        rejected = [
            Rejected(each.row_number, each.source_line, each.raw_text, [_error(None, each.message, None)])
            for each in batch.malformed
        ]
        for index in np.flatnonzero(suspect & ~skipped):
            if refusal := self._refusal(batch, int(index)):
                rejected.append(refusal)
                accepted[index] = False
        table, dates = self._table(batch, fields, line_types, accepted)
        return Verdict(
            table, sorted(rejected, key=lambda each: each.row_number), batch.blank + int(skipped.sum()), dates
        )

    def _decide(self, name: str, batch: "Batch") -> _Decided:
        constant = self._feed.columns[name].value
        if constant is not None:
            return _Decided(self._deciders[name].decide([constant]), np.zeros(len(batch), dtype=np.int32))
        encoded = batch.columns[self._sources[name]].dictionary_encode()
        decisions = self._deciders[name].decide(encoded.dictionary.to_pylist())
        return _Decided(decisions, encoded.indices.to_numpy(zero_copy_only=False))

    def _no_data(self, batch: "Batch") -> npt.NDArray[np.bool_]:
        """Rows of blank cells only, and the header repeated."""
        blank = np.ones(len(batch), dtype=bool)
        repeated = np.ones(len(batch), dtype=bool)
        for column, name in zip(batch.columns, self._header, strict=True):
            trimmed = pc.utf8_trim_whitespace(column)
            blank &= pc.equal(trimmed, "").to_numpy(zero_copy_only=False)
            repeated &= pc.equal(trimmed, name).to_numpy(zero_copy_only=False)
            if not (blank.any() or repeated.any()):
                break
        return blank | repeated

    def _line_types(self, fields: dict[str, _Decided], rows: int) -> npt.NDArray[np.object_]:
        """The type that the first matching rule gives, per row; empty where none matches."""
        types = np.full(rows, "", dtype=object)
        position = dict.fromkeys(fields, 0)
        for rule in self._feed.line_type:
            matches = types == ""
            for name in rule.when:
                matches &= fields[name].rule(position[name])
                position[name] += 1
            types[matches] = rule.line_type
        return types

    def _may_break_a_rule(
        self, fields: dict[str, _Decided], line_types: npt.NDArray[np.object_]
    ) -> npt.NDArray[np.bool_]:
        """Rows that could break a rule of `SalesLine._broken_rules`, in floats with slack: the model decides exactly.

        Large amounts, where a float is no longer good to a hundredth of a cent, are always sent to the model.
        """
        number = {name: decided.numbers for name, decided in fields.items() if name in NUMBER_FIELDS}
        slack = float(CENT) * 0.99
        quantity, price = number["quantity"], number["unit_price"]
        total = quantity * price
        perhaps_sale = (line_types == "") | (line_types == "sale")
        suspect = (np.abs(total) > 1e9) | (price < 0) | ((quantity < 0) & perhaps_sale)
        if "discount_rate" in number:
            total = total - total * np.nan_to_num(number["discount_rate"])
        if "discount_amount" in number:
            total = total - np.nan_to_num(number["discount_amount"]) * np.where(total < 0, -1, 1)
            suspect |= np.abs(total) > 1e9
        if "stated_total" in number:
            suspect |= np.abs(np.abs(number["stated_total"]) - np.abs(total)) > slack
        if "unit_cost" in number:
            cost = quantity * number["unit_cost"]
            suspect |= np.abs(cost) > 1e9
            if "stated_cost" in number:
                suspect |= np.abs(np.abs(number["stated_cost"]) - np.abs(cost)) > slack
            if "stated_profit" in number:
                suspect |= np.abs(np.abs(number["stated_profit"]) - np.abs(total - cost)) > 2 * slack
        return np.asarray(suspect, dtype=bool)

    def _refusal(self, batch: "Batch", index: int) -> Rejected | None:
        """All errors of one row, by the whole model; None when the model accepts it."""
        texts = {
            name: batch.columns[self._sources[name]][index].as_py() if column.value is None else column.value
            for name, column in self._feed.columns.items()
        }
        try:
            validate_row(self._feed, texts)
        except ValidationError as error:
            errors = _errors(error, texts)
        else:
            return None
        row_number, source_line = int(batch.row_numbers[index]), int(batch.source_lines[index])
        return Rejected(row_number, source_line, batch.text_at(source_line), errors, _revenue(self._feed, texts))

    def _table(
        self,
        batch: "Batch",
        fields: dict[str, _Decided],
        line_types: npt.NDArray[np.object_],
        keep: npt.NDArray[np.bool_],
    ) -> tuple[pa.Table, frozenset[date]]:
        rows = int(keep.sum())
        absent = pa.nulls(rows, pa.string())
        columns = {name: fields[name].canonical(keep) if name in fields else absent for name in FIELDS}
        by_rule = pa.array([text or None for text in line_types[keep]], pa.string())
        columns["line_type"] = pc.coalesce(by_rule, columns["line_type"], "sale")
        columns["currency"] = pc.fill_null(columns["currency"], SalesLine.model_fields["currency"].default)
        sale_dates = pc.utf8_slice_codeunits(columns["sold_at"], 0, 10)
        table = pa.table(
            {
                "row_number": batch.row_numbers[keep],
                "source_line": batch.source_lines[keep],
                **columns,
                "sale_date": sale_dates,
                "extra": self._extra(batch, keep),
            }
        )
        return table, frozenset(date.fromisoformat(day) for day in pc.unique(sale_dates).to_pylist())

    def _extra(self, batch: "Batch", keep: npt.NDArray[np.bool_]) -> pa.Array:
        """The cells of unknown columns as one JSON object per row, written per distinct value."""
        if not self._unknown:
            return pa.nulls(int(keep.sum()), pa.string())
        parts = []
        for index, name in self._unknown.items():
            encoded = batch.columns[index].dictionary_encode()
            cells = (json.dumps(text.strip() or None) for text in encoded.dictionary.to_pylist())
            texts = [f"{json.dumps(name)}: {cell}" for cell in cells]
            parts.append(pa.array(texts, pa.string()).take(encoded.indices.filter(pa.array(keep))))
        return pc.binary_join_element_wise("{", pc.binary_join_element_wise(*parts, ", "), "}", "")


def validate_row(feed: "Feed", texts: dict[str, str]) -> SalesLine:
    """One row, cell by cell: the reference that the columns must equal.

    `texts` are the cells as they stand, by canonical field. Raises pydantic's ValidationError.
    """
    cells = {name: feed.cell(name, text) for name, text in texts.items()}
    if line_type := feed.line_type_of(cells):
        cells["line_type"] = line_type
    return SalesLine.model_validate({name: cell for name, cell in cells.items() if cell is not None})


def _errors(error: ValidationError, texts: dict[str, str]) -> list[dict[str, str | None]]:
    found = []
    for each in error.errors(include_url=False):
        if each["type"] == "rules":
            found += [_error(name, message, texts.get(name)) for name, message in each["ctx"]["broken"]]
        else:
            name = str(each["loc"][0])
            message = "Required, but the cell is empty" if each["type"] == "missing" else each["msg"]
            found.append(_error(name, message, texts.get(name)))
    return found


def _error(field: str | None, message: str, value: str | None) -> dict[str, str | None]:
    return {"field": field, "message": message, "value": value}


def _revenue(feed: "Feed", texts: dict[str, str]) -> Decimal | None:
    try:
        quantity, price = (_NUMBER.validate_python(feed.cell(name, texts[name])) for name in ("quantity", "unit_price"))
    except ValidationError:
        return None
    return _cents(abs(quantity * price))


def _match_header(feed: "Feed", header: list[str]) -> dict[str, int]:
    """Position of each mapped field's column. Headers are compared without case and outer spaces."""
    folded = [name.casefold() for name in header]
    sources: dict[str, int] = {}
    problems = []
    for field, column in feed.columns.items():
        if column.value is not None:
            continue
        found = next((name for name in column.accepted_headers if name.casefold() in folded), None)
        wanted = " or ".join(repr(name) for name in column.accepted_headers)
        if found is None:
            alike = get_close_matches(column.accepted_headers[0].casefold(), folded, n=1)
            hint = f" (renamed to {header[folded.index(alike[0])]!r}?)" if alike else ""
            problems.append(f"column {wanted} for {field} is missing{hint}")
        elif folded.count(found.casefold()) > 1:
            problems.append(f"column {found!r} for {field} stands {folded.count(found.casefold())} times")
        else:
            sources[field] = folded.index(found.casefold())
    if problems:
        raise InvalidFile(f"the header does not fit feed {feed.feed}: {'; '.join(problems)}")
    return sources
