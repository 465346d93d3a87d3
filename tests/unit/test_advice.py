"""What is wrong with a sheet is said by column, with the edit of the feed that would mend it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loader.drafting.advice import Fault, faults_of, patched, told
from loader.feeds import Feed
from loader.pipeline import check_file
from loader.settings import Limits
from scripts.stack import REPOSITORY

HEADER = "Order,Sold,Item,Qty,Price,Rating,Total"
COLUMNS = {
    "sale_id": "Order",
    "sold_at": "Sold",
    "product_id": "Item",
    "quantity": "Qty",
    "unit_price": "Price",
    "customer_rating": "Rating",
    "stated_total": "Total",
}
FEED = Feed.model_validate({"feed": "shop", "match": "*", "columns": COLUMNS})
NEGATIVE = "A sale has a positive quantity; the feed's line_type rules say what a negative one is"
GOOD = "A1,2026-03-02,P1,2,10.00,5,20.00"


def faults(folder: Path, lines: list[str], feed: Feed = FEED) -> list[Fault]:
    path = folder / "shop.csv"
    path.write_text("\n".join([HEADER, GOOD, *lines]) + "\n")
    return faults_of(check_file(path, feed, Limits()).rejected, feed)


@pytest.mark.parametrize(
    ("row", "field", "edit"),
    [
        (
            "A2,25/03/2026,P1,2,10.00,5,20.00",
            "sold_at",
            "set format: {dates: ['%Y-%m-%d', '%d/%m/%Y']}",
        ),
        (
            "A2,05/03/2026,P1,2,10.00,5,20.00",
            "sold_at",
            "if '05/03/2026' is of %d/%m/%Y and not of %m/%d/%Y, " + "set format: {dates: ['%Y-%m-%d', '%d/%m/%Y']}",
        ),
        (
            'A2,2026-03-02,P1,1,"1,234.50",5,',
            "unit_price",
            "set format: {thousands: ','}",
        ),
        (
            'A2,2026-03-02,P1,1,"1,234",5,',
            "unit_price",
            "if '1,234' is more than a thousand, set format: {thousands: ','}",
        ),
        (
            "A2,2026-03-02,P1,2 pcs,10.00,5,",
            "quantity",
            "if 'pcs' is no more than a unit, " + "set columns: {quantity: {header: Qty, strip_suffix: pcs}}",
        ),
        (
            "A2,2026-03-02,P1,2,10.00,N/A,",
            "customer_rating",
            "set format: {nulls: ['', N/A]}",
        ),
        (
            "A2,2026-03-02,P1,2,10.00,none given,",
            "customer_rating",
            "if these words mean nothing, set format: {nulls: ['', none given]}",
        ),
        (
            "A2,2026-03-02,P1,2,10.00,9,",
            "customer_rating",
            "if the column is something else, leave customer_rating out of columns: its cells are then kept in extra",
        ),
        (
            "A2,2026-03-02,P1,-2,10.00,5,",
            "quantity",
            "if such rows are returns, set line_type: [{is: return, when: {quantity: ^-}}]",
        ),
        (
            "A2,2026-03-02,P1,2,-10.00,5,",
            "unit_price",
            "if such rows are adjustments, set line_type: [{is: adjustment, when: {unit_price: ^-}}]",
        ),
        (
            "A2,2026-03-02,P1,0,10.00,5,",
            "quantity",
            r"if rows of no pieces are no sales, set skip: [{quantity: '^-?0+(\.0+)?$'}]",
        ),
        (
            "A2,2026-03-02,P1,2,10.00,5,21.00",
            "stated_total",
            "if that is another figure, " + "leave stated_total out of columns: its cells are then kept in extra",
        ),
        (
            "A2,2026-03-02,,2,10.00,5,",
            "product_id",
            "if rows without it are no sales, set skip: [{product_id: ^$}]",
        ),
        (
            ",,P1,2,10.00,5,",
            "sale_id",
            "if a blank one continues the order above, set fill_down: [sale_id, sold_at]",
        ),
    ],
)
def test_the_edit_that_is_named_mends_the_row(row: str, field: str, edit: str, tmp_path: Path) -> None:
    fault = next(each for each in faults(tmp_path, [row]) if each.name == field)
    assert str(fault.edit) == edit
    assert fault.edit
    assert faults(tmp_path, [row], patched(FEED, fault.edit.change)) == []


@pytest.mark.parametrize(
    "row", ["A2,2026-02-30,P1,2,10.00,5,", "A2,2026-03-02,P1,two,10.00,5,", "A2,2026-03-02,P1,2,10.00,5,20.00,more"]
)
def test_what_no_edit_reads_is_to_be_corrected_in_the_sheet(row: str, tmp_path: Path) -> None:
    (fault,) = found = faults(tmp_path, [row])
    assert fault.edit is None
    assert "to mend it: correct the sheet; no edit of the feed reads it" in "\n".join(told(found, FEED))


def test_the_report_counts_rows_by_column_and_shows_three(tmp_path: Path) -> None:
    rows = [f"A{n},{n}/13/2026,P1,2,10.00,5," for n in range(1, 6)] + ["A7,2026-03-02,P1,-1,10.00,5,"]
    report = list(told(faults(tmp_path, rows), FEED))
    assert report == [
        "5 rows rejected by 'Sold' (sold_at): Input should be a date in one of the feed's formats: %Y-%m-%d",
        "    line 3 '1/13/2026', line 4 '2/13/2026', line 5 '3/13/2026'",
        "    to mend it: set format: {dates: ['%Y-%m-%d', '%m/%d/%Y']}",
        f"1 row rejected by 'Qty' (quantity): {NEGATIVE}",
        "    line 8 '-1'",
        "    to mend it: if such rows are returns, set line_type: [{is: return, when: {quantity: ^-}}]",
    ]


def test_an_edit_that_reads_some_of_the_cells_says_how_many(tmp_path: Path) -> None:
    rows = ["A2,25/03/2026,P1,2,10.00,5,", "A3,2026-02-30,P1,2,10.00,5,"]
    report = list(told(faults(tmp_path, rows), FEED))
    assert report[-1] == "    to mend it, for 1 of 2 cells: set format: {dates: ['%Y-%m-%d', '%d/%m/%Y']}"


def test_masked_cells_are_neither_shown_nor_guessed_at(tmp_path: Path) -> None:
    masked = FEED.model_copy(update={"mask": frozenset({"sold_at"})})
    (fault,) = found = faults(tmp_path, ["A2,25/03/2026,P1,2,10.00,5,"], masked)
    assert fault.edit is None
    assert "25/03" not in "".join(told(found, masked))


def test_a_second_check_shows_the_effect_of_the_edit(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(f"{HEADER}\n{GOOD}\nA2,25/03/2026,P1,2,10.00,5,\n")
    feed = {"feed": "shop", "match": "*", "columns": COLUMNS}

    def check() -> subprocess.CompletedProcess[str]:
        (tmp_path / "shop.yml").write_text(yaml.safe_dump(feed))
        command = [sys.executable, "-m", "loader", "check", "shop.csv", "--feed", "shop", "--feeds-dir", str(tmp_path)]
        env = {"PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    first = check()
    said = next(line for line in first.stdout.splitlines() if "to mend it: set " in line)
    feed |= yaml.safe_load(said.partition("to mend it: set ")[2])
    second = check()
    assert (first.returncode, second.returncode) == (1, 0)
    assert "feed shop: 2 rows read, 2 good, 0 rejected" in second.stdout
    assert "to mend it" not in second.stdout
