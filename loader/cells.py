"""The text of a cell as a person sees it: two cells that look the same are the same.

Sheets that went through a spreadsheet, a web page or a mail have characters that nobody sees, spaces of other kinds,
letters put together of two characters, and the marks by which Excel is kept from reading an identifier as a number.
"""

import re
import unicodedata

# Zero-width space, word joiner, byte order mark, direction marks, soft hyphen.
_INVISIBLE = re.compile("[\u200b\u2060\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069\u00ad\u180e]")
# They are part of the spelling in Persian and in scripts of India, and of some emoji; between Latin letters nobody
# sees them.
_JOINERS = re.compile("[\u200c\u200d]")
_FIRST_THAT_JOINS = "\u0590"
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_EXCEL_TEXT = re.compile(r'="((?:[^"]|"")*)"')


def as_seen(text: str) -> str:
    """The text without what nobody sees, outer spaces, and the marks of a text: `="0042"`, quotes behind a space."""
    seen = text.strip()
    if not seen.isascii():
        seen = _SPACES.sub(" ", _INVISIBLE.sub("", seen))
        without = _JOINERS.sub("", seen)
        if all(each < _FIRST_THAT_JOINS for each in without):
            seen = without
        seen = unicodedata.normalize("NFC", seen).strip()
    if '"' in seen:
        if marked := _EXCEL_TEXT.fullmatch(seen):
            seen = marked[1].replace('""', '"').strip()
        elif text[:1].isspace() and len(seen) > 1 and seen[0] == seen[-1] == '"':
            seen = seen[1:-1].replace('""', '"').strip()
    return seen


def all_as_seen(texts: list[str]) -> list[str]:
    """`as_seen` of each text; of texts that are plain, as most are, at the cost of a strip."""
    joined = "".join(texts)
    if joined.isascii() and '"' not in joined:
        return [text.strip() for text in texts]
    return [as_seen(text) for text in texts]


def unmarked(seen: str) -> str:
    """An identifier or number without the apostrophe in front by which a spreadsheet keeps it as text."""
    return seen.removeprefix("'")
