"""The ledger keeps what a file's cells are like, so that sheets of a feed can be compared."""

from loader.migrations import execute_script_beside

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    execute_script_beside(__file__)
