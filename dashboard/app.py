"""The shell of every page: navigation, the freshness badge, the filters, and what is shown when nothing can be."""

from typing import TYPE_CHECKING

import streamlit as st
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from dashboard import access, filters, links, live, printing, queries, saved
from dashboard.database import Problem, Unavailable
from dashboard.freshness import Freshness
from dashboard.settings import settings
from dashboard.style import STYLE

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

NEXT_STEP = {
    Problem.DOWN: "`make demo` starts the local stack; in production, check PostgreSQL and `DASHBOARD_DATABASE_URL`.",
    Problem.NOT_BUILT: "The marts are not built. Run `make demo` for a full demonstration, or `loader migrate` and "
    "`dbt build` on a database of your own.",
    Problem.DENIED: "Run `loader migrate` and `dbt build`, which grant what each role may read, and check that "
    "`DASHBOARD_DATABASE_URL` names the login `dashboard`.",
    Problem.SLOW: "A query was stopped at the role's time limit. Choose a shorter period, or look at what else keeps "
    "the database busy.",
}
OUTDATED_STYLE = "<style>.st-key-figures {filter: grayscale(1); opacity: 0.5}</style>"
# Charts are pictures in the colours of the theme: on paper a dark page is turned into its negative, hues kept. What is
# chosen stands on the primary colour, which is pale on a dark page.
DARK_STYLE = """
<style>
[data-testid=stMultiSelect] span[title], [data-testid=stBaseButton-primary] p {color: #0e1426}
@media print {.stApp {background: #000 !important; filter: invert(1) hue-rotate(180deg)}}
</style>
"""


FILTERED = (  # drawn under the filter row
    ("views/overview.py", "Overview", ":material/dashboard:"),
    ("views/explore.py", "Explore", ":material/query_stats:"),
    ("views/products.py", "Products", ":material/inventory_2:"),
    ("views/places.py", "Regions & reps", ":material/storefront:"),
    ("views/customers.py", "Customers", ":material/group:"),
    ("views/orders.py", "Orders", ":material/receipt_long:"),
)
NOT_CONVERTED = {  # the pages that cannot be of all currencies, converted into one, and why
    "Products": "A conversion is rounded once for each day, region and channel; by product it would be rounded "
    "otherwise, and the products would not add up to the total.",
    "Customers": "What customers have spent in all has no one rate, and somebody who pays in two currencies is counted "
    "in each.",
    "Orders": "Each line stands in the currency that its sheet states.",
}
UNFILTERED = (
    ("views/pipeline.py", "Pipeline & quality", ":material/conversion_path:"),
    ("views/alerts.py", "Alerts & views", ":material/notifications:"),
)


def main() -> None:
    """Draw the shell, then the page the viewer is on."""
    st.set_page_config("Sales dashboard", "📈", layout="wide", initial_sidebar_state="collapsed")
    # The page brings STYLE too, sooner: below some addresses a browser lets Streamlit's own styles win over that.
    st.html(STYLE.decode() + (DARK_STYLE if st.context.theme.type == "dark" else ""))
    # Not `pages/`: Streamlit serves files of a folder of that name without this shell until it has run once.
    pages = [st.Page(path, title=title, icon=icon, default=title == "Overview") for path, title, icon in FILTERED]
    others = [st.Page(path, title=title, icon=icon) for path, title, icon in UNFILTERED]
    try:
        settings()
        inside = access.let_in()
    except ValidationError as error:
        _explain_settings(error)
        return
    if not inside:
        st.navigation([*pages, *others], position="hidden")
        return
    page = st.navigation([*pages, *others], position="top")
    _begin(page)
    state = live.observe()
    if isinstance(state, Problem):
        shown = live.kept(state)
        _apologise(state, shown)
    else:
        shown = state
        _warn(state)
    place = st.empty()  # the bar of `live.watch` lies over what is drawn next
    live.watch(state, lambda: _tools(page))
    if shown:
        try:
            _draw(page, shown, place, filtered=page in pages)
        except Unavailable as error:
            if shown is state:
                _apologise(error.problem, None)
            else:
                st.info("The rest of this view is not kept.", icon=":material/cloud_off:")


def _begin(page: "StreamlitPage") -> None:
    """Open the view that the viewer begins with, where a session begins at the bare address."""
    if st.session_state.get("begun"):
        return
    st.session_state["begun"] = True
    person = access.person()
    if page.url_path or st.query_params or person is None:
        return
    try:
        first = next((view for view in saved.views(person) if view.is_first), None)
    except Unavailable:
        return  # the page says what is the matter
    if first:
        st.switch_page(first.script, query_params=first.parameters)


