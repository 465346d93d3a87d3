"""Every record of a file is accounted for, with its physical line and its text, whichever way its block is parsed."""

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from loader import decoding
from loader.blocks import BATCH_LINES
from loader.decoding import decode
from loader.errors import InvalidFile
from loader.reader import Batch, Reader
from loader.settings import Limits

TORN = "A quote is opened and not closed, or text stands behind a closing quote"
SWALLOWED = "A quote is opened and not closed: the lines below it look like rows of their own"
DELIMITERS = st.sampled_from([",", ";", "\t", "|"])


@dataclass(frozen=True)
class Row:
    number: int
    line: int
    text: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """All batches of a file. An empty line counts as blank, also where it came as a row of empty cells."""

    rows: list[Row]
    malformed: list[tuple[int, int, str, str]]
    blank: int

    @property
    def cells(self) -> list[tuple[str, ...]]:
        return [row.cells for row in self.rows]


def reading(batches: list[Batch]) -> Reading:
    rows = []
    for batch in batches:
        cells = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        places = zip(batch.row_numbers.tolist(), batch.source_lines.tolist(), cells, strict=True)
        rows += [Row(number, line, batch.text_at(line), row) for number, line, row in places]
    malformed = [
        (each.row_number, each.source_line, each.raw_text, each.message)
        for batch in batches
        for each in batch.malformed
    ]
    total = sum(batch.rows_read for batch in batches)
    data = [row for row in rows if row.text.strip()]
    return Reading(data, malformed, total - len(data) - len(malformed))


def opened(content: bytes, delimiter: str = ",", encoding: str = "utf-8", **limits: Any) -> Reader:
    return Reader(decode(io.BytesIO(content), encoding, Limits(**limits)), delimiter)


def read(content: bytes, delimiter: str = ",", encoding: str = "utf-8", block_bytes: int | None = None) -> Reading:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK_BYTES", block_bytes or decoding.BLOCK_BYTES)
        return reading(list(opened(content, delimiter, encoding).batches()))


def longest_line(content: bytes) -> int:
    return max(len(line) + 1 for line in content.split(b"\n"))


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


PLAIN = st.text(st.sampled_from("aB1 .é売-"), max_size=4)
ANY_CELL = st.one_of(
    PLAIN,
    PLAIN.map(quoted),
    st.text(st.sampled_from('a1 ,;\t|"\né'), max_size=6).map(quoted),
    st.just(quoted("x\r\ny")),
)
LINE_END = st.sampled_from(["\n", "\r\n"])


@st.composite
def well_formed(draw: st.DrawFn) -> tuple[str, str, list[list[str]], list[str]]:
    """Delimiter, line end, and lines before, as (record or blank) in writing order."""
    delimiter = draw(DELIMITERS)
    width = draw(st.integers(2, 4))
    row = st.lists(ANY_CELL, min_size=width, max_size=width)
    ragged = st.lists(ANY_CELL.filter(str.strip), min_size=1, max_size=width + 2).filter(
        lambda cells: len(cells) != width
    )
    blank = st.sampled_from([[""], [" "]])

    def has_swallowed_none(cells: list[str]) -> bool:
        lines = delimiter.join(cells).split("\n")
        return len(lines) == 1 or all(line.count(delimiter) != width - 1 for line in lines)

    records = draw(st.lists(st.one_of(row, row, row, ragged, blank).filter(has_swallowed_none), max_size=12))
    return delimiter, draw(LINE_END), records, [f"h{index}" for index in range(width)]


@given(well_formed(), st.booleans(), st.integers(0, 2), st.integers(0, 40))
def test_every_record_is_read_with_its_physical_line_and_its_text(
    sheet: tuple[str, str, list[list[str]], list[str]], final_newline: bool, empty_lines: int, slack: int
) -> None:
    delimiter, end, records, header = sheet
    text = end * empty_lines + delimiter.join(header) + end
    rows, malformed, blank = [], [], 0
    for number, written in enumerate(records, 1):
        raw = delimiter.join(written)
        line = text.count("\n") + 1
        cells = tuple(cell[1:-1].replace('""', '"') if cell.startswith('"') else cell for cell in written)
        if not raw.strip():
            blank += 1
        elif len(cells) == len(header):
            rows.append(Row(number, line, raw, cells))
        else:
            message = f"The row has {len(cells)} cell{'s' * (len(cells) != 1)} where the header has {len(header)}"
            malformed.append((number, line, raw, message))
        text += raw + end
    if not final_newline and records and records[-1] != [""]:
        text = text.removesuffix(end)
    content = text.encode()
    expected = Reading(rows, malformed, blank)
    assert read(content, delimiter) == expected
    assert read(content, delimiter, block_bytes=longest_line(content) + slack) == expected


