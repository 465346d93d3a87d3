"""dbt_sales on Spark: the models that PostgreSQL builds give the same figures, and both go together at a seam."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.spark.lake import MARKS  # isort: skip  # skips all without Spark
from pyspark.sql import SparkSession

pytest.importorskip("dbt.adapters.spark", reason="dbt-spark is not installed: `make test-spark` installs it")

from loader.errors import Refused
from loader.events import FileArrived
from loader.lake.backfill import backfill
from loader.lake.place import reach
from loader.lake.serving import model, serve
from loader.lake.session import spark_session
from loader.object_store import ObjectStore
from loader.pipeline import Pipeline
from scripts.csv_generator import sheet
from scripts.stack import Stack
from tests.conftest import PROJECT, World, new_world
from tests.integration.test_kpis import (
    MARTS,
    days,
    euro_sales_feed,
    in_currencies,
    month,
    monthly,
    other_customers,
    sheet_of,
    some_unknown,
)
from tests.oracle import differences

pytestmark = MARKS

SEAM = date(2026, 2, 1)
LATE = "CSV/sales_data_late.csv"
# They are of single orders and lines, which stay in the lake; and a return is looked for among the orders at hand.
OF_THE_WINDOW = {"kpi_order_lines", "kpi_orders", "kpi_daily_original_returns"}
# A file has another number in each database.
ASIDE = {"file_id"}


@dataclass(frozen=True)
class Shop:
    """`whole`: PostgreSQL has every sheet. `window`: it has those from the seam on, and the lake has all."""

    whole: World
    window: World
    lake: str


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    folder = tmp_path_factory.mktemp("marts")
    session = spark_session("local[2]", sql_warehouse_dir=str(folder), sql_shuffle_partitions="2")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def shop(stack: Stack, template: str, tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Iterator[Shop]:
    """Sheets in three currencies with faults; some are corrected after they were loaded."""
    folder = tmp_path_factory.mktemp("feeds")
    (folder / "euro_sales.yml").write_text(euro_sales_feed())
    with (
        new_world(stack, template, tmp_path_factory.mktemp("whole")) as whole,
        new_world(stack, template, tmp_path_factory.mktemp("window")) as window,
    ):
        with closing(ObjectStore(whole.settings)) as store:
            store.create_bucket(f"lake-{whole.bucket}")
        lake = f"s3://lake-{whole.bucket}/sales"
        feeds = {"FEEDS_DIR": str(folder), "S3_BUCKET": whole.bucket}
        shop = Shop(World(whole.env | feeds, stack), World(window.env | feeds, stack), lake)
        for dates in (month(2025, 12), month(2026, 1), month(2026, 2)[:20]):
            put(shop, monthly(dates), sheet_of(dates))
            put(shop, euros(dates), sheet_of(dates, rows=14, change=lambda line: in_currencies(some_unknown(line))))
        for day in days(date(2026, 2, 21), date(2026, 2, 25)):
            each = sheet(7, day, rows=40, bad_ratio=0.08)
            put(shop, each.key, each.content)
        load(shop.whole)
        bring(shop, spark)
        put(shop, euros(month(2026, 1)), sheet_of(month(2026, 1)[10:], rows=14, change=in_currencies))
        put(shop, monthly(month(2026, 2)), sheet_of(month(2026, 2)[3:18], change=other_customers))
        load(shop.whole)
        bring(shop, spark)
        shop.whole.transform()
        yield shop


def euros(dates: list[date]) -> str:
    return f"euro/{dates[0]:%Y%m}.csv"


def put(shop: Shop, key: str, content: bytes) -> None:
    shop.whole.drop(key, content)


def load(world: World, since: str = "") -> None:
    """Load what is in the bucket, of months or days from `since` on: 202602."""
    with closing(ObjectStore(world.settings)) as store, Pipeline(world.settings) as pipeline:
        for each in store.list(world.bucket, ""):
            if each.key.rpartition("/")[2].removeprefix("sales_data_") >= since:
                pipeline.load_file(FileArrived(each.bucket, each.key, datetime.now(UTC)))


def bring(shop: Shop, spark: SparkSession) -> None:
    backfill(spark, shop.whole.settings, shop.whole.bucket, "", shop.lake)


def in_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.env.items():
        monkeypatch.setenv(name, value)


def rows(world: World, mart: str) -> list[dict[str, Any]]:
    return bare(world.rows(f"select * from kpi.{mart}"))


def bare(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the numbers of files. What has more digits than cents is a ratio: each engine has digits of its own."""

    def value(each: Any) -> Any:
        return float(each) if isinstance(each, Decimal) and int(each.as_tuple().exponent) < -2 else each

    return [{name: value(each) for name, each in row.items() if name not in ASIDE} for row in found]


