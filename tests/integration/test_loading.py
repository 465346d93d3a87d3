"""One file, one transaction, exactly once: against real PostgreSQL and S3."""

import bz2
import gzip
import hashlib
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from csv import reader, writer
from datetime import UTC, date, datetime
from decimal import Decimal
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, StringIO
from itertools import product
from pathlib import Path
from threading import Thread

import psycopg
import pyarrow as pa
import pytest
import yaml

from loader.errors import ObjectGone, TransientError
from loader.ledger import State
from loader.pipeline import Pipeline
from loader.sql import load as sql
from loader.verdict import Counts
from loader.watcher import Watcher
from scripts.csv_generator import sheet
from scripts.stack import REPOSITORY
from tests.conftest import World, eventually

DAY = date(2026, 3, 2)
SHEET = sheet(7, DAY, rows=60)
BAD_SHEET = sheet(7, DAY, rows=300, bad_ratio=0.1)
HEADER, *LINES = SHEET.content.decode().splitlines()

CONSERVED = "select bool_and(rows_read = rows_loaded + rows_rejected + rows_skipped) from raw.files"


@pytest.fixture
def pipeline(world: World) -> Iterator[Pipeline]:
    with Pipeline(world.settings) as pipeline:
        yield pipeline


def net_sales_in_raw(world: World) -> dict[date, Decimal]:
    """Net sales per date straight from the accepted lines, rounded to cents at the line."""
    query = """
        with valued as (
            select sale_date, line_type, round(abs(quantity) * unit_price, 2) as gross,
                round(abs(quantity) * unit_price * coalesce(discount_rate, 0), 2) as discount
            from raw.sales_lines
        )
        select sale_date,
            sum(case line_type when 'sale' then 1 when 'return' then -1 else 0 end * (gross - discount)) as net
        from valued group by sale_date
    """
    return {row["sale_date"]: row["net"] for row in world.rows(query)}


def zipped(content: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.csv", content)
    return file.getvalue()


def csv(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


def test_every_row_of_a_sheet_is_landed_or_kept_with_its_faults(world: World, pipeline: Pipeline) -> None:
    outcome = pipeline.load_file(world.drop(BAD_SHEET.key, BAD_SHEET.content))
    assert outcome.status == "loaded"
    summary = BAD_SHEET.summary
    (file,) = world.rows("select * from raw.files")
    assert (file["rows_loaded"], file["rows_rejected"]) == (summary["rows"], len(summary["bad_lines"]))
    assert file["rows_read"] == summary["rows"] + len(summary["bad_lines"])
    assert world.value("select count(*) from raw.sales_lines") == summary["rows"]
    assert net_sales_in_raw(world) == {DAY: Decimal(summary["net_sales"])}
    rejected = world.rows("select source_line, raw_text, errors from raw.rejected_rows order by source_line")
    assert [row["source_line"] for row in rejected] == summary["bad_lines"]
    physical = BAD_SHEET.content.decode().split("\n")
    assert all(row["raw_text"].split("\n")[0] == physical[row["source_line"] - 1].rstrip("\r") for row in rejected)
    assert all(row["errors"] for row in rejected)


@pytest.mark.parametrize("kind", sorted(BAD_SHEET.summary["bad_rows"]))
def test_the_sheet_has_bad_rows_of_every_kind(kind: str) -> None:
    assert BAD_SHEET.summary["bad_rows"][kind] > 0


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, zipped, lambda text: pa.compress(text, "zstd")])
def test_a_packed_sheet_is_landed_like_an_open_one_with_the_checksum_of_the_object(
    world: World, pipeline: Pipeline, compress: Callable[[bytes], bytes]
) -> None:
    content = bytes(compress(SHEET.content))
    outcome = pipeline.load_file(world.drop(SHEET.key, content))
    assert (outcome.status, outcome.counts) == ("loaded", Counts(read=len(LINES), loaded=len(LINES)))
    assert net_sales_in_raw(world) == {DAY: Decimal(SHEET.summary["net_sales"])}
    assert world.value("select sha256 from raw.files") == hashlib.sha256(content).hexdigest()


