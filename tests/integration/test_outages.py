"""What PostgreSQL refuses: what passes is tried again, what needs a person is one clear line, and a defect is seen."""

import csv
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date

import pytest
import sqlalchemy as sa
from psycopg import sql
from structlog.testing import capture_logs

from loader import watcher
from loader.errors import LoaderError, SettingsError, TransientError
from loader.events import encode
from loader.pipeline import Pipeline
from loader.sql.session import revision
from loader.sql.watch import seen
from loader.warehouse import Warehouse
from scripts.csv_generator import sheet
from tests.conftest import World, beside, eventually, maintenance
from tests.integration.test_delivery import loaded, publish, running_loader

SHEETS = [sheet(7, date(2026, 3, day), rows=40) for day in range(1, 4)]
HEADER, *LINES = SHEETS[0].content.decode().splitlines()


@pytest.fixture
def pipeline(world: World) -> Iterator[Pipeline]:
    with Pipeline(world.settings) as pipeline:
        yield pipeline


@contextmanager
def taking_no_writes(world: World) -> Iterator[None]:
    """As after a failover: who is connected is cut off, and who connects again finds that nothing can be written.

    Sessions that were opened meanwhile stay so to their end, as those with a server that is the stand-by now.
    """
    database = sql.Identifier(world.env["PGDATABASE"])
    with maintenance(world.env) as connection:
        connection.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(database))
        end_sessions(world)
        try:
            yield
        finally:
            connection.execute(sql.SQL("alter database {} reset default_transaction_read_only").format(database))


def end_sessions(world: World) -> None:
    world.run(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )


def raised(pipeline: Pipeline, statement: str) -> BaseException:
    """What comes of a statement in a session of the loader."""
    with pytest.raises(Exception) as caught, pipeline.warehouse.session() as session:
        session._connection.execute(sa.text(statement))
    return caught.value


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        ("08006", TransientError, "session with PostgreSQL was lost"),
        ("25006", TransientError, "takes no writes"),
        ("25P03", TransientError, "session with PostgreSQL was lost"),
        ("28000", TransientError, "check DATABASE_URL"),
        ("40001", TransientError, "tries again"),
        ("40P01", TransientError, "tries again"),
        ("42501", SettingsError, "loader migrate"),
        ("42703", SettingsError, "loader migrate"),
        ("42883", SettingsError, "loader migrate"),
        ("42P01", SettingsError, "loader migrate"),
        ("3F000", SettingsError, "loader migrate"),
        ("53100", TransientError, "tries again"),
        ("53300", TransientError, "tries again"),
        ("55P03", TransientError, "tries again"),
        ("57014", TransientError, "tries again"),
        ("57P01", TransientError, "session with PostgreSQL was lost"),
        ("57P03", TransientError, "session with PostgreSQL was lost"),
        ("58030", TransientError, "tries again"),
        ("XX000", TransientError, "tries again"),
        ("XX001", TransientError, "tries again"),
    ],
)
def test_what_postgresql_refuses_says_what_becomes_of_it(
    pipeline: Pipeline, state: str, kind: type[LoaderError], said: str
) -> None:
    error = raised(pipeline, f"do $$ begin raise exception 'as it says' using errcode = '{state}'; end $$")
    assert type(error) is kind
    assert said in str(error)
    assert f"as it says (SQLSTATE {state})" in str(error)
    assert ("check DATABASE_URL" in str(error)) == (state == "28000"), "that is for who cannot connect"


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("selec 1", sa.exc.ProgrammingError),
        ("select 1 / 0", sa.exc.DataError),
        ("insert into raw.rebuild_queue (sale_date, file_id) values (now(), 9)", sa.exc.IntegrityError),
        ("savepoint s; rollback; release s", sa.exc.InternalError),
        ("do $$ begin raise exception 'of a program'; end $$", sa.exc.DBAPIError),
    ],
)
def test_a_defect_is_neither_tried_again_nor_blamed_on_the_settings(
    pipeline: Pipeline, statement: str, kind: type[Exception]
) -> None:
    error = raised(pipeline, statement)
    assert isinstance(error, kind)
    assert not isinstance(error, LoaderError)


