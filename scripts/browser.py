"""A dashboard process and a browser to look at it: for pictures, benchmarks and tests.

`python -m scripts.browser` makes sure that there is a browser.
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from scripts.stack import REPOSITORY, free_port

START_SECONDS = 60
DOWNLOAD_SECONDS = 300
FLAGS = ["--no-sandbox"]


@contextmanager
def serving(
    database_url: str, folder: Path, *options: str, port: int = 0, **env: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address and the process of a dashboard with settings of its own, whose log is in the folder."""
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
    """Headless Chromium or Chrome: see `main`. Its contexts keep nothing on disk."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_path(), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def with_profile(browser: Browser, folder: Path, **options: Any) -> Iterator[BrowserContext]:
    """A browser with a profile in the folder, which keeps what it has loaded and compiled, as people's own do."""
    context = browser.browser_type.launch_persistent_context(folder, executable_path=_path(), args=FLAGS, **options)
    yield context
    context.close()


def _path() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def main() -> None:
    """Find or get a browser: an installed one, else Playwright's download, else, as root on Debian, the package."""
    apt = "apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core"
    ways = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        ways.append(["sh", "-c", f"apt-get update -qq && DEBIAN_FRONTEND=noninteractive {apt}"])
    for way in ways:
        if _is_there():
            return
        print("browser     none is installed: fetching one", flush=True)
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(way, timeout=DOWNLOAD_SECONDS, stdout=subprocess.DEVNULL, check=False)
    if not _is_there():
        raise SystemExit(
            "no browser for the tests: install Chromium or Chrome, for example by `apt-get install chromium`"
        )


def _is_there() -> bool:
    with sync_playwright() as playwright:
        return bool(_path()) or Path(playwright.chromium.executable_path).exists()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1) as answer:  # noqa: S310  # our own server
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    main()
