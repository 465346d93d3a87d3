"""A session of Spark and a shop for the tests of the lake. They import Spark when it is known to be there."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import World

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def spark() -> Iterator["SparkSession"]:
    from loader.lake.session import spark_session

    session = spark_session("local[2]")
    yield session
    session.stop()


@pytest.fixture
def shop(world: World, tmp_path: Path) -> World:
    from tests.spark.lake import open_shop

    return open_shop(world, tmp_path / "feeds")
