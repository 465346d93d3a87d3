"""A page on paper: the browser prints it or saves it as PDF, in the print style of `app.py`."""

import streamlit as st

from dashboard import export
from dashboard.filters import View, escape

PRINT = """
export default function ({ parentElement }) {
  parentElement.querySelector("button").onclick = () => window.print();
}
"""
LOOKS = """
button {
  font: inherit; font-size: 0.875rem; color: var(--st-text-color); background: none; border: 0;
  border-radius: var(--st-button-radius); padding: 0.5rem 0; cursor: pointer; white-space: nowrap;
}
button:hover {color: var(--st-primary-color)}
button:focus-visible {outline: 2px solid var(--st-primary-color)}
"""
_print = st.components.v2.component(
    "print", html='<button type="button" title="Print this page, or save it as PDF">Print / PDF</button>', css=LOOKS,
    js=PRINT,
)  # fmt: skip


def button() -> None:
    """Opens the browser's own dialog for printing."""
    _print(key="print", width="content")


def heading(view: View) -> None:
    """The filters in words, on paper only, where the widgets are not drawn."""
    stamp = export.Stamp.of(view)
    with st.container(key="printed"):
        st.caption(escape(f"{stamp.filters} · version {view.version} · {dict(stamp.facts)['Link']}"))
