"""What operating the loader needs: how a sheet was read, rows replayed by hand, versions set aside by hand."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # Through the driver: a script of several statements, in which % is no placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver
    driver.execute(Path(__file__).with_suffix(".sql").read_text())
