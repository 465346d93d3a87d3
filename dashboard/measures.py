"""The arithmetic and the writing of figures: sums and ratios of sums over daily rows, exact until drawn."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from typing import Any

import pandas as pd
from babel.numbers import get_currency_precision, get_currency_symbol

from dashboard.settings import NumberStyle

MISSING = "–"
MINUS = "−"
BRIEF_FROM = 10_000
UNITS = ((1_000_000_000, "B", 2), (1_000_000, "M", 2), (1000, "K", 0))  # from so many on, the letter, its decimals


class Kind(Enum):
    """How a figure is written, and how two of them are compared."""

    MONEY = "money"
    AVERAGE_MONEY = "average money"
    COUNT = "count"
    RATIO = "ratio"
    SHARE = "share"
    SECONDS = "seconds"
    DEVIATION = "deviation"  # how many standard deviations something is off by


LOOKS = {  # decimals and unit of what is no amount
    Kind.COUNT: (0, ""),
    Kind.RATIO: (2, ""),
    Kind.SHARE: (1, "%"),
    Kind.SECONDS: (1, " s"),
    Kind.DEVIATION: (1, " σ"),
}


@dataclass(frozen=True)
class Measure:
    """A figure of `daily_sales.sales`: a sum, or a sum divided by a sum."""

    name: str  # in links and exports
    label: str
    kind: Kind
    numerator: str
    denominator: str | None = None
    described_by: str = ""  # the column whose dbt description defines the figure, as `mart.column`
    falls: bool = False  # less of it is better

    @property
    def sums(self) -> tuple[str, ...]:
        """The columns of `daily_sales.MEASURES` that make it up."""
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
        """The sign before an amount: `$`, or a code and a space."""
        symbol: str = get_currency_symbol(self.currency, "en_US")
        return f"{symbol} " if symbol.isalpha() else symbol

    @property
    def decimals(self) -> int:
        """As many as the currency's smallest coin has: two for dollars, none for yen."""
        return int(get_currency_precision(self.currency))

    def write(self, value: Decimal | None, kind: Kind) -> str:
        """The figure as text: `$1,234`, `€56.78`, `1,234`, `2.34`, `41.5%`, `1.2 s`; a dash where it is not known."""
        if value is None:
            return MISSING
        if kind in (Kind.MONEY, Kind.AVERAGE_MONEY):
            return self.money(value, cents=kind is Kind.AVERAGE_MONEY or abs(value) < 1000)
        decimals, unit = LOOKS[kind]
        figure = value * 100 if kind is Kind.SHARE else value
        return f"{self.number(figure, decimals, signed=kind is Kind.DEVIATION)}{unit}"

    def exact(self, value: Decimal | None, kind: Kind) -> str:
        """As `write`, an amount to the cent."""
        return self.write(value, Kind.AVERAGE_MONEY if kind is Kind.MONEY else kind)

    def brief(self, value: Decimal | None, kind: Kind) -> str:
        """The figure as text, shortened: `$969K`, `$1.09M`, `$2.00B`; for a place beside the figure."""
        if value is None or kind not in (Kind.MONEY, Kind.COUNT) or abs(value) < BRIEF_FROM:
            return self.write(value, kind)
        # A figure that rounds to a thousand thousands is a million.
        size, letter, decimals = next(
            unit for unit in UNITS if unit[0] == 1000 or round(abs(value) / unit[0] * 1000) >= 1000
        )
        return self._shortened(value, kind, size, letter, decimals)

    def cell(self, value: Decimal, kind: Kind) -> str:
        """As much of a figure as a cell of a picture has room for on a telephone: `25%`, `$930`, `$1.3K`."""
        if kind is Kind.SHARE:
            return f"{self.number(value * 100, 0)}%"
        size, letter, _ = next((unit for unit in UNITS if abs(value) >= unit[0]), (1, "", 0))
        return self._shortened(value, kind, size, letter, 1 if letter else 0)

    def tick(self, value: Decimal, kind: Kind) -> str:
        """A round figure of an axis, as short as it is exact: `$0`, `$2.5K`, `40%`."""
        if kind is Kind.SHARE:
            return f"{self.number(value * 100, _decimals(value * 100))}%"
        size, letter, _ = next((unit for unit in UNITS if abs(value) >= unit[0]), (1, "", 0))
        decimals = _decimals(value / size)
        if decimals and not letter and kind in (Kind.MONEY, Kind.AVERAGE_MONEY):
            decimals = self.decimals
        return self._shortened(value, kind, size, letter, decimals)

    def change(self, now: Decimal | None, before: Decimal | None, kind: Kind) -> str | None:
        """The signed difference: percentage points of a share, percent of anything else; None where undefined."""
        if now is None or before is None:
            return None
        if kind is Kind.SHARE:
            return f"{self.number((now - before) * 100, 1, signed=True)} pp"
        if before <= 0:
            return None
        return f"{self.number((now / before - 1) * 100, 1, signed=True)}%"

    def money(self, value: Decimal, *, cents: bool = False, signed: bool = False) -> str:
        """An amount with its currency; rounded half-up to whole units unless the cents matter."""
        return self._amount(value, self.decimals if cents else 0, self.symbol, signed=signed)

    def number(self, value: Decimal | int, decimals: int, *, signed: bool = False) -> str:
        """A number with grouped digits, rounded half-up; what rounds to zero has no sign."""
        return self._amount(value, decimals, "", signed=signed)

    def _shortened(self, value: Decimal, kind: Kind, size: int, letter: str, decimals: int) -> str:
        symbol = self.symbol if kind in (Kind.MONEY, Kind.AVERAGE_MONEY) else ""
        return f"{self._amount(value / size, decimals, symbol)}{letter}"

    def _amount(self, value: Decimal | int, decimals: int, symbol: str, *, signed: bool = False) -> str:
        rounded = Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
        group, point = self.style[1], self.style[-3]
        sign = MINUS if rounded < 0 else "+" if signed and rounded else ""
        return f"{sign}{symbol}{f'{abs(rounded):,}'.translate(str.maketrans(',.', group + point))}"


def direction(change: str | None) -> int:
    """The way a written change goes: 1 up, -1 down, 0 where there is none."""
    return {"+": 1, MINUS: -1}.get((change or " ")[0], 0)


def verdict(change: str | None, *, falls: bool) -> int:
    """Whether a written change is good: 1 better, -1 worse, 0 neither; `falls`: less of it is better."""
    return -direction(change) if falls else direction(change)


def _decimals(value: Decimal) -> int:
    """The number of decimals that write it exactly."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
