"""Saved views: a page with what is chosen on it, under a name, for everybody or for one person.

`Rights.person` says whose a view is; PostgreSQL neither shows nor deletes the views of others.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from dashboard import database

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
NOBODY = "Views of your own, and one to begin with, are for people who sign in: without that, nobody knows who you are."


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
    is_private: bool
    is_first: bool  # the person who asks begins with it

    @property
    def script(self) -> str:
        """The page's script, as `st.page_link` wants it."""
        return PAGES[self.page]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The choice, without anything that no widget reads."""
        return known(parse_qsl(self.query))


def known(parameters: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those parameters that a widget reads."""
    return [(name, value) for name, value in parameters if name in PARAMETERS]


def save(
    name: str,
    page: str,
    parameters: list[tuple[str, str]],
    created_by: str | None,
    *,
    person: str | None = None,
    private: bool = False,
    first: bool = False,
) -> None:
    """Keep the view, `private`: for this person only; `first`: the person begins with it.

    Raises NotSavable, and sqlalchemy.exc.IntegrityError where the name is taken.
    """
    name, query = clean(name), urlencode(known(parameters))
    if page not in PAGES:
        raise NotSavable("This page has nothing to save.")
    if len(query) > LONGEST_QUERY:
        raise NotSavable("Too much is chosen to keep it under a name.")
    if (private or first) and person is None:
        raise NotSavable(NOBODY)
    owner = person if private else None
    [row] = database.write(
        "save_view", person=person, name=name, page=page, query=query, created_by=created_by, owner=owner
    )
    if first:
        begin_with(row["view_id"], person)


def delete(view_id: int, person: str | None = None) -> None:
    """Forget the view; nothing where it is of somebody else."""
    database.write("delete_view", person=person, view_id=view_id)


def begin_with(view_id: int | None, person: str | None) -> None:
    """Have the person begin with the view, one of all or of their own; None: with the Overview, as everybody does."""
    if person is not None:
        database.write("begin_with", person=person, whose=person, view_id=view_id)


def views(person: str | None = None) -> list[SavedView]:
    """Every view of a page that is still here, by name: everybody's, and this person's own."""
    return [SavedView(**row) for row in database.read("saved_views", person=person) if row["page"] in PAGES]


def clean(name: str) -> str:
    """A name of 1 to 80 characters in one line; raises NotSavable."""
    name = one_line(name)
    if not 1 <= len(name) <= 80:
        raise NotSavable("A name has 1 to 80 characters.")
    return name


def one_line(text: str) -> str:
    """The text that somebody has written, with single spaces for whatever is not printed."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
