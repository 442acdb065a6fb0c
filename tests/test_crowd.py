"""Many clients at once, and among them one that never reads: everybody else has every change once, and in time."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from stability.app import create_app
from stability.fanout import connection, protocol
from stability.monitors import MONITORS
from stability.server import sockets
from stability.settings import load
from tests.fixtures import things
from tests.fixtures.follower import PATIENCE, Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving, hosting
from tests.fixtures.talk import await_end
from tests.fixtures.work import begin_work, end_work

CROWD = 2000
LIVE = "/api/system-status/live"


@pytest.mark.anyio
async def test_a_crowd_has_every_change_once(serving: Serving, database: Database) -> None:
    """2,000 clients: each hears a change exactly once, though one of them never reads; connecting causes no query."""
    port = int(serving.url.rpartition(":")[2])
    with _deaf_client(port) as deaf:
        await asyncio.to_thread(_fill, port, deaf, database)
        queries = await asyncio.to_thread(_queries, database)
        crowd = await asyncio.gather(*(_Crowd.join(port) for _ in range(CROWD)))
        assert await asyncio.to_thread(_queries, database) - queries <= 20  # the periodic re-reads and canaries
        for act, stable in ((begin_work, b"false"), (end_work, b"true"), (begin_work, b"false")):
            before = [len(client.heard) for client in crowd]
            await asyncio.to_thread(act, database)
            await asyncio.gather(*(client.hear(b'{"stable":%s}' % stable) for client in crowd))
            await asyncio.gather(*(client.hear(b"event: status") for client in crowd))
            told = [
                client.heard[start:].count(b'data: {"stable":') for client, start in zip(crowd, before, strict=True)
            ]
            assert told == [1] * CROWD
        assert (_server_side(port, deaf) or 0) >= sockets.NOT_SENT
        for client in crowd:
            client.writer.close()


class _Crowd:
    """One client among many, on a bare socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.heard, self._from = reader, writer, bytearray(), 0

    @classmethod
    async def join(cls, port: int) -> "_Crowd":
        client = cls(*await asyncio.open_connection("127.0.0.1", port))
        client.writer.write(f"GET {LIVE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await client.hear(b"event: connection")
        return client

    async def hear(self, mark: bytes) -> None:
        async with asyncio.timeout(30):
            while (found := self.heard.find(mark, self._from)) < 0:
                part = await self.reader.read(65536)
                assert part, "the stream ended"
                self.heard += part
        self._from = found


@contextlib.contextmanager
def _deaf_client(port: int, path: str = LIVE) -> Iterator[socket.socket]:
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield deaf


def _fill(port: int, deaf: socket.socket, database: Database) -> None:
    """Change the state until the kernel takes no more for this client."""
    for _ in range(200):
        if (_server_side(port, deaf) or 0) >= sockets.NOT_SENT:
            end_work(database)
            return
        for act, stable in ((begin_work, False), (end_work, True)):
            act(database)
            _until_true(lambda stable=stable: _stable(port) is stable, "the change does not arrive")  # type: ignore[misc]
    pytest.fail("the kernel took everything")


def _stable(port: int) -> bool | None:
    told: bool | None = httpx.get(f"http://127.0.0.1:{port}/api/system-status").json()["stable"]
    return told


def _queries(database: Database) -> int:
    """Statements that the server has sent, by pg_stat_statements."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        row = owner.execute(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
            " WHERE d.datname = current_database() AND query LIKE '%read_activity%'"
        ).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_a_client_that_never_reads_is_dropped(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffers full for longer than the deadline, it is cut off, and nothing of it stays."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(things.SCHEMA.encode())
        owner.execute("INSERT INTO public.things SELECT n, repeat('x', 100) FROM generate_series(1, 50000) AS n")
    app = create_app(load(), conninfo=database.server_dsn, monitors=(*MONITORS, things.MONITOR))
    with hosting(app, protocol.Protocol) as url, Follower(f"{url}/api/live?topics=things") as client:
        client.wait_for(lambda client: len(client.named("change")) >= 50000)
        monkeypatch.setattr(
            connection, "READ_DEADLINE", 0.5
        )  # not before: who shares our core may need longer for so many
        port = int(url.rpartition(":")[2])
        with _deaf_client(port, "/api/live?topics=things") as deaf:
            _until_true(lambda: _server_side(port, deaf) is None, "the connection stays")
            _until_true(lambda: "stability_clients 1.0" in httpx.get(f"{url}/metrics").text, "it is counted still")


def _until_true(fact: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def _server_side(port: int, client: socket.socket) -> int | None:
    """Bytes that wait in the kernel on the server's side of this connection; None when there is no such side."""
    ours, theirs = f"{port:04X}", f"{client.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, state, queues, *_ = line.split()
        if (local[-4:], remote[-4:], state) == (ours, theirs, "01"):
            return int(queues.partition(":")[0], 16)
    return None


LARGE = 16_000_000  # bytes
REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("before", [b"", REQUEST])
@pytest.mark.parametrize("bytes_sent", [b"", b"GET /livez HTTP/1.1\r\n"])
@pytest.mark.parametrize("at_the_door", [False, True])
def test_a_client_that_does_not_ask_is_dropped(
    database: Database, monkeypatch: pytest.MonkeyPatch, before: bytes, bytes_sent: bytes, at_the_door: bool
) -> None:
    """A connection that holds a descriptor and asks for nothing ends."""
    monkeypatch.setattr(protocol, "ASK_DEADLINE", 0.2)
    app = create_app(load(), conninfo=database.server_dsn)
    with (
        hosting(app, app.state.offer if at_the_door else protocol.Protocol) as url,
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), PATIENCE) as client,
    ):
        client.sendall(before)
        assert not before or client.recv(65536).startswith(b"HTTP/1.1 200")
        client.sendall(bytes_sent)
        await_end(client)


