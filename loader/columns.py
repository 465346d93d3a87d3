"""The columns of a batch, decided: pydantic is asked about each distinct text of a field once.

`FieldDecider` remembers a field over the batches of a file, `Decided` is one field of one batch.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from loader.cells import all_as_seen, unmarked
from loader.numbers import sign_of
from loader.sales_line import NUMBER_FIELDS, PLAIN_NUMBER_FIELDS, TYPES, PlainNumber, line_model

if TYPE_CHECKING:
    from loader.feeds import Feed

# Distinct values remembered per column across batches; a column with more is mostly unique, and memory is the limit.
REMEMBERED = 20_000
_ADAPTERS: dict[str, TypeAdapter[list[Any]]] = {name: TypeAdapter(list[kind]) for name, kind in TYPES.items()}  # type: ignore[valid-type]
_PLAIN_NUMBERS = TypeAdapter(list[PlainNumber])
_DECIMALS = TypeAdapter(list[Decimal])
Mask = npt.NDArray[np.bool_]


class _Decision(NamedTuple):
    """The decision on a distinct text that is not simply good as it stands."""

    cell: str | None  # what the feed makes of the text: the line_type rules look at it
    canonical: str | None
    good: bool
    sign: str | None  # of a currency


class FieldDecider:
    """Decides the texts of one field, and each distinct text only once."""

    def __init__(self, feed: "Feed", name: str) -> None:
        self._feed = feed
        self._name = name
        self._adapter = _ADAPTERS[name]
        self._required = line_model(feed.columns).model_fields[name].is_required()
        self._patterns = [when[name] for when in feed.tests if name in when]
        self._plain = name in PLAIN_NUMBER_FIELDS and feed.takes_plain_numbers(name)
        self._repeats = True  # otherwise nearly every batch has other texts, and remembering them is useless
        self._as_is: set[str] = set()  # good, and canonical as it stands: most of them
        self._others: dict[str, _Decision] = {}

    def decide(self, column: pa.Array) -> "Decided":
        encoded = column.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        as_is, others = self._as_is, self._others
        unseen = texts
        if self._repeats:
            unseen = [text for text in texts if text not in as_is and text not in others]
            self._repeats = len(as_is) + len(others) + len(unseen) <= REMEMBERED or 2 * len(unseen) < len(texts)
        if len(as_is) + len(others) + len(unseen) > REMEMBERED or not self._repeats:
            as_is.clear()
            others.clear()
            unseen = texts
        self._learn(unseen)
        indices = encoded.indices.to_numpy(zero_copy_only=False)
        if others and (found := [others.get(text) for text in texts]) and any(found):
            pairs = list(zip(texts, found, strict=True))
            canonical = pa.array([each.canonical if each else text for text, each in pairs], pa.string())
            bad = np.array([each is not None and not each.good for each in found], dtype=bool)
            cells = [each.cell if each else text for text, each in pairs] if self._patterns else []
            signs = {each.sign for each in found if each and each.sign}
            by_sign = {
                sign: np.array([bool(each and each.sign == sign) for each in found], dtype=bool) for sign in signs
            }
            return Decided(canonical, indices, None, bad, self._matches(cells), by_sign)
        return Decided(encoded.dictionary, indices, column, np.zeros(len(texts), dtype=bool), self._matches(texts))

    def _matches(self, cells: list[str | None]) -> list[Mask]:
        return [np.array([self._feed.matches(pattern, cell) for cell in cells], bool) for pattern in self._patterns]

    def _learn(self, texts: list[str]) -> None:
        if self._plain and _are_plain_numbers(texts):
            self._remember(texts)
            return
        cells = self._feed.cells(self._name, texts)
        filled = [cell for cell in cells if cell is not None]
        try:
            values = self._adapter.validate_python(filled)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            bad = {filled[int(each["loc"][0])] for each in details}
            filled = [cell for cell in filled if cell not in bad]
            values = self._adapter.validate_python(filled)
        if cells == texts and list(map(str, values)) == texts:
            self._remember(texts)
            return
        written: dict[str | None, str] = dict(zip(filled, map(_canonical, values), strict=True))
        for text, cell in zip(texts, cells, strict=True):
            canonical = written.get(cell)
            if canonical == text == cell:
                self._remember([text])
            else:
                good = canonical is not None or (cell is None and not self._required)
                sign = sign_of(text) if self._name in NUMBER_FIELDS else None
                self._others[text] = _Decision(cell, canonical, good, sign)

    def _remember(self, texts: list[str]) -> None:
        if self._repeats:
            self._as_is.update(texts)


def _are_plain_numbers(texts: list[str]) -> bool:
    """Whether pydantic takes all of them as numbers within the bounds of `Number`, each canonical as it stands.

    This gives the same verdict in a quarter of the time: it calls no Python function for each text.
    """
    try:
        return list(map(str, _DECIMALS.validate_python(_PLAIN_NUMBERS.validate_python(texts)))) == texts
    except ValidationError:
        return False


def _canonical(value: Any) -> str:
    """The text that PostgreSQL reads back as exactly this value."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


@dataclass(frozen=True)
class Decided:
    """One field of one batch: the decision on each distinct text, and which row has which text."""

    distinct: pa.Array  # canonical text; null where the cell is empty or bad
    indices: npt.NDArray[np.int32]
    column: pa.Array | None  # the rows' texts, where all are canonical as they stand
    bad: Mask  # which distinct texts are not acceptable
    rules: list[Mask]  # for each test of the feed that looks at this field, which distinct texts match
    signs: dict[str, Mask] = field(default_factory=dict)  # sign of a currency → which distinct texts have it

    def rows(self, flags: Mask) -> Mask:
        """Flags of distinct texts → flags of rows."""
        return flags[self.indices] if flags.any() else np.zeros(len(self.indices), dtype=bool)

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        return np.asarray(pc.cast(self.distinct, pa.float64()).to_numpy(zero_copy_only=False)[self.indices])

    @property
    def canonical(self) -> pa.Array:
        return self.column if self.column is not None else self.distinct.take(pa.array(self.indices))

    @classmethod
    def nothing(cls, rows: int, tests: int) -> "Decided":
        """For an optional column that the file does not have."""
        none = pa.array([None], pa.string())
        return cls(none, np.zeros(rows, np.int32), None, np.zeros(1, bool), [np.zeros(1, bool)] * tests)


def column_as_seen(column: pa.Array, *, unmark: bool) -> pa.Array:
    """The cells without what nobody sees and, where `unmark` says so, without the mark of a text."""
    encoded = column.dictionary_encode()
    seen = all_as_seen(encoded.dictionary.to_pylist())
    return pa.array(map(unmarked, seen) if unmark else seen, pa.string()).take(encoded.indices)
