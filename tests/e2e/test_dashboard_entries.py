"""What people enter: targets that move the figures at once, and notes on days that every trend shows."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.exc import IntegrityError
from streamlit.testing.v1 import AppTest

from dashboard import access, database, freshness, notes, queries, targets
from dashboard.access import Rights
from dashboard.daily_sales import Scope
from dashboard.filters import View
from dashboard.measures import Writer
from dashboard.periods import Span
from scripts.browser import serving
from tests.e2e.conftest import LAST_DAY, READY, Warehouse, another, chart, download, forget, minus

MARCH = date(2026, 3, 1)
EDITOR = Rights("ann@example.com", frozenset({"editor"}), "1")
HOSTILE = "<img src=x onerror=alert(1)> **b** {@Day}"
OF_MARCH = "where place_type = 'sales_region' and currency = 'USD' and month = '2026-03-01'"
ATTAINED = f"""
    select to_char(100 * sum(net_sales) / sum(target_to_date), 'FM990.0') || '%%'
    from kpi.kpi_target_attainment {OF_MARCH}
"""
ROW_PIXELS = 35  # of a table


@pytest.fixture(autouse=True)
def nothing_entered(warehouse: Warehouse) -> Iterator[None]:
    """Takes away what a test has entered."""
    yield
    warehouse.sql("truncate dashboard.target_changes, dashboard.annotations")
    warehouse.sql("notify entries")
    forget()


@pytest.fixture
def view(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> View:
    """The last 28 days, looked at by an editor who has signed in."""
    monkeypatch.setattr(access, "rights", lambda: EDITOR)
    state = freshness.look()
    span = Span(date(2026, 3, 4), LAST_DAY)
    since = date(2026, 1, 31)
    return View("28D", span, None, "Day", Scope("USD"), since, LAST_DAY, LAST_DAY, state.mart_version)


def cell(page: Page, place: str) -> tuple[float, float]:
    """Where the target of a place stands on the screen."""
    grid = page.get_by_role("dialog").get_by_test_id("data-grid-canvas").first
    expect(grid).to_be_visible()
    places = [grid.get_by_test_id(f"glide-cell-0-{row}").inner_text() for row in range(4)]
    box = grid.bounding_box()
    assert box
    return box["x"] + box["width"] * 0.25, box["y"] + ROW_PIXELS * (places.index(place) + 1.5)


def enter(page: Page, place: str, amount: str) -> None:
    """Type a target as in a spreadsheet; the sum below tells that the page has it."""
    together = page.get_by_role("dialog").get_by_text("Together")
    expect(together).to_be_visible()
    before = together.inner_text()
    if amount:
        page.mouse.dblclick(*cell(page, place))
        written = page.locator("input.gdg-input")
        written.fill(amount)
        written.press("Enter")
    else:
        page.mouse.click(*cell(page, place))
        # A key that comes before the table has taken the click is of no cell.
        expect(page.get_by_role("dialog").locator("[data-testid^=glide-cell-1-][aria-selected=true]")).to_have_count(1)
        page.keyboard.press("Delete")
    expect(together).not_to_have_text(before)
    expect(page.locator(READY)).to_be_visible()


def test_a_target_set_on_the_page_moves_the_figures_of_every_open_page(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    page.goto(f"{dashboard}/places?target-month=March+2026")
    elsewhere = another(page, dashboard)
    card = elsewhere.get_by_test_id("stMetric").filter(has_text="March run rate")
    planned = "select 'Target $' || round(sum(target_net_sales) / 1000) || 'K' from kpi.kpi_target_attainment "
    [(before,)] = warehouse.sql(planned + OF_MARCH)
    expect(elsewhere.get_by_text(str(before))).to_be_visible()
    [(attained_before,)] = warehouse.sql(ATTAINED)
    attainment = page.get_by_test_id("stMetric").filter(has_text="Attainment")
    expect(attainment).to_contain_text(str(attained_before))
    expect(page.locator(READY)).to_be_visible()
    page.get_by_role("button", name="Set targets").click()
    enter(page, "North America", "123456.78")
    expect(page.get_by_role("dialog").get_by_text("Not saved yet: North America $123,456.78.")).to_be_visible()
    page.get_by_role("button", name="Save targets").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    kept = warehouse.sql("select month, place_type, place, currency, target_net_sales from dashboard.target_changes")
    assert kept == [(MARCH, "sales_region", "North America", "USD", Decimal("123456.78"))]
    [(target,)] = warehouse.sql(
        f"select target_net_sales from kpi.kpi_target_attainment {OF_MARCH} and place = 'North America'"
    )
    assert target == Decimal("123456.78")
    [(attained,)] = warehouse.sql(ATTAINED)
    assert attained != attained_before
    expect(attainment).to_contain_text(str(attained))
    expect(page.get_by_text("Last change: North America, March 2026: set to $123,456.78")).to_be_visible()
    [(after,)] = warehouse.sql(planned + OF_MARCH)
    assert after != before
    expect(elsewhere.get_by_text(str(after))).to_be_visible()
    [(change,)] = warehouse.sql(
        "select to_char(100 * (round(sum(net_sales)) / sum(target_net_sales) - 1), 'SFM990.0') || '%%' "
        f"from kpi.kpi_target_attainment {OF_MARCH}"
    )
    expect(card).to_contain_text(minus(change))


def test_what_is_typed_is_repeated_in_the_style_of_the_dashboard() -> None:
    shown = {"North": Decimal("1234.5"), "South": Decimal(10), "West": None}
    wanted = {"North": Decimal("98765.43"), "South": None, "West": None}
    said = targets.typed(shown, wanted, Writer("1.234,56", "EUR"))
    assert said.startswith("Not saved yet: North €98.765,43, South none. Together €98.765")
    assert targets.typed(shown, shown, Writer("1.234,56", "EUR")).startswith("Together €1.24")


def test_targets_of_a_month_are_copied_to_the_next_and_taken_away(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    page.goto(f"{dashboard}/places")
    expect(page.locator(READY)).to_be_visible()
    page.get_by_role("button", name="Set targets").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name=re.compile("Month of the targets")).click()
    page.get_by_role("option", name="April 2026").click()
    dialog.get_by_role("button", name="Copy March 2026").click()
    expect(dialog.get_by_test_id("glide-cell-1-0")).to_have_text("291000")
    expect(page.locator(READY)).to_be_visible()
    enter(page, "Oceania", "")
    dialog.get_by_role("button", name="Save targets").click()
    expect(dialog).to_have_count(0)
    of = "select place, target_net_sales from kpi.kpi_sales_targets where place_type = 'sales_region' and month = '{}'"
    march, april = (dict(warehouse.sql(of.format(month))) for month in (MARCH, date(2026, 4, 1)))
    assert march.pop("Oceania")
    assert april == march


def test_the_figure_typed_last_is_saved_too_however_soon_the_button_is_pressed(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    page.goto(f"{dashboard}/places?target-month=March+2026")
    expect(page.locator(READY)).to_be_visible()
    page.get_by_role("button", name="Set targets").click()
    save = page.get_by_role("dialog").get_by_role("button", name="Save targets")
    enter(page, "Europe", "700")
    page.mouse.dblclick(*cell(page, "Oceania"))
    page.locator("input.gdg-input").fill("800")
    save.click()
    expect(save).to_have_count(0)
    kept = dict(warehouse.sql("select place, target_net_sales from dashboard.target_changes"))
    assert kept == {"Europe": Decimal(700), "Oceania": Decimal(800)}


def test_an_amount_that_is_no_target_is_refused_and_nothing_is_written(view: View, warehouse: Warehouse) -> None:
    for amount in ("0", "-1", "1.005", "NaN", "1e12"):
        with pytest.raises(targets.NotSettable):
            targets.save(view, MARCH, "sales_region", {"Europe": Decimal(5), "Oceania": Decimal(amount)})
    for month, kind, place in (
        (date(2026, 3, 2), "sales_region", "Europe"),
        (date(2030, 1, 1), "sales_region", "Europe"),
        (MARCH, "sales_channel", "Online"),
        (MARCH, "sales_region", "Atlantis"),
        (MARCH, "store_id", "Europe"),
    ):
        with pytest.raises(targets.NotSettable):
            targets.save(view, month, kind, {place: Decimal(5)})
    with pytest.raises(targets.NotSettable):
        targets.save(view, MARCH, "sales_region", {})
    for amount in ("0", "1.005", "'NaN'", "1e12"):  # and by PostgreSQL, whoever asks
        with pytest.raises(IntegrityError):
            database.write(
                "set_targets", month=MARCH, place_type="sales_region", currency="USD", changed_by=None,
                targets=f'[{{"place": "Europe", "target": {amount.replace(chr(39), chr(34))}}}]',
            )  # fmt: skip
    assert warehouse.sql("select count(*) from dashboard.target_changes") == [(0,)]


def test_nobody_but_an_editor_sets_a_target_or_notes_a_day(
    app: AppTest, view: View, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the page was drawn for somebody who was one."""
    monkeypatch.setattr(access, "rights", lambda: Rights("bob@example.com", frozenset({"customers", "rejects"}), "2"))
    with pytest.raises(targets.NotSettable):
        targets.save(view, MARCH, "sales_region", {"Europe": Decimal(5)})
    with pytest.raises(notes.NotNotable):
        notes.add(view, MARCH, None, "A note")
    app.switch_page("views/places.py").run()
    app.button(key="targets-button").click().run()
    assert not app.exception
    keys = [button.key for button in app.button]
    assert "targets-save" not in keys
    assert "note-save" not in keys
    assert not app.data_editor
    [(rows,)] = warehouse.sql(
        "select count(distinct place) from kpi.kpi_sales_targets where place_type = 'sales_region'"
    )
    [table] = [frame.value for frame in app.dataframe if "target" in frame.value]
    assert len(table) == rows
    assert warehouse.sql("select count(*) from dashboard.target_changes") == [(0,)]


