"""Runs the revisions: inside the transaction of `schema.migration.migrate`, which re-applies sql/ after them."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("Run `stability migrate`: the revisions make the tables only, the code in sql/ goes with them.")

context.configure(connection=connection, version_table_schema="stability")
with context.begin_transaction():
    context.run_migrations()
