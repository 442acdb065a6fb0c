"""Removing what demos wrote: their jobs and tasks in the host's tables, the commands they registered, their schema."""

from typing import Any, LiteralString

from psycopg import Connection

from stability.demo import ledger
from stability.errors import DatabaseError

_LIVE: LiteralString = """
    SELECT id FROM stability_demo.run WHERE ended_at IS NULL AND NOT pg_try_advisory_xact_lock(%s, id) LIMIT 1
"""
# Each runs in turn, where its tables are still there. They may have been made anew, with ids that mean other rows: a
# second trait must agree. A command that tasks of others use stays.
_REMOVE: tuple[tuple[tuple[str, ...], LiteralString], ...] = (
    (
        ("worker.tasks",),
        """
        DELETE FROM worker.tasks AS t USING stability_demo.work AS w
         WHERE t.id::text = w.task::text AND t.command::text IN ('demo_profile_columns', 'demo_profile_rows')
        """,
    ),
    (
        ("public.import_job",),
        """
        DELETE FROM public.import_job AS j USING stability_demo.run AS r
         WHERE j.id::text = r.job::text AND coalesce(to_jsonb(j) ->> 'slug', r.slug) = r.slug
        """,
    ),
    (
        ("worker.tasks", "worker.command_registry"),
        """
        DELETE FROM worker.command_registry AS c USING stability_demo.registered AS r
         WHERE c.command::text = r.command AND NOT EXISTS (SELECT FROM worker.tasks AS t WHERE t.command = c.command)
        """,
    ),
    ((), "DROP SCHEMA stability_demo CASCADE"),
)


def clean_up(connection: Connection[Any]) -> bool:
    """Remove it all or nothing, and say whether there was anything; raises DatabaseError while a demo is running."""
    with connection.transaction():
        if not ledger.exists(connection):
            return False
        live = connection.execute(_LIVE, (ledger.LOCK,)).fetchone()
        if live is not None:
            raise DatabaseError(f"demo run {live[0]} is going on; stop it first, or wait for its end")
        for tables, statement in _REMOVE:
            if all(_exists(connection, table) for table in tables):
                connection.execute(statement)
    return True


def _exists(connection: Connection[Any], table: str) -> bool:
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone() == (True,)
