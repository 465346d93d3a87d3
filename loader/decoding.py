"""A stream of bytes as stored → blocks of UTF-8 text: decompressed, decoded and hashed, in bounded memory.

The bytes themselves tell what they are. A magic number tells the compression (RFC 1952 for gzip, RFC 8878 for zstd,
APPNOTE 4.3 for zip), whatever the key ends in. A byte order mark tells the encoding, else the feed, else a guess from
the first block. A text that is ASCII there is taken for UTF-8, so that bytes of another encoding further on become
rejected rows and never wrong letters. A text that the feed calls UTF-8 is passed on as it was read.
"""

import bz2
import codecs
import gzip
import hashlib
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, cast

import pyarrow as pa

from loader.errors import InvalidFile
from loader.settings import Limits

BLOCK_BYTES = 2 * 1024 * 1024
ZIP_CONTENTS_BYTES = 4 * 1024 * 1024  # of a zip's table of contents, which is read into memory as a whole
EXPANSION_FROM_BYTES = 16 * 1024 * 1024  # a small sheet may well repeat one line a thousand times

# In order of preference: where two read a sample equally well, the first is taken. Latin-1 is read right as cp1252.
_SINGLE_BYTE = ("cp1252", "cp850", "cp1250", "mac_roman", "cp1251")
_BOMS = {  # UTF-32 before UTF-16, whose mark is the beginning of it
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    "zip": re.compile(rb"PK(?:\x03\x04|\x05\x06)"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
}
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, ValueError)
# Files that macOS and Windows add to a folder when they pack it.
_OF_A_DESKTOP = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|\._|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
_LONE_CR = re.compile(rb"\r(?!\n)")
_HELD_BYTES = 4096
# Looked for where a word begins: from each letter on, a long run of letters would take as long as its square.
_WORD = re.compile(rb"(?<![A-Za-z])[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*[0-9-]?")
_WORDS = 5000  # distinct ones that a guess looks at
_SYMBOLS = "µªºƒ"  # letters to Unicode, and no part of a word
_FIRST_BEYOND_LATIN = "\u0370"
_BEFORE_A_WORD = "“‘«¿¡"
_AFTER_A_WORD = "’”»…™®°ºª²³€"
_HARD_SPACE = "\u00a0"


@dataclass(frozen=True)
class Decoded:
    """One file as text. `blocks` are UTF-8 without a byte order mark, and can be read once."""

    blocks: Iterator[bytes]
    compression: str | None  # gzip, bzip2, zip, zstd
    encoding: str
    encoding_guessed: bool  # neither the feed nor a byte order mark says it
    limits: Limits
    _stored: "Stored"

    @property
    def sha256(self) -> str:
        """The checksum of the bytes as stored, once all blocks have been read."""
        return self._stored.hash.hexdigest()


def check_size(stored_bytes: int, limits: Limits) -> None:
    """Raises InvalidFile when an object is too large to be read at all."""
    if stored_bytes > limits.max_file_bytes:
        raise InvalidFile(f"the file has {stored_bytes:,} bytes, more than MAX_FILE_BYTES={limits.max_file_bytes}")


def decode(stream: "BinaryIO | Stored", encoding: str | None, limits: Limits) -> Decoded:
    """The text of a file; `encoding` is what the feed says, None for "find out".

    Raises InvalidFile, here or from `blocks`, when the compressed data or the text cannot be read, or is larger than
    the limits allow.
    """
    stored = stream if isinstance(stream, Stored) else Stored(stream)
    compression = _compression(stored.first)
    blocks = _decompressed(stored, compression, limits) if compression else _plain(stored, limits)
    first = next(blocks, b"")
    if compression and (inner := _compression(first)):
        raise InvalidFile(f"the {compression} data holds {inner} data in turn: pack the sheet once")
    bom = next((bom for bom in _BOMS if first.startswith(bom)), b"")
    name = _BOMS[bom] if bom else encoding or _guess(first, whole=len(first) < BLOCK_BYTES)
    guessed = not (bom or encoding)
    text = _as_utf8(_chain(first.removeprefix(bom), blocks), name, guessed)
    return Decoded(_line_feeds(text), compression, name, guessed, limits, stored)


