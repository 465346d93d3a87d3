"""Daily sales sheets of an invented shop: the same bytes for a (seed, date), with a manifest of what they hold.

Everything about a date is drawn from random numbers seeded by (seed, date), so that a sheet does not depend on the
range it was asked for with. Money is exact decimal, rounded half-up to the cent per line, as the marts do it.
"""

import csv
import hashlib
import io
import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, TypedDict, TypeVar

import typer
from faker import Faker

from loader.errors import LoaderError
from loader.object_store import ObjectStore
from loader.settings import Settings

HEADER = (
    "Sale Date", "Sale ID", "Product ID", "Product Name", "Product Category", "Quantity Sold", "Unit Price",
    "Discount (%)", "Total Value (with Discount)", "Unit Cost", "Total Cost", "Gross Profit", "Payment Method",
    "Payment Status", "Payment Date", "Customer ID", "Customer Name", "Sales Channel", "Sales Region",
    "Sales Representative", "Customer Rating", "Shipping Cost", "Delivery Status", "Delivery Date",
)  # fmt: skip
CELL = {name: position for position, name in enumerate(HEADER)}
PREFIX = "CSV/"
CENT = Decimal("0.01")
Choice = TypeVar("Choice")

# By category: prefix of the product ids, cost as a share of the list price, demand from January on, list prices.
CATALOGUE: dict[str, tuple[str, str, tuple[int, ...], dict[str, str]]] = {
    "Electronics": (
        "EL", "0.68", (9, 8, 8, 8, 8, 8, 9, 10, 9, 9, 15, 17),
        {"Wireless Earbuds": "79.90", "Bluetooth Speaker": "49.95", '27" Monitor': "219.00",
         "Mechanical Keyboard": "89.50", "USB-C Charger, 65 W": "34.99", "Action Camera": "249.00",
         "Smart Watch": "179.00"},
    ),
    "Home & Kitchen": (
        "HK", "0.55", (8, 8, 9, 9, 10, 9, 9, 9, 9, 10, 13, 14),
        {"Chef's Knife": "45.00", "Cast Iron Pan": "39.90", "Espresso Maker": "129.00", "Storage Box, 20 l": "12.49",
         "Table Lamp": "32.95", "Cotton Towel Set": "27.50", "Vacuum Flask": "24.90"},
    ),
    "Clothing": (
        "CL", "0.42", (9, 7, 9, 10, 10, 9, 8, 8, 11, 11, 12, 13),
        {"Merino Sweater": "69.00", "Denim Jacket": "84.90", "Running Socks (3 pairs)": "14.95", "Linen Shirt": "44.50",
         "Rain Coat": "99.00", "Leather Belt": "29.90", "Wool Scarf": "35.00"},
    ),
    "Sports & Outdoors": (
        "SP", "0.52", (9, 7, 9, 11, 13, 14, 13, 12, 9, 7, 7, 9),
        {"Yoga Mat": "28.90", "Trekking Backpack": "119.00", "Camping Stove": "54.95", "Water Bottle": "15.99",
         "Tennis Racket": "92.00", "Sleeping Bag": "109.50"},
    ),
    "Toys & Games": (
        "TG", "0.48", (6, 6, 7, 8, 7, 7, 8, 8, 7, 9, 18, 26),
        {"Building Blocks": "39.99", "Wooden Puzzle": "18.50", "Card Game": "11.95", "Remote Control Car": "59.00",
         "Plush Bear": "22.90", "Strategy Board Game": "47.50"},
    ),
    "Books & Stationery": (
        "BS", "0.58", (11, 9, 8, 8, 8, 8, 9, 13, 13, 9, 10, 12),
        {"Fountain Pen": "31.00", "Dotted Notebook": "9.95", "Desk Calendar": "13.50", "Cookbook": "26.90",
         "Travel Guide": "19.95", "Crime Novel": "12.99", "Sketch Pad": "8.75"},
    ),
}  # fmt: skip
# Names are drawn from the region's locale, so that the sheets contain more than ASCII.
REGIONS = {
    "North America": ("en_US", 40),
    "Europe": ("de_DE", 30),
    "Latin America": ("pt_BR", 18),
    "Oceania": ("en_AU", 12),
}
REPRESENTATIVES_PER_REGION = 2
CHANNELS = {"Online": 55, "Store": 30, "Phone": 15}
METHODS = {"Credit Card": 50, "Debit Card": 20, "Digital Wallet": 18, "Bank Transfer": 12}
DISCOUNTS = {0: 62, 5: 12, 10: 12, 15: 7, 20: 4, 30: 3}
LINES_PER_ORDER = {1: 40, 2: 28, 3: 17, 4: 10, 5: 5}
QUANTITIES = {1: 62, 2: 22, 3: 9, 4: 4, 6: 3}
WEEKDAYS = (0.92, 0.88, 0.90, 0.98, 1.18, 1.30, 0.84)
HOURS = {8: 2, 9: 5, 10: 8, 11: 10, 12: 12, 13: 9, 14: 8, 15: 8, 16: 9, 17: 11, 18: 10, 19: 6, 20: 3, 21: 2}
MONTHS = (0.86, 0.84, 0.93, 0.96, 1.00, 0.98, 0.95, 0.97, 0.98, 1.02, 1.18, 1.33)
YEARLY_GROWTH = 0.06
GROWTH_FROM = date(2026, 1, 1)
CANCELLED_ORDERS = 0.03
RETURNED_LINES = 0.04
SLOWEST_DELIVERY_DAYS = 7
RETURN_DAYS = 14  # after the delivery


