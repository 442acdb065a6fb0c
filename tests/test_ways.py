"""The stream is the same whoever serves it: what test_stream.py finds of one server holds for every other one."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Final

import httpx
import pytest

from stability.app import create_app
from stability.postgres import EmbeddedPostgres
from stability.settings import load
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fresh
from tests.fixtures.talk import ask, await_end, until
from tests.fixtures.ways import WAYS
from tests.fixtures.work import begin_work, end_work

LIVE: Final = "/api/system-status/live"
MOST: Final = 8  # streams


@pytest.fixture(scope="module")
def shared(cluster: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """One database for this module; each test leaves it stable."""
    yield from fresh(cluster, migrated_template)


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How the application is served."""
    return str(request.param)


@pytest.fixture(scope="module")
def served(way: str, shared: Database) -> Iterator[str]:
    """The application, served so; a client that another server does not see go is noticed at a heartbeat."""
    app = create_app(load(max_streams=MOST, heartbeat_seconds=0.2), conninfo=shared.server_dsn)
    with WAYS[way].serving(app) as address:
        yield address


@pytest.fixture
def url(served: str) -> Iterator[str]:
    """Its address; the test's clients are noticed to be gone afterwards, in whatever way they went."""
    yield served
    eventually(lambda: re.search(r"^stability_clients 0", httpx.get(f"{served}/metrics").text, re.MULTILINE))


def test_the_head(url: str) -> None:
    """The contract's headers, however it is framed."""
    with httpx.stream("GET", url + LIVE) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "content-length" not in answer.headers


def test_the_state_then_every_change(url: str, shared: Database) -> None:
    """The same events in the same order: the state at once, and both commits once each."""
    with Follower(url + LIVE) as client:
        client.wait_for(lambda client: bool(client.named("connection")))
        assert [event.name for event in client.events[:3]] == ["message", "status", "connection"]
        begin_work(shared)
        client.wait_for_stable(False)
        client.wait_for(lambda client: client.named("status")[-1].data["state"] == "processing")
        assert client.named("status")[-1].data["sources"]["import_job"] == {"active": True, "count": 1}
        end_work(shared)
        client.wait_for_stable(True)
    assert client.messages == [True, False, True]


def test_a_snapshot_and_its_resumption(url: str, shared: Database) -> None:
    """`/api/live` opens with all of it and `ready`; the last id resumes without it, one from elsewhere with it."""
    with Follower(f"{url}/api/live") as client:
        client.wait_for(lambda client: bool(client.named("ready")))
        assert client.messages == [True]
        seen = client.named("ready")[0].identity
    with Follower(f"{url}/api/live", **{"Last-Event-ID": seen}) as again:
        again.wait_for(lambda client: bool(client.named("ready")))
        assert not again.messages
        begin_work(shared)
        again.wait_for_stable(False)
        end_work(shared)
        again.wait_for_stable(True)
    with Follower(f"{url}/api/live?last_event_id=deadbeef-1") as stranger:
        stranger.wait_for(lambda client: bool(client.named("ready")))
        assert stranger.messages == [True]


def test_the_state_without_a_stream(url: str, shared: Database) -> None:
    """One answer, 304 to its tag, and a long poll that ends with the change."""
    first = httpx.get(f"{url}/api/system-status")
    assert first.json()["state"] == "stable"
    tag = first.headers["etag"]
    assert httpx.get(f"{url}/api/system-status", headers={"If-None-Match": tag}).status_code == 304
    with ExitStack() as stack:
        stack.callback(end_work, shared)
        begin_work(shared)
        answer = httpx.get(f"{url}/api/system-status", params={"wait": 25, "since": tag.strip('"')}, timeout=30)
        assert answer.json()["state"] == "processing"
    with Follower(url + LIVE) as client:
        client.wait_for_stable(True)


def test_a_full_house(url: str) -> None:
    """No room: 200, when to come back, and the end of it."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Follower(url + LIVE)) for _ in range(MOST)]
        assert all(client.messages for client in clients)
        answer = httpx.get(url + LIVE)
        assert answer.status_code == 200
        assert answer.text == 'retry: 30000\nevent: bye\ndata: {"retry":30000}\n\n'


def test_head_has_no_body(url: str) -> None:
    """The head of the stream, and nothing between it and the answer to the next request on that connection."""
    with closing(ask(url, method="HEAD")) as client:
        head = until(client, b"\r\n\r\n")
        assert b"content-type: text/event-stream" in head.lower()
        assert head.endswith(b"\r\n\r\n")
        client.sendall(f"GET {httpx.URL(url).path.rstrip('/')}/livez HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert until(client, b'{"status":"ok"}').startswith(b"HTTP/1.1 200")


def test_what_is_wrong_is_refused(url: str) -> None:
    """In one sentence, before any stream begins."""
    answer = httpx.get(f"{url}/api/live?topics=nonsense")
    assert (answer.status_code, "'nonsense' is not a topic" in answer.json()["error"]) == (400, True)
    assert httpx.delete(url + LIVE).status_code == 405


def test_half_a_close_is_a_close(url: str) -> None:
    """A client that will say nothing any more is gone: as nginx and Node have it, and every server here."""
    with closing(ask(url)) as client:
        until(client, b"event: connection")
        client.shutdown(socket.SHUT_WR)
        await_end(client)


def test_http_1_0(url: str, way: str) -> None:
    """No chunks, and a close at the end; but uvicorn's httptools sends chunks, where it is not our protocol's turn."""
    with closing(ask(url, version="1.0")) as client:
        head, _, rest = until(client, b"event: connection").partition(b"\r\n\r\n")
    chunked = way in {"uvicorn, httptools", "within Starlette", "within FastAPI"}
    assert (b"transfer-encoding: chunked" in head.lower()) is chunked
    assert rest.startswith(b"retry: ") is not chunked


def test_what_is_said_during_a_stream(url: str, shared: Database) -> None:
    """A request behind the stream is no reason to end it, and gets no answer while it lasts."""
    with closing(ask(url)) as client:
        until(client, b"event: connection")
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        begin_work(shared)
        until(client, b'{"stable":false}')
        end_work(shared)
        assert b"HTTP/1.1" not in until(client, b'{"stable":true}')


_NOTHING: Final = '{"active":false,"count":0}'
_STATUS: Final = (
    '{"state":"stable","stable":true,"as_of":TIME,"version":N,"since":TIME,"xmin":N,"listener":"live",'
    f'"sources":{{"analytics_tasks":{_NOTHING},"import_job":{_NOTHING}}}}}'
)
_OPENING: Final = (
    f'retry: N\nid: ID\ndata: {{"stable":true}}\n\nevent: status\nid: ID\ndata: {_STATUS}\n\n'
    'event: connection\ndata: {"listener":"live","since":TIME}\n\n'
)


def test_the_same_bytes(url: str) -> None:
    """What a client is told first, but for what differs from life to life."""
    with httpx.stream("GET", url + LIVE) as answer:
        text = next(answer.iter_text())
    text = re.sub(r'"\d{4}-[^"]+"', "TIME", re.sub(r"^id: \S+", "id: ID", text, flags=re.MULTILINE))
    assert re.sub(r'(retry: |"version":|"xmin":)\d+', r"\1N", text) == _OPENING
