"""The columns decide as the rows do: `Validator` over whole batches gives what `validate_row` gives row by row."""

import csv
import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from loader import columns, decoding, sales_line, validation
from loader.decoding import decode
from loader.errors import InvalidFile
from loader.feeds import Feed
from loader.reader import Reader
from loader.rejects import Rejected, way_of_writing
from loader.sales_line import COLUMNS, FIELDS, Amounts, Number, Rule, SalesLine, cents
from loader.settings import Limits
from loader.validation import Validator, validate_row
from loader.verdict import Counts

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
        label = next(filter(None, trimmed), "")
        total = label.casefold() in {"total", "grand total:", "summe"}
        if len(cells) == len(sheet.header):
            ids = {sheet.feed.columns[field].header for field in ("sale_id", "product_id")}
            identified = {sheet.header.index(str(header)) for header in ids} - {trimmed.index(label) if label else -1}
            total = total and not any(trimmed[at] for at in identified)
        if len(cells) != len(sheet.header):
            message = f"The row has {len(cells)} cell{'s' * (len(cells) != 1)} where the header has {len(sheet.header)}"
            if total:
                skipped += 1
                continue
            errors = [{"field": None, "message": message, "value": None}]
            rejected.append(Rejected(number, place, text, errors, lines=text.count("\n") + 1))
            continue
        texts = sheet.texts(cells)
        canonical_cells = {field: sheet.feed.cell(field, text) or "" for field, text in texts.items()}
        if any(
            all(pattern.search(canonical_cells[field]) for field, pattern in when.items()) for when in sheet.feed.skip
        ):
            skipped += 1
            continue
        try:
            sale_line = validate_row(sheet.feed, texts)
        except ValidationError as error:
            if total:
                skipped += 1
            else:
                errors = reasons(sheet.feed, error, texts)
                lines = text.count("\n") + 1
                rejected.append(Rejected(number, place, text, errors, at_risk(sheet.feed, texts), lines))
            continue
        day = sale_line.sold_at.astimezone(ZoneInfo(sheet.feed.format.timezone)).date()
        values = {field: canonical(getattr(sale_line, field)) for field in FIELDS}
        values |= what_is_left(sale_line) if sheet.feed.before_discount else {}
        about = {"row_number": number, "source_line": place, "sale_date": day.isoformat()}
        accepted.append(about | values | {"extra": sheet.extra(cells) or None})
        dates.add(day)
    return Decided(accepted, rejected, skipped, frozenset(dates))


def what_is_left(line: SalesLine) -> dict[str, str | None]:
    """A total before discount as the description of the feed has it."""
    total, discount = line.line_total or Decimal(0), line.discount_amount
    if line.discount_rate is not None:
        discount = abs(total) * line.discount_rate
    if discount is None:
        return {}
    discount = cents(discount if line.line_type == "sale" else abs(discount))
    left = cents(abs(total)) - discount
    return {"line_total": canonical(-left if total < 0 else left), "discount_amount": canonical(discount)}


def reasons(feed: Feed, error: ValidationError, texts: dict[str, str]) -> list[dict[str, str | None]]:
    said: list[tuple[str, str]] = []
    for each in error.errors():
        if each["type"] == "rules":
            said += each["ctx"]["broken"]
        elif each["type"] == "missing":
            said.append((str(each["loc"][0]), "Required, but the cell is empty"))
        elif each["type"] in ("number_format", "date_format"):
            field = str(each["loc"][0])
            said.append((field, f"{each['msg']}: {way_of_writing(feed, field, texts)}"))
        else:
            said.append((str(each["loc"][0]), each["msg"]))
    return [{"field": field, "message": message, "value": texts.get(field)} for field, message in said]


def at_risk(feed: Feed, texts: dict[str, str]) -> Decimal | None:
    try:
        if "line_total" in feed.columns:
            total = NUMBER.validate_python(feed.cell("line_total", texts["line_total"]))
            return abs(total).quantize(Decimal("0.01"), ROUND_HALF_UP, Context(prec=60))
        amounts = [NUMBER.validate_python(feed.cell(field, texts[field])) for field in ("quantity", "unit_price")]
    except ValidationError:
        return None
    return abs(amounts[0] * amounts[1]).quantize(Decimal("0.01"), ROUND_HALF_UP, Context(prec=60))


