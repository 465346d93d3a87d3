"""The steps of a load at which a test may kill the process. No setting arms one: only code that sets `armed` does."""

import os
import signal

STEPS = ("received", "locked", "discovered", "claimed", "copying", "copied", "finished", "committed", "offset")

armed: str | None = None


def reach(step: str) -> None:
    """Die here, as by power loss, when this step is armed."""
    if step == armed:
        os.kill(os.getpid(), signal.SIGKILL)
