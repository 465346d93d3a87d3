"""Where a figure comes from: what it means, the statement that gave it, the tests that guard it, the files it is of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial

import pandas as pd
import streamlit as st

from dashboard import daily_sales, database, freshness, links, live, order_lines, panels, queries
from dashboard.database import Unavailable
from dashboard.filters import View
from dashboard.measures import Kind, Measure, Writer
from dashboard.settings import settings

MOST_FILES = 20
OF_EVERY_CURRENCY = "It is of every currency; the files below are those of the chosen one."


@dataclass(frozen=True)
class Source:
    """The source of one figure: its meaning, how it follows from the rows of the statement, and the mart that is asked.

    The files that are named hold lines of `scope` on `day`, the last one that the figure is of.
    """

    title: str
    definition: str
    reading: str
    statement: str
    mart: str
    scope: daily_sales.Scope
    day: date


def button(name: str, label: str) -> None:
    """A small button below a figure that opens `panel`; its label tells buttons apart for screen readers too."""
    st.button(
        f"Explain {label[0].lower()}{label[1:]}",
        key=f"explain-{name}",
        type="tertiary",
        help="What it means, the SQL that gave it, its tests and its files",
        on_click=partial(_ask, name),
    )


def panel(view: View, sources: Mapping[str, Callable[[], Source]]) -> None:
    """The panel that the link asks for, if it is of one of these, by the names of their buttons."""
    if make := sources.get(st.query_params.get(links.EXPLAIN, "")):
        links.check(links.EXPLAIN, fits=True)
        source = make()
        live.dialog(source.title, _close, _draw, view, source)


def measures(view: View, shown: Iterable[Measure], *by: str) -> dict[str, Callable[[], Source]]:
    """The sources of measures over the period and under the filters; `by`: for each member of a dimension."""
    return {measure.name: partial(of_measure, view, measure, *by) for measure in shown}


def of_measure(view: View, measure: Measure, *by: str) -> Source:
    """The source of a measure over the period and under the filters."""
    told = queries.descriptions(view.version)
    mart = daily_sales.mart_of(view.scope, by)
    figure = " ÷ ".join(f"`{name}`" for name in measure.sums)
    reading = f"A bar is {figure} of a row" if by else f"The figure is {figure} of the row"
    parts = [f"- `{name}`: {text}" for name in measure.sums if (text := told.get(f"{mart}.{name}"))]
    return Source(
        measure.label,
        told.get(measure.described_by, ""),
        "\n".join([f"{reading} that this statement returns.", "", *parts]),
        daily_sales.sales_sql(view.scope, view.span.start, view.span.end, by, daily_sales.asked_for(by, measure.sums)),
        mart,
        view.scope,
        view.span.end,
    )


def of_statement(
    view: View, title: str, column: str, reading: str, statement: str, *, day: date | None = None, **parameters: object
) -> Source:
    """The source of a figure that a statement of `sql/` gives; `column`: `mart.column`, which dbt describes."""
    return Source(
        title,
        queries.descriptions(view.version).get(column, ""),
        reading,
        database.statement_sql(statement, **parameters),
        column.split(".", maxsplit=1)[0],
        daily_sales.Scope(view.scope.currency),
        day or view.last,
    )


def tests_of(mart: str, results: pd.DataFrame, marts: Iterable[str]) -> pd.DataFrame:
    """The results of the tests that name the mart, and of those that name none of `marts`: they hold all together."""
    others = sorted(set(marts) - {mart}, key=len, reverse=True)

    def guards(test: str) -> bool:
        # A name that contains the mart's own belongs to the longest mart in it: kpi_products, not kpi_product.
        named = next((name for name in sorted([mart, *others], key=len, reverse=True) if name in test), None)
        return named in (mart, None)

    return results[results["test_name"].map(guards).astype(bool)]


def _draw(view: View, source: Source) -> None:
    st.markdown(source.definition or "dbt does not describe this figure.")
    st.subheader("SQL", anchor=False)
    st.markdown(f"Asked of `kpi.{source.mart}` in version {view.version}. {source.reading}")
    st.code(source.statement, language="sql", wrap_lines=True)
    for title, part in (("dbt tests", _tests), ("Files", _files)):
        st.subheader(title, anchor=False)
        try:
            part(view, source)
        except Unavailable as error:  # in a dialog, Streamlit would put a fault in the place of the page
            st.error(error.problem.value, icon=":material/cloud_off:")


def _tests(view: View, source: Source) -> None:
    marts = {name.split(".")[0] for name in queries.descriptions(view.version)}
    results = tests_of(source.mart, queries.test_results(freshness.shown()), marts)
    if results.empty:
        st.caption("No test of this mart has been run yet.")
    else:
        failed = int((~results["status"].isin(("pass", "success"))).sum())
        st.caption(
            f"{len(results)} tests of this mart or of all marts, {failed or 'none'} of them failed when last run."
        )
        panels.table(
            results,
            {
                "test_name": st.column_config.TextColumn("Test", width="large"),
                "status": "Result",
                "failures": ("Failures", Kind.COUNT),
                "tested_at": st.column_config.DatetimeColumn(
                    "Tested", format="D MMM, HH:mm", timezone=st.context.timezone
                ),
                "message": "Message",
            },
            _writer(source),
            key="explain-tests",
            height=min(38 * len(results) + 40, 240),
            alt="dbt tests",
        )


def _files(view: View, source: Source) -> None:
    day = source.day
    files = order_lines.files_of(view.version, source.scope, day, MOST_FILES)
    # One day only: ten million lines are not read to name the files of a year.
    st.caption(
        f"The files that hold lines of {day.day} {day:%b %Y}, the last day that the figure is of"
        f"{f', the {MOST_FILES} with most of them' if len(files) == MOST_FILES else ''}. "
        "Pipeline & quality lists every file."
    )
    if files.empty:
        st.caption("No file holds a line of that day for this choice.")
        return
    panels.table(
        files,
        {
            "key": st.column_config.TextColumn("File", width="large"),
            "lines": ("Lines", Kind.COUNT),
            "net_amount": ("Net sales", Kind.MONEY),
            "event_at": st.column_config.DatetimeColumn(
                "Arrived", format="D MMM, HH:mm:ss", timezone=st.context.timezone
            ),
            "modelled_at": st.column_config.DatetimeColumn(
                "In the marts", format="D MMM, HH:mm:ss", timezone=st.context.timezone
            ),
        },
        _writer(source),
        key="explain-files",
        alt="Files of the last day",
    )


def _writer(source: Source) -> Writer:
    return Writer(settings().number_style, source.scope.currency)


def _ask(name: str) -> None:
    st.query_params[links.EXPLAIN] = name


def _close() -> None:
    st.query_params.pop(links.EXPLAIN, None)
