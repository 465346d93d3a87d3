"""Alembic runs this: one connection, given by `warehouse.migrate`, and one transaction for all pending revisions."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="public")
with context.begin_transaction():
    context.run_migrations()
