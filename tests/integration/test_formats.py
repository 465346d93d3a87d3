"""Workbooks, Parquet and JSON lines from the bucket to the marts, and their rejected rows to a spreadsheet and back."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xlsxwriter
import yaml
from pyarrow import parquet

from loader import corrections
from loader.pipeline import Pipeline
from tests.conftest import World

FEED = {
    "format": {"delimiter": ";", "decimal": ",", "thousands": ".", "dates": ["%d.%m.%Y %H:%M", "%d.%m.%Y"]},
    "columns": {
        "sale_id": "Receipt",
        "sold_at": "Sold",
        "product_id": "Item",
        "quantity": "Pieces",
        "unit_price": "Price",
        "customer_name": "Customer",
    },
    "rejects": {"max_ratio": 0.5},
}
HEADER = ["Receipt", "Sold", "Item", "Pieces", "Price", "Customer", "Note"]
KINDS = ("csv", "xlsx", "parquet", "jsonl")
MORNING = datetime(2026, 3, 2, 9, 14)  # noqa: DTZ001  # cells have no zone
ROWS: list[tuple[str, datetime, int, int, Decimal, str, str]] = [
    (f"G-{number}", MORNING + timedelta(hours=number), 4052118834020 + number % 9, number % 4 + 1,
     Decimal(1999 + 13 * number) / 100, "Añes; & Co", "gift" if number % 5 == 0 else "")
    for number in range(200)
]  # fmt: skip


def comma(number: Decimal) -> str:
    return str(number).replace(".", ",")


def sheet_of(kind: str, bad: bool = False) -> bytes:
    """The rows as a file; `bad`: with a third piece that is no number in the second of them."""
    rows: list[list[Any]] = [[*row] for row in ROWS]
    if bad:
        rows[1][3] = "two"
    file = io.BytesIO()
    if kind == "csv":
        text = io.StringIO(newline="")
        written = csv.writer(text, delimiter=";")
        written.writerow(HEADER)
        written.writerows([row[0], f"{row[1]:%d.%m.%Y %H:%M}", *row[2:4], comma(row[4]), *row[5:]] for row in rows)
        return text.getvalue().encode()
    if kind == "xlsx":
        with xlsxwriter.Workbook(file, {"default_date_format": "mmm d"}) as book:
            sheet = book.add_worksheet("Verkäufe")
            for line, row in enumerate([HEADER, *rows]):
                sheet.write_row(line, 0, [float(cell) if isinstance(cell, Decimal) else cell for cell in row])
        return file.getvalue()
    if kind == "parquet":
        pieces = pa.array([str(row[3]) for row in rows])
        columns = dict(zip(HEADER, map(list, zip(*rows, strict=True)), strict=True)) | {"Pieces": pieces}
        parquet.write_table(pa.table(columns), file, row_group_size=64)
        return file.getvalue()
    objects = [dict(zip(HEADER, [row[0], f"{row[1]:%d.%m.%Y %H:%M}", *row[2:]], strict=True)) for row in rows]
    return "".join(f"{json.dumps(each, default=float)}\n" for each in objects).encode()


@pytest.fixture
def pipeline(world: World, tmp_path: Path) -> Iterator[Pipeline]:
    (tmp_path / "shop.yml").write_text(yaml.safe_dump({"feed": "shop", "match": "shop/*"} | FEED))
    with Pipeline(world.settings.model_copy(update={"feeds_dir": tmp_path})) as opened:
        yield opened


def landed(world: World, file_id: int | None) -> list[dict[str, Any]]:
    said = "sale_id, sold_at, sale_date, product_id, quantity, unit_price, customer_name, extra, currency"
    return world.rows(f"select {said} from raw.sales_lines where file_id = %s order by row_number", file_id)


def test_the_same_rows_land_as_the_same_lines_and_reach_the_marts_to_the_cent(world: World, pipeline: Pipeline) -> None:
    files = {}
    for kind in KINDS:
        outcome = pipeline.load_file(world.drop(f"shop/{kind}", content := sheet_of(kind)))
        assert (outcome.status, outcome.error) == ("loaded", None)
        assert outcome.counts
        assert (outcome.counts.read, outcome.counts.loaded) == (len(ROWS), len(ROWS))
        files[kind] = outcome.file_id
        (entry,) = world.rows("select sha256, encoding, header from raw.files where file_id = %s", outcome.file_id)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert (entry["encoding"], entry["header"]) == ("utf-8" if kind == "csv" else kind, HEADER)
    assert all(landed(world, files[kind]) == landed(world, files["csv"]) for kind in KINDS)
    assert len(landed(world, files["csv"])) == len(ROWS)
    world.transform()
    by_day: dict[date, Decimal] = {}
    for row in ROWS:
        by_day[row[1].date()] = by_day.get(row[1].date(), Decimal(0)) + len(KINDS) * row[3] * row[4]
    days = world.rows("select sale_date, sum(net_sales) as net from kpi.kpi_daily_totals group by 1")
    assert {each["sale_date"]: each["net"] for each in days if each["net"]} == by_day


@pytest.mark.parametrize("kind", KINDS)
def test_a_rejected_row_is_corrected_in_a_spreadsheet_and_lands_as_the_good_one_does(
    kind: str, world: World, pipeline: Pipeline, tmp_path: Path
) -> None:
    file_id = pipeline.load_file(world.drop("shop/bad", sheet_of(kind, bad=True))).file_id
    good = pipeline.load_file(world.drop("shop/good", sheet_of(kind))).file_id
    assert file_id
    (rejected,) = world.rows("select source_line, errors from raw.rejected_rows")
    assert rejected["source_line"] == (3 if kind in ("csv", "xlsx") else 2)
    assert [(error["field"], error["value"]) for error in rejected["errors"]] == [("quantity", "two")]
    text = corrections.export(pipeline, [file_id], None)
    path = tmp_path / "rows.csv"
    path.write_text(text.replace(",two,", ",2,"), "utf-8", newline="")
    assert [each.status for each in corrections.replay(pipeline, path)] == ["landed"]
    assert landed(world, file_id) == landed(world, good)
    assert world.value("select count(*) from raw.rejected_rows") == 0


def test_a_workbook_of_several_sheets_is_rejected_with_their_names(world: World, pipeline: Pipeline) -> None:
    with xlsxwriter.Workbook(file := io.BytesIO()) as book:
        book.add_worksheet("January")
        book.add_worksheet("February")
    outcome = pipeline.load_file(world.drop("shop/year.xlsx", file.getvalue()))
    reason = (
        "the workbook has 2 sheets: 'January', 'February'. "
        "Name one in the feed, as format.sheet, or as --sheet to draft one"
    )
    assert (outcome.status, outcome.error) == ("rejected", reason)
    assert world.rows("select status, error from raw.files") == [{"status": "rejected", "error": reason}]
