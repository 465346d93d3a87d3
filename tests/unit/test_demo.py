"""The demo waits for a page that starts slowly, and says what to do about one that never answers."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from scripts import demo


def refuse(_: socket.socket, __: Event) -> None:
    """Close without an answer: what a client meets depends on what it has sent by then."""


def reset(connection: socket.socket, _: Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_and_close(connection: socket.socket, _: Event) -> None:
    connection.recv(4096)


def hang(_: socket.socket, stop: Event) -> None:
    stop.wait()


def babble(connection: socket.socket, _: Event) -> None:
    connection.recv(4096)
    connection.sendall(b"not HTTP at all\r\n\r\n")


STARTING = [refuse, reset, read_and_close, hang, babble]


@contextmanager
def server(*, turns: int, behave: Callable[[socket.socket, Event], None]) -> Iterator[str]:
    """The address of a page that does this to its first callers, and then answers; `turns` -1: it never does."""
    stop = Event()

    def serve() -> None:
        left = turns
        while not stop.is_set():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            with connection:
                if left:
                    left -= 1
                    behave(connection, stop)
                else:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/_stcore/health"
        finally:
            stop.set()
            thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATIENCE_SECONDS", 1)
    monkeypatch.setattr(demo, "ANSWER_SECONDS", 0.5, raising=False)


@pytest.mark.parametrize("behave", [each for each in STARTING if each is not hang])
def test_the_demo_waits_for_a_page_that_starts_slowly(behave: Callable[[socket.socket, Event], None]) -> None:
    with server(turns=2, behave=behave) as address:
        demo.wait_for_page(address)


@pytest.mark.parametrize("behave", STARTING)
def test_a_page_that_never_answers_is_named_with_where_to_look(behave: Callable[[socket.socket, Event], None]) -> None:
    with (
        server(turns=-1, behave=behave) as address,
        pytest.raises(demo.DemoError, match=rf"{address} within 1 s \(.+\): see \.stack/logs/dashboard\.log"),
    ):
        demo.wait_for_page(address)
