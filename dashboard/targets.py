"""The targets that people keep: shown to everybody, set by editors, with who changed which last."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st
from sqlalchemy.exc import IntegrityError

from dashboard import access, database, export, filters, freshness, live, queries
from dashboard.database import Unavailable
from dashboard.filters import View, escape
from dashboard.measures import MISSING, Kind, Writer
from dashboard.periods import months_before

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

PLACES = {"sales_region": "region", "store_id": "store"}  # type of a place to the dimension
MONTHS_AHEAD = 12
CHANGES_SHOWN = 5
LARGEST = Decimal(10) ** 12
CENT = Decimal("0.01")
TYPED_SECONDS = 0.4  # Streamlit's editor waits 0.15 s for more keys before it sends
_OPEN, _FORM, _FAULT, _PRESSED = "targets-open", "targets-form", "targets-fault", "targets-pressed"
_MONTH, _KIND, _NUMBER = "targets-month", "targets-kind", "targets-number"


class NotSettable(Exception):
    """This cannot be a target; the message says why."""


@dataclass(frozen=True)
class Form:
    """The form before an editor. Targets that they leave as `shown` are not written, whoever changes them meanwhile."""

    number: int  # of the forms of this session: another one is another editor, in which nothing has been typed yet
    month: date
    kind: str
    shown: dict[str, Decimal | None]  # the targets when the form was drawn, by place
    filled: dict[str, Decimal | None]  # what the form begins with: `shown`, or the targets of the month before


def button(month: date, kind: str) -> None:
    """Opens the targets, of this month and type of place at first."""
    label, icon = ("Set targets", ":material/edit:") if access.may("editor") else ("All targets", ":material/flag:")
    st.button(label, icon=icon, type="tertiary", key="targets-button", on_click=_open, args=(month, kind))


def last_change(view: View, writer: Writer) -> None:
    """The last change of a target in a line; nothing where there is none."""
    changes = queries.target_changes(freshness.shown().entries, view.scope.currency, 1)
    if not changes.empty:
        st.caption(f"Last change: {_told(changes.iloc[0], writer)}")


def panel(view: View, writer: Writer) -> None:
    """The dialog, where it was opened."""
    if st.session_state.get(_OPEN):
        live.dialog("Targets", _close, _draw, view, writer)


def places(view: View, kind: str) -> list[str]:
    """The places that may have a target: those that sell in the currency, and those that have one in any month."""
    planned = queries.planned(view.version, freshness.shown().entries, view.scope.currency)
    selling = queries.members(view.version, view.scope.currency).get(PLACES[kind], ())
    return sorted({*selling, *planned["place"][planned["place_type"] == kind]} - {""})


def months(view: View) -> list[date]:
    """The months that may have a target, the latest first: from that of the first sale to a year after the last."""
    first, last = view.since.replace(day=1), view.last.replace(day=1)
    known = 12 * (last.year - first.year) + last.month - first.month
    return [months_before(last, -offset) for offset in range(MONTHS_AHEAD, -known - 1, -1)]


def of_month(view: View, month: date, kind: str) -> dict[str, Decimal | None]:
    """The target of every place that may have one; None: it has none."""
    rows = _planned(view, month, kind)
    targets = dict(zip(rows["place"], rows["target_net_sales"], strict=True))
    return {place: targets.get(place) for place in places(view, kind)}


def save(view: View, month: date, kind: str, wanted: Mapping[str, Decimal | None]) -> None:
    """Set these targets in one transaction; None takes one away. Raises NotSettable, and Unavailable."""
    who = access.rights()
    if not isinstance(who, access.Rights) or not who.editor:  # a page that is open may be older than the right
        raise NotSettable(access.RESTRICTED["editor"])
    if not wanted:
        raise NotSettable("No target has been changed.")
    if kind not in PLACES or month not in months(view):
        raise NotSettable("There can be no target for this month.")
    if unknown := sorted(set(wanted) - set(places(view, kind))):
        raise NotSettable(f"Nothing is sold in {', '.join(unknown)}.")
    for place, target in wanted.items():
        check(place, target)
    rows = [{"place": place, "target": None if target is None else str(target)} for place, target in wanted.items()]
    try:
        database.write(
            "set_targets",
            month=month,
            place_type=kind,
            currency=view.scope.currency,
            targets=json.dumps(rows),
            changed_by=who.name,
        )
    except IntegrityError as error:
        raise NotSettable("The database refuses such a target.") from error


def check(place: str, target: Decimal | None) -> None:
    """Raises NotSettable unless it is an amount above zero, in cents, or none."""
    if target is None:
        return
    if not target.is_finite() or not 0 < target < LARGEST:
        raise NotSettable(f"The target of {place} has to be an amount above zero. Leave it empty for none.")
    if target != target.quantize(CENT):
        raise NotSettable(f"The target of {place} has more than two decimals.")


def _open(month: date, kind: str) -> None:
    st.session_state[_OPEN], st.session_state[_MONTH], st.session_state[_KIND] = True, month, kind
    st.session_state.pop(_FORM, None)


def _close() -> None:
    st.session_state[_OPEN] = False


def _draw(view: View, writer: Writer) -> None:
    labels = {kind: filters.LABELS[dimension] for kind, dimension in PLACES.items()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        month = st.selectbox(
            "Month of the targets", months(view), format_func=lambda each: f"{each:%B %Y}", key=_MONTH, width=200
        )
        kind: str = st.segmented_control(
            "Targets of each", list(labels), format_func=labels.__getitem__, required=True, key=_KIND
        )  # type: ignore[assignment]
    form = st.session_state.get(_FORM)
    if form is None or (form.month, form.kind) != (month, kind):
        shown = of_month(view, month, kind)
        form = _begin(month, kind, shown, shown)
    if not form.shown:
        st.caption("Nothing is sold here yet.")
    elif access.may("editor"):
        _edit(view, form, writer)
    else:
        table = _written(_table(view, form), ("target", "before"), writer)
        columns = _columns(view, form, writer)
        st.dataframe(table, hide_index=True, placeholder=MISSING, key="planned", column_config=columns)
        access.explain("editor")
    _changes(view, writer)
    stamp = export.Stamp.apart(
        view.version,
        f"{month:%Y-%m}",
        export.link(view.span),
        ("Month", f"{month:%B %Y}"),
        ("Currency", view.scope.currency),
        export.UNFILTERED,
    )
    export.offer("planned", stamp, lambda: _planned(view, month, kind))


def _begin(month: date, kind: str, shown: dict[str, Decimal | None], filled: dict[str, Decimal | None]) -> Form:
    number = st.session_state[_NUMBER] = st.session_state.get(_NUMBER, 0) + 1
    form = st.session_state[_FORM] = Form(number, month, kind, shown, filled)
    return form


def _edit(view: View, form: Form, writer: Writer) -> None:
    table = _table(view, form)
    table.insert(2, "kept", table["place"].map(form.shown).astype(float))
    edited = st.data_editor(
        _written(table, ("kept", "before"), writer),
        hide_index=True,
        num_rows="fixed",
        disabled=["place", "kept", "before", "changed"],
        key=f"planned-{form.number}",
        column_config=_columns(view, form, writer),
    )
    wanted = {place: _amount(value) for place, value in zip(edited["place"], edited["target"], strict=True)}
    st.caption(escape(typed(form.shown, wanted, writer)))
    if fault := st.session_state.pop(_FAULT, None):
        st.error(escape(fault), icon=":material/error:")
    before = months_before(form.month, 1)
    with st.container(horizontal=True, vertical_alignment="center"):
        # Not a callback, which would be handed what was there when the dialog was drawn.
        if st.button("Save targets", type="primary", icon=":material/save:", key="targets-save"):
            # The browser sends a figure a moment after it was typed: the next run has the one that was typed last.
            st.session_state[_PRESSED] = True
            time.sleep(TYPED_SECONDS)
            st.rerun(scope="fragment")
        if st.session_state.pop(_PRESSED, False):
            _save(view, form, {place: target for place, target in wanted.items() if target != form.shown[place]})
        if st.button(
            f"Copy {before:%B %Y}",
            icon=":material/content_copy:",
            key="targets-copy",
            help="Fill in the targets of the month before. Nothing is kept until you save.",
        ):
            _begin(form.month, form.kind, form.shown, of_month(view, before, form.kind))
            st.rerun(scope="fragment")


def typed(shown: Mapping[str, Decimal | None], wanted: Mapping[str, Decimal | None], writer: Writer) -> str:
    """The targets that are not kept as they were `shown`, in the dashboard's style, which cells to type in lack."""
    known = {place: target for place, target in wanted.items() if target is None or target.is_finite()}
    new = [
        f"{place} {'none' if target is None else writer.exact(target, Kind.MONEY)}"
        for place, target in known.items()
        if target != shown[place]
    ]
    together = sum((target for target in known.values() if target), Decimal(0))
    not_kept = f"Not saved yet: {', '.join(new)}. " if new else ""
    return f"{not_kept}Together {writer.money(together)}. A place that is left empty has no target."


