"""The columns decide as the rows do: `Validator` over whole batches gives what `validate_row` gives row by row."""

import csv
import io
import json
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from loader import reader, validation
from loader.feeds import Feed
from loader.reader import Reader
from loader.validation import COLUMNS, FIELDS, Counts, Number, Rejected, Validator, validate_row

NUMBER: TypeAdapter[Decimal] = TypeAdapter(Number)
COLUMN_OF = {"sale_id": "Sale", "sold_at": "Sold", "product_id": "Product", "quantity": "Qty", "unit_price": "Price"}


@dataclass(frozen=True)
class Sheet:
    """A feed and a file for it: records as cells in the header's order, or as text where they are no row of it."""

    feed: Feed
    header: list[str]
    records: list[list[str] | str]

    @property
    def content(self) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        for record in [self.header, *self.records]:
            if isinstance(record, str):
                text.write(record + "\n")
            else:
                writer.writerow(record)
        return text.getvalue().encode()

    def texts(self, cells: list[str]) -> dict[str, str]:
        """The mapped cells of a record by canonical field, constants included."""
        return {
            field: cells[self.header.index(str(column.header))] if column.value is None else column.value
            for field, column in self.feed.columns.items()
        }

    def extra(self, cells: list[str]) -> dict[str, str | None]:
        mapped = {column.header for column in self.feed.columns.values()}
        found: dict[str, str | None] = {}
        for name, cell in zip(self.header, cells, strict=True):
            if name not in mapped:
                again = sum(key == name or key.startswith(f"{name} (") for key in found)
                found[f"{name} ({again + 1})" if again else name] = cell.strip() or None
        return found


@dataclass(frozen=True)
class Decided:
    """Of a whole file: accepted rows as what COPY writes, rejected rows, and how many were no data."""

    accepted: list[dict[str, Any]]
    rejected: list[Rejected]
    skipped: int
    dates: frozenset[date]


def canonical(value: object) -> str | None:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):  # or datetime
        return value.isoformat()
    return None if value is None else str(value)


def row_by_row(sheet: Sheet) -> Decided:
    """The reference: nothing remembered, nothing in columns."""
    accepted, rejected, dates, skipped = [], [], set(), 0
    line = 2
    for number, record in enumerate(sheet.records, 1):
        if isinstance(record, str):
            cells, text = record.split(","), record
        else:
            written = io.StringIO(newline="")
            csv.writer(written, lineterminator="").writerow(record)
            cells, text = record, written.getvalue()
        place, line = line, line + text.count("\n") + 1
        trimmed = [cell.strip() for cell in cells]
        if (not any(trimmed) and (len(cells) == len(sheet.header) or not text.strip())) or trimmed == sheet.header:
            skipped += 1
            continue
        if len(cells) != len(sheet.header):
            message = f"The row has {len(cells)} cells where the header has {len(sheet.header)}"
            rejected.append(Rejected(number, place, text, [{"field": None, "message": message, "value": None}]))
            continue
        texts = sheet.texts(cells)
        try:
            sale_line = validate_row(sheet.feed, texts)
        except ValidationError as error:
            rejected.append(Rejected(number, place, text, reasons(error, texts), at_risk(sheet.feed, texts)))
            continue
        day = sale_line.sold_at.astimezone(ZoneInfo(sheet.feed.format.timezone)).date()
        values = {field: canonical(getattr(sale_line, field)) for field in FIELDS}
        about = {"row_number": number, "source_line": place, "sale_date": day.isoformat()}
        accepted.append(about | values | {"extra": sheet.extra(cells) or None})
        dates.add(day)
    return Decided(accepted, rejected, skipped, frozenset(dates))


def reasons(error: ValidationError, texts: dict[str, str]) -> list[dict[str, str | None]]:
    said: list[tuple[str, str]] = []
    for each in error.errors():
        if each["type"] == "rules":
            said += each["ctx"]["broken"]
        elif each["type"] == "missing":
            said.append((str(each["loc"][0]), "Required, but the cell is empty"))
        else:
            said.append((str(each["loc"][0]), each["msg"]))
    return [{"field": field, "message": message, "value": texts.get(field)} for field, message in said]


def at_risk(feed: Feed, texts: dict[str, str]) -> Decimal | None:
    try:
        amounts = [NUMBER.validate_python(feed.cell(field, texts[field])) for field in ("quantity", "unit_price")]
    except ValidationError:
        return None
    return abs(amounts[0] * amounts[1]).quantize(Decimal("0.01"), ROUND_HALF_UP, Context(prec=60))


