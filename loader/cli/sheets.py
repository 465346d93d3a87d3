"""Commands about local sheets and feeds. They need neither a database nor a bucket."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from loader.cli.options import AsJson, FeedsDir, SheetName
from loader.cli.output import console, plain, short, show, write_text
from loader.drafting.advice import faults_of, told
from loader.drafting.comparing import differences
from loader.drafting.draft import Draft, draft_feed, draft_pair
from loader.drafting.recognition import read_sheet
from loader.errors import SettingsError
from loader.feeds import Feeds
from loader.pipeline import Check, check_file
from loader.settings import Limits

feed = typer.Typer(
    help="The contracts of sheets: draft one, list them, show one, compare two sheets.", no_args_is_help=True
)


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
        print(json.dumps(report, default=plain))
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
            console.print(short(line), highlight=False, soft_wrap=True)
        said = f"the file would be rejected: {verdict.error}" if verdict.error else "the file would be loaded"
        console.print(said, soft_wrap=True)
    if verdict.error:
        raise SystemExit(1)


def _reading(verdict: Check) -> dict[str, str | None]:
    """How the file was read, and how its header differs from the feed; None: nothing to say."""
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


@feed.command("init")
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
    """Draft a feed for this sheet. A comment "review" marks each guess to check; findings go to standard error."""
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
        write_text(write, draft.text)
    else:
        print(draft.text, end="")
    counts, folder = draft.check.counts, shlex.quote(str(write.parent)) if write else "FOLDER"
    said = [f"draft of feed {draft.feed.feed}: {draft.reviews} things to review"]
    said += [f"missing: {each}, which is required; the loader refuses the feed without it" for each in draft.missing]
    said.append(
        f"{'as if that were there' if draft.missing else 'as it is'}: {counts.read} rows read, {counts.loaded} good,"
        f" {counts.rejected} rejected, {counts.skipped} skipped{', and no further' * draft.check.cut}"
    )
    said += map(short, told(faults_of(draft.check.rejected, draft.feed), draft.feed))
    if draft.check.error:
        said.append(f"the file would be rejected: {draft.check.error}")
    said.append(
        f"next: {'' if write else f'save it in a {folder} as a .yml file, '}review it, then: loader check"
        f" {shlex.quote(str(file))} --feeds-dir {folder} --feed {draft.feed.feed}"
    )
    print("\n".join(said), file=sys.stderr)


@feed.command("diff")
def feed_diff(
    old: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A sheet that was right.")],
    new: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A later sheet of the same feed.")],
    sheet: SheetName = None,
) -> None:
    """Show what differs in the later sheet: columns, formats, ranges, words. Reads the first MiB of each."""
    limits = Limits.read()
    found = list(differences(read_sheet(old, limits, sheet), read_sheet(new, limits, sheet)))
    print("\n".join(map(short, found)) or "no difference")


@feed.command("list")
def feed_list(feeds_dir: FeedsDir = None, as_json: AsJson = False) -> None:
    """List all feeds, in the order in which their `match` is tried."""
    rows = [
        {"feed": each.feed, "match": each.match, "columns": len(each.columns), "line_types": len(each.line_type)}
        for each in Feeds(feeds_dir).all
    ]
    show(rows, as_json)


@feed.command("show")
def feed_show(
    name: Annotated[str, typer.Argument(help="Name of the feed.")], feeds_dir: FeedsDir = None, as_json: AsJson = False
) -> None:
    """Print one feed as the loader reads it, with the defaults."""
    found = Feeds(feeds_dir).named(name)
    contract = found.model_dump(mode="json", by_alias=True, exclude_none=True)
    contract["columns"] = found.model_dump(mode="json", exclude_defaults=True)["columns"]
    contract["format"]["nulls"].sort()
    if as_json:
        print(json.dumps(contract))
    else:
        print(yaml.safe_dump(contract, sort_keys=False, allow_unicode=True, width=120), end="")
