"""History at once: the objects under a prefix → a Delta table of lines, rejected rows and the ledger.

Every commit holds whole files: their lines, their rejected rows and their entries in the ledger. So a reader sees all
of a file or nothing, and a job that was killed has left nothing half done. The commit is numbered by the version of the
table that the job looked at, which lets Delta turn away a job that another one has overtaken: it looks again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from py4j.protocol import Py4JJavaError
from pydantic import SecretStr
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.pandas.types import from_arrow_schema

from loader.errors import TransientError
from loader.feeds import Feed, Feeds
from loader.lake.place import prepare, reach
from loader.lake.reading import Reading
from loader.lake.records import FILE, LINE, SCHEMA, file_id, object_id
from loader.ledger import DONE, SUPERSEDE, State
from loader.object_store import ObjectStore, ObjectVersion
from loader.pipeline import Outcome
from loader.settings import Settings
from loader.verdict import Counts

_APPLICATION = "sales-etl backfill"  # the name under which Delta counts our commits
_OBJECTS = (
    "bucket string, key string, etag string, size long, modified_at timestamp, feed string, counting array<string>"
)
_RECORDS = from_arrow_schema(SCHEMA)
_COUNTS = ("rows_read", "rows_loaded", "rows_rejected", "rows_skipped")
_ENTRY = ("object_id", "file_id", "status", "sha256", "feed", "error", "warning", *_COUNTS)


@dataclass(frozen=True)
class Ledger:
    """The ledger of the lake at one version of the table: entries by object."""

    version: int
    entries: dict[int, list[Row]]

    def entry(self, version: ObjectVersion) -> Row | None:
        wanted = file_id(version)
        return next((each for each in self.entries.get(object_id(version), ()) if each.file_id == wanted), None)

    def counting(self, version: ObjectVersion) -> list[Row]:
        """The other versions of the object that count."""
        found = self.entries.get(object_id(version), ())
        return [each for each in found if each.status == State.LOADED and each.file_id != file_id(version)]


class Lake:
    """A Delta table, made when it is missing."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        self._spark = spark
        self.path = path
        empty = spark.createDataFrame([], _RECORDS)
        empty.write.format("delta").mode("ignore").partitionBy("kind", "sale_date").save(path)

    def records(self, version: int | None = None) -> DataFrame:
        """Every record, now or as of a version of the table."""
        reader = self._spark.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(self.path)

    def ledger(self, bucket: str | None = None, prefix: str = "") -> Ledger:
        """Entries of the objects under the prefix, or of all; the driver keeps them in memory, a kilobyte for each."""
        table = self.path.replace("`", "``")  # the only way to name a table by its place, which is no value to bind
        (last,) = self._spark.sql(f"describe history delta.`{table}` limit 1").select("version").collect()
        entries = defaultdict(list)
        files = self.records(last.version).where(_is(FILE) & f.col("key").startswith(prefix))
        for row in (files.where(_is(bucket, "bucket")) if bucket else files).select(*_ENTRY).collect():
            entries[row.object_id].append(row)
        return Ledger(last.version, entries)

    def append(self, records: DataFrame, seen: int) -> None:
        self._commit(records, seen, "append", {})

    def replace(self, records: DataFrame, objects: Iterable[int], seen: int) -> None:
        """Put these in the place of every record of the objects, in one commit."""
        listed = ", ".join(map(str, objects))
        self._commit(records, seen, "overwrite", {"replaceWhere": f"object_id in ({listed})"})

    def _commit(self, records: DataFrame, seen: int, mode: str, options: dict[str, str]) -> None:
        """`seen`: the version that was looked at. Nothing is written where another commit of ours came after it."""
        # Without that, each of the tasks would write a file of its own into every date.
        written = records.select(SCHEMA.names).hint("rebalance", "kind", "sale_date").write.format("delta").mode(mode)
        written.options(**options, txnAppId=_APPLICATION, txnVersion=str(seen + 1)).save(self.path)


def backfill(
    spark: SparkSession, settings: Settings, bucket: str, prefix: str, to: str, *, at_once: int = 1000
) -> list[Outcome]:
    """Bring what is under the prefix into the lake, a folder or URL, exactly once; `at_once`: files in a commit.

    Returns the outcome of each object, in order of keys. Raises TransientError when S3 or Spark fails: what has been
    committed stays, and the same call goes on from there.
    """
    feeds = Feeds(settings.feeds_dir)
    with closing(ObjectStore(settings)) as store:
        objects = list(store.list(bucket, prefix))
        prepare(store, to)
    began: set[int] = set()
    with _spark_errors():
        lake = Lake(spark, reach(spark, settings, to))
        while True:
            ledger = lake.ledger(bucket, prefix)
            waiting = [(each, feed) for each in objects if isinstance(feed := _decision(each, feeds, ledger), Feed)]
            if not waiting:
                return [_outcome(each, _decision(each, feeds, ledger), ledger, began) for each in objects]
            taken = waiting[:at_once]
            began |= {file_id(each) for each, _ in taken}
            with _unless_overtaken():
                _bring(spark, lake, Reading(_for_executors(settings), feeds, datetime.now(UTC)), taken, ledger)


