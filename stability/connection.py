"""The connection string of the database in use: whole for the one who asked for it, masked for everybody else."""

import os

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from stability.postgres import dsn_of
from stability.settings import Settings

_SECRETS = ("password", "sslpassword", "oauth_client_secret")


def in_use(settings: Settings) -> str:
    """What a program must connect to, with its password: the database that is named, else our own."""
    if settings.conninfo is None:
        return dsn_of(settings.data_dir)
    return settings.conninfo or _from_environment()


def masked(conninfo: str) -> str:
    """The same without its secrets, to be shown."""
    secret = [name for name in _SECRETS if name in conninfo_to_dict(conninfo)]
    return make_conninfo(conninfo, **dict.fromkeys(secret, "***")) if secret else conninfo


def _from_environment() -> str:
    """What libpq would take from the `PG*` variables, written out."""
    named = {
        option.keyword.decode(): os.environ[option.envvar.decode()]
        for option in Conninfo.get_defaults()
        if option.envvar and option.envvar.decode() in os.environ
    }
    return make_conninfo(**named)
