"""The story of one file: from its arrival to one committed transaction."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import Self, TypeVar, cast

from loader import failpoints
from loader.decoding import Decoded, check_size
from loader.errors import InvalidFile, ObjectGone, TransientError
from loader.events import FileArrived, FileRemoved
from loader.feeds import Feed, Feeds
from loader.formats import open_sheet
from loader.header import Drift
from loader.landing import Load
from loader.ledger import ANNOUNCED, Entry, State, Step
from loader.locks import file_lock
from loader.object_store import ObjectStore, ObjectVersion
from loader.rejects import Rejected
from loader.settings import Limits, Settings
from loader.sql import Session
from loader.sql import load as sql
from loader.validation import Validator
from loader.verdict import Counts, warning_of
from loader.warehouse import Warehouse

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one arrival. `duplicate`: this version had been dealt with before."""

    status: str  # a State, or what no state says: kept (it stays loaded), gone or changed (the bucket has another)
    key: str
    file_id: int | None = None
    counts: Counts | None = None
    error: str | None = None
    duplicate: bool = False
    feed: str | None = None  # None: none was looked for
    size: int = 0  # stored bytes that were read
    warning: str | None = None  # what a person should look at though the file counts


_LOOKS_AT_A_TIME = 8


class Pipeline:
    """The parts that a load needs, opened once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.feeds = Feeds(settings.feeds_dir)
        self.store = ObjectStore(settings)
        self.warehouse = Warehouse(settings.database_url.get_secret_value())
        self._lookers = ThreadPoolExecutor(_LOOKS_AT_A_TIME, thread_name_prefix="look")

    def check(self) -> None:
        """Raises SettingsError or TransientError, naming the setting, when PostgreSQL or S3 cannot be used."""
        self.warehouse.check()
        self.store.check(self.settings.s3_bucket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lookers.shutdown()
        self.store.close()
        self.warehouse.close()

    def load_file(self, arrival: FileArrived, step: Step = ANNOUNCED) -> Outcome:
        """Load the object as it is now, exactly once; a version that was dealt with, if `step` takes its state.

        A loaded version that is loaded again gets new rows for its old ones in one transaction. If it is refused now,
        it stays as it was, and the outcome is `kept` with the reason.

        Where there is no such object, what waits for it is `source_gone`, and so is the outcome; its `file_id` is None
        where nothing waits. That is final: S3 is the truth, and what comes back is announced again.

        Raises TransientError when S3 or PostgreSQL fails or the object changes meanwhile: the ledger keeps the version
        as it was, and the same call may succeed later.
        """
        bucket, key = arrival.bucket, arrival.key
        with self.warehouse.session() as session, self.lock(session, bucket, key):
            failpoints.reach("locked")
            if isinstance(version := self._look(bucket, key), ObjectGone):
                return self._gone(session, bucket, key, version)
            return self._take_up(session, version, arrival, step)

    def remove_file(self, removed: FileRemoved) -> list[Outcome]:
        """Note in the ledger that the object is gone, if it is: an event may be late. Nothing else changes.

        Returns the versions that were marked. Raises TransientError when S3 or PostgreSQL fails.
        """
        bucket, key = removed.bucket, removed.key
        with self.warehouse.session() as session, self.lock(session, bucket, key):
            if not isinstance(self._look(bucket, key), ObjectGone):  # it is back
                return []
            marked = sql.mark_removed(session, bucket, key)
            session.commit()
            return [Outcome(entry.status, key, entry.file_id) for entry in marked]

    def needless(self, events: Sequence[FileArrived | FileRemoved]) -> set[FileArrived | FileRemoved]:
        """The events that can change nothing, among these of the pipeline's bucket.

        Either the object is gone, and the ledger knows that or never knew the object; or the event says that it is
        gone, and it is there. This takes no lock, and asks S3 about several at a time: a replay of an old topic brings
        thousands of events.
        Raises TransientError when S3 or PostgreSQL fails.
        """
        bucket = self.settings.s3_bucket
        keys = sorted({each.key for each in events})
        found = dict(zip(keys, self._lookers.map(lambda key: self._look(bucket, key), keys), strict=True))
        gone = {key for key, each in found.items() if isinstance(each, ObjectGone)}
        unsettled = self.warehouse.ask(sql.unsettled, bucket, gone) if gone else {}

        def is_needless(event: FileArrived | FileRemoved) -> bool:
            if isinstance(event, FileRemoved):
                return event.key not in unsettled
            return event.key in gone and not unsettled.get(event.key)

        return set(filter(is_needless, events))

    def give_up(self, bucket: str, key: str, error: TransientError) -> None:
        """Mark the versions of a key that could not be loaded as failed; the watcher announces them again later."""
        with self.warehouse.session() as session:
            sql.fail(session, bucket, key, str(error), self.settings.retry_max_seconds)
            session.commit()

    @contextmanager
    def lock(self, session: Session, bucket: str, key: str) -> Iterator[None]:
        """Keep others from loading this object, and sheets of the order headers or items that belong to its feed.

        Of two such sheets that arrive at the same time, each would miss the rows of the other. Where the key had
        another feed when its present version was loaded, the rows that go are of that one's pair: it is locked too.
        """
        feed = self.feeds.for_key(key)
        lease = self.settings.lease_seconds
        with file_lock(session, bucket, key, lease), ExitStack() as pairs:
            of_key = {feed.pair if feed else None, *sql.pairs_of_key(session, bucket, key)}
            session.commit()
            for pair in sorted(filter(None, of_key)):  # in one order everywhere, or two loaders wait for each other
                pairs.enter_context(file_lock(session, "order headers", pair, lease))
            yield

    def _look(self, bucket: str, key: str) -> ObjectVersion | ObjectGone:
        """The object in the bucket, or why there is none: that is an outcome here, and no fault."""
        try:
            return self.store.current(bucket, key)
        except ObjectGone as gone:
            return gone

    def _gone(self, session: Session, bucket: str, key: str, gone: ObjectGone) -> Outcome:
        file_id = sql.source_gone(session, bucket, key, str(gone))
        session.commit()
        return Outcome(State.SOURCE_GONE, key, file_id, error=str(gone))

    def _take_up(self, session: Session, version: ObjectVersion, arrival: FileArrived, step: Step) -> Outcome:
        entry = sql.discover(session, version, arrival.event_at, arrival.dialect)
        session.commit()
        failpoints.reach("discovered")
        if entry.done and entry.status not in step.takes:
            sql.replaced(session, version, entry.file_id)
            session.commit()
            return Outcome(entry.status, arrival.key, entry.file_id, duplicate=True)
        feed = self.feeds.for_key(arrival.key) if arrival.key.startswith(self.settings.s3_prefix) else None
        if not feed:
            return self._ignore(session, entry, arrival.key)
        counts = entry.status is State.LOADED  # until the moment in which its new rows do
        if feed.reupload == "ignore" and not counts and sql.current_versions(session, version, entry.file_id):
            return self._set_aside(session, entry.file_id, feed, arrival.key)
        sql.start_loading(session, entry.file_id, feed, self.feeds.dating(feed).format)
        if not counts:
            session.commit()
        failpoints.reach("claimed")
        try:
            with Load(session, version, entry.file_id, feed) as load:
                outcome = self._load(load, version, feed, entry.file_id)
        except InvalidFile as refused:
            session.rollback()
            outcome = self._refuse(session, version, entry.file_id, feed, str(refused))
        if counts and outcome.status == State.REJECTED:
            session.rollback()
            return replace(outcome, status="kept", counts=None)
        failpoints.reach("finished")
        session.commit()
        failpoints.reach("committed")
        return outcome

    def _load(self, load: Load, version: ObjectVersion, feed: Feed, file_id: int) -> Outcome:
        sha256 = None
        try:
            check_size(version.size, self.settings)
            with self.store.open(version) as stream, open_sheet(stream, feed, self.settings) as sheet:
                load.describe(sheet.text, sheet.rows.header)
                validator = Validator(feed, sheet.rows.header, sheet.rows.titles)
                load.drift = validator.drift
                made = ahead(load.encoded(validator.validate(batch)) for batch in sheet.rows.batches())
                with closing(made):  # before the stream is, which its thread reads
                    for batch in made:
                        load.add(batch)
                        failpoints.reach("copying")
            sha256 = sheet.sha256
            error = load.counts.refused_by(feed.rejects)
        except InvalidFile as invalid:
            error = str(invalid)
        failpoints.reach("copied")
        if self.store.current(version.bucket, version.key) != version:
            raise ObjectGone(f"s3://{version.bucket}/{version.key} was replaced while it was read")
        status = load.finish_rejected(error, sha256) if error else load.finish_loaded(sha256)
        done = Outcome(status, version.key, file_id, load.counts, load.error, feed=feed.feed, size=version.size)
        return replace(done, warning=load.warning)

    def _refuse(self, session: Session, version: ObjectVersion, file_id: int, feed: Feed, error: str) -> Outcome:
        """Reject the file without a report: the transaction that had one was undone."""
        with Load(session, version, file_id, feed) as load:
            status = load.finish_rejected(error, None)
            return Outcome(status, version.key, file_id, load.counts, error, feed=feed.feed, size=version.size)

    def _ignore(self, session: Session, entry: Entry, key: str) -> Outcome:
        reason = (
            "no feed matches the key: add one in FEEDS_DIR"
            if key.startswith(self.settings.s3_prefix)
            else f"outside S3_PREFIX={self.settings.s3_prefix}"
        )
        if entry.status is State.LOADED:
            return Outcome("kept", key, entry.file_id, error=reason)
        sql.ignore(session, entry.file_id, reason)
        session.commit()
        return Outcome(State.IGNORED, key, entry.file_id, error=reason)

    def _set_aside(self, session: Session, file_id: int, feed: Feed, key: str) -> Outcome:
        reason = f"an earlier version counts, and feed {feed.feed} keeps the first (reupload: ignore)"
        sql.set_aside(session, file_id, reason)
        session.commit()
        return Outcome(State.SKIPPED, key, file_id, error=reason, feed=feed.feed)


def ahead(items: Iterator[T], depth: int = 1) -> Generator[T]:
    """The same items, made in a thread of their own, at most `depth` of them ahead.

    So PostgreSQL takes one batch while the next is decided. An error of `items` is raised here.
    """
    made: Queue[tuple[T | None, BaseException | None]] = Queue(depth)
    unwanted = Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not unwanted.is_set():
            with suppress(Full):
                made.put((item, error), timeout=0.1)
                break

    def make() -> None:
        try:
            for item in items:
                put(item, None)
                if unwanted.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:  # noqa: BLE001  # it is raised again, in the thread that asks
            put(None, error)

    thread = Thread(target=make, name="ahead")
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error:
                raise error
            yield cast(T, item)
    finally:
        unwanted.set()
        thread.join()


@dataclass(frozen=True)
class Check:
    """The verdict of a load on this file."""

    feed: str
    counts: Counts
    rejected: list[Rejected]
    error: str | None
    text: Decoded | None = None  # None: it could not be read
    drift: Drift | None = None  # None: the header does not fit
    cut: bool = False  # it was not read to its end: enough rows were rejected

    @property
    def warning(self) -> str | None:
        """A sentence on what is odd about the file though it would count."""
        return None if self.error else warning_of(self.counts, self.drift)


def check_file(path: Path, feed: Feed, limits: Limits, enough: int | None = None) -> Check:
    """The load's own verdict on a local file, without writing anything; `enough`: rejected rows to stop after."""
    counts = Counts()
    rejected: list[Rejected] = []
    error = text = drift = None
    cut = False
    try:
        check_size(path.stat().st_size, limits)
        with path.open("rb") as stream, open_sheet(stream, feed, limits) as sheet:
            text = sheet.text
            validator = Validator(feed, sheet.rows.header, sheet.rows.titles)
            drift = validator.drift
            for verdict in map(validator.validate, sheet.rows.batches()):
                counts.add(verdict)
                rejected += verdict.rejected
                if cut := bool(enough and len(rejected) >= enough):
                    break
    except InvalidFile as invalid:
        error = str(invalid)
    error = error or counts.refused_by(feed.rejects)
    return Check(feed.feed, counts, rejected, error, text, drift, cut)
