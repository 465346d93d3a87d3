"""The state of the marts and of the pipeline that feeds them: what is published, and what is wrong."""

# ruff: noqa: ARG001 -- `heard` and `written` are part of the cache key, not of the query

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

import streamlit as st

from dashboard import database, push

FRESHNESS_SECONDS = 1.5  # so many sessions that look at the same moment cost one read


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong: one row of ops.problems."""

    problem: str
    severity: Literal["red", "amber"]
    subject: str | None
    since: datetime
    title: str  # for the badge
    sentence: str  # for those who read figures
    remedy: str  # for those who run the pipeline


@dataclass(frozen=True)
class Freshness:
    """The published state of the marts and of the pipeline that feeds them, and what is wrong, the worst first."""

    mart_version: int
    published_at: datetime
    last_event_at: datetime | None
    last_loaded_at: datetime | None
    files_waiting: int
    last_run_status: str | None
    last_run_error: str | None
    latency_p50_seconds: Decimal | None
    latency_p95_seconds: Decimal | None
    problems: tuple[Trouble, ...]
    entries: str  # tells apart the states of targets and notes: what shows them is cached under it, too


def look() -> Freshness:
    """The state now; raises Unavailable."""
    state = _freshness(push.heard(), database.written())
    _looked()[:] = [state]
    return state


def last_look() -> Freshness | None:
    """The last finding of `look` in this process, which survives an outage; answers are cached under it."""
    return next(iter(_looked()), None)


def shown() -> Freshness:
    """The state that the page is drawn of; raises Unavailable where none has been found yet."""
    return last_look() or look()


@st.cache_resource(show_spinner=False)
def _looked() -> list[Freshness]:
    return []


@st.cache_data(ttl=FRESHNESS_SECONDS, max_entries=2, show_spinner=False)
def _freshness(heard: int, written: int) -> Freshness:
    [row] = database.rows("freshness")
    troubles = [Trouble(**each | {"since": datetime.fromisoformat(each["since"])}) for each in row["problems"]]
    return Freshness(**row | {"problems": tuple(troubles)})
