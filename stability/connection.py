"""The database in use: the one that is named, else our own, which is started where it may be.

Its connection string is whole for the one who asked for it, masked for everybody else.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from stability.errors import DatabaseError
from stability.postgres import EmbeddedPostgres, dsn_of
from stability.settings import Settings

_SECRETS = ("password", "sslpassword", "oauth_client_secret")


def in_use(settings: Settings) -> str:
    """What a program must connect to, with its password: the database that is named, else our own, if it runs.

    Raises DatabaseError where neither is.
    """
    if settings.conninfo is not None:
        return settings.conninfo or _from_environment()
    own = dsn_of(settings.data_dir)
    if not _is_running(own):
        raise _none(settings)
    return own


def masked(conninfo: str) -> str:
    """The same without its secrets, to be shown."""
    secret = [name for name in _SECRETS if name in conninfo_to_dict(conninfo)]
    return make_conninfo(conninfo, **dict.fromkeys(secret, "***")) if secret else conninfo


@contextmanager
def database_of(settings: Settings, *, start: bool | None = None) -> Iterator[str]:
    """The database in use, for libpq: the one that is named, else our own, which is started if need be.

    `start` allows to start our own: None, only if there is one already. Raises DatabaseError when none can be had.
    """
    with opened(settings, start=start) as (conninfo, _):
        yield conninfo


@contextmanager
def opened(settings: Settings, *, start: bool | None) -> Iterator[tuple[str, EmbeddedPostgres | None]]:
    """The same, and the Postgres that was started for it."""
    own = dsn_of(settings.data_dir)
    if settings.conninfo is not None:
        yield settings.conninfo, None
    elif _is_running(own):
        yield own, None
    elif start or (start is None and settings.data_dir.exists()):
        with EmbeddedPostgres(settings.data_dir) as server:
            yield server.dsn, server
    else:
        raise _none(settings)


def _none(settings: Settings) -> DatabaseError:
    return DatabaseError(
        f"No database is named and none runs in {settings.data_dir}: set DATABASE_URL, or start `stability up`."
    )


def _is_running(dsn: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(dsn, connect_timeout=2):
        return True
    return False


def _from_environment() -> str:
    """What libpq would take from the `PG*` variables, written out."""
    named = {
        option.keyword.decode(): os.environ[option.envvar.decode()]
        for option in Conninfo.get_defaults()
        if option.envvar and option.envvar.decode() in os.environ
    }
    return make_conninfo(**named)
