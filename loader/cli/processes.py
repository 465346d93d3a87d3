"""Commands that start a process which runs until it is stopped, and `loader migrate`, which they need first."""

import os
import signal
import sys
from contextlib import nullcontext
from threading import Event, Thread
from typing import Annotated

import typer

from loader import bridge as sqs_bridge
from loader import consumer, heartbeats, metrics, watcher
from loader.cli.output import console
from loader.cli.start import start
from loader.warehouse import migrate as migrate_database


def run(
    transform: Annotated[bool, typer.Option(help="Also run a dbt worker, in a process of its own.")] = True,
) -> None:
    """Load files as their arrival is announced on the topic. Start as many replicas as you like."""
    settings = start()
    stop = stop_on_signals()
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


def watch() -> None:
    """Announce every object of the bucket that the ledger has not seen. One is enough; it keeps no state."""
    settings = start()
    with metrics.served(settings), heartbeats.told(settings, "watcher"):
        watcher.run(settings, stop_on_signals())


def bridge() -> None:
    """Carry the notifications of AWS S3 from an SQS queue to the topic. Several are harmless; it keeps no state."""
    settings = start()
    with metrics.served(settings):
        sqs_bridge.run(settings, stop_on_signals())


def transform(
    once: Annotated[bool, typer.Option(help="End when nothing waits; exit code 1: a run failed.")] = False,
    full_tests: Annotated[
        bool,
        typer.Option("--full-tests", help="Only take snapshots and run all other tests; exit code 1: one failed."),
    ] = False,
    until_stdin_ends: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Rebuild the waiting dates with dbt, and publish them. One worker works at a time; others stand by."""
    from loader import transform as worker
    from loader.dbt_patches import patched, plain_flags

    settings = start()
    if full_tests:
        with plain_flags():
            raise SystemExit(0 if worker.run_full_tests(settings) else 1)
    stop = stop_on_signals()
    if until_stdin_ends:
        Thread(target=_set_at_end_of_stdin, args=[stop], daemon=True).start()
    # Beside `loader run` the port is that one's, and a run by hand is soon over.
    with (
        nullcontext() if once or until_stdin_ends else metrics.served(settings),
        nullcontext() if once else heartbeats.told(settings, "dbt worker"),
        patched(),
    ):
        succeeded = worker.run(settings, stop, once)
    if once and not succeeded:
        raise SystemExit(1)


def migrate() -> None:
    """Create or update the raw schema, the roles and their grants. Repeatable; needs ADMIN_DATABASE_URL."""
    settings = start()
    url = settings.admin_database_url or settings.database_url
    console.print(f"schema at revision {migrate_database(url.get_secret_value())}")


def stop_on_signals() -> Event:
    """An event that the first SIGTERM or SIGINT sets: the process finishes the work in hand and ends."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _set_at_end_of_stdin(stop: Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop.set()
