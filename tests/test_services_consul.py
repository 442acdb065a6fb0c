"""Asking Consul: which index is waited from, what is sent, and what is made of strange answers.

What a real Consul does not do on demand a small server does, which answers as it is told.
"""

import asyncio
import json
from typing import Any

import pytest

from stability.services import catalogue
from stability.services.consul import WAIT, Consul, ConsulError
from stability.settings import load
from tests.fixtures.machines import Asked, serving


class Scripted:
    """Answers one index after the other, and notes what it was asked."""

    def __init__(self, *indexes: str, body: bytes = b"[]", code: int = 200) -> None:
        self.indexes, self.body, self.code = list(indexes), body, code
        self.asked: list[Asked] = []

    async def respond(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """As told."""
        self.asked.append(asked)
        index = self.indexes.pop(0) if self.indexes else "1"
        head = f"HTTP/1.1 {self.code} Said\r\nX-Consul-Index: {index}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        writer.write(head.encode() + self.body)


async def paths(*indexes: str) -> list[str]:
    """What is asked, one time more than there are indexes."""
    script = Scripted(*indexes)
    async with serving(script.respond) as port, Consul.of(load(consul_http_addr=f"127.0.0.1:{port}")) as consul:
        watch = consul.watch("/v1/x")
        for _ in range(len(indexes) + 1):
            await watch.next()
    return [asked.path for asked in script.asked]


async def test_it_waits_from_the_last_index() -> None:
    """The first answer comes at once."""
    waiting = f"&wait={WAIT}s"
    assert await paths("7", "7", "9") == [
        "/v1/x",
        f"/v1/x?index=7{waiting}",
        f"/v1/x?index=7{waiting}",
        f"/v1/x?index=9{waiting}",
    ]


async def test_an_index_that_goes_back_begins_anew() -> None:
    """As after a restore: waiting from the old one might last for ever."""
    assert await paths("900", "3") == ["/v1/x", f"/v1/x?index=900&wait={WAIT}s", "/v1/x"]


async def test_an_index_of_zero_counts_as_one() -> None:
    """From 0 Consul does not wait: we would ask without a pause."""
    assert (await paths("0"))[1] == f"/v1/x?index=1&wait={WAIT}s"


async def test_the_token_is_sent() -> None:
    """In Consul's own header."""
    script = Scripted()
    async with serving(script.respond) as port:
        settings = load(consul_http_addr=f"http://127.0.0.1:{port}/", consul_http_token="sesame")
        async with Consul.of(settings) as consul:
            await consul.node("a/b c")
    assert [(asked.path, asked.headers["x-consul-token"]) for asked in script.asked] == [
        ("/v1/catalog/node/a%2Fb%20c", "sesame")
    ]


@pytest.mark.parametrize(
    ("code", "body", "reason"),
    [
        (500, b"No cluster leader", "500: No cluster leader"),
        (403, b"denied", "403: denied"),
        (200, b"<html>", "JSON"),
        (200, b"[" * 200_000, "JSON"),
        (200, b"\xff", "JSON"),
    ],
)
async def test_what_is_no_answer_is_an_error(code: int, body: bytes, reason: str) -> None:
    """With what was said."""
    script = Scripted(code=code, body=body)
    async with serving(script.respond) as port, Consul.of(load(consul_http_addr=f"127.0.0.1:{port}")) as consul:
        with pytest.raises(ConsulError, match=reason):
            await consul.ask("/v1/x")


async def test_an_answer_that_is_too_large_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rest is not read."""
    monkeypatch.setattr("stability.services.consul.LARGEST", 10)
    script = Scripted(body=b"[1,2,3,4,5,6]")
    async with serving(script.respond) as port, Consul.of(load(consul_http_addr=f"127.0.0.1:{port}")) as consul:
        with pytest.raises(ConsulError, match="more than 10 bytes"):
            await consul.ask("/v1/x")


@pytest.mark.parametrize("said", [None, {}, {"a": 1}, [1], [{}], "", [{"Node": [[]]}]])
def test_a_list_that_is_none_is_an_error(said: Any) -> None:
    """And never an empty catalogue, in which everything would be gone."""
    for parse in (catalogue.checks, catalogue.nodes):
        with pytest.raises(ConsulError):
            parse(said)


def test_statuses_that_nobody_knows_are_unknown() -> None:
    """And what Postgres cannot store is left out."""
    row = {"Node": "n", "CheckID": "c", "Name": "a\0b", "Status": "strange", "ServiceID": "s", "ServiceTags": None}
    (check,) = catalogue.checks(json.loads(json.dumps([row])))
    assert (check.name, check.status, check.tags) == ("ab", "unknown", ())


def test_names_that_no_index_holds_are_told_apart() -> None:
    """Each by its beginning; half of a character, and a port that is none, keep nobody else out of the tables."""
    told = ["\ud800", *(f"{'a' * 3000}{end}" for end in "xy")]
    services = {str(n): {"ID": name, "Service": name, "Port": True} for n, name in enumerate(told)}
    found = catalogue.on_node({"Node": {"Node": "ü:" * 3000}, "Services": services})
    keys = [catalogue.told_key((one.node, one.id)) for one in found]
    assert len(set(keys)) == len(told)
    assert max(len(key.encode()) for key in keys) < 2000
    assert [one.port for one in found] == [None] * 3
    check = {"Node": "ü:" * 3000, "CheckID": "c", "Name": "c", "Status": "passing", "ServiceID": told[1]}
    (own,) = catalogue.checks([check])
    assert (own.node, own.service) == (found[1].node, found[1].id)
