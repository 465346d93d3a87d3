"""Files of what is shown: CSV and XLSX that say what they hold, to the cent, and that a spreadsheet can open safely."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import streamlit as st
import xlsxwriter

from dashboard import links, order_lines
from dashboard.filters import LABELS, View
from dashboard.order_lines import CUSTOMER_COLUMNS, LINE_COLUMNS, Lines
from dashboard.periods import Span
from loader.spreadsheet import guarded

# Lines that a file of order lines holds, by its format: as many as are made within a minute, and fit into memory. A
# sheet of XLSX could hold 1,048,575.
MOST_ROWS = {"CSV": 500_000, "XLSX": 100_000}
MIME = {"CSV": "text/csv", "XLSX": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
Table = tuple[str, Iterable[str], Iterable[tuple[object, ...]]]  # the title of a sheet, its columns and its rows
UNFILTERED = ("Filters", "not applied")  # of a table that the filters do not narrow


@dataclass(frozen=True)
class Stamp:
    """The version and choice that a file is of, as pairs of a name and a value; `name` goes into the file's name."""

    name: str
    facts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, view: View, *more: tuple[str, str]) -> "Stamp":
        """The stamp of the view on the screen; `more` adds facts, and those without a value are left out."""
        return cls.at(link(view.span), view, *more)

    @classmethod
    def at(cls, address: str, view: View, *more: tuple[str, str]) -> "Stamp":
        """As `of`, for a view that is found at this address."""
        dates = (("From", str(view.span.start)), ("To", str(view.span.end)))
        of = (*dates, ("Currency", view.scope.currency), *narrowed(view, *LABELS), *(fact for fact in more if fact[1]))
        return cls.apart(view.version, f"{view.span.start}-to-{view.span.end}", address, *of)

    @classmethod
    def apart(cls, version: int, name: str, address: str, *of: tuple[str, str]) -> "Stamp":
        """The stamp of a table with dates or filters of its own, which `of` names."""
        return cls(f"{name}-v{version}", (("Version", str(version)), *of, ("Link", address)))

    @property
    def filters(self) -> str:
        """The choice in one cell, without the dates of the link: `Region: North, South; Search: kettle`."""
        common = {"Version", "From", "To", "Link"}
        return "; ".join(f"{name}: {value}" for name, value in self.facts if name not in common)


def narrowed(view: View, *names: str) -> list[tuple[str, str]]:
    """The members of these dimensions that the filters keep and leave out, for a stamp."""
    return [
        (f"{LABELS[name]}{behind}", ", ".join(members))
        for behind, chosen in (("", view.scope.kept), (" left out", view.scope.left_out))
        for name, members in chosen
        if name in names
    ]


def link(span: Span | None, **chosen: str) -> str:
    """The address that opens this page again, with its dates as they are now: `28D` means others tomorrow.

    `chosen` has the values of widgets that are not in the URL while nobody has touched them.
    """
    fixed = [(name.replace("_", "-"), value) for name, value in chosen.items()]
    if span:
        fixed += [("period", "Custom"), ("dates", str(span.start)), ("dates", str(span.end))]
    passing = {links.ORDER, *(name for name, _ in fixed)}
    kept = [(name, value) for name in st.query_params if name not in passing for value in st.query_params.get_all(name)]
    return f"{st.context.url or ''}?{urlencode(kept + fixed)}"


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """UTF-8 CSV with a byte order mark; text that a spreadsheet would take for a formula starts with an apostrophe."""
    # Only what ends a line is quoted: with pandas' own \n alone, a \r in a cell would begin another line.
    return frame.map(_inert).to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")


def offer(name: str, stamp: Stamp, read: Callable[[], pd.DataFrame]) -> None:
    """Downloads of a table, read when one is asked for; `name`, unique on the page, begins the file's name."""
    with st.container(horizontal=True):
        for kind, make in (("CSV", table_csv), ("XLSX", table_xlsx)):
            st.download_button(
                f"Download {kind}",
                partial(_made, make, read, stamp),
                file_name=f"{name}-{stamp.name}.{kind.lower()}",
                mime=MIME[kind],
                on_click="ignore",
                key=f"download-{name}-{kind}",
                type="tertiary",
                icon=":material/download:",
            )


