"""The real local stack, started once per session; for each test a cloned database, a bucket and topics of its own."""

import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from types import FrameType
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from loader.events import FileArrived
from loader.object_store import ObjectStore
from loader.settings import Settings
from loader.warehouse import migrate
from scripts.csv_generator import sheet
from scripts.stack import REPOSITORY, Stack, throwaway
from tests import forked

BUFFERS_MIB = 128
FIRST_SHEET = sheet(7, date(2026, 3, 1), rows=60, bad_ratio=0.03)
DEADLINE_SECONDS = 150  # not what is promised: a slow machine takes that long to start a dbt worker

PROJECT = REPOSITORY / "dbt_sales"
WITHOUT_TESTS = [option for kind in ("unit_test", "test") for option in ("--exclude-resource-type", kind)]
# These take longest. Begun last, one of them would go on alone when the other processes have nothing left.
LONGEST = (
    "test_chaos", "test_marts", "test_runs", "test_order_headers", "test_histories", "integration/test_dbt_project",
    "test_operating", "test_delivery", "test_two_speeds", "test_kpis", "test_fuzz",
)  # fmt: skip

_databases: set[str] = set()  # of the worlds that are there now


def pytest_configure() -> None:
    """SIGTERM and SIGHUP end the session as Ctrl-C does, with the teardown of what is up."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(ending, _interrupt)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, and those of tests/unit last: short ones fill what is left of the time."""
    places = {name: place for place, name in enumerate(LONGEST)}

    def place(item: pytest.Item) -> int:
        path = str(item.path.with_suffix(""))
        longest = [places[name] for name in LONGEST if path.endswith(name)]
        return longest[0] if longest else len(LONGEST) + ("/unit/" in path)

    items.sort(key=place)


def _interrupt(number: int, _: FrameType | None) -> None:
    # Whoever ends a group of processes sends it twice: the second one would interrupt the teardown.
    signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt(signal.Signals(number).name)


