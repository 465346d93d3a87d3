"""The ledger says what is odd about a file that counts; only a failed file has a next attempt."""

from loader.migrations import execute_script_beside

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    execute_script_beside(__file__)
