"""One frame to very many clients, beside the best that there are, and beside the physical limit.

Each server has the same clients, held by C programs that are not the bottleneck, and the same frame. They take turns,
and what is told is the median of the turns. CPU is what the kernel accounts to the server's process. Where one process
may not hold that many clients, each server runs in as many as it takes.

Where our time goes: nine tenths of a delivery is the kernel's write, which is what the limit needs, and the rest is
Python's call of it. What helped: one chunk for all that are at the same place; no task, queue or request per client;
visiting clients in the order in which they came; writing past the transport where nothing waits in it; and writing to
those who are where most are in the pass itself, by a descriptor that is there only while nothing stands in the way
(from 1.5 to 0.9 µs beside the limit, five turns at 1,000 clients).

In a herd most of a connection is the kernel's. It cost 82 µs of CPU as a request of uvicorn's (most of that in Python,
a seventh in its garbage collector), 28 to 45 at the door while that was a protocol on uvloop's transports, and 23 to 30
since it accepts sockets itself and a connection is no more than one (nine turns of each, in turn): uvloop accepts one
connection per turn of its loop and socket, asks for both of its addresses, and again when its descriptor is wanted.
Several sockets of one port, for want of room at one (`net.core.somaxconn`), ended the runs in which some had to send
their SYN again after a second or three.

What did not help: slices of 64 or of 4,096 writes for 256 (8.4, 8.1 and 8.3 µs at 10,000 clients, five turns);
comparing a client's place with the last one before it is looked up, as long as each was called. Not tried: io_uring, of
which Python has no binding that is kept well; sendmmsg, which is for datagrams; MSG_ZEROCOPY, which by the kernel's
documentation pays from ten kilobytes on, where a frame has a few hundred bytes.
"""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench import clients, ground
from bench.clients import PER_PROCESS, Clients
from bench.peers import Peer, everybody
from bench.report import Column, Table, tell

FRAMES: Final = {100: 200, 1000: 100, 10_000: 20, 50_000: 5}  # of a turn, by the number of clients
TURNS: Final = {100: 9, 1000: 9, 10_000: 5, 50_000: 5}  # the shorter they are, the more
HERD_TURNS: Final = 9
HERD: Final = 10_000
PATIENCE: Final = 60.0  # seconds
PATIENCE_AT_THE_END: Final = 10.0  # seconds


class Figures(NamedTuple):
    """What one turn showed; times in seconds, memory in bytes."""

    cpu: float  # per delivery
    p50: float
    p99: float
    last: float
    memory: float  # per idle connection


def run(_port: int) -> None:
    """A table per number of clients, and one of ten thousand that come and go together."""
    with clients.built() as built:
        peers = everybody()
        for size in FRAMES:
            _table(built, peers, size)
        _herd(built, peers)


def _table(built: Path, peers: Sequence[Peer], size: int) -> None:
    turns: dict[str, list[Figures]] = {}
    for _ in range(TURNS[size]):
        for peer in peers:
            turns.setdefault(peer.name, []).append(_turn(peer, built, size))
    medians = {name: Figures(*map(median, zip(*found, strict=True))) for name, found in turns.items()}
    limit = medians[peers[0].name]
    columns = [
        Column("CPU per delivery, µs"),
        Column("of the limit's CPU", "{:.2f}"),
        Column("deliveries/s", "{:,.0f}"),
        Column("half have it, ms"),
        Column("99 % have it, ms"),
        Column("all have it, ms"),
        Column("of the limit's time", "{:.2f}"),
        Column("memory per idle client, KiB"),
    ]
    rows = {
        name: [
            1e6 * found.cpu,
            found.cpu / limit.cpu,
            size / found.last,
            1e3 * found.p50,
            1e3 * found.p99,
            1e3 * found.last,
            found.last / limit.last,
            found.memory / 1024,
        ]
        for name, found in medians.items()
    }
    processes = "" if size <= PER_PROCESS else f", each server in {-(-size // PER_PROCESS)} processes"
    tell(Table(f"One frame to {size:,} clients{processes}", columns, rows), ground.machine())


def _turn(peer: Peer, built: Path, size: int) -> Figures:
    processes = -(-size // PER_PROCESS)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serving(peer, built)) for _ in range(processes)]
        crowd = stack.enter_context(Clients(built, [port for _, port in servers], peer.path))
        crowd.open(10 * processes)  # what is made once is made
        before = sum(memory(pid) for pid, _ in servers)
        crowd.open(size - 10 * processes)
        idle = (sum(memory(pid) for pid, _ in servers) - before) / (size - 10 * processes)
        _deliver(peer, servers, crowd)
        spent = sum(cpu(pid) for pid, _ in servers)
        heard = [_deliver(peer, servers, crowd) for _ in range(FRAMES[size])]
        spent = sum(cpu(pid) for pid, _ in servers) - spent
    p50, p99, last = map(median, zip(*heard, strict=True))
    return Figures(spent / len(heard) / size, p50, p99, last, idle)


def _deliver(peer: Peer, servers: Sequence[tuple[int, int]], crowd: Clients) -> tuple[float, float, float]:
    crowd.expect()
    for pid, port in servers:
        peer.tell(pid, port)
    return crowd.arrived()


def _herd(built: Path, peers: Sequence[Peer]) -> None:
    """All at once: until each has its first bytes; and after SIGTERM, until each has seen the end."""
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(HERD_TURNS):
        for peer in peers:
            with serving(peer, built) as (pid, port), Clients(built, [port], peer.path) as crowd:
                come = crowd.herd(HERD)
                crowd.drain()
                os.kill(pid, signal.SIGTERM)
                threading.Timer(PATIENCE_AT_THE_END, _kill, [pid]).start()
                found.setdefault(peer.name, []).append((come.last, crowd.arrived().last))
    rows = {name: [median(come), median(gone)] for name, (come, gone) in _columns(found).items()}
    columns = [
        Column("until all have their first bytes, s", "{:.2f}"),
        Column("until all have seen the end, s", "{:.2f}"),
    ]
    tell(Table(f"{HERD:,} clients come at once, and are sent away", columns, rows), ground.machine())


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _columns(found: dict[str, list[tuple[float, float]]]) -> dict[str, tuple[list[float], list[float]]]:
    return {name: ([come for come, _ in turns], [gone for _, gone in turns]) for name, turns in found.items()}


@contextlib.contextmanager
def serving(peer: Peer, built: Path) -> Iterator[tuple[int, int]]:
    """The peer on a free port: its process and that port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with subprocess.Popen(peer.command(built, port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{peer.name} does not start")
                time.sleep(0.02)
            yield process.pid, port
        finally:
            process.kill()


def cpu(pid: int) -> float:
    """Seconds of user and system time of its threads, from the scheduler's clock."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def memory(pid: int) -> int:
    """Bytes that are resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
