"""Sheets as shops' systems export them are drafted right the first time: the sum of net sales is that of the sheet."""

import csv
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from loader.drafting.draft import Draft, draft_feed, draft_pair
from loader.errors import InvalidFile, SettingsError
from loader.feeds import Feed, Feeds
from loader.formats import open_sheet
from loader.sales_line import AMOUNT_FIELDS, Amounts, cents
from loader.settings import Limits
from loader.validation import Validator

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Line:
    """One line of a made-up shop, in all that a sheet may say of it."""

    order: int
    day: datetime
    product: int
    quantity: int
    price: Decimal
    weight: Decimal
    rate: Decimal  # of the discount
    last: bool  # of its order
    of_order: Decimal  # gross, of all lines of the order

    @property
    def gross(self) -> Decimal:
        return self.price * self.quantity

    @property
    def off(self) -> Decimal:
        return cents(self.gross * self.rate)

    @property
    def net(self) -> Decimal:
        return self.gross - self.off


def lines() -> list[Line]:
    """Four hundred orders of one to three lines of twelve products; three lines in ten have a discount."""
    chance = random.Random(11)
    prices = [Decimal(chance.randrange(150, 9000)) / 100 for _ in range(12)]
    weights = [Decimal(chance.randrange(100, 9000)) / 1000 + Decimal("0.001") for _ in range(12)]
    found: list[Line] = []
    for order in range(200):
        day = datetime(2025, 1, 1, 9, 5, tzinfo=UTC) + timedelta(hours=7 * order)
        bought = [(product, chance.choice((1, 1, 2, 3, 5, 12))) for product in chance.sample(range(12), order % 3 + 1)]
        total = sum((prices[product] * quantity for product, quantity in bought), Decimal())
        for product, quantity in bought:
            rate = Decimal(chance.choice((5, 10, 20)) if chance.random() < 0.3 else 0) / 100
            last = product == bought[-1][0]
            found.append(Line(order, day, product, quantity, prices[product], weights[product], rate, last, total))
    return found


LINES = lines()
GROSS = sum(each.gross for each in LINES)
NET = sum(each.net for each in LINES)
PLAIN: dict[str, Callable[[Line], object]] = {
    "Order ID": lambda of: f"A{of.order}",
    "Order Date": lambda of: f"{of.day:%Y-%m-%d}",
    "SKU": lambda of: f"P{of.product}",
    "Quantity": lambda of: of.quantity,
}
# A language that no vocabulary has.
FOREIGN = dict(zip(("Tilaus", "Jolloin", "Tavara", "Luku"), PLAIN.values(), strict=True))


def write(path: Path, columns: dict[str, Callable[[Line], object]], encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=";").writerows(
            [[*columns], *([cell(of) for cell in columns.values()] for of in LINES)]
        )
    return path


def drafted(folder: Path, columns: dict[str, Callable[[Line], object]]) -> Draft:
    return draft_feed(write(folder / "sheet.csv", columns), None, Limits())


def net_of(path: Path, feed: Feed) -> Decimal:
    """Net sales as the marts have them: sales less returns, each line in cents."""
    net = Decimal()
    with path.open("rb") as stream, open_sheet(stream, feed, Limits()) as sheet:
        for verdict in map(Validator(feed, sheet.rows.header).validate, sheet.rows.batches()):
            assert not verdict.rejected, verdict.rejected[:3]
            for row in verdict.accepted.to_pylist():
                of = Amounts({name: Decimal(row[name]) for name in AMOUNT_FIELDS if row.get(name) is not None})
                line = cents(of.total if row.get("line_total") else of.gross) - (
                    Decimal() if row.get("line_total") else cents(of.gross - of.total)
                )
                net += {"sale": line, "return": -abs(line)}.get(row["line_type"], Decimal())
    return net


def assert_comes_to(total: Decimal | int, made: Draft, folder: Path) -> None:
    assert not made.missing, made.text
    assert net_of(folder / "sheet.csv", made.feed) == total, made.text


