"""The headline: what happened in a period against what, what drove it, and what is odd in the data, in words."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from dashboard import daily_sales, panels, queries
from dashboard.filters import LABELS, View, escape
from dashboard.measures import MEASURES, Kind, Writer
from dashboard.periods import Span

NET_SALES = MEASURES["net_sales"]
SUSPECTS = ("product", "category", "region", "channel")  # who may be behind a change, the most specific first
CENT = Decimal("0.01")
ODD_DAYS = 100  # so many of the newest are looked through for those of the period


_LINK = re.compile(r"\[\*\*(?P<text>(?:\\.|[^\\\]])*)\*\*\]\((?P<address>\S*)\)")  # as `Links.figure` writes them
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Links:
    """The choice where the sentences stand, and the address before the names of pages.

    On a page itself that is nothing; None where nobody knows where the pages are.
    """

    kept: Sequence[tuple[str, str]]
    base: str | None = ""

    @classmethod
    def here(cls) -> "Links":
        """On the page that is being drawn."""
        return cls([(name, value) for name in st.query_params for value in st.query_params.get_all(name)])

    def address(self, page: str, **chosen: str) -> str:
        """The address of a page with the choice made here, and more; empty where nobody knows it."""
        query = urlencode([*((name, value) for name, value in self.kept if name not in chosen), *chosen.items()])
        return "" if self.base is None else f"{self.base}{page}{f'?{query}' if query else ''}"

    def figure(self, text: str, page: str, **chosen: str) -> str:
        """A figure that links to a page with what is chosen here, and more."""
        return f"[**{escape(text)}**]({self.address(page, **chosen)})"


def plain(markdown: str) -> str:
    """A sentence as text alone."""
    return _ESCAPED.sub(r"\1", _LINK.sub(r"\g<text>", markdown))


def linked(markdown: str) -> str:
    """A sentence as HTML, its links with it."""

    def anchor(found: re.Match[str]) -> str:
        text = f"<b>{html.escape(plain(found['text']))}</b>"
        return f'<a href="{html.escape(found["address"])}">{text}</a>' if found["address"] else text

    parts, done = [], 0
    for found in _LINK.finditer(markdown):
        parts += [html.escape(plain(markdown[done : found.start()])), anchor(found)]
        done = found.end()
    return "".join([*parts, html.escape(plain(markdown[done:]))])


def sentences(view: View, writer: Writer, links: Links | None = None) -> list[str]:
    """Two or three sentences as Markdown; each figure links to the page that shows more of it."""
    links = links or Links.here()
    now = NET_SALES.over(view.total(view.span)) or Decimal(0)
    before = NET_SALES.over(view.total(view.comparable)) if view.comparable else None
    told = [_what_happened(view, now, before, writer, links)]
    if before is not None and now != before:
        told += filter(None, [_what_drove_it(view, now - before, writer, links)])
    if not view.scope.converted and (odd := _what_is_odd(view, writer, links)):
        told.append(odd)
    return told


def effects(now: pd.DataFrame, before: pd.DataFrame) -> dict[str, Decimal]:
    """The effects of volume, price and mix on net sales, as kpi_price_volume_mix defines them; they sum to the change.

    Both frames have product_id, net_sales, units_sold and returned_units, a row for each product.
    """
    sold, sold_before = (_by_product(frame) for frame in (now, before))
    units, units_before = (sum((each[1] for each in side.values()), Decimal(0)) for side in (sold, sold_before))
    price = volume = change = Decimal(0)
    for product in sold.keys() | sold_before.keys():
        worth, pieces = sold.get(product, (Decimal(0), Decimal(0)))
        base_worth, base_pieces = sold_before.get(product, (Decimal(0), Decimal(0)))
        change += worth - base_worth
        if pieces > 0 and base_pieces > 0:
            price += (worth - base_worth / base_pieces * pieces).quantize(CENT, ROUND_HALF_UP)
        if base_pieces > 0 and units_before > 0:
            volume += (base_worth * (units / units_before - 1)).quantize(CENT, ROUND_HALF_UP)
    return {"volume": volume, "price": price, "mix": change - price - volume}


def behind(changes: Mapping[str, Mapping[str, Decimal]], change: Decimal) -> tuple[str, str, Decimal] | None:
    """Dimension, member and change of who did most of a change, of the most specific dimension in which one did half.

    Where nobody did half, it is who did most of all. `changes`, by dimension and member, begins with the most specific;
    None where none has two members.
    """
    direction = 1 if change > 0 else -1
    leaders = [
        (dimension, *max(members.items(), key=lambda each: (direction * each[1], each[0])))
        for dimension, members in changes.items()
        if len(members) > 1
    ]
    halves = [leader for leader in leaders if direction * leader[2] * 2 >= abs(change)]
    return halves[0] if halves else max(leaders, key=lambda leader: direction * leader[2], default=None)


def _what_happened(view: View, now: Decimal, before: Decimal | None, writer: Writer, links: Links) -> str:
    figure = links.figure(writer.write(now, Kind.MONEY), "explore", measures=NET_SALES.label)
    text = f"Net sales of {view.span} were {figure}"
    if view.past is None:
        return f"{text}."
    if view.comparable is None:
        return f"{text}. {panels.why_alone(view)}"
    if before is None:
        return f"{text}; there were none in {view.past}."
    if now == before:
        return f"{text}, the same as those of {view.past}."
    by = f"{writer.brief(abs(now - before), Kind.MONEY)} {'more' if now > before else 'less'}"
    change = writer.change(now, before, Kind.MONEY)
    return f"{text}, {escape(f'{by} ({change})' if change else by)} than those of {view.past}."


def _what_drove_it(view: View, change: Decimal, writer: Writer, links: Links) -> str:
    text = "" if view.scope.converted else _effects(view, change, writer, links)
    free = [name for name in SUSPECTS if name in view.dimensions and name not in dict(view.scope.kept)]
    found = behind({name: _changes(view, name) for name in free}, change)
    if found is None:
        return text
    dimension, member, part = found
    name = queries.product_names(view.version).get(member, member) if dimension == "product" else member
    figure = links.figure(_signed(part, writer), "explore", measures=NET_SALES.label, **{dimension: member})
    share = part / change
    if share >= 1:
        return f"{text} {LABELS[dimension]} {escape(name)} alone made {figure}.".strip()
    much = "Most of it" if share * 2 >= 1 else "The largest part"
    return f"{text} {much} came from {LABELS[dimension].lower()} {escape(name)}: {figure}.".strip()


def _effects(view: View, change: Decimal, writer: Writer, links: Links) -> str:
    assert view.comparable
    parts = effects(
        *(view.sales(span, "product", shown=daily_sales.OF_PRODUCTS) for span in (view.span, view.comparable))
    )
    first, second, third = sorted(parts, key=lambda name: parts[name], reverse=change > 0)
    figures = {name: links.figure(_signed(part, writer), "products") for name, part in parts.items()}
    return f"{first.capitalize()} made {figures[first]} of it, {second} {figures[second]}, {third} {figures[third]}."


def _what_is_odd(view: View, writer: Writer, links: Links) -> str:
    days = queries.volume_anomalies(view.version, ODD_DAYS)
    odd = days[(days["currency"] == view.scope.currency) & days["sale_date"].between(view.span.start, view.span.end)]
    if odd.empty:
        return ""
    day = odd.iloc[0]
    score = max((each for each in (day["lines_z_score"], day["net_sales_z_score"]) if pd.notna(each)), key=abs)
    figure = links.figure(f"{writer.number(Decimal(int(day['lines'])), 0)} lines", "pipeline")
    event = f" ({escape(day['events'])})" if isinstance(day["events"], str) else ""
    text = f"Odd in the data: {day['sale_date']:%A} {Span(day['sale_date'], day['sale_date'])}{event} had {figure}, far"
    text += f" {'above' if score > 0 else 'below'} what its weekday usually has"
    others = len(odd) - 1
    return (
        f"{text}; {others} more day{'s are unlike theirs' if others > 1 else ' is unlike its own'}."
        if others
        else f"{text}."
    )


def _by_product(frame: pd.DataFrame) -> dict[str, tuple[Decimal, Decimal]]:
    """Product to net sales and to units, those that came back taken off."""
    columns: Iterable[list[Decimal]] = (
        [value if isinstance(value, Decimal) else Decimal(0) for value in frame[name]]
        for name in ("net_sales", "units_sold", "returned_units")
    )
    worth, sold, returned = columns
    return {
        product: (each, pieces - back)
        for product, each, pieces, back in zip(frame["product_id"], worth, sold, returned, strict=True)
    }


def _changes(view: View, dimension: str) -> dict[str, Decimal]:
    """The change of the net sales of each member."""
    assert view.comparable
    changes: dict[str, Decimal] = {}
    for span, sign in ((view.span, 1), (view.comparable, -1)):
        frame = view.sales(span, dimension, shown=daily_sales.OF_PRODUCTS)
        for member, value in zip(frame[daily_sales.DIMENSIONS[dimension]], frame["net_sales"], strict=True):
            changes[member] = changes.get(member, Decimal(0)) + sign * (value or Decimal(0))
    return changes


def _signed(value: Decimal, writer: Writer) -> str:
    text = writer.brief(value, Kind.MONEY)
    return f"+{text}" if value > 0 else text