def in_columns(sheet: Sheet, block_bytes: int = reader.BLOCK_BYTES, remembered: int = validation.REMEMBERED) -> Decided:
    """What the loader does with the file, in blocks of this size."""
    accepted: list[dict[str, Any]] = []
    rejected: list[Rejected] = []
    dates: frozenset[date] = frozenset()
    counts = Counts()
    rows_read = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "BLOCK_BYTES", block_bytes)
        patch.setattr(validation, "REMEMBERED", remembered)
        source = Reader(io.BytesIO(sheet.content), sheet.feed.format.delimiter, sheet.feed.format.encoding)
        validator = Validator(sheet.feed, source.header)
        for batch in source.batches():
            verdict = validator.validate(batch)
            assert verdict.accepted.column_names == list(COLUMNS)
            accepted += verdict.accepted.to_pylist()
            rejected += verdict.rejected
            dates |= verdict.dates
            counts.add(verdict)
            rows_read += batch.rows_read
    assert (counts.loaded, counts.rejected) == (len(accepted), len(rejected))
    assert counts.read == counts.loaded + counts.rejected + counts.skipped == rows_read == len(sheet.records)
    for row in accepted:
        row["extra"] = row["extra"] and json.loads(row["extra"])
    return Decided(accepted, rejected, counts.skipped, dates)


FORMS: list[dict[str, Any]] = [
    {},
    {"decimal": ",", "thousands": ".", "dates": ["%d/%m/%Y"]},
    {
        "thousands": ",",
        "dates": ["%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d"],
        "timezone": "Asia/Tokyo",
        "nulls": ["", "N/A"],
    },
    {"dates": ["%Y-%m-%d %H:%M:%S", "%d/%m/%Y"], "timezone": "Europe/London"},
]
TEXTS = st.sampled_from(["A1", "C7", "ADJ", " padded ", "", "N/A", 'é\n"売"', "Return", "x" * 10_001])
TIMES = st.sampled_from(
    ["2026-03-04", "04/03/2026", "2026-03-04 23:30:00+0000", "2026-03-29 01:30:00", "0001-01-01 00:00:00+0500"]
    + ["2024-02-30", "20260304", "1704412800", "", "N/A", "soon"]
)
JUNK = st.sampled_from(["", " ", "N/A", "ten", "1_000", "1e5", "NaN", "١", "5-", "$-", "(1)", "+1", "1.5", "1,5", "0"])
OTHER_FIELDS: dict[str, st.SearchStrategy[str]] = {
    "line_number": st.sampled_from(["1", "2.0", "2.5", "-1", "2147483648", ""]),
    "product_name": TEXTS,
    "tax_amount": st.sampled_from(["1", "-2", "1234567", "0.1234567", "123456789012345678901", ""]),
    "currency": st.sampled_from(["EUR", "USD", "eur", "EURO", "", "N/A"]),
    "payment_date": TIMES,
    "customer_rating": st.sampled_from(["1", "5", "0", "6", "4.0", "4 stars", ""]),
    "line_type": st.sampled_from(["sale", "return", "cancellation", "adjustment", "refund", ""]),
}
RULES: list[dict[str, Any]] = [
    {"when": {"sale_id": "^C", "quantity": "^-"}, "is": "return"},
    {"when": {"sale_id": "^C"}, "is": "cancellation"},
    {"when": {"unit_price": "^-"}, "is": "adjustment"},
    {"when": {"quantity": "^-"}, "is": "return"},
    {"when": {"product_name": "^$"}, "is": "sale"},
    {"when": {"line_type": "^refund$"}, "is": "return"},
]
QUANTITIES = st.integers(-3, 9).map(Decimal) | st.decimals(-9, 9, places=6) | st.just(Decimal(98765432101234))
PRICES = (
    st.sampled_from(["0", "9.99", "0.005", "33.333333", "-1", "1000000000", "12345678901234.56"]).map(Decimal)
    | st.decimals(0, 1000, places=2)
)  # fmt: skip
RATES = st.sampled_from(["0", "0.1", "0.15", "0.333333", "1", "1.01", "-0.1"]).map(Decimal)
COSTS = st.sampled_from(["0", "4.5", "9.999999", "12345678901234.5", "-1"]).map(Decimal) | st.decimals(0, 99, places=2)
# Around the tolerances of one and of two cents.
OFF_BY = st.sampled_from(
    ["0", "0.005", "0.009999", "0.01", "0.010001", "-0.01", "-0.010001", "0.02", "0.020001", "-0.02", "1"]
).map(Decimal)


