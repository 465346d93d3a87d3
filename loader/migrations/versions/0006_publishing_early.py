"""What a run has built is put in place while it goes on; pages are told of what changes no mart."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # Through the driver: a script of several statements, in which % is no placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver
    driver.execute(Path(__file__).with_suffix(".sql").read_text())
