"""The dashboard over real marts: figures against SQL, and what a browser shows."""

import csv
import io
import re
import zipfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Metric

from dashboard import database, live, push
from loader.object_store import ObjectStore
from loader.pipeline import Pipeline
from scripts.bench_dashboard import PUBLISH
from scripts.browser import serving
from scripts.csv_generator import sheet
from tests.conftest import DEADLINE_SECONDS, World, eventually
from tests.e2e.conftest import LAST_DAY, READY, Warehouse, another, forget

PAGES = ("/pipeline", "/")  # not the default page first: a fresh server must give it the shell too
NET_SALES_28_DAYS = """
    with main as (
        select currency, max(sale_date) as last_date from kpi.kpi_daily_sales
        group by currency order by sum(net_sales) desc limit 1
    )
    select to_char(round(sum(net_sales)), 'FM999,999,999,990'), to_char(sum(orders), 'FM999,999,999,990'),
        to_char(round(sum(net_sales) / sum(orders), 2), 'FM999,999,990.00'),
        to_char(round(100 * sum(gross_margin) / sum(costed_net_sales), 1), 'FM990.0')
    from kpi.kpi_daily_sales inner join main using (currency)
    where sale_date > last_date - 28
"""
ADDED_SALE = """
    insert into kpi.kpi_daily_sales
    select (jsonb_populate_record(
        sold, '{"store_id": "test-added", "gross_sales": 123456, "discounts": 0, "returns": 0, "net_sales": 123456}'
    )).*
    from kpi.kpi_daily_sales as sold
    where currency = (select currency from kpi.kpi_daily_sales group by currency order by sum(net_sales) desc limit 1)
    order by sale_date desc limit 1
"""


def test_cards_equal_the_marts(app: AppTest, warehouse: Warehouse) -> None:
    cards = _cards(app.run())
    net_sales, orders, average, margin = warehouse.sql(NET_SALES_28_DAYS)[0]
    assert cards["Total sales"].endswith(str(net_sales))
    assert cards["Orders"] == orders
    assert cards["Average transaction"].endswith(str(average))
    assert cards["Margin"] == f"{margin}%"


def test_card_help_is_the_dbt_description(app: AppTest, warehouse: Warehouse) -> None:
    help_texts = {card.label: card.help for card in app.run().metric}
    [(description,)] = warehouse.sql(
        "select col_description(attrelid, attnum) from pg_attribute "
        "where attrelid = 'kpi.kpi_daily_sales'::regclass and attname = 'net_sales'"
    )
    assert help_texts["Total sales"].startswith(" ".join(str(description).split()))


def test_region_filter_equals_the_marts(app: AppTest, warehouse: Warehouse) -> None:
    app.run()
    region = app.multiselect(key="region").options[0]
    cards = _cards(app.multiselect(key="region").set_value([region]).run())
    [(orders,)] = warehouse.sql(
        "select to_char(sum(orders), 'FM999,999,990') from kpi.kpi_daily_sales inner join ("
        "select currency, max(sale_date) as last_date from kpi.kpi_daily_sales "
        "group by currency order by sum(net_sales) desc limit 1) as main using (currency) "
        "where sale_date > last_date - 28 and sales_region = %s",
        region,
    )
    assert cards["Orders"] == orders


def test_run_rate_beside_filtered_figures_says_that_it_is_of_all_sales(app: AppTest) -> None:
    app.run()
    rate = _run_rate(app)
    assert rate.label == "March run rate"
    region = app.multiselect(key="region").options[0]
    filtered = _run_rate(app.multiselect(key="region").set_value([region]).run())
    assert (filtered.label, filtered.value) == ("Run rate, all sales", rate.value)


def test_no_amount_in_a_help_text_is_read_as_a_formula(app: AppTest) -> None:
    help_text = _run_rate(app.run()).help
    assert "earlier months: \\$" in help_text
    assert not re.search(r"(?<!\\)\$", help_text)


