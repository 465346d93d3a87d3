"""Options that several commands have in common."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime:
    """Read `30m`, `6h` or `2d` (ago), or an ISO 8601 date or time, which is local where it has no zone."""
    if ago := re.fullmatch(r"(\d{1,6})([mhd])", text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a time such as 2h, 3d, 2026-11-23 or 2026-11-23T14:30") from error


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
FeedsDir = Annotated[Path | None, typer.Option(envvar="FEEDS_DIR", help="Folder with feeds of your own.")]
SheetName = Annotated[str | None, typer.Option(help="The sheet to read, in a workbook with several.")]
LARGEST = 2**63 - 1  # PostgreSQL takes no larger id
Limit = Annotated[int, typer.Option(help="Print at most this many rows, newest first.", min=1, max=LARGEST)]
Key = Annotated[str | None, typer.Option(help="Only keys like this; % stands for anything.")]
FileId = Annotated[int | None, typer.Option(help="Only this file version.", min=1, max=LARGEST)]
FileIds = Annotated[
    list[int],
    typer.Argument(help="Ids as `loader files` shows them.", metavar="FILE_ID...", min=1, max=LARGEST),
]
Reason = Annotated[str, typer.Option(help="The reason, which the ledger keeps.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Only since this time: 2h, 3d, 2026-11-23, 2026-11-23T14:30."),
]
