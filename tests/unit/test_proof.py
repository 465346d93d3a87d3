"""A draft goes by what cells prove, whatever language the header is in; what they do not prove is left to a person."""

import csv
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from loader.drafting.draft import Draft, draft_feed
from loader.settings import Limits

FIELDS = ("sale_id", "sold_at", "customer", "product_id", "product_name", "quantity", "unit_price", "total", "currency")
# In the order of FIELDS; the way dates are written, and the decimal sign.
SHEETS = {
    "German": ("Vorgang,Tag,Käufernr,Warennr,Ware,Stk,Stückpreis netto,Zeilenwert,Geld", "%d.%m.%Y", ","),
    "Spanish": ("Operación,Jornada,Socio,Clave,Mercancía,Piezas vend,Tarifa,Monto cobrado,Divisa", "%d/%m/%Y", ","),
    "Portuguese": ("Lançamento,Quando,Freguês,Chave,Mercadoria,Peças,Tarifa,Cobrado,Moeda", "%d/%m/%Y", ","),
    "French": ("Dossier,Jour,Acheteur n°,Clé,Marchandise,Pièces,Tarif,Encaissé,Monnaie", "%d/%m/%Y", ","),
    "Italian": ("Ordine,Data,Cliente n.,Codice,Prodotto,Quantità,Prezzo,Importo,Valuta", "%d/%m/%Y", ","),
    "Polish": ("Zamówienie,Data,Klient,Kod,Towar,Ilość,Cena,Wartość,Waluta", "%Y-%m-%d", ","),
    "Turkish": ("Sipariş,Tarih,Müşteri,Kod,Ürün,Adet,Fiyat,Tutar,Para birimi", "%d.%m.%Y", ","),
    "Japanese": ("注文番号,日付,顧客,商品コード,商品名,数量,単価,金額,通貨", "%Y年%m月%d日", "."),
    "nothing": ("A1,B1,C1,D1,E1,F1,G1,H1,I1", "%Y-%m-%d", "."),
}