@dataclass(frozen=True)
class Product:
    """One item of the catalogue; its price of a date is the list price with a revision per quarter."""

    product_id: str
    name: str
    category: str
    list_price: Decimal
    unit_cost: Decimal
    demand: tuple[int, ...]


@dataclass(frozen=True)
class Customer:
    customer_id: str
    name: str
    region: str


@dataclass(frozen=True)
class Line:
    """One good row of a sheet. A negative quantity is a return; `cancelled` lines never became sales."""

    sale_date: date
    clock: time_of_day
    sale_id: str
    product: Product
    quantity: int
    unit_price: Decimal
    discount_percent: int
    payment_method: str
    payment_status: str
    payment_date: date | None
    customer: Customer
    channel: str
    representative: str
    rating: int | None
    shipping_cost: Decimal
    delivery_status: str
    delivery_date: date | None

    @property
    def value(self) -> Decimal:
        """Quantity times price, in cents, before the discount."""
        return cents(self.quantity * self.unit_price)

    @property
    def discount(self) -> Decimal:
        return cents(self.quantity * self.unit_price * self.discount_percent / 100)

    @property
    def cancelled(self) -> bool:
        return self.delivery_status == "Cancelled"

    def cells(self) -> list[str]:
        """The row as the sheet spells it, in the order of HEADER."""
        total = self.value - self.discount
        total_cost = cents(self.quantity * self.product.unit_cost)
        stars = "" if self.rating is None else f"{self.rating} star{'' if self.rating == 1 else 's'}"
        return [
            f"{self.sale_date} {self.clock}", self.sale_id, self.product.product_id, self.product.name,
            self.product.category, str(self.quantity), str(self.unit_price), str(self.discount_percent), str(total),
            str(self.product.unit_cost), str(total_cost), str(total - total_cost), self.payment_method,
            self.payment_status, _day(self.payment_date), self.customer.customer_id, self.customer.name, self.channel,
            self.customer.region, self.representative, stars, str(self.shipping_cost), self.delivery_status,
            _day(self.delivery_date),
        ]  # fmt: skip


class Summary(TypedDict):
    """The totals of a sheet, as the marts define them. Money is decimal text, so that no reader makes it a float."""

    sale_date: str
    rows: int  # good rows; the sheet has `sum(bad_rows.values())` more
    bad_rows: dict[str, int]
    bad_lines: list[int]  # physical lines of the file, the header is line 1
    orders: int
    units_sold: int
    gross_sales: str
    discounts: str
    returns: str
    net_sales: str
    cancelled_value: str
    sha256: str


@dataclass(frozen=True)
class Sheet:
    key: str
    content: bytes
    summary: Summary


