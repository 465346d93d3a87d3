"""The services of docker-compose.yml without a container engine, each as it stands there.

They live in namespaces of their own (network, mounts, processes), in which `postgres`, `kafka` and `s3` are names of
this machine: addresses and ports need no change. Those of our own image run in its root file system, by `chroot`, as
its user, without privileges, on a read-only file system.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from tempfile import TemporaryDirectory
from typing import Any

from scripts.stack import REPOSITORY
from tests.conftest import eventually
from tests.servers import compose, parts

TOOLS = ("buildah", "mmdebstrap", "unshare", "nsenter", "setpriv", "ip", "nc", "wget")
DEBIAN = "bookworm"  # its Python is of the same minor version as the image's
BASE = ["--variant=minbase", "--include=python3,python3-venv,python3-pip,ca-certificates"]
NAMES = f"127.0.0.1 localhost {gethostname()} postgres kafka s3\n"
BUILD_SECONDS = 1500
# Where pip of this machine has settings or certificates of its own, the build needs them.
OF_THIS_MACHINE = ("/etc/pip.conf", "/etc/ssl/certs")
# `mount` as in the image's containers: /proc, /dev, a /tmp in memory, all else read-only.
SETUP = """
set -eu
ip link set lo up
mount --bind "$0/hosts" /etc/hosts
mount --bind "$1" "$1"
mount --bind "$0/hosts" "$1/etc/hosts"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -o remount,bind,ro "$1"
touch "$0/ready"
exec sleep infinity
"""


def missing() -> str:
    """Why the image cannot be built here; empty: it can."""
    if os.geteuid() != 0:
        return "only root builds the image without a container engine"
    if absent := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"{', '.join(absent)} not installed"
    allowed = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "true"], check=False, capture_output=True
    )
    return "" if allowed.returncode == 0 else f"no namespaces here: {allowed.stderr.decode().strip()}"


@dataclass(frozen=True)
class Image:
    """The project's image, and its root file system."""

    root: Path
    config: dict[str, Any]  # Env, User, WorkingDir

    @property
    def env(self) -> dict[str, str]:
        return dict(each.split("=", 1) for each in self.config["Env"])


@contextmanager
def built() -> Iterator[Image]:
    """Build the Dockerfile as it stands; its base is a Debian of our own under the base's name."""
    parts.CACHE.mkdir(parents=True, exist_ok=True)
    tag = compose.SERVICES["loader"]["image"]
    (base,) = {
        line.split()[1] for line in (REPOSITORY / "Dockerfile").read_text().splitlines() if line.startswith("FROM")
    }
    if not _buildah("images", "--quiet", "--filter", f"reference=docker.io/library/{base}"):
        with TemporaryDirectory() as folder:
            tree = f"{folder}/base.tar"
            link = 'ln -s python3 "$1/usr/bin/python"'
            _run(["mmdebstrap", "--mode=root", *BASE, f"--customize-hook={link}", DEBIAN, tree])
            container = _buildah("from", "scratch")
            _buildah("add", container, tree, "/")
            _buildah("commit", "--rm", container, f"docker.io/library/{base}")
    volumes = [f"--volume={place}:{place}:ro" for place in OF_THIS_MACHINE if Path(place).exists()]
    target = compose.SERVICES["loader"]["build"]["target"]
    _buildah(
        "bud", "--isolation=chroot", "--pull-never", "--layers", *volumes, f"--target={target}", f"--tag={tag}",
        str(REPOSITORY),
    )  # fmt: skip
    container = _buildah("from", "--pull-never", f"localhost/{tag}")
    try:
        inspected = json.loads(_buildah("inspect", "--type=image", f"localhost/{tag}"))
        yield Image(Path(_buildah("mount", container)), inspected["OCIv1"]["config"])
    finally:
        _buildah("rm", container)


