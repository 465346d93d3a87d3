"""The commands for history beyond one machine. Spark is imported by them alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from loader.cli.options import AsJson
from loader.cli.output import show_outcomes
from loader.cli.start import start
from loader.errors import SettingsError
from loader.ledger import State

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def backfill(
    source: Annotated[str, typer.Argument(help="The sheets: s3://bucket/prefix.", metavar="S3_URL")],
    to: Annotated[str, typer.Option(help="The lake: a folder, or a URL that Spark can write.", metavar="LAKE")],
    master: Annotated[
        str | None, typer.Option(help="Spark's master, such as local[4]; default: as spark-submit says.")
    ] = None,
    at_once: Annotated[int, typer.Option(help="Commit this many files together.", min=1)] = 1000,
    as_json: AsJson = False,
) -> None:
    """Bring the sheets under a prefix into a lake by Spark, exactly once. Exit code 1: one of them does not count."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if not source.startswith("s3://") or not bucket:
        raise SettingsError(f"{source} is no bucket: write s3://bucket/prefix")
    settings = start()
    with _spark(master) as spark:
        from loader.lake import backfill as job

        outcomes = job.backfill(spark, settings, bucket, prefix, to, at_once=at_once)
    show_outcomes([each for each in outcomes if each.status != State.UNCHANGED], as_json, State.LOADED)


def serve(
    lake: Annotated[str, typer.Option("--from", help="The lake that `loader backfill` has written.", metavar="LAKE")],
    before: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The first date that PostgreSQL's own lines go on from.")
    ],
    master: Annotated[
        str | None, typer.Option(help="Spark's master, such as local[4]; default: as spark-submit says.")
    ] = None,
) -> None:
    """Model the lake by Spark, and bring the marts of the dates before a month into PostgreSQL, in one publication."""
    settings = start()
    # On one machine the models are tables of this command alone; on a cluster they are where its warehouse is.
    with TemporaryDirectory() as folder, _spark(master, **({"sql_warehouse_dir": folder} if master else {})) as spark:
        from loader.lake import serving

        served = serving.serve(spark, settings, lake, before.date())
    for name, rows in sorted(served.rows.items()):
        print(f"{name:<32}{rows:>14,} rows")
    print(f"served: sales before {before.date()} are those of {lake}; {served.waited} dates of arrivals had waited")


@contextmanager
def _spark(master: str | None, **options: str) -> "Iterator[SparkSession]":
    """A session, with options of Spark's own. Raises SettingsError where Spark is not installed."""
    try:
        import dbt.adapters.spark  # noqa: F401  # dbt loads it by its name

        from loader.lake.session import spark_session
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{error.name} is not installed: `pip install -r requirements-spark.lock` brings Spark, for Java 17"
        ) from error
    spark = spark_session(master, **options)
    try:
        yield spark
    finally:
        spark.stop()
