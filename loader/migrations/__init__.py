"""The schemas of raw, ops and next, and their roles and grants, revision by revision."""

from pathlib import Path

from alembic import op


def execute_script_beside(revision: str) -> None:
    """Run the SQL file of the same name as the revision's own file, `__file__` there."""
    # Through the driver: a script of several statements, in which % is no placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver
    driver.execute(Path(revision).with_suffix(".sql").read_text())