def test_the_log_says_who_changed_what_from_what(view: View, app: AppTest) -> None:
    targets.save(view, MARCH, "sales_region", {"Europe": Decimal("100.50")})
    targets.save(view, MARCH, "sales_region", {"Europe": Decimal(200)})
    targets.save(view, MARCH, "sales_region", {"Europe": None})
    changes = queries.target_changes(freshness.look().entries, "USD", 9)
    told = [(row["previous_target"], row["target_net_sales"], row["changed_by"]) for _, row in changes.iterrows()]
    assert told == [
        (Decimal(200), None, EDITOR.name), (Decimal("100.50"), Decimal(200), EDITOR.name),
        (None, Decimal("100.50"), EDITOR.name),
    ]  # fmt: skip
    app.switch_page("views/places.py").run()
    said = "\n".join(caption.value for caption in app.caption).replace("\\", "")
    assert "Last change: Europe, March 2026: taken away, by ann@example.com" in said


def test_two_people_who_change_different_places_keep_both(view: View, warehouse: Warehouse) -> None:
    """A form writes what was changed in it, and not what it showed."""
    form = targets.Form(1, MARCH, "sales_region", *[targets.of_month(view, MARCH, "sales_region")] * 2)
    targets.save(view, MARCH, "sales_region", {"Europe": Decimal(1)})
    wanted = form.shown | {"Oceania": Decimal(2)}
    targets.save(view, MARCH, "sales_region", {name: each for name, each in wanted.items() if each != form.shown[name]})
    kept = warehouse.sql(
        "select place, target_net_sales from kpi.kpi_sales_targets where changed_at is not null order by place"
    )
    assert kept == [("Europe", 1), ("Oceania", 2)]


