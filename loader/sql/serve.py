"""Statements that bring history into PostgreSQL."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from loader.sql import Session, statements

_SQL = statements("serve")


def not_in_lake(session: Session, *, before: date, lake_files: Sequence[dict[str, Any]]) -> list[str]:
    """Keys of some files with sales before the date that are not among these: bucket, key, etag and size_bytes."""
    asked = {"before": before, "lake_files": json.dumps(lake_files)}
    return list(session.execute(_SQL["not_in_lake"], **asked).scalars())


def columns_of(session: Session, relation: str) -> list[str]:
    """The columns of a table, named with its schema, in the order of their names; none: there is no such table."""
    found: list[str] = session.execute(_SQL["columns_of"], relation=relation).scalar_one()
    return found


def set_seam(session: Session, *, live_since: date, lake: str) -> None:
    session.execute(_SQL["set_seam"], live_since=live_since, lake=lake)


def acknowledge_served(session: Session, lake_files: Sequence[dict[str, Any]]) -> int:
    """Take the dates before the seam of these files out of the queue. Returns how many waited."""
    found: int = session.execute(_SQL["acknowledge_served"], lake_files=json.dumps(lake_files)).scalar_one()
    return found