@pytest.mark.parametrize("discount", ["an amount", "a share", "a percentage"])
def test_a_total_that_the_prices_of_products_prove_to_be_before_its_discount_is_drafted_as_such(
    discount: str, tmp_path: Path
) -> None:
    off: dict[str, Callable[[Line], object]] = {
        "an amount": {"Discount": lambda of: of.off},
        "a share": {"Discount": lambda of: of.rate},
        "a percentage": {"Discount %": lambda of: of.rate * 100},
    }[discount]
    made = drafted(tmp_path, PLAIN | {"Total": lambda of: of.gross} | off)
    assert made.feed.columns["line_total"].before_discount
    assert "'Discount" in made.text
    assert_comes_to(NET, made, tmp_path)


def test_a_total_that_is_quantity_times_price_is_before_the_discount_beside_it(tmp_path: Path) -> None:
    columns = PLAIN | {"Unit Price": lambda of: of.price, "Discount": lambda of: of.off, "Total": lambda of: of.gross}
    made = drafted(tmp_path, columns)
    assert "the discount is still to be taken off" in made.text
    assert_comes_to(NET, made, tmp_path)


@pytest.mark.parametrize(
    ("written", "form"),
    [
        (lambda day: f"{day.day} {('janvier', 'février', 'mars')[day.month - 1]} {day.year}", "%d %b %Y"),
        (lambda day: f"{day:%d}-{('Oca', 'Şub', 'Mar')[day.month - 1]}-{day.year}", "%d-%b-%Y"),
        (lambda day: f"{day.day} de {('enero', 'febrero', 'marzo')[day.month - 1]} de {day.year}", "%d de %B de %Y"),
        (lambda day: f"{day:%d}/{('jan', 'fev', 'mar')[day.month - 1]}/{day.year} {day:%H:%M}", "%d/%b/%Y %H:%M"),
        (lambda day: f"{day.day}. {('Januar', 'Februar', 'März')[day.month - 1]} {day.year}", "%d. %B %Y"),
        (lambda day: f"{day:%b-%d-%y}", "%b-%d-%y"),
        (lambda day: f"{day:%b} {day.day}, {day:%Y, %I:%M:%S %p}", "%b %d, %Y, %I:%M:%S %p"),
    ],
)
def test_dates_with_names_of_months_are_read_in_the_languages_of_sheets(
    written: Callable[[datetime], str], form: str, tmp_path: Path
) -> None:
    made = drafted(tmp_path, PLAIN | {"Order Date": lambda of: written(of.day), "Price": lambda of: of.price})
    assert form in made.feed.format.dates
    assert_comes_to(GROSS, made, tmp_path)
    assert {made.feed.cell("sold_at", written(of.day)) or "" for of in LINES} == {
        f"{of.day:%Y-%m-%dT%H:%M}:00+00:00" if ":" in written(of.day) else f"{of.day:%Y-%m-%d}T00:00:00+00:00"
        for of in LINES
    }


@pytest.mark.parametrize("gross", [False, True])
def test_what_is_left_after_a_discount_is_told_from_the_discount_in_any_language(gross: bool, tmp_path: Path) -> None:
    """Either is quantity x price less the other one, and before it may stand a column of quantity x price itself."""
    before = {"Yhteensä": lambda of: of.gross} if gross else {}
    columns = (
        FOREIGN | {"Kappale": lambda of: of.price} | before | {"Pois": lambda of: of.off, "Jää": lambda of: of.net}
    )
    made = drafted(tmp_path, columns)
    assert made.feed.columns["discount_amount"].header == "Pois"
    assert_comes_to(NET, made, tmp_path)


def test_a_column_that_is_lower_by_another_in_every_row_is_named_and_not_taken(tmp_path: Path) -> None:
    columns = PLAIN | {"Price": lambda of: of.price, "Y": lambda of: of.gross}
    made = drafted(
        tmp_path,
        columns
        | {
            "Rest": lambda of: f"{1 + of.product / 100:.2f}",
            "Osuus": lambda of: of.gross - 1 - Decimal(of.product) / 100,
        },
    )
    assert "quantity × price is 'Osuus' and 'Rest' together" in made.text
    assert_comes_to(GROSS, made, tmp_path)


def test_a_price_that_grows_with_the_quantity_is_the_total_of_the_line(tmp_path: Path) -> None:
    made = drafted(tmp_path, PLAIN | {"item-price": lambda of: of.gross})
    assert made.feed.columns["line_total"].header == "item-price"
    assert_comes_to(GROSS, made, tmp_path)


