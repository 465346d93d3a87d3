"""What a feed shares with others: the identifiers of which members mean the same in all that share them."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("alter table raw.files add column if not exists shares text[]")
    # Until now all feeds shared all of them; files count as before until they are replayed.
    op.execute("update raw.files set shares = '{customers,products,stores}' where shares is null")
    op.execute("alter table raw.files alter column shares set default '{}', alter column shares set not null")