CELL = st.text(st.sampled_from('a1 ,;\t|"é'), max_size=6)
BYTES = st.lists(
    st.sampled_from(
        [b"1", b"2,3", b",", b",", b'"', b'"', b'""', b"\n", b"\n", b"\r\n", b"\r", b"\0", b" ", b"\xff", "é".encode()]
    ),
    max_size=40,
).map(b"".join)


def printable(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace").replace("\0", "␀")


@given(BYTES, st.integers(0, 20))
def test_no_byte_of_any_file_is_lost(body: bytes, slack: int) -> None:
    content = b"a,b\n" + body
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK_BYTES", max(longest_line(content), 4) + slack)
        source = opened(content)
        found = reading(list(source.batches()))
    assert source.sha256 == hashlib.sha256(content).hexdigest()

    records = [(row.number, row.line, row.text) for row in found.rows]
    records += [(number, line, text) for number, line, text, _ in found.malformed]
    records.sort()
    assert len({number for number, _, _ in records}) == len(records)
    assert all(1 <= number <= len(records) + found.blank for number, _, _ in records)

    lines = [printable(line) for line in re.split(rb"\r\n|\r|\n", content)]
    covered = {1}
    for _, first, text in records:
        own = range(first, first + text.count("\n") + 1)
        assert text.replace("\r\n", "\n") == "\n".join(lines[line - 1] for line in own).rstrip("\r\n")
        assert covered.isdisjoint(own)
        covered.update(own)
    assert [line for number, line in enumerate(lines, 1) if number not in covered and line.strip()] == []


@given(
    DELIMITERS,
    st.integers(1, 4),
    st.lists(st.tuples(st.text(st.sampled_from("a1 ,;\t|.-'é売\x0b\x85\u2028"), max_size=12), LINE_END), min_size=1),
    st.booleans(),
)
def test_a_plain_block_reads_the_same_by_arrow_and_by_csv(
    delimiter: str, width: int, lines: list[tuple[str, str]], final_newline: bool
) -> None:
    block = "".join(text + end for text, end in lines).encode()
    if not final_newline and lines[-1][0]:
        block = block.rstrip(b"\r\n")
    header = delimiter.join(f"h{index}" for index in range(width)).encode() + b"\n"
    by_arrow, by_csv = (opened(header, delimiter) for _ in range(2))
    assert by_arrow._is_plain(block)
    assert reading([by_arrow._by_arrow(block)]) == reading([by_csv._by_csv(block)])
    # Where the next block starts is the same too.
    tail = delimiter.join("x" * width).encode()
    assert reading([by_arrow._by_arrow(tail)]) == reading([by_csv._by_csv(tail)])


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # few random blocks with quotes are plain
@given(DELIMITERS, st.lists(st.text(st.sampled_from('a ,;\t|"""\n'), max_size=8), min_size=1))
def test_a_block_with_quotes_reads_the_same_by_arrow_and_by_csv(delimiter: str, lines: list[str]) -> None:
    block = "\n".join(lines).encode()
    by_arrow, by_csv = (opened(f"a{delimiter}b\n".encode(), delimiter) for _ in range(2))
    assume(block and by_arrow._is_plain(block))
    assert reading([by_arrow._by_arrow(block)]) == reading([by_csv._by_csv(block)])


@given(DELIMITERS, st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6))
def test_cells_that_are_quoted_in_full_on_one_line_are_plain(delimiter: str, rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    block = text.getvalue().encode()
    by_arrow, by_csv = (opened(f"a{delimiter}b\n".encode(), delimiter) for _ in range(2))
    assert by_arrow._is_plain(block)
    found = reading([by_arrow._by_arrow(block)])
    assert found == reading([by_csv._by_csv(block)])
    assert len(found.rows) == len(rows)


@pytest.mark.parametrize(
    "block",
    [b'a,"b\n"\n', b'a,"b"c\n', b'a,b"c"\n', b"a,\0\n", b"a,\xff\n", b"a,\xed\xa0\x80\n"],
)
def test_what_arrow_would_read_otherwise_is_not_plain(block: bytes) -> None:
    assert not opened(b"a,b\n")._is_plain(block)


@pytest.mark.parametrize("block_bytes", [None, 8])
def test_a_quote_that_is_never_closed_costs_one_row(block_bytes: int | None) -> None:
    found = read(b'a,b\n1,2\n3,"4\n5,6\n7,8\n', block_bytes=block_bytes)
    assert found.cells == [("1", "2"), ("5", "6"), ("7", "8")]
    assert found.malformed == [(2, 3, '3,"4', TORN)]
    assert [row.line for row in found.rows] == [2, 4, 5]


def test_a_stray_quote_costs_one_row() -> None:
    found = read(b'a,b\n"1"x,2\n3,4\n5,inch 6" wide\n')
    assert found.cells == [("3", "4"), ("5", 'inch 6" wide')]
    assert [(number, line, text) for number, line, text, _ in found.malformed] == [(1, 2, '"1"x,2')]


SALES = "id,name,day,n,price\n1,Lamp,2026-11-20,1,10.00\n"


@pytest.mark.parametrize(
    "torn",
    [
        '2,"Chair,2026-11-20,1,20\n3,Desk,2026-11-20,1,30\n4,Screen 27",2026-11-20,1,40\n',  # inner lines
        '2,"Chair,2026-11-20,1,20\n3,Screen 27",2026-11-20,1,40\n',  # none between the two quotes
        '2,"Chair,2026-11-20,1,20\n3,Desk,2026-11-20,1,"\n4,"Rug",2026-11-20,1,40\n',  # too few cells
        '2,"Chair,2026-11-20,1,20\n3,"a, ""b""",2026-11-20,1,30\n4,Screen 27",2026-11-20,1,40\n',
    ],
)
def test_a_stray_quote_swallows_no_row(torn: str) -> None:
    found = read((SALES + torn + "5,Pen,2026-11-20,1,1\n").encode())
    first, *others = torn.splitlines()
    assert found.malformed[0] == (2, 3, first, found.malformed[0][3])
    assert found.malformed[0][3] in (SWALLOWED, TORN)
    assert len(found.rows) + len(found.malformed) == 3 + len(others)
    assert all("\n" not in row.text for row in found.rows)


@pytest.mark.parametrize(
    "name",
    ["Lamp\nblue, tall, steel, new, used", "Lamp\na,b,c,d,e\nf", "1,2,3,4,5\nx", "Lamp\n\n,,,,\nx", "x\n1,2,3,4"],
)
def test_a_cell_of_several_lines_of_prose_is_one_cell(name: str) -> None:
    found = read(f'{SALES}2,"{name}",2026-11-20,1,20\n'.encode())
    assert [row.cells[1] for row in found.rows] == ["Lamp", name]


def test_line_ends_of_several_kinds_in_one_file_each_end_a_line() -> None:
    found = read(b"a,b\n1,2\r3,4\r\n5,6\r\r7,8\n")
    assert [(row.line, row.cells) for row in found.rows] == [
        (2, ("1", "2")), (3, ("3", "4")), (4, ("5", "6")), (6, ("7", "8")),
    ]  # fmt: skip


@pytest.mark.parametrize("block_bytes", [None, 8])
@pytest.mark.parametrize("end", [b"\x1a", b"\x1a\x1a", b"\x1a\n", b"\x1a\r\n", b"\x1a\r", b"\x1a\r\n\x1a\n"])
def test_a_ctrl_z_at_the_end_is_no_row(end: bytes, block_bytes: int | None) -> None:
    assert read(b"a,b\r\n1,2\r\n" + end, block_bytes=block_bytes) == Reading([Row(1, 2, "1,2", ("1", "2"))], [], 0)
    assert read(b"a,b\n1,2\x1a3\n" + end, block_bytes=block_bytes).cells == [("1", "2\x1a3")]


@pytest.mark.parametrize(("first", "delimiter"), [("sep=;", ";"), ('"sep=,"', ","), ("SEP=|", "|"), ("sep=\t", "\t")])
def test_a_line_that_tells_excel_the_delimiter_is_no_header(first: str, delimiter: str) -> None:
    found = opened(f"{first}\r\na{delimiter}b\r\n1{delimiter}2\r\n".encode(), delimiter)
    assert (found.header, found.titles) == (["a", "b"], [])
    assert reading(list(found.batches())).rows == [Row(1, 3, f"1{delimiter}2", ("1", "2"))]


def test_a_line_that_tells_excel_another_delimiter_is_named() -> None:
    with pytest.raises(InvalidFile, match=r"line 1 says sep=;, and the feed's format.delimiter is ','"):
        opened(b"sep=;\na;b\n")


def test_titles_above_the_header_are_kept_and_are_no_rows() -> None:
    content = b'Sales of\n"March, ""all"" shops"\n\na,b\n1,2\n'
    for is_header in (lambda line, _: line == 4, lambda _, cells: cells == ["a", "b"]):
        found = Reader(decode(io.BytesIO(content), "utf-8", Limits()), ",", is_header)
        assert (found.header, found.titles) == (["a", "b"], ["Sales of", '"March, ""all"" shops"'])
        assert reading(list(found.batches())).rows == [Row(1, 5, "1,2", ("1", "2"))]


@pytest.mark.parametrize("rows", [3, 200])
def test_a_header_that_is_nowhere_is_looked_for_in_few_lines(rows: int) -> None:
    with pytest.raises(InvalidFile, match=r"the header that format.header_row describes"):
        Reader(decode(io.BytesIO(b"1,2\n" * rows), "utf-8", Limits()), ",", lambda *_: False)


def test_a_header_that_is_nowhere_is_reported_with_the_first_line_that_says_something() -> None:
    with pytest.raises(InvalidFile, match=r"describes; line 3: a,b$"):
        Reader(decode(io.BytesIO(b"sep=,\n\na,b\n1,2\n"), "utf-8", Limits()), ",", lambda line, _: line == 1)


def test_a_line_number_is_physical_also_after_a_cell_with_newlines() -> None:
    found = read(b'a,b\n1,"first\nsecond\r\nthird"\n2,x\n')
    assert found.rows == [
        Row(1, 2, '1,"first\nsecond\r\nthird"', ("1", "first\nsecond\r\nthird")),
        Row(2, 5, "2,x", ("2", "x")),
    ]


def test_a_row_with_too_few_or_too_many_cells_shifts_nothing() -> None:
    found = read(b"a,b\n1\n2,x\n3,y,z\n")
    assert found.cells == [("2", "x")]
    assert found.malformed == [
        (1, 2, "1", "The row has 1 cell where the header has 2"),
        (3, 4, "3,y,z", "The row has 3 cells where the header has 2"),
    ]


def test_a_row_with_a_nul_or_bytes_of_another_encoding_is_kept_as_text_that_can_be_stored() -> None:
    found = read(b'a,b\n1,x\0y\n2,caf\xe9\n3,caf\xc3\xa9\n4,"x\ny\0"\n')
    assert found.cells == [("3", "café")]
    assert found.malformed == [
        (1, 2, "1,x␀y", "The row contains a NUL byte"),
        (2, 3, "2,caf\\xe9", "The row is not UTF-8; say in the feed which encoding the file has"),
        (4, 5, '4,"x\ny␀"', "The row contains a NUL byte"),
    ]


def test_blank_lines_are_counted_wherever_they_stand() -> None:
    found = read(b"\n\na,b\n\n1,2\n \n\r\n3,4\n\n")
    assert (found.cells, found.blank) == ([("1", "2"), ("3", "4")], 4)
    assert [(row.number, row.line) for row in found.rows] == [(2, 5), (5, 8)]


def test_lines_that_end_in_cr_alone_are_lines() -> None:
    found = read(b'a,b\r1,"x\ry"\r\r3,4', block_bytes=12)
    assert found.rows == [Row(1, 2, '1,"x\ny"', ("1", "x\ny")), Row(3, 5, "3,4", ("3", "4"))]
    assert found.blank == 1


@pytest.mark.parametrize(
    ("written_in", "named"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-8", "UTF8"),
        ("cp1252", "cp1252"),
        ("latin-1", "latin-1"),
        ("cp850", "cp850"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_is_read_in_the_encoding_that_the_feed_names(written_in: str, named: str, end: str) -> None:
    text = end.join(["naïve,b", "é,ñ", 'Ü,"ß', '"'])
    source = opened(text.encode(written_in), ",", named)
    assert source.header == ["naïve", "b"]
    assert reading(list(source.batches())).cells == [("é", "ñ"), ("Ü", f"ß{end}")]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [(b"a,b\n1,\x81\n", "cp1252"), (b"a\0,\0b\0\n\0x", "utf-16-le"), (b"a,b\n\xff\n", "shift-jis")],
)
def test_bytes_that_do_not_fit_the_named_encoding_reject_the_file(content: bytes, encoding: str) -> None:
    with pytest.raises(InvalidFile, match=f"^the file is not {encoding}: "):
        read(content, encoding=encoding)


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_file_without_a_header_is_rejected(content: bytes) -> None:
    with pytest.raises(InvalidFile, match="the file is empty: it has no header"):
        opened(content)


@pytest.mark.parametrize("content", [b"a,b", b"a,b\n", b"\na,b\r\n"])
def test_a_header_alone_is_a_file_without_rows(content: bytes) -> None:
    assert read(content) == Reading([], [], 0)


def test_a_header_may_be_padded_quoted_and_broken_over_lines() -> None:
    source = opened(b'  Sale ID ,"Unit\n Price","a,b",,\n1,2,3,4,5\n')
    assert source.header == ["Sale ID", "Unit Price", "a,b", "", ""]
    assert [(row.number, row.line) for row in reading(list(source.batches())).rows] == [(1, 3)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'\n"a,b\n1,2\n', f"line 2: the header is not readable: {TORN}"),
        (b"a,\0\n1,2\n", "line 1: the header is not readable: The row contains a NUL byte"),
        (b"a,caf\xe9\n1,2\n", "line 1: the header is not readable: The row is not UTF-8"),
    ],
)
def test_an_unreadable_header_rejects_the_file_and_names_the_line(content: bytes, said: str) -> None:
    with pytest.raises(InvalidFile, match=f"^{said}"):
        opened(content)


def test_a_line_without_end_rejects_the_file_before_it_fills_the_memory() -> None:
    with pytest.raises(InvalidFile, match="a line is longer than 16 bytes: this is no sheet"):
        read(b"a,b\n" + b"x" * 100, block_bytes=16)


def test_a_header_with_too_many_columns_rejects_the_file_and_names_the_setting() -> None:
    assert opened(b"a,b,c", max_columns=3).header == ["a", "b", "c"]
    with pytest.raises(InvalidFile, match="the header has 4 columns, more than MAX_COLUMNS=3"):
        opened(b"a,b,c,d", max_columns=3)


@pytest.mark.parametrize("cell", ["é234567", '"é234567"', '"é23456"""', '"é23\n567"'])
@pytest.mark.parametrize("last", ["", '5,"x\ny"\n'])
def test_a_cell_that_is_too_large_costs_its_row_and_names_the_setting(cell: str, last: str) -> None:
    content = f"a,b\n1,é\n2,{cell}\n3,4\n{last}".encode()
    assert reading(list(opened(content, max_cell_bytes=8).batches())).malformed == []
    found = reading(list(opened(content, max_cell_bytes=7).batches()))
    assert [row.cells[0] for row in found.rows] == ["1", "3", *last[:1]]
    (refused,) = found.malformed
    assert refused == (2, 3, f"2,{cell}", "A cell is larger than MAX_CELL_BYTES=7")


def test_a_quote_that_is_never_closed_costs_one_row_of_a_file_of_any_length() -> None:
    content = b'a,b\n1,"2\n' + b"3,4\n" * 100
    found = reading(list(opened(content, max_cell_bytes=50).batches()))
    assert found.cells == [("3", "4")] * 100
    assert found.malformed == [(1, 2, '1,"2', "A cell is larger than MAX_CELL_BYTES=50, or a quote is never closed")]


def test_the_checksum_is_of_the_bytes_as_stored() -> None:
    content = "\ufeffa,b\r\n1,é\r\n".encode("utf-16")
    source = opened(content, ",", "utf-16")
    list(source.batches())
    assert source.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.timeout(60)
def test_quotes_that_would_each_be_read_to_the_end_of_the_file_are_no_hang() -> None:
    # Where a record begins on such a line, its last quote opens a cell, and on all the lines below another one.
    lines = 20_000
    found = read(b"a,b\n" + b'x","\n' * lines)
    assert len(found.rows) + len(found.malformed) == lines
    assert {message for *_, message in found.malformed} == {TORN}


def test_a_cell_may_have_many_lines_but_not_any_number() -> None:
    for lines, rows in ((150, 1), (250, 0)):
        cell = "\n".join("x" * lines)
        assert len(read(f'a,b\n1,"{cell}"\n'.encode()).rows) == rows


def test_a_batch_is_bounded_however_short_its_lines_are() -> None:
    batches = list(opened(b"a,b\n" + b"y\n" * (2 * BATCH_LINES + 1)).batches())
    assert [batch.rows_read for batch in batches] == [BATCH_LINES - 1, BATCH_LINES, 2]


def test_a_batch_is_bounded_where_a_record_lies_across_the_end_of_every_block() -> None:
    content = b"a,b\n" + b'1,"x\ny"\n' * 2_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK_BYTES", 1_000)
        batches = list(opened(content).batches())
    assert max(batch.rows_read for batch in batches) < 300
    assert reading(batches) == read(content)
