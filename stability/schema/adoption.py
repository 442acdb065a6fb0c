"""What we need on tables that other people write to: no writer waits longer than 2 s, and none fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from stability.errors import DatabaseError
from stability.schema import logkeeping

PATIENCE: Final = "30s"  # to lock a table, in attempts that nobody waits longer than 2 s for
BUILD_PATIENCE: Final = "10min"  # a concurrent build waits for transactions older than itself, and nobody waits for it

_MISSING_TRIGGERS: LiteralString = """
    SELECT DISTINCT w.relation::text, w.name::text
      FROM stability.candidates() c CROSS JOIN LATERAL stability.wanted_triggers(c) w WHERE NOT w.present
"""
_NEXT_INDEX: LiteralString = """
    SELECT w.relation::text, w.kind = 'p', w.name::text, w.definition, w.obstacle::text
      FROM stability.candidates() c CROSS JOIN LATERAL stability.wanted_indexes(c) w WHERE NOT w.present
    UNION ALL
    SELECT w.relation::text, w.kind = 'p', w.name::text, w.definition, w.obstacle::text
      FROM stability.wanted_execution_indexes() w WHERE NOT w.present
    UNION ALL
    SELECT w.relation::text, w.kind = 'p', w.name::text, w.definition, w.obstacle::text
      FROM stability.wanted_application_index() w WHERE NOT w.present LIMIT 1
"""
# built by a migration that ended before it could say whose they are
_UNMARKED: LiteralString = """
    SELECT w.relation::text, w.name::text
      FROM (SELECT w.relation, w.name FROM stability.candidates() c CROSS JOIN LATERAL stability.wanted_indexes(c) w
             UNION ALL SELECT w.relation, w.name FROM stability.wanted_execution_indexes() w) w
      JOIN pg_catalog.pg_index i ON i.indrelid = w.relation
      JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid AND x.relname = w.name
     WHERE NOT stability.is_ours(x.oid, 'pg_class')
"""
_OLD_TRANSACTIONS: LiteralString = """
    SELECT string_agg(format('pid %s (%s)', pid, coalesce(nullif(application_name, ''), usename)), ', ')
      FROM pg_catalog.pg_stat_activity
     WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
"""
_MISSING_SETTINGS: LiteralString = """
    SELECT lacking.relation::text, array_agg(lacking.name), array_agg(lacking.value)
      FROM (SELECT DISTINCT w.relation, w.name, w.value
              FROM stability.candidates() c CROSS JOIN LATERAL stability.wanted_settings(c) w
             WHERE NOT w.present) AS lacking
     GROUP BY lacking.relation
"""
_TUNE: LiteralString = (
    "SELECT stability.tune(%s, name, value) FROM unnest(%s::text[], %s::text[]) AS lacking (name, value)"
)
_HOLD_UNTUNED: LiteralString = """
    SELECT stability.hold(array_agg(DISTINCT o.relation), 'SHARE UPDATE EXCLUSIVE', %s)
      FROM stability.obsolete_settings() o WHERE o.standing HAVING count(*) > 0
"""
_LACKING: LiteralString = (
    "SELECT DISTINCT w.relation::text FROM stability.wanted_parts() w WHERE NOT w.present ORDER BY 1"
)
_HOLD: LiteralString = "SELECT stability.hold(ARRAY[%s::regclass], %s, %s)"
_HOLD_FAMILY: LiteralString = """
    SELECT stability.hold(array_agg(f.member ORDER BY f.depth, f.member), %s, %s) FROM stability.family(%s) f