def in_columns(sheet: Sheet, block_bytes: int = decoding.BLOCK_BYTES, remembered: int = columns.REMEMBERED) -> Decided:
    """What the loader does with the file, in blocks of this size."""
    accepted: list[dict[str, Any]] = []
    rejected: list[Rejected] = []
    dates: frozenset[date] = frozenset()
    counts = Counts()
    rows_read = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK_BYTES", block_bytes)
        patch.setattr(columns, "REMEMBERED", remembered)
        source = Reader(decode(io.BytesIO(sheet.content), "utf-8", Limits()), sheet.feed.format.delimiter)
        validator = Validator(sheet.feed, source.header)
        for batch in source.batches():
            verdict = validator.validate(batch)
            assert set(verdict.accepted.column_names) <= set(COLUMNS)
            accepted += [dict.fromkeys(COLUMNS) | row for row in verdict.accepted.to_pylist()]
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
    {"dates": ["%d%m%Y", "%A %d.%m.%Y %I:%M %p", "%Y-%m-%d %H:%M UTC"], "trailing_minus": True},
]
TEXTS = st.sampled_from(["A1", "C7", "ADJ", " padded ", 'é\n"売"', "Return"])
DAYS = st.dates(date(2024, 1, 1), date(2026, 12, 31))
OTHER_FIELDS: dict[str, st.SearchStrategy[str]] = {
    "line_number": st.sampled_from(["1", "2", "2147483647", ""]),
    "product_name": TEXTS | st.just(""),
    "tax_amount": st.sampled_from(["1", "-2", "1234567", ""]),
    "shipping_cost": st.sampled_from(["1", "-2", "0.5", ""]),
    "currency": st.sampled_from(["EUR", "USD", ""]),
    "customer_rating": st.sampled_from(["1", "5", "", "4.5", "9", "0", "2/5", "2/10"]),
    "line_type": st.sampled_from(["sale", "return", "cancellation", "adjustment", ""]),
    **dict.fromkeys(
        [
            "product_category",
            "payment_method",
            "payment_status",
            "customer_id",
            "customer_name",
            "store_id",
            "sales_channel",
            "sales_region",
            "sales_representative",
            "delivery_status",
        ],
        TEXTS | st.just(""),
    ),
}
DATE_FIELDS = ["payment_date", "delivery_date"]
STATED = ["unit_cost", "line_cost", "stated_total", "stated_cost", "stated_profit"]
DISCOUNTS = ["discount_rate", "discount_amount"]
ODD_NUMBERS = [
    "ten",
    "1_000",
    "1e5",
    "NaN",
    "١",
    "5-",
    "$-",
    "(1)",
    "+1",
    "1.5",
    "1,5",
    "0",
    "-1",
    "6",
    "0.1234567",
    "1" * 21,
]
ODD_TIMES = ["2024-02-30", "20260304", "1704412800", "0001-01-01 00:00:00+0500", "2026-03-29 01:30:00"]
ODD_TEXTS = [
    "A1\u200b",
    "\ufeffA1",
    "A\u00a01",
    "e\u0301",
    '="0042"',
    "'0042",
    ' "A1"',
    "4.05E+12",
    "Canceled",
    "RETURN ",
]
ODD_AMOUNTS = ["$1", "€ 2", "-£3", "¥4", "R$5", ".5", "\u22125", "1%", "'7"]
ODD = st.sampled_from(
    ["", " ", "N/A", "eur", "refund", "x" * 10_001, *ODD_NUMBERS, *ODD_TIMES, *ODD_TEXTS, *ODD_AMOUNTS]
)
RULES: list[dict[str, Any]] = [
    {"when": {"sale_id": "^C", "quantity": "^-"}, "is": "return"},
    {"when": {"sale_id": "^C"}, "is": "cancellation"},
    {"when": {"unit_price": "^-"}, "is": "adjustment"},
    {"when": {"line_total": "^-"}, "is": "return"},
    {"when": {"quantity": "^-"}, "is": "return"},
    {"when": {"product_name": "^$"}, "is": "sale"},
    {"when": {"sale_id": "^A"}, "is": "adjustment"},
    {"when": {"line_type": "^refund$"}, "is": "return"},
]
# The largest show whether floats alone ever decide: there they are off by more than a cent.
QUANTITIES = st.sampled_from(["1", "2", "3", "7", "12", "0.333333", "-1", "-2.5"]).map(Decimal)
AMOUNTS = st.sampled_from(["0", "9.99", "0.005", "33.333333", "1000000000", "98765432101234.56"]).map(Decimal)
PRICES = AMOUNTS | st.decimals(-1, 1000, places=2)
RATES = st.sampled_from(["0", "0.1", "0.15", "0.333333", "1"]).map(Decimal)
# On both sides of the tolerances of one and of two cents.
OFF_BY = st.sampled_from(["0", "0.009999", "0.01", "0.010001", "-0.010001", "0.02", "0.020001", "-0.020001"]).map(
    Decimal
)