def test_a_total_that_does_not_grow_with_the_quantity_is_the_price_of_a_piece(tmp_path: Path) -> None:
    made = drafted(tmp_path, PLAIN | {"Amount": lambda of: of.price})
    assert made.feed.columns["unit_price"].header == "Amount"
    assert_comes_to(GROSS, made, tmp_path)


def test_a_total_with_shipping_is_left_to_a_person(tmp_path: Path) -> None:
    columns = {"Total": lambda of: of.gross + 5 + of.order % 7, "Shipping": lambda of: 5 + of.order % 7}
    made = drafted(tmp_path, PLAIN | columns)
    assert made.missing == ["unit_price"]
    assert "'Total' is not what a line comes to: by the prices of the products, it has 'Shipping' in it" in made.text


def test_a_total_after_its_discount_counts(tmp_path: Path) -> None:
    made = drafted(tmp_path, PLAIN | {"Total": lambda of: of.net, "Discount": lambda of: of.off})
    assert_comes_to(NET, made, tmp_path)


def test_a_total_that_is_lower_by_what_no_column_says_counts(tmp_path: Path) -> None:
    columns = PLAIN | {
        "Unit Price": lambda of: of.price,
        "Revenue": lambda of: cents(of.gross * Decimal(97 - of.order % 5) / 100),
    }
    made = drafted(tmp_path, columns)
    assert made.feed.columns["line_total"].header == "Revenue"
    assert_comes_to(sum(Decimal(str(columns["Revenue"](of))) for of in LINES), made, tmp_path)


def test_a_total_that_is_higher_by_what_nothing_says_is_left_to_a_person(tmp_path: Path) -> None:
    columns = PLAIN | {"Unit Price": lambda of: min(of.price, Decimal(20)), "Sales": lambda of: of.gross}
    made = drafted(tmp_path, columns)
    assert made.missing == ["unit_price"]
    assert "`line_total: Sales` or `unit_price: Unit Price`" in made.text


@pytest.mark.parametrize("part", ["Shipping", "Tax"])
def test_a_total_that_has_shipping_or_tax_in_it_leaves_the_price(part: str, tmp_path: Path) -> None:
    kinds: dict[str, Callable[[Line], Decimal]] = {
        "Shipping": lambda of: Decimal(of.order % 9 + 3),
        "Tax": lambda of: cents(of.gross * Decimal("0.19")),
    }
    more = kinds[part]
    columns = PLAIN | {"Unit Price": lambda of: of.price, part: more, "Total": lambda of: of.gross + more(of)}
    assert_comes_to(GROSS, drafted(tmp_path, columns), tmp_path)


def test_the_total_of_an_order_on_its_last_line_is_none_of_a_line(tmp_path: Path) -> None:
    total = {"Total": lambda of: of.of_order if of.last else ""}
    made = drafted(tmp_path, PLAIN | {"Price": lambda of: of.price} | total)
    assert "'Total' is the same in all lines of an order, or in one of them" in made.text
    assert_comes_to(GROSS, made, tmp_path)
    assert drafted(tmp_path, PLAIN | total).missing == ["unit_price"]


@pytest.mark.parametrize("once", [False, True])
def test_the_sums_of_orders_prove_a_price_that_is_called_a_cost(once: bool, tmp_path: Path) -> None:
    columns = PLAIN | {"Order Subtotal Amount": lambda of: of.of_order if of.last or not once else ""}
    made = drafted(tmp_path, columns | {"Weight": lambda of: of.weight, "Item Cost": lambda of: of.price})
    assert made.feed.columns["unit_price"].header == "Item Cost"
    assert_comes_to(GROSS, made, tmp_path)


@pytest.mark.parametrize("minus", ["-{}", "(${})", "-${}"])
def test_discounts_that_are_written_with_a_minus_are_taken_off(minus: str, tmp_path: Path) -> None:
    discount = {"Discounts": lambda of: minus.format(of.off) if of.off else "-"}
    assert_comes_to(NET, drafted(tmp_path, PLAIN | {"Price": lambda of: of.price} | discount), tmp_path)


def test_a_discount_in_a_sheet_without_orders_is_drafted(tmp_path: Path) -> None:
    columns = {name: cell for name, cell in PLAIN.items() if name != "Order ID"} | {"Price": lambda of: of.price}
    made = drafted(tmp_path, columns | {"Discount": lambda of: of.off})
    assert (made.missing, made.feed.columns["discount_amount"].header) == (["sale_id"], "Discount")


