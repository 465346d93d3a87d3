"""PostgreSQL's NOTIFY to open pages: one LISTEN per process, server-sent events that carry one number and nothing else.

A page that hears a number looks again for itself, with its own rights. The number counts what this process has heard.
"""

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import structlog
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import StreamingResponse

from dashboard.access import VIEWER
from dashboard.settings import settings

PATH = "/changes"
HEALTH = (Path(__file__).parent / "sql" / "health.sql").read_bytes()
WORK = ("mart_version", "reports")  # published marts, and a report that was made, changed or asked for
# Also a file that was loaded and waits for marts; a file or a run that ended otherwise; alerts that were raised or have
# been seen; targets and notes that people entered.
CHANNELS = (*WORK, "rebuild_queue", "pipeline", "alerts", "entries")
RECONNECT_SECONDS = 2
HEALTH_SECONDS = 10
KEEPALIVE_SECONDS = 20  # shorter than the idle limit of common proxies, and than a page's patience

log = structlog.get_logger()
_streams: set[asyncio.Queue[int | None]] = set()
_heard = [0]
_listens = [False]
_ending = [False]


def heard() -> int:
    """How many changes this process has been told of: what was read before the latest may be out of date."""
    return _heard[0]


@asynccontextmanager
async def listening(on_work: Callable[[], None]) -> AsyncIterator[None]:
    """Pass on every notification while inside, and end all streams when the process is told to stop.

    `on_work` is called, in the event loop, when there is something to judge or to send, or may be.
    """
    _ending[0] = False
    listener = asyncio.create_task(_listen(on_work))
    _end_streams_on_signal(asyncio.get_running_loop())
    try:
        yield
    finally:
        _end_streams()
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener


async def stream(_: Request) -> StreamingResponse:
    """The event route: `data: <count>` when it is opened, as after a reconnect, and at every change; else `alive`.

    Nothing while the server stops.
    """
    return StreamingResponse(
        _events(), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def _events() -> AsyncIterator[str]:
    if _ending[0]:  # opened after the others were ended: the server would wait for it
        return
    mine: asyncio.Queue[int | None] = asyncio.Queue()
    _streams.add(mine)
    try:
        # A browser asks again after so many milliseconds when the stream breaks.
        yield f"retry: {RECONNECT_SECONDS * 1000}\ndata: {heard()}\n\n"
        while True:
            try:
                count = await asyncio.wait_for(mine.get(), KEEPALIVE_SECONDS)
            except TimeoutError:
                # A comment keeps proxies from closing the stream, and lets the page look by itself.
                yield "event: alive\ndata: 0\n\n" if _listens[0] else ":\n\n"
                continue
            if count is None:
                return
            yield f"data: {count}\n\n"
    finally:
        _streams.discard(mine)


async def _listen(on_work: Callable[[], None]) -> None:
    while True:
        try:
            url = settings().database_url.get_secret_value()
            async with await psycopg.AsyncConnection.connect(
                url,
                autocommit=True,
                connect_timeout=3,
                application_name="dashboard-listener",
                keepalives_idle=15,
                keepalives_interval=5,
                keepalives_count=3,  # else it may be gone for two hours
            ) as connection:
                for channel in CHANNELS:
                    await connection.execute(psycopg.sql.SQL("listen {}").format(psycopg.sql.Identifier(channel)))
                health = await _health(connection)
                _listens[0] = True
                _tell()  # what was notified while there was no connection is not lost
                on_work()
                while True:
                    async for notice in connection.notifies(timeout=HEALTH_SECONDS):
                        _tell()
                        if notice.channel in WORK:
                            on_work()
                    if health != (health := await _health(connection)):
                        _tell()
        except (psycopg.Error, ValidationError) as error:
            _listens[0] = False
            log.warning("listener_lost", error=type(error).__name__)
            _tell()  # the pages look, and find for themselves what is the matter
        await asyncio.sleep(RECONNECT_SECONDS)


async def _health(connection: psycopg.AsyncConnection[Any]) -> Any:
    """The problems, as far as they can be read: nobody notifies of a death, or of something that is late."""
    try:
        async with connection.transaction():
            await connection.execute(psycopg.sql.SQL("set local role {}").format(psycopg.sql.Identifier(VIEWER)))
            return await (await connection.execute(HEALTH)).fetchone()
    except psycopg.errors.ProgrammingError:  # before the first migration; the pages say so
        return None


def _tell() -> None:
    _heard[0] += 1
    for each in _streams:
        each.put_nowait(_heard[0])


def _end_streams() -> None:
    _ending[0] = True
    for each in _streams:
        each.put_nowait(None)


def _end_streams_on_signal(loop: asyncio.AbstractEventLoop) -> None:
    """An ASGI server waits for open answers before it stops, and these would never end by themselves."""
    if threading.current_thread() is not threading.main_thread():
        return

    def ending(earlier: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(_end_streams)
            earlier(number, frame)

        return handle

    for number in (signal.SIGTERM, signal.SIGINT):
        earlier = signal.getsignal(number)
        if callable(earlier):
            signal.signal(number, ending(earlier))
