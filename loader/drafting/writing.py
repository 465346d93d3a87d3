"""The draft as YAML, with a comment at each guess that a person should look at."""

import json
import re
from typing import Any

import yaml

from loader.drafting.recognition import Guess, Sheet
from loader.sales_line import FIELDS


def written(head: dict[str, str], guess: Guess, sheet: Sheet, exceeded: str | None) -> str:
    """The YAML, line by line: a comment is what a dump would lose."""

    def line(key: str, text: str, *more: str) -> str:
        reasons = [*more, *guess.reviews.get(key, [])]
        return text + (f" # review: {'; '.join(_one_line(each) for each in reasons)}" if reasons else "")

    lines = [
        f'# Draft for {_one_line(sheet.path.name)}. Look at every line with "review", then run `loader check`.',
        f"feed: {_scalar(head['feed'])}",
        line("match", f"match: {_scalar(head['match'])}", "keys in the bucket, with their folders"),
        *(f"{key}: {head[key]}" for key in ("kind", "order_headers") if key in head),
        "format:",
    ]
    if sheet.compression:
        lines.append(f"  # {sheet.compression}: compression is found out for each file")
    if "encoding" not in guess.form:
        lines.append("  # encoding: found out for each file; name it here if it is ever found wrong")
    lines += [
        line(key, f"  {key}: {_flow(value, quoted=key in ('delimiter', 'decimal', 'thousands'))}")
        for key, value in guess.form.items()
    ]
    lines.append("columns:")
    lines += [f"  # TODO {name}: required, and no column looks like it. {_ADVICE[name]}" for name in guess.missing]
    for name in sorted(guess.columns, key=FIELDS.index):
        column = guess.columns[name]
        written = _flow(column["header"] if column.keys() == {"header"} else column)
        lines.append(line(name, f"  {name}: {written}"))
    used = {each for column in guess.columns.values() for each in (column.get("header"), *column.get("join", ()))}
    if unmapped := [each.header for each in sheet.columns if each.header and each.header not in used]:
        lines.append(f"  # kept in extra: {', '.join(map(_one_line, unmapped))}")
    lines += [f"  # review: {_one_line(remark)}" for remark in guess.remarks]
    if guess.line_type:
        lines.append(line("line_type", "line_type:"))
        lines += [f"  - {_flow(rule)}" for rule in guess.line_type]
    if guess.filled:
        lines.append(line("fill_down", f"fill_down: {_flow(guess.filled)}"))
    keys = {"customers": "customer_id", "products": "product_id", "stores": "store_id"}
    if guess.part != "orders":
        own = ", ".join(members for members, key in keys.items() if key in guess.columns)
        lines.append(f"# shares: [{own}] # if the same identifier means the same in other feeds")
    if exceeded:
        lines.append(f"# review: {exceeded}")
        lines.append("rejects: {max_ratio: 0.05}")
    return "\n".join(lines) + "\n"


_ADVICE = {
    "sale_id": "`sale_id: HEADER` of what tells one order from another",
    "sold_at": "`sold_at: HEADER`, and its format in format.dates; or `--orders FILE` if another sheet has it",
    "product_id": "`product_id: HEADER`",
    "quantity": '`quantity: HEADER`, or `quantity: {value: "1"}` where each row is one piece',
    "unit_price": "`unit_price: HEADER`, before discount and for one piece",
}


def _flow(value: Any, *, quoted: bool = False) -> str:
    """A value in YAML's flow style, on one line."""
    if isinstance(value, dict):
        inner = (
            f"{key}: {_flow(each, quoted=key in ('pattern', 'strip_suffix') or '^' in str(each))}"
            for key, each in value.items()
        )
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(each, quoted=True) for each in value)}]"
    if isinstance(value, bool | int):
        return str(value).lower()
    return _quoted(value) if quoted else _scalar(value)


def _scalar(text: str) -> str:
    """Plain where YAML reads it back as this very text, also within braces; else quoted as JSON, which is YAML."""
    plain = re.fullmatch(r"[^\W\d_](?:[\w./()%+-]|\s(?=[\w(%+]))*", text) and "\n" not in text
    return text if plain and yaml.safe_load(text) == text else _quoted(text)


def _quoted(text: str) -> str:
    """JSON but for the characters that YAML wants escaped by code point."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in plain)


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