def test_a_sheet_of_unknown_columns_of_which_the_first_has_no_name_is_drafted(tmp_path: Path) -> None:
    made = drafted(tmp_path, {"": lambda of: of.order, "X": lambda of: f"word {of.product}", " ": lambda _: "more"})
    assert {"sold_at", "quantity", "unit_price"} <= {*made.missing}


def test_a_column_of_rates_is_no_amount_of_tax(tmp_path: Path) -> None:
    made = drafted(tmp_path, PLAIN | {"Price": lambda of: of.price, "TVA": lambda _: "20,00 %"})
    assert "tax_amount" not in made.feed.columns
    assert_comes_to(GROSS, made, tmp_path)


@pytest.mark.parametrize(
    ("column", "word"), [("Status", "Failed"), ("Status", "Returned"), ("Payment Status", "Declined")]
)
def test_sales_that_failed_or_were_taken_back_in_their_own_row_do_not_count(
    column: str, word: str, tmp_path: Path
) -> None:
    status = {column: lambda of: word if of.order % 9 == 4 else "Paid"}
    made = drafted(tmp_path, PLAIN | {"Price": lambda of: of.price} | status)
    assert_comes_to(sum(of.gross for of in LINES if of.order % 9 != 4), made, tmp_path)


def test_a_total_of_weights_proves_no_price(tmp_path: Path) -> None:
    columns = FOREIGN | {"Massa": lambda of: of.weight, "Massat": lambda of: of.weight * of.quantity}
    made = drafted(tmp_path, columns | {"Taksa": lambda of: of.price})
    assert "unit_price" in made.missing, made.text


def test_a_column_that_might_be_the_price_as_well_is_named(tmp_path: Path) -> None:
    columns = FOREIGN | {"Massa": lambda of: cents(of.weight), "Massat": lambda of: cents(of.weight) * of.quantity}
    made = drafted(tmp_path, columns | {"Taksa": lambda of: of.price})
    assert "'Taksa' might be the price as well" in made.text


def test_the_sum_is_that_of_the_totals_where_the_sheet_rounds_otherwise(tmp_path: Path) -> None:
    total = {"Total": lambda of: cents(of.gross * (1 - of.rate))}
    made = drafted(tmp_path, PLAIN | {"Price": lambda of: of.price, "Discount": lambda of: of.rate} | total)
    stated = sum(cents(of.gross * (1 - of.rate)) for of in LINES)
    assert stated != NET
    assert_comes_to(stated, made, tmp_path)


def test_a_discount_that_is_stated_as_an_amount_is_what_is_taken_off(tmp_path: Path) -> None:
    columns = PLAIN | {"Price": lambda of: of.price, "Discount": lambda of: of.off}
    made = drafted(tmp_path, columns | {"Total": lambda of: cents(of.gross * (1 - of.rate))})
    assert made.feed.columns["stated_total"].header == "Total"
    assert "it is a cent off there, and is only checked" in made.text
    assert_comes_to(NET, made, tmp_path)


def test_the_total_of_a_line_is_told_from_that_of_its_order_by_the_figures(tmp_path: Path) -> None:
    columns = PLAIN | {"UnitAmount": lambda of: of.price, "Discount": lambda of: int(of.rate * 100) or ""}
    columns |= {"LineAmt": lambda of: cents(of.gross * (1 - of.rate)), "Total": lambda of: of.of_order}
    made = drafted(tmp_path, columns)
    assert_comes_to(sum(cents(of.gross * (1 - of.rate)) for of in LINES), made, tmp_path)


def test_a_word_of_another_field_is_no_likeness(tmp_path: Path) -> None:
    made = drafted(tmp_path, PLAIN | {"Price": lambda of: of.price, "Count": lambda of: of.quantity})
    assert "unit_cost" not in made.feed.columns


def test_a_category_serves_as_product_where_nothing_else_does(tmp_path: Path) -> None:
    columns = {name: cell for name, cell in PLAIN.items() if name != "SKU"} | {
        "Product line": lambda of: f"Kind {of.product}"
    }
    made = drafted(tmp_path, columns | {"Price": lambda of: of.price})
    assert "no column looks like a product: its category serves as one" in made.text
    assert_comes_to(GROSS, made, tmp_path)


