"""What the tests of the lake do in turn; they are skipped where Spark or Java is missing."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from loader.errors import SettingsError
from loader.lake.machine import find_java

pytest.importorskip("pyspark", reason="Spark is not installed: `make test-spark` installs it")
try:
    find_java()
except SettingsError as error:
    pytest.skip(str(error), allow_module_level=True)

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from loader.events import FileArrived
from loader.lake.backfill import Lake, backfill
from loader.lake.records import FILE, LINE, LINE_COLUMNS, REJECTED, REJECTED_COLUMNS
from loader.object_store import ObjectStore
from loader.pipeline import Outcome, Pipeline
from scripts.csv_generator import sheet
from scripts.stack import REPOSITORY
from tests.conftest import World

MARKS = [pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]  # the warnings of Spark are its own
DAYS = [date(2024, 3, day) for day in range(1, 4)]
EUROS = "CSV/euros_20240301.csv"
# Both ledgers have more, each of its own.
ENTRY = (
    "key", "etag", "status", "sha256", "feed", "rows_read", "rows_loaded", "rows_rejected", "rows_skipped", "error",
)  # fmt: skip
Rows = list[dict[str, Any]]


def open_shop(world: World, feeds: Path) -> World:
    """A world with a second feed, in euros, and sheets with faults, one with too many."""
    built_in = (REPOSITORY / "loader/feeds/sales_data.yml").read_text()
    feeds.mkdir()
    (feeds / "euros.yml").write_text(built_in.replace("sales_data", "euros").replace("value: USD", "value: EUR"))
    shop = replace(world, env=world.env | {"FEEDS_DIR": str(feeds)})
    for day in DAYS:
        drop(shop, day)
    drop(shop, DAYS[0], seed=8, key=EUROS)
    drop(shop, date(2024, 3, 7), bad_ratio=0.5)
    return shop


def correct(shop: World) -> None:
    """A correction, one that is rejected, so that the version before goes on counting, and a sheet of another day."""
    drop(shop, DAYS[1], seed=9)
    drop(shop, DAYS[2], seed=9, bad_ratio=0.5)
    drop(shop, date(2024, 3, 5))


def drop(world: World, day: date, seed: int = 7, bad_ratio: float = 0.1, key: str | None = None) -> None:
    made = sheet(seed, day, 40, bad_ratio)
    world.drop(key or made.key, made.content)


def load(world: World) -> None:
    """Load everything in the bucket into PostgreSQL."""
    with closing(ObjectStore(world.settings)) as store, Pipeline(world.settings) as pipeline:
        for each in store.list(world.bucket, "CSV/"):
            pipeline.load_file(FileArrived(each.bucket, each.key, datetime.now(UTC)))


def bring(world: World, spark: SparkSession, lake: Path | str, at_once: int = 1000) -> list[Outcome]:
    return backfill(spark, world.settings, world.bucket, "CSV/", str(lake), at_once=at_once)


def in_postgresql(world: World) -> dict[str, Rows]:
    """Lines, rejected rows and ledger as the loader landed them."""
    of_file = "select file.key, file.etag, row.* from {} as row inner join raw.files as file using (file_id)"
    return {
        LINE: picked(world.rows(of_file.format("raw.sales_lines")), ("key", "etag", *LINE_COLUMNS)),
        REJECTED: picked(world.rows(of_file.format("raw.rejected_rows")), ("key", "etag", *REJECTED_COLUMNS)),
        FILE: picked(world.rows("select * from raw.files"), ENTRY),
    }


def in_lake(spark: SparkSession, lake: Path | str) -> dict[str, Rows]:
    """The same of the lake."""
    records = Lake(spark, str(lake)).records()
    files = records.where(f.col("kind") == FILE)
    keys = files.select("file_id", f.col("key"), f.col("etag"))
    rows = records.drop("key", "etag").join(keys, "file_id")

    def of_kind(kind: str, names: tuple[str, ...]) -> Rows:
        return picked(rows.where(f.col("kind") == kind).select(*names).toArrow().to_pylist(), names)

    return {
        LINE: of_kind(LINE, ("key", "etag", *LINE_COLUMNS)),
        REJECTED: of_kind(REJECTED, ("key", "etag", *REJECTED_COLUMNS)),
        FILE: of_kind(FILE, ENTRY),
    }


def picked(rows: Rows, names: tuple[str, ...]) -> Rows:
    """These columns of the rows, in an order of their own; JSON as values."""

    def value(name: str, found: Any) -> Any:
        return json.loads(found) if name in ("errors", "extra") and isinstance(found, str) else found

    chosen = [{name: value(name, row[name]) for name in names} for row in rows]
    return sorted(chosen, key=lambda row: (row["key"], row["etag"], row.get("row_number", 0)))
