"""The lake on S3: the same rows, through the server and the login of the loader's settings."""

import json
import subprocess
import sys
from contextlib import closing

import pytest

from tests.spark.lake import MARKS, bring, correct, in_lake, in_postgresql, load  # isort: skip  # skips all without Spark
from pyspark.sql import SparkSession

from loader.errors import TransientError
from loader.object_store import ObjectStore
from scripts.stack import REPOSITORY
from tests.conftest import World

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
    assert sorted(each["status"] for each in json.loads(done.stdout)) == ["loaded"] * 4 + ["rejected"] * 2, done.stderr
    assert in_lake(spark, f"s3a://{lake}/sales") == in_postgresql(shop)


def test_a_bucket_that_is_missing_is_named_before_anything_is_read(shop: World, spark: SparkSession) -> None:
    with pytest.raises(TransientError, match="s3://no-such-lake/sales"):
        bring(shop, spark, "s3://no-such-lake/sales")
