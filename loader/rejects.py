"""Rows that are not loaded."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Rejected:
    """A row that is not loaded, with all that is needed to find it, understand it and load it later."""

    row_number: int
    source_line: int
    raw_text: str
    errors: list[dict[str, str | None]]  # field (None: the whole row), message, value (the cell as it stands)
    revenue_at_risk: Decimal | None = None  # quantity x unit price, or the line's total, as far as it can be read
    lines: int = 1  # physical lines that it holds: as many sales may be lost in it
