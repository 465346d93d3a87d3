"""Pairs and the year of RFM are counted by other rules: dbt builds these marts anew, as it finds none."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    for mart in ("kpi_monthly_product_pairs", "kpi_customers", "kpi_rfm_cells"):
        op.execute(f"drop table if exists kpi.{mart} cascade")
    # By which the dates that a run reaches are replaced; a mart that is there already would not get it from dbt.
    op.execute(
        "do $$ begin if to_regclass('kpi.kpi_daily_original_returns') is not null then"
        " create index on kpi.kpi_daily_original_returns (sale_date); end if; end $$"
    )
