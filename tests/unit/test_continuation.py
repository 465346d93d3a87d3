"""Orders whose own cells stand on their first line: drafted as such, and filled down to every line."""

import csv
import io
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from loader.blocks import BATCH_LINES
from loader.drafting.draft import Draft, draft_feed
from loader.feeds import Feed
from loader.formats import open_sheet
from loader.rejects import Rejected
from loader.settings import Limits
from loader.validation import Validator

SHOPIFY = [
    *(
        "Name",
        "Email",
        "Financial Status",
        "Paid at",
        "Fulfillment Status",
        "Currency",
        "Subtotal",
        "Shipping",
        "Taxes",
    ),
    *("Total", "Created at", "Lineitem quantity", "Lineitem name", "Lineitem price", "Lineitem sku", "Billing Name"),
    *("Payment Method", "Vendor", "Lineitem discount"),
]


def orders(number: int = 120) -> list[dict[str, str]]:
    """Lines of a shop's export: an order has one to three, and its totals on the first."""
    chosen = random.Random(7)
    lines = []
    for order in range(number):
        items = [(chosen.randrange(20), chosen.randrange(1, 5)) for _ in range(chosen.choice([1, 1, 2, 3]))]
        subtotal = sum(Decimal(499 + 131 * item) / 100 * pieces for item, pieces in items)
        moment = f"2026-03-{order % 28 + 1:02} 09:{order % 60:02}:00 +0100"
        for place, (item, pieces) in enumerate(items):
            line = dict.fromkeys(SHOPIFY, "") | {
                "Name": f"#{1001 + order}",
                "Email": f"c{order % 17}@example.com",
                "Lineitem quantity": str(pieces),
                "Lineitem name": f"Candle {item}",
                "Lineitem price": str(Decimal(499 + 131 * item) / 100),
                "Lineitem sku": f"CA-{item:03}",
                "Vendor": "Waxworks",
                "Lineitem discount": "0.00",
            }
            if not place:
                line |= {
                    "Financial Status": "paid",
                    "Paid at": moment if order % 9 else "",
                    "Fulfillment Status": "fulfilled",
                    "Currency": "EUR",
                    "Subtotal": str(subtotal),
                    "Shipping": "4.90",
                    "Taxes": "0.00",
                    "Total": str(subtotal + Decimal("4.90")),
                    "Created at": moment,
                    "Billing Name": f"Customer {order % 17}",
                    "Payment Method": "Shopify Payments",
                }
            lines.append(line)
    return lines


def net(lines: list[dict[str, str]]) -> Decimal:
    return sum((Decimal(line["Lineitem quantity"]) * Decimal(line["Lineitem price"]) for line in lines), Decimal(0))


