"""What the log of executions costs: changes of status per second, with pgbench, beside the same without a log.

A transaction inserts an execution, or lets it begin, or finishes it. In turn and in one run: no triggers; the log
without its hint; ours. The log puts commits one after the other, so its rate is a ceiling at any number of
clients, and the disk's: a commit is not over before the disk has it. So the disk's own rate is measured in the same
run, and the log's once without waiting for it. After each run the whole chain is checked: gapless ids, each row the one
before and its own change, and the last one the truth.

Then one client changes executions beside a thousand, a million and ten million that are over, to show that a change
costs the same at any size.
"""

import os
import tempfile
import time
from statistics import median

import psycopg

from bench import ground
from bench.report import Column, Table, tell
from bench.writers import CLIENTS, commits

ROUNDS = 5
KINDS = ("no log", "the log without its hint", "Stability")
SIZES = (1_000, 1_000_000, 10_000_000)
SYNCS = 300  # of the disk, in a round
SCRIPT = """
INSERT INTO executions DEFAULT VALUES RETURNING id \\gset
UPDATE executions SET status = 'RUNNING' WHERE id = :id;
UPDATE executions SET status = 'FINISHED' WHERE id = :id;
"""
BULK = 10_000  # rows of one statement
# What is wrong with the chain: rows that do not follow from the one before, and a last row that is not the truth.
BROKEN = """
    WITH chain AS (
        SELECT s.*, s.id - lag(s.id, 1, 0) OVER chain AS step,
               s.executions_pending - lag(s.executions_pending, 1, 0) OVER chain AS pending,
               s.executions_running - lag(s.executions_running, 1, 0) OVER chain AS running,
               s.executions_finished - lag(s.executions_finished, 1, 0) OVER chain AS finished,
               lag(s.status_to) OVER (PARTITION BY s.execution_id ORDER BY s.id) AS before
          FROM status_log s WINDOW chain AS (ORDER BY s.id))
    SELECT (SELECT count(*) FROM chain
             WHERE step <> 1 OR status_from IS DISTINCT FROM before
                OR pending <> (status_to = 'PENDING')::integer - coalesce((status_from = 'PENDING')::integer, 0)
                OR running <> (status_to = 'RUNNING')::integer - coalesce((status_from = 'RUNNING')::integer, 0)
                OR finished <> (status_to = 'FINISHED')::integer),
           (SELECT count(*) FROM stability.execution_counts() c,
                   (SELECT * FROM status_log ORDER BY id DESC LIMIT 1) l
             WHERE (c.pending, c.running, c.finished)
                   <> (l.executions_pending, l.executions_running, l.executions_finished))
"""


def run(_port: int) -> None:
    """Print changes per second of every kind, and the time of a large statement."""
    with (
        ground.database() as dsn,
        psycopg.connect(dsn, autocommit=True) as owner,
        tempfile.NamedTemporaryFile("w", suffix=".sql") as script,
    ):
        _migrate(dsn)
        script.write(SCRIPT)
        script.flush()
        ours = _function(owner)
        found: dict[tuple[str, int], list[float]] = {}
        for number in range(ROUNDS):
            for clients in CLIENTS:
                for kind in KINDS[number % 3 :] + KINDS[: number % 3]:
                    _place(owner, kind, ours)
                    found.setdefault((kind, clients), []).append(commits(dsn, script.name, clients))
                    if kind != "no log":
                        _check(owner)
        disk = median(_disk() for _ in range(ROUNDS))
        bulk = [_bulk(owner, ours) for _ in range(ROUNDS)]
        owner.execute("ALTER SYSTEM SET synchronous_commit = off")
        owner.execute("SELECT pg_reload_conf()")
        waitless = {clients: median(_waitless(owner, dsn, script.name, clients, ours)) for clients in CLIENTS}
        sizes = {f"{size:,}": _beside(owner, dsn, script.name, size) for size in SIZES}
    columns = [Column(f"{clients} clients", "{:,.0f}") for clients in CLIENTS]
    rows: dict[str, list[float | None]] = {
        kind: [median(found[kind, clients]) for clients in CLIENTS] for kind in KINDS
    }
    rows["Stability, synchronous_commit off"] = [waitless[clients] for clients in CLIENTS]
    rows["the disk: 8 KiB written and synced, one after the other"] = [disk, None, None, None]
    note = f"One statement that changes {BULK:,} rows: {median(bulk):.2f} s at the median."
    tell(Table("Changes of executions per second", columns, rows, note), ground.machine())
    columns = [Column("changes per second", "{:,.0f}"), Column("pages per change")]
    note = "One client, synchronous_commit off."
    tell(Table("One change beside executions that are over", columns, sizes, note), ground.machine())


