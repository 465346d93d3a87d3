"""The command that takes in history beyond one machine. Spark is imported by it alone."""

from typing import Annotated

import typer

from loader.cli.options import AsJson
from loader.cli.output import show_outcomes
from loader.cli.start import start
from loader.errors import SettingsError
from loader.ledger import State


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
    try:
        from loader.lake import backfill as job
        from loader.lake.session import spark_session
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{error.name} is not installed: `pip install -r requirements-spark.lock` brings Spark, for Java 17"
        ) from error
    spark = spark_session(master)
    try:
        outcomes = job.backfill(spark, settings, bucket, prefix, to, at_once=at_once)
    finally:
        spark.stop()
    show_outcomes([each for each in outcomes if each.status != State.UNCHANGED], as_json, State.LOADED)
