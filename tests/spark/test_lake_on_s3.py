"""The lake on S3: the same rows, through the server and the login of the loader's settings."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.spark.lake import MARKS, bring, correct, in_lake, in_postgresql, load  # isort: skip  # skips all without Spark
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from loader.broker import ensure_topics
from loader.errors import TransientError
from loader.lake.place import reach
from loader.object_store import ObjectStore
from scripts.stack import REPOSITORY
from tests.conftest import World
from tests.servers import gateway, parts

pytestmark = MARKS


def test_a_lake_on_s3_has_the_rows_that_the_loader_lands_after_two_jobs_in_turn(
    shop: World, spark: SparkSession
) -> None:
    lake = f"lake-{shop.bucket}"
    with closing(ObjectStore(shop.settings)) as store:
        store.create_bucket(lake)
    load(shop)
    bring(shop, spark, f"s3://{lake}/sales")
    correct(shop)
    load(shop)
    command = [
        *(sys.executable, "-m", "loader", "backfill", f"s3://{shop.bucket}/CSV/", "--to", f"s3://{lake}/sales"),
        *("--master", "local-cluster[1,1,1024]", "--json"),
    ]
    done = subprocess.run(command, env=shop.env, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert sorted(each["status"] for each in json.loads(done.stdout)) == ["loaded"] * 5 + ["rejected"] * 2, done.stderr
    assert in_lake(spark, f"s3a://{lake}/sales") == in_postgresql(shop)


def test_a_bucket_that_is_missing_is_named_before_anything_is_read(shop: World, spark: SparkSession) -> None:
    with pytest.raises(TransientError, match="s3://no-such-lake/sales"):
        bring(shop, spark, "s3://no-such-lake/sales")


def test_a_commit_is_never_replaced_where_the_server_can_refuse_it(
    world: World, spark: SparkSession, tmp_path: Path
) -> None:
    """Delta looks whether a commit is there, then writes it; another job may write it in between."""
    parts.versitygw()
    ensure_topics(world.settings)
    kafka = {"kafka:9092": world.env["KAFKA_BOOTSTRAP_SERVERS"]}
    with gateway.serving(tmp_path / "objects", world.env, kafka, world.env["KAFKA_TOPIC"]) as address:
        settings = world.settings.model_copy(update={"s3_endpoint_url": address})
        place = reach(spark, settings, f"s3://{world.bucket}/sales/_delta_log/1.json")
        java = spark._jvm
        path = java.org.apache.hadoop.fs.Path(place)
        system = path.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
        commit = system.create(path, False)
        commit.write(b"ours")
        with closing(ObjectStore(settings)) as store:
            store.put(world.bucket, "sales/_delta_log/1.json", b"theirs")
            with pytest.raises(Py4JJavaError, match="412"):
                commit.close()
            with store.open(store.current(world.bucket, "sales/_delta_log/1.json")) as stream:
                assert stream.read(100) == b"theirs"
