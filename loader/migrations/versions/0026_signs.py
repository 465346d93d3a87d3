"""The sign of a currency in an order's item is held against the currency of its order."""

from loader.migrations import execute_script_beside

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    execute_script_beside(__file__)