def test_a_sheet_beyond_a_limit_is_rejected_and_the_ledger_names_the_setting(world: World) -> None:
    with Pipeline(world.settings.model_copy(update={"max_file_bytes": len(SHEET.content) - 1})) as pipeline:
        outcome = pipeline.load_file(world.drop(SHEET.key, SHEET.content))
    assert outcome.status == "rejected"
    assert "more than MAX_FILE_BYTES=" in world.value("select error from raw.files")


def test_a_duplicate_event_changes_nothing(world: World, pipeline: Pipeline) -> None:
    arrival = world.drop(SHEET.key, SHEET.content)
    pipeline.load_file(arrival)
    before = world.rows("select ctid, * from raw.sales_lines order by row_number")
    again = pipeline.load_file(arrival)
    assert again.duplicate
    assert world.rows("select ctid, * from raw.sales_lines order by row_number") == before
    assert world.rows("select status, events, attempts from raw.files") == [
        {"status": "loaded", "events": 2, "attempts": 1}
    ]


def test_a_reupload_supersedes_the_earlier_version(world: World, pipeline: Pipeline) -> None:
    pipeline.load_file(world.drop(SHEET.key, csv(*LINES)))
    pipeline.load_file(world.drop(SHEET.key, csv(*LINES[:10])))
    files = world.rows("select file_id, status, superseded_by, rows_loaded from raw.files order by file_id")
    assert [file["status"] for file in files] == ["superseded", "loaded"]
    assert files[0]["superseded_by"] == files[1]["file_id"]
    assert world.value("select count(*) from raw.sales_lines") == files[1]["rows_loaded"] == 10


def test_a_removed_date_is_queued_for_rebuild_with_the_new_version(world: World, pipeline: Pipeline) -> None:
    other_day = [line.replace("2026-03-02", "2026-03-05", 1) for line in LINES[:3]]
    pipeline.load_file(world.drop(SHEET.key, csv(*LINES[:5], *other_day)))
    world.run("delete from raw.rebuild_queue")
    latest = pipeline.load_file(world.drop(SHEET.key, csv(*LINES[:5])))
    queued = world.rows("select sale_date, file_id from raw.rebuild_queue order by sale_date")
    assert queued == [
        {"sale_date": date(2026, 3, 2), "file_id": latest.file_id},
        {"sale_date": date(2026, 3, 5), "file_id": latest.file_id},
    ]


def test_going_back_to_an_earlier_version_loads_it_again(world: World, pipeline: Pipeline) -> None:
    for content in (csv(*LINES[:8]), csv(*LINES[:4]), csv(*LINES[:8])):
        pipeline.load_file(world.drop(SHEET.key, content))
    assert world.rows("select status, attempts, rows_loaded from raw.files order by file_id") == [
        {"status": "loaded", "attempts": 2, "rows_loaded": 8},
        {"status": "superseded", "attempts": 1, "rows_loaded": 4},
    ]
    assert world.value("select count(*) from raw.sales_lines") == 8


def test_a_version_that_comes_back_has_arrived_anew(world: World, pipeline: Pipeline) -> None:
    contents = csv(*LINES[:8]), csv(*LINES[:4])
    for content in contents:
        pipeline.load_file(world.drop(SHEET.key, content))
    back = world.drop(SHEET.key, contents[0])
    pipeline.load_file(back)
    (current,) = world.rows("select event_at, received_at >= event_at as anew from raw.files where status = 'loaded'")
    assert current == {"event_at": back.event_at, "anew": True}


def test_a_broken_reupload_leaves_the_good_version_in_force(world: World, pipeline: Pipeline) -> None:
    pipeline.load_file(world.drop(SHEET.key, SHEET.content))
    outcome = pipeline.load_file(world.drop(SHEET.key, b"not,the,header\n1,2,3\n"))
    assert outcome.status == "rejected"
    assert net_sales_in_raw(world) == {DAY: Decimal(SHEET.summary["net_sales"])}


