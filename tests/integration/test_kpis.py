"""Every figure of every mart against the oracle, which knows the sheets and nothing of loader and dbt."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from graphlib import TopologicalSorter
from typing import Any

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pytest
import yaml

from loader.pipeline import Pipeline
from scripts.csv_generator import HEADER, sheet
from scripts.stack import REPOSITORY, Stack
from tests.conftest import World, new_world
from tests.oracle import GENERATED, ONLINE_RETAIL, TOTALS, Oracle, Uploads, differences

EURO_SALES = replace(GENERATED, feed="euro_sales", columns={**GENERATED.columns, "currency": '"Currency"'})
ONLINE_RETAIL_SHEET = REPOSITORY.parent / "shared" / "data" / "online_retail_2010-12-01.csv"
ONLINE_RETAIL_FEED = """
feed: online_retail
match: "uk-shop/*.csv"
format: {dates: ["%Y-%m-%d %H:%M:%S"], timezone: Europe/London}
columns:
  sale_id: InvoiceNo
  sold_at: InvoiceDate
  product_id: StockCode
  product_name: Description
  quantity: Quantity
  unit_price: UnitPrice
  customer_id: {header: CustomerID, strip_suffix: ".0"}
  sales_region: Country
  currency: {value: GBP}
line_type:
  - {when: {sale_id: "^C"}, is: return}
  - {when: {sale_id: "^A"}, is: adjustment}
