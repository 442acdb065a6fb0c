"""Leaving a database as it was found: what carries our mark goes, and nothing else.

It goes in one transaction, unless somebody holds what a trigger made him lock. He may hold no table any more: one who
wrote and went back to a savepoint keeps the register until he ends. If whoever holds the tables waited for him, and he
wrote again, Postgres would end one of the two. So the triggers go first, for nobody else to come to hold it, the tables
are given back, and the rest follows once he is gone.
"""

import random
import time
from collections.abc import Callable
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from stability.errors import DatabaseError

TABLES: Final = (
    "public.status_log",
    "public.executions",
    "worker.tasks",
    "worker.command_registry",
    "public.import_job",
    "public.deployments",
    "public.health_checks",
    "public.services",
    "public.generated_applications",
)  # what refers goes before what it refers to
ROLES: Final = ("stability_server", "stability_reader")
PATIENCE: Final = 30.0  # seconds that transactions may take which hold what is to go

_IS_OURS: LiteralString = """
    SELECT coalesce(obj_description(n.oid, 'pg_namespace') LIKE 'pg-stability:%', false)
      FROM pg_catalog.pg_namespace n WHERE n.nspname = 'stability'
"""
_HOLD: LiteralString = """
    SELECT stability.hold(array_agg(r ORDER BY r), 'ACCESS EXCLUSIVE')
      FROM (SELECT relation FROM stability.obsolete()
             UNION SELECT relation FROM stability.obsolete_settings() WHERE standing
             UNION SELECT unnest(%s::regclass[])) AS held (r)
    HAVING count(*) > 0
"""
# What a host's own table was given because it lacked it.
_COLUMNS: LiteralString = """
    SELECT format('ALTER TABLE %s DROP COLUMN %I', a.attrelid::regclass, a.attname)
      FROM pg_catalog.pg_attribute a
     WHERE a.attrelid IN (to_regclass('public.deployments'), to_regclass('public.generated_applications'))
       AND a.attnum > 0 AND NOT a.attisdropped
       AND col_description(a.attrelid, a.attnum) LIKE 'pg-stability:%'
"""
_FUNCTIONS: LiteralString = """
    SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'stability'::regnamespace
        OR p.pronamespace = to_regnamespace('public') AND stability.is_ours(p.oid, 'pg_proc')
"""
_GRANTED: LiteralString = """
    SELECT format('REVOKE ALL ON %s %s FROM stability_server', kind, name)
      FROM (VALUES ('TABLE', 'public.executions'), ('TABLE', 'public.status_log'),
                   ('SEQUENCE', pg_get_serial_sequence('public.executions', 'id')),
                   ('TABLE', to_regclass('public.deployments')::text),
                   ('SEQUENCE', CASE WHEN stability.has_column(to_regclass('public.deployments'), 'id')
                                     THEN pg_get_serial_sequence('public.deployments', 'id') END),
                   ('TABLE', to_regclass('public.generated_applications')::text)
           ) AS granted (kind, name)
     WHERE to_regclass(name) IS NOT NULL AND to_regrole('stability_server') IS NOT NULL
"""
# Half of what hold() has left of deadlock_timeout, after which Postgres looks for deadlocks.
_BRIEFLY: LiteralString = """
    SELECT pg_catalog.set_config('lock_timeout', greatest(1,
        extract(epoch FROM current_setting('deadlock_timeout')::interval) * 125)::integer::text, true)
"""
# What Postgres would say of the registers and the schema, if it could have the lock that it takes before it looks.
_BUILT_ON: LiteralString = """
    SELECT CASE WHEN r.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
               ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END,
           pg_describe_object(d.refclassid, d.refobjid, 0)
      FROM pg_catalog.pg_depend d
      LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
     WHERE (d.refclassid, d.refobjid) IN (('pg_namespace'::regclass, 'stability'::regnamespace::oid),
               ('pg_class'::regclass, 'stability.armed_until'::regclass::oid),
               ('pg_class'::regclass, 'stability.alerts_awaited'::regclass::oid))
       AND (d.classid, d.objid) NOT IN (('pg_class'::regclass, 'stability.armed_until'::regclass::oid),
               ('pg_class'::regclass, 'stability.alerts_awaited'::regclass::oid))
       AND d.deptype = 'n'
     LIMIT 1
"""
_HOLDERS: LiteralString = """
    SELECT l.relation::regclass::text, format('pid %s (%s)', a.pid, concat_ws(', ', nullif(a.application_name, ''),
               a.usename, a.state, extract(epoch FROM clock_timestamp() - a.xact_start)::integer
               || ' s in its transaction'))
      FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE l.granted AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
       AND l.pid <> pg_backend_pid()
       AND l.relation IN (
           SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace = 'stability'::regnamespace
           UNION ALL
           SELECT d.objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'
            WHERE (d.classid, d.refclassid) = ('pg_class'::regclass, 'pg_class'::regclass)
              AND d.deptype IN ('a', 'i') AND stability.is_ours(d.refobjid, 'pg_class'))
     ORDER BY a.xact_start, l.relation LIMIT 1
"""
_USED: LiteralString = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE roleid = r.oid AND member <> current_user::regrole)
        OR EXISTS (SELECT FROM pg_catalog.pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = r.oid)
      FROM pg_catalog.pg_roles r
     WHERE r.rolname = %s AND shobj_description(r.oid, 'pg_authid') LIKE 'pg-stability:%%'
