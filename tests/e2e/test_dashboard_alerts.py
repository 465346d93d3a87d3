"""Alerts and saved views: judged as SQL would, raised once, delivered to real servers, opened again in a browser."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from streamlit.runtime.state.query_params import QueryParams
from streamlit.testing.v1 import AppTest

from dashboard import alerts, daily_sales, database, dispatch, notify, saved
from dashboard.alert_rules import Breach, Rule, condition, describe, judge
from dashboard.daily_sales import Scope
from dashboard.database import Problem, Unavailable
from tests.e2e.conftest import DAYS, LAST_DAY, READY, Warehouse, another, choose_period, week_of_one_region
from tests.e2e.smtp import mail_server

FIRST_DAY = LAST_DAY - timedelta(DAYS - 1)
TOLD = "select pg_notify('mart_version', '0')"
# Day by day what a measure is and was, without the dashboard's arithmetic.
BACKTEST = """
    with days as (
        select day::date as sale_date from generate_series(%s::date - 7, %s::date, interval '1 day') as day
    ),

    sums as (
        select
            days.sale_date,
            sum(sold.net_sales) as net_sales, sum(sold.orders) as orders,
            sum(sold.gross_margin) as gross_margin, sum(sold.costed_net_sales) as costed_net_sales
        from days
        left join kpi.kpi_daily_sales as sold
            on sold.sale_date = days.sale_date and sold.currency = 'USD'
            and (%s::text is null or sold.sales_region = %s)
        group by days.sale_date
    ),

    figures as (
        select sale_date, {figure} as figure from sums
    ),

    compared as (
        select
            sale_date, figure,
            lag(figure) over (order by sale_date) as day_before, lag(figure, 7) over (order by sale_date) as week_before
        from figures
    )

    select sale_date from compared where sale_date >= %s and {condition} order by sale_date
