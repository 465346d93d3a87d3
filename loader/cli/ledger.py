"""Commands about the versions of files in the ledger: load one, list them, and what to do when something went wrong."""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from loader import operating
from loader.cli.options import LARGEST, AsJson, FileId, FileIds, Key, Limit, Reason, Since, moment
from loader.cli.output import console, plain, show, show_outcomes
from loader.cli.start import ask, open_pipeline, start
from loader.errors import Refused
from loader.events import FileArrived
from loader.ledger import LOAD, State
from loader.pipeline import Pipeline
from loader.sql import operate as sql


def load(
    key: Annotated[str, typer.Argument(help="Object key in S3_BUCKET.")],
    as_json: AsJson = False,
) -> None:
    """Load one object now, without Kafka. A version that was rejected before is tried again."""
    settings = start()
    arrival = FileArrived(settings.s3_bucket, key, datetime.now(UTC), dialect=None)
    with Pipeline(settings) as pipeline:
        pipeline.check()
        outcome = pipeline.load_file(arrival, LOAD)
    if outcome.status == State.SOURCE_GONE:
        raise Refused(f"{outcome.error}. `loader reconcile --report` says what the bucket holds")
    counts = vars(outcome.counts) if outcome.counts else {}
    row = {"file_id": outcome.file_id, "status": outcome.status, **counts, "error": outcome.error}
    show([row | {"warning": outcome.warning}], as_json, hide=("skipped_as", "swallowed"))
    if outcome.status in (State.REJECTED, State.IGNORED, State.SKIPPED, State.WITHDRAWN):
        raise SystemExit(1)


def files(
    *,
    status: Annotated[State | None, typer.Option(help="Only files in this state.")] = None,
    key: Key = None,
    feed: Annotated[str | None, typer.Option(help="Only files of this feed.")] = None,
    since: Since = None,
    file_id: FileId = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List the ledger: every file version ever seen, and what became of it."""
    rows = ask(sql.files, status=status, key=key, feed=feed, since=since, file_id=file_id, limit=limit)
    if as_json:
        show(rows, as_json)
        return
    for row in rows:
        row["key"] = "\n".join(filter(None, [row["key"], row["error"], row["warning"], _waiting(row)]))
        if row["source_gone_at"]:
            row["status"] += "\nobject gone"
        for count in ("rows_rejected", "rows_skipped"):
            row[count] = row[count] or None
    columns = ("file_id", "key", "status", "rows_loaded", "rows_rejected", "rows_skipped", "modelled_at")
    show([{name: row[name] for name in columns} for row in rows], as_json)


def _waiting(row: dict[str, Any]) -> str | None:
    """A sentence on the rows of a file that wait for another file; None where there are none."""
    if not (rows := row["rows_waiting"]):
        return None
    order = row["waits_for"]
    said = f"row waits for its order, {order}" if rows == 1 else f"rows wait for their orders, such as {order}"
    return f"{rows} {said}, from a sheet of {row['order_headers']}"


def retry(
    file_ids: Annotated[
        list[int] | None, typer.Argument(help="Ids as `loader files` shows them.", min=1, max=LARGEST)
    ] = None,
    status: Annotated[Literal["failed", "rejected"] | None, typer.Option(help="All files in this state.")] = None,
    key: Annotated[str | None, typer.Option(help="All failed and rejected files with a key like this.")] = None,
    as_json: AsJson = False,
) -> None:
    """Load failed, rejected, skipped or withdrawn files again. Exit code 1: one was not loaded."""
    with open_pipeline() as pipeline:
        states = [State(status)] if status else []
        show_outcomes(operating.retry(pipeline, file_ids or [], states, key), as_json, State.LOADED)


def skip(file_ids: FileIds, reason: Reason, as_json: AsJson = False) -> None:
    """Set files aside that have not been loaded: nothing loads them until `loader retry`."""
    with open_pipeline() as pipeline:
        show_outcomes(operating.skip(pipeline, file_ids, reason), as_json, State.SKIPPED)


def forget(file_ids: FileIds, reason: Reason, as_json: AsJson = False) -> None:
    """Take loaded files back: their rows go, their dates are rebuilt, and nothing loads them until `loader retry`."""
    with open_pipeline() as pipeline:
        outcomes = operating.forget(pipeline, file_ids, reason)
    ids = " ".join(str(each.file_id) for each in outcomes)
    print(
        f"next: upload the right sheet under the same key, even if an earlier version of it counted; `loader retry"
        f" {ids}` takes this back",
        file=sys.stderr,
    )
    show_outcomes(outcomes, as_json, State.WITHDRAWN)


def replay(
    since: Annotated[
        datetime, typer.Option(parser=moment, metavar="TIME", help="Files received since: 2h, 3d, 2026-11-23.")
    ],
    until: Annotated[
        datetime | None,
        typer.Option(parser=moment, metavar="TIME", help="Files received before this time."),
    ] = None,
    key: Key = None,
    drop_corrections: Annotated[
        bool, typer.Option("--drop-corrections", help="Include files with rows that were corrected by hand.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Load files from S3 again, with the feeds of today. Exit code 1: one was not loaded again."""
    with open_pipeline() as pipeline:
        show_outcomes(operating.replay(pipeline, since, until, key, drop_corrections), as_json, State.LOADED)


def reconcile(
    report: Annotated[bool, typer.Option("--report", help="Change nothing; exit code 1: they differ.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the bucket with the ledger: announce what is unseen or changed, mark what is gone."""
    found = operating.reconcile(start(), report)
    rows = [
        {"difference": name, "key": version.key, "etag": version.etag, "size_bytes": version.size, "rows_loaded": None}
        for name, versions in (("unseen", found.unseen), ("changed", found.changed))
        for version in versions
    ]
    columns = ("key", "etag", "size_bytes", "rows_loaded")
    rows += [{"difference": "vanished"} | {name: getattr(each, name) for name in columns} for each in found.vanished]
    if rows or as_json:
        show(rows, as_json, hide=("etag",))
    else:
        console.print("the bucket and the ledger agree")
    if report and found.any:
        raise SystemExit(1)


def status(as_json: AsJson = False) -> None:
    """Show where everything stands: files, what waits and how long, latency, published version, last run."""
    row = ask(sql.status)
    if as_json:
        print(json.dumps(row, default=plain))
        return
    for name, value in row.items():
        shown = json.dumps(value, default=plain) if isinstance(value, dict) else value
        if name != "problems":
            console.print(f"{name:<23} {shown}", soft_wrap=True)
    for each in row["problems"]:
        since = f" Since {datetime.fromisoformat(each['since']).astimezone():%m-%d %H:%M:%S}." if each["since"] else ""
        console.print(f"{each['severity']:<23} {each['sentence']}{since} To do: {each['remedy']}", soft_wrap=True)
