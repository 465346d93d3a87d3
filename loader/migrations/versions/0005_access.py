"""Who may read what, as roles of the database; what the dashboard itself keeps: saved views and alerts."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Through the driver: a script of several statements, in which % is no placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver
    driver.execute(Path(__file__).with_suffix(".sql").read_text())