@pytest.fixture
def pipeline_by(world: World, tmp_path: Path) -> Callable[..., AbstractContextManager[Pipeline]]:
    """A pipeline whose feed for the generator's sheets says something else than the built-in one."""

    def opened(**said: object) -> AbstractContextManager[Pipeline]:
        feed = yaml.safe_load((REPOSITORY / "loader" / "feeds" / "sales_data.yml").read_text()) | said
        (tmp_path / "feed.yml").write_text(yaml.safe_dump(feed))
        return Pipeline(World(world.env | {"FEEDS_DIR": str(tmp_path)}, world.stack).settings)

    return opened


def test_uploads_add_up_where_the_feed_says_so(
    world: World, pipeline_by: Callable[..., AbstractContextManager[Pipeline]]
) -> None:
    with pipeline_by(reupload="append") as pipeline:
        for lines in (LINES[:20], LINES[20:], LINES[:20]):
            assert pipeline.load_file(world.drop(SHEET.key, csv(*lines))).status in ("loaded", "unchanged")
    assert net_sales_in_raw(world) == {DAY: Decimal(SHEET.summary["net_sales"])}
    assert [row["status"] for row in world.rows("select status from raw.files order by file_id")] == ["loaded"] * 2
    assert world.value("select count(*) from raw.rebuild_queue") == 2
    with pipeline_by(reupload="supersede") as pipeline:
        pipeline.load_file(world.drop(SHEET.key, csv(*LINES[:30])))
    assert world.value("select count(*) from raw.sales_lines") == 30
    assert [row["status"] for row in world.rows("select status from raw.files where status = 'loaded'")] == ["loaded"]


def test_the_first_upload_stays_where_the_feed_says_so(
    world: World, pipeline_by: Callable[..., AbstractContextManager[Pipeline]]
) -> None:
    with pipeline_by(reupload="ignore") as pipeline:
        pipeline.load_file(world.drop(SHEET.key, csv(*LINES[:20])))
        again = world.drop(SHEET.key, csv(*LINES))
        assert pipeline.load_file(again).status == "skipped"
        assert pipeline.load_file(again).duplicate
    assert world.value("select count(*) from raw.sales_lines") == 20
    assert "reupload: ignore" in world.value("select error from raw.files where status = 'skipped'")


def test_rows_that_are_repeated_are_set_aside_and_counted(
    world: World, pipeline_by: Callable[..., AbstractContextManager[Pipeline]]
) -> None:
    with pipeline_by(duplicates="exact") as pipeline:
        outcome = pipeline.load_file(world.drop(SHEET.key, csv(*LINES, *LINES[:3])))
    assert outcome.counts == Counts(len(LINES) + 3, len(LINES), 0, 3, {"duplicate": 3})
    assert world.value("select skipped from raw.files") == {"duplicate": 3}
    assert net_sales_in_raw(world) == {DAY: Decimal(SHEET.summary["net_sales"])}


def test_what_copy_would_read_as_something_else_arrives_as_it_stands(world: World, pipeline: Pipeline) -> None:
    names = ["back\\slash", "tab\there", "two\nlines", "carriage\r\nreturn", "\\N", "\\.", 'quo"te', "é€😀", "NULL"]
    rows = [next(reader([line])) for line in LINES[: len(names)]]
    text = StringIO(newline="")
    writer(text).writerows([[*next(reader([HEADER])), "Note"]])
    at = next(reader([HEADER])).index("Product Name")
    for row, name in zip(rows, names, strict=True):
        writer(text).writerow([*row[:at], name, *row[at + 1 :], name])
    assert pipeline.load_file(world.drop(SHEET.key, text.getvalue().encode())).status == "loaded"
    found = world.rows("select product_name, extra ->> 'Note' as note from raw.sales_lines order by row_number")
    assert [(row["product_name"], row["note"]) for row in found] == [(name, name) for name in names]


