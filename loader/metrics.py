"""The HTTP answers of a process: /metrics for Prometheus, /healthz for a supervisor.

The process counts its own work here, as it happens. Everything about the pipeline as a whole is read from PostgreSQL at
each scrape, so that any replica gives the right answer. docs/operating.md lists every metric. Only this module uses
prometheus_client.
"""

import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from threading import Lock, Thread
from time import monotonic, perf_counter
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    make_wsgi_app,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from loader import ledger
from loader.errors import LoaderError, SettingsError, TransientError
from loader.events import FileArrived
from loader.pipeline import Outcome
from loader.settings import Settings
from loader.sql import Session
from loader.sql import metrics as sql
from loader.warehouse import Warehouse

log = structlog.get_logger()

# A loop that is this much later than it said is taken to hang. It is more than S3's read timeout, which is only a wait.
_GRACE_SECONDS = 90
# Prometheus gives a scrape ten seconds, and health checks hardly more.
_PATIENCE_SECONDS = 3
_QUANTILES = (0.5, 0.95, 1.0)
_LOAD_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series, and nobody reads them

# Labels have few values: feeds, outcomes, partitions. A key is never one.
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
FILES = Counter("loader_files", "Arrivals processed, by outcome.", ["feed", "outcome"], registry=REGISTRY)
FAILED = FILES.labels("", ledger.State.FAILED)
ROWS = Counter("loader_rows", "Rows of processed files, by outcome.", ["feed", "outcome"], registry=REGISTRY)
BYTES = Counter(
    "loader_file_bytes",
    "Stored bytes of files loaded, rejected or unchanged.",
    ["feed"],
    registry=REGISTRY,
)
DURATION = Histogram(
    "loader_load_duration_seconds",
    "Time from starting on an object to the commit, for files that were loaded, rejected or unchanged.",
    ["feed"],
    registry=REGISTRY,
    buckets=_LOAD_SECONDS,
)
WARNED = Counter(
    "loader_files_warned",
    "Files loaded with a warning, for a person to look at.",
    ["feed"],
    registry=REGISTRY,
)
RETRIES = Counter("loader_retries", "Attempts repeated after a pause.", registry=REGISTRY)
FOREIGN = Counter("loader_events_ignored", "Events of buckets other than S3_BUCKET.", registry=REGISTRY)
DEAD_LETTERS = Counter(
    "loader_messages_dead_lettered", "Messages sent to the dead-letter topic.", ["reason"], registry=REGISTRY
)
LAG = Gauge(
    "loader_consumer_lag_messages",
    "Messages that the group has not committed yet, in the partitions of this replica.",
    ["partition"],
    registry=REGISTRY,
)
WORKER_FAILURES = Counter(
    "loader_dbt_worker_failures", "Times the dbt worker of this loader ended with an error.", registry=REGISTRY
)
LOOKS = Counter("loader_watcher_looks", "Listings of the bucket, by outcome.", ["outcome"], registry=REGISTRY)
ANNOUNCED = Counter("loader_watcher_announced", "Objects announced by the watcher.", registry=REGISTRY)
UNSEEN = Gauge(
    "loader_watcher_unseen",
    "Objects in the bucket that the ledger had not processed at the last listing.",
    registry=REGISTRY,
)
FORWARDED = Counter(
    "loader_bridge_forwarded", "Messages forwarded from the queue to the topic by the bridge.", registry=REGISTRY
)
for _reason in ("InvalidEvent", "ObjectGone", "TransientError"):
    DEAD_LETTERS.labels(_reason)
for _outcome in ("done", "failed"):
    LOOKS.labels(_outcome)


