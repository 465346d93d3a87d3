"""The demo waits as long as sheets get on, and no longer."""

from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from threading import Event
from time import monotonic

import pytest

from loader.pipeline import Pipeline
from loader.warehouse import Warehouse
from scripts import demo
from scripts.csv_generator import Sheet, sheet
from tests.conftest import World, beside

FIRST_DAY = date(2026, 3, 1)


def day_without_sales(number: int) -> Sheet:
    """A header only: it counts as modelled as soon as it is loaded, without a run of dbt."""
    each = sheet(7, FIRST_DAY + timedelta(number), rows=1, bad_ratio=0)
    return replace(each, content=each.content.partition(b"\n")[0] + b"\n")


def test_the_demo_waits_as_long_as_sheets_get_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATIENCE_SECONDS", 3)
    sheets = [day_without_sales(number) for number in range(6)]

    def load_slowly(stop: Event) -> None:
        with Pipeline(world.settings) as pipeline:
            for each in sheets:
                stop.wait(1)
                pipeline.load_file(world.drop(each.key, each.content))

    began = monotonic()
    with beside(load_slowly):
        wait_until_modelled(world, sheets)
    assert monotonic() - began > 3


def test_the_demo_gives_up_when_nothing_moves_and_says_what_it_saw(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PATIENCE_SECONDS", 1)
    sheets = [day_without_sales(number) for number in range(2)]
    with Pipeline(world.settings) as pipeline:
        pipeline.load_file(world.drop(sheets[0].key, sheets[0].content))
    with pytest.raises(demo.DemoError, match=r"for 1 s: 1 of 2 sheets are loaded, 1 modelled.*`make status`"):
        wait_until_modelled(world, sheets)


def test_a_run_that_fails_again_and_again_is_no_progress() -> None:
    """What it builds is dropped and built again: the furthest that it came is what counts."""
    first_time = demo.Reached(modelled=3, version=2, loaded=5, relations=120)
    assert demo.Reached(3, 2, 5, 90) < first_time
    assert demo.Reached(3, 2, 5, 120) == first_time
    assert demo.Reached(4, 3, 5, 90) > first_time


def wait_until_modelled(world: World, sheets: list[Sheet]) -> None:
    with (
        closing(Warehouse(world.settings.database_url.get_secret_value())) as warehouse,
        demo.connect(world.env["DATABASE_URL"]) as raw,
    ):
        demo.wait_until_modelled(warehouse, raw, {each.key: each.summary for each in sheets})
