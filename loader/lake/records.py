"""The records of the lake: lines, rejected rows and ledger in one Arrow schema, because one commit writes them all."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.feeds import Feed
from loader.ledger import State
from loader.object_store import ObjectVersion
from loader.rejects import Rejected
from loader.sales_line import AMOUNT_FIELDS, COLUMNS, DATE_FIELDS, TIME_FIELDS
from loader.verdict import Counts

LINE, REJECTED, FILE = "line", "rejected", "file"  # the kinds of record
_AMOUNT = pa.decimal128(20, 6)  # the digits that a sale line allows
_MOMENT = pa.timestamp("us", "UTC")
_TYPES = (
    dict.fromkeys(AMOUNT_FIELDS, _AMOUNT)
    | dict.fromkeys(DATE_FIELDS | {"sale_date"}, pa.date32())
    | dict.fromkeys(TIME_FIELDS, _MOMENT)
    | dict.fromkeys(("line_number", "customer_rating"), pa.int32())
    | dict.fromkeys(("row_number", "source_line"), pa.int64())
)
_IDENTITY = {"kind": pa.string(), "object_id": pa.int64(), "file_id": pa.int64()}
_REPORT = {"raw_text": pa.string(), "errors": pa.string(), "revenue_at_risk": pa.decimal128(38, 2)}
_LEDGER = {
    "bucket": pa.string(),
    "key": pa.string(),
    "etag": pa.string(),
    "size_bytes": pa.int64(),
    "written_at": _MOMENT,  # when the object was
    "loaded_at": _MOMENT,
    "sha256": pa.string(),
    "feed": pa.string(),
    "timezone": pa.string(),
    "times": pa.string(),
    "shares": pa.list_(pa.string()),
    "status": pa.string(),
    "superseded_by": pa.int64(),
    "rows_read": pa.int64(),
    "rows_loaded": pa.int64(),
    "rows_rejected": pa.int64(),
    "rows_skipped": pa.int64(),
    "error": pa.string(),
    "warning": pa.string(),
}
LINE_COLUMNS = tuple(COLUMNS)
REJECTED_COLUMNS = ("row_number", "source_line", *_REPORT)
FILE_COLUMNS = tuple(_LEDGER)
SCHEMA = pa.schema(_IDENTITY | {name: _TYPES.get(name, pa.string()) for name in COLUMNS} | _REPORT | _LEDGER)


def object_id(version: ObjectVersion) -> int:
    """The number of an object, whatever its version: the one thing that a commit replaces as a whole."""
    return _number(version.bucket, version.key)


def file_id(version: ObjectVersion) -> int:
    """The number of a version, the same in every job: a listing tells versions apart by ETag and size."""
    return _number(version.bucket, version.key, f"{version.etag}-{version.size}")


def _number(*parts: str) -> int:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1  # a positive bigint


def line_records(version: ObjectVersion, accepted: pa.Table) -> pa.RecordBatch:
    """The accepted rows of one batch, canonical text, as typed records."""
    columns = {
        name: pc.cast(accepted[name].combine_chunks(), SCHEMA.field(name).type) for name in accepted.column_names
    }
    return _records(version, LINE, columns, accepted.num_rows)


def rejected_records(version: ObjectVersion, rejected: Sequence[Rejected]) -> pa.RecordBatch:
    """The report of rejected rows."""
    rows = [
        {
            "row_number": each.row_number,
            "source_line": each.source_line,
            "raw_text": each.raw_text,
            "errors": json.dumps(each.errors),
            "revenue_at_risk": each.revenue_at_risk,
        }
        for each in rejected
    ]
    columns = {name: pa.array([row[name] for row in rows], SCHEMA.field(name).type) for name in REJECTED_COLUMNS}
    return _records(version, REJECTED, columns, len(rows))


def file_record(
    version: ObjectVersion,
    feed: Feed,
    status: State,
    counts: Counts,
    *,
    at: datetime,
    sha256: str | None,
    error: str | None,
    warning: str | None,
) -> pa.RecordBatch:
    """The ledger's entry. Raises AssertionError where a row is neither loaded nor rejected nor skipped."""
    assert counts.read == counts.loaded + counts.rejected + counts.skipped, version
    entry: dict[str, Any] = {
        "bucket": version.bucket,
        "key": version.key,
        "etag": version.etag,
        "size_bytes": version.size,
        "written_at": version.modified_at.astimezone(UTC),
        "loaded_at": at,
        "sha256": sha256,
        "feed": feed.feed,
        "timezone": str(feed.format.timezone),
        "times": feed.format.times,
        "shares": list(feed.shares),
        "status": str(status),
        "superseded_by": None,
        "rows_read": counts.read,
        "rows_loaded": counts.loaded,
        "rows_rejected": counts.rejected,
        "rows_skipped": counts.skipped,
        "error": error,
        "warning": warning,
    }
    return _records(version, FILE, {name: pa.array([entry[name]], SCHEMA.field(name).type) for name in entry}, 1)


def _records(version: ObjectVersion, kind: str, columns: dict[str, pa.Array], rows: int) -> pa.RecordBatch:
    columns |= {
        "kind": pa.repeat(kind, rows),
        "object_id": pa.repeat(pa.scalar(object_id(version), pa.int64()), rows),
        "file_id": pa.repeat(pa.scalar(file_id(version), pa.int64()), rows),
    }
    return pa.record_batch(
        [columns[field.name] if field.name in columns else pa.nulls(rows, field.type) for field in SCHEMA], SCHEMA
    )
