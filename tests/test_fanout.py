"""Who is told what, and in which order, when some have much to hear."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from stability.fanout import Fanout
from stability.fanout.admission import Admission
from stability.fanout.connection import Connection
from stability.fanout.feed import Feed
from stability.frames import encode
from stability.hub import TURN, Hub, Place, Row
from tests.fixtures.eventually import in_time

LARGE = {f"{number}": Row("running", {"text": "x" * 1000}) for number in range(3 * TURN // 1000)}


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a line."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


other = pair


def join(fanout: Fanout, line: socket.socket, feed: Feed) -> Connection:
    """One client that was handed off."""
    connection = Connection(fanout, feed, os.dup(line.fileno()), chunked=True, among=set())
    connection.begin(b"")
    return connection


@pytest.mark.anyio
async def test_a_large_snapshot_holds_up_nobody(
    pair: tuple[socket.socket, socket.socket], other: tuple[socket.socket, socket.socket]
) -> None:
    """A change comes while somebody walks through a snapshot in many turns: everybody else has it before the end."""
    hub = Hub(encode)
    fanout = Fanout(hub, Admission(hub), lambda _chunks: None)
    hub.publish("things", LARGE, datetime.now(UTC))

    topics = frozenset({"things"})
    connections = [
        join(fanout, pair[0], Feed(hub, "", Place(topics, hub.version, hub.version))),
        join(fanout, other[0], Feed(hub, "", Place(topics), topics)),
    ]
    hub.publish("things", {"new": Row("running", {})}, datetime.now(UTC))
    await asyncio.sleep(0)  # one slice
    assert b'"key":"new"' in pair[1].recv(TURN)
    assert b"event: ready" not in other[1].recv(TURN)
    for connection in connections:
        connection.close()


class Odd(Feed):
    """What a client has to be told, with a mistake in it."""

    def read(self) -> bytes:
        raise ValueError("a mistake in a feed")


@pytest.mark.anyio
async def test_a_mistake_with_one_client_keeps_nobody_else_waiting(
    pair: tuple[socket.socket, socket.socket], other: tuple[socket.socket, socket.socket]
) -> None:
    """Whoever comes after it in a pass is told, in this one and in the next."""
    hub = Hub(encode)
    fanout = Fanout(hub, Admission(hub), lambda _chunks: None)
    topics = frozenset({"things"})
    connections = [
        join(fanout, pair[0], Odd(hub, "", Place(topics, hub.version, hub.version))),
        join(fanout, other[0], Feed(hub, "", Place(topics, hub.version, hub.version))),
    ]
    heard = b""

    def hears(key: bytes) -> bool:
        nonlocal heard
        with suppress(BlockingIOError):
            heard += other[1].recv(TURN)
        return b'"key":"%s"' % key in heard

    for key in ("first", "second"):
        hub.publish("things", {key: Row("running", {})}, datetime.now(UTC))
        await in_time(lambda key=key: hears(key.encode()))  # type: ignore[misc]
    for connection in connections:
        connection.close()