def test_every_mart_by_spark_has_the_figures_of_postgresql(
    shop: Shop, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_environment(shop.whole, monkeypatch)
    model(PROJECT, reach(spark, shop.whole.settings, shop.lake))
    built = {each.name for each in spark.catalog.listTables("kpi")}
    assert {name for name in MARTS if name.startswith("kpi_daily")} - {"kpi_daily_totals"} <= built
    assert {"kpi_customers", "kpi_customer_rfm", "kpi_cohort_months", "kpi_monthly_product_pairs"} <= built
    faults = []
    for name in sorted(built & MARTS.keys()):
        found = bare([row.asDict() for row in spark.table(f"kpi.{name}").collect()])
        expected = rows(shop.whole, name)
        assert expected, name
        faults += [f"{name} {each}" for each in differences(expected, found, MARTS[name].grain)]
    assert not faults, f"{len(faults)} differences:\n" + "\n".join(faults[:20])


def test_at_the_seam_no_sale_is_missing_or_double(
    shop: Shop, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(shop.window, since="202602")
    shop.window.transform()
    in_environment(shop.window, monkeypatch)
    serve(spark, shop.window.settings, shop.lake, SEAM)
    assert differences_from_whole(shop) == []
    # Whoever builds everything anew has history again, and whoever sends a correction of the window keeps it.
    done = shop.window.dbt("build", "--full-refresh", "--selector", "everything")
    assert done.returncode == 0, done.stdout
    assert differences_from_whole(shop) == []
    for world in (shop.whole, shop.window):
        with Pipeline(world.settings) as pipeline:
            each = sheet(8, date(2026, 2, 23), rows=30)
            pipeline.load_file(world.drop(each.key, each.content))
        world.transform()
    assert differences_from_whole(shop) == []


def differences_from_whole(shop: Shop) -> list[str]:
    faults = []
    for name, mart in MARTS.items():
        if name.startswith("kpi_") and name not in OF_THE_WINDOW:
            found = differences(rows(shop.whole, name), rows(shop.window, name), mart.grain)
            faults += [f"{name} {each}" for each in found]
    return faults[:20]


def test_a_sheet_of_earlier_dates_waits_until_it_is_served(
    shop: Shop, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_environment(shop.window, monkeypatch)
    sales = "select sum(net_sales) from kpi.kpi_daily_sales where sale_date = '2026-01-05'"
    before = shop.window.value(sales)
    with Pipeline(shop.window.settings) as pipeline:
        pipeline.load_file(shop.window.drop(LATE, sheet(9, date(2026, 1, 5), rows=10).content))
    shop.window.transform()
    waiting = "select count(*) from raw.rebuild_queue where sale_date < (select live_since from ops.seam)"
    assert shop.window.value(waiting) == 1
    assert shop.window.value(sales) == before
    with pytest.raises(Refused, match=f"{LATE}.*loader backfill"):
        serve(spark, shop.window.settings, shop.lake, SEAM)
    bring(shop, spark)
    assert serve(spark, shop.window.settings, shop.lake, SEAM).waited == 1
    assert shop.window.value(waiting) == 0
    assert shop.window.value(sales) > before


def test_a_seam_within_a_month_is_refused(shop: Shop, spark: SparkSession) -> None:
    with pytest.raises(Refused, match="not the first of a month"):
        serve(spark, shop.window.settings, shop.lake, SEAM.replace(day=2))
