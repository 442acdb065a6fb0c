"""Ten thousand clients of the real server, over a real database: at rest, at a change, in a storm, and all at once.

The clients are held by a C program. At rest the server is left alone, with a heartbeat each 15 s and each 30 s, the
difference of which is what they cost. At a change, one commit at a time, everybody waits for its frame while somebody
else asks for the state. In a storm pgbench commits as fast as the machine can, with the state going back and forth, and
at a small rate beside it.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import httpx
import psycopg

from bench import clients, ground
from bench.clients import Clients
from bench.fanout import cpu, memory
from bench.report import Column, Table, tell
from stability.postgres import binaries
from stability.schema.migration import migrate

CROWD: Final = 10_000
PATH: Final = "/api/system-status/live"
STABLE: Final = 'data: {"stable":true}'
PROCESSING: Final = 'data: {"stable":false}'
CHANGES: Final = 20
REST: Final = 60  # seconds
TURNS: Final = 5
STORM: Final = 10  # seconds
CALM: Final = 0.5  # seconds after the storm that work goes on
BEGIN: Final = b"INSERT INTO public.import_job (slug, state) VALUES ('bench', 'importing_data')"
END: Final = b"DELETE FROM public.import_job WHERE slug = 'bench'"
SCRIPT: Final = """
INSERT INTO public.import_job (slug, state) VALUES ('storm' || random(), 'importing_data') RETURNING id \\gset
DELETE FROM public.import_job WHERE id = :id;
"""
STATEMENTS: Final = 2  # of the script; each commits by itself

Connection = psycopg.Connection[tuple[object, ...]]


def run(port: int) -> None:
    """Print a table of each."""
    with clients.built() as built, ground.database() as dsn, psycopg.connect(dsn, autocommit=True) as writer:
        migrate(dsn)
        tell(
            Table(f"{CROWD:,} clients come to the whole server at once, and are sent away", *_herd(built, dsn, port)),
            ground.machine(),
        )
        tell(Table(f"{CROWD:,} clients at rest", *_rest(built, dsn, port)), ground.machine())
        with _served(dsn, port) as (url, pid), Clients(built, [port], PATH, PROCESSING) as crowd:
            crowd.open(CROWD)
            tell(Table(f"Commit to frame at {CROWD:,} clients", *_changes(writer, url, pid, crowd)), ground.machine())
        rows = {}
        for size in (1000, CROWD):
            for rate in (0, 2500):
                with _served(dsn, port) as (url, pid), Clients(built, [port], PATH, STABLE) as crowd:
                    crowd.open(size)
                    commits = f"{rate:,} commits/s" if rate else "as many commits as the machine can"
                    rows[f"{size:,} clients, {commits}"] = _storm(dsn, writer, url, pid, crowd, size, rate)
        columns = [
            Column("commits/s", "{:,.0f}"),
            Column("frames/s at each client"),
            Column("CPU of the server, % of a core"),
            Column("last commit to truth at half, ms"),
            Column("at all, ms"),
        ]
        tell(Table(f"A storm of commits for {STORM} s", columns, rows), ground.machine())


@contextlib.contextmanager
def _served(dsn: str, port: int, **environment: str) -> Iterator[tuple[str, int]]:
    with ground.server("serve", port, DATABASE_URL=dsn, **environment) as (url, _):
        yield url, _process()


def _process() -> int:
    """The server among our children."""
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        if b"serve" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise SystemExit("the server is gone")


def _herd(built: Path, dsn: str, port: int) -> tuple[list[Column], dict[str, list[float | None]]]:
    came, gone, held = [], [], []
    for _ in range(TURNS):
        with _served(dsn, port) as (_, pid), Clients(built, [port], PATH) as crowd:
            crowd.open(10)
            before = memory(pid)
            came.append(crowd.herd(CROWD).last)
            held.append((memory(pid) - before) / CROWD)
            crowd.drain()
            os.kill(pid, signal.SIGTERM)
            gone.append(crowd.arrived().last)
    columns = [
        Column("until all have the state, s", "{:.2f}"),
        Column("until all have seen the end, s", "{:.2f}"),
        Column("memory per client, KiB"),
    ]
    return columns, {"Stability": [median(came), median(gone), median(held) / 1024]}


def _rest(built: Path, dsn: str, port: int) -> tuple[list[Column], dict[str, list[float | None]]]:
    rows: dict[str, list[float | None]] = {}
    for name, size, seconds in (
        ("nobody there", 0, "15"),
        ("a heartbeat each 30 s", CROWD, "30"),
        ("a heartbeat each 15 s, as is usual", CROWD, "15"),
    ):
        with (
            _served(dsn, port, STABILITY_HEARTBEAT_SECONDS=seconds) as (url, pid),
            Clients(built, [port], PATH) as crowd,
        ):
            if size:
                crowd.open(size)
            time.sleep(2)
            before = cpu(pid)
            time.sleep(REST)
            used = cpu(pid) - before
            rows[name] = [100 * used / REST, *_pauses(url)]
    columns = [
        Column("CPU, % of a core", "{:.2f}"),
        Column("pauses of the garbage collector so far", "{:,.0f}"),
        Column("of them over 5 ms", "{:,.0f}"),
        Column("over 20 ms", "{:,.0f}"),
    ]
    return columns, rows


def _pauses(url: str) -> tuple[float, float, float]:
    figures = _metrics(url)
    count = figures["stability_gc_pause_seconds_count"]
    return (
        count,
        count - figures['stability_gc_pause_seconds_bucket{le="0.005"}'],
        count - figures['stability_gc_pause_seconds_bucket{le="0.02"}'],
    )


def _metrics(url: str) -> dict[str, float]:
    lines = httpx.get(f"{url}/metrics", timeout=30).text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def _changes(
    writer: Connection, url: str, pid: int, crowd: Clients
) -> tuple[list[Column], dict[str, list[float | None]]]:
    heard, spent = [], []
    with _asking(url) as answers:
        for _ in range(CHANGES):
            ground.await_armed(writer)
            crowd.expect()
            before, began = cpu(pid), time.monotonic_ns()
            answers.during.set()
            writer.execute(BEGIN)
            heard.append(crowd.arrived(began))
            answers.during.clear()
            spent.append(cpu(pid) - before)
            writer.execute(END)
    columns = [Column("median, ms"), Column("p99, ms")]
    last = [each.last for each in heard]
    rows: dict[str, list[float | None]] = {
        "half of the clients have it": [1e3 * median(each.p50 for each in heard), None],
        "all have it": [1e3 * median(last), 1e3 * max(last)],
        "another request meanwhile, GET /api/system-status": [
            1e3 * median(answers.seconds),
            1e3 * quantiles(answers.seconds, n=100)[98],
        ],
        "CPU per delivery, µs": [1e6 * median(spent) / CROWD, None],
    }
    return columns, rows


class _Answers:
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.during, self.over = threading.Event(), threading.Event()


@contextlib.contextmanager
def _asking(url: str) -> Iterator[_Answers]:
    """Somebody who asks for the state again and again while `during` is set."""
    answers = _Answers()

    def ask() -> None:
        with httpx.Client(base_url=url) as client:
            while not answers.over.is_set():
                if answers.during.wait(0.1):
                    began = time.perf_counter()
                    client.get("/api/system-status").raise_for_status()
                    answers.seconds.append(time.perf_counter() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        answers.over.set()
        thread.join()


def _storm(  # noqa: PLR0913, PLR0917
    dsn: str, writer: Connection, url: str, pid: int, crowd: Clients, size: int, rate: int
) -> list[float | None]:
    before, chunks, began = cpu(pid), _metrics(url)["stability_chunks_sent_total"], time.monotonic()
    commits, truths = 0.0, []
    for _ in range(TURNS if not rate else 1):
        commits = STATEMENTS * _pgbench(dsn, writer, rate)
        crowd.expect()
        last = time.monotonic_ns()
        writer.execute(END)
        truths.append(crowd.arrived(last))
    seconds = time.monotonic() - began
    frames = (_metrics(url)["stability_chunks_sent_total"] - chunks) / size / seconds
    used = 100 * (cpu(pid) - before) / seconds
    half, everybody = median(each.p50 for each in truths), median(each.last for each in truths)
    return [commits, frames, used, 1e3 * half, 1e3 * everybody]


def _pgbench(dsn: str, writer: Connection, rate: int) -> float:
    """A storm; work that goes on a little longer begins before its end."""
    programs = binaries.find()
    limit = ["-R", str(rate // STATEMENTS)] if rate else []
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(SCRIPT)
        script.flush()
        with subprocess.Popen(
            [
                programs.bin / "pgbench",
                "-n",
                "-M",
                "prepared",
                "-c",
                "8",
                "-T",
                str(STORM),
                *limit,
                "-f",
                script.name,
                dsn,
            ],
            env={**os.environ, "LD_LIBRARY_PATH": str(Path(programs.bin).parent / "lib")},
            stdout=subprocess.PIPE,
            text=True,
        ) as storm:
            time.sleep(STORM - CALM)
            writer.execute(BEGIN)
            told, _ = storm.communicate()
    found = re.search(r"tps = ([\d.]+)", told)
    if found is None:
        raise SystemExit(told)
    return float(found.group(1))
