"""The form for an alert, new or to be changed, with what it would have told in the last ninety days."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial

import streamlit as st
from sqlalchemy.exc import IntegrityError

from dashboard import access, alerts, queries, reports, saved
from dashboard.alert_rules import BASES, Rule, condition
from dashboard.alerts import BACKTEST_DAYS
from dashboard.database import Unavailable
from dashboard.filters import LABELS, escape
from dashboard.freshness import Freshness
from dashboard.measures import MEASURES, Kind
from dashboard.settings import settings

SEVERAL = ("region", "channel")  # of the others one member: its orders of a day are known, however many lines it has
FORM = "alert-"  # with which the keys of its widgets begin
DATES_SHOWN = 12


def fill(rule: Rule, state: Freshness) -> None:
    """Have the form show a rule, to change it."""
    _empty()
    basis = BASES[rule.basis]
    percent = bool(basis.before) or rule.of.kind is Kind.SHARE
    offered = _choices(state, rule.currency)
    chosen: dict[str, object] = {
        "changed": rule.rule_id, "name": rule.name, "measure": rule.measure, "basis": rule.basis,
        "direction": rule.direction, f"threshold-{percent}": float(rule.threshold), "currency": rule.currency,
        f"finished-{rule.direction}": rule.finished_days, "webhook": rule.webhook, "email": rule.email,
        "recipients": ", ".join(rule.recipients),
    }  # fmt: skip
    for name, members in rule.kept.items():
        still = [member for member in members if member in offered[name]]
        chosen[name] = still if name in SEVERAL else still[0] if still else None
    for name, value in chosen.items():
        st.session_state[f"{FORM}{name}"] = value


def _empty() -> None:
    """Have the form begin anew."""
    for key in [str(key) for key in st.session_state if str(key).startswith(FORM)]:
        del st.session_state[key]


def form(state: Freshness, changed: Rule | None) -> None:
    """Draw it, for a new alert or for the one that is `changed`."""
    currencies = queries.currencies(state.mart_version)
    if currencies.empty:
        st.caption("There are no sales to watch yet.")
        return
    limits = {row["currency"]: (row["first_date"], row["last_date"]) for row in currencies.to_dict("records")}
    if st.session_state.pop("alert-saved", False):
        st.session_state["alert-name"] = ""
        if changed:
            _empty()
            st.rerun()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of the alert", key="alert-name", max_chars=80, width=220)
        measure = st.selectbox(
            "Measure", list(MEASURES), format_func=lambda each: MEASURES[each].label, key="alert-measure", width=190
        )
        basis = st.selectbox(
            "Look at", list(BASES), format_func=lambda each: BASES[each].label, key="alert-basis", width=330
        )
        change = bool(BASES[basis].before)
        words = {"below": "falls", "above": "rises"} if change else {"below": "is below", "above": "is above"}
        direction = st.selectbox(
            "Raise it when it", list(words), format_func=words.__getitem__, key="alert-direction", width=130
        )
        percent = change or MEASURES[measure].kind is Kind.SHARE
        points = change and MEASURES[measure].kind is Kind.SHARE
        unit = "points" if points else "%" if percent else "in full"
        threshold = st.number_input(
            f"By more than ({unit})" if change else f"This ({unit})",
            value=20.0 if percent else 1000.0,
            min_value=0.0,
            max_value=1e12,
            key=f"alert-threshold-{percent}",
            width=150,
        )
        currency = next(iter(limits))
        if len(limits) > 1:
            currency = st.selectbox("Currency of the alert", list(limits), key="alert-currency", width=120)
    kept = _kept(state, currency)
    with st.container(horizontal=True, vertical_alignment="center"):
        finished = st.checkbox(
            "Wait until a later day has sales",
            value=direction == "below",
            key=f"alert-finished-{direction}",
            help="A day that has only begun is below anything, and so is a week or a month whose last day has. Without "
            "this, it is judged as soon as its last day has sales.",
        )
        webhook = _channel("webhook", "Post it to the webhook", settings().alert_webhook_url is not None)
        email = _channel("email", "Send it by mail", settings().alert_smtp_host is not None)
    written = ""
    if email:
        written = st.text_input(
            "Mail it to", key="alert-recipients", placeholder="The receivers that the settings name",
            help="Addresses with commas between them. Empty: the addresses that the server's settings name for alerts.",
        )  # fmt: skip
        st.caption(escape(reports.allowed()))
    who = access.rights()
    rule = Rule(
        name=name,
        measure=measure,
        currency=currency,
        kept=kept,
        basis=basis,
        direction=direction,
        threshold=Decimal(str(threshold)),
        finished_days=finished,
        from_date=limits[currency][1],
        webhook=webhook,
        email=email,
        created_by=who.name if isinstance(who, access.Rights) else None,
        rule_id=changed.rule_id if changed else None,
    )
    st.caption(escape(condition(rule)))
    _backtest(state, rule)
    # Not a callback, which would be handed what was chosen when the page was drawn.
    with st.container(horizontal=True):
        if st.button(
            "Save changes" if changed else "Save alert", type="primary", icon=":material/add_alert:", key="alert-save"
        ):
            _save(rule, written)
            st.rerun()
        if changed:
            st.button("Leave it as it was", key="alert-cancel", on_click=_empty)


def _kept(state: Freshness, currency: str) -> dict[str, list[str]]:
    names = queries.product_names(state.mart_version)
    choices = _choices(state, currency)
    kept = {}
    with st.expander("Only some sales"), st.container(horizontal=True):
        for name, label in LABELS.items():
            if name in SEVERAL:
                chosen = st.multiselect(label, choices[name], key=f"alert-{name}", placeholder="All", width=220)
            else:
                one = st.selectbox(
                    label,
                    choices[name],
                    index=None,
                    key=f"alert-{name}",
                    placeholder="All",
                    format_func=partial(_shown, names if name == "product" else {}),
                    width=220,
                )
                chosen = [] if one is None else [one]
            if chosen:
                kept[name] = sorted(chosen)
    return kept


def _choices(state: Freshness, currency: str) -> dict[str, tuple[str, ...]]:
    """The members that a rule can be limited to, by dimension."""
    return queries.members(state.mart_version, currency) | {"product": tuple(queries.product_names(state.mart_version))}


def _shown(names: Mapping[str, str], member: str) -> str:
    return names.get(member) or member


def _channel(name: str, label: str, configured: bool) -> bool:
    return st.checkbox(
        label, key=f"alert-{name}", disabled=not configured, help=None if configured else "Not set up on this server."
    )


def _backtest(state: Freshness, rule: Rule) -> None:
    since, newest = next(
        (row["first_date"], row["last_date"])
        for row in queries.currencies(state.mart_version).to_dict("records")
        if row["currency"] == rule.currency
    )
    days = min(BACKTEST_DAYS, (newest - since).days + 1)
    found = alerts.backtest(state.mart_version, rule, since, newest)
    dates = [f"{each.sale_date.day} {each.sale_date:%b %Y}" for each in reversed(found)]
    times = {0: "never", 1: "once"}.get(len(found), f"{len(found)} times")
    shown = ", ".join(dates[:DATES_SHOWN]) + (" …" if len(dates) > DATES_SHOWN else "")
    st.info(
        f"Would have fired **{times}** in the last {days} days{': ' if found else '.'}{shown}",
        icon=":material/history:",
    )


def _save(rule: Rule, recipients: str) -> None:
    # It asks once more whether it may: a page that is open may be older than the right.
    if not access.may("editor"):
        return
    try:
        alerts.save(replace(rule, name=saved.clean(rule.name), recipients=reports.recipients(recipients)))
        st.session_state["alert-saved"] = True
    except (saved.NotSavable, reports.NotKept) as error:
        st.session_state["alert-error"] = str(error)
    except IntegrityError:
        st.session_state["alert-error"] = "There is an alert of that name already."
    except Unavailable as error:
        st.session_state["alert-error"] = f"Nothing was saved. {error.problem.value}"