def _made(make: Callable[[pd.DataFrame, Stamp], bytes], read: Callable[[], pd.DataFrame], stamp: Stamp) -> bytes:
    return make(read(), stamp)


def table_csv(frame: pd.DataFrame, stamp: Stamp) -> bytes:
    """As `csv_bytes`, with the columns at the end that say what each row is of."""
    facts = dict(stamp.facts)
    return csv_bytes(
        frame.assign(mart_version=facts["Version"], made_at=_now(), filters=stamp.filters, view=facts["Link"])
    )


def table_xlsx(frame: pd.DataFrame, stamp: Stamp) -> bytes:
    """As `xlsx_bytes`, of a table."""
    return book_bytes([sheet("Data", frame)], stamp)


def sheet(title: str, frame: pd.DataFrame) -> Table:
    """A table as `book_bytes` takes it."""
    plain = frame.astype(object).where(frame.notna(), None)
    return title, map(str, frame.columns), plain.itertuples(index=False, name=None)


def lines_csv(reader: str, lines: Lines, stamp: Stamp) -> bytes:
    """The lines as CSV: a header and rows, nothing else, so that any reader takes it.

    What they are is said in columns at the end, the same in each row: a preamble would make it a CSV that no reader
    takes, and a second file is lost sooner than a column.
    """
    told = [_inert(stamp.filters), dict(stamp.facts)["Link"]]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_columns(lines), "filters", "view"])
    for row in _rows(reader, lines, MOST_ROWS["CSV"]):
        writer.writerow([*map(_inert, row), *told])
    return text.getvalue().encode("utf-8-sig")


def lines_xlsx(reader: str, lines: Lines, stamp: Stamp) -> bytes:
    """The lines as a workbook: the rows, with dates and exact amounts as such, and a sheet that says what they are."""
    return xlsx_bytes(_columns(lines), _rows(reader, lines, MOST_ROWS["XLSX"]), stamp)


def xlsx_bytes(columns: Iterable[str], rows: Iterable[tuple[object, ...]], stamp: Stamp) -> bytes:
    """A workbook of the rows, each written out before the next is read."""
    return book_bytes([("Data", columns, rows)], stamp)


def book_bytes(tables: Iterable[Table], stamp: Stamp) -> bytes:
    """A workbook of tables, each a sheet of this name with columns and rows, and of a sheet that says what they are."""
    file = io.BytesIO()
    # Text is written as text: whatever it looks like, it is neither a formula nor a link.
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(file, options) as book:
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        amount = book.add_format({"num_format": "#,##0.00##"})
        bold = book.add_format({"bold": True})
        for title, columns, rows in tables:
            page = book.add_worksheet(title)
            page.freeze_panes(1, 0)
            for place, name in enumerate(columns):
                page.write_string(0, place, name, bold)
                page.set_column(place, place, 14)
            for number, row in enumerate(rows, start=1):
                for place, cell in enumerate(row):
                    if isinstance(cell, datetime):  # a moment, and a workbook knows no time zones
                        page.write_string(number, place, cell.isoformat(timespec="seconds"))
                    elif isinstance(cell, date):
                        page.write_datetime(number, place, cell, day)
                    elif isinstance(cell, Decimal):
                        page.write_number(number, place, cell, amount)
                    elif isinstance(cell, int | float | np.number):
                        page.write_number(number, place, cell)
                    elif cell is not None:
                        page.write_string(number, place, str(cell))
        about = book.add_worksheet("About")
        about.set_column(0, 0, 14)
        about.set_column(1, 1, 80)
        for number, (name, value) in enumerate([*stamp.facts, ("Made at", _now())]):
            about.write_string(number, 0, name, bold)
            about.write_string(number, 1, value)
    return file.getvalue()


def _columns(lines: Lines) -> tuple[str, ...]:
    return (*LINE_COLUMNS, *(CUSTOMER_COLUMNS if lines.customers else ()), "mart_version")


def _rows(reader: str, lines: Lines, most: int) -> Iterator[tuple[object, ...]]:
    for batch in order_lines.stream_lines(reader, lines, most):
        yield from batch


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _inert(cell: object) -> object:
    return guarded(cell) if isinstance(cell, str) else cell
