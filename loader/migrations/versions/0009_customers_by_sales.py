"""Customers that are there already get the index by net sales that dbt gives new ones."""

from loader.migrations import execute_script_beside

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    execute_script_beside(__file__)
