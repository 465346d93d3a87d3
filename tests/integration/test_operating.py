"""What a person does about a file, on the real stack: set aside, withdrawn, replayed, corrected, reconciled."""

import csv
import io
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg
import pytest
from moto.server import ThreadedMotoServer
from structlog.testing import capture_logs

from loader import corrections, operating
from loader.errors import Refused, TransientError
from loader.events import FileArrived, FileRemoved, encode, parse
from loader.ledger import State
from loader.object_store import ObjectStore, ObjectVersion
from loader.pipeline import Pipeline
from loader.sql.session import revision
from loader.watcher import Watcher
from scripts.csv_generator import sheet
from scripts.stack import REPOSITORY, Stack
from tests.conftest import World, eventually, new_world
from tests.integration.test_delivery import consume, loaded, publish, running_loader
from tests.integration.test_marts import marts

SHEETS = [sheet(7, date(2026, 3, day), rows=60) for day in range(1, 4)]
SHEET = SHEETS[0]
HEADER, *LINES = SHEET.content.decode().splitlines()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LEDGER = "select file_id, key, status, rows_read, rows_loaded, rows_rejected, rows_skipped from raw.files order by 1"
ROWS = "select * from raw.sales_lines order by file_id, row_number"


@pytest.fixture
def pipeline(world: World) -> Iterator[Pipeline]:
    with Pipeline(world.settings) as pipeline:
        yield pipeline


