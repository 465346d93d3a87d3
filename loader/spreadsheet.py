"""Cells for a spreadsheet, which runs text as a formula: guarded on the way out, bare again on the way back.

Excel and LibreOffice run a cell that begins with = + - @, even after white space, and in Japanese, Chinese and Korean
with the wide forms of these. Where a list is separated by `;`, they may take what follows one for a cell of its own.
Text that begins with an apostrophe is text (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import re

_BEGINNING = r"'*\s*[=+\-@＝＋－＠\t\r]"
_UNGUARDED = re.compile(rf"(^|;)(?={_BEGINNING})")
_GUARDED = re.compile(rf"(^|;)'(?={_BEGINNING})")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*", re.ASCII)


def guarded(cell: str) -> str:
    """The cell with an apostrophe in front of whatever would be run. A plain number stays one, negative ones too."""
    return cell if _NUMBER.fullmatch(cell) else _UNGUARDED.sub(r"\1'", cell)


def bare(cell: str) -> str:
    """The cell as it was before it was guarded. One whose apostrophe somebody took off already stays as it is."""
    return _GUARDED.sub(r"\1", cell)
