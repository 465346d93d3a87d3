"""Panels of several pages: a figure beside its comparison, a leaderboard whose bars filter, a table of figures."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
import streamlit as st

from dashboard import charts, daily_sales, filters, freshness, links, live, notes, queries
from dashboard.filters import LABELS, View
from dashboard.measures import MISSING, Kind, Measure, Writer, direction, verdict
from dashboard.periods import TREND_DAYS, Span
from dashboard.settings import settings

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler
    from streamlit.elements.lib.column_types import ColumnConfig

Column: TypeAlias = "tuple[str, Kind] | ColumnConfig | str"  # of a table: figures by their label and kind, or others

DAY = timedelta(days=1)
ALONE = "no comparison"
ENOUGH_RATINGS = 5  # fewer say more about who rated than about who or what was rated


def figure(view: View, measure: Measure, writer: Writer, **looks: Any) -> None:
    """The measure over the period as a metric, against the comparison where that is wanted and fair."""
    now = measure.over(view.total(view.span))
    before = measure.over(view.total(view.comparable)) if view.comparable else None
    compared(
        measure.label,
        (now, before),
        measure.kind,
        writer,
        falls=measure.falls,
        alone=alone(view),
        help=_with_comparison(queries.descriptions(view.version).get(measure.described_by, ""), view),
        **looks,
    )


def compared(
    label: str,
    now_and_before: tuple[Decimal | None, Decimal | None],
    kind: Kind,
    writer: Writer,
    *,
    shown: Decimal | None = None,
    benchmark: str = "",
    falls: bool = False,
    alone: str = ALONE,
    course: Sequence[Decimal] = (),
    bars: bool = False,
    **looks: Any,
) -> None:
    """A metric of a figure now and before; `falls`: less of it is better; `alone`: what is said without a comparison.

    `shown`: the figure of which only a part, `now`, is compared; `benchmark`: what it is compared with, in a word
    in the place of the figure. `course`: what the figure was, in order of time, drawn beneath as a line, or as `bars`.
    """
    now, before = now_and_before
    change = writer.change(now, before, kind)
    st.metric(
        label,
        writer.write(now if shown is None else shown, kind),
        change or alone,
        **judged(change, falls=falls),
        delta_description=f"vs {benchmark or writer.brief(before, kind)}" if change else None,
        **looks,
    )
    if course:
        low, high = (writer.brief(end, kind) for end in (min(course), max(course)))
        color = {1: charts.UP, -1: charts.DOWN}.get(verdict(change, falls=falls), charts.MUTED)
        told = f"{len(course)} months, at most {high}" if bars else f"{len(course)} days, {low} to {high}"
        st.html(charts.sparkline([float(value) for value in course], color, told, bars=bars))


def judged(change: str | None, *, falls: bool = False) -> dict[str, Any]:
    """How `st.metric` shows a change: an arrow that points where it goes, green where that is better."""
    return {
        "delta_arrow": {1: "up", -1: "down"}.get(direction(change), "off"),
        "delta_color": {1: "green", -1: "red"}.get(verdict(change, falls=falls), "off"),
    }


def as_of(view: View, mart: str) -> str:
    """A sentence that says as of when a mart of the whole history is; empty where it was never built."""
    moment, is_behind = queries.history_marts(view.version).get(mart, (None, False))
    if moment is None:
        return ""
    later = "; later sales are worked in when nothing else waits" if is_behind else ""
    return f" As of {live.clock(moment)}{later}."


def _with_comparison(description: str, view: View) -> str:
    if view.past is None:
        return description
    if view.comparable:
        now, then = view.span.days, view.comparable.days
        unlike = f", which has {then} days instead of {now}" if now != then else ""
        return f"{description} Compared with {view.comparable}{unlike}."
    return f"{description} {why_alone(view)}"


def alone(view: View) -> str:
    """The words beside a figure that has no comparison."""
    return "so far" if view.is_running else ALONE


def why_alone(view: View) -> str:
    """Why the period has no fair comparison, where one is wanted."""
    if (view.past and view.past.end > view.complete) or view.is_running:
        return f"Not compared with {view.past}: {Span(view.last, view.last)} is in progress."
    return f"Not compared with {view.past}: sales are known from {Span(view.since, view.since)} on."


def led_up_to(view: View, days: int = TREND_DAYS) -> tuple[Span, Span | None]:
    """The dates of a trend, which shows a short period within the `days` before it ends, and those to compare with."""
    span = view.span.widened(days)
    past = span.back(view.span.end - view.past.end) if view.past and span != view.span else view.past
    return Span(max(span.start, view.since), span.end), past if past and view.knows(past.start) else None


def trend(
    view: View, measure: Measure, writer: Writer, span: Span, past_span: Span | None, *, cumulative: bool = False
) -> charts.Spec:
    """The measure over these dates beside those of the comparison; the day in progress follows, drawn apart.

    With the notes on its days: `notes.below` says the same in words.
    """
    grain = "Day" if cumulative else view.grain
    apart = view.day_in_progress if span.end >= view.complete else None
    if apart:
        # A week or a month is drawn of its complete days, unless the day is all that there is.
        apart = apart if grain == "Day" or span.start == apart else None
        span = Span(span.start, apart or view.complete)
    past = view.sales(past_span) if past_span else None
    return charts.trend(
        view.sales(span), past, span, past_span, writer, measure=measure, grain=grain,
        first_weekday=settings().first_weekday, cumulative=cumulative, in_progress=apart is not None,
        notes=[(note.day, note.text) for note in notes.within(view, span)],
    )  # fmt: skip


def draw(spec: charts.Spec, alt: str, *, key: str, height: int | None = None, **looks: Any) -> None:
    """A chart, and for who does not see it what it draws in words and rows, which the next press of Tab opens."""
    with st.container(gap=None):
        st.echarts_chart(
            charts.inked(spec, dark=st.context.theme.type == "dark"),
            height=height or charts.height(spec),
            key=key,
            alt=alt,
            **looks,
        )
        st.html(charts.told(spec, alt))


def table(
    frame: pd.DataFrame,
    columns: Mapping[str, Column],
    writer: Writer,
    *,
    key: str,
    mart: str = "",
    currency: str = "",
    **looks: Any,
) -> None:
    """These columns of a frame, in this order; a column of figures is named by its label and its kind.

    `mart`: whose columns they are, and whose descriptions explain them. `currency`: the column that says in which
    currency the amounts of a row are, where they are not all in the writer's; an amount of no known one has no unit.
    """
    figures = {name: told for name, told in columns.items() if isinstance(told, tuple)}
    meaning = queries.descriptions(freshness.shown().mart_version) if mart else {}
    written: dict[Any, Any] = {name: partial(_written, writer, kind) for name, (_, kind) in figures.items()}
    styled = frame.style.format(written, na_rep=MISSING)
    if currency:
        _in_own_currency(styled, frame[currency].fillna(""), figures, writer)
    st.dataframe(
        styled,
        hide_index=True,
        placeholder=MISSING,
        key=key,
        column_order=list(columns),
        column_config={
            name: st.column_config.NumberColumn(told[0], help=meaning.get(f"{mart}.{name}"))
            if isinstance(told, tuple)
            else told
            for name, told in columns.items()
        },
        **looks,
    )


def _in_own_currency(
    styled: "Styler", currencies: "pd.Series[str]", figures: Mapping[str, tuple[str, Kind]], writer: Writer
) -> None:
    """Write the amounts of each row in the currency of that row."""
    amounts = [name for name, (_, kind) in figures.items() if kind in (Kind.MONEY, Kind.AVERAGE_MONEY)]
    for each in currencies.unique():
        written: dict[Any, Any] = {
            name: partial(_written, replace(writer, currency=each), figures[name][1]) for name in amounts
        }
        styled.format(written, subset=(currencies.index[currencies == each], amounts), na_rep=MISSING)


def _written(writer: Writer, kind: Kind, value: Any) -> str:
    return writer.exact(Decimal(value), kind)


def leaderboard(
    view: View, dimension: str, measure: Measure, writer: Writer, rows: int, *, title: str | None = None
) -> None:
    """The members of a dimension that have most of a measure, with their change; a click keeps one of them."""
    if title:
        st.subheader(title, anchor=False, help=queries.descriptions(view.version).get(measure.described_by))
    else:
        st.markdown(f"**{LABELS[dimension]}**")
    now = _by_member(view, view.span, dimension, measure)
    if now.empty:
        st.caption("Nothing to show.")
        return
    before = _by_member(view, view.comparable, dimension, measure) if view.comparable else now.iloc[:0]
    total = measure.over(view.total(view.span)) if measure.denominator is None else None
    top = now.sort_values(ascending=False, kind="stable").head(rows)
    products = queries.product_names(view.version) if dimension == "product" else {}
    texts = []
    for member, value in top.items():
        parts = [writer.brief(value, measure.kind)]
        if total and _adds_up(measure, dimension):
            parts.append(writer.write(value / total, Kind.SHARE))
        if change := writer.change(value, before.get(member), measure.kind):
            parts.append(change)
        texts.append(" · ".join(parts))
    labels = pd.Series([products.get(member) or member or "(none)" for member in top.index])
    spec = charts.leaderboard(labels, top.reset_index(drop=True), pd.Series(texts), room=2.4, clickable=True)
    # Another choice of filters is another chart, in which nothing has been clicked yet.
    key = f"by-{dimension}-{measure.name}-{zlib.crc32(repr(view.scope).encode())}"
    draw(
        spec,
        f"{measure.label} by {LABELS[dimension].lower()}",
        key=key,
        on_select=partial(_keep, key, dimension, list(top.index)),
    )
    if len(now) > rows:
        st.caption(f"The first {rows} of {writer.number(Decimal(len(now)), 0)}.")


def leaders(view: View, measure: Measure) -> pd.DataFrame:
    """For a file: every member of each dimension, with the measure now and, where that is fair, in the comparison."""
    names = queries.product_names(view.version)
    rows = []
    for dimension in view.dimensions:
        now = _by_member(view, view.span, dimension, measure)
        before = _by_member(view, view.comparable, dimension, measure) if view.comparable else now.iloc[:0]
        rows += [
            (LABELS[dimension], member, names.get(str(member)) if dimension == "product" else None, value,
             before.get(member))
            for member, value in now.sort_values(ascending=False, kind="stable").items()
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=["by", "member", "product_name", measure.name, f"{measure.name}_before"])


def by_day(view: View, measures: Sequence[Measure]) -> pd.DataFrame:
    """For a file: the measures of each day of the period, with the sums that a rate divides, so that days add up."""
    daily = view.sales(view.span)
    sums = [name for measure in measures for name in measure.sums]
    figures = {measure.name: measure.each(daily) for measure in measures}
    return pd.DataFrame({"sale_date": daily["sale_date"], **{name: daily[name] for name in sums}, **figures})


def _by_member(view: View, span: Span, dimension: str, measure: Measure) -> "pd.Series[Any]":
    frame = view.sales(span, dimension, shown=measure.sums)
    figures = dict(zip(frame[daily_sales.DIMENSIONS[dimension]], measure.each(frame), strict=True))
    return pd.Series({name: value for name, value in figures.items() if value is not None}, dtype=object)


def _adds_up(measure: Measure, dimension: str) -> bool:
    """Whether the members' figures sum to the whole: one order may hold several products of several categories."""
    return measure.denominator is None and not (measure.name == "orders" and dimension in ("product", "category"))


