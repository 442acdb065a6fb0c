"""What a writer pays: commits per second on `worker.tasks`, by what its triggers do, with pgbench.

A transaction is an insert or one of two updates, as a queue's worker commits them. In turn and in one run: no
triggers; an empty statement-level trigger, which no design can do without; ours, with a server attached and a client
that watches; a hint per statement; and the naive design, which evaluates the answer in the trigger and sends it.
"""

import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import psycopg

from bench import ground
from bench.report import Column, Table, tell
from stability.postgres import binaries
from stability.torture.naive import EVALUATE

CLIENTS = (1, 4, 16, 64)
ROUNDS = 15
SECONDS = 2  # of one run
KINDS = {
    "no triggers": "",
    "empty trigger": "RETURN NULL;",
    "Stability": "",
    "a hint per statement": "PERFORM pg_notify('bench', ''); RETURN NULL;",
    "evaluate and notify": EVALUATE,
}
SCRIPT = """
INSERT INTO worker.tasks (command) VALUES ('derive') RETURNING id \\gset
UPDATE worker.tasks SET state = 'processing' WHERE id = :id;
UPDATE worker.tasks SET state = 'completed' WHERE id = :id;
"""
STATEMENTS = 3  # of the script; each commits by itself


def run(port: int) -> None:
    """Print commits per second of every kind, and its share of what no triggers leave."""
    with (
        ground.database() as dsn,
        ground.server("up", port, DATABASE_URL=dsn) as (url, _),
        psycopg.connect(dsn, autocommit=True) as owner,
        _watching(url),
        tempfile.NamedTemporaryFile("w", suffix=".sql") as script,
    ):
        script.write(SCRIPT)
        script.flush()
        owner.execute("INSERT INTO worker.command_registry VALUES ('derive', 'analytics')")
        found: dict[tuple[str, int], list[float]] = {}
        for number in range(ROUNDS):
            for clients in CLIENTS:
                for kind in _turned(list(KINDS), number):
                    _place(owner, kind)
                    found.setdefault((kind, clients), []).append(commits(dsn, script.name, clients))
    columns, rows = [], {kind: list[float | None]() for kind in KINDS}
    for clients in CLIENTS:
        columns += [
            Column(f"{clients} clients", "{:,.0f}"),
            Column(f"{clients}: of none", "{:.2f}"),
            Column(f"{clients}: of empty", "{:.2f}"),
        ]
        for kind, row in rows.items():
            row += [
                median(found[kind, clients]),
                _share(found, kind, "no triggers", clients),
                _share(found, kind, "empty trigger", clients),
            ]
    tell(Table("Commits per second on worker.tasks", columns, rows), ground.machine())


def _turned(kinds: list[str], by: int) -> list[str]:
    return [*kinds[by % len(kinds) :], *kinds[: by % len(kinds)]]


def _share(found: dict[tuple[str, int], list[float]], kind: str, of: str, clients: int) -> float:
    return median(a / b for a, b in zip(found[kind, clients], found[of, clients], strict=True))


def _place(owner: psycopg.Connection[tuple[object, ...]], kind: str) -> None:
    ours = "ENABLE ALWAYS" if kind == "Stability" else "DISABLE"
    owner.execute(f"ALTER TABLE worker.tasks {ours} TRIGGER notify_system_stability_on_task_change".encode())
    owner.execute("DROP TRIGGER IF EXISTS bench ON worker.tasks; TRUNCATE worker.tasks; CHECKPOINT")
    if KINDS[kind]:
        body = f"CREATE OR REPLACE FUNCTION bench() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {KINDS[kind]} END$$"
        owner.execute(body.encode())
        owner.execute(
            "CREATE TRIGGER bench AFTER INSERT OR UPDATE ON worker.tasks FOR EACH STATEMENT EXECUTE FUNCTION bench()"
        )


def commits(dsn: str, script: str, clients: int) -> float:
    """Commits per second of a script of `STATEMENTS`, which are as many commits."""
    programs = binaries.find()
    told = subprocess.run(
        [
            programs.bin / "pgbench",
            "-n",
            "-M",
            "prepared",
            "-c",
            str(clients),
            "-j",
            "2",
            "-T",
            str(SECONDS),
            "-f",
            script,
            dsn,
        ],
        env={**os.environ, "LD_LIBRARY_PATH": str(Path(programs.bin).parent / "lib")},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"tps = ([\d.]+)", told.stdout)
    if found is None:
        raise SystemExit(told.stdout)
    return STATEMENTS * float(found.group(1))


@contextmanager
def _watching(url: str) -> Iterator[None]:
    """A client of the stream, for as long as the block runs."""
    over = threading.Event()

    def follow() -> None:
        with httpx.stream("GET", f"{url}/api/system-status/live", timeout=None) as answer:  # noqa: S113 -- a stream
            for _ in answer.iter_raw():
                if over.is_set():
                    return

    threading.Thread(target=follow, daemon=True).start()
    try:
        yield
    finally:
        over.set()
