"""The states of a file version in the ledger (`raw.files`), and which command may work on which of them.

This is the whole state machine: each `Step` below is one thing that can happen to a version. docs/architecture.md draws
it. The statements in `loader/sql` name the same states, and `tests/unit/test_ledger.py` compares the two.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of one version of an object. The check constraint of `raw.files` allows the same words."""

    DISCOVERED = "discovered"  # the ledger has it, and nobody has read it yet
    LOADING = "loading"  # a loader reads it, or died while it did
    LOADED = "loaded"  # its rows count
    REJECTED = "rejected"  # the file broke its contract as a whole; its report is kept, none of its rows counts
    FAILED = "failed"  # S3 or PostgreSQL failed too often; the watcher announces it again later
    SUPERSEDED = "superseded"  # a later version of its key was loaded in its place
    UNCHANGED = "unchanged"  # it has the bytes of the version that counts
    SOURCE_GONE = "source_gone"  # the object was removed before it was loaded
    IGNORED = "ignored"  # no feed matches its key, or the key is outside S3_PREFIX
    SKIPPED = "skipped"  # a person set it aside, or its feed keeps the first version; none of its rows counts
    WITHDRAWN = "withdrawn"  # a person took it back after it was loaded


# The verdict is still to come: somebody has to read the object.
WAITING = frozenset({State.DISCOVERED, State.LOADING, State.FAILED})
# An event, or a look of the watcher, has nothing left to do.
DONE = frozenset({State.LOADED, State.UNCHANGED, State.REJECTED, State.SKIPPED, State.WITHDRAWN})


@dataclass(frozen=True)
class Step:
    """One thing that happens to a version.

    `takes`: the states in which it may happen; in any other it changes nothing, or is refused.
    `leads_to`: the state afterwards; None where the load of the file decides: loaded, rejected, unchanged, ignored,
    skipped, failed or source_gone.
    """

    takes: frozenset[State]
    leads_to: State | None = None


# Events, and commands that load. Only these read the object again.
ANNOUNCED = Step(frozenset(State) - DONE)  # a message of the topic; a superseded version may be uploaded again
LOAD = Step(ANNOUNCED.takes | {State.REJECTED})  # `loader load`
RETRY = Step(frozenset(State) - {State.LOADED, State.UNCHANGED, State.SUPERSEDED})  # `loader retry`
REPLAY = Step(frozenset({State.LOADED, State.REJECTED, State.FAILED}))  # `loader replay`

# Commands that only change the ledger and the rows.
SKIP = Step(
    frozenset(State) - {State.LOADED, State.UNCHANGED, State.SUPERSEDED, State.WITHDRAWN}, State.SKIPPED
)  # `loader skip`
FORGET = Step(frozenset({State.LOADED}), State.WITHDRAWN)  # `loader forget`
CORRECT = Step(frozenset({State.LOADED}), State.LOADED)  # `loader rejects replay` adds rows to it

# Changes that a load makes to the other versions of the same key.
SUPERSEDE = Step(frozenset(State) - {State.SUPERSEDED, State.IGNORED, State.SKIPPED, State.WITHDRAWN}, State.SUPERSEDED)
SUPERSEDE_BESIDE = Step(  # by a feed with `reupload: append`, whose versions count side by side
    SUPERSEDE.takes - {State.LOADED, State.UNCHANGED}, State.SUPERSEDED
)
REPLACE = Step(WAITING, State.SOURCE_GONE)  # an older version is back in the bucket, so these can no longer be read

# Changes of a version whose object cannot be read.
GIVE_UP = Step(WAITING, State.FAILED)  # after the last attempt
MISS = Step(WAITING, State.SOURCE_GONE)  # the load finds no object
REMOVE = Step(WAITING, State.SOURCE_GONE)  # the object was deleted; a loaded version stays loaded, with a mark

# The states that `loader retry` takes without ids.
RETRIED = frozenset({State.FAILED, State.REJECTED})


@dataclass(frozen=True)
class Entry:
    """One version in the ledger."""

    file_id: int
    status: State

    @property
    def done(self) -> bool:
        """Whether this version has been dealt with, so that another event for it changes nothing."""
        return self.status in DONE
