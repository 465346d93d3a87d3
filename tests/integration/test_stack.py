"""The local stack goes up and comes down, whatever its surroundings make of it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from pydantic import SecretStr

import scripts.stack
from loader.errors import TransientError
from loader.object_store import ObjectStore
from loader.settings import Settings
from scripts.stack import REPOSITORY, SERVERS, Stack, _alive
from tests.conftest import DEADLINE_SECONDS, eventually


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stack]:
    """A stack for one test, that it may end."""
    stack = Stack(tmp_path / "stack", lasting=False, durable=False)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
        shutil.rmtree((stack.folder / "postgres").resolve(), ignore_errors=True)


def test_a_stack_is_down_though_nobody_has_waited_for_its_first_process(tmp_path: Path) -> None:
    """As in a container whose first process waits for no orphan: ended processes stay listed there."""
    script = f"""
import ctypes
from pathlib import Path
import scripts.stack
from scripts.stack import Stack
scripts.stack.READY_SECONDS = scripts.stack.STOP_SECONDS = 10
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans come to this process, which ignores them
stack = Stack(Path({str(tmp_path)!r}), lasting=False)
stack.up()
stack.down()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    shutil.rmtree((tmp_path / "postgres").resolve(), ignore_errors=True)
    assert done.returncode == 0, done.stderr


def test_down_waits_for_processes_that_end_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(scripts.stack, "STOP_SECONDS", 3, raising=False)
    stack: Stack = request.getfixturevalue("own")
    monkeypatch.setattr(scripts.stack, "READY_SECONDS", 4)
    for name in ("s3", "kafka"):
        os.kill(stack.pid(name), signal.SIGSTOP)  # it does not end by itself
    stack.down()
    assert not stack.running()


def test_down_again_waits_for_the_end_that_was_begun(own: Stack) -> None:
    last = own.pid("kafka")
    os.kill(last, signal.SIGSTOP)
    with own._supervisor() as supervisor:
        supervisor.shutdown()
    assert own.running()
    os.kill(last, signal.SIGCONT)
    own.down()
    assert not own.running()
    assert not Path(f"/proc/{last}").exists()


def test_no_secret_stands_in_a_command_line(stack: Stack) -> None:
    env = stack.env()
    secrets = {env[name] for name in env if name.endswith(("PASSWORD", "SECRET_ACCESS_KEY"))}
    running = {str(stack.pid(name)) for name in SERVERS}
    commands = {}
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            commands[each.name] = (each / "cmdline").read_text()
    assert len(secrets) == 7
    assert running <= commands.keys()
    commands["of the programs"] = "".join(
        re.findall(r"^command = .*", stack._supervisor_file.read_text(), re.MULTILINE)
    )
    assert [command for command in commands.values() if any(secret in command for secret in secrets)] == []


def test_s3_refuses_whoever_has_not_the_secret(stack: Stack) -> None:
    settings = Settings.read(**{name.lower(): value for name, value in stack.env().items()})
    with closing(ObjectStore(settings)) as store:
        store.check(settings.s3_bucket)
    wrong = settings.model_copy(update={"aws_secret_access_key": SecretStr("wrong")})
    with closing(ObjectStore(wrong)) as store, pytest.raises(TransientError, match="S3 refused"):
        store.check(settings.s3_bucket)
    with pytest.raises(HTTPError, match=r"40[03]") as unsigned:
        urlopen(f"{settings.s3_endpoint_url}/{settings.s3_bucket}/", timeout=10)
    unsigned.value.close()


def test_secrets_are_in_files_of_their_owner_only(stack: Stack) -> None:
    assert {oct(file.stat().st_mode)[-3:] for file in (stack._env_file, stack._supervisor_file)} == {"600"}
    assert not (stack.folder / "postgres" / "password").exists()


SESSION = """
import json, os, subprocess
from pathlib import Path
from threading import Event
import pytest
from scripts.stack import SERVERS

@pytest.fixture
def torn_down():
    yield
    Path("torn down").touch()

def test_that_does_not_end(stack, torn_down):
    env = stack.env()
    child = subprocess.Popen(["sleep", "1000"], env=os.environ | env)
    with stack._supervisor() as supervisor:
        pids = [supervisor.getPID(), child.pid, *(stack.pid(name) for name in SERVERS)]
    story = {"pids": pids, "data": str((stack.folder / "postgres").resolve())}
    draft = Path("story.draft")
    draft.write_text(json.dumps(story))
    draft.rename("story")
    Event().wait()
"""


@pytest.mark.parametrize(("ending", "workers"), [("SIGTERM", 0), ("SIGHUP", 0), ("SIGKILL", 0), ("SIGTERM", 1)])
def test_a_session_of_tests_leaves_nothing_however_it_ends(tmp_path: Path, ending: str, workers: int) -> None:
    (tmp_path / "test_session.py").write_text(SESSION)
    (tmp_path / "pytest.ini").touch()
    plugins = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--numprocesses", str(workers)]
    command = [sys.executable, "-m", "pytest", *plugins, "--basetemp", str(tmp_path / "temp"), str(tmp_path)]
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with (tmp_path / "log").open("w") as log:
        session = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        eventually("the servers", (tmp_path / "story").exists)
        told = json.loads((tmp_path / "story").read_text())
        assert all(map(_alive, told["pids"]))
        assert Path(told["data"], "data").exists()
        session.send_signal(signal.Signals[ending])
        session.wait(DEADLINE_SECONDS)
    finally:
        session.kill()
    eventually("the processes to end", lambda: not any(map(_alive, told["pids"])))
    eventually("the data to go", lambda: not Path(told["data"]).exists())
    assert (tmp_path / "torn down").exists() == (ending != "SIGKILL"), "other fixtures have their turn, where they can"