@contextmanager
def served(settings: Settings) -> Iterator[None]:
    """Answer on METRICS_PORT for as long as the context lasts, if it is set.

    Raises SettingsError when the port cannot be had.
    """
    if not settings.metrics_port:
        yield
        return
    url = settings.database_url.get_secret_value()
    with closing(Warehouse(url, patience_seconds=_PATIENCE_SECONDS)) as warehouse:
        state = State(warehouse)
        try:
            server = _bound(settings.metrics_host, settings.metrics_port, _app(state))
        except OSError as error:
            where = f"METRICS_HOST={settings.metrics_host} METRICS_PORT={settings.metrics_port}"
            raise SettingsError(
                f"settings: {where}: {error.strerror}. Each process of a machine needs a port of its own, or none"
            ) from error
        REGISTRY.register(state)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        log.info("metrics_served", host=settings.metrics_host, port=settings.metrics_port)
        try:
            yield
        finally:
            REGISTRY.unregister(state)
            server.shutdown()
            server.server_close()
            thread.join()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the library's
        """Log no request."""


def _bound(host: str, port: int, app: WSGIApplication) -> WSGIServer:
    """Raises OSError where the port cannot be had.

    The server of prometheus_client answers for a moment before `/healthz` can be added to it: with 200 and the metrics,
    even if the process is not well.
    """
    family, *_, (address, *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    kind = type("Server", (ThreadingWSGIServer,), {"address_family": family})
    return make_server(str(address), port, app, kind, _Silent)


def _app(state: "State") -> WSGIApplication:
    metrics = make_wsgi_app(REGISTRY)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return metrics(environ, start_response)  # type: ignore[no-any-return]
            case "/healthz":
                health = state.health()
                status = "503 Service Unavailable" if health["problems"] else "200 OK"
                start_response(status, [("Content-Type", "application/json")])
                return [json.dumps(health).encode() + b"\n"]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"here are /metrics and /healthz\n"]

    return app


class Heartbeat:
    """The last sign of life of the loop of this process, and how long it may stay silent."""

    def __init__(self) -> None:
        self.beat()

    def beat(self, silence: float = 0) -> None:
        """The loop is alive, and may do something that takes `silence` seconds before it says so again."""
        now = monotonic()
        self._last, self._due = now, now + silence + _GRACE_SECONDS

    @property
    def age(self) -> float:
        """Seconds since the last sign of life."""
        return monotonic() - self._last

    @property
    def overdue(self) -> bool:
        return monotonic() > self._due


heartbeat = Heartbeat()


