"""The grid and the filters of many members: every figure against the lines; sorting, leafing and files in a browser."""

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Locator, Page, expect
from streamlit.testing.v1 import AppTest

from dashboard import daily_sales, saved
from dashboard.filters import LABELS
from dashboard.measures import MEASURES, MISSING, Kind, Writer
from tests.e2e.conftest import LAST_DAY, READY, Warehouse, download

DOLLARS = Writer("1,234.56", "USD")
NOW = (LAST_DAY - timedelta(days=27), LAST_DAY)
BEFORE = (LAST_DAY - timedelta(days=55), LAST_DAY - timedelta(days=28))
# Counted from the lines and not from a mart: an order of several products is one, where its first line was sold.
LINES = """
    with lines as (
        select
            *,
            (sale_date, feed, sale_id) as sold_as,
            row_number() over (
                partition by sale_date, feed, sale_id, line_type {apart} order by file_id, row_number
            ) as nth
        from core.fct_sales_lines
        where
            currency = (select currency from kpi.kpi_daily_sales group by currency order by sum(net_sales) desc limit 1)
            and sale_date between %s and %s
            and {condition}
    )
    select {keys}
        sum(net_amount),
        count(*) filter (where line_type = 'sale' and nth = 1),
        sum(net_amount) / nullif(count(*) filter (where line_type = 'sale' and nth = 1), 0),
        sum(gross_margin) / nullif(sum(net_amount) filter (where cost_amount is not null), 0)
    from lines
"""
Figures = tuple[Decimal | None, ...]
MEASURED = ("net_sales", "orders", "aov", "margin_rate")
KINDS = [MEASURES[name].kind for name in MEASURED]


def figures(
    warehouse: Warehouse, dates: tuple[date, date], *keys: str, condition: str = "true"
) -> dict[tuple[Any, ...], Figures]:
    """Total sales, orders, average transaction and margin by these columns of the lines."""
    apart = [f", {key}" for key in keys if key in ("product_id", "product_category")]
    statement = LINES.format(apart="".join(apart), condition=condition, keys="".join(f"{key}, " for key in keys))
    grouped = f"group by {', '.join(keys)}" if keys else ""
    rows = warehouse.sql(f"{statement} {grouped}", *dates)
    return {row[: len(keys)]: row[len(keys) :] for row in rows}


def written(now: Figures, before: Figures | None = None) -> list[str]:
    """The cells of a row, without or with comparison."""
    if before is None:
        return [DOLLARS.write(value, kind) for value, kind in zip(now, KINDS, strict=True)]
    return [
        text
        for value, base, kind in zip(now, before, KINDS, strict=True)
        for text in (
            DOLLARS.write(value, kind), DOLLARS.write(base, kind), DOLLARS.change(value, base, kind) or MISSING
        )
    ]  # fmt: skip


NOTHING: Figures = (None,) * len(MEASURED)


@pytest.mark.parametrize(
    ("link", "keys"),
    [
        ({"rows": "Region", "then": "Category"}, ("sales_region", "product_category")),
        ({"rows": "Category", "then": "Product"}, ("product_category", "product_id")),
        ({"rows": "Channel"}, ("sales_channel",)),
        ({"rows": "Representative", "then": "Channel"}, ("sales_representative", "sales_channel")),
    ],
)
def test_every_row_has_its_figures_comparison_and_change(
    app: AppTest, warehouse: Warehouse, link: dict[str, str], keys: tuple[str, ...]
) -> None:
    now, before = (figures(warehouse, dates, *keys) for dates in (NOW, BEFORE))
    names = dict(warehouse.sql("select product_id, product_name from kpi.kpi_products"))
    shown = texts(grid(explore(app, **link))["rows"])
    expected = {
        (*(names.get(part, part) for part in key), *written(now.get(key, NOTHING), before.get(key, NOTHING)))
        for key in now.keys() | before.keys()
    }
    assert len(shown) == min(len(expected), 50)
    assert set(map(tuple, shown)) <= expected


def test_the_last_line_is_the_whole_and_no_sum_of_the_rows(app: AppTest, warehouse: Warehouse) -> None:
    [now], [before] = (list(figures(warehouse, dates).values()) for dates in (NOW, BEFORE))
    rows = figures(warehouse, NOW, "product_category")
    assert texts([grid(explore(app, rows="Category"))["total"]]) == [["All", *written(now, before)]]
    assert sum(each[1] or 0 for each in rows.values()) > (now[1] or 0), "orders of several categories"


