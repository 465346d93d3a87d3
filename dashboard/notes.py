"""Notes on days, such as a sale or a closed road: marked on every trend, and listed below it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

import streamlit as st
from sqlalchemy.exc import IntegrityError

from dashboard import access, database, freshness, queries, saved
from dashboard.database import Unavailable
from dashboard.filters import View, escape
from dashboard.periods import Span

LONGEST = 200
SHOWN = 5
_FAULT, _DAY, _TEXT, _REGION = "note-fault", "note-day", "note-text", "note-region"


class NotNotable(Exception):
    """This cannot be a note; the message says why."""


@dataclass(frozen=True)
class Note:
    """One row of dashboard.annotations; `sales_region`: of this region only."""

    annotation_id: int
    day: date
    sales_region: str | None
    note: str
    created_by: str | None
    created_at: datetime

    @property
    def text(self) -> str:
        """The note and its region in plain text."""
        return f"{self.sales_region}: {self.note}" if self.sales_region else self.note


def every() -> list[Note]:
    """Every note, the newest day first; raises Unavailable."""
    return [Note(**row) for row in queries.annotations(freshness.shown().entries)]


def within(view: View, span: Span) -> list[Note]:
    """Those of these days, the newest first; where regions are kept, without those of other regions."""
    kept = dict(view.scope.kept).get("region")
    return [
        note
        for note in every()
        if span.start <= note.day <= span.end
        and (note.sales_region is None or kept is None or note.sales_region in kept)
    ]


def add(view: View, day: date, region: str | None, text: str) -> None:
    """Keep a note; raises NotNotable, and Unavailable."""
    who = access.rights()
    if not isinstance(who, access.Rights) or not who.editor:  # a page that is open may be older than the right
        raise NotNotable(access.RESTRICTED["editor"])
    if region is not None and region not in _regions(view):
        raise NotNotable(f"Nothing is sold in {region}.")
    note = saved.one_line(text)
    if not 1 <= len(note) <= LONGEST:
        raise NotNotable(f"A note has 1 to {LONGEST} characters.")
    try:
        database.write("annotate", day=day, sales_region=region, note=note, created_by=who.name)
    except IntegrityError as error:
        raise NotNotable("The database refuses such a note.") from error


def delete(annotation_id: int) -> None:
    """Show it no more; whoever calls has asked whether the viewer may."""
    who = access.rights()
    name = who.name if isinstance(who, access.Rights) else None
    database.write("delete_annotation", annotation_id=annotation_id, deleted_by=name)


def below(view: View, span: Span) -> None:
    """The notes on the days of a trend in words, and for editors a way to add one."""
    found = within(view, span)
    for note in found[:SHOWN]:
        st.caption(f":material/sticky_note_2: {line(note)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        if access.may("editor"):
            with st.popover("Note on a day", icon=":material/add_notes:", type="tertiary", key="note-add"):
                _form(view)
        if len(found) > SHOWN:
            st.page_link("views/alerts.py", label=f"{len(found) - SHOWN} more notes", icon=":material/arrow_forward:")


def line(note: Note) -> str:
    """A note as Markdown: its day, what it says, and by whom."""
    by = f" · by {note.created_by}" if note.created_by else ""
    return f"**{escape(str(Span(note.day, note.day)))}** {escape(note.text + by)}"


def _form(view: View) -> None:
    st.date_input("Day", value=view.span.end, min_value=view.since, key=_DAY, format="YYYY-MM-DD")
    st.text_input("What happened", key=_TEXT, max_chars=LONGEST)
    st.selectbox("Only of this region", _regions(view), index=None, placeholder="All regions", key=_REGION)
    st.button("Add note", type="primary", key="note-save", on_click=_add, args=(view,))
    if fault := st.session_state.pop(_FAULT, None):
        st.error(escape(fault))


def _add(view: View) -> None:
    try:
        add(view, st.session_state[_DAY], st.session_state[_REGION], st.session_state[_TEXT])
        st.session_state[_TEXT] = ""
    except NotNotable as error:
        st.session_state[_FAULT] = str(error)
    except Unavailable as error:
        st.session_state[_FAULT] = f"Nothing was saved. {error.problem.value}"


def _regions(view: View) -> Iterable[str]:
    return [name for name in queries.members(view.version, view.scope.currency).get("region", ()) if name]
