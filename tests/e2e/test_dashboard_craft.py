"""Each page in light and dark, on a telephone and on a wide screen: readable, whole, and open to keys and ears."""

import re
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dashboard import saved
from tests.e2e.conftest import READY

PATHS = [*saved.PAGES, "alerts"]
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
FIRST_FIGURE = re.compile(r"\$\d")
# Counts what is on the screen that our style hides there, each time anything is drawn.
COUNT_UNSTYLED = """
    window.unstyled = 0
    new MutationObserver(() => {
        for (const each of document.querySelectorAll(".st-key-printed")) window.unstyled += each.offsetHeight > 0
    }).observe(document, {childList: true, subtree: true})
"""


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1366, "light"), (1920, "dark")])
def test_page_is_whole_and_keeps_to_the_guidelines(
    browser: Browser, dashboard: str, path: str, width: int, scheme: Literal["dark", "light"]
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{dashboard}/{path}")
    _settle(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    found = Axe().run(page, options=WCAG).response["violations"]
    context.close()
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []


def test_a_page_is_in_our_style_from_its_first_moment(page: Page, dashboard: str) -> None:
    page.add_init_script(COUNT_UNSTYLED)
    page.goto(dashboard)
    _settle(page)
    expect(page.locator(".st-key-printed")).to_have_count(1)
    assert page.evaluate("window.unstyled") == 0


def test_first_figure_of_a_telephone_is_on_its_first_screen(page: Page, dashboard: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(dashboard)
    _settle(page)
    box = page.locator(".st-key-figures p").filter(has_text=FIRST_FIGURE).first.bounding_box()
    assert box
    assert box["y"] < 300


def test_wide_screens_are_used(page: Page, dashboard: str) -> None:
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.goto(dashboard)
    _settle(page)
    cards = page.locator(".st-key-cards").bounding_box()
    assert cards
    assert cards["width"] > 1600


def test_a_chart_is_read_by_keys(page: Page, dashboard: str) -> None:
    """Tab leads from the switch of the trend to its figures, and Enter opens them: the rows are those of the chart."""
    page.goto(f"{dashboard}/?period=7D&trend-shape=Cumulative")
    expect(page.locator(READY)).to_be_visible()
    page.get_by_role("radio", name="Cumulative", exact=True).focus()
    told = page.locator("details.told").filter(has_text="Net sales over time")
    for _ in range(5):
        page.keyboard.press("Tab")
        if told.locator("summary").evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(told.locator("td").first).to_be_visible()
    rows = told.locator("tbody tr")
    expect(rows).to_have_count(7)
    last = rows.last.locator("td").nth(1).inner_text()
    card = page.get_by_test_id("stMetric").filter(has_text="Total sales").get_by_test_id("stMetricValue").inner_text()
    # Of seven days added up the last is the period's, which its card rounds.
    assert round(float(last.strip("$").replace(",", ""))) == int(card.strip("$").replace(",", ""))


def _settle(page: Page) -> None:
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(READY)).to_be_visible()