@st.composite
def rows(draw: st.DrawFn, feed: Feed) -> dict[str, str]:
    """Cells by canonical field that belong together, one stated amount perhaps off; in some, one odd cell."""
    fixed_price = feed.columns["unit_price"].value if "unit_price" in feed.columns else None
    quantity, price = draw(QUANTITIES), Decimal(fixed_price) if fixed_price else draw(PRICES)
    rate, amount, unit_cost = draw(RATES), draw(AMOUNTS), draw(AMOUNTS)
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
    stated = {"stated_total": total, "stated_cost": cost, "stated_profit": total - cost}
    stated |= {"line_total": quantity * price if feed.before_discount else total, "line_cost": cost}
    numbers |= {field: computed.quantize(Decimal("0.000001")) for field, computed in stated.items()}
    numbers[draw(st.sampled_from(sorted(stated)))] += draw(OFF_BY)
    numbers[draw(st.sampled_from(sorted(stated)))] *= draw(st.sampled_from([1, 1, 1, -1]))
    texts = {field: f"{number:f}".replace(".", feed.format.decimal) for field, number in numbers.items()}
    texts |= {"sale_id": draw(TEXTS), "product_id": draw(TEXTS)}
    for field in ("sold_at", *DATE_FIELDS):
        moment = datetime.combine(draw(DAYS), time(draw(st.integers(0, 23)), 30), UTC)
        texts[field] = moment.strftime(draw(st.sampled_from(feed.format.dates)))
    texts |= {field: draw(strategy) for field, strategy in OTHER_FIELDS.items()}
    if draw(st.integers(0, 2)) == 0:
        texts[draw(st.sampled_from(sorted(feed.columns)))] = draw(ODD)
    return texts


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    form = draw(st.sampled_from(FORMS))
    columns: dict[str, Any] = dict(COLUMN_OF)
    columns |= {
        field: field.title() for field in draw(st.sets(st.sampled_from([*OTHER_FIELDS, *DATE_FIELDS, *STATED])))
    }
    if draw(st.integers(0, 2)) == 0:
        columns = {field: name for field, name in columns.items() if field not in ("unit_price", "stated_total")}
        columns["line_total"] = "Amount"
    if "line_cost" in columns:
        columns.pop("stated_cost", None)
    if "customer_rating" in columns and draw(st.booleans()):
        columns["customer_rating"] = {"header": "Rating", "scale": draw(st.sampled_from([5, 10]))}
    match draw(st.sampled_from(["none", "rate", "percent", "amount"])):
        case "rate":
            columns["discount_rate"] = "Discount"
        case "percent":
            columns["discount_rate"] = {"header": "Discount", "percent": True}
        case "amount":
            columns["discount_amount"] = "Discount"
    if "line_total" in columns and columns.keys() & {*DISCOUNTS} and draw(st.booleans()):
        columns["line_total"] = {"header": "Amount", "before_discount": True}
        columns |= draw(st.sampled_from([{}, {"stated_total": "Left"}]))
    for field, values in {
        "currency": ["GBP", "GBP", "GBP", "pounds"],
        "customer_name": ["Everybody", ""],
        "unit_price": ["2"],
    }.items():
        if draw(st.integers(0, 5)) == 0 and (field in columns or field != "unit_price"):
            columns[field] = {"value": draw(st.sampled_from(values))}
    rules = [rule for rule in RULES if rule["when"].keys() <= columns.keys()]
    chosen = draw(st.lists(st.sampled_from(rules), unique_by=str, max_size=4))
    skip = draw(st.sampled_from([[], [], [{"product_id": "^C7$"}], [{"quantity": "^-", "sale_id": "^C"}]]))
    said = {"format": form, "columns": columns, "line_type": chosen, "skip": skip}
    feed = Feed.model_validate({"feed": "shop", "match": "*"} | said)
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
                records.append(draw(st.sampled_from(["", "  ", "lost", "Total,9", "a,b" + ",c" * len(header)])))
            case 3:
                total = draw(st.sampled_from(["Total", " Grand total:", "summe", "Total Care Kit"]))
                records.append([total, *draw(st.sampled_from([[""], ["9"]])) * (len(header) - 1)])
            case _:
                records.append(cells(draw(st.sampled_from(pool))))
    return Sheet(feed, header, records)