def test_a_loader_and_a_watcher_go_on_when_postgresql_takes_writes_again(world: World) -> None:
    patient = World(world.env | {"MAX_ATTEMPTS": "1000"}, world.stack)
    with capture_logs() as logs, running_loader(patient), beside(watcher.run, world.settings):
        world.drop(SHEETS[0].key, SHEETS[0].content)
        eventually("the first file", lambda: loaded(world, 1))
        with taking_no_writes(world):
            world.drop(SHEETS[1].key, SHEETS[1].content)
            eventually("a retry", lambda: [each for each in logs if "takes no writes" in each.get("error", "")])
        eventually("the second file", lambda: loaded(world, 2))
    assert not [each["event"] for each in logs if each["event"] in ("file_failed", "message_dead_lettered")]


def test_a_dbt_worker_and_a_command_say_in_one_line_that_postgresql_takes_no_writes(world: World) -> None:
    world.drop(SHEETS[0].key, SHEETS[0].content)
    assert world.loader("load", SHEETS[0].key).returncode == 0
    world.drop(SHEETS[1].key, SHEETS[1].content)
    with taking_no_writes(world):
        for command in (["transform", "--once"], ["load", SHEETS[1].key]):
            done = world.loader(*command)
            assert done.returncode == 1
            assert done.stderr.splitlines()[-1].startswith("loader: PostgreSQL takes no writes, and a running process")
    world.transform()
    assert world.value("select mart_version from ops.mart_version") == 1


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("drop table raw.rejected_rows cascade", 'relation "raw.rejected_rows" does not exist'),
        ("revoke select on raw.files from loader", "permission denied for table files"),
        ("alter table raw.files drop column drift cascade", 'column "drift" of relation "files" does not exist'),
    ],
)
def test_a_schema_that_is_not_as_migrated_ends_the_loader_with_what_to_run(world: World, harm: str, said: str) -> None:
    publish(world, encode(world.drop(SHEETS[0].key, SHEETS[0].content)))
    world.run(harm)
    done = world.loader("run", "--no-transform")
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "`loader migrate`" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_row_beyond_a_limit_of_postgresql_rejects_the_file_at_once(world: World, pipeline: Pipeline) -> None:
    world.run("create index on raw.sales_lines (product_name)")
    name = next(csv.DictReader([HEADER, LINES[0]]))["Product Name"]
    huge = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(6000))
    content = "\n".join([HEADER, LINES[0].replace(name, huge), *LINES[1:], ""]).encode()
    outcome = pipeline.load_file(world.drop(SHEETS[0].key, content))
    assert outcome.status == "rejected"
    assert "SQLSTATE 54000" in (outcome.error or "")
    assert huge[:10] not in (outcome.error or "")


def test_a_session_that_is_ended_is_said_to_be_lost_and_the_settings_are_not_blamed(
    world: World, pipeline: Pipeline
) -> None:
    def ask_and_be_cut_off() -> None:
        with pipeline.warehouse.session() as session:
            revision(session)
            end_sessions(world)
            revision(session)

    with pytest.raises(TransientError, match="session with PostgreSQL was lost") as caught:
        ask_and_be_cut_off()
    assert "DATABASE_URL" not in str(caught.value)
    assert pipeline.warehouse.ask(revision)


def test_a_server_that_cannot_be_reached_names_the_setting(world: World) -> None:
    wrong = World(world.env | {"DATABASE_URL": world.env["DATABASE_URL"].replace("loader:", "loader:not")}, world.stack)
    with closing(Warehouse(wrong.settings.database_url.get_secret_value())) as warehouse:
        ways: list[Callable[[], object]] = [warehouse.check, lambda: warehouse.ask(seen, world.bucket)]
        for ask in ways:
            with pytest.raises(TransientError, match=r"check DATABASE_URL.*password authentication failed"):
                ask()
