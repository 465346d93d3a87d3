"""How far one machine goes, and Spark beside it: `make bench ARGS="spark replicas"`, for docs/scaling.md.

Spark's part needs what `make test-spark` installs.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import psycopg

from loader.broker import Publisher, ensure_topics
from loader.events import FileArrived
from loader.object_store import ObjectStore
from loader.pipeline import Pipeline
from scripts.bench_parts import DAY, Bench, dbt, empty, running, seconds, sheet_of, table, wait_for

SHEETS = 10
SMALL, LARGE = (400, 100), (40, 10_000)  # files, rows in each
REPLICAS = (1, 2, 4)
WARM = 40  # files that are loaded before the measured ones: every replica has its partitions then
SIZE = """
    select sum(pg_total_relation_size(pg_class.oid))
    from pg_class inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
    where relkind in ('r', 'm') and nspname = any(%s)
"""
DOING = "select coalesce(wait_event_type, 'running') from pg_stat_activity where usename = %s and state = 'active'"
PRESENT = "select pid from pg_stat_activity where usename = 'loader'"
STARTED = "select count(*) >= %s from pg_stat_activity where usename = 'loader'"
LOADED = "select count(*) = %s from raw.files where status = 'loaded'"
TICKS = os.sysconf("SC_CLK_TCK")


def bench_spark(bench: Bench) -> str:
    """The same sheets by the loader and by `loader backfill` with one and two workers, and what each leaves on disk."""
    millions = bench.rows / 1e6
    taken: dict[str, float] = {}
    with closing(ObjectStore(bench.settings)) as store:
        keys = [f"bench/{number:02}.csv" for number in range(SHEETS)]
        for number, key in enumerate(keys):
            content = sheet_of(bench.rows // SHEETS, number, DAY - timedelta(30 * number), days=30)
            store.put(bench.settings.s3_bucket, key, content)
        sheets = sum(each.size for each in store.list(bench.settings.s3_bucket, "bench/"))
        size = {"sheets (CSV)": sheets}
    with psycopg.connect(bench.url, autocommit=True) as database, Pipeline(bench.settings) as pipeline:
        arrivals = [FileArrived(bench.settings.s3_bucket, key, datetime.now(UTC)) for key in keys]
        taken["the loader, one process, into `raw`"] = loader = seconds(
            lambda: [pipeline.load_file(each) for each in arrivals]
        )
        assert database.execute("select sum(rows_loaded) from raw.files").fetchone() == (bench.rows,)
        for workers in (1, 2):
            lake = bench.folder / f"lake{workers}"
            taken[f"`loader backfill`, workers of one core: {workers}"] = backfilled(bench, workers, lake)
            size["the lake (Parquet)"] = sum(each.stat().st_size for each in lake.rglob("*.parquet"))
            shutil.rmtree(lake)
        dbt("seed")
        taken["dbt: a full refresh of core and marts from `raw`"] = seconds(lambda: dbt("run", "--full-refresh"))
        size["PostgreSQL, `raw`, with indexes"] = size_of(database, "raw")
        size["PostgreSQL, core and marts, with indexes"] = size_of(database, "staging", "core", "kpi")
        empty(database)
    stages = [
        (name, f"{each / millions:.1f}", f"{bench.rows / each:,.0f}", f"{loader / each:.2f}")
        for name, each in taken.items()
    ]
    places = [(name, f"{each / millions / 1e6:,.0f} MB", f"{each / sheets:.2f}") for name, each in size.items()]
    title = f"{bench.rows:,} rows of 15 columns in {SHEETS} sheets"
    return "\n\n".join(
        (
            table(title, ("stage", "seconds per million lines", "rows/s", "÷ the loader"), stages),
            table(f"Room that {title} take", ("place", "per million lines", "÷ the sheets"), places),
        )
    )


def backfilled(bench: Bench, workers: int, lake: Path) -> float:
    """Seconds from the listing to the last commit. Java, jars, workers and an empty table are there before."""
    from loader.lake.backfill import Lake, backfill
    from loader.lake.session import spark_session

    spark = spark_session(f"local-cluster[{workers},1,1024]")
    try:
        Lake(spark, str(lake))
        executors = spark.sparkContext._jsc.sc().statusTracker()  # noqa: SLF001  # Python's has no list of them
        while len(executors.getExecutorInfos()) <= workers:  # the driver counts as one
            time.sleep(0.1)
        spark.range(workers).repartition(workers).mapInArrow(lambda batches: batches, "id long").collect()
        start = time.perf_counter()
        outcomes = backfill(spark, bench.settings, bench.settings.s3_bucket, "bench/", str(lake))
        taken = time.perf_counter() - start
    finally:
        spark.stop()
    assert sum(each.counts.loaded for each in outcomes if each.counts) == bench.rows
    return taken


def bench_replicas(bench: Bench) -> str:
    """Small and larger files by one, two and four loaders of one group: files per second, and what they wait for."""
    lines: list[tuple[str, ...]] = []
    with psycopg.connect(bench.url, autocommit=True) as database:
        for files, rows in (SMALL, LARGE):
            base = 0.0
            for replicas in REPLICAS:
                os.environ |= {"KAFKA_TOPIC": f"r{replicas}-{rows}", "KAFKA_GROUP": f"r{replicas}-{rows}"}
                watch = shared_out(bench, database, replicas, files, rows)
                base = base or watch.seconds
                lines.append(
                    (
                        f"{files} of {rows:,}",
                        str(replicas),
                        f"{files / watch.seconds:.0f}",
                        f"{files * rows / watch.seconds:,.0f}",
                        f"{base / watch.seconds:.2f}",
                        f"{1000 * watch.loaders / files:.0f} + {1000 * watch.server / files:.0f}",
                        f"{(watch.loaders + watch.server) / watch.seconds:.2f}",
                        watch.doing(),
                    )
                )
    return table(
        f"Files by loaders of one consumer group, {bench.settings.kafka_partitions} partitions",
        (
            "files of rows", "loaders", "files/s", "rows/s", "÷ one loader", "CPU ms a file: loader + PostgreSQL",
            "processors busy with it", "PostgreSQL's processes, by samples",
        ),
        lines,
    )  # fmt: skip


def shared_out(bench: Bench, database: psycopg.Connection, replicas: int, files: int, rows: int) -> "Watch":
    """Announce the files to loaders that have shared out the partitions, and wait for the last entry in the ledger."""
    settings = bench.settings.model_copy(update={"kafka_topic": os.environ["KAFKA_TOPIC"]})
    with closing(ObjectStore(settings)) as store:
        keys = [f"bench/{rows}-{replicas}-{number:04}.csv" for number in range(WARM + files)]
        for number, key in enumerate(keys):
            store.put(settings.s3_bucket, key, sheet_of(rows, number))
    arrivals = [FileArrived(settings.s3_bucket, key, datetime.now(UTC)) for key in keys]
    ensure_topics(settings)
    publisher = Publisher(settings)
    with ExitStack() as processes:
        loaders = [processes.enter_context(running("run", "--no-transform")) for _ in range(replicas)]
        wait_for(database, STARTED, replicas)
        time.sleep(2 * settings.kafka_session_timeout_ms / 1000)  # the broker shares out anew until all have joined
        publisher.announce(arrivals[:WARM])
        wait_for(database, LOADED, WARM)
        with Watch.beside(bench, database, [each.pid for each in loaders]) as watch:
            publisher.announce(arrivals[WARM:])
            wait_for(database, LOADED, len(keys))
    empty(database)
    return watch


@dataclass
class Watch:
    """What a stretch of work took: seconds, seconds of processors, and what PostgreSQL's processes were doing."""

    seconds: float = 0
    loaders: float = 0
    server: float = 0
    samples: Counter[str] = field(default_factory=Counter)

    @classmethod
    @contextmanager
    def beside(cls, bench: Bench, database: psycopg.Connection, loaders: list[int]) -> Iterator["Watch"]:
        watch, stop = cls(), Event()
        sampling = Thread(target=watch.sample, args=(bench.url, stop))
        backends = [pid for (pid,) in database.execute(PRESENT)]
        before = used(loaders), used(backends)
        start = time.perf_counter()
        sampling.start()
        yield watch
        watch.seconds = time.perf_counter() - start
        watch.loaders, watch.server = used(loaders) - before[0], used(backends) - before[1]
        stop.set()
        sampling.join()

    def sample(self, url: str, stop: Event) -> None:
        with psycopg.connect(url, autocommit=True) as database:
            while not stop.wait(0.02):
                self.samples.update(each for (each,) in database.execute(DOING, ["loader"]))

    def doing(self) -> str:
        total = self.samples.total() or 1
        return ", ".join(f"{name} {count / total:.0%}" for name, count in self.samples.most_common(4))


def used(processes: list[int]) -> float:
    """Seconds of processors that they have had so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS


def size_of(database: psycopg.Connection, *schemas: str) -> int:
    """Bytes of their tables, with indexes."""
    database.execute("vacuum analyze")
    ((size,),) = database.execute(SIZE, [[*schemas]]).fetchall()
    return int(size)
