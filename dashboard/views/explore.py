"""Explore: any measures over time, and who makes them up; a click on a bar filters everything."""

import streamlit as st

from dashboard import explain, export, filters, links, notes, panels
from dashboard.filters import LABELS, View
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
    export.offer("sales-by-day", export.Stamp.of(view), lambda: panels.by_day(view, measures))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(f"{measures[0].label} by …", anchor=False, width="content")
        st.page_link("views/orders.py", label="Show the lines", icon=":material/receipt_long:")
    st.caption("Click a bar to keep only that one everywhere; click it again to show all.")
    with st.grid(3, min_column_width=300, key="leaderboards"):
        for dimension in LABELS:
            with st.container(border=True, height="stretch"):
                panels.leaderboard(view, dimension, measures[0], writer, LEADERS)
    stamp = export.Stamp.of(view, ("Compared with", str(view.comparable or "")))
    export.offer("leaders", stamp, lambda: panels.leaders(view, list(LABELS), measures[0]))


def _over_time(view: View, measure: Measure, writer: Writer) -> None:
    panels.figure(view, measure, writer)
    explain.button(measure.name, measure.label)
    spec = panels.trend(view, measure, writer, view.span, view.comparable)
    alt = f"{measure.label} per {view.grain.lower()}"
    st.echarts_chart(spec, height=240, key=f"over-time-{measure.name}", alt=alt)


page()
