"""The application inside another one, under a path of its own."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from stability.app import create_app
from stability.settings import load
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import hosting


@pytest.fixture
def url(database: Database) -> Iterator[str]:
    """A host application with a page of its own and ours below /ops/status."""
    status = create_app(load(token="sesame"), conninfo=database.server_dsn)

    async def home(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("the host's own page")

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with status.router.lifespan_context(status):
            yield

    host = Starlette(routes=[Route("/", home), Mount("/ops/status", status)], lifespan=lifespan)
    with hosting(host) as address:
        yield f"{address}/ops/status"


def test_the_badge_works_below_a_prefix(url: str) -> None:
    """The stream, the badge's modules and the health paths are public; the rest asks for the token, there too."""
    with Follower(f"{url}/api/system-status/live") as client:
        client.wait_for_stable(True)
    assert httpx.get(f"{url}/system-status.js").status_code == 200
    assert httpx.get(f"{url}/readyz").status_code == 200
    assert httpx.get(f"{url}/metrics").status_code == 401
    assert httpx.get(f"{url}/metrics", headers={"Authorization": "Bearer sesame"}).status_code == 200


def test_the_host_keeps_its_own_pages(url: str) -> None:
    """What is not below the prefix is none of our business."""
    assert httpx.get(url.removesuffix("/ops/status") + "/").text == "the host's own page"


def test_signing_in_leads_back_below_the_prefix(url: str) -> None:
    """The form's redirect is relative to where it is."""
    answer = httpx.post(f"{url}/login", data={"token": "sesame"})
    assert httpx.URL(f"{url}/login").join(answer.headers["location"]) == httpx.URL(f"{url}/")


def test_a_part_that_crashes_leaves_no_old_state(database: Database) -> None:
    """The host lives on, and so does our application in it: from then on it knows nothing, and says so."""
    crash = threading.Event()

    async def part() -> None:
        await asyncio.to_thread(crash.wait)
        raise RuntimeError("a part crashed")

    with hosting(create_app(load(), conninfo=database.server_dsn, also=[part])) as url:
        with Follower(f"{url}/api/system-status/live") as client:
            client.wait_for_stable(True)
            crash.set()
            client.wait_for(lambda client: client.ended)
            assert client.named("bye")
        assert httpx.get(f"{url}/readyz").status_code == 503
        with Follower(f"{url}/api/system-status/live") as client:
            assert client.messages == [None]
