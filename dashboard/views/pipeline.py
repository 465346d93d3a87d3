"""Pipeline & quality: every file and its fate, rejected rows, unusual days, the runs and tests of dbt."""

from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard import access, export, freshness, links, live, panels, queries, sheet_changes
from dashboard.freshness import Freshness
from dashboard.measures import MISSING, Kind, Writer
from dashboard.settings import settings

FILES_PER_PAGE = 25
REJECTED_SHOWN = 200
REJECTED_DOWNLOADED = 100_000
ANOMALIES_SHOWN = 30


def page() -> None:
    """Draw the page; it follows the ledger, not only the marts."""
    state = freshness.shown()
    zone = st.context.timezone or "UTC"
    st.title("Pipeline & quality", anchor=False)
    _cards(state, zone)
    if state.last_run_status == "failed" and state.last_run_error:
        st.code(state.last_run_error, language=None, wrap_lines=True)
    if amber := [each for each in state.problems if each.severity == "amber"]:  # the red ones are above every page
        st.warning(f"{live.troubles(amber)}\n\n{live.remedies(amber)}", icon=":material/warning:")
    with st.container(border=True):
        _files(state, zone)
    with st.container(border=True):
        sheet_changes.section(state, zone)
    with st.container(border=True):
        _rejected(state, zone)
    with st.container(border=True):
        _anomalies(state)
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        _runs(state, zone)
    with right.container(border=True, height="stretch"):
        _tests(state, zone)


