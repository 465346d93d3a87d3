"""The command line: every process and every question, `loader --help`."""

import sys
from collections.abc import Callable

import typer

from loader.cli import lake, ledger, processes, sheets
from loader.cli.rejects import rejects
from loader.errors import LoaderError, SettingsError

app = typer.Typer(
    help="Sales sheets from S3 into PostgreSQL: validated, exactly once, then modelled by dbt.",
    epilog="Settings come from the environment: `. .stack/env` for the local stack; .env.example explains each.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Processes": (processes.run, processes.watch, processes.bridge, processes.transform, processes.migrate),
    "Sheets and feeds": (sheets.check,),
    "Files in the ledger": (
        *(ledger.status, ledger.files, ledger.load, ledger.retry, ledger.skip, ledger.forget, ledger.replay),
        ledger.reconcile,
    ),
    "Beyond one machine": (lake.backfill, lake.serve),
}
for _panel, _commands in _PANELS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.add_typer(sheets.feed, name="feed", rich_help_panel="Sheets and feeds")
app.add_typer(rejects, name="rejects", rich_help_panel="Files in the ledger")


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