def as_csv(lines: list[dict[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    written = csv.DictWriter(text, list(lines[0]))
    written.writeheader()
    written.writerows(lines)
    return text.getvalue().encode()


def draft(path: Path, content: bytes) -> Draft:
    path.write_bytes(content)
    return draft_feed(path, "shop", Limits())


def lines_of(content: bytes, feed: Feed) -> tuple[list[dict[str, Any]], list[Rejected]]:
    with open_sheet(io.BytesIO(content), feed, Limits()) as sheet:
        validator = Validator(feed, sheet.rows.header, sheet.rows.titles)
        verdicts = [validator.validate(batch) for batch in sheet.rows.batches()]
    return [line for each in verdicts for line in each.accepted.to_pylist()], [
        row for each in verdicts for row in each.rejected
    ]


def test_an_export_of_shopify_is_drafted_with_its_orders_filled_down(tmp_path: Path) -> None:
    lines = orders()
    made = draft(tmp_path / "orders_export.csv", as_csv(lines))
    feed = made.feed
    assert made.missing == []
    assert {"sold_at", "currency", "payment_status", "customer_name"} <= {*feed.fill_down}
    assert not {"sale_id", "product_id", "quantity", "unit_price", "shipping_cost"} & {*feed.fill_down}
    mapped = {name: column.header for name, column in feed.columns.items()}
    assert (mapped["sale_id"], mapped["product_id"], mapped["unit_price"]) == ("Name", "Lineitem sku", "Lineitem price")
    assert not {"line_total", "stated_total"} & mapped.keys()
    assert "of the order and not of its lines, so no field: Subtotal, Total" in made.text
    assert (made.check.error, made.check.counts.loaded) == (None, len(lines))
    accepted, rejected = lines_of(as_csv(lines), feed)
    assert rejected == []
    assert sum(Decimal(line["quantity"]) * Decimal(line["unit_price"]) for line in accepted) == net(lines)
    first: dict[str, dict[str, str]] = {}
    for line, found in zip(lines, accepted, strict=True):
        of_order = first.setdefault(line["Name"], line)
        assert found["sold_at"].replace("T", " ")[:10] == of_order["Created at"][:10]
        assert (found["customer_name"], found["currency"]) == (of_order["Billing Name"], "EUR")


def test_cells_that_are_merged_in_a_workbook_are_drafted_as_continued_orders(tmp_path: Path) -> None:
    """The order's number, too, stands on its first line only."""
    with xlsxwriter.Workbook(file := io.BytesIO()) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Order no", "Order date", "Customer name", "Product code", "Quantity", "Unit price"])
        for order in range(40):
            for place in range(2):
                line = 1 + 2 * order + place
                sheet.write_row(line, 3, [f"P-{line % 7}", line % 3 + 1, 2.5])
            for column, cell in enumerate([f"R-{order:03}", f"2026-03-{order % 28 + 1:02}", f"Customer {order % 9}"]):
                sheet.merge_range(1 + 2 * order, column, 2 + 2 * order, column, cell)
    made = draft(tmp_path / "orders.xlsx", file.getvalue())
    assert made.feed.fill_down == ("sale_id", "sold_at", "customer_name")
    assert (made.check.error, made.check.counts.loaded, made.check.counts.rejected) == (None, 80, 0)


@pytest.mark.parametrize("column", ["Lineitem discount", "Vendor"])
def test_a_sheet_whose_lines_all_have_their_cells_is_no_sheet_of_continued_orders(tmp_path: Path, column: str) -> None:
    """That a cell is blank here and there proves nothing."""
    lines = orders()
    for place, line in enumerate(lines):
        first = next(each for each in lines if each["Name"] == line["Name"])
        line |= {name: cell for name, cell in first.items() if not line[name]}
        line[column] = "" if place % 3 == 0 else line[column]
    assert draft(tmp_path / "full.csv", as_csv(lines)).feed.fill_down == ()


FEED = {
    "feed": "shop",
    "match": "*",
    "columns": {
        "sale_id": "Name",
        "sold_at": "Created at",
        "product_id": "Lineitem sku",
        "quantity": "Lineitem quantity",
        "unit_price": "Lineitem price",
        "customer_name": "Billing Name",
    },
    "fill_down": ["sold_at", "customer_name"],
}


def sheet(*rows: str) -> bytes:
    return "\n".join(["Name,Created at,Billing Name,Lineitem sku,Lineitem quantity,Lineitem price", *rows, ""]).encode()


def test_lines_of_an_order_whose_first_line_is_rejected_are_filled_from_what_it_says() -> None:
    feed = Feed.model_validate(FEED)
    accepted, rejected = lines_of(
        sheet("#1,2026-03-02,Ana,a,none,1", "#1,,,b,1,1", "#2,2026-02-30,Bo,a,1,1", "#2,,,b,1,1"), feed
    )
    assert [(line["source_line"], line["customer_name"]) for line in accepted] == [(3, "Ana")]
    assert [(row.source_line, row.errors[0]["value"]) for row in rejected] == [
        (2, "none"),
        (4, "2026-02-30"),
        (5, "2026-02-30"),
    ]


def test_a_line_that_has_no_order_above_it_is_rejected() -> None:
    feed = Feed.model_validate(FEED | {"fill_down": ["sale_id", "sold_at", "customer_name"]})
    accepted, rejected = lines_of(sheet(",,,a,1,1", "#1,2026-03-02,Ana,a,1,1", ",,,b,2,1", "#2,,,b,1,1"), feed)
    assert [(line["sale_id"], line["customer_name"], line["quantity"]) for line in accepted] == [
        ("#1", "Ana", "1"),
        ("#1", "Ana", "2"),
    ]
    assert [(row.source_line, [each["field"] for each in row.errors]) for row in rejected] == [
        (2, ["sale_id", "sold_at"]),
        (5, ["sold_at"]),
    ]


def test_an_order_goes_on_over_the_end_of_a_batch() -> None:
    feed = Feed.model_validate(FEED)
    rows = ["#1,2026-03-02,Ana,a,1,1", *["#1,,,b,1,1"] * (BATCH_LINES + 5)]
    accepted, rejected = lines_of(sheet(*rows), feed)
    assert (len(accepted), rejected) == (len(rows), [])
    assert {(line["sold_at"], line["customer_name"]) for line in accepted} == {("2026-03-02T00:00:00+00:00", "Ana")}


def test_an_order_that_was_paid_back_is_drafted_as_no_sale_and_not_as_a_return_of_another(tmp_path: Path) -> None:
    lines = orders()
    for line in lines:
        if line["Financial Status"] and int(line["Name"][1:]) % 10 == 0:
            line["Financial Status"] = "refunded"
    refunded = {line["Name"] for line in lines if line["Financial Status"] == "refunded"}
    made = draft(tmp_path / "orders_export.csv", as_csv(lines))
    accepted, _ = lines_of(as_csv(lines), made.feed)
    kinds = {(line["sale_id"] in refunded, line["line_type"]) for line in accepted}
    assert kinds == {(False, "sale"), (True, "cancellation")}
    assert "if the sale stands in another row or sheet too, the row is a `return`" in made.text