def test_an_empty_file_is_rejected(world: World, pipeline: Pipeline) -> None:
    outcome = pipeline.load_file(world.drop(SHEET.key, b""))
    assert outcome.status == "rejected"
    assert "empty" in (world.value("select error from raw.files") or "")


def test_a_header_without_rows_is_a_day_without_sales(world: World, pipeline: Pipeline) -> None:
    outcome = pipeline.load_file(world.drop(SHEET.key, csv()))
    assert outcome.status == "loaded"
    assert world.rows("select rows_read, modelled_at is not null as modelled from raw.files") == [
        {"rows_read": 0, "modelled": True}
    ]


NOTHING_LEFT = "no sale is left of 2026-03-02, which had some by the version before"


def test_a_sheet_that_leaves_nothing_of_a_day_counts_and_is_reported(world: World, pipeline: Pipeline) -> None:
    pipeline.load_file(world.drop(SHEET.key, SHEET.content))
    outcome = pipeline.load_file(world.drop(SHEET.key, csv()))
    assert (outcome.status, outcome.warning) == ("loaded", NOTHING_LEFT)
    assert world.value("select warning from raw.files where status = 'loaded'") == NOTHING_LEFT
    assert world.value("select count(*) from raw.sales_lines") == 0


def test_a_sheet_whose_rows_are_none_of_them_good_is_reported(world: World, tmp_path: Path) -> None:
    feed = (REPOSITORY / "loader" / "feeds" / "sales_data.yml").read_text().replace("max_ratio: 0.2", "max_ratio: 1")
    (tmp_path / "feed.yml").write_text(feed)
    bad = [line.replace("2026-03-02", "2026-02-30", 1) for line in LINES]
    with Pipeline(world.settings.model_copy(update={"feeds_dir": tmp_path})) as pipeline:
        outcome = pipeline.load_file(world.drop(SHEET.key, csv(*bad)))
    assert (outcome.status, outcome.warning) == ("loaded", f"none of its {len(LINES)} rows was loaded")


def test_a_feed_may_refuse_what_leaves_nothing_of_a_day(world: World, tmp_path: Path) -> None:
    feed = (REPOSITORY / "loader" / "feeds" / "sales_data.yml").read_text()
    (tmp_path / "feed.yml").write_text(f"{feed}shrink: reject\n")
    with Pipeline(world.settings.model_copy(update={"feeds_dir": tmp_path})) as pipeline:
        pipeline.load_file(world.drop(SHEET.key, SHEET.content))
        outcome = pipeline.load_file(world.drop(SHEET.key, csv()))
    assert (outcome.status, outcome.error) == ("rejected", f"{NOTHING_LEFT} (shrink: reject)")
    assert net_sales_in_raw(world) == {DAY: Decimal(SHEET.summary["net_sales"])}
    assert world.value(CONSERVED)


def test_a_status_that_no_rule_knows_is_loaded_and_reported(world: World, pipeline: Pipeline) -> None:
    outcome = pipeline.load_file(world.drop(SHEET.key, csv(LINES[0].replace(",Delivered,", ",Perdido,"), *LINES[1:])))
    assert outcome.status == "loaded"
    assert outcome.warning == (
        "delivery_status says 'Perdido' (1 row): no line_type rule knows that, so they count as sales"
    )
    assert world.value("select drift -> 'undecided' from raw.files") == {"delivery_status": {"Perdido": 1}}


def test_a_renamed_column_is_named_with_its_likely_new_name(world: World, pipeline: Pipeline) -> None:
    renamed = SHEET.content.replace(b"Quantity Sold", b"Qty Sold", 1)
    outcome = pipeline.load_file(world.drop(SHEET.key, renamed))
    assert outcome.status == "rejected"
    assert "'Quantity Sold' for quantity is missing (renamed to 'Qty Sold'?)" in (outcome.error or "")


