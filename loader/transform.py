"""`loader transform`: has dbt rebuild the dates that wait.

It runs what a person can type, `dbt build --target prod` with a selector. The run itself claims all that waits, so that
bursts of files coalesce, and publishes at its end if every node passed (dbt_sales/macros/publication). One run of
arrivals and one of the whole history at a time, whoever started them; workers of other replicas stand by.
"""

import hashlib
import os
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import structlog
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import CompiledNode
from dbt_common.events.base_types import EventMsg

from loader import metrics, tuning
from loader.errors import SettingsError
from loader.retries import pause
from loader.settings import Settings
from loader.sql import Session
from loader.sql import transform as sql
from loader.warehouse import Listener, Warehouse

log = structlog.get_logger()

# dbt keeps what it learns in a run in memory: the worker ends after this many, and its parent starts a fresh one.
_RUNS_PER_PROCESS = 500
_NODE_SECONDS = 3600  # that one node may take, in which dbt says nothing
_QUIET = ("--quiet", "--log-level", "none", "--log-level-file", "none")
_GENERATED = ("target", "logs")
_BROKEN = ("error", "fail", "runtime error")


def run(settings: Settings, stop: Event, once: bool = False) -> bool:
    """Rebuild whatever waits, until `stop` is set; `once`: until nothing waits or a run fails.

    Returns whether the last run succeeded. Raises TransientError when PostgreSQL goes away, SettingsError when dbt
    cannot read its project or profile.
    """
    with (
        closing(Warehouse(settings.database_url.get_secret_value())) as warehouse,
        closing(warehouse.listen("rebuild_queue")) as listener,
        warehouse.session() as session,
    ):
        warehouse.check()
        os.environ["DBT_STARTED_BY"] = f"the loader on {socket.gethostname()}"
        return _work(session, listener, settings, stop, once=once)


def _work(session: Session, listener: Listener, settings: Settings, stop: Event, *, once: bool) -> bool:
    project = Project(settings.dbt_project_dir)
    log.info("transform_started", project=str(settings.dbt_project_dir))
    failures = 0
    # One run for all that `--once` asks for; else no arrival waits for the marts of the whole history.
    history = None if once else HistoryRuns(settings)
    try:
        for _ in range(_RUNS_PER_PROCESS):
            succeeded = run_waiting(session, project, settings, stop, history)
            if succeeded is None and not make_ready(session, project):
                succeeded = False
            while succeeded is None and not once and not stop.is_set():
                metrics.heartbeat.beat(silence=settings.transform_poll_seconds)
                listener.wait(settings.transform_poll_seconds)
                succeeded = run_waiting(session, project, settings, stop, history)
            failures = 0 if succeeded else failures + 1
            if stop.is_set() or (once and not succeeded):
                break
            if failures:
                seconds = pause(settings, failures)
                metrics.heartbeat.beat(silence=seconds)
                stop.wait(seconds)
    finally:
        if history:
            history.end()
    return succeeded is not False


def run_waiting(
    session: Session, project: "Project", settings: Settings, stop: Event, history: "HistoryRuns | None"
) -> bool | None:
    """One dbt run for everything that waits: None when nothing does, else whether it was published.

    `history` builds the marts of the whole history when they are due; without it the same run builds them. Stands by
    while another run is under way. Raises TransientError where PostgreSQL takes no writes.
    """
    while not stop.is_set():
        waiting = sql.waiting_for_dbt(
            session,
            lease_seconds=settings.lease_seconds,
            history_seconds=settings.history_seconds,
            history_marts=project.history,
        )
        session.commit()
        if not waiting.is_busy and (history or not waiting.is_busy_with_history):
            break
        metrics.heartbeat.beat(silence=settings.transform_poll_seconds)
        stop.wait(settings.transform_poll_seconds)
    if stop.is_set():
        return None
    if history:
        history.keep_up(is_due=waiting.is_due)
    if not waiting.dates and (history or not waiting.is_behind):
        return None
    sql.prove_writes(session)
    session.commit()
    log.info("dbt_run_started", dates=waiting.dates)
    result = build(session, project, "on_arrival" if history else "behind")
    run = sql.finished_run(session, result.invocation_id)
    session.commit()
    if result.error or not run:
        log.error("dbt_run_failed", run_id=run and run.run_id, **result.loggable)
        return False
    log.info("mart_published", run_id=run.run_id, mart_version=run.mart_version, dates=run.dates, files=run.files)
    return True


def build(session: Session, project: "Project", selector: str | None) -> "Result":
    """Build and test what the selector names, if it is given, and the definitions if another run has come between.

    Build everything if a table or view is missing, or the project has changed since they were built.
    """
    project.read()
    there = sql.definitions(session)
    session.commit()
    if missing := project.relations - set(there.relations):
        log.info("relations_missing", relations=sorted(missing)[:5], number=len(missing))
    if missing or there.digest != project.digest:
        selector = "everything"
    elif there.is_touched:
        selector = {None: "definitions", "on_arrival": "project", "behind": "everything"}[selector]
    elif not selector:
        return Result([], None)
    result = project.invoke("build", selector)
    if not result.error:
        sql.definitions_are_built(
            session, digest=project.digest, last_run=there.last_run, invocation_id=result.invocation_id
        )
        session.commit()
    return result


def make_ready(session: Session, project: "Project") -> bool:
    """Make views and empty marts before anything has arrived, so that readers find tables without sales."""
    result = build(session, project, None)
    if result.error:
        log.error("marts_not_ready", **result.loggable)
    return not result.error


