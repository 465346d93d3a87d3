"""Keeps an open page true: hears of changes, looks what changed, draws the page anew where its numbers are older."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit import config

from dashboard import access, alerts, filters, freshness, push
from dashboard.alert_rules import describe
from dashboard.database import Problem, Unavailable
from dashboard.freshness import Freshness, Trouble

BELL_SHOWS = 5
POLL_SECONDS = 30  # where a proxy keeps the events back; longer than the stream is ever silent
SIGN_IN_SECONDS = 600  # until a page that nobody touches finds that the sign-in has run out
# A browser opens six connections to a place at most, so its tabs share one stream: that which holds the lock passes on
# what it hears. Without locks, which browsers have under https and on localhost only, each tab has a stream of its own.
# Only a page that hears nothing, not even that the stream is alive, looks from time to time by itself. What it is told
# while it is being drawn may be lost on the way to its session: it is said again until the session has `seen` it.
# Whatever asks the session brings the link and the choices as the browser knows them. Between a click and its answer
# those are the old ones, and would undo what the click has set: so nothing but the timer of the sign-in asks until the
# page has come to rest. Streamlit sends all that changes in one moment together, and draws the bar alone if the bar is
# part of it: a click in the moment of asking was kept and never drawn. So the page is then drawn whole once more.
LISTEN = """
function listen(place, path, patience) {
  const channel = new BroadcastChannel(path);
  const end = new AbortController();
  let poll, again, rest, heard = 0;
  place.touched = performance.now();  // perhaps the page was, just before this began to listen
  for (const kind of ["pointerdown", "pointerup", "click", "keydown", "input"]) {
    window.addEventListener(kind, () => { place.touched = performance.now(); }, { capture: true, signal: end.signal });
  }
  const busy = () => performance.now() - place.touched < 1000
    || document.querySelector("[data-testid=stApp]:not([data-test-script-state=notRunning])");
  const ask = (times = 3) => {
    clearTimeout(rest);
    clearTimeout(again);
    if (busy()) { rest = setTimeout(ask, 100, times); return; }
    place.tell(heard);
    again = setTimeout(() => { if (place.seen < heard && times > 0) ask(times - 1); }, 2000);
  };
  const hear = (count) => {
    clearInterval(poll);
    poll = setInterval(() => ask(), patience);
    if (count === null) return;
    heard = count;
    ask();
  };
  const pass = (count) => { hear(count); channel.postMessage(count); };
  const stream = () => new Promise((ended) => {
    let events, retry;
    const open = () => {
      events = new EventSource(path);
      events.onmessage = (event) => pass(Number(event.data));
      events.addEventListener("alive", () => pass(null));
      // It asks again by itself when it is cut off, and not when it is refused, as by a proxy during a restart.
      events.onerror = () => { if (events.readyState === EventSource.CLOSED) retry = setTimeout(open, 2000); };
    };
    open();
    end.signal.addEventListener("abort", () => { clearTimeout(retry); events.close(); ended(); });
  });
  channel.onmessage = (event) => hear(event.data);
  if (navigator.locks) navigator.locks.request(path, { signal: end.signal }, stream).catch(() => {});
  else stream();
  setTimeout(hear, 0, 0);  // what changed since the page was drawn, another tab may have been told already
  return () => { end.abort(); channel.close(); clearInterval(poll); clearTimeout(again); clearTimeout(rest); };
}

export default function ({ data, setTriggerValue, parentElement }) {
  const place = parentElement.host ?? parentElement;
  place.seen = data.seen;
  place.tell = (count) => {
    const told = performance.now();
    setTriggerValue("change", count);
    setTimeout(() => { if (place.touched >= told) setTriggerValue("redraw", count); }, 0);
  };
  place.unlisten ??= listen(place, data.path, data.patience);
  return () => { place.unlisten(); place.unlisten = undefined; };
}
"""
_listen = st.components.v2.component("changes", js=LISTEN)

State = Freshness | Problem


def observe() -> State:
    """The pipeline's state, or why it cannot be read."""
    try:
        return freshness.look()
    except Unavailable as error:
        return error.problem


def kept(problem: Problem) -> Freshness | None:
    """The moment of the figures that an outage leaves on the screen; None where there are none to show."""
    return None if problem is Problem.DENIED else freshness.last_look()


def watch(shown: State, tools: Callable[[], None]) -> None:
    """Draw the bar of `tools`, Live switch, bell and badge, and rerun as soon as the state is no longer `shown`.

    Drawn before any `dialog` of the page, under which the page stays as it is: the bar says that updates are waiting.
    """
    st.session_state["dialog-open"] = False
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="live-bar"):
        tools()
        st.toggle("Live", value=True, key="live", help="Off: the page stays as it is until you touch it.")
        with st.container(width="content", gap=None, key="live-badge"):
            seconds = POLL_SECONDS if isinstance(shown, Problem) else SIGN_IN_SECONDS
            st.fragment(_look, run_every=seconds)(shown, datetime.now(UTC))


