"""Explore: any measures over time, who makes them up, and a grid of all; a click on a bar or row filters everything."""

import streamlit as st

from dashboard import explain, filters, grid, links, notes, panels
from dashboard.filters import View
from dashboard.measures import MEASURES, Measure, Writer
from dashboard.settings import settings

MEASURES_SHOWN = 3
LEADERS = 10


def page() -> None:
    """Draw the page for the view that the filters describe."""
    view = filters.chosen()
    writer = Writer(settings().number_style, view.scope.currency)
    names = links.choose(
        st.multiselect,
        "Measures",
        MEASURES,
        default=["net_sales", "orders", "margin_rate"],
        format_func=lambda name: MEASURES[name].label,
        most=MEASURES_SHOWN,
        max_selections=MEASURES_SHOWN,
        key="measures",
    )
    if not names:
        st.info("Choose a measure to draw.", icon=":material/query_stats:")
        return
    measures = [MEASURES[name] for name in names]
    explain.panel(view, explain.measures(view, measures))
    for place, measure in zip(st.columns(len(measures)), measures, strict=True):
        with place.container(border=True, height="stretch"):
            _over_time(view, measure, writer)
    notes.below(view, view.span)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(f"{measures[0].label} by …", anchor=False, width="content")
        st.page_link("views/orders.py", label="Show the lines", icon=":material/receipt_long:")
    told = " Behind it: the figure, the share of all where members add up"
    told += f", the change against {view.comparable}." if view.comparable else "."
    st.caption(f"Click a bar to keep only that one everywhere; click it again to show all.{told}")
    with st.grid(3, min_column_width=300, key="leaderboards"):
        for dimension in view.dimensions:
            with st.container(border=True, height="stretch"):
                panels.leaderboard(view, dimension, measures[0], writer, LEADERS)
    with st.container(border=True):
        st.subheader("All figures, row by row", anchor=False)
        st.caption("Click a header to sort all rows by it, a row to keep only that one everywhere.")
        grid.draw(view, writer)


def _over_time(view: View, measure: Measure, writer: Writer) -> None:
    panels.figure(view, measure, writer)
    explain.button(measure.name, measure.label)
    spec = panels.trend(view, measure, writer, view.span, view.comparable)
    alt = f"{measure.label} per {view.grain.lower()}"
    panels.draw(spec, alt, key=f"over-time-{measure.name}", height=240)


page()