shares: [customers, products]
rejects: {max_ratio: 0.05}
"""
KINDS = {"CSV/": GENERATED, "euro/": EURO_SALES, "uk-shop/": ONLINE_RETAIL, "totals/": TOTALS}


@dataclass(frozen=True)
class Mart:
    """What tells the rows of a mart apart; columns that the oracle leaves aside, and those that are rounded."""

    grain: tuple[str, ...]
    aside: frozenset[str] = frozenset()
    to_the_cent: frozenset[str] = frozenset()


PLACE = ("store_id", "sales_region", "sales_channel", "sales_representative", "currency")
# What a mart hands on from the sheet as it stands; where it is counted or summed, the measures tell.
AS_STATED = frozenset(
    {"sold_at", "customer_name", "quantity", "unit_price", "payment_method", "payment_status", "payment_date"}
    | {"customer_rating", "delivery_status", "delivery_date"}
)
MARTS = {
    "kpi_order_lines": Mart(("file_id", "row_number"), AS_STATED),
    "kpi_orders": Mart(("sale_date", "feed", "sale_id")),
    "kpi_daily_sales": Mart(("sale_date", *PLACE)),
    "kpi_hourly_sales": Mart(("sale_date", "sale_hour", *PLACE)),
    "kpi_daily_product_sales": Mart(("sale_date", "product_id", "currency")),
    "kpi_daily_category_sales": Mart(("sale_date", "product_category", "currency")),
    "kpi_daily_place_category_sales": Mart(("sale_date", "product_category", *PLACE)),
    "kpi_daily_place_product_sales": Mart(("sale_date", "product_id", "product_category", *PLACE)),
    "kpi_products": Mart(("product_id",), frozenset({"product_name", "product_category"})),
    "kpi_monthly_product_sales": Mart(("month", "product_id", "currency")),
    "kpi_daily_original_returns": Mart(("original_sale_date", "sale_date", "product_id", *PLACE)),
    "kpi_daily_fulfilment": Mart(("sale_date", "sales_region", "sales_channel", "currency")),
    "kpi_pending_payments": Mart(("as_of_date", "age", "currency")),
    "kpi_monthly_run_rate": Mart(
        ("month", "currency"), to_the_cent=frozenset({"run_rate", "run_rate_low", "run_rate_high"})
    ),
    "kpi_product_abc": Mart(("product_id", "currency"), frozenset({"product_name", "product_category"})),
    "kpi_price_volume_mix": Mart(
        ("month", "comparison", "product_id", "currency"),
        to_the_cent=frozenset({"price_effect", "volume_effect", "mix_effect"}),
    ),
    "kpi_monthly_product_pairs": Mart(("month", "product_a", "product_b")),
    "kpi_product_pairs": Mart(("month", "product_a", "product_b")),
    "kpi_product_ratings": Mart(("month", "product_id")),
    "kpi_rep_ratings": Mart(("month", "sales_representative")),
    "kpi_daily_customers": Mart(("sale_date", "currency", "customer_type")),
    "kpi_customers": Mart(("customer_id", "currency")),
    "kpi_customer_rfm": Mart(("customer_id", "as_of_date", "currency"), frozenset({"segment"})),
    "kpi_monthly_customers": Mart(("month", "currency")),
    "kpi_cohort_months": Mart(("cohort_month", "month", "currency")),
    "kpi_cohort_retention": Mart(("cohort_month", "months_since", "currency")),
    "ops_revenue_at_risk": Mart(("file_id",), frozenset({"file_status", "currency"})),
    "kpi_daily_totals": Mart(("sale_date", "currency")),
    "kpi_newest_days": Mart(("currency",)),
    "kpi_period_comparisons": Mart(("currency", "period", "comparison")),
    "kpi_sales_targets": Mart(("month", "place_type", "place", "currency"), frozenset({"changed_by", "changed_at"})),
    "kpi_target_attainment": Mart(("month", "place_type", "place", "currency")),
    "kpi_movers": Mart(("currency", "period", "dimension", "member"), frozenset({"member_name"})),
    "kpi_reporting_currencies": Mart(("currency",)),
    "kpi_reporting_daily_sales": Mart(("sale_date", "sales_region", "sales_channel")),
    "kpi_volume_anomalies": Mart(("currency", "sale_date"), frozenset({"events"})),
}


@dataclass
class Shop:
    """A world into which sheets are uploaded, and what the oracle must know of it."""

    history: str
    world: World = field(repr=False)
    pipeline: Pipeline = field(repr=False)
    uploads: Uploads = field(default_factory=lambda: Uploads(KINDS), repr=False)

    def put(self, key: str, content: bytes, refused: bool = False) -> None:
        outcome = self.pipeline.load_file(self.world.drop(key, content))
        assert outcome.status == ("rejected" if refused else "loaded"), (key, outcome)
        assert outcome.file_id == self.uploads.put(key, content, refused)

    def take_back(self, key: str) -> None:
        done = self.world.loader("forget", str(self.uploads.take_back(key)), "--reason", "a test takes it back")
        assert done.returncode == 0, done.stdout + done.stderr


class OtherEngine:
    """DuckDB, with tables under the names that they have in the world's database."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._database = duckdb.connect()
        self._database.execute(f"attach ':memory:' as {world.env['PGDATABASE']}")
        self._database.execute(f"use {world.env['PGDATABASE']}")

    def copy(self, relation: str) -> None:
        """A table with its rows; numbers without a scale have room for four decimals."""
        columns = self._world.rows(
            """select attname as name, format_type(atttypid, null) as kind from pg_attribute
               where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum""",
            relation,
        )
        names = {"numeric": "decimal(18, 4)", "jsonb": "json"}
        kinds = {each["name"]: names.get(each["kind"], each["kind"]) for each in columns}
        self._create(relation, f"({', '.join(' '.join(each) for each in kinds.items())})")
        asked = ", ".join(f"{name}::text" if kind == "json" else name for name, kind in kinds.items())
        rows = self._world.rows(f"select {asked} from {relation}")
        self._database.register("rows", pa.table({name: [row[name] for row in rows] for name in kinds}))
        self._database.execute(f"insert into {relation} from rows")

    def build(self, relation: str, query: str) -> None:
        """A table of what the query gives."""
        self._create(relation, f"as {query}")

    def rows(self, query: str) -> list[dict[str, Any]]:
        found = self._database.execute(query)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _create(self, relation: str, definition: str) -> None:
        self._database.execute(f"create schema if not exists {relation.partition('.')[0]}")
        self._database.execute(f"create table {relation} {definition}")


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(number) for number in range((last - first).days + 1)]


def sheet_of(dates: list[date], rows: int = 10, change: Callable[[dict[str, str]], dict[str, str]] = dict) -> bytes:
    """One sheet of several days' sales, every row of it changed."""
    text = io.StringIO()
    read = (csv.DictReader(io.StringIO(sheet(7, day, rows).content.decode())) for day in dates)
    lines = [change(line) for each in read for line in each]
    written = csv.DictWriter(text, list(lines[0]) if lines else HEADER, lineterminator="\n")
    written.writeheader()
    written.writerows(lines)
    return text.getvalue().encode()


def month(year: int, number: int) -> list[date]:
    first = date(year, number, 1)
    return days(first, (first + timedelta(31)).replace(day=1) - timedelta(1))


