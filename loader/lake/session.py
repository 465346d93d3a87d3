"""A Spark session that reads and writes Delta tables."""

import os
import sys

from pyspark.sql import SparkSession

from loader.lake.machine import find_java, home_of_workers

SPARK = "4.2"  # the jar of Delta is made for one minor version of Spark
DELTA = "4.4.0"
HADOOP = "3.5.0"  # as PySpark brings it
AWS = "2.35.4"  # as hadoop-aws of that version asks for it
# hadoop-aws asks for every service of AWS in one jar of 686 MB; those of S3 have 12 MB.
PACKAGES = (
    f"io.delta:delta-spark_{SPARK}_2.13:{DELTA},org.apache.hadoop:hadoop-aws:{HADOOP},"
    f"software.amazon.awssdk:s3-transfer-manager:{AWS}"
)
# Spark brings these itself. Asked for them, Ivy fails where Maven's local folder has the POM of one without its jar.
_SPARK_HAS = (
    "org.slf4j:*,org.apache.commons:*,org.apache.hadoop:hadoop-c*,org.apache.hadoop:hadoop-annotations,"
    "org.apache.httpcomponents*:*,org.apache.logging*:*,org.apache.parquet:*,com.fasterxml.*:*,org.scala-lang:*,"
    "com.github.*:*,org.xerial.*:*,commons-*:*,jakarta.*:*,javax.*:*,com.google.*:*,org.roaringbitmap:*,io.airlift:*,"
    "io.netty:*,org.checkerframework:*,org.locationtech.*:*,org.antlr:*"
)
_NOT_NEEDED = "software.amazon.awssdk:bundle,org.wildfly.openssl:*"


def spark_session(master: str | None, **options: str) -> SparkSession:
    """The session of this process; `master` None: as spark-submit says. The first one fetches the jars of Delta and S3.

    `options`: more of Spark's own, in whose names _ stands for a dot. Raises SettingsError where there is no Java.
    """
    find_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # executors on this machine have the packages of the driver
    if master and master.startswith("local-cluster"):
        os.environ.setdefault("SPARK_HOME", str(home_of_workers()))
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
        builder.config("spark.jars.packages", PACKAGES)
        .config("spark.jars.excludes", f"{_SPARK_HAS},{_NOT_NEEDED}")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark
