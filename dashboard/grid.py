"""The grid: any measures by one dimension or two, a row for the whole; PostgreSQL sorts all rows and gives a page."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from math import ceil
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import daily_sales, export, filters, links, panels, queries, sales_grid
from dashboard.daily_sales import GRAINS
from dashboard.filters import LABELS, View
from dashboard.measures import MEASURES, MISSING, Measure, Writer, verdict
from dashboard.sales_grid import BEFORE, CHANGE, Grid

ROWS = 50
MOST_IN_FILE = export.MOST_ROWS["XLSX"]
DEFAULT_ROWS = "category"
DEFAULT_COLUMNS = ("net_sales", "orders", "aov", "margin_rate")
BY = LABELS | {"date": "Day", "week": "Week", "month": "Month"}
SORT, PAGE = "grid-sort", "grid-page"
# A table of the page, and not Streamlit's: that one sorts in the browser, so only the rows of a page, moves the row of
# the whole with them, and draws on a canvas, which no screen reader reads.
TABLE = """
function cell(kind, text, looks) {
  const made = document.createElement(kind);
  made.textContent = text;
  for (const [name, value] of Object.entries(looks ?? {})) if (value) made.setAttribute(name, value);
  return made;
}

function button(text, label, press) {
  const made = cell("button", text, { type: "button", "aria-label": label });
  made.addEventListener("click", (event) => { event.stopPropagation(); press(); });
  return made;
}

export default function ({ data, setTriggerValue, parentElement }) {
  const table = cell("table", "");
  table.append(cell("caption", data.caption));
  const head = table.createTHead();
  const groups = head.insertRow(), names = head.insertRow();
  for (const column of data.columns) {
    if (column.spans) {
      const looks = column.is_key ? "key" : "first";
      groups.append(cell("th", column.group ?? "", { colspan: column.spans, scope: "colgroup", class: looks }));
    }
    const sorted = data.sort === column.name ? (data.descending ? "descending" : "ascending") : null;
    const header = cell("th", "", { scope: "col", class: column.looks, "aria-sort": sorted });
    const arrow = { descending: " ↓", ascending: " ↑" }[sorted] ?? "";
    header.append(button(column.label + arrow, column.says, () => setTriggerValue("sort", column.name)));
    names.append(header);
  }
  const row = (body, cells, place) => {
    const made = body.insertRow();
    cells.forEach(([text, tone], at) => {
      const column = data.columns[at];
      const made_cell = cell(column.is_key ? "th" : "td", text, {
        scope: column.is_key && "row", class: [column.looks, tone].filter(Boolean).join(" "),
      });
      if (place !== null && at === 0 && data.keeps) {
        made_cell.textContent = "";
        made_cell.append(button(text, null, () => setTriggerValue("keep", place)));
      }
      made.append(made_cell);
    });
    if (place !== null && data.keeps) {
      made.className = "keeps";
      made.addEventListener("click", () => setTriggerValue("keep", place));
    }
  };
  const body = table.createTBody();
  data.rows.forEach((cells, place) => row(body, cells, place));
  row(table.createTFoot(), data.total, null);
  parentElement.querySelector(".table").replaceChildren(table);
}
"""
STYLE = """
.table {overflow: auto; max-height: 36rem}
table {border-collapse: separate; border-spacing: 0; width: 100%; font: 0.875rem var(--st-font);
  color: var(--st-text-color); font-variant-numeric: tabular-nums}
caption {position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)}
th, td {padding: 0.35rem 0.6rem; text-align: right; white-space: nowrap; font-weight: 400;
  border-bottom: 1px solid var(--st-border-color); background: var(--st-background-color)}
th.key {text-align: left; max-width: 18rem; overflow: hidden; text-overflow: ellipsis}
th.key:first-child {position: sticky; left: 0; z-index: 1; max-width: 45vw}
.first {border-left: 1px solid var(--st-border-color)}
thead {position: sticky; top: 0; z-index: 2}
tfoot {position: sticky; bottom: 0; z-index: 2}
thead th {font-weight: 600}
thead tr:first-child th {text-align: left; border-bottom: 0}
tfoot th, tfoot td {font-weight: 600; border-top: 1px solid var(--st-text-color)}
button {all: unset; cursor: pointer}
button:focus-visible {outline: 2px solid var(--st-primary-color); outline-offset: 2px}
.keeps {cursor: pointer}
.keeps:hover > *, thead button:hover {text-decoration: underline}
td.before {color: color-mix(in srgb, var(--st-text-color) 75%, var(--st-background-color))}
.up {color: var(--st-green-text-color)}
.down {color: var(--st-red-text-color)}
"""
_table = st.components.v2.component("grid", html='<div class="table"></div>', css=STYLE, js=TABLE)


def draw(view: View, writer: Writer) -> None:
    """Draw the grid of what the link, or else the viewer, chooses."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="grid-choices"):
        named: dict[str, Any] = {"format_func": BY.__getitem__, "width": 170}
        offered = [name for name in BY if name in view.dimensions or name in GRAINS]
        usual = offered.index(DEFAULT_ROWS) if DEFAULT_ROWS in offered else 0
        first = links.choose(st.selectbox, "Rows by", offered, key="rows", index=usual, **named)
        others = [name for name in offered if name != first]
        second = links.choose(
            st.selectbox, "and by", others, key="then", index=None, placeholder="Nothing else", **named
        )
        columns = links.choose(
            st.multiselect,
            "Columns",
            MEASURES,
            default=DEFAULT_COLUMNS,
            format_func=lambda name: MEASURES[name].label,
            most=None,
            key="columns",
        )
    if not columns:
        st.info("Choose a column to show.", icon=":material/table:")
        return
    by = (first, second) if second else (first,)
    asked = _asked(view, by, tuple(MEASURES[name] for name in columns))
    number, rows = _page(view, asked)
    found = int(rows["rows"].iloc[0])
    cells = [_row(asked, row, writer, queries.product_names(view.version)) for row in rows.to_dict("records")]
    keys = [_members(asked, row) for row in rows.to_dict("records")]
    _table(
        data={
            "caption": f"{', '.join(measure.label for measure in asked.measures)} by {_words(by)}",
            "columns": _columns(asked),
            "rows": cells,
            "total": _total(view, asked, writer),
            "sort": asked.order_by,
            "descending": asked.descending,
            "keeps": bool(keys[0]),
        },
        key="grid",
        on_sort_change=partial(_sort, asked),
        on_keep_change=partial(_keep, keys),
    )
    _leaf(number, found, writer)
    if view.past and not asked.before:
        st.caption(panels.why_alone(view))
    if found > MOST_IN_FILE:
        most = writer.number(MOST_IN_FILE, 0)
        st.caption(f"A file takes {most} rows: take a shorter period, or rows by less, to have them all.")
    else:
        stamp = export.Stamp.of(view, ("Rows by", _words(by)), ("Compared with", str(view.comparable or "")))
        export.offer("grid", stamp, lambda: table(view, asked))


def table(view: View, asked: Grid) -> pd.DataFrame:
    """For a file: every row, with the figures, what they are compared with, and the sums that rates divide."""
    rows = sales_grid.grid(view.version, asked, None).drop(columns="rows")
    figures: dict[str, Any] = {}
    for form in ("", BEFORE) if asked.before else ("",):
        for measure in asked.measures:
            figures[f"{measure.name}{form}"] = [_of(measure, row, form) for row in rows.to_dict("records")]
    return rows.assign(**figures)


def _asked(view: View, by: tuple[str, ...], measures: tuple[Measure, ...]) -> Grid:
    now = (view.span.start, view.span.end)
    before = (view.comparable.start, view.comparable.end) if view.comparable else None
    usual = Grid(view.scope, by, measures, now, before, measures[0].name, descending=True)
    if by[0] in GRAINS:
        usual = Grid(view.scope, by, measures, now, before, by[0], descending=False)
    name = _sorted_by(usual)
    if name is None:
        return usual
    return Grid(view.scope, by, measures, now, before, name.removeprefix("-"), descending=name.startswith("-"))


def _sorted_by(usual: Grid) -> str | None:
    """The column to sort by, with a minus before it where the largest comes first; None: the usual one."""
    of = (usual.by, usual.measures, usual.before is None)
    before = st.session_state.get("grid-of", of)
    st.session_state["grid-of"] = of
    if not (asked := links.asked(SORT)):
        return None
    name = asked[0]
    fits = len(asked) == 1 and name.removeprefix("-") in usual.columns
    if not fits and before != of:  # the column has just been taken away
        _forget(SORT)
    else:
        links.check(SORT, fits)
    return name if fits else None


def _page(view: View, asked: Grid) -> tuple[int, pd.DataFrame]:
    """The page to show and its rows: the first one where another table is asked for than before."""
    before = st.session_state.get("grid-asked", asked)
    st.session_state["grid-asked"] = asked
    if before != asked:
        _forget(PAGE)
    if texts := links.asked(PAGE):
        number = int(texts[0]) if len(texts) == 1 and re.fullmatch("[1-9][0-9]{0,5}", texts[0]) else 0
        rows = sales_grid.grid(view.version, asked, ROWS, (number - 1) * ROWS) if number else pd.DataFrame()
        links.check(PAGE, fits=not rows.empty)
        if not rows.empty:
            return number, rows
    return 1, sales_grid.grid(view.version, asked, ROWS)


def _columns(asked: Grid) -> list[dict[str, Any]]:
    """The description of each column for the table, in order."""
    keys = [
        {
            "name": name,
            "label": BY[name],
            "says": f"Sort by {BY[name].lower()}",
            "looks": "key",
            "is_key": True,
            "spans": 1,
        }
        for name in asked.by
    ]
    figures = []
    for measure in asked.measures:
        forms = {"": "Now", BEFORE: "Before", CHANGE: "Change"} if asked.before else {"": measure.label}
        for form, label in forms.items():
            looks = {"": "first", BEFORE: "before", CHANGE: "change"}[form]
            says = f"Sort by {measure.label}{f', {label.lower()}' if asked.before else ''}"
            column = {"name": f"{measure.name}{form}", "label": label, "says": says, "looks": looks}
            group = {"group": measure.label if asked.before else "", "spans": len(forms)} if not form else {}
            figures.append(column | group)
    return keys + figures


def _row(asked: Grid, row: Mapping[Any, Any], writer: Writer, products: Mapping[str, str]) -> list[tuple[str, str]]:
    """The cells of a row: their text, and whether it is good or bad."""
    keys = [(_key(name, row[daily_sales.key(name)], products), "") for name in asked.by]
    return keys + [
        cell
        for measure in asked.measures
        for cell in _figures(measure, _of(measure, row), _of(measure, row, BEFORE), asked, writer)
    ]


def _total(view: View, asked: Grid, writer: Writer) -> list[tuple[str, str]]:
    """The figures of the whole, which are no sums of the rows: an order may hold several products."""
    now = view.total(view.span)
    before = view.total(view.comparable) if view.comparable else None
    figures = [
        cell
        for measure in asked.measures
        for cell in _figures(
            measure, measure.over(now), None if before is None else measure.over(before), asked, writer
        )
    ]
    return [("All", ""), *[("", "")] * (len(asked.by) - 1), *figures]


def _figures(
    measure: Measure, now: Decimal | None, before: Decimal | None, asked: Grid, writer: Writer
) -> list[tuple[str, str]]:
    if asked.before is None:
        return [(writer.write(now, measure.kind), "")]
    change = writer.change(now, before, measure.kind)
    tone = {1: "up", -1: "down"}.get(verdict(change, falls=measure.falls), "")
    return [(writer.write(now, measure.kind), ""), (writer.write(before, measure.kind), ""), (change or MISSING, tone)]


def _of(measure: Measure, row: Mapping[Any, Any], form: str = "") -> Decimal | None:
    """The figure of a row, now or before."""
    sums = [row.get(f"{name}{form}") for name in measure.sums]
    return measure.of(sums[:1], sums[1:])


def _key(name: str, value: Any, products: Mapping[str, str]) -> str:
    match name:
        case "date":
            return f"{value:%a} {value.day} {value:%b %Y}"
        case "week":
            return f"{value.day} {value:%b %Y}"
        case "month":
            return f"{value:%b %Y}"
        case "product":
            return products.get(value) or value
        case _:
            return value or "(none)"


def _members(asked: Grid, row: Mapping[Any, Any]) -> dict[str, str]:
    """The members that a click on the row keeps."""
    return {name: row[daily_sales.key(name)] for name in asked.by if name in LABELS}


def _words(by: Sequence[str]) -> str:
    return " and ".join(BY[name].lower() for name in by)


def _sort(asked: Grid) -> None:
    """Sort by the header that was clicked, from the largest on; the other way where it is sorted so already."""
    name = st.session_state["grid"].sort
    largest_first = name not in asked.by if name != asked.order_by else not asked.descending
    st.query_params[SORT] = f"-{name}" if largest_first else name


def _keep(keys: Sequence[Mapping[str, str]]) -> None:
    filters.keep(keys[st.session_state["grid"].keep])


def _leaf(number: int, found: int, writer: Writer) -> None:
    """Say which rows are shown, and offer those before and after."""
    pages = ceil(found / ROWS)
    first, last, whole = (writer.number(n, 0) for n in ((number - 1) * ROWS + 1, min(number * ROWS, found), found))
    with st.container(horizontal=True, vertical_alignment="center", key="grid-pages"):
        if pages == 1:
            st.caption(f"{whole} {'row' if found == 1 else 'rows'}, and all sales of the choice in the last line.")
            return
        st.caption(f"Rows {first} to {last} of {whole}", width="content")
        for label, to in (("Rows before", number - 1), ("Rows after", number + 1)):
            st.button(
                label,
                key=f"grid-to-{label}",
                disabled=not 1 <= to <= pages,
                type="tertiary",
                on_click=_turn,
                args=(to,),
            )


def _turn(number: int) -> None:
    st.query_params[PAGE] = str(number)


def _forget(name: str) -> None:
    st.query_params.pop(name, None)
