"""What a monitor may be asked: parsed at the door, refused with a sentence, told in the description."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import pytest
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient

from stability.http import answers, openapi, operations
from stability.http.operations import LONGEST_BODY, Id, Model, Moment, Operation, Text


class Which(Model):
    """Of the path and the query."""

    id: Id
    order: Literal["up", "down"] = "up"
    page: int = Field(1, ge=1)


class Thing(Model):
    """A body."""

    name: Text
    size: int = 0
    at: Moment | None = None


class Told(Model):
    """An answer."""

    id: int
    name: str
    at: Moment | None


async def show(_request: Request, which: Which) -> Told:
    return Told(id=which.id, name=which.order, at=datetime.fromisoformat("2026-01-02T03:04:05+02:00"))


async def make(_request: Request, thing: Thing) -> tuple[int, Told]:
    return 201, Told(id=1, name=thing.name, at=thing.at)


OPERATIONS = (
    Operation("GET", "/things/{id}", "One thing", show, {200: Told}, query=Which),
    Operation("POST", "/things", "Make one", make, {201: Told}, body=Thing),
)


@pytest.fixture
def client() -> Iterator[TestClient]:
    """An application of these two."""
    routes = operations.routes([*OPERATIONS, *openapi.operations(OPERATIONS, protected=True)])
    with TestClient(Starlette(routes=routes, exception_handlers=answers.HANDLERS)) as asking:
        yield asking


def test_what_is_asked_arrives_parsed(client: TestClient) -> None:
    """Numbers are numbers, times are told in UTC, what is left out has its default."""
    assert client.get("/things/7?order=down").json() == {"id": 7, "name": "down", "at": "2026-01-02T01:04:05.000Z"}
    made = client.post("/things", json={"name": "a", "at": "2026-01-02T03:04:05Z"})
    assert (made.status_code, made.json()["at"]) == (201, "2026-01-02T03:04:05.000Z")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/things/7?order=left", 400, ("order", "'left'", "'up'", "'down'")),
        ("/things/7?page=0", 400, ("page", "'0'", "1")),
        ("/things/7?page=1&page=2", 400, ("'page'", "twice")),
        ("/things/7?size=2", 400, ("'size'", "order, page")),
        ("/things/7?id=8", 400, ("'id'",)),
        ("/things/none", 404, ("/things/none",)),
        ("/things/0", 404, ("/things/0",)),
        (f"/things/{2**63}", 404, ("nothing",)),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(
    client: TestClient, path: str, status: int, said: tuple[str, ...]
) -> None:
    """One sentence names the value and what is possible; a path that names nothing is not found."""
    answer = client.get(path)
    assert answer.status_code == status
    assert [part for part in said if part not in answer.json()["error"]] == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"[]", 400, "The body"),
        (b"{}", 400, "name is missing"),
        (b'{"name": 1}', 400, "name: 1"),
        (b'{"name": "a", "size": "2"}', 400, "size: '2'"),
        (b'{"name": "a", "colour": "red"}', 400, "colour: 'red': no such field"),
        (b'{"name": "a\\u0000"}', 400, "NUL"),
        (b'{"name": "a", "at": "yesterday"}', 400, "at: 'yesterday'"),
        (b'"' + b"x" * LONGEST_BODY + b'"', 413, str(LONGEST_BODY)),
    ],
)
def test_a_body_that_cannot_be_meant_is_refused(client: TestClient, body: bytes, status: int, said: str) -> None:
    """Nothing is guessed: a number in a string is a string."""
    answer = client.post("/things", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert said in answer.json()["error"]
    assert len(answer.json()["error"]) < 300


def test_a_form_is_no_json(client: TestClient) -> None:
    """A page of somebody else can send forms, and no JSON."""
    assert client.post("/things", data={"name": "a"}).status_code == 415


def test_a_wrong_method_is_told_the_right_ones(client: TestClient) -> None:
    """405 with `Allow`."""
    answer = client.patch("/things")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_the_description_has_every_operation(client: TestClient) -> None:
    """Parameters with place and bounds, bodies and answers without other fields, every error."""
    described: dict[str, Any] = client.get("/openapi.json").json()
    shown = described["paths"]["/things/{id}"]["get"]
    assert [(one["name"], one["in"], one["required"]) for one in shown["parameters"]] == [
        ("id", "path", True),
        ("order", "query", False),
        ("page", "query", False),
    ]
    assert set(shown["responses"]) == {"200", "400", "401", "404", "503"}
    assert set(described["paths"]["/things"]["post"]["responses"]) == {"201", "400", "401", "403", "413", "415", "503"}
    told = described["components"]["schemas"]["Told"]
    assert (told["required"], told["additionalProperties"]) == (["id", "name", "at"], False)
