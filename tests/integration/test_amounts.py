"""Sheets that state what a line comes to, and not a price of one piece: to the cent from the sheet to the marts."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from loader.pipeline import Pipeline
from scripts.stack import REPOSITORY
from tests.conftest import World

COLUMNS: dict[str, Any] = {"sale_id": "Order", "sold_at": "Date", "product_id": "Product", "quantity": "Qty"}

# A discount as a share, and totals of four decimals that are what is left after it.
SUPERSTORE = {
    "feed": {
        "columns": COLUMNS
        | {"line_total": "Sales", "discount_rate": "Discount", "stated_profit": "Profit", "line_cost": "Cost"},
    },
    "sheet": """Order,Date,Product,Qty,Sales,Discount,Profit,Cost
CA-1,2026-03-02,chair,2,731.94,0,219.582,512.358
CA-1,2026-03-02,table,5,957.5775,0.45,-383.031,1340.6085
CA-2,2026-03-02,binder,3,15.552,0.2,5.4432,10.1088
CA-2,2026-03-03,storage,2,0.125,0.2,,
CA-3,2026-03-03,poster,1,0,1,,
""",
}

# A German invoice: the discount as an amount beside what is left, a credit for an old bottle, goods that come back.
INVOICES = {
    "feed": {
        "format": {"delimiter": ";", "decimal": ",", "thousands": ".", "dates": ["%d.%m.%Y"]},
        "columns": COLUMNS | {"line_total": "Netto", "discount_amount": "Rabatt", "currency": {"value": "EUR"}},
        "line_type": [{"when": {"line_total": "^-"}, "is": "return"}],
    },
    "sheet": """Order;Date;Product;Qty;Netto;Rabatt
R-1;02.03.2026;bench;3;1.000,00;50,00
R-1;02.03.2026;bottle;12;-1,80;
R-2;02.03.2026;bench;-1;-333,33;16,67
R-2;03.03.2026;soil;7;10,00;
""",
}

# A list of SAP: signs behind the numbers, credit notes of a quantity above zero, the type of a document as a code.
SAP = {
    "feed": {
        "format": {"dates": ["%Y%m%d"], "trailing_minus": True, "thousands": ","},
        "columns": COLUMNS
        | {"line_total": "NETWR", "line_cost": "WAVWR", "unit_cost": "STPRS", "payment_method": "Type"},
        "line_type": [
            {"when": {"payment_method": "^RE$"}, "is": "return"},
            {"when": {"payment_method": "^L2$"}, "is": "adjustment"},
            {"when": {"payment_method": "^S1$"}, "is": "cancellation"},
        ],
    },
    "sheet": """Order,Date,Product,Qty,NETWR,WAVWR,STPRS,Type
900,20260302,pump,3,"1,000.00",700.01,233.34,F2
901,20260302,pump,1,333.33-,233.34-,,RE
902,20260302,valve,2,50.00,,12.50,F2
903,20260302,valve,1,4.50-,,,L2
904,20260303,pump,3,"1,000.00-",700.01-,,S1
905,20260303,valve,1,25.00,,,F2
""",
}

# A list of a wholesaler: the total is quantity × price, and the discount, in percent, is still to be taken off.
WHOLESALE = {
    "feed": {
        "columns": COLUMNS
        | {
            "line_total": {"header": "Amount", "before_discount": True},
            "discount_rate": {"header": "Discount %", "percent": True},
            "stated_total": {"header": "To pay", "optional": True},
        },
        "line_type": [{"when": {"quantity": "^-"}, "is": "return"}],
    },
    "sheet": """Order,Date,Product,Qty,Amount,Discount %,To pay
W-1,2026-03-02,bench,3,1000.00,12.5,875.00
W-1,2026-03-02,bottle,1,10.05,50,5.02
W-1,2026-03-02,soil,7,10.00,,10.00
W-2,2026-03-03,bench,-1,-333.33,12.5,-291.66
W-3,2026-03-03,sample,1,5.00,100,0
""",
}

# The same where the discount is an amount, and a sale ends in half a cent.
RECEIPTS = {
    "feed": {
        "columns": COLUMNS | {"line_total": {"header": "Total", "before_discount": True}, "discount_amount": "Saved"},
        "line_type": [{"when": {"line_total": "^-"}, "is": "return"}],
    },
    "sheet": """Order,Date,Product,Qty,Total,Saved
