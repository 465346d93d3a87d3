"""Whatever comes, in whatever order: the marts as they grew are those that dbt makes of the whole at once.

A history is drawn from a seed: uploads of small sheets, re-uploads with other dates and customers, files that are taken
back and brought back, late files, files of several days, in two feeds; modelled in one process after any few of them.
"""

import csv
import io
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import pytest

from loader import operating
from loader.pipeline import Pipeline
from scripts.csv_generator import HEADER
from scripts.stack import REPOSITORY
from tests import forked
from tests.conftest import DEADLINE_SECONDS, WITHOUT_TESTS, World
from tests.integration.test_kpis import euro_sales_feed

FIRST_DAY = date(2025, 1, 1)
DAYS = (*range(60), *range(340, 400))  # so that customers leave and re-enter the window of the latest 365 days
ORDERS = range(1, 13)  # so few that an order comes back in other files, with returns, on other days
CUSTOMERS = ["", *(f"C{number}" for number in range(1, 31))]
PRODUCTS = {f"P{number}": (f"Product {number}", f"Category {number % 3}") for number in range(1, 8)}
CURRENCIES = ("EUR", "GBP", "AUD")  # of those that seeds/currency_rates.csv has
PLACES = [("North", "Online", "Ann"), ("North", "Store", "Bob"), ("South", "Online", "Cid"), ("", "Phone", "")]
STEPS = 45
SEEDS = (1, 2)


@dataclass
class History:
    """What happens to one world, drawn from a seed; `story` tells it, for whoever has to look into a difference."""

    seed: int
    world: World = field(repr=False)
    pipeline: Pipeline = field(repr=False)
    story: list[str] = field(default_factory=list)
    loaded: dict[str, int] = field(default_factory=dict)  # file ids by key, of what counts
    withdrawn: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.draw = random.Random(f"history {self.seed}")

    def step(self) -> None:
        steps = {self.upload: 10, self.correct: 6, self.take_back: 3, self.bring_back: 1, self.empty: 1, self.refuse: 1}
        self.draw.choices(list(steps), list(steps.values()))[0]()

    def upload(self) -> None:
        """A sheet of one to four days, any of the days: late ones too, and days that other files have."""
        feed = self.draw.choice(("CSV/sales_data_", "euro/"))
        self._put(f"{feed}{len(self.story):03}.csv")

    def correct(self) -> None:
        """Another sheet under a key that is there: other days, other customers, other orders."""
        if self.loaded:
            self._put(self.draw.choice(sorted(self.loaded)))

    def empty(self) -> None:
        if self.loaded:
            self._put(self.draw.choice(sorted(self.loaded)), days=0)

    def take_back(self) -> None:
        if self.loaded:
            key = self.draw.choice(sorted(self.loaded))
            self.withdrawn[key] = self.loaded.pop(key)
            operating.forget(self.pipeline, [self.withdrawn[key]], "a test takes it back")
            self.story.append(f"forget {key}")

    def bring_back(self) -> None:
        if self.withdrawn:
            key = self.draw.choice(sorted(self.withdrawn))
            self.loaded[key] = self.withdrawn.pop(key)
            (outcome,) = operating.retry(self.pipeline, [self.loaded[key]], (), None)
            assert outcome.status == "loaded"
            self.story.append(f"retry {key}")

    def refuse(self) -> None:
        """A broken sheet under a key whose good version goes on counting."""
        if self.loaded:
            key = self.draw.choice(sorted(self.loaded))
            assert self.pipeline.load_file(self.world.drop(key, f"{len(self.story)}\n".encode())).status == "rejected"
            self.story.append(f"refuse {key}")

    def _put(self, key: str, days: int | None = None) -> None:
        count = self.draw.randint(1, 4) if days is None else days
        dates = sorted({FIRST_DAY + timedelta(self.draw.choice(DAYS)) for _ in range(count)})
        outcome = self.pipeline.load_file(self.world.drop(key, self._sheet(dates, key.startswith("euro/"))))
        assert outcome.status == "loaded", outcome
        assert outcome.file_id
        self.loaded[key] = outcome.file_id
        self.withdrawn.pop(key, None)
        self.story.append(f"put {key}: {', '.join(map(str, dates)) or 'no row'}")

    def _sheet(self, dates: list[date], with_currency: bool) -> bytes:
        text = io.StringIO()
        columns = [*HEADER, "Currency"] if with_currency else HEADER
        written = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
        written.writeheader()
        for day in dates:
            for _ in range(self.draw.randint(1, 4)):
                written.writerows(self._order(day))
        return text.getvalue().encode()

    def _order(self, day: date) -> Iterator[dict[str, Any]]:
        draw = self.draw
        customer = draw.choice(CUSTOMERS)
        region, channel, representative = draw.choice(PLACES)
        kind = draw.choices(("sale", "return", "cancellation"), (8, 2, 1))[0]
        order = {
            "Sale Date": day,
            "Sale ID": f"S{draw.choice(ORDERS)}",
            "Customer ID": customer,
            "Customer Name": customer and f"Customer {customer} of {day:%B}",
            "Sales Region": region,
            "Sales Channel": channel,
            "Sales Representative": representative,
            "Payment Status": draw.choice(("Paid", "pending", "Pending")),
            "Delivery Status": {"cancellation": "Cancelled"}.get(kind, "Delivered"),
            "Delivery Date": draw.choice(("", day + timedelta(draw.randint(0, 9)))),
            "Currency": draw.choice(CURRENCIES),
        }
        for product in draw.sample(sorted(PRODUCTS), draw.randint(1, 4)):
            name, category = PRODUCTS[product]
            yield order | {
                "Product ID": product,
                "Product Name": f"{name} of {day:%B}",
                "Product Category": category,
                "Quantity Sold": draw.randint(1, 5) * (-1 if kind == "return" else 1),
                "Unit Price": f"{draw.randint(100, 9999) / 100:.2f}",
                "Discount (%)": draw.choice((0, 0, 5, 12.5, 33)),
                "Unit Cost": draw.choice(("", f"{draw.randint(50, 500) / 100:.2f}")),
                "Customer Rating": draw.choice(("", "", "1 star", "4 stars", "5 stars")),
            }


