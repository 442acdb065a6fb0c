"""The application in Starlette's TestClient, as its users test their own.

It calls the application in this process, without a connection: what it cannot show is half a close, HTTP/1.0, chunks,
pipelining, and a client whose buffers are full; test_ways.py does, over real connections.
"""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from starlette.testclient import TestClient

from stability.app import create_app
from stability.settings import load
from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import Database
from tests.fixtures.work import begin_work

LIVE: Final = "/api/system-status/live"


@pytest.fixture
def client(database: Database) -> Iterator[TestClient]:
    """The application with room for one stream, ready."""
    with TestClient(create_app(load(max_streams=1), conninfo=database.server_dsn)) as client:
        eventually(lambda: client.get("/readyz").is_success)
        yield client


def test_a_stream_and_no_room_for_another(client: TestClient, database: Database) -> None:
    """The state at once, each commit, and for the second client when to come back; left, there is room again."""
    with client.stream("GET", LIVE) as answer:
        parts = answer.iter_text()
        assert 'data: {"stable":true}\n' in next(parts)
        refused = client.get(LIVE)
        assert refused.text == 'retry: 30000\nevent: bye\ndata: {"retry":30000}\n\n'
        begin_work(database)
        assert any('data: {"stable":false}\n' in part for part in parts)
    eventually(lambda: "retry: 30000" not in _opening(client))


def _opening(client: TestClient) -> str:
    with client.stream("GET", LIVE) as answer:
        return next(answer.iter_text())


def test_what_is_not_a_stream(client: TestClient) -> None:
    """The head alone, the state as JSON and its tag, and what is refused."""
    assert client.head(LIVE).headers["content-type"].startswith("text/event-stream")
    first = client.get("/api/system-status")
    assert first.json()["stable"] is True
    assert client.get("/api/system-status", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert client.get("/api/live?topics=nonsense").status_code == 400


def test_the_end_of_the_application(database: Database) -> None:
    """Afterwards it claims nothing: the state is unknown, and streams say goodbye at once."""
    app = create_app(load(), conninfo=database.server_dsn)
    with TestClient(app) as client:
        eventually(lambda: client.get("/readyz").is_success)
    after = TestClient(app).get(LIVE).text
    assert 'data: {"stable":null}\n' in after
    assert re.search(r'event: bye\ndata: \{"retry":\d+\}\n\n\Z', after)
