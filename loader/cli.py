"""The command line: every process and every question, `loader --help`."""

import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Annotated, Any, Literal

import typer
import yaml
from rich.console import Console
from rich.table import Table

from loader import bridge, consumer, corrections, heartbeats, log, metrics, operating, watcher
from loader.drafting.advice import faults_of, told
from loader.drafting.comparing import differences
from loader.drafting.draft import Draft, draft_feed, draft_pair
from loader.drafting.recognition import read_sheet
from loader.errors import LoaderError, Refused, SettingsError
from loader.events import FileArrived
from loader.feeds import Feeds
from loader.pipeline import REJECTED, Check, Outcome, Pipeline, check_file
from loader.settings import Limits, Settings
from loader.validation import Counts
from loader.warehouse import State, Warehouse
from loader.warehouse import migrate as migrate_database

app = typer.Typer(
    help="Sales sheets from S3 into PostgreSQL: validated, exactly once, then modelled by dbt.",
    epilog="Settings come from the environment: `. .stack/env` for the local stack; .env.example explains each.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
feed_app = typer.Typer(
    help="The contracts of sheets: draft one, list them, show one, compare two sheets.", no_args_is_help=True
)
app.add_typer(feed_app, name="feed")
rejects = typer.Typer(help="Rows that were not loaded: list them, export them, replay them corrected.")
app.add_typer(rejects, name="rejects")
console = Console(markup=False)  # a key or a cell may hold [brackets]
if not console.is_terminal and "COLUMNS" not in os.environ:
    console.width = 200  # a pipe has no width, and a cut cell is of no use to anybody

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _moment(text: str) -> datetime:
    """`30m`, `6h` or `2d` ago, or an ISO 8601 date or time; without a zone, of the clock of this machine."""
    if ago := re.fullmatch(r"(\d{1,6})([mhd])", text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a time such as 2h, 3d, 2026-11-23 or 2026-11-23T14:30") from error


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
FeedsDir = Annotated[Path | None, typer.Option(envvar="FEEDS_DIR", help="Folder with feeds of your own.")]
SheetName = Annotated[str | None, typer.Option(help="Of a workbook of several sheets: which one.")]
_LARGEST = 2**63 - 1  # that PostgreSQL takes for an id
Limit = Annotated[int, typer.Option(help="At most so many rows, newest first.", min=1, max=_LARGEST)]
Key = Annotated[str | None, typer.Option(help="Only keys like this; % stands for anything.")]
FileId = Annotated[int | None, typer.Option(help="Only this file version.", min=1, max=_LARGEST)]
FileIds = Annotated[
    list[int],
    typer.Argument(help="Ids as `loader files` shows them.", metavar="FILE_ID...", min=1, max=_LARGEST),
]
Reason = Annotated[str, typer.Option(help="Why; the ledger keeps it.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=_moment, metavar="TIME", help="Only since then: 2h, 3d, 2026-11-23, 2026-11-23T14:30."),
]


def main() -> None:
    """Run the command line; an expected error is one line on standard error. Exit codes: 2 settings, 1 the rest."""
    try:
        " ".join(sys.argv).encode()
    except UnicodeEncodeError:
        print("loader: the command line is not UTF-8: check the locale of the shell", file=sys.stderr)
        raise SystemExit(2) from None
    try:
        app()
    except LoaderError as error:
        print(f"loader: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, SettingsError) else 1) from error


@app.command()
def run(
    transform: Annotated[bool, typer.Option(help="Also keep a dbt worker up, as a process of its own.")] = True,
) -> None:
    """Load files as their arrival is announced on the topic. Start as many replicas as you like."""
    settings = _start()
    stop = _stop_on_signals()
    worker = None
    with metrics.served(settings), heartbeats.told(settings, "loader"):
        if transform:
            from loader.transform import keep_up

            worker = Thread(target=keep_up, args=[stop], name="transform")
            worker.start()
        try:
            consumer.run(settings, stop)
        finally:
            stop.set()
            if worker:
                worker.join()


@app.command()
def watch() -> None:
    """Announce every object of the bucket that the ledger has not seen. One is enough; it keeps no state."""
    settings = _start()
    with metrics.served(settings), heartbeats.told(settings, "watcher"):
        watcher.run(settings, _stop_on_signals())


@app.command("bridge")
def carry() -> None:
    """Carry what AWS S3 says in an SQS queue over to the topic. More than one is harmless; it keeps no state."""
    settings = _start()
    with metrics.served(settings):
        bridge.run(settings, _stop_on_signals())


@app.command()
def transform(
    once: Annotated[bool, typer.Option(help="End when nothing waits; exit code 1 when a run failed.")] = False,
    full_tests: Annotated[
        bool,
        typer.Option("--full-tests", help="Only take snapshots and run all other tests; exit code 1 when one failed."),
    ] = False,
    until_stdin_ends: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Rebuild the dates that wait with dbt, and publish. One is at work at a time; others stand by."""
    from loader import transform as worker

    settings = _start()
    if full_tests:
        raise SystemExit(0 if worker.run_full_tests(settings) else 1)
    stop = _stop_on_signals()
    if until_stdin_ends:
        Thread(target=_set_at_end_of_stdin, args=[stop], daemon=True).start()
    # Beside `loader run` the port is that one's, and a run by hand is soon over.
    with (
        nullcontext() if once or until_stdin_ends else metrics.served(settings),
        nullcontext() if once else heartbeats.told(settings, "dbt worker"),
    ):
        succeeded = worker.run(settings, stop, once)
    if once and not succeeded:
        raise SystemExit(1)


@app.command()
def load(
    key: Annotated[str, typer.Argument(help="Object key in S3_BUCKET.")],
    as_json: AsJson = False,
) -> None:
    """Load one object now, without Kafka; a version that was rejected before is tried again."""
    settings = _start()
    arrival = FileArrived(settings.s3_bucket, key, datetime.now(UTC), dialect=None)
    with Pipeline(settings) as pipeline:
        pipeline.check()
        outcome = pipeline.load_file(arrival, REJECTED)
    if outcome.status == "source_gone":
        raise Refused(f"{outcome.error}. `loader reconcile --report` says what the bucket holds")
    counts = vars(outcome.counts) if outcome.counts else {}
    row = {"file_id": outcome.file_id, "status": outcome.status, **counts, "error": outcome.error}
    _show([row | {"warning": outcome.warning}], as_json, hide=("skipped_as", "swallowed"))
    if outcome.status in ("rejected", "ignored", "skipped", "withdrawn"):
        raise SystemExit(1)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A local sheet.")],
    feed: Annotated[str | None, typer.Option(help="Feed to check against; default: the one that matches FILE.")] = None,
    feeds_dir: FeedsDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what a load of this file would do, without writing anything. Exit code 1: it would be rejected."""
    feeds = Feeds(feeds_dir)
    contract = feeds.named(feed) if feed else feeds.for_key(file.as_posix()) or feeds.for_key(f"CSV/{file.name}")
    if not contract:
        raise SettingsError(
            f"no feed matches {file}: name one with --feed ({', '.join(each.feed for each in feeds.all)})"
        )
    verdict = check_file(file, contract, Limits.read())
    faults = faults_of(verdict.rejected, contract)
    if as_json:
        rows = [
            {"line": row.source_line, "field": error["field"], "message": error["message"], "value": error["value"]}
            for row in verdict.rejected
            for error in row.errors
        ]
        report = {
            "feed": verdict.feed,
            **vars(verdict.counts),
            **_reading(verdict),
            "error": verdict.error,
            "faults": [
                {"field": each.name, "message": each.message, "rows": each.rows, "edit": each.edit and str(each.edit)}
                for each in faults
            ],
            "errors": rows,
        }
        print(json.dumps(report, default=_plain))
    else:
        counts = verdict.counts
        console.print(
            f"feed {verdict.feed}: {counts.read} rows read, {counts.loaded} good, {counts.rejected} rejected,"
            f" {counts.skipped} skipped"
        )
        reasons = ", ".join(f"{reason} {number}" for reason, number in counts.skipped_as.items())
        for what, said in ({"skipped": reasons} | _reading(verdict)).items():
            if said:
                console.print(f"{what.replace('_', ' ')}: {said}", highlight=False, soft_wrap=True)
        for line in told(faults, contract):
            console.print(_short(line), highlight=False, soft_wrap=True)
        said = f"the file would be rejected: {verdict.error}" if verdict.error else "the file would be loaded"
        console.print(said, soft_wrap=True)
    if verdict.error:
        raise SystemExit(1)


def _reading(verdict: Check) -> dict[str, str | None]:
    """How the file was read, and what its header has otherwise than the feed; None: nothing to say."""
    text, drift = verdict.text, verdict.drift
    guessed = " (guessed)" if text and text.encoding_guessed else ""
    return {
        "compression": text.compression if text else None,
        "encoding": f"{text.encoding}{guessed}" if text else None,
        "kept_in_extra": ", ".join(map(repr, drift.unknown)) if drift else None,
        "missing": ", ".join(f"{header!r} for {name}" for name, header in drift.missing.items()) if drift else None,
        "above_the_header": " / ".join(drift.titles) if drift else None,
        "warning": verdict.warning,
        "likely_renamed": ", ".join(f"{was!r} to {now!r}" for was, now in drift.renamed.items()) if drift else None,
    }


@feed_app.command("init")
def feed_init(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A local sheet, packed or not.")],
    name: Annotated[str | None, typer.Option(help="Name of the feed; default: from the file's name.")] = None,
    write: Annotated[Path | None, typer.Option(help="File to write, which must not exist; default: print it.")] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Also make the edits that the cells of rejected rows prove.")
    ] = False,
    sheet: SheetName = None,
    *,
    orders: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The sheet of orders, where FILE has their items.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of a text; default: find out.")] = None,
) -> None:
    """Draft a feed for this sheet. Each guess to look at has a comment "review"; what was found goes to stderr."""
    if write and write.exists():
        raise SettingsError(f"--write {write}: it exists already; remove it first, or name another file")
    if orders:
        of_items, of_orders = draft_pair(file, orders, name, Limits.read(), fix=fix, encoding=encoding)
        beside = write.with_name(f"{of_orders.feed.feed}.yml") if write else None
        if beside and beside.exists():
            raise SettingsError(f"--write {write}: {beside}, for the orders, exists already; remove it first")
        _show_draft(of_items, file, write)
        _show_draft(of_orders, orders, beside)
    else:
        _show_draft(draft_feed(file, name, Limits.read(), fix=fix, sheet_name=sheet, encoding=encoding), file, write)


def _show_draft(draft: Draft, file: Path, write: Path | None) -> None:
    if write:
        _write(write, draft.text)
    else:
        print(draft.text, end="")
    counts, folder = draft.check.counts, shlex.quote(str(write.parent)) if write else "FOLDER"
    said = [f"draft of feed {draft.feed.feed}: {draft.reviews} things to review"]
    said += [f"missing: {each}, which is required; the loader refuses the feed without it" for each in draft.missing]
    said.append(
        f"{'as if that were there' if draft.missing else 'as it is'}: {counts.read} rows read, {counts.loaded} good,"
        f" {counts.rejected} rejected, {counts.skipped} skipped{', and no further' * draft.check.cut}"
    )
    said += map(_short, told(faults_of(draft.check.rejected, draft.feed), draft.feed))
    if draft.check.error:
        said.append(f"the file would be rejected: {draft.check.error}")
    said.append(
        f"next: {'' if write else f'save it in a {folder} as a .yml file, '}review it, then: loader check"
        f" {shlex.quote(str(file))} --feeds-dir {folder} --feed {draft.feed.feed}"
    )
    print("\n".join(said), file=sys.stderr)


@feed_app.command("diff")
def feed_diff(
    old: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A sheet that was right.")],
    new: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A later sheet of the same feed.")],
    sheet: SheetName = None,
) -> None:
    """What the later sheet has otherwise: columns, formats, ranges, words. Looks at the first MiB of each."""
    limits = Limits.read()
    found = list(differences(read_sheet(old, limits, sheet), read_sheet(new, limits, sheet)))
    print("\n".join(map(_short, found)) or "no difference")


@feed_app.command("list")
def feed_list(feeds_dir: FeedsDir = None, as_json: AsJson = False) -> None:
    """All feeds, in the order in which their `match` is tried."""
    rows = [
        {"feed": each.feed, "match": each.match, "columns": len(each.columns), "line_types": len(each.line_type)}
        for each in Feeds(feeds_dir).all
    ]
    _show(rows, as_json)


@feed_app.command("show")
def feed_show(
    name: Annotated[str, typer.Argument(help="Name of the feed.")], feeds_dir: FeedsDir = None, as_json: AsJson = False
) -> None:
    """One feed as the loader reads it, with the defaults."""
    found = Feeds(feeds_dir).named(name)
    contract = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    contract["columns"] = found.model_dump(mode="json", exclude_defaults=True)["columns"]
    contract["format"]["nulls"].sort()
    if as_json:
        print(json.dumps(contract))
    else:
        print(yaml.safe_dump(contract, sort_keys=False, allow_unicode=True, width=120), end="")


@app.command()
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
    """The ledger: every file version ever seen, and what became of it."""
    rows = _rows("files", status=status, key=key, feed=feed, since=since, file_id=file_id, limit=limit)
    if as_json:
        _show(rows, as_json)
        return
    for row in rows:
        row["key"] = "\n".join(filter(None, [row["key"], row["error"], row["warning"], _waiting(row)]))
        if row["source_gone_at"]:
            row["status"] += "\nobject gone"
        for count in ("rows_rejected", "rows_skipped"):
            row[count] = row[count] or None
    columns = ("file_id", "key", "status", "rows_loaded", "rows_rejected", "rows_skipped", "modelled_at")
    _show([{name: row[name] for name in columns} for row in rows], as_json)


def _waiting(row: dict[str, Any]) -> str | None:
    """What of a file waits for another one."""
    if not (rows := row["rows_waiting"]):
        return None
    order = row["waits_for"]
    said = f"row waits for its order, {order}" if rows == 1 else f"rows wait for their orders, such as {order}"
    return f"{rows} {said}, from a sheet of {row['order_headers']}"


@app.command()
def retry(
    file_ids: Annotated[
        list[int] | None, typer.Argument(help="Ids as `loader files` shows them.", min=1, max=_LARGEST)
    ] = None,
    status: Annotated[Literal["failed", "rejected"] | None, typer.Option(help="All files in this state.")] = None,
    key: Annotated[str | None, typer.Option(help="All failed and rejected files with a key like this.")] = None,
    as_json: AsJson = False,
) -> None:
    """Load files again now that failed, were rejected, skipped or withdrawn. Exit code 1: one is not loaded."""
    with _pipeline() as pipeline:
        states = [status] if status else []
        _report(operating.retry(pipeline, file_ids or [], states, key), as_json, loaded="loaded")


@app.command()
def skip(file_ids: FileIds, reason: Reason, as_json: AsJson = False) -> None:
    """Set files aside that are not loaded: nothing loads them until `loader retry`."""
    with _pipeline() as pipeline:
        _report(operating.skip(pipeline, file_ids, reason), as_json, loaded="skipped")


@app.command()
def forget(file_ids: FileIds, reason: Reason, as_json: AsJson = False) -> None:
    """Take loaded files back: their rows go, their dates are rebuilt, nothing loads them until `loader retry`."""
    with _pipeline() as pipeline:
        outcomes = operating.forget(pipeline, file_ids, reason)
    ids = " ".join(str(each.file_id) for each in outcomes)
    print(
        f"next: upload the right sheet under the same key, even if an earlier version of it counted; `loader retry"
        f" {ids}` takes this back",
        file=sys.stderr,
    )
    _report(outcomes, as_json, loaded="withdrawn")


@app.command()
def replay(
    since: Annotated[
        datetime, typer.Option(parser=_moment, metavar="TIME", help="Files received since: 2h, 3d, 2026-11-23.")
    ],
    until: Annotated[
        datetime | None, typer.Option(parser=_moment, metavar="TIME", help="And before, in the same forms.")
    ] = None,
    key: Key = None,
    drop_corrections: Annotated[
        bool, typer.Option("--drop-corrections", help="Also files with rows that were corrected by hand.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Load files once more from S3 with the feeds of today. Exit code 1: one is not loaded anew."""
    with _pipeline() as pipeline:
        _report(operating.replay(pipeline, since, until, key, drop_corrections), as_json, loaded="loaded")


@app.command()
def reconcile(
    report: Annotated[bool, typer.Option("--report", help="Write nothing; exit code 1: they differ.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the bucket with the ledger: announce what is unseen or changed, mark what is gone."""
    found = operating.reconcile(_start(), report)
    rows = [
        {"difference": name, "key": version.key, "etag": version.etag, "size_bytes": version.size, "rows_loaded": None}
        for name, versions in (("unseen", found.unseen), ("changed", found.changed))
        for version in versions
    ]
    columns = ("key", "etag", "size_bytes", "rows_loaded")
    rows += [{"difference": "vanished"} | {name: row[name] for name in columns} for row in found.vanished]
    if rows or as_json:
        _show(rows, as_json, hide=("etag",))
    else:
        console.print("the bucket and the ledger agree")
    if report and found.any:
        raise SystemExit(1)


@rejects.callback(invoke_without_command=True)
def list_rejects(
    context: typer.Context,
    *,
    file_id: FileId = None,
    key: Key = None,
    field: Annotated[str | None, typer.Option(help="Only faults of this field; `row`: of the whole row.")] = None,
    message: Annotated[str | None, typer.Option(help="Only faults like this; % stands for anything.")] = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Rows that were not loaded: where they stand, what they say, and everything that is wrong with them."""
    if context.invoked_subcommand:
        return
    rows = _rows("rejects", file_id=file_id, key=key, field=field, message=message, since=since, limit=limit)
    if as_json:
        _show(rows, as_json)
        return
    _show(
        [
            {
                "file_id": row["file_id"],
                "source_line": row["source_line"],
                "raw_text": f"{row['key']}\n{row['raw_text']}",
                "errors": "\n".join(f"{each['field'] or 'row'}: {each['message']}" for each in row["errors"]),
            }
            for row in rows
        ],
        as_json,
    )


@rejects.command("export")
def export_rejects(
    file_id: Annotated[
        list[int] | None, typer.Option(help="Only this file version; may be given again.", min=1, max=_LARGEST)
    ] = None,
    key: Key = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here; default: print.")] = None,
) -> None:
    """Rejected rows of loaded files as CSV for a spreadsheet, each with its place and its faults."""
    with _pipeline() as pipeline:
        text = corrections.export(pipeline, file_id or [], key)
    if not text:
        console.print("none")
    elif output:
        _write(output, text)
        next_step = f"correct the cells, keep the columns, then `loader rejects replay {output}`"
        console.print(f"{output}: {next_step}", soft_wrap=True)
    else:
        sys.stdout.buffer.write(text.encode())


@rejects.command("replay")
def replay_rejects(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An export with corrected cells.")],
    as_json: AsJson = False,
) -> None:
    """Land corrected rows where they belong. Again is harmless. Exit code 1: one is still not landed."""
    with _pipeline() as pipeline:
        outcomes = corrections.replay(pipeline, file)
    _show([vars(outcome) for outcome in outcomes], as_json)
    if any(outcome.status in ("rejected", "refused") for outcome in outcomes):
        raise SystemExit(1)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Where everything stands: files, what waits and for how long, latency, the published version, the last run."""
    (row,) = _rows("status")
    if as_json:
        print(json.dumps(row, default=_plain))
        return
    for name, value in row.items():
        shown = json.dumps(value, default=_plain) if isinstance(value, dict) else value
        if name != "problems":
            console.print(f"{name:<23} {shown}", soft_wrap=True)
    for each in row["problems"]:
        since = f" Since {datetime.fromisoformat(each['since']).astimezone():%m-%d %H:%M:%S}." if each["since"] else ""
        console.print(f"{each['severity']:<23} {each['sentence']}{since} To do: {each['remedy']}", soft_wrap=True)


@app.command()
def migrate() -> None:
    """Create or update the raw schema, the roles and their grants. Repeatable; needs ADMIN_DATABASE_URL."""
    settings = _start()
    url = settings.admin_database_url or settings.database_url
    console.print(f"schema at revision {migrate_database(url.get_secret_value())}")


_LONG = ("key", "error", "warning", "errors", "raw_text", "message", "value", "problems")


def _start() -> Settings:
    settings = Settings.read()
    log.configure(settings)
    return settings


def _stop_on_signals() -> Event:
    """Set by the first SIGTERM or SIGINT: the work in hand is finished."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _set_at_end_of_stdin(stop: Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop.set()


def _write(path: Path, text: str) -> None:
    """Raises SettingsError where the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error


def _pipeline() -> Pipeline:
    return Pipeline(_start())


def _report(outcomes: Sequence[Outcome], as_json: bool, loaded: str) -> None:
    """Show what became of each file; exit code 1 when one did not become `loaded`."""
    nothing = dict.fromkeys(vars(Counts()))
    rows = [
        {"file_id": each.file_id, "key": each.key, "status": each.status}
        | (vars(each.counts) if each.counts else nothing)
        | {"error": each.error}
        for each in outcomes
    ]
    if not as_json:
        for row in rows:
            row["key"] = "\n".join(filter(None, [row["key"], row["error"]]))
        columns = ("file_id", "key", "status", "loaded", "rejected", "skipped")
        rows = [{name: row[name] for name in columns} for row in rows]
    _show(rows, as_json)
    if any(each.status != loaded for each in outcomes):
        raise SystemExit(1)


def _rows(statement: str, **parameters: object) -> list[dict[str, Any]]:
    with closing(Warehouse(Settings.read().database_url.get_secret_value())) as warehouse:
        warehouse.check()
        return warehouse.rows(statement, **parameters)


def _show(rows: Sequence[dict[str, Any]], as_json: bool, hide: Sequence[str] = ()) -> None:
    if as_json:
        print(json.dumps(rows, default=_plain))
        return
    if not rows:
        console.print("none")
        return
    shown = [name for name in rows[0] if name not in hide and any(row[name] is not None for row in rows)]
    table = Table()
    for name in shown:
        table.add_column(
            name.removeprefix("rows_"),
            overflow="fold",
            no_wrap=name not in _LONG,
            min_width=28 if name == "key" else None,
        )
    for row in rows:
        table.add_row(*("" if row[name] is None else _short(row[name]) for name in shown))
    console.print(table)


def _short(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%m-%d %H:%M:%S}"
    # What a sheet or a key holds must not steer the terminal.
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", str(value))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value if isinstance(value, int) else str(value)
