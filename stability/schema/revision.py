"""Whether the database's schema is one that this server can read."""

from functools import cache
from typing import Final

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from stability.errors import DatabaseError
from stability.resources import folder

_READ: Final = text("SELECT version_num FROM stability.alembic_version")
_INSUFFICIENT_PRIVILEGE: Final = "42501"


@cache
def revisions() -> tuple[str, ...]:
    """Every revision that these programs know, the newest first."""
    return tuple(script.revision for script in ScriptDirectory(str(folder("migrations"))).walk_revisions())


async def check(connection: AsyncConnection) -> None:
    """Raise DatabaseError unless the schema is as new as this server; a newer one is a later release's and fits."""
    try:
        found = (await connection.execute(_READ)).scalar_one_or_none()
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE:
            raise DatabaseError(
                "this user may not read the schema stability: grant it the role stability_server, as a superuser"
            ) from error
        raise DatabaseError("the database has no schema stability: run `stability migrate`") from error
    newest, *older = revisions()
    if found is None or found in older:
        raise DatabaseError(f"the schema is at revision {found}, this server needs {newest}: run `stability migrate`")
