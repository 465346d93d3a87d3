"""Workbooks, Parquet and JSON lines: the same lines as of a CSV, and a clear reason where a file cannot be read."""

import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
import xlsxwriter
from pyarrow import parquet

from loader.drafting.draft import draft_feed
from loader.errors import InvalidFile
from loader.feeds import Feed
from loader.formats import open_sheet
from loader.pipeline import Check, check_file
from loader.rejects import Rejected
from loader.settings import Limits
from loader.validation import Validator

HEADER = ["Receipt", "Sold", "Item", "Pieces", "Price", "Discount", "Weather"]
COLUMNS: dict[str, Any] = {
    "sale_id": "Receipt",
    "sold_at": "Sold",
    "product_id": "Item",
    "quantity": "Pieces",
    "unit_price": "Price",
    "discount_rate": {"header": "Discount", "percent": True, "strip_suffix": "%"},
}
MORNING = datetime(2026, 3, 2, 9, 14)  # noqa: DTZ001  # cells have no zone
# A German sheet: what a typed cell says must not depend on how the feed writes texts.
GERMAN = {"delimiter": ";", "decimal": ",", "thousands": ".", "dates": ["%d.%m.%Y %H:%M", "%d.%m.%Y"]}


def feed_of(form: dict[str, Any] | None = None, **said: Any) -> Feed:
    return Feed.model_validate(
        {"feed": "made", "match": "*", "format": form or {}, "columns": COLUMNS, "rejects": {"max_ratio": None}} | said
    )


def sales() -> list[tuple[str, datetime, str, int, Decimal, Decimal | None, str]]:
    """Rows whose amounts are no round floats, and whose moments and codes would be other ones elsewhere."""
    return [
        (
            f"G-{number // 3}",
            MORNING.replace(day=number % 12 + 1, hour=number % 24, minute=number % 60),
            f"{number % 7:04}",
            number % 5 + 1,
            Decimal(1001 + 7 * number) / 1000,
            Decimal(number % 3) / 20 if number % 3 else None,
            "rain, or sun" if number % 2 else "",
        )
        for number in range(500)
    ]


def net(rows: list[tuple[Any, ...]]) -> Decimal:
    """Net sales by the rows themselves, each rounded once."""
    cent = Decimal("0.01")
    each = (Decimal(row[3] * row[4] * (1 - (row[5] or 0))).quantize(cent, "ROUND_HALF_UP") for row in rows)
    return sum(each, Decimal(0))


def written(number: Decimal) -> str:
    return format(number, "f").replace(".", ",")


def as_csv(rows: list[tuple[Any, ...]]) -> bytes:
    lines = [";".join(HEADER)]
    for receipt, sold, item, pieces, price, discount, weather in rows:
        rate = "" if discount is None else f"{written(discount * 100)}%"
        lines.append(f"{receipt};{sold:%d.%m.%Y %H:%M};{item};{pieces};{written(price)};{rate};{weather}")
    return "\n".join([*lines, ""]).encode()


