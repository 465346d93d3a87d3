"""What a run has built is put in place while it goes on; pages are told of what changes no mart."""

from loader.migrations import execute_script_beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    execute_script_beside(__file__)
