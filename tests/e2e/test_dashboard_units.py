"""Figures of tables have a unit and the number style: on Pipeline & quality, under Explain, in the targets."""

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import yaml
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Dataframe

from dashboard import saved
from dashboard.measures import Kind, Writer
from dashboard.settings import NumberStyle
from loader.pipeline import Pipeline
from scripts.csv_generator import sheet
from scripts.stack import Stack
from tests.conftest import World, new_world
from tests.e2e.conftest import APP, EVERYTHING, forget

LAST_DAY = date(2026, 3, 31)
DAYS = 40
STYLE: NumberStyle = "1.234,56"
FEED = {
    "feed": "kiosk",
    "match": "kiosk/*.csv",
    "format": {"timezone": "UTC"},
    "rejects": {"max_ratio": 0.9},
    "columns": {
        "sale_id": "Order", "sold_at": "Day", "product_id": "Product", "product_name": "Name", "quantity": "Qty",
        "unit_price": "Price", "currency": "Currency",
    },
}  # fmt: skip
# Two rows are good. The next four say their currency, the last of them with a quantity that cannot be read. Row 7 says
# none, row 8 has the codes of two in its cells, and what row 9 says is no code.
KIOSK = """Order,Day,Product,Name,Qty,Price,Currency
1,2026-03-31,P1,Tea,1,10.00,EUR
2,2026-03-31,P1,Tea,1,11.00,USD
3,some day,P1,Tea,1000,12.50,EUR
4,some day,P1,Tea,2,7.25,EUR
5,some day,P1,Tea,1,99.00,USD
6,some day,P1,Tea,many,99.00,EUR
7,some day,P1,Tea,1,51.00,
8,some day,P1,EUR,1,52.00,USD
9,2026-03-31,P1,Tea,1,53.00,dollars
"""


