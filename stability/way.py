"""The way to the truth for a terminal: over HTTP where a server answers, else straight on the database."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from stability import client, connection, direct, run
from stability.errors import DatabaseError, SettingError
from stability.settings import Settings
from stability.sight import Follow


@contextmanager
def to_the_truth(settings: Settings, url: str | None, *, database: bool) -> Iterator[tuple[Follow, str]]:
    """What to follow, and its name: the URL or the database that is asked for, else whichever there is.

    Where nothing answers yet the server is waited for. Raises SettingError when both are asked for.
    """
    if url and database:
        raise SettingError("--url", "goes over HTTP and --database does not: give one of the two.")
    server = client.server_of(settings, url)
    if not database and (url or settings.url or asyncio.run(client.answers(server))):
        yield partial(client.follow, server), str(server)
        return
    try:
        with run.database_of(settings, start=False) as conninfo:
            yield partial(direct.follow, settings, conninfo), connection.masked(connection.in_use(settings))
    except DatabaseError:
        if database:
            raise
        yield partial(client.follow, server), str(server)