"""
NET = "coalesce(net_sales, 0)"


@pytest.fixture(autouse=True)
def nothing_kept(warehouse: Warehouse) -> Iterator[None]:
    yield
    warehouse.sql("truncate dashboard.alert_rules, dashboard.reports, dashboard.saved_views cascade")


def a_rule(**given: Any) -> Rule:
    usual = {
        "name": "A rule", "measure": "net_sales", "currency": "USD", "kept": {}, "basis": "value", "direction": "above",
        "threshold": Decimal(1), "finished_days": False, "from_date": LAST_DAY,
    }  # fmt: skip
    return Rule(**{**usual, **given})


@pytest.mark.parametrize(
    ("given", "figure", "condition"),
    [
        ({"direction": "below", "threshold": "6000"}, NET, "figure < 6000"),
        ({"direction": "above", "threshold": "6000.5"}, NET, "figure > 6000.5"),
        ({"direction": "below", "threshold": "1200", "region": True}, NET, "figure < 1200"),
        (
            {"direction": "below", "threshold": "20", "basis": "previous day"}, NET,
            "day_before > 0 and (figure / day_before - 1) * 100 < -20",
        ),
        (
            {"direction": "above", "threshold": "15", "basis": "same weekday"}, NET,
            "week_before > 0 and (figure / week_before - 1) * 100 > 15",
        ),
        ({"measure": "aov", "direction": "above", "threshold": "170"}, "net_sales / nullif(orders, 0)", "figure > 170"),
        (
            {"measure": "margin_rate", "direction": "below", "threshold": "40"},
            "gross_margin / nullif(costed_net_sales, 0)", "figure * 100 < 40",
        ),
        (
            {"measure": "margin_rate", "direction": "below", "threshold": "2", "basis": "same weekday"},
            "gross_margin / nullif(costed_net_sales, 0)", "(figure - week_before) * 100 < -2",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("finished", [True, False])
def test_a_backtest_is_what_sql_finds(
    app: AppTest, warehouse: Warehouse, given: dict[str, Any], figure: str, condition: str, finished: bool
) -> None:
    given = {**given, "threshold": Decimal(given["threshold"])}
    region = (
        str(warehouse.sql("select min(sales_region) from kpi.kpi_daily_sales")[0][0])
        if given.pop("region", 0)
        else None
    )
    rule = a_rule(**given, kept={"region": [region]} if region else {}, finished_days=finished)
    found = [each.sale_date for each in alerts.backtest(0, rule, FIRST_DAY, LAST_DAY)]
    if finished:
        condition += f" and sale_date < '{LAST_DAY}'"
    expected = warehouse.sql(
        BACKTEST.format(figure=figure, condition=condition), FIRST_DAY, LAST_DAY, region, region, FIRST_DAY
    )
    assert found == [day for (day,) in expected]
    assert 0 < len(found) < DAYS, "a rule that fires always or never shows nothing"


def test_a_day_without_sales_is_below_anything_but_has_no_average(app: AppTest, warehouse: Warehouse) -> None:
    gone = LAST_DAY - timedelta(3)
    daily = daily_sales.read_sales(a_rule().scope, FIRST_DAY, LAST_DAY, ("date",))
    daily = daily[daily["sale_date"] != gone]
    sums = a_rule(direction="below", threshold=Decimal(1))
    assert judge(sums, daily, FIRST_DAY, FIRST_DAY, LAST_DAY) == [Breach(gone, Decimal(0), None)]
    ratio = a_rule(measure="aov", direction="below", threshold=Decimal(1))
    assert judge(ratio, daily, FIRST_DAY, FIRST_DAY, LAST_DAY) == []


def test_two_evaluators_at_the_same_moment_raise_an_alert_once(app: AppTest, warehouse: Warehouse) -> None:
    alerts.save(a_rule(from_date=LAST_DAY - timedelta(9)))
    together = threading.Barrier(2)

    def evaluate(_: int) -> int:
        together.wait()
        return alerts.evaluate()

    with ThreadPoolExecutor(2) as pool:
        fired = list(pool.map(evaluate, range(2)))
    assert sum(fired) == 10
    assert warehouse.sql("select count(*), count(distinct sale_date) from dashboard.alert_events") == [(10, 10)]
    assert alerts.evaluate() == 0
    assert warehouse.sql("select value from dashboard.alert_events where sale_date = %s", LAST_DAY) == warehouse.sql(
        "select sum(net_sales) from kpi.kpi_daily_sales where sale_date = %s and currency = 'USD'", LAST_DAY
    )


def test_a_rule_looks_at_no_day_before_it_was_made_and_not_while_it_is_off(app: AppTest, warehouse: Warehouse) -> None:
    alerts.save(a_rule())
    [rule] = alerts.rules()
    assert rule.rule_id is not None
    alerts.enable(rule.rule_id, False)
    assert alerts.evaluate() == 0
    alerts.enable(rule.rule_id, True)
    assert alerts.evaluate() == 1
    assert warehouse.sql("select sale_date from dashboard.alert_events") == [(LAST_DAY,)]


def test_a_rule_that_can_no_longer_be_judged_stops_no_other(app: AppTest, warehouse: Warehouse) -> None:
    alerts.save(a_rule(name="Of yesterday's software", measure="gone"))
    alerts.save(a_rule(name="Of a dimension that is no more", kept={"planet": ["Mars"]}))
    alerts.save(a_rule(name="Of money nobody takes", currency="XXX"))
    alerts.save(a_rule(name="Of today"))
    assert alerts.evaluate() == 1
    app.switch_page("views/alerts.py").run()
    assert not app.exception
    assert any("no longer known" in each.value for each in app.markdown)


def test_a_rule_whose_figures_take_too_long_stops_no_other(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_sales = daily_sales.read_sales

    def slow_where_limited(scope: Scope, *dates_and_dimensions: Any) -> Any:
        if scope.kept:
            raise Unavailable(Problem.SLOW)
        return read_sales(scope, *dates_and_dimensions)

    monkeypatch.setattr(daily_sales, "read_sales", slow_where_limited)
    alerts.save(a_rule(name="First and slow", kept={"region": ["North"]}))
    alerts.save(a_rule(name="Second"))
    with pytest.raises(Unavailable):  # so that it is tried again soon
        alerts.evaluate()
    assert warehouse.sql("select name from dashboard.alert_events join dashboard.alert_rules using (rule_id)") == [
        ("Second",)
    ]


def test_a_rule_that_is_deleted_while_it_is_judged_stops_no_other(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_sales = daily_sales.read_sales

    def deleted_meanwhile(*arguments: Any) -> Any:
        warehouse.sql("delete from dashboard.alert_rules where name = 'First and gone'")
        return read_sales(*arguments)

    monkeypatch.setattr(daily_sales, "read_sales", deleted_meanwhile)
    alerts.save(a_rule(name="First and gone"))
    alerts.save(a_rule(name="Second"))
    assert alerts.evaluate() == 1


def test_what_cannot_be_judged_keeps_nothing_from_being_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    delivered = threading.Event()

    def evaluate() -> int:
        raise Unavailable(Problem.SLOW)

    def deliver() -> None:
        delivered.set()

    monkeypatch.setattr(alerts, "evaluate", evaluate)
    monkeypatch.setattr(dispatch, "deliver", deliver)

    async def watch() -> bool:
        async with dispatch.watching(asyncio.Event()):
            return await asyncio.to_thread(delivered.wait, 10)

    with ThreadPoolExecutor(1) as pool:  # the browser of other tests has a loop in this one
        assert pool.submit(asyncio.run, watch()).result()


# --- delivery -------------------------------------------------------------------------------------------------------


@dataclass
class Received:
    """What a server has been sent, and the statuses it answers with, one after the other."""

    answers: list[int]
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def web_server(*answers: int) -> Iterator[tuple[str, Received]]:
    """A web server that answers so, and 200 from then on."""
    received = Received(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = received.answers.pop(0) if received.answers else 200
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook?token=hidden", received
        server.shutdown()


def raise_one(monkeypatch: pytest.MonkeyPatch, **channels: Any) -> None:
    """One alert, to be delivered at once and again at once."""
    monkeypatch.setattr(dispatch, "FIRST_PAUSE_SECONDS", 0)
    alerts.save(a_rule(name="High", **channels))
    assert alerts.evaluate() == 1


def deliveries(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return warehouse.sql(
        "select channel, attempts, delivered_at is not null, next_attempt_at is not null, error "
        "from dashboard.deliveries order by channel"
    )


def test_a_webhook_is_called_until_it_answers_well(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(500, 302) as (url, received):
        monkeypatch.setenv("DASHBOARD_ALERT_WEBHOOK_URL", url)
        monkeypatch.setenv("DASHBOARD_ALERT_WEBHOOK_SECRET", "a shared secret")
        monkeypatch.setenv("DASHBOARD_PUBLIC_URL", "https://sales.example.com/")
        raise_one(monkeypatch, webhook=True)
        assert dispatch.deliver() is None
    assert deliveries(warehouse) == [("webhook", 3, True, False, None)]
    assert len(received.requests) == 3, "a redirect is not followed"
    assert len({headers["webhook-id"] for headers, _ in received.requests}) == 1, "the receiver can tell a repetition"
    headers, body = received.requests[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(b"a shared secret", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    told = json.loads(body)
    [(value,)] = warehouse.sql(
        "select sum(net_sales)::text from kpi.kpi_daily_sales where sale_date = %s and currency = 'USD'", LAST_DAY
    )
    assert (told["alert"], told["sale_date"], told["value"]) == ("High", str(LAST_DAY), value)
    assert told["url"] == "https://sales.example.com/alerts"


def test_a_failed_delivery_waits_longer_each_time_and_is_given_up(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(*[503] * 20) as (url, received):
        monkeypatch.setenv("DASHBOARD_ALERT_WEBHOOK_URL", url)
        raise_one(monkeypatch, webhook=True)
        monkeypatch.setattr(dispatch, "FIRST_PAUSE_SECONDS", 10)
        for attempt in range(1, dispatch.MOST_ATTEMPTS):
            pause = dispatch.deliver()
            assert pause is not None
            assert pause == pytest.approx(10 * 2 ** (attempt - 1), abs=3)
            warehouse.sql("update dashboard.deliveries set next_attempt_at = now()")
        assert dispatch.deliver() is None
    assert len(received.requests) == dispatch.MOST_ATTEMPTS
    assert deliveries(warehouse) == [("webhook", dispatch.MOST_ATTEMPTS, False, False, "answered 503")]


def test_what_a_rule_of_other_software_has_raised_is_not_tried_for_ever(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_one(monkeypatch, webhook=True)
    warehouse.sql("""update dashboard.alert_events set judged = judged || '{"measure": "gone"}'""")
    assert dispatch.deliver() is None
    assert deliveries(warehouse) == [("webhook", 1, False, False, "its measure is no longer known")]


def test_two_processes_deliver_an_alert_once(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server() as (url, received):
        monkeypatch.setenv("DASHBOARD_ALERT_WEBHOOK_URL", url)
        raise_one(monkeypatch, webhook=True)
        together = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            for each in [pool.submit(lambda: (together.wait(), dispatch.deliver())) for _ in range(2)]:
                each.result()
    assert len(received.requests) == 1


def test_what_is_not_there_is_said_without_its_secrets(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_ALERT_WEBHOOK_URL", "http://127.0.0.1:1/hook?token=hidden")
    monkeypatch.setattr(dispatch, "MOST_ATTEMPTS", 1)
    raise_one(monkeypatch, webhook=True, email=True)
    dispatch.deliver()
    assert deliveries(warehouse) == [
        ("email", 1, False, False, "DASHBOARD_ALERT_SMTP_HOST is not set"),
        ("webhook", 1, False, False, "ConnectError"),
    ]


@pytest.mark.parametrize("trusted", [True, False])
def test_mail_goes_out_encrypted_and_only_to_a_server_that_is_trusted(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, certificate: Path, trusted: bool
) -> None:
    with mail_server(certificate, monkeypatch) as server:
        monkeypatch.setenv("DASHBOARD_ALERT_EMAIL_TO", "one@example.com, two@example.com")
        if not trusted:
            monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.setattr(dispatch, "MOST_ATTEMPTS", 1)
        raise_one(monkeypatch, email=True)
        dispatch.deliver()
    if not trusted:
        assert deliveries(warehouse) == [("email", 1, False, False, "SSLCertVerificationError")] * 2
        assert not server.mails
        return
    assert deliveries(warehouse) == [("email", 1, True, False, None)] * 2
    mails = sorted(server.mails, key=lambda mail: mail["To"])
    assert [mail["To"] for mail in mails] == ["one@example.com", "two@example.com"]
    assert {mail["Subject"] for mail in mails} == {f"High: Total sales on {LAST_DAY.day} {LAST_DAY:%b %Y}"}
    assert all("above $1.00" in mail.get_content() for mail in mails)
    assert [each for each in server.commands if each.startswith("RCPT")] == []
    assert len([each for each in server.commands if each.startswith("TLS rcpt")]) == 2


def test_an_alert_goes_to_recipients_of_its_own_as_long_as_they_are_allowed(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    with mail_server(certificate, monkeypatch) as server:
        monkeypatch.setenv("DASHBOARD_ALERT_EMAIL_TO", "everybody@example.com")
        monkeypatch.setenv("DASHBOARD_MAIL_ALLOWED", "shops.example")
        monkeypatch.setattr(dispatch, "MOST_ATTEMPTS", 1)
        # The second one was allowed when the rule was kept, or has come into the database some other way.
        raise_one(monkeypatch, email=True, recipients=("north@shops.example", "out@elsewhere.example"))
        dispatch.deliver()
    assert [mail["To"] for mail in server.mails] == ["north@shops.example"]
    assert sorted(deliveries(warehouse), key=str) == [
        ("email", 1, False, False, "DASHBOARD_MAIL_ALLOWED does not allow this address"),
        ("email", 1, True, False, None),
    ]


def test_a_webhook_of_slacks_shape_gets_text_that_calls_nobody(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server() as (url, received):
        monkeypatch.setenv("DASHBOARD_ALERT_WEBHOOK_URL", url)
        monkeypatch.setenv("DASHBOARD_ALERT_WEBHOOK_FORMAT", "slack")
        monkeypatch.setenv("DASHBOARD_PUBLIC_URL", "https://sales.example.com/")
        monkeypatch.setattr(dispatch, "FIRST_PAUSE_SECONDS", 0)
        alerts.save(a_rule(name="<!channel> & co", webhook=True))
        assert alerts.evaluate() == 1
        assert dispatch.deliver() is None
    [(_, body)] = received.requests
    told = json.loads(body)
    assert set(told) == {"text"}
    assert told["text"].startswith(
        "&lt;!channel&gt; &amp; co: Total sales on 31 Mar 2026\nTotal sales on 31 Mar 2026: $"
    )
    assert told["text"].endswith("\n<https://sales.example.com/alerts>")


# --- on the page ----------------------------------------------------------------------------------------------------


def open_alerts(app: AppTest) -> AppTest:
    app.switch_page("views/alerts.py").run()
    assert not app.exception
    return app


def test_an_alert_is_made_switched_off_and_deleted_on_the_page(app: AppTest, warehouse: Warehouse) -> None:
    open_alerts(app)
    app.text_input(key="alert-name").set_value("  Low\nsales ")
    app.selectbox(key="alert-direction").set_value("below").run()
    app.number_input(key="alert-threshold-False").set_value(6000.0).run()
    expected = alerts.backtest(
        -1, a_rule(direction="below", threshold=Decimal(6000), finished_days=True), FIRST_DAY, LAST_DAY
    )
    said = next(each.value for each in app.info if "Would have fired" in each.value)
    assert f"**{len(expected)} times** in the last {DAYS} days" in said
    newest = expected[-1].sale_date
    assert f": {newest.day} {newest:%b %Y}" in said
    app.button(key="alert-save").click().run()
    assert not app.exception
    [row] = warehouse.sql(
        "select rule_id, name, measure, direction, threshold, finished_days, from_date, created_by "
        "from dashboard.alert_rules"
    )
    assert row[1:] == ("Low sales", "net_sales", "below", Decimal(6000), True, LAST_DAY, None)
    app.text_input(key="alert-name").set_value("Low sales")
    app.button(key="alert-save").click().run()
    assert "of that name already" in app.error[0].value
    app.toggle(key=f"rule-on-{row[0]}").set_value(False).run()
    assert warehouse.sql("select enabled from dashboard.alert_rules") == [(False,)]
    app.button(key=f"rule-delete-{row[0]}").click().run()
    assert warehouse.sql("select count(*) from dashboard.alert_rules") == [(0,)]


def test_an_alert_is_changed_in_the_form_and_what_it_has_raised_stays_true(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_ALERT_SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("DASHBOARD_ALERT_EMAIL_FROM", "dashboard@example.com")
    monkeypatch.setenv("DASHBOARD_MAIL_ALLOWED", "example.com")
    region = str(warehouse.sql("select min(sales_region) from kpi.kpi_daily_sales")[0][0])
    rule = a_rule(name="Before", basis="same weekday", kept={"region": [region]}, from_date=LAST_DAY - timedelta(30))
    alerts.save(rule)
    assert alerts.evaluate() > 0
    before = [describe(rule, breach) for _, rule, breach in alerts.events()]
    [(rule_id,)] = warehouse.sql("select rule_id from dashboard.alert_rules")
    open_alerts(app)
    app.button(key=f"rule-edit-{rule_id}").click().run()
    assert not app.exception
    assert app.selectbox(key="alert-basis").value == "same weekday"
    assert app.number_input(key="alert-threshold-True").value == 1
    assert app.multiselect(key="alert-region").value == [region]
    app.text_input(key="alert-name").set_value("After")
    app.selectbox(key="alert-measure").set_value("orders").run()
    app.checkbox(key="alert-email").set_value(True).run()
    app.text_input(key="alert-recipients").set_value("out@elsewhere.example")
    app.button(key="alert-save").click().run()
    assert "Mail may not go to out@elsewhere.example" in app.error[0].value
    assert warehouse.sql("select name from dashboard.alert_rules") == [("Before",)]
    app.text_input(key="alert-recipients").set_value("boss@example.com")
    app.button(key="alert-save").click().run()
    assert not app.exception
    assert not app.error
    assert warehouse.sql(
        "select rule_id, name, measure, basis, email, recipients, from_date from dashboard.alert_rules"
    ) == [(rule_id, "After", "orders", "same weekday", True, ["boss@example.com"], LAST_DAY)]
    assert [describe(rule, breach) for _, rule, breach in alerts.events()] == before
    assert app.text_input(key="alert-name").value == ""
    assert "New alert" in [each.value for each in app.subheader]


def test_an_alert_whose_recipients_alone_change_goes_on_from_the_day_that_it_had(
    app: AppTest, warehouse: Warehouse
) -> None:
    alerts.save(a_rule(from_date=LAST_DAY - timedelta(5)))
    [rule] = alerts.rules()
    alerts.save(replace(rule, webhook=True, from_date=LAST_DAY))
    assert warehouse.sql("select webhook, from_date from dashboard.alert_rules") == [(True, LAST_DAY - timedelta(5))]


@pytest.mark.parametrize(("basis", "period"), [("previous week", "week"), ("month", "month")])
def test_a_week_and_a_month_fire_once_and_with_the_figures_of_sql(
    app: AppTest, warehouse: Warehouse, basis: str, period: str
) -> None:
    # The history ends on 31 March 2026, a Tuesday: the month's last day has sales, and the week before is over.
    threshold = Decimal(-100) if basis == "previous week" else Decimal(1)
    alerts.save(a_rule(basis=basis, threshold=threshold, from_date=LAST_DAY - timedelta(8)))
    assert alerts.evaluate() == 1
    assert alerts.evaluate() == 0
    last_day = {"week": date(2026, 3, 29), "month": LAST_DAY}[period]
    [figures] = warehouse.sql("select sale_date, value, reference from dashboard.alert_events")
    [(value, reference)] = warehouse.sql(
        "select sum(net_sales) filter (where date_trunc(%s, sale_date) = date_trunc(%s, %s::date)), "
        "sum(net_sales) filter (where date_trunc(%s, sale_date) = date_trunc(%s, %s::date - 7)) "
        "from kpi.kpi_daily_sales where currency = 'USD'",
        *(period, period, last_day) * 2,
    )
    assert figures == (last_day, value, reference if basis == "previous week" else None)


def test_a_change_that_cannot_be_made_is_told_and_the_page_stays(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts.save(a_rule())
    saved.save("A view", "", [], None)
    assert alerts.evaluate() == 1
    [(rule_id, view_id)] = warehouse.sql("select rule_id, view_id from dashboard.alert_rules, dashboard.saved_views")
    open_alerts(app)

    def write(*_: object, **__: object) -> None:
        raise Unavailable(Problem.SLOW)

    monkeypatch.setattr(database, "write", write)
    app.text_input(key="alert-name").set_value("Another")
    for press in (
        lambda: app.toggle(key=f"rule-on-{rule_id}").set_value(False),
        lambda: app.button(key=f"rule-delete-{rule_id}").click(),
        lambda: app.button(key=f"view-delete-{view_id}").click(),
        lambda: app.button(key="see").click(),
        lambda: app.button(key="alert-save").click(),
    ):
        press().run()
        assert not app.exception
        assert [each.value.split(". ")[1] for each in app.error] == [Problem.SLOW.value]
        assert app.title[0].value == "Alerts & views"
        assert app.toggle(key=f"rule-on-{rule_id}").value, "it says what is kept"


def test_without_the_right_nothing_can_be_kept(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_ANONYMOUS_ROLES", "customers")
    alerts.save(a_rule())
    open_alerts(app)
    assert "people who have signed in" in app.info[-1].value
    assert [each.key for each in app.button if each.key and each.key.startswith(("rule-", "alert-", "view-"))] == []
    assert [each.disabled for each in app.toggle if each.key and each.key.startswith("rule-on")] == [True]


def test_names_from_people_are_text_and_nothing_else(app: AppTest) -> None:
    alerts.save(a_rule(name="<img src=x onerror=alert(1)> **bold** [a](javascript:alert(1))"))
    saved.save("[b](javascript:alert(1)) :red[x]", "", [], "<script>")
    alerts.evaluate()
    open_alerts(app)
    shown = "\n".join(each.value for each in app.markdown)
    assert "[a](javascript" not in shown
    assert "**bold** " not in shown.replace("\\*", "")


def test_an_alert_rings_on_an_open_page_and_is_seen(
    page: Page, dashboard: str, app: AppTest, warehouse: Warehouse
) -> None:
    page.goto(dashboard)
    expect(page.locator(".st-key-bell")).to_be_visible()
    expect(page.locator(READY)).to_be_visible()
    alerts.save(a_rule(name="Ring"))
    warehouse.sql(TOLD)
    expect(page.locator(".st-key-bell")).to_contain_text("1")
    page.locator(".st-key-bell").get_by_role("button").click()
    expect(page.get_by_text("Ring Total sales on 31 Mar 2026")).to_be_visible()
    other = another(page, f"{dashboard}/alerts")
    other.get_by_role("button", name="Mark all as seen").click()
    expect(page.locator(".st-key-bell")).not_to_contain_text("1")


@pytest.mark.parametrize("read", ["count", "events"])
def test_a_bell_that_cannot_be_read_leaves_the_page(app: AppTest, monkeypatch: pytest.MonkeyPatch, read: str) -> None:
    alerts.save(a_rule())
    assert alerts.evaluate() == 1

    def slow() -> None:
        raise Unavailable(Problem.SLOW)

    monkeypatch.setattr(alerts, read, slow)
    app.run()
    assert not app.exception
    assert len(app.metric) == 6


def test_a_saved_view_opens_as_it_was_saved(page: Page, dashboard: str, warehouse: Warehouse) -> None:
    page.goto(f"{dashboard}/?compare=None")
    heading, figure = week_of_one_region(page, warehouse)
    page.locator(".st-key-save-view").get_by_role("button").first.click()
    page.get_by_label("Name of this view").fill("Week of one region")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved for everybody.")).to_be_visible()
    # In the same session, whose filters say something else by then, and in a new one.
    choose_period(page, "28D")
    expect(page.locator("h1")).not_to_have_text(heading)
    for is_new in (False, True):
        tab = another(page, f"{dashboard}/alerts") if is_new else page
        if not is_new:
            tab.get_by_test_id("stTopNavLink").filter(has_text="Alerts").click()
        tab.get_by_role("link", name=re.compile("Week of one region")).click()
        expect(tab.locator("h1")).to_have_text(heading)
        expect(tab.get_by_test_id("stMetric").filter(has_text="Total sales")).to_have_text(figure, use_inner_text=True)
        assert "period=7D" in tab.url
        assert "region=" in tab.url


def test_a_view_leads_to_our_pages_with_our_parameters_only(app: AppTest, warehouse: Warehouse) -> None:
    saved.save(
        "Mixed", "products", [("period", "7D"), ("utm", "x"), ("region", "A & B"), ("next", "//evil.example")], None
    )
    [view] = saved.views()
    assert (view.script, view.parameters) == ("views/products.py", [("period", "7D"), ("region", "A & B")])
    for page in ("//evil.example", "javascript:alert(1)", "../secrets", "alerts"):
        with pytest.raises(saved.NotSavable):
            saved.save("Evil", page, [], None)
    warehouse.sql(
        "insert into dashboard.saved_views (name, page, query) values ('Of a page that is gone', 'gone', 'x=y')"
    )
    warehouse.sql("update dashboard.saved_views set query = 'period=7D&evil=1' where name = 'Mixed'")
    [view] = saved.views()
    assert view.parameters == [("period", "7D")]
    open_alerts(app)


def test_every_parameter_that_a_page_binds_is_known(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    bound: set[str] = set()
    bind = QueryParams.bind_widget

    def note(self: QueryParams, param_key: str, *arguments: Any, **options: Any) -> None:
        bound.add(param_key)
        bind(self, param_key, *arguments, **options)

    monkeypatch.setattr(QueryParams, "bind_widget", note)
    app.run()
    for script in saved.PAGES.values():
        app.switch_page(script).run()
        assert not app.exception
    assert {"period", "top", "status"} <= bound <= saved.PARAMETERS, "say so in PARAMETERS of dashboard/saved.py"


def test_the_receiver_can_check_a_signature_of_the_standard(app: AppTest) -> None:
    """The example of the specification: https://github.com/standard-webhooks/standard-webhooks."""
    body = b'{"test": 2432232314}'
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert notify.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == expected


def test_descriptions_are_sentences(app: AppTest) -> None:
    rule = a_rule(basis="previous day", direction="below", threshold=Decimal(20), kept={"region": ["North"]})
    assert condition(rule) == "Total sales falls by more than 20.0% against the day before. Only region North."
    breach = Breach(date(2026, 3, 31), Decimal(812), Decimal(1000))
    assert describe(rule, breach) == (
        "Total sales on 31 Mar 2026: $812.00, 18.8% less than the day before ($1,000). Only region North."
    )
