"""What people enter: targets and their changes, notes on days; views of one's own, and one to begin with."""

from loader.migrations import execute_script_beside

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    execute_script_beside(__file__)
