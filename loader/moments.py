"""Texts of cells → canonical dates and moments, by the forms that the feed lists; and moments back to text."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from loader.cells import UNREADABLE
from loader.months import in_english

_ZONE = re.compile(r"\b(?:UTC|GMT|Z)\b")
# Digits of strptime's numeric codes. https://docs.python.org/3/library/datetime.html#format-codes
_WIDTHS = dict.fromkeys("dmyHIMSUWV", r"\d{2}") | dict.fromkeys("YG", r"\d{4}") | {"j": r"\d{3}", "f": r"\d{1,6}"}
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?", re.ASCII)
_ISO_FORMATS = {10: "%Y-%m-%d", 19: "%Y-%m-%d %H:%M:%S"}


def whole_date(form: str) -> str:
    """The form, if it is one of whole dates. Raises ValueError."""
    sample = datetime(2024, 12, 31, 23, 59, 58, tzinfo=UTC)
    try:
        parsed = datetime.strptime(sample.strftime(form), form)  # noqa: DTZ007  # only its date is looked at
    except (ValueError, re.error) as error:
        raise ValueError(f"{form!r} is not a date format such as %Y-%m-%d: {error}") from error
    if parsed.date() != sample.date():
        raise ValueError(f"{form!r} does not give year, month and day, as %Y-%m-%d does")
    if "%Z" in form and "%z" in form:
        raise ValueError(f"{form!r} has a zone twice: %Z reads UTC, GMT and Z, and %z an offset")
    if ("%I" in form) != ("%p" in form):
        raise ValueError(f"{form!r} does not tell morning from evening: %I and %p go together, and %H goes alone")
    return form


def read_moment(text: str, forms: Sequence[str], timezone: str, *, with_zone: bool) -> str:
    """The canonical moment, or without `with_zone` its date; the text marked as unreadable where no form reads it."""
    iso = _ISO_FORMATS[len(text)] if _ISO_TIME.fullmatch(text) else None
    for form in forms:
        try:
            # The feed's zone is given below. strptime reads the same, ten times as slowly.
            parsed = datetime.fromisoformat(text) if form == iso else _strptime(text, form)
            if not with_zone:
                return parsed.date().isoformat()
            zone = ZoneInfo(timezone)
            local = parsed.astimezone(zone) if parsed.tzinfo else parsed.replace(tzinfo=zone)
            return local.isoformat()
        except (ValueError, OverflowError):  # of another format, or beyond the calendar in the feed's zone
            continue
    return UNREADABLE + text


def write_moment(moment: datetime, forms: Sequence[str], timezone: str) -> str:
    """A moment in the first of the forms that reads as it, to the second; else in ISO's.

    A moment without a zone is in `timezone`. Where no form can say it, it is refused later, as any other date is.
    """
    zone = ZoneInfo(timezone)
    local = moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)
    meant = {local.isoformat(), local.replace(microsecond=0).isoformat()}
    for form in forms:
        if read_moment(text := local.strftime(form), forms, timezone, with_zone=True) in meant:
            return text
    return iso_text(moment)


def is_midnight(moment: datetime) -> bool:
    return moment.time() == time() and not moment.tzinfo


def iso_text(moment: datetime) -> str:
    """Without a time of day where that is midnight."""
    return moment.date().isoformat() if is_midnight(moment) else moment.isoformat(sep=" ")


def _strptime(text: str, form: str) -> datetime:
    """As Python's, without what it passes over: a zone's name, a weekday that is another, zeros that were lost.

    Raises ValueError.
    """
    exact = _exact(form)
    if exact and not exact.fullmatch(text):
        raise ValueError("its digits are of another number than the format's")
    if "%b" in form or "%B" in form:
        text = in_english(text, form)
    if "%Z" in form:
        text, form = _ZONE.sub("+0000", text), form.replace("%Z", "%z")
    parsed = datetime.strptime(text, form)  # noqa: DTZ007  # a time without a zone gets the feed's
    if re.search("%[aA]", form) and f"{parsed:%a}".casefold() not in text.casefold():
        raise ValueError("its weekday is another one")
    return parsed


@lru_cache
def _exact(form: str) -> re.Pattern[str] | None:
    """Where codes stand side by side, each has all its digits: 1112026 may be two dates. None: no two do."""
    parts = re.findall(r"%.|[^%]+", form)
    numeric = [part[0] == "%" and part[1:] in _WIDTHS for part in parts]
    beside = [
        each and (before or after)
        for before, each, after in zip([False, *numeric[:-1]], numeric, [*numeric[1:], False], strict=True)
    ]
    if not any(beside):
        return None
    return re.compile(
        "".join(
            _WIDTHS[part[1]] if fixed else ".+?" if part[0] == "%" else r"\s+" if part.isspace() else re.escape(part)
            for part, fixed in zip(parts, beside, strict=True)
        ),
        re.ASCII,
    )
