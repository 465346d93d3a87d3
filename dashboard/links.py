"""The choices that a link keeps: each widget of them is drawn here, and what a link asks for in vain is named."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import streamlit as st

from dashboard import saved

ORDER, EXPLAIN = "order", "explain"  # what a link opens above the page, and no saved view keeps
PARAMETERS = saved.PARAMETERS | {ORDER, EXPLAIN}  # any other is not ours: mail and chat add their own to links
_READ, _MISSING, _LEFT, _TOLD = "link-read", "link-missing", "link-left", "link-told"


class Place(Protocol):
    """Where the warning stands: above what the page draws, though what it says is known only after that."""

    def warning(self, body: str, *, icon: str) -> object:
        """Draw it."""


def begin() -> None:
    """Before a run draws its first widget."""
    st.session_state[_READ], st.session_state[_MISSING] = set(), set()


def choose(
    widget: Callable[..., Any],
    label: str,
    options: Iterable[Any],
    *,
    key: str,
    most: int | None = 1,
    format_func: Callable[[Any], Any] = str,
    meant: Callable[[str], Any] | None = None,
    **looks: Any,
) -> Any:
    """Draw a widget that offers options; a link names `most` of them at most, as they are shown.

    `meant`, of a widget of several: the option that a link means which calls it otherwise.
    """
    offered = list(options)
    if values := asked(key):
        shown = {format_func(each) for each in offered}
        if meant and not shown.issuperset(values) and set(offered).issuperset(known := list(map(meant, values))):
            _say(key, known, [format_func(each) for each in known])
        else:
            check(key, shown.issuperset(values) and (most is None or len(values) <= most))
    return widget(label, offered, key=key, bind="query-params", format_func=format_func, **looks)


def _say(key: str, options: list[Any], shown: list[str]) -> None:
    """Have the link say these options as they are shown."""
    if key in st.session_state:
        st.session_state[key] = options
    else:  # nothing has bound the parameter yet: what the widget reads when it is first drawn
        st.query_params[key] = shown
        st.rerun()


def enter(widget: Callable[..., Any], label: str, *arguments: Any, key: str, fits: bool, **looks: Any) -> Any:
    """Draw a widget in which something is written; `fits`: it takes all that the link says."""
    check(key, fits)
    return widget(label, *arguments, key=key, bind="query-params", **looks)


def asked(name: str) -> list[str]:
    """The values in the link of a parameter that the page knows; an empty value counts as none."""
    st.session_state[_READ].add(name)
    return [value for value in st.query_params.get_all(name) if value]


def check(name: str, fits: bool) -> None:
    """Have the parameter named where what the link says of it does not fit."""
    st.session_state[_READ].add(name)
    if not fits:
        st.session_state[_MISSING].add(name)


def end(page: str, place: Place, *, whole: bool) -> None:
    """After the page is drawn: name what is not here and, of a page that is drawn `whole`, what it does not know.

    Streamlit takes it out of the address. So it stays named until another choice makes another link.
    """
    link = {name: tuple(st.query_params.get_all(name)) for name in st.query_params}
    left_on, left = st.session_state.get(_LEFT, (None, {}))
    # The choices of the page before this one are in the address for a moment longer.
    unread = PARAMETERS.intersection(link) - st.session_state[_READ] - set(left)
    missing = st.session_state[_MISSING] | (unread if whole else set())
    if missing or (left_on, left) != (page, link):
        st.session_state[_TOLD] = sorted(missing)
    st.session_state[_LEFT] = page, link
    if told := st.session_state[_TOLD]:
        names = ", ".join(f"`{name}`" for name in told)
        place.warning(f"The link asks for something that is not here, and is shown without it: {names}.",
                      icon=":material/link_off:")  # fmt: skip
