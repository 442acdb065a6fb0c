"""What may be asked, for programs and for people: nothing that answers is left out."""

from collections import Counter
from html.parser import HTMLParser
from typing import Any, Final

import httpx
import pytest
from starlette.routing import Route

from stability.app import create_app
from stability.settings import load

AWAY: Final = "host=/nowhere dbname=none"
PAGES: Final = {"/", "/index.html", "/login"}
STREAMS: Final = ("/api/system-status/live", "/api/live")
TOKEN: Final = "open sesame"

pytestmark = pytest.mark.anyio


class Page(HTMLParser):
    """What a page holds: its texts, the names of its places, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.links: set[str] = set()
        self.texts: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        if name := given.get("id"):
            self.ids[name] += 1
        if tag == "a":
            self.links.add(given["href"] or "")

    def handle_data(self, data: str) -> None:
        self.texts.add(data)


def client(**settings: str) -> httpx.AsyncClient:
    """An application without a database."""
    app = create_app(load(**settings), conninfo=AWAY)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://status.example")


async def described(**settings: str) -> dict[str, Any]:
    """Its description."""
    async with client(**settings) as asking:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        document: dict[str, Any] = (await asking.get("/openapi.json", headers=headers)).json()
        return document


async def test_every_route_is_described() -> None:
    """But for the page itself and the form at its door."""
    app = create_app(load(), conninfo=AWAY)
    routes = {route.path.replace(":path}", "}") for route in app.routes if isinstance(route, Route)}
    assert routes - PAGES == (await described())["paths"].keys()


async def test_streams_are_described_as_such() -> None:
    """Their media type, and where their events are."""
    paths = (await described())["paths"]
    for path in STREAMS:
        told = paths[path]["get"]["responses"]["200"]
        assert list(told["content"]) == ["text/event-stream"]
        assert "/asyncapi.json" in told["description"]


async def test_every_parameter_says_what_it_is() -> None:
    """In the description, and on the page for people."""
    async with client() as asking:
        shown = Page((await asking.get("/docs")).text).texts
    for path, methods in (await described())["paths"].items():
        for method, told in methods.items():
            for parameter in told.get("parameters", ()):
                said = parameter.get("description")
                assert said, f"{method} {path}: {parameter['name']}"
                assert said in shown


async def test_what_is_open_needs_no_token() -> None:
    """By the description as by the door."""
    paths = (await described(token=TOKEN))["paths"]
    async with client(token=TOKEN) as asking:
        for path, methods in paths.items():
            if path not in STREAMS and "get" in methods:
                refused = (await asking.get(path)).status_code == httpx.codes.UNAUTHORIZED
                assert ("security" in methods["get"]) == refused, path


async def test_people_read_the_same() -> None:
    """Every path and shape is on the page, each link leads to one, and no script is needed."""
    async with client() as asking:
        answer = await asking.get("/docs")
        page, document = Page(answer.text), (await asking.get("/openapi.json")).json()
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    asked = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert asked <= page.texts
    assert document["components"]["schemas"].keys() <= page.ids.keys()
    assert max(page.ids.values()) == 1
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids.keys()
    assert (page.tags["script"], page.tags["details"]) == (0, len(asked))
