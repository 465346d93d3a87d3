"""Commands on file versions of the ledger: retry, skip, forget, replay; and the comparison of bucket and ledger.

docs/operating.md says which symptom each of them is for. Rows that are corrected by hand are in corrections.py.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from loader.errors import Refused, TransientError
from loader.events import FileArrived, FileRemoved
from loader.ledger import FORGET, REPLAY, RETRIED, RETRY, SKIP, State, Step
from loader.object_store import ObjectVersion
from loader.pipeline import Outcome, Pipeline
from loader.settings import Settings
from loader.sql import Session, load, operate
from loader.sql.operate import Counting, Version
from loader.watcher import Watcher

_REMEDIES = {
    State.LOADED: "it is loaded: `loader replay` loads it anew, `loader forget` takes it back",
    State.UNCHANGED: "its bytes are those of a version that was loaded: there is nothing to do with it",
    State.SUPERSEDED: "a later version of its key was loaded: upload this one again if it is to count",
    State.WITHDRAWN: "it is withdrawn already, and `loader retry` brings it back",
}


def retry(pipeline: Pipeline, file_ids: Sequence[int], states: Collection[State], key: str | None) -> list[Outcome]:
    """Load versions now: the given ones, and those in one of the states whose key is like `key`.

    Raises Refused when a given version is unknown, or cannot be loaded again.
    """
    if not (file_ids or states or key):
        raise Refused("say which files to retry: their ids (`loader files` shows them), --status or --key")
    wanted = _named(pipeline, file_ids)
    for version in wanted:
        if version.status not in RETRY.takes:
            raise Refused(f"file {version.file_id} cannot be retried: {_REMEDIES[State(version.status)]}")
    if states or key:
        wanted += pipeline.warehouse.ask(operate.versions, states=states or RETRIED, key=key)
    return [_load(pipeline, version, RETRY) for version in {each.file_id: each for each in wanted}.values()]


def skip(pipeline: Pipeline, file_ids: Sequence[int], reason: str) -> list[Outcome]:
    """Set versions aside that have not been loaded, until `retry`: neither an event nor the watcher loads them.

    Raises Refused when one is unknown, or was loaded.
    """

    def set_aside(session: Session, file_id: int) -> bool:
        return operate.skip(session, file_id, f"skipped by hand: {reason}")

    return _by_hand(pipeline, file_ids, SKIP, set_aside)


def forget(pipeline: Pipeline, file_ids: Sequence[int], reason: str) -> list[Outcome]:
    """Take loaded versions back, until `retry`: the marts are rebuilt as if they had never come.

    An earlier version that one of them superseded does not come back. Raises Refused when one is not loaded.
    """

    def withdraw(session: Session, file_id: int) -> bool:
        if not operate.withdraw(session, file_id, f"withdrawn by hand: {reason}"):
            return False
        removed = load.remove_lines(session, file_id)
        moved = load.put_together(session, file_id, removed.orders)  # with the headers that are left
        load.enqueue_dates(session, file_id, removed.dates | moved.dated)
        load.notify_queue(session)
        return True

    return _by_hand(pipeline, file_ids, FORGET, withdraw)


def replay(
    pipeline: Pipeline, since: datetime, until: datetime | None, key: str | None, drop_corrections: bool = False
) -> list[Outcome]:
    """Load the files that came since then again, with the feeds of today. New rows replace the old ones file by file.

    A version that cannot be loaded any more (its object is gone, the feed refuses it now) stays as it was. One with
    rows that were corrected by hand stays too, unless `drop_corrections`: the sheet in the bucket lacks them.
    """
    outcomes = []
    chosen = pipeline.warehouse.ask(operate.versions, states=REPLAY.takes, key=key, since=since, until=until)
    for version in chosen:
        if version.corrected and not drop_corrections:
            reason = (
                f"{version.corrected} of its rows were corrected by hand and would be rejected again: "
                "--drop-corrections does so, and `loader rejects replay` then takes the corrected file again"
            )
            outcomes.append(Outcome("kept", version.key, version.file_id, error=reason))
        else:
            outcomes.append(_load(pipeline, version, REPLAY))
    return outcomes


@dataclass(frozen=True)
class Differences:
    """The differences between bucket and ledger, each with its key.

    `unseen`: no version of the object is loaded. `changed`: a version counts that is not the bucket's. `vanished`: a
    version counts whose object is gone. The watcher announces failed versions when their next attempt is due.
    """

    unseen: list[ObjectVersion]
    changed: list[ObjectVersion]
    vanished: list[Counting]

    @property
    def any(self) -> bool:
        return bool(self.unseen or self.changed or self.vanished)


def reconcile(settings: Settings, report: bool) -> Differences:
    """Compare the bucket's listing with the ledger; unless `report`, announce what is new and mark what is gone.

    Raises TransientError when S3, PostgreSQL or Kafka does not do its part.
    """
    with Pipeline(settings) as pipeline, closing(Watcher(settings)) as watcher:
        pipeline.check()
        # This comes before the listing: a file that is loaded in between is then in both.
        bucket, prefix = settings.s3_bucket, settings.s3_prefix
        counting = pipeline.warehouse.ask(operate.counting, bucket, prefix)
        listing = list(watcher.listing())
        loaded, there = {each.key for each in counting}, {version.key for version in listing}
        new = watcher.unseen(listing)
        found = Differences(
            unseen=[version for version in new if version.key not in loaded],
            changed=[version for version in new if version.key in loaded],
            vanished=[each for each in counting if each.key not in there],
        )
        if not report:
            if new:
                watcher.announce(new)
            for each in found.vanished:
                pipeline.remove_file(FileRemoved(bucket, each.key, datetime.now(UTC)))
    return found


def _named(pipeline: Pipeline, file_ids: Sequence[int]) -> list[Version]:
    found = pipeline.warehouse.ask(operate.versions, file_ids=file_ids) if file_ids else []
    if unknown := set(file_ids) - {version.file_id for version in found}:
        raise Refused(
            f"the ledger has no file {', '.join(map(str, sorted(unknown)))}: `loader files` shows what it has"
        )
    return found


def _load(pipeline: Pipeline, version: Version, step: Step) -> Outcome:
    bucket, key, file_id = version.bucket, version.key, version.file_id
    try:
        outcome = pipeline.load_file(FileArrived(bucket, key, datetime.now(UTC), dialect=None), step)
    except TransientError as error:
        pipeline.give_up(bucket, key, error)
        return Outcome(State.FAILED, key, file_id, error=str(error))
    if outcome.status == State.SOURCE_GONE:
        return Outcome("gone", key, file_id, error=outcome.error)
    if outcome.file_id != file_id:
        now = f"the bucket holds another version of it: file {outcome.file_id}, which is {outcome.status}"
        return Outcome("changed", key, file_id, error=now)
    return outcome


def _by_hand(
    pipeline: Pipeline, file_ids: Sequence[int], step: Step, change: Callable[[Session, int], bool]
) -> list[Outcome]:
    """Change each version under its file lock and in a transaction of its own."""
    outcomes = []
    for version in _named(pipeline, file_ids):
        bucket, key, file_id = version.bucket, version.key, version.file_id
        with pipeline.warehouse.session() as session, pipeline.lock(session, bucket, key):
            if not change(session, file_id):
                entry = operate.ledger_entry(session, file_id)
                assert entry  # a version is never deleted
                found = entry.status
                remedy = _REMEDIES.get(State(found), "only a loaded file can be withdrawn; `loader skip` sets it aside")
                if found != step.leads_to:
                    raise Refused(f"file {file_id} ({key}) cannot be {step.leads_to}: {remedy}")
            session.commit()
        outcomes.append(Outcome(str(step.leads_to), key, file_id))
    return outcomes