def _draw(page: "StreamlitPage", state: Freshness, place: links.Place, *, filtered: bool) -> None:
    """Draw the page that the viewer is on; `place`: where it says that the link asks for something in vain."""
    links.begin()
    with st.container(key="figures"):
        whole = not filtered or _choose(page.title, state)
        if whole:
            page.run()
    links.end(page.url_path, place, whole=whole)


def _tools(page: "StreamlitPage") -> None:
    """The buttons of the bar: print the page that is laid out for paper, keep this view, sign out."""
    if page.title == "Overview":
        printing.button()
    if page.url_path in saved.PAGES and access.may("editor"):
        with st.popover("Save view", icon=":material/bookmark_add:", type="tertiary", key="save-view"):
            st.text_input("Name of this view", key="view-name", max_chars=80)
            if access.person() is None:
                st.caption(saved.NOBODY)
            else:
                st.checkbox("Only for me", key="view-private")
                st.checkbox("Open with this", key="view-first", help="Where the address says nothing else.")
            st.button("Save", key="view-save", type="primary", on_click=_save, args=(page.url_path,))
            if outcome := st.session_state.pop("view-saved", None):
                st.caption(filters.escape(outcome))
            st.page_link("views/alerts.py", label="All saved views", icon=":material/bookmarks:")
    access.account()


def _save(path: str) -> None:
    who = access.rights()
    if not isinstance(who, access.Rights) or not who.editor:
        return
    chosen = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    try:
        private, first = (bool(st.session_state.get(f"view-{each}")) for each in ("private", "first"))
        saved.save(
            st.session_state["view-name"], path, chosen, who.name, person=who.person, private=private, first=first
        )
        st.session_state["view-saved"] = f"Saved for {'you alone' if private else 'everybody'}."
        st.session_state["view-name"] = ""
    except saved.NotSavable as error:
        st.session_state["view-saved"] = str(error)
    except IntegrityError:
        st.session_state["view-saved"] = "There is a view of that name already."
    except Unavailable as error:
        st.session_state["view-saved"] = error.problem.value


def _choose(title: str, state: Freshness) -> bool:
    """Draw the filters; where there is nothing to filter, say what to do, and answer that there is no page to draw."""
    currencies = queries.currencies(state.mart_version)
    if currencies.empty:
        st.title("No sales yet", anchor=False)
        st.info(
            "Drop a sales sheet into the bucket and it shows up here within seconds. `make demo` starts everything and "
            "fills it with three months of sales. Pipeline & quality shows every file that has arrived.",
            icon=":material/inbox:",
        )
        return False
    heading = st.empty()
    view = filters.choose(state.mart_version, currencies)
    heading.title(f"{title} · {view.span}", anchor=False)
    if view.scope.converted and title in NOT_CONVERTED:
        st.info(
            f"This page has the figures of one currency at a time: choose one. {NOT_CONVERTED[title]}",
            icon=":material/currency_exchange:",
        )
        return False
    if view.total(view.span).empty:
        st.info(
            f"No sales in {view.span} for this choice. Take a longer period, or remove a filter.",
            icon=":material/filter_alt_off:",
        )
        return False
    return True


def _explain_settings(error: ValidationError) -> None:
    st.title("Not configured")
    for fault in error.errors():
        name = "_".join(["DASHBOARD", *map(str, fault["loc"])]).upper()
        st.error(f"`{name}`: {fault['msg']}.", icon=":material/settings_alert:")
    st.markdown(
        "Set `DASHBOARD_DATABASE_URL` to the PostgreSQL URL of the role `dashboard`, then start the dashboard again. "
        "`.env.example` lists every setting; `make demo` sets them all."
    )


def _apologise(problem: Problem, shown: Freshness | None) -> None:
    """Say why there are no figures of now, and of when those are that stay on the screen, greyed."""
    if shown:
        st.html(OUTDATED_STYLE)
        rest = f"These are the last figures, as of {live.clock(shown.published_at)}; the page goes on by itself."
    else:
        st.title("Nothing to show right now", anchor=False)
        rest = "The page comes back by itself."
    st.error(f"**{problem.value}** {rest}", icon=":material/cloud_off:")
    _remedy(NEXT_STEP[problem])


def _remedy(steps: str) -> None:
    with st.expander("For those who run it", icon=":material/build:"):
        st.markdown(steps)


def _warn(state: Freshness) -> None:
    """Say above every page why its figures may lack sales."""
    if red := [each for each in state.problems if each.severity == "red"]:
        st.error(
            f"**Figures may lack sales.** They are those of {live.clock(state.published_at)}, version "
            f"{state.mart_version}.\n\n{live.troubles(red)}",
            icon=":material/error:",
        )
        _remedy(live.remedies(red))


main()