@settings(max_examples=300)
@given(sheets(), st.integers(0, 400), st.sampled_from([1, 3, columns.REMEMBERED]))
def test_columns_decide_as_rows_do(sheet: Sheet, slack: int, remembered: int) -> None:
    expected = row_by_row(sheet)
    assert in_columns(sheet) == expected
    longest = max(len(line) + 1 for line in sheet.content.split(b"\n"))
    assert in_columns(sheet, longest + slack, remembered) == expected


def test_every_field_of_the_contract_is_drawn() -> None:
    assert {*COLUMN_OF, *OTHER_FIELDS, *DATE_FIELDS, *STATED, *DISCOUNTS, "line_total"} == set(FIELDS)


def a_tax_of_the_size_of_the_line(of: Amounts) -> Any:
    return of.tax_amount - abs(of.total)


@pytest.mark.parametrize(("tax", "accepted"), [("20.00", 1), ("20.01", 0), ("", 1)])
def test_a_rule_that_is_added_is_asked_of_every_row(monkeypatch: pytest.MonkeyPatch, tax: str, accepted: int) -> None:
    rule = Rule("tax_amount", ("tax_amount",), a_tax_of_the_size_of_the_line, lambda _: "Too much tax")
    monkeypatch.setattr(sales_line, "RULES", (*sales_line.RULES, rule))
    decided = one_row(tax_amount=tax)
    assert len(decided.accepted) == accepted
    assert [error["message"] for row in decided.rejected for error in row.errors] == ["Too much tax"][accepted:]


def test_a_rule_is_asked_of_a_row_where_an_amount_that_it_does_not_need_is_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = Rule("tax_amount", ("tax_amount",), lambda of: of.tax_amount + of.shipping_cost - 20, lambda _: "Too much")
    monkeypatch.setattr(sales_line, "RULES", (*sales_line.RULES, rule))
    decided = one_row(tax_amount="21", shipping_cost="")
    assert [error["message"] for row in decided.rejected for error in row.errors] == ["Too much"]


SALE = {"sale_id": "S1", "sold_at": "2026-03-04", "product_id": "P1", "quantity": "2", "unit_price": "10.00"}


def one_row(rules: list[dict[str, Any]] | None = None, /, **texts: str) -> Decided:
    """The verdict on a file of one row: a good sale, but for these cells."""
    cells = SALE | texts
    columns = {field: COLUMN_OF.get(field, field.title()) for field in cells}
    feed = Feed.model_validate({"feed": "shop", "match": "*", "columns": columns, "line_type": rules or []})
    return in_columns(Sheet(feed, list(columns.values()), [list(cells.values())]))


def broken(decided: Decided) -> dict[str | None, str | None]:
    """Message by field, of the one rejected row."""
    (row,) = decided.rejected
    return {error["field"]: error["message"] for error in row.errors}


def test_what_the_sheet_does_not_say_gets_the_contracts_default() -> None:
    (row,) = one_row().accepted
    assert (row["line_type"], row["currency"], row["sale_date"], row["extra"]) == ("sale", "XXX", "2026-03-04", None)
    assert row["store_id"] is None


