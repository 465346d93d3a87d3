r"""`make bench`: what the loader does, as ratios measured in one run on a throwaway stack.

The base of every ratio is psql's `\copy` of the same file in the same run, because the machine's own speed drifts.
`make bench ARGS="load small"` measures only those; `ARGS="--write"` puts the tables into the docs.
"""

import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from threading import Event, Thread
from typing import Annotated

import pandas as pd
import psycopg
import sqlalchemy as sa
import typer
import yaml
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from loader import tuning
from loader.broker import Publisher, ensure_topics
from loader.events import FileArrived
from loader.object_store import ObjectStore
from loader.pipeline import Pipeline
from loader.settings import Settings
from loader.warehouse import migrate
from scripts.bench_dashboard import measure as dashboard
from scripts.bench_parts import (
    CUSTOMERS,
    DAY,
    FEED,
    FIELD_OF,
    Bench,
    dbt,
    empty,
    running,
    seconds,
    sheet_of,
    table,
    wait_for,
    write_sheet,
)
from scripts.bench_scale import bench_replicas, bench_spark
from scripts.stack import REPOSITORY, postgres_binaries, throwaway

RESULTS = REPOSITORY / "docs" / "benchmarks.md"
SCALING = REPOSITORY / "docs" / "scaling.md"
DLT = """
import sys
import dlt
from dlt.sources.filesystem import filesystem, read_csv

folder, name, url = sys.argv[1:]
pipeline = dlt.pipeline("bench", destination=dlt.destinations.postgres(url), dataset_name="dlt_bench")
pipeline.run((filesystem(bucket_url=f"file://{folder}", file_glob=name) | read_csv()).with_name("sales"))
"""


def main(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help="load, small, others, latency, dashboard, memory, replicas, spark; default: all but spark."
        ),
    ] = None,
    rows: int = 1_000_000,
    rounds: int = 5,
    write: Annotated[bool, typer.Option(help="Put the tables into the docs.")] = False,
) -> None:
    """Print what was measured."""
    with tempfile.TemporaryDirectory() as name, throwaway(Path(name) / "stack") as stack:
        folder = Path(name)
        (folder / "feeds").mkdir()
        (folder / "feeds" / "bench.yml").write_text(yaml.safe_dump(FEED))
        os.environ.update(stack.env() | {"FEEDS_DIR": str(folder / "feeds"), "LOG_LEVEL": "warning"})
        # The watcher stands in for a server's own notifications, which come at once.
        os.environ["WATCH_SECONDS"] = "0.2"
        migrate(os.environ["ADMIN_DATABASE_URL"])
        tuning.for_loads()
        for part, measure in PARTS.items():
            if part in parts if parts else part != "spark":  # it needs what `make test-spark` installs
                # A bucket and topics of its own: nothing of another part arrives meanwhile.
                os.environ |= {"S3_BUCKET": part, "KAFKA_TOPIC": part, "KAFKA_GROUP": part}
                bench = Bench(folder, stack, Settings.read(), rows, rounds)
                with closing(ObjectStore(bench.settings)) as store:
                    store.create_bucket(part)
                measured = measure(bench)
                typer.echo(f"\n{measured}")
                if write:
                    put_into_docs(part, measured)


