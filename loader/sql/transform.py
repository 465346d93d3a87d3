"""Statements of the dbt worker before and after a run. Those of the run itself are macros of the dbt project."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from loader.sql import Session, statements

_SQL = statements("transform")


class Waiting(NamedTuple):
    """The work that waits for dbt, and whether another run is at work."""

    dates: int  # that wait to be rebuilt
    is_busy: bool  # a run of arrivals is under way
    is_busy_with_history: bool
    is_behind: bool  # the facts have changed since a mart of the whole history was built
    is_due: bool  # it is time to build those marts


def waiting_for_dbt(
    session: Session, *, lease_seconds: float, history_seconds: float, history_marts: Collection[str]
) -> Waiting:
    """A run without a sign of life for `lease_seconds` is not under way any more.

    `history_seconds`: at least so many between two builds of the marts of the whole history, `history_marts`.
    """
    asked = {"lease_seconds": lease_seconds, "history_seconds": history_seconds}
    (row,) = session.all(Waiting, _SQL["waiting_for_dbt"], **asked, history_marts=sorted(history_marts))
    return row


def prove_writes(session: Session) -> None:
    session.execute(_SQL["prove_writes"])


class Definitions(NamedTuple):
    """The tables and views that there are, with their schemas, and the project that they were built of."""

    digest: str | None
    is_touched: bool  # a run of somebody else may have replaced some
    last_run: int
    relations: list[str]


def definitions(session: Session) -> Definitions:
    (row,) = session.all(Definitions, _SQL["definitions"])
    return row


def definitions_are_built(session: Session, *, digest: str, last_run: int, invocation_id: str | None) -> None:
    """`last_run`: the last one before this one, whose `invocation_id` dbt has given."""
    asked = {"digest": digest, "last_run": last_run, "invocation_id": invocation_id}
    session.execute(_SQL["definitions_are_built"], **asked)


class Finished(NamedTuple):
    """A run of dbt with what it has published."""

    run_id: int
    dates: int
    files: int
    mart_version: int | None


def finished_run(session: Session, invocation_id: str | None) -> Finished | None:
    return next(iter(session.all(Finished, _SQL["finished_run"], invocation_id=invocation_id)), None)


def record_tests(
    session: Session, *, started_at: datetime, status: str, nodes: list[dict[str, Any]], error: str | None
) -> None:
    """`nodes`: those of dbt's run, with their results."""
    told = {"started_at": started_at, "status": status, "nodes": json.dumps(nodes), "error": error}
    session.execute(_SQL["record_tests"], **told)
