"""Reads beside 12,000,000 rows that are none of their business, and under an old snapshot that keeps all of them.

First what a read takes over one connection, as the server makes it (nothing prepared), and within Postgres; beside it
an empty round trip and a single probe of a partial index, which no design can do without, and the query that one would
write by hand. Then the same while somebody holds a snapshot over 1,000,000 tasks that came and went, and what a server
with clients on it makes of that. It takes some minutes and 5 GB of disk.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import psycopg

from bench import ground
from bench.report import Column, Table, tell
from stability.schema.migration import migrate

ROUNDS = 2000
SLOW_ROUNDS = 20  # of what takes half a second
CHURN = 100  # batches
BATCH = 10_000  # tasks, each inserted, taken up and settled
CLIENTS = 100
SECONDS = 60.0  # that the server is watched
LOOK_AGAIN = 0.25  # seconds between two looks at what its backends use
PAUSE = (2.0, 4.0)  # seconds that a state lasts
OPTIONS: Final = {
    "shared_preload_libraries": "pg_stat_statements",
    # what is measured is reading; this makes the rows come sooner
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
}
ANALYTICS = "(ARRAY['derive', 'aggregate', 'report'])[1 + i % 3]"
ROWS: Final = (
    "INSERT INTO worker.command_registry VALUES"
    " ('derive', 'analytics'), ('aggregate', 'analytics'), ('report', 'analytics'), ('sweep', 'maintenance')",
    f"INSERT INTO worker.tasks (command, state, duration_ms) SELECT {ANALYTICS},"
    " (ARRAY['completed', 'failed', 'interrupted'])[1 + i % 3], i % 1000 FROM generate_series(1, 10000000) i",
    "INSERT INTO public.import_job (slug, state) SELECT 'job-' || i,"
    " (ARRAY['finished', 'rejected', 'failed'])[1 + i % 3] FROM generate_series(1, 1000000) i",
    "INSERT INTO worker.tasks (command) SELECT 'sweep' FROM generate_series(1, 500000)",
    f"INSERT INTO worker.tasks (command, scheduled_at) SELECT {ANALYTICS}, now() + '7 days'::interval"
    " FROM generate_series(1, 500000) i",
    "VACUUM ANALYZE worker.tasks, public.import_job",
)
# by hand: the obvious query, and the obvious index beside ours
BY_HAND_INDEX = (
    "CREATE INDEX by_hand ON worker.tasks (command) WHERE state NOT IN ('completed', 'failed', 'interrupted')"
)
BY_HAND = """
    SELECT NOT EXISTS (SELECT FROM worker.tasks t JOIN worker.command_registry r USING (command)
        WHERE r.queue = 'analytics' AND t.state NOT IN ('completed', 'failed', 'interrupted')
          AND coalesce(t.scheduled_at, '-infinity') <= now())
"""
PROBE = """
    SELECT EXISTS (SELECT FROM public.import_job WHERE (NOT state IN
        ('finished', 'rejected', 'failed', 'waiting_for_review', 'waiting_for_upload')) IS NOT FALSE)
"""
BADGE = "SELECT public.is_system_stable()"
READ = "SELECT * FROM stability.read_activity()"
BEGIN = "INSERT INTO worker.tasks (command) SELECT 'derive' FROM generate_series(1, %s)"
END = "DELETE FROM worker.tasks WHERE command = 'derive' AND state = 'pending' AND scheduled_at IS NULL"
CHURN_ONE: Final = (
    f"INSERT INTO worker.tasks (command) SELECT {ANALYTICS} FROM generate_series(1, {BATCH}) i",
    f"UPDATE worker.tasks SET state = 'processing' WHERE id > (SELECT max(id) - {BATCH} FROM worker.tasks)",
    f"UPDATE worker.tasks SET state = 'completed' WHERE id > (SELECT max(id) - {BATCH} FROM worker.tasks)",
)
TIMED = """
    CREATE OR REPLACE FUNCTION pg_temp.timed(rounds integer) RETURNS SETOF double precision LANGUAGE plpgsql AS $$
    DECLARE began timestamptz;
    BEGIN
        FOR i IN 1..rounds LOOP
            began := clock_timestamp();
            PERFORM * FROM {call};
            RETURN NEXT extract(epoch FROM clock_timestamp() - began);
        END LOOP;
    END $$