def test_impossible_link_falls_back_and_says_so(app: AppTest) -> None:
    app.query_params["period"] = "'; drop table kpi.kpi_daily_sales; --"
    app.query_params["region"] = "<script>alert(1)</script>"
    app.run()
    assert not app.exception
    assert app.warning[0].value.endswith("shown without it: `period`, `region`.")
    assert "script" not in app.warning[0].value
    assert app.multiselect(key="region").value == []


def test_pipeline_cards_equal_the_ledger(app: AppTest, warehouse: Warehouse) -> None:
    cards = _cards(app.switch_page("views/pipeline.py").run())
    assert not app.exception
    [(rejected, waiting)] = warehouse.sql(
        "select (select to_char(count(*), 'FM999,999,990') from ops.ops_rejected_rows "
        "where file_status in ('loaded', 'rejected')), (select files_waiting::text from ops.ops_freshness)"
    )
    assert cards["Rejected rows"].split(" · ")[0] == rejected
    assert cards["Waiting"] == waiting


def test_a_sheet_that_counts_and_is_odd_is_shown_with_what_is_odd(app: AppTest, warehouse: Warehouse) -> None:
    warning = "none of its 3 rows was loaded"
    where = "where file_id = (select max(file_id) from raw.files where status = 'loaded')"
    try:
        warehouse.sql(f"update raw.files set warning = %s {where}", warning)
        forget()
        app.switch_page("views/pipeline.py").run()
        assert not app.exception
        assert ["something about it is odd" in each.value for each in app.warning] == [True]
        [files] = [table.value for table in app.dataframe if "warning" in table.value]
        assert list(files["warning"].dropna()) == [warning]
    finally:
        warehouse.sql(f"update raw.files set warning = null {where}")
        forget()


def test_unusual_days_are_those_of_the_mart(app: AppTest, warehouse: Warehouse) -> None:
    app.switch_page("views/pipeline.py").run()
    assert any("what its weekday had" in caption.value for caption in app.caption)
    day = "sale_date = '2026-03-27'"
    try:
        warehouse.sql(f"update kpi.kpi_daily_category_sales set lines = lines * 100 where {day}")
        forget()
        app.run()
        assert not app.exception
        [frame] = [table.value for table in app.dataframe if "lines_z_score" in table.value]
        expected = warehouse.sql(
            "select sale_date, lines, net_sales, lines_z_score from kpi.kpi_volume_anomalies "
            "where is_anomaly order by sale_date desc, currency"
        )
        assert expected
        columns = ["sale_date", "lines", "net_sales", "lines_z_score"]
        assert list(frame[columns].itertuples(index=False, name=None)) == expected
    finally:
        warehouse.sql(f"update kpi.kpi_daily_category_sales set lines = lines / 100 where {day}")


