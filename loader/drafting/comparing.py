"""Two sheets of one feed: what the newer one writes otherwise, from a sample of each."""

from collections.abc import Iterator

from loader.drafting.dates import formats_of
from loader.drafting.recognition import Column, Guess, Sheet, guess_numbers, plain_number, probe_feed
from loader.formats import KINDS

_WORDS = 50  # of a column with more, a new word is no news
_SHOWN = 3
_FAR = 10  # times as large, or as small: no season makes such a difference


def differences(old: Sheet, new: Sheet) -> Iterator[str]:
    """Sentences on columns, formats, ranges and words; none where the sheets are alike."""
    was, now = (sheet.encoding if sheet.encoding in KINDS else "csv" for sheet in (old, new))
    if was != now:
        yield f"kind of file: {now}, and was {was}"
    for what in ("compression", "encoding", "delimiter") if was == now else ():
        if getattr(old, what) != getattr(new, what):
            yield f"{what}: {getattr(new, what)!r}, and was {getattr(old, what)!r}"
    before, after = ({each.header: each for each in sheet.columns if each.header} for sheet in (old, new))
    yield from (f"column {header!r} is gone" for header in before if header not in after)
    yield from (f"column {header!r} is new" for header in after if header not in before)
    signs = [_signs(sheet) for sheet in (old, new)]
    if signs[0] != signs[1]:
        yield f"numbers are written as {_example(*signs[1])}, and were as {_example(*signs[0])}"
    for header in filter(after.__contains__, before):
        yield from (f"column {header!r} {said}" for said in _of_column(before[header], after[header], old, new))


def _of_column(before: Column, after: Column, old: Sheet, new: Sheet) -> Iterator[str]:
    if before.empty or after.empty:
        if before.empty != after.empty:
            yield "is empty now" if after.empty else "has cells now"
    elif before.dated and not before.numeric:
        was, now = formats_of(before, old), formats_of(after, new)
        if set(now) - set(was):
            yield f"is written as {' or '.join(now)}, and was as {' or '.join(was)}"
    elif before.numeric:
        yield from _of_numbers(_numbers(before, old), _numbers(after, new))
    elif len(before.values) <= _WORDS:
        known = {text.casefold() for text in before.values}
        words = [f"{text!r} ({n})" for text, n in after.values.most_common() if text.casefold() not in known]
        if words:
            more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
            yield f"has new words: {', '.join(words[:_SHOWN])}{more}"


def _of_numbers(was: list[float], now: list[float]) -> Iterator[str]:
    if was and not now:
        yield "has no numbers now"
    elif was and now:
        largest = max(map(abs, was)), max(map(abs, now))
        if min(now) < 0 <= min(was) or max(largest) > _FAR * min(largest):
            yield f"goes from {min(now):g} to {max(now):g}, and went from {min(was):g} to {max(was):g}"


def _signs(sheet: Sheet) -> tuple[str, str | None]:
    guess = Guess("")
    guess_numbers(sheet, guess)
    return guess.form["decimal"], guess.form.get("thousands")


def _example(decimal: str, thousands: str | None) -> str:
    return f"1{thousands or ''}234{decimal}56"


def _numbers(column: Column, sheet: Sheet) -> list[float]:
    decimal, thousands = _signs(sheet)
    probe = probe_feed(decimal=decimal, thousands=thousands)
    return [float(number) for match in column.numbers if (number := plain_number(probe, match["number"]))]