def test_a_header_sorts_all_rows_and_not_only_those_of_the_page(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    keys = ("product_id", "sales_region")
    now = figures(warehouse, NOW, *keys)
    assert len(now) > 100
    table = visit(page, dashboard, rows="Product", then="Region", compare="None")
    order = sorted(now.items(), key=lambda row: (row[1][3] is None, -(row[1][3] or 0), row[0]))
    table.get_by_role("button", name="Sort by Margin").click()
    expect(table.get_by_role("columnheader", name="Margin", exact=False)).to_have_attribute("aria-sort", "descending")
    assert [row[2:] for row in cells(table)] == [written(figure) for _, figure in order[:50]]
    assert total(table)[0] == "All"
    page.get_by_role("button", name="Rows after").click()
    expect(page.get_by_text(f"Rows 51 to 100 of {len(now)}")).to_be_visible()
    expect(page.locator(READY)).to_be_visible()
    assert [row[2:] for row in cells(table)] == [written(figure) for _, figure in order[50:100]]
    # The other way, from the first page on; and a copied link shows the same.
    table.get_by_role("button", name="Sort by Margin").click()
    expect(table.get_by_role("columnheader", name="Margin", exact=False)).to_have_attribute("aria-sort", "ascending")
    order = sorted(now.items(), key=lambda row: (row[1][3] is None, row[1][3] or 0, row[0]))
    shown = cells(table)
    assert [row[2:] for row in shown] == [written(figure) for _, figure in order[:50]]
    page.goto(page.url)
    settle(page)
    assert cells(page.locator(".st-key-grid")) == shown
    expect(page.get_by_text("The link asks for")).to_have_count(0)
    # A name is sorted by from A on.
    table.get_by_role("button", name="Sort by product").click()
    header = table.get_by_role("columnheader").filter(has=page.get_by_role("button", name="Sort by product"))
    expect(header).to_have_attribute("aria-sort", "ascending")


@pytest.mark.parametrize("label", ["Sort by product", "Sort by Total sales, change"])
def test_names_and_changes_can_be_sorted_by(app: AppTest, warehouse: Warehouse, label: str) -> None:
    now, before = (figures(warehouse, dates, "product_id") for dates in (NOW, BEFORE))
    names = dict(warehouse.sql("select product_id, product_name from kpi.kpi_products"))
    [column] = [each["name"] for each in grid(explore(app, rows="Product"))["columns"] if each["says"] == label]
    app.query_params["grid-sort"] = column if column == "product" else f"-{column}"
    shown = [row[0] for row in texts(grid(app.run())["rows"])]
    if column == "product":
        assert shown == [
            each for (each,) in warehouse.sql(
                "select product_name from kpi.kpi_products where product_id = any(%s) order by product_name",
                [key for (key,) in now.keys() | before.keys()],
            )
        ]  # fmt: skip
    else:
        change = {
            names[key[0]]: now[key][0] / before[key][0]  # type: ignore[operator]
            for key in now.keys() & before.keys()
            if (before[key][0] or 0) > 0
        }
        ranked = [each for each in shown if each in change]
        assert ranked == sorted(change, key=lambda each: -change[each])


def test_days_weeks_and_months_meet_the_days_of_the_comparison(app: AppTest, warehouse: Warehouse) -> None:
    later = (NOW[0] - BEFORE[0]).days
    week = "date_trunc('week', sale_date)::date"
    now = figures(warehouse, NOW, week)
    before = figures(warehouse, BEFORE, f"date_trunc('week', sale_date + {later})::date")
    assert texts(grid(explore(app, rows="Week"))["rows"]) == [
        [f"{key[0].day} {key[0]:%b %Y}", *written(now[key], before.get(key, NOTHING))] for key in sorted(now)
    ]


def test_weeks_begin_on_the_day_that_the_shop_says(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_WEEK_START", "sunday")
    app.run()
    [(currency,)] = warehouse.sql(
        "select currency from kpi.kpi_daily_sales group by currency order by sum(net_sales) desc limit 1"
    )
    shown = daily_sales.read_sales(daily_sales.Scope(currency), *NOW, ("week",), ("net_sales",))
    assert list(shown.itertuples(index=False, name=None)) == warehouse.sql(
        "select sale_date - extract(dow from sale_date)::int, sum(net_sales) from kpi.kpi_daily_sales "
        "where currency = %s and sale_date between %s and %s group by 1 order by 1",
        currency,
        *NOW,
    )


def test_a_row_filters_everything_by_both_its_members_and_again_by_none(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    table = visit(page, dashboard, rows="Region", then="Channel", compare="None")
    (region, channel, *row), *_ = cells(table)
    everything = total(table)
    table.locator("tbody tr").first.click()
    expect(page).to_have_url(re.compile(r"[?&]region="))
    expect(page).to_have_url(re.compile(r"[?&]channel="))
    expect(table.locator("tbody tr")).to_have_count(1)
    settle(page)
    [now] = figures(warehouse, NOW, condition=f"sales_region = '{region}' and sales_channel = '{channel}'").values()
    assert total(table)[2:] == written(now) == row
    # With the keyboard, as a button of the row.
    table.locator("tbody button").first.press("Enter")
    expect(page).not_to_have_url(re.compile(r"[?&]region="))
    settle(page)
    assert total(table) == everything


def test_the_file_holds_every_row_with_exact_figures(
    page: Page, dashboard: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    keys = ("product_id", "sales_region")
    now, before = (figures(warehouse, dates, *keys) for dates in (NOW, BEFORE))
    visit(page, dashboard, rows="Product", then="Region", columns=["Total sales", "Orders"], channel="Online")
    condition = "sales_channel = 'Online'"
    now, before = (figures(warehouse, dates, *keys, condition=condition) for dates in (NOW, BEFORE))
    name, rows = download(page, "grid", tmp_path)
    assert re.fullmatch(r"grid-2026-03-04-to-2026-03-31-v\d+\.csv", name)
    assert {
        (row["product_id"], row["sales_region"]): tuple(
            Decimal(row[column]) if row[column] else None
            for column in ("net_sales", "orders", "net_sales_before", "orders_before")
        )
        for row in rows
    } == {key: (*now.get(key, NOTHING)[:2], *before.get(key, NOTHING)[:2]) for key in now.keys() | before.keys()}
    assert rows[0]["filters"] == (
        "Currency: USD; Channel: Online; Rows by: product and region; Compared with: 4 Feb to 3 Mar 2026"
    )
    amounts = [Decimal(row["net_sales"]) for row in rows if row["net_sales"]]
    assert amounts == sorted(amounts, reverse=True)


def test_a_young_history_has_no_columns_to_compare_with(app: AppTest) -> None:
    drawn = grid(explore(app, period="YTD", rows="Region"))
    assert "Before" not in [column["label"] for column in drawn["columns"]]
    assert any("sales are known from" in caption.value for caption in app.caption)


@pytest.mark.parametrize(
    "link", [{"grid-sort": "bogus"}, {"grid-sort": "-orders_change", "compare": "None"}, {"grid-page": "99"}]
)
def test_a_link_to_a_column_or_a_page_that_is_not_there_is_named(app: AppTest, link: dict[str, str]) -> None:
    [name] = [name for name in link if name.startswith("grid-")]
    [warning] = explore(app, **link).warning
    assert warning.value.endswith(f": `{name}`.")


def test_taking_the_sorted_column_away_is_no_fault_of_the_link(app: AppTest) -> None:
    explore(app, rows="Region", compare="None", **{"grid-sort": "-orders"})
    assert (grid(app)["sort"], grid(app)["descending"]) == ("orders", True)
    columns = app.multiselect(key="columns")
    columns.set_value([name for name in columns.value if name != "orders"]).run()
    assert "orders" not in [column["name"] for column in grid(app)["columns"]]
    assert not app.warning
    assert "grid-sort" not in app.query_params


@pytest.mark.parametrize("path", [path for path in saved.PAGES if path != "pipeline"])
def test_what_is_left_out_is_said_on_every_page_and_comes_back(app: AppTest, path: str) -> None:
    app.query_params["region"], app.query_params["except"] = "Europe", "Region"
    app.switch_page(saved.PAGES[path]).run()
    assert not app.exception
    assert not app.warning
    chip = app.button(key="chip-region")
    assert chip.label == "Region: all but Europe"
    chip.click().run()
    assert not app.exception
    assert "region" not in app.query_params
    assert "chip-region" not in [button.key for button in app.button]


@pytest.mark.parametrize(
    ("link", "condition"),
    [
        ({"region": "Europe", "except": "Region"}, "sales_region <> 'Europe'"),
        ({"product": ["EL-003", "EL-001"]}, "product_id in ('EL-001', 'EL-003')"),
        ({"product": ["EL-003", "EL-001"], "except": "Product"}, "product_id not in ('EL-001', 'EL-003')"),
        ({"category": ["Electronics", "Clothing"]}, "product_category in ('Electronics', 'Clothing')"),
        (
            {"category": ["Electronics", "Clothing"], "region": "Europe", "except": ["Category", "Region"]},
            "product_category not in ('Electronics', 'Clothing') and sales_region <> 'Europe'",
        ),
        ({"category": "Electronics", "channel": ["Online", "Phone"]},
         "product_category = 'Electronics' and sales_channel in ('Online', 'Phone')"),
    ],
    ids=["without a region", "two products", "without two products", "two categories", "without several", "one"],
)  # fmt: skip
def test_orders_of_several_members_are_counted_once(
    app: AppTest, warehouse: Warehouse, link: dict[str, Any], condition: str
) -> None:
    names = dict(warehouse.sql("select product_id, product_name from kpi.kpi_products"))
    [whole] = figures(warehouse, NOW, condition=condition).values()
    explore(app, compare="None", **link)
    for rows, column in (("Region", "sales_region"), ("Category", "product_category"), ("Product", "product_id")):
        drawn = grid(app.selectbox(key="rows").set_value(rows.lower()).run())
        by = figures(warehouse, NOW, column, condition=condition)
        assert texts([drawn["total"]]) == [["All", *written(whole)]]
        assert set(map(tuple, texts(drawn["rows"]))) == {
            (names.get(key, key), *written(figure)) for (key,), figure in by.items()
        }
    cards = {card.label: card.value for card in app.metric}
    assert cards["Orders"] == DOLLARS.write(whole[1], Kind.COUNT)


def test_orders_of_too_many_lines_are_not_known_and_not_wrong(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_sales, "MOST_COUNTED", 100)
    for name, value in {"product": ["EL-003", "EL-001"], "except": "Product", "period": "28D"}.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    cards = {card.label: card.value for card in app.metric}
    [whole] = figures(warehouse, NOW, condition="product_id not in ('EL-001', 'EL-003')").values()
    assert cards["Total sales"] == DOLLARS.write(whole[0], Kind.MONEY)
    assert cards["Orders"] == cards["Average transaction"] == cards["Units per order"] == MISSING
    assert any("counted in up to 100 lines" in caption.value for caption in app.caption)


def test_a_filter_finds_a_word_inside_a_name_and_keeps_several(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    table = visit(page, dashboard, rows="Product", compare="None")
    page.get_by_role("button", name=re.compile("More")).press("Enter")
    box = page.get_by_role("combobox", name=re.compile("Product"))
    for word, name in (("Monitor", '27" Monitor'), ("spresso", "Espresso Maker")):
        box.fill(word)
        option = page.get_by_role("option").filter(has_text=name)
        expect(page.get_by_role("option")).to_have_count(1)
        option.click()
        settle(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    names = ('27" Monitor', "Espresso Maker")
    expect(table.locator("tbody tr")).to_have_count(2)
    settle(page)
    [whole] = figures(warehouse, NOW, condition=f"product_name in {names}").values()
    assert total(table) == ["All", *written(whole)]
    expect(page.get_by_role("button", name=re.compile("Product: .*Espresso Maker"))).to_be_visible()


def test_a_link_may_name_a_product_by_its_identifier_alone(page: Page, dashboard: str) -> None:
    visit(page, dashboard, product="EL-003")
    expect(page.get_by_role("button", name='Product: 27" Monitor')).to_be_visible()
    expect(page).to_have_url(re.compile(r"product=EL-003.*Monitor"))
    expect(page.get_by_text("The link asks for")).to_have_count(0)


def test_every_dimension_with_several_members_can_be_chosen_for_rows(app: AppTest) -> None:
    explore(app)
    names = {name: label for name, label in LABELS.items() if label != "Store"}
    for name, label in (names | {"date": "Day", "week": "Week", "month": "Month"}).items():
        drawn = grid(app.selectbox(key="rows").set_value(name).run())
        assert drawn["columns"][0]["says"] == f"Sort by {label.lower()}"


def explore(app: AppTest, **link: Any) -> AppTest:
    """The page that this link opens."""
    for name, value in link.items():
        app.query_params[name] = value
    app.switch_page(saved.PAGES["explore"]).run()
    return app


def grid(app: AppTest) -> dict[str, Any]:
    """What the table is told to draw, as in TABLE of dashboard/grid.py."""
    assert not app.exception
    [drawn] = [each.proto for each in app.get("bidi_component") if each.proto.component_name == "grid"]
    told: dict[str, Any] = json.loads(drawn.json)
    return told


def texts(rows: list[list[tuple[str, str]]]) -> list[list[str]]:
    """The texts of the cells, without what is good or bad of them."""
    return [[text for text, _ in row] for row in rows]


def visit(page: Page, dashboard: str, **link: Any) -> Locator:
    """The grid that this link opens."""
    page.goto(f"{dashboard}/explore?{urlencode(link, doseq=True)}")
    settle(page)
    return page.locator(".st-key-grid")


def settle(page: Page) -> None:
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(READY)).to_be_visible()


def cells(table: Locator) -> list[list[str]]:
    expect(table.locator("tfoot tr")).to_be_visible()
    rows: list[list[str]] = table.locator("tbody").evaluate(
        "body => [...body.rows].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def total(table: Locator) -> list[str]:
    shown: list[str] = table.locator("tfoot tr").evaluate("row => [...row.cells].map(cell => cell.textContent)")
    return shown
