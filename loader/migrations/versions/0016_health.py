"""Whether the figures can be trusted: which processes are up, what the bucket holds, and what is wrong."""

from loader.migrations import execute_script_beside

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    execute_script_beside(__file__)