def sheet(seed: int, day: date, rows: int = 400, bad_ratio: float = 0) -> Sheet:
    """The daily sheet of one date.

    `rows` is the average number of lines of a day, before season, weekday and trend; `bad_ratio` is the share of rows
    (0 to 0.9) that are broken, in addition to the good ones, which are the same at any ratio.
    """
    lines = [*_sales(seed, day, rows), *_returns(seed, day, rows)]
    return _sheet(f"{PREFIX}sales_data_{day:%Y%m%d}.csv", day, lines, bad_ratio, random.Random(f"{seed}/{day}/bad"))


def live_sheet(seed: int, at: datetime, rows: int = 400, bad_ratio: float = 0) -> Sheet:
    """A sheet of 5 to 40 lines sold just before `at` (UTC), by the customers that a daily sheet of `rows` lines has."""
    draw = random.Random(f"{seed}/{at:%Y%m%d%H%M%S}/live")
    size = draw.randint(5, 40)
    lines: list[Line] = []
    while len(lines) < size:
        sale_id = f"S{at:%y%m%d}-{at:%H%M%S}-{len(lines) + 1:02}"
        sold = _order(seed, at.date(), rows, draw, sale_id)[: size - len(lines)]
        lines += [replace(line, clock=at.time().replace(microsecond=0, tzinfo=None)) for line in sold]
    return _sheet(f"{PREFIX}sales_data_{at:%Y%m%d_%H%M%S}.csv", at.date(), lines, bad_ratio, draw)


def cents(amount: Decimal) -> Decimal:
    """Round half away from zero to cents, as PostgreSQL's round(numeric, 2) does."""
    return amount.quantize(CENT, ROUND_HALF_UP)


@lru_cache(maxsize=4 * (SLOWEST_DELIVERY_DAYS + RETURN_DAYS))
def _sales(seed: int, day: date, rows: int) -> tuple[Line, ...]:
    draw = random.Random(f"{seed}/{day}/sales")
    growth = min(1.5, max(0.5, 1 + YEARLY_GROWTH * (day - GROWTH_FROM).days / 365))
    busy = WEEKDAYS[day.weekday()] * MONTHS[day.month - 1] * growth * draw.uniform(0.92, 1.08)
    target = max(1, round(rows * busy * (1 - RETURNED_LINES)))
    lines: list[Line] = []
    number = 0
    while len(lines) < target:
        number += 1
        lines += _order(seed, day, rows, draw, f"S{day:%y%m%d}-{number:05}")[: target - len(lines)]
    return tuple(lines)


def _returns(seed: int, day: date, rows: int) -> list[Line]:
    latest = SLOWEST_DELIVERY_DAYS + RETURN_DAYS
    sold_on = (day - timedelta(days) for days in range(latest, 0, -1))
    return [line for earlier in sold_on for line in _returned(seed, earlier, rows) if line.sale_date == day]


@lru_cache(maxsize=4 * (SLOWEST_DELIVERY_DAYS + RETURN_DAYS))
def _returned(seed: int, sold_on: date, rows: int) -> tuple[Line, ...]:
    """The return lines of one day's sales, each dated on the day on which it comes back; no line comes back twice."""
    draw = random.Random(f"{seed}/{sold_on}/returns")
    returned = []
    for line in _sales(seed, sold_on, rows):
        if line.payment_status != "Paid" or line.delivery_date is None or draw.random() >= RETURNED_LINES:
            continue
        back = max(line.delivery_date, sold_on) + timedelta(draw.randint(1, RETURN_DAYS))
        returned.append(
            replace(
                line,
                sale_date=back,
                clock=_clock(seed, f"{line.sale_id} comes back"),
                quantity=-draw.randint(1, line.quantity),
                payment_status="Refunded",
                payment_date=back,
                rating=None,
                shipping_cost=Decimal("0.00"),
                delivery_status="Returned",
                delivery_date=back,
            )
        )
    return tuple(returned)