class HistoryRuns:
    """Runs of dbt that build the marts of the whole history, each in a process of its own."""

    def __init__(self, settings: Settings) -> None:
        options = _options(settings.dbt_project_dir)
        self._command = [f"{Path(sys.executable).parent}/dbt", *_QUIET, "build", "--selector", "history", *options]
        self._pause = settings.history_seconds
        self._began = -inf
        self._run: subprocess.Popen[bytes] | None = None

    def keep_up(self, *, is_due: bool) -> None:
        """Begin a run if it is due and none is under way; say what became of the one before."""
        if self._run:
            if self._run.poll() is None:
                return
            if self._run.returncode:
                log.error("history_failed", exit_code=self._run.returncode, next="`loader status` says why")
            else:
                log.info("history_published")
            self._run = None
        if is_due and monotonic() > self._began + self._pause:  # a run that dies before its claim leaves no trace
            log.info("history_started")
            self._began = monotonic()
            try:
                self._run = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
            except OSError as error:
                log.error("history_failed", error=str(error))

    def end(self) -> None:
        """End the run that is under way: another one will begin anew."""
        if self._run and self._run.poll() is None:
            self._run.terminate()
            self._run.wait()


def run_full_tests(settings: Settings) -> bool:
    """Take the snapshots and run every test that an arrival does not wait for. Returns whether everything went well.

    It is recorded as a run without dates, which claims and publishes nothing, so it can run beside a worker.
    Raises as `run` does.
    """
    with closing(Warehouse(settings.database_url.get_secret_value())) as warehouse:
        warehouse.check()
        started_at = datetime.now(UTC)
        result = Project(settings.dbt_project_dir).test()
        with warehouse.session() as session:
            status = "failed" if result.error else "succeeded"
            sql.record_tests(session, started_at=started_at, status=status, nodes=result.nodes, error=result.error)
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
    invocation_id: str | None = None

    @property
    def loggable(self) -> dict[str, Any]:
        """The nodes that failed, without their messages: PostgreSQL's quote rows. `loader status` has them."""
        broken = [node["node"] for node in self.nodes if node["status"] in _BROKEN]
        return {"nodes": broken} if broken else {"error": self.error}


class Project:
    """The dbt project. It is parsed once, and again when its files change: with the manifest at hand a run is fast.

    Raises SettingsError when dbt cannot read it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest: Manifest | None = None
        self._modified: dict[str, int] = {}
        self.digest = ""  # of its files
        self.relations: set[str] = set()  # its models and seeds, with their schemas
        self.history: set[str] = set()  # those of the whole history
        self.read()

    def read(self) -> None:
        """Parse it if its files have changed. Raises SettingsError when dbt cannot read it."""
        if self._modified == (modified := self._files()):
            return
        digest = hashlib.sha256()
        for path in sorted(modified):
            digest.update(os.path.relpath(path, self._folder).encode() + b"\0" + Path(path).read_bytes())
        parsed = dbtRunner().invoke(["--quiet", "parse", *_options(self._folder)])
        if not isinstance(parsed.result, Manifest):
            raise SettingsError(f"dbt cannot read {self._folder}: {parsed.exception}. `dbt parse` there says more")
        self._manifest = parsed.result
        nodes = [each for each in self._manifest.nodes.values() if each.resource_type in ("model", "seed")]
        self.relations = {f"{each.schema}.{each.name}" for each in nodes if not each.is_ephemeral_model}
        self.history = {f"{each.schema}.{each.name}" for each in nodes if "history" in each.tags}
        self.digest = digest.hexdigest()
        self._modified = modified
        tuning.keep_what_is_there()
        if self._files() != modified:  # while dbt parsed them
            self.read()

    def test(self) -> Result:
        """Take the snapshots and run the tests that are due on a schedule, even where the snapshots fail."""
        done = [self.invoke("snapshot", "snapshots"), self.invoke("test", "scheduled_tests")]
        errors = [result.error for result in done if result.error]
        return Result([node for result in done for node in result.nodes], "; ".join(errors) or None)

    def _files(self) -> dict[str, int]:
        files: dict[str, int] = {}
        for folder, folders, names in os.walk(self._folder):
            folders[:] = [each for each in folders if each not in _GENERATED]
            files |= {path: os.stat(path).st_mtime_ns for path in (os.path.join(folder, name) for name in names)}
        return files

    def invoke(self, command: str, selector: str) -> Result:
        """Run a command of dbt on what the selector names."""
        invocations: set[str] = set()

        def follow(event: EventMsg) -> None:
            metrics.heartbeat.beat(silence=_NODE_SECONDS)
            invocations.add(event.info.invocation_id)  # type: ignore[attr-defined]  # protobuf has no types

        assert self._manifest
        for node in self._manifest.nodes.values():
            # dbt inserts ephemeral models into their readers once for a manifest, and compiles all else each time.
            if isinstance(node, CompiledNode):
                node.extra_ctes, node.extra_ctes_injected = [], False
        runner = dbtRunner(manifest=self._manifest, callbacks=[follow])
        done = runner.invoke([*_QUIET, command, "--selector", selector, *_options(self._folder)])
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
        error = None if done.success else "; ".join(broken) or f"dbt: {done.exception}"
        return Result(nodes, error, *invocations)


def _options(folder: Path) -> list[str]:
    # dbt writes no files that nobody reads, and looks at no schema that the run does not touch.
    quick = ["--no-write-json", "--cache-selected-only"]
    return ["--project-dir", str(folder), "--target", "prod", *quick]


def keep_up(stop: Event) -> None:
    """Keep a worker process running beside `loader run` until `stop` is set, then let it finish its run."""
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