def bench_load(bench: Bench) -> str:
    r"""One large file: `\copy` into a table of texts, `\copy` into a table like ours, and the validated load."""
    file = bench.folder / "sheet.csv"
    write_sheet(file, bench.rows)
    copies, typed, loads = [], [], []
    with psycopg.connect(bench.url, autocommit=True) as database, Pipeline(bench.settings) as pipeline:
        create_copy_tables(database)
        pipeline.store.put(bench.settings.s3_bucket, "bench/sheet.csv", file.read_bytes())
        arrival = FileArrived(bench.settings.s3_bucket, "bench/sheet.csv", datetime.now(UTC))
        for _ in range(bench.rounds):
            empty(database)
            copies.append(seconds(lambda: copy(bench, "bare", file)))
            typed.append(seconds(lambda: copy(bench, f"alike ({', '.join(FIELD_OF.values())})", file)))
            empty(database)
            loads.append(seconds(lambda: pipeline.load_file(arrival)))
            assert database.execute("select rows_loaded from raw.files").fetchone() == (bench.rows,)
        empty(database)
    base = median(copies)
    return table(
        f"One file, 15 columns: {bench.rows:,} rows, {file.stat().st_size / 1e6:.0f} MB, median of {bench.rounds}",
        ("way", "rows/s", r"÷ `\copy`", r"÷ `\copy` into a table like ours"),
        [
            (
                name,
                f"{bench.rows / median(taken):,.0f}",
                f"{base / median(taken):.2f}",
                f"{median(typed) / median(taken):.2f}",
            )
            for name, taken in {
                r"psql `\copy` into text columns, no index, no check": copies,
                r"psql `\copy` into a table with our types, checks and indexes": typed,
                "**the loader**: from S3, every row validated, ledger, rejected rows": loads,
            }.items()
        ],
    )


def bench_others(bench: Bench) -> str:
    r"""The same kind of file by other ways, each into tables of its own, with a tenth of the rows: they are slow."""
    rows = bench.rows // 10
    file = bench.folder / "tenth.csv"
    write_sheet(file, rows)
    taken: dict[str, float] = {}
    with psycopg.connect(bench.url, autocommit=True) as database, Pipeline(bench.settings) as pipeline:
        create_copy_tables(database)
        taken[r"psql `\copy` into text columns"] = median(seconds(lambda: copy(bench, "bare", file)) for _ in range(3))
        pipeline.store.put(bench.settings.s3_bucket, "bench/tenth.csv", file.read_bytes())
        arrival = FileArrived(bench.settings.s3_bucket, "bench/tenth.csv", datetime.now(UTC))
        taken["**the loader**"] = seconds(lambda: pipeline.load_file(arrival))
        empty(database)
    engine = sa.create_engine(bench.url.replace("postgresql:", "postgresql+psycopg:"))
    taken["pandas `read_csv` and `to_sql`"] = seconds(
        lambda: pd.read_csv(file).to_sql("to_sql", engine, if_exists="replace", index=False)
    )
    _Row.metadata.create_all(engine)
    taken["pandas, pydantic row by row, SQLAlchemy ORM"] = seconds(lambda: row_by_row(file, engine))
    engine.dispose()
    python = bench.folder / "dlt" / "bin" / "python"
    venv.create(bench.folder / "dlt", with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "dlt[postgres]", "pandas"], check=True)
    command = [str(python), "-c", DLT, str(bench.folder), file.name, bench.url]
    taken["dlt `filesystem` and `read_csv` to postgres, defaults"] = seconds(
        lambda: subprocess.run(command, check=True, capture_output=True)
    )
    base = taken[r"psql `\copy` into text columns"]
    return table(
        f"Other ways, {rows:,} rows of the same kind of file",
        ("way", "rows/s", r"÷ `\copy`"),
        [(way, f"{rows / each:,.0f}", f"{base / each:.3f}") for way, each in taken.items()],
    )


def bench_small(bench: Bench) -> str:
    """A thousand files of a hundred rows, from the first announcement to the last ledger entry, one loader."""
    files = 1_000
    arrivals = []
    with closing(ObjectStore(bench.settings)) as store, psycopg.connect(bench.url, autocommit=True) as database:
        for number in range(files):
            key = f"bench/{number:04}.csv"
            store.put(bench.settings.s3_bucket, key, sheet_of(100, seed=number))
            arrivals.append(FileArrived(bench.settings.s3_bucket, key, datetime.now(UTC)))
        ensure_topics(bench.settings)
        Publisher(bench.settings).announce(arrivals)
        with running("run", "--no-transform"):
            wait_for(database, "select count(*) > 0 from raw.files")
            loaded = "select count(*) filter (where status = 'loaded') = count(*) and count(*) = 1000 from raw.files"
            taken = seconds(lambda: wait_for(database, loaded))
        empty(database)
    return table(
        "Small files",
        ("what", "figure"),
        [(f"{files:,} files of 100 rows, one loader, up to the ledger", f"{files / taken:.0f} files/s")],
    )