def lines(form: str, decimal: str, whole: bool = False) -> list[list[str]]:
    """Three hundred lines of orders of one to three; eight products of a price each, twelve customers."""
    chance = random.Random(7)
    prices = [chance.randrange(2, 60) + (0 if whole else chance.choice((0.5, 0.9, 0.95))) for _ in range(8)]

    def number(figure: float) -> str:
        return f"{figure:.0f}" if whole else f"{figure:.2f}".replace(".", decimal)

    rows: list[list[str]] = []
    for order in range(150):
        customer, day = f"K{chance.randrange(12):03}", date(2025, 1, 3) + timedelta(order // 2)
        for _ in range(order % 3 + 1):
            product, quantity = chance.randrange(8), chance.randrange(1, 9)
            rows.append(
                [
                    *(f"R-{5000 + order}", day.strftime(form), customer, f"W{product}", f"Ware Nummer {product}"),
                    *(str(quantity), number(prices[product]), number(quantity * prices[product]), "EUR"),
                ]
            )
    return rows


def drafted(folder: Path, header: list[str], rows: list[list[str]]) -> Draft:
    path = folder / "sheet.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows([header, *rows])
    return draft_feed(path, None, Limits())


def mapped(made: Draft) -> dict[str, str | None]:
    return {name: column.header for name, column in made.feed.columns.items() if column.header}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("language", SHEETS)
def test_headers_of_any_language_are_understood_by_their_cells(language: str, whole: bool, tmp_path: Path) -> None:
    names, form, decimal = SHEETS[language]
    header = dict(zip(FIELDS, names.split(","), strict=True))
    made = drafted(tmp_path, [*header.values()], lines(form, decimal, whole))
    found = mapped(made)
    wanted = {name: header[name] for name in FIELDS if name not in ("customer", "total")}
    assert {name: found.get(name) for name in wanted} == wanted, made.text
    assert found.get("stated_total") == header["total"], made.text
    assert found.get("customer_id") in (None, header["customer"])
    assert found.keys() <= wanted.keys() | {"stated_total", "customer_id"}, (
        made.text
    )  # nothing is taken for what it is not
    assert (made.missing, made.check.counts.loaded, made.check.counts.rejected) == ([], 300, 0)


def without(*places: int) -> Callable[[list[str]], list[str]]:
    return lambda row: [cell for place, cell in enumerate(row) if place not in places]


@pytest.mark.parametrize(
    ("left_out", "missing"),
    [
        ((7,), ["product_id", "quantity", "unit_price"]),  # no total that quantity and price would prove
        ((0,), ["sale_id"]),
        ((1,), ["sold_at"]),
        (
            (3, 4),
            ["product_id", "quantity", "unit_price"],
        ),  # nothing has a price of its own, so either may be the price
        ((5,), ["product_id", "quantity", "unit_price"]),
    ],
)
def test_what_no_cell_proves_is_left_to_a_person(left_out: tuple[int, ...], missing: list[str], tmp_path: Path) -> None:
    keep = without(*left_out)
    names, form, decimal = SHEETS["nothing"]
    made = drafted(tmp_path, keep(names.split(",")), [keep(row) for row in lines(form, decimal)])
    assert sorted(made.missing) == sorted(missing), made.text
    assert all(f"TODO {name}" in made.text for name in missing)


def test_a_price_that_is_the_total_of_the_line_is_found_out(tmp_path: Path) -> None:
    """By its name `Price` would be that of one piece, and every line would count quantity times too much."""
    header = ["Order", "Date", "Customer ID", "SKU", "Product name", "Qty", "Each", "Price", "Currency"]
    found = mapped(drafted(tmp_path, header, lines("%Y-%m-%d", ".")))
    assert (found["unit_price"], found["stated_total"]) == ("Each", "Price")


def test_price_and_cost_are_told_apart_by_the_profit(tmp_path: Path) -> None:
    rows = [
        [*row, f"{float(row[6]) / 2:.2f}", f"{int(row[5]) * round(float(row[6]) / 2, 2):.2f}"]
        for row in lines("%Y-%m-%d", ".")
    ]
    rows = [[*row, f"{float(row[7]) - float(row[10]):.2f}"] for row in rows]
    found = mapped(drafted(tmp_path, [f"X{place}" for place in range(12)], rows))
    assert (found["quantity"], found["unit_price"], found["stated_total"]) == ("X5", "X6", "X7")
    assert (found["unit_cost"], found["stated_cost"], found["stated_profit"]) == ("X9", "X10", "X11")
    without_profit = drafted(tmp_path, [f"X{place}" for place in range(11)], [row[:11] for row in rows])
    assert {"quantity", "unit_price"} <= {*without_profit.missing}
    assert "which of them is quantity × price, the cells do not say" in without_profit.text


@pytest.mark.parametrize("what", ["tax", "boxes", "rates", "customers"])
def test_figures_that_only_look_like_a_sale_are_none(what: str, tmp_path: Path) -> None:
    chance = random.Random(5)
    rows = []
    for number in range(90):
        kind = chance.randrange(6)
        net, count = chance.randrange(500, 90000) / 100, chance.randrange(1, 30)
        figures = {
            "tax": (f"{net:.2f}", rate := ("0.07", "0.19", "0.25")[kind % 3], f"{net * float(rate):.2f}"),
            "boxes": (str(count), str(kind * 6 + 6), str(count * (kind * 6 + 6)), f"{kind + 0.95:.2f}"),
            "rates": (f"{net:.2f}", fx := ("1.09", "1.31", "7.42")[kind % 3], f"{net * float(fx):.2f}"),
            "customers": (str(count), f"{net:.2f}", f"{count * net:.2f}"),
        }[what]
        day = f"2025-04-{chance.randrange(1, 29):02}"
        rows.append([f"K{number // 9:02}" if what == "customers" else f"R{number}", day, f"W{kind}", *figures])
    made = drafted(tmp_path, [f"X{place}" for place in range(len(rows[0]))], rows)
    amounts = {"quantity", "unit_price", "line_total"}
    assert ("sale_id" if what == "customers" else "quantity") in made.missing, made.text
    assert not amounts & mapped(made).keys(), made.text


def test_weights_with_fractions_and_whole_prices_are_not_changed_about(tmp_path: Path) -> None:
    chance = random.Random(3)
    rows = []
    for number in range(60):
        product, weight = chance.randrange(5), chance.randrange(100, 4000) / 1000
        price = 10 + product * 3
        rows.append([f"R{number}", f"2025-02-{number // 3 + 1:02}", f"W{product}", f"{weight:.3f}", str(price)])
        rows[-1].append(f"{weight * price:.2f}")
    made = drafted(tmp_path, ["a", "b", "c", "d", "e", "f"], rows)
    assert mapped(made).get("quantity") in (None, "d"), made.text
    assert mapped(made).get("unit_price") in (None, "e"), made.text


@pytest.mark.parametrize(
    "footer", [["Total", *[""] * 6, "99999.00", ""], [*[""] * 7, "99999.00", ""], ["End of report", *[""] * 8]]
)
def test_a_footer_does_not_hide_what_the_rows_prove(footer: list[str], tmp_path: Path) -> None:
    names, form, decimal = SHEETS["nothing"]
    made = drafted(tmp_path, names.split(","), [*lines(form, decimal), footer])
    assert made.missing == [], made.text
    assert made.check.counts.loaded == 300


@pytest.mark.parametrize("amount", ["Total", "Discount amount"])
def test_an_amount_that_all_lines_of_an_order_repeat_is_none_of_a_line(amount: str, tmp_path: Path) -> None:
    """The sum over the lines would be several times that of the orders."""
    rows = lines("%Y-%m-%d", ".")
    total: dict[str, float] = {}
    for row in rows:
        total[row[0]] = total.get(row[0], 0) + float(row[7])
    header = ["Order", "Date", "Customer ID", "SKU", "Product name", "Qty", amount]
    made = drafted(tmp_path, header, [[*row[:6], f"{total[row[0]]:.2f}"] for row in rows])
    assert not {"line_total", "stated_total", "discount_amount", "discount_rate"} & mapped(made).keys(), made.text
    assert f"'{amount}' is the same in all lines of an order" in made.text


def test_an_amount_that_lines_of_an_order_have_for_themselves_stays_theirs(tmp_path: Path) -> None:
    header = ["Order", "Date", "Customer ID", "SKU", "Product name", "Qty", "Total"]
    made = drafted(tmp_path, header, [[*row[:6], row[7]] for row in lines("%Y-%m-%d", ".")])
    assert mapped(made)["line_total"] == "Total", made.text


def test_a_weight_is_no_price(tmp_path: Path) -> None:
    chance = random.Random(2)
    rows = []
    for number in range(80):
        product, count = chance.randrange(4), chance.randrange(1, 7)
        weight = 0.25 + product / 2
        figures = [str(count), f"{weight:.2f}", f"{count * weight:.2f}", f"{count * (9.99 - product):.2f}"]
        rows.append([f"R{number // 2}", f"2025-02-{number // 3 + 1:02}", f"W{product}", *figures])
    found = mapped(drafted(tmp_path, ["Order No", "Date", "SKU", "Qty", "Weight", "Total weight", "Amount"], rows))
    assert "unit_price" not in found
    assert found["line_total"] == "Amount"


def test_a_header_that_stands_twice_is_named(tmp_path: Path) -> None:
    header = ["Order", "Date", "Customer ID", "SKU", "Product name", "Qty", "Price", "Price", "Currency"]
    made = drafted(tmp_path, header, lines("%Y-%m-%d", "."))
    assert "in the header more than once, so no field: Price; rename all but one" in made.text


def test_a_sheet_without_a_header_is_said_to_have_none(tmp_path: Path) -> None:
    first, *rows = lines("%Y-%m-%d", ".")
    assert "the first row looks like one of data" in drafted(tmp_path, first, rows).text
