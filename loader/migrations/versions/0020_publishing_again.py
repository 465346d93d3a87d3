"""A publication that meets a reader the other way round, or a view that is going, begins again: its run is not lost."""

from loader.migrations import execute_script_beside

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    execute_script_beside(__file__)