@pytest.fixture
def large() -> Iterator[int]:
    """The port of a server with an answer that no buffer takes."""
    host = Starlette(routes=[Route("/livez", lambda _request: Response(b"x" * LARGE))])
    with hosting(host, protocol.Protocol) as url:
        yield int(url.rpartition(":")[2])


def test_a_client_that_does_not_read_its_answer_is_dropped(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it goes on asking."""
    monkeypatch.setattr(protocol, "READ_DEADLINE", 0.5)
    with _deaf_client(large, "/livez") as deaf:
        deaf.recv(1)
        deaf.sendall(REQUEST)
        _until_true(lambda: _server_side(large, deaf) is None, "the connection stays")


def test_a_client_has_time_to_read_and_then_to_ask(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to ask begins when the answer has arrived, and it ends."""
    monkeypatch.setattr(protocol, "ASK_DEADLINE", 0.5)
    with _deaf_client(large, "/livez") as client:
        client.settimeout(PATIENCE)
        begun, heard = time.monotonic(), 0
        while heard < LARGE:
            part = client.recv(65536 if time.monotonic() > begun + 1 else 1)
            assert part, "cut off amid the answer"
            heard += len(part)
        client.sendall(b"GET /livez HTTP/1.1\r\n")
        await_end(client)


def test_a_client_that_asks_for_too_much_is_dropped(serving: Serving) -> None:
    """Headers without end."""
    with socket.create_connection(("127.0.0.1", int(serving.url.rpartition(":")[2])), PATIENCE) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(f"GET {LIVE} HTTP/1.1\r\nHost: x\r\n".encode() + b"a: b\r\n" * 20_000)
        await_end(client)
    assert httpx.get(f"{serving.url}/livez").status_code == httpx.codes.OK


def test_a_client_that_asks_too_often_is_dropped(serving: Serving) -> None:
    """Behind a stream, whose end no request there will see."""
    with socket.create_connection(("127.0.0.1", int(serving.url.rpartition(":")[2])), PATIENCE) as client:
        client.sendall(f"GET {LIVE} HTTP/1.1\r\nHost: x\r\n\r\n".encode() + REQUEST * 20)
        await_end(client)
