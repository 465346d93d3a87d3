"""How long to wait before something is tried again: longer each time, up to a limit."""

from threading import Event

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)

from loader import metrics
from loader.errors import TransientError
from loader.settings import Settings

log = structlog.get_logger()


def retrying(settings: Settings, stop: Event) -> Retrying:
    """Capped exponential backoff with jitter for TransientError; gives up at once when `stop` is set."""
    return Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(multiplier=settings.retry_seconds, max=settings.retry_max_seconds),
        stop=stop_after_attempt(settings.max_attempts) | stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=_log_retry,
        reraise=True,
    )


def pause(settings: Settings, failures: int) -> float:
    """Seconds to wait after so many failures in a row, where a loop goes on by itself."""
    return min(settings.retry_seconds * 2.0**failures, settings.retry_max_seconds)


def _log_retry(state: RetryCallState) -> None:
    metrics.RETRIES.inc()
    error = state.outcome.exception() if state.outcome else None
    log.warning("retrying", attempt=state.attempt_number, seconds=round(state.upcoming_sleep, 1), error=str(error))
