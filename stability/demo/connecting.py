"""A connection of the demo, whose troubles are told in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, errors
from psycopg.conninfo import make_conninfo

from stability.database import reason
from stability.errors import DatabaseError


@contextmanager
def connected(conninfo: str) -> Iterator[Connection[Any]]:
    """An autocommit connection; raises DatabaseError when nobody answers within 5 s."""
    try:
        connection = psycopg.connect(
            make_conninfo(conninfo, application_name="stability demo", client_encoding="utf8", connect_timeout=5),
            autocommit=True,
        )
    except psycopg.Error as error:
        raise DatabaseError(f"the database does not let us in: {reason(error)}") from error
    with connection:
        yield connection


def as_sentence(error: psycopg.Error) -> str:
    """What went wrong, with the remedy where there is one."""
    told = reason(error)
    if isinstance(error, errors.InsufficientPrivilege):
        return f"{told}; let a role run the demo that may write the watched tables and create a schema"
    return told
