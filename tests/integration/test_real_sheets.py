"""Sheets of real shops: each loads through its own draft and a few edits, and every row of it is accounted for.

The sheets are no part of the repository; without them beside it these tests are skipped.
"""

from collections.abc import Callable, Sequence
from csv import DictReader
from decimal import Decimal
from pathlib import Path

import pytest

from loader.drafting.draft import draft_feed
from loader.pipeline import Pipeline
from loader.settings import Limits
from loader.verdict import Counts
from scripts.stack import REPOSITORY
from tests.conftest import World

FOLDER = REPOSITORY.parent / "shared" / "data"
Row = dict[str, str]

# What a person changes in the draft of `loader feed init`: text that stands there, and what takes its place.
ONLINE_RETAIL = {
    "timezone: UTC": "timezone: Europe/London",
    "  # review: no currency is stated": "  currency: {value: GBP}\n  #",
    "line_type:": "line_type:\n  - {when: {sale_id: '^A'}, is: adjustment}\n  #",
}
VENTAS = {
    "  # TODO sale_id": "  sale_id: id\n  #",  # it counts the rows, each of which is a sale
    "  # review: no currency is stated": "  currency: {value: DOP}\n  #",
    "max_ratio: 0.05": "max_ratio: 0.2",
}
# Nothing tells one order from another: each row is one.
FINANCIALS = {"  # TODO sale_id": "  sale_id: {join: [Date, Segment, Country, Product, Units Sold]}\n  #"}


def sheet(name: str, delimiter: str = ",") -> list[Row]:
    """The rows as csv reads them, with stripped headers; skips the test where there is no such sheet."""
    if not (FOLDER / name).exists():
        pytest.skip(f"the sheet {name} is not part of the repository")
    with (FOLDER / name).open(encoding="utf-8-sig", newline="") as file:
        return [{header.strip(): cell for header, cell in row.items()} for row in DictReader(file, delimiter=delimiter)]


@pytest.fixture
def load(world: World, tmp_path: Path) -> Callable[[str, dict[str, str]], Counts | None]:
    """Load a sheet by the draft of its feed, edited; gives the counts of what was loaded."""

    def loaded(name: str, edits: dict[str, str]) -> Counts | None:
        feed = draft_feed(FOLDER / name, None, Limits()).text
        for drafted, edited in edits.items():
            assert drafted in feed
            feed = feed.replace(drafted, edited, 1)
        (tmp_path / "feed.yml").write_text(feed)
        with Pipeline(world.settings.model_copy(update={"feeds_dir": tmp_path})) as pipeline:
            outcome = pipeline.load_file(world.drop(name, (FOLDER / name).read_bytes()))
        assert outcome.status == "loaded", outcome.error
        return outcome.counts

    return loaded


def faults(world: World) -> dict[int, set[str]]:
    """Row number → fields with a fault, of all rejected rows."""
    rows = world.rows("select row_number, errors from raw.rejected_rows")
    return {row["row_number"]: {error["field"] for error in row["errors"]} for row in rows}


def net_sales(world: World) -> dict[str, Decimal]:
    """What the marts say, by currency."""
    world.transform()
    rows = world.rows("select currency, sum(net_sales) as net from kpi.kpi_daily_sales group by currency")
    return {row["currency"]: row["net"] for row in rows}


def amount(text: str) -> Decimal:
    digits = text.strip(" $").replace(",", "")
    return Decimal(digits if digits != "-" else 0)


def total(rows: Sequence[Row], quantity: str, price: str) -> Decimal:
    return sum((Decimal(row[quantity]) * Decimal(row[price]) for row in rows), Decimal())


def test_a_day_of_a_web_shop_loads_through_its_draft(
    world: World, load: Callable[[str, dict[str, str]], Counts | None]
) -> None:
    rows = sheet(name := "online_retail_2010-12-01.csv")
    # Stock that was written off: a negative quantity, and no return invoice, no price, no customer.
    bad = {
        number: {"quantity"}
        for number, row in enumerate(rows, 1)
        if int(row["Quantity"]) < 0 and not row["InvoiceNo"].startswith("C")
    }
    assert load(name, ONLINE_RETAIL) == Counts(read=3108, loaded=3107, rejected=1, skipped=0)
    assert faults(world) == bad
    good = [row for number, row in enumerate(rows, 1) if number not in bad]
    assert net_sales(world) == {"GBP": total(good, "Quantity", "UnitPrice")}


def test_a_sheet_full_of_faults_loads_what_is_good_of_it(
    world: World, load: Callable[[str, dict[str, str]], Counts | None]
) -> None:
    rows = sheet(name := "ventas_sucio_semicolon.csv", ";")
    bad = {
        number: {"quantity"} for number, row in enumerate(rows, 1) if not row["cantidad"] or int(row["cantidad"]) <= 0
    }
    bad |= {number: {"unit_price"} for number, row in enumerate(rows, 1) if int(row["precio_unitario"]) < 0}
    bad |= {number: {"sold_at"} for number, row in enumerate(rows, 1) if row["fecha"] in ("2024-13-05", "2024-02-30")}
    assert load(name, VENTAS) == Counts(read=65, loaded=57, rejected=8, skipped=0)
    assert faults(world) == bad
    good = [row for number, row in enumerate(rows, 1) if number not in bad]
    assert net_sales(world) == {"DOP": total(good, "cantidad", "precio_unitario")}


def test_a_sheet_of_padded_amounts_without_an_order_number_loads_to_the_cent(
    world: World, load: Callable[[str, dict[str, str]], Counts | None]
) -> None:
    rows = sheet(name := "financials_usd.csv")
    assert load(name, FINANCIALS) == Counts(read=700, loaded=700, rejected=0, skipped=0)
    assert world.value("select count(distinct sale_id) from raw.sales_lines") == 700
    assert world.value("select bool_and(sale_id !~ '  ') from raw.sales_lines")
    gross = [amount(row["Units Sold"]) * amount(row["Sale Price"]) for row in rows]
    discount = [amount(row["Discounts"]) for row in rows]
    assert net_sales(world) == {"USD": sum(gross) - sum(discount)}
    # The sheet computes its own totals before it rounds the discount: a cent apart here and there, which is no fault.
    assert world.value("select sum(stated_total) from raw.sales_lines") == sum(amount(row["Sales"]) for row in rows)