class Stored:
    """The stream as stored, with what decompressors need of a file. Its first block can be looked at in advance."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._position = 0
        self.hash = hashlib.sha256()
        self.failure: Exception | None = None  # of the source: no fault of the file
        self.first = self._take(BLOCK_BYTES)
        self.delivered = 0  # bytes

    def read(self, size: int | None = None) -> bytes:
        size = size or BLOCK_BYTES
        if self._position < len(self.first):
            block = self.first[self._position : self._position + size]
            self._position += len(block)
        else:
            self.first = b""
            self._position = 0
            block = self._take(size)
        self.delivered += len(block)
        return block

    def close(self) -> None:
        """Arrow closes what it reads; this stream is not ours to close."""

    def _take(self, size: int) -> bytes:
        try:
            block = self._stream.read(size)
        except Exception as error:
            self.failure = error
            raise
        self.hash.update(block)
        return block


def _compression(first: bytes) -> str | None:
    return next((name for name, magic in _MAGIC.items() if magic.match(first)), None)


def _plain(stored: Stored, limits: Limits) -> Iterator[bytes]:
    while block := stored.read():
        if stored.delivered > limits.max_text_bytes:
            raise _too_much_text(limits)
        yield block


def _decompressed(stored: Stored, compression: str, limits: Limits) -> Iterator[bytes]:
    """The content, block by block: a bomb is found one block beyond a limit at the latest."""
    text_bytes = 0
    with ExitStack() as stack:
        source = cast(IO[bytes], stored)
        if compression == "zip":  # its table of contents stands at its end
            source = cast(IO[bytes], stack.enter_context(ZipSpool(BLOCK_BYTES)))
            shutil.copyfileobj(stored, source, BLOCK_BYTES)
        try:
            content = stack.enter_context(_opened(source, compression, limits))
            while block := content.read(BLOCK_BYTES):
                text_bytes += len(block)
                check_expansion(text_bytes, stored.delivered, limits)
                yield block
        except _UNREADABLE as error:
            if stored.failure:
                raise stored.failure from None
            raise InvalidFile(f"the {compression} data cannot be read, it is damaged or cut off: {error}") from error
        while stored.read():  # what bzip2 ignores behind its end is still part of the checksum
            pass


def _opened(source: IO[bytes], compression: str, limits: Limits) -> IO[bytes]:
    if compression == "gzip":
        return cast(IO[bytes], gzip.GzipFile(fileobj=source, mode="rb"))
    if compression == "bzip2":
        return bz2.BZ2File(source)
    if compression == "zstd":
        return cast(IO[bytes], pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd"))
    return _only_member(zipfile.ZipFile(source), limits)


class ZipSpool(SpooledTemporaryFile[bytes]):
    """A file for zipfile, which reads members piece by piece and only the table of contents in one large piece."""

    def read(self, size: int = -1, /) -> bytes:
        if size > ZIP_CONTENTS_BYTES:
            raise InvalidFile(f"the zip's table of contents has {size:,} bytes: pack exactly one sheet")
        return super().read(size)


def _only_member(archive: zipfile.ZipFile, limits: Limits) -> IO[bytes]:
    members = [each for each in archive.infolist() if not (each.is_dir() or _OF_A_DESKTOP.search(each.filename))]
    names = ", ".join(repr(each.filename) for each in members[:3]) + ", …" * (len(members) > 3)
    if any(each.filename == "[Content_Types].xml" for each in members):
        raise InvalidFile("the file is an office document, such as a spreadsheet: save it as CSV")
    if len(members) != 1:
        raise InvalidFile(f"the zip holds {len(members)} files{f' ({names})' * bool(names)}: pack exactly one sheet")
    (member,) = members
    if member.flag_bits & 1:
        raise InvalidFile(f"the zip is encrypted ({names}): upload it without a password")
    check_expansion(member.file_size, member.compress_size, limits)
    return archive.open(member)


def check_expansion(text_bytes: int, stored_bytes: int, limits: Limits) -> None:
    if text_bytes > limits.max_text_bytes:
        raise _too_much_text(limits)
    if text_bytes > EXPANSION_FROM_BYTES and text_bytes > stored_bytes * limits.max_expansion:
        raise InvalidFile(
            f"{stored_bytes:,} compressed bytes become more than {text_bytes:,}: beyond MAX_EXPANSION="
            f"{limits.max_expansion}"
        )


def _too_much_text(limits: Limits) -> InvalidFile:
    return InvalidFile(f"the text is longer than MAX_TEXT_BYTES={limits.max_text_bytes}")


def _as_utf8(blocks: Iterator[bytes], encoding: str, guessed: bool) -> Iterator[bytes]:
    """The same text as UTF-8; UTF-8 itself is passed through undecoded."""
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii"):
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:  # also a UTF-16 surrogate without its other half
        hint = " (guessed from its beginning: say in the feed which encoding it has)" if guessed else ""
        raise InvalidFile(f"the file is not {encoding}: {error}{hint}") from error


def _line_feeds(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The text with LF where lines end in CR alone, all of them or some, and without a Ctrl-Z at its end.

    Excel ends lines so for "Macintosh", and sheets put together of several have both. Ctrl-Z ended a file of DOS, and
    an editor may have put a line end behind it.
    """
    held = b""  # of the end of a block: whether it is what it looks like is known by what follows
    for each in blocks:
        block = held + each
        end = block[-_HELD_BYTES:]
        end = end[len(end.rstrip(b"\r\n\x1a")) :]
        held = end[end.find(b"\x1a") :] if b"\x1a" in end else b"\r" if end.endswith(b"\r") else b""
        kept = block.removesuffix(held)
        if kept.count(b"\r") != kept.count(b"\r\n"):
            kept = _LONE_CR.sub(b"\n", kept)
        yield kept
    yield b"\n" if held == b"\r" else b""


