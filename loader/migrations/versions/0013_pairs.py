"""Pairs are counted by other rules, with columns that old months would lack: dbt's next run builds the mart anew."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("drop table if exists kpi.kpi_monthly_product_pairs cascade")
