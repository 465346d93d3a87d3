"""The raw schema, the roles and their grants, and the published mart version."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # Through the driver: a script of several statements, in which % is no placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver
    driver.execute(Path(__file__).with_suffix(".sql").read_text())
