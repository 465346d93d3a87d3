"""A running dashboard and a browser for it, over a warehouse that has been built and holds sales."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import streamlit as st
from playwright.sync_api import Browser, Page, expect
from streamlit.testing.v1 import AppTest

from dashboard.settings import settings
from loader.pipeline import Pipeline
from scripts.csv_generator import sheet
from scripts.screenshots import chromium
from scripts.stack import REPOSITORY, Stack
from tests.conftest import World, eventually, new_world

LAST_DAY = date(2026, 3, 31)
DAYS = 60
START_SECONDS = 60
APP = REPOSITORY / "dashboard" / "app.py"
EVERYTHING = "customers,rejects,editor"
DEADLINE = 20_000
READY = "[data-testid=stApp][data-test-script-state=notRunning]"
expect.set_options(timeout=DEADLINE)


@dataclass(frozen=True)
class Warehouse:
    """A database with marts: the URL the dashboard gets, and a superuser's for changing and checking it."""

    dashboard_url: str
    admin_url: str

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser and return its rows."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def server_sql(self, statement: str, *parameters: object) -> None:
        """Run one statement outside of the database, where it may be closed or created."""
        with psycopg.connect(self.admin_url, dbname="postgres", autocommit=True) as connection:
            connection.execute(statement.encode(), parameters)


@pytest.fixture(scope="session")
def sales(stack: Stack, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with two months of sales in its marts, and some rejected rows."""
    with new_world(stack, template, tmp_path_factory.mktemp("sales")) as world:
        with Pipeline(world.settings) as pipeline:
            for back in range(DAYS):
                each = sheet(7, LAST_DAY - timedelta(back), rows=80, bad_ratio=0.02)
                pipeline.load_file(world.drop(each.key, each.content))
        world.transform()
        yield world


@pytest.fixture(scope="session")
def warehouse(sales: World) -> Warehouse:
    return Warehouse(sales.env["DASHBOARD_DATABASE_URL"], sales.env["ADMIN_DATABASE_URL"])


@pytest.fixture(scope="session")
def dashboard(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard over the warehouse, on which everybody may see everything."""
    with serving(warehouse, tmp_path_factory.mktemp("dashboard"), DASHBOARD_ANONYMOUS_ROLES=EVERYTHING) as (address, _):
        yield address


@contextmanager
def serving(
    warehouse: Warehouse, folder: Path, *options: str, port: int = 0, **env: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A dashboard process of its own, with settings of its own: its address and the process."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/server.py", "--server.address", "127.0.0.1"]
    command += ["--server.port", str(port), "--server.headless", "true", "--server.fileWatcherType", "none", *options]
    log = folder / "streamlit.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "DASHBOARD_DATABASE_URL": warehouse.dashboard_url, **env},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            eventually(
                f"the dashboard, whose log is {log}", lambda: _answers(f"http://127.0.0.1:{port}/_stcore/health")
            )
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(START_SECONDS)


@pytest.fixture
def app(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The dashboard without a browser; everybody may see everything."""
    monkeypatch.setenv("DASHBOARD_DATABASE_URL", warehouse.dashboard_url)
    monkeypatch.setenv("DASHBOARD_ANONYMOUS_ROLES", EVERYTHING)
    forget()
    yield AppTest.from_file(APP, default_timeout=30)
    forget()


def forget() -> None:
    """Read settings and figures anew."""
    settings.cache_clear()
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1360, "height": 900}, accept_downloads=True)
    context.set_default_timeout(DEADLINE)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
