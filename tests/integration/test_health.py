"""What is wrong is in one view, which the dashboard, `loader status` and Prometheus repeat: `ops.problems`."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date

import pytest

from loader.pipeline import Pipeline
from scripts.csv_generator import sheet
from tests.conftest import World, eventually
from tests.integration.test_metrics import serving

SHEETS = [sheet(7, date(2026, 3, day), rows=40) for day in range(1, 5)]
BROKEN = b"no,header,of,ours\n1,2,3,4\n"
OF = "select severity, subject from ops.problems where problem = %s"
UNSEEN = "select unseen_objects from ops.bucket"
BEATS = "select process, instance from raw.heartbeats order by process"
HALF_A_MINUTE_LATER = "update raw.heartbeats set seen_at = seen_at - interval '31 seconds'"


@pytest.fixture
def pipeline(world: World) -> Iterator[Pipeline]:
    with Pipeline(world.settings) as pipeline:
        yield pipeline


def of(world: World, problem: str) -> list[tuple[str, str | None]]:
    return [(row["severity"], row["subject"]) for row in world.rows(OF, problem)]


def test_a_sheet_that_was_not_loaded_is_a_problem_until_a_later_one_of_its_feed_is(
    world: World, pipeline: Pipeline
) -> None:
    pipeline.load_file(world.drop(SHEETS[0].key, SHEETS[0].content))
    assert of(world, "sheets not loaded") == []
    pipeline.load_file(world.drop(SHEETS[1].key, BROKEN))
    assert of(world, "sheets not loaded") == [("red", "sales_data")]
    bad = world.rows("select since, title from ops.problems where problem = 'sheets not loaded'")
    assert bad == [
        {
            "since": world.value("select event_at from raw.files where status = 'rejected'"),
            "title": "1 sheet not loaded",
        }
    ]
    # What somebody set aside, and what another feed gets, says nothing of this one.
    world.run("insert into raw.files (bucket, key, etag, size_bytes, feed, status, event_at) "
              "values ('b', 'k', 'e', 1, 'of_others', 'loaded', now() + interval '1 minute')")  # fmt: skip
    assert of(world, "sheets not loaded") == [("red", "sales_data")]
    pipeline.load_file(world.drop(SHEETS[2].key, SHEETS[2].content))
    assert of(world, "sheets not loaded") == []


def test_a_rejected_sheet_that_is_set_aside_is_no_problem(world: World, pipeline: Pipeline) -> None:
    outcome = pipeline.load_file(world.drop(SHEETS[1].key, BROKEN))
    assert of(world, "sheets not loaded") == [("red", "sales_data")]
    assert world.loader("skip", str(outcome.file_id), "--reason", "not ours").returncode == 0
    assert of(world, "sheets not loaded") == []


DAILY = [24.0 * day for day in range(20)]
WORKDAYS = [24.0 * day for day in range(30) if day % 7 not in (0, 1)]  # the last ones lie two days back, as on a Sunday


@pytest.mark.parametrize(
    ("hours_ago", "is_late"),
    [
        ([26 + each for each in DAILY], False),
        ([31 + each for each in DAILY], True),
        ([31 + each for each in DAILY if each != 24 * 5], True),
        (WORKDAYS, False),
        ([60 + each for each in WORKDAYS], True),
        ([31 + each + hour for each in DAILY for hour in (0, 0.1, 0.2)], True),
        ([26 + each + hour for each in DAILY for hour in (0, 0.1, 0.2)], False),
        ([31 + each / 1000 for each in range(92)], False),
        ([31.0, 55.0, 79.0], False),
        ([61 * 24 + each for each in DAILY], False),
    ],
    ids=[
        "daily", "a day without one", "one day was left out before", "weekend", "longer than a weekend",
        "three a day, a day without any", "three a day", "all at once", "too few to tell", "ended two months ago",
    ],
)  # fmt: skip
def test_a_feed_is_late_against_its_own_rhythm(world: World, hours_ago: list[float], is_late: bool) -> None:
    world.rows(
        "insert into raw.files (bucket, key, etag, size_bytes, feed, status, event_at, received_at) "
        "select 'b', 'k' || hours, 'e', 1, 'tills', 'loaded', moment, moment "
        "from unnest(%s::float[]) as hours "
        "cross join lateral (select now() - hours * interval '1 hour' as moment) as at returning 1",
        hours_ago,
    )
    assert of(world, "late feed") == ([("amber", "tills")] if is_late else [])
    if is_late:
        since = world.value("select since from ops.problems where problem = 'late feed'")
        assert since == world.value("select max(event_at) from raw.files")


def test_the_bucket_holds_what_the_ledger_has_not_seen(world: World, pipeline: Pipeline) -> None:
    arrivals = [world.drop(each.key, each.content) for each in SHEETS[:2]]
    with world.process("watch"):
        eventually("the watcher to tell of both", lambda: world.value(UNSEEN) == 2)
        # A look that began before the load tells of the object until the next one.
        pipeline.load_file(arrivals[0])
        eventually("the first to be seen", lambda: world.value(UNSEEN) == 1)
        pipeline.load_file(arrivals[1])
        eventually("the second to be seen", lambda: world.value(UNSEEN) == 0)
        world.drop(SHEETS[2].key, SHEETS[2].content)
        eventually("the watcher to tell of the third", lambda: world.value(UNSEEN) == 1)
    told = json.loads(world.loader("status", "--json").stdout)
    assert told["objects_unseen"] == 1


def test_a_process_that_died_is_missed_and_one_that_ended_in_order_is_not(world: World) -> None:
    commands = {"dbt worker": ("transform",), "loader": ("run", "--no-transform"), "watcher": ("watch",)}

    def beating() -> list[str]:
        return sorted(row["process"] for row in world.rows(BEATS))

    with ExitStack() as living:
        for command in commands.values():
            living.enter_context(world.process(*command))
        eventually("their heartbeats", lambda: beating() == list(commands))
        world.run(HALF_A_MINUTE_LATER)
        eventually("the next heartbeats", lambda: of(world, "process down") == [])
    assert beating() == []
    assert of(world, "process down") == []
    with ExitStack() as living:
        dying = [living.enter_context(world.process(*command)) for command in commands.values()]
        eventually("their heartbeats", lambda: beating() == list(commands))
        for died in dying:
            died.kill()
            died.wait()
    assert of(world, "process down") == []
    world.run(HALF_A_MINUTE_LATER)
    assert sorted(of(world, "process down")) == [("amber", process) for process in commands]
    with ExitStack() as living:
        for command in commands.values():
            living.enter_context(world.process(*command))
        eventually("others to be up", lambda: of(world, "process down") == [])


def test_no_loader_is_red_while_sheets_wait_though_none_ever_ran(world: World) -> None:
    world.drop(SHEETS[0].key, SHEETS[0].content)
    with world.process("watch"):
        eventually("the watcher to tell of it", lambda: world.value(UNSEEN) == 1)
        world.run("update raw.bucket_looks set unseen_since = now() - interval '31 seconds'")
        assert of(world, "process down") == [("red", "loader")]
        with serving(world, "run", "--no-transform") as endpoint:
            eventually("the sheet to be loaded", lambda: world.value("select count(*) from raw.rebuild_queue") > 0)
            assert of(world, "process down") == []
            world.run("update raw.rebuild_queue set enqueued_at = now() - interval '31 seconds'")
            assert of(world, "process down") == [("red", "dbt worker")]
            assert endpoint.values("loader_problems") == {("process down", "red", "dbt worker"): 1}
            told = world.loader("status")
            assert "red" in told.stdout
            assert "Nothing works loaded sheets into the figures, and some wait." in told.stdout
            assert "`loader transform`" in told.stdout


def test_a_loader_that_takes_up_nothing_is_said(world: World, pipeline: Pipeline) -> None:
    pipeline.load_file(world.drop(SHEETS[0].key, SHEETS[0].content))
    world.run("insert into raw.bucket_looks values ('b', 1, now() - interval '6 minutes', now())")
    world.run("insert into raw.heartbeats (process, instance) values ('loader', 'one that hangs')")
    assert of(world, "standing still") == []  # it has just begun with another one
    world.run("update raw.files set loading_at = now() - interval '7 minutes'")
    assert of(world, "standing still") == [("red", "loader")]


def test_a_failed_run_is_a_problem_until_one_succeeds(world: World) -> None:
    for status, said in (("failed", [("red", None)]), ("succeeded", [])):
        world.run(
            "insert into raw.dbt_runs (status, dates, files, finished_at, is_live) "
            f"values ('{status}', 1, 1, clock_timestamp(), true)"
        )
        assert of(world, "dbt run failed") == said
