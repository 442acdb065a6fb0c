"""One frame to very many clients, beside the best that there are, and beside the physical limit.

Each server has the same clients, held by one C program that is not the bottleneck, and the same frame. They take turns,
and what is told is the median of the turns. CPU is what the kernel accounts to the server's process.
"""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

HERE: Final = Path(__file__).parent
FRAME: Final = (
    'data: {"state":"processing","stable":false,"version":1732541003,'
    '"sources":{"import_job":{"active":true,"count":12}}}\n\n'
)
SIZES: Final = (100, 1000, 10_000)
TURNS: Final = 5
FRAMES: Final = 20  # per turn
PATIENCE: Final = 60.0  # seconds


@dataclass(frozen=True)
class Peer:
    """A server to measure: `command` gets the port and the frame."""

    name: str
    command: Callable[[Path], Sequence[str]]
    path: str = "/events"
    tell: signal.Signals = signal.SIGUSR1


@dataclass(frozen=True)
class Figures:
    """What one turn showed; times in seconds, memory in bytes."""

    cpu: float  # per delivery
    p50: float
    last: float
    memory: float  # per idle connection
    joined: float  # until all had their first bytes


def peers() -> list[Peer]:
    """All that can run here."""

    def python(name: str, *more: str) -> Callable[[Path], Sequence[str]]:
        return lambda _built: [sys.executable, "-m", f"bench.peers.{name}", "PORT", "FRAME", *more]

    found = [
        Peer("C, epoll, nothing else (the limit)", lambda built: [str(built / "writer"), "PORT", "FRAME"]),
        Peer("Stability, handed off", python("ours"), "/api/system-status/live"),
        Peer("Stability, portable", python("ours", "portable"), "/api/system-status/live"),
        Peer("Starlette, a queue per client", python("sse_starlette", "plain")),
        Peer("sse-starlette, as its README shows", python("sse_starlette")),
    ]
    if node := shutil.which("node", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"):
        # SIGUSR1 is Node's debugger
        script = str(HERE / "peers" / "http.mjs")
        found.append(Peer("Node, http", lambda _built: [node, script, "PORT", "FRAME"], tell=signal.SIGUSR2))
    return found


def run(_port: int) -> None:
    """Print a table per number of clients."""
    if shutil.which("cc") is None:
        print("\none frame to very many clients: no C compiler here (apt-get install gcc libc6-dev)")
        return
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # servers inherit it
        for program in ("load", "writer"):
            subprocess.run(["cc", "-O2", "-o", built / program, HERE / "c" / f"{program}.c"], check=True)
        for size in SIZES:
            _table(built, size)


def _table(built: Path, size: int) -> None:
    turns: dict[str, list[Figures]] = {}
    for _ in range(TURNS):
        for peer in peers():
            turns.setdefault(peer.name, []).append(_turn(peer, built, size))
    medians = {name: _median(figures) for name, figures in turns.items()}
    limit = next(iter(medians.values()))
    print(f"\none frame to {size:,} clients")
    print(f"{'':<38}{'CPU per delivery':>22}{'p50':>10}{'last':>10}{'memory':>12}{'all joined':>12}")
    for name, figures in medians.items():
        print(
            f"{name:<38}{1e6 * figures.cpu:>10.1f} µs ({figures.cpu / limit.cpu:>5.2f}){1e3 * figures.p50:>7.1f} ms"
            f"{1e3 * figures.last:>7.1f} ms{figures.memory / 1024:>8.1f} KiB{figures.joined:>10.2f} s",
            flush=True,
        )


def _median(figures: list[Figures]) -> Figures:
    def middle(name: str) -> float:
        return median(getattr(each, name) for each in figures)

    return Figures(*(middle(name) for name in ("cpu", "p50", "last", "memory", "joined")))


def _turn(peer: Peer, built: Path, size: int) -> Figures:
    with _serving(peer, built) as (server, port), _Load(built, port, peer.path) as load:
        load.open(10)  # what is made once is made
        before = _memory(server.pid)
        joined = load.open(size - 10)
        memory = (_memory(server.pid) - before) / (size - 10)
        load.hear(server.pid, peer.tell)
        spent = _cpu(server.pid)
        heard = [load.hear(server.pid, peer.tell) for _ in range(FRAMES)]
        spent = _cpu(server.pid) - spent
    return Figures(
        spent / FRAMES / size, median(p50 for p50, _ in heard), median(last for _, last in heard), memory, joined
    )


@contextlib.contextmanager
def _serving(peer: Peer, built: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    names = {"PORT": str(port), "FRAME": FRAME}
    command = [names.get(word, word) for word in peer.command(built)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{peer.name} does not start")
                time.sleep(0.02)
            yield process, port
        finally:
            process.kill()


class _Load:
    """The program that holds the clients."""

    def __init__(self, built: Path, port: int, path: str) -> None:
        self._process = subprocess.Popen(
            [built / "load", str(port), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "_Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def open(self, clients: int) -> float:
        """Seconds until so many more had their first bytes."""
        began = time.monotonic_ns()
        _, _, last = self._ask(f"open {clients}").split()
        return (int(last) - began) / 1e9

    def hear(self, pid: int, tell: signal.Signals) -> tuple[float, float]:
        """Have the server tell one frame; seconds until half of the clients, and until all have it."""
        self._ask("expect")
        began = time.monotonic_ns()
        os.kill(pid, tell)
        _, _, p50, _, last = self._answer().split()
        return (int(p50) - began) / 1e9, (int(last) - began) / 1e9

    def _ask(self, command: str) -> str:
        assert self._process.stdin
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the clients are gone")
        return line


def _cpu(pid: int) -> float:
    """Seconds of user and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    """Bytes that are resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
