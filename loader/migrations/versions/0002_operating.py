"""What operating the loader needs: how a sheet was read, rows replayed by hand, versions set aside by hand."""

from loader.migrations import execute_script_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    execute_script_beside(__file__)
