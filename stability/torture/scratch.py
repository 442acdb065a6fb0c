"""Databases of our own on somebody's server: made, cloned, and dropped again, whatever happens."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from stability import schema
from stability.database import reason
from stability.errors import DatabaseError
from stability.removal import ROLES

PREFIX: LiteralString = "stability_torture_"

_CHECK: LiteralString = """
    SELECT current_user, rolcreatedb OR rolsuper, current_setting('max_prepared_transactions') = '0'
      FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
_EXISTING: LiteralString = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)"


@contextmanager
def databases(conninfo: str, number: int) -> Iterator[list[str]]:
    """Connection strings of so many migrated databases, on the server that `conninfo` names.

    Raises DatabaseError when they cannot be made. They are gone at the end, and the roles that they brought.
    """
    name = PREFIX + secrets.token_hex(4)
    names = [name, *(f"{name}_{n}" for n in range(1, number))]
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=5) as owner:
            _check(owner)
            before = {role for (role,) in owner.execute(_EXISTING, (list(ROLES),))}
            try:
                yield list(_made(owner, conninfo, names))
            finally:
                _drop(owner, names, set(ROLES) - before)
    except psycopg.OperationalError as error:
        raise DatabaseError(f"the database does not let us in: {reason(error)}") from error


def _check(owner: psycopg.Connection[Any]) -> None:
    role, may_create, hints = owner.execute(_CHECK).fetchone() or ("", False, False)
    if not may_create:
        raise DatabaseError(
            f'The role {role} may not create databases: ALTER ROLE "{role}" CREATEDB, or name another role.'
        )
    if not hints:
        raise DatabaseError(
            "This server has max_prepared_transactions above 0, so that writers never notify and there is little to"
            " torture: name one where it is 0."
        )


def _made(owner: psycopg.Connection[Any], conninfo: str, names: list[str]) -> Iterator[str]:
    template = sql.Identifier(names[0])
    for name in names:
        fresh = make_conninfo(conninfo, dbname=name, application_name=None)
        if name == names[0]:
            owner.execute(sql.SQL("CREATE DATABASE {}").format(template))
            schema.migrate(fresh, lambda _line: None)
        else:
            owner.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), template))
        yield fresh


def _drop(owner: psycopg.Connection[Any], names: list[str], roles: set[str]) -> None:
    for name in reversed(names):
        owner.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    for role in roles:
        with suppress(psycopg.errors.DependentObjectsStillExist, psycopg.errors.InsufficientPrivilege):
            owner.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