def bench_latency(bench: Bench, sheets: int = 20) -> str:
    """Seconds from the end of a PUT to the NOTIFY of the published version, one sheet after the other.

    With no history, with ten times `--rows` lines of it, with twenty, and with as many while marts of the whole history
    are built without a pause; how long a `dbt build` in a shell takes where there is no history (with ten million lines
    it has every mart built anew and every test look at all of it: minutes); and a full refresh, model by model.
    """
    lines: list[tuple[str, ...]] = []
    refreshes: list[str] = []
    base = build = 0.0
    os.environ["HISTORY_SECONDS"] = "86400"  # in turns of their own
    turns = ((0, 0, False), (0, 10, False), (10, 20, False), (20, 20, True))
    with psycopg.connect(bench.url, autocommit=True) as database:
        for turn, (earlier, parts, beside) in enumerate(turns):
            if added := range(earlier, parts):
                add_history(bench, database, added)
                refreshes.append(full_refresh(database, parts * bench.rows))
            with running("run"), running("watch"), history_without_a_pause() if beside else nullcontext():
                arrivals = arrivals_at_marts(bench, turn, sheets)
            p50, p95 = median(arrivals), quantiles(arrivals, n=20, method="inclusive")[-1]
            base = base or p50
            build = build or seconds(lambda: dbt("build"))
            ratios = f"{p50 / base:.2f}", f"{p50 / build:.2f}"
            name = f"{parts * bench.rows:,}{', beside a run of the whole history' if beside else ''}"
            lines.append((name, f"{p50:.2f} s", f"{p95:.2f} s", *ratios))
    arrived = table(
        f"PUT to published marts: {sheets} sheets of 10,000 lines, a look every {bench.settings.watch_seconds:g} s",
        ("lines of history", "p50", "p95", "p50 ÷ without history", f"p50 ÷ a `dbt build` without it ({build:.0f} s)"),
        lines,
    )
    return "\n\n".join((arrived, *refreshes))


def full_refresh(database: psycopg.Connection, lines: int) -> str:
    """The seconds that a full refresh, the last run of dbt, took for each of its slowest models."""
    ((taken, nodes),) = database.execute(
        "select extract(epoch from finished_at - started_at), nodes from raw.dbt_runs order by run_id desc limit 1"
    ).fetchall()
    slowest = sorted(nodes, key=lambda node: node["seconds"], reverse=True)[:10]
    return table(
        f"A full refresh of {lines:,} lines: {taken:.0f} s, four models at a time",
        ("model", "seconds"),
        [(node["node"].rpartition(".")[2], f"{node['seconds']:.0f}") for node in slowest],
    )


@contextmanager
def history_without_a_pause() -> Iterator[None]:
    """Build the marts of the whole history again and again while the context lasts."""
    stop = Event()

    def build() -> None:
        while not stop.is_set():
            dbt("build", "--selector", "history")

    thread = Thread(target=build)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def add_history(bench: Bench, database: psycopg.Connection, parts: range) -> None:
    """Load sheets of a hundred days each, before those that arrive, and have all of them modelled at once."""
    with Pipeline(bench.settings) as pipeline:
        for part in parts:
            key = f"bench/history-{part}.csv"
            until = DAY - timedelta(100 * part)
            content = sheet_of(bench.rows, part, until, days=100, customers=CUSTOMERS)
            pipeline.store.put(bench.settings.s3_bucket, key, content)
            pipeline.load_file(FileArrived(bench.settings.s3_bucket, key, datetime.now(UTC)))
            # The stack's S3 server reads every object whole at every listing, to tell its ETag.
            pipeline.store.delete(bench.settings.s3_bucket, key)
    if parts:
        dbt("run", "--full-refresh")
        database.execute("truncate raw.rebuild_queue")
        # PostgreSQL and the system do this now, and not at some moment while sheets are measured.
        database.execute("vacuum analyze")
        database.execute("checkpoint")
        os.sync()


