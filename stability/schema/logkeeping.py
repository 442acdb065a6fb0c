"""The log of executions begun beside writers: none waits while a large table is counted, and every row is right."""

from collections.abc import Callable
from typing import Any, Final, LiteralString

import psycopg
from psycopg import IsolationLevel

PATIENCE: Final = "30s"  # to lock the tables, in attempts that nobody waits longer than 2 s for

_MISSING: LiteralString = """
    SELECT w.relation::text, w.name::text FROM stability.wanted_execution_triggers() w WHERE NOT w.present
"""
_HOLD: LiteralString = """
    SELECT stability.hold(array_agg(t.relation ORDER BY t.place, t.relation), CASE WHEN EXISTS (
               SELECT FROM stability.wanted_execution_triggers() w WHERE w.problem LIKE 'is not the trigger%%')
           THEN 'ACCESS EXCLUSIVE' ELSE 'SHARE ROW EXCLUSIVE' END, %s)
      FROM (SELECT f.member, -f.depth FROM stability.family(to_regclass('public.executions')) f
             UNION ALL SELECT to_regclass('public.status_log'), 1) t (relation, place)
"""
_PLACE: LiteralString = """
    SELECT stability.place_execution_trigger(w.relation, w.name) FROM stability.wanted_execution_triggers() w
     WHERE NOT w.present
"""
_UNCORRECTED: LiteralString = "SELECT FROM stability.kept WHERE corrected_from IS NOT NULL"
_LACKED: LiteralString = """
    SELECT ARRAY[c.pending - l.executions_pending, c.ready - l.executions_ready, c.running - l.executions_running,
                 c.finished - l.executions_finished, c.failed - l.executions_failed,
                 c.cancelled - l.executions_cancelled]::bigint[]
      FROM stability.execution_counts() c, (SELECT * FROM public.status_log ORDER BY id DESC LIMIT 1) l
"""

_Connection = psycopg.Connection[Any]


def keep(connection: _Connection, tell: Callable[[str], None]) -> None:
    """Make the log's triggers stand, then correct the counts from where they began; again does nothing.

    `connection` is in autocommit mode. A migration that is cut off in between leaves the correction to the next one.
    """
    if missing := connection.execute(_MISSING).fetchall():
        for relation, name in missing:
            tell(f"placing the trigger {name} on {relation}")
        with connection.transaction():
            connection.execute(_HOLD, (PATIENCE,))
            if any(name.startswith("log_execution") for _, name in missing):
                connection.execute("SELECT stability.begin_log()")
            connection.execute(_PLACE)
    if connection.execute(_UNCORRECTED).fetchone() is not None:
        lacked = _counted(connection)
        connection.execute("SELECT stability.correct_log(%s)", (lacked,))


def _counted(connection: _Connection) -> list[int]:
    """What the newest row lacks; both are read in one snapshot, so it does not matter that others go on meanwhile."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            (lacked,) = connection.execute(_LACKED).fetchone() or ([0] * 6,)
    finally:
        connection.isolation_level = None
    return list(lacked)
