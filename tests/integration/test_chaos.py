"""Whatever dies or comes, in whatever order: in the end everything counts that should count, once and to the cent.

For a minute a loop draws from a seed what is killed, paused, uploaded or published next, against real processes and
servers. What has to come out is counted by the test itself, from the sheets that it has uploaded.
"""

import os
import random
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, Producer

from loader.aws import sqs_client
from loader.broker import ensure_topics
from loader.errors import TransientError
from loader.events import FileArrived, encode
from loader.object_store import ObjectStore
from loader.warehouse import migrate
from loader.watcher import Watcher
from scripts.csv_generator import Sheet, sheet
from scripts.stack import SERVERS, StackError, throwaway
from tests.conftest import World, eventually, new_world

CHAOS_SECONDS = float(os.environ.get("CHAOS_SECONDS", "60"))
SETTLE_SECONDS = 180  # at most: it takes less than one minute, of two in all
STUCK_SECONDS = 40  # without anything new, after which the broker is asked whether it still gives out partitions
LINES_OF_THE_LOG = 300
KEYS = [f"CSV/sales_data_{number:02}.csv" for number in range(20)]
DAYS = [date(2026, 3, 1) + timedelta(number) for number in range(15)]
# A process that dies of an error that is expected says so in one line. Only SQLAlchemy's pool logs a traceback then, in
# one piece: of a connection that it cannot give back, as its server has been killed.
OF_THE_POOL = "Exception (?:during reset|terminating|closing)"
TRACEBACK = re.compile(
    rf"^(?!{OF_THE_POOL})[^\n]*\nTraceback \(most recent call last\):\n(?:\s[^\n]*\n)*[^\n]*", re.MULTILINE
)
PROCESSES = {
    "the watcher": ("watch",), "the bridge": ("bridge",), "the loader with dbt": ("run",),
    "the loader": ("run", "--no-transform"),
}  # fmt: skip


