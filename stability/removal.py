"""Leaving a database as it was found: what carries our mark goes, in one transaction, and nothing else."""

from collections.abc import Callable
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from stability.errors import DatabaseError

TABLES: Final = (
    "worker.tasks",
    "worker.command_registry",
    "public.import_job",
)  # what refers goes before what it refers to
ROLES: Final = ("stability_server", "stability_reader")

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
_FUNCTIONS: LiteralString = """
    SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = 'stability'::regnamespace
        OR p.pronamespace = to_regnamespace('public') AND stability.is_ours(p.oid, 'pg_proc')
"""
_USED: LiteralString = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE roleid = r.oid AND member <> current_user::regrole)
        OR EXISTS (SELECT FROM pg_catalog.pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = r.oid)
      FROM pg_catalog.pg_roles r
     WHERE r.rolname = %s AND shobj_description(r.oid, 'pg_authid') LIKE 'pg-stability:%%'
"""

_Connection = psycopg.Connection[Any]


def remove(connection: _Connection, *, drop_data: bool, tell: Callable[[str], None]) -> None:
    """Drop what is ours on watched tables and the schema; then tables and roles that we made and nobody uses."""
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
    with connection.transaction():
        made = [table for table in TABLES if _is_ours(connection, "pg_class", f"to_regclass('{table}')")]
        worker = _is_ours(connection, "pg_namespace", "to_regnamespace('worker')")
        connection.execute("DELETE FROM stability.source")
        connection.execute(_HOLD, (made,))
        connection.execute("SELECT stability.sweep()")
        (functions,) = connection.execute(_FUNCTIONS).fetchone() or ("",)
        connection.execute(sql.SQL("DROP FUNCTION {}").format(sql.SQL(functions)))
        connection.execute("DROP TABLE stability.source, stability.tuned, stability.alembic_version")
        connection.execute("DROP SEQUENCE stability.armed_until")
        connection.execute("DROP TYPE stability.activity")
        connection.execute("DROP SCHEMA stability")
        for table in made:
            _drop_table(connection, table, drop_data, tell)
        if worker:
            _drop_worker(connection, tell)
    for role in ROLES:
        _drop_role(connection, role, tell)


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