def test_missing_setting_is_named(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHBOARD_DATABASE_URL")
    forget()
    app.run()
    assert not app.exception
    assert "DASHBOARD_DATABASE_URL" in app.error[0].value


def test_database_without_marts_says_what_to_do(
    app: AppTest, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.server_sql("create database dashboard_without_marts")
    try:
        base, _ = warehouse.dashboard_url.rsplit("/", 1)
        monkeypatch.setenv("DASHBOARD_DATABASE_URL", f"{base}/dashboard_without_marts")
        forget()
        app.run()
        assert not app.exception
        assert app.error[0].value.startswith("**The figures are not calculated yet.**")
        assert "loader migrate" in app.expander[0].markdown[0].value
    finally:
        warehouse.server_sql("drop database dashboard_without_marts with (force)")


def test_server_without_the_roles_says_what_to_do(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    take_role = text("select set_config('role', cast(:role as text) || '_not_made_yet', :local)")
    monkeypatch.setattr(database, "TAKE_ROLE", take_role)
    app.run()
    assert not app.exception
    assert app.error[0].value.startswith("**The figures are not calculated yet.**")
    assert "loader migrate" in app.expander[0].markdown[0].value


def test_page_renders_whole_and_every_card_draws_its_course(page: Page, dashboard: str) -> None:
    for path in PAGES:
        page.goto(dashboard + path)
        expect(page.get_by_test_id("stMetric")).to_have_count(6)
        expect(page.locator(READY)).to_be_visible()
        expect(page.locator(".st-key-live-bar")).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
    courses = page.locator(".sparkline img")
    expect(courses).to_have_count(6)
    for course in courses.all():
        expect(course).to_be_visible()
        course.evaluate("(picture) => picture.decode()")  # fails where it cannot be drawn
    expect(page.locator(".sparkline").first).to_have_text(re.compile(r"^28 days, \$\S+ to \$\S+$"))


def test_published_version_changes_a_card_without_reload(page: Page, dashboard: str, warehouse: Warehouse) -> None:
    page.goto(dashboard)
    card = _metric(page, "Total sales")
    before = card.inner_text()
    page.evaluate("window.notReloaded = true")
    try:
        warehouse.sql(ADDED_SALE)
        warehouse.sql(PUBLISH)
        expect(card).not_to_have_text(before, use_inner_text=True)
        expect(card).to_contain_text(str(warehouse.sql(NET_SALES_28_DAYS)[0][0]))
        assert page.evaluate("window.notReloaded")
    finally:
        warehouse.sql("delete from kpi.kpi_daily_sales where store_id = 'test-added'")
        warehouse.sql(PUBLISH)
    expect(card).to_have_text(before, use_inner_text=True)


def test_every_tab_of_a_browser_hears_of_a_published_version(page: Page, dashboard: str, warehouse: Warehouse) -> None:
    """More of them than a browser opens connections to one place."""
    page.goto(f"{dashboard}/alerts")
    tabs = [page, *(another(page, page.url) for _ in range(6))]
    for tab in tabs:
        expect(tab.get_by_role("button", name="Version")).to_be_visible()
    tabs[0].goto("about:blank")  # that which listened for all
    warehouse.sql(PUBLISH)
    [(version,)] = warehouse.sql("select mart_version from ops.mart_version")
    for tab in tabs[1:]:
        expect(tab.get_by_role("button", name=f"Version {version}")).to_be_visible()


def test_a_choice_made_in_the_moment_the_page_hears_of_something_is_drawn(page: Page, dashboard: str) -> None:
    page.goto(dashboard)
    expect(_metric(page, "Total sales")).to_be_visible()
    expect(page.locator(READY)).to_be_visible()
    page.get_by_role("combobox", name=re.compile("Period")).click()
    page.wait_for_function("() => [...document.querySelectorAll('*')].some(place => place.tell)")
    page.get_by_role("option", name="7D", exact=True).evaluate(
        "option => { [...document.querySelectorAll('*')].find(place => place.tell).tell(0); option.click(); }"
    )
    expect(page.locator("h1")).to_have_text("Overview · 25 to 31 Mar 2026")


def test_a_page_hears_of_what_ends_without_a_new_version(page: Page, dashboard: str, warehouse: Warehouse) -> None:
    page.goto(dashboard)
    expect(_metric(page, "Total sales")).to_be_visible()
    expect(page.locator(READY)).to_be_visible()
    latest = "where run_id = (select max(run_id) from raw.dbt_runs)"
    banner = page.get_by_text("The last calculation of the figures failed")
    try:
        warehouse.sql("insert into raw.dbt_runs (dates, files) values (1, 1)")
        warehouse.sql(f"update raw.dbt_runs set status = 'failed', finished_at = now() {latest}")
        expect(banner).to_be_visible()
        warehouse.sql(f"delete from raw.dbt_runs {latest}")
        # An event of a file is all that now tells the page to look again.
        warehouse.sql(
            "insert into raw.files (bucket, key, etag, size_bytes, event_at, status) "
            "values ('sales', 'told.csv', 'told', 1, now(), 'rejected')"
        )
        expect(banner).to_have_count(0)
    finally:
        warehouse.sql("delete from raw.dbt_runs where status = 'failed' and nodes is null")
        warehouse.sql("delete from raw.files where key = 'told.csv'")


def test_a_page_says_since_when_dates_wait_for_dbt_and_what_to_run(
    page: Page, dashboard: str, warehouse: Warehouse
) -> None:
    try:
        warehouse.sql("update raw.dbt_runs set started_at = started_at - interval '1 year'")
        warehouse.sql(
            "insert into raw.rebuild_queue (sale_date, file_id, enqueued_at) "
            "select '2026-01-02', max(file_id), '2026-01-02 03:04:05Z' from raw.files"
        )
        for path in ("", "/pipeline"):
            page.goto(f"{dashboard}{path}")
            said = "Loaded sheets are not being worked into the figures. Since 02 Jan 03:04."
            expect(page.get_by_text(said)).to_be_visible()
            page.get_by_text("For those who run it").click()
            expect(page.get_by_text("loader transform", exact=True)).to_be_visible()
            expect(page.get_by_role("button", name="Waiting for dbt since 02 Jan 03:04")).to_be_visible()
    finally:
        warehouse.sql("delete from raw.rebuild_queue")
        warehouse.sql("update raw.dbt_runs set started_at = started_at + interval '1 year'")
    page.goto(dashboard)
    expect(page.get_by_role("button", name="Version")).to_be_visible()


def test_a_sheet_that_was_not_loaded_turns_the_badge_red_until_a_later_one_is(
    page: Page, dashboard: str, sales: World
) -> None:
    page.goto(dashboard)
    expect(page.get_by_role("button", name="Version")).to_be_visible()
    bad, good = "CSV/sales_data_20260401.csv", sheet(7, LAST_DAY, rows=80, bad_ratio=0.02)
    try:
        with Pipeline(sales.settings) as pipeline:
            pipeline.load_file(sales.drop(bad, b"no,header,of,ours\n1,2,3,4\n"))
            expect(page.get_by_role("button", name="1 sheet not loaded since")).to_be_visible()
            said = page.get_by_test_id("stAlert").filter(has_text="Figures may lack sales.")
            expect(said).to_contain_text("A sheet of the feed sales_data was not loaded, and no later one has been")
            command = page.get_by_text("loader files --status rejected", exact=True)
            expect(command).to_be_hidden()
            page.get_by_text("For those who run it").click()
            expect(command).to_be_visible()
            pipeline.load_file(sales.drop(good.key, good.content + b"\n"))
        sales.transform()
        expect(page.get_by_role("button", name="Version")).to_be_visible()
        expect(said).to_have_count(0)
    finally:
        sales.run("delete from raw.files where status = 'rejected'")
        with closing(ObjectStore(sales.settings)) as store:  # else the next watcher finds a file that nobody has seen
            store.delete(sales.bucket, bad)


def test_a_page_tells_of_a_process_that_died_though_nobody_notifies(
    page: Page, dashboard: str, sales: World, warehouse: Warehouse
) -> None:
    page.goto(dashboard)
    expect(page.get_by_role("button", name="Version")).to_be_visible()
    try:
        with sales.process("watch") as died:
            eventually("a heartbeat", lambda: sales.value("select count(*) from raw.heartbeats") == 1)
            died.kill()
            died.wait()
        sales.run("update raw.heartbeats set seen_at = seen_at - interval '31 seconds'")
        expect(page.get_by_role("button", name="No watcher since")).to_be_visible()
        page.get_by_role("button", name="No watcher since").click()
        expect(page.get_by_text("Nothing looks into the bucket for sheets that nobody has announced")).to_be_visible()
        # What the watcher saw before, and no loader has taken up.
        sales.run("insert into raw.bucket_looks values ('b', 3, now() - interval '31 seconds', now())")
        expect(page.get_by_role("button", name=re.compile(r"No loader since .* \+1"))).to_be_visible()
        page.goto(f"{dashboard}/pipeline")
        expect(_metric(page, "Waiting")).to_contain_text("3")
    finally:
        sales.run("delete from raw.heartbeats; delete from raw.bucket_looks")
    expect(page.get_by_role("button", name="Version")).to_be_visible()


def test_a_stream_that_was_refused_is_asked_for_again(own_page: Page, dashboard: str, warehouse: Warehouse) -> None:
    """As by a proxy while the dashboard restarts."""
    page = own_page
    page.route(f"**{push.PATH}", lambda route: route.fulfill(status=502), times=1)
    with page.expect_response(lambda answer: answer.url.endswith(push.PATH) and answer.status == 200):
        page.goto(dashboard)
    warehouse.sql(PUBLISH)
    [(version,)] = warehouse.sql("select mart_version from ops.mart_version")
    expect(page.get_by_role("button", name=f"Version {version}")).to_be_visible()


def test_a_page_that_hears_nothing_looks_by_itself(own_page: Page, dashboard: str, warehouse: Warehouse) -> None:
    """As behind a proxy that keeps events back."""
    page = own_page
    page.clock.install()
    page.route(f"**{push.PATH}", lambda route: route.abort())
    page.goto(dashboard)
    expect(_metric(page, "Total sales")).to_be_visible()
    page.wait_for_timeout(3000)  # until it has looked for what changed while it was drawn
    warehouse.sql(PUBLISH)
    [(version,)] = warehouse.sql("select mart_version from ops.mart_version")
    page.wait_for_timeout(1000)
    expect(page.get_by_role("button", name=f"Version {version}")).to_have_count(0)
    page.clock.fast_forward(live.POLL_SECONDS * 1000)
    expect(page.get_by_role("button", name=f"Version {version}")).to_be_visible()


def test_a_page_whose_stream_is_alive_does_not_look_by_itself(own_page: Page, dashboard: str) -> None:
    page = own_page
    sent: list[str | bytes] = []

    def note(frame: str | bytes) -> None:
        sent.append(frame)

    page.on("websocket", lambda socket: socket.on("framesent", note))
    alive = "retry: 500\nevent: alive\ndata: 0\n\n"  # the answer ends there, and the browser soon asks for the next
    page.route(f"**{push.PATH}", lambda route: route.fulfill(content_type="text/event-stream", body=alive))
    page.clock.install()
    page.goto(dashboard)
    expect(_metric(page, "Total sales")).to_be_visible()
    page.wait_for_timeout(3000)
    sent.clear()
    for _ in range(3):
        page.clock.fast_forward((live.POLL_SECONDS - 5) * 1000)
        with page.expect_response(f"**{push.PATH}"):
            pass
        page.wait_for_timeout(200)
    assert sent == []


def test_a_dropped_sheet_changes_the_card_without_reload(page: Page, world: World, tmp_path: Path) -> None:
    warehouse = Warehouse(world.env["DASHBOARD_DATABASE_URL"], world.env["ADMIN_DATABASE_URL"])
    with serving(warehouse.dashboard_url, tmp_path) as (address, _), world.process("watch"), world.process("run"):
        page.goto(address)
        expect(page.get_by_text("No sales yet")).to_be_visible()
        page.evaluate("window.notReloaded = true")
        for day in (LAST_DAY, LAST_DAY + timedelta(1)):
            dropped = sheet(7, day, rows=80)
            world.drop(dropped.key, dropped.content)
            expect(page.get_by_role("heading", name=f"{day.day} {day:%b %Y}")).to_be_visible(
                timeout=DEADLINE_SECONDS * 1000
            )
            expect(_metric(page, "Total sales")).to_contain_text(str(warehouse.sql(NET_SALES_28_DAYS)[0][0]))
        assert page.evaluate("window.notReloaded")


def test_download_holds_every_rejected_row_and_says_what_it_is(
    page: Page, dashboard: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    page.goto(f"{dashboard}/pipeline?status=loaded")
    [(version, rejected)] = warehouse.sql(
        "select mart_version, (select count(*) from ops.ops_rejected_rows) from ops.mart_version"
    )
    for kind in ("CSV", "XLSX"):
        with page.expect_download() as download:
            page.locator(f".st-key-download-rejected-rows-{kind} button").click()
        assert download.value.suggested_filename == f"rejected-rows-newest-v{version}.{kind.lower()}"
        download.value.save_as(tmp_path / kind)
    sheet = zipfile.ZipFile(tmp_path / "XLSX").read("xl/worksheets/sheet1.xml").decode()
    assert sheet.count("<row ") == int(str(rejected)) + 1
    rows = list(csv.DictReader(io.StringIO((tmp_path / "CSV").read_text("utf-8-sig"))))
    assert len(rows) == rejected
    assert all(row["reasons"] for row in rows)
    assert {(row["mart_version"], row["filters"]) for row in rows} == {
        (str(version), "Rows: the newest 100,000 at most")
    }
    assert {row["view"] for row in rows} == {f"{dashboard}/pipeline?status=loaded"}


def test_an_outage_keeps_the_last_figures_greyed_and_says_as_of_when(
    page: Page, dashboard: str, warehouse: Warehouse, sales: World
) -> None:
    [(published,)] = warehouse.sql(
        "select to_char(published_at at time zone 'UTC', 'DD Mon HH24:MI') from ops.mart_version"
    )
    for path in ("/pipeline", "/"):
        page.goto(dashboard + path)
        expect(page.get_by_test_id("stMetric")).to_have_count(6)
        expect(page.locator(READY)).to_be_visible()
    cards = page.get_by_test_id("stMetric").all_inner_texts()
    opacity = "element => getComputedStyle(element).opacity"
    assert page.locator(".st-key-figures").evaluate(opacity) == "1"
    sales.stack.stop("postgres")
    try:
        told = page.get_by_test_id("stAlert")
        expect(told).to_contain_text(f"The database does not answer. These are the last figures, as of {published};")
        expect(page.get_by_role("button", name=f"As of {published}")).to_be_visible()
        expect(page.locator(READY)).to_be_visible()
        assert page.get_by_test_id("stMetric").all_inner_texts() == cards
        assert page.locator(".st-key-figures").evaluate(opacity) == "0.5"
        command = page.get_by_text("check PostgreSQL and DASHBOARD_DATABASE_URL")
        expect(command).to_be_hidden()
        page.get_by_text("For those who run it").click()
        expect(command).to_be_visible()
        page.get_by_role("link", name="Pipeline & quality").first.click()
        expect(page.locator("h1")).to_have_text("Pipeline & quality")
        expect(page.get_by_test_id("stMetric")).to_have_count(6)
        page.get_by_role("link", name="Alerts & views").first.click()
        expect(page.get_by_text("The rest of this view is not kept.")).to_be_visible()
        expect(page.get_by_test_id("stException")).to_have_count(0)
        page.get_by_role("link", name="Overview", exact=True).first.click()
        expect(page.locator("h1")).to_contain_text("Overview")
    finally:
        sales.stack.up()
    expect(page.get_by_role("button", name="Version")).to_be_visible()
    expect(told).to_have_count(0)
    expect(page.locator(".st-key-figures")).to_have_css("opacity", "1")  # the run that takes it away may not be over
    assert page.get_by_test_id("stMetric").all_inner_texts() == cards


def test_marts_that_go_leave_the_last_figures(page: Page, dashboard: str, warehouse: Warehouse) -> None:
    page.goto(dashboard)
    expect(page.get_by_test_id("stMetric")).to_have_count(6)
    expect(page.locator(READY)).to_be_visible()
    cards = page.get_by_test_id("stMetric").all_inner_texts()
    warehouse.sql("alter schema ops rename to ops_gone")
    try:
        warehouse.sql("select pg_notify('mart_version', '0')")
        told = page.get_by_test_id("stAlert")
        expect(told).to_contain_text("The figures are not calculated yet. These are the last figures, as of")
        expect(page.locator(READY)).to_be_visible()
        assert page.get_by_test_id("stMetric").all_inner_texts() == cards
    finally:
        warehouse.sql("alter schema ops_gone rename to ops")
        warehouse.sql("select pg_notify('mart_version', '0')")
    expect(told).to_have_count(0)


def _metric(page: Page, label: str) -> Locator:
    metric = page.get_by_test_id("stMetric").filter(has_text=label)
    expect(metric).to_be_visible()
    return metric


def _run_rate(app: AppTest) -> Metric:
    assert not app.exception
    [card] = [card for card in app.metric if "run rate" in card.label.lower()]
    return card


def _cards(app: AppTest) -> dict[str, str]:
    assert not app.exception
    return {card.label: card.value for card in app.metric}