class Chaos:
    """One world under fire. `there` is what the bucket holds, `counts` what has to count of each key."""

    def __init__(self, world: World, seed: int, log: Path) -> None:
        self.world = world
        self.draw = random.Random(seed)
        self.log = log.open("ab")
        self.began = monotonic()
        self.story: list[str] = []
        self.there: dict[str, bytes] = {}
        self.counts: dict[str, Sheet] = {}
        self.uploaded: list[Sheet] = []
        self.events: list[bytes] = []
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.away: set[str] = set()
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.waits_for: dict[str, Any] = {}
        self.waits_since = self.began

    def rage(self) -> None:
        steps = {
            self.upload: 12, self.upload_again: 4, self.upload_an_earlier_one: 3, self.delete: 4, self.spoil: 3,
            self.announce: 6, self.publish_hostile: 4, self.kill: 2, self.pause: 2, self.kill_server: 1,
        }  # fmt: skip
        while monotonic() < self.began + CHAOS_SECONDS or len(self.counts) <= len(KEYS) / 2:  # a comparison of little
            self.keep_up()
            self.draw.choices(list(steps), list(steps.values()))[0]()
            Event().wait(self.draw.uniform(0, 1))

    def keep_up(self) -> None:
        """What is due is done, and what has died is started again, as a supervisor would."""
        due = [each for each in self.later if each[0] <= monotonic()]
        self.later = [each for each in self.later if each not in due]
        for _, action in due:
            action()
        for name, arguments in PROCESSES.items():
            if name not in self.processes or self.processes[name].poll() is not None:
                command = [sys.executable, "-m", "loader", *arguments]
                self.processes[name] = subprocess.Popen(
                    command, env=self.world.env, stdout=self.log, stderr=subprocess.STDOUT
                )

    def calm(self) -> None:
        """Nothing new comes, and everything is up again."""

        def back() -> bool:
            self.keep_up()
            return not self.later and all(map(self.world.stack.pid, SERVERS))

        eventually("the servers", back)
        self.world.stack.up()

    def end_stuck_broker(self) -> None:
        """Kill the broker if its group gives nobody a partition, as who operates it would.

        The one from the wheel never misses a leader of the group that dies during a rebalance, and waits for it without
        end. Apache Kafka ends the session of such a member.
        """
        settings, partitions = self.world.settings, []
        given = {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": settings.kafka_group}
        timeout = {"session.timeout.ms": settings.kafka_session_timeout_ms, "heartbeat.interval.ms": 500}
        strategy = {"partition.assignment.strategy": "cooperative-sticky", "enable.auto.commit": False}
        with closing(Consumer(given | timeout | strategy)) as member:
            member.subscribe([settings.kafka_topic], on_assign=lambda _, assigned: partitions.extend(assigned))
            until = monotonic() + 15
            while not partitions and monotonic() < until:
                member.poll(0.5)
        if not partitions and (pid := self.world.stack.pid("kafka")):
            os.kill(pid, signal.SIGKILL)
            self.tell("kill kafka, whose group gave nobody a partition")

    def show_stacks(self) -> None:
        """Have every process write to the log where it stands, and die of it."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGABRT)

    def end(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
        with self.log:
            for process in self.processes.values():
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGABRT)  # it writes to the log where it stands
                    process.wait()
                    raise

    def tell(self, what: str) -> None:
        self.story.append(f"{monotonic() - self.began:6.1f} {what}")

    def upload(self) -> None:
        """A sheet, new or in place of another: other rows, and mostly those of another day."""
        each = sheet(self.draw.randrange(10**6), self.draw.choice(DAYS), rows=30, bad_ratio=0.05)
        self.uploaded.append(replace(each, key=self.draw.choice(KEYS)))
        self._put_to_count(self.uploaded[-1])

    def upload_an_earlier_one(self) -> None:
        if self.uploaded:
            self._put_to_count(self.draw.choice(self.uploaded))

    def _put_to_count(self, each: Sheet) -> None:
        self.counts[each.key] = each
        self._put(each.key, each.content, f"upload {each.summary['sale_date']} as")

    def upload_again(self) -> None:
        if self.there:
            key = self.draw.choice(sorted(self.there))
            self._put(key, self.there[key], "upload the same to")

    def spoil(self) -> None:
        """A sheet that is refused as a whole takes the place of a loaded one, which goes on counting."""
        if key := self._loaded():
            self._put(key, self.draw.randbytes(8).hex().encode(), "spoil")

    def _put(self, key: str, content: bytes, what: str) -> None:
        self.events.append(encode(self.world.drop(key, content)))
        self.there[key] = content
        self.tell(f"{what} {key}")
        if self.draw.random() < 0.3:  # else the watcher finds it
            self._notify(self.events[-1])

    def delete(self) -> None:
        """Remove an object that has been loaded: its rows go on counting."""
        if key := self._loaded():
            with closing(ObjectStore(self.world.settings)) as store:
                store.delete(self.world.bucket, key)
            del self.there[key]
            self.tell(f"delete {key}")
            self.events.append(removal(FileArrived(self.world.bucket, key, datetime.now(UTC))))
            if self.draw.random() < 0.7:
                self._notify(self.events[-1])

    def _loaded(self) -> str | None:
        """A key of which the ledger says that what the bucket holds has been loaded."""
        sheets = [self.counts[key] for key, content in self.there.items() if content == self.counts[key].content]
        loaded = "select exists (select from raw.files where key = %s and sha256 = %s and status = 'loaded')"
        with suppress(psycopg.Error):  # PostgreSQL is away
            for each in self.draw.sample(sheets, len(sheets)):
                if self.world.value(loaded, each.key, each.summary["sha256"]):
                    return each.key
        return None

    def announce(self) -> None:
        """What was published before, or should have been: again, and in another order."""
        if self.events:
            self._publish(*self.draw.choices(self.events, k=self.draw.randint(1, 6)))

    def publish_hostile(self) -> None:
        now = datetime.now(UTC)
        missing = FileArrived(self.world.bucket, "CSV/sales_data_19990101.csv", now)
        there = FileArrived(self.world.bucket, self.draw.choice(KEYS), now)  # as most of them are
        hostile = (
            b"", b"{", b"null", b'{"Records": [{"eventName": 1}]}', self.draw.randbytes(100), b"x" * 990_000,
            encode(missing), removal(missing), removal(there), encode(replace(there, bucket="another-bucket")),
        )  # fmt: skip
        self._publish(*self.draw.choices(hostile, k=2))

    def _notify(self, event: bytes) -> None:
        """Through the queue and the bridge, or to the topic."""
        if self.draw.random() < 0.5:
            self._publish(event)
        else:
            with closing(sqs_client(self.world.settings)) as client:
                client.send_message(QueueUrl=self.world.env["SQS_QUEUE_URL"], MessageBody=event.decode())
            self.tell("queue 1")

    def _publish(self, *messages: bytes) -> None:
        """Tell the broker, if it hears: who notifies gives no guarantee either."""
        if "kafka" in self.away:
            return
        with suppress(TransientError):
            ensure_topics(self.world.settings)
        servers = self.world.settings.kafka_bootstrap_servers
        producer = Producer({"bootstrap.servers": servers, "message.timeout.ms": 2000, "log_level": 0})
        for message in messages:
            producer.produce(self.world.settings.kafka_topic, message)
        self.tell(f"publish {len(messages)}, {producer.flush(3)} of them not taken")

    def kill(self) -> None:
        pid, name = self._victim()
        self.tell(f"kill {name}")
        os.kill(pid, signal.SIGKILL)

    def pause(self) -> None:
        """Stop a process for longer or shorter than the session of the group and the lease of a file."""
        pid, name = self._victim()
        seconds = self.draw.uniform(0, 8)
        self.tell(f"pause {name} for {seconds:.1f} s")
        os.kill(pid, signal.SIGSTOP)

        def resume() -> None:
            with suppress(ProcessLookupError):  # it has been killed meanwhile
                os.kill(pid, signal.SIGCONT)

        self.later.append((monotonic() + seconds, resume))

    def _victim(self) -> tuple[int, str]:
        """One of the processes, or the dbt worker of one."""
        name = self.draw.choice(list(PROCESSES))
        pid = self.processes[name].pid
        threads = Path(f"/proc/{pid}/task").glob("*/children")
        workers = [int(child) for thread in threads for child in thread.read_text().split()]
        return (workers[0], "the dbt worker") if workers and self.draw.random() < 0.5 else (pid, name)

    def kill_server(self) -> None:
        """PostgreSQL or the broker dies; its supervisor starts it again at once, or it stays away for a while."""
        name = self.draw.choice(("postgres", "kafka"))
        if name in self.away or not (pid := self.world.stack.pid(name)):
            return
        if seconds := self.draw.choice((0, self.draw.uniform(1, 8))):
            os.kill(pid, signal.SIGSTOP)  # so that it does not end in an orderly way when it is told to
            with self.world.stack._supervisor() as supervisor:
                supervisor.stopProcess(name, False)
            self.away.add(name)
            self.later.append((monotonic() + seconds, lambda: self._come_back(name)))
        os.kill(pid, signal.SIGKILL)
        self.tell(f"kill {name}, away for {seconds:.1f} s")

    def _come_back(self, name: str) -> None:
        self.away.discard(name)
        with suppress(StackError):  # where what is left of the dead one is in the way, its supervisor tries again
            self.world.stack.start(name)


def removal(arrival: FileArrived) -> bytes:
    return encode(arrival).replace(b"ObjectCreated:Put", b"ObjectRemoved:Delete")


@pytest.fixture
def fire(moto: str, tmp_path: Path) -> Iterator[Chaos]:
    """A stack of its own, whose PostgreSQL has to survive being killed, with an empty warehouse and bucket."""
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(10**6)))
    with throwaway(tmp_path / "stack", durable=True) as stack, new_world(stack, "template1", tmp_path) as world:
        migrate(world.env["ADMIN_DATABASE_URL"])
        env = world.env | {"LEASE_SECONDS": "3", "PYTHONFAULTHANDLER": "1", "SQS_ENDPOINT_URL": moto}
        with closing(sqs_client(World(env, stack).settings)) as client:
            queue = client.create_queue(QueueName=f"chaos-{seed}", Attributes={"VisibilityTimeout": "1"})
        chaos = Chaos(World(env | {"SQS_QUEUE_URL": queue["QueueUrl"]}, stack), seed, tmp_path / "log")
        try:
            yield chaos
        finally:
            try:
                chaos.end()
            finally:
                log = (tmp_path / "log").read_text(errors="replace").splitlines()
                print(f"CHAOS_SEED={seed}", *chaos.story, "The end of the log:", *log[-LINES_OF_THE_LOG:], sep="\n")
        assert not TRACEBACK.findall("\n" + (tmp_path / "log").read_text(errors="replace")), (
            "a defect, or no plain error"
        )


@pytest.mark.timeout(CHAOS_SECONDS + 360)
def test_whatever_dies_and_comes_everything_counts_once_and_to_the_cent(fire: Chaos) -> None:
    fire.rage()
    fire.calm()
    world, counts = fire.world, fire.counts
    with closing(Watcher(world.settings)) as watcher:
        try:
            eventually("the ledger to settle", lambda: settled(fire, watcher), SETTLE_SECONDS)
        except AssertionError:
            fire.show_stacks()
            raise
    current = world.rows("select * from raw.files where status = 'loaded' order by key")
    assert [row["key"] for row in current] == sorted(counts), "one current version of each key"
    lines = world.rows(
        """select file_id, count(*) as lines,
               sum(case line_type when 'sale' then 1 when 'return' then -1 else 0 end * (
                   round(abs(quantity) * unit_price, 2) - round(abs(quantity) * unit_price * discount_rate, 2))) as net
           from raw.sales_lines group by file_id"""
    )
    found = {row["file_id"]: (row["lines"], row["net"]) for row in lines}
    assert found.keys() == {row["file_id"] for row in current}, "no line of any other version"
    net: dict[date, Decimal] = defaultdict(Decimal)
    for row in current:
        summary = counts[row["key"]].summary
        assert row["sha256"] == summary["sha256"], "the latest version counts"
        assert found[row["file_id"]] == (summary["rows"], Decimal(summary["net_sales"]))
        assert (row["rows_loaded"], row["rows_rejected"]) == (summary["rows"], len(summary["bad_lines"]))
        net[date.fromisoformat(summary["sale_date"])] += Decimal(summary["net_sales"])
    assert world.rows("select * from raw.files where rows_read <> rows_loaded + rows_rejected + rows_skipped") == []
    mart = world.rows("select sale_date, sum(net_sales) as net from kpi.kpi_daily_sales group by sale_date")
    assert {row["sale_date"]: row["net"] for row in mart} == net


def settled(fire: Chaos, watcher: Watcher) -> bool:
    """The watcher has nothing to announce, no file is on its way, and no date waits for dbt."""
    fire.keep_up()
    waiting = {
        "to announce": [version.key for version in watcher.unseen()],
        "on the way": fire.world.rows(
            "select key, status, error from raw.files where status in ('discovered', 'loading', 'failed')"
        ),
        "to rebuild": fire.world.value("select count(*) from raw.rebuild_queue"),
    }
    if fire.waits_for != waiting:
        fire.waits_for, fire.waits_since = waiting, monotonic()
        fire.tell(f"waiting: {waiting}")
    elif monotonic() > fire.waits_since + STUCK_SECONDS:
        fire.waits_since = monotonic()
        fire.end_stuck_broker()
    return not any(waiting.values())
