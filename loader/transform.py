"""`loader transform`: rebuilds the dates that wait, by dbt, and publishes. The only home of dbt.

One worker at a time across replicas (see `lease.py`); the others stand by. A run claims all that waits at once, so
bursts of files coalesce; what it claimed is acknowledged only when every node passed.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import structlog
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.events.base_types import EventMsg

from loader import metrics
from loader.connections import kept_connections
from loader.errors import SettingsError, Unpublishable
from loader.lease import Lease
from loader.settings import Settings
from loader.warehouse import Listener, Session, Warehouse

log = structlog.get_logger()

# dbt keeps in memory what it learns of a run: the worker ends after so many, and its parent starts a fresh one.
_RUNS_PER_PROCESS = 500
# It looks through the whole call stack for the module of each of its behaviour flags, at the start of every run: 0.1 s,
# for warnings that say of which adapter they are.
BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt")  # type: ignore[method-assign]  # noqa: SLF001
_NODE_SECONDS = 3600  # of one node, in which dbt says nothing
_GENERATED = ("target", "logs")
_BROKEN = ("error", "fail", "runtime error")


def run(settings: Settings, stop: Event, once: bool = False) -> bool:
    """Rebuild whatever waits, until `stop` is set; `once`: until nothing waits or a run fails.

    Returns whether the last run succeeded. Raises TransientError when PostgreSQL goes away or another worker has taken
    over, SettingsError when dbt cannot read its project or profile.
    """
    with (
        closing(Warehouse(settings.database_url.get_secret_value())) as warehouse,
        closing(warehouse.listen("rebuild_queue")) as listener,
        warehouse.session() as session,
    ):
        warehouse.check()
        # dbt's connections: see ops.put_in_place.
        os.environ["PGOPTIONS"] = f"{os.environ.get('PGOPTIONS', '')} -c lock_timeout=10s"
        lease = Lease(warehouse, session, settings.lease_seconds)
        if not _take_turn(lease, settings, stop):
            return True
        with lease.kept(), kept_connections(lease.application_name, lease.check):
            session.execute("abandon_runs")
            session.commit()
            return _work(session, lease, listener, settings, stop, once=once)


def _work(session: Session, lease: Lease, listener: Listener, settings: Settings, stop: Event, *, once: bool) -> bool:
    project = Project(settings.dbt_project_dir)
    log.info("transform_started", project=str(settings.dbt_project_dir))
    failures = 0
    for _ in range(_RUNS_PER_PROCESS):
        succeeded = run_waiting(session, lease, project)
        if succeeded is None and not make_ready(session, lease, project):
            succeeded = False
        while succeeded is None and not once and not stop.is_set():
            metrics.heartbeat.beat(silence=settings.transform_poll_seconds)
            listener.wait(settings.transform_poll_seconds)
            succeeded = run_waiting(session, lease, project)
        failures = 0 if succeeded else failures + 1
        if stop.is_set() or (once and not succeeded):
            break
        if failures:
            pause = min(settings.retry_seconds * 2**failures, settings.retry_max_seconds)
            metrics.heartbeat.beat(silence=pause)
            stop.wait(pause)
    return succeeded is not False


def run_waiting(session: Session, lease: Lease, project: "Project") -> bool | None:
    """One dbt run for everything that waits: None when nothing does, else whether it was published.

    Raises TransientError when another worker has taken over: then nothing has changed.
    """
    lease.hold()
    run = session.execute("start_run").one_or_none()
    if not run:
        session.commit()
        return None
    session.execute("clear_next")
    session.commit()
    log.info("dbt_run_started", run_id=run.run_id, dates=run.dates, files=run.files)
    version = None
    placed: list[Future[None]] = []

    def place() -> None:
        if not any(each.done() and each.exception() for each in placed):
            session.put_in_place()

    # Beside dbt, in the transaction that publishes: the first facts are in place before the last mart is built.
    with ThreadPoolExecutor(max_workers=1) as beside:
        result = project.build(lambda: placed.append(beside.submit(place)))
    try:
        for each in placed:
            each.result()  # raises, whatever became of dbt
        if result.error is None:
            version = session.publish(run.run_id)
    except Unpublishable as refused:
        result = Result(result.nodes, result.error or str(refused))
    if result.error:
        session.rollback()
    lease.hold()  # last, as it keeps the lease from being renewed: who waits for it here waits for the commit alone
    session.execute(
        "finish_run",
        run_id=run.run_id,
        status="failed" if result.error else "succeeded",
        nodes=json.dumps(result.nodes),
        error=result.error,
        mart_version=version,
    )
    session.commit()
    if result.error:
        log.error("dbt_run_failed", run_id=run.run_id, **result.loggable)
    else:
        log.info("mart_published", run_id=run.run_id, mart_version=version, dates=run.dates, files=run.files)
    return result.error is None


def make_ready(session: Session, lease: Lease, project: "Project") -> bool:
    """Before anything has arrived, make empty marts, so that who looks finds no sales, and not no tables."""
    if project.built:
        return True
    lease.hold()
    session.execute("clear_next")  # of the worker that made them ready before this one
    session.commit()
    result = project.build()
    if result.error:
        log.error("marts_not_ready", **result.loggable)
    return not result.error


def run_full_tests(settings: Settings) -> bool:
    """Take the snapshots and run every test that an arrival does not wait for; whether all of it went well.

    It is recorded as a run of no dates, which claims and publishes nothing, so it may be done beside a worker. That is
    at its end, because dbt rebuilds what the latest `running` run has claimed. Raises as `run` does.
    """
    with closing(Warehouse(settings.database_url.get_secret_value())) as warehouse:
        warehouse.check()
        started_at = datetime.now(UTC)
        result = Project(settings.dbt_project_dir, target="warehouse").test()
        with warehouse.session() as session:
            status = "failed" if result.error else "succeeded"
            nodes = json.dumps(result.nodes)
            session.execute("record_tests", started_at=started_at, status=status, nodes=nodes, error=result.error)
            session.commit()
    if result.error:
        log.error("full_tests_failed", **result.loggable)
    else:
        log.info("full_tests_passed", nodes=len(result.nodes))
    return result.error is None


@dataclass(frozen=True)
class Result:
    """`nodes`: node, status, seconds, failures and message of each; `error`: None when all of them passed."""

    nodes: list[dict[str, Any]]
    error: str | None

    @property
    def loggable(self) -> dict[str, Any]:
        """What failed, without the messages of nodes: PostgreSQL's quote rows. `loader status` has them."""
        broken = [node["node"] for node in self.nodes if node["status"] in _BROKEN]
        return {"nodes": broken} if broken else {"error": self.error}


