"""The part of `loader backfill` that runs on an executor, without Spark: objects → the records of the lake."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loader.errors import ObjectGone
from loader.feeds import Feeds
from loader.lake.reading import Reading
from loader.lake.records import FILE, LINE, REJECTED, SCHEMA, file_id
from loader.object_store import ObjectStore, ObjectVersion
from loader.pipeline import check_file
from loader.settings import Settings
from scripts.csv_generator import Sheet, sheet

BUCKET = "lake-sheets"
DAY = date(2024, 3, 1)


@pytest.fixture
def settings(moto: str) -> Settings:
    return Settings.read(
        database_url="postgresql://loader:none@127.0.0.1/sales",
        kafka_bootstrap_servers="127.0.0.1:1",
        s3_bucket=BUCKET,
        s3_endpoint_url=moto,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[ObjectStore]:
    with closing(ObjectStore(settings)) as store:
        store.create_bucket(BUCKET)
        yield store


def put(store: ObjectStore, made: Sheet) -> ObjectVersion:
    store.put(BUCKET, made.key, made.content)
    return store.current(BUCKET, made.key)


def records(settings: Settings, version: ObjectVersion, counting: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """What a task makes of this version, by kind; `counting`: checksums of its object's versions that count."""
    row = {
        "bucket": version.bucket,
        "key": version.key,
        "etag": version.etag,
        "size": version.size,
        "modified_at": version.modified_at,
        "feed": "sales_data",
        "counting": [*counting],
    }
    batch = pa.RecordBatch.from_pylist([row])
    made = list(Reading(settings, Feeds(), datetime.now(UTC))(iter([batch])))
    rows = pa.Table.from_batches(made, SCHEMA).to_pylist()
    return {kind: [each for each in rows if each["kind"] == kind] for kind in (FILE, LINE, REJECTED)}


def test_a_task_decides_a_sheet_as_the_loader_does(store: ObjectStore, settings: Settings, tmp_path: Path) -> None:
    made = sheet(7, DAY, 60, 0.1)
    found = records(settings, version := put(store, made))
    local = tmp_path / "sheet.csv"
    local.write_bytes(made.content)
    check = check_file(local, Feeds().named("sales_data"), settings)
    (entry,) = found[FILE]
    assert (entry["status"], entry["file_id"], entry["sha256"]) == ("loaded", file_id(version), made.summary["sha256"])
    counts = tuple(entry[f"rows_{each}"] for each in ("read", "loaded", "rejected", "skipped"))
    assert counts == (check.counts.read, check.counts.loaded, check.counts.rejected, check.counts.skipped)
    assert [row["source_line"] for row in found[REJECTED]] == made.summary["bad_lines"]
    assert [row["raw_text"] for row in found[REJECTED]] == [each.raw_text for each in check.rejected]
    sales = [row for row in found[LINE] if row["line_type"] == "sale"]
    assert len(found[LINE]) == made.summary["rows"]
    assert sum(row["quantity"] * row["unit_price"] for row in sales) == Decimal(made.summary["gross_sales"])


def test_a_rejected_sheet_has_a_report_and_no_line(store: ObjectStore, settings: Settings) -> None:
    found = records(settings, put(store, sheet(7, DAY, 60, 0.5)))
    (entry,) = found[FILE]
    assert (entry["status"], entry["rows_loaded"], found[LINE]) == ("rejected", 0, [])
    assert entry["rows_read"] == entry["rows_rejected"] + entry["rows_skipped"]
    assert len(found[REJECTED]) == entry["rows_rejected"]


def test_a_sheet_with_the_bytes_of_one_that_counts_adds_no_row(store: ObjectStore, settings: Settings) -> None:
    made = sheet(7, DAY, 60, 0.1)
    found = records(settings, put(store, made), (made.summary["sha256"],))
    assert ([each["status"] for each in found[FILE]], found[LINE], found[REJECTED]) == (["unchanged"], [], [])


def test_a_sheet_that_was_replaced_since_the_listing_is_not_read(store: ObjectStore, settings: Settings) -> None:
    listed = put(store, sheet(7, DAY, 60, 0.1))
    put(store, sheet(8, DAY, 60, 0.1))
    with pytest.raises(ObjectGone):
        records(settings, listed)