def arrivals_at_marts(bench: Bench, turn: int, sheets: int) -> list[float]:
    """Seconds for each sheet, of a day of its own; the first, which waits for the processes to start, is left out."""
    taken = []
    with (
        closing(ObjectStore(bench.settings)) as store,
        psycopg.connect(bench.stack.env()["DASHBOARD_DATABASE_URL"], autocommit=True) as listener,
        psycopg.connect(bench.url, autocommit=True) as database,
    ):
        listener.execute("listen mart_version")
        for number in range(sheets + 1):
            day = DAY + timedelta(1 + turn * (sheets + 1) + number)
            content = sheet_of(10_000, 1000 + turn * 100 + number, day, days=1, customers=CUSTOMERS)
            # Each comes when the sheet before is done, spread evenly over a second, which is some looks of the watcher.
            time.sleep(1 + number / sheets)
            store.put(bench.settings.s3_bucket, key := f"bench/day-{day}.csv", content)
            taken.append(seconds(partial(until_modelled, listener, database, key)))
        # As in add_history: at every look, a turn would pay for the sheets of earlier turns.
        for version in list(store.list(bench.settings.s3_bucket, "bench/")):
            store.delete(bench.settings.s3_bucket, version.key)
    return taken[1:]


def until_modelled(listener: psycopg.Connection, database: psycopg.Connection, key: str) -> None:
    """Wait for the NOTIFY of the version that has the file's sales; other versions may come before it."""
    modelled = "select exists (select from raw.files where key = %s and modelled_at is not null)"
    for _ in listener.notifies(timeout=600):
        if database.execute(modelled, (key,)).fetchone() == (True,):
            return


def bench_memory(bench: Bench, gigabytes: int = 5) -> str:
    """The largest resident size of a process that loads a very large file."""
    block = sheet_of(1_000_000)
    header, _, lines = block.partition(b"\n")
    key = "bench/huge.csv"
    size = gigabytes * 10**9
    with closing(ObjectStore(bench.settings)) as store:
        store.upload(bench.settings.s3_bucket, key, io.BufferedReader(_Repeated(header + b"\n", lines, size)))
    command = [sys.executable, "-m", "loader", "load", key, "--json"]
    start = time.perf_counter()
    peak = 0
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, peak_kib(process.pid))
            time.sleep(0.1)
        assert process.stdout
        (outcome,) = json.loads(process.stdout.read())
    taken = time.perf_counter() - start
    rows = outcome["loaded"]
    with psycopg.connect(bench.url, autocommit=True) as database:
        empty(database)
    return table(
        f"Memory: one file of {gigabytes} GB, {rows:,} rows",
        ("largest resident size", "rows/s"),
        [(f"{peak // 1024} MiB", f"{rows / taken:,.0f}")],
    )


def bench_dashboard(bench: Bench) -> str:
    """The time that a viewer waits, over ten times `--rows` lines."""
    with psycopg.connect(bench.url, autocommit=True) as database:
        if database.execute("select to_regclass('kpi.kpi_daily_sales')").fetchone() == (None,):
            dbt("build")
        if database.execute("select count(*) from kpi.kpi_daily_sales").fetchone() == (0,):
            add_history(bench, database, range(10))
        (lines,) = database.execute("select sum(lines) from kpi.kpi_daily_sales").fetchone() or (0,)
        database.execute("update ops.mart_version set mart_version = mart_version + 1, published_at = now()")
    measured = dashboard(bench.stack.env()["DASHBOARD_DATABASE_URL"], bench.url, bench.folder)
    return table(f"Dashboard over {lines:,} sale lines", ("what", "measured", "budget"), measured)


