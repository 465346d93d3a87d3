"""Keeps an open page true: polls one cheap read and reruns the app when the pipeline's state has changed."""

from datetime import UTC, datetime

import streamlit as st

from dashboard import queries
from dashboard.queries import Freshness, Problem, Unavailable

POLL_SECONDS = 2

State = Freshness | Problem


def observe() -> State:
    """The pipeline's state, or why it cannot be read."""
    try:
        return queries.freshness()
    except Unavailable as error:
        return error.problem


def watch(shown: State) -> None:
    """Draw the freshness badge with its Live switch, and rerun the app as soon as the state is no longer `shown`."""
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="live-bar"):
        live = st.toggle("Live", value=True, key="live", help="Follow new data as it arrives.")
        with st.container(width="content"):
            st.fragment(_poll, run_every=POLL_SECONDS if live else None)(shown, live)


def _poll(shown: State, live: bool) -> None:
    now = observe() if live else shown
    if now != shown:
        st.rerun()
    label, icon, color = _badge(now)
    st.badge(label, icon=icon, color=color)  # type: ignore[arg-type]


def _badge(state: State) -> tuple[str, str, str]:
    if isinstance(state, Problem):
        return "No data", ":material/cloud_off:", "red"
    if state.files_waiting:
        waiting = "file" if state.files_waiting == 1 else "files"
        return f"{state.files_waiting} {waiting} on the way", ":material/sync:", "blue"
    if state.mart_version == 0:
        return "Waiting for the first file", ":material/hourglass_empty:", "gray"
    return f"Version {state.mart_version} · {ago(state.published_at)}", ":material/check_circle:", "green"


def ago(moment: datetime) -> str:
    """How long ago, in the largest unit that fits: `just now`, `5 min ago`, `3 h ago`, `2 d ago`."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"
