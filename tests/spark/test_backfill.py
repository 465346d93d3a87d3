"""History by Spark: the lake has the rows that the loader lands in PostgreSQL, however often a job runs or dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: `make test-spark` installs it")
if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
    pytest.skip("Java is not installed: Spark needs 17 or newer", allow_module_level=True)

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from loader.events import FileArrived
from loader.lake.backfill import Lake, backfill
from loader.lake.records import FILE, LINE, LINE_COLUMNS, REJECTED, REJECTED_COLUMNS
from loader.lake.session import spark_session
from loader.object_store import ObjectStore
from loader.pipeline import Outcome, Pipeline
from scripts.csv_generator import sheet
from scripts.stack import REPOSITORY
from tests.conftest import World, eventually

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]  # the warnings of Spark are its own

DAYS = [date(2024, 3, day) for day in range(1, 4)]
EUROS = "CSV/euros_20240301.csv"
# Both ledgers have more, each of its own.
ENTRY = (
    "key", "etag", "status", "sha256", "feed", "rows_read", "rows_loaded", "rows_rejected", "rows_skipped", "error",
)  # fmt: skip
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    session = spark_session("local[2]")
    yield session
    session.stop()


@pytest.fixture
def shop(world: World, tmp_path: Path) -> World:
    """A world with a second feed, in euros, and sheets with faults, one with too many."""
    built_in = (REPOSITORY / "loader/feeds/sales_data.yml").read_text()
    folder = tmp_path / "feeds"
    folder.mkdir()
    (folder / "euros.yml").write_text(built_in.replace("sales_data", "euros").replace("value: USD", "value: EUR"))
    shop = replace(world, env=world.env | {"FEEDS_DIR": str(folder)})
    for day in DAYS:
        drop(shop, day)
    drop(shop, DAYS[0], seed=8, key=EUROS)
    drop(shop, date(2024, 3, 7), bad_ratio=0.5)
    return shop


def drop(world: World, day: date, seed: int = 7, bad_ratio: float = 0.1, key: str | None = None) -> None:
    made = sheet(seed, day, 40, bad_ratio)
    world.drop(key or made.key, made.content)


def load(world: World) -> None:
    """Load everything in the bucket into PostgreSQL."""
    with closing(ObjectStore(world.settings)) as store, Pipeline(world.settings) as pipeline:
        for each in store.list(world.bucket, "CSV/"):
            pipeline.load_file(FileArrived(each.bucket, each.key, datetime.now(UTC)))


def bring(world: World, spark: SparkSession, lake: Path, at_once: int = 1000) -> list[Outcome]:
    return backfill(spark, world.settings, world.bucket, "CSV/", str(lake), at_once=at_once)


def in_postgresql(world: World) -> dict[str, Rows]:
    """Lines, rejected rows and ledger as the loader landed them."""
    of_file = "select file.key, file.etag, row.* from {} as row inner join raw.files as file using (file_id)"
    return {
        LINE: picked(world.rows(of_file.format("raw.sales_lines")), ("key", "etag", *LINE_COLUMNS)),
        REJECTED: picked(world.rows(of_file.format("raw.rejected_rows")), ("key", "etag", *REJECTED_COLUMNS)),
        FILE: picked(world.rows("select * from raw.files"), ENTRY),
    }


def in_lake(spark: SparkSession, lake: Path) -> dict[str, Rows]:
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


def test_the_lake_has_the_rows_that_the_loader_lands(shop: World, spark: SparkSession, tmp_path: Path) -> None:
    load(shop)
    outcomes = bring(shop, spark, tmp_path / "lake", at_once=3)
    landed, brought = in_postgresql(shop), in_lake(spark, tmp_path / "lake")
    assert [each.status for each in outcomes] == ["loaded"] * 4 + ["rejected"]
    assert {row["currency"] for row in brought[LINE]} == {"USD", "EUR"}
    assert brought[REJECTED]
    assert brought == landed


def test_a_job_that_runs_again_changes_nothing(shop: World, spark: SparkSession, tmp_path: Path) -> None:
    bring(shop, spark, tmp_path / "lake")
    lake = Lake(spark, str(tmp_path / "lake"))
    version = lake.ledger().version
    assert all(each.duplicate for each in bring(shop, spark, tmp_path / "lake"))
    assert lake.ledger().version == version


def test_a_sheet_that_is_uploaded_again_replaces_its_rows(shop: World, spark: SparkSession, tmp_path: Path) -> None:
    load(shop)
    bring(shop, spark, tmp_path / "lake")
    drop(shop, DAYS[1], seed=9)
    drop(shop, DAYS[2], seed=9, bad_ratio=0.5)  # it is rejected, and the version before goes on counting
    drop(shop, date(2024, 3, 5))
    load(shop)
    bring(shop, spark, tmp_path / "lake")
    landed, brought = in_postgresql(shop), in_lake(spark, tmp_path / "lake")
    assert sorted(row["status"] for row in brought[FILE]) == ["loaded"] * 5 + ["rejected"] * 2 + ["superseded"]
    assert brought == landed


def test_a_job_that_another_has_overtaken_writes_nothing(shop: World, spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    seen = lake.ledger().version
    bring(shop, spark, tmp_path / "lake")
    before = in_lake(spark, tmp_path / "lake")
    lake.append(lake.records(), seen)
    assert in_lake(spark, tmp_path / "lake") == before


@pytest.mark.parametrize("victim", ["executor", "job"])
def test_a_killed_process_leaves_no_row_missing_or_double(
    victim: str, shop: World, spark: SparkSession, tmp_path: Path
) -> None:
    load(shop)
    lake = tmp_path / "lake"
    command = [
        *(sys.executable, "-m", "loader", "backfill", f"s3://{shop.bucket}/CSV/", "--to", str(lake)),
        *("--master", "local-cluster[2,1,1024]", "--json"),
    ]
    with subprocess.Popen(command, env=shop.env, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as job:
        # A worker of Python is there from when a task begins to read.
        reading = eventually("a task that reads", lambda: reading_executor(job.pid))
        os.kill(reading if victim == "executor" else job.pid, signal.SIGKILL)
        printed, _ = job.communicate(timeout=600)
    if victim == "executor":
        assert {each["status"] for each in json.loads(printed)} == {"loaded", "rejected"}
    else:
        bring(shop, spark, lake)
    assert in_lake(spark, lake) == in_postgresql(shop)


def reading_executor(job: int) -> int | None:
    """The process of an executor under this job that has begun to read a file."""
    parents = {int(each.name): parent_of(each) for each in Path("/proc").glob("[0-9]*")}
    below = {job}
    while more := {each for each, parent in parents.items() if parent in below} - below:
        below |= more
    running = {each: command_of(each) for each in below}
    workers = {each for each, command in running.items() if b"pyspark.daemon" in command}
    found = (each for each, command in running.items() if b"CoarseGrainedExecutorBackend" in command)
    return next((each for each in found if any(parents[worker] == each for worker in workers)), None)


def parent_of(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return 0


def command_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""
