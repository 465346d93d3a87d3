"""Reports: when they are due, to whom they may go, and what is on the paper."""

import io
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from pypdf import PdfReader

from dashboard import headline, paper, reports
from dashboard.filters import escape
from dashboard.headline import Links
from dashboard.reports import NotKept, Report
from dashboard.settings import Settings, settings


def report(**given: Any) -> Report:
    usual = {
        "name": "Mine",
        "view_id": 1,
        "schedule": "daily",
        "hour": 7,
        "time_zone": "Europe/Berlin",
        "recipients": (),
    }
    return Report(**{**usual, "recipients": (), **given})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "now", "due", "following"),
    [
        ({}, "2026-03-31 04:59", "2026-03-30 05:00", "2026-03-31 05:00"),
        ({}, "2026-03-31 05:00", "2026-03-31 05:00", "2026-04-01 05:00"),
        ({"time_zone": "America/New_York"}, "2026-03-31 12:00", "2026-03-31 11:00", "2026-04-01 11:00"),
        # Clocks go forward on 29 March, and 07:00 is an hour earlier from then on.
        ({}, "2026-03-28 23:00", "2026-03-28 06:00", "2026-03-29 05:00"),
        ({"hour": 2}, "2026-03-29 12:00", "2026-03-29 01:00", "2026-03-30 00:00"),  # there was no 02:00
        ({"schedule": "weekly", "weekday": 1}, "2026-03-31 12:00", "2026-03-30 05:00", "2026-04-06 05:00"),
        ({"schedule": "weekly", "weekday": 2}, "2026-03-31 04:00", "2026-03-24 06:00", "2026-03-31 05:00"),
        ({"schedule": "monthly", "month_day": 1}, "2026-03-31 12:00", "2026-03-01 06:00", "2026-04-01 05:00"),
        ({"schedule": "monthly", "month_day": 31}, "2026-03-15 12:00", "2026-02-28 06:00", "2026-03-31 05:00"),
        ({"schedule": "monthly", "month_day": 31}, "2026-04-15 12:00", "2026-03-31 05:00", "2026-04-30 05:00"),
    ],
)
def test_a_report_is_due_at_its_hour_by_the_clock_of_its_time_zone(
    given: dict[str, Any], now: str, due: str, following: str
) -> None:
    assert report(**given).due(at(now)) == at(due)
    assert report(**given).next_due(at(now)) == at(following)


def test_the_day_before_is_that_of_the_time_zone() -> None:
    assert str(report().day_before(at("2026-03-30 23:00"))) == "2026-03-30"  # it is the 31st in Berlin
    assert str(report(time_zone="America/New_York").day_before(at("2026-03-31 01:00"))) == "2026-03-29"


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_DATABASE_URL", "postgresql://dashboard:x@127.0.0.1/sales")
    monkeypatch.setenv("DASHBOARD_ALERT_EMAIL_TO", "sales@example.com")
    monkeypatch.setenv("DASHBOARD_MAIL_ALLOWED", "shops.example, @North.example, boss@other.example")
    settings.cache_clear()


@pytest.mark.parametrize(
    "address", ["sales@example.com", "a.b+c@shops.example", "A@SHOPS.example", "x@north.example", "Boss@other.example"]
)
def test_mail_may_go_where_the_operator_allows(configured: None, address: str) -> None:
    assert reports.recipients(address) == (address,)


@pytest.mark.parametrize(
    "address",
    [
        "other@example.com", "a@sub.shops.example", "a@shops.example.evil", "other@other.example", "shops.example",
        "a@evil.example@shops.example", "<a@shops.example>", "a@shops.example>", "a@shops.example\0", "@shops.example",
        "boss@other.example\u200b", "ä@shops.example",
    ],
)  # fmt: skip
def test_mail_may_go_nowhere_else(configured: None, address: str) -> None:
    with pytest.raises(NotKept, match="may not go"):
        reports.recipients(f"sales@example.com, {address}")


