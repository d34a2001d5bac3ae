"""Alembic's way in: runs on the connection that `limner.ledger.migrating` hands over."""

from alembic import context

from limner.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
