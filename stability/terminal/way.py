"""The way to the truth for a terminal: over HTTP where a server answers, else straight on the database."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from stability import client, connection
from stability.errors import DatabaseError, SettingError
from stability.settings import Settings
from stability.sight import Follow, Tell


@contextmanager
def to_the_truth(
    settings: Settings, url: str | None, *, database: bool, after: int | None = None
) -> Iterator[tuple[Follow, str]]:
    """What to follow, and its name: the URL or the database that is asked for, else whichever there is.

    With `after`, nothing is told that does not know of that transaction. Where nothing answers yet the server is waited
    for. Raises SettingError when both are asked for.
    """
    if url and database:
        raise SettingError("--url", "goes over HTTP and --database does not: give one of the two.")
    server = client.server_of(settings, url)
    if not database and (url or settings.url or asyncio.run(client.answers(server))):
        yield _over_http(server, after), str(server)
        return
    try:
        from stability import direct  # noqa: PLC0415 -- slow to import, and a server is what is asked mostly

        with connection.database_of(settings, start=False) as conninfo:
            follow = partial(direct.follow, settings, conninfo)
            yield (
                _behind(partial(direct.included, conninfo), after, follow),
                connection.masked(connection.in_use(settings)),
            )
    except DatabaseError:
        if database:
            raise
        yield _over_http(server, after), str(server)


def _over_http(server: client.Server, after: int | None) -> Follow:
    return _behind(partial(client.included, server), after, partial(client.follow, server))


def _behind(included: Callable[[int], Awaitable[None]], after: int | None, follow: Follow) -> Follow:
    async def both(tell: Tell) -> None:
        if after is not None:
            await included(after)
        await follow(tell)

    return both
