"""The terminal's client never gives up, and never shows old news: over HTTP and straight on the database."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg
import pytest

from stability import client, direct
from stability.client import RefusedError, server_of
from stability.errors import SettingError
from stability.settings import load
from stability.sight import Sight, Source, Tell
from tests.fixtures.command import environment
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.scripted import BUSY, HEAD, STABLE, scripted
from tests.fixtures.server import serve

PATIENCE: Final = 20.0  # seconds, on a busy machine
BUSY_JOB: Final = "INSERT INTO public.import_job (slug, state) VALUES ('people', 'approved')"
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 -- told to a server, not bound to
SETTLED_JOB: Final = "UPDATE public.import_job SET state = 'finished'"


class Seen:
    """What a client told so far."""

    def __init__(self) -> None:
        self.all: list[Sight] = []
        self._news = asyncio.Event()

    def tell(self, sight: Sight) -> None:
        self.all.append(sight)
        self._news.set()

    async def until(self, state: str) -> Sight:
        """The newest sight, once it is `state`."""
        async with asyncio.timeout(PATIENCE):
            while not self.all or self.all[-1].state != state:
                self._news.clear()
                await self._news.wait()
        return self.all[-1]

    async def count(self, number: int) -> list[Sight]:
        """The first `number` sights, once they came."""
        async with asyncio.timeout(PATIENCE):
            while len(self.all) < number:
                self._news.clear()
                await self._news.wait()
        return self.all[:number]


@asynccontextmanager
async def following(follow: Callable[[Tell], Awaitable[None]]) -> AsyncIterator[Seen]:
    """Follow until the block ends; what ends it before comes out of here."""
    seen = Seen()
    task = asyncio.ensure_future(follow(seen.tell))
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def over_http(url: str) -> Callable[[Tell], Awaitable[None]]:
    server = server_of(load(url=url))
    return lambda tell: client.follow(server, tell)


def on_the_database(dsn: str) -> Callable[[Tell], Awaitable[None]]:
    return lambda tell: direct.follow(load(DATABASE_URL=dsn), dsn, tell)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's takes part."""
    kept = environment()
    for name in set(os.environ) - set(kept):
        monkeypatch.delenv(name)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times that a test can wait for."""
    monkeypatch.setattr(client, "SILENCE", 0.3)
    monkeypatch.setattr(client, "BACKOFF", (0.01, 0.05))


async def test_a_server_is_followed_through_its_end_and_return(database: Database) -> None:
    """Each change is told; unknown as soon as the server says goodbye; the truth again when it is back."""
    with serve(database.server_dsn) as first:
        port = int(first.url.rpartition(":")[2])
        async with following(over_http(first.url)) as seen:
            assert (await seen.until("stable")).sources["import_job"] == Source(active=False, count=0)
            fetch(database.writer_dsn, BUSY_JOB)
            assert (await seen.until("processing")).sources["import_job"] == Source(active=True, count=1)
            first.process.terminate()
            gone = await seen.until("unknown")
            assert (gone.transport, gone.sources, gone.reason) == ("reconnecting", {}, "the server said goodbye")
            with serve(database.server_dsn, port=port):
                assert (await seen.until("processing")).transport == "live"


async def test_the_database_is_followed_without_a_server(database: Database) -> None:
    """Straight on the database the same changes are told, by hints: the periodic re-read is off."""
    settings = load(DATABASE_URL=database.server_dsn, reread_seconds=0)
    async with following(lambda tell: direct.follow(settings, database.server_dsn, tell)) as seen:
        assert (await seen.until("stable")).transport == "database"
        fetch(database.writer_dsn, BUSY_JOB)
        assert (await seen.until("processing")).sources["import_job"] == Source(active=True, count=1)
        fetch(database.writer_dsn, SETTLED_JOB)
        await seen.until("stable")


async def test_the_database_is_lost_and_found(database: Database) -> None:
    """A cut connection is unknown with the reason, and what was missed meanwhile is read when it is back."""
    async with following(on_the_database(database.server_dsn)) as seen:
        await seen.until("stable")
        with psycopg.connect(database.dsn) as connection:  # commits when the listener is gone
            connection.execute(BUSY_JOB.encode())
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stability listener'"
                " AND datname = current_database()"
            )
            await seen.until("unknown")
        await seen.until("processing")
        lost = [sight for sight in seen.all if sight.state == "unknown" and sight.reason]
        assert lost
        assert "closed the connection" in str(lost[-1].reason)


async def test_a_database_without_our_schema_is_unknown_with_the_remedy(empty_database: Database) -> None:
    """Whoever waits on a database that was never migrated reads what to do."""
    async with following(on_the_database(empty_database.dsn)) as seen:
        async with asyncio.timeout(PATIENCE):
            while not any("stability migrate" in str(sight.reason) for sight in seen.all):
                await seen.count(len(seen.all) + 1)
        assert {sight.state for sight in seen.all} == {"unknown"}


@pytest.mark.usefixtures("hasty")
async def test_silence_is_death() -> None:
    """A stream that stays open and says nothing is left: unknown, and a new connection."""
    async with scripted(HEAD + STABLE) as server, following(over_http(server.url)) as seen:
        states = [sight.state for sight in await seen.count(4)]
    assert states == ["stable", "unknown", "stable", "unknown"]
    assert seen.all[1].reason == "it keeps silent"
    assert len(server.requests) >= 2


async def test_a_goodbye_names_the_time_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `bye` the client stays away for as long as it was asked, not for its own backoff."""
    monkeypatch.setattr(client, "BACKOFF", (30.0, 30.0))
    bye = b'event: bye\ndata: {"retry":200}\n\n'
    async with scripted(HEAD + STABLE + bye, HEAD + BUSY) as server, following(over_http(server.url)) as seen:
        await seen.until("processing")
    assert 0.2 <= server.times[1] - server.times[0] < 5
    assert [sight.state for sight in seen.all] == ["stable", "unknown", "processing"]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (HEAD + b"event: status\ndata: {\n\n", "the server sent something that is not JSON"),
        (HEAD + b'event: status\ndata: {"state":"stable"}\n\n', "not a status"),
        (HEAD + STABLE.replace(b'"stable"', b'"splendid"', 1), "not a status"),
        (HEAD + b"event: status\ndata: []\n\n", "not a status"),
        (HEAD, "the server ended the stream"),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "HTTP 502"),
        (b"HTTP/1.1 429 Slow Down\r\ncontent-length: 0\r\n\r\n", "HTTP 429"),
        (b"SSH-2.0-dropbear\r\n", ""),
        (b"", ""),
    ],
)
async def test_trouble_is_unknown_and_tried_again(broken: bytes, reason: str) -> None:
    """Whatever comes instead of a state, nothing is known, the reason is told, and the next try heals it."""
    async with scripted(broken, HEAD + STABLE) as server, following(over_http(server.url)) as seen:
        trouble, healed = await seen.count(2)
    assert (trouble.state, healed.state) == ("unknown", "stable")
    assert reason in str(trouble.reason)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<p>"],
)
async def test_what_is_no_stability_server_is_refused(answer: bytes) -> None:
    """A first answer that is no stream ends it with a question, since trying again would not help."""
    async with scripted(answer, stay=False) as server:
        with pytest.raises(RefusedError, match="is that the address of a Stability server"):
            async with asyncio.timeout(PATIENCE):
                await over_http(server.url)(lambda _sight: None)