def _buildah(*arguments: str) -> str:
    store = parts.CACHE / "image"
    places = [f"--root={store}/store", f"--runroot={store}/run", "--storage-driver=overlay"]
    return _run(["buildah", *places, *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout[-5000:]}{done.stderr[-5000:]}"
    return done.stdout.strip()


@dataclass
class House:
    """The namespaces, and the processes in them, which end with them."""

    folder: Path
    image: Image
    secrets: Mapping[str, str]  # the `.env` file
    inside: list[str] = field(default_factory=list)  # the command that enters
    started: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def env(self, service: str) -> dict[str, str]:
        return compose.environment(service, self.secrets, {})

    def run(self, command: list[str], env: Mapping[str, str], **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a program of this machine inside, to its end."""
        return subprocess.run(
            [*self.inside, *command], env=_with_path(env), capture_output=True, text=True, check=False, **options
        )

    def start(self, name: str, command: list[str], env: Mapping[str, str], user: str | None = None) -> None:
        """Start a program of this machine inside."""
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        self._start(name, [*who, *command], _with_path(env))

    def start_ours(self, service: str, **changed: str) -> None:
        """Start a service of our own image: its command, its settings."""
        self._start(service, self._ours(service, compose.SERVICES[service]["command"]), self._our_env(service, changed))

    def run_ours(
        self, service: str, command: list[str] | None = None, **changed: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run its command, or another one as `docker compose exec` does, to its end."""
        given = self._ours(service, command or compose.SERVICES[service]["command"])
        env = self._our_env(service, changed)
        return subprocess.run([*self.inside, *given], env=env, capture_output=True, text=True, check=False)

    def is_healthy(self, service: str, **changed: str) -> bool:
        """The service's health check says so. Raises AssertionError where the service has ended."""
        process = self.started[service]
        assert process.poll() is None, f"{service} has ended:\n{self.log(service)}"
        _, *check = compose.SERVICES[service]["healthcheck"]["test"]
        if "build" in compose.SERVICES[service]:
            return self.run_ours(service, check, **changed).returncode == 0
        return self.run(check, self.env(service)).returncode == 0

    def wait_for(self, service: str, **changed: str) -> None:
        eventually(f"{service} to be healthy", lambda: self.is_healthy(service, **changed))

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(errors="replace")[-5000:]

    def _start(self, name: str, command: list[str], env: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.started[name] = subprocess.Popen([*self.inside, *command], env=env, stdout=log, stderr=log)

    def _ours(self, service: str, command: list[str]) -> list[str]:
        user, place = self.image.config["User"], compose.SERVICES[service].get("working_dir")
        enter = ["sh", "-c", 'cd "$0" && exec "$@"', place or self.image.config["WorkingDir"]]
        return [
            "/usr/sbin/chroot", str(self.image.root), "/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}",
            "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs",
            *enter, *(each.replace("$$", "$") for each in command),
        ]  # fmt: skip

    def _our_env(self, service: str, changed: Mapping[str, str]) -> dict[str, str]:
        return self.image.env | self.env(service) | dict(changed)


def _with_path(env: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/tmp", **env}


@contextmanager
def opened(folder: Path, image: Image, secrets: Mapping[str, str]) -> Iterator[House]:
    """A house in an empty folder; whatever runs in it ends with the block, and with this process."""
    (folder / "hosts").write_text(NAMES)
    for service in compose.SERVICES.values():
        for volume in service.get("volumes", []) if "build" in service else []:
            if volume.startswith("./"):  # a folder beside docker-compose.yml, which Docker makes where there is none
                (image.root / volume.split(":")[1].lstrip("/")).mkdir(exist_ok=True)
    namespaces = ["--net", "--mount", "--pid"]
    command = ["unshare", *namespaces, "--fork", "--kill-child", "--mount-proc", "sh", "-c", SETUP]
    with (folder / "house.log").open("wb") as log:
        # Its end is that of the first process of its process namespace, and so of all others in it.
        door = ["setpriv", "--pdeathsig=KILL", *command, str(folder), str(image.root)]
        process = subprocess.Popen(door, stdout=log, stderr=log)
    try:

        def is_ready() -> bool:
            assert process.poll() is None, (folder / "house.log").read_text()
            return (folder / "ready").exists()

        eventually("the namespaces", is_ready)
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        house = House(folder, image, secrets, ["nsenter", f"--target={child}", *namespaces])
        yield house
    finally:
        process.kill()
        process.wait()
        for each in house.started.values() if "house" in locals() else ():
            each.wait()