class Project:
    """The dbt project, parsed once and again when its files change: a run with the manifest at hand is fast.

    The target `worker` builds beside the published tables, for `publish_marts` to change all of them at once, and knows
    of no test but those that guard publication.
    """

    def __init__(self, folder: Path, target: str = "worker") -> None:
        self._folder = folder
        self._target = target
        self._manifest: Manifest | None = None
        self._fingerprint: dict[str, int] | None = None

    def build(self, on_built: Callable[[], None] | None = None) -> Result:
        """Build and test what arrived; where the project is new or has changed, its views and calendar too.

        `on_built` is called after each node of what arrived, by the thread that ran it.
        """
        steps = ["on_arrival"]
        if self._fingerprint != (fingerprint := self._files()):
            self._manifest = self._parse()
            steps = ["definitions", "on_arrival", "mart_views"]
        nodes: list[dict[str, Any]] = []
        for step in steps:
            result = self._invoke(step, on_built=on_built if step == "on_arrival" else None)
            nodes += result.nodes
            if result.error:
                return Result(nodes, result.error)
        self._fingerprint = fingerprint
        return Result(nodes, None)

    def test(self) -> Result:
        """Take the snapshots and run the tests that are due on a schedule, even where the snapshots fail."""
        self._manifest = self._parse()
        done = [self._invoke("snapshots", "snapshot"), self._invoke("scheduled_tests", "test")]
        errors = [result.error for result in done if result.error]
        return Result([node for result in done for node in result.nodes], "; ".join(errors) or None)

    @property
    def built(self) -> bool:
        """Whether it has been built as its files are now."""
        return self._fingerprint == self._files()

    def _files(self) -> dict[str, int]:
        files: dict[str, int] = {}
        for folder, folders, names in os.walk(self._folder):
            folders[:] = [each for each in folders if each not in _GENERATED]
            files |= {path: os.stat(path).st_mtime_ns for path in (os.path.join(folder, name) for name in names)}
        return files

    def _parse(self) -> Manifest:
        parsed = dbtRunner().invoke(["--quiet", "parse", *self._options()])
        if not isinstance(parsed.result, Manifest):
            raise SettingsError(f"dbt cannot read {self._folder}: {parsed.exception}. `dbt parse` there says more")
        # It lives as long as the process: to walk through it would cost the collector 0.4 s, in the midst of a run.
        gc.collect()
        gc.freeze()
        return parsed.result

    def _invoke(self, selector: str, command: str = "build", on_built: Callable[[], None] | None = None) -> Result:
        def follow(event: EventMsg) -> None:
            metrics.heartbeat.beat(silence=_NODE_SECONDS)
            if on_built and event.info.name == "NodeFinished":
                on_built()

        quiet = ["--quiet", "--log-level", "none", "--log-level-file", "none"]
        runner = dbtRunner(manifest=self._manifest, callbacks=[follow])
        done = runner.invoke([*quiet, command, "--selector", selector, *self._options()])
        if not isinstance(done.result, RunExecutionResult):
            return Result([], f"dbt: {done.exception}")
        nodes = [
            {
                "node": each.node.unique_id,
                "status": str(each.status),
                "seconds": round(each.execution_time, 3),
                "failures": each.failures,
                "message": each.message,
            }
            for each in done.result.results
        ]
        broken = [f"{node['node']}: {node['message']}" for node in nodes if node["status"] in _BROKEN]
        return Result(nodes, None if done.success else "; ".join(broken) or f"dbt: {done.exception}")

    def _options(self) -> list[str]:
        # Nothing is written that nobody reads, nothing asked of schemas that the run does not touch.
        quick = ["--no-write-json", "--cache-selected-only"]
        return ["--project-dir", str(self._folder), "--target", self._target, *quick]


def _take_turn(lease: Lease, settings: Settings, stop: Event) -> bool:
    """Wait until no other worker is at it. False: stopped before."""
    log.info("transform_waits_for_its_turn")
    while not lease.take():
        metrics.heartbeat.beat(silence=settings.transform_poll_seconds)
        if stop.wait(settings.transform_poll_seconds):
            return False
    return True


def keep_up(stop: Event) -> None:
    """Keep a worker process up beside `loader run` until `stop` is set; then let it finish its run."""
    while not stop.is_set():
        # Its standard input is a pipe from here: when this process dies, however it dies, the worker reads the end.
        command = [sys.executable, "-m", "loader", "transform", "--until-stdin-ends"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as worker:
            while worker.poll() is None and not stop.wait(0.2):
                pass
        if worker.returncode:
            metrics.WORKER_FAILURES.inc()
            log.error("transform_ended", exit_code=worker.returncode)
            stop.wait(1)
