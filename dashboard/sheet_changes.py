"""Sheets unlike the ones of their feed before them, in words, each with the command that shows more of it."""

import shlex
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard import filters, queries
from dashboard.freshness import Freshness
from dashboard.measures import Kind, Writer
from dashboard.settings import settings

CHANGES_SHOWN = 20
_FIELDS = {
    "product_category": "category",
    "sales_channel": "channel",
    "sales_region": "region",
    "store_id": "store",
    "payment_method": "payment method",
    "payment_status": "payment status",
    "delivery_status": "delivery status",
    "currency": "currency",
    "quantity": "Quantities",
    "unit_price": "Unit prices",
    "line_total": "Line totals",
    "unit_cost": "Unit costs",
    "line_cost": "Line costs",
}


def section(state: Freshness, zone: str) -> None:
    """The differences of sheets from the ones before in words, each with the command that shows more of it."""
    changes = queries.sheet_changes(state, CHANGES_SHOWN)
    explanation = queries.descriptions(state.mart_version).get("ops_sheet_changes.kind")
    st.subheader("Sheets unlike the ones before", anchor=False, help=explanation)
    if not changes:
        st.caption("The last sheets of every feed have the columns, words and sizes of the ones before them.")
        return
    newest = f" The newest {CHANGES_SHOWN}." if len(changes) == CHANGES_SHOWN else ""
    st.caption(f"Each is told once, at the sheet with which it began. The command wants copies of both sheets.{newest}")
    number = Writer(settings().number_style, "")
    shown = [
        {
            "Since": f"{each['received_at'].astimezone(ZoneInfo(zone)):%-d %b, %H:%M}",
            "What is different": _change(each, number),
            "Feed": each["feed"],
            "File": each["key"],
            "To see more": f"loader feed diff {_copy(each['key_before'])} {_copy(each['key'])}",
        }
        for each in changes
    ]
    with st.container(key="sheet-changes"):
        st.table(pd.DataFrame(shown).map(filters.escape), hide_index=True, border="horizontal")


def _change(change: dict[str, Any], number: Writer) -> str:
    subject, word = change["subject"], change["word"]
    match change["kind"]:
        case "new column":
            return f"The column {subject!r} is new."
        case "column gone":
            return f"The column {subject!r} is gone."
        case "new word":
            lines, more = change["lines"], change["words"] - 1
            others = f" and {number.number(more, 0)} more" if more else ""
            of = f"{number.number(lines, 0)} line{'s' * (lines > 1)}"
            return f"{word!r}{others} {'are' if more else 'is'} new as {_FIELDS[subject]}, in {of}."
        case "more rejected":
            shares = [number.write(change[name], Kind.SHARE) for name in ("figure", "highest_before")]
            return f"{shares[0]} of the rows are rejected, and {shares[1]} at most before."
    return f"{_FIELDS[subject]} are {_size(change, number)}"


def _size(change: dict[str, Any], number: Writer) -> str:
    """How large the middle amount is in words, with what may be behind it."""
    lowest, figure, highest = (change[name] for name in ("lowest_before", "figure", "highest_before"))
    written = [number.number(each, 2) for each in (figure, lowest, highest)]
    told = "{} in the middle and {} to {} before".format(*written)
    if not (figure > 0 and lowest > 0):
        return f"of another size, {told}."
    usual = (lowest * highest).sqrt()
    times = max(figure / usual, usual / figure)
    factor = number.number(times, 0)
    said = f"{factor} × the usual" if figure > usual else f"the usual ÷ {factor}"
    return f"{said}, {told}{': cents, or a lost decimal sign?' if 60 < times < 160 else '.'}"


def _copy(key: str) -> str:
    """The name of a copy of the file, as a shell wants it."""
    return shlex.quote(key.rsplit("/", 1)[-1])
