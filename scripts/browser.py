"""A dashboard process and a browser to look at it: for pictures, benchmarks and tests."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from scripts.stack import REPOSITORY, free_port

START_SECONDS = 60


@contextmanager
def serving(
    database_url: str, folder: Path, *options: str, port: int = 0, **env: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A dashboard process with settings of its own, whose log is in the folder: its address, and the process."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/server.py", "--server.address", "127.0.0.1"]
    command += ["--server.port", str(port), "--server.headless", "true", "--server.fileWatcherType", "none", *options]
    log = folder / "streamlit.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "DASHBOARD_DATABASE_URL": database_url, **env},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(f"http://127.0.0.1:{port}/_stcore/health"):
                assert time.monotonic() < deadline, f"waited {START_SECONDS} s for the dashboard, whose log is {log}"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(START_SECONDS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, headless."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1) as answer:  # noqa: S310  # our own server
            return bool(answer.status == 200)
    except OSError:
        return False
