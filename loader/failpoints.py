"""The steps of a load at which a test may kill or stop the process. No setting arms one: only code does."""

import signal
from threading import get_ident

STEPS = ("received", "locked", "discovered", "claimed", "copying", "copied", "finished", "committed", "offset")

armed: set[str] = set()
sent = signal.SIGKILL


def reach(step: str) -> None:
    """Die here, as by power loss, when this step is armed; or stand still, where `sent` is SIGSTOP."""
    if step in armed:
        armed.remove(step)  # who is woken up again goes on
        # To this thread: a SIGSTOP for the process may fall to another one, and this one commits before that one wakes.
        signal.pthread_kill(get_ident(), sent)
