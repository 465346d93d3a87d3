"""A sheet of a real shop comes into the lake as into PostgreSQL; it is no part of the repository."""

import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from tests.spark.lake import MARKS, bring, in_lake, in_postgresql, load  # isort: skip  # skips all without Spark
from pyspark.sql import SparkSession

from loader.drafting.draft import draft_feed
from loader.lake.records import LINE, REJECTED
from loader.settings import Limits
from tests.conftest import World
from tests.integration.test_real_sheets import FOLDER, ONLINE_RETAIL, VENTAS
from tests.integration.test_real_sheets import sheet as read
from tests.spark.lake import Rows

pytestmark = MARKS


@pytest.mark.parametrize(
    ("name", "delimiter", "edits"),
    [("online_retail_2010-12-01.csv", ",", ONLINE_RETAIL), ("ventas_sucio_semicolon.csv", ";", VENTAS)],
)
def test_a_real_sheet_is_the_same_in_the_lake_row_by_row_and_to_the_cent_for_every_day(
    name: str, delimiter: str, edits: dict[str, str], world: World, spark: SparkSession, tmp_path: Path
) -> None:
    read(name, delimiter)  # skips the test where there is no such sheet
    feed = draft_feed(FOLDER / name, None, Limits()).text
    for drafted, edited in edits.items():
        assert drafted in feed
        feed = feed.replace(drafted, edited, 1)
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "real.yml").write_text(re.sub(r"(?m)^match: .*", 'match: "CSV/*"', feed))
    shop = World(world.env | {"FEEDS_DIR": str(tmp_path / "feeds")}, world.stack)
    shop.drop(f"CSV/{name}", (FOLDER / name).read_bytes())
    load(shop)
    bring(shop, spark, tmp_path / "lake")
    landed, brought = in_postgresql(shop), in_lake(spark, tmp_path / "lake")
    assert brought[LINE]
    assert brought[REJECTED]
    assert net_by_day(brought[LINE]) == net_by_day(landed[LINE])
    assert brought == landed


def net_by_day(lines: Rows) -> dict[str, Decimal]:
    """Quantity times price, rounded once for each line."""
    net: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        net[str(line["sale_date"])] += round(line["quantity"] * line["unit_price"], 2)
    return net
