"""Any bytes become UTF-8 text or one clear error, in bounded memory, and the checksum stays that of the bytes."""

import bz2
import gzip
import hashlib
import io
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader import decoding
from loader.decoding import Decoded, check_size, decode
from loader.errors import InvalidFile
from loader.settings import Limits

SHEET = "id,item\n1,Gießkanne\n2,Café\n".encode()
MIB = 1024 * 1024


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def one_zip(content: bytes) -> bytes:
    return zipped(("2026/", b""), ("2026/sheet.csv", content), ("__MACOSX/2026/._sheet.csv", b"\0"))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "zip": one_zip,
    "zstd": zstd,
}


def opened(content: bytes, encoding: str | None = "utf-8", **limits: Any) -> Decoded:
    return decode(io.BytesIO(content), encoding, Limits(**limits))


def text(content: bytes, encoding: str | None = "utf-8", **limits: Any) -> bytes:
    return b"".join(opened(content, encoding, **limits).blocks)


@pytest.mark.parametrize("compression", COMPRESS)
def test_compression_is_told_by_the_content_and_the_checksum_is_of_the_bytes_as_stored(compression: str) -> None:
    content = COMPRESS[compression](SHEET)
    decoded = opened(content)
    assert b"".join(decoded.blocks) == SHEET
    assert (decoded.compression, decoded.sha256) == (compression, hashlib.sha256(content).hexdigest())


def test_plain_bytes_are_passed_on_as_they_were_read() -> None:
    first, second = b"id\n" * 3, b"1\n"
    blocks = iter([first, second, b""])

    class Source:
        def read(self, size: int) -> bytes:
            return next(blocks)

    decoded = decode(cast(BinaryIO, Source()), "utf-8", Limits())
    read = list(decoded.blocks)
    assert (decoded.compression, decoded.sha256) == (None, hashlib.sha256(first + second).hexdigest())
    assert read[0] is first
    assert read[1] is second


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "zstd"])
def test_parts_that_were_compressed_one_by_one_are_one_text(compression: str) -> None:
    compress = COMPRESS[compression]
    assert text(compress(SHEET[:9]) + compress(b"") + compress(SHEET[9:])) == SHEET


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_may_hold_its_member_in_any_way_that_zip_knows(method: int) -> None:
    assert text(zipped(("sheet.csv", SHEET), method=method)) == SHEET


def test_a_skippable_frame_of_zstd_is_no_text() -> None:
    assert text(b"\x50\x2a\x4d\x18\x03\0\0\0abc" + zstd(SHEET)) == SHEET


@pytest.mark.parametrize("compression", COMPRESS)
def test_an_empty_text_may_be_compressed(compression: str) -> None:
    assert text(COMPRESS[compression](b"")) == b""


@pytest.mark.parametrize("compression", COMPRESS)
def test_compressed_data_that_is_cut_off_rejects_the_file(compression: str) -> None:
    content = COMPRESS[compression](random.Random(1).randbytes(5000).hex().encode())
    for end in (20, len(content) // 2, len(content) - 1):
        with pytest.raises(InvalidFile, match=f"^the {compression} data cannot be read, it is damaged or cut off: "):
            text(content[:end])


@given(st.sampled_from(sorted(COMPRESS)), st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_damaged_data_is_text_or_one_error_and_never_a_crash(compression: str, position: int, damage: bytes) -> None:
    content = bytearray(COMPRESS[compression](SHEET * 3))
    content[position : position + len(damage)] = damage
    with suppress(InvalidFile):
        text(bytes(content), "latin-1")


@pytest.mark.parametrize("behind", [b"x" * 100, b"\0" * 100])
def test_what_stands_behind_the_end_of_bzip2_data_is_part_of_the_checksum(behind: bytes) -> None:
    content = bz2.compress(SHEET) + behind * 100_000
    decoded = opened(content)
    assert b"".join(decoded.blocks) == SHEET
    assert decoded.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([], "the zip holds 0 files: pack exactly one sheet"),
        ([("only/", b"")], "the zip holds 0 files: pack exactly one sheet"),
        ([("a.csv", b""), ("b.csv", b"")], "the zip holds 2 files ('a.csv', 'b.csv'): pack exactly one sheet"),
        ([(f"{n}.csv", b"") for n in range(5)], "the zip holds 5 files ('0.csv', '1.csv', '2.csv', …): pack"),
        ([("[Content_Types].xml", b""), ("xl/workbook.xml", b"")], "the file is an office document"),
    ],
)
def test_a_zip_without_exactly_one_file_is_rejected_and_names_what_it_holds(
    members: list[tuple[str, bytes]], said: str
) -> None:
    with pytest.raises(InvalidFile) as caught:
        text(zipped(*members))
    assert str(caught.value).startswith(said)


