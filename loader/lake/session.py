"""A Spark session that reads and writes Delta tables."""

import os
import sys

from pyspark.sql import SparkSession

SPARK = "4.2"  # the jar of Delta is made for one minor version of Spark
DELTA = "4.4.0"
# Spark brings these itself. Asked for them, Ivy fails where Maven's local folder has the POM of one without its jar.
_SPARK_HAS = (
    "org.slf4j:*,org.apache.*:*,com.fasterxml.*:*,org.scala-lang:*,com.github.*:*,org.xerial.*:*,commons-*:*,jakarta.*:*,"
    "javax.*:*,com.google.*:*,org.roaringbitmap:*,io.airlift:*,org.locationtech.*:*,org.antlr:*"
)


def spark_session(master: str | None, **options: str) -> SparkSession:
    """The session of this process; `master` None: as spark-submit says. The first one fetches the jars of Delta.

    `options`: more of Spark's own, in whose names _ stands for a dot.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # executors on this machine have the packages of the driver
    builder = SparkSession.builder.appName("sales-etl backfill")
    if master:
        builder = builder.master(master).config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
    if master and master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # no other machine has to reach it
        builder = builder.config("spark.databricks.delta.snapshotPartitions", "2")  # 50 tasks for a log are a cluster's
    for name, value in options.items():
        builder = builder.config(f"spark.{name.replace('_', '.')}", value)
    spark = (
        builder.config("spark.jars.packages", f"io.delta:delta-spark_{SPARK}_2.13:{DELTA}")
        .config("spark.jars.excludes", _SPARK_HAS)
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark
