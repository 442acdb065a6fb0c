"""Who is told what, and in which order, when some have much to hear."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from stability.admission import Admission
from stability.fanout import Connection, Fanout
from stability.feed import Feed
from stability.frames import encode
from stability.hub import TURN, Hub, Place, Row

LARGE = {f"{number}": Row("running", {"text": "x" * 1000}) for number in range(3 * TURN // 1000)}


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a line."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        yield ours, theirs


other = pair


@pytest.mark.anyio
async def test_a_large_snapshot_holds_up_nobody(
    pair: tuple[socket.socket, socket.socket], other: tuple[socket.socket, socket.socket]
) -> None:
    """A change comes while somebody walks through a snapshot in many turns: everybody else has it before the end."""
    loop, hub = asyncio.get_running_loop(), Hub(encode)
    fanout = Fanout(hub, Admission(hub), lambda _chunks: None)
    hub.publish("things", LARGE, datetime.now(UTC))

    async def join(line: socket.socket, feed: Feed) -> asyncio.Transport:
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, line)
        connection = Connection(fanout, feed, transport, chunked=True, gone=lambda _connection: None)
        transport.set_protocol(connection)
        fanout.join(connection)
        return transport

    topics = frozenset({"things"})
    transports = [
        await join(pair[0], Feed(hub, "", Place(topics, hub.version, hub.version))),
        await join(other[0], Feed(hub, "", Place(topics), topics)),
    ]
    hub.publish("things", {"new": Row("running", {})}, datetime.now(UTC))
    await asyncio.sleep(0)  # one slice
    assert b'"key":"new"' in pair[1].recv(TURN)
    assert b"event: ready" not in other[1].recv(TURN)
    for transport in transports:
        transport.abort()
    await asyncio.sleep(0)
