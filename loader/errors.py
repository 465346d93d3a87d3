"""Everything that can go wrong, named by how a loop reacts to it.

LoaderError
├── SettingsError   one clear line at start, exit 2
├── Refused         a person's command that cannot be done as asked: one clear line, exit 1
├── TransientError  back off and retry; the offset stays uncommitted
├── InvalidEvent    dead-letter topic, then commit
└── InvalidFile     ledger `rejected` with a report, then commit

Anything else is a defect: it crashes the process, the supervisor restarts it, and it is visible.
A bad row is data, not an exception: see `rejects.Rejected`.
"""


class LoaderError(Exception):
    """Says what failed, where, and what to run next."""


class SettingsError(LoaderError):
    """A setting, or a feed file, is missing or wrong."""


class Refused(LoaderError):
    """A person asked for something that cannot be done so."""


class TransientError(LoaderError):
    """The infrastructure's fault: the same work may succeed later."""


class ObjectGone(TransientError):
    """The object is not there (any more), or changed while it was read.

    Where a load begins, that is its outcome and no error: see `Pipeline.load_file`.
    """


class InvalidEvent(LoaderError):
    """A message that no retry will make readable."""


class InvalidFile(LoaderError):
    """A file that broke its contract as a whole."""