B-1,2026-03-02,bench,3,100.005,0.005
B-1,2026-03-02,soil,7,10.00,
B-2,2026-03-03,bench,1,-33.33,-3.33
""",
}

# Net of sales and returns; gross, discounts, returns; cost; per sheet, of all days.
EXPECTED = {
    "superstore": (SUPERSTORE, "1705.20", ("2492.59", "787.39", "0"), "1863.08"),
    "invoices": (INVOICES, "674.87", ("1060.00", "50.00", "335.13"), None),
    "sap": (SAP, "741.67", ("1075.00", "0", "333.33"), "491.67"),
    "wholesale": (WHOLESALE, "598.36", ("1025.05", "135.03", "291.66"), None),
    "receipts": (RECEIPTS, "80.00", ("110.01", "0.01", "30.00"), None),
}


@pytest.fixture
def load(world: World, tmp_path: Path) -> Callable[[str, dict[str, Any], str], None]:
    """Load a sheet by a feed that says this; every row of it is good."""

    def loaded(name: str, said: dict[str, Any], sheet: str) -> None:
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump({"feed": name, "match": f"{name}/*"} | said))
        with Pipeline(world.settings.model_copy(update={"feeds_dir": tmp_path})) as pipeline:
            outcome = pipeline.load_file(world.drop(f"{name}/sheet.csv", sheet.encode()))
        rejected = world.rows("select source_line, errors from raw.rejected_rows")
        assert (outcome.status, rejected) == ("loaded", []), outcome.error

    return loaded


def test_net_sales_are_the_totals_of_the_sheets_in_raw_core_and_every_mart(
    world: World, load: Callable[[str, dict[str, Any], str], None]
) -> None:
    """Of each sheet where a relation tells feeds or currencies apart, else of all sheets that name no currency."""
    for name, (said, *_) in EXPECTED.items():
        load(name, said["feed"], said["sheet"])  # type: ignore[arg-type]
    world.transform()
    in_raw = """select feed, sum(case line_type when 'sale' then 1 when 'return' then -1 else 0 end
                    * abs(round(line_total, 2))) as net
                from raw.sales_lines join raw.files using (file_id) group by feed"""
    net = {name: Decimal(net) for name, (_, net, _, _) in EXPECTED.items()}
    assert {row["feed"]: row["net"] for row in world.rows(in_raw)} == net
    returned = {name: Decimal(parts[2]) for name, (_, _, parts, _) in EXPECTED.items()}
    for relation, column, left_out in (
        ("core.fct_sales_lines", "net_amount", dict.fromkeys(net, 0)),
        ("core.fct_orders", "gross_amount - discount_amount", returned),
        ("kpi.kpi_order_lines", "net_amount", dict.fromkeys(net, 0)),
    ):
        found = world.rows(f"select feed, sum({column}) as net from {relation} group by feed")
        assert {row["feed"]: row["net"] - left_out[row["feed"]] for row in found} == net, relation
    nameless = [name for name in EXPECTED if name != "invoices"]
    by_currency = {"EUR": net["invoices"], "XXX": sum(net[name] for name in nameless)}
    for relation in (
        "core.fct_customer_days",
        "kpi.kpi_daily_sales",
        "kpi.kpi_daily_totals",
        "kpi.kpi_daily_product_sales",
        "kpi.kpi_daily_category_sales",
        "kpi.kpi_daily_place_product_sales",
        "kpi.kpi_monthly_product_sales",
    ):
        found = world.rows(f"select currency, sum(net_sales) as net from {relation} group by currency")
        assert {row["currency"]: row["net"] for row in found} == by_currency, relation
    sums = """select sum(gross_sales) as gross, sum(discounts) as discounts, sum(returns) as returns,
            sum(cost_amount) as cost, sum(gross_margin) as margin, sum(costed_net_sales) as costed
        from kpi.kpi_daily_sales where currency = %s"""
    for currency, names in (("EUR", ["invoices"]), ("XXX", nameless)):
        (row,) = world.rows(sums, currency)
        parts = [sum(map(Decimal, each)) for each in zip(*(EXPECTED[name][2] for name in names), strict=True)]
        assert [row["gross"], row["discounts"], row["returns"]] == parts
        costs = [Decimal(cost) for name in names if (cost := EXPECTED[name][3])]
        assert row["cost"] == (sum(costs) if costs else None)
        assert row["margin"] == (row["costed"] - row["cost"] if costs else None)
    done = world.dbt("build", "--full-refresh", "--exclude-resource-type", "unit_test")
    assert done.returncode == 0, done.stdout
    found = world.rows("select currency, sum(net_sales) as net from kpi.kpi_daily_sales group by currency")
    assert {row["currency"]: row["net"] for row in found} == by_currency


def test_what_is_no_sale_and_no_return_stands_apart_at_its_total(
    world: World, load: Callable[[str, dict[str, Any], str], None]
) -> None:
    load("sap", SAP["feed"], SAP["sheet"])  # type: ignore[arg-type]
    world.transform()
    (sums,) = world.rows(
        """select sum(cancelled_value) as cancelled, sum(adjustment_value) as adjusted, sum(units_sold) as sold,
               sum(returned_units) as returned
           from kpi.kpi_daily_sales"""
    )
    assert sums == {"cancelled": Decimal("1000.00"), "adjusted": Decimal("-4.50"), "sold": 6, "returned": 1}
    margin = "select gross_margin from core.fct_sales_lines where sale_id = %s"
    assert world.value(margin, "900") == Decimal(
        "299.99"
    )  # by the cost of the line, and not three times that of a piece
    assert world.value(margin, "901") == Decimal("-99.99")
    assert world.value(margin, "902") == Decimal("25.00")
    assert world.value(margin, "905") is None


def test_no_price_is_shown_that_no_sheet_has_stated(
    world: World, load: Callable[[str, dict[str, Any], str], None]
) -> None:
    load("superstore", SUPERSTORE["feed"], SUPERSTORE["sheet"])  # type: ignore[arg-type]
    world.transform()
    for relation in ("raw.sales_lines", "core.fct_sales_lines", "core.dim_products", "kpi.kpi_order_lines"):
        assert world.value(f"select count(unit_price) from {relation}") == 0, relation
    done = world.dbt("snapshot")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("scale", "written", "stars"),
    [
        (10, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"], [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (5, ["4,5/5", "4,4/5", "3,5", "0,5/5", "5 / 5,0"], [5, 4, 4, 1, None]),
        (100, ["1", "29", "30", "90", "89,999999"], [1, 1, 2, 5, 4]),
    ],
)
def test_ratings_of_any_scale_are_stars_in_the_marts(
    scale: int, written: list[str], stars: list[int | None], world: World, tmp_path: Path
) -> None:
    said = {
        "feed": "shop",
        "match": "shop/*",
        "format": {"delimiter": ";", "decimal": ","},
        "columns": COLUMNS | {"unit_price": "Price", "customer_rating": {"header": "Stars", "scale": scale}},
        "rejects": {"max_ratio": 0.5},
    }
    (tmp_path / "shop.yml").write_text(yaml.safe_dump(said))
    rows = [f"S{n};2026-03-02;P;1;1,00;{text}" for n, text in enumerate(written)]
    sheet = "\n".join(["Order;Date;Product;Qty;Price;Stars", *rows, ""])
    with Pipeline(world.settings.model_copy(update={"feeds_dir": tmp_path})) as pipeline:
        outcome = pipeline.load_file(world.drop("shop/sheet.csv", sheet.encode()))
    assert outcome.status == "loaded"
    known = [each for each in stars if each]
    assert world.value("select array_agg(customer_rating order by row_number) from raw.sales_lines") == known
    world.transform()
    (rated,) = world.rows("select * from kpi.kpi_product_ratings")
    assert [rated[f"ratings_{each}"] for each in range(1, 6)] == [known.count(each) for each in range(1, 6)]


def test_raw_holds_a_price_or_a_total_and_never_both(
    world: World, load: Callable[[str, dict[str, Any], str], None]
) -> None:
    load("sap", SAP["feed"], SAP["sheet"])  # type: ignore[arg-type]
    for change in ("unit_price = 1", "line_total = null"):
        with pytest.raises(psycopg.errors.CheckViolation, match="sales_lines_price_or_total"):
            world.run(f"update raw.sales_lines set {change}")


def test_a_warehouse_of_before_takes_totals_after_the_migration_alone(
    world: World, load: Callable[[str, dict[str, Any], str], None]
) -> None:
    """What is published has columns that may not be empty, until the migration; which may be run again."""
    priced = {"columns": COLUMNS | {"unit_price": "Price"}}
    load("till", priced, "Order,Date,Product,Qty,Price\nS1,2026-03-02,P,1,10\n")
    world.transform()
    for relation in ("core.fct_sales_lines", "core.dim_products"):
        world.run(f"alter table {relation} alter column unit_price set not null")
    versions = REPOSITORY / "loader" / "migrations" / "versions"
    world.run((versions / "0021_amounts.sql").read_text())
    load("superstore", SUPERSTORE["feed"], SUPERSTORE["sheet"])  # type: ignore[arg-type]
    world.transform()
    assert world.value("select sum(net_sales) from kpi.kpi_daily_sales") == Decimal("1715.20")
