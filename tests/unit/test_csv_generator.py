"""The generated sheets are reproducible, consistent, and hold exactly what their manifest says."""

import csv
import hashlib
import io
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from loader.feeds import Feeds
from loader.pipeline import check_file
from loader.settings import Limits
from scripts.csv_generator import BAD_ROWS, HEADER, Sheet, live_sheet, main, sheet

SEED = 7
DAY = date(2026, 3, 14)
ROWS = 120


def records(made: Sheet) -> list[list[str]]:
    """Every record below the header; a generated cell holds no line break, so record n is physical line n + 2."""
    header, *rows = csv.reader(io.StringIO(made.content.decode(), newline=""))
    assert tuple(header) == HEADER
    return rows


def good_rows(made: Sheet) -> list[dict[str, str]]:
    bad = set(made.summary["bad_lines"])
    numbered = enumerate(records(made), start=2)
    return [dict(zip(HEADER, cells, strict=True)) for line, cells in numbered if line not in bad]


def bad_rows(made: Sheet) -> list[list[str]]:
    rows = records(made)
    return [rows[line - 2] for line in made.summary["bad_lines"]]


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def days(first: date, count: int) -> list[date]:
    return [first + timedelta(number) for number in range(count)]


@pytest.fixture(scope="module")
def month() -> list[Sheet]:
    return [sheet(SEED, day, ROWS, 0.1) for day in days(DAY, 30)]


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(main)
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def test_a_sheet_is_the_same_bytes_whatever_range_it_was_asked_in(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    run("--days", "3", "--end", "2026-03-14", "--rows", "120", "--output", f"{tmp_path}/a", "--manifest", str(manifest))
    run("--days", "2", "--end", "2026-03-15", "--rows", "120", "--output", f"{tmp_path}/b", "--manifest", str(manifest))
    for folder in ("a", "b"):
        assert (tmp_path / folder / "sales_data_20260314.csv").read_bytes() == sheet(SEED, DAY, ROWS).content
    assert sorted(json.loads(manifest.read_text())) == [f"CSV/sales_data_202603{day}.csv" for day in (12, 13, 14, 15)]


def test_another_seed_is_another_shop() -> None:
    assert sheet(SEED + 1, DAY, ROWS).content != sheet(SEED, DAY, ROWS).content


def test_good_rows_do_not_depend_on_the_share_of_bad_rows() -> None:
    clean, broken = sheet(SEED, DAY, ROWS), sheet(SEED, DAY, ROWS, 0.5)
    assert good_rows(clean) == good_rows(broken)
    assert not clean.summary["bad_lines"]
    assert len(broken.summary["bad_lines"]) == pytest.approx(len(records(broken)) / 2, abs=1)
    of_the_good_rows = {"rows", "orders", "units_sold", "gross_sales", "discounts", "returns", "net_sales"}
    assert all(clean.summary[name] == broken.summary[name] for name in of_the_good_rows)  # type: ignore[literal-required]


def test_the_manifest_equals_a_recount_of_the_file(month: list[Sheet]) -> None:
    for made in month:
        rows = good_rows(made)
        gross = discounts = returns = cancelled = Decimal(0)
        orders, units = set(), 0
        for row in rows:
            amount = int(row["Quantity Sold"]) * Decimal(row["Unit Price"])
            value, discount = cents(amount), cents(amount * Decimal(row["Discount (%)"]) / 100)
            if row["Delivery Status"] == "Cancelled":
                cancelled += value - discount
            elif row["Quantity Sold"].startswith("-"):
                returns += abs(value) - abs(discount)
            else:
                gross, discounts = gross + value, discounts + discount
                orders.add(row["Sale ID"])
                units += int(row["Quantity Sold"])
        summary = made.summary
        assert summary["sha256"] == hashlib.sha256(made.content).hexdigest()
        assert summary["rows"] == len(rows) == len(records(made)) - sum(summary["bad_rows"].values())
        assert (summary["orders"], summary["units_sold"]) == (len(orders), units)
        assert Decimal(summary["gross_sales"]) == gross
        assert Decimal(summary["discounts"]) == discounts
        assert Decimal(summary["returns"]) == returns
        assert Decimal(summary["net_sales"]) == gross - discounts - returns
        assert Decimal(summary["cancelled_value"]) == cancelled
        assert {row["Sale Date"][:10] for row in rows} == {summary["sale_date"]}


def test_stated_totals_are_right_to_the_cent(month: list[Sheet]) -> None:
    for row in (row for made in month for row in good_rows(made)):
        quantity, price = int(row["Quantity Sold"]), Decimal(row["Unit Price"])
        total = cents(quantity * price) - cents(quantity * price * Decimal(row["Discount (%)"]) / 100)
        cost = cents(quantity * Decimal(row["Unit Cost"]))
        assert Decimal(row["Total Value (with Discount)"]) == total
        assert Decimal(row["Total Cost"]) == cost
        assert Decimal(row["Gross Profit"]) == total - cost


def test_a_product_has_one_name_category_and_price(month: list[Sheet]) -> None:
    sold = [row for made in month for row in good_rows(made) if row["Sale Date"] < "2026-04-01"]
    described = {tuple(row[f"Product {part}"] for part in ("ID", "Name", "Category")) for row in sold}
    assert len(described) == len({product_id for product_id, _, _ in described}) == 40
    assert len({category for _, _, category in described}) == 6
    this_quarter = [row for row in sold if int(row["Quantity Sold"]) > 0]
    prices = {(row["Product ID"], row["Unit Price"], row["Unit Cost"]) for row in this_quarter}
    assert len(prices) == 40


def test_returns_refer_to_orders_of_earlier_days_and_no_line_comes_back_twice(month: list[Sheet]) -> None:
    earlier = [sheet(SEED, day, ROWS) for day in days(DAY - timedelta(21), 21)]
    sold: Counter[tuple[str, ...]] = Counter()
    returned: Counter[tuple[str, ...]] = Counter()
    sold_on: dict[str, str] = {}
    for row in (row for made in [*earlier, *month] for row in good_rows(made)):
        line = tuple(row[name] for name in ("Sale ID", "Product ID", "Unit Price", "Discount (%)", "Customer ID"))
        quantity = int(row["Quantity Sold"])
        if quantity > 0 and row["Delivery Status"] != "Cancelled":
            sold[line] += quantity
            sold_on[row["Sale ID"]] = row["Sale Date"]
        elif quantity < 0 and row["Sale Date"] >= str(DAY):
            returned[line] -= quantity
            assert sold_on[row["Sale ID"]] < row["Sale Date"]
            assert (row["Payment Status"], row["Delivery Status"]) == ("Refunded", "Returned")
    assert returned
    assert all(quantity <= sold[line] for line, quantity in returned.items())


def test_orders_have_one_customer_and_are_cancelled_as_a_whole(month: list[Sheet]) -> None:
    orders: dict[str, list[dict[str, str]]] = {}
    for row in (row for made in month for row in good_rows(made) if int(row["Quantity Sold"]) > 0):
        orders.setdefault(row["Sale ID"], []).append(row)
    of_the_order = (
        "Customer ID",
        "Sales Channel",
        "Sales Region",
        "Sales Representative",
        "Delivery Status",
        "Sale Date",
    )
    for lines in orders.values():
        assert len({tuple(line[name] for name in of_the_order) for line in lines}) == 1
    assert any(len(lines) > 1 for lines in orders.values())
    cancelled = [line for lines in orders.values() for line in lines if line["Delivery Status"] == "Cancelled"]
    assert cancelled
    assert all(line["Payment Status"] == "Cancelled" and not line["Payment Date"] for line in cancelled)


def test_customers_return_and_new_ones_come(month: list[Sheet]) -> None:
    seen = [{row["Customer ID"] for row in good_rows(made)} for made in month]
    before, last = set().union(*seen[:-1]), seen[-1]
    assert last & before
    assert last - before
    named = {
        (row["Customer ID"], row["Customer Name"], row["Sales Region"]) for made in month for row in good_rows(made)
    }
    assert len(named) == len({customer_id for customer_id, _, _ in named})


def test_pending_payments_and_deliveries_have_no_date(month: list[Sheet]) -> None:
    rows = [row for made in month for row in good_rows(made)]
    for status, when, pending in (
        ("Payment Status", "Payment Date", {"Pending", "Cancelled"}),
        ("Delivery Status", "Delivery Date", {"Pending", "In Transit", "Cancelled"}),
    ):
        assert {row[status] for row in rows} > pending
        assert all((row[when] == "") == (row[status] in pending) for row in rows)


def test_saturdays_sell_more_than_tuesdays_and_december_more_than_february() -> None:
    def lines(dates: list[date]) -> int:
        return sum(sheet(SEED, day, ROWS).summary["rows"] for day in dates)

    saturdays, tuesdays = days(date(2026, 5, 2), 22)[::7], days(date(2026, 5, 5), 22)[::7]
    assert lines(saturdays) > 1.2 * lines(tuesdays)
    assert lines(days(date(2025, 12, 1), 7)) > 1.2 * lines(days(date(2026, 2, 2), 7))


def is_broken(kind: str, cells: list[str]) -> bool:
    if kind == "too_few_fields" or len(cells) < len(HEADER):
        return kind == "too_few_fields" and len(cells) < len(HEADER)
    if kind == "too_many_fields" or len(cells) > len(HEADER):
        return kind == "too_many_fields" and len(cells) > len(HEADER)
    row = dict(zip(HEADER, cells, strict=True))
    if kind == "wrong_total":
        return Decimal(row["Gross Profit"]) != Decimal(row["Total Value (with Discount)"]) - Decimal(row["Total Cost"])
    return {
        "missing_sale_id": row["Sale ID"] == "",
        "missing_product_id": row["Product ID"] == "",
        "impossible_date": row["Sale Date"] == "2024-02-30",
        "text_quantity": row["Quantity Sold"] == "ten",
        "zero_quantity": row["Quantity Sold"] == "0",
        "negative_price": row["Unit Price"].startswith("-"),
        "discount_over_100": row["Discount (%)"] == "150",
        "rating_out_of_range": row["Customer Rating"] == "9 stars",
    }[kind]


def test_every_bad_kind_is_there_and_its_lines_are_known(month: list[Sheet]) -> None:
    wanted: Counter[str] = Counter()
    for made in month:
        wanted.update(made.summary["bad_rows"])
        found = Counter(kind for cells in bad_rows(made) for kind in BAD_ROWS if is_broken(kind, cells))
        assert found == made.summary["bad_rows"]
    assert set(wanted) == set(BAD_ROWS)


def test_the_loader_rejects_exactly_the_bad_lines(month: list[Sheet], tmp_path: Path) -> None:
    feed = Feeds().named("sales_data")
    for made in month[:5]:
        file = tmp_path / Path(made.key).name
        file.write_bytes(made.content)
        check = check_file(file, feed, Limits())
        assert [row.source_line for row in check.rejected] == made.summary["bad_lines"]
        assert (check.counts.loaded, check.error, check.warning) == (made.summary["rows"], None, None)


def test_a_return_with_a_positive_quantity_is_reported(month: list[Sheet], tmp_path: Path) -> None:
    made = next(made for made in month if any(row["Delivery Status"] == "Returned" for row in good_rows(made)))
    file = tmp_path / Path(made.key).name
    file.write_bytes(made.content.replace(b",Delivered,", b",Returned,", 1))
    assert check_file(file, Feeds().named("sales_data"), Limits()).warning == (
        "delivery_status says 'Returned' (1 row): no line_type rule knows that, so they count as sales"
    )


def test_good_rows_are_not_broken_in_any_known_way(month: list[Sheet]) -> None:
    for row in (row for made in month for row in good_rows(made)):
        assert not [kind for kind in BAD_ROWS if is_broken(kind, list(row.values()))]


def test_a_live_sheet_is_small_and_of_the_moment() -> None:
    at = datetime(2026, 3, 14, 9, 5, 7, tzinfo=UTC)
    made = live_sheet(SEED, at)
    assert made.key == "CSV/sales_data_20260314_090507.csv"
    assert 5 <= made.summary["rows"] <= 40
    assert made.content == live_sheet(SEED, at).content
    today = {row["Sale ID"] for row in good_rows(sheet(SEED, DAY, ROWS))}
    second = {row["Sale ID"] for row in good_rows(live_sheet(SEED, at + timedelta(seconds=1)))}
    assert not today & {row["Sale ID"] for row in good_rows(made)}
    assert not second & {row["Sale ID"] for row in good_rows(made)}


def test_live_sheets_stop_after_count(tmp_path: Path) -> None:
    arguments = ("--live", "--count", "1", "--output", str(tmp_path), "--manifest", str(tmp_path / "manifest.json"))
    assert "good rows" in run(*arguments)
    assert len(list(tmp_path.glob("sales_data_*_*.csv"))) == 1
