"""Small sheets that loaders have misread: what becomes of each by the feed that lies beside it.

The sheets are no part of the repository; without them beside it these tests are skipped.
"""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from loader.decoding import decode
from loader.feeds import Feed, Feeds, read_feed
from loader.pipeline import check_file
from loader.reader import Reader
from loader.settings import Limits
from loader.validation import Validator
from scripts.stack import REPOSITORY

FOLDER = REPOSITORY.parent / "shared" / "data" / "bug-inputs"

# Sheet, its feed, net sales of the good rows, physical lines of the rejected ones.
SHEETS: list[tuple[str, str, str, list[int]]] = [
    ("01-stray-quote", "b01", "290.00", [4]),
    ("02-ddmmyyyy", "b02", "10.00", [3, 4, 5]),
    ("02b-yyyymm", "b02b", "10.00", [3, 4]),
    ("03-utc-stamps", "b03", "70.00", []),
    ("04-mixed-signs", "b04", "21.00", [4, 5]),
    ("05-merged-cells", "b05", "112.00", [4, 5]),
    ("06-zero-width", "b06", "150.00", []),
    ("08-excel-text", "b08", "70.00", []),
    ("09-sep-line", "b09", "10.00", []),
    ("10b-footer", "b10", "100.00", [13, 14]),
    ("11b-sap-minus", "b11", "10.00", [3]),
    ("13-brand-total", "b13", "155.50", [4, 5]),
    ("13b-all-total", "b13b", "0", list(range(2, 22))),
    ("16-mixed-ends", "b16", "350.00", []),
    ("17-ctrl-z", "b17", "50.00", []),
]


def read_by(feed: Feed, name: str) -> tuple[list[dict[str, Any]], list[int]]:
    """The good rows, and the physical lines of the bad ones."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"the sheet {name} is not part of the repository")
    with path.open("rb") as stream:
        reader = Reader(decode(stream, feed.format.encoding, Limits()), feed.format.delimiter, feed.is_header)
        verdicts = list(map(Validator(feed, reader.header).validate, reader.batches()))
    good = [row for verdict in verdicts for row in verdict.accepted.to_pylist()]
    return good, [row.source_line for verdict in verdicts for row in verdict.rejected]


def contract(name: str) -> Feed:
    if not (FOLDER / name).exists():
        pytest.skip(f"the feed {name} is not part of the repository")
    return read_feed(FOLDER / name)


@pytest.mark.parametrize(("name", "feed", "net_sales", "bad_lines"), SHEETS, ids=[name for name, *_ in SHEETS])
def test_an_odd_sheet_is_read_as_it_was_meant(name: str, feed: str, net_sales: str, bad_lines: list[int]) -> None:
    good, bad = read_by(contract(f"{feed}.yml"), f"{name}.csv")
    assert bad == bad_lines
    assert sum(Decimal(row["quantity"]) * Decimal(row["unit_price"]) for row in good) == Decimal(net_sales)


def test_two_cells_that_look_the_same_are_the_same() -> None:
    good, _ = read_by(contract("b06.yml"), "06-zero-width.csv")
    assert {(row["product_id"], row["sales_region"]) for row in good} == {("0042", "Nord")}


def test_a_time_with_a_zone_counts_on_its_local_day() -> None:
    good, _ = read_by(contract("b03.yml"), "03-utc-stamps.csv")
    days = [(row["sale_date"], row["unit_price"]) for row in good]
    assert days == [("2026-11-20", "10.00"), ("2026-11-21", "20.00"), ("2026-11-21", "40.00")]


def test_a_sheet_of_bad_rows_that_say_total_is_rejected() -> None:
    feed = contract("b13b.yml")
    assert check_file(FOLDER / "13b-all-total.csv", feed, Limits()).error
    assert check_file(FOLDER / "13b-good-first.csv", feed, Limits()).counts.loaded == 20


def test_a_canceled_sale_is_no_sale_by_the_built_in_feed() -> None:
    good, bad = read_by(Feeds().named("sales_data"), "seed_sales_data_20240101.csv")
    assert bad == []
    assert Counter(row["line_type"] for row in good) == {"sale": 65, "cancellation": 22}
    assert {row["line_type"] for row in good if row["delivery_status"] == "Canceled"} == {"cancellation"}
