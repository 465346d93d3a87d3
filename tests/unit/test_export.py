"""Files that a spreadsheet opens without running anything, exact to the cent."""

import csv
import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from dashboard import export
from dashboard.export import Stamp

STAMP = Stamp("2026-03-01-to-2026-03-31-v7", (("Version", "7"), ("Search", "=1+1"), ("Link", "http://here/orders?a=b")))
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
HOSTILE = ["=1+1", "+1-2", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "a;=1", "a; @x", ";-1"]


@pytest.mark.parametrize("text", HOSTILE)
def test_csv_cell_is_no_formula_at_its_start_or_after_a_semicolon(text: str) -> None:
    [[_], [cell]] = _read(pd.DataFrame({"name": [text]}))
    for part in cell.split(";"):
        assert not part.strip().startswith(("=", "+", "-", "@"))
    assert cell.replace("'", "") == text


@pytest.mark.parametrize("text", ["kettle", "a-b", "5 + 5", "x@y.example", "a; b", "", "日本"])
def test_csv_leaves_other_text_as_it_is(text: str) -> None:
    [[_, _], [cell, _]] = _read(pd.DataFrame({"name": [text], "n": [1]}))
    assert cell == text


def test_csv_keeps_amounts_exact() -> None:
    amounts = [Decimal("-0.10"), Decimal("12345678901234567.89"), Decimal("0.1")]
    rows = csv.DictReader(io.StringIO(export.csv_bytes(pd.DataFrame({"net": amounts})).decode("utf-8-sig")))
    assert [Decimal(row["net"]) for row in rows] == amounts


def test_xlsx_holds_numbers_as_numbers_and_any_text_as_text() -> None:
    rows = [(date(2026, 3, 1), Decimal("-180.46"), 3, text, None) for text in HOSTILE]
    book = zipfile.ZipFile(io.BytesIO(export.xlsx_bytes(["day", "net", "units", "name", "none"], rows, STAMP)))
    data = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    assert data.find(f".//{SHEET}f") is None
    assert "hyperlinks" not in book.read("xl/worksheets/sheet1.xml").decode()
    for row, text in zip(list(data.iter(f"{SHEET}row"))[1:], HOSTILE, strict=True):
        day, net, units, name = row
        assert [cell.get("t") for cell in (day, net, units)] == [None, None, None]
        assert (date(1899, 12, 30) - date(1, 1, 1)).days + int(day[0].text or 0) == (rows[0][0] - date(1, 1, 1)).days
        assert Decimal(net[0].text or "") == Decimal("-180.46")
        assert units[0].text == "3"
        assert name.get("t") == "inlineStr"
        assert "".join(name.itertext()).replace("_x000D_", "\r") == text


def test_xlsx_says_what_it_holds() -> None:
    book = zipfile.ZipFile(io.BytesIO(export.xlsx_bytes(["net"], [(Decimal(1),)], STAMP)))
    about = ET.fromstring(book.read("xl/worksheets/sheet2.xml"))
    told = ["".join(cell.itertext()) for cell in about.iter(f"{SHEET}c")]
    *facts, name, made_at = told
    assert facts == [part for fact in STAMP.facts for part in fact]
    assert (name, _ago(made_at) < timedelta(minutes=1)) == ("Made at", True)
    assert about.find(f".//{SHEET}f") is None


def test_table_is_the_same_in_both_formats_and_says_what_it_is() -> None:
    frame = pd.DataFrame({"name": ["=1", None], "units": [3, 4], "net": [Decimal("0.10"), None], "share": [0.5, None]})
    header, *rows = csv.reader(io.StringIO(export.table_csv(frame, STAMP).decode("utf-8-sig"), newline=""))
    assert header == ["name", "units", "net", "share", "mart_version", "made_at", "filters", "view"]
    made_at = rows[0].pop(5)
    assert _ago(made_at) < timedelta(minutes=1)
    assert rows[0] == ["'=1", "3", "0.10", "0.5", "7", "Search: =1+1", "http://here/orders?a=b"]
    book = zipfile.ZipFile(io.BytesIO(export.table_xlsx(frame, STAMP)))
    data = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    written = [[(cell.get("t"), "".join(cell.itertext())) for cell in row] for row in data.iter(f"{SHEET}row")]
    assert written[1:] == [[("inlineStr", "=1"), (None, "3"), (None, "0.10"), (None, "0.5")], [(None, "4")]]


def test_moment_in_a_workbook_keeps_its_time_zone() -> None:
    frame = pd.DataFrame({"rejected_at": [pd.Timestamp("2026-03-01 12:30:15", tz="UTC"), None]})
    book = zipfile.ZipFile(io.BytesIO(export.table_xlsx(frame, STAMP)))
    data = ET.fromstring(book.read("xl/worksheets/sheet1.xml"))
    assert "".join(list(data.iter(f"{SHEET}row"))[1].itertext()) == "2026-03-01T12:30:15+00:00"


def _ago(moment: str) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(moment)


def _read(frame: pd.DataFrame) -> list[list[str]]:
    return list(csv.reader(io.StringIO(export.csv_bytes(frame).decode("utf-8-sig"), newline="")))
