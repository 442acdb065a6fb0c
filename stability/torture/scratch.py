"""Databases of our own on somebody's server: made, cloned, and dropped again, whatever happens."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from stability.database import reason
from stability.errors import DatabaseError
from stability.schema import migration
from stability.schema.removal import ROLES

PREFIX: LiteralString = "stability_torture_"

_CHECK: LiteralString = """
    SELECT current_user, rolcreatedb OR rolsuper, current_setting('max_prepared_transactions') = '0'
      FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
_EXISTING: LiteralString = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)"


@contextmanager
def databases(conninfo: str) -> Iterator[Callable[[], str]]:
    """Yields what makes another migrated database on the server of `conninfo`, and returns its connection string.

    Raises DatabaseError when none can be made. All are gone at the end, and the roles that they brought.
    """
    names = [PREFIX + secrets.token_hex(4)]

    def clone() -> str:
        names.append(f"{names[0]}_{len(names)}")
        template, name = map(sql.Identifier, (names[0], names[-1]))
        with _connected(conninfo) as owner:
            owner.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
        return _at(conninfo, names[-1])

    with _connected(conninfo) as owner:
        _check(owner)
        before = {role for (role,) in owner.execute(_EXISTING, (list(ROLES),))}
    try:
        with _connected(conninfo) as owner:
            owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(names[0])))
        migration.migrate(_at(conninfo, names[0]), lambda _line: None)
        yield clone
    finally:
        with _connected(conninfo) as owner:
            _drop(owner, names, set(ROLES) - before)


@contextmanager
def _connected(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        owner = psycopg.connect(conninfo, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise DatabaseError(f"the database does not let us in: {reason(error)}") from error
    with owner:
        yield owner


def _at(conninfo: str, name: str) -> str:
    return make_conninfo(conninfo, dbname=name, application_name=None)


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


def _drop(owner: psycopg.Connection[Any], names: list[str], roles: set[str]) -> None:
    for name in reversed(names):
        owner.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    for role in roles:
        with suppress(psycopg.errors.DependentObjectsStillExist, psycopg.errors.InsufficientPrivilege):
            owner.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