def _guess(sample: bytes, whole: bool) -> str:
    """The encoding of a text without a mark, the same for the same sample; `whole`: the sample is the whole text."""
    if wide := _utf16(sample):
        return wide
    if sample.isascii() or _decodes(sample, "utf-8", whole):
        return "utf-8"
    words = list(dict.fromkeys(_WORD.findall(sample)))[:_WORDS]
    # Most words are UTF-8: some are damaged, which are rejected rows.
    best, name = sum(not _decodes(word, "utf-8", whole=True) for word in words) / len(words), "utf-8"
    for encoding in _SINGLE_BYTE:
        oddities = [odd for word in words for odd in _oddities(word.decode(encoding, "replace"))]
        if (share := sum(oddities) / len(oddities)) < best:
            best, name = share, encoding
    return name if best < 0.25 else "utf-8"  # of no code page that is looked for


def guess_late(blocks: Iterator[bytes]) -> tuple[str, str] | None:
    """The encoding of a text whose first block is ASCII, by its later blocks, and a word to judge it by.

    None where they are UTF-8, apart from damaged bytes here and there.
    """
    words: dict[bytes, None] = {}
    for block in blocks:
        if not block.isascii() and not _decodes(block, "utf-8", whole=False):
            words |= dict.fromkeys(_WORD.findall(block))
            if len(words) >= _WORDS:
                break
    name = _guess(b"\n".join(words), whole=True)
    return None if name == "utf-8" else (name, next(iter(words)).decode(name, "replace"))


def _utf16(sample: bytes) -> str | None:
    """UTF-16 without a mark, known by its digits, delimiters and line ends: every other byte of them is NUL."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    nuls, other, name = (odd, even, "utf-16-le") if odd > even else (even, odd, "utf-16-be")
    if nuls * 10 > len(sample) and other * 10 < nuls and _decodes(sample[: len(sample) // 2 * 2], name, whole=False):
        return name
    return None


def _decodes(sample: bytes, encoding: str, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample, final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _oddities(word: str) -> Iterator[bool]:
    """For each character beyond ASCII, whether it is unlikely in its place. A wrong encoding gives `PÆo` and `Pi¤a`."""
    for index, character in enumerate(word):
        if not character.isascii():
            is_letter = character.isalpha() and character not in _SYMBOLS
            yield (_odd_letter if is_letter else _odd_symbol)(character, word[:index], word[index + 1 :])


def _odd_letter(letter: str, before: str, after: str) -> bool:
    """A capital behind a small letter, a small one among capitals, two alphabets in a word, accents all around."""
    if letter.isupper():
        odd_case = before[-1:].islower()
    else:
        odd_case = after[:1].isupper() or (len(before) > 1 and before[-2:].isupper())
    neighbours = [each for each in (before[-1:], after[:1]) if each.isalpha()]
    if letter >= _FIRST_BEYOND_LATIN:
        return odd_case or any(each < _FIRST_BEYOND_LATIN for each in neighbours)
    return odd_case or (len(neighbours) == 2 and not any(each.isascii() for each in neighbours))


def _odd_symbol(symbol: str, before: str, after: str) -> bool:
    if symbol == _HARD_SPACE:  # the same byte is a small letter in other code pages, as in `Fácil` and `Panamá`
        return after[:1].islower() or (before[-1:].islower() and not after)
    if before[-1:].isalpha():
        return after[:1].isalpha() or symbol not in _AFTER_A_WORD
    if after[:1].isalpha():
        return symbol not in _BEFORE_A_WORD
    return not symbol.isprintable() or symbol == "\ufffd"


def _chain(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from blocks