def _save(view: View, form: Form, changed: dict[str, Decimal | None]) -> None:
    try:
        save(view, form.month, form.kind, changed)
    except NotSettable as error:
        st.session_state[_FAULT] = str(error)
        st.rerun(scope="fragment")
    except Unavailable as error:
        st.session_state[_FAULT] = f"Nothing was saved. {error.problem.value}"
        st.rerun(scope="fragment")
    _close()
    st.rerun()


def _table(view: View, form: Form) -> pd.DataFrame:
    rows = _planned(view, form.month, form.kind)
    changed = {
        place: _by(name, moment)
        for place, name, moment in zip(rows["place"], rows["changed_by"], rows["changed_at"], strict=True)
    }
    before = of_month(view, months_before(form.month, 1), form.kind)
    return pd.DataFrame(
        {
            "place": place,
            "target": None if target is None else float(target),
            "before": None if before.get(place) is None else float(before[place] or 0),
            "changed": changed.get(place, ""),
        }
        for place, target in form.filled.items()
    ).astype({"target": float, "before": float})


def _written(table: pd.DataFrame, columns: tuple[str, ...], writer: Writer) -> "Styler":
    """These amounts as the dashboard writes them, which a column that can be typed in does not take."""

    def written(value: Any) -> str:
        return writer.exact(_amount(value), Kind.MONEY)

    return table.style.format(dict.fromkeys(columns, written), na_rep=MISSING)


