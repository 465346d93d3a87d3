"""Texts of cells → canonical numbers: plain decimals, whatever signs, separators and currencies the sheet writes."""

import re
from decimal import Decimal

from loader.cells import UNREADABLE

# The currencies (ISO 4217) that write a sign.
_CURRENCIES = {
    "R$": "BRL",
    "$": "USD ARS AUD BBD BMD BND BSD BZD CAD CLP COP CUP CVE DOP FJD GYD HKD JMD KYD LRD MXN NAD NIO NZD SBD SGD SRD "
    "TTD TWD UYU XCD ZWG ZWL",
    "€": "EUR",
    "£": "GBP EGP FKP GIP LBP SDG SHP SSP SYP",
    "¥": "JPY CNY",
}
SIGNS = {sign: frozenset(currencies.split()) for sign, currencies in _CURRENCIES.items()}
_CURRENCY = "|".join(map(re.escape, SIGNS))
_SIGN = re.compile(_CURRENCY)
_ZERO = re.compile(rf"(?:{_CURRENCY})\s*-")  # accounting formats write nothing as a dash
CANONICAL_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_GROUPS = {" ": "[ \u00a0\u202f]", "'": "['\u2019]"}  # spreadsheets group with characters that look like these
_RATING_CHARACTERS = 21  # as many as a canonical number has at most


def number_pattern(decimal: str, thousands: str | None, *, trailing_minus: bool) -> re.Pattern[str]:
    """The texts that are numbers: optional currency sign, parentheses or a leading sign, grouped digits, fraction.

    Grouping is checked (three digits at the end, two or three before: lakhs), so that 1.5 never reads as 15.
    """
    whole = r"\d+"
    if thousands:
        group = _GROUPS.get(thousands, re.escape(thousands))
        whole = rf"(?:\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+)"
    point = re.escape(decimal)
    number = rf"(?:(?P<whole>{whole})(?:{point}(?P<fraction>\d*))?|{point}(?P<bare>\d+))"
    after = r"(?(sign)(?!)|(?(open)(?!)|(?P<after>-)))?" if trailing_minus else "(?P<after>(?!))?"
    return re.compile(
        rf"(?:(?P<currency>{_CURRENCY})\s*)?(?:(?P<open>\()|(?P<sign>[-+\u2212]))?\s*"
        rf"(?(currency)|(?:(?:{_CURRENCY})\s*)?){number}\s*{after}(?(open)\))",
        re.ASCII,
    )


def read_number(text: str, pattern: re.Pattern[str], *, percent: bool) -> str:
    """The canonical number, or the text marked as unreadable. `percent`: 15 means 0.15."""
    if _ZERO.fullmatch(text):
        return "0"
    match = pattern.fullmatch(text)
    if not match:
        return UNREADABLE + text
    whole = re.sub(r"\D", "", match["whole"] or "0")
    sign = "-" if match["sign"] in ("-", "\u2212") or match["open"] or match["after"] else ""
    fraction = match["fraction"] or match["bare"] or ""
    if percent:
        digits = whole.rjust(3, "0")
        whole, fraction = digits[:-2], digits[-2:] + fraction
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def read_rating(text: str, pattern: re.Pattern[str], scale: int) -> str:
    """A rating as its share of five stars, half a star up; never less than one. `4,5/5` says its scale again."""
    given, slash, best = (part.strip() for part in text.partition("/"))
    number = read_number(given, pattern, percent=False)
    within = len(number) <= _RATING_CHARACTERS and CANONICAL_NUMBER.fullmatch(number)
    if (
        not within
        or not 0 < Decimal(number) <= scale
        or (slash and read_number(best, pattern, percent=False) != str(scale))
    ):
        return UNREADABLE + text
    return str(max(1, int((10 * Decimal(number) + scale) // (2 * scale))))


def sign_of(text: str) -> str | None:
    """The sign of a currency that an amount carries."""
    found = _SIGN.search(text)
    return found[0] if found else None


def contradicts(text: str, currency: str | None) -> bool:
    """Whether an amount carries the sign of a currency that is not the one of its line."""
    sign = sign_of(text) if currency and currency != "XXX" else None
    return sign is not None and currency not in SIGNS[sign]