"""
_PLACE: LiteralString = "SELECT stability.place_trigger(%s, %s)"
_MARK: LiteralString = "SELECT stability.mark_index(%s, %s)"

_Connection = psycopg.Connection[Any]


def adopt(connection: _Connection, tell: Callable[[str], None]) -> None:
    """Make what every source needs stand, triggers first; then read by it, and drop what no source wants any more.

    `connection` is in autocommit mode: each step is a transaction of its own, so that no lock is held for long.
    """
    for relation, name in connection.execute(_MISSING_TRIGGERS).fetchall():
        tell(f"placing the trigger {name} on {relation}")
        with connection.transaction():
            connection.execute(_HOLD, (relation, "ACCESS EXCLUSIVE", PATIENCE))
            connection.execute(_PLACE, (relation, name))
    logkeeping.keep(connection, tell)
    _build_indexes(connection, tell)
    connection.execute("SELECT stability.register(c) FROM stability.candidates() c")
    _drop_obsolete(connection, tell)
    _tune(connection, tell)
    for (relation,) in connection.execute(_LACKING).fetchall():
        tell(f"adopting {relation}")
        connection.execute("SELECT stability.adopt(%s)", (relation,))
    _build_indexes(connection, tell)  # of columns that were missing


def _build_indexes(connection: _Connection, tell: Callable[[str], None]) -> None:
    for relation, name in connection.execute(_UNMARKED).fetchall():
        connection.execute(_MARK, (relation, name))
    while missing := connection.execute(_NEXT_INDEX).fetchone():
        relation, partitioned, name, definition, obstacle = missing
        if obstacle:
            tell(f"dropping the invalid index {obstacle}")
            _drop_index(connection, relation, obstacle)
            continue
        tell(f"building the index {name} on {relation}")
        create = sql.SQL("CREATE INDEX {} {} ON {} {}").format(
            sql.SQL("" if partitioned else "CONCURRENTLY"),
            sql.Identifier(name),
            sql.SQL(relation),
            sql.SQL(definition),
        )
        if partitioned:
            # the leaves have theirs: this one only ties them together
            with connection.transaction():
                connection.execute(_HOLD_FAMILY, ("SHARE", PATIENCE, relation))
                connection.execute(create)
        else:
            _concurrently(connection, create)
        connection.execute(_MARK, (relation, name))


def _drop_index(connection: _Connection, relation: str, index: str) -> None:
    partitioned = connection.execute("SELECT relkind = 'I' FROM pg_catalog.pg_class WHERE oid = %s::regclass", (index,))
    if partitioned.fetchone() == (False,):
        _concurrently(connection, sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.SQL(index)))
        return
    with connection.transaction():
        connection.execute(_HOLD_FAMILY, ("ACCESS EXCLUSIVE", PATIENCE, relation))
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.SQL(index)))


def _drop_obsolete(connection: _Connection, tell: Callable[[str], None]) -> None:
    for relation, kind, what in connection.execute(
        "SELECT relation::text, kind, object FROM stability.obsolete()"
    ).fetchall():
        tell(f"dropping the {kind.partition(' ')[0].lower()} {what}, which no source needs any more")
        if kind == "TRIGGER":
            with connection.transaction():
                connection.execute(_HOLD, (relation, "ACCESS EXCLUSIVE", PATIENCE))
                connection.execute(sql.SQL("DROP TRIGGER {}").format(sql.SQL(what)))
        else:
            _drop_index(connection, relation, what)


def _tune(connection: _Connection, tell: Callable[[str], None]) -> None:
    with _unless_busy(connection, tell):
        connection.execute(_HOLD_UNTUNED, (PATIENCE,))
        connection.execute("SELECT stability.untune()")
    for relation, names, values in connection.execute(_MISSING_SETTINGS).fetchall():
        tell(f"setting {' and '.join(names)} of {relation}")
        with _unless_busy(connection, tell):
            connection.execute(_HOLD, (relation, "SHARE UPDATE EXCLUSIVE", PATIENCE))
            connection.execute(_TUNE, (relation, names, values))


@contextmanager
def _unless_busy(connection: _Connection, tell: Callable[[str], None]) -> Iterator[None]:
    """A transaction that a VACUUM of hours may keep from its lock: reads are right without it, so it can wait."""
    try:
        with connection.transaction():
            yield
    except psycopg.errors.RaiseException as busy:
        tell(f"left for the next migration: {busy.diag.message_primary}")


def _concurrently(connection: _Connection, statement: sql.Composed) -> None:
    connection.execute(sql.SQL("SET lock_timeout = {}").format(BUILD_PATIENCE))
    try:
        connection.execute(statement)
    except psycopg.errors.LockNotAvailable as error:
        (holders,) = connection.execute(_OLD_TRANSACTIONS).fetchone() or (None,)
        raise DatabaseError(
            f"Transactions older than the index stay open after {BUILD_PATIENCE}: {holders}; end them and try again."
        ) from error
    finally:
        connection.execute("RESET lock_timeout")
