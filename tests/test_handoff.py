"""Streams that our server takes over: the same bytes as elsewhere, and nothing left of a client but its connection."""

import asyncio
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final, Literal

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stability.app import create_app
from stability.fanout.connection import LONGEST_REMARK
from stability.fanout.protocol import Protocol
from stability.settings import load
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import Http, Serving, hosting
from tests.fixtures.talk import PATIENCE, ask, await_end, until
from tests.fixtures.work import begin_work, end_work

LIVE: Final = "/api/system-status/live"
CERTIFICATE: Final = Path(__file__).parent / "fixtures" / "localhost.pem"


def metric(url: str, name: str) -> float:
    """One figure."""
    found = re.search(rf"^{re.escape(name)} (\S+)", httpx.get(f"{url}/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_no_task_is_left_of_a_client(serving: Serving, database: Database) -> None:
    """A hundred clients hear every change, and cost not one task."""
    before = metric(serving.url, "stability_tasks")
    with ExitStack() as stack:
        clients = [stack.enter_context(Follower(serving.url + LIVE)) for _ in range(100)]
        assert metric(serving.url, "stability_clients") == 100
        assert metric(serving.url, "stability_tasks") == before
        begin_work(database)
        for client in clients:
            client.wait_for_stable(False)
        assert {tuple(client.messages) for client in clients} == {(True, False)}
    eventually(lambda: metric(serving.url, "stability_clients") == 0)


def test_over_tls(database: Database) -> None:
    """Every change, though nothing is handed off there: past the cipher it would end the session."""
    context, app = ssl.create_default_context(cafile=CERTIFICATE), create_app(load(), conninfo=database.server_dsn)
    with hosting(app, Protocol, CERTIFICATE) as url:
        address = httpx.URL(url)
        plain = socket.create_connection((address.host, address.port or 0), PATIENCE)
        with context.wrap_socket(plain, server_hostname=address.host) as client:
            client.sendall(f"GET {LIVE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            until(client, b'{"stable":true}')
            for act, stable in ((begin_work, b"false"), (end_work, b"true")) * 3:
                act(database)
                until(client, b'{"stable":%s}' % stable)


def test_head_and_first_frame_are_one_write(serving: Serving) -> None:
    """A client that has the head has the state."""
    with closing(ask(serving.url)) as client:
        first = client.recv(65536)
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'data: {"stable":true}\n\n' in first


def test_the_goodbye_is_the_last_chunk(serving: Serving) -> None:
    """SIGTERM: `bye`, the end of the chunks, the end of the connection."""
    with closing(ask(serving.url)) as client:
        until(client, b"event: connection")
        serving.process.terminate()
        heard = until(client, b"event: bye")
        while part := client.recv(65536):
            heard += part
    assert heard.endswith(b"}\n\n\r\n0\r\n\r\n")


def test_http_1_0_knows_no_chunks(serving: Serving, database: Database) -> None:
    """Frames as they are, until the connection ends."""
    with closing(ask(serving.url, version="1.0")) as client:
        head, _, rest = until(client, b"event: connection").partition(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert rest.startswith(b"retry: ")
        begin_work(database)
        assert until(client, b"event: status").startswith(b"id: ")


def test_garbage_after_the_request_is_ignored(serving: Serving, database: Database) -> None:
    """The stream goes on."""
    with closing(ask(serving.url)) as client:
        until(client, b"event: connection")
        client.sendall(b"\x00\xff garbage\r\n\r\n")
        begin_work(database)
        until(client, b'{"stable":false}')


def test_whoever_says_too_much_is_cut_off(serving: Serving) -> None:
    """A megabyte after the request, which nobody reads."""
    with closing(ask(serving.url)) as client:
        until(client, b"event: connection")
        with suppress(ConnectionError):
            client.sendall(b"x" * 16 * LONGEST_REMARK)
        await_end(client)
    eventually(lambda: metric(serving.url, "stability_clients") == 0)


def test_a_stream_behind_another_request(serving: Serving, database: Database) -> None:
    """Asked for on a connection that has been used, and behind a request that is not answered yet."""
    port = int(serving.url.rpartition(":")[2])
    request = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall((request.format("/livez") + request.format(LIVE)).encode())
        until(client, b"event: connection")
        begin_work(database)
        until(client, b'{"stable":false}')


@pytest.fixture
def compressing(database: Database) -> Iterator[str]:
    """Our server with an application that compresses whatever it can."""
    status = create_app(load(), conninfo=database.server_dsn)
    host = Starlette(
        routes=[Mount("/", status)],
        middleware=[Middleware(GZipMiddleware, minimum_size=1)],
        lifespan=lambda _app: status.router.lifespan_context(status),  # type: ignore[arg-type]
    )
    with hosting(host, Protocol) as url:
        yield url


class _Compressing:
    """A host's middleware that compresses streams too, frame by frame; `late`, it holds the head until the first."""

    def __init__(self, app: ASGIApp, late: bool) -> None:
        self._app, self._late = app, late

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []
        packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)

        async def compressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                head = [(name, value) for name, value in message["headers"] if name != b"content-length"]
                held.append({**message, "headers": [*head, (b"content-encoding", b"gzip")]})
            if message["type"] == "http.response.body" or not self._late:
                while held:
                    await send(held.pop())
            if message["type"] == "http.response.body":
                packed = packer.compress(message.get("body", b"")) + packer.flush(zlib.Z_SYNC_FLUSH)
                await send({**message, "body": packed})

        await self._app(scope, receive, compressed if scope["type"] == "http" else send)


@pytest.mark.parametrize("late", [False, True])
def test_a_compressed_stream_is_not_taken_over(database: Database, late: bool) -> None:
    """What the middleware makes of it arrives, each frame at once, wherever it changes the head."""
    status = create_app(load(), conninfo=database.server_dsn)
    with hosting(_Compressing(status, late), Protocol) as url, closing(ask(url)) as client:
        head, _, rest = until(client, b"\r\n\r\n").partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head.lower()
        for act, stable in ((begin_work, b"false"), (end_work, b"true"), (begin_work, b"false")):
            begun = len(_plain(head, rest))
            act(database)
            while b'{"stable":%s}' % stable not in _plain(head, rest)[begun:]:
                rest += client.recv(65536)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_compression_in_between(compressing: str, database: Database, encoding: str) -> None:
    """Whatever the host does with the stream, what arrives is what its head says."""
    with closing(ask(compressing, more=f"Accept-Encoding: {encoding}\r\n")) as client:
        head, _, rest = until(client, b"\r\n\r\n").partition(b"\r\n\r\n")
        begin_work(database)
        deadline = time.monotonic() + PATIENCE
        while b'"stable":false' not in _plain(head, rest):
            assert time.monotonic() < deadline
            rest += client.recv(65536)


def _plain(head: bytes, body: bytes) -> bytes:
    """The frames within chunks, and within gzip where the head says so."""
    frames = b""
    while b"\r\n" in body:
        size, _, rest = body.partition(b"\r\n")
        frames, body = frames + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    if b"content-encoding: gzip" in head.lower():
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(frames)
    return frames


@pytest.mark.parametrize(("setting", "limit"), [("max_streams", "all"), ("max_streams_per_address", "address")])
@pytest.mark.parametrize("http", ["auto", Protocol, "express"], ids=["portable", "handed off", "begun at the door"])
def test_a_full_house(database: Database, setting: str, limit: str, http: Http | Literal["express"]) -> None:
    """No room: a good answer that says when to come back, since a browser never returns after a 503; counted."""
    app = create_app(load(**{setting: 2}), conninfo=database.server_dsn)
    with hosting(app, app.state.offer if http == "express" else http) as url, ExitStack() as stack:
        first, _ = (stack.enter_context(Follower(url + LIVE)) for _ in range(2))
        answer = httpx.get(url + LIVE)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.text == 'retry: 30000\nevent: bye\ndata: {"retry":30000}\n\n'
        assert first.messages
        assert metric(url, f'stability_streams_refused_total{{limit="{limit}"}}') == 1
        first.__exit__()
        eventually(lambda: metric(url, "stability_clients") == 1)
        with Follower(url + LIVE) as third:
            assert third.messages


@pytest.mark.anyio
async def test_a_full_house_is_full_for_a_burst() -> None:
    """Clients that ask all at once, before any of them has its first frame, find no more room than others."""
    app, heard = create_app(load(max_streams=2), conninfo=""), [b""] * 10
    enough = asyncio.Event()

    async def ask_for_one(client: int) -> None:
        async def receive() -> Message:
            await enough.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            heard[client] += message.get("body", b"")
            if all(heard):
                enough.set()

        scope = {"type": "http", "method": "GET", "path": LIVE, "query_string": b"", "headers": []}
        await app(scope, receive, send)

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*map(ask_for_one, range(10)))
    assert sum(b"event: status" in frames for frames in heard) == 2


def test_whoever_is_gone_before_the_answer_is_no_error(database: Database) -> None:
    """Where the application of a host took its time."""
    status = create_app(load(), conninfo=database.server_dsn)
    answered = threading.Event()

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        while scope["type"] == "http" and (await receive())["type"] != "http.disconnect":
            pass
        await status(scope, receive, send)
        answered.set()

    with hosting(late, Protocol) as url:
        ask(url).close()
        assert answered.wait(PATIENCE)
