"""The load of one file, from its entry in the ledger to the rows that count. `load.sql` describes each statement."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import NamedTuple

from loader.contract import Format
from loader.decoding import Decoded
from loader.feeds import Feed
from loader.header import Drift
from loader.ledger import Entry, State
from loader.numbers import SIGNS
from loader.object_store import ObjectVersion
from loader.profile import Profile
from loader.sql import Session, statements
from loader.verdict import Counts

_SQL = statements("load")
_SIGNS = json.dumps({sign: sorted(currencies) for sign, currencies in SIGNS.items()})


def pairs_of_key(session: Session, bucket: str, key: str) -> set[str]:
    """The pairs of feeds (see `Feed.pair`) by which the versions of a key that count were loaded."""
    return set(session.execute(_SQL["pairs_of_key"], bucket=bucket, key=key).scalars())


def discover(session: Session, version: ObjectVersion, event_at: datetime, dialect: str | None) -> Entry:
    """The ledger entry of this version, made if there is none. `dialect`: None where no event announced it."""
    row = session.execute(
        _SQL["discover"],
        bucket=version.bucket,
        key=version.key,
        version_id=version.version_id,
        etag=version.etag,
        size=version.size,
        event_at=event_at,
        dialect=dialect,
    ).one()
    return Entry(row.file_id, State(row.status))


def replaced(session: Session, version: ObjectVersion, file_id: int) -> None:
    """Other versions of the key that waited can no longer be read: the bucket has got this one back."""
    session.execute(_SQL["replaced"], bucket=version.bucket, key=version.key, file_id=file_id)


def ignore(session: Session, file_id: int, error: str) -> None:
    session.execute(_SQL["ignore"], file_id=file_id, error=error)


def set_aside(session: Session, file_id: int, error: str) -> None:
    session.execute(_SQL["set_aside"], file_id=file_id, error=error)


def start_loading(session: Session, file_id: int, feed: Feed, dating: Format) -> None:
    """`dating`: the format by which the lines are dated, which may be that of the feed of their orders."""
    session.execute(
        _SQL["start_loading"],
        file_id=file_id,
        feed=feed.feed,
        kind=feed.kind,
        order_headers=feed.order_headers,
        shares=list(feed.shares),
        timezone=dating.timezone,
        times=dating.times,
    )


def clear_rejected_rows(session: Session, file_id: int) -> None:
    session.execute(_SQL["clear_rejected_rows"], file_id=file_id)


@dataclass(frozen=True)
class Removed:
    """Dates from which lines went, and the feeds of the orders that left items alone: they can be put together anew."""

    dates: set[date]
    orders: set[str]


def remove_lines(session: Session, file_id: int) -> Removed:
    """Delete the rows of a version. The dates of the lines that went have to be rebuilt."""
    rows = session.execute(_SQL["remove_lines"], file_id=file_id).all()
    return Removed({row.sale_date for row in rows if row.sale_date}, {row.orders for row in rows if row.orders})


class Current(NamedTuple):
    """A version that counts, and the checksum of its bytes."""

    file_id: int
    sha256: str | None


def current_versions(session: Session, version: ObjectVersion, file_id: int) -> list[Current]:
    """The versions of the key that count, other than this file."""
    where = {"bucket": version.bucket, "key": version.key, "file_id": file_id}
    return session.all(Current, _SQL["current_versions"], **where)


def supersede(session: Session, version: ObjectVersion, file_id: int, reupload: str) -> None:
    """All other versions of the key give way to this file; with the reupload `append`, those that count do not."""
    where = {"bucket": version.bucket, "key": version.key, "file_id": file_id}
    session.execute(_SQL["supersede"], **where, reupload=reupload)


@dataclass(frozen=True)
class Moved:
    """Dates from which lines went, and dates to which lines came.

    `rejected`: rows of the file that are no lines, because the order of each has another currency than its amounts.
    """

    undated: set[date]
    dated: set[date]
    rejected: int


def put_together(session: Session, file_id: int, orders: Collection[str]) -> Moved:
    """Make lines of order items and order headers that this file has brought, or taken away, for each other.

    `orders`: the feeds whose order headers came or went. Nobody else puts rows of theirs together at the same time: see
    `Pipeline.lock`. The ledger is told how many rows are rejected by it, those of this file included.
    """
    undated = set(session.execute(_SQL["undate_items"], file_id=file_id).scalars())
    if orders:
        session.execute(_SQL["clear_contradictions"], orders=sorted(orders))
    rows = session.execute(_SQL["date_items"], file_id=file_id, orders=sorted(orders), signs=_SIGNS).all()
    return Moved(undated, {row.sale_date for row in rows if row.sale_date}, sum(row.rejected for row in rows))


def emptied_dates(session: Session, dates: Collection[date]) -> Sequence[date]:
    """Those of the dates on which no file has a line any more, in order."""
    return session.execute(_SQL["emptied_dates"], dates=sorted(dates)).scalars().all()


def describe(
    session: Session, file_id: int, text: Decoded, header: list[str], *, drift: Drift | None, profile: Profile
) -> None:
    session.execute(
        _SQL["describe"],
        file_id=file_id,
        compression=text.compression,
        encoding=text.encoding,
        encoding_guessed=text.encoding_guessed,
        header=header,
        drift=json.dumps(asdict(drift)) if drift else None,
        profile=str(profile),
    )


def enqueue_dates(session: Session, file_id: int, dates: Collection[date]) -> None:
    session.execute(_SQL["enqueue_dates"], file_id=file_id, dates=sorted(dates))


@dataclass(frozen=True)
class Ending:
    """How the load of a file ended, for its ledger entry."""

    status: State
    counts: Counts
    sha256: str | None
    error: str | None = None
    warning: str | None = None


def finish(session: Session, file_id: int, reupload: str, ending: Ending) -> None:
    counts = ending.counts
    session.execute(
        _SQL["finish"],
        file_id=file_id,
        status=ending.status,
        error=ending.error,
        warning=ending.warning,
        sha256=ending.sha256,
        rows_read=counts.read,
        rows_loaded=counts.loaded,
        rows_rejected=counts.rejected,
        rows_skipped=counts.skipped,
        skipped=json.dumps(counts.skipped_as),
        reupload=reupload,
    )


def notify_queue(session: Session) -> None:
    session.execute(_SQL["notify_queue"])


def fail(session: Session, bucket: str, key: str, error: str, seconds: float) -> None:
    """`seconds` until the watcher announces the versions again."""
    session.execute(_SQL["fail"], bucket=bucket, key=key, error=error, seconds=seconds)


def source_gone(session: Session, bucket: str, key: str, error: str) -> int | None:
    """The version that waited for the object, if one did."""
    marked = session.execute(_SQL["source_gone"], bucket=bucket, key=key, error=error).first()
    return marked.file_id if marked else None


def unsettled(session: Session, bucket: str, keys: Collection[str]) -> Mapping[str, bool]:
    """Those of the keys whose removal would change the ledger, each with whether a version waits for its object."""
    return {row.key: row.waits for row in session.execute(_SQL["unsettled"], bucket=bucket, keys=list(keys))}


def mark_removed(session: Session, bucket: str, key: str) -> list[Entry]:
    """The versions that were marked, in the state that they have now."""
    marked = session.execute(_SQL["mark_removed"], bucket=bucket, key=key)
    return [Entry(row.file_id, State(row.status)) for row in marked]
