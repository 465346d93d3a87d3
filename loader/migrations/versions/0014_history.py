"""What needs all customers or all orders is built by runs of its own, which hold up no arrival."""

from loader.migrations import execute_script_beside

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    execute_script_beside(__file__)