"""

_Connection = psycopg.Connection[Any]


def remove(connection: _Connection, *, drop_data: bool, tell: Callable[[str], None]) -> None:
    """Drop what is ours on watched tables and the schema; then tables and roles that we made and nobody uses.

    Raises DatabaseError when the schema is somebody else's, when somebody builds on ours, and when somebody has held a
    part of it for `PATIENCE`.
    """
    match connection.execute(_IS_OURS).fetchone():
        case (True,):
            pass
        case (False,):
            raise DatabaseError(
                "The schema stability in this database is somebody else's; there is nothing of ours to remove."
            )
        case _:
            tell("there is nothing of ours in this database")
            return
    deadline, told = time.monotonic() + PATIENCE, False
    while not _remove_at_once(connection, drop_data, tell):
        while holder := _holder(connection, deadline):
            if not told:
                tell(f"the triggers are gone; waiting for a transaction that may have met one: {holder}")
                told = True
    for role in ROLES:
        _drop_role(connection, role, tell)


def _remove_at_once(connection: _Connection, drop_data: bool, tell: Callable[[str], None]) -> bool:
    """Whether all of it went; else only the triggers did, so that nobody else comes to hold what somebody holds."""
    lines: list[str] = []
    with connection.transaction():
        made = [table for table in TABLES if _is_ours(connection, "pg_class", f"to_regclass('{table}')")]
        worker = _is_ours(connection, "pg_namespace", "to_regnamespace('worker')")
        connection.execute("DELETE FROM stability.source")
        connection.execute("DELETE FROM stability.kept")
        connection.execute(_HOLD, (made,))
        connection.execute("SELECT stability.sweep()")
        _revoke(connection)
        for (statement,) in connection.execute(_COLUMNS).fetchall():
            connection.execute(sql.SQL(statement))
        try:
            with connection.transaction():
                connection.execute(_BRIEFLY)
                _drop_schema(connection)
                for table in made:
                    _drop_table(connection, table, drop_data, lines.append)
                if worker:
                    _drop_worker(connection, lines.append)
        except psycopg.errors.LockNotAvailable:
            return False
    for line in lines:
        tell(line)
    return True


def _revoke(connection: _Connection) -> None:
    """Take back what the server was granted on monitors' tables, so that tables that stay are as they were found."""
    for (revoke,) in connection.execute(_GRANTED).fetchall():
        connection.execute(sql.SQL(revoke))


def _holder(connection: _Connection, deadline: float) -> str | None:
    """After a while, one of those who hold what is to go, if anybody does; raises DatabaseError after the deadline."""
    time.sleep(random.uniform(0.05, 0.25))  # noqa: S311 -- jitter
    what, who = connection.execute(_HOLDERS).fetchone() or ("stability.armed_until", None)
    if time.monotonic() > deadline:
        who = who or "a transaction that has just ended"
        raise DatabaseError(f"{what} is in use, now by {who}; wait for that to end, or end it, then try again.")
    return who


def _drop_schema(connection: _Connection) -> None:
    (functions,) = connection.execute(_FUNCTIONS).fetchone() or ("",)
    connection.execute(sql.SQL("DROP FUNCTION {}").format(sql.SQL(functions)))
    connection.execute("DROP TABLE stability.delivery, stability.outbox, stability.seen_active")
    connection.execute("DROP TABLE stability.altered, stability.kept, stability.unsorted, stability.transition")
    connection.execute("DROP TABLE stability.service_slots, stability.consul")
    connection.execute("DROP TABLE stability.source, stability.tuned, stability.alembic_version")
    connection.execute("DROP TYPE stability.activity")
    if built := connection.execute(_BUILT_ON).fetchone():
        raise DatabaseError("{} depends on {}; drop that first.".format(*built))
    connection.execute("DROP SEQUENCE stability.alerts_awaited, stability.armed_until")
    connection.execute("DROP SCHEMA stability")


def _is_ours(connection: _Connection, catalog: str, lookup: str) -> bool:
    query = sql.SQL("SELECT stability.is_ours({}, {})").format(sql.SQL(lookup), catalog)
    return connection.execute(query).fetchone() == (True,)


def _drop_table(connection: _Connection, table: str, drop_data: bool, tell: Callable[[str], None]) -> None:
    name = sql.Identifier(*table.split("."))
    filled = connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(name)).fetchone() == (True,)
    if filled and not drop_data:
        tell(f"{table} has rows and stays; `stability migrate`, then --uninstall --drop-data, drops it")
    else:
        connection.execute(sql.SQL("DROP TABLE {}").format(name))


def _drop_worker(connection: _Connection, tell: Callable[[str], None]) -> None:
    try:
        with connection.transaction():
            connection.execute("DROP SCHEMA worker")
    except psycopg.errors.DependentObjectsStillExist:
        tell("the schema worker is not empty and stays")


def _drop_role(connection: _Connection, role: str, tell: Callable[[str], None]) -> None:
    match connection.execute(_USED, (role,)).fetchone():
        case (True,):
            tell(f"the role {role} is in use and stays")
        case (False,):
            try:
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
            except psycopg.errors.InsufficientPrivilege:
                tell(f"the role {role} stays: this user may not drop it")
