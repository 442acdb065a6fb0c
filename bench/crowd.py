"""2,000 clients and one change: when each of them has it, with and without a client that never reads.

Runs with and without the deaf client take turns, so that a drift of the machine meets both.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from urllib.parse import urlsplit

import psycopg

from bench import ground

CLIENTS = 2000
TURNS = 4  # pairs of runs
CHANGES = 6  # per run
FILLING = 40  # changes, until the kernel takes no more for a client that does not read
_LIVE = b"GET /api/system-status/live HTTP/1.1\r\nHost: bench\r\n\r\n"


class _Client(asyncio.Protocol):
    """Counts state messages and notes when the last one came."""

    def __init__(self) -> None:
        self.states, self.at = 0, 0.0

    def data_received(self, data: bytes) -> None:
        """Note a state."""
        if told := data.count(b'data: {"stable":'):
            self.states += told
            self.at = time.perf_counter()


class _Work:
    """Turns the badge yellow and green again."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._turns = count()

    def rest(self) -> None:
        """Wait until the server does."""
        ground.await_armed(self._connection)

    def change(self) -> None:
        """Commit one change of state."""
        begin = "INSERT INTO public.import_job (slug, state) VALUES ('bench', 'importing_data')"
        self._connection.execute((begin if next(self._turns) % 2 == 0 else "DELETE FROM public.import_job").encode())


def run(port: int) -> None:
    """Print both rows."""
    with (
        ground.database() as dsn,
        ground.server("up", port, DATABASE_URL=dsn, STABILITY_HEARTBEAT_SECONDS="30") as (url, _),
    ):
        plain, beside = asyncio.run(_compare(url, _Work(dsn)))
    print(ground.head(f"commit → each of {CLIENTS:,} clients"))
    print(ground.row("all read", plain))
    print(ground.row("one never reads, its kernel buffers full", beside))


async def _compare(url: str, work: _Work) -> tuple[list[float], list[float]]:
    address = urlsplit(url)
    peer = (address.hostname or "", address.port or 0)
    plain: list[float] = []
    beside: list[float] = []
    async with _crowd(peer) as clients:
        for _ in range(TURNS):
            plain += await _deliver(clients, work)
            with _deaf(peer):
                for _ in range(FILLING):
                    await _one(clients, work)
                beside += await _deliver(clients, work)
    return plain, beside


@contextlib.asynccontextmanager
async def _crowd(peer: tuple[str, int]) -> AsyncIterator[list[_Client]]:
    loop, clients, transports = asyncio.get_running_loop(), [], []
    for _ in range(CLIENTS):
        transport, client = await loop.create_connection(_Client, *peer)
        transport.write(_LIVE)
        transports.append(transport)
        clients.append(client)
    while not all(client.states for client in clients):
        await asyncio.sleep(0.01)
    yield clients
    for transport in transports:
        transport.close()


@contextlib.contextmanager
def _deaf(peer: tuple[str, int]) -> Iterator[None]:
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deaf.connect(peer)
        deaf.sendall(_LIVE)
        yield


async def _deliver(clients: list[_Client], work: _Work) -> list[float]:
    delays: list[float] = []
    for _ in range(CHANGES):
        await asyncio.to_thread(work.rest)
        delays += await _one(clients, work)
        await _one(clients, work)
    return delays


async def _one(clients: list[_Client], work: _Work) -> list[float]:
    before = clients[0].states
    began = time.perf_counter()
    await asyncio.to_thread(work.change)
    while not all(client.states > before for client in clients):
        await asyncio.sleep(0.002)
    return [client.at - began for client in clients]
