"""A line has a unit price or a total, and may have a cost of its own."""

from loader.migrations import execute_script_beside

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    execute_script_beside(__file__)
