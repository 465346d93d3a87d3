"""The canonical sale line: pydantic decides by it what a row may say. `raw.sales_lines` has the same columns.

It is long because the fields, the arithmetic and the rules of a line are one definition, and are read together.
"""

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

LineType = Literal["sale", "return", "cancellation", "adjustment"]
LINE_TYPES: tuple[LineType, ...] = get_args(LineType)
# The words that sheets write for them, in any letter case.
_LINE_TYPE_WORDS = {
    "sales": "sale", "sold": "sale",
    "returns": "return", "returned": "return", "refund": "return", "refunds": "return", "refunded": "return",
    "cancellations": "cancellation", "cancelation": "cancellation", "cancel": "cancellation",
    "cancelled": "cancellation", "canceled": "cancellation", "void": "cancellation", "voided": "cancellation",
    "adjustments": "adjustment", "adjusted": "adjustment",
}  # fmt: skip

CENT = Decimal("0.01")
FIRST_YEAR = 2000  # of the calendar in dbt_sales
_NUMBER_PATTERN = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_DATE_PATTERN = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d{2,3}", re.ASCII)
_WIDE = Context(prec=60)  # 14 digits before the point twice give 28, which the default context cannot round to cents


def _plain_number(text: object) -> object:
    """Python's Decimal also reads 1_000, 1e5 and digits of other scripts; a sheet that has those has a fault."""
    if isinstance(text, str) and not _NUMBER_PATTERN.fullmatch(text):
        raise PydanticCustomError("number_format", "Input should be a number")
    return text


def _iso_date(text: object) -> object:
    """Pydantic also reads bare numbers as Unix time; 20240105 would become a day in 1970."""
    if isinstance(text, str) and not _DATE_PATTERN.match(text):
        raise PydanticCustomError("date_format", "Input should be a date in one of the feed's formats")
    return text


def _line_type(text: object) -> object:
    word = text.casefold() if isinstance(text, str) else ""
    return _LINE_TYPE_WORDS.get(word, word or text)


StatedLineType = Annotated[LineType, BeforeValidator(_line_type)]


def _not_zero(number: Decimal) -> Decimal:
    if not number:
        raise PydanticCustomError("zero", "Input should not be zero")
    return number


def _in_calendar(moment: datetime) -> datetime:
    """A misread date would move every "latest day" of the dashboard, and has no day in dbt's calendar."""
    if moment.year < FIRST_YEAR:
        raise PydanticCustomError("before_calendar", "Input should not be before {year}", {"year": FIRST_YEAR})
    if moment > datetime.now(UTC) + timedelta(days=1):
        raise PydanticCustomError("future", "Input should not be in the future")
    return moment


def _undamaged(identifier: str) -> str:
    """A spreadsheet shows 4052118834027 as 4.05E+12, and saves what it shows: the digits are lost, and ids collide."""
    if "+" in identifier and any(map(_SCIENTIFIC.fullmatch, identifier.split())):  # several columns may make one
        raise PydanticCustomError("damaged", "Input should be the whole identifier: format its column as text")
    return identifier


Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
# Texts that the marts group and index by: several share one index entry of PostgreSQL, of at most 2,704 bytes.
Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Identifier = Annotated[Name, AfterValidator(_undamaged)]
# The bounds stand before the check of the text: after it, pydantic would apply them in Python, five times as slowly.
Number = Annotated[Decimal, Field(max_digits=20, decimal_places=6), BeforeValidator(_plain_number)]
# Text that is a Number whatever its digits are.
PlainNumber = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,14}(\.[0-9]{1,6})?$")]
Rate = Annotated[Decimal, Field(max_digits=20, decimal_places=6, ge=0, le=1), BeforeValidator(_plain_number)]
Cost = Annotated[Decimal, Field(max_digits=20, decimal_places=6, ge=0), BeforeValidator(_plain_number)]
Whole = Annotated[int, Field(ge=0, lt=2**31), BeforeValidator(_plain_number)]
Rating = Annotated[int, Field(ge=1, le=5), BeforeValidator(_plain_number)]
Day = Annotated[date, BeforeValidator(_iso_date)]