def monthly(dates: list[date]) -> str:
    return f"CSV/sales_data_{dates[0]:%Y%m}.csv"


def some_unknown(line: dict[str, str]) -> dict[str, str]:
    """One order in four names no customer, and one in five no region."""
    number = int(line["Sale ID"][-5:])
    return line | ({"Customer ID": ""} if number % 4 == 0 else {}) | ({"Sales Region": ""} if number % 5 == 0 else {})


def other_customers(line: dict[str, str]) -> dict[str, str]:
    return line | {"Customer ID": f"{line['Customer ID'][:-2]}00"}


def in_currencies(line: dict[str, str]) -> dict[str, str]:
    """Euro and pound by order; of one order in ten, by line."""
    number = int(line["Sale ID"][-5:])
    by = len(line["Product Name"]) if number % 10 == 3 else number
    return line | {"Currency": "EUR" if by % 3 else "GBP"}


def of_totals(line: dict[str, str]) -> dict[str, str]:
    """A rating of ten, and in one order of a few days a total that no sale can have."""
    number, day = int(line["Sale ID"][-5:]), int(line["Sale Date"][8:10])
    rating = {"Customer Rating": str((number + day) % 10 + 1) if number % 3 else ""}
    wrong = number == 3 and day % 9 == 0 and line["Delivery Status"] != "Cancelled" and line["Quantity Sold"] > "-9"
    return line | rating | ({"Total Value (with Discount)": "-0.07"} if wrong else {})


def corrected_history(shop: Shop) -> None:
    """15 months in sheets of a month and then of a day; corrected, late, out of order, refused and taken back."""
    months = [month(2025, number) for number in range(1, 13)] + [month(2026, 1), month(2026, 2)]
    late = months.pop(3)
    for dates in months[8:] + months[:3]:
        shop.put(monthly(dates), sheet_of(dates, change=some_unknown))
    shop.world.transform()
    for dates in months[3:8]:
        shop.put(monthly(dates), sheet_of(dates))
    shop.put(monthly(months[5]), b"not,the,header\n1,2,3\n", refused=True)
    shop.world.transform()
    shop.put(monthly(months[4]), sheet_of(months[4][8:20]))
    shop.put(monthly(months[6]), sheet_of(months[6], change=other_customers))
    shop.take_back(monthly(months[7]))
    for day in days(date(2026, 3, 1), date(2026, 3, 19)):
        each = sheet(7, day, rows=40, bad_ratio=0.08)
        shop.put(each.key, each.content)
    shop.world.transform()
    shop.put(monthly(late), sheet_of(late))
    shop.put("CSV/sales_data_20260305.csv", sheet_of([]))
    shop.put("CSV/sales_data_20260306.csv", sheet_of([date(2026, 3, 6), date(2026, 3, 9)], change=other_customers))
    shop.put("CSV/sales_data_again.csv", sheet(7, date(2026, 3, 12), rows=10).content)
    shop.take_back("CSV/sales_data_20260319.csv")


def real_sheet(shop: Shop) -> None:
    shop.put("uk-shop/2010-12-01.csv", ONLINE_RETAIL_SHEET.read_bytes())


def two_currencies(shop: Shop) -> None:
    """The same orders, customers and products in two feeds, one of which sells in two currencies."""
    for dates in (month(2025, 12), month(2026, 1), month(2026, 2)[:20]):
        shop.put(monthly(dates), sheet_of(dates))
        shop.put(
            f"euro/{dates[0]:%Y%m}.csv", sheet_of(dates, rows=14, change=lambda line: in_currencies(some_unknown(line)))
        )
    shop.world.transform()
    shop.put("euro/202601.csv", sheet_of(month(2026, 1)[10:], rows=14, change=in_currencies))
    shop.put("euro/202511.csv", sheet_of(month(2025, 11), rows=6, change=in_currencies))
    shop.put("CSV/sales_data_20260221.csv", sheet_of([date(2026, 2, 21)], rows=2))


def totals_beside_prices(shop: Shop) -> None:
    """Sheets of which the totals count, corrected, beside sheets with prices of the same products."""
    for dates in (month(2026, 1), month(2026, 2)[:20]):
        shop.put(f"totals/{dates[0]:%Y%m}.csv", sheet_of(dates, rows=14, change=of_totals))
    shop.put(monthly(month(2026, 1)), sheet_of(month(2026, 1)[20:]))
    shop.world.transform()
    shop.put(
        "totals/202601.csv", sheet_of(month(2026, 1)[5:], rows=12, change=lambda line: of_totals(some_unknown(line)))
    )


