"""The books of sales: those in one currency or, converted into it, in all; what they hold, and how far they reach."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pandas as pd

from dashboard import daily_sales, queries
from dashboard.measures import Writer
from dashboard.periods import Span
from dashboard.settings import settings


@dataclass(frozen=True)
class Book:
    """Sales in one currency or, converted into it, in all: their first, last and last complete date.

    `lines` of the last date, and how many that weekday usually has. `lines_ahead`, up to the date `latest`, are of days
    that have not begun.
    """

    currency: str
    converted: bool
    first: date
    last: date
    complete: date
    lines: int
    usual_lines: int
    latest: date
    lines_ahead: int


def told_ahead(book: Book) -> str:
    """A sentence about sales of days that have not begun, and where they are shown."""
    lines = Writer(settings().number_style, book.currency).number(book.lines_ahead, 0)
    many = f"{lines} sales lines are of days that have" if book.lines_ahead > 1 else "1 sales line is of a day that has"
    latest = Span(book.latest, book.latest)
    return (
        f"{many} not begun, up to {latest}: a sheet has a wrong date, or came early. Until then only dates of your own "
        "(*Custom*) show what is ahead."
    )


def books_of(version: int, currencies: pd.DataFrame) -> dict[str, Book]:
    """The books by the name under which they are offered, the currency that sold most first."""
    books = {
        row["currency"]: Book(
            row["currency"], False, row["first_date"], row["last_date"], row["complete_until"], row["lines"],
            row["usual_lines"], row["latest_date"], row["lines_ahead"],
        )
        for row in currencies.to_dict("records")
    }  # fmt: skip
    reporting = queries.reporting(version)
    if reporting and not reporting[1]:
        last = max(book.last for book in books.values())
        newest = [book for book in books.values() if book.last == last]
        books[f"All in {reporting[0]}"] = Book(
            reporting[0], True, min(book.first for book in books.values()), last,
            min(book.complete for book in newest), sum(book.lines for book in newest),
            sum(book.usual_lines or 0 for book in newest),
            max(book.latest for book in books.values()), sum(book.lines_ahead for book in books.values()),
        )  # fmt: skip
    return books


def why_not_converted(version: int) -> str | None:
    """Why sales of all currencies are not offered in one."""
    reporting = queries.reporting(version)
    if not reporting or not reporting[1]:
        return None
    return (
        f"All sales in {reporting[0]} are offered once each currency has a rate from its first sales on. Not yet: "
        f"{', '.join(reporting[1])}. Rates are listed in `dbt_sales/seeds/currency_rates.csv`."
    )


def choices_of(version: int, book: Book, currencies: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The members of each dimension that these sales can be filtered by."""
    if not book.converted:
        return queries.members(version, book.currency) | {"product": tuple(queries.product_names(version))}
    of_all = [queries.members(version, currency) for currency in currencies]
    return {
        name: tuple(sorted({member for members in of_all for member in members[name]}))
        for name in daily_sales.CONVERTED_BY
    }
