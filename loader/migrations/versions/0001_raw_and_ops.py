"""The raw schema, the roles and their grants, and the published mart version."""

from loader.migrations import execute_script_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    execute_script_beside(__file__)