@contextmanager
def worker(world: World) -> Iterator[Callable[[], bool | None]]:
    """A process for one history, which models what waits: None when nothing does, else whether it was published."""
    with (
        Listener(family="AF_UNIX") as listener,
        forked.Process(["tests.integration.modelling", str(listener.address)], REPOSITORY, world.env) as process,
        listener.accept() as way,
    ):

        def model() -> bool | None:
            way.send(True)
            answer: bool | None = way.recv()
            return answer

        yield model
        way.send(False)
        assert process.wait(DEADLINE_SECONDS) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_any_history_gives_the_marts_of_a_full_refresh(
    world: World, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    feeds = tmp_path_factory.mktemp("feeds")
    (feeds / "euro_sales.yml").write_text(euro_sales_feed())
    settings = world.settings.model_copy(update={"feeds_dir": feeds})
    with Pipeline(settings) as pipeline, worker(world) as model:
        history = History(seed, world, pipeline)
        while len(history.story) < STEPS:
            for _ in range(history.draw.randint(1, 5)):
                history.step()
            assert model() is not False, told(history)
            history.story.append("transform")
    assert_equal_to_a_full_refresh(world, history)


# What a person may type beside the loader. A fact is rebuilt with what is built from it, or refused.
TYPED = (
    "run",
    "run --selector history",
    "run --select kpi_daily_sales kpi_customers",
    "run --select fct_orders+ --exclude tag:history",
    "run --select dim_products kpi_daily_original_returns kpi_monthly_product_pairs",
    "run --select fct_customer_days",
    "run --full-refresh --select kpi_daily_product_sales+",
    "run --full-refresh --select fct_customer_days+",
    "run --full-refresh",
)
REFUSALS = (
    "another dbt run is under way",
    "cannot be published without",
    "nothing was published",
    "has locked",
    "lock timeout",
)
FAULTS = ("raw.sales_lines", "core.fct_orders", "kpi.kpi_daily_category_sales")


@pytest.mark.timeout(480)
def test_any_order_of_runs_beside_each_other_ends_in_the_marts_of_a_full_refresh(world: World, tmp_path: Path) -> None:
    """Sheets come, a worker is at it, a person types commands, and some runs fail in the midst."""
    seed = int(os.environ.get("HISTORY_SEED", "3"))
    world.env["HISTORY_SECONDS"] = "1"
    (tmp_path / "euro_sales.yml").write_text(euro_sales_feed())
    settings = world.settings.model_copy(update={"feeds_dir": tmp_path})
    with Pipeline(settings) as pipeline:
        history = History(seed, world, pipeline)
        with world.process("transform"):
            for _ in range(6):
                for _ in range(history.draw.randint(2, 4)):
                    history.step()
                fault = history.draw.choice((*FAULTS, None, None, None))
                if fault:
                    world.run(f"revoke select on {fault} from transformer")
                command = history.draw.choice(TYPED)
                done = world.dbt(*command.split())
                if fault:
                    world.run(f"grant select on {fault} to transformer")
                history.story.append(f"dbt {command}: {done.returncode}, {fault or 'no'} fault")
                refused = any(refusal in done.stdout for refusal in (*REFUSALS, "permission denied"))
                assert done.returncode == 0 or refused, f"{done.stdout}\n{told(history)}"
        world.transform()
    assert_equal_to_a_full_refresh(world, history)


def assert_equal_to_a_full_refresh(world: World, history: History) -> None:
    assert world.value("select count(*) from raw.rebuild_queue") == 0
    grown = marts(world)
    done = world.dbt("build", "--full-refresh", *WITHOUT_TESTS)
    assert done.returncode == 0, f"{done.stdout}\n{told(history)}"
    made = marts(world)
    assert grown.keys() == made.keys()
    for name, rows in made.items():
        assert grown[name] == rows, (
            f"{name}: the full refresh has besides {list((rows - grown[name]).elements())[:5]}, "
            f"and has not {list((grown[name] - rows).elements())[:5]}\n{told(history)}"
        )
    for name in ("kpi.kpi_daily_sales", "kpi.kpi_cohort_months"):
        assert made[name], "a comparison of nothing"


def marts(world: World) -> dict[str, Counter[tuple[Any, ...]]]:
    """Every row of every table and view of core and kpi."""
    relations = world.rows(
        """select relnamespace::regnamespace::text || '.' || relname as name from pg_class
           where relnamespace in ('core'::regnamespace, 'kpi'::regnamespace) and relkind in ('r', 'v', 'm')
           order by 1"""
    )
    return {
        each["name"]: Counter(tuple(row.items()) for row in world.rows(f"select * from {each['name']}"))
        for each in relations
    }


def told(history: History) -> str:
    return f"history {history.seed}:\n" + "\n".join(history.story)
