"""`loader` and `dbt` as a person types them, each in a process of its own, without their start of seconds.

Python takes three seconds to import dbt, and dbt three more to get ready. One process does it once, and each command is
a fork of it, which runs the command's script with arguments, environment, folder and output of its own. So are the
processes that go on beside a test, which stops, kills or ends them; those of the demo and of test_chaos.py start as
they do everywhere.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import NoReturn, Self

REPOSITORY = Path(__file__).resolve().parent.parent
DBT = f"{Path(sys.executable).parent}/dbt"
REQUEST_BYTES = 200_000  # a socket takes so much at once

_first_env: dict[str, str] = {}


class Process:
    """A command that runs. It is killed when its context ends, if it has not ended by then."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str], out: int = 1, err: int = 2) -> None:
        """`command`: `dbt …`, or a module and its arguments; `out`, `err`: the files that it writes to."""
        _first_env.update(_first_env or env)
        request = json.dumps({"command": command, "cwd": str(cwd), "env": env}).encode()
        assert len(request) < REQUEST_BYTES
        self._way, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(_server(), [request], [theirs.fileno(), out, err])
        self.pid = self._told()
        self.returncode: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._way.close()

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code; negative: the number of the signal that ended it. Raises TimeoutError."""
        if self.returncode is None:
            if not select.select([self._way], [], [], seconds)[0]:
                raise TimeoutError(f"process {self.pid} has not ended within {seconds} s")
            self.returncode = self._told()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing is sent to one that has ended."""
        if self.returncode is None and not select.select([self._way], [], [], 0)[0]:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _told(self) -> int:
        told = self._way.recv(16)
        assert told, "the process that starts the commands has ended"
        return int(told)


def run(command: list[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `dbt …` or `loader …` to its end. It is killed where this process does not wait for that."""
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        with Process(command, cwd, env, out.fileno(), err.fileno()) as process:
            status = process.wait()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, status, out.read(), err.read())


@cache
def _server() -> socket.socket:
    """The way to the process that is forked, which ends with this one. It gets ready in the first command's world."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
    with theirs:
        # In a session of its own: Ctrl-C is for pytest, with which it ends.
        server = subprocess.Popen(
            command, cwd=REPOSITORY, env=_first_env, pass_fds=[theirs.fileno()], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def _get_ready() -> None:
    """Import and read what the commands do, and have dbt parse the project, which it keeps."""
    import boto3
    from botocore.loaders import JSONFileLoader
    from dbt.cli.main import dbtRunner

    import loader.cli
    import loader.transform

    # It looks at the environment when it is imported; each command does that anew.
    for name in [each for each in sys.modules if each.startswith("loader.cli")]:
        del sys.modules[name]
    del loader.cli
    read = JSONFileLoader.load_file
    kept = cache(lambda path: read(JSONFileLoader(), path))
    # Each session of boto3 reads megabytes for its first client.
    JSONFileLoader.load_file = lambda _, path: kept(path)  # type: ignore[method-assign,assignment]
    boto3.Session().client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    parse = ["parse", "--project-dir", str(REPOSITORY / "dbt_sales"), "--target", "prod"]
    if not os.fork():  # dbt's parser keeps threads, for which a fork would wait in vain
        _end(not dbtRunner().invoke(parse).success)
    if os.wait()[1] == 0:
        dbtRunner().invoke(parse)  # reads what the first one kept
    gc.collect()
    gc.freeze()  # the commands share it


def _serve(requests: socket.socket) -> bool:
    """Fork for each request; True in each fork, once everything is as its command has it; False at the end."""
    while True:
        request, files, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 3)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not request:
            return False
        if os.fork() == 0:
            requests.close()
            answer, out, err = files
            if command := os.fork():
                _wait(command, answer)
                os._exit(0)
            os.dup2(out, 1)
            os.dup2(err, 2)
            for file in files:
                os.close(file)
            _become(**json.loads(request))
            return True
        for file in files:
            os.close(file)


def _wait(command: int, answer: int) -> None:
    """Tell the number of the process, and how it ended, as `subprocess` does; kill it when nobody waits any more."""
    os.write(answer, str(command).encode())
    ended = os.pidfd_open(command)
    if ended in select.select([ended, answer], [], [])[0]:
        _, status = os.waitpid(command, 0)
        os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
    else:
        os.kill(command, signal.SIGKILL)


def _become(command: list[str], cwd: str, env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    time.tzset()
    sys.argv = command


def _run_script() -> int:
    """Run what the command names, as Python does; its exit code, where it says one."""
    try:
        if sys.argv[0] == DBT:
            from loader.dbt_patches import patched

            with patched():  # a connection for each thread, and not for each of six hundred nodes
                runpy.run_path(DBT, run_name="__main__")
        else:
            sys.path[0] = os.getcwd()
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code and not isinstance(end.code, int):
            raise
        return end.code or 0
    return 0


def _end(status: int) -> NoReturn:
    """As Python ends, but for taking to pieces, object for object, what the fork shares: that takes half a second."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _get_ready()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        is_command = _serve(requests)
    if is_command:
        _end(_run_script())
