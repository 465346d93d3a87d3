"""Two sheets, one sale: order headers and order items make lines, whichever comes first, and to the cent."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
import yaml

from loader import corrections
from loader.operating import forget, replay, retry
from loader.pipeline import Pipeline
from loader.sales_line import ORDER_FIELDS
from scripts.stack import REPOSITORY
from tests.conftest import World, beside, eventually

# As the tables SalesOrderHeader and SalesOrderDetail of AdventureWorks are exported: the order has an amount of its own,
# which is that of no line.
ADVENTURE_ORDERS = {
    "feed": "aw_orders",
    "match": "aw/SalesOrderHeader*.csv",
    "kind": "order_headers",
    "format": {"timezone": "America/New_York", "dates": ["%Y-%m-%d %H:%M:%S"]},
    "columns": {
        "sale_id": "SalesOrderID",
        "sold_at": "OrderDate",
        "customer_id": "CustomerID",
        "sales_region": "Territory",
        "sales_representative": "SalesPersonID",
        "sales_channel": "Channel",
        "currency": {"value": "USD"},
        "payment_status": "Status",
    },
    "line_type": [{"when": {"payment_status": ["Cancelled"]}, "is": "cancellation"}],
}
ADVENTURE_ITEMS = {
    "feed": "aw_items",
    "match": "aw/SalesOrderDetail*.csv",
    "order_headers": "aw_orders",
    "columns": {
        "sale_id": "SalesOrderID",
        "line_number": "SalesOrderDetailID",
        "product_id": "ProductID",
        "quantity": "OrderQty",
        "unit_price": "UnitPrice",
        "discount_rate": "UnitPriceDiscount",
        "stated_total": "LineTotal",
    },
    "line_type": [{"when": {"quantity": "^-"}, "is": "return"}],
}
ADVENTURE_HEADER = """SalesOrderID,OrderDate,CustomerID,Territory,SalesPersonID,Channel,Status,TotalDue
43659,2026-03-02 23:30:00,29825,Southeast,279,Store,Shipped,2000.00
43660,2026-03-02 08:00:00,29672,Southeast,279,Store,Shipped,99.00
43661,2026-03-03 09:15:00,29734,Canada,282,Online,Cancelled,500.00
43662,2026-03-03 10:00:00,,,,Online,Shipped,1.00
"""
ADVENTURE_DETAIL = """SalesOrderID,SalesOrderDetailID,ProductID,OrderQty,UnitPrice,UnitPriceDiscount,LineTotal
43659,1,776,1,2024.994,0,2024.994
43659,2,777,3,2024.994,0.02,5953.48236
43660,3,762,-1,419.4589,0,-419.4589
43660,4,758,1,874.794,0,874.794
43661,5,745,1,809.76,0,809.76
43662,6,711,4,0.125,0,0.5
"""
# Net sales by day, region, representative, from the two sheets by hand: 2024.99 + (6074.98 − 121.50), −419.46 + 874.79.
ADVENTURE_NET = {
    (date(2026, 3, 2), "Southeast", "279", "USD"): Decimal("8433.80"),
    (date(2026, 3, 3), "Canada", "282", "USD"): Decimal("0.00"),
    (date(2026, 3, 3), "unknown", "unknown", "USD"): Decimal("0.50"),
}

# As VBAK and VBAP of SAP are listed: numbers with zeros in front in one of them only, signs behind, dates without any,
# and the type of document, which the order has, says what its items are.
SAP_ORDERS = {
    "feed": "sap_orders",
    "match": "sap/vbak*.txt",
    "kind": "order_headers",
    "format": {"delimiter": ";", "dates": ["%Y%m%d"], "timezone": "Europe/Berlin"},
    "columns": {
        "sale_id": {"header": "VBELN", "pattern": "^0*(.+)$"},
        "sold_at": "ERDAT",
        "customer_id": "KUNNR",
        "store_id": "VKBUR",
        "currency": "WAERK",
        "payment_method": "AUART",
    },
    "line_type": [{"when": {"payment_method": ["RE", "G2"]}, "is": "return"}],
}
SAP_ITEMS = {
    "feed": "sap_items",
    "match": "sap/vbap*.txt",
    "order_headers": "sap_orders",
    "format": {"delimiter": ";", "decimal": ",", "thousands": ".", "trailing_minus": True},
    "columns": {
        "sale_id": {"header": "VBELN", "pattern": "^0*(.+)$"},
        "line_number": "POSNR",
        "product_id": "MATNR",
        "product_name": "ARKTX",
        "quantity": "KWMENG",
        "line_total": "NETWR",
        "currency": {"header": "WAERK", "optional": True},
    },
    "line_type": [{"when": {"line_total": "^-"}, "is": "return"}],
}
SAP_HEADER = """VBELN;ERDAT;KUNNR;VKBUR;WAERK;AUART
0000000900;20260302;C1;B01;EUR;TA
0000000901;20260302;C2;B01;EUR;RE
0000000902;20260303;C1;B02;CHF;TA
"""
SAP_DETAIL = """VBELN;POSNR;MATNR;ARKTX;KWMENG;NETWR
900;10;P1;pump;3;1.000,00
900;20;V1;valve;7;33,33
901;10;P1;pump;1;333,33
902;10;P1;pump;1;410,05
902;20;V1;valve;1;4,50-
"""
SAP_NET = {
    (date(2026, 3, 2), "unknown", "unknown", "EUR"): Decimal("700.00"),
    (date(2026, 3, 3), "unknown", "unknown", "CHF"): Decimal("405.55"),
}

HEADERS, ITEMS = ("aw/SalesOrderHeader.csv", ADVENTURE_HEADER), ("aw/SalesOrderDetail.csv", ADVENTURE_DETAIL)
SHEETS = {
    "adventure works": ((HEADERS, ITEMS), ADVENTURE_NET),
    "sap": ((("sap/vbak.txt", SAP_HEADER), ("sap/vbap.txt", SAP_DETAIL)), SAP_NET),
}

IN_RAW = """
    select sale_date, coalesce(sales_region, 'unknown') as region, coalesce(sales_representative, 'unknown') as rep, currency,
        sum(case line_type
            when 'sale' then coalesce(round(line_total, 2), round(quantity * unit_price, 2)
                - round(quantity * unit_price * coalesce(discount_rate, 0), 2))
            when 'return' then -abs(coalesce(round(line_total, 2), round(quantity * unit_price, 2)))
            else 0 end) as net
    from raw.sales_lines group by 1, 2, 3, 4
