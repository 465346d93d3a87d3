"""A view as a letter: its headline and figures in words, as HTML, as a workbook and on paper. Nobody's page is open.

Everything in it is read as a viewer, who sees totals and no customer.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from html import escape

import pandas as pd

from dashboard import charts, export, headline, panels, paper
from dashboard.filters import LABELS, View
from dashboard.headline import Links
from dashboard.measures import BRIEF_FROM, Kind, Measure, Writer, verdict
from dashboard.notify import Attachment
from dashboard.periods import Span
from dashboard.queries import product_names

LEADERS = 5  # of each dimension
PDF = "application/pdf"
CELL = "padding:4px 12px 4px 0;border-bottom:1px solid #d5d9e2;text-align:left"
BODY = "font-family:system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif;line-height:1.5"
COLORS: dict[object, str] = {True: f";color:{charts.UP}", False: f";color:{charts.DOWN}", None: ""}


@dataclass(frozen=True)
class Letter:
    """The content of a report: `text` and `html` without the greeting of a mail, and the files that go with it."""

    text: str
    html: str
    files: tuple[Attachment, ...]


def write(
    view: View, measures: Sequence[Measure], writer: Writer, links: Links, *, name: str, page: str, note: str
) -> Letter:
    """The letter about a view of a page, to which `links` leads; `note` is a sentence of warning, or empty.

    Raises Unavailable.
    """
    first, address = measures[0], links.address(page)
    sentences = headline.sentences(view, writer, links)
    sheet = paper.Sheet(
        title=name,
        dates=f"{view.span}{f', against {view.past}' if view.past else ''}",
        filters=_filters(view),
        sentences=[headline.plain(each) for each in sentences],
        note=note,
        figures=[_figure(view, measure, writer) for measure in measures],
        trend_title=f"{first.label} per {view.grain.lower()}",
        trend=_trend(view, first, writer),
        from_zero=first.denominator is None,
        axis=partial(_tick, writer, first.kind),
        leaders_title=f"The largest parts of {first.label.lower()}",
        headings=("", "", first.label, "Share", "Change"),
        leaders=list(_leaders(view, first, writer)),
        foot=f"Version {view.version} of the figures{f' · {address}' if address else ''}",
    )
    stamp = export.Stamp.at(
        _as_now(links, view.span).address(page), view, ("Compared with", str(view.comparable or ""))
    )
    file = f"report-{stamp.name}"
    return Letter(
        text=_text(sheet),
        html=_html(sheet, [headline.linked(each) for each in sentences], address),
        files=(
            Attachment(f"{file}.pdf", PDF, paper.draw(sheet)),
            Attachment(f"{file}.xlsx", export.MIME["XLSX"], _book(view, measures, stamp)),
        ),
    )


def _tick(writer: Writer, kind: Kind, value: float) -> str:
    exact = Decimal(str(value))
    return writer.money(exact) if kind is Kind.MONEY and abs(value) < BRIEF_FROM else writer.brief(exact, kind)


def _as_now(links: Links, span: Span) -> Links:
    """Links that give the same dates tomorrow, which `28D` does not."""
    kept = [(name, value) for name, value in links.kept if name not in ("period", "dates")]
    return Links([*kept, ("period", "Custom"), ("dates", str(span.start)), ("dates", str(span.end))], links.base)


def _filters(view: View) -> str:
    kept = "; ".join(f"{name}: {members}" for name, members in export.narrowed(view, *LABELS))
    return f"{kept or 'All sales'} · {view.scope.currency}"


def _figure(view: View, measure: Measure, writer: Writer) -> paper.Figure:
    now = measure.over(view.total(view.span))
    before = measure.over(view.total(view.comparable)) if view.comparable else None
    change = writer.change(now, before, measure.kind)
    told = f"{change} against {writer.brief(before, measure.kind)}" if change else panels.alone(view)
    good = {1: True, -1: False}.get(verdict(change, falls=measure.falls))
    return measure.label, writer.write(now, measure.kind), told, good


def _leaders(view: View, measure: Measure, writer: Writer) -> Iterator[paper.Leader]:
    """The first of every dimension in which there are several."""
    frame = panels.leaders(view, measure)
    names = product_names(view.version)
    total = measure.over(view.total(view.span)) if measure.denominator is None else None
    for by, rows in frame.groupby("by", sort=False):
        for row in rows.head(LEADERS).to_dict("records") if len(rows) > 1 else ():
            now, before = row[measure.name], row[f"{measure.name}_before"]
            yield (
                str(by),
                names.get(row["member"]) or row["member"] or "(none)",
                writer.write(now, measure.kind),
                writer.write(now / total, Kind.SHARE) if total else "",
                writer.change(now, before if isinstance(before, Decimal) else None, measure.kind) or "",
            )


def _trend(view: View, measure: Measure, writer: Writer) -> pd.DataFrame:
    """Its days, weeks or months with the measure, and beside it that of the comparison."""
    span, past = panels.led_up_to(view)
    frame: pd.DataFrame = panels.trend(view, measure, writer, span, past)["dataset"]["source"]
    lines = ("Day", measure.label, charts.COMPARISON, charts.IN_PROGRESS)
    return frame[[name for name in lines if name in frame]]


def _book(view: View, measures: Sequence[Measure], stamp: export.Stamp) -> bytes:
    spans = [span for span in (view.span, view.comparable) if span]
    totals = [[measure.over(view.total(span)) for span in spans] for measure in measures]
    rows = [(measure.label, *values) for measure, values in zip(measures, totals, strict=True)]
    days, leaders = panels.by_day(view, measures), panels.leaders(view, measures[0])
    return export.book_bytes(
        [
            ("Figures", ["measure", *map(str, spans)], rows),
            export.sheet("Days", days),
            export.sheet("Leaders", leaders),
        ],
        stamp,
    )


def _text(sheet: paper.Sheet) -> str:
    parts = [" ".join(sheet.sentences), sheet.note, f"{sheet.dates}\n{sheet.filters}"]
    parts.append("\n".join(f"{label}: {now} ({change})" for label, now, change, _ in sheet.figures))
    for by, rows in itertools.groupby(sheet.leaders, key=lambda row: row[0]):
        lines = [
            f"  {name}: {now}{f', a share of {share}' if share else ''}{f', change {change}' if change else ''}"
            for _, name, now, share, change in rows
        ]
        parts.append("\n".join([by, *lines]))
    return "\n\n".join(filter(None, parts))


def _html(sheet: paper.Sheet, sentences: Sequence[str], address: str) -> str:
    """A page whose looks stand at each element, as mail programs want it; `sentences` are HTML already."""
    leaders = _table([(*sheet.headings, None), *((*row, None) for row in sheet.leaders)]) if sheet.leaders else ""
    parts = [
        f'<h1 style="font-size:20px">{escape(sheet.title)}</h1>',
        f"<p>{' '.join(sentences)}</p>",
        f"<p><b>{escape(sheet.note)}</b></p>" if sheet.note else "",
        f"<p>{escape(sheet.dates)}<br>{escape(sheet.filters)}</p>",
        _table(sheet.figures),
        f"<p><b>{escape(sheet.leaders_title)}</b></p>{leaders}" if leaders else "",
        f'<p><a href="{escape(address)}">Open this view in the dashboard</a></p>' if address else "",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"></head>'
        f'<body style="{BODY}">{"".join(parts)}</body></html>'
    )


def _table(rows: Iterable[tuple[str | bool | None, ...]]) -> str:
    """A table of the rows, the last cell of each in the colour that the value behind it says."""
    body = ""
    for *cells, good in rows:
        looks = [CELL] * len(cells)
        looks[-1] += COLORS[good]
        drawn = (f'<td style="{look}">{escape(str(cell))}</td>' for look, cell in zip(looks, cells, strict=True))
        body += f"<tr>{''.join(drawn)}</tr>"
    return f'<table style="border-collapse:collapse;font-size:14px">{body}</table>'
