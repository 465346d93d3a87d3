"""The lake → PostgreSQL: Spark builds the models of dbt_sales, and what is before a seam goes beside the live window.

PostgreSQL keeps the lines from the seam on, and builds its marts of them. Before the seam it has the marts of Spark, in
the schema `served`, from where a full refresh of dbt takes them: what is built anew there later has history as well.
"""

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.nodes import ModelNode
from psycopg.sql import SQL, Identifier
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from loader.errors import Refused, SettingsError, TransientError
from loader.lake.backfill import Lake
from loader.lake.place import reach
from loader.lake.records import FILE
from loader.settings import Settings
from loader.sql import Session
from loader.sql import serve as sql
from loader.warehouse import Warehouse

log = structlog.get_logger()

_BY_DATE = ("sale_date", "month", "first_line_date")  # the first of these that a model has tells whether it is history
_AS_DBT = "postgresql://"  # libpq reads the rest from the variables that dbt reads: PGHOST, PGUSER …


@dataclass(frozen=True)
class Served:
    """What is before the seam in PostgreSQL now: rows by model, and how many dates of arrivals had waited for it."""

    rows: dict[str, int]
    waited: int


def serve(spark: SparkSession, settings: Settings, lake: str, before: date) -> Served:
    """Bring the marts of the dates before `before`, the first date of the live window, and publish them.

    Raises Refused where `before` is not the first of a month, or PostgreSQL has sales before it that the lake has not,
    and TransientError where dbt cannot build or publish: what is published stays, and the same call may be repeated.
    """
    if before.day != 1:
        raise Refused(f"{before} is not the first of a month, and some marts are of whole months: choose one that is")
    place = reach(spark, settings, lake)
    entries = Lake(spark, place).records().where(f.col("kind") == FILE)
    lake_files = [each.asDict() for each in entries.select("bucket", "key", "etag", "size_bytes").collect()]
    with closing(Warehouse(_AS_DBT)) as warehouse:
        with warehouse.session() as session:
            _refuse_what_would_vanish(session, before, lake_files, lake)
        models = model(settings.dbt_project_dir, place)
        with warehouse.session() as session:
            rows = {each.name: _bring(session, each, _history(spark, each, before)) for each in models}
            sql.set_seam(session, live_since=before, lake=lake)
            waited = sql.acknowledge_served(session, lake_files)
            session.commit()
    log.info("history_brought", rows=sum(rows.values()), live_since=str(before))
    publish(settings.dbt_project_dir)
    return Served(rows, waited)


def model(project: Path, lake: str) -> list[ModelNode]:
    """Build the models on the lake, in the Spark session of this process. Returns those that PostgreSQL is to have.

    Raises TransientError with the first thing that failed.
    """
    with TemporaryDirectory() as folder:  # a parse for this target: the loader's own stays
        options = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test", "--target-path", folder]
        variables = json.dumps({"lake": lake})
        done = _dbt(project, "build", "--selector", "lake", "--target", "spark", "--vars", variables, *options)
    nodes = [each.node for each in done.results]
    return [each for each in nodes if isinstance(each, ModelNode) and each.config.get("served")]


def publish(project: Path) -> None:
    """Build the marts of PostgreSQL anew, with what was brought, and publish them at once, if the tests pass."""
    with _started_by("loader serve"):
        _dbt(project, "build", "--selector", "everything", "--full-refresh", "--target", "prod")


def _refuse_what_would_vanish(session: Session, before: date, lake_files: list[dict[str, object]], lake: str) -> None:
    if missing := sql.not_in_lake(session, before=before, lake_files=lake_files):
        raise Refused(
            f"PostgreSQL has sales before {before} that {lake} has not: {', '.join(missing[:3])}"
            f"{', …' if len(missing) > 3 else ''}. Run `loader backfill` on them first"
        )


def _history(spark: SparkSession, node: ModelNode, before: date) -> DataFrame:
    by = next(each for each in _BY_DATE if each in node.columns)
    return spark.table(f"{node.schema}.{node.name}").where(f.col(by) < f.lit(before)).select(*node.columns)


def _bring(session: Session, node: ModelNode, rows: DataFrame) -> int:
    """Replace what is served of a model. It is seen with the commit, and read by others meanwhile. Returns the rows."""
    served, published = Identifier("served", node.name), Identifier(node.schema, node.name)
    there = sql.columns_of(session, f"served.{node.name}")
    if there and there != sorted(node.columns):
        raise Refused(f"served.{node.name} has the columns of an earlier version: drop it, and serve again")
    driver = session.driver
    if not there:
        driver.execute(SQL("create table {} (like {})").format(served, published))
        if "sale_date" in node.columns:  # for the views that read it as it is
            driver.execute(SQL("create index on {} (sale_date)").format(served))
    driver.execute(SQL("delete from {}").format(served))
    number = 0
    names = SQL(", ").join(map(Identifier, node.columns))
    with driver.cursor() as cursor, cursor.copy(SQL("copy {} ({}) from stdin").format(served, names)) as copy:
        for number, row in enumerate(rows.toLocalIterator(prefetchPartitions=True), 1):  # noqa: B007  # the count
            copy.write_row(row)
    driver.execute(SQL("analyze {}").format(served))
    return number


def _dbt(project: Path, *arguments: str) -> RunExecutionResult:
    done = dbtRunner().invoke(
        ["--quiet", "--log-level", "none", "--log-level-file", "none", *arguments, "--project-dir", str(project)]
    )
    if not isinstance(done.result, RunExecutionResult):
        raise SettingsError(f"dbt cannot run in {project}: {done.exception}. `dbt parse` there says more")
    if not done.success:
        broken = [each for each in done.result.results if each.status in ("error", "fail", "runtime error")]
        first = f"{broken[0].node.name}: {broken[0].message}" if broken else str(done.exception)
        raise TransientError(f"dbt failed, and nothing new is published: {first}. Run the command again")
    return done.result


@contextmanager
def _started_by(name: str) -> Iterator[None]:
    """The name by which other runs of dbt know this one."""
    os.environ["DBT_STARTED_BY"] = name
    try:
        yield
    finally:
        del os.environ["DBT_STARTED_BY"]