def workbook(
    rows: list[list[Any]], formats: dict[int, str] | None = None, name: str = "Sheet1", **options: Any
) -> bytes:
    """A workbook of one sheet; `formats` by column."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"default_date_format": "dd/mm/yy hh:mm", **options}) as book:
        kinds = {column: book.add_format({"num_format": form}) for column, form in (formats or {}).items()}
        sheet = book.add_worksheet(name)
        for line, row in enumerate(rows):
            for column, cell in enumerate(row):
                if cell is not None:
                    write = sheet.write_string if isinstance(cell, str) else sheet.write
                    write(line, column, cell, *([kinds[column]] if line and column in kinds else []))
    return file.getvalue()


def as_xlsx(rows: list[tuple[Any, ...]]) -> bytes:
    """Codes are numbers that are shown with zeros in front, discounts shares that are shown as percentages."""
    cells = [[*row[:2], int(row[2]), *row[3:6], row[6] or None] for row in rows]
    return workbook([HEADER, *cells], {2: "0000", 5: "0.0%"})


def as_parquet(rows: list[tuple[Any, ...]]) -> bytes:
    cells = [[*row[:5], None if row[5] is None else f"{written(row[5] * 100)}%", row[6]] for row in rows]
    columns = dict(zip(HEADER, map(list, zip(*cells, strict=True)), strict=True))
    return parquet_of(pa.table(columns))


def parquet_of(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(table, file, **options)
    return file.getvalue()


def as_jsonl(rows: list[tuple[Any, ...]]) -> bytes:
    """Prices are numbers; a key without a value is left out."""
    lines = []
    for row in rows:
        cells = dict(zip(HEADER, [row[0], f"{row[1]:%d.%m.%Y %H:%M}", *row[2:4], None, None, row[6]], strict=True))
        if row[5] is not None:
            cells["Discount"] = f"{written(row[5] * 100)}%"
        text = json.dumps({key: cell for key, cell in cells.items() if cell not in (None, "")})
        lines.append(f'{text[:-1]}, "Price": {format(row[4], "f")}}}\n')
    return "".join(lines).encode()


KINDS: dict[str, Callable[[list[tuple[Any, ...]]], bytes]] = {
    "csv": as_csv,
    "xlsx": as_xlsx,
    "parquet": as_parquet,
    "jsonl": as_jsonl,
}


def lines_of(content: bytes, feed: Feed) -> tuple[list[dict[str, Any]], list[Rejected]]:
    """The accepted lines, and the rejected rows."""
    with open_sheet(io.BytesIO(content), feed, Limits()) as sheet:
        validator = Validator(feed, sheet.rows.header, sheet.rows.titles)
        verdicts = [validator.validate(batch) for batch in sheet.rows.batches()]
    accepted = [line for each in verdicts for line in each.accepted.to_pylist()]
    return accepted, [row for each in verdicts for row in each.rejected]


def cells_of(content: bytes, form: dict[str, Any] | None = None, **limits: Any) -> list[list[str]]:
    """The texts of all rows behind the header."""
    with open_sheet(io.BytesIO(content), feed_of(form), Limits(**limits)) as sheet:
        return [
            list(cells)
            for batch in sheet.rows.batches()
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        ]


def refusal(content: bytes, form: dict[str, Any] | None = None, **limits: Any) -> str:
    with pytest.raises(InvalidFile) as refused:
        cells_of(content, form, **limits)
    return str(refused.value)


def checked(path: Path, content: bytes, feed: Feed) -> Check:
    path.write_bytes(content)
    return check_file(path, feed, Limits())


def without_places(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines by what they say: a Parquet file has no line of a header, and keys of JSON stand in any order."""
    return [
        {name: cell for name, cell in line.items() if name not in ("source_line", "row_number")}
        | {"extra": json.loads(line["extra"])}
        for line in lines
    ]


@pytest.mark.parametrize("kind", ["xlsx", "parquet", "jsonl"])
@pytest.mark.parametrize("said", [True, False])
def test_the_same_rows_are_the_same_lines_whatever_kind_of_file_they_come_in(kind: str, said: bool) -> None:
    feed, rows = feed_of(GERMAN), sales()
    expected, none = lines_of(as_csv(rows), feed)
    found, rejected = lines_of(KINDS[kind](rows), feed_of(GERMAN | ({"kind": kind} if said else {})))
    assert (none, rejected) == ([], [])
    # A typed number has no zeros at its end.
    numbers = ("quantity", "unit_price", "discount_rate")
    for lines in (expected, found):
        for line in lines:
            line |= {name: line[name] and Decimal(line[name]) for name in numbers}
    assert without_places(found) == without_places(expected)
    total = sum(
        (line["quantity"] * line["unit_price"] * (1 - (line["discount_rate"] or 0))).quantize(
            Decimal("0.01"), "ROUND_HALF_UP"
        )
        for line in found
    )
    assert total == net(rows)


# --- workbooks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.1 + 0.2, "General", "0,3"),
        (1.249, "#,##0.00", "1,249"),
        (-1249.5, "0.00", "-1249,5"),
        (3.0, "0.00", "3"),
        (1e-7, "General", "0,0000001"),
        (4052118834027, "General", "4052118834027"),
        (1234567890123456, "0", "1234567890123456"),
        (2.5e17, "General", "2.5e+17"),
        (42, "0000", "0042"),
        (42, "0", "42"),
        (0.05, "0%", "5%"),
        (0.125, "0%", "12,5%"),
        (0.1 + 0.2, "0.0%", "30%"),
        (12.5, '0.0" %"', "12,5"),
        (True, "General", "TRUE"),
        ("  text ", "General", "  text "),
        ("#N/A", "General", "#N/A"),
        (MORNING, "mm/dd/yy hh:mm", "02.03.2026 09:14"),
        (date(2026, 3, 2), "mm/dd/yy", "02.03.2026 00:00"),
        (MORNING.replace(second=30), "hh:mm", "2026-03-02 09:14:30"),
        (time(9, 14), "hh:mm AM/PM", "09:14:00"),
    ],
)
def test_a_cell_is_written_as_the_feed_writes_its_value(value: object, form: str, text: str) -> None:
    content = workbook([["a"], [value]], {0: form})
    assert cells_of(content, GERMAN) == [[text]]