def _columns(view: View, form: Form, writer: Writer) -> dict[str, Any]:
    # A column that can be typed in has its own signs: commas between groups or none, and a point before decimals.
    grouped = "," if writer.style == "1,234.56" else ""
    return {
        "place": st.column_config.TextColumn(filters.LABELS[PLACES[form.kind]], pinned=True),
        "target": st.column_config.NumberColumn(
            f"Target, {view.scope.currency}",
            step=float(Decimal(1).scaleb(-writer.decimals)),
            format=f"%{grouped}.{writer.decimals}f",
        ),
        "kept": st.column_config.NumberColumn("As saved"),
        "before": st.column_config.NumberColumn(f"{months_before(form.month, 1):%B %Y}"),
        "changed": st.column_config.TextColumn("Last changed"),
    }


def _changes(view: View, writer: Writer) -> None:
    changes = queries.target_changes(freshness.shown().entries, view.scope.currency, CHANGES_SHOWN)
    if changes.empty:
        return
    st.markdown("**Last changes**")
    for _, change in changes.iterrows():
        st.markdown(f"- {_told(change, writer)}")


def _told(change: pd.Series, writer: Writer) -> str:
    """A change in a sentence, as Markdown."""
    target, previous = (
        None if value is None else writer.money(value, cents=value % 1 != 0)
        for value in (change["target_net_sales"], change["previous_target"])
    )
    what = f"{previous or 'set'} to {target}" if target else "taken away"
    by = _by(change["changed_by"], change["changed_at"])
    return escape(f"{change['place']}, {change['month']:%B %Y}: {what}, {by}")


def _by(name: str | None, moment: datetime | None) -> str:
    if moment is None:
        return ""
    return f"{f'by {name}, ' if name else ''}{live.clock(moment)}"


def _planned(view: View, month: date, kind: str) -> pd.DataFrame:
    planned = queries.planned(view.version, freshness.shown().entries, view.scope.currency)
    return planned[(planned["month"] == month) & (planned["place_type"] == kind)]


def _amount(value: float | None) -> Decimal | None:
    """The amount in a cell, with the digits that are written there."""
    return None if value is None or pd.isna(value) else Decimal(repr(float(value)))
