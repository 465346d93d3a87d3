"""How the dates of a sheet are written, and which column has that of the sale.

A guess that the cells do not prove carries the reason for it.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from loader.drafting import vocabulary
from loader.drafting.recognition import Column, Guess, Sheet
from loader.drafting.vocabulary import words
from loader.months import in_english
from loader.sales_line import DATE_FIELDS

_DAYS = (
    *("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y"),
    *("%Y年%m月%d日", "%b %d, %Y", "%B %d, %Y", "%A, %B %d, %Y", "%A, %d %B %Y", "%a, %d %b %Y"),
    *("%d/%b/%Y", "%d/%b/%y", "%b-%d-%y", "%b-%d-%Y", "%d. %B %Y", "%d. %b %Y", "%d de %B de %Y", "%d de %b de %Y"),
)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")
_BETWEEN = (" ", "T", ", ")  # a date and its time
_PARTED = re.compile(r"\d\D+\d")  # no number of eight digits
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?(?: ?[AaPp][Mm])?")


def guess_dates(sheet: Sheet, by_field: dict[str, Column], guess: Guess) -> None:
    """Every format that a date column needs, the commonest first."""
    dates = {name: by_field[name] for name in ("sold_at", *sorted(DATE_FIELDS)) if name in by_field}
    if guess.part == "items":
        dates.pop("sold_at", None)
    elif "sold_at" not in dates:
        free = [each for each in sheet.columns if each.dated and _PARTED.search(next(iter(each.values)))]
        free = [each for each in free if each not in by_field.values()]
        if len(free) > 1:
            told = " or ".join(repr(each.header) for each in free)
            guess.remarks.append(f"{told} has dates: which is that of the sale, the cells do not say")
        elif free:
            dates["sold_at"] = by_field["sold_at"] = free[0]
            guess.review("sold_at", f"the header {free[0].header!r} says nothing; the only free column of dates")
    if "sold_at" in dates and (clock := _clock(sheet.columns)):
        if not any("%H" in form or "%I" in form for form in formats_of(dates["sold_at"], sheet)):
            dates["sold_at"] = by_field["sold_at"] = _joined(dates["sold_at"], clock)
        else:
            guess.remarks.append(f"{clock.header!r} is a time of day, which is no part of sold_at")
    forms: list[str] = []
    for column in dates.values():
        forms += [form for form in _forms_of(column, sheet, guess) if form not in forms]
    if forms:
        guess.form["dates"] = forms
    if any("%H" in form or "%I" in form for form in forms):
        zones = any("%z" in form.casefold() for form in forms)
        guess.form["timezone"] = "UTC"
        guess.review(
            "timezone", f"the zone of the shop; its local date is the sale date{' of times with an offset' * zones}"
        )


def _clock(columns: list[Column]) -> Column | None:
    return next((each for each in columns if each.values and all(map(_CLOCK.fullmatch, each.values))), None)


def _joined(day: Column, clock: Column) -> Column:
    cells = [" ".join(pair) for pair in zip(day.cells, clock.cells, strict=True)]
    return Column(day.header, cells, (day.header, clock.header), day.role)


def formats_of(column: Column, sheet: Sheet) -> list[str]:
    """The formats that its dates need."""
    return _forms_of(column, sheet, Guess(""))


def _forms_of(column: Column, sheet: Sheet, guess: Guess) -> list[str]:
    left = set(column.values)
    probe = list(column.values)[:: max(1, len(column.values) // 40)]
    reads = {
        form: fits
        for form in _formats(probe)
        if any(_parsed(text, form) for text in probe) and (fits := {text for text in left if _parsed(text, form)})
    }
    forms: list[str] = []
    enough = max(2, len(left) * 0.02) if len(left) > 5 else 1
    while reads:
        best = max(reads, key=lambda form: len(reads[form] & left))
        gain = reads[best] & left
        if len(gain) < enough:
            break
        twin = _twin(best)
        if twin in reads and len(reads[twin] & left) == len(gain):
            best = _ordered(column, best, twin, sheet, guess)
        elif twin in reads and len(reads[twin] - reads[best]) >= enough:
            guess.review("dates", f"{column.header!r} has days first and months first; what is both is read as {best}")
        elif twin:
            proof = next((text for text in column.values if text in gain and not _parsed(text, twin)), "")
            if proof:
                guess.review("dates", f"{best} because of {proof!r} in {column.header!r}")
        forms.append(best)
        left -= gain
    return forms


def dates_of(texts: list[str], known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Further formats that read some of these texts, each with what a person has to judge; "" where they prove it."""
    for form in _formats(texts):
        read = [text for text in texts if _parsed(text, form)] if form not in known else []
        twin = _twin(form)
        if read and twin and twin in known:
            yield form, f"day and month stand in either order, and {read[0]!r} is of {form}"
        elif read:
            ambiguous = twin and all(_parsed(text, twin) for text in read)
            yield form, f"{read[0]!r} is of {form} and not of {twin}" * bool(ambiguous)


def _formats(probe: list[str]) -> Iterator[str]:
    """Those that these texts may be in: strptime takes a while to learn a format."""
    zones = ["", "%z", " %z"] if any(re.search(r":.*(?:Z|[-+]\d\d:?\d\d)$", text) for text in probe) else [""]
    zones += [" %Z"] if any(re.search(r": ?.* (?:UTC|GMT|Z)$", text) for text in probe) else []
    with_clock = any(":" in text for text in probe)
    for day in _DAYS:
        yield day
        if with_clock:
            yield from (f"{day}{between}{clock}{zone}" for between in _BETWEEN for clock in _CLOCKS for zone in zones)


def _parsed(text: str, form: str) -> datetime | None:
    if "%Y%m%d" in form and not re.match(r"(?:19|20)\d{6}(?!\d)", text):
        return None  # any number of six digits would be a date
    if "%b" in form or "%B" in form:
        text = in_english(text, form)
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007  # only its date is looked at
    except ValueError:
        return None


def _twin(form: str) -> str | None:
    """The same with day and month changed about, where that is another format in use."""
    swapped = form.translate({ord("d"): "m", ord("m"): "d"})
    return swapped if re.match(r"%[dm][-/]%[dm]", form) else None


def _ordered(column: Column, form: str, twin: str, sheet: Sheet, guess: Guess) -> str:
    """Of two orders that read the same cells, the one that another column, or the order of the rows, speaks for."""
    day_first, month_first = sorted((form, twin))
    readings = {each: [_parsed(cell, each) for cell in column.cells] for each in (day_first, month_first)}
    for other in sheet.columns:
        if words(other.header) in vocabulary.MONTHS:
            right = {
                each: sum(
                    cell.casefold() in {str(date.month), f"{date:%m}", f"{date:%B}".casefold(), f"{date:%b}".casefold()}
                    for date, cell in zip(dates, other.cells, strict=True)
                    if date
                )
                for each, dates in readings.items()
            }
            best = max(right, key=lambda each: right[each])
            if right[best] > 0.95 * sum(1 for date in readings[best] if date):
                guess.review("dates", f"{best} because of the column {other.header!r}")
                return best
    steps = {
        each: sum(one > two for one, two in pairwise(known))
        for each, dates in readings.items()
        if (known := [date for date in dates if date])
    }
    if steps[day_first] != steps[month_first] and min(steps.values()) == 0:
        best = min(steps, key=lambda each: steps[each])
        guess.review("dates", f"{best} because the rows are in order by it; no day in {column.header!r} is above 12")
        return best
    guess.review("dates", f"AMBIGUOUS: no day in {column.header!r} is above 12; if the month is first: {month_first}")
    return day_first
