"""The dbt worker's turn is a lease that lapses, and that the loader's login alone can take."""

from loader.migrations import execute_script_beside

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    execute_script_beside(__file__)