def test_the_file_of_targets_is_what_the_marts_use(
    page: Page, dashboard: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    page.goto(f"{dashboard}/places?target-month=March+2026")
    expect(page.locator(READY)).to_be_visible()
    page.get_by_role("button", name="Set targets").click()
    expect(page.get_by_role("dialog").get_by_test_id("data-grid-canvas").first).to_be_visible()
    _, rows = download(page, "planned", tmp_path)
    found = {row["place"]: Decimal(row["target_net_sales"]) for row in rows}
    assert found == dict(warehouse.sql(f"select place, target_net_sales from kpi.kpi_sales_targets {OF_MARCH}"))


def test_a_note_is_on_every_trend_and_is_text_whatever_it_says(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    page.goto(dashboard)
    page.get_by_role("button", name="Note on a day").click()
    page.get_by_label("What happened").fill(HOSTILE)
    page.get_by_role("button", name="Add note").click()
    line = page.get_by_text(HOSTILE)
    expect(line).to_be_visible()
    assert warehouse.sql("select day, sales_region, note from dashboard.annotations") == [(LAST_DAY, None, HOSTILE)]
    page.keyboard.press("Escape")
    expect(page.locator(READY)).to_be_visible()
    for path, key in (("", "trend"), ("explore", "over-time-orders"), ("places", "on-time")):
        page.goto(f"{dashboard}/{path}")
        expect(line).to_be_visible()
        expect(page.locator(READY)).to_be_visible()
        drawn = page.locator(f".st-key-{key}")
        drawn.scroll_into_view_if_needed()
        box = drawn.locator("canvas").first.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] - 60, box["y"] + box["height"] / 2)
        page.mouse.move(box["x"] + box["width"] - 45, box["y"] + box["height"] / 2)
        expect(drawn).to_contain_text(HOSTILE[:20])
        expect(page.locator("img[src=x]")).to_have_count(0)
    page.goto(f"{dashboard}/alerts")
    expect(line).to_be_visible()
    expect(page.locator("img[src=x]")).to_have_count(0)
    page.locator("[class*=st-key-note-delete-] button").first.click()
    expect(line).to_have_count(0)
    assert warehouse.sql("select deleted_at is not null from dashboard.annotations") == [(True,)]
    page.goto(dashboard)
    expect(page.get_by_test_id("stMetric")).to_have_count(6)
    expect(page.locator(READY)).to_be_visible()
    expect(line).to_have_count(0)


