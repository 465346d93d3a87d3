"""`make demo-spark`: two years of sheets on one machine. Spark works on the history, PostgreSQL on what comes now."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

from loader.errors import LoaderError
from loader.object_store import ObjectStore
from loader.settings import Settings
from loader.warehouse import Warehouse, migrate
from scripts.csv_generator import Sheet, sheet, upload, write_manifest
from scripts.demo import (
    BAD_RATIO,
    MANIFEST,
    SEED,
    DemoError,
    connect,
    console,
    reconcile,
    show_kpis,
    step,
    wait_for_page,
    wait_until_modelled,
)
from scripts.stack import REPOSITORY, STACK, StackError

DAYS = 730
ROWS_PER_DAY = 100
HISTORY = "sales-history"  # a bucket that no watcher looks at
LAKE = REPOSITORY / ".stack" / "lake"
WORKERS = "local-cluster[2,1,1024]"  # two executors, each a process of its own


def main() -> None:
    """Run every step; all of them may be run again.

    Raises DemoError, StackError or LoaderError when a file did not load, model or reconcile.
    """
    step("servers", "PostgreSQL, S3 and a Kafka-protocol broker, from wheels")
    env = STACK.up()
    os.environ.update(env)
    settings = Settings.read()
    migrate(env["ADMIN_DATABASE_URL"])
    today = datetime.now(UTC).date()
    seam = (today.replace(day=1) - timedelta(1)).replace(day=1)
    step(
        "sheets",
        f"{DAYS} days of sales: before {seam} into s3://{HISTORY}/CSV/, later ones into s3://{settings.s3_bucket}/CSV/",
    )
    days = [today - timedelta(back) for back in range(DAYS - 1, -1, -1)]
    with closing(ObjectStore(settings)) as store:
        store.create_bucket(HISTORY)
        drop(store, HISTORY, (day for day in days if day < seam))
        live = drop(store, settings.s3_bucket, (day for day in days if day >= seam))
    step("load", "the latest months, by the loader and dbt in PostgreSQL, as in `make demo`")
    for process in ("loader", "watcher", "dashboard"):
        STACK.start(process)
    manifest = json.loads(MANIFEST.read_text())
    with connect(env["DATABASE_URL"]) as raw:
        wait_until_modelled(Warehouse(env["DATABASE_URL"]), raw, {key: manifest[key] for key in live})
    step("backfill", "the history, by Spark on two workers, into a Delta table")
    printed = loader("backfill", f"s3://{HISTORY}/CSV/", "--to", str(LAKE), "--master", WORKERS, "--json")
    in_lake = sum(each["loaded"] for each in json.loads(printed))
    step("serve", "the same models by Spark; their marts beside those of the latest months, in one publication")
    console.print(loader("serve", "--from", str(LAKE), "--before", str(seam), "--master", "local[2]").rstrip())
    step("check", "the marts against the sheets")
    with connect(env["DASHBOARD_DATABASE_URL"], "dashboard_viewer") as marts, connect(env["DATABASE_URL"]) as raw:
        show_kpis(marts)
        result = reconcile(marts, raw, manifest, rows_in_lake=in_lake)
        console.print(f"[bold green]reconciled:[/bold green] {result}")
    dashboard = f"http://127.0.0.1:{env['STACK_DASHBOARD_PORT']}"
    wait_for_page(f"{dashboard}/_stcore/health")
    console.print(f"dashboard   {dashboard}", style="bold")


def drop(store: ObjectStore, bucket: str, days: Iterable[date]) -> list[str]:
    """Put those of the days' sheets into the bucket that are not there yet. Returns the keys of all."""
    sheets: list[Sheet] = [sheet(SEED, day, ROWS_PER_DAY, BAD_RATIO) for day in days]
    write_manifest(MANIFEST, sheets)
    put = upload(sheets, store, bucket)
    console.print(f"{'':<10}  {put} dropped into {bucket}, {len(sheets) - put} were there")
    return [each.key for each in sheets]


def loader(*arguments: str) -> str:
    """What a command of the loader prints. Raises DemoError when it fails."""
    done = subprocess.run([sys.executable, "-m", "loader", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise DemoError(f"`loader {' '.join(arguments)}` failed: {done.stdout}")
    return done.stdout


if __name__ == "__main__":
    try:
        main()
    except (DemoError, StackError, LoaderError) as error:
        raise SystemExit(f"demo: {error}") from error
