"""Compares a file's header with the feed's columns: where each canonical field stands, and what has drifted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain, count
from typing import TYPE_CHECKING

from loader.errors import InvalidFile

if TYPE_CHECKING:
    from loader.feeds import Feed


@dataclass(frozen=True)
class Drift:
    """How the header differs from the feed; the ledger keeps it, and `loader check` shows it."""

    unknown: list[str] = field(default_factory=list)  # headers that the feed does not map: kept in `extra`
    missing: dict[str, str] = field(default_factory=dict)  # canonical field → header, of optional columns
    renamed: dict[str, str] = field(default_factory=dict)  # header that is missing → header that it probably is now
    titles: list[str] = field(default_factory=list)  # records above the header
    # Field → word that no line_type rule knows → rows.
    undecided: dict[str, dict[str, int]] = field(default_factory=dict)
    signs: list[str] = field(default_factory=list)  # of currencies, in rows that state none

    def mixed_signs(self) -> str | None:
        """A sentence where rows that state no currency have the signs of several."""
        if len(self.signs) < 2:
            return None
        return f"amounts have the signs {' and '.join(self.signs)}, and no currency is stated: they are summed as one"

    def undecided_words(self) -> str | None:
        """A sentence on the words that no line_type rule knows; None where there are none."""
        said = []
        for name, words in self.undecided.items():
            first = (f"{word!r} ({rows} row{'s' * (rows > 1)})" for word, rows in list(words.items())[:3])
            said.append(f"{name} says {', '.join(first)}")
        return f"{'; '.join(said)}: no line_type rule knows that, so they count as sales" if said else None


@dataclass(frozen=True)
class Matched:
    """`sources`: the positions of each mapped field; `unknown`: the key in `extra` for each other position."""

    sources: dict[str, tuple[int, ...]]
    unknown: dict[int, str]
    drift: Drift


def match_header(feed: "Feed", header: list[str], titles: Sequence[str] = ()) -> Matched:
    """Find the columns of the feed in the header, without regard to case and outer spaces.

    Raises InvalidFile when a column is missing that is not optional, or stands twice, naming the likely new header.
    """
    folded = [name.casefold() for name in header]
    sources: dict[str, tuple[int, ...]] = {}
    missing: dict[str, str] = {}
    problems: dict[str, str] = {}  # wanted header → sentence
    for name, column in feed.columns.items():
        wanted = column.wanted_headers
        found = [next((each for each in aliases if each.casefold() in folded), None) for aliases in wanted]
        for aliases, each in zip(wanted, found, strict=True):
            if each is None and column.optional:
                missing[name] = aliases[0]
            elif each is None:
                said = " or ".join(map(repr, aliases))
                problems[aliases[0]] = f"column {said} for {name} is missing"
            elif folded.count(each.casefold()) > 1:
                problems[each] = f"column {each!r} for {name} stands {folded.count(each.casefold())} times"
        if wanted and None not in found:
            sources[name] = tuple(folded.index(each.casefold()) for each in found if each is not None)
    used = set(chain.from_iterable(sources.values()))
    unknown = {position: name for position, name in enumerate(header) if position not in used}
    renamed = _likely_renames([*problems, *missing.values()], [name for name in unknown.values() if name], folded)
    if problems:
        sentences = [
            f"{sentence} (renamed to {renamed[wanted]!r}?)" if wanted in renamed else sentence
            for wanted, sentence in problems.items()
        ]
        if not used:
            read = feed.format.delimiter.join(header)[:200]
            remedy = (
                "If the header is further down, set format.header_row: found; if cells are separated otherwise, set"
            )
            sentences = [f"none of its columns is in it: {read!r}. {remedy} format.delimiter"]
        raise InvalidFile(f"the header does not fit feed {feed.feed}: {'; '.join(sentences)}")
    drift = Drift(list(unknown.values()), missing, renamed, list(titles))
    return Matched(sources, _numbered(unknown, header), drift)


def _likely_renames(missing: list[str], unknown: list[str], folded: list[str]) -> dict[str, str]:
    by_fold = {name.casefold(): name for name in unknown}
    renamed = {}
    for wanted in missing:
        if wanted.casefold() not in folded:  # else it is there, twice
            for alike in get_close_matches(wanted.casefold(), by_fold, n=1):
                renamed[wanted] = by_fold[alike]
    return renamed


def _numbered(unknown: dict[int, str], header: list[str]) -> dict[int, str]:
    """The names of unknown columns, numbered where one stands twice: JSON would keep only one of their cells."""
    keys: dict[int, str] = {}
    for position, name in unknown.items():
        taken = {*header[:position], *keys.values()}
        numbered = (f"{name} ({number})" for number in count(2))
        keys[position] = next(each for each in chain([name], numbered) if each not in taken)
    return keys
