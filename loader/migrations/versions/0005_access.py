"""Who may read what, as roles of the database; what the dashboard itself keeps: saved views and alerts."""

from loader.migrations import execute_script_beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    execute_script_beside(__file__)
