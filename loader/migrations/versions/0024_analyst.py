"""A login for SQL clients and BI tools, which reads what is modelled and nothing that is raw."""

from loader.migrations import execute_script_beside

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    execute_script_beside(__file__)
