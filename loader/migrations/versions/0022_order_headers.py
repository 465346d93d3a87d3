"""Sheets of order headers and sheets of order items: one sale in two files."""

from loader.migrations import execute_script_beside

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    execute_script_beside(__file__)