"""
IN_MARTS = """
    select sale_date, sales_region as region, sales_representative as rep, currency, sum(net_sales) as net
    from kpi.kpi_daily_sales group by 1, 2, 3, 4
"""
LINES = "select * from raw.sales_lines order by file_id, row_number"
QUEUED = "select distinct sale_date from raw.rebuild_queue where run_id is null order by 1"
WAITING = "select coalesce(sum(rows), 0) from raw.waiting_items"


@pytest.fixture
def feeds(tmp_path: Path) -> Path:
    folder = tmp_path / "feeds"
    folder.mkdir()
    for said in (ADVENTURE_ORDERS, ADVENTURE_ITEMS, SAP_ORDERS, SAP_ITEMS):
        (folder / f"{said['feed']}.yml").write_text(yaml.safe_dump(said, allow_unicode=True))
    return folder


@pytest.fixture
def pipeline(world: World, feeds: Path) -> Iterator[Pipeline]:
    world.env["FEEDS_DIR"] = str(feeds)
    with Pipeline(world.settings) as pipeline:
        yield pipeline


@pytest.fixture
def load(world: World, pipeline: Pipeline) -> Callable[[str, str], int]:
    """Load a sheet of which every row is good; returns its id."""

    def loaded(key: str, sheet: str) -> int:
        outcome = pipeline.load_file(world.drop(key, sheet.encode()))
        assert outcome.status == "loaded", outcome.error
        assert outcome.counts
        assert outcome.counts.read == outcome.counts.loaded
        assert outcome.file_id
        return outcome.file_id

    return loaded


def net(world: World, query: str) -> dict[tuple[Any, ...], Decimal]:
    return {(row["sale_date"], row["region"], row["rep"], row["currency"]): row["net"] for row in world.rows(query)}


def days(world: World) -> list[str]:
    return [f"{row['sale_date']}" for row in world.rows(QUEUED)]


def emptied(world: World) -> None:
    """As if dbt had modelled everything."""
    world.run("delete from raw.rebuild_queue")


@pytest.mark.parametrize("name", SHEETS)
@pytest.mark.parametrize("first", ["headers", "items"])
def test_net_sales_of_two_sheets_are_to_the_cent_whichever_comes_first(
    name: str, first: str, world: World, load: Callable[[str, str], int]
) -> None:
    sheets, expected = SHEETS[name]
    for key, sheet in sheets if first == "headers" else reversed(sheets):
        load(key, sheet)
    assert net(world, IN_RAW) == expected
    assert world.value(WAITING) == 0
    world.transform()
    assert net(world, IN_MARTS) == expected
    assert world.value("select count(*) from raw.files where status = 'loaded' and modelled_at is null") == 0


def test_a_line_has_of_its_order_what_it_does_not_state_itself(world: World, load: Callable[[str, str], int]) -> None:
    load(*HEADERS)
    load(*ITEMS)
    (line,) = world.rows("select * from raw.sales_lines where line_number = 2")
    assert {name: line[name] for name in ("sale_id", "customer_id", "payment_status", "sales_channel", "currency")} == {
        "sale_id": "43659", "customer_id": "29825", "payment_status": "Shipped", "sales_channel": "Store",
        "currency": "USD",
    }  # fmt: skip
    assert line["sale_date"] == date(2026, 3, 2)  # of New York, where it is the next day by UTC
    load("sap/vbak.txt", SAP_HEADER)
    load("sap/vbap.txt", SAP_DETAIL.replace("NETWR", "NETWR;WAERK").replace(",05", ",05;USD").replace("-\n", "-;\n"))
    said = world.rows("select currency from raw.sales_lines where sale_id = '902' order by line_number")
    assert [each["currency"] for each in said] == ["USD", "CHF"]


def test_the_hour_of_a_line_is_that_of_its_order(world: World, load: Callable[[str, str], int]) -> None:
    load(*ITEMS)
    load(*HEADERS)
    world.transform()
    hours = world.rows("select distinct sale_id, sale_hour from core.fct_sales_lines order by 1")
    assert [row["sale_hour"] for row in hours] == [23, 8, 9, 10]
