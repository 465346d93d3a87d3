"""Reports by mail: a saved view arrives with the figures of SQL, once, and only where the operator lets it go."""

import io
import re
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader
from streamlit.testing.v1 import AppTest

from dashboard import database, dispatch, filters, headline, letter, queries, reports, saved
from dashboard.access import VIEWER
from dashboard.database import Problem, Unavailable
from dashboard.measures import Kind, Writer
from dashboard.reports import Report
from dashboard.settings import settings
from scripts.browser import serving
from scripts.stack import Stack
from tests.conftest import eventually
from tests.e2e.conftest import EVERYTHING, LAST_DAY, READY, Warehouse, two_months
from tests.e2e.smtp import SmtpServer, mail_server

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
WRITER = Writer("1,234.56", "USD")
MORNING = datetime(2026, 4, 1, 7, tzinfo=UTC)  # when the last day with sales is over
FIGURES = """
    select
        sum(net_sales) filter (where sale_date > %(last)s - 7),
        sum(orders) filter (where sale_date > %(last)s - 7),
        sum(net_sales) filter (where sale_date between %(last)s - 13 and %(last)s - 7)
    from kpi.kpi_daily_sales
    where currency = 'USD' and sales_region = %(region)s
"""


@pytest.fixture(scope="module")
def warehouse(stack: Stack, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """One on which no other dashboard looks, which would send what is due as soon as it is told."""
    with two_months(stack, template, tmp_path_factory.mktemp("reports")) as world:
        yield Warehouse(world.env["DASHBOARD_DATABASE_URL"], world.env["ADMIN_DATABASE_URL"])


@pytest.fixture(autouse=True)
def nothing_kept(warehouse: Warehouse) -> Iterator[None]:
    yield
    warehouse.sql("truncate dashboard.alert_rules, dashboard.reports, dashboard.saved_views cascade")


@pytest.fixture
def mailbox(app: AppTest, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmtpServer]:
    """A mail server that the settings name, which also allow example.com."""
    monkeypatch.setenv("DASHBOARD_MAIL_ALLOWED", "example.com")
    monkeypatch.setenv("DASHBOARD_PUBLIC_URL", "https://sales.example.com/")
    monkeypatch.setattr(dispatch, "FIRST_PAUSE_SECONDS", 0)
    with mail_server(certificate, monkeypatch) as server:
        yield server


@pytest.fixture
def region(warehouse: Warehouse) -> str:
    return str(warehouse.sql("select min(sales_region) from kpi.kpi_daily_sales")[0][0])


def keep(warehouse: Warehouse, page: str = "", *chosen: tuple[str, str], **given: Any) -> int:
    """Save a view and a report of it that was there before MORNING; its number."""
    saved.save("The view", page, list(chosen), None)
    [view] = saved.views()
    usual = {
        "name": "Every morning", "view_id": view.view_id, "schedule": "daily", "hour": 7, "time_zone": "UTC",
        "recipients": ("boss@example.com",),
    }  # fmt: skip
    reports.save(Report(**{**usual, **given}))
    warehouse.sql("update dashboard.reports set since = '2020-01-01'")
    return int(warehouse.sql("select report_id from dashboard.reports")[0][0])


def parts(mail: EmailMessage) -> tuple[str, str, str, dict[str, list[list[str]]]]:
    """Text, HTML, the text of the PDF, and the sheets of the workbook."""
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text
    assert html
    pdf, book = mail.iter_attachments()
    assert [str(each.get_filename()).rpartition(".")[2] for each in (pdf, book)] == ["pdf", "xlsx"]
    pages = PdfReader(io.BytesIO(pdf.get_content())).pages
    return (
        text.get_content(),
        html.get_content(),
        "\n".join(page.extract_text() for page in pages),
        sheets(book.get_content()),
    )


def sheets(content: bytes) -> dict[str, list[list[str]]]:
    """The text of each cell of a workbook."""
    book = zipfile.ZipFile(io.BytesIO(content))
    names = [str(each.get("name")) for each in ET.fromstring(book.read("xl/workbook.xml")).iter(f"{SHEET}sheet")]
    return {
        name: [
            ["".join(cell.itertext()) for cell in row.iter(f"{SHEET}c")]
            for row in ET.fromstring(book.read(f"xl/worksheets/sheet{number}.xml")).iter(f"{SHEET}row")
        ]
        for number, name in enumerate(names, start=1)
    }


def log(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return warehouse.sql(
        "select recipient, attempts, delivered_at is not null, next_attempt_at is not null, error "
        "from dashboard.deliveries order by recipient"
    )


def test_a_report_has_the_headline_and_the_figures_of_sql(
    warehouse: Warehouse, mailbox: SmtpServer, region: str
) -> None:
    keep(warehouse, "", ("period", "7D"), ("region", region), recipients=("boss@example.com", "shop@example.com"))
    reports.issue(MORNING)
    assert dispatch.deliver() is None
    assert log(warehouse) == [("boss@example.com", 1, True, False, None), ("shop@example.com", 1, True, False, None)]
    assert sorted(mail["To"] for mail in mailbox.mails) == ["boss@example.com", "shop@example.com"]
    mail = mailbox.mails[0]
    assert mail["Subject"] == "Every morning: 25 to 31 Mar 2026"
    text, html, pdf, book = parts(mail)
    [(now, orders, before)] = warehouse.sql(
        FIGURES.replace("%(last)s", f"date '{LAST_DAY}'").replace("%(region)s", "%s"), region
    )
    sales, change = WRITER.write(now, Kind.MONEY), WRITER.change(now, before, Kind.MONEY)
    assert text.startswith(f"Net sales of 25 to 31 Mar 2026 were {sales}, ")
    assert f"Total sales: {sales} ({change} against " in text
    assert f"Orders: {WRITER.write(orders, Kind.COUNT)} (" in text
    assert f"Region: {region}" in text
    link = f"https://sales.example.com/?period=7D&region={region}"
    assert link in text
    assert html.index("Net sales of") < html.index("Total sales")
    assert f'<a href="{link.replace("&", "&amp;")}">Open this view' in html
    for told in ("Every morning", f"Region: {region}", "25 to 31 Mar 2026", sales, "Total sales per day", "Product"):
        assert told in pdf
    assert " ".join(pdf.split()).count(f"Net sales of 25 to 31 Mar 2026 were {sales}") == 1
    figures = {row[0]: row[1:] for row in book["Figures"]}
    assert [Decimal(value).quantize(Decimal("0.01")) for value in figures["Total sales"]] == [now, before]
    days = warehouse.sql(
        f"select sum(net_sales) from kpi.kpi_daily_sales where sale_date > date '{LAST_DAY}' - 7 "
        "and currency = 'USD' and sales_region = %s group by sale_date order by sale_date",
        region,
    )
    place = book["Days"][0].index("net_sales")
    assert [Decimal(row[place]).quantize(Decimal("0.01")) for row in book["Days"][1:]] == [value for (value,) in days]
    assert ["Region", region] in [row[:2] for row in book["About"]]


def test_the_mail_begins_as_the_page_does(app: AppTest, warehouse: Warehouse, mailbox: SmtpServer) -> None:
    app.run()
    [shown] = [each.value for each in app.markdown if each.value.startswith("Net sales of")]
    keep(warehouse)
    reports.issue(MORNING)
    dispatch.deliver()
    assert parts(mailbox.mails[0])[0].startswith(headline.plain(shown))


def test_a_view_of_explore_tells_its_measures(warehouse: Warehouse, mailbox: SmtpServer) -> None:
    keep(warehouse, "explore", ("measures", "Units sold"), ("measures", "Returns"), ("compare", "None"))
    reports.issue(MORNING)
    dispatch.deliver()
    text, _, pdf, book = parts(mailbox.mails[0])
    [(units,)] = warehouse.sql(
        f"select sum(units_sold) from kpi.kpi_daily_sales where sale_date > date '{LAST_DAY}' - 28 and currency = 'USD'"
    )
    assert f"Units sold: {WRITER.write(units, Kind.COUNT)} (no comparison)" in text
    assert "Average transaction" not in text
    assert "Units sold per day" in pdf
    assert [row[0] for row in book["Figures"]] == ["measure", "Units sold", "Returns"]


def test_no_customer_is_in_a_report(warehouse: Warehouse, mailbox: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    roles: set[str] = set()
    run = database.run

    def noted(statement: Any, parameters: Any = None, reader: str = VIEWER, person: str | None = None) -> Any:
        roles.add(reader)
        return run(statement, parameters, reader, person)

    monkeypatch.setattr(database, "run", noted)
    keep(warehouse, "customers", ("period", "28D"))
    reports.issue(MORNING)
    dispatch.deliver()
    assert roles == {"dashboard_viewer"}
    text, html, pdf, book = parts(mailbox.mails[0])
    everything = f"{text}{html}{pdf}{book}"
    people = warehouse.sql(
        "select distinct customer_id, customer_name from kpi.kpi_order_lines where customer_id <> ''"
    )
    assert len(people) > 10
    assert not [each for pair in people for each in pair if each and len(each) > 4 and each in everything]


def test_two_processes_send_a_report_once(warehouse: Warehouse, mailbox: SmtpServer) -> None:
    keep(warehouse, recipients=("boss@example.com", "shop@example.com"))
    together = threading.Barrier(2)

    def work(_: int) -> None:
        together.wait()
        reports.issue(MORNING)
        dispatch.deliver()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    dispatch.deliver()
    assert sorted(mail["To"] for mail in mailbox.mails) == ["boss@example.com", "shop@example.com"]
    reports.issue(MORNING + timedelta(hours=5))
    assert warehouse.sql("select count(*) from dashboard.report_issues") == [(1,)]
    reports.issue(MORNING + timedelta(days=1, hours=4))
    assert warehouse.sql("select count(*) from dashboard.report_issues") == [(2,)]


def test_a_report_that_the_mail_server_does_not_take_is_sent_again(warehouse: Warehouse, mailbox: SmtpServer) -> None:
    mailbox.refusals = 2
    keep(warehouse)
    reports.issue(MORNING)
    assert dispatch.deliver() is None
    assert log(warehouse) == [("boss@example.com", 3, True, False, None)]
    assert len(mailbox.mails) == 1


def test_a_report_waits_for_the_day_before_and_then_says_what_is_missing(
    warehouse: Warehouse, mailbox: SmtpServer
) -> None:
    keep(warehouse, recipients=("boss@example.com",), hour=6)
    day_after = datetime(2026, 4, 2, 6, tzinfo=UTC)  # 1 April has no sales yet
    warehouse.sql("update dashboard.reports set since = %s", day_after)
    assert reports.issue(day_after + timedelta(minutes=1)) == pytest.approx(3 * 3600 - 60)
    assert log(warehouse) == []
    reports.issue(day_after + reports.PATIENCE)
    dispatch.deliver()
    [mail] = mailbox.mails
    text, html, pdf, _ = parts(mail)
    missing = "Sales of Wednesday 1 Apr 2026 are not complete"
    assert missing in text
    assert missing in html
    assert missing in pdf
    assert text.startswith("Net sales of 4 to 31 Mar 2026 were")


def test_what_was_due_before_a_report_was_made_or_switched_on_is_not_sent(
    warehouse: Warehouse, mailbox: SmtpServer
) -> None:
    report_id = keep(warehouse)
    warehouse.sql("update dashboard.reports set since = %s", MORNING + timedelta(seconds=1))
    pause = reports.issue(MORNING + timedelta(hours=1))
    assert pause == 23 * 3600
    reports.enable(report_id, False)
    assert reports.issue(MORNING + timedelta(days=9)) is None
    reports.enable(report_id, True)
    reports.issue()
    assert log(warehouse) == []


def test_a_report_whose_view_is_gone_says_so_in_its_log(
    app: AppTest, warehouse: Warehouse, mailbox: SmtpServer
) -> None:
    report_id = keep(warehouse)
    [view] = saved.views()
    saved.delete(view.view_id)
    reports.issue(MORNING)
    dispatch.deliver()
    assert log(warehouse) == [("boss@example.com", 1, False, False, "its saved view is deleted")]
    assert not mailbox.mails
    app.switch_page("views/alerts.py").run()
    assert not app.exception
    shown = next(each.value for each in app.markdown if each.value.startswith("**Every morning**"))
    assert "its saved view is deleted" in shown
    assert app.toggle(key=f"mail-on-{report_id}").value


@pytest.mark.parametrize(
    "wrong", [("region", "Atlantis"), ("period", "13D"), ("currency", "XXX"), ("dates", "2026-99-01")]
)
def test_a_report_that_asks_for_what_is_not_here_is_not_sent_of_something_else(
    warehouse: Warehouse, mailbox: SmtpServer, wrong: tuple[str, str]
) -> None:
    keep(warehouse, "", wrong)
    reports.issue(MORNING)
    assert dispatch.deliver() is None
    assert log(warehouse) == [
        ("boss@example.com", 1, False, False, f"its saved view asks for something that is not here: {wrong[0]}")
    ]
    assert not mailbox.mails


def test_a_letter_that_cannot_be_written_holds_up_no_other(
    warehouse: Warehouse, mailbox: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = letter.write

    def faulty(*arguments: Any, **named: Any) -> letter.Letter:
        if named["name"] == "Slow":
            raise Unavailable(Problem.SLOW)
        if named["name"] == "Faulty":
            raise ZeroDivisionError
        return write(*arguments, **named)

    monkeypatch.setattr(letter, "write", faulty)
    monkeypatch.setattr(dispatch, "MOST_ATTEMPTS", 2)
    keep(warehouse, name="Faulty", recipients=("a@example.com",))
    [view] = saved.views()
    for name, to in (("Slow", "b@example.com"), ("Good", "c@example.com")):
        reports.save(Report(name, view.view_id, "daily", 7, "UTC", (to,)))
    warehouse.sql("update dashboard.reports set since = '2020-01-01'")
    reports.issue(MORNING)
    assert dispatch.deliver() is None
    assert log(warehouse) == [
        ("a@example.com", 2, False, False, "it could not be put together"),
        ("b@example.com", 2, False, False, Problem.SLOW.value),
        ("c@example.com", 1, True, False, None),
    ]


def test_a_report_whose_figures_cannot_be_read_holds_up_no_other(
    warehouse: Warehouse, mailbox: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(warehouse, name="First and slow")
    [view] = saved.views()
    reports.save(Report("Second", view.view_id, "daily", 7, "UTC", ("boss@example.com",)))
    warehouse.sql("update dashboard.reports set since = '2020-01-01'")
    of_parameters = filters.of_parameters
    slow = iter([True])

    def slow_at_first(*arguments: Any) -> Any:
        if next(slow, False):
            raise Unavailable(Problem.SLOW)
        return of_parameters(*arguments)

    monkeypatch.setattr(filters, "of_parameters", slow_at_first)
    with pytest.raises(Unavailable):  # so that it is tried again soon
        reports.issue(MORNING)
    issued = "select name from dashboard.report_issues join dashboard.reports using (report_id) order by issue_id"
    assert warehouse.sql(issued) == [("Second",)]
    reports.issue(MORNING)
    assert warehouse.sql(issued) == [("Second",), ("First and slow",)]


def test_every_view_that_a_page_can_save_reads_the_same_without_its_widgets(
    app: AppTest, warehouse: Warehouse, region: str
) -> None:
    """The seam between a page and a report: what the shell draws of a link is what a report is of."""
    version = int(warehouse.sql("select mart_version from ops.mart_version")[0][0])
    channel = str(warehouse.sql("select min(sales_channel) from kpi.kpi_daily_sales where sales_channel <> ''")[0][0])
    product = str(warehouse.sql("select min(product_id) from kpi.kpi_daily_product_sales where currency = 'USD'")[0][0])
    for chosen in (
        {},
        {"period": ["7D"], "region": [region], "channel": [channel], "compare": ["Last year"]},
        {"period": ["MTD"], "grain": ["Week"], "product": [product]},
        {"period": ["Custom"], "dates": ["2026-02-10", "2026-03-03"], "compare": ["None"]},
        {"period": ["QTD"]},
    ):
        for name, values in chosen.items():
            app.query_params[name] = values
        app.run()
        assert not app.exception
        parameters = [(name, value) for name, values in chosen.items() for value in values]
        read = filters.of_parameters(version, queries.currencies(version), parameters)
        assert read == (app.session_state["view"], [])
        app = AppTest.from_file(app._script_path, default_timeout=30)


# --- on the page ----------------------------------------------------------------------------------------------------


def open_page(app: AppTest) -> AppTest:
    app.switch_page("views/alerts.py").run()
    assert not app.exception
    return app


def test_a_report_is_made_changed_and_deleted_on_the_page(
    app: AppTest, warehouse: Warehouse, mailbox: SmtpServer
) -> None:
    saved.save("Mine", "", [("period", "7D")], None)
    [view] = saved.views()
    open_page(app)
    app.text_input(key="report-name").set_value(" The\nweek ")
    app.selectbox(key="report-view").set_value(view.view_id)
    app.selectbox(key="report-schedule").set_value("weekly").run()
    app.selectbox(key="report-weekday").set_value(3)
    app.selectbox(key="report-zone").set_value("Europe/Berlin")
    app.text_area(key="report-recipients").set_value("boss@example.com, out@elsewhere.example")
    assert any("anybody at example\\.com" in each.value for each in app.caption)
    app.button(key="report-save").click().run()
    assert "Mail may not go to out@elsewhere\\.example" in app.error[0].value
    assert warehouse.sql("select count(*) from dashboard.reports") == [(0,)]
    app.text_area(key="report-recipients").set_value("boss@example.com")
    app.button(key="report-save").click().run()
    assert not app.exception
    assert not app.error
    [row] = warehouse.sql(
        "select report_id, name, view_id, schedule, weekday, month_day, hour, time_zone, recipients "
        "from dashboard.reports"
    )
    assert row[1:] == ("The week", view.view_id, "weekly", 3, None, 7, "Europe/Berlin", ["boss@example.com"])
    app.button(key=f"mail-edit-{row[0]}").click().run()
    assert app.text_input(key="report-name").value == "The week"
    app.selectbox(key="report-schedule").set_value("monthly").run()
    app.number_input(key="report-day").set_value(31)
    app.button(key="report-save").click().run()
    assert not app.error
    assert warehouse.sql("select report_id, schedule, weekday, month_day from dashboard.reports") == [
        (row[0], "monthly", None, 31)
    ]
    app.toggle(key=f"mail-on-{row[0]}").set_value(False).run()
    assert warehouse.sql("select enabled from dashboard.reports") == [(False,)]
    app.button(key=f"mail-delete-{row[0]}").click().run()
    assert warehouse.sql("select count(*) from dashboard.reports") == [(0,)]


def test_without_the_right_nobody_changes_a_report_or_sees_where_it_goes(
    app: AppTest, warehouse: Warehouse, mailbox: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_id = keep(warehouse)
    monkeypatch.setenv("DASHBOARD_ANONYMOUS_ROLES", "")
    settings.cache_clear()
    open_page(app)
    assert app.toggle(key=f"mail-on-{report_id}").disabled
    assert [each.key for each in app.button if str(each.key).startswith(("mail-", "report-"))] == []
    assert not any("boss" in each.value for each in app.markdown)


def test_a_report_is_sent_at_once_from_the_page_and_the_page_says_so(
    page: Page, warehouse: Warehouse, mailbox: SmtpServer, certificate: Path, tmp_path: Path
) -> None:
    keep(warehouse, "", ("period", "7D"), name="From the page")
    host, port = mailbox.server_address[:2]
    env: Any = {
        "DASHBOARD_ANONYMOUS_ROLES": EVERYTHING, "DASHBOARD_MAIL_ALLOWED": "example.com",
        "DASHBOARD_ALERT_SMTP_HOST": str(host), "DASHBOARD_ALERT_SMTP_PORT": str(port),
        "DASHBOARD_ALERT_EMAIL_FROM": "dashboard@example.com", "SSL_CERT_FILE": str(certificate),
    }  # fmt: skip
    warehouse.sql("update dashboard.reports set since = now()")
    with serving(warehouse.dashboard_url, tmp_path, **env) as (address, _):
        page.goto(f"{address}/alerts")
        expect(page.locator(READY)).to_be_visible()
        row = page.locator("[class*=st-key-mail-]").filter(has_text="From the page").first
        expect(row).to_contain_text("Not sent yet")
        row.get_by_role("button", name="Send now").click()
        eventually("the mail", lambda: mailbox.mails, 30)
        page.reload()
        expect(row).to_contain_text(re.compile("delivered to 1 of 1"))
    assert parts(mailbox.mails[0])[0].startswith("Net sales of 25 to 31 Mar 2026 were")
