"""Alerts & views: what was raised, the rules that raise it, a form for one; saved views, reports, notes on days."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from dashboard import access, alert_form, alerts, freshness, notes, report_form, saved
from dashboard.alert_rules import Rule, condition, describe
from dashboard.database import Unavailable
from dashboard.filters import escape
from dashboard.freshness import Freshness
from dashboard.measures import MISSING


def page() -> None:
    """Draw the page."""
    state = freshness.shown()
    st.title("Alerts & views", anchor=False)
    left, right = st.columns([3, 2])
    with left.container(border=True, height="stretch"):
        _events()
    with right.container(border=True, height="stretch"):
        _views()
    rules = alerts.rules()
    with st.container(border=True):
        _rules(rules, state)
    with st.container(border=True, key="alert-form"):
        changed = next((rule for rule in rules if rule.rule_id == st.session_state.get("alert-changed")), None)
        st.subheader(f"Change {escape(changed.name)}" if changed else "New alert", anchor=False)
        if access.may("editor"):
            alert_form.form(state, changed)
        else:
            access.explain("editor")
    report_form.section()
    with st.container(border=True):
        _notes()


def _events() -> None:
    raised = alerts.events()
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader("Raised lately", anchor=False, width="content")
        if access.may("editor") and any(row["is_open"] for row, _, _ in raised):
            newest = max(row["event_id"] for row, _, _ in raised)
            st.button(
                "Mark all as seen", icon=":material/done_all:", on_click=_change, args=(alerts.see, newest), key="see"
            )
    if not raised:
        st.caption("No alert has been raised yet.")
        return
    frame = pd.DataFrame(
        {
            "new": row["is_open"],
            "alert": rule.name,
            "what": describe(rule, breach),
            "fired_at": row["fired_at"],
            "deliveries": row["deliveries"],
        }
        for row, rule, breach in raised
    )
    st.dataframe(
        frame,
        hide_index=True,
        placeholder=MISSING,
        key="events",
        column_config={
            "new": st.column_config.CheckboxColumn("New", width="small"),
            "alert": st.column_config.TextColumn("Alert", pinned=True),
            "what": st.column_config.TextColumn("What happened", width="large"),
            "fired_at": st.column_config.DatetimeColumn(
                "Raised", format="D MMM, HH:mm:ss", timezone=st.context.timezone or "UTC"
            ),
            "deliveries": st.column_config.TextColumn("Sent", width="medium"),
        },
    )


def _rules(rules: list[Rule], state: Freshness) -> None:
    st.subheader("Alerts", anchor=False)
    if error := st.session_state.pop("alert-error", None):
        st.error(error)
    if not rules:
        st.caption("There is no alert yet.")
    may = access.may("editor")
    for rule in rules:
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", key=f"rule-{rule.rule_id}"):
            key = f"rule-on-{rule.rule_id}"
            st.toggle(
                f"{rule.name} is on",
                value=rule.enabled,
                key=key,
                on_change=_enable,
                args=(rule.rule_id, key),
                disabled=not may,
                label_visibility="collapsed",
            )
            text = condition(rule) if rule.known else "Its measure is no longer known: it does nothing."
            told = "".join(f" · {channel}" for channel in rule.channels)
            if may and rule.email and rule.recipients:
                told += f" to {', '.join(rule.recipients)}"
            by = f" · by {rule.created_by}" if rule.created_by else ""
            st.markdown(f"**{escape(rule.name)}**  \n{escape(text)}{escape(told + by)}", width="stretch")
            if may:
                if rule.known:
                    st.button(
                        "",
                        icon=":material/edit:",
                        help=f"Change the alert {escape(rule.name)}",
                        key=f"rule-edit-{rule.rule_id}",
                        on_click=alert_form.fill,
                        args=(rule, state),
                        type="tertiary",
                    )
                st.button(
                    "",
                    icon=":material/delete:",
                    help=f"Delete the alert {escape(rule.name)} and what it has raised",
                    key=f"rule-delete-{rule.rule_id}",
                    on_click=_change,
                    args=(alerts.delete, rule.rule_id),
                    type="tertiary",
                )


def _views() -> None:
    st.subheader("Saved views", anchor=False)
    person = access.person()
    views = saved.views(person)
    if not views:
        st.caption("None yet. *Save view*, at the top of every page, keeps what is chosen there under a name.")
    for view in views:
        by = f"By {view.created_by}" if view.created_by else None
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", key=f"view-{view.view_id}"):
            st.page_link(
                view.script,
                label=escape(view.name),
                icon=":material/lock:" if view.is_private else ":material/bookmark:",
                query_params=view.parameters,
                help="Only you see it" if view.is_private else by and escape(by),
                width="stretch",
            )
            if person is not None:
                st.button(
                    "",
                    icon=":material/home_pin:" if view.is_first else ":material/add_home:",
                    help=f"You begin with {escape(view.name)}: do not any more"
                    if view.is_first
                    else f"Begin with {escape(view.name)}",
                    key=f"view-first-{view.view_id}",
                    on_click=_change,
                    args=(saved.begin_with, None if view.is_first else view.view_id, person),
                    type="primary" if view.is_first else "tertiary",
                )
            if access.may("editor"):
                st.button(
                    "",
                    icon=":material/delete:",
                    help=f"Delete the view {escape(view.name)}",
                    key=f"view-delete-{view.view_id}",
                    on_click=_change,
                    args=(saved.delete, view.view_id, person),
                    type="tertiary",
                )
    if person is None:
        st.caption(saved.NOBODY)


def _notes() -> None:
    st.subheader("Notes on days", anchor=False)
    found = notes.every()
    if not found:
        st.caption("None yet. *Note on a day*, below the trend on Overview and Explore, keeps what happened on a day.")
    for note in found:
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", key=f"note-{note.annotation_id}"):
            st.markdown(notes.line(note), width="stretch")
            if access.may("editor"):
                st.button(
                    "",
                    icon=":material/delete:",
                    help=f"Delete the note {escape(note.text)}",
                    key=f"note-delete-{note.annotation_id}",
                    on_click=_change,
                    args=(notes.delete, note.annotation_id),
                    type="tertiary",
                )


# Each button asks once more whether it may: a page that is open may be older than the right.


def _enable(rule_id: int, key: str) -> None:
    _change(alerts.enable, rule_id, st.session_state[key])
    if "alert-error" in st.session_state:
        st.session_state[key] = not st.session_state[key]  # the switch stands as it stood


def _change(change: Callable[..., None], *arguments: object) -> None:
    if not access.may("editor"):
        return
    try:
        change(*arguments)
    except Unavailable as error:
        st.session_state["alert-error"] = f"Nothing was changed. {error.problem.value}"


page()
