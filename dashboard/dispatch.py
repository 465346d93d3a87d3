"""Tells people who have no page open: alerts and reports are made, and handed over until they have arrived.

One loop in each process of the dashboard. Constraints and locks of the database see to it that several of them tell
everything once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from pydantic import ValidationError

from dashboard import alerts, database, notify, reports
from dashboard.database import Unavailable
from dashboard.settings import settings

MOST_ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 10
SHORTEST_PAUSE_SECONDS = 1
LONGEST_PAUSE_SECONDS = 3600
LEASE_SECONDS = 60  # longer than an attempt can take

log = structlog.get_logger()


@asynccontextmanager
async def watching(wanted: asyncio.Event) -> AsyncIterator[None]:
    """Work in a thread while inside: whenever `wanted` is set, and when something is due."""
    watcher = asyncio.create_task(_watch(wanted))
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def _watch(wanted: asyncio.Event) -> None:
    while True:
        outcomes = [await asyncio.to_thread(_attempt, step) for step in (alerts.evaluate, reports.issue, deliver)]
        pauses = [pause for taken, pause in outcomes[1:] if taken and pause is not None]
        if not all(taken for taken, _ in outcomes):
            pauses.append(LEASE_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pauses, default=None)):
                await wanted.wait()
        wanted.clear()


def _attempt(step: Callable[[], float | None]) -> tuple[bool, float | None]:
    """Whether the step could be taken, and its answer: one that cannot be taken keeps no other from it."""
    try:
        return True, step()
    except (Unavailable, ValidationError) as error:
        reason = str(error) if isinstance(error, Unavailable) else "settings"
        log.warning("dispatch_waits", step=step.__name__, error=reason)
    except Exception:  # the dashboard shows what it can even where nothing can be told
        log.exception("dispatch_failed", step=step.__name__)
    return False, None


def deliver() -> float | None:
    """Hand over every delivery that is due, and return the seconds until the next one is; raises Unavailable."""
    while claimed := database.write("claim_delivery", lease_seconds=LEASE_SECONDS):
        [row] = claimed
        error, hopeless = _hand_over(row)
        again = None
        if error is not None and not hopeless and row["attempts"] < MOST_ATTEMPTS:
            again = min(FIRST_PAUSE_SECONDS * 2 ** (row["attempts"] - 1), LONGEST_PAUSE_SECONDS)
        database.write("end_delivery", delivery_id=row["delivery_id"], error=error, again_seconds=again)
        of = {name: row[name] for name in ("delivery_id", "event_id", "issue_id", "channel")}
        if error is None:
            log.info("delivered", **of, attempt=row["attempts"])
        else:
            log.warning("not_delivered", **of, attempt=row["attempts"], error=error, again_seconds=again)
    [due] = database.read("next_delivery")
    return None if due["seconds"] is None else max(float(due["seconds"]), SHORTEST_PAUSE_SECONDS)


def _hand_over(row: Mapping[str, Any]) -> tuple[str | None, bool]:
    """The fault, if there was one, and whether it is useless to try again."""
    try:
        message = alerts.message(row["event_id"]) if row["issue_id"] is None else reports.message(row["issue_id"])
    except notify.Undeliverable as error:
        return str(error), True
    except Unavailable as error:
        return str(error), False
    except Exception:  # a fault of ours holds up one message, and not those behind it
        log.exception("message_failed", delivery_id=row["delivery_id"])
        return "it could not be put together", False
    return notify.send(row["channel"], row["recipient"], message, settings()), False