def test_too_many_bad_rows_reject_the_file_and_keep_the_report(world: World, pipeline: Pipeline) -> None:
    broken = [line.replace("2026-03-02", "2026-02-30", 1) for line in LINES[:30]]
    outcome = pipeline.load_file(world.drop(SHEET.key, csv(*broken, *LINES[30:60])))
    assert outcome.status == "rejected"
    assert world.value("select count(*) from raw.sales_lines") == 0
    assert [row["source_line"] for row in world.rows("select source_line from raw.rejected_rows order by 1")] == list(
        range(2, 32)
    )
    assert world.value("select count(*) from raw.rebuild_queue") == 0
    assert world.value(CONSERVED)


def test_a_key_that_no_feed_knows_is_recorded_as_ignored_once(world: World, pipeline: Pipeline) -> None:
    arrival = world.drop("elsewhere/notes.csv", b"a,b\n1,2\n")
    assert [pipeline.load_file(arrival).status for _ in range(2)] == ["ignored", "ignored"]
    (file,) = world.rows("select status, error from raw.files")
    assert file["status"] == "ignored"
    assert "FEEDS_DIR" in file["error"]


def test_an_object_that_is_gone_is_said_to_be_gone(world: World, pipeline: Pipeline) -> None:
    arrival = world.drop(SHEET.key, SHEET.content)
    pipeline.store._client.delete_object(Bucket=world.bucket, Key=SHEET.key)
    outcome = pipeline.load_file(arrival)
    assert (outcome.status, outcome.file_id, "is gone" in (outcome.error or "")) == ("source_gone", None, True)
    assert world.rows("select * from raw.files") == []


