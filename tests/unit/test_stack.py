"""The local stack's ports."""

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from scripts.stack import StackError, _alive, _port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_taken_is_refused_by_name(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK_KAFKA_PORT", str(taken))
    with pytest.raises(StackError, match=f"STACK_KAFKA_PORT={taken} is taken"):
        _port("kafka", None, preferred=59092)


def test_a_usual_port_that_is_taken_is_replaced(taken: int) -> None:
    assert _port("kafka", str(taken), preferred=taken) != taken


def test_a_throwaway_stack_keeps_out_of_the_way_of_the_one_in_the_environment(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACK_KAFKA_PORT", str(taken))
    assert _port("kafka", None, preferred=0) != taken


def test_a_process_that_has_ended_is_not_alive_although_nobody_has_waited_for_it() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        os.kill(process.pid, 0)  # raises nothing: it is still listed
        assert not _alive(process.pid)
    assert not _alive(process.pid)
    assert _alive(os.getpid())
