"""The verdict on a batch of rows, and what a file comes to: how many rows were loaded, rejected and skipped."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from loader.header import Drift
from loader.rejects import Rejected

if TYPE_CHECKING:
    from loader.contract import Rejects


@dataclass(frozen=True)
class Verdict:
    """The verdict on one batch: read = accepted + rejected + skipped."""

    accepted: pa.Table  # those of COLUMNS that the feed fills, canonical text
    rejected: list[Rejected]
    skipped: Counter[str]  # rows that are no data, by reason: blank, header, total, footer, rule, duplicate
    dates: frozenset[date]


@dataclass
class Counts:
    """read = loaded + rejected + skipped, which the ledger enforces. `skipped_as`: the skipped rows by reason."""

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    skipped: int = 0
    skipped_as: dict[str, int] = field(default_factory=dict)
    swallowed: int = 0  # physical lines of rejected rows beyond the first of each

    def refused_by(self, limits: "Rejects") -> str | None:
        """Why the file is rejected as a whole, or None: a bad row counts as many times as it has lines.

        Rows that are no data, such as the thousand blank ones at the end of a sheet, make no bad row less bad. Where no
        row is good, several that say Total are not believed: they are bad rows of a sheet of such.
        """
        totals = self.skipped_as.get("total", 0)
        disbelieved = totals if totals > 1 and not self.loaded else 0
        bad = self.rejected + self.swallowed + disbelieved
        error = limits.exceeded(bad, self.loaded + bad)
        if error and disbelieved:
            return f"{error}; no row is good, so the {disbelieved} that say Total count as bad"
        return error

    def doubted_totals(self) -> str | None:
        """A sentence where more rows say Total than are loaded: they may be sales that went wrong."""
        totals = self.skipped_as.get("total", 0)
        if not totals > self.loaded > 0:
            return None
        loaded = f"{self.loaded} {'was' if self.loaded == 1 else 'were'} loaded"
        return f"{totals} rows that say Total were skipped, and only {loaded}"

    def add(self, verdict: Verdict) -> None:
        self.loaded += verdict.accepted.num_rows
        self.rejected += len(verdict.rejected)
        self.swallowed += sum(each.lines - 1 for each in verdict.rejected)
        for reason, rows in verdict.skipped.items():
            self.skip(rows, reason)
        self.read += verdict.accepted.num_rows + len(verdict.rejected) + verdict.skipped.total()

    def reject(self, rows: int) -> None:
        """Count accepted rows as rejected; a negative number takes that back."""
        self.loaded -= rows
        self.rejected += rows

    def skip(self, rows: int, reason: str) -> None:
        if rows:
            self.skipped += rows
            self.skipped_as[reason] = self.skipped_as.get(reason, 0) + rows

    def reject_file(self) -> None:
        """Count the good rows of a file that is rejected as a whole: they are skipped."""
        self.skip(self.loaded, "file rejected")
        self.loaded = 0


def warning_of(counts: Counts, drift: Drift | None) -> str | None:
    """A sentence on what a person should look at in a file that counts; None where there is nothing."""
    of_drift = (drift.undecided_words(), drift.mixed_signs()) if drift else ()
    return "; ".join(filter(None, (counts.doubted_totals(), *of_drift))) or None
