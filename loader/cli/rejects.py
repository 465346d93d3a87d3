"""`loader rejects`: rows that were not loaded, as a list, as a file for a spreadsheet, and back."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from loader import corrections
from loader.cli.options import LARGEST, AsJson, FileId, Key, Limit, Since
from loader.cli.output import console, show, write_text
from loader.cli.start import ask, open_pipeline
from loader.sql import operate as sql

rejects = typer.Typer(help="Rows that were not loaded: list them, export them, replay them corrected.")


@rejects.callback(invoke_without_command=True)
def list_rejects(
    context: typer.Context,
    *,
    file_id: FileId = None,
    key: Key = None,
    field: Annotated[str | None, typer.Option(help="Only faults of this field; `row`: of the whole row.")] = None,
    message: Annotated[str | None, typer.Option(help="Only messages like this; % stands for anything.")] = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List rows that were not loaded: where they are, what they say, and everything that is wrong with them."""
    if context.invoked_subcommand:
        return
    rows = ask(sql.rejects, file_id=file_id, key=key, field=field, message=message, since=since, limit=limit)
    if as_json:
        show(rows, as_json)
        return
    show(
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
        list[int] | None, typer.Option(help="Only this file version; may be given again.", min=1, max=LARGEST)
    ] = None,
    key: Key = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here; default: print.")] = None,
) -> None:
    """Write rejected rows of loaded files as CSV for a spreadsheet, each with its place and its faults."""
    with open_pipeline() as pipeline:
        text = corrections.export(pipeline, file_id or [], key)
    if not text:
        console.print("none")
    elif output:
        write_text(output, text)
        next_step = f"correct the cells, keep the columns, then `loader rejects replay {output}`"
        console.print(f"{output}: {next_step}", soft_wrap=True)
    else:
        sys.stdout.buffer.write(text.encode())


@rejects.command("replay")
def replay_rejects(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An export with corrected cells.")],
    as_json: AsJson = False,
) -> None:
    """Load corrected rows into the files they came from. It can be repeated. Exit code 1: one is still not loaded."""
    with open_pipeline() as pipeline:
        outcomes = corrections.replay(pipeline, file)
    show([vars(outcome) for outcome in outcomes], as_json)
    if any(outcome.status in ("rejected", "refused") for outcome in outcomes):
        raise SystemExit(1)
