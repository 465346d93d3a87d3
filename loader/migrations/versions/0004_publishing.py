"""Facts and marts are published in one moment, each by the statement that its own dbt model wrote."""

from loader.migrations import execute_script_beside

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    execute_script_beside(__file__)