"""
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'stability'"
READS = """
    SELECT coalesce(sum(calls), 0)::int, coalesce(sum(total_exec_time), 0)::float8 / 1000
      FROM pg_stat_statements WHERE query LIKE 'SELECT clock_timestamp() AS as_of%'
"""

SPANS: Final = (Column("median, µs", "{:,.0f}"), Column("p99, µs", "{:,.0f}"), Column("times", "{:,}"))

_Connection: TypeAlias = psycopg.Connection[Any]
_Figures: TypeAlias = list[float | None]


def run(port: int) -> None:
    """Print what reads take, and what a server makes of slow ones."""
    with ground.database(OPTIONS) as dsn, psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as owner:
        migrate(dsn, lambda _line: None)
        _fill(owner)
        size, tasks = _row(owner, "SELECT pg_database_size(current_database()), count(*) FROM worker.tasks")
        note = f"{tasks:,} tasks and 1,000,000 jobs, {size / 2**30:.1f} GiB."
        tell(Table("One read beside 12,000,000 rows", SPANS, dict(_fast(owner)), note), ground.machine())
        with psycopg.connect(dsn) as old:
            old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT FROM worker.tasks LIMIT 1")
            for _ in range(CHURN):
                for statement in CHURN_ONE:
                    owner.execute(statement.encode())
            reads = {
                "read_activity()": _timed(owner, READ, SLOW_ROUNDS),
                "is_system_stable()": _timed(owner, BADGE, SLOW_ROUNDS),
            }
            owner.execute("CREATE EXTENSION pg_stat_statements")
            environment = {"DATABASE_URL": dsn, "STABILITY_HEARTBEAT_SECONDS": "0.5"}
            with ground.server("serve", port, **environment) as (url, _):
                watched = asyncio.run(_watch(owner, url))
        owner.execute("INSERT INTO worker.tasks (command, state) VALUES ('derive', 'completed')")
        reads["the snapshot gone: the first read"] = _timed(owner, READ, 1)
        reads["the snapshot gone: those after it"] = _timed(owner, READ)
    note = f"Held over {CHURN * BATCH:,} tasks that came and went."
    tell(Table("The same read under an old snapshot", SPANS, reads, note), ground.machine())
    title = f"A server with {CLIENTS} clients under that snapshot, for {SECONDS:.0f} s"
    columns = [Column("median", "{:,.2f}"), Column("most", "{:,.2f}")]
    tell(Table(title, columns, watched), ground.machine())


def _fill(owner: _Connection) -> None:
    owner.execute("SET session_replication_role = replica")  # the references are known to hold
    for statement in ROWS:
        owner.execute(statement.encode())
    owner.execute("RESET session_replication_role")


def _fast(owner: _Connection) -> Iterator[tuple[str, _Figures]]:
    yield "the limit: an empty round trip", _timed(owner, "SELECT 1")
    owner.execute("SET enable_seqscan = off")  # or it hopes to meet a row early on
    yield "the limit: one probe of a partial index", _timed(owner, PROBE)
    owner.execute("RESET enable_seqscan")
    for state, begin in (("stable", 0), ("one task active", 1), ("10,000 tasks active", 10_000)):
        owner.execute(BEGIN.encode(), (begin,))
        for name, query, call in (
            ("is_system_stable()", BADGE, "public.is_system_stable()"),
            ("read_activity()", READ, "stability.read_activity()"),
        ):
            yield f"{name}, {state}", _timed(owner, query)
            yield f"{name}, {state}: of that within Postgres", _figures(_within(owner, call))
        owner.execute(END.encode())
    owner.execute(BY_HAND_INDEX.encode())
    yield "by hand: EXISTS, join, partial index; stable", _timed(owner, BY_HAND, SLOW_ROUNDS)
    owner.execute("DROP INDEX worker.by_hand")


def _timed(owner: _Connection, query: str, rounds: int = ROUNDS) -> _Figures:
    """Send a query over and over."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        owner.execute(query.encode()).fetchall()
        seconds.append(time.perf_counter() - began)
    return _figures(seconds)


def _within(owner: _Connection, call: str) -> list[float]:
    """Seconds that a call takes where no client has to be answered."""
    owner.execute(TIMED.replace("{call}", call).encode())
    return [float(seconds) for (seconds,) in owner.execute(f"SELECT pg_temp.timed({ROUNDS})".encode()).fetchall()]


