"""What the log of executions costs: changes of status per second, with pgbench, beside the same without a log.

A transaction inserts an execution, or lets it begin, or finishes it. In turn and in one run: no triggers; the log
without its hint; ours. The log puts commits one after the other, so its rate is a ceiling at any number of
clients. After each run the whole chain is checked: gapless ids, each row the one before and its own change, and the
last one the truth.
"""

import tempfile
from statistics import median

import psycopg

from bench import ground
from bench.report import Column, Table, tell
from bench.writers import CLIENTS, commits

ROUNDS = 5
KINDS = ("no log", "the log without its hint", "Stability")
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
        bulk = [_bulk(owner, ours) for _ in range(ROUNDS)]
    columns = [Column(f"{clients} clients", "{:,.0f}") for clients in CLIENTS]
    rows = {kind: [median(found[kind, clients]) for clients in CLIENTS] for kind in KINDS}
    note = f"One statement that changes {BULK:,} rows: {median(bulk):.2f} s at the median."
    tell(Table("Changes of executions per second", columns, rows, note), ground.machine())


def _migrate(dsn: str) -> None:
    from stability.schema import migrate  # noqa: PLC0415 -- with Alembic, which no other part needs

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
