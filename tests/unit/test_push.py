"""The stream of changes: what an open page is told, and when it may rely on being told."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard import push


@pytest.mark.parametrize(("listens", "said"), [(True, "event: alive\ndata: 0\n\n"), (False, ":\n\n")])
def test_a_silent_stream_says_that_it_is_alive_while_postgresql_is_heard(
    monkeypatch: pytest.MonkeyPatch, listens: bool, said: str
) -> None:
    monkeypatch.setattr(push, "KEEPALIVE_SECONDS", 0.01)
    monkeypatch.setattr(push, "_listens", [listens])
    monkeypatch.setattr(push, "_ending", [False])

    async def first_two() -> list[str]:
        events = push._events()
        return [await anext(events), await anext(events)]

    with ThreadPoolExecutor(max_workers=1) as apart:  # the browser's loop may be this thread's
        opened, silent = apart.submit(lambda: asyncio.run(first_two())).result()
    assert f"data: {push.heard()}\n\n" in opened
    assert silent == said


def test_a_stream_that_is_opened_while_the_server_stops_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "_ending", [False])

    async def opened_while_stopping() -> list[str]:
        push._end_streams()
        async with asyncio.timeout(5):
            return [event async for event in push._events()]

    with ThreadPoolExecutor(max_workers=1) as apart:
        assert apart.submit(lambda: asyncio.run(opened_while_stopping())).result() == []
