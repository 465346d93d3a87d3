"""Each page in light and dark, on a telephone and on a wide screen: readable, whole, and open to keys and ears."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page, Request, expect

from dashboard import saved
from tests.e2e.conftest import READY

PATHS = [*saved.PAGES, "alerts"]
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
OURS = {"exclude": [["[data-testid=stStatusWidget]"]]}  # which Streamlit shows for as long as it draws
# The scheme in which the page is opened, and a width; without a scheme the page stays, and becomes as wide as that.
SCREENS: list[tuple[Literal["dark", "light"] | None, int]] = [("dark", 390), (None, 1920), ("light", 1366)]
CHARTS = {"products": 5, "customers": 4}
FIRST_FIGURE = re.compile(r"\$\d")
# Counts what is on the screen that our style hides there, each time anything is drawn.
COUNT_UNSTYLED = """
    window.unstyled = 0
    new MutationObserver(() => {
        for (const each of document.querySelectorAll(".st-key-printed")) window.unstyled += each.offsetHeight > 0
    }).observe(document, {childList: true, subtree: true})
"""


@pytest.mark.parametrize("path", PATHS)
def test_page_is_whole_and_keeps_to_the_guidelines_and_to_the_policy(page: Page, dashboard: str, path: str) -> None:
    """On a telephone and a wide screen in the dark, and on a usual one by day."""
    faults: list[tuple[int, object]] = []
    with refusals(page, dashboard) as refused:
        for scheme, width in SCREENS:
            page.set_viewport_size({"width": width, "height": 900})
            if scheme:
                page.emulate_media(color_scheme=scheme)
                page.goto(f"{dashboard}/{path}")
            _settle(page)
            expect(page.get_by_test_id("stException")).to_have_count(0)
            if path in CHARTS:
                expect(page.get_by_test_id("stEChartsChart")).to_have_count(CHARTS[path])
            if (needed := page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")) > width:
                faults.append((width, f"needs {needed} pixels"))
            found = Axe().run(page, context=OURS, options=WCAG).response["violations"]
            faults += [(width, (rule["id"], [node["html"] for node in rule["nodes"]])) for rule in found]
    assert faults == []
    assert refused == []


@contextmanager
def refusals(page: Page, dashboard: str) -> Iterator[list[str]]:
    """What the browser refuses for the content security policy meanwhile, and what is asked of other places."""
    found: list[str] = []

    def heed(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "violates" in message.text:
            found.append(message.text)

    def note(request: Request) -> None:
        if not request.url.startswith((dashboard, "data:", f"blob:{dashboard}")):
            found.append(request.url)

    page.on("console", heed)
    page.on("request", note)
    try:
        yield found
    finally:
        page.remove_listener("console", heed)
        page.remove_listener("request", note)


def test_a_page_is_in_our_style_from_its_first_moment(own_page: Page, dashboard: str) -> None:
    own_page.add_init_script(COUNT_UNSTYLED)
    own_page.goto(dashboard)
    _settle(own_page)
    expect(own_page.locator(".st-key-printed")).to_have_count(1)
    assert own_page.evaluate("window.unstyled") == 0


def test_first_figure_of_a_telephone_is_on_its_first_screen_and_wide_screens_are_used(
    page: Page, dashboard: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(dashboard)
    _settle(page)
    box = page.locator(".st-key-figures p").filter(has_text=FIRST_FIGURE).first.bounding_box()
    assert box
    assert box["y"] < 300
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.wait_for_function("document.querySelector('.st-key-cards').getBoundingClientRect().width > 1600")


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