def _migrate(dsn: str) -> None:
    from stability.schema.migration import migrate  # noqa: PLC0415 -- with Alembic, which no other part needs

    migrate(dsn, lambda _line: None)


def _function(owner: psycopg.Connection[tuple[object, ...]]) -> str:
    found = owner.execute("SELECT pg_get_functiondef('stability.log_execution()'::regprocedure)").fetchone()
    assert found is not None
    return str(found[0])


def _place(owner: psycopg.Connection[tuple[object, ...]], kind: str, ours: str) -> None:
    enabled = "DISABLE" if kind == "no log" else "ENABLE"
    owner.execute(
        f"ALTER TABLE executions {enabled} TRIGGER USER; TRUNCATE executions, status_log; CHECKPOINT".encode()
    )
    owner.execute("TRUNCATE stability.outbox CASCADE")
    owner.execute((ours if kind == "Stability" else ours.replace("PERFORM pg_notify(", "PERFORM concat(")).encode())


def _check(owner: psycopg.Connection[tuple[object, ...]]) -> None:
    if (broken := owner.execute(BROKEN).fetchone()) != (0, 0):
        raise SystemExit(f"The log is wrong: rows that do not follow, and whether the last is not the truth: {broken}")


def _bulk(owner: psycopg.Connection[tuple[object, ...]], ours: str) -> float:
    _place(owner, "Stability", ours)
    owner.execute("INSERT INTO executions SELECT FROM generate_series(1, %s)", (BULK,))
    clock = "SELECT extract(epoch FROM clock_timestamp())::float8"
    (began,) = owner.execute(clock).fetchone() or (0.0,)
    owner.execute("UPDATE executions SET status = 'RUNNING'")
    (ended,) = owner.execute(clock).fetchone() or (0.0,)
    _check(owner)
    assert isinstance(began, float)
    assert isinstance(ended, float)
    return ended - began


def _waitless(
    owner: psycopg.Connection[tuple[object, ...]], dsn: str, script: str, clients: int, ours: str
) -> list[float]:
    rates = []
    for _ in range(ROUNDS):
        _place(owner, "Stability", ours)
        rates.append(commits(dsn, script, clients))
        _check(owner)
    return rates


def _beside(owner: psycopg.Connection[tuple[object, ...]], dsn: str, script: str, size: int) -> list[float | None]:
    """Changes per second, and pages that Postgres asks for per change, beside so many that are over."""
    owner.execute("ALTER TABLE executions DISABLE TRIGGER USER; ALTER TABLE status_log DISABLE TRIGGER USER")
    owner.execute("TRUNCATE executions, status_log, stability.outbox CASCADE")
    owner.execute(
        "INSERT INTO executions (status, progress) SELECT 'FINISHED', 100 FROM generate_series(1, %s)", (size,)
    )
    owner.execute(
        "INSERT INTO status_log (id, timestamp, executions_finished, status_from, status_to, execution_id)"
        " OVERRIDING SYSTEM VALUE SELECT id, now(), id, 'RUNNING', 'FINISHED', id FROM executions"
    )
    owner.execute("VACUUM ANALYZE executions, status_log")
    owner.execute("ALTER TABLE executions ENABLE TRIGGER USER; ALTER TABLE status_log ENABLE TRIGGER USER; CHECKPOINT")
    rates, pages = [], []
    for _ in range(ROUNDS):
        before, rows = _pages(owner)
        rates.append(commits(dsn, script, 1))
        after, more = _pages(owner)
        pages.append((after - before) / (more - rows))
    return [median(rates), median(pages)]


def _pages(owner: psycopg.Connection[tuple[object, ...]]) -> tuple[int, int]:
    """Pages that were asked for so far, and rows in the log."""
    asked = """
        SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::bigint,
               (SELECT max(id) FROM status_log)
          FROM pg_statio_all_tables WHERE relid IN ('executions'::regclass, 'status_log'::regclass)"""
    found = owner.execute(asked).fetchone()
    assert found is not None
    return int(str(found[0])), int(str(found[1]))


def _disk() -> float:
    """How often a second 8 KiB can be written in place and synced, where the database lies."""
    with tempfile.NamedTemporaryFile(prefix="stability-bench-") as file:
        block = bytes(8192)
        os.pwrite(file.fileno(), block * 64, 0)
        os.fsync(file.fileno())
        began = time.monotonic()
        for number in range(SYNCS):
            os.pwrite(file.fileno(), block, number % 64 * len(block))
            os.fdatasync(file.fileno())
        return SYNCS / (time.monotonic() - began)
