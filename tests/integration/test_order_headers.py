"""Two sheets, one sale: order headers and order items make lines, whichever comes first, and to the cent."""

import csv
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
import yaml

from loader import corrections
from loader.events import FileArrived
from loader.operating import forget, replay, retry
from loader.pipeline import Pipeline
from loader.sales_line import ORDER_FIELDS, cents
from scripts.stack import REPOSITORY
from tests.conftest import World, beside, eventually

STATEMENTS = (REPOSITORY / "loader" / "sql" / "load.sql").read_text()

# As the tables SalesOrderHeader and SalesOrderDetail of AdventureWorks are exported: the order has an amount of its
# own, which is that of no line.
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
    "line_type": [
        {"when": {"payment_status": ["Cancelled"]}, "is": "cancellation"},
        {"when": {"payment_status": ["Shipped"]}, "is": "sale"},
    ],
}
ADVENTURE_ITEMS: dict[str, Any] = {
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
    select sale_date, coalesce(sales_region, 'unknown') as region, coalesce(sales_representative, 'unknown') as rep,
        currency, sum(case line_type
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
    own = dict.fromkeys(SAP_DETAIL.splitlines(), "") | {"VBELN;POSNR;MATNR;ARKTX;KWMENG;NETWR": "WAERK"}
    own["902;10;P1;pump;1;410,05"] = "USD"
    load("sap/vbap.txt", "".join(f"{line};{cell}\n" for line, cell in own.items()))
    said = world.rows("select currency from raw.sales_lines where sale_id = '902' order by line_number")
    assert [each["currency"] for each in said] == ["USD", "CHF"]


def test_the_hour_of_a_line_is_that_of_its_order(world: World, load: Callable[[str, str], int]) -> None:
    load(*ITEMS)
    load(*HEADERS)
    world.transform()
    hours = world.rows("select distinct sale_id, sale_hour from core.fct_sales_lines order by 1")
    assert [row["sale_hour"] for row in hours] == [23, 8, 9, 10]


def test_items_wait_for_their_orders_and_are_seen_to(world: World, load: Callable[[str, str], int]) -> None:
    items = load(*ITEMS)
    assert world.rows(LINES) == []
    (waits,) = world.rows("select * from raw.waiting_items")
    assert (waits["file_id"], waits["rows"], waits["example"]) == (items, 6, "43659")
    told = world.loader("files", "--feed", "aw_items").stdout
    assert "6 rows wait for their" in told
    assert world.rows("select * from ops.problems") == []  # the other sheet may be on its way
    world.run("update raw.sales_items set waits_since = waits_since - interval '16 minutes'")
    (problem,) = world.rows("select * from ops.problems")
    assert (problem["problem"], problem["severity"], problem["subject"]) == ("items without order", "amber", "aw_items")
    assert problem["since"] == world.value("select min(waits_since) from raw.sales_items")
    said = world.loader("status").stdout
    assert "6 lines of the feed aw_items are not in the figures, as no sheet of the feed aw_orders has brought" in said
    assert "rows_waiting            6" in said
    header, *orders = ADVENTURE_HEADER.splitlines(keepends=True)
    load("aw/SalesOrderHeader-1.csv", header + "".join(orders[:2]))
    assert (world.value(WAITING), days(world)) == (2, ["2026-03-02"])
    assert [row["title"] for row in world.rows("select title from ops.problems")] == ["2 lines wait for their orders"]
    world.transform()
    assert world.value("select rows_waiting from ops.ops_load_history where file_id = %s", items) == 2
    load("aw/SalesOrderHeader-2.csv", header + "".join(orders[2:]))
    assert (world.value(WAITING), world.rows("select * from ops.problems")) == (0, [])
    assert net(world, IN_RAW) == ADVENTURE_NET


def test_a_corrected_header_moves_its_items_and_both_dates_are_rebuilt(
    world: World, load: Callable[[str, str], int]
) -> None:
    load(*HEADERS)
    load(*ITEMS)
    world.transform()
    load(HEADERS[0], ADVENTURE_HEADER.replace("43660,2026-03-02", "43660,2026-03-05"))
    assert days(world) == ["2026-03-02", "2026-03-03", "2026-03-05"]
    moved = ADVENTURE_NET | {
        (date(2026, 3, 2), "Southeast", "279", "USD"): Decimal("7978.47"),
        (date(2026, 3, 5), "Southeast", "279", "USD"): Decimal("455.33"),
    }
    assert net(world, IN_RAW) == moved
    world.transform()
    assert net(world, IN_MARTS) == moved
    done = world.dbt("build", "--full-refresh", "--exclude-resource-type", "unit_test")
    assert done.returncode == 0, done.stdout
    assert net(world, IN_MARTS) == moved


def test_items_of_an_order_that_is_gone_wait_again_and_leave_the_marts(
    world: World, pipeline: Pipeline, load: Callable[[str, str], int]
) -> None:
    load(*ITEMS)
    headers = load(*HEADERS)
    world.transform()
    forget(pipeline, [headers], "wrong month")
    assert (world.value(WAITING), world.rows(LINES)) == (6, [])
    assert days(world) == ["2026-03-02", "2026-03-03"]
    world.transform()
    assert net(world, IN_MARTS) == {}
    retry(pipeline, [headers], (), None)
    world.transform()
    assert net(world, IN_MARTS) == ADVENTURE_NET


def test_items_keep_the_order_of_another_sheet_where_the_key_of_theirs_has_another_feed_by_now(
    world: World, pipeline: Pipeline, feeds: Path, load: Callable[[str, str], int]
) -> None:
    key, sheet = HEADERS
    load("aw/SalesOrderHeader_again.csv", sheet)
    load(key, sheet)
    load(*ITEMS)
    of_items = "select sale_id, sale_date, quantity from raw.sales_lines where sale_id <> 'new' order by 1, 2, 3"
    before = world.rows(of_items)
    columns = ADVENTURE_ITEMS["columns"] | {"sold_at": {"value": "2026-03-02"}}
    plain = {name: said for name, said in ADVENTURE_ITEMS.items() if name != "order_headers"}
    (feeds / "aw_plain.yml").write_text(yaml.safe_dump(plain | {"feed": "aw_plain", "match": key, "columns": columns}))
    narrower = ADVENTURE_ORDERS | {"match": "aw/SalesOrderHeader_*.csv"}
    (feeds / "aw_orders.yml").write_text(yaml.safe_dump(narrower))
    header, row, *_ = ADVENTURE_DETAIL.splitlines(keepends=True)
    line = header + row.replace(row.split(",")[0], "new", 1)
    with Pipeline(pipeline.settings) as later:
        outcome = later.load_file(world.drop(key, line.encode()))
    assert (outcome.status, outcome.error) == ("loaded", None)
    assert (world.value(WAITING), world.rows(of_items)) == (0, before)


EUROS = SAP_DETAIL.replace("1.000,00", "€ 1.000,00").replace("410,05", "€410,05")
IN_EUROS = [
    {
        "row_number": 4,
        "source_line": 5,
        "raw_text": "902;10;P1;pump;1;€410,05",
        "errors": [
            {
                "field": "line_total",
                "value": "€410,05",
                "message": "The sign € is not one of CHF, the currency of its order",
            }
        ],
        "revenue_at_risk": Decimal("410.05"),
    }
]
REJECTED = "select row_number, source_line, raw_text, errors, revenue_at_risk from raw.rejected_rows order by 1"
COUNTED = """
    select rows_read, rows_loaded, rows_rejected, warning from raw.files where feed = 'sap_items' and status = 'loaded'
"""


@pytest.mark.parametrize("first", ["headers", "items"])
def test_an_amount_with_the_sign_of_another_currency_than_its_orders_is_a_rejected_row(
    first: str, world: World, pipeline: Pipeline
) -> None:
    sheets = [("sap/vbak.txt", SAP_HEADER), ("sap/vbap.txt", EUROS)]
    for key, sheet in sheets if first == "headers" else reversed(sheets):
        assert pipeline.load_file(world.drop(key, sheet.encode())).status == "loaded"
    assert world.rows(REJECTED) == IN_EUROS
    assert world.rows(COUNTED) == [{"rows_read": 5, "rows_loaded": 4, "rows_rejected": 1, "warning": None}]
    without = {(date(2026, 3, 3), "unknown", "unknown", "CHF"): Decimal("-4.50")}
    assert net(world, IN_RAW) == SAP_NET | without
    assert world.value(WAITING) == 0
    world.transform()
    assert net(world, IN_MARTS) == SAP_NET | without
    assert world.value("select errors from ops.ops_rejected_rows") == IN_EUROS[0]["errors"]


def test_a_row_that_its_order_contradicted_is_a_line_as_soon_as_the_order_is_corrected(
    world: World, pipeline: Pipeline, load: Callable[[str, str], int]
) -> None:
    load("sap/vbap.txt", EUROS)
    orders = load("sap/vbak.txt", SAP_HEADER)
    assert world.rows(REJECTED) == IN_EUROS
    forget(pipeline, [orders], "wrong currency")
    assert (world.rows(REJECTED), world.value(WAITING)) == ([], 5)
    emptied(world)
    load("sap/vbak.txt", SAP_HEADER.replace("CHF", "EUR"))
    assert (world.rows(REJECTED), world.value(WAITING)) == ([], 0)
    assert world.rows(COUNTED) == [{"rows_read": 5, "rows_loaded": 5, "rows_rejected": 0, "warning": None}]
    assert (len(world.rows(LINES)), days(world)) == (5, ["2026-03-02", "2026-03-03"])
    load("sap/vbak.txt", SAP_HEADER.replace("C2", "C3"))
    assert world.rows(REJECTED) == IN_EUROS
    assert world.rows(COUNTED) == [{"rows_read": 5, "rows_loaded": 4, "rows_rejected": 1, "warning": None}]


def test_a_sign_counts_where_the_row_states_its_own_currency_or_nobody_states_one(
    world: World, load: Callable[[str, str], int]
) -> None:
    own = "".join(
        f"{line};{'WAERK' if line.startswith('VBELN') else 'EUR' * ('€' in line)}\n" for line in EUROS.splitlines()
    )
    load("sap/vbap.txt", own)
    load("sap/vbak.txt", SAP_HEADER)
    assert world.value("select count(*) from raw.sales_lines where currency = 'EUR'") == 4
    load("sap/vbak.txt", SAP_HEADER.replace("EUR", "").replace("CHF", ""))
    load("sap/vbap.txt", EUROS)
    assert world.value("select count(*) from raw.sales_lines where currency = 'XXX'") == 5


def test_a_row_that_its_order_contradicts_can_be_corrected_by_hand(
    world: World, pipeline: Pipeline, load: Callable[[str, str], int], tmp_path: Path
) -> None:
    load("sap/vbak.txt", SAP_HEADER)
    pipeline.load_file(world.drop("sap/vbap.txt", EUROS.encode()))
    path = tmp_path / "rows.csv"
    rows = corrections.export(pipeline, (), None)
    path.write_text(rows.replace("€410,05", "£410,05"), encoding="utf-8")
    (outcome,) = corrections.replay(pipeline, path)
    assert (outcome.status, outcome.problems) == (
        "rejected", "line_total: The sign £ is not one of CHF, the currency of its order",
    )  # fmt: skip
    assert world.rows(COUNTED) == [{"rows_read": 5, "rows_loaded": 4, "rows_rejected": 1, "warning": None}]
    path.write_text(rows.replace("€410,05", "410,05"), encoding="utf-8")
    for status in ("landed", "replayed before"):
        assert [each.status for each in corrections.replay(pipeline, path)] == [status]
    assert (net(world, IN_RAW), world.rows(REJECTED)) == (SAP_NET, [])
    assert world.rows(COUNTED) == [{"rows_read": 5, "rows_loaded": 5, "rows_rejected": 0, "warning": None}]
    (kept,) = world.rows("select raw_text, corrected_text from raw.replayed_rows")
    assert kept == {"raw_text": "902;10;P1;pump;1;£410,05", "corrected_text": "902;10;P1;pump;1;410,05"}


def test_cells_that_must_not_be_seen_are_not_seen_in_a_row_that_its_order_contradicts(
    world: World, feeds: Path, load: Callable[[str, str], int]
) -> None:
    (feeds / "sap_items.yml").write_text(yaml.safe_dump(SAP_ITEMS | {"mask": ["product_name"]}))
    load("sap/vbak.txt", SAP_HEADER)
    with Pipeline(world.settings) as masking:
        masking.load_file(world.drop("sap/vbap.txt", EUROS.encode()))
    assert world.value("select raw_text from raw.rejected_rows") == "902;10;P1;•••;1;€410,05"


def test_a_replay_of_either_sheet_ends_in_the_same_lines(
    world: World, pipeline: Pipeline, load: Callable[[str, str], int]
) -> None:
    load(*ITEMS)
    load(*HEADERS)
    before = world.rows(LINES)
    since = world.value("select min(received_at) from raw.files")
    for key in ("aw/SalesOrderHeader%", "aw/SalesOrderDetail%", "%"):
        assert {outcome.status for outcome in replay(pipeline, since, None, key)} == {"loaded"}
        assert (world.rows(LINES), world.value(WAITING)) == (before, 0)


def test_corrected_items_take_the_place_of_the_earlier_ones(world: World, load: Callable[[str, str], int]) -> None:
    load(*HEADERS)
    load(*ITEMS)
    emptied(world)
    header, *rows = ADVENTURE_DETAIL.splitlines(keepends=True)
    corrected = load(ITEMS[0], header + "".join(rows[:-1]) + "43662,6,711,8,0.125,0,1\n43670,7,711,1,1,0,1\n")
    assert world.value("select count(distinct file_id) from raw.sales_items") == 1
    assert [row["file_id"] for row in world.rows("select distinct file_id from raw.sales_lines")] == [corrected]
    assert world.value("select quantity from raw.sales_lines where sale_id = '43662'") == 8
    assert (world.value(WAITING), days(world)) == (1, ["2026-03-02", "2026-03-03"])
    (counts,) = world.rows("select rows_read, rows_loaded from raw.files where file_id = %s", corrected)
    assert counts == {"rows_read": 7, "rows_loaded": 7}


def test_a_sheet_of_orders_that_leaves_a_day_without_sales_is_reported(
    world: World, load: Callable[[str, str], int]
) -> None:
    load(*HEADERS)
    load(*ITEMS)
    load(HEADERS[0], ADVENTURE_HEADER.replace("2026-03-03", "2026-03-04"))
    assert world.rows("select warning from raw.files where warning is not null") == [
        {"warning": "no sale is left of 2026-03-03, which had some by the version before"}
    ]
    load(ITEMS[0], ADVENTURE_DETAIL + "43659,8,776,1,1,0,1\n")
    assert world.value("select count(*) from raw.files where warning is not null and status = 'loaded'") == 1


@pytest.mark.parametrize("loaded_last", ["earlier", "later"])
def test_of_two_sheets_with_an_order_the_one_that_was_written_last_counts(
    loaded_last: str, world: World, pipeline: Pipeline, load: Callable[[str, str], int]
) -> None:
    load(*ITEMS)
    earlier = world.drop("aw/SalesOrderHeader-1.csv", ADVENTURE_HEADER.encode())
    later = world.drop("aw/SalesOrderHeader-2.csv", ADVENTURE_HEADER.replace("03-03", "03-04").encode())
    for arrival in (later, earlier) if loaded_last == "earlier" else (earlier, later):
        pipeline.load_file(arrival)
    days_of_lines = "select distinct sale_date from raw.sales_lines order by 1"
    assert [row["sale_date"].day for row in world.rows(days_of_lines)] == [2, 4]
    load(ITEMS[0], ADVENTURE_DETAIL + "43659,8,776,1,1,0,1\n")
    assert [row["sale_date"].day for row in world.rows(days_of_lines)] == [2, 4]
    forget(pipeline, [world.value("select file_id from raw.files where key = %s", later.key)], "wrong month")
    assert [row["sale_date"].day for row in world.rows(days_of_lines)] == [2, 3]
    assert world.value(WAITING) == 0


def test_an_order_that_stands_in_the_next_sheet_again_rebuilds_nothing(
    world: World, load: Callable[[str, str], int]
) -> None:
    """Exports of orders mostly have all of them, each day."""
    load(*ITEMS)
    load(*HEADERS)
    emptied(world)
    load("aw/SalesOrderHeader-2.csv", ADVENTURE_HEADER + "43670,2026-03-06 10:00:00,,,,Online,Shipped,1.00\n")
    assert days(world) == []
    load("aw/SalesOrderHeader-3.csv", ADVENTURE_HEADER.replace("Cancelled", "Shipped"))
    assert days(world) == ["2026-03-03"]


def test_a_second_word_on_an_order_in_one_sheet_is_a_bad_row(world: World, pipeline: Pipeline) -> None:
    sheet = ADVENTURE_HEADER + "43659,2026-03-09 23:30:00,29825,Southeast,279,Store,Shipped,2000.00\n"
    outcome = pipeline.load_file(world.drop(HEADERS[0], sheet.encode()))
    assert outcome.error == "1 of 5 rows are bad (20.0%), and the feed allows 5.0% (rejects.max_ratio)"
    assert world.value("select errors -> 0 ->> 'message' from raw.rejected_rows") == (
        "Line 2 has the same sale_id, and other cells"
    )
    assert world.value("select count(*) from raw.order_headers") == 0


def test_orders_of_another_feed_are_no_orders_of_these_items(world: World, load: Callable[[str, str], int]) -> None:
    load(*ITEMS)
    load("sap/vbak.txt", SAP_HEADER.replace("0000000900", "43659"))
    assert (world.rows(LINES), world.value(WAITING)) == ([], 6)


def test_rows_that_were_corrected_by_hand_are_put_together_too(
    world: World, pipeline: Pipeline, feeds: Path, tmp_path: Path
) -> None:
    for said in (ADVENTURE_ORDERS, ADVENTURE_ITEMS):
        (feeds / f"{said['feed']}.yml").write_text(yaml.safe_dump(said | {"rejects": {"max_ratio": 0.5}}))
    bad = {HEADERS: ("43660,2026-03-02", "43660,2026-02-30"), ITEMS: ("43659,1,776,1", "43659,1,776,one")}
    with Pipeline(world.settings) as lenient:
        for (key, sheet), (good, wrong) in bad.items():
            outcome = lenient.load_file(world.drop(key, sheet.replace(good, wrong).encode()))
            assert outcome.counts
            assert (outcome.status, outcome.counts.rejected) == ("loaded", 1)
        assert world.value(WAITING) == 2
        for number, ((key, _), (good, wrong)) in enumerate(bad.items()):
            emptied(world)
            path = tmp_path / f"{number}.csv"
            rows = corrections.export(lenient, (), key)
            path.write_text(",".join(good.split(",")).join(rows.split(wrong)), encoding="utf-8")
            assert [each.status for each in corrections.replay(lenient, path)] == ["landed"]
            assert days(world) == ["2026-03-02"]
    assert net(world, IN_RAW) == ADVENTURE_NET
    assert world.value("select bool_and(rows_rejected = 0 and rows_read = rows_loaded) from raw.files")


def test_a_corrected_row_whose_order_has_not_come_waits_and_leaves_nothing_unmodelled(
    world: World, feeds: Path, tmp_path: Path
) -> None:
    (feeds / "aw_items.yml").write_text(yaml.safe_dump(ADVENTURE_ITEMS | {"rejects": {"max_ratio": 0.5}}))
    with Pipeline(world.settings.model_copy(update={"feeds_dir": feeds})) as pipeline:
        pipeline.load_file(world.drop(ITEMS[0], ADVENTURE_DETAIL.replace("776,1", "776,one").encode()))
        path = tmp_path / "rows.csv"
        path.write_text(corrections.export(pipeline, (), None).replace("776,one", "776,1"), encoding="utf-8")
        assert [each.status for each in corrections.replay(pipeline, path)] == ["landed"]
    assert (world.value(WAITING), days(world)) == (6, [])
    assert world.value("select count(*) from raw.files where modelled_at is null") == 0


def test_two_sheets_that_arrive_at_the_same_time_do_not_miss_each_other(world: World, pipeline: Pipeline) -> None:
    items = world.drop(ITEMS[0], ADVENTURE_DETAIL.encode())
    headers = world.drop(HEADERS[0], ADVENTURE_HEADER.encode())
    command = ("stop:finished", "load", items.key)
    with world.process(*command, module="tests.integration.crashing_loader") as stopped:
        eventually("the items to stand before their commit", lambda: state_of(stopped.pid) == "T")

        def load_headers(_: Any) -> None:
            assert pipeline.load_file(headers).status == "loaded"

        with beside(load_headers):
            waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            eventually("the headers to wait for them", lambda: world.value(waits) == 1)
            assert world.value("select count(*) from raw.order_headers") == 0
            stopped.send_signal(signal.SIGCONT)
            stopped.wait(60)
    assert (net(world, IN_RAW), world.value(WAITING)) == (ADVENTURE_NET, 0)


@pytest.mark.parametrize("was", ["orders", "items"])
def test_a_sheet_whose_feed_is_of_no_pair_any_more_does_not_miss_another_of_the_pair(
    was: str, world: World, feeds: Path, load: Callable[[str, str], int]
) -> None:
    """Of orders or items before, lines by now: its old rows go while another sheet looks for them."""
    key, _ = HEADERS if was == "orders" else ITEMS
    load(*ITEMS)
    if was == "orders":
        load(*HEADERS)
    plain = ADVENTURE_ITEMS | {"feed": "aw_plain", "match": key}
    plain["columns"] = ADVENTURE_ITEMS["columns"] | {"sold_at": {"value": "2026-03-09"}}
    del plain["order_headers"]
    (feeds / "aaa_plain.yml").write_text(yaml.safe_dump(plain))
    header, row, *_ = ADVENTURE_DETAIL.splitlines(keepends=True)
    lines = world.drop(key, (header + row.replace("43659", "new")).encode())
    others = world.drop("aw/SalesOrderHeader_2.csv", ADVENTURE_HEADER.encode())
    with (
        Pipeline(world.settings) as later,
        world.process("stop:finished", "load", lines.key, module="tests.integration.crashing_loader") as stopped,
    ):
        eventually("the lines to stand before their commit", lambda: state_of(stopped.pid) == "T")

        def load_others(_: Any) -> None:
            assert later.load_file(others).status == "loaded"

        with beside(load_others):
            waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            eventually("the orders to wait for them", lambda: world.value(waits) == 1)
            stopped.send_signal(signal.SIGCONT)
            assert stopped.wait(60) == 0
    assert world.value(WAITING) == 0
    sold = world.rows("select sale_id, sale_date from raw.sales_lines order by row_number, sale_id desc")
    new = {"sale_id": "new", "sale_date": date(2026, 3, 9)}
    of_items = ["43659", "43659", "43660", "43660", "43661", "43662"] if was == "orders" else []
    assert sold[0] == new
    assert [row["sale_id"] for row in sold[1:]] == of_items


def test_a_replay_by_a_feed_of_lines_gives_items_to_the_other_sheet_that_has_their_orders(
    world: World, feeds: Path, load: Callable[[str, str], int]
) -> None:
    load("aw/SalesOrderHeader_first.csv", ADVENTURE_HEADER)
    load(*HEADERS)
    load(*ITEMS)
    before = world.rows("select sale_id, sale_date, quantity from raw.sales_lines order by row_number")
    columns = {"sale_id": "SalesOrderID", "sold_at": "OrderDate", "product_id": {"value": "order"}}
    columns |= {"quantity": {"value": "1"}, "line_total": "TotalDue"}
    said = {"feed": "aw_plain", "match": HEADERS[0], "format": ADVENTURE_ORDERS["format"], "columns": columns}
    (feeds / "aaa_plain.yml").write_text(yaml.safe_dump(said))
    since = world.value("select min(received_at) from raw.files")
    with Pipeline(world.settings) as later:
        assert [each.status for each in replay(later, since, None, HEADERS[0])] == ["loaded"]
    assert world.value(WAITING) == 0
    of_items = (
        "select sale_id, sale_date, quantity from raw.sales_lines where product_id <> 'order' order by row_number"
    )
    assert world.rows(of_items) == before


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


@pytest.mark.parametrize("step", ["claimed", "copying", "copied", "finished", "committed"])
@pytest.mark.parametrize("killed", ["headers", "items"])
def test_a_loader_killed_with_either_sheet_and_restarted_ends_in_the_same_lines(
    step: str, killed: str, world: World, load: Callable[[str, str], int]
) -> None:
    load(*HEADERS)
    load(*ITEMS)
    was, now, moved = KILLED_WITH[killed]
    key, sheet = HEADERS if killed == "headers" else ITEMS
    arrival = world.drop(key, sheet.replace(was, now).encode())
    emptied(world)
    with world.process(step, "load", arrival.key, module="tests.integration.crashing_loader") as crashing:
        assert crashing.wait(60) == -9
    sold = "select sale_id, sale_date from raw.sales_lines order by row_number"
    days_sold = [row["sale_date"].day for row in world.rows(sold)]
    assert days_sold == (moved if step == "committed" else [2, 2, 2, 2, 3, 3])
    assert world.loader("load", arrival.key).returncode == 0
    assert [row["sale_date"].day for row in world.rows(sold)] == moved
    assert world.value(WAITING) == 0
    assert "2026-03-03" in days(world)


# A correction, and the days of all items after it.
KILLED_WITH = {
    "headers": ("43662,2026-03-03", "43662,2026-03-06", [2, 2, 2, 2, 3, 6]),
    "items": ("43662", "43659", [2, 2, 2, 2, 3, 2]),
}


ORDERS = [f"O{number}" for number in range(1, 8)]
PRICES = ["0.01", "1.005", "19.99", "0.125", "1000.00"]


Sheet = list[dict[str, str]]


@dataclass
class Shop:
    """What the sheets that count come to by the description of the two feeds alone."""

    headers: list[Sheet]  # in the order of writing
    items: dict[str, Sheet]  # by key

    def rows(self) -> list[tuple[str, int, dict[str, str], dict[str, str]]]:
        """Key, row number, order and item, where the order has come."""
        orders = {row["Order"]: row for sheet in self.headers for row in sheet}
        return sorted(
            (key, number, orders[row["Order"]], row)
            for key, sheet in self.items.items()
            for number, row in enumerate(sheet, 1)
            if row["Order"] in orders
        )

    @staticmethod
    def contradicts(order: dict[str, str], row: dict[str, str]) -> bool:
        return row["Price"].startswith("€") and order["Currency"] == "USD"

    def lines(self) -> list[tuple[Any, ...]]:
        """Key, row, date, customer, channel, type, and what it adds to net sales."""
        return [
            (key, number, *self.line(order, row))
            for key, number, order, row in self.rows()
            if not self.contradicts(order, row)
        ]

    def rejected(self) -> list[tuple[str, int]]:
        return [(key, number) for key, number, order, row in self.rows() if self.contradicts(order, row)]

    def waiting(self) -> int:
        return sum(map(len, self.items.values())) - len(self.rows())

    @staticmethod
    def line(order: dict[str, str], row: dict[str, str]) -> tuple[Any, ...]:
        own = "return" if row["Qty"].startswith("-") else "sale"
        kind = {"void": "cancellation", "back": "return"}.get(order["Status"], "sale")
        kind = own if own == "return" and kind != "cancellation" else kind
        amount = cents(abs(Decimal(row["Qty"]) * Decimal(row["Price"].strip("€"))))
        worth = {"sale": amount, "return": -amount, "cancellation": Decimal(0)}[kind]
        return (
            date.fromisoformat(order["Date"]), order["Customer"] or None, row["Channel"] or order["Channel"] or None,
            kind, worth,
        )  # fmt: skip


LINES_OF_SHOP = """
    select key, row_number, sale_date, customer_id, sales_channel, line_type,
        case line_type when 'sale' then 1 when 'return' then -1 else 0 end * abs(round(quantity * unit_price, 2))
    from raw.sales_lines inner join raw.files using (file_id) order by 1, 2
"""


REJECTED_OF_SHOP = """
    select key, row_number from raw.rejected_rows inner join raw.files using (file_id)
    where status = 'loaded' order by 1, 2
"""
MISCOUNTED = """
    select count(*) from raw.files where status = 'loaded' and rows_rejected <>
        (select count(*) from raw.rejected_rows where rejected_rows.file_id = files.file_id)
"""


@pytest.mark.parametrize("seed", range(6))
def test_whatever_arrives_in_whichever_order_the_lines_equal_a_recomputation(
    seed: int, world: World, tmp_path: Path
) -> None:
    """Sheets, corrections, sheets taken back and brought back, replays and late arrivals, drawn from a seed."""
    draw = Random(seed)
    feeds = {
        "orders": {
            "kind": "order_headers",
            "duplicates": "keep",
            "columns": {"sale_id": "Order", "sold_at": "Date", "customer_id": "Customer"}
            | {"sales_channel": "Channel", "payment_status": "Status", "currency": "Currency"},
            "line_type": [
                {"when": {"payment_status": ["void"]}, "is": "cancellation"},
                {"when": {"payment_status": ["back"]}, "is": "return"},
            ],
        },
        "items": {
            "order_headers": "orders",
            "columns": {"sale_id": "Order", "product_id": "Product", "quantity": "Qty", "unit_price": "Price"}
            | {"sales_channel": "Channel"},
            "line_type": [{"when": {"quantity": "^-"}, "is": "return"}],
        },
    }
    for name, said in feeds.items():
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump({"feed": name, "match": f"{name}/*"} | said))

    def header() -> dict[str, str]:
        return {
            "Order": draw.choice(ORDERS), "Date": f"{date(2026, 3, 1) + timedelta(draw.randrange(4))}",
            "Customer": draw.choice(["", "C1", "C2"]), "Channel": draw.choice(["", "web", "shop"]),
            "Status": draw.choice(["", "", "void", "back"]), "Currency": draw.choice(["", "EUR", "USD"]),
        }  # fmt: skip

    def item() -> dict[str, str]:
        return {
            "Order": draw.choice(ORDERS), "Product": draw.choice("PQ"), "Qty": draw.choice(["1", "3", "-2"]),
            "Price": draw.choice(["", "", "€"]) + draw.choice(PRICES), "Channel": draw.choice(["", "", "fair"]),
        }  # fmt: skip

    sheets: dict[str, Sheet] = {}  # by the digest of their bytes
    on_their_way: list[FileArrived] = []
    queue: list[dict[str, Any]] = []

    def shop() -> Shop:
        counting = world.rows("select key, sha256 from raw.files where status = 'loaded' order by event_at")
        of = [(row["key"], sheets[row["sha256"]]) for row in counting]
        items = {key: sheet for key, sheet in of if key.startswith("items")}
        return Shop([sheet for key, sheet in of if key.startswith("orders")], items)

    def in_state(status: str) -> list[int]:
        return [row["file_id"] for row in world.rows("select file_id from raw.files where status = %s", status)]

    with Pipeline(world.settings.model_copy(update={"feeds_dir": tmp_path})) as pipeline:

        def step() -> None:
            action = draw.choice(["write"] * 4 + ["arrive"] * 4 + ["forget", "retry", "replay"])
            if action == "write" or not in_state("loaded"):
                key = f"{draw.choice(['orders', 'items'])}/{draw.randrange(3)}.csv"
                make = header if key.startswith("orders") else item
                sheet = [make() for _ in range(draw.randrange(1, 6))]
                content = as_csv(sheet)
                sheets[sha256(content).hexdigest()] = sheet
                on_their_way.append(world.drop(key, content))
            if action == "write" and draw.random() < 0.7:
                pipeline.load_file(on_their_way[-1])
            elif action == "arrive" and on_their_way:  # late, out of order, for the second time
                pipeline.load_file(draw.choice(on_their_way))
            elif action == "forget" and (loaded := in_state("loaded")):
                forget(pipeline, [draw.choice(loaded)], "drawn")
            elif action == "retry" and (withdrawn := in_state("withdrawn")):
                retry(pipeline, [draw.choice(withdrawn)], (), None)
            elif action == "replay":
                since = world.value("select coalesce(min(received_at), now()) from raw.files")
                replay(pipeline, since, None, draw.choice(["orders/%", "items/%", "%"]))

        for number in range(80):
            before = shop().lines()
            step()
            after = shop()
            assert [tuple(row.values()) for row in world.rows(LINES_OF_SHOP)] == after.lines(), number
            assert world.value(WAITING) == after.waiting()
            assert [tuple(row.values()) for row in world.rows(REJECTED_OF_SHOP)] == after.rejected()
            assert world.value(MISCOUNTED) == 0
            queued = world.rows("delete from raw.rebuild_queue returning sale_date, file_id")
            queue += queued
            changed = {line[2] for line in {*before} ^ {*after.lines()}}
            assert changed <= {row["sale_date"] for row in queued}
    assert world.value("select bool_and(rows_read = rows_loaded + rows_rejected + rows_skipped) from raw.files")
    for row in queue:
        world.rows(
            "insert into raw.rebuild_queue (sale_date, file_id) values (%s, %s) on conflict do nothing returning 1",
            *row.values(),
        )
    world.transform()
    expected: dict[date, Decimal] = {}
    for line in shop().lines():
        expected[line[2]] = expected.get(line[2], Decimal(0)) + line[-1]
    marts = world.rows("select sale_date, sum(net_sales) as net from kpi.kpi_daily_sales group by 1")
    assert {row["sale_date"]: row["net"] for row in marts} == expected


def as_csv(rows: list[dict[str, str]]) -> bytes:
    text = StringIO()
    written = csv.DictWriter(text, rows[0], lineterminator="\n")
    written.writeheader()
    written.writerows(rows)
    return text.getvalue().encode()


COLUMNS_OF = """
    select column_name, data_type from information_schema.columns where table_schema = 'raw' and table_name = %s
"""
OF_A_FILE = {"file_id", "row_number", "source_line", "sale_date", "extra"}


def columns_of(world: World, table: str) -> set[tuple[str, str]]:
    return {(row["column_name"], row["data_type"]) for row in world.rows(COLUMNS_OF, table)}


def test_the_tables_of_both_sheets_have_the_columns_of_the_line(world: World) -> None:
    line = columns_of(world, "sales_lines")
    headers, items = columns_of(world, "order_headers"), columns_of(world, "sales_items")
    assert headers <= line
    assert {name for name, _ in headers} - OF_A_FILE == {*ORDER_FIELDS}
    assert {name for name, _ in line - items} == {"sold_at", "sale_date"}
    assert {name for name, _ in items - line} == {"header_file_id", "header_row", "waits_since", "signed"}


def test_every_column_of_a_line_is_made_of_the_two_sheets(world: World) -> None:
    (made,) = re.findall(r"insert into raw\.sales_lines \((.*?)\)", STATEMENTS, re.DOTALL)
    assert set(re.findall(r"\w+", made)) == {name for name, _ in columns_of(world, "sales_lines")}


def test_no_item_is_of_an_order_that_is_gone_or_forgotten_while_it_waits(
    world: World, load: Callable[[str, str], int]
) -> None:
    load(*ITEMS)
    with pytest.raises(psycopg.errors.CheckViolation, match="sales_items_wait"):
        world.run("update raw.sales_items set waits_since = null")
    load(*HEADERS)
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="sales_items_header"):
        world.run("delete from raw.order_headers")


def test_the_migration_may_be_run_again(world: World, load: Callable[[str, str], int]) -> None:
    load(*ITEMS)
    versions = REPOSITORY / "loader" / "migrations" / "versions"
    world.run((versions / "0022_order_headers.sql").read_text())
    world.run((versions / "0026_signs.sql").read_text())
    load(*HEADERS)
    assert net(world, IN_RAW) == ADVENTURE_NET
