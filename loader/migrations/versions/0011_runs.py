"""A run of dbt claims what it rebuilds and publishes it at its end, whoever started it."""

from loader.migrations import execute_script_beside

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    execute_script_beside(__file__)
