"""History that Spark has modelled, beside the live window."""

from loader.migrations import execute_script_beside

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    execute_script_beside(__file__)