def _cards(state: Freshness, zone: str) -> None:
    midnight = datetime.now(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    quality = queries.quality(state, midnight)
    number = _numbers()
    rejected, read = quality["rejected_rows"], quality["rows_read"]
    share = number.write(Decimal(rejected) / read, Kind.SHARE) if read else MISSING
    at_risk, more = _at_risk(queries.revenue_at_risk(state))
    with st.grid(6, min_column_width=150, key="cards"):
        for label, value, explanation in (
            ("Files today", number.number(quality["files_since"], 0), "Files that arrived since midnight, your time."),
            (
                "Waiting",
                number.number(Decimal(state.files_waiting), 0),
                "Files in the bucket that are not in the figures yet.",
            ),
            (
                "Latency p50",
                number.write(state.latency_p50_seconds, Kind.SECONDS),
                "Half of the last 100 files took no longer from the bucket to published marts.",
            ),
            (
                "Latency p95",
                number.write(state.latency_p95_seconds, Kind.SECONDS),
                "19 of 20 of the last 100 files took no longer from the bucket to published marts.",
            ),
            (
                "Rejected rows",
                f"{number.number(rejected, 0)} · {share}",
                "Rows that failed validation, of files that count now or were rejected whole; share of rows read.",
            ),
        ):
            st.metric(label, value, help=explanation, border=True, height="stretch")
        st.metric(
            "Revenue at risk",
            at_risk,
            more,
            delta_arrow="off",
            delta_color="off",
            help="Quantity × unit price of those rows, as far as both can be read. Their currency is the one of all "
            "sheets of their feed, or the one that a cell of the row states; rows without either are counted only.",
            border=True,
            height="stretch",
        )


def _at_risk(rows: list[dict[str, Any]]) -> tuple[str, str | None]:
    """The amount in the currency of most rejected rows, and in words what there is beside it."""
    amounts = [
        Writer(settings().number_style, row["currency"]).exact(row["revenue_at_risk"], Kind.MONEY)
        for row in rows
        if row["currency"] is not None
    ]
    unknown = sum(row["readable_rows"] for row in rows if row["currency"] is None)
    if unknown:
        amounts.append(f"{_numbers().number(unknown, 0)} row{'s' * (unknown > 1)} of no known currency")
    if not amounts:
        return MISSING, None
    return amounts[0], f"and {', '.join(amounts[1:])}" if amounts[1:] else None


def _numbers() -> Writer:
    """Writes what is no amount."""
    return Writer(settings().number_style, "")


def _files(state: Freshness, zone: str) -> None:
    counts = queries.file_counts(state)
    st.subheader("Files", anchor=False)
    if not counts:
        st.info("No file has arrived yet. `make demo` brings the first ones.", icon=":material/inbox:")
        return
    statuses = links.choose(
        st.pills,
        "Status",
        counts,
        most=None,
        selection_mode="multi",
        key="status",
        label_visibility="collapsed",
    )
    chosen = tuple(sorted(statuses))
    total = sum(count for status, count in counts.items() if not chosen or status in chosen)
    pages = max(1, ceil(total / FILES_PER_PAGE))
    shown = st.session_state.get("files-page", 1)
    frame = queries.files(state, chosen, FILES_PER_PAGE, (min(shown, pages) - 1) * FILES_PER_PAGE)
    waiting: dict[str, panels.Column] = {"rows_waiting": ("Waiting", Kind.COUNT)} if frame["rows_waiting"].any() else {}
    panels.table(
        frame,
        {
            "key": st.column_config.TextColumn("File", pinned=True, width="medium"),
            "status": "Status",
            "event_at": _moment("Arrived", zone),
            "loaded_at": _moment("Loaded", zone),
            "modelled_at": _moment("In the marts", zone),
            "arrival_to_mart_seconds": ("Took", Kind.SECONDS),
            "rows_read": ("Read", Kind.COUNT),
            "rows_loaded": ("Loaded", Kind.COUNT),
            **waiting,
            "rows_rejected": ("Rejected", Kind.COUNT),
            "rows_skipped": ("Skipped", Kind.COUNT),
            "error": st.column_config.TextColumn("What went wrong", width="large"),
            "warning": st.column_config.TextColumn("To look at", width="large"),
            "feed": "Feed",
            "events": ("Messages", Kind.COUNT),
        },
        _numbers(),
        key="files",
        mart="ops_load_history",
    )
    if pages > 1:
        st.pagination(pages, key="files-page")


def _rejected(state: Freshness, zone: str) -> None:
    if not access.may("rejects"):
        st.subheader("Rejected rows", anchor=False)
        access.explain("rejects")
        return
    reader = access.reader()
    frame = queries.rejected_rows(reader, state, REJECTED_SHOWN)
    st.subheader("Rejected rows", anchor=False)
    if frame.empty:
        st.caption("Every row of every file was accepted.")
        return
    most = _numbers().number(REJECTED_DOWNLOADED, 0)
    if len(frame) == REJECTED_SHOWN:
        st.caption(f"The newest {REJECTED_SHOWN}; a download has the newest {most} at most.")
    panels.table(
        frame,
        {
            "key": st.column_config.TextColumn("File", width="medium"),
            "source_line": st.column_config.NumberColumn("Line", format="%d", width="small"),
            "reasons": st.column_config.TextColumn("Why", width="large"),
            "raw_text": st.column_config.TextColumn("As it stands in the file", width="large"),
            "revenue_at_risk": ("At risk", Kind.MONEY),
            "feed": "Feed",
            "file_status": "File is",
            "rejected_at": _moment("Rejected", zone),
        },
        _numbers(),
        key="rejected",
        currency="currency",
        height=320,
    )
    stamp = export.Stamp.apart(
        state.mart_version,
        "newest",
        export.link(None),
        ("Rows", f"the newest {most} at most"),
    )
    export.offer("rejected-rows", stamp, lambda: queries.read_rejected_rows(reader, REJECTED_DOWNLOADED))


def _anomalies(state: Freshness) -> None:
    meaning = queries.descriptions(state.mart_version)
    frame = queries.volume_anomalies(state.mart_version, ANOMALIES_SHOWN)
    st.subheader("Unusual days", anchor=False, help=meaning.get("kpi_volume_anomalies.is_anomaly"))
    if frame.empty:
        st.caption("The lines and the net sales of every day are about what its weekday had in the eight weeks before.")
        return
    newest = f" The newest {ANOMALIES_SHOWN}." if len(frame) == ANOMALIES_SHOWN else ""
    st.caption(f"Days whose lines or net sales are not what their weekday had in the eight weeks before.{newest}")
    panels.table(
        frame,
        {
            "sale_date": st.column_config.DateColumn("Date", format="ddd D MMM YYYY"),
            "currency": "Currency",
            "lines": ("Lines", Kind.COUNT),
            "net_sales": ("Net sales", Kind.MONEY),
            "lines_z_score": ("Lines are off by", Kind.DEVIATION),
            "net_sales_z_score": ("Sales are off by", Kind.DEVIATION),
            "events": st.column_config.TextColumn("In the calendar", help=meaning.get("kpi_volume_anomalies.events")),
        },
        _numbers(),
        key="anomalies",
        mart="kpi_volume_anomalies",
        currency="currency",
        height="content",
        alt="Days with unusual lines or net sales",
    )
    stamp = export.Stamp.apart(
        state.mart_version, "newest", export.link(None), ("Days", f"the newest {ANOMALIES_SHOWN} at most")
    )
    export.offer("unusual-days", stamp, lambda: frame)


def _runs(state: Freshness, zone: str) -> None:
    st.subheader("dbt runs", anchor=False)
    frame = queries.dbt_runs(state)
    if frame.empty:
        st.caption("dbt has not run yet.")
        return
    panels.table(
        frame,
        {
            "run_id": st.column_config.NumberColumn("Run", format="%d", width="small"),
            "status": "Status",
            "started_at": _moment("Started", zone),
            "seconds": ("Took", Kind.SECONDS),
            "dates": ("Dates", Kind.COUNT),
            "files": ("Files", Kind.COUNT),
            "mart_version": st.column_config.NumberColumn("Version", format="%d"),
            "error": st.column_config.TextColumn("What failed", width="large"),
        },
        _numbers(),
        key="runs",
    )


def _tests(state: Freshness, zone: str) -> None:
    frame = queries.test_results(state)
    st.subheader("dbt tests", anchor=False)
    if frame.empty:
        st.caption("No test has run yet.")
        return
    panels.table(
        frame,
        {
            "test_name": st.column_config.TextColumn("Test", width="large"),
            "status": "Status",
            "failures": ("Rows failing", Kind.COUNT),
            "message": "Message",
            "run_id": st.column_config.NumberColumn("Run", format="%d", width="small"),
            "tested_at": _moment("Tested", zone),
        },
        _numbers(),
        key="tests",
    )


def _moment(label: str, zone: str) -> ColumnConfig:
    return st.column_config.DatetimeColumn(label, format="D MMM, HH:mm:ss", timezone=zone)


page()