PARTS: dict[str, Callable[[Bench], str]] = {
    "load": bench_load,
    "small": bench_small,
    "others": bench_others,
    "latency": bench_latency,
    "dashboard": bench_dashboard,
    "memory": bench_memory,
    "replicas": bench_replicas,
    "spark": bench_spark,
}


def put_into_docs(part: str, measured: str) -> None:
    """Replace what an earlier run measured of this part, and keep what it measured of others."""
    page = SCALING if part in ("replicas", "spark") else RESULTS
    before, marker, after = page.read_text().partition(f"<!-- {part} -->\n")
    assert marker, f"{page} has no place for {part}"
    _, end, rest = after.partition("<!-- end -->")
    machine = f"{os.cpu_count()} cores, {memory_gib()} GiB, {platform.system()}, Python {platform.python_version()}"
    page.write_text(f"{before}{marker}\n{measured}\n\nMachine: {machine}.\n\n{end}{rest}")


class _Repeated(io.RawIOBase):
    """A header, then the same lines again and again, up to a size: read once, kept nowhere."""

    def __init__(self, header: bytes, lines: bytes, size: int) -> None:
        self._lines = memoryview(lines)
        self._rest = memoryview(header)
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        if not self._rest and self._left > 0:
            self._rest = self._lines
        taken = self._rest[: len(buffer)]
        self._rest = self._rest[len(taken) :]
        self._left -= len(taken)
        buffer[: len(taken)] = taken
        return len(taken)


class _Sale(BaseModel):
    sale_date: date
    sale_id: str
    product_id: str
    quantity: int
    unit_price: Decimal
    total: Decimal
    customer_id: str
    region: str


class _Base(DeclarativeBase):
    pass


class _Row(_Base):
    __tablename__ = "row_by_row"

    id: Mapped[int] = mapped_column(primary_key=True)
    sale_date: Mapped[date]
    sale_id: Mapped[str]
    product_id: Mapped[str]
    quantity: Mapped[int]
    unit_price: Mapped[Decimal]
    total: Mapped[Decimal]
    customer_id: Mapped[str]
    region: Mapped[str]


def row_by_row(file: Path, engine: sa.Engine) -> None:
    """The way of most projects of this kind: one model and one ORM object for each row."""
    frame = pd.read_csv(file, dtype=str)
    with Session(engine) as session:
        for row in frame.to_dict("records"):
            sale = _Sale(
                sale_date=row["Sale Date"],
                sale_id=row["Sale ID"],
                product_id=row["Product ID"],
                quantity=row["Quantity Sold"],
                unit_price=row["Unit Price"],
                total=row["Total Value (with Discount)"],
                customer_id=row["Customer ID"],
                region=row["Sales Region"],
            )
            session.add(_Row(**sale.model_dump()))
        session.commit()


def create_copy_tables(database: psycopg.Connection) -> None:
    """`bare`: texts and nothing else. `alike`: `raw.sales_lines` with its checks and indexes, so that the file fits."""
    database.execute("drop table if exists bare, alike")
    database.execute("create table bare (" + ", ".join(f'"{name}" text' for name in FIELD_OF) + ")")
    database.execute("create table alike (like raw.sales_lines including all)")
    database.execute("create sequence if not exists place cache 1000")
    database.execute("""
        alter table alike
            alter file_id set default 1, alter row_number set default nextval('place'),
            alter source_line set default 1, alter sale_date set default '2026-03-02',
            alter line_type set default 'sale', alter currency set default 'USD'
    """)


def copy(bench: Bench, target: str, file: Path) -> None:
    statement = f"\\copy {target} from '{file}' with (format csv, header)"
    subprocess.run([postgres_binaries() / "psql", bench.url, "-qc", statement], check=True)


def peak_kib(process_id: int) -> int:
    """The largest resident size so far. getrusage would count the parent's too, from before the child's exec."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) if "VmHWM:" in status else 0


def memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


if __name__ == "__main__":
    typer.run(main)