def _order(seed: int, day: date, rows: int, draw: random.Random, sale_id: str) -> list[Line]:
    customer = _visitor(seed, day, rows, draw)
    channel = _pick(draw, CHANNELS)
    method = _pick(draw, METHODS)
    representative = draw.choice(_representatives(seed)[customer.region])
    payment, paid_on = _payment(day, method, draw)
    delivery, delivered_on = _delivery(day, channel, draw)
    rating = draw.choices(range(1, 6), (4, 6, 14, 36, 40))[0] if delivered_on and draw.random() < 0.45 else None
    if draw.random() < CANCELLED_ORDERS:
        payment, paid_on, delivery, delivered_on, rating = "Cancelled", None, "Cancelled", None, None
    shipping = (
        Decimal("0.00") if channel == "Store" else draw.choice((Decimal("4.90"), Decimal("7.90"), Decimal("0.00")))
    )
    clock = _clock(seed, sale_id)
    lines: list[Line] = []
    for product in _basket(day, draw):
        lines.append(
            Line(
                sale_date=day,
                clock=clock,
                sale_id=sale_id,
                product=product,
                quantity=_pick(draw, QUANTITIES),
                unit_price=_price(seed, product, day.year, (day.month - 1) // 3),
                discount_percent=_pick(draw, DISCOUNTS),
                payment_method=method,
                payment_status=payment,
                payment_date=paid_on,
                customer=customer,
                channel=channel,
                representative=representative,
                rating=rating,
                # The parcel's price stands on the order's first line only, so that the column can be summed.
                shipping_cost=Decimal("0.00") if lines else shipping,
                delivery_status=delivery,
                delivery_date=delivered_on,
            )
        )
    return lines


def _clock(seed: int, sale_id: str) -> time_of_day:
    """The time of a sale. It has random numbers of its own, so that the rest of a sheet is the same without times."""
    draw = random.Random(f"{seed}/{sale_id}/time")
    return time_of_day(_pick(draw, HOURS), draw.randrange(60), draw.randrange(60))


def _visitor(seed: int, day: date, rows: int, draw: random.Random) -> Customer:
    """A customer: mostly a recent one, the more recent the likelier, and now and then a new one."""
    new_per_day = max(1, rows // 12)
    known = day.toordinal() * new_per_day
    if draw.random() < 0.15:
        return _customer(seed, known + draw.randrange(new_per_day))
    return _customer(seed, known - 1 - int(draw.random() ** 1.6 * new_per_day * 300))


def _payment(day: date, method: str, draw: random.Random) -> tuple[str, date | None]:
    if draw.random() < (0.15 if method == "Bank Transfer" else 0.02):
        return "Pending", None
    return "Paid", day + timedelta(draw.randint(0, 10) if method == "Bank Transfer" else 0)


def _delivery(day: date, channel: str, draw: random.Random) -> tuple[str, date | None]:
    if channel == "Store":
        return "Delivered", day
    if draw.random() < 0.06:
        return draw.choice(("Pending", "In Transit")), None
    return "Delivered", day + timedelta(draw.choices(range(1, SLOWEST_DELIVERY_DAYS + 1), (12, 30, 26, 14, 9, 5, 4))[0])


def _basket(day: date, draw: random.Random) -> list[Product]:
    products, demand = _demand(day.month)
    chosen = draw.choices(products, cum_weights=demand, k=_pick(draw, LINES_PER_ORDER))
    return list(dict.fromkeys(chosen))  # a product stands on one line of an order


@cache
def _demand(month: int) -> tuple[tuple[Product, ...], tuple[int, ...]]:
    """The catalogue with cumulative weights: a category's season, and within it the first products sell best."""
    total = 0
    weights = []
    rank: Counter[str] = Counter()
    for product in PRODUCTS:
        rank[product.category] += 1
        total += product.demand[month - 1] * (10 - rank[product.category])
        weights.append(total)
    return PRODUCTS, tuple(weights)


@cache
def _price(seed: int, product: Product, year: int, quarter: int) -> Decimal:
    revision = random.Random(f"{seed}/{product.product_id}/{year}/{quarter}").choice((-4, -2, 0, 0, 0, 2, 3, 5))
    return cents(product.list_price * (100 + revision) / 100)


@lru_cache(maxsize=100_000)
def _customer(seed: int, number: int) -> Customer:
    draw = random.Random(f"{seed}/customer/{number}")
    region = draw.choices(list(REGIONS), [share for _, share in REGIONS.values()])[0]
    return Customer(f"C{number:08}", _name(region, draw), region)


@cache
def _representatives(seed: int) -> dict[str, list[str]]:
    draw = random.Random(f"{seed}/representatives")
    return {region: [_name(region, draw) for _ in range(REPRESENTATIVES_PER_REGION)] for region in REGIONS}


def _name(region: str, draw: random.Random) -> str:
    faker = _faker(REGIONS[region][0])
    faker.seed_instance(draw.getrandbits(64))
    return f"{faker.first_name()} {faker.last_name()}"


@cache
def _faker(locale: str) -> Faker:
    return Faker(locale)


def _products() -> Iterator[Product]:
    for category, (prefix, cost_share, demand, prices) in CATALOGUE.items():
        for number, (name, price) in enumerate(prices.items(), start=1):
            cost = cents(Decimal(price) * Decimal(cost_share))
            yield Product(f"{prefix}-{number:03}", name, category, Decimal(price), cost, demand)


PRODUCTS = tuple(_products())


def _pick(draw: random.Random, weighted: dict[Choice, int]) -> Choice:
    return draw.choices(list(weighted), list(weighted.values()))[0]


def _day(value: date | None) -> str:
    return value.isoformat() if value else ""


def _with(**changes: str) -> Callable[[list[str]], list[str]]:
    return lambda cells: [changes.get(name, cell) for name, cell in zip(HEADER, cells, strict=True)]


BAD_ROWS: dict[str, Callable[[list[str]], list[str]]] = {
    "missing_sale_id": _with(**{"Sale ID": ""}),
    "missing_product_id": _with(**{"Product ID": ""}),
    "impossible_date": _with(**{"Sale Date": "2024-02-30"}),
    "text_quantity": _with(**{"Quantity Sold": "ten"}),
    "zero_quantity": _with(**{"Quantity Sold": "0"}),
    "negative_price": lambda cells: _with(**{"Unit Price": f"-{cells[CELL['Unit Price']]}"})(cells),
    "discount_over_100": _with(**{"Discount (%)": "150"}),
    "rating_out_of_range": _with(**{"Customer Rating": "9 stars"}),
    "wrong_total": lambda cells: _with(
        **{"Total Value (with Discount)": str(Decimal(cells[CELL["Total Value (with Discount)"]]) + 10)}
    )(cells),
    "too_few_fields": lambda cells: cells[:-3],
    "too_many_fields": lambda cells: [*cells, "surplus"],
}


def _sheet(key: str, day: date, lines: list[Line], bad_ratio: float, draw: random.Random) -> Sheet:
    """Spread the broken rows between the good ones, and sum up what was written."""
    bad_count = round(len(lines) * bad_ratio / (1 - bad_ratio))
    bad_before = Counter(draw.randint(0, len(lines)) for _ in range(bad_count))
    kinds = list(BAD_ROWS)
    bad_rows: Counter[str] = Counter()
    bad_lines: list[int] = []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    line_number = 1
    for position in range(len(lines) + 1):
        for _ in range(bad_before[position]):
            line_number += 1
            serial = len(bad_lines)
            # It has a sale id of its own: if the row were accepted by mistake, the number of orders would show it.
            broken = replace(draw.choice(lines), sale_date=day, sale_id=f"X{day:%y%m%d}-{serial + 1:05}")
            kind = kinds[(day.toordinal() + serial) % len(kinds)]
            writer.writerow(BAD_ROWS[kind](broken.cells()))
            bad_rows[kind] += 1
            bad_lines.append(line_number)
        if position < len(lines):
            line_number += 1
            writer.writerow(lines[position].cells())
    content = text.getvalue().encode()
    return Sheet(key, content, _summary(day, lines, dict(bad_rows), bad_lines, content))


def _summary(day: date, lines: list[Line], bad_rows: dict[str, int], bad_lines: list[int], content: bytes) -> Summary:
    sales = [line for line in lines if line.quantity > 0 and not line.cancelled]
    gross = _sum(line.value for line in sales)
    discounts = _sum(line.discount for line in sales)
    returns = _sum(line.discount - line.value for line in lines if line.quantity < 0)
    return Summary(
        sale_date=day.isoformat(),
        rows=len(lines),
        bad_rows=bad_rows,
        bad_lines=bad_lines,
        orders=len({line.sale_id for line in sales}),
        units_sold=sum(line.quantity for line in sales),
        gross_sales=str(gross),
        discounts=str(discounts),
        returns=str(returns),
        net_sales=str(gross - discounts - returns),
        cancelled_value=str(_sum(line.value - line.discount for line in lines if line.cancelled)),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal("0.00"))


def write_manifest(file: Path, sheets: Iterable[Sheet]) -> None:
    """Merge the sheets' summaries into the manifest by key; a reader sees the old manifest or the new one."""
    entries = json.loads(file.read_text()) if file.exists() else {}
    entries |= {each.key: each.summary for each in sheets}
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")
    draft.replace(file)


def upload(sheets: Iterable[Sheet], store: ObjectStore, bucket: str) -> int:
    """Put the sheets into the bucket and return how many were put: an object with the same content stays untouched."""
    present = {found.key: (found.etag, found.size) for found in store.list(bucket, PREFIX)}
    put = 0
    for each in sheets:
        etag = hashlib.md5(each.content, usedforsecurity=False).hexdigest()
        if present.get(each.key) != (etag, len(each.content)):
            store.put(bucket, each.key, each.content)
            put += 1
    return put


def main(
    *,
    days: Annotated[int, typer.Option(min=1, help="How many daily sheets, the last one of --end.")] = 92,
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last date; today (UTC) if not given.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Average lines per day.")] = 400,
    bad_ratio: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of rows to break; above 0.2 the loader rejects the whole file.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Another seed is another shop.")] = 7,
    output: Annotated[Path | None, typer.Option(file_okay=False, help="Write the sheets into this folder.")] = None,
    to_bucket: Annotated[bool, typer.Option("--upload", help="Put the sheets into S3_BUCKET under CSV/.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Instead of days: a small sheet of now, again and again.")
    ] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two live sheets.")] = 5,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many live sheets.")] = None,
    manifest: Annotated[Path, typer.Option(dir_okay=False, help="Where to note what the sheets hold.")] = Path(
        ".stack/manifest.json"
    ),
) -> None:
    """Write reproducible daily sales sheets to a folder, to the bucket, or both."""
    if output is None and not to_bucket:
        raise typer.BadParameter("say where the sheets go: --output DIR, --upload, or both")
    settings = Settings.read() if to_bucket else None

    def deliver(sheets: list[Sheet]) -> None:
        if output:
            output.mkdir(parents=True, exist_ok=True)
            for each in sheets:
                (output / Path(each.key).name).write_bytes(each.content)
        put = upload(sheets, ObjectStore(settings), settings.s3_bucket) if settings else None
        write_manifest(manifest, sheets)
        typer.echo(_report(sheets, put))

    if live:
        with suppress(KeyboardInterrupt):
            for number in itertools.count(1):
                deliver([live_sheet(seed, datetime.now(UTC), rows, bad_ratio)])
                if number == count:
                    break
                time.sleep(every)
    else:
        last = (end or datetime.now(UTC)).date()
        deliver([sheet(seed, last - timedelta(back), rows, bad_ratio) for back in range(days - 1, -1, -1)])


def _report(sheets: list[Sheet], put: int | None) -> str:
    first, last = sheets[0].summary["sale_date"], sheets[-1].summary["sale_date"]
    what = sheets[0].key if len(sheets) == 1 else f"{len(sheets)} sheets, {first} to {last}"
    good = sum(each.summary["rows"] for each in sheets)
    bad = sum(len(each.summary["bad_lines"]) for each in sheets)
    net = _sum(Decimal(each.summary["net_sales"]) for each in sheets)
    uploaded = "" if put is None else f"; {put} uploaded, {len(sheets) - put} already there"
    return f"{what}: {good:,} good rows, {bad:,} bad rows, net sales {net:,}{uploaded}"


if __name__ == "__main__":
    try:
        typer.run(main)
    except LoaderError as error:
        raise SystemExit(f"csv_generator: {error}") from error