HISTORIES = {
    "corrections": corrected_history,
    "online_retail": real_sheet,
    "two_currencies": two_currencies,
    "totals": totals_beside_prices,
}
REFUSALS = {("online_retail", "kpi_reporting_daily_sales"): "no rate of GBP to USD on 2010-12-01"}
needs_sheet = pytest.mark.skipif(
    not ONLINE_RETAIL_SHEET.exists(), reason="the UCI Online Retail sheet is not part of the repository"
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, marks=needs_sheet if each == "online_retail" else ()) for each in HISTORIES],
)
def shop(
    request: pytest.FixtureRequest, stack: Stack, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A shop with one of the histories, modelled."""
    folder = tmp_path_factory.mktemp("feeds")
    (folder / "online_retail.yml").write_text(ONLINE_RETAIL_FEED)
    (folder / "euro_sales.yml").write_text(euro_sales_feed())
    (folder / "totals.yml").write_text(totals_feed())
    with new_world(stack, template, tmp_path_factory.mktemp("world")) as plain:
        world = World(plain.env | {"FEEDS_DIR": str(folder)}, stack)
        with Pipeline(world.settings) as pipeline:
            shop = Shop(request.param, world, pipeline)
            HISTORIES[request.param](shop)
            world.transform()
            yield shop


@pytest.fixture(scope="module")
def oracle(shop: Shop) -> Oracle:
    return Oracle(shop.uploads, REPOSITORY / "dbt_sales" / "seeds")


def euro_sales_feed() -> str:
    """The generator's sheets with a column more, which names the currency of the line."""
    feed = yaml.safe_load((REPOSITORY / "loader" / "feeds" / "sales_data.yml").read_text())
    columns = feed["columns"] | {"currency": "Currency"}
    return yaml.safe_dump(feed | {"feed": "euro_sales", "match": "euro/*.csv", "columns": columns})


def totals_feed() -> str:
    """The generator's sheets, of which the totals and costs of lines count, and not those of one piece."""
    feed = yaml.safe_load((REPOSITORY / "loader" / "feeds" / "sales_data.yml").read_text())
    total, cost = (feed["columns"].pop(name) for name in ("stated_total", "stated_cost"))
    columns = {name: column for name, column in feed["columns"].items() if name not in ("unit_price", "unit_cost")}
    columns |= {"line_total": total, "line_cost": cost, "customer_rating": {"header": "Customer Rating", "scale": 10}}
    return yaml.safe_dump(feed | {"feed": "totals", "match": "totals/*.csv", "columns": columns})


def test_the_oracle_reads_the_rows_that_the_loader_accepts(shop: Shop, oracle: Oracle) -> None:
    lines = """select count(*) as lines, sum(abs(quantity)) as units, sum(quantity * unit_price) as value,
        sum(line_total) as totals, sum(line_cost) as costs from {}"""
    (loaded,) = shop.world.rows(lines.format("raw.sales_lines"))
    assert oracle.row(lines.format("sales_lines")) == loaded
    rejected = "select coalesce(sum(rows_rejected), 0) as rows from raw.files where status = 'loaded'"
    assert oracle.row("select count(*) as rows from rejected_rows where counts") == shop.world.rows(rejected)[0]


@pytest.mark.parametrize("name", MARTS)
def test_every_figure_of_a_mart_is_that_of_the_sheets(shop: Shop, oracle: Oracle, name: str) -> None:
    mart = MARTS[name]
    query = f"select * from {name.partition('_')[0]}.{name}"
    if message := REFUSALS.get((shop.history, name)):
        with pytest.raises(psycopg.errors.InvalidTextRepresentation, match=message):
            shop.world.rows(query)
        return
    expected, found = oracle.mart(name), shop.world.rows(query)
    if expected and found:
        assert found[0].keys() - expected[0].keys() <= mart.aside, "columns that the oracle does not know"
    faults = differences(expected, found, mart.grain, mart.to_the_cent)
    assert not faults, f"{len(faults)} differences:\n" + "\n".join(faults[:20])


@pytest.fixture(scope="module")
def compiled() -> Callable[[World], dict[str, Any]]:
    """The manifest with every model as dbt compiles it for a full refresh: the same in each world, but for its name."""
    manifests: dict[str, dict[str, Any]] = {}

    def of(world: World) -> dict[str, Any]:
        name = world.env["PGDATABASE"]
        if name not in manifests:
            with_json = replace(world, env=world.env | {"DBT_WRITE_JSON": "true"})
            done = with_json.dbt("compile", "--full-refresh", "--select", "resource_type:model")
            assert done.returncode == 0, done.stdout
            manifests[name] = json.loads((world.dbt_folder / "manifest.json").read_text())
        return manifests[name]

    return of


def test_the_models_give_the_same_figures_on_another_engine(
    shop: Shop, compiled: Callable[[World], dict[str, Any]]
) -> None:
    """From raw tables and seeds to the marts, in DuckDB."""
    manifest = compiled(shop.world)
    nodes = manifest["nodes"] | manifest["sources"]
    marts = [name for name in MARTS if name.startswith("kpi_") and (shop.history, name) not in REFUSALS]
    wanted = [f"model.dbt_sales.{name}" for name in marts]
    for each in wanted:
        wanted += [parent for parent in manifest["parent_map"][each] if parent not in wanted]
    engine = OtherEngine(shop.world)
    for each in TopologicalSorter({each: manifest["parent_map"][each] for each in wanted}).static_order():
        relation = f"{nodes[each]['schema']}.{nodes[each].get('identifier') or nodes[each]['name']}"
        if nodes[each]["resource_type"] == "model":
            engine.build(relation, nodes[each]["compiled_code"])
        else:
            engine.copy(relation)
    faults = []
    for name in marts:
        query = f"select * from kpi.{name}"
        found, mart = shop.world.rows(query), MARTS[name]
        faults += [f"{name} {each}" for each in differences(engine.rows(query), found, mart.grain, mart.to_the_cent)]
    assert not faults, f"{len(faults)} differences:\n" + "\n".join(faults[:20])


def test_the_segments_hold_every_customer_with_scores_once(shop: Shop, oracle: Oracle) -> None:
    found = shop.world.rows(
        """select currency, as_of_date, sum(customers) as customers, sum(orders) as orders, sum(net_sales) as net_sales
           from kpi.kpi_rfm_segments group by currency, as_of_date"""
    )
    assert differences(oracle.mart("kpi_rfm_segments"), found, ("currency",)) == []
    by_customer = """select currency, as_of_date, segment, count(*) as customers, sum(frequency) as orders,
        sum(monetary) as net_sales from kpi.kpi_customer_rfm group by currency, as_of_date, segment"""
    segments = shop.world.rows("select * from kpi.kpi_rfm_segments")
    assert differences(shop.world.rows(by_customer), segments, ("currency", "segment")) == []
    names = "select distinct recency_score, frequency_score, monetary_score, segment from kpi.kpi_customer_rfm"
    named = shop.world.rows(names)
    scores = {(row["recency_score"], row["frequency_score"], row["monetary_score"]) for row in named}
    assert len(scores) == len(named), "the same scores in two segments"


def test_the_effects_sum_to_the_change_of_the_whole(shop: Shop) -> None:
    wrong = """select month, comparison, currency from kpi.kpi_price_volume_mix group by 1, 2, 3
        having sum(price_effect + volume_effect + mix_effect) <> sum(net_sales) - sum(base_net_sales)"""
    assert shop.world.rows(wrong) == []


def test_the_latency_of_a_day_is_that_of_its_files(shop: Shop) -> None:
    """By the ledger's own timestamps: no sheet tells when it came."""
    files = shop.world.rows(
        """select modelled_at::date as modelled_date, extract(epoch from modelled_at - event_at)::float as seconds
           from raw.files where modelled_at is not null"""
    )
    found = {row["modelled_date"]: row for row in shop.world.rows("select * from ops.ops_daily_latency")}
    assert found.keys() == {file["modelled_date"] for file in files}
    for day, row in found.items():
        seconds = sorted(file["seconds"] for file in files if file["modelled_date"] == day)
        assert row["files"] == len(seconds)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1)):
            expected = float(np.percentile(seconds, share * 100, method="inverted_cdf"))
            assert float(row[f"latency_{name}_seconds"]) == pytest.approx(expected, abs=0.05)


def test_every_mart_has_an_oracle(shop: Shop) -> None:
    marts = shop.world.rows(
        "select relname from pg_class where relnamespace = 'kpi'::regnamespace and relkind in ('r', 'v')"
    )
    assert {mart["relname"] for mart in marts} - {"kpi_rfm_segments"} <= MARTS.keys()
