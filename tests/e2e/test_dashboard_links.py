"""What a link asks for that is not here is named on every page; what is here, or chosen in a browser, is not."""

import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Locator, Page, expect
from streamlit.testing.v1 import AppTest

from dashboard import links, saved
from tests.e2e.conftest import READY, Warehouse, choose_period

PATHS = [*saved.PAGES, "alerts"]
RIGHT = [
    ("", [("period", "28D"), ("trend-shape", "Each"), ("top", "Units"), ("region", "")]),
    ("", [("period", "Custom"), ("dates", "2026-03-01"), ("dates", "2026-03-20"), ("explain", "net_sales")]),
    ("explore", [("measures", "Orders"), ("measures", "Margin"), ("grain", "Week"), ("region", "Europe")]),
    ("products", [("bridge", "Month before"), ("bridge-month", "Mar 2026"), ("pairs", "Orders")]),
    ("places", [("target-month", "March 2026"), ("weekdays", "Region total"), ("rank", "Orders")]),
    ("customers", [("customers-by", "Customers"), ("cohorts-by", "Retention"), ("top-customers", "Orders")]),
    ("orders", [("sort", "Product"), ("page", "2"), ("search", "")]),
    ("orders", [("search", "nothing that could be found")]),
    ("pipeline", [("status", "loaded"), ("fbclid", "added by whoever passed the link on")]),
]
IN_VAIN = "The link asks for something that is not here"
CHANGES = ("update ops.mart_version set mart_version = mart_version + 1", "select pg_notify('mart_version', '0')")


@pytest.mark.parametrize("path", PATHS)
def test_every_wrong_value_in_a_link_is_named(app: AppTest, path: str) -> None:
    # Any text can be searched for, so this one is wrong only where there is nothing to search.
    wrong = sorted(links.PARAMETERS - ({"search"} if path == "orders" else set()))
    assert _told(app, path, [(name, "bogus") for name in [*wrong, "utm_source"]]) == wrong


@pytest.mark.parametrize(
    ("path", "link"),
    RIGHT,
)
def test_what_a_link_rightly_asks_for_is_not_named(app: AppTest, path: str, link: list[tuple[str, str]]) -> None:
    assert _told(app, path, link) == []


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("explore", [("measures", each) for each in ("Orders", "Margin", "Units per order", "Total sales")]),
        ("orders", [("page", "1000000")]),
        ("orders", [("page", "1.5")]),
        ("orders", [("search", "x" * 201)]),
        ("", [("dates", "2026-03-01"), ("dates", "2026-03-20")]),
        ("", [("compare", "None"), ("compare", "Last year")]),
    ],
    ids=["too many", "beyond the last", "no whole number", "too long", "dates of no custom period", "two of one"],
)
def test_values_that_a_page_cannot_take_are_named(app: AppTest, path: str, link: list[tuple[str, str]]) -> None:
    assert _told(app, path, link) == [link[0][0]]


def test_what_a_browser_makes_of_a_link_is_not_named(page: Page, dashboard: str) -> None:
    """It writes what the widgets have taken of the link back into the address."""
    for path, link in (RIGHT[1], RIGHT[2], RIGHT[6]):
        _open(page, dashboard, path, link)
        expect(_warning(page)).to_have_count(0)


def test_a_wrong_value_stays_named_until_something_else_is_chosen(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    _open(page, dashboard, "explore", [("measures", "bogus")])
    expect(_warning(page)).to_be_visible()
    badge = page.locator(".st-key-freshness")
    shown = badge.inner_text()
    for statement in CHANGES:
        warehouse.sql(statement)
    expect(badge).not_to_have_text(shown)
    expect(page.locator(READY)).to_be_visible()
    assert _named(page) == ["measures"]
    choose_period(page, "7D")
    expect(_warning(page)).to_have_count(0)


def test_leaving_a_page_names_nothing_that_was_chosen_there(page: Page, dashboard: str) -> None:
    _open(page, dashboard, "orders", [("period", "7D"), ("page", "2"), ("sort", "Oldest")])
    expect(page.get_by_role("spinbutton")).to_have_value("2")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    search = page.get_by_role("textbox", name="Search")
    search.fill("nothing that could be found")
    search.press("Enter")
    expect(page.get_by_text("Nothing in")).to_be_visible()
    expect(_warning(page)).to_have_count(0)
    for title in ("Pipeline & quality", "Overview"):
        page.get_by_role("link", name=title, exact=True).first.click()
        expect(page.locator("h1")).to_contain_text(title)
        expect(page.locator(READY)).to_be_visible()
        expect(_warning(page)).to_have_count(0)


def _open(page: Page, dashboard: str, path: str, link: list[tuple[str, str]]) -> None:
    page.goto(f"{dashboard}/{path}?{urlencode(link)}")
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(READY)).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)


def _told(app: AppTest, path: str, link: list[tuple[str, str]]) -> list[str]:
    """What the page says that the link asks for in vain."""
    for name, _ in link:
        app.query_params[name] = [value for each, value in link if each == name]
    app.switch_page({**saved.PAGES, "alerts": "views/alerts.py"}[path]).run()
    assert not app.exception
    warnings = [warning.value for warning in app.warning if IN_VAIN in warning.value]
    assert len(warnings) <= 1
    return [name for warning in warnings for name in re.findall("`(.+?)`", warning)]


def _warning(page: Page) -> Locator:
    return page.get_by_test_id("stAlert").filter(has_text=IN_VAIN)


def _named(page: Page) -> list[str]:
    return re.split(", ", _warning(page).inner_text().rpartition(": ")[2].rstrip("."))
