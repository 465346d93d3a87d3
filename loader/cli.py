"""The command line: every process and every question, `loader --help`."""

import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from loader import consumer, log, watcher
from loader.drafting import draft_feed
from loader.errors import LoaderError, SettingsError
from loader.events import FileArrived
from loader.feeds import Feeds
from loader.pipeline import Check, Pipeline, check_file
from loader.settings import Limits, Settings
from loader.warehouse import Warehouse
from loader.warehouse import migrate as migrate_database

app = typer.Typer(
    help="Sales sheets from S3 into PostgreSQL: validated, exactly once, then modelled by dbt.",
    epilog="Settings come from the environment: `. .stack/env` for the local stack; .env.example explains each.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
feed_app = typer.Typer(help="The contracts of sheets: draft one, list them, show one.", no_args_is_help=True)
app.add_typer(feed_app, name="feed")
console = Console()
if not console.is_terminal:
    console.width = 200  # a pipe has no width, and a cut cell is of no use to anybody

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
FeedsDir = Annotated[Path | None, typer.Option(envvar="FEEDS_DIR", help="Folder with feeds of your own.")]
Limit = Annotated[int, typer.Option(help="At most so many rows, newest first.", min=1)]


def main() -> None:
    """Run the command line; an expected error is one line on standard error. Exit codes: 2 settings, 1 the rest."""
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
    watcher.run(settings, _stop_on_signals())


@app.command()
def transform(
    once: Annotated[bool, typer.Option(help="End when nothing waits; exit code 1 when a run failed.")] = False,
    until_stdin_ends: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Rebuild the dates that wait with dbt, and publish. One is at work at a time; others stand by."""
    from loader import transform as worker

    settings = _start()
    stop = _stop_on_signals()
    if until_stdin_ends:
        Thread(target=_set_at_end_of_stdin, args=[stop], daemon=True).start()
    if not worker.run(settings, stop, once) and once:
        raise SystemExit(1)


@app.command()
def load(
    key: Annotated[str, typer.Argument(help="Object key in S3_BUCKET.")],
    as_json: AsJson = False,
) -> None:
    """Load one object now, without Kafka; a version that was rejected before is tried again."""
    settings = _start()
    arrival = FileArrived(settings.s3_bucket, key, datetime.now(UTC))
    with Pipeline(settings) as pipeline:
        pipeline.check()
        outcome = pipeline.load_file(arrival, again=True)
    counts = vars(outcome.counts) if outcome.counts else {}
    row = {"file_id": outcome.file_id, "status": outcome.status, **counts, "error": outcome.error}
    _show([row], as_json, hide=("skipped_as",))
    if outcome.status in ("rejected", "ignored"):
        raise SystemExit(1)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A local CSV file.")],
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
    rows = [
        {"line": row.source_line, "field": error["field"], "message": error["message"], "value": error["value"]}
        for row in verdict.rejected
        for error in row.errors
    ]
    if as_json:
        report = {
            "feed": verdict.feed,
            **vars(verdict.counts),
            **_reading(verdict),
            "error": verdict.error,
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
                console.print(f"{what.replace('_', ' ')}: {said}", markup=False, highlight=False)
        if rows:
            _show(rows[:_SHOWN], as_json=False)
            if len(rows) > _SHOWN:
                console.print(f"and {len(rows) - _SHOWN} more: --json prints all")
        console.print(f"the file would be rejected: {verdict.error}" if verdict.error else "the file would be loaded")
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
        "likely_renamed": ", ".join(f"{was!r} to {now!r}" for was, now in drift.renamed.items()) if drift else None,
    }


@feed_app.command("init")
def feed_init(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A local sheet, packed or not.")],
    name: Annotated[str | None, typer.Option(help="Name of the feed; default: from the file's name.")] = None,
    write: Annotated[Path | None, typer.Option(help="File to write, which must not exist; default: print it.")] = None,
) -> None:
    """Draft a feed for this sheet. Each guess to look at has a comment "review"; what was found goes to stderr."""
    if write and write.exists():
        raise SettingsError(f"--write {write}: it exists already; remove it first, or name another file")
    draft = draft_feed(file, name, Limits.read())
    if write:
        write.write_text(draft.text, encoding="utf-8")
    else:
        print(draft.text, end="")
    counts, folder = draft.check.counts, shlex.quote(str(write.parent)) if write else "FOLDER"
    said = [f"draft of feed {draft.feed.feed}: {draft.reviews} things to review"]
    said += [f"missing: {each}, which is required; the loader refuses the feed without it" for each in draft.missing]
    said.append(
        f"{'as if that were there' if draft.missing else 'as it is'}: {counts.read} rows read, {counts.loaded} good,"
        f" {counts.rejected} rejected, {counts.skipped} skipped"
    )
    if draft.check.error:
        said.append(f"the file would be rejected: {draft.check.error}")
    said.append(
        f"next: {'' if write else f'save it in a {folder} as a .yml file, '}review it, then: loader check"
        f" {shlex.quote(str(file))} --feeds-dir {folder} --feed {draft.feed.feed}"
    )
    print("\n".join(said), file=sys.stderr)


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
    status: Annotated[str | None, typer.Option(help="Only files in this state, e.g. rejected.")] = None,
    key: Annotated[str | None, typer.Option(help="Only keys like this; % stands for anything.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """The ledger: every file version ever seen, and what became of it."""
    rows = _rows("files", status=status, key=key, limit=limit)
    _show(rows, as_json, hide=("feed", "event_at", "received_at", "loaded_at", "superseded_by", "events", "attempts"))


@app.command()
def rejects(
    file_id: Annotated[int | None, typer.Option(help="Only rows of this file.")] = None,
    key: Annotated[str | None, typer.Option(help="Only files with a key like this; % stands for anything.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Rows that were not loaded: where they stand, what they say, and everything that is wrong with them."""
    rows = _rows("rejects", file_id=file_id, key=key, limit=limit)
    if not as_json:
        for row in rows:
            row["errors"] = "\n".join(f"{each['field'] or 'row'}: {each['message']}" for each in row["errors"])
    _show(rows, as_json, hide=("revenue_at_risk",))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Where everything stands: files by state, dates that wait, the published version, the last dbt run."""
    (row,) = _rows("status")
    if as_json:
        print(json.dumps(row, default=_plain))
        return
    for name, value in row.items():
        console.print(
            f"[bold]{name:<14}[/bold] {json.dumps(value, default=_plain) if isinstance(value, dict) else value}"
        )


@app.command()
def migrate() -> None:
    """Create or update the raw schema, the roles and their grants. Repeatable; needs ADMIN_DATABASE_URL."""
    settings = _start()
    url = settings.admin_database_url or settings.database_url
    console.print(f"schema at revision {migrate_database(url.get_secret_value())}")


_SHOWN = 20
_LONG = ("key", "error", "errors", "raw_text", "message", "value")


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
    return f"{value:%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value if isinstance(value, int) else str(value)