@pytest.mark.usefixtures("hasty")
async def test_a_404_during_a_deploy_is_no_reason_to_give_up() -> None:
    """Once it was the right server, a proxy's 404 is an outage like any other."""
    lost = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    async with scripted(HEAD + STABLE, lost, HEAD + BUSY) as server, following(over_http(server.url)) as seen:
        await seen.until("processing")


async def test_the_token_travels_as_a_bearer() -> None:
    """STABILITY_TOKEN goes along with each request."""
    async with scripted(HEAD + STABLE) as server:
        follower = server_of(load(url=server.url, token="sesame"))
        async with following(lambda tell: client.follow(follower, tell)) as seen:
            await seen.until("stable")
    assert "authorization: bearer sesame" in server.requests[0].lower()


async def test_a_password_in_the_url_is_used_and_never_shown() -> None:
    """A proxy's password travels as it was given, and no message repeats it."""
    async with scripted(HEAD + STABLE) as server:
        follower = server_of(load(), server.url.replace("//", "//me:sesame@"))
        async with following(lambda tell: client.follow(follower, tell)) as seen:
            await seen.until("stable")
    assert "authorization: basic" in server.requests[0].lower()
    assert str(follower) == server.url


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8642"),
        ({"host": "::1", "port": 1}, "http://[::1]:1"),
        ({"host": EVERYWHERE, "allow_public": True}, "http://127.0.0.1:8642"),
        ({"host": "::", "allow_public": True}, "http://[::1]:8642"),
        ({"url": "https://status.example/prefix/"}, "https://status.example/prefix"),
        ({"uds": "/run/stability.sock"}, "unix:/run/stability.sock"),
    ],
)
def test_where_the_server_is(settings: dict[str, object], url: str) -> None:
    """STABILITY_URL, else the address that these very settings would serve, as this machine reaches it."""
    assert str(server_of(load(**settings))) == url


@pytest.mark.parametrize("url", ["status.example", "ftp://status.example", "http://", "http://a:b:c"])
def test_what_is_no_url(url: str) -> None:
    """A wrong URL is a wrong setting."""
    with pytest.raises(SettingError, match="STABILITY_URL"):
        server_of(load(), url)