def test_a_rejected_row_carries_all_its_errors_and_the_revenue_at_risk() -> None:
    decided = one_row(sale_id="", sold_at="2024-02-30", currency="eur", customer_rating="6", unit_price="3.335")
    (row,) = decided.rejected
    assert [error["field"] for error in row.errors] == ["sale_id", "sold_at", "currency", "customer_rating"]
    assert [error["value"] for error in row.errors] == ["", "2024-02-30", "eur", "6"]
    assert row.errors[0]["message"] == "Required, but the cell is empty"
    assert row.revenue_at_risk == Decimal("6.67")
    assert (row.row_number, row.source_line, row.raw_text) == (1, 2, ",2024-02-30,P1,2,3.335,eur,6")


def test_no_revenue_is_at_risk_where_quantity_or_price_cannot_be_read() -> None:
    assert one_row(quantity="two").rejected[0].revenue_at_risk is None
    assert one_row(unit_price="").rejected[0].revenue_at_risk is None


def test_the_largest_numbers_of_the_contract_are_a_bad_row_and_no_crash() -> None:
    decided = one_row(quantity="9" * 14, unit_price="9" * 14, stated_total="1")
    assert broken(decided).keys() == {"stated_total"}
    assert decided.rejected[0].revenue_at_risk is not None


def totalled(rules: list[dict[str, Any]] | None = None, /, **texts: str) -> Decided:
    """The verdict on a line of three pieces at a total of 20.00, but for these cells."""
    cells = {field: text for field, text in SALE.items() if field != "unit_price"} | {"quantity": "3"}
    columns = {field: field for field in cells | {"line_total": ""} | texts}
    feed = Feed.model_validate({"feed": "shop", "match": "*", "columns": columns, "line_type": rules or []})
    return in_columns(Sheet(feed, [*columns], [[*(cells | {"line_total": "20.00"} | texts).values()]]))


def test_a_total_counts_as_it_stands_and_no_price_is_made_of_it() -> None:
    (row,) = totalled(discount_rate="0.1", unit_cost="4", line_cost="12.01", stated_profit="8").accepted
    assert (row["line_total"], row["unit_price"], row["line_cost"]) == ("20.00", None, "12.01")


@pytest.mark.parametrize("total", ["", "twenty"])
def test_a_line_whose_total_cannot_be_read_is_rejected_with_all_its_faults(total: str) -> None:
    decided = totalled(line_total=total, quantity="x")
    assert broken(decided).keys() == {"quantity", "line_total"}
    assert decided.rejected[0].revenue_at_risk is None


def test_the_revenue_at_risk_is_the_total_whatever_the_quantity_is() -> None:
    assert totalled(quantity="x", line_total="-20.005").rejected[0].revenue_at_risk == Decimal("20.01")


@pytest.mark.parametrize("kind", ["return", "adjustment", "cancellation"])
def test_a_negative_total_is_of_a_line_that_a_rule_says_is_no_sale(kind: str) -> None:
    refused = {"line_total": "A sale's total is not negative; the feed's line_type rules say what a negative one is"}
    assert broken(totalled(line_total="-0.01")) == refused
    (row,) = totalled([{"when": {"line_total": "^-"}, "is": kind}], line_total="-0.01").accepted
    assert (row["line_type"], row["line_total"]) == (kind, "-0.01")


def test_a_total_that_is_left_after_a_discount_of_everything_is_rejected() -> None:
    refused = {"line_total": "A total is what is left after the discount, and 100% leaves nothing"}
    assert broken(totalled(discount_rate="1")) == refused
    assert len(totalled(discount_rate="1", line_total="0.00").accepted) == 1


@pytest.mark.parametrize(("line_cost", "accepted"), [("12.00", 1), ("12.01", 1), ("12.02", 0), ("11.98", 0), ("", 1)])
def test_unit_cost_and_cost_of_the_line_agree_to_a_cent(line_cost: str, accepted: int) -> None:
    decided = one_row(unit_cost="6", line_cost=line_cost)
    assert len(decided.accepted) == accepted
    if not accepted:
        assert broken(decided) == {"line_cost": "Quantity and unit cost give 12.00"}