def csv_of(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


def bad(line: str) -> str:
    """The line with a date that does not exist."""
    return line.replace("2026-03-01", "2026-02-30", 1)


def load(world: World, pipeline: Pipeline, content: bytes, key: str = SHEET.key) -> int:
    outcome = pipeline.load_file(world.drop(key, content))
    assert outcome.file_id
    return outcome.file_id


def remove(world: World, pipeline: Pipeline, key: str = SHEET.key) -> FileRemoved:
    pipeline.store._client.delete_object(Bucket=world.bucket, Key=key)
    return FileRemoved(world.bucket, key, datetime.now(UTC))


def status(world: World, file_id: int) -> str:
    return str(world.value("select status from raw.files where file_id = %s", file_id))


def statuses(outcomes: list[Any]) -> list[str]:
    return [outcome.status for outcome in outcomes]


# --- retry, skip, forget -----------------------------------------------------------------------------------------


def test_a_failed_and_a_rejected_file_are_loaded_by_retry_once_their_cause_is_gone(
    world: World, pipeline: Pipeline
) -> None:
    failed = load(world, pipeline, SHEETS[1].content, SHEETS[1].key)
    world.run(f"update raw.files set status = 'failed', error = 'S3 was away' where file_id = {failed}")
    world.run("delete from raw.sales_lines")
    rejected = load(world, pipeline, csv_of(*map(bad, LINES[:10]), *LINES[10:30]))
    assert status(world, rejected) == "rejected"
    assert statuses(operating.retry(pipeline, [], [State.FAILED], None)) == ["loaded"]
    assert statuses(operating.retry(pipeline, [rejected], [], None)) == ["rejected"]
    lenient = pipeline.feeds.named("sales_data")
    pipeline.feeds.all = [lenient.model_copy(update={"rejects": lenient.rejects.model_copy(update={"max_ratio": 1})})]
    (outcome,) = operating.retry(pipeline, [], [State.REJECTED], "CSV/%")
    assert outcome.counts
    assert (outcome.status, outcome.counts.loaded, outcome.counts.rejected) == ("loaded", 20, 10)


def test_retry_says_why_it_cannot_load_a_file(world: World, pipeline: Pipeline) -> None:
    file_id = load(world, pipeline, SHEET.content)
    with pytest.raises(Refused, match="loader replay"):
        operating.retry(pipeline, [file_id], [], None)
    with pytest.raises(Refused, match="no file 999"):
        operating.retry(pipeline, [999], [], None)
    with pytest.raises(Refused, match="which files"):
        operating.retry(pipeline, [], [], None)
    done = world.loader("retry", str(file_id))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


def test_a_retry_of_what_the_bucket_no_longer_has_says_so(world: World, pipeline: Pipeline) -> None:
    rejected = load(world, pipeline, b"not,the,header\n1,2,3\n")
    world.drop(SHEET.key, SHEET.content)
    (outcome,) = operating.retry(pipeline, [rejected], [], None)
    assert outcome.status == "changed"
    assert "another version" in (outcome.error or "")
    gone = load(world, pipeline, b"not,the,header\n", SHEETS[1].key)
    remove(world, pipeline, SHEETS[1].key)
    assert statuses(operating.retry(pipeline, [gone], [], None)) == ["gone"]
    assert status(world, gone) == "rejected"


def test_a_skipped_file_is_loaded_by_nobody_until_retry(world: World, pipeline: Pipeline) -> None:
    file_id = load(world, pipeline, b"not,the,header\n1,2,3\n")
    operating.skip(pipeline, [file_id], "a test export")
    assert world.value("select error from raw.files") == "skipped by hand: a test export"
    arrival = FileArrived(world.bucket, SHEET.key, datetime.now(UTC))
    assert pipeline.load_file(arrival).status == "skipped"
    with closing(Watcher(world.settings)) as watcher:
        assert watcher.unseen() == []
    assert world.value("select attempts from raw.files") == 1
    assert statuses(operating.retry(pipeline, [file_id], [], None)) == ["rejected"]


def test_a_loaded_file_cannot_be_skipped_and_the_way_out_is_named(world: World, pipeline: Pipeline) -> None:
    file_id = load(world, pipeline, SHEET.content)
    with pytest.raises(Refused, match="loader forget"):
        operating.skip(pipeline, [file_id], "wrong month")
    assert status(world, file_id) == "loaded"


def test_a_withdrawn_file_is_loaded_by_nobody_until_retry(world: World, pipeline: Pipeline) -> None:
    file_id = load(world, pipeline, SHEET.content)
    operating.forget(pipeline, [file_id], "wrong month")
    assert world.rows(ROWS) == []
    arrival = FileArrived(world.bucket, SHEET.key, datetime.now(UTC))
    assert pipeline.load_file(arrival).status == "withdrawn"
    assert world.value("select events from raw.files") == 2
    with closing(Watcher(world.settings)) as watcher:
        assert watcher.unseen() == []
    assert statuses(operating.forget(pipeline, [file_id], "again")) == ["withdrawn"]
    assert statuses(operating.retry(pipeline, [file_id], [], None)) == ["loaded"]
    assert world.value("select count(*) from raw.sales_lines") == SHEET.summary["rows"]


def test_a_withdrawn_file_leaves_the_marts_as_if_it_had_never_come(stack: Stack, template: str, tmp_path: Path) -> None:
    with new_world(stack, template, tmp_path / "without") as world, Pipeline(world.settings) as pipeline:
        assert load(world, pipeline, SHEETS[0].content, "unknown.txt") == 1  # so that file ids are alike
        load(world, pipeline, SHEETS[1].content, SHEETS[1].key)
        world.transform()
        without = marts(world)
    with new_world(stack, template, tmp_path / "withdrawn") as world, Pipeline(world.settings) as pipeline:
        shared_day = [line.replace("2026-03-01", "2026-03-02", 1) for line in LINES[:20]]
        wrong = load(world, pipeline, csv_of(*LINES[20:], *shared_day))
        load(world, pipeline, SHEETS[1].content, SHEETS[1].key)
        world.transform()
        assert marts(world) != without
        done = world.loader("forget", str(wrong), "--reason", "the branch sent last year's sheet")
        assert done.returncode == 0, done.stderr
        world.transform()
        assert marts(world) == without


# --- replay ------------------------------------------------------------------------------------------------------


def test_a_replay_gives_what_the_feed_of_today_makes_of_the_sheets_and_twice_the_same(
    world: World, pipeline: Pipeline
) -> None:
    for each in SHEETS:
        load(world, pipeline, each.content, each.key)
    world.run("delete from raw.rebuild_queue")
    feed = pipeline.feeds.named("sales_data")
    columns = dict(feed.columns)
    columns["currency"] = columns["sold_at"].model_copy(update={"header": None, "value": "EUR"})
    pipeline.feeds.all = [feed.model_copy(update={"columns": columns})]
    assert statuses(operating.replay(pipeline, LONG_AGO, None, "CSV/%")) == ["loaded"] * 3
    first = world.rows(ROWS)
    assert {row["currency"] for row in first} == {"EUR"}
    assert len(first) == sum(each.summary["rows"] for each in SHEETS)
    assert world.value("select count(distinct sale_date) from raw.rebuild_queue") == 3
    assert statuses(operating.replay(pipeline, LONG_AGO, None, None)) == ["loaded"] * 3
    assert world.rows(ROWS) == first
    assert statuses(operating.replay(pipeline, datetime.now(UTC) + timedelta(hours=1), None, None)) == []


def test_a_replay_takes_no_figures_away_without_others_in_their_place(world: World, pipeline: Pipeline) -> None:
    gone = load(world, pipeline, SHEETS[1].content, SHEETS[1].key)
    refused = load(world, pipeline, SHEET.content)
    before = world.rows(ROWS), world.rows(LEDGER)
    remove(world, pipeline, SHEETS[1].key)
    feed = pipeline.feeds.named("sales_data")
    columns = dict(feed.columns)
    columns["quantity"] = columns["quantity"].model_copy(update={"header": "Pieces"})
    pipeline.feeds.all = [feed.model_copy(update={"columns": columns})]
    outcomes = operating.replay(pipeline, LONG_AGO, None, None)
    assert [(each.file_id, each.status) for each in outcomes] == [(gone, "gone"), (refused, "kept")]
    pipeline.feeds.all = []
    assert statuses(operating.replay(pipeline, LONG_AGO, None, None)) == ["gone", "kept"]
    assert (world.rows(ROWS), world.rows(LEDGER)) == before


def test_a_replay_that_is_cut_off_leaves_the_rows_as_they_were(
    world: World, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(world, pipeline, SHEET.content)
    before = world.rows(ROWS), world.rows(LEDGER)
    current, looks = pipeline.store.current, iter(range(2))

    def away_at_the_last_look(bucket: str, key: str) -> object:
        if next(looks) == 1:
            raise TransientError("S3 is away")
        return current(bucket, key)

    monkeypatch.setattr(pipeline.store, "current", away_at_the_last_look)
    assert statuses(operating.replay(pipeline, LONG_AGO, None, None)) == ["failed"]
    assert (world.rows(ROWS), world.rows(LEDGER)) == before


# --- corrections by hand -----------------------------------------------------------------------------------------


def exported(pipeline: Pipeline, *file_ids: int, key: str | None = None) -> list[list[str]]:
    text = corrections.export(pipeline, file_ids, key)
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def saved(rows: list[list[str]], path: Path, delimiter: str = ",", encoding: str = "utf-8-sig") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8-sig"), (";", "utf-8"), ("\t", "utf-8-sig")])
def test_corrected_rows_land_where_the_sheet_has_them_however_the_spreadsheet_wrote_them(
    world: World, pipeline: Pipeline, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    file_id = load(world, pipeline, csv_of(bad(LINES[0]), *LINES[1:30], bad(LINES[30]), *LINES[31:]))
    good = load(world, pipeline, csv_of(*LINES), "CSV/sales_data_good.csv")
    world.run("delete from raw.rebuild_queue")
    rows = exported(pipeline, file_id)
    assert rows[0] == ["file_id", "row_number", "source_line", "key", "problems", *HEADER.split(","), "surplus cells"]
    assert [row[:4] for row in rows[1:]] == [[str(file_id), "1", "2", SHEET.key], [str(file_id), "31", "32", SHEET.key]]
    assert all(row[4].startswith("sold_at: ") for row in rows[1:])
    assert rows[1][5:-1] == next(csv.reader([bad(LINES[0])]))
    fixed = [[cell.replace("2026-02-30", "2026-03-01") for cell in row] for row in rows]
    path = saved(fixed, tmp_path / "fixed.csv", delimiter, encoding)
    assert statuses(corrections.replay(pipeline, path)) == ["landed", "landed"]
    columns = f"select {', '.join(LINE_COLUMNS)} from raw.sales_lines where file_id = %s order by row_number"
    assert world.rows(columns, file_id) == world.rows(columns, good)
    assert world.rows(LEDGER)[0] | {"file_id": 0, "key": ""} == world.rows(LEDGER)[1] | {"file_id": 0, "key": ""}
    replayed = world.rows("select row_number, source_line, raw_text, corrected_text from raw.replayed_rows order by 1")
    assert replayed[0] == {
        "row_number": 1, "source_line": 2, "raw_text": bad(LINES[0]), "corrected_text": LINES[0],
    }  # fmt: skip
    assert world.value("select count(*) from raw.rejected_rows") == 0
    assert world.rows("select sale_date, file_id from raw.rebuild_queue") == [
        {"sale_date": date(2026, 3, 1), "file_id": file_id}
    ]
    before = world.rows("select ctid, * from raw.sales_lines order by file_id, row_number")
    assert statuses(corrections.replay(pipeline, path)) == ["replayed before"] * 2
    assert world.rows("select ctid, * from raw.sales_lines order by file_id, row_number") == before


LINE_COLUMNS = ("row_number", "source_line", "sale_id", "sold_at", "product_name", "quantity", "unit_price", "extra")


def test_a_row_that_is_still_bad_stays_rejected_and_its_faults_are_printed(world: World, tmp_path: Path) -> None:
    world.drop(SHEET.key, csv_of(bad(LINES[0]), bad(LINES[1]), *LINES[2:]))
    assert world.loader("load", SHEET.key).returncode == 0
    path = tmp_path / "rows.csv"
    assert world.loader("rejects", "export", "-o", str(path)).returncode == 0
    path.write_bytes(path.read_bytes().replace(b"2026-02-30", b"2026-03-01", 1))
    done = world.loader("rejects", "replay", str(path), "--json")
    assert done.returncode == 1
    first, second = json.loads(done.stdout)
    assert (first["status"], second["status"]) == ("landed", "rejected")
    assert second["problems"].startswith("sold_at: ")
    assert world.rows("select row_number from raw.rejected_rows") == [{"row_number": 2}]
    assert world.value("select rows_rejected from raw.files") == 1


def test_rows_of_a_file_that_no_longer_counts_are_refused(world: World, pipeline: Pipeline, tmp_path: Path) -> None:
    old = load(world, pipeline, csv_of(bad(LINES[0]), *LINES[1:]))
    path = saved(exported(pipeline), tmp_path / "rows.csv")
    load(world, pipeline, csv_of(*LINES))
    (outcome,) = corrections.replay(pipeline, path)
    assert (outcome.file_id, outcome.status) == (old, "refused")
    assert "a later version" in (outcome.problems or "")
    rejected = load(world, pipeline, csv_of(*map(bad, LINES[:9])), SHEETS[1].key)
    (first, *_) = corrections.replay(pipeline, saved(exported(pipeline, rejected), path))
    assert (first.status, "as a whole" in (first.problems or "")) == ("refused", True)


def test_a_row_of_too_many_or_too_few_cells_can_be_put_right(world: World, pipeline: Pipeline, tmp_path: Path) -> None:
    load(world, pipeline, csv_of(LINES[0] + ",surplus", LINES[1].rpartition(",")[0], *LINES[2:]))
    rows = exported(pipeline)
    assert [row[-1] for row in rows] == ["surplus cells", "surplus", ""]
    path = saved(rows, tmp_path / "rows.csv")
    assert statuses(corrections.replay(pipeline, path)) == ["rejected", "landed"]
    rows[1][-1] = ""
    assert statuses(corrections.replay(pipeline, saved(rows, path))) == ["landed", "replayed before"]


def test_a_masked_cell_must_be_typed_before_its_row_is_replayed(
    world: World, pipeline: Pipeline, tmp_path: Path
) -> None:
    load(world, pipeline, csv_of(bad(LINES[0]), *LINES[1:]))
    rows = exported(pipeline)
    rows[1] = [cell.replace("2026-02-30", "2026-03-01") for cell in rows[1]]
    rows[1][rows[0].index("Customer Name")] = "•••"
    (outcome,) = corrections.replay(pipeline, saved(rows, tmp_path / "rows.csv"))
    assert (outcome.status, "masked" in (outcome.problems or "")) == ("refused", True)


def test_rows_of_different_sheets_are_exported_apart(world: World, pipeline: Pipeline) -> None:
    first = load(world, pipeline, csv_of(bad(LINES[0]), *LINES[1:]))
    other_header = SHEET.content.replace(b"Product Name", b"Product Name,Shelf", 1)
    other = b"\n".join([other_header.splitlines()[0], *(line.encode() for line in LINES[:1])])
    feed = pipeline.feeds.named("sales_data")
    pipeline.feeds.all = [feed.model_copy(update={"rejects": feed.rejects.model_copy(update={"max_ratio": 1})})]
    second = load(world, pipeline, other, SHEETS[1].key)
    with pytest.raises(Refused, match=rf"file {first}.*file {second}.*--file-id or --key"):
        corrections.export(pipeline, [], None)
    assert [row[0] for row in exported(pipeline, key=SHEETS[1].key)] == ["file_id", str(second)]


def test_a_reload_does_not_undo_corrections_unasked(world: World, pipeline: Pipeline, tmp_path: Path) -> None:
    file_id = load(world, pipeline, csv_of(bad(LINES[0]), *LINES[1:]))
    rows = [[cell.replace("2026-02-30", "2026-03-01") for cell in row] for row in exported(pipeline)]
    path = saved(rows, tmp_path / "rows.csv")
    corrections.replay(pipeline, path)
    before = world.rows(ROWS)
    (outcome,) = operating.replay(pipeline, LONG_AGO, None, None)
    assert (outcome.status, "--drop-corrections" in (outcome.error or "")) == ("kept", True)
    assert world.rows(ROWS) == before
    assert statuses(operating.replay(pipeline, LONG_AGO, None, None, drop_corrections=True)) == ["loaded"]
    assert world.rows("select row_number from raw.rejected_rows") == [{"row_number": 1}]
    assert world.rows("select * from raw.replayed_rows") == []
    assert statuses(corrections.replay(pipeline, path)) == ["landed"]
    assert world.rows(ROWS) == before
    operating.forget(pipeline, [file_id], "no longer needed")
    assert world.rows("select * from raw.replayed_rows") == []


def test_corrected_rows_reach_the_marts(world: World, pipeline: Pipeline, tmp_path: Path) -> None:
    load(world, pipeline, csv_of(bad(LINES[0]), *LINES[1:]))
    world.transform()
    rows = [[cell.replace("2026-02-30", "2026-03-01") for cell in row] for row in exported(pipeline)]
    corrections.replay(pipeline, saved(rows, tmp_path / "rows.csv"))
    assert world.value("select modelled_at is null from raw.files")
    world.transform()
    assert world.value("select sum(net_sales) from kpi.kpi_daily_sales") == Decimal(SHEET.summary["net_sales"])
    assert world.value("select modelled_at is not null from raw.files")


# --- bucket against ledger ---------------------------------------------------------------------------------------


def test_reconcile_finds_what_is_unseen_changed_and_vanished_and_acts_on_it(world: World, pipeline: Pipeline) -> None:
    changed = load(world, pipeline, csv_of(*LINES[:5]))
    vanished = load(world, pipeline, SHEETS[1].content, SHEETS[1].key)
    world.drop(SHEET.key, csv_of(*LINES[:6]))
    world.drop(SHEETS[2].key, SHEETS[2].content)
    remove(world, pipeline, SHEETS[1].key)
    before = world.rows("select * from raw.files order by file_id")
    done = world.loader("reconcile", "--report", "--json")
    assert done.returncode == 1
    assert [(row["difference"], row["key"]) for row in json.loads(done.stdout)] == [
        ("unseen", SHEETS[2].key),
        ("changed", SHEET.key),
        ("vanished", SHEETS[1].key),
    ]
    assert world.rows("select * from raw.files order by file_id") == before
    assert world.loader("reconcile").returncode == 0
    assert world.value("select source_gone_at is not null from raw.files where file_id = %s", vanished)
    assert status(world, vanished) == "loaded"
    assert len(consume(world, world.settings.kafka_topic, 2)) == 2
    with running_loader(world):
        eventually("the announced", lambda: status(world, changed) == "superseded")
        eventually("the unseen", lambda: world.value("select count(*) = 3 from raw.files where status = 'loaded'"))
    done = world.loader("reconcile", "--report")
    assert (done.returncode, done.stdout) == (0, "the bucket and the ledger agree\n")


def test_a_delete_is_marked_and_an_upload_again_clears_it(world: World, pipeline: Pipeline) -> None:
    loaded = load(world, pipeline, SHEET.content)
    waiting = load(world, pipeline, SHEETS[1].content, SHEETS[1].key)
    world.run(f"update raw.files set status = 'failed' where file_id = {waiting}")
    for each in (SHEET, SHEETS[1]):
        removed = remove(world, pipeline, each.key)
        assert len(pipeline.remove_file(removed)) == 1
    assert world.rows("select status, source_gone_at is not null as gone from raw.files order by file_id") == [
        {"status": "loaded", "gone": True},
        {"status": "source_gone", "gone": True},
    ]
    assert world.value("select count(*) from raw.sales_lines where file_id = %s", loaded) == SHEET.summary["rows"]
    world.drop(SHEET.key, SHEET.content)
    with closing(Watcher(world.settings)) as watcher:
        (back,) = watcher.unseen()
    outcome = pipeline.load_file(FileArrived(back.bucket, back.key, back.modified_at))
    assert (outcome.status, outcome.duplicate) == ("loaded", True)
    assert world.value("select source_gone_at from raw.files where file_id = %s", loaded) is None


def test_what_waits_for_an_object_that_is_gone_is_dealt_with_until_it_comes_back(
    world: World, pipeline: Pipeline
) -> None:
    waiting = load(world, pipeline, SHEET.content)
    world.run("update raw.files set status = 'failed', next_attempt_at = now() + interval '1 hour'")
    remove(world, pipeline)
    outcome = pipeline.load_file(FileArrived(world.bucket, SHEET.key, datetime.now(UTC)))
    assert (outcome.status, outcome.file_id) == ("source_gone", waiting)
    assert world.rows("select status, next_attempt_at, error from raw.files") == [
        {"status": "source_gone", "next_attempt_at": None, "error": outcome.error}
    ]
    world.drop(SHEET.key, SHEET.content)
    with closing(Watcher(world.settings)) as watcher:
        (back,) = watcher.unseen()
    assert pipeline.load_file(FileArrived(back.bucket, back.key, back.modified_at)).status == "loaded"


def test_only_an_event_that_can_change_something_of_the_ledger_is_worked(world: World, pipeline: Pipeline) -> None:
    counts, waits, unknown, there = (f"CSV/sales_data_{name}.csv" for name in ("counts", "waits", "unknown", "there"))
    for number, key in enumerate((counts, waits, there)):
        load(world, pipeline, SHEETS[number].content, key)
    world.run(f"update raw.files set status = 'failed', next_attempt_at = now() where key = '{waits}'")
    now = datetime.now(UTC)
    keys = (counts, waits, unknown, there)
    events = [kind(world.bucket, key, now) for kind in (FileArrived, FileRemoved) for key in keys]
    with closing(ObjectStore(world.settings)) as store:
        for key in (counts, waits):
            store.delete(world.bucket, key)
    needless = pipeline.needless(events)
    assert [each for each in events if each not in needless] == [
        FileArrived(world.bucket, waits, now),
        FileArrived(world.bucket, there, now),
        FileRemoved(world.bucket, counts, now),
        FileRemoved(world.bucket, waits, now),
    ]
    assert len(pipeline.remove_file(FileRemoved(world.bucket, counts, now))) == 1
    assert FileRemoved(world.bucket, counts, now) in pipeline.needless(events), "the ledger knows it by now"


def test_an_object_that_changes_at_every_attempt_is_failed_and_tried_again_later(
    world: World, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, contents = ObjectStore.open, cycle([SHEET.content, SHEETS[1].content])

    def replaced_after_opening(store: ObjectStore, version: ObjectVersion) -> object:
        stream = opened(store, version)
        world.drop(SHEET.key, next(contents))
        return stream

    monkeypatch.setattr(ObjectStore, "open", replaced_after_opening)
    publish(world, encode(world.drop(SHEET.key, SHEETS[2].content)))
    with running_loader(World(world.env | {"RETRY_MAX_SECONDS": "3600"}, world.stack)):
        (letter,) = consume(world, world.settings.kafka_dead_letter_topic, 1)
    assert dict(letter.headers() or [])["attempts"] == str(world.settings.max_attempts).encode()
    assert {row["status"] for row in world.rows("select status from raw.files")} == {"failed"}
    monkeypatch.undo()
    world.run("update raw.files set next_attempt_at = now()")
    with closing(Watcher(world.settings)) as watcher:
        (later,) = watcher.unseen()
    assert pipeline.load_file(FileArrived(later.bucket, later.key, later.modified_at)).status == "loaded"


def test_a_delete_that_comes_late_changes_nothing(world: World, pipeline: Pipeline) -> None:
    load(world, pipeline, SHEET.content)
    before = world.rows("select * from raw.files")
    assert pipeline.remove_file(FileRemoved(world.bucket, SHEET.key, datetime.now(UTC))) == []
    assert world.rows("select * from raw.files") == before


def test_a_delete_event_on_the_topic_marks_the_file(world: World, pipeline: Pipeline) -> None:
    arrival = replace(world.drop(SHEET.key, SHEET.content), dialect="aws")
    publish(world, encode(arrival))
    with running_loader(world):
        eventually("the load", lambda: world.rows("select * from raw.files where status = 'loaded'"))
        remove(world, pipeline)
        publish(world, encode(arrival).replace(b"ObjectCreated:Put", b"ObjectRemoved:Delete"))
        eventually("the mark", lambda: world.rows("select * from raw.files where source_gone_at is not null"))
    assert world.value("select dialect from raw.files") == "aws"
    done = world.loader("files")
    assert "object gone" in done.stdout


# --- leases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["claimed", "copying", "finished"])
def test_a_loader_that_stands_still_loses_its_file_to_one_that_waits(
    world: World, pipeline: Pipeline, step: str
) -> None:
    publish(world, encode(world.drop(SHEET.key, SHEET.content)))
    with world.process(f"stop:{step}", "run", "--no-transform", module="tests.integration.crashing_loader") as stalled:
        eventually("the stop", lambda: state_of(stalled.pid) == "T")
        with Pipeline(world.settings.model_copy(update={"lease_seconds": 0.5})) as other, capture_logs() as logs:
            outcome = other.load_file(FileArrived(world.bucket, SHEET.key, datetime.now(UTC)))
        assert outcome.status == "loaded"
        assert [entry["key"] for entry in logs if entry["event"] == "lease_taken_over"] == [SHEET.key]
        before = world.rows("select ctid, * from raw.sales_lines order by row_number")
        os.kill(stalled.pid, signal.SIGCONT)
        publish(world, encode(world.drop(SHEETS[1].key, SHEETS[1].content)))
        eventually("its next file", lambda: world.value("select count(*) = 2 from raw.files where status = 'loaded'"))
    assert world.rows("select ctid, * from raw.sales_lines where file_id = 1 order by row_number") == before
    assert len(before) == SHEET.summary["rows"]


def state_of(pid: int) -> str:
    """T: stopped. Format: proc(5), /proc/[pid]/stat."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_a_loader_that_works_keeps_its_file_however_long_it_takes(world: World, pipeline: Pipeline) -> None:
    world.drop(SHEET.key, SHEET.content)
    world.run(
        """create function raw.slow() returns trigger language plpgsql as
           $$ begin perform pg_sleep(3); return new; end $$;
           create trigger slow before update on raw.files for each row when (new.status = 'loaded')
           execute function raw.slow()"""
    )
    with world.process("load", SHEET.key):
        eventually("the slow statement", lambda: world.rows(
            "select * from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
        ))  # fmt: skip
        with Pipeline(world.settings.model_copy(update={"lease_seconds": 0.3})) as other, capture_logs() as logs:
            outcome = other.load_file(FileArrived(world.bucket, SHEET.key, datetime.now(UTC)))
    assert (outcome.status, outcome.duplicate) == ("loaded", True)
    assert [entry["event"] for entry in logs] == []


def test_a_loader_that_shows_life_now_and_then_keeps_its_file_from_one_that_waits(
    world: World, pipeline: Pipeline
) -> None:
    arrival = world.drop(SHEET.key, SHEET.content)
    looks: set[datetime] = set()

    def lives() -> bool:
        """Between its statements the holder is idle, as one is that reads from S3."""
        revision(session)
        session.commit()
        looks.update(
            row["query_start"]
            for row in world.rows(
                "select query_start from pg_stat_activity "
                "where datname = current_database() and wait_event = 'advisory'"
            )
        )
        return bool(wait([waiting], 0.5).done) or len(looks) > 2

    with Pipeline(world.settings) as other, ThreadPoolExecutor() as beside_it, capture_logs() as logs:
        with pipeline.warehouse.session() as session, pipeline.lock(session, world.bucket, SHEET.key):
            waiting = beside_it.submit(other.load_file, arrival)
            eventually("the one that waits to have looked at the holder twice", lives)
            assert not waiting.done()
        assert waiting.result().status == "loaded"
    assert [entry["event"] for entry in logs] == []


# --- what PostgreSQL says ----------------------------------------------------------------------------------------


def test_a_sheet_that_postgresql_refuses_is_rejected_and_no_cell_of_it_is_logged(world: World) -> None:
    name = next(csv.DictReader([HEADER, LINES[0]]))["Customer Name"]
    world.run(f"alter table raw.sales_lines add constraint no_such_customer check (customer_name <> '{name}')")
    publish(world, encode(world.drop(SHEET.key, SHEET.content)), encode(world.drop(SHEETS[1].key, csv_of())))
    with capture_logs() as logs, running_loader(world):
        eventually("the other file", lambda: world.rows("select * from raw.files where status = 'loaded'"))
    (file,) = world.rows("select status, error, rows_loaded from raw.files where key = %s", SHEET.key)
    assert (file["status"], file["rows_loaded"]) == ("rejected", 0)
    assert "no_such_customer" in file["error"]
    assert world.rows(ROWS) == []
    assert [entry["dialect"] for entry in logs if entry["event"] == "file_rejected"] == ["aws"]
    assert name not in str(logs)


def test_a_session_that_ends_in_a_copy_logs_no_cell(world: World, pipeline: Pipeline) -> None:
    name = next(csv.DictReader([HEADER, LINES[0]]))["Customer Name"]
    world.run(
        f"""create function raw.fail() returns trigger language plpgsql as
            $$ begin raise exception using errcode = '57014', message = 'stopped', detail = '{name}'; end $$;
            create trigger fail before insert on raw.sales_lines for each row execute function raw.fail()"""
    )
    with pytest.raises(TransientError, match="stopped") as caught:
        load(world, pipeline, SHEET.content)
    assert name not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_lock_of_another_login_is_named_with_its_remedy_and_waited_for(world: World, pipeline: Pipeline) -> None:
    arrival = world.drop(SHEET.key, SHEET.content)
    with (
        psycopg.connect(world.env["DASHBOARD_DATABASE_URL"], autocommit=True) as other,
        ThreadPoolExecutor() as beside_it,
        capture_logs() as logs,
    ):
        lock = "select pg_advisory_lock(hashtextextended(%s, 0)), pg_backend_pid()"
        (_, pid) = other.execute(lock, [f"{world.bucket}/{SHEET.key}"]).fetchone() or ()
        loading = beside_it.submit(pipeline.load_file, arrival)
        eventually("it to be named", lambda: logs or loading.done())
        other.close()
        assert loading.result().status == "loaded"
    assert {entry["event"] for entry in logs} == {"lock_of_another_login"}
    assert (logs[0]["login"], f"pg_terminate_backend({pid})" in logs[0]["remedy"]) == ("dashboard", True)


# --- giving up ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["claimed", "copying", "finished"])
def test_a_file_that_one_loader_gives_up_and_another_loads_is_loaded_and_stays_seen(
    world: World, pipeline: Pipeline, step: str
) -> None:
    publish(world, encode(world.drop(SHEET.key, SHEET.content)))
    slow = world.process(f"stop:{step}", "run", "--no-transform", module="tests.integration.crashing_loader")
    with slow as loading, ThreadPoolExecutor() as beside_it:
        eventually("the stop", lambda: state_of(loading.pid) == "T")
        # What has been written and not committed, it waits for.
        given_up = beside_it.submit(pipeline.give_up, world.bucket, SHEET.key, TransientError("S3 was away"))
        eventually("it to be given up", lambda: given_up.done() or waits_for_a_row(world))
        os.kill(loading.pid, signal.SIGCONT)
        given_up.result()
        eventually("the load", lambda: world.value("select status = 'loaded' from raw.files"))
    assert world.rows("select status, next_attempt_at, error from raw.files") == [
        {"status": "loaded", "next_attempt_at": None, "error": None}
    ]
    with closing(Watcher(world.settings)) as watcher:
        assert watcher.unseen() == []


def waits_for_a_row(world: World) -> bool:
    waiting = "select * from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'"
    return bool(world.rows(waiting))


@pytest.mark.parametrize("change", ["ignored", "superseded", "skipped", "source_gone", "rejected"])
def test_a_failed_file_that_is_dealt_with_has_no_next_attempt(world: World, pipeline: Pipeline, change: str) -> None:
    failed = load(world, pipeline, SHEET.content)
    world.run("update raw.files set status = 'failed', next_attempt_at = now()")
    match change:
        case "ignored":
            pipeline.feeds.all = []
            load(world, pipeline, SHEET.content)
        case "superseded":
            load(world, pipeline, SHEETS[1].content)
        case "skipped":
            operating.skip(pipeline, [failed], "a test")
        case "source_gone":
            pipeline.remove_file(remove(world, pipeline))
        case "rejected":
            world.run("alter table raw.sales_lines add constraint none check (false) not valid")
            load(world, pipeline, SHEET.content)
    query = "select status, next_attempt_at from raw.files where file_id = %s"
    assert world.rows(query, failed) == [{"status": change, "next_attempt_at": None}]


# --- odd keys, and the command line ------------------------------------------------------------------------------

ODD_KEYS = [
    "CSV/sales_data_with two  spaces.csv",
    "CSV/sales_data_a+b.csv",
    "CSV/sales_data_100%.csv",
    "CSV/sales_data_%2B%20.csv",
    "CSV/sales_data_売上 März.csv",
    "CSV/sales_data_e\u0301.csv",
    "CSV/sales_data_'quote\";--&=#?.csv",
    "CSV/sales_data_[red]not markup[/red].csv",
    "CSV/sales_data_" + "/".join(["x" * 200] * 5)[: 1024 - 19] + ".csv",
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_of_any_kind_is_loaded_and_shown(world: World, key: str) -> None:
    world.drop(key, SHEET.content)
    with world.process("watch"), running_loader(world):
        eventually("the load", lambda: world.rows("select * from raw.files where status = 'loaded'"))
    assert world.value("select key from raw.files") == key
    shown = world.loader("files", "--json", "--status", "loaded")
    assert [row["key"] for row in json.loads(shown.stdout)] == [key]
    assert key[:28].strip() in world.loader("files").stdout


def test_a_key_that_climbs_out_of_its_folder_is_a_key_like_any_other(world: World) -> None:
    """On a server that takes such keys; the local stack's keeps objects as files and refuses them."""
    key = "CSV/sales_data_x/../../../etc/y.csv"
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        _, port = server.get_host_and_port()
        there = World(world.env | {"S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"}, world.stack)
        with closing(ObjectStore(there.settings)) as store:
            store.create_bucket(there.bucket)
        (arrival,) = parse(encode(there.drop(key, SHEET.content)))
        assert isinstance(arrival, FileArrived)
        with Pipeline(there.settings) as pipeline:
            assert pipeline.load_file(arrival).status == "loaded"
            assert [version.key for version in pipeline.store.list(there.bucket, "")] == [key]
    finally:
        server.stop()
    assert key in world.loader("files").stdout


def test_a_key_that_names_no_object_is_set_aside_and_the_next_one_loaded(world: World) -> None:
    nothing = [FileArrived(world.bucket, key, datetime.now(UTC)) for key in ("/", "CSV/", "..")]
    publish(world, *map(encode, nothing), encode(world.drop(SHEET.key, SHEET.content)))
    with running_loader(world):
        eventually("the sheet", lambda: loaded(world, 1))
        letters = consume(world, world.settings.kafka_dead_letter_topic, 1)
    reasons = {dict(letter.headers() or [])["reason"] for letter in letters}
    assert reasons == {b"TransientError"}  # of the key that the server refuses; the others are gone


def test_a_command_that_cannot_be_done_says_why_in_a_few_words(world: World, pipeline: Pipeline) -> None:
    load(world, pipeline, csv_of(bad(LINES[0]), *LINES[1:]))
    for arguments in (
        ["load", "/"],
        ["load", "a\udcffb"],
        ["files", "--file-id", "99999999999999999999"],
        ["retry", "99999999999999999999"],
        ["rejects", "export", "--file-id", "99999999999999999999"],
        ["rejects", "export", "-o", "/no/such/folder/rows.csv"],
        ["rejects", "replay", "/dev/null"],
        ["feed", "init", str(REPOSITORY / "README.md"), "--write", "/no/such/folder/feed.yml"],
    ):
        done = world.loader(*arguments)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        assert "loader: " in done.stderr or "Error" in done.stderr


def test_the_tables_fit_a_hundred_columns(world: World, pipeline: Pipeline) -> None:
    load(world, pipeline, csv_of(bad(LINES[0]), *LINES[1:]))
    load(world, pipeline, b"not,the,header\n1,2,3\n", SHEETS[1].key)
    load(world, pipeline, SHEETS[2].content, SHEETS[2].key)
    remove(world, pipeline, SHEETS[2].key)
    narrow = World(world.env | {"COLUMNS": "100"}, world.stack)
    commands = {"files": 0, "rejects": 0, "replay --since 2d": 1, "reconcile --report": 1, "retry --status rejected": 1}
    for command, code in commands.items():
        shown = narrow.loader(*command.split())
        assert shown.returncode == code, shown.stderr
        assert max(map(len, shown.stdout.splitlines())) <= 100
        assert "CSV/sales_data_2026030" in shown.stdout


def test_files_and_rejects_are_found_by_what_is_known_of_them(world: World, pipeline: Pipeline) -> None:
    first = load(world, pipeline, csv_of(bad(LINES[0]), *LINES[1:]))
    second = load(world, pipeline, SHEETS[1].content, SHEETS[1].key)

    def found(*arguments: str) -> list[int]:
        done = world.loader(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [row["file_id"] for row in json.loads(done.stdout)]

    assert found("files", "--feed", "sales_data", "--since", "1h") == [second, first]
    assert found("files", "--since", "2099-01-01") == []
    assert found("files", "--file-id", str(first)) == [first]
    assert found("rejects", "--field", "sold_at") == [first]
    assert found("rejects", "--field", "quantity") == []
    assert found("rejects", "--message", "%date%", "--since", "1d") == [first]
    assert found("rejects", "--message", "date") == []
    wrong = world.loader("files", "--since", "yesterday")
    assert (wrong.returncode, "is not a time such as" in wrong.stderr) == (2, True)


def test_the_status_says_what_waits_and_for_how_long(world: World, pipeline: Pipeline) -> None:
    load(world, pipeline, SHEET.content)
    world.transform()
    failed = load(world, pipeline, SHEETS[1].content, SHEETS[1].key)
    world.run(f"update raw.files set status = 'failed' where file_id = {failed}")
    row = json.loads(world.loader("status", "--json").stdout)
    assert row["files_failed"] == 1
    assert (row["oldest_waiting"]["file_id"], row["oldest_waiting"]["status"]) == (failed, "failed")
    assert row["queue_seconds"] is not None
    assert row["arrival_to_mart_seconds"]["files"] == 1
    assert row["arrival_to_mart_seconds"]["p95"] >= row["arrival_to_mart_seconds"]["p50"] > 0
    assert "oldest_waiting" in world.loader("status").stdout