def dialog(title: str, close: Callable[[], None], draw: Callable[..., None], *arguments: object) -> None:
    """Open one, whose content `draw` draws of the arguments. `close` is called once the reader closes it.

    Streamlit would take it away and draw it anew, from its top, with the page; closing it draws the page anew anyway.
    """
    st.session_state["dialog-open"] = True
    st.dialog(title, width="large", on_dismiss=close)(draw)(*arguments)


def _look(shown: State, drawn_at: datetime) -> None:
    if not isinstance(access.rights(), access.Rights):
        st.rerun()  # the sign-in has run out
    seen = push.heard()
    now = observe()
    wanted = st.session_state["live"] or isinstance(now, Problem) != isinstance(shown, Problem)
    if now != shown and wanted and not st.session_state["dialog-open"]:
        st.rerun()
    path = f"{config.get_option('server.baseUrlPath').rstrip('/')}{push.PATH}"
    told = _listen(
        data={"path": path, "patience": POLL_SECONDS * 1000, "seen": seen},
        key="changes",
        height=0,
        on_redraw_change=lambda: None,  # a trigger that has no callback is not in what the component returns
    )
    if told.redraw is not None:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", width="content"):
        if now != shown and st.button("Updates waiting", icon=":material/update:", type="tertiary", key="update"):
            st.rerun()
        if isinstance(now, Freshness):
            _bell()
        label, icon = _badge(now)
        with st.popover(label, icon=icon, type="tertiary", key="freshness"):
            _journey(now, drawn_at)


def _bell() -> None:
    try:
        waiting = alerts.count()
        raised = alerts.events() if waiting else []
    except Unavailable as error:  # in a fragment, Streamlit would put a fault in the place of the page
        st.markdown(":gray[:material/notifications_off:]", width="content", help=error.problem.value)
        return
    icon = ":material/notifications_active:" if waiting else ":material/notifications:"
    label = f":red[{waiting}]" if waiting else ""
    with st.popover(label, icon=icon, type="tertiary", key="bell", help=f"Alerts that nobody has seen yet: {waiting}"):
        if not waiting:
            st.caption("No new alert.")
        else:
            for _, rule, breach in [each for each in raised if each[0]["is_open"]][:BELL_SHOWS]:
                st.markdown(f"**{filters.escape(rule.name)}** {filters.escape(describe(rule, breach))}")
        st.page_link("views/alerts.py", label="Alerts & views", icon=":material/arrow_forward:")


def _badge(state: State) -> tuple[str, str]:
    if isinstance(state, Problem):
        last = kept(state)
        return f":red[As of {clock(last.published_at)}]" if last else ":red[No data]", ":material/cloud_off:"
    worst = next(iter(state.problems), None)
    if worst and worst.severity == "red":
        return f":red[{_told(state)}]", ":material/error:"
    if state.files_waiting:
        waiting = "file" if state.files_waiting == 1 else "files"
        return f":blue[{state.files_waiting} {waiting} on the way]", ":material/sync:"
    if worst:
        return f":orange[{_told(state)}]", ":material/warning:"
    if state.mart_version == 0:
        return ":gray[Waiting for the first file]", ":material/hourglass_empty:"
    # A time of day: nothing redraws the bar while nothing happens, and "just now" would soon be wrong.
    return f":green[Version {state.mart_version} · {clock(state.published_at)}]", ":material/check_circle:"


def _told(state: Freshness) -> str:
    worst, *others = state.problems
    return f"{filters.escape(worst.title)} since {clock(worst.since)}{f' +{len(others)}' if others else ''}"


def troubles(problems: Iterable[Trouble]) -> str:
    """Each as an item of a Markdown list: what is wrong, and since when."""
    return "\n".join(f"- {filters.escape(each.sentence)} Since {clock(each.since)}." for each in problems)


def remedies(problems: Iterable[Trouble]) -> str:
    """Each as an item of a Markdown list: what to run."""
    return "\n".join(f"- **{filters.escape(each.title)}**: {each.remedy}." for each in problems)


def _journey(state: State, drawn_at: datetime) -> None:
    if isinstance(state, Problem):
        st.write(state.value)
        return
    steps = {
        "Last file landed in the bucket": state.last_event_at,
        "loaded into PostgreSQL": state.last_loaded_at,
        f"modelled and published as version {state.mart_version}": state.published_at if state.mart_version else None,
        "on this screen": drawn_at,
    }
    if state.problems:
        st.markdown(troubles(state.problems))
        with st.expander("For those who run it", icon=":material/build:"):
            st.markdown(remedies(state.problems))
        st.page_link("views/pipeline.py", label="Pipeline & quality", icon=":material/conversion_path:")
    for step, moment in steps.items():
        when = "not yet" if moment is None else f"{moment.astimezone(_zone()):%d %b %H:%M:%S}"
        st.markdown(f"**{when}** {step}")


def _zone() -> ZoneInfo:
    return ZoneInfo(st.context.timezone or "UTC")


def clock(moment: datetime) -> str:
    """The day and the time of day, as the viewer's clock shows them."""
    return f"{moment.astimezone(_zone()):%d %b %H:%M}"


def ago(moment: datetime) -> str:
    """How long ago, in the largest unit that fits: `just now`, `5 min ago`, `3 h ago`, `2 d ago`."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"