def test_without_a_setting_only_the_addresses_of_alerts_are_allowed() -> None:
    url = "postgresql://dashboard:x@127.0.0.1/sales"
    alone = Settings(database_url=url, alert_email_to=("sales@example.com",), mail_allowed=())
    assert alone.allows("sales@example.com")
    assert not alone.allows("other@example.com")


def test_addresses_are_read_once_each_however_they_are_separated(configured: None) -> None:
    written = "a@shops.example; b@shops.example,a@shops.example\nsales@example.com"
    assert reports.recipients(written) == ("a@shops.example", "b@shops.example", "sales@example.com")
    with pytest.raises(NotKept, match="who gets it"):
        reports.recipients(" ", needed=True)


def test_a_sentence_of_the_headline_becomes_text_and_html_that_show_just_it() -> None:
    name = r'<b>27" [Monitor](x) *new* & \co'
    figure = Links([("region", "A & B")], "https://sales.example.com/").figure("$1,234", "explore", product="é(1)")
    told = f"Product {escape(name)} made {figure} of it."
    assert headline.plain(told) == f"Product {name} made $1,234 of it."
    assert headline.linked(told) == (
        "Product &lt;b&gt;27&quot; [Monitor](x) *new* &amp; \\co made "
        '<a href="https://sales.example.com/explore?region=A+%26+B&amp;product=%C3%A9%281%29"><b>$1,234</b></a> of it.'
    )
    unknown = f"Sales were {Links([], None).figure('$1', 'explore')}."
    assert (headline.plain(unknown), headline.linked(unknown)) == ("Sales were $1.", "Sales were <b>$1</b>.")


def a_sheet(**given: Any) -> paper.Sheet:
    trend = pd.DataFrame({"Day": ["1 Mar", "2 Mar"], "Total sales": [10, 20], "Comparison": [9, None]})
    usual: dict[str, Any] = {
        "title": "Mine", "dates": "1 to 2 Mar 2026", "filters": "USD", "sentences": ["So it was."], "note": "",
        "figures": [("Total sales", "$30.00", "+3.0% against $9.00", True)], "trend_title": "Total sales per day",
        "trend": trend, "from_zero": True, "axis": str, "leaders_title": "Who", "headings": ("", "", "Sales", "", ""),
        "leaders": [("Product", "Kettle", "$30.00", "100.0%", "")], "foot": "Version 1",
    }  # fmt: skip
    return paper.Sheet(**{**usual, **given})


def text_of(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


@pytest.mark.parametrize(
    "name",
    ["Łódź Żółć", "Ελλάδα", "Київ Благоевград", "Ğöß Ñandú Þórður", "Ștefan Țară", "ŐŰ Šiauliai", "$x$ $5", "ქართული"],
)
def test_every_european_name_is_written_and_can_be_searched(name: str) -> None:
    [page] = text_of(paper.draw(a_sheet(title=name, leaders=[("Product", name, "€5", "", "")])))
    assert page.count(name) == 2


def test_a_figure_is_never_cut_and_a_long_name_is(configured: None) -> None:
    figures = [("A label that is much too long for it", "R$ 123.456.789,00", "−3.0% against R$ 120.000.000", False)] * 5
    [page] = text_of(paper.draw(a_sheet(figures=figures, leaders=[("Product", "Kettle " * 40, "$1", "", "")])))
    assert page.count("R$ 123.456.789,00") == 5
    assert "Kettle Kettl…" in page


def test_leaders_go_on_on_another_page_and_none_is_lost() -> None:
    leaders = [(f"By {by}", f"Member {by}-{member}", "$1", "", "") for by in range(9) for member in range(5)]
    pages = text_of(paper.draw(a_sheet(leaders=leaders)))
    assert len(pages) == 2
    assert all(f"Member {by}-{member}" in "".join(pages) for by in range(9) for member in range(5))
    assert all("Version 1" in page for page in pages)
