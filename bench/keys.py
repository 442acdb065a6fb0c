"""What does not grow: one change among more and more keys, and readers that stalled amid a large snapshot."""

from pathlib import Path
from statistics import median
from typing import Final

import httpx

from bench import clients, ground
from bench.clients import Clients
from bench.fanout import cpu, memory, serving
from bench.peers import Peer, ours
from bench.report import Column, Table, tell

KEYS: Final = (10, 1000, 100_000)
CROWD: Final = 1000
CHANGES: Final = 40
TURNS: Final = 5
STALLED: Final = 60
PATH: Final = "/api/live?topics=things"


def run(_port: int) -> None:
    """Print both tables."""
    with clients.built() as built:
        found: dict[str, list[list[float]]] = {}
        for _ in range(TURNS):
            for keys in KEYS:
                found.setdefault(f"{keys:,} keys", []).append(_change(built, ours(str(keys))))
        columns = [Column("CPU per delivery, µs"), Column("all have it, ms")]
        rows = {name: [median(turn) for turn in zip(*turns, strict=True)] for name, turns in found.items()}
        tell(Table(f"One key of many changes, {CROWD:,} clients", columns, rows), ground.machine())
        columns = [
            Column("snapshot, MiB"),
            Column("memory of the server each, KiB"),
            Column("in the kernel each, KiB"),
        ]
        rows = {f"{keys:,} keys": _stalled(built, ours(str(keys))) for keys in KEYS[1:]}
        tell(Table(f"{STALLED} readers that stall amid the snapshot", columns, rows), ground.machine())


def _change(built: Path, peer: Peer) -> list[float]:
    with serving(peer, built) as (pid, port):
        _, newest = _snapshot(port)
        with Clients(built, [port], f"{PATH}&last_event_id={newest}", "event: change") as crowd:
            crowd.open(CROWD)
            before, last = cpu(pid), []
            for _ in range(CHANGES):
                crowd.expect()
                peer.tell(pid, port)
                last.append(crowd.arrived().last)
            return [1e6 * (cpu(pid) - before) / CHANGES / CROWD, 1e3 * median(last)]


def _stalled(built: Path, peer: Peer) -> list[float]:
    with serving(peer, built) as (pid, port):
        size, _ = _snapshot(port)
        with Clients(built, [port], PATH) as crowd:
            crowd.open(1)
            before = memory(pid)
            crowd.stall(STALLED)
            _snapshot(port)  # whoever came before had a turn
            return [size / 2**20, (memory(pid) - before) / STALLED / 1024, _queued(port) / STALLED / 1024]


def _snapshot(port: int) -> tuple[int, str]:
    """Bytes of all rows, and the id from which on changes are news."""
    heard = bytearray()
    with httpx.stream("GET", f"http://127.0.0.1:{port}{PATH}", timeout=60) as answer:
        for part in answer.iter_raw():
            heard += part
            if b"event: ready" in heard[-4096:] and heard.endswith(b"\n\n"):
                break
    return len(heard), heard.rpartition(b"\nid: ")[2].partition(b"\n")[0].decode()


def _queued(port: int) -> int:
    """Bytes that wait in the kernel to be read by whoever is connected there."""
    total = 0
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if local.endswith(f":{port:04X}") and state == "01":
            total += int(queues.partition(":")[0], 16)
    return total