def test_a_moment_has_the_first_format_that_says_all_of_it() -> None:
    content = workbook([["a"], [date(2026, 3, 2)], [MORNING.replace(minute=0)]], {0: "yyyy-mm-dd"})
    assert cells_of(content, {"dates": ["%Y-%d-%m", "%d/%m/%Y %H:%M"]}) == [["2026-02-03"], ["02/03/2026 09:00"]]


def test_a_date_and_a_time_of_two_cells_make_one_moment() -> None:
    columns = COLUMNS | {"sold_at": {"join": ["Day", "Clock"]}}
    header = ["Receipt", "Day", "Clock", "Item", "Pieces", "Price", "Discount"]
    content = workbook([header, ["G-1", date(2026, 3, 2), time(9, 14), "x", 1, 2, None]], {1: "d/m/yy", 2: "hh:mm"})
    feed = feed_of({"dates": ["%Y-%m-%d %H:%M:%S"]}, columns=columns)
    lines, rejected = lines_of(content, feed)
    assert (lines[0]["sold_at"], rejected) == ("2026-03-02T09:14:00+00:00", [])


def test_a_workbook_counts_its_days_as_it_says() -> None:
    content = workbook([["a"], [date(2026, 3, 2)]], {0: "yyyy"}, date_1904=True)
    assert cells_of(content) == [["2026-03-02"]]


def test_rejected_rows_stand_where_the_spreadsheet_shows_them_with_their_cells_as_csv(tmp_path: Path) -> None:
    good = ["G-1", MORNING, "x", 1, 2.5, None, None]
    rows: list[list[Any]] = [
        ["Sales of March"],
        [],
        HEADER,
        good,
        [],
        ["G-2", "31.02.2026", "x; y", "#N/A", 2.5, None, "two\nlines"],
        [*good, "beyond"],
        good[:5],
    ]
    found = checked(tmp_path / "a.xlsx", workbook(rows), feed_of(GERMAN | {"header_row": "found"}))
    assert (found.counts.read, found.counts.loaded, found.counts.skipped_as) == (5, 2, {"blank": 1})
    assert [(row.row_number, row.source_line, row.lines) for row in found.rejected] == [(3, 6, 1), (4, 7, 1)]
    first, second = found.rejected
    assert first.raw_text == 'G-2;31.02.2026;"x; y";#N/A;2,5;;"two\nlines"'
    assert [(each["field"], each["value"]) for each in first.errors] == [
        ("sold_at", "31.02.2026"),
        ("quantity", "#N/A"),
    ]
    assert second.errors[0]["message"] == "The row has 8 cells where the header has 7"
    assert found.drift
    assert found.drift.titles == ["Sales of March"]


def test_cells_that_are_merged_are_filled_down_and_hidden_rows_count() -> None:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        sheet.merge_range(1, 0, 2, 0, "G-1")
        sheet.merge_range(1, 1, 2, 1, "2026-03-02")
        for line in (1, 2):
            sheet.write_row(line, 2, ["x", line, 2.5])
        sheet.set_row(2, None, None, {"hidden": True})
    lines, rejected = lines_of(file.getvalue(), feed_of(fill_down=["sale_id", "sold_at"]))
    assert [(line["sale_id"], line["quantity"]) for line in lines] == [("G-1", "1"), ("G-1", "2")]
    assert rejected == []


def sheets(*names: str, hidden: tuple[str, ...] = ()) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        for name in names:
            sheet = book.add_worksheet(name)
            sheet.write_column(0, 0, [name, "1"])
            if name in hidden:
                sheet.hide()
        chart = book.add_chart({"type": "line"})
        chart.add_series({"values": f"={names[0]}!$A$2:$A$2"})
        book.add_chartsheet("Chart").set_chart(chart)
    return file.getvalue()


