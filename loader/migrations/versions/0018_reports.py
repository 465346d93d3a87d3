"""Reports by mail, deliveries shared with alerts, and alerts that may be changed and look at weeks and months."""

from loader.migrations import execute_script_beside

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    execute_script_beside(__file__)
