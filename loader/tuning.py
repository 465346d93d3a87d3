"""Settings of the whole process that make it faster or smaller, each with what it was measured to gain.

The command line calls them, and so does `make bench`. A module that changed them by itself would change them for
everybody who imports it. The patches of dbt and its driver are in dbt_patches.py.
"""

import gc
import sys

import pyarrow as pa


def for_loads() -> None:
    """For a process that loads files."""
    # The two threads of a load hand the interpreter to each other for every hundred kilobytes that PostgreSQL takes. At
    # the default of 5 ms each time, a load took a quarter longer.
    sys.setswitchinterval(0.0002)
    # Arrow's own allocator keeps some 40 MB more than it uses, and gains no time.
    pa.set_memory_pool(pa.system_memory_pool())


def keep_what_is_there() -> None:
    """Take everything that is in memory now out of garbage collection: it stays as long as the process.

    To walk through dbt's manifest cost the collector 0.4 s in the middle of a run.
    """
    gc.collect()
    gc.freeze()
