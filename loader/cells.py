"""The text of a cell as a person sees it: two cells that look the same are the same.

Sheets that went through a spreadsheet, a web page or a mail have characters that nobody sees, spaces of other kinds,
letters made of two characters, and the marks that keep Excel from reading an identifier as a number.
"""

import csv
import re
import unicodedata
from collections.abc import Sequence
from io import StringIO

# Zero-width space, word joiner and invisible operators, byte order mark, direction marks, soft hyphen, grapheme joiner.
_INVISIBLE = re.compile("[\u200b\u2060-\u2064\ufeff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u00ad\u034f\u180e]")
# Joiners are part of the spelling in Persian, in scripts of India and of some emoji. At the end of a text, and beside
# characters that are used with Latin letters, nobody sees them.
_SEEN_BESIDE = "[^\u0000-\u058f\u2000-\u206f\u20a0-\u20cf]"
_JOINERS = re.compile(f"(?<!{_SEEN_BESIDE})[\u200c\u200d]+|[\u200c\u200d]+(?!{_SEEN_BESIDE})")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Put before a text that is not written as the feed says, or it could pass for canonical and mean something else: 1.234
# where the decimal sign is a comma, 2024-05-06 where the sheet writes %Y-%d-%m.
UNREADABLE = "unreadable: "
_EXCEL_TEXT = re.compile(r'="((?:[^"]|"")*)"')


def as_seen(text: str) -> str:
    """The text without what nobody sees, outer spaces, and the marks of a text: `="0042"`, quotes behind a space."""
    seen = text.strip()
    if not seen.isascii():
        seen = _JOINERS.sub("", _SPACES.sub(" ", _INVISIBLE.sub("", seen)))
        seen = unicodedata.normalize("NFC", seen).strip()
    if '"' in seen:
        if marked := _EXCEL_TEXT.fullmatch(seen):
            seen = marked[1].replace('""', '"').strip()
        elif text[0] != '"' and len(seen) > 1 and seen[0] == seen[-1] == '"':  # behind a space, or a byte order mark
            seen = seen[1:-1].replace('""', '"').strip()
    return seen


def all_as_seen(texts: list[str]) -> list[str]:
    """`as_seen` of each text; plain texts, as most are, cost no more than a strip."""
    joined = "".join(texts)
    if joined.isascii() and '"' not in joined:
        return [text.strip() for text in texts]
    return [as_seen(text) for text in texts]


def unmarked(seen: str) -> str:
    """An identifier or number without the apostrophe that a spreadsheet puts in front to keep it as text."""
    return seen.removeprefix("'")


def record(cells: Sequence[str], delimiter: str) -> str:
    """The cells as a line of CSV, without its end."""
    text = StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerow(cells)  # with a line end, for only what is in it is quoted
    return text.getvalue().removesuffix("\r\n")
