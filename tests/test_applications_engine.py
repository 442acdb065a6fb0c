"""An engine that falls silent, floods, or is asked by many at once: nobody waits for ever, and it is asked little."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stability.applications import engine as client
from stability.applications import rows
from stability.applications.engine import LARGEST_REFUSAL, Engine, EngineError
from tests.fixtures.engine import EVENTS, Podman, http, pretending
from tests.fixtures.eventually import in_time
from tests.fixtures.postgres import Database
from tests.test_applications import applications, made, status, watching

RUNNING = {
    "Id": "1",
    "State": "running",
    "Status": "Up",
    "Names": ["/web"],
    "Labels": {"com.docker.compose.project": "m_app1"},
}
KEEPALIVE = "02"  # the timer of a socket in /proc/net/tcp that asks whether the other end is there
ENDLESS = b"HTTP/1.1 500 Internal Server Error\r\nApi-Version: 1.44\r\nConnection: close\r\n\r\n" + b"x" * (
    2 * LARGEST_REFUSAL
)


@asynccontextmanager
async def asking(address: str) -> AsyncIterator[Engine]:
    """A client of that engine."""
    engine = Engine(address)
    try:
        yield engine
    finally:
        await engine.close()


async def test_events_that_fall_silent_are_asked_for_anew(database: Database, tmp_path: Path) -> None:
    """With each list of all containers: what a dead subscription keeps to itself is seen then, and nothing is lost."""
    made(database)
    asked, there = [], list[object]()

    async def answer(path: str) -> bytes:
        asked.append(path.rpartition("/")[2].partition("?")[0])
        return {"_ping": http(b"OK"), "events": EVENTS}.get(asked[-1]) or http(json.dumps(there).encode())

    async with (
        pretending(answer, tmp_path) as address,
        applications(database, address, application_list_seconds=0.2) as found,
        watching(found),
    ):
        await in_time(lambda: "json" in asked)
        there.append(RUNNING)
        await in_time(lambda: status(database) == "running")
        assert found.connected
    assert asked[:5] == ["_ping", "events", "json", "events", "json"]


async def test_an_engine_that_never_begins_its_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is away, as one that answers nothing else."""
    monkeypatch.setattr(client, "ANSWER", 0.2)

    async def answer(path: str) -> bytes:
        return http(b"OK") if path == "/_ping" else await asyncio.Future()

    async with pretending(answer, tmp_path) as address, asking(address) as engine:
        with pytest.raises(EngineError, match="does not answer"):
            async with engine.events():
                pass


@pytest.mark.parametrize("flooded", ["/_ping", "/events", "/json"])
async def test_a_refusal_without_an_end_is_cut_off(flooded: str, tmp_path: Path) -> None:
    """Whatever was asked."""

    async def answer(path: str) -> bytes:
        return ENDLESS if flooded in path else http(b"OK")

    async with pretending(answer, tmp_path) as address, asking(address) as engine:
        with pytest.raises(EngineError, match=f"answered 500 with more than {LARGEST_REFUSAL} bytes"):
            await (engine.events().__aenter__() if flooded == "/events" else engine.containers())


def sockets() -> list[list[str]]:
    """Those of TCP, as the kernel lists them."""
    return [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]


async def test_a_connection_that_nobody_closes_is_noticed() -> None:
    """The kernel asks, where events come over the network, whether the engine is still there."""

    async def answer(path: str) -> bytes:
        return http(b"OK") if path == "/_ping" else EVENTS

    async with pretending(answer, None) as address, asking(address) as engine, engine.events():
        port = f":{int(address.rpartition(':')[2]):04X}"
        timers = {fields[5].partition(":")[0] for fields in sockets() if fields[2].endswith(port) and fields[3] == "01"}
    assert timers == {KEEPALIVE}


async def test_many_who_ask_at_once_are_one_list(database: Database, podman: Podman) -> None:
    """Whichever applications they ask for."""
    for number in (1, 2):
        made(database, number)
    await asyncio.to_thread(podman.run, "m_app1")
    asked: list[str] = []
    async with applications(database, podman.address) as found:
        found.engine = Engine(podman.address, asked.append)
        wanted = [await rows.find(found.database, "m", number) for number in (1, 2)] * 5
        looks = await asyncio.gather(*(found.look(each) for each in wanted))
        await found.engine.close()
    assert [look.seen.status for (look,) in looks] == ["running", "unknown"] * 5
    assert asked.count("list") == 1
