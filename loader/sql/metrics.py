"""Heartbeats of the processes, and the figures for Prometheus and /healthz."""

from typing import Any

from loader.sql import Session, statements

_SQL = statements("metrics")


def metrics(session: Session) -> dict[str, Any]:
    """The state of the pipeline as a whole, by the names that `loader/metrics.py` makes series of."""
    return dict(session.execute(_SQL["metrics"]).mappings().one())


def health(session: Session) -> dict[str, Any]:
    """`last_dbt_run` and `dbt_under_way`, as /healthz has them."""
    return dict(session.execute(_SQL["health"]).mappings().one())


def beat(session: Session, process: str, instance: str) -> None:
    session.execute(_SQL["beat"], process=process, instance=instance)


def end_heartbeat(session: Session, process: str, instance: str) -> None:
    session.execute(_SQL["end_heartbeat"], process=process, instance=instance)