class State(Collector):
    """The pipeline as a whole, read from PostgreSQL, and the health of this process."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._turn = Lock()

    def health(self) -> dict[str, Any]:
        """The answer of /healthz. A failed dbt run does not make the process unhealthy: a restart would not mend it.

        A run that gives no sign of life does not either: it may belong to another process.
        """
        problems = []
        if heartbeat.overdue:
            problems.append(f"the loop has given no sign of life for {heartbeat.age:.0f} s")
        told: dict[str, Any] = {"last_dbt_run": None, "dbt_under_way": None}
        try:
            told = self._ask(sql.health)
        except LoaderError as error:
            problems.append(str(error))
        return {
            "status": "unhealthy" if problems else "ok",
            "problems": problems,
            "heartbeat_age_seconds": round(heartbeat.age, 1),
            **told,
        }

    def collect(self) -> Iterator[Metric]:
        yield _gauge(
            "loader_loop_alive", "1 if the loop of this process gives signs of life, else 0.", not heartbeat.overdue
        )
        row = None
        try:
            row = self._ask(sql.metrics)
        except LoaderError as error:
            log.warning("database_not_scraped", error=str(error))
        yield _gauge("loader_database_up", "1 if PostgreSQL answered this scrape, else 0.", row is not None)
        if row:
            yield from _pipeline_metrics(row)

    def _ask(self, question: Callable[[Session], dict[str, Any]]) -> dict[str, Any]:
        """Raises TransientError when PostgreSQL does not answer in time.

        It asks one question at a time: while PostgreSQL hangs, scrapes that come every few seconds must not pile up.
        """
        if not self._turn.acquire(timeout=_PATIENCE_SECONDS):
            raise TransientError("PostgreSQL has not answered the question before this one yet")
        try:
            return self._warehouse.ask(question)
        finally:
            self._turn.release()


def _pipeline_metrics(row: Mapping[str, Any]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "loader_files_waiting", "Files that have not been processed yet, by status.", labels=["status"]
    )
    for status in sorted(ledger.WAITING):
        waiting.add_metric([status], row[status])
    yield waiting
    yield _gauge(
        "loader_files_waiting_age_seconds",
        "Age of the oldest file that has not been processed yet.",
        row["waiting_seconds"],
    )
    yield _gauge("loader_rebuild_queue_dates", "Dates that wait for a dbt run.", row["queue_dates"])
    yield _gauge(
        "loader_rebuild_queue_age_seconds", "Age of the oldest date that waits for a dbt run.", row["queue_seconds"]
    )
    yield _gauge(
        "loader_dbt_last_run_success", "1 if the last dbt run was published, 0 if it failed.", row["run_succeeded"]
    )
    yield _gauge("loader_dbt_last_run_duration_seconds", "Duration of the last dbt run.", row["run_seconds"])
    yield _gauge(
        "loader_dbt_last_run_timestamp_seconds", "End of the last dbt run, as a Unix time.", row["run_finished_at"]
    )
    yield _gauge(
        "loader_dbt_failed_runs", "Dbt runs that have failed since the last one that was published.", row["failed_runs"]
    )
    silence = row["run_silence_seconds"]
    yield _gauge(
        "loader_dbt_run_silence_seconds", "Time since the dbt run under way last gave a sign of life.", silence
    )
    yield _gauge("loader_objects_unseen", "Objects in the bucket that the ledger does not know.", row["objects_unseen"])
    problems = GaugeMetricFamily(
        "loader_problems", "1 for each problem that the dashboard shows.", labels=["problem", "severity", "subject"]
    )
    for each in row["problems"]:
        problems.add_metric(each, 1)
    yield problems
    yield _gauge("loader_mart_version", "The published version of the marts.", row["mart_version"])
    yield _gauge(
        "loader_mart_published_timestamp_seconds", "Publication of that version, as a Unix time.", row["published_at"]
    )
    latency = Metric(
        "loader_arrival_to_mart_seconds",
        "Time from an object's arrival to its figures in the marts, for files of the last hour with one attempt.",
        "summary",
    )
    for quantile, seconds in zip(_QUANTILES, row["arrival_to_mart"] or (), strict=False):
        latency.add_sample(latency.name, {"quantile": str(quantile)}, seconds)
    yield latency


def _gauge(name: str, meaning: str, value: float | None) -> GaugeMetricFamily:
    """A gauge; with None it has a name and no value yet."""
    family = GaugeMetricFamily(name, meaning, labels=[])
    if value is not None:
        family.add_metric([], float(value))
    return family


def measured(load: Callable[[FileArrived], Outcome]) -> Callable[[FileArrived], Outcome]:
    """The same load, with the attempts that come to an outcome counted and timed."""

    def measure(arrival: FileArrived) -> Outcome:
        began = perf_counter()
        outcome = load(arrival)
        feed = outcome.feed or ""
        FILES.labels(feed, "duplicate" if outcome.duplicate else outcome.status).inc()
        if outcome.warning:
            WARNED.labels(feed).inc()
        if outcome.counts:
            for name in ("loaded", "rejected", "skipped"):
                ROWS.labels(feed, name).inc(getattr(outcome.counts, name))
            BYTES.labels(feed).inc(outcome.size)
            DURATION.labels(feed).observe(perf_counter() - began)
        return outcome

    return measure


def expect(feeds: Iterable[str]) -> None:
    """Show these feeds from the start: a counter that first appears as 1 has no increase that an alert could see."""
    for feed in feeds:
        WARNED.labels(feed)
        for state in (ledger.State.LOADED, ledger.State.REJECTED, ledger.State.UNCHANGED):
            FILES.labels(feed, state)
        for outcome in ("loaded", "rejected", "skipped"):
            ROWS.labels(feed, outcome)


def show_lag(lag: Mapping[int, int]) -> None:
    """Set the lag by partition. A partition that has gone to another replica is no longer shown."""
    LAG.clear()
    for partition, messages in lag.items():
        LAG.labels(str(partition)).set(messages)