@contextmanager
def _spark_errors() -> Iterator[None]:
    """One line instead of Java's pages: the loader's own words, else the reason that Java gives first."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        lines = str(error).strip().splitlines()
        reason = next((line for line in lines if line.startswith(("loader.errors.", ": "))), lines[0]).lstrip(": ")
        raise TransientError(f"Spark failed: {reason}. What is committed stays; run the command again") from error


@contextmanager
def _unless_overtaken() -> Iterator[None]:
    """Pass over the refusal of a commit where another job was first: the next look at the ledger sees what is left."""
    try:
        yield
    except PySparkException as error:
        if not (error.getCondition() or "").startswith("DELTA_CONCURRENT"):
            raise


def _decision(version: ObjectVersion, feeds: Feeds, ledger: Ledger) -> Feed | Row | str:
    """The feed to read it by; its entry, if it has been dealt with; or why it is left out."""
    entry = ledger.entry(version)
    if entry and entry.status in DONE:
        return entry
    feed = feeds.for_key(version.key)
    if not feed:
        return "no feed matches the key: add one in FEEDS_DIR"
    if feed.pair:
        return f"feed {feed.feed} is one of two sheets that make one sale, which only the loader puts together"
    if feed.reupload == "ignore" and ledger.counting(version):
        return f"an earlier version counts, and feed {feed.feed} keeps the first (reupload: ignore)"
    return feed


def _bring(
    spark: SparkSession, lake: Lake, read: Reading, taken: Sequence[tuple[ObjectVersion, Feed]], ledger: Ledger
) -> None:
    """Objects that the lake does not know are added; after that, those that it knows are replaced."""
    known = [each for each in taken if object_id(each[0]) in ledger.entries]
    fresh = [each for each in taken if object_id(each[0]) not in ledger.entries]
    if fresh:
        lake.append(_decided(spark, read, fresh, ledger), ledger.version)
        return  # the next look sees what this commit, or that of another job, has changed
    records = _decided(spark, read, known, ledger).persist()
    try:
        loaded = {row.file_id for row in records.where(_is(FILE) & _is(State.LOADED, "status")).collect()}
        gives_way = {
            each.file_id: file_id(version)
            for version, feed in known
            if feed.reupload != "append" and file_id(version) in loaded
            for each in ledger.entries[object_id(version)]
            if each.status in SUPERSEDE.takes
        }
        kept = _kept(lake, [version for version, _ in known], gives_way, ledger)
        lake.replace(records.unionByName(kept), [object_id(version) for version, _ in known], ledger.version)
    finally:
        records.unpersist()


def _decided(
    spark: SparkSession, read: Reading, taken: Sequence[tuple[ObjectVersion, Feed]], ledger: Ledger
) -> DataFrame:
    """The records of these objects, each read by a task of its own."""
    rows = [
        (
            *(version.bucket, version.key, version.etag, version.size, version.modified_at, feed.feed),
            [each.sha256 for each in ledger.counting(version)],
        )
        for version, feed in taken
    ]
    objects = spark.createDataFrame(spark.sparkContext.parallelize(rows, len(rows)), _OBJECTS)
    return objects.mapInArrow(read, _RECORDS)


def _kept(lake: Lake, versions: Sequence[ObjectVersion], gives_way: dict[int, int], ledger: Ledger) -> DataFrame:
    """What the lake has of these objects and keeps: all but the lines of versions that give way."""
    records = lake.records(ledger.version)
    records = records.where(f.col("object_id").isin([object_id(each) for each in versions]))
    records = records.where(~f.col("file_id").isin([file_id(each) for each in versions]))  # uploaded again
    gone = f.col("file_id").isin([*gives_way])
    records = records.where(~(_is(LINE) & gone))
    by = f.create_map(*(f.lit(each).cast("long") for pair in gives_way.items() for each in pair)) if gives_way else None
    if by is None:
        return records
    entry = _is(FILE) & gone
    return records.withColumns(
        {
            "status": f.when(entry, f.lit(str(State.SUPERSEDED))).otherwise(f.col("status")),
            "superseded_by": f.when(entry, by[f.col("file_id")]).otherwise(f.col("superseded_by")),
        }
    )


def _is(value: str, column: str = "kind") -> Column:
    return f.col(column) == str(value)


def _outcome(version: ObjectVersion, decision: Feed | Row | str, ledger: Ledger, began: set[int]) -> Outcome:
    if isinstance(decision, str):
        skipped = ledger.counting(version)
        return Outcome(State.SKIPPED if skipped else State.IGNORED, version.key, error=decision)
    assert isinstance(decision, Row)
    counts = Counts(*(decision[each] for each in _COUNTS))
    return Outcome(
        decision.status,
        version.key,
        decision.file_id,
        counts,
        decision.error,
        duplicate=decision.file_id not in began,
        feed=decision.feed,
        size=version.size,
        warning=decision.warning,
    )


def _for_executors(settings: Settings) -> Settings:
    """Without the logins that executors have no use for: the function that Spark sends holds the rest."""
    return settings.model_copy(
        update={"database_url": SecretStr(""), "admin_database_url": None, "kafka_sasl_password": None}
    )
