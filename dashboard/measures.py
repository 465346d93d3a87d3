"""The arithmetic and the writing of figures: sums and ratios of sums over daily rows, exact until drawn."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from typing import Any

import pandas as pd

from dashboard.settings import NumberStyle

MISSING = "–"
BRIEF_FROM = 10_000
# A currency that is not here is written with its code.
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "BRL": "R$", "KRW": "₩", "PLN": "zł"}


class Kind(Enum):
    """How a figure is written, and how two of them are compared."""

    MONEY = "money"
    AVERAGE_MONEY = "average money"
    COUNT = "count"
    RATIO = "ratio"
    SHARE = "share"


@dataclass(frozen=True)
class Measure:
    """A figure of `queries.sales`: a sum, or a sum divided by a sum."""

    name: str  # in links and exports
    label: str
    kind: Kind
    numerator: str
    denominator: str | None = None
    described_by: str = ""  # the column whose dbt description defines the figure, as `mart.column`
    falls: bool = False  # less of it is better

    @property
    def sums(self) -> tuple[str, ...]:
        """What it is made of, of `queries.MEASURES`."""
        return (self.numerator, self.denominator) if self.denominator else (self.numerator,)

    def over(self, daily: pd.DataFrame) -> Decimal | None:
        """The figure over all rows; None where nothing is known or the denominator is zero."""
        return self.of(daily[self.numerator], daily[self.denominator] if self.denominator else ())

    def of(self, tops: Iterable[Any], bottoms: Iterable[Any] = ()) -> Decimal | None:
        """The figure of these values of the numerator and of the denominator, as `over`."""
        known = [value for value in tops if not pd.isna(value)]
        if not known:
            return None
        total = Decimal(sum(known))
        if self.denominator is None:
            return total
        bottom = Decimal(sum([value for value in bottoms if not pd.isna(value)]))
        return total / bottom if bottom else None

    def each(self, frame: pd.DataFrame) -> list[Decimal | None]:
        """The figure of each row."""
        bottoms = frame[self.denominator] if self.denominator else [None] * len(frame)
        return [self.of((top,), (bottom,)) for top, bottom in zip(frame[self.numerator], bottoms, strict=True)]

    def by_day(self, daily: pd.DataFrame) -> list[Decimal]:
        """The figure of each row, for a sparkline; a day on which it is not defined counts as zero."""
        return [figure or Decimal(0) for figure in self.each(daily)]


_SALES = "kpi_daily_sales."
_TOTALS = "kpi_daily_totals."
_FULFILMENT = "kpi_daily_fulfilment."
MEASURES = {
    measure.name: measure
    for measure in (
        Measure("net_sales", "Total sales", Kind.MONEY, "net_sales", None, _SALES + "net_sales"),
        Measure("orders", "Orders", Kind.COUNT, "orders", None, _SALES + "orders"),
        # Alert rules and links that were kept know it by this name.
        Measure(
            "aov", "Average transaction", Kind.AVERAGE_MONEY, "net_sales", "orders",
            _TOTALS + "average_transaction_value",
        ),
        Measure(
            "units_per_order", "Units per order", Kind.RATIO, "units_sold", "orders", _TOTALS + "units_per_order"
        ),
        Measure(
            "margin_rate", "Margin", Kind.SHARE, "gross_margin", "costed_net_sales", _TOTALS + "margin_rate"
        ),
        Measure("units_sold", "Units sold", Kind.COUNT, "units_sold", None, _SALES + "units_sold"),
        Measure("gross_sales", "Gross sales", Kind.MONEY, "gross_sales", None, _SALES + "gross_sales"),
        Measure("gross_margin", "Gross margin", Kind.MONEY, "gross_margin", None, _SALES + "gross_margin"),
        Measure("discounts", "Discounts", Kind.MONEY, "discounts", None, _SALES + "discounts", falls=True),
        Measure(
            "discount_rate", "Discount rate", Kind.SHARE, "discounts", "gross_sales", _TOTALS + "discount_rate",
            falls=True,
        ),
        Measure("returns", "Returns", Kind.MONEY, "returns", None, _SALES + "returns", falls=True),
        Measure(
            "return_rate", "Return rate", Kind.SHARE, "returns", "gross_sales", _TOTALS + "return_rate", falls=True
        ),
        Measure(
            "cancelled_value", "Cancelled", Kind.MONEY, "cancelled_value", None, _SALES + "cancelled_value",
            falls=True,
        ),
        Measure(
            "on_time_rate", "Delivered on time", Kind.SHARE, "delivered_on_time_lines", "delivered_lines",
            _FULFILMENT + "on_time_rate",
        ),
        Measure(
            "days_to_deliver", "Days to deliver", Kind.RATIO, "delivery_days", "delivered_lines",
            _FULFILMENT + "days_to_deliver", falls=True,
        ),
        Measure(
            "pending_payment_value", "Not yet paid", Kind.MONEY, "pending_payment_value", None,
            _SALES + "pending_payment_value", falls=True,
        ),
    )
}  # fmt: skip
CARDS = tuple(MEASURES[name] for name in ("net_sales", "orders", "aov", "units_per_order", "margin_rate"))


@dataclass(frozen=True)
class Writer:
    """Writes figures in one currency and one number style."""

    style: NumberStyle
    currency: str

    @property
    def symbol(self) -> str:
        """What stands before an amount: `$`, or a code and a space."""
        return SYMBOLS.get(self.currency, f"{self.currency} ")

    def write(self, value: Decimal | None, kind: Kind) -> str:
        """The figure as text: `$1,234`, `€56.78`, `1,234`, `2.34`, `41.5 %`; a dash where it is not known."""
        if value is None:
            return MISSING
        match kind:
            case Kind.MONEY:
                return self.money(value, cents=abs(value) < 1000)
            case Kind.AVERAGE_MONEY:
                return self.money(value, cents=True)
            case Kind.COUNT:
                return self.number(value, 0)
            case Kind.RATIO:
                return self.number(value, 2)
            case Kind.SHARE:
                return f"{self.number(value * 100, 1)}%"

    def brief(self, value: Decimal | None, kind: Kind) -> str:
        """The figure as text, thousands and millions shortened: `$969K`, `$1.09M`; for a place beside the figure."""
        if value is None or kind not in (Kind.MONEY, Kind.COUNT) or abs(value) < BRIEF_FROM:
            return self.write(value, kind)
        size, letter, decimals = (1_000_000, "M", 2) if abs(value) >= 1_000_000 else (1000, "K", 0)
        text = f"{self.number(abs(value) / size, decimals)}{letter}"
        return f"{'−' if value < 0 else ''}{self.symbol if kind is Kind.MONEY else ''}{text}"

    def change(self, now: Decimal | None, before: Decimal | None, kind: Kind) -> str | None:
        """The signed difference: percentage points of a share, percent of anything else; None where undefined."""
        if now is None or before is None:
            return None
        if kind is Kind.SHARE:
            return f"{self._signed((now - before) * 100)} pp"
        if before <= 0:
            return None
        return f"{self._signed((now / before - 1) * 100)}%"

    def money(self, value: Decimal, *, cents: bool = False, signed: bool = False) -> str:
        """An amount with its currency; rounded half-up to whole units unless the cents matter."""
        sign = "−" if value < 0 else "+" if signed else ""
        return f"{sign}{self.symbol}{self.number(abs(value), 2 if cents else 0)}"

    def number(self, value: Decimal, decimals: int) -> str:
        """A number with grouped digits, rounded half-up."""
        rounded = Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
        group, point = self.style[1], self.style[-3]
        return f"{rounded:,}".translate(str.maketrans(",.", group + point))

    def _signed(self, value: Decimal) -> str:
        # Streamlit reads the direction of a delta off a leading ASCII sign.
        return ("-" if value < 0 else "+") + self.number(abs(value), 1)
