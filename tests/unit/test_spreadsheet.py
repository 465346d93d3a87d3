"""A cell goes to a spreadsheet and back unchanged, and none is run there as a formula."""

import csv
import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.export import csv_bytes
from loader.corrections import _PLACE, _read
from loader.spreadsheet import bare, guarded

CELLS = st.text() | st.text("='+-@\t\r'1.,; \n\u3000＝－a", min_size=1)
HOSTILE = [
    "=1+1", "@SUM(A1)", "-2+3", "+cmd|' /C calc'!A0", "\t=1", "\r=1", "- 5", "-1e5", "'=1", " =1", "\n=1", "\u3000=1",
    "＝1+1", "＋1-2", "－1+1", "＠SUM(A1)", "\tx",
]  # fmt: skip


@given(CELLS)
def test_a_guarded_cell_comes_back_as_it_was(cell: str) -> None:
    assert bare(guarded(cell)) == cell


@given(CELLS)
def test_a_cell_whose_apostrophes_somebody_took_off_comes_back_as_it_was(cell: str) -> None:
    if not cell.startswith("'"):
        assert bare(guarded(cell).removeprefix("'")) == cell


@given(st.lists(CELLS, min_size=3, max_size=3))
def test_an_exported_row_is_read_back_as_it_was(cells: list[str]) -> None:
    with TemporaryDirectory() as folder, (path := Path(folder) / "rows.csv").open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow([*_PLACE, *map(guarded, ["=a", "b", "-c"])])
        written.writerow([7, 1, 2, "key", "problems", *map(guarded, cells)])
        file.flush()
        assert _read(path) == ({(7, 1): cells}, ["=a", "b", "-c"])


@given(CELLS)
def test_no_part_of_a_cell_but_a_number_begins_as_a_formula(cell: str) -> None:
    if not re.fullmatch(r"[+-]?[\d.,]+", guarded(cell), re.ASCII):
        assert [part for part in guarded(cell).split(";") if re.match(r"\s*[=+\-@＝＋－＠\t\r]", part)] == []


@pytest.mark.parametrize("cell", HOSTILE)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"
    assert guarded(f"a;{cell}") == f"a;'{cell}"


@pytest.mark.parametrize(
    "cell", ["-5", "+1.50", "-1.234,56", "2026-01-01", "", "'s-Hertogenbosch", "a=b", "a; b", "x@y.example", "日本"]
)
def test_a_number_and_a_plain_text_stay_as_they_are(cell: str) -> None:
    assert guarded(cell) == cell


@pytest.mark.parametrize("cell", [*HOSTILE, "-5", "kettle", "a;=1"])
def test_the_dashboard_guards_its_files_as_the_loader_does(cell: str) -> None:
    [[_], [written]] = csv.reader(io.StringIO(csv_bytes(pd.DataFrame({"a": [cell]})).decode("utf-8-sig"), newline=""))
    assert written == guarded(cell)
