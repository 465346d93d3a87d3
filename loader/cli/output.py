"""The output of commands: a table for people, JSON for scripts."""

import json
import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from loader.errors import SettingsError
from loader.ledger import State
from loader.pipeline import Outcome
from loader.verdict import Counts

console = Console(markup=False)  # a key or a cell may hold [brackets]
if not console.is_terminal and "COLUMNS" not in os.environ:
    console.width = 200  # a pipe has no width, and a cut cell is of no use to anybody

_LONG = ("key", "error", "warning", "errors", "raw_text", "message", "value", "problems")


def show(rows: Sequence[dict[str, Any]], as_json: bool, hide: Sequence[str] = ()) -> None:
    if as_json:
        print(json.dumps(rows, default=plain))
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
        table.add_row(*("" if row[name] is None else short(row[name]) for name in shown))
    console.print(table)


def short(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%m-%d %H:%M:%S}"
    # The text of a sheet or a key must not steer the terminal.
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", str(value))


def plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value if isinstance(value, int) else str(value)


def show_outcomes(outcomes: Sequence[Outcome], as_json: bool, wanted: State) -> None:
    """Show the outcome for each file; exit code 1 if one did not reach the wanted state."""
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
    show(rows, as_json)
    if any(each.status != wanted for each in outcomes):
        raise SystemExit(1)


def write_text(path: Path, text: str) -> None:
    """Raises SettingsError where the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