@st.composite
def rows(draw: st.DrawFn, feed: Feed) -> dict[str, str]:
    """Cells by canonical field: amounts that belong together, then perhaps one cell of junk."""
    quantity, price, rate, amount, unit_cost = (draw(each) for each in (QUANTITIES, PRICES, RATES, PRICES, COSTS))
    total = quantity * price
    if "discount_rate" in feed.columns:
        total -= total * rate
    elif "discount_amount" in feed.columns:
        total -= amount if total >= 0 else -amount
    cost = quantity * unit_cost
    percent = "discount_rate" in feed.columns and feed.columns["discount_rate"].percent
    numbers = {
        "quantity": quantity,
        "unit_price": price,
        "discount_rate": rate * 100 if percent else rate,
        "discount_amount": amount,
        "unit_cost": unit_cost,
    }
    for field, computed in {"stated_total": total, "stated_cost": cost, "stated_profit": total - cost}.items():
        stated = computed.quantize(Decimal("0.000001"), context=Context(prec=60)) + draw(OFF_BY)
        numbers[field] = -stated if draw(st.integers(0, 4)) == 0 else stated
    texts = {field: f"{number:f}".replace(".", feed.format.decimal) for field, number in numbers.items()}
    texts |= {"sale_id": draw(TEXTS), "product_id": draw(TEXTS), "sold_at": draw(TIMES)}
    texts |= {field: draw(strategy) for field, strategy in OTHER_FIELDS.items() if field in feed.columns}
    if draw(st.integers(0, 3)) == 0:
        texts[draw(st.sampled_from(sorted(feed.columns)))] = draw(JUNK)
    return texts


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    form = draw(st.sampled_from(FORMS))
    columns: dict[str, Any] = dict(COLUMN_OF)
    stated = ["unit_cost", "stated_total", "stated_cost", "stated_profit"]
    columns |= {field: field.title() for field in draw(st.sets(st.sampled_from([*OTHER_FIELDS, *stated])))}
    match draw(st.sampled_from(["none", "rate", "percent", "amount"])):
        case "rate":
            columns["discount_rate"] = "Discount"
        case "percent":
            columns["discount_rate"] = {"header": "Discount", "percent": True}
        case "amount":
            columns["discount_amount"] = "Discount"
    for field, values in {
        "currency": ["GBP", "pounds"],
        "customer_name": ["Everybody", ""],
        "unit_price": ["2"],
    }.items():
        if draw(st.integers(0, 5)) == 0:
            columns[field] = {"value": draw(st.sampled_from(values))}
    rules = [rule for rule in RULES if rule["when"].keys() <= columns.keys()]
    chosen = draw(st.lists(st.sampled_from(rules), unique_by=str, max_size=4))
    feed = Feed.model_validate({"feed": "shop", "match": "*", "format": form, "columns": columns, "line_type": chosen})
    mapped = {field: str(column.header) for field, column in feed.columns.items() if column.value is None}
    header = draw(
        st.permutations([*mapped.values(), *draw(st.sampled_from([[], ["Note"], ["Note", "", 'N"', "Note"]]))])
    )
    field_of = {name: field for field, name in mapped.items()}

    def cells(texts: dict[str, str]) -> list[str]:
        return [
            texts[field_of[name]] if name in field_of else draw(st.sampled_from(["", "n", " é "])) for name in header
        ]

    pool = draw(st.lists(rows(feed), min_size=1, max_size=6))
    records: list[list[str] | str] = []
    for _ in range(draw(st.integers(1, 10))):
        match draw(st.integers(0, 11)):
            case 0:
                records.append([" "] * len(header))
            case 1:
                records.append([f" {name}" for name in header])
            case 2:
                records.append(draw(st.sampled_from(["", "  ", "lost", "a,b" + ",c" * len(header)])))
            case _:
                records.append(cells(draw(st.sampled_from(pool))))
    return Sheet(feed, header, records)


@settings(max_examples=200)
@given(sheets(), st.integers(0, 400), st.sampled_from([1, 3, validation.REMEMBERED]))
def test_columns_decide_as_rows_do(sheet: Sheet, slack: int, remembered: int) -> None:
    expected = row_by_row(sheet)
    assert in_columns(sheet) == expected
    longest = max(len(line) + 1 for line in sheet.content.split(b"\n"))
    assert in_columns(sheet, longest + slack, remembered) == expected