def test_the_sheet_is_the_one_that_is_named_or_the_only_one_that_is_seen() -> None:
    content = sheets("Orders", "Lists", hidden=("Lists",))
    for form, header in ({}, ["Orders"]), ({"sheet": "lists"}, ["Lists"]):
        with open_sheet(io.BytesIO(content), feed_of(form), Limits()) as sheet:
            assert sheet.rows.header == header
    assert refusal(sheets("January", "February")) == (
        "the workbook has 2 sheets: 'January', 'February'. "
        "Name one in the feed, as format.sheet, or as --sheet to draft one"
    )
    assert refusal(content, {"sheet": "March"}) == (
        "the workbook has no sheet 'March', which format.sheet names: it has 'Orders', 'Lists'"
    )


def test_a_formula_is_its_saved_result() -> None:
    cells = b'<c r="A2"><f>1+1</f><v>2</v></c></row><row r="3"><c r="A3" t="str"><f>""</f><v></v></c></row>'
    content = repacked(
        THREE,
        sheet1=lambda text: re.sub(rb'(<row r="2"[^>]*>).*</row>', rb"\1" + cells, text),
        workbook=lambda text: text.replace(b' fullCalcOnLoad="1"', b""),
    )
    assert cells_of(content) == [["2"]]


def test_a_formula_whose_result_nobody_worked_out_is_its_text_and_no_number(tmp_path: Path) -> None:
    """As xlsxwriter and openpyxl write them: 0 and nothing would be a price, and no discount."""
    with xlsxwriter.Workbook(written := io.BytesIO()) as made:
        sheet = made.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        sheet.write_row(1, 0, ["G-1", "2026-03-02", "x", 1, "=1+1"])
        sheet.write_row(2, 0, ["Total", None, None, None, "=SUM(E2:E2)"])
    book = openpyxl.Workbook()
    for row in HEADER, ["G-1", "2026-03-02", "x", 1, 2.5, "=0.05"], ["Total", None, None, None, "=SUM(E2:E2)"]:
        book.active.append(row)
    book.save(saved := io.BytesIO())
    for file, name, formula in (written, "unit_price", "=1+1"), (saved, "discount_rate", "=0.05"):
        found = checked(tmp_path / "a.xlsx", file.getvalue(), feed_of())
        assert (found.counts.loaded, found.counts.skipped_as) == (0, {"total": 1})
        ((error,),) = [row.errors for row in found.rejected]
        assert (error["field"], error["value"]) == (name, formula)
    missing = repacked(
        THREE,
        sheet1=lambda text: text.replace(b' t="s"><v>1</v>', b"><f>1+1</f>"),
        workbook=lambda text: text.replace(b' fullCalcOnLoad="1"', b""),
    )
    assert cells_of(missing)[0] == ["=1+1"]


