"""Saved views: a page with what is chosen on it, under a name, for everybody."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlencode

from dashboard import queries

# By the path in the URL, the script that draws it. A view of any other page is not saved, and not opened.
PAGES = {
    "": "views/overview.py",
    "explore": "views/explore.py",
    "products": "views/products.py",
    "places": "views/places.py",
    "customers": "views/customers.py",
    "orders": "views/orders.py",
    "pipeline": "views/pipeline.py",
}
# The parameters that widgets bind to the URL; any other is left out of a view.
PARAMETERS = frozenset({
    "period", "dates", "compare", "against", "grain", "currency", "category", "product", "region", "channel", "store",
    "rep",
    "status", "trend-shape", "top", "measures", "search", "sort", "page", "bridge", "bridge-month", "pairs",
    "pairs-month", "rated", "customers-by", "cohorts-by", "top-customers", "rank", "target-month", "target-of",
    "weekdays", "except", "rows", "then", "columns", "grid-sort", "grid-page",
})  # fmt: skip
LONGEST_QUERY = 2000


class NotSavable(Exception):
    """This cannot be kept as a view; the message says why."""


@dataclass(frozen=True)
class SavedView:
    """One row of dashboard.saved_views whose page and parameters are known."""

    view_id: int
    name: str
    page: str
    query: str
    created_by: str | None
    created_at: datetime

    @property
    def script(self) -> str:
        """The page's script, as `st.page_link` wants it."""
        return PAGES[self.page]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """What is chosen, without anything that no widget reads."""
        return known(parse_qsl(self.query))


def known(parameters: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those parameters that a widget reads."""
    return [(name, value) for name, value in parameters if name in PARAMETERS]


def save(name: str, page: str, parameters: list[tuple[str, str]], created_by: str | None) -> None:
    """Keep the view; raises NotSavable, and sqlalchemy.exc.IntegrityError where the name is taken."""
    name, query = clean(name), urlencode(known(parameters))
    if page not in PAGES:
        raise NotSavable("This page has nothing to save.")
    if len(query) > LONGEST_QUERY:
        raise NotSavable("Too much is chosen to keep it under a name.")
    queries.write("save_view", name=name, page=page, query=query, created_by=created_by)


def delete(view_id: int) -> None:
    """Forget the view."""
    queries.write("delete_view", view_id=view_id)


def views() -> list[SavedView]:
    """Every view of a page that is still here, by name."""
    return [SavedView(**row) for row in queries.read("saved_views") if row["page"] in PAGES]


def clean(name: str) -> str:
    """A name of 1 to 80 characters in one line; raises NotSavable."""
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    if not 1 <= len(name) <= 80:
        raise NotSavable("A name has 1 to 80 characters.")
    return name
