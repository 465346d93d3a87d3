"""`make screenshots`: the pages of the running demo as the README and the docs show them."""

from pathlib import Path
from typing import Literal

from playwright.sync_api import expect

from scripts.browser import chromium
from scripts.stack import REPOSITORY, STACK

SHOTS: dict[str, tuple[str, int, int, Literal["light", "dark"]]] = {  # file: path, width, height, colour scheme
    "overview.png": ("/", 1360, 1180, "light"),
    "overview-dark.png": ("/", 1360, 1180, "dark"),
    "overview-phone.png": ("/", 390, 1400, "light"),
    "explore.png": ("/explore", 1360, 1500, "light"),
    "products.png": ("/products", 1360, 1900, "light"),
    "places.png": ("/places", 1360, 1700, "light"),
    "customers.png": ("/customers", 1360, 1900, "light"),
    "customers-dark.png": ("/customers", 1360, 1900, "dark"),
    "orders.png": ("/orders", 1360, 1000, "light"),
    "orders-phone.png": ("/orders", 390, 1200, "light"),
    "pipeline.png": ("/pipeline", 1360, 1180, "light"),
    "alerts.png": ("/alerts", 1360, 1000, "light"),
}


def main(folder: Path = REPOSITORY / "docs" / "images") -> None:
    """Overwrite the pictures in the folder."""
    address = f"http://127.0.0.1:{STACK.env()['STACK_DASHBOARD_PORT']}"
    with chromium() as browser:
        for name, (path, width, height, scheme) in SHOTS.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(address + path)
            page.locator("h1").wait_for()
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=30_000)  # charts that are still loading
            page.wait_for_timeout(8000)  # the charts' entrance, one after the other
            page.screenshot(path=folder / name)
            page.close()


if __name__ == "__main__":
    main()