def test_the_cost_of_a_line_is_negative_on_returns_alone() -> None:
    assert broken(one_row(line_cost="-12")) == {"line_cost": "A sale's cost is not negative"}
    returned = [{"when": {"quantity": "^-"}, "is": "return"}]
    assert len(one_row(returned, quantity="-2", unit_cost="6", line_cost="-12", stated_profit="-8").accepted) == 1


def test_profit_is_checked_by_the_cost_of_the_line_where_it_is_stated() -> None:
    assert len(one_row(unit_cost="6", line_cost="12.01", stated_profit="7.97").accepted) == 1
    assert broken(one_row(line_cost="12.01", stated_profit="7.96")) == {"stated_profit": "Total and cost give 7.99"}
    assert len(one_row(unit_cost="6", line_cost="", stated_profit="8").accepted) == 1


@pytest.mark.parametrize("stated", ["17.99", "18.00", "18.01", "-18.00"])
def test_a_stated_total_may_be_a_cent_off_and_of_either_sign(stated: str) -> None:
    assert len(one_row(discount_rate="0.1", stated_total=stated).accepted) == 1
    assert len(one_row(discount_amount="2", stated_total=stated).accepted) == 1


@pytest.mark.parametrize("stated", ["17.98", "18.010001", "20.00", "0"])
def test_a_stated_total_further_off_is_rejected_with_ours(stated: str) -> None:
    ours = {"stated_total": "Quantity, price and discount give 18.00"}
    assert broken(one_row(discount_rate="0.1", stated_total=stated)) == ours


def test_stated_cost_and_profit_are_checked_where_the_cost_is_known() -> None:
    assert len(one_row(unit_cost="6", stated_cost="12.01", stated_profit="7.98").accepted) == 1
    assert len(one_row(unit_cost="", stated_cost="99", stated_profit="99").accepted) == 1
    assert broken(one_row(unit_cost="6", stated_profit="8.020001")).keys() == {"stated_profit"}
    assert broken(one_row(unit_cost="6", stated_cost="12.02", stated_profit="7.97")) == {
        "stated_cost": "Quantity and unit cost give 12.00",
        "stated_profit": "Total and cost give 8.00",
    }


LARGE = Decimal("98765432101234.56")


@pytest.mark.parametrize(
    ("given_as", "stated_as", "exact"),
    [("unit_cost", "stated_cost", LARGE), ("discount_amount", "stated_total", LARGE - 10)],
)
def test_amounts_too_large_for_floats_are_checked_to_the_cent(given_as: str, stated_as: str, exact: Decimal) -> None:
    for off, accepted in {"0.01": 1, "0.010001": 0}.items():
        texts = {given_as: str(LARGE), stated_as: str(exact + Decimal(off))}
        assert len(one_row(quantity="1", **texts).accepted) == accepted


def test_the_sign_of_quantity_and_price_fits_the_line_type() -> None:
    returned = [{"when": {"quantity": "^-"}, "is": "return"}]
    adjusted = [{"when": {"unit_price": "^-"}, "is": "adjustment"}]
    assert broken(one_row(quantity="-2")).keys() == {"quantity"}
    assert broken(one_row(unit_price="-2")).keys() == {"unit_price"}
    assert [row["line_type"] for row in one_row(returned, quantity="-2").accepted] == ["return"]
    assert [row["line_type"] for row in one_row(adjusted, unit_price="-2").accepted] == ["adjustment"]
    assert broken(one_row(quantity="0")) == {"quantity": "Input should not be zero"}


def test_a_discount_amount_makes_a_return_smaller_too() -> None:
    rules = [{"when": {"quantity": "^-"}, "is": "return"}]
    assert len(one_row(rules, quantity="-2", discount_amount="2", stated_total="-18").accepted) == 1
    ours = {"stated_total": "Quantity, price and discount give -18.00"}
    assert broken(one_row(rules, quantity="-2", discount_amount="2", stated_total="-22")) == ours


def test_each_rule_tests_its_own_pattern_in_order() -> None:
    rules = [{"when": {"sale_id": "^C"}, "is": "cancellation"}, {"when": {"sale_id": "[0-9]"}, "is": "adjustment"}]
    found = [one_row(rules, sale_id=sale_id).accepted[0]["line_type"] for sale_id in ("C1", "A1", "A")]
    assert found == ["cancellation", "adjustment", "sale"]


