"""Ten thousand mutated sheets: whatever comes, a verdict on every row, or one sentence on the file."""

import bz2
import gzip
import resource
import zipfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from random import Random

import pyarrow as pa
import pytest

from loader import decoding
from loader.decoding import decode
from loader.errors import InvalidFile
from loader.reader import Reader
from loader.sales_line import SalesLine
from loader.settings import Limits
from loader.validation import Validator
from loader.verdict import Counts
from tests.unit.test_mess import MESS, content_of, feed_of

LIMITS = Limits(max_text_bytes=4_000_000, max_columns=50, max_cell_bytes=20_000)
SHEETS = 10_000
KINDS = sorted(MESS)
GROWTH_MIB = 150  # of the process over all sheets: nothing is kept of a sheet that is done

# What tears structure, and what values turn out to be.
TEARING = [
    b'"',
    b'""',
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b",",
    b";",
    b"\t",
    b"|",
    b"\\",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xe9",
]
ODD = [
    b"",
    b" ",
    b"-1",
    b"0",
    b"1e309",
    b"NaN",
    b"=1+1",
    b"9" * 25,
    b"0.1234567",
    b"2024-02-30",
    b"31/12/99",
    b"\xe2\x80\x8b",
]
ODD += [
    b"Total",
    b"sep=;",
    b"\x1a",
    b'="0042"',
    b"'7",
    b"5-",
    b"10%",
    b".5",
    b"$3",
    b"4.05E+12",
    b"***END***",
    b"Canceled",
]
ODD += ["\u22125", "\ufeff1", "e\u0301", "₹1"]  # type: ignore[list-item]
ODD += ["١٢", "Ünïcödé", "😀", "a" * 11_000, "(1,234.50)", "R$ 1", "1.234,5"]  # type: ignore[list-item]
PIECES = [piece if isinstance(piece, bytes) else str(piece).encode() for piece in TEARING + ODD]


def zipped(content: bytes) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("sheet.csv"), content, zipfile.ZIP_DEFLATED)  # of 1980, and not of now
    return packed.getvalue()


PACKINGS: list[Callable[[bytes], bytes]] = [
    partial(gzip.compress, mtime=0),  # with the time in it, a sheet could not be made again
    bz2.compress,
    zipped,
    lambda content: pa.compress(content, codec="zstd", asbytes=True),
    lambda content: content.decode("utf-8", "replace").encode("utf-16"),
]


def mutated(chance: Random) -> tuple[str, bytes]:
    """A kind of mess, and its sheet after a few mutations of bytes, cells, rows, columns or packing."""
    kind = chance.choice(KINDS)
    content = content_of(MESS[kind])
    for _ in range(chance.randint(1, 5)):
        rows = content.split(b"\n")
        whole = chance.randint(0, 5) == 0  # else the header is spared, or most sheets would be refused for it
        row = chance.randint(0 if whole else min(1, len(rows) - 1), len(rows) - 1)
        cells = rows[row].split(b",")
        cell = chance.randint(0, len(cells) - 1)
        at = chance.choice([0 if whole else len(rows[0]), len(content), *[chance.randint(0, len(content))] * 4])
        length = chance.choice([0, 1, 1, 2, 7, 40])
        match chance.randint(0, 9):
            case 0:
                content = content[:at] + chance.choice(PIECES) + content[at + length :]
            case 1:
                content = content[:at] + chance.randbytes(chance.randint(0, 8)) + content[at + length :]
            case 2:
                content = content[:at]
            case 3:
                content = content[:at] + content[at : at + length] * chance.choice([2, 3, 200]) + content[at + length :]
            case 4 | 5 | 6:
                cells[cell] = chance.choice(PIECES)
                content = b"\n".join([*rows[:row], b",".join(cells), *rows[row + 1 :]])
            case 7:
                content = b"\n".join([*rows[:row], *rows[row : row + 1] * chance.choice([0, 2, 50]), *rows[row + 1 :]])
            case 8:
                torn = (each.split(b",") for each in rows)
                content = b"\n".join(b",".join(each[:cell] + each[cell + 1 :]) for each in torn)
            case 9:
                content = chance.choice(PACKINGS)(content)
    return kind, content


@pytest.fixture(autouse=True, scope="module")
def _memory() -> None:
    """Loaded before the measuring begins."""
    verdicts(*next(iter((kind, content_of(MESS[kind])) for kind in MESS)), 10_000)


def verdicts(kind: str, content: bytes, block_bytes: int) -> Counts | None:
    """The counts of a load, each row accounted for; None where the file is refused as a whole."""
    feed = feed_of(MESS[kind])
    counts = Counts()
    places: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK_BYTES", block_bytes)
        try:
            text = decode(BytesIO(content), feed.format.encoding, LIMITS)
            source = Reader(text, feed.format.delimiter, feed.is_header)
            validator = Validator(feed, source.header, source.titles)
            read = 0
            for batch in source.batches():
                verdict = validator.validate(batch)
                counts.add(verdict)
                read += batch.rows_read
                places += verdict.accepted["row_number"].to_pylist() + [each.row_number for each in verdict.rejected]
                for each in verdict.rejected:
                    assert each.errors
                    assert each.raw_text.strip()
                    assert "\0" not in each.raw_text
                for row in verdict.accepted.select(
                    [name for name in verdict.accepted.column_names if name in SalesLine.model_fields]
                ).to_pylist():
                    SalesLine.model_validate({name: cell for name, cell in row.items() if cell is not None})
        except InvalidFile:
            return None
    assert counts.read == read == counts.loaded + counts.rejected + counts.skipped
    assert len(set(places)) == len(places) == counts.loaded + counts.rejected
    assert not places or max(places) <= counts.read
    return counts


def mutate_and_load(number: int) -> None:
    """The sheet of a number is always the same one: a failure is of the change that it comes with."""
    chance = Random(number)
    sheet, block_bytes = mutated(chance), chance.choice([1_000, 20_000])
    whole = verdicts(*sheet, 4_000_000)
    in_blocks = verdicts(*sheet, block_bytes)
    # What the first block decides by guess, the encoding, may be decided otherwise by less of the file.
    told_by_the_first_block = not sheet[1].isascii()
    assert whole is None or in_blocks is None or told_by_the_first_block or whole == in_blocks


@pytest.mark.timeout(600)
def test_no_sheet_crashes_hangs_or_loses_a_row() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(SHEETS):
        try:
            mutate_and_load(number)
        except Exception as error:
            error.add_note(f"with the sheet of mutate_and_load({number})")
            raise
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH_MIB * 1024
