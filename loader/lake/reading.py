"""On an executor: objects of the bucket → the records of each, decided by the same code as a load into PostgreSQL."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO

import pyarrow as pa

from loader.decoding import check_size
from loader.errors import InvalidFile, ObjectGone
from loader.feeds import Feed, Feeds
from loader.formats import open_sheet
from loader.header import Drift
from loader.lake.records import LINE, SCHEMA, file_record, line_records, rejected_records
from loader.ledger import State
from loader.object_store import ObjectStore, ObjectVersion
from loader.settings import Settings
from loader.validation import Validator
from loader.verdict import Counts, warning_of

_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4")  # most columns of a record are empty


class Reading:
    """The function of one job that Spark sends to its executors."""

    def __init__(self, settings: Settings, feeds: Feeds, at: datetime) -> None:
        self._settings = settings
        self._feeds = feeds
        self._at = at

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """`batches` have one row per object: bucket, key, etag, size, modified_at, feed, counting.

        Raises ObjectGone where an object is no longer the version that was listed, so that a task which Spark repeats
        gives the same records or none.
        """
        with closing(ObjectStore(self._settings)) as store:
            for batch in batches:
                for row in batch.to_pylist():
                    feed, counting = self._feeds.named(row.pop("feed")), row.pop("counting")
                    yield from self._file(store, ObjectVersion(**row), feed, counting)

    def _file(
        self, store: ObjectStore, version: ObjectVersion, feed: Feed, counting: list[str]
    ) -> Iterator[pa.RecordBatch]:
        """Its lines wait on the disk until the file's last row is read: only then it is known whether it counts."""
        with TemporaryFile() as spool:
            counts, drift, sha256, error = self._read(store, version, feed, spool)
            found = store.current(version.bucket, version.key)
            if (found.etag, found.size) != (version.etag, version.size):
                raise ObjectGone(f"s3://{version.bucket}/{version.key} was replaced while it was read")
            status = State.REJECTED if error else State.UNCHANGED if sha256 in counting else State.LOADED
            warning = None
            if status is State.UNCHANGED:
                counts = Counts()
            elif status is State.REJECTED:
                counts.reject_file()
            else:
                warning = warning_of(counts, drift)
            yield file_record(version, feed, status, counts, at=self._at, sha256=sha256, error=error, warning=warning)
            if status is not State.UNCHANGED:
                spool.seek(0)
                for batch in pa.ipc.open_stream(spool):
                    if status is State.LOADED or batch["kind"][0].as_py() != LINE:
                        yield batch

    def _read(
        self, store: ObjectStore, version: ObjectVersion, feed: Feed, spool: IO[bytes]
    ) -> tuple[Counts, Drift | None, str | None, str | None]:
        """Write the records of its rows to the spool. Returns counts, drift, checksum, and why it is rejected."""
        counts = Counts()
        drift = sha256 = None
        with pa.ipc.new_stream(spool, SCHEMA, options=_LZ4) as records:
            try:
                check_size(version.size, self._settings)
                with store.open(version) as stream, open_sheet(stream, feed, self._settings) as sheet:
                    validator = Validator(feed, sheet.rows.header, sheet.rows.titles)
                    drift = validator.drift
                    for verdict in map(validator.validate, sheet.rows.batches()):
                        counts.add(verdict)
                        if verdict.accepted.num_rows:
                            records.write_batch(line_records(version, verdict.accepted))
                        if verdict.rejected:
                            records.write_batch(rejected_records(version, verdict.rejected))
                sha256 = sheet.sha256
            except InvalidFile as invalid:
                return counts, drift, sha256, str(invalid)
        return counts, drift, sha256, counts.refused_by(feed.rejects)