def repacked(content: bytes, **changes: Callable[[bytes], bytes]) -> bytes:
    """A workbook with changed parts, by the end of their names."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            change = next((made for name, made in changes.items() if part.endswith(f"{name}.xml")), bytes)
            new.writestr(part, change(old.read(part)))
    return file.getvalue()


THREE = workbook([["a"], ["1"], ["2"], ["3"]])


@pytest.mark.parametrize("dimension", [b"A1", b"A1:A2", b"A1:XFD1048576"])
def test_rows_beyond_the_dimensions_that_a_workbook_states_are_read(dimension: bytes) -> None:
    content = repacked(
        THREE, sheet1=lambda text: re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="%b"' % dimension, text)
    )
    assert cells_of(content) == [["1"], ["2"], ["3"]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace(b'<row r="3"', b'<row r="2"'), "row 2 stands behind row 2"),
        (lambda text: text.replace(b'<row r="4"', b'<row r="99999999999"'), "it has a row beyond 1,048,576"),
        (lambda text: text.replace(b"</row>", b"<c>"), "it is damaged: ParseError"),
        (lambda text: text.replace(b"<v>1</v>", b"<v>12345</v>"), "it is damaged: IndexError"),
        (lambda text: text[: len(text) // 2], "it is damaged: ParseError"),
        (
            lambda text: text.replace(b"<worksheet", b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet'),
            "defines entities: this is no workbook",
        ),
        (
            lambda text: text.replace(b'<row r="4"', b"<row>" + b"<c/>" * (5 * 1024 * 1024) + b'</row><row r="4"'),
            "beyond MAX_EXPANSION=200",
        ),
        (
            lambda text: text.replace(
                b'<row r="4"', b"<row>" + b"<c/>" * 65_536 + b" " * (12 * 1024 * 1024) + b'</row><row r="9"'
            ),
            None,
        ),
    ],
)
def test_a_workbook_that_is_damaged_or_a_bomb_is_refused(change: Callable[[bytes], bytes], reason: str | None) -> None:
    content = repacked(THREE, sheet1=change)
    if reason:
        assert reason in refusal(content)
    else:
        assert len(cells_of(content)) == 3


def test_what_is_read_as_a_whole_has_a_limit() -> None:
    words = b"".join(b"<si><t>%d</t></si>" % number for number in range(2_000_000))
    content = repacked(THREE, styles=lambda text: text.replace(b"</styleSheet>", words + b"</styleSheet>"))
    assert "xl/styles.xml has more than 16,777,216 bytes" in refusal(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000), "an old workbook (.xls)"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000) + "EncryptedPackage".encode("utf-16-le"),
            "the workbook is encrypted: save it without a password",
        ),
        (THREE[:-100], "it is damaged: BadZipFile"),
        (repacked(THREE).replace(b"xl/workbook.xml", b"xl/workbook.bin"), "a binary workbook (.xlsb)"),
        (repacked(THREE).replace(b"xl/", b"wd/"), "an office document and no workbook"),
    ],
)
def test_what_is_no_workbook_that_can_be_read_is_refused_with_the_way_out(content: bytes, reason: str) -> None:
    assert reason in refusal(content)


def test_a_feed_that_says_another_kind_refuses_the_file() -> None:
    assert refusal(b"a,b\n1,2\n", {"kind": "xlsx"}) == (
        "the file is not an Excel workbook (.xlsx), which the feed's format.kind says"
    )
    assert refusal(THREE, {"kind": "parquet"}) == "the file is not a Parquet file, which the feed's format.kind says"
    assert refusal(THREE, {"kind": "csv"}) == "the file is an office document, such as a spreadsheet: save it as CSV"


def test_limits_hold_for_every_kind() -> None:
    wide = workbook([[f"c{number}" for number in range(9)]])
    table = parquet_of(pa.table({f"c{number}": [1] for number in range(9)}))
    objects = json.dumps({f"c{number}": 1 for number in range(9)}).encode()
    for content in (wide, table, objects):
        assert "MAX_COLUMNS=8" in refusal(content, max_columns=8)
        assert "MAX_TEXT_BYTES=10" in refusal(content, max_text_bytes=10)
    long = "x" * 200
    for content in (
        workbook([["a"], ["1"], [long]]),
        parquet_of(pa.table({"a": ["1", long]})),
        f'{{"a": "1"}}\n{{"a": "{long}"}}\n'.encode(),
    ):
        with open_sheet(io.BytesIO(content), feed_of(), Limits(max_cell_bytes=100)) as sheet:
            (batch,) = sheet.rows.batches()
        assert [cells.to_pylist() for cells in batch.columns] == [["1"]]
        assert [each.message for each in batch.malformed] == ["A cell is larger than MAX_CELL_BYTES=100"]


# --- Parquet --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([1, None, -3], pa.int8()), ["1", "", "-3"]),
        (pa.array([2**63], pa.uint64()), ["9223372036854775808"]),
        (
            pa.array([0.1, 1e16, 1 / 3, None, float("nan")]),
            ["0,1", "10000000000000000", "0,3333333333333333", "", "nan"],
        ),
        (pa.array([0.1], pa.float32()), ["0,1"]),
        (pa.array([Decimal("1.50"), Decimal("-2.00")]), ["1,50", "-2,00"]),
        (pa.array([True, None]), ["true", ""]),
        (pa.array(["a", "b", "a", None]).dictionary_encode(), ["a", "b", "a", ""]),
        (pa.array(["ä"], pa.large_string()), ["ä"]),
        (pa.array(["ä".encode()]), ["ä"]),
        (pa.nulls(1), [""]),
        (pa.array([date(2026, 3, 2)]), ["02.03.2026 00:00"]),
        (pa.array([MORNING], pa.timestamp("ns")), ["02.03.2026 09:14"]),
        (pa.array([datetime(2026, 7, 1, 23, 30, tzinfo=UTC)], pa.timestamp("ms", "UTC")), ["02.07.2026 01:30"]),
        (pa.array([datetime(2026, 7, 1, 23, 30, tzinfo=UTC)], pa.timestamp("us", "Asia/Tokyo")), ["02.07.2026 01:30"]),
        # The hour that clocks have twice: without an offset it would be the first.
        (
            pa.array([datetime(2026, 10, 25, 1, 30, tzinfo=UTC)], pa.timestamp("s", "UTC")),
            ["2026-10-25 01:30:00+00:00"],
        ),
        (pa.array([time(9, 14)], pa.time64("ns")), ["09:14:00"]),
    ],
)
def test_a_column_of_parquet_is_written_as_the_feed_writes_its_values(column: pa.Array, texts: list[str]) -> None:
    content = parquet_of(pa.table({"a": column, "b": ["x"] * len(texts)}))
    assert cells_of(content, GERMAN | {"timezone": "Europe/Berlin"}) == [[text, "x"] for text in texts]


def test_a_row_of_parquet_is_counted_from_the_first_and_kept_as_csv(tmp_path: Path) -> None:
    columns: dict[str, Any] = dict(zip(HEADER, zip(*[(*row[:6], "") for row in sales()], strict=True), strict=True))
    columns |= {"Discount": [""] * 500, "Pieces": ["1"] * 300 + ["two"] + ["1"] * 198 + ["\0"]}
    found = checked(
        tmp_path / "a", parquet_of(pa.table({name: list(each) for name, each in columns.items()})), feed_of(GERMAN)
    )
    assert [(row.row_number, row.source_line) for row in found.rejected] == [(301, 301), (500, 500)]
    assert [row.raw_text for row in found.rejected] == [
        "G-100;01.03.2026 12:00;0006;two;3,101;;",
        "G-166;08.03.2026 19:19;0002;␀;4,494;;",
    ]
    assert found.rejected[1].errors[0]["message"] == "The row contains a NUL byte"


def test_nested_columns_and_files_that_are_no_parquet_are_refused() -> None:
    nested = pa.table({"a": [1], "items": [[1, 2]], "who": [{"name": "x"}]})
    assert refusal(parquet_of(nested)).startswith("columns with values of several parts cannot be read: 'items' (list<")
    content = parquet_of(pa.table({"a": ["x" * 100] * 1000}))
    assert "damaged or cut off" in refusal(content[:-20])
    assert refusal(b"PARE" + content[4:]) == "the Parquet file is encrypted"


def test_a_text_that_a_parquet_file_has_once_and_its_rows_a_million_times_stays_within_the_limits() -> None:
    """8 GB of text in a few kilobytes."""
    word = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 400_000]))
    content = parquet_of(pa.table({"a": word}), compression="zstd")
    assert len(content) < 100_000
    assert "MAX_EXPANSION=200" in refusal(content)
    with open_sheet(io.BytesIO(content), feed_of(), Limits(max_expansion=10**9)) as sheet:
        sizes = []
        for _, batch in zip(range(5), sheet.rows.batches(), strict=False):
            sizes.append(sum(column.nbytes for column in batch.columns))
    assert max(sizes) < 20 * 1024 * 1024


# --- JSON lines -----------------------------------------------------------------------------------------------------


def test_numbers_of_json_stay_as_they_are_written() -> None:
    numbers = ["1.10", "-0.5", "12345678901234567890.123456789", "1e3", "1.5E-2", "1e400", "7"]
    content = "".join(f'{{"a": {number}, "b": "{number}"}}\n' for number in numbers).encode()
    assert cells_of(content, GERMAN) == [
        ["1,10", "1.10"],
        ["-0,5", "-0.5"],
        ["12345678901234567890,123456789", "12345678901234567890.123456789"],
        ["1000", "1e3"],
        ["0,015", "1.5E-2"],
        ["1e400", "1e400"],
        ["7", "7"],
    ]


def test_the_columns_are_all_keys_of_the_file_and_a_key_that_is_left_out_is_an_empty_cell(tmp_path: Path) -> None:
    sale = {"Receipt": "G-1", "Sold": "2026-03-02", "Item": "x", "Pieces": 1, "Price": 2.5}
    objects = [sale] * 60_000 + [sale | {"Discount": "5%", "Weather": "rain", "Cold": True, "Note": None}]
    found = checked(tmp_path / "a.jsonl", "".join(f"{json.dumps(each)}\n" for each in objects).encode(), feed_of())
    assert (found.counts.loaded, found.error) == (60_001, None)
    assert found.drift
    assert found.drift.unknown == ["Weather", "Cold", "Note"]
    lines, _ = lines_of((tmp_path / "a.jsonl").read_bytes(), feed_of())
    assert json.loads(lines[0]["extra"]) == {"Weather": None, "Cold": None, "Note": None}
    assert json.loads(lines[-1]["extra"]) == {"Weather": "rain", "Cold": "true", "Note": None}
    assert lines[-1]["source_line"] == 60_001


@pytest.mark.parametrize(
    ("line", "message", "text"),
    [
        (b"[1, 2]", "The line is no JSON object", "[1, 2]"),
        (b'{"Receipt": "G-1"', "The line is no JSON object", '{"Receipt": "G-1"'),
        (b"[" * 100_000, "The line is no JSON object", None),
        (b'{"Item": "a", "Item": "b"}', "The key 'Item' stands twice", '{"Item": "a", "Item": "b"}'),
        (
            b'{"Receipt": "G-1", "Item": "x", "Price": [2.5, "a"]}',
            "The value of 'Price' is a list: only plain values can be read",
            'G-1;;x;;"[2.5, ""a""]"',
        ),
        (b'{"Item": {"id": 1}}', "The value of 'Item' is an object: only plain values can be read", None),
        (b'{"Item": "\\ud83d"}', "The row has one half of a character", ";;\\ud83d;;"),
        (b'{"\\ud83d": 1}', "The row has one half of a character", None),
        (b'{"Item": "\\u0000"}', "The row contains a NUL byte", ";;␀;;"),
        (b'{"Item": "\xff"}', "The row is not UTF-8; say in the feed which encoding the file has", None),
    ],
)
def test_a_line_that_is_no_object_of_plain_values_is_a_rejected_row(
    line: bytes, message: str, text: str | None
) -> None:
    sale = b'{"Receipt": "G-1", "Sold": "02.03.2026", "Item": "x", "Pieces": 1, "Price": 2.5}\n'
    columns = {name: column for name, column in COLUMNS.items() if name != "discount_rate"}
    lines, rejected = lines_of(
        sale + b"\n" + line + b"\n" + sale, feed_of(GERMAN | {"encoding": "utf-8"}, columns=columns)
    )
    assert [each["source_line"] for each in lines] == [1, 4]
    (row,) = rejected
    assert (row.row_number, row.source_line, row.errors[0]["message"]) == (3, 3, message)
    assert text is None or row.raw_text == text


def test_lists_and_objects_that_no_field_is_made_of_are_kept_as_they_are() -> None:
    sale = b'{"Receipt": "G-1", "Sold": "02.03.2026", "Item": "x", "Pieces": 1, "Price": 2.5, "Tags": %s}\n'
    columns = {name: column for name, column in COLUMNS.items() if name != "discount_rate"}
    deep = b'{"a": ' * 600 + b"1" + b"}" * 600
    lines, rejected = lines_of(
        sale % b'[1.50, "a"]' + sale % b'{"K\xc3\xb6ln": [true, null, 10]}' + sale % deep,
        feed_of(GERMAN | {"encoding": "utf-8"}, columns=columns),
    )
    assert [json.loads(each["extra"])["Tags"] for each in lines] == ['[1.50, "a"]', '{"Köln": [true, null, 10]}']
    assert [row.errors[0]["message"] for row in rejected] == ["The value of 'Tags' has too many parts within parts"]


def test_one_list_of_all_objects_is_refused_with_the_way_out() -> None:
    assert "jq -c '.[]'" in refusal(b'[\n {"a": 1},\n {"a": 2}]')


def test_json_lines_are_read_packed_and_in_another_encoding() -> None:
    text = '{"a": "Köln"}\n'
    assert cells_of(text.encode("utf-16")) == [["Köln"]]
    assert cells_of(bytes(pa.compress(text.encode(), "gzip"))) == [["Köln"]]
    assert cells_of(text.encode("cp1252"), {"encoding": "cp1252", "kind": "jsonl"}) == [["Köln"]]


@pytest.fixture
def temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["xlsx", "parquet", "jsonl"])
def test_a_file_that_is_left_half_read_leaves_nothing_behind(kind: str, temporary_files: Path) -> None:
    with open_sheet(io.BytesIO(KINDS[kind](sales())), feed_of(GERMAN), Limits()) as sheet:
        next(iter(sheet.rows.batches()))


# --- drafts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["xlsx", "parquet", "jsonl"])
def test_a_draft_of_another_kind_of_file_loads_all_of_its_rows(kind: str, tmp_path: Path) -> None:
    rows = [(*row[:4], row[4], None, "rain") for row in sales()]
    header = ["Receipt no", "Sold at", "Product code", "Quantity", "Unit price"]
    if kind == "xlsx":
        content = workbook([header, *[[*row[:5]] for row in rows]], {1: "mmm d"})
    elif kind == "parquet":
        content = parquet_of(
            pa.table(dict(zip(header, map(list, zip(*[row[:5] for row in rows], strict=True)), strict=True)))
        )
    else:
        objects = (dict(zip(header, row[:5], strict=True)) for row in rows)
        content = "".join(f"{json.dumps(each, default=str)}\n" for each in objects).encode()
    path = tmp_path / f"sales_2026-03.{kind}"
    path.write_bytes(content)
    made = draft_feed(path, None, Limits())
    assert (made.missing, made.feed.match) == ([], f"sales_*.{kind}")
    assert (made.check.error, made.check.counts.loaded) == (None, len(rows))
    lines, _ = lines_of(content, made.feed)
    assert sum(Decimal(line["quantity"]) * Decimal(line["unit_price"]) for line in lines) == sum(
        row[3] * row[4] for row in rows
    )
    assert {line["sold_at"][:16] for line in lines} == {f"{row[1]:%Y-%m-%dT%H:%M}" for row in rows}


def test_a_draft_names_the_sheet_of_a_workbook_that_it_was_made_from(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    path.write_bytes(sheets("January", "February"))
    with pytest.raises(InvalidFile, match="'January', 'February'"):
        draft_feed(path, None, Limits())
    assert "\n  sheet: February\n" in draft_feed(path, None, Limits(), sheet_name="February").text


def test_titles_of_a_workbook_are_not_its_header_in_a_draft(tmp_path: Path) -> None:
    rows = [[f"A{n}", f"2026-03-{n % 28 + 1:02}", f"P{n % 7}", n % 4 + 1, 2.5 + n % 7] for n in range(40)]
    header = ["Order ID", "Order Date", "SKU", "Quantity", "Unit Price"]
    path = tmp_path / "shop.xlsx"
    path.write_bytes(workbook([["Sales of March"], [], ["Store", "12"], header, *rows]))
    made = draft_feed(path, None, Limits())
    assert (made.missing, made.feed.format.header_row) == ([], "found")
    assert (made.check.error, made.check.counts.loaded) == (None, len(rows))


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["xlsx", "parquet", "jsonl"])
@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_read_or_refused_and_nothing_else_happens(kind: str, seed: int) -> None:
    chosen = random.Random(seed)

    def damaged(content: bytes) -> bytes:
        places = bytearray(content)
        for _ in range(chosen.randrange(1, 8)):
            places[chosen.randrange(len(places))] = chosen.randrange(256)
        return bytes(places[: chosen.randrange(len(places))] if chosen.random() < 0.2 else places)

    content = KINDS[kind](sales()[:60])
    if kind == "xlsx" and seed % 2:  # its parts, for most damage to the file is found by the checksums of the zip
        parts = "sheet1", "sharedStrings", "styles", "workbook"
        content = repacked(content, **{chosen.choice(parts): damaged})
    else:
        content = damaged(content)
    with suppress(InvalidFile), open_sheet(io.BytesIO(content), feed_of(GERMAN | {"kind": kind}), Limits()) as sheet:
        try:
            validator = Validator(feed_of(GERMAN), sheet.rows.header, sheet.rows.titles)
        except InvalidFile:
            return
        for batch in sheet.rows.batches():
            verdict = validator.validate(batch)
            found = verdict.accepted.num_rows + len(verdict.rejected) + verdict.skipped.total()
            assert found == batch.rows_read