def eventually(what: str, condition: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> Any:
    """The condition's first true value; fails when none comes before the deadline."""
    deadline = monotonic() + seconds
    while not (value := condition()):
        assert monotonic() < deadline, f"waited {seconds} s for {what}"
        Event().wait(0.05)
    return value


@contextmanager
def beside(work: Callable[..., None], *arguments: Any) -> Iterator[None]:
    """Run it in a thread; its last argument is the event that ends it with the block. pytest reports what it raises."""
    stop = Event()
    thread = Thread(target=work, args=[*arguments, stop])
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True)
class World:
    """One test's own part of the stack: database, bucket, topics, and the environment that names them."""

    env: dict[str, str]
    stack: Stack

    @property
    def settings(self) -> Settings:
        return Settings.read(**{name.lower(): value for name, value in self.env.items()})

    @property
    def bucket(self) -> str:
        return self.env["S3_BUCKET"]

    @property
    def dbt_folder(self) -> Path:
        return Path(self.env["DBT_TARGET_PATH"])

    def drop(self, key: str, content: bytes) -> FileArrived:
        """Put an object; returns the arrival that a notification would announce."""
        with closing(ObjectStore(self.settings)) as store:
            store.put(self.bucket, key, content)
        return FileArrived(self.bucket, key, datetime.now(UTC))

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.env["ADMIN_DATABASE_URL"], row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(query, parameters).fetchall()

    def run(self, query: str) -> None:
        with psycopg.connect(self.env["ADMIN_DATABASE_URL"], autocommit=True) as connection:
            connection.execute(query)

    def value(self, query: str, *parameters: object) -> Any:
        (row,) = self.rows(query, *parameters)
        (value,) = row.values()
        return value

    def loader(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the loader to its end."""
        return forked.run(["loader", *arguments], REPOSITORY, self.env)

    def dbt(self, *arguments: str, target: str = "prod", project: Path = PROJECT) -> subprocess.CompletedProcess[str]:
        """Run dbt in its project, as a person would."""
        env = self.env | {"DBT_TARGET_PATH": str(self.target_folder(*arguments, target=target, project=project))}
        return forked.run([forked.DBT, *arguments, "--target", target], project, env)

    def target_folder(self, *arguments: str, target: str, project: Path) -> Path:
        """A folder keeps one parse: for one target, one set of variables, one project. Parsing takes five seconds."""
        variables = arguments[arguments.index("--vars") + 1] if "--vars" in arguments else ""
        if (target, variables, project) == ("prod", "", PROJECT):
            return self.dbt_folder
        return self.dbt_folder / sha256(f"{target} {variables} {project}".encode()).hexdigest()[:12]

    def transform(self) -> None:
        """Model everything that waits."""
        done = self.loader("transform", "--once")
        assert done.returncode == 0, done.stderr

    @contextmanager
    def process(self, *arguments: str, module: str = "loader") -> Iterator[forked.Process]:
        """A process of the project in the background, ended by SIGTERM."""
        with forked.Process([module, *arguments], REPOSITORY, self.env) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGCONT)  # to one that a failed test leaves stopped
                process.wait(DEADLINE_SECONDS)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL, S3 and a Kafka-protocol broker."""
    # To drop a table PostgreSQL looks through all of its buffers, and dbt drops some for every model.
    with throwaway(tmp_path_factory.mktemp("stack"), buffers_mib=BUFFERS_MIB) as stack:
        yield stack


@pytest.fixture(scope="session")
def template(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a database with the migrated schema and every model built, with no row in it."""
    # In the name of the first world's database, as dbt's parse of the project is for that name.
    with new_world(stack, "template1", tmp_path_factory.mktemp("template")) as world:
        migrate(world.env["ADMIN_DATABASE_URL"])
        world.transform()  # as a worker does that finds nothing there: the next one does not build every view anew
        snapshots = world.dbt("snapshot")
        assert snapshots.returncode == 0, snapshots.stdout
        world.run("truncate raw.dbt_runs restart identity cascade")
        keep_as(world, "template_sales")
    return "template_sales"


@pytest.fixture
def world(stack: Stack, template: str, tmp_path: Path) -> Iterator[World]:
    """A world for one test."""
    with new_world(stack, template, tmp_path) as world:
        yield world


@pytest.fixture(scope="session")
def modelled_template(stack: Stack, template: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a database in whose marts the first sheet is."""
    with new_world(stack, template, tmp_path_factory.mktemp("modelled")) as world:
        world.drop(FIRST_SHEET.key, FIRST_SHEET.content)
        done = world.loader("load", FIRST_SHEET.key)
        assert done.returncode == 0, done.stderr
        world.transform()
        keep_as(world, "template_modelled")
    return "template_modelled"


@pytest.fixture
def modelled(stack: Stack, modelled_template: str, tmp_path: Path) -> Iterator[World]:
    """A world for one test, which begins with the first sheet loaded and published: version 1 of the marts."""
    with new_world(stack, modelled_template, tmp_path) as world:
        world.drop(FIRST_SHEET.key, FIRST_SHEET.content)
        world.run(f"update raw.files set bucket = '{world.bucket}'")
        yield world


def keep_as(world: World, template: str) -> None:
    with maintenance(world.env) as connection:
        names = [sql.Identifier(name) for name in (template, world.env["PGDATABASE"])]
        connection.execute(sql.SQL("create database {} template {}").format(*names))


@contextmanager
def new_world(stack: Stack, template: str, folder: Path) -> Iterator[World]:
    """A database cloned from the template, an empty bucket and unused topics."""
    # dbt keeps what it has parsed for as long as the name of the database is the same; parsing takes it ten seconds.
    database = next(each for number in count(1) if (each := f"sales_{number}") not in _databases)
    _databases.add(database)
    name = f"t{uuid.uuid4().hex[:12]}"
    env = os.environ | stack.env()
    with maintenance(env) as connection:
        clone = sql.SQL("create database {} template {}")
        connection.execute(clone.format(sql.Identifier(database), sql.Identifier(template)))
        connection.execute(sql.SQL("grant create on database {} to transformer").format(sql.Identifier(database)))
    urls = ("ADMIN_DATABASE_URL", "DATABASE_URL", "DASHBOARD_DATABASE_URL")
    env |= {url: at_database(env[url], database) for url in urls}
    env |= {
        "PGDATABASE": database,
        "S3_BUCKET": name,
        "KAFKA_TOPIC": f"{name}.files",
        "KAFKA_DEAD_LETTER_TOPIC": f"{name}.dead-letter",
        "KAFKA_GROUP": name,
        "KAFKA_SESSION_TIMEOUT_MS": "2000",
        "WATCH_SECONDS": "0.2",
        "WATCH_AGAIN_SECONDS": "2",
        "RETRY_SECONDS": "0.1",
        "RETRY_MAX_SECONDS": "0.5",
        "TRANSFORM_POLL_SECONDS": "0.2",
        "HISTORY_SECONDS": "3600",
        "DBT_TARGET_PATH": str(stack.folder / "dbt" / database),
        "DBT_LOG_PATH": str(folder / "dbt"),
        "DBT_LOG_LEVEL_FILE": "none",
        "DBT_WRITE_JSON": "false",
    }
    world = World(env, stack)
    with closing(ObjectStore(world.settings)) as store:
        store.create_bucket(name)
    yield world
    with maintenance(env) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))
    _databases.remove(database)


@contextmanager
def maintenance(env: dict[str, str]) -> Iterator[psycopg.Connection]:
    with psycopg.connect(at_database(env["ADMIN_DATABASE_URL"], "postgres"), autocommit=True) as connection:
        yield connection


def at_database(url: str, name: str) -> str:
    return f"{url.rpartition('/')[0]}/{name}"