def test_an_encoding_that_nothing_tells_may_be_named(tmp_path: Path) -> None:
    columns = dict(zip(("伝票番号", "日付", "商品コード", "数量"), PLAIN.values(), strict=True))
    path = write(tmp_path / "sheet.csv", columns | {"単価": lambda of: of.price, "金額": lambda of: of.gross}, "cp932")
    with pytest.raises(InvalidFile):
        draft_feed(path, None, Limits())
    with pytest.raises(SettingsError, match="--encoding"):
        draft_feed(path, None, Limits(), encoding="klingon")
    made = draft_feed(path, None, Limits(), encoding="cp932")
    assert made.feed.format.encoding == "cp932"
    assert_comes_to(GROSS, made, tmp_path)


@pytest.mark.parametrize("zeros", [False, True])
def test_a_sheet_of_orders_and_one_of_their_items_are_drafted_as_a_pair(zeros: bool, tmp_path: Path) -> None:
    back = {of.order for of in LINES if of.order % 11 == 3}
    number = f"{{:0{10 * zeros}}}"
    items: dict[str, Callable[[Line], object]] = {
        "VBELN": lambda of: f"{of.order + 7000:010}",
        "MATNR": PLAIN["SKU"],
        "KWMENG": lambda of: f"{of.quantity},000",
        "NETWR": lambda of: f"{of.gross:,.2f}".translate(str.maketrans(",.", ".,")) + "-" * (of.order in back),
    }
    write(tmp_path / "sheet.csv", items)
    orders = tmp_path / "vbak.csv"
    heads = {of.order: [number.format(of.order + 7000), f"{of.day:%Y%m%d}", "K1", "9.999,00"] for of in LINES}
    with orders.open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([["VBELN", "ERDAT", "KUNNR", "NETWR"], *heads.values()])
    of_items, of_orders = draft_pair(tmp_path / "sheet.csv", orders, "sap", Limits())
    assert (of_items.feed.order_headers, of_orders.feed.kind) == (of_orders.feed.feed, "order_headers")
    assert_comes_to(sum(of.gross * (1 - 2 * (of.order in back)) for of in LINES), of_items, tmp_path)
    counts = of_orders.check.counts
    assert (of_orders.missing, counts.loaded, counts.read) == ([], 200, 200), of_orders.text
    keys = [
        {feed.cell("sale_id", cell) for cell in cells}
        for feed, cells in (
            (of_items.feed, [str(items["VBELN"](of)) for of in LINES]),
            (of_orders.feed, [head[0] for head in heads.values()]),
        )
    ]
    assert keys[0] == keys[1]


def test_feed_init_writes_the_feeds_of_both_sheets_and_they_are_those_of_one_sale(tmp_path: Path) -> None:
    items = write(
        tmp_path / "items.csv",
        {"Order ID": PLAIN["Order ID"], "SKU": PLAIN["SKU"], "Qty": PLAIN["Quantity"], "Price": lambda of: of.price},
    )
    orders = tmp_path / "orders.csv"
    orders.write_text("Order ID,Order Date\n" + "".join(f"A{n},2025-01-02\n" for n in range(200)))
    feeds = tmp_path / "feeds"
    feeds.mkdir()
    command = [sys.executable, "-m", "loader", "feed", "init", str(items), "--orders", str(orders)]
    again = [*command, "--name", "shop_items", "--write", str(feeds / "items.yml")]
    ran = subprocess.run(again, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    shop = Feeds(feeds)
    assert shop.named("shop_items").order_headers == shop.named("orders").feed
    (feeds / "items.yml").unlink()
    ran = subprocess.run(again, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ran.returncode, "exists already" in ran.stderr) == (2, True)
    assert not (feeds / "items.yml").exists()


def test_sheets_that_have_no_order_in_common_say_so(tmp_path: Path) -> None:
    items = write(
        tmp_path / "items.csv", {"Vorgang": lambda of: f"A{of.order}", "SKU": PLAIN["SKU"], "Qty": PLAIN["Quantity"]}
    )
    orders = tmp_path / "orders.csv"
    orders.write_text("Number,Date\n" + "".join(f"B{n},2025-01-0{n}\n" for n in range(1, 9)))
    of_items, _ = draft_pair(items, orders, None, Limits())
    assert "no column has the orders of orders.csv" in of_items.text
