"""The loader's command line with a failpoint armed: `python -m tests.integration.crashing_loader STEP COMMAND…`."""

import sys

from loader import cli, failpoints

if __name__ == "__main__":
    failpoints.armed = sys.argv.pop(1)
    assert failpoints.armed in failpoints.STEPS
    cli.main()