def test_a_zip_of_very_many_members_is_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "ZIP_CONTENTS_BYTES", 10_000)
    content = zipped(*[(f"{number}.csv", b"") for number in range(1_000)])
    monkeypatch.setattr(zipfile, "ZipInfo", pytest.fail)
    with pytest.raises(InvalidFile, match=r"^the zip's table of contents has [\d,]+ bytes: pack exactly one sheet"):
        text(content)


@pytest.mark.parametrize("inner", COMPRESS)
@pytest.mark.parametrize("outer", COMPRESS)
def test_a_sheet_that_is_packed_twice_is_rejected_and_says_so(outer: str, inner: str) -> None:
    with pytest.raises(InvalidFile, match=rf"^the {outer} data holds {inner} data in turn: pack the sheet once"):
        text(COMPRESS[outer](COMPRESS[inner](SHEET)))


def test_an_encrypted_zip_is_rejected_and_says_so() -> None:
    content = bytearray(zipped(("sheet.csv", SHEET)))
    content[6] |= 1  # the flag in the member's header,
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the table of contents
    with pytest.raises(InvalidFile, match=r"^the zip is encrypted \('sheet.csv'\): upload it without a password"):
        text(bytes(content))


@pytest.mark.parametrize("compression", [None, *COMPRESS])
def test_a_source_that_fails_is_no_fault_of_the_file(compression: str | None) -> None:
    content = random.Random(1).randbytes(100_000).hex().encode()
    content = COMPRESS[compression](content) if compression else content

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= len(content) // 2:
                raise ConnectionResetError("the network")
            return super().read(min(size or -1, 1000))

    with pytest.raises(ConnectionResetError, match="the network"):
        list(decode(Broken(content), "utf-8", Limits()).blocks)


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_bomb_is_refused_in_bounded_memory_and_names_the_setting(compression: str) -> None:
    bomb = COMPRESS[compression](b"0" * (64 * MIB))
    tracemalloc.start()
    sizes: list[int] = []
    with pytest.raises(InvalidFile, match=r"beyond MAX_EXPANSION=200$"):
        sizes.extend(len(block) for block in opened(bomb).blocks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(sizes) <= decoding.EXPANSION_FROM_BYTES + 2 * decoding.BLOCK_BYTES
    assert peak < 6 * decoding.BLOCK_BYTES


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_small_file_may_be_as_repetitive_as_it_likes(compression: str) -> None:
    content = b"1,2\n" * (3 * MIB)
    assert text(COMPRESS[compression](content), max_expansion=1) == content


@pytest.mark.parametrize("compression", [None, *COMPRESS])
def test_a_text_that_is_too_long_is_refused_and_names_the_setting(compression: str | None) -> None:
    content = COMPRESS[compression](SHEET) if compression else SHEET
    assert text(content, max_text_bytes=len(SHEET)) == SHEET
    with pytest.raises(InvalidFile, match=f"^the text is longer than MAX_TEXT_BYTES={len(SHEET) - 1}$"):
        text(content, max_text_bytes=len(SHEET) - 1)


def test_an_object_that_is_too_large_is_refused_and_names_the_setting() -> None:
    check_size(1000, Limits(max_file_bytes=1000))
    with pytest.raises(InvalidFile, match=r"^the file has 1,001 bytes, more than MAX_FILE_BYTES=1000$"):
        check_size(1001, Limits(max_file_bytes=1000))


@pytest.mark.parametrize("said", [None, "utf-8", "utf-16", "utf-16-le", "utf-32", "cp1252"])
@pytest.mark.parametrize("written_in", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_says_the_encoding_whatever_the_feed_says(said: str | None, written_in: str) -> None:
    decoded = opened(("\ufeff" + SHEET.decode()).encode(written_in), said)
    assert b"".join(decoded.blocks) == SHEET
    assert (decoded.encoding, decoded.encoding_guessed) == (written_in, False)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1", "cp850", "utf-16-le", "gb18030"])
def test_what_the_feed_says_is_no_guess(encoding: str) -> None:
    sheet = "id,item\n1,Cafe\n" if encoding == "gb18030" else SHEET.decode()
    decoded = opened(sheet.encode(encoding), encoding)
    assert (b"".join(decoded.blocks).decode(), decoded.encoding, decoded.encoding_guessed) == (sheet, encoding, False)


def guessed(content: bytes) -> str:
    decoded = opened(content, None)
    assert decoded.encoding_guessed
    return decoded.encoding


@pytest.mark.parametrize("written_in", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "sheet", ["id;total\n1;5\n", "id,товар\n1,Книга\n2,Ручка\n", "id,商品\n1,本\n", SHEET.decode()]
)
def test_unicode_is_recognised_without_a_byte_order_mark(written_in: str, sheet: str) -> None:
    assert guessed(sheet.encode(written_in)) == written_in
    assert text(sheet.encode(written_in), None).decode() == sheet


def test_a_character_that_the_end_of_the_sample_cuts_is_still_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK_BYTES", SHEET.index("ß".encode()) + 1)
    assert guessed(SHEET) == "utf-8"
    assert text(SHEET, None) == SHEET


@pytest.mark.parametrize(
    "words",
    [
        "artículo;descripción|niño;Teléfono móvil|Muñoz;Ratón inalámbrico|Peña;Cámara",
        "producto|Piña",
        "cliente|JOSÉ MUÑOZ|CAMIÓN",
        "ciudad|Málaga|A Coruña|Ávila",
        "Artikel;Größe|Gießkanne;groß|Übertopf;klein|Schäfer;Blumenkästen",
        "Artikel|Tür",
        "KUNDE|MÜLLER|BÄRBEL",
        "libellé|Théière émaillée|Gâteau à la crème brûlée|Noël|François|Hélène Lefèvre",
        "article|café",
        "pedido;produto;região|1;Pão de queijo;São Paulo|2;Maçã e limão;Paraná|3;Coração;Ceará",
        "produto|Maçã",
        "PRODUTO|MAÇÃ|PÃO|CORAÇÃO",
    ],
)
@pytest.mark.parametrize("written_in", ["cp1252", "cp850"])
def test_the_code_page_of_western_words_is_guessed(words: str, written_in: str) -> None:
    content = words.replace("|", "\r\n").encode(written_in)
    assert guessed(content) == written_in
    assert text(content, None).decode() == words.replace("|", "\r\n")


@pytest.mark.parametrize(
    ("words", "written_in"),
    [
        ("preis\n12,50 €\n3,00 €", "cp1252"),
        ("nota\n“Descuento” – 5 %\nNº 7\n20 °C", "cp1252"),
        ("produkt\nłyżka\nźródło\nżółty", "cp1250"),
        ("produit\nthéière\ncrème brûlée\nFrançois", "mac_roman"),
        ("товар\nКнига\nРучка\nТЕТРАДЬ", "cp1251"),
    ],
)
def test_other_code_pages_that_sheets_come_in_are_guessed(words: str, written_in: str) -> None:
    assert guessed(words.encode(written_in)) == written_in


def test_a_word_of_a_million_letters_keeps_nobody_waiting() -> None:
    assert guessed(b"id,item\n1," + b"a" * 1_000_000 + b",Caf\xe9\n") == "cp1252"


def test_a_few_damaged_words_do_not_make_utf_8_another_encoding() -> None:
    content = "id,item\n1,Gießkanne\n2,Café\n3,Müller\n4,Piña\n5,".encode() + b"T\xfcr\n"
    assert guessed(content) == "utf-8"
    assert text(content, None) == content


def test_bytes_that_make_no_words_anywhere_are_left_to_be_rejected_as_utf_8() -> None:
    content = "商品,数量\n本,1\n鉛筆,2\n消しゴム,3\n".encode("shift-jis")
    assert guessed(content) == "utf-8"


def test_a_text_that_begins_as_ascii_is_taken_for_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK_BYTES", 8)
    content = b"id,item\n1,Caf\xe9\n"
    assert guessed(content) == "utf-8"
    assert text(content, None) == content  # the reader rejects the row


def test_a_guess_that_the_rest_of_the_file_refutes_says_that_it_was_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BLOCK_BYTES", 16)
    content = b"id,item\n1,Caf\xe9\n2,\x81\n"
    with pytest.raises(InvalidFile, match=r"^the file is not cp1252: .* \(guessed .*say in the feed which encoding"):
        text(content, None)


@given(st.binary(max_size=60))
def test_any_bytes_have_an_encoding(content: bytes) -> None:
    with suppress(InvalidFile):
        decoded = opened(content, None)
        assert decoded.encoding == opened(content, None).encoding
        b"".join(decoded.blocks).decode("utf-8", "surrogateescape")
