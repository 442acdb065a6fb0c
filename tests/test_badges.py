"""The badge as a picture and as JSON, the summary in Statuspage's shape, and the streams' description."""

from collections.abc import Callable
from xml.etree import ElementTree

import httpx
import jsonschema_rs

from stability.http.asyncapi import EVENTS
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving
from tests.fixtures.work import begin_work

SHIELDS = {"schemaVersion", "label", "message", "color", "isError"}


def test_every_shape_says_the_same(hosted: str, database: Database) -> None:
    """Picture, JSON and shields' schema follow the badge, for any page; Statuspage's tells the worst of everything."""

    def told(path: str) -> httpx.Response:
        return httpx.get(f"{hosted}{path}").raise_for_status()

    assert told("/badge.json").json()["text"] == "System Stable"
    assert told("/api/v2/status.json").json()["status"]["indicator"] == "none"
    begin_work(database)
    eventually(lambda: told("/badge.json").json()["state"] == "processing")
    picture = told("/badge.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.headers["access-control-allow-origin"] == "*"
    assert ElementTree.fromstring(picture.text).get("aria-label") == "Processing Data"  # noqa: S314 -- our own
    shields = told("/badge.shields").json()
    assert shields.keys() <= SHIELDS
    assert (shields["schemaVersion"], shields["message"]) == (1, "processing")
    fetch(database.dsn, "INSERT INTO public.deployments (name, status) VALUES ('web', 'failed')")
    eventually(lambda: told("/api/v2/status.json").json()["status"]["indicator"] == "major")
    components = {each["id"]: each["status"] for each in told("/api/v2/summary.json").json()["components"]}
    assert components["jobs"] == "operational"
    assert components["deployments"] == "partial_outage"


def test_not_known_is_never_operational(hosted: str, database: Database) -> None:
    """While the database is away every shape says that nothing is known."""
    with database.away():
        eventually(lambda: httpx.get(f"{hosted}/badge.json").json()["state"] == "unknown")
        assert httpx.get(f"{hosted}/badge.shields").json()["isError"] is True
        summary = httpx.get(f"{hosted}/api/v2/summary.json").json()
    assert summary["status"] == {"indicator": "minor", "description": "Status Partly Unknown"}
    assert {each["status"] for each in summary["components"]} == {"degraded_performance"}


def test_the_badge_is_open_and_the_rest_is_not(start_server: Callable[..., Serving]) -> None:
    """With a token the badge's shapes are for everybody, as the badge is; what lies behind it is not."""
    url = start_server(STABILITY_TOKEN="open sesame").url
    codes = {path: httpx.get(f"{url}{path}").status_code for path in ("/badge.svg", "/badge.json", "/badge.shields")}
    assert set(codes.values()) == {200}
    assert httpx.get(f"{url}/api/v2/summary.json").status_code == 401


def test_the_streams_are_as_described(hosted: str, database: Database) -> None:
    """Each event that a server sends is one of `/asyncapi.json`, and fits its payload."""
    described = httpx.get(f"{hosted}/asyncapi.json").json()["components"]["messages"]
    assert described.keys() == EVENTS.keys()
    fetch(database.dsn, "INSERT INTO public.deployments (name, status) VALUES ('web', 'running')")
    with Follower(f"{hosted}/api/live") as rows, Follower(f"{hosted}/api/system-status/live") as badge:
        begin_work(database)
        badge.wait_for_stable(False)
        rows.wait_for(lambda client: bool(client.named("ready")))
        events = [*rows.events, *badge.events]
    assert {"hello", "change", "ready", "status", "message"} <= {event.name for event in events}
    for event in events:
        jsonschema_rs.validate(described[event.name]["payload"], event.data)
