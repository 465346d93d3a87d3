r"""`make bench`: ratios measured in one run, on a throwaway stack.

Load: one large sheet, validated and landed in the real table with its indexes, beside psql's `\copy` of the same file
into a table of text columns without any. Latency: small sheets, from the end of the PUT to the published mart.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

import psycopg
import typer

from loader.events import FileArrived
from loader.object_store import ObjectStore
from loader.pipeline import Pipeline
from loader.settings import Settings
from loader.warehouse import migrate
from scripts.csv_generator import HEADER, sheet
from scripts.stack import REPOSITORY, Stack, postgres_binaries, throwaway

DAY = date(2026, 3, 2)
DAYS = 40  # the large sheet is made of so many days


def main(rows: int = 200_000, rounds: int = 5, sheets: int = 20) -> None:
    """Print what was measured."""
    with tempfile.TemporaryDirectory() as folder, throwaway(Path(folder) / "stack") as stack:
        env = stack.env()
        os.environ.update(env)
        migrate(env["ADMIN_DATABASE_URL"])
        bench_load(Path(folder) / "sheet.csv", env, rows, rounds)
        bench_latency(stack, sheets)


def bench_load(file: Path, env: dict[str, str], rows: int, rounds: int) -> None:
    r"""Rows per second of a load and of `\copy`, taken in turns; medians and their ratio."""
    days = [sheet(7, DAY - timedelta(back), rows // DAYS).content.partition(b"\n") for back in range(DAYS)]
    content = b"".join([*days[0][:2], *(lines for _, _, lines in days)])
    file.write_bytes(content)
    lines = content.count(b"\n") - 1
    settings = Settings.read()
    columns = ", ".join(f'"{name}" text' for name in HEADER)
    psql = [
        str(postgres_binaries() / "psql"),
        env["ADMIN_DATABASE_URL"],
        "-qc",
        f"\\copy copied from '{file}' with (format csv, header)",
    ]
    copies, loads = [], []
    with psycopg.connect(env["ADMIN_DATABASE_URL"], autocommit=True) as database, Pipeline(settings) as pipeline:
        database.execute(f"create table copied ({columns})")
        pipeline.store.put(settings.s3_bucket, "CSV/sales_data_bench.csv", content)
        arrival = FileArrived(settings.s3_bucket, "CSV/sales_data_bench.csv", datetime.now(UTC))
        for _ in range(rounds):
            database.execute("truncate copied")
            copies.append(seconds(lambda: subprocess.run(psql, check=True)))
            database.execute("truncate raw.sales_lines, raw.rejected_rows, raw.rebuild_queue, raw.files cascade")
            loads.append(seconds(lambda: pipeline.load_file(arrival)))
        database.execute("truncate raw.sales_lines, raw.rejected_rows, raw.rebuild_queue, raw.files cascade")
    copy, load = median(copies), median(loads)
    typer.echo(f"one sheet of {lines:,} rows, {len(content) / 1e6:.0f} MB, 24 columns; median of {rounds}")
    typer.echo(f"  \\copy   {lines / copy:>9,.0f} rows/s")
    typer.echo(f"  load    {lines / load:>9,.0f} rows/s   {copy / load:.2f} of \\copy")


def bench_latency(stack: Stack, sheets: int) -> None:
    """Seconds from the end of a PUT to the NOTIFY of the published version, one sheet after the other."""
    settings = Settings.read()
    taken = []
    with (
        closing(ObjectStore(settings)) as store,
        psycopg.connect(stack.env()["DASHBOARD_DATABASE_URL"], autocommit=True) as listener,
        running("run"),
        running("watch"),
    ):
        listener.execute("listen mart_version")
        for number in range(sheets + 1):
            each = sheet(7, DAY + timedelta(number), 400)
            store.put(settings.s3_bucket, each.key, each.content)
            taken.append(seconds(lambda: list(listener.notifies(timeout=120, stop_after=1))))
    taken = taken[1:]  # the first waits for the processes to start
    p95 = quantiles(taken, n=20, method="inclusive")[-1]
    typer.echo(f"{sheets} sheets of some 400 rows, PUT to published mart; a look every {settings.watch_seconds:g} s")
    typer.echo(f"  p50 {median(taken):.2f} s   p95 {p95:.2f} s")


@contextmanager
def running(command: str) -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-m", "loader", command], cwd=REPOSITORY) as process:
        try:
            yield
        finally:
            process.terminate()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    typer.run(main)
