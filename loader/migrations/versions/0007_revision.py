"""The loader may ask of which revision the database is, and says so when it is of an older one than its own."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("grant usage on schema public to loader")  # which a server may have taken from everybody
    op.execute("grant select on public.alembic_version to loader")