class SalesLine(BaseModel):
    """One line of a sale, return, cancellation or adjustment. `raw.sales_lines` has the same columns.

    Amounts are exact decimals in `currency` (ISO 4217; XXX is its code for "none"). `quantity` keeps the sheet's sign;
    `discount_rate` is a share from 0 to 1, `discount_amount` the discount of the whole line. A line has a `unit_price`,
    or a `line_total`, after discount (a GrossLine: before); `line_cost` is the cost of all of it. `tax_amount` and
    `shipping_cost` are no part of sales. `stated_*` are the sheet's own results, checked against ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    before_discount: ClassVar[bool] = False  # of its total

    sale_id: Identifier
    line_number: Whole | None = None
    sold_at: Annotated[AwareDatetime, BeforeValidator(_iso_date), AfterValidator(_in_calendar)]
    line_type: StatedLineType = "sale"
    product_id: Identifier
    product_name: Text | None = None
    product_category: Name | None = None
    quantity: Annotated[Number, AfterValidator(_not_zero)]
    unit_price: Number | None = None
    line_total: Number | None = None
    discount_rate: Rate | None = None
    discount_amount: Number | None = None
    unit_cost: Cost | None = None
    line_cost: Number | None = None
    tax_amount: Number | None = None
    shipping_cost: Number | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "XXX"
    payment_method: Text | None = None
    payment_status: Text | None = None
    payment_date: Day | None = None
    customer_id: Identifier | None = None
    customer_name: Text | None = None
    store_id: Identifier | None = None
    sales_channel: Name | None = None
    sales_region: Name | None = None
    sales_representative: Name | None = None
    customer_rating: Rating | None = None
    delivery_status: Text | None = None
    delivery_date: Day | None = None
    stated_total: Number | None = None
    stated_cost: Number | None = None
    stated_profit: Number | None = None

    @model_validator(mode="after")
    def _rules_across_fields(self) -> "SalesLine":
        if broken := list(self._broken_rules()):
            raise PydanticCustomError("rules", "{broken}", {"broken": broken})
        return self

    def _broken_rules(self) -> Iterable[tuple[str, str]]:
        amounts = Amounts({name: getattr(self, name) for name in AMOUNT_FIELDS}, before_discount=self.before_discount)
        for rule in RULES:
            applies = all(getattr(self, name) is not None for name in rule.needs)
            applies &= all(getattr(self, name) is None for name in rule.lacks)
            if applies and self.line_type in rule.line_types and rule.excess(amounts) > rule.tolerance:
                yield rule.field, rule.message(amounts)


class PricedLine(SalesLine):
    """A line of a sheet that states the price of one piece."""

    unit_price: Number


class TotalledLine(SalesLine):
    """A line of a sheet that states what the whole line comes to."""

    line_total: Number


class GrossLine(TotalledLine):
    """A line of a sheet that states what the whole line came to before its discount."""

    before_discount: ClassVar[bool] = True


# Rows that are not whole lines: an order's item has no date of its own, and an order's header is of no product.
PricedItem = create_model("PricedItem", __base__=PricedLine, sold_at=(None, None))
TotalledItem = create_model("TotalledItem", __base__=TotalledLine, sold_at=(None, None))
GrossItem = create_model("GrossItem", __base__=GrossLine, sold_at=(None, None))
OrderHeader = create_model("OrderHeader", __base__=SalesLine, product_id=(None, None), quantity=(None, None))


def line_model(fields: Container[str], *, before_discount: bool = False) -> type[SalesLine]:
    """The model for the rows of a feed that maps these fields; `before_discount`: so are its totals."""
    if "product_id" not in fields:
        return OrderHeader
    if "line_total" not in fields:
        return PricedLine if "sold_at" in fields else PricedItem
    if before_discount:
        return GrossLine if "sold_at" in fields else GrossItem
    return TotalledLine if "sold_at" in fields else TotalledItem


class Amounts:
    """The amounts of one line as decimals, or of many lines as arrays of floats: the arithmetic is the same.

    `total` has the discount taken off; `before_discount`: the line's total that is stated has not.
    """

    def __init__(self, stated: Mapping[str, Any], nothing: Any = Decimal(0), *, before_discount: bool = False) -> None:
        """`stated` by canonical field; `nothing` is what an amount that is not stated counts as, such as a discount."""
        self._stated = stated
        self._nothing = nothing
        self.before_discount = before_discount

    def __getattr__(self, field: str) -> Any:
        if field not in AMOUNT_FIELDS:
            raise AttributeError(f"{field} is no amount: a rule across fields cannot look at it")
        found = self._stated.get(field)
        return self._nothing if found is None else found

    @property
    def gross(self) -> Any:
        return self.line_total if self.before_discount else self.quantity * self.unit_price

    @property
    def total(self) -> Any:
        if self._stated.get("line_total") is not None and not self.before_discount:
            return self.line_total
        gross = self.gross
        sign = 1 - 2 * (gross < 0)
        return gross - gross * self.discount_rate - self.discount_amount * sign

    @property
    def cost(self) -> Any:
        cost = self.quantity * self.unit_cost
        if self._stated.get("line_total") is not None:
            return abs(cost) * (1 - 2 * (self.line_total < 0))
        return cost


@dataclass(frozen=True)
class Rule:
    """A rule across the fields of a line. It is written once: the model applies it to decimals, the columns to floats.

    A line breaks it whose `excess` is more than `tolerance`. Where a field of `needs` is empty, or one of `lacks` is
    not, it does not apply.
    """

    field: str  # which is at fault
    needs: tuple[str, ...]
    excess: Callable[[Amounts], Any]
    message: Callable[[Amounts], str]
    tolerance: Decimal = Decimal(0)
    line_types: frozenset[str] = frozenset(LINE_TYPES)
    lacks: tuple[str, ...] = ()


# Totals are compared to within a cent, as sheets round at different steps, and by size, as sheets disagree on the sign
# of a return.
RULES = (
    Rule(
        "quantity",
        ("quantity",),
        lambda of: -of.quantity,
        lambda _: "A sale has a positive quantity; the feed's line_type rules say what a negative one is",
        line_types=frozenset({"sale"}),
    ),
    Rule(
        "unit_price",
        ("unit_price",),
        lambda of: -of.unit_price,
        lambda _: "Only an adjustment has a negative price",
        line_types=frozenset(LINE_TYPES) - {"adjustment"},
    ),
    Rule(
        "line_total",
        ("line_total",),
        lambda of: -of.line_total,
        lambda _: "A sale's total is not negative; the feed's line_type rules say what a negative one is",
        line_types=frozenset({"sale"}),
    ),
    Rule(
        "line_total",
        ("line_total", "discount_rate"),
        lambda of: abs(of.line_total) * (of.discount_rate >= 1) * (not of.before_discount),
        lambda _: "A total is what is left after the discount, and 100% leaves nothing",
    ),
    Rule(
        "line_cost",
        ("line_cost",),
        lambda of: -of.line_cost,
        lambda _: "A sale's cost is not negative",
        line_types=frozenset({"sale"}),
    ),
    Rule(
        "line_cost",
        ("line_cost", "unit_cost"),
        lambda of: abs(abs(of.line_cost) - abs(of.cost)),
        lambda of: f"Quantity and unit cost give {cents(of.cost)}",
        CENT,
    ),
    Rule(
        "stated_total",
        ("stated_total",),
        lambda of: abs(abs(of.stated_total) - abs(of.total)),
        lambda of: f"{'Total' if of.before_discount else 'Quantity, price'} and discount give {cents(of.total)}",
        CENT,
    ),
    Rule(
        "stated_cost",
        ("stated_cost", "unit_cost"),
        lambda of: abs(abs(of.stated_cost) - abs(of.cost)),
        lambda of: f"Quantity and unit cost give {cents(of.cost)}",
        CENT,
    ),
    Rule(
        "stated_profit",
        ("stated_profit", "unit_cost"),
        lambda of: abs(abs(of.stated_profit) - abs(of.total - of.cost)),
        lambda of: f"Total and cost give {cents(of.total - of.cost)}",
        2 * CENT,
        lacks=("line_cost",),
    ),
    Rule(
        "stated_profit",
        ("stated_profit", "line_cost"),
        lambda of: abs(abs(of.stated_profit) - abs(abs(of.total) - abs(of.line_cost))),
        lambda of: f"Total and cost give {cents(abs(of.total) - abs(of.line_cost))}",
        2 * CENT,
        frozenset(LINE_TYPES) - {"adjustment"},  # which has no margin
    ),
)


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP, _WIDE)


NUMBER: TypeAdapter[Decimal] = TypeAdapter(Number)
FIELDS = tuple(SalesLine.model_fields)
_HINTS = get_type_hints(SalesLine, include_extras=True)
TYPES: dict[str, Any] = {name: _HINTS[name] for name in FIELDS}
REQUIRED = tuple(name for name, info in SalesLine.model_fields.items() if info.is_required())
PRICES = ("unit_price", "line_total")  # one of them is required as well
# Fields of a whole order. No amount is one of them: each line of the order would have it.
ORDER_FIELDS = (
    "sale_id", "sold_at", "line_type", "currency", "payment_method", "payment_status", "payment_date", "customer_id",
    "customer_name", "store_id", "sales_channel", "sales_region", "sales_representative", "delivery_status",
    "delivery_date",
)  # fmt: skip
TIME_FIELDS = frozenset({"sold_at"})
DATE_FIELDS = frozenset({"payment_date", "delivery_date"})
NUMBER_FIELDS = frozenset(
    {"line_number", "quantity", "unit_price", "line_total", "discount_rate", "discount_amount", "unit_cost"}
    | {"line_cost", "tax_amount", "shipping_cost", "customer_rating", "stated_total", "stated_cost", "stated_profit"}
)
# The numbers that rules across fields may look at. The columns need them to apply the rules.
AMOUNT_FIELDS = NUMBER_FIELDS - {"line_number", "customer_rating"}
MONEY_FIELDS = AMOUNT_FIELDS - {"quantity", "discount_rate"}
IDENTIFIER_FIELDS = frozenset(name for name, kind in TYPES.items() if kind in (Identifier, Identifier | None))
PLAIN_NUMBER_FIELDS = frozenset(name for name, kind in TYPES.items() if kind in (Number, Number | None))
# The columns that a batch of accepted rows may fill.
COLUMNS = ("row_number", "source_line", *FIELDS, "sale_date", "extra")
