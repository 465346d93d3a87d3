"""A file finds its dates in the queue by index: with 100,000 of them waiting, a scan cost each small file 5 ms."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("drop index raw.rebuild_queue_pending")
    op.execute(
        "create unique index rebuild_queue_pending on raw.rebuild_queue (file_id, sale_date) where run_id is null"
    )
