"""A running dashboard and a browser for it, over a warehouse that has been built and holds sales."""

import csv
import io
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pandas as pd
import psycopg
import pytest
import streamlit as st
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect
from playwright.sync_api import Error as PlaywrightError
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from dashboard.settings import settings
from loader.pipeline import Pipeline
from scripts.browser import chromium, serving
from scripts.csv_generator import sheet
from scripts.stack import REPOSITORY, Stack
from tests.conftest import World, new_world

LAST_DAY = date(2026, 3, 31)
DAYS = 60
APP = REPOSITORY / "dashboard" / "app.py"
EVERYTHING = "customers,rejects,editor"
DEADLINE = 20_000
VIEWPORT: ViewportSize = {"width": 1360, "height": 900}
READY = "[data-testid=stApp][data-test-script-state=notRunning]"
WEEK_OF_A_REGION = """
    with main as (
        select currency, max(sale_date) as last_date from kpi.kpi_daily_sales
        group by currency order by sum(net_sales) desc limit 1
    )
    select to_char(round(sum(net_sales)), 'FM999,999,999,990')
    from kpi.kpi_daily_sales inner join main using (currency)
    where sale_date > last_date - 7 and sales_region = %s
"""
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
    with two_months(stack, template, tmp_path_factory.mktemp("sales")) as world:
        yield world


@contextmanager
def two_months(stack: Stack, template: str, folder: Path) -> Iterator[World]:
    """`sales` anew, for tests that no dashboard of others may get ahead of."""
    with new_world(stack, template, folder) as world:
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
    with serving(
        warehouse.dashboard_url, tmp_path_factory.mktemp("dashboard"), DASHBOARD_ANONYMOUS_ROLES=EVERYTHING
    ) as (address, _):
        yield address


@pytest.fixture(autouse=True)
def dashboards_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Print what dashboards logged meanwhile, which pytest shows where a test fails."""
    began = time.time()
    yield
    for log in tmp_path_factory.getbasetemp().glob("*/streamlit.log"):
        if log.stat().st_mtime >= began:
            print(f"{log}:", log.read_text(errors="replace")[-4000:], sep="\n")


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


def chart(app: AppTest, alt: str) -> pd.DataFrame:
    """What the chart of this description draws."""
    assert not app.exception
    protos = [element.proto for element in app.get("echarts_chart")]
    [proto] = [proto for proto in protos if proto.alt == alt]
    return convert_arrow_bytes_to_pandas_df(proto.datasets[0].data.data)


def download(page: Page, name: str, folder: Path) -> tuple[str, list[dict[str, str]]]:
    """The name and the rows of the CSV of this table."""
    expect(page.locator(READY)).to_be_visible()
    with page.expect_download() as event:
        page.locator(f".st-key-download-{name}-CSV button").click()
    event.value.save_as(folder / name)
    rows = csv.DictReader(io.StringIO((folder / name).read_text("utf-8-sig")))
    return event.value.suggested_filename, list(rows)


def minus(number: object) -> str:
    """As PostgreSQL writes it, with the minus sign that the dashboard has."""
    return str(number).replace("-", "−")


def choose_period(page: Page, name: str) -> None:
    """Choose one of the periods of the filter row."""
    page.get_by_role("combobox", name=re.compile("Period")).click()
    page.get_by_role("option", name=name, exact=True).click()


def week_of_one_region(page: Page, warehouse: Warehouse) -> tuple[str, str]:
    """Choose seven days and one region on the Overview; the heading and the card of sales that it comes to show."""
    choose_period(page, "7D")
    page.get_by_role("combobox", name=re.compile("Region")).click()
    option = page.get_by_role("option").nth(1)
    region = option.inner_text()
    option.click()
    page.keyboard.press("Escape")
    [(sold,)] = warehouse.sql(WEEK_OF_A_REGION, region)
    card = page.get_by_test_id("stMetric").filter(has_text="Total sales")
    # The link says both at once, and the page rests for a moment before it is drawn for them: only the figure tells.
    expect(card).to_contain_text(str(sold))
    page.wait_for_url(re.compile(r"period=7D.*region=|region=.*period=7D"))
    return page.locator("h1").inner_text(), card.inner_text()


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """The tab of the session, on no page, as a new one: for what is not taken back afterwards there is `own_page`."""
    yield tab
    for other in tab.context.pages:
        if other is not tab:
            other.close()
    tab.context.clear_cookies()
    tab.emulate_media(media="null", color_scheme="null")
    tab.set_viewport_size(VIEWPORT)
    tab.mouse.move(0, 0)
    if tab.url.startswith("http"):
        try:
            tab.evaluate("() => { localStorage.clear(); sessionStorage.clear() }")
            tab.goto(urljoin(tab.url, "/_stcore/health"))  # a page of the same place, so that its process stays
        except PlaywrightError:  # its server has ended
            tab.wait_for_url("chrome-error://**")


@pytest.fixture(scope="session")
def tab(browser: Browser) -> Iterator[Page]:
    """A browser compiles Streamlit's scripts anew for each new tab, which takes longer than all that a page does."""
    with context_of(browser) as context:
        yield context.new_page()


@pytest.fixture
def own_page(browser: Browser) -> Iterator[Page]:
    """A tab of a browser that has seen nothing, for tests that change its clock, its requests or its scripts."""
    with context_of(browser) as context:
        yield context.new_page()


@contextmanager
def context_of(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=VIEWPORT, accept_downloads=True)
    context.set_default_timeout(DEADLINE)
    yield context
    context.close()


def another(page: Page, address: str) -> Page:
    """A further tab, opened as by a link of the page."""
    with page.context.expect_page() as opened:
        page.evaluate("address => { window.open(address) }", address)
    return opened.value


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and certificate of 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "smtp.pem"
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file