@pytest.fixture(scope="module")
def shop(stack: Stack, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Forty days in dollars with rejected rows, one with thirty times its lines; and a kiosk of two currencies."""
    feeds = tmp_path_factory.mktemp("feeds")
    (feeds / "kiosk.yml").write_text(yaml.safe_dump(FEED))
    with new_world(stack, template, tmp_path_factory.mktemp("shop")) as world:
        with Pipeline(world.settings.model_copy(update={"feeds_dir": Path(feeds)})) as pipeline:
            for back in reversed(range(DAYS)):
                each = sheet(7, LAST_DAY - timedelta(back), rows=1200 if back == 1 else 40, bad_ratio=0.1)
                assert pipeline.load_file(world.drop(each.key, each.content)).status == "loaded"
            assert pipeline.load_file(world.drop("kiosk/1.csv", KIOSK.encode())).status == "loaded"
        world.transform()
        yield world


@pytest.fixture
def app(shop: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The dashboard of the shop, in a style that no browser has by itself."""
    monkeypatch.setenv("DASHBOARD_DATABASE_URL", shop.env["DASHBOARD_DATABASE_URL"])
    monkeypatch.setenv("DASHBOARD_ANONYMOUS_ROLES", EVERYTHING)
    monkeypatch.setenv("DASHBOARD_NUMBER_STYLE", STYLE)
    forget()
    yield AppTest.from_file(APP, default_timeout=30)
    forget()


def money(value: Decimal, currency: str = "USD") -> str:
    return Writer(STYLE, currency).exact(value, Kind.MONEY)


def opened(app: AppTest, page: str, **link: str) -> AppTest:
    app.run()
    for name, value in link.items():
        app.query_params[name] = value
    app.switch_page(saved.PAGES[page]).run()
    assert not app.exception
    return app


def table(app: AppTest, column: str) -> Dataframe:
    """The one that has this column."""
    assert not app.exception
    [found] = [each for each in app.dataframe if column in each.value]
    return found


def written(app: AppTest, column: str) -> pd.DataFrame:
    """What stands in the cells of a table, of which a column that has a format of its own is left out."""
    frame = table(app, column)
    shown = convert_arrow_bytes_to_pandas_df(frame.proto.arrow_data.styler.display_values)
    columns = json.loads(frame.proto.columns)
    formats = {name for name, told in columns.items() if (told.get("type_config") or {}).get("format")}
    return shown[[name for name in shown if name not in formats]]


def test_revenue_at_risk_is_told_in_the_currencies_of_the_rows(app: AppTest, shop: World) -> None:
    dollars = shop.value(
        "select sum(revenue_at_risk) from raw.rejected_rows inner join raw.files using (file_id) "
        "where feed = 'sales_data' or raw_text like '5,%%'"
    )
    euros = shop.value("select sum(revenue_at_risk) from raw.rejected_rows where raw_text ~ '^[34],some day'")
    assert shop.value("select count(revenue_at_risk) from raw.rejected_rows where raw_text ~ '^[789],'") == 3
    [card] = [each for each in opened(app, "pipeline").metric if each.label == "Revenue at risk"]
    assert (card.value, card.delta) == (money(dollars), f"and {money(euros, 'EUR')}, 3 rows of no known currency")


def test_each_rejected_row_is_in_its_own_currency(app: AppTest, shop: World) -> None:
    risks = shop.rows(
        "select source_line, revenue_at_risk from raw.rejected_rows inner join raw.files using (file_id) "
        "where feed = 'kiosk' order by source_line"
    )
    currencies = dict(zip(range(4, 11), ["EUR", "EUR", "USD", "EUR", "", "", ""], strict=True))
    expected = {
        row["source_line"]: "–"
        if row["revenue_at_risk"] is None
        else money(row["revenue_at_risk"], currencies[row["source_line"]])
        for row in risks
    }
    assert expected[4] == "€12.500,00"
    opened(app, "pipeline")
    frame = table(app, "raw_text").value
    shown = written(app, "raw_text")["revenue_at_risk"]
    of_kiosk = frame["feed"] == "kiosk"
    assert dict(zip(frame["source_line"][of_kiosk], shown[of_kiosk], strict=True)) == expected


def test_tables_of_files_and_of_unusual_days_have_the_number_style(app: AppTest, shop: World) -> None:
    [day] = shop.rows(
        "select lines, net_sales, lines_z_score from kpi.kpi_volume_anomalies where is_anomaly and currency = 'USD'"
    )
    loaded = shop.value("select max(rows_loaded) from raw.files")
    number = Writer(STYLE, "USD")
    [shown] = written(opened(app, "pipeline"), "lines_z_score").to_dict("records")
    assert (shown["lines"], shown["net_sales"]) == (number.number(day["lines"], 0), money(day["net_sales"]))
    assert "." in shown["lines"]
    assert shown["lines_z_score"] == f"{number.number(day['lines_z_score'], 1, signed=True)} σ"
    files = written(app, "rows_loaded")
    assert number.number(loaded, 0) in set(files["rows_loaded"])
    assert all(re.fullmatch(r"[\d.]+,\d s", each) for each in files["arrival_to_mart_seconds"])
    assert all(re.fullmatch(r"[\d.]+,\d s", each) for each in written(app, "started_at")["seconds"])


def test_the_files_of_a_figure_have_the_number_style(app: AppTest, shop: World) -> None:
    [held] = shop.rows(
        "select count(*) as lines, sum(net_amount) as net from core.fct_sales_lines "
        "where sale_date = '2026-03-30' and currency = 'USD'"
    )
    for name, value in {"period": "Yesterday", "explain": "net_sales"}.items():
        app.query_params[name] = value
    [shown] = written(app.run(), "net_amount").to_dict("records")
    assert (shown["lines"], shown["net_amount"]) == (Writer(STYLE, "USD").number(held["lines"], 0), money(held["net"]))


def test_targets_have_the_number_style_where_nobody_types(app: AppTest, shop: World) -> None:
    targets = shop.rows(
        "select place, max(target_net_sales) filter (where month = '2026-03-01') as now, "
        "max(target_net_sales) filter (where month = '2026-02-01') as before from kpi.kpi_sales_targets "
        "where currency = 'USD' and place_type = 'sales_region' group by place order by place"
    )
    opened(app, "places", **{"target-month": "March 2026"}).button(key="targets-button").click().run()
    editor = table(app, "target")
    shown = convert_arrow_bytes_to_pandas_df(editor.proto.arrow_data.styler.display_values)
    assert dict(zip(editor.value["place"], shown["before"], strict=True)) == {
        **dict.fromkeys(editor.value["place"], "–"),
        **{row["place"]: money(row["before"]) for row in targets},
    }
    # The cells to type in have no groups in this style, so that no sign can be taken for another.
    assert json.loads(editor.proto.columns)["target"]["type_config"]["format"] == "%.2f"
    together = f"Together {Writer(STYLE, 'USD').money(sum(row['now'] for row in targets))}."
    assert any(together in caption.value.replace("\\", "") for caption in app.caption)