def test_a_rule_overrides_the_line_type_that_the_sheet_states() -> None:
    rules = [{"when": {"quantity": "^-"}, "is": "return"}]
    assert [row["line_type"] for row in one_row(rules, line_type="cancellation").accepted] == ["cancellation"]
    for stated in ("cancellation", "nonsense", ""):
        assert [row["line_type"] for row in one_row(rules, quantity="-2", line_type=stated).accepted] == ["return"]


def test_cells_of_unknown_columns_are_kept_by_header() -> None:
    feed = Feed.model_validate({"feed": "shop", "match": "*", "columns": COLUMN_OF})
    header = ["", *COLUMN_OF.values(), 'Size "cm"', "Note", "Note"]
    sheet = Sheet(feed, header, [["0", *SALE.values(), " 7 ", "first", ""]])
    (row,) = in_columns(sheet).accepted
    assert row["extra"] == {"": "0", 'Size "cm"': "7", "Note": "first", "Note (2)": None}


def header_error(*header: str, **columns: Any) -> str:
    feed = Feed.model_validate({"feed": "shop", "match": "*", "columns": COLUMN_OF | columns})
    with pytest.raises(InvalidFile) as caught:
        Validator(feed, list(header))
    return str(caught.value)


def test_a_header_that_does_not_fit_rejects_the_file_and_names_each_column() -> None:
    assert header_error("Sale", "Sold at", "Product", "Qty", "Qty", "Price") == (
        "the header does not fit feed shop: column 'Sold' for sold_at is missing (renamed to 'Sold at'?); "
        "column 'Qty' for quantity stands 2 times"
    )


def test_a_missing_column_names_all_its_aliases() -> None:
    said = header_error(*COLUMN_OF.values(), store_id={"headers": ["Shop", "Branch"]})
    assert "column 'Shop' or 'Branch' for store_id is missing" in said


def test_headers_are_matched_by_alias_without_case_in_any_order() -> None:
    feed = Feed.model_validate(
        {"feed": "shop", "match": "*", "columns": COLUMN_OF | {"store_id": {"headers": ["Shop", "Branch"]}}}
    )
    content = b"PRICE,qty,branch,product,sold,sale\n10,2,North,P1,2026-03-04,S1\n"
    source = Reader(decode(io.BytesIO(content), "utf-8", Limits()), ",")
    (verdict,) = map(Validator(feed, source.header).validate, source.batches())
    (row,) = verdict.accepted.to_pylist()
    assert (row["store_id"], row["unit_price"], row["quantity"]) == ("North", "10", "2")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("sold_at", "1999-12-31"),
        ("sold_at", (datetime.now(UTC) + timedelta(days=3)).date().isoformat()),
        ("sale_id", "S" * 121),
        ("product_id", "P" * 9_000),
    ],
)
def test_what_the_marts_cannot_hold_is_a_bad_row(field: str, text: str) -> None:
    assert broken(one_row(**{field: text})).keys() == {field}


def test_every_unknown_column_keeps_its_cell_however_it_is_named() -> None:
    feed = Feed.model_validate({"feed": "shop", "match": "*", "columns": {name: name for name in SALE}})
    header = [*SALE, "x", "x", "x (2)"]
    decided = in_columns(Sheet(feed, header, [[*SALE.values(), "1", "2", "3"]]))
    assert list(decided.accepted[0]["extra"].values()) == ["1", "2", "3"]


def test_empty_rows_cost_no_look_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        pytest.fail("the model was asked")

    monkeypatch.setattr(validation, "validate_row", refused)
    header = list(COLUMN_OF.values())
    reader = Reader(decode(io.BytesIO(f"{','.join(header)}\n\n,,,,\n".encode()), "utf-8", Limits()), ",")
    feed = Feed.model_validate({"feed": "f", "match": "*", "columns": COLUMN_OF})
    (verdict,) = map(Validator(feed, header).validate, reader.batches())
    assert verdict.skipped == {"blank": 2}