@pytest.mark.parametrize(("grain", "told"), [("Day", "A strike"), ("Week", "18 Mar: A strike")])
def test_a_note_stands_at_its_day(app: AppTest, view: View, grain: str, told: str) -> None:
    notes.add(view, date(2026, 3, 18), None, "A\n strike ")
    notes.add(view, date(2026, 1, 1), None, "Before these days")
    app.query_params["grain"] = grain
    drawn = chart(app.run(), "Net sales over time")
    noted = drawn[drawn["Note"] != ""]
    assert [*noted["Note"]] == [told]
    assert [*noted["Day"]] == ["Wed 18 Mar" if grain == "Day" else "Mon 16 Mar"]
    assert [*noted["Noted"]] == [*noted["Total sales"]]


def test_a_note_of_a_region_is_hidden_where_others_are_kept(view: View) -> None:
    notes.add(view, LAST_DAY, "Europe", "A strike")
    notes.add(view, LAST_DAY, None, "A holiday")
    kept = {region: replace(view, scope=Scope("USD", (("region", (region,)),))) for region in ("Europe", "Oceania")}
    said = {name: [note.text for note in notes.within(each, each.span)] for name, each in kept.items()}
    assert said == {"Europe": ["A holiday", "Europe: A strike"], "Oceania": ["A holiday"]}
    assert [note.text for note in notes.within(view, view.span)] == ["A holiday", "Europe: A strike"]
    for region, text in ((None, "  "), (None, "x" * 201), ("Atlantis", "A strike")):
        with pytest.raises(notes.NotNotable):
            notes.add(view, LAST_DAY, region, text)


def test_notes_and_targets_are_for_reading_where_nobody_may_edit(
    page: Page, warehouse: Warehouse, tmp_path: Path
) -> None:
    warehouse.sql("insert into dashboard.annotations (day, note) values (%s, 'A strike')", LAST_DAY)
    with serving(warehouse.dashboard_url, tmp_path) as (address, _):
        page.goto(address)
        expect(page.get_by_test_id("stCaptionContainer").filter(has_text="A strike")).to_be_visible()
        expect(page.get_by_role("button", name="Note on a day")).to_have_count(0)
        page.goto(f"{address}/places")
        page.get_by_role("button", name="All targets").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_test_id("data-grid-canvas").first).to_be_visible()
        expect(dialog.get_by_role("button", name="Save targets")).to_have_count(0)
        page.goto(f"{address}/alerts")
        expect(page.get_by_text("A strike")).to_be_visible()
        expect(page.locator("[class*=st-key-note-delete-]")).to_have_count(0)
