"""Facts that are there already get the indexes that dbt gives new ones: customers behind dates."""

from loader.migrations import execute_script_beside

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    execute_script_beside(__file__)
