"""What a later sheet of a feed has otherwise is said in words."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import xlsxwriter

from loader.drafting.comparing import differences
from loader.drafting.recognition import read_sheet
from loader.settings import Limits
from scripts.stack import REPOSITORY

OLD = "Order,Sold,Price,Status\n" + "".join(f"A{n},2026-03-{n:02},{n}.50,Shipped\n" for n in range(1, 28))


def said(folder: Path, later: str) -> list[str]:
    for name, text in (("old.csv", OLD), ("new.csv", later)):
        (folder / name).write_text(text)
    return list(differences(*(read_sheet(folder / name, Limits()) for name in ("old.csv", "new.csv"))))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Status", "Status", []),
        (",", ";", ["delimiter: ';', and was ','"]),
        ("Status", "State", ["column 'Status' is gone", "column 'State' is new"]),
        (".50", "5000.50", ["column 'Price' goes from 15000.5 to 275000, and went from 1.5 to 27.5"]),
        (",1.50", ",-1.50", ["column 'Price' goes from -1.5 to 27.5, and went from 1.5 to 27.5"]),
        ("A27,2026-03-27,27.50,Shipped", "A27,2026-03-27,27.50,Lost", ["column 'Status' has new words: 'Lost' (1)"]),
        ("Shipped", "", ["column 'Status' is empty now"]),
    ],
)
def test_each_difference_is_a_sentence(old: str, new: str, expected: list[str], tmp_path: Path) -> None:
    assert said(tmp_path, OLD.replace(old, new)) == expected


def test_another_kind_of_file_with_the_same_cells_is_the_only_difference(tmp_path: Path) -> None:
    header, *rows = csv.reader(OLD.splitlines())
    objects = "".join(f"{json.dumps(dict(zip(header, row, strict=True)))}\n" for row in rows)
    assert said(tmp_path, objects) == ["kind of file: jsonl, and was csv"]


def test_other_formats_of_dates_and_numbers_are_told(tmp_path: Path) -> None:
    rows = "".join(f"A{n};{n:02}.03.2026;{n},50;Shipped\n" for n in range(1, 28))
    assert said(tmp_path, f"Order;Sold;Price;Status\n{rows}") == [
        "delimiter: ';', and was ','",
        "numbers are written as 1234,56, and were as 1234.56",
        "column 'Sold' is written as %d.%m.%Y, and was as %Y-%m-%d",
    ]


def test_the_command_prints_them(tmp_path: Path) -> None:
    assert said(tmp_path, OLD) == []
    command = [sys.executable, "-m", "loader", "feed", "diff", str(tmp_path / "old.csv"), str(tmp_path / "new.csv")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no difference\n")


def test_the_command_compares_the_sheet_of_a_workbook_that_is_named(tmp_path: Path) -> None:
    for name, price in (("old", 12), ("new", 1200)):
        with xlsxwriter.Workbook(tmp_path / f"{name}.xlsx") as book:
            sales = book.add_worksheet("Sales")
            for place, row in enumerate((["Order", "Price"], ["A1", price], ["A2", price])):
                sales.write_row(place, 0, row)
            book.add_worksheet("Notes")
    command = [sys.executable, "-m", "loader", "feed", "diff", str(tmp_path / "old.xlsx"), str(tmp_path / "new.xlsx")]
    done = subprocess.run([*command, "--sheet", "Sales"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "column 'Price' goes from 1200 to 1200, and went from 12 to 12\n")
