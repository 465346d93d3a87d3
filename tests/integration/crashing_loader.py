"""The loader's command line with a failpoint armed: `python -m tests.integration.crashing_loader STEP COMMAND…`.

`STEP` kills the process there, `stop:STEP` stops it until it gets SIGCONT.
"""

import signal
import sys

from loader import cli, failpoints

if __name__ == "__main__":
    how, _, step = sys.argv.pop(1).rpartition(":")
    assert step in failpoints.STEPS
    failpoints.armed.add(step)
    failpoints.sent = signal.SIGSTOP if how == "stop" else signal.SIGKILL
    cli.main()
