"""Today on paper: one page, light, and nothing on it that only a screen has a use for."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import READY


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_today_prints_on_one_light_page(browser: Browser, dashboard: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 1360, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(dashboard)
    expect(page.get_by_test_id("stMetric")).to_have_count(6)
    expect(page.get_by_text("Last files")).to_be_visible()
    page.locator(READY).wait_for()
    document = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", document)) == 1
    page.emulate_media(media="print")
    for hidden in (".st-key-filters", ".st-key-live-bar", "[class*=st-key-explain-]", "header"):
        assert not [each for each in page.locator(hidden).all() if each.is_visible()]
    expect(page.locator(".st-key-printed")).to_contain_text("version")
    color, turned = page.evaluate(
        "(style => [style.backgroundColor, style.filter])(getComputedStyle(document.querySelector('.stApp')))"
    )
    shown = {"light": ("rgb(255, 255, 255)", "none"), "dark": ("rgb(0, 0, 0)", "invert(1) hue-rotate(180deg)")}
    assert (color, turned) == shown[scheme]
    context.close()


def test_button_opens_the_dialog_for_printing(page: Page, dashboard: str) -> None:
    page.add_init_script("window.print = () => { window.printed = true }")
    page.goto(dashboard)
    page.get_by_role("button", name="Print / PDF").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("window.printed")
    expect(page.locator(".st-key-printed")).to_be_hidden()
