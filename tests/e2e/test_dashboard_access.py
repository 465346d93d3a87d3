"""Who sees what: by the roles of PostgreSQL, and by what a real OpenID provider says of who signed in."""

import re
import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text
from sqlalchemy.exc import InternalError
from streamlit.testing.v1 import AppTest

from dashboard import database, freshness, queries, saved
from dashboard.database import Problem, Unavailable
from scripts.browser import serving
from scripts.stack import free_port
from tests.e2e.conftest import READY, Warehouse
from tests.e2e.oidc import CLIENT_ID, CLIENT_SECRET, Provider, provider

HOURS = 12


@pytest.fixture
def viewer(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The dashboard for somebody who may see totals."""
    monkeypatch.delenv("DASHBOARD_ANONYMOUS_ROLES")
    return app


@pytest.fixture(scope="module")
def identity() -> Iterator[Provider]:
    with provider() as running:
        yield running


@pytest.fixture(scope="module")
def door(identity: Provider, warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dashboard on which people have to sign in."""
    folder, port = tmp_path_factory.mktemp("door"), free_port()
    (folder / "secrets.toml").write_text(
        f"""
        [auth]
        redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
        cookie_secret = "{secrets.token_hex(32)}"
        client_id = "{CLIENT_ID}"
        client_secret = "{CLIENT_SECRET}"
        server_metadata_url = "{identity.address}/.well-known/openid-configuration"
        """
    )
    options = ("--secrets.files", str(folder / "secrets.toml"))
    # What anonymous people may see has no meaning where people sign in.
    roles = {"DASHBOARD_ANONYMOUS_ROLES": "customers,rejects,editor", "DASHBOARD_ROLES_CLAIM": "realm_access.roles"}
    with serving(warehouse.dashboard_url, folder, *options, port=port, **roles) as (address, _):
        yield address


def sign_in(page: Page, door: str, identity: Provider, *roles: str) -> None:
    begin(page, door, identity, *roles)
    expect(page.get_by_test_id("stMetric")).to_have_count(6)


def begin(page: Page, door: str, identity: Provider, *roles: str, subject: str = "1") -> None:
    """Sign in at the bare address; whom the token names may have any name."""
    identity.claims = {"sub": subject, "email": "somebody@example.com", "realm_access": {"roles": list(roles)}}
    identity.age_seconds = 0
    page.goto(door)
    page.get_by_role("button", name="Sign in").click()


def test_a_viewer_is_told_what_the_page_leaves_out(viewer: AppTest) -> None:
    viewer.switch_page("views/pipeline.py").run()
    assert not viewer.exception
    assert "role `rejects`" in viewer.info[0].value
    assert not [frame for frame in viewer.dataframe if "raw_text" in frame.value]


def test_a_viewer_sees_how_many_customers_come_back_but_not_which(viewer: AppTest, app: AppTest) -> None:
    viewer.switch_page("views/customers.py").run()
    assert not viewer.exception
    assert viewer.metric
    assert "role `customers`" in viewer.info[-1].value
    assert not [frame for frame in viewer.dataframe if "customer_id" in frame.value]
    with pytest.raises(Unavailable) as refused:
        queries.top_customers("dashboard_viewer", 1, "USD", by="net_sales", limit=5)
    assert refused.value.problem is Problem.DENIED
    assert not queries.top_customers("dashboard_customers", 1, "USD", by="net_sales", limit=5).empty


def test_a_viewer_pages_through_order_lines_without_who_bought(viewer: AppTest) -> None:
    viewer.switch_page("views/orders.py").run()
    assert not viewer.exception
    assert viewer.dataframe
    for frame in viewer.dataframe:
        assert not [name for name in frame.value.columns if name.startswith("customer_") and name != "customer_rating"]


def test_a_viewer_sees_the_same_quality_figures(viewer: AppTest, warehouse: Warehouse) -> None:
    viewer.switch_page("views/pipeline.py").run()
    cards = {card.label: card.value for card in viewer.metric}
    [(rejected, at_risk)] = warehouse.sql(
        "select to_char(count(*), 'FM999,999,990'), to_char(sum(revenue_at_risk), 'FM$999,999,990.00') "
        "from ops.ops_rejected_rows where file_status in ('loaded', 'rejected')"
    )
    assert cards["Rejected rows"].split(" · ")[0] == rejected
    assert cards["Revenue at risk"] == at_risk


def test_a_cached_answer_is_not_given_to_a_role_that_may_not_ask(app: AppTest) -> None:
    app.run()
    state = freshness.shown()
    assert not queries.rejected_rows("dashboard_full", state, 5).empty
    for reader in ("dashboard_viewer", "dashboard_customers", "none"):
        with pytest.raises(Unavailable) as refused:
            queries.rejected_rows(reader, state, 5)
        assert refused.value.problem is Problem.DENIED


def test_a_query_that_names_no_reader_reads_totals_only(app: AppTest) -> None:
    database.run(text("select 1 from ops.ops_rejected_rows limit 1"), reader="dashboard_full")
    with pytest.raises(Unavailable) as refused:  # on the same pooled connection
        database.run(text("select 1 from ops.ops_rejected_rows limit 1"))
    assert refused.value.problem is Problem.DENIED


def test_after_a_write_the_connection_only_reads_again(app: AppTest, warehouse: Warehouse) -> None:
    [kept] = database.write("save_view", name="short-lived", page="", query="", created_by=None, owner=None)
    assert database.run(text("show transaction_read_only"))[0] == [("on",)]
    with pytest.raises(InternalError, match="read-only transaction"):
        database.run(text("delete from dashboard.saved_views"), reader="dashboard_full")
    assert database.write("delete_view", view_id=kept["view_id"]) == [kept]


def test_required_sign_in_that_is_not_configured_shows_nothing(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_REQUIRE_LOGIN", "true")
    app.run()
    assert not app.exception
    assert "not configured" in app.error[0].value
    assert not app.metric
    assert not app.dataframe


def test_nothing_is_shown_before_signing_in(page: Page, door: str) -> None:
    for path in ("/", "/pipeline", "/alerts", "/customers", "/orders"):
        page.goto(door + path)
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        expect(page.locator(READY)).to_be_visible()
        for sign in ("stMetric", "stDataFrame", "stTopNavLink", "stException"):
            expect(page.get_by_test_id(sign), path).to_have_count(0)


def test_who_signs_in_sees_what_the_token_says(page: Page, door: str, identity: Provider) -> None:
    sign_in(page, door, identity)
    page.goto(f"{door}/pipeline")
    expect(page.get_by_text("with the role rejects")).to_be_visible()
    page.get_by_test_id("stPopover").filter(has_text=re.compile("account_circle")).get_by_role("button").click()
    expect(page.get_by_text("somebody@example.com")).to_be_visible()
    before = identity.signed_out
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert identity.signed_out == before + 1
    sign_in(page, door, identity, "rejects", "a role of another system")
    page.goto(f"{door}/pipeline")
    expect(page.locator(".st-key-download-rejected-rows-CSV")).to_be_visible()


def test_a_sign_in_does_not_last_longer_than_it_should(page: Page, door: str, identity: Provider) -> None:
    sign_in(page, door, identity)
    identity.age_seconds = HOURS * 3600 + 60
    page.context.clear_cookies()
    page.goto(door)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("You signed in a while ago")).to_be_visible()
    expect(page.get_by_test_id("stMetric")).to_have_count(0)


def test_a_cookie_that_is_not_ours_lets_nobody_in(page: Page, door: str, identity: Provider) -> None:
    sign_in(page, door, identity)
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    ours = cookies["_streamlit_user"]
    assert ours["httpOnly"]
    assert ours["sameSite"] == "Lax"
    value = ours["value"]
    middle = len(value) // 2
    forged = value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
    page.context.clear_cookies()
    page.context.add_cookies([{"name": "_streamlit_user", "value": forged, "domain": "127.0.0.1", "path": "/"}])
    page.goto(door)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_private_view_is_its_owners_alone_and_opens_at_the_bare_address(
    page: Page, browser: Browser, door: str, identity: Provider, warehouse: Warehouse
) -> None:
    sign_in(page, door, identity)
    page.goto(f"{door}/explore?period=7D&measures=Orders")
    expect(page.get_by_test_id("stMetric")).to_have_count(1)
    expect(page.locator(READY)).to_be_visible()
    page.get_by_role("button", name="Save view").click()
    page.get_by_label("Name of this view").fill("My morning")
    page.get_by_text("Only for me").click()
    page.get_by_text("Open with this").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved for you alone")).to_be_visible()
    assert warehouse.sql("select owner, page from dashboard.saved_views") == [("1", "explore")]
    page.goto(door)
    page.wait_for_url(re.compile(r"/explore\?.*period=7D"))
    [(orders,)] = warehouse.sql(
        "select to_char(sum(orders), 'FM999,999') from kpi.kpi_daily_sales where currency = 'USD' "
        "and sale_date > (select max(sale_date) from kpi.kpi_daily_sales) - 7"
    )
    expect(page.get_by_test_id("stMetric")).to_contain_text(str(orders))
    page.goto(f"{door}/?period=28D")  # a link that says otherwise
    expect(page.get_by_test_id("stMetric")).to_have_count(6)
    page.goto(f"{door}/places")
    expect(page.get_by_role("heading", name="Regions & reps")).to_be_visible()
    other = browser.new_context().new_page()
    begin(other, door, identity, subject="2")  # of the same name
    expect(other.get_by_test_id("stMetric")).to_have_count(6)
    other.goto(f"{door}/alerts")
    expect(other.get_by_role("heading", name="Saved views")).to_be_visible()
    expect(other.locator(READY)).to_be_visible()
    expect(other.get_by_text("My morning")).to_have_count(0)
    other.context.close()
    page.goto(f"{door}/alerts")
    page.locator("[class*=st-key-view-first-] button").first.click()
    expect(page.get_by_text("home_pin")).to_have_count(0)
    assert warehouse.sql("select count(*) from dashboard.default_views") == [(0,)]
    page.locator("[class*=st-key-view-delete-] button").first.click()
    expect(page.get_by_text("My morning")).to_have_count(0)
    assert warehouse.sql("select count(*) from dashboard.saved_views") == [(0,)]


def test_views_of_a_person_are_read_and_changed_by_that_person_only(app: AppTest, warehouse: Warehouse) -> None:
    saved.save("Mine", "explore", [], "ann", person="1", private=True, first=True)
    saved.save("Mine", "explore", [], "bob", person="2", private=True)
    saved.save("Mine", "explore", [], "ann", person="1")
    of = {
        person: [(view.name, view.is_private, view.is_first) for view in saved.views(person)]
        for person in ("1", "2", "3", None)
    }
    shared = ("Mine", False, False)
    assert of == {
        "1": [("Mine", True, True), shared], "2": [("Mine", True, False), shared], "3": [shared], None: [shared],
    }  # fmt: skip
    mine = next(view for view in saved.views("1") if view.is_private)
    saved.delete(mine.view_id, "2")
    saved.delete(mine.view_id)
    saved.begin_with(mine.view_id, "2")
    assert mine in saved.views("1")
    assert not any(view.is_first for view in saved.views("2"))
    with pytest.raises(Unavailable):  # in the name of another
        database.write("save_view", person="2", name="Not mine", page="", query="", created_by=None, owner="1")
    with pytest.raises(saved.NotSavable):
        saved.save("Whose", "explore", [], None, private=True)
    saved.begin_with(next(view.view_id for view in saved.views("1") if not view.is_private), "1")
    assert [view.is_first for view in saved.views("1")] == [False, True]
    warehouse.sql("truncate dashboard.saved_views cascade")


def test_where_nobody_signs_in_no_view_is_ones_own_and_the_page_says_why(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert saved.NOBODY in [caption.value for caption in app.caption]
    assert "view-private" not in [box.key for box in app.checkbox]
