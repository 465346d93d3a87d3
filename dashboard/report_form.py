"""Reports by mail, on Alerts & views: which there are, what became of the last one, and a form."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

import streamlit as st
from sqlalchemy.exc import IntegrityError

from dashboard import access, live, reports, saved
from dashboard.database import Unavailable
from dashboard.filters import escape
from dashboard.reports import SCHEDULES, WEEKDAYS, NotKept, Report
from dashboard.settings import settings

FORM = "report-"  # with which the keys of its widgets begin
EVERY = {"daily": "day", "weekly": "week", "monthly": "month"}
MORNING = 7


def section() -> None:
    """Draw the list, and the form for who may change it."""
    kept = reports.reports()
    with st.container(border=True, key="reports"):
        st.subheader("Reports by mail", anchor=False)
        st.caption(
            "A saved view as PDF and spreadsheet, with what happened in words. It is of complete days: a report waits "
            f"up to {reports.PATIENCE.seconds // 3600} hours for the sales of the day before. No customer is in it."
        )
        if error := st.session_state.pop("report_error", None):
            st.error(error)
        if not kept:
            st.caption("There is no report yet.")
        outcomes = reports.outcomes()
        for report in kept:
            _row(report, outcomes.get(report.report_id or 0, []))
    with st.container(border=True, key="report-form"):
        changed = next((each for each in kept if each.report_id == st.session_state.get("report-changed")), None)
        st.subheader(f"Change {escape(changed.name)}" if changed else "New report", anchor=False)
        if access.may("editor"):
            _form(changed)
        else:
            access.explain("editor")


def _row(report: Report, deliveries: list[dict[str, Any]]) -> None:
    may = access.may("editor")
    key = f"mail-on-{report.report_id}"
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", key=f"mail-{report.report_id}"):
        st.toggle(
            f"{report.name} is on", value=report.enabled, key=key, on_change=_enable, args=(report.report_id, key),
            disabled=not may, label_visibility="collapsed",
        )  # fmt: skip
        upcoming = f" Next: {live.clock(report.next_due(datetime.now(UTC)))}." if report.enabled else ""
        to = f" To {', '.join(report.recipients)}." if may else f" To {len(report.recipients)}."
        by = f" By {report.created_by}." if report.created_by else ""
        name, of = escape(report.name), report.view_name or "a view that is deleted"
        with st.container(gap="xsmall"):
            st.markdown(
                f"**{name}**: {escape(of)}  \n{escape(f'{reports.when(report)}.{upcoming}{to}{by}')}  \n"
                f"{_outcome(deliveries)}"
            )
            if may:
                st.button(
                    "Send now", icon=":material/send:", key=f"mail-send-{report.report_id}", on_click=_send,
                    args=(report.report_id,), type="tertiary", help=f"Send the report {name} to everybody who gets it",
                )  # fmt: skip
        if may:
            for icon, what, action, argument in (
                ("edit", f"Change the report {name}", _fill, report),
                ("delete", f"Delete the report {name}", _delete, report.report_id),
            ):
                st.button(
                    "", icon=f":material/{icon}:", help=what, key=f"mail-{icon}-{report.report_id}", on_click=action,
                    args=(argument,), type="tertiary",
                )  # fmt: skip


def _outcome(deliveries: list[dict[str, Any]]) -> str:
    """The fate of the last issue, as Markdown."""
    if not deliveries:
        return "Not sent yet."
    arrived = [each for each in deliveries if each["delivered_at"]]
    given_up = [each for each in deliveries if not each["delivered_at"] and each["next_attempt_at"] is None]
    waiting = len(deliveries) - len(arrived) - len(given_up)
    when = live.clock(deliveries[0]["issued_at"])
    parts = [f"delivered to {len(arrived)} of {len(deliveries)}"] if arrived else []
    if waiting:
        errors = {each["error"] for each in deliveries if each["next_attempt_at"] and each["error"]}
        parts.append(f"on its way to {waiting}" + (f", last time: {', '.join(sorted(errors))}" if errors else ""))
    told = f"Last one, {when}: {escape('; '.join(parts))}"
    if given_up:
        reasons = "; ".join(sorted({each["error"] or "" for each in given_up}))
        told += f"{'; ' if parts else ''}:red[not delivered to {len(given_up)}: {escape(reasons)}]"
    return f"{told}."


def _form(changed: Report | None) -> None:
    views = {view.view_id: view.name for view in reports.views()}
    if settings().alert_smtp_host is None:
        st.info("Mail is not set up on this server (DASHBOARD_ALERT_SMTP_HOST).", icon=":material/mail_off:")
        return
    if not views:
        st.caption("First save a view: `Save view`, at the top of every page, keeps what is chosen there under a name.")
        return
    if st.session_state.pop("report_saved", False):
        _empty()
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of the report", key="report-name", max_chars=80, width=220)
        view_id = st.selectbox(
            "Saved view", list(views), index=None, format_func=views.__getitem__, key="report-view", width=240
        )
        schedule = st.selectbox("Every", SCHEDULES, format_func=EVERY.__getitem__, key="report-schedule", width=110)
        weekday = month_day = None
        if schedule == "weekly":
            weekday = st.selectbox(
                "On", range(1, 8), format_func=lambda day: WEEKDAYS[day - 1], key="report-weekday", width=140
            )
        if schedule == "monthly":
            month_day = int(
                st.number_input(
                    "On day", 1, 31, 1, key="report-day", width=110, help="A shorter month has it on its last day."
                )
            )
        hour = st.selectbox(
            "At", range(24), MORNING, format_func=lambda hour: f"{hour:02}:00", key="report-hour", width=100
        )
        zones = sorted(available_timezones())
        here = st.context.timezone or "UTC"
        zone = st.selectbox(
            "Time zone", zones, zones.index(here if here in zones else "UTC"), key="report-zone", width=220
        )
    written = st.text_area(
        "Mail it to", key="report-recipients", height=80, help="Addresses, with commas or lines between them."
    )
    st.caption(escape(reports.allowed()))
    who = access.rights()
    # Not a callback, which would be handed what was chosen when the page was drawn.
    with st.container(horizontal=True):
        label = "Save changes" if changed else "Save report"
        if st.button(label, type="primary", icon=":material/forward_to_inbox:", key="report-save"):
            _save(
                Report(
                    name=name,
                    view_id=view_id,
                    schedule=schedule,
                    weekday=weekday,
                    month_day=month_day,
                    hour=hour,
                    time_zone=zone,
                    recipients=tuple(written.split()),
                    created_by=who.name if isinstance(who, access.Rights) else None,
                    report_id=changed.report_id if changed else None,
                )
            )
            st.rerun()
        if changed:
            st.button("Leave it as it was", key="report-cancel", on_click=_empty)


def _fill(report: Report) -> None:
    """Have the form show a report, to change it."""
    _empty()
    known = {view.view_id for view in reports.views()}
    chosen = {
        "changed": report.report_id, "name": report.name, "view": report.view_id if report.view_id in known else None,
        "schedule": report.schedule, "weekday": report.weekday or 1, "day": report.month_day or 1, "hour": report.hour,
        "zone": report.time_zone, "recipients": ", ".join(report.recipients),
    }  # fmt: skip
    for key, value in chosen.items():
        st.session_state[f"{FORM}{key}"] = value


def _empty() -> None:
    """Have the form begin anew."""
    for key in [str(key) for key in st.session_state if str(key).startswith(FORM)]:
        del st.session_state[key]


# Each button asks once more whether it may: a page that is open may be older than the right.


def _save(report: Report) -> None:
    if not access.may("editor"):
        return
    try:
        reports.save(report)
        st.session_state["report_saved"] = True
    except (NotKept, saved.NotSavable) as error:
        st.session_state["report_error"] = escape(str(error))
    except IntegrityError:
        st.session_state["report_error"] = "There is a report of that name already, or its view is just gone."
    except Unavailable as error:
        st.session_state["report_error"] = f"Nothing was saved. {error.problem.value}"


def _enable(report_id: int, key: str) -> None:
    _change(reports.enable, report_id, st.session_state[key])
    if "report_error" in st.session_state:
        st.session_state[key] = not st.session_state[key]  # the switch stands as it stood


def _send(report_id: int) -> None:
    _change(reports.send_now, report_id)


def _delete(report_id: int) -> None:
    _change(reports.delete, report_id)


def _change(change: Callable[..., None], *arguments: int) -> None:
    if not access.may("editor"):
        return
    try:
        change(*arguments)
    except Unavailable as error:
        st.session_state["report_error"] = f"Nothing was changed. {error.problem.value}"
