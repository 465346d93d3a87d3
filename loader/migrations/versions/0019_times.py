"""Whether the moments of a file have a time of day, and in which zone its shop keeps it."""

from loader.migrations import execute_script_beside

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    execute_script_beside(__file__)