def _figures(seconds: Sequence[float]) -> _Figures:
    """What `SPANS` names."""
    p99 = 1e6 * quantiles(seconds, n=100)[98] if len(seconds) > 1 else None
    return [1e6 * median(seconds), p99, len(seconds)]


@dataclass
class _Seen:
    """What one client of the stream was told."""

    stable: bool | None = None
    unknown: int = 0  # times
    ages: list[float] = field(default_factory=list)  # seconds from the read to the heartbeat that tells of it
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, name: str, data: str) -> None:
        """Note an event of the stream."""
        said = json.loads(data)
        if name == "heartbeat":
            time_, as_of = (datetime.fromisoformat(said[key]) for key in ("time", "as_of"))
            self.ages.append((time_ - as_of).total_seconds())
        elif not name:
            self.stable = said["stable"]
            self.unknown += self.stable is None
            self.news.set()


async def _watch(owner: _Connection, url: str) -> dict[str, _Figures]:
    """Follow the server's stream with many clients, change the state now and then, and tell what it cost."""
    seen, cpu = [_Seen() for _ in range(CLIENTS)], _Cpu()
    running = [asyncio.create_task(_follow(url, client)) for client in seen]
    running.append(asyncio.create_task(cpu.follow(owner)))
    await _shown(seen[0], stable=True)
    delays: list[float] = []
    (calls, spent), used, began = _row(owner, READS), cpu.total, time.monotonic()
    while time.monotonic() < began + SECONDS:
        for statement, parameters, stable in ((BEGIN, (1,), False), (END, None, True)):
            owner.execute(statement.encode(), parameters)
            delays.append(await _shown(seen[0], stable=stable))
            await asyncio.sleep(random.uniform(*PAUSE))  # noqa: S311
    took = time.monotonic() - began
    calls_after, spent_after = _row(owner, READS)
    for task in running:
        task.cancel()
    cost = _Cost(took, calls_after - calls, spent_after - spent, cpu.total - used)
    return _told(cost, delays, seen)


async def _follow(url: str, client: _Seen) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET /api/system-status/live HTTP/1.1\r\nHost: bench\r\n\r\n")
    name = ""
    while line := (await reader.readline()).decode().strip():
        pass  # the head
    while part := await reader.readline():
        line = part.decode().strip()
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            client.take(name, line.removeprefix("data: "))
            name = ""


async def _shown(client: _Seen, *, stable: bool) -> float:
    """Seconds until a client shows the state."""
    began = time.monotonic()
    while client.stable is not stable:
        client.news.clear()
        await client.news.wait()
    return time.monotonic() - began


@dataclass
class _Cpu:
    """Seconds of CPU by each backend that the server has had: all count, those as well that only send canaries."""

    by: dict[int, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Of all of them, also those that are gone."""
        return sum(self.by.values())

    async def follow(self, owner: _Connection) -> None:
        """Look again and again: what a backend used goes with it."""
        while True:
            self._look(owner)
            await asyncio.sleep(LOOK_AGAIN)

    def _look(self, owner: _Connection) -> None:
        for (pid,) in owner.execute(BACKENDS.encode()).fetchall():
            with suppress(FileNotFoundError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self.by[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Cost:
    """What the server took while it was watched: all but `reads` in seconds."""

    took: float
    reads: int
    spent: float
    cpu: float


def _told(cost: _Cost, delays: list[float], seen: list[_Seen]) -> dict[str, _Figures]:
    ages = [age for client in seen for age in client.ages]
    return {
        "reads": [cost.reads, None],
        "what each took, ms": [1000 * cost.spent / cost.reads, None],
        "one every so many seconds": [cost.took / cost.reads, None],
        "share of the time, %": [100 * cost.spent / cost.took, None],
        "share of a core, CPU of all its backends, %": [100 * cost.cpu / cost.took, None],
        "age of as_of at a client, s": [median(ages), max(ages)],
        "changes of state": [len(delays), None],
        "until one is shown, s": [median(delays), max(delays)],
        "times that a client was told unknown": [sum(client.unknown for client in seen), None],
        "different states at the clients in the end": [len({client.stable for client in seen}), None],
    }


def _row(owner: _Connection, query: str) -> tuple[Any, ...]:
    (row,) = owner.execute(query.encode()).fetchall()
    return tuple(row)
