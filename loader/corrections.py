"""Rejected rows to a spreadsheet and back: exported as CSV, corrected by hand, landed under their own row numbers.

Before the sheet's own columns, the CSV says where each row stands and what is wrong with it. A cell that a spreadsheet
would run as a formula gets an apostrophe, which `replay` takes off again (`loader/spreadsheet.py`).
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from loader.cells import record
from loader.errors import InvalidFile, Refused
from loader.feeds import Feed
from loader.landing import land
from loader.ledger import CORRECT, State
from loader.pipeline import Pipeline
from loader.reader import Batch
from loader.rejects import MASK
from loader.spreadsheet import bare, guarded
from loader.sql import Session, load, operate
from loader.validation import Validator

_PLACE = ("file_id", "row_number", "source_line", "key", "problems")
_SURPLUS = "surplus cells"
_ID = re.compile(r"[0-9]{1,18}")  # as many digits as PostgreSQL's bigint always takes


def export(pipeline: Pipeline, file_ids: Sequence[int], key: str | None) -> str:
    """The rejected rows of loaded files (or of those named) as CSV with a byte order mark; empty where there are none.

    Raises Refused when they are of sheets with different columns, SettingsError when their feed is gone.
    """
    rows = pipeline.warehouse.ask(operate.rejects_to_export, file_ids, key)
    if not rows:
        return ""
    kinds = {(row.feed, tuple(row.header or ())): row.file_id for row in reversed(rows)}
    if len(kinds) > 1:
        listed = "; ".join(f"file {file_id}: feed {feed}" for (feed, _), file_id in sorted(kinds.items(), key=str))
        raise Refused(f"the rows are of sheets with different columns ({listed}): take one kind by --file-id or --key")
    ((name, header),) = kinds
    if not header:
        raise Refused(f"file {rows[0].file_id} has no readable header: correct the sheet and upload it again")
    feed = pipeline.feeds.named(name)
    text = io.StringIO(newline="")
    written = csv.writer(text)
    written.writerow([*_PLACE, *map(guarded, header), _SURPLUS])
    for row in rows:
        wrong = problems(row.errors)
        if feed.fill_down:
            wrong += (
                f"; row: blank cells of {', '.join(feed.fill_down)} come from the row above in the sheet: type them"
            )
        place = [row.file_id, row.row_number, row.source_line, guarded(row.key), wrong]
        found = _cells(row.raw_text, feed)
        cells = found[: len(header)] + [""] * (len(header) - len(found))
        surplus = found[len(header) :]
        beyond = guarded(record(surplus, feed.format.delimiter)) if surplus else ""
        written.writerow([*place, *map(guarded, cells), beyond])
    return "\ufeff" + text.getvalue()


def problems(errors: list[dict[str, Any]]) -> str:
    """All faults of a row in one line."""
    return "; ".join(f"{each['field'] or 'row'}: {each['message']}" for each in errors)


@dataclass(frozen=True)
class Correction:
    """The outcome for one corrected row: `landed`, `replayed before`, `rejected` (still) or `refused`, and why."""

    file_id: int
    row_number: int
    status: str
    source_line: int | None = None
    problems: str | None = None


def replay(pipeline: Pipeline, path: Path) -> list[Correction]:
    """Land the corrected rows of an export in their files: one transaction for each file, under its lock.

    A row that was replayed before changes nothing. Raises Refused when the file is no export.
    """
    rows, header = _read(path)
    outcomes: list[Correction] = []
    for file_id in dict.fromkeys(file_id for file_id, _ in rows):
        cells = {row_number: each for (of, row_number), each in rows.items() if of == file_id}
        entry = pipeline.warehouse.ask(operate.ledger_entry, file_id)
        if not entry:
            outcomes += _refused(file_id, cells, "the ledger has no such file: `loader files` shows what it has")
            continue
        with pipeline.warehouse.session() as session, pipeline.lock(session, entry.bucket, entry.key):
            outcomes += _replay_file(pipeline, session, file_id, header, cells)
            session.commit()
    return outcomes


def _replay_file(
    pipeline: Pipeline, session: Session, file_id: int, header: list[str], rows: dict[int, list[str]]
) -> list[Correction]:
    entry = operate.ledger_entry(session, file_id)
    assert entry  # a version is never deleted
    if entry.status not in CORRECT.takes:
        return _refused(file_id, rows, _NOT_LOADED.get(State(entry.status), f"the file is {entry.status}, not loaded"))
    feed = pipeline.feeds.named(entry.feed)
    if (entry.kind, entry.order_headers) != (feed.kind, feed.order_headers):
        return _refused(file_id, rows, "its feed says otherwise by now what a row is: load it again by `loader replay`")
    if header != list(entry.header or ()):
        return _refused(file_id, rows, "the columns are not those of the sheet: keep all columns of the export")
    known = {row.row_number: row for row in operate.correctable(session, file_id, rows.keys())}
    outcomes = []
    fresh = []
    for row_number, cells in rows.items():
        row = known.get(row_number)
        if row is None:
            outcomes.append(Correction(file_id, row_number, "refused", None, "the file has no such rejected row"))
        elif row.replayed:
            outcomes.append(Correction(file_id, row_number, "replayed before", row.source_line))
        elif any(MASK in cell for cell in cells):
            mask = f"a cell is still masked ({MASK}): type its value"
            outcomes.append(Correction(file_id, row_number, "refused", row.source_line, mask))
        elif any(cells[len(header) :]):
            left = f"cells are left in the column {_SURPLUS!r}: put them where they belong and clear it"
            outcomes.append(Correction(file_id, row_number, "rejected", row.source_line, left))
        else:
            fresh.append(_Row(row_number, row.source_line, cells[: len(header)]))
    if fresh:
        outcomes += _land(session, file_id, feed, header, fresh)
    return sorted(outcomes, key=lambda outcome: outcome.row_number)


_NOT_LOADED = {
    State.SUPERSEDED: "a later version of the sheet counts: correct that one, its rows are in `loader rejects`",
    State.REJECTED: (
        "the file was rejected as a whole: correct the sheet and upload it, or its feed and `loader retry` it"
    ),
    State.WITHDRAWN: "the file is withdrawn: `loader retry` brings it back first",
}


@dataclass(frozen=True)
class _Row:
    row_number: int
    source_line: int
    cells: list[str]


def _land(session: Session, file_id: int, feed: Feed, header: list[str], rows: list[_Row]) -> list[Correction]:
    """Validate as a load does; land what is good, and say what is wrong with the rest."""
    texts = {row.source_line: record(row.cells, feed.format.delimiter) for row in rows}
    batch = Batch(
        columns=[pa.array(column, pa.string()) for column in zip(*(row.cells for row in rows), strict=True)],
        row_numbers=np.array([row.row_number for row in rows], dtype=np.int64),
        source_lines=np.array([row.source_line for row in rows], dtype=np.int64),
        text_at=texts.__getitem__,
        malformed=[],
        blank=0,
    )
    contradicted: dict[int, list[dict[str, Any]]] = {}  # by the order, of which the sheet says nothing
    try:
        # The row above is not at hand, or belongs to another row: blank cells stay blank.
        verdict = Validator(feed.model_copy(update={"fill_down": ()}), header).validate(batch)
        good = verdict.accepted["row_number"].to_pylist()
        if good:
            corrected = [texts[line] for line in verdict.accepted["source_line"].to_pylist()]
            operate.mark_replayed(session, file_id, dict(zip(good, corrected, strict=True)))
            land(session, file_id, feed, verdict)
            dates = set(verdict.dates)
            if feed.pair:
                moved = load.put_together(session, file_id, {feed.feed} if feed.kind == "order_headers" else ())
                dates |= moved.undated | moved.dated
                contradicted = operate.still_rejected(session, file_id, good) if moved.rejected else {}
            operate.count_replayed(session, file_id, len(good), is_awaited=bool(dates))
            load.enqueue_dates(session, file_id, dates)
            load.notify_queue(session)
    except InvalidFile as error:
        session.rollback()
        return [Correction(file_id, row.row_number, "refused", row.source_line, str(error)) for row in rows]
    nothing = "the row has no data: to leave it out, take its line out of the CSV"
    wrong = dict.fromkeys((row.row_number for row in rows), nothing)
    wrong |= {each.row_number: problems(each.errors) for each in verdict.rejected}
    wrong |= {row_number: problems(errors) for row_number, errors in contradicted.items()}
    landed = {*good} - contradicted.keys()
    return [
        Correction(file_id, row.row_number, "landed", row.source_line)
        if row.row_number in landed
        else Correction(file_id, row.row_number, "rejected", row.source_line, wrong[row.row_number])
        for row in rows
    ]


def _refused(file_id: int, rows: Iterable[int], reason: str) -> list[Correction]:
    return [Correction(file_id, row_number, "refused", None, reason) for row_number in rows]


def _read(path: Path) -> tuple[dict[tuple[int, int], list[str]], list[str]]:
    """Cells by file and row number, and the sheet's header; whatever separator the spreadsheet wrote."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except UnicodeDecodeError:
        raise Refused(f"{path} is not UTF-8: save it as `CSV UTF-8` (in LibreOffice: character set UTF-8)") from None
    first = re.match(r'"?file_id"?([,;\t|])', text)
    if not first:
        raise Refused(f"{path} is no export of rejected rows: its first column is not file_id. {_EXPORT}")
    written = csv.reader(io.StringIO(text, newline=""), delimiter=first[1])
    names = [bare(cell) for cell in next(written)]
    if tuple(names[: len(_PLACE)]) != _PLACE:
        raise Refused(f"{path}: the first columns are not {', '.join(_PLACE)}: keep them as exported. {_EXPORT}")
    header = names[len(_PLACE) :]
    if _SURPLUS in header:
        header = header[: -1 - header[::-1].index(_SURPLUS)]
    rows: dict[tuple[int, int], list[str]] = {}
    for row in written:
        if not any(row):
            continue
        if not all(_ID.fullmatch(cell.strip()) for cell in [*row, "", ""][:2]):
            raise Refused(f"{path} line {written.line_num}: file_id and row_number are not whole numbers")
        where = int(row[0]), int(row[1])
        if where in rows:
            raise Refused(f"{path} line {written.line_num}: row {where[1]} of file {where[0]} stands there twice")
        cells = [bare(cell) for cell in row[len(_PLACE) :]]
        rows[where] = cells + [""] * (len(header) - len(cells))
    return rows, header


_EXPORT = "`loader rejects export` writes one"


def _cells(raw_text: str, feed: Feed) -> list[str]:
    """The cells of a record as it stands in the file, as far as it can be read as CSV."""
    try:
        return next(csv.reader(io.StringIO(raw_text, newline=""), delimiter=feed.format.delimiter), [])
    except csv.Error:
        return [raw_text]