def test_an_object_that_changes_while_it_is_read_is_not_loaded_half(
    world: World, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrival = world.drop(SHEET.key, csv(*LINES[:8]))
    opened = pipeline.store.open

    def replaced_after_opening(version: object) -> object:
        stream = opened(version)  # type: ignore[arg-type]
        world.drop(SHEET.key, csv(*LINES[:4]))
        return stream

    monkeypatch.setattr(pipeline.store, "open", replaced_after_opening)
    with pytest.raises(ObjectGone):
        pipeline.load_file(arrival)
    assert world.value("select count(*) from raw.sales_lines") == 0
    monkeypatch.undo()
    assert pipeline.load_file(arrival).counts.loaded == 4  # type: ignore[union-attr]
    assert world.value("select count(*) from raw.files where status = 'loaded'") == 1


class LyingS3(BaseHTTPRequestHandler):
    """Passes requests on to the real server; what it answers to a GET of an object is changed by `change`."""

    server_at = ""
    change: Callable[[bytes], bytes] = staticmethod(lambda body: body)
    says_length = True

    def do_HEAD(self) -> None:
        with closing(HTTPConnection(self.server_at)) as upstream:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # as they are: the signature is of the host that was asked for
                upstream.putheader(name, value)
            upstream.endheaders()
            answer = upstream.getresponse()
            body = answer.read()
        of_object = self.command == "GET" and "?" not in self.path
        if of_object and answer.status == 200:
            body = type(self).change(body)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        if self.command == "HEAD":
            self.send_header("Content-Length", answer.getheader("Content-Length", "0"))
        elif self.says_length or not of_object:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()  # HTTP 1.0: the end of the connection is the end of the body
        self.wfile.write(body)

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def lying(world: World) -> Iterator[tuple[type[LyingS3], Pipeline]]:
    """A server whose answers a test may change, and a pipeline that reads from it."""
    server_at = world.settings.s3_endpoint_url or ""
    handler = type("Handler", (LyingS3,), {"server_at": server_at.removeprefix("http://")})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        endpoint = {"s3_endpoint_url": f"http://127.0.0.1:{server.server_port}"}
        with Pipeline(world.settings.model_copy(update=endpoint)) as pipeline:
            yield handler, pipeline
        server.shutdown()
        thread.join()


LIES: dict[str, Callable[[bytes], bytes]] = {
    "half of it": lambda body: body[: body.rindex(b"\n", 0, len(body) // 2) + 1],
    "nothing": lambda _: b"",
    "an error document": lambda _: b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>",
    "other bytes": lambda body: body[:-3] + b"9" + body[-2:],
}


@pytest.mark.parametrize("pack", [bytes, lambda text: gzip.compress(text, mtime=0)], ids=["open", "packed"])
def test_a_sheet_that_s3_did_not_send_as_it_is_gets_no_verdict(
    world: World, lying: tuple[type[LyingS3], Pipeline], pack: Callable[[bytes], bytes]
) -> None:
    server, pipeline = lying
    honest = server.change
    arrival = world.drop(SHEET.key, pack(SHEET.content))
    for lie, says_length in product(LIES.values(), (True, False)):
        server.says_length, server.change = says_length, lie
        with pytest.raises(TransientError, match="S3 sent"):
            pipeline.load_file(arrival)
        assert world.value("select count(*) from raw.sales_lines") == 0
        assert world.rows("select status from raw.files") == [{"status": "loading"}]
    server.change = honest
    assert pipeline.load_file(arrival).status == "loaded"
    assert net_sales_in_raw(world) == {DAY: Decimal(SHEET.summary["net_sales"])}


def test_a_version_that_is_taken_back_before_it_is_loaded_waits_for_nobody(world: World, pipeline: Pipeline) -> None:
    pipeline.load_file(world.drop(SHEET.key, SHEET.content))
    with pipeline.warehouse.session() as session:
        world.drop(SHEET.key, BAD_SHEET.content)
        taken = sql.discover(session, pipeline.store.current(world.bucket, SHEET.key), datetime.now(UTC), "aws")
        feed = pipeline.feeds.named("sales_data")
        sql.start_loading(session, taken.file_id, feed, feed.format)
        session.commit()
    arrival = world.drop(SHEET.key, SHEET.content)
    with closing(Watcher(world.settings)) as watcher:
        assert [version.key for version in watcher.unseen()] == [SHEET.key]
        assert pipeline.load_file(arrival).duplicate
        assert watcher.unseen() == []
    states = world.rows("select status from raw.files order by file_id")
    assert [row["status"] for row in states] == ["loaded", "source_gone"]


def test_a_database_that_ends_the_session_undoes_the_file(world: World, pipeline: Pipeline) -> None:
    arrival = world.drop(SHEET.key, SHEET.content)
    world.run(
        """create function raw.fail() returns trigger language plpgsql as
           $$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$;
           create trigger fail before update on raw.files for each row when (new.status = 'loaded')
           execute function raw.fail();
           grant execute on function pg_terminate_backend(integer, bigint) to loader"""
    )
    with pytest.raises(TransientError, match="session with PostgreSQL was lost"):
        pipeline.load_file(arrival)
    assert world.value("select count(*) from raw.sales_lines") == 0
    world.run("drop trigger fail on raw.files")
    assert pipeline.load_file(arrival).status == "loaded"
    assert net_sales_in_raw(world) == {DAY: Decimal(SHEET.summary["net_sales"])}


def test_a_constant_is_the_same_in_every_file_whatever_it_has_in_it(world: World, tmp_path: Path) -> None:
    store = "ACME\\north\\t"
    contract = {
        "feed": "shop",
        "match": "shop/*",
        "columns": {"sale_id": "id", "sold_at": "day", "product_id": "product", "quantity": "n", "unit_price": "price"}
        | {"store_id": {"value": store}, "product_name": "name"},
    }
    (tmp_path / "shop.yml").write_text(yaml.safe_dump(contract))
    with Pipeline(world.settings.model_copy(update={"feeds_dir": tmp_path})) as pipeline:
        for number, name in enumerate(["Lamp", "La\\mp", '"La\tmp"']):
            content = f"id,day,product,n,price,name\nS1,2026-03-02,P1,1,1,{name}\n"
            assert pipeline.load_file(world.drop(f"shop/{number}.csv", content.encode())).status == "loaded"
    found = world.rows("select store_id, product_name from raw.sales_lines order by file_id")
    assert [(row["store_id"], row["product_name"]) for row in found] == [
        (store, "Lamp"),
        (store, "La\\mp"),
        (store, "La\tmp"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("add constraint few check (quantity < 0)", "SQLSTATE 23514, constraint few"),
        ("add constraint few check (1 / (quantity - quantity) > 0) not valid", "division by zero (SQLSTATE 22012"),
    ],
)
def test_a_file_that_only_postgresql_refuses_is_rejected_without_its_cells(
    world: World, pipeline: Pipeline, change: str, said: str
) -> None:
    world.run(f"alter table raw.sales_lines {change}")
    outcome = pipeline.load_file(world.drop(SHEET.key, SHEET.content))
    assert outcome.status == "rejected"
    assert "PostgreSQL refused rows that validation let through" in (outcome.error or "")
    assert said in (outcome.error or "")
    assert not any(cell in (outcome.error or "") for cell in next(reader([LINES[0]])) if len(cell) > 3)
    assert world.value(CONSERVED) is not False
    assert world.value("select count(*) from raw.sales_lines") == 0
    assert pipeline.load_file(world.drop("CSV/sales_data_x.csv", csv())).status == "loaded"


def test_the_database_refuses_a_ledger_row_that_loses_rows(world: World) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="files_conservation"):
        world.run(
            "insert into raw.files (bucket, key, etag, size_bytes, event_at, rows_read, rows_loaded)"
            " values ('b', 'k', 'e', 1, now(), 3, 2)"
        )


def test_the_database_allows_exactly_the_states_of_the_ledger(world: World) -> None:
    checked = world.value("select pg_get_constraintdef(oid) from pg_constraint where conname = 'files_status_check'")
    assert set(re.findall(r"'(\w+)'", checked)) == set(State)


def test_the_database_refuses_two_current_versions_of_an_object(world: World) -> None:
    insert = (
        "insert into raw.files (bucket, key, etag, size_bytes, event_at, status)"
        " values ('b', 'k', '{}', 1, now(), 'loaded')"
    )
    world.run(insert.format("first"))
    with pytest.raises(psycopg.errors.UniqueViolation, match="files_one_current_version"):
        world.run(insert.format("second"))


@contextmanager
def s3_with_other_etags(world: World) -> Iterator[Pipeline]:
    """The same bucket behind a server that makes its ETags by another hash, as a copy between buckets may."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = world.settings.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{port}"})
    secret = settings.aws_secret_access_key
    assert secret
    login = f"{settings.aws_access_key_id},{secret.get_secret_value()}"
    rclone = [
        f"{Path(sys.executable).parent}/rclone",
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        login,
    ]
    with subprocess.Popen([*rclone, "--etag-hash", "SHA-1", f"{world.stack.folder}/s3"]) as server:
        try:
            with Pipeline(settings) as pipeline:
                eventually("the server", lambda: answers(pipeline, world.bucket))
                yield pipeline
        finally:
            server.terminate()


def answers(pipeline: Pipeline, bucket: str) -> bool:
    try:
        list(pipeline.store.list(bucket, ""))
    except TransientError:
        return False
    return True


def test_an_identical_reupload_under_another_identity_is_recorded_and_changes_nothing(
    world: World, pipeline: Pipeline
) -> None:
    arrival = world.drop(SHEET.key, SHEET.content)
    pipeline.load_file(arrival)
    world.run("delete from raw.rebuild_queue")
    before = world.rows("select ctid, * from raw.sales_lines order by row_number")
    with s3_with_other_etags(world) as elsewhere:
        assert elsewhere.load_file(arrival).status == "unchanged"
        assert elsewhere.load_file(arrival).duplicate
    assert [row["status"] for row in world.rows("select status from raw.files order by file_id")] == [
        "loaded",
        "unchanged",
    ]
    assert world.rows("select ctid, * from raw.sales_lines order by row_number") == before
    assert world.value("select count(*) from raw.rebuild_queue") == 0
