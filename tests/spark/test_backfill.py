"""History by Spark: the lake has the rows that the loader lands in PostgreSQL, however often a job runs or dies."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.spark.lake import MARKS, bring, correct, in_lake, in_postgresql, load  # isort: skip  # skips all without Spark
import pyspark
from pyspark.sql import SparkSession

from loader.errors import TransientError
from loader.lake.backfill import Lake
from loader.lake.records import FILE, LINE, REJECTED
from scripts.stack import REPOSITORY
from tests.conftest import World, eventually

pytestmark = MARKS


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
    correct(shop)
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


def test_a_lake_that_cannot_be_written_is_said_in_one_line(shop: World, spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "lake").touch()
    with pytest.raises(TransientError, match=r"\ASpark failed: .*lake.*run the command again\Z"):
        bring(shop, spark, tmp_path / "lake")


@pytest.mark.parametrize("victim", ["executor", "job"])
def test_a_killed_process_leaves_no_row_missing_or_double(
    victim: str, shop: World, spark: SparkSession, tmp_path: Path
) -> None:
    installed = Path(pyspark.__file__).parent
    before = {*installed.iterdir()}
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
    assert {*installed.iterdir()} == before, "workers wrote into the installed package"


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
