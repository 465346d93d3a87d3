"""What being scraped needs: what waits and what was modelled lately, without reading the whole ledger."""

from loader.migrations import execute_script_beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    execute_script_beside(__file__)