def _keep(key: str, dimension: str, members: list[str]) -> None:
    selected = st.session_state[key]["selection"]["selected"]
    places = [place for series in selected for place in series["data_indices"]]
    if places:
        filters.keep({dimension: members[places[0]]})


def choice(label: str, options: Sequence[str], key: str) -> str:
    """A small switch in the URL, the first option unless another is chosen; the label is for screen readers."""
    chosen: str = links.choose(
        st.segmented_control,
        label,
        options,
        default=options[0],
        required=True,
        key=key,
        label_visibility="collapsed",
        wrap=True,
    )
    return chosen


def heading(title: str, *switch: Any) -> str:
    """The heading of a panel, with `choice` of the rest of the arguments beside it where there are any."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(title, anchor=False, width="content")
        return choice(*switch) if switch else ""


def everywhere(view: View) -> str:
    """A hint for captions of panels that no filter narrows; empty where none is set."""
    return " · of all sales in this currency, whatever the filters" if view.filtered else ""


def last_day(view: View, month: date) -> date:
    """The last day of a month, or that of the latest sale where the month still runs."""
    return min((month + 32 * DAY).replace(day=1) - DAY, view.last)


def running_month(view: View) -> date | None:
    """The month of the last complete day, unless that is its last: the month is over then."""
    return view.complete.replace(day=1) if (view.complete + DAY).month == view.complete.month else None
