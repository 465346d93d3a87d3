"""The steps of a load at which a test may kill or stop the process. No setting arms one: only code does."""

import signal
from threading import get_ident

STEPS = ("received", "locked", "discovered", "claimed", "copying", "copied", "finished", "committed", "offset")

armed: set[str] = set()
sent = signal.SIGKILL


def reach(step: str) -> None:
    """Die here, as in a power loss, when this step is armed; or stop, if `sent` is SIGSTOP."""
    if step in armed:
        armed.remove(step)  # who is woken up again goes on
        # The signal goes to this thread: if another one took it, this one would commit before that one stops all.
        signal.pthread_kill(get_ident(), sent)
