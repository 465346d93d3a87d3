"""What a sheet has otherwise than those of its feed before it: from the load to the table on Pipeline & quality."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page, expect

from loader.pipeline import Pipeline
from scripts.browser import serving
from scripts.stack import Stack
from tests.conftest import World, new_world
from tests.e2e.conftest import READY

FIRST = date(2026, 3, 8)
FEED = {
    "feed": "garden",
    "match": "garden/*.csv",
    "format": {"timezone": "UTC"},
    "columns": {
        "sale_id": "Order", "sold_at": "Day", "product_id": "Product", "quantity": "Qty", "unit_price": "Price",
        "sales_channel": "Channel", "payment_method": "Paid",
    },
    "mask": ["Paid"],
}  # fmt: skip
# The middle price of each sheet, by the database's own way of counting.
PRICES = """
    select key, round(percentile_cont(0.5) within group (order by unit_price)::numeric, 2)
    from raw.sales_lines inner join raw.files using (file_id) group by key, file_id order by file_id
"""


def content(day: int) -> bytes:
    """Forty lines of a day; on the fifth prices are in cents, a channel and a column are new, and rows are spoilt."""
    odd = day == 4
    lines = ["Order,Day,Product,Qty,Price,Channel,Paid" + ",Voucher" * odd + ",Note" * (not odd)]
    for row in range(40):
        price = f"{(1000 + 10 * row + day) * (100 if odd else 1) / 100:.2f}"
        channel = "Fair" if odd and row % 4 == 0 else ("Online", "Store")[row % 2]
        quantity = "many" if odd and row % 8 == 7 else "2"
        paid = "secret" if odd else "cash"
        lines.append(f"{day}-{row},{FIRST + timedelta(day)},P{row % 7},{quantity},{price},{channel},{paid},x")
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def garden(stack: Stack, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Five sheets of one feed, the last of which is unlike the others."""
    feeds = tmp_path_factory.mktemp("feeds")
    (feeds / "garden.yml").write_text(yaml.safe_dump(FEED | {"rejects": {"max_ratio": 0.5}}))
    with new_world(stack, template, tmp_path_factory.mktemp("garden")) as world:
        with Pipeline(world.settings.model_copy(update={"feeds_dir": Path(feeds)})) as pipeline:
            for day in range(5):
                outcome = pipeline.load_file(world.drop(f"garden/{FIRST + timedelta(day)}.csv", content(day)))
                assert outcome.status == "loaded", outcome
        world.transform()
        yield world


def test_a_sheet_unlike_those_before_it_is_told_in_words(
    garden: World, page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    *before, cents = [row["round"] for row in garden.rows(PRICES)]
    fair = garden.value("select count(*) from raw.sales_lines where sales_channel = 'Fair'")
    share = garden.value(
        "select round(100.0 * rows_rejected / rows_read, 1) from raw.files order by file_id desc limit 1"
    )
    usual = (min(before) * max(before)).sqrt()
    middle = f"{cents:,.2f} in the middle and {min(before)} to {max(before)} before"
    expected = [
        "The column 'Note' is gone.",
        f"{share:f}% of the rows are rejected, and 0.0% at most before.",
        "The column 'Voucher' is new.",
        f"'Fair' is new as channel, in {fair} lines.",
        f"Unit prices are {cents / usual:.0f} × the usual, {middle}: cents, or a lost decimal sign?",
    ]
    # Nobody signs in, and nobody may see rejected rows or customers: what is told of sheets is a viewer's.
    with serving(garden.env["DASHBOARD_DATABASE_URL"], tmp_path_factory.mktemp("dashboard")) as (address, _):
        page.goto(f"{address}/pipeline")
        expect(page.locator(READY)).to_be_visible()
        rows = page.locator(".st-key-sheet-changes tbody tr")
        expect(rows).to_have_count(5)  # nothing of the column that the feed masks
        assert [row.locator("td").nth(1).inner_text() for row in rows.all()] == expected
        expect(rows.first).to_contain_text("loader feed diff 2026-03-11.csv 2026-03-12.csv")


def test_what_is_kept_of_a_sheet_is_what_its_lines_say(garden: World) -> None:
    kept = garden.rows("select profile from raw.files order by file_id desc limit 1")[0]["profile"]
    lines = "select {} from raw.sales_lines where file_id = (select max(file_id) from raw.files) {}"
    words = garden.rows(lines.format("sales_channel, count(*)", "group by 1"))
    assert kept["words"] == {"sales_channel": {row["sales_channel"]: row["count"] for row in words}}
    for name in ("quantity", "unit_price"):
        middle = garden.value(lines.format(f"percentile_cont(0.5) within group (order by {name})", ""))
        assert kept["medians"][name] == pytest.approx(float(middle))
