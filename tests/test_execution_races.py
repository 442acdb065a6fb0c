"""The log under concurrency: the counts of every row are the truth in the order of the commits."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.fixtures.eventually import eventually
from tests.fixtures.executions import changes, check, log, make, truth
from tests.fixtures.postgres import Database, fetch

WRITERS = 64
ROUNDS = 12
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
CHANGES = (
    "INSERT INTO executions (status) VALUES ('PENDING'), ('READY')",
    "INSERT INTO executions (status) VALUES ('RUNNING')",
    "UPDATE executions SET status = 'RUNNING' WHERE id = {id} AND status IN ('PENDING', 'READY')",
    "UPDATE executions SET status = 'CANCELLING' WHERE id = {id} AND status = 'RUNNING'",
    "UPDATE executions SET status = 'FINISHED' WHERE id = {id} AND status = 'RUNNING'",
    "UPDATE executions SET status = 'CANCELLED' WHERE id = {id} AND status IN ('READY', 'CANCELLING')",
    "UPDATE executions SET name = 'seven' WHERE id = {id}",
    "UPDATE executions SET status = 'READY' WHERE id BETWEEN {id} AND {id} + 9 AND status = 'PENDING'",
    "DELETE FROM executions WHERE id = {id}",
    "SAVEPOINT a",
    "ROLLBACK TO a",
)


class Writer(threading.Thread):
    """Makes random changes in short transactions; begins again where Postgres asks for that, and fails at all else."""

    def __init__(self, dsn: str, seed: int) -> None:
        super().__init__()
        self.dsn, self.random = dsn, random.Random(seed)
        self.failures: list[psycopg.Error] = []
        self.again = 0

    def run(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for _ in range(ROUNDS):
                try:
                    self.transact(connection)
                except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                    self.again += 1
                except psycopg.Error as error:
                    self.failures.append(error)
                    return

    def transact(self, connection: psycopg.Connection[Any]) -> None:
        level = self.random.choice(["READ COMMITTED"] * 4 + ["REPEATABLE READ", "SERIALIZABLE"])
        with connection.transaction(force_rollback=self.random.random() < 0.1):
            connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}".encode())
            connection.execute("SAVEPOINT a")
            for _ in range(self.random.randint(1, 4)):
                change = self.random.choice(CHANGES).format(id=self.random.randint(1, 60))
                connection.execute(change.encode())


def test_every_row_is_the_truth_in_the_order_of_commits(executions: Database) -> None:
    """64 writers at random, each isolation level, savepoints and rollbacks: one history without a gap."""
    make(executions.dsn, *["PENDING", "READY", "RUNNING"] * 10)
    fetch(executions.dsn, "ALTER TABLE executions ALTER id RESTART 31")
    crew = [Writer(executions.writer_dsn, seed) for seed in range(WRITERS)]
    for writer in crew:
        writer.start()
    for writer in crew:
        writer.join()

    assert [writer.failures for writer in crew] == [[]] * WRITERS
    rows = log(executions.dsn)
    check(rows)
    assert len(rows) > WRITERS
    assert rows[-1].counts == truth(executions.dsn)
    times = fetch(executions.dsn, "SELECT timestamp FROM status_log ORDER BY id")
    assert times == sorted(times)


@contextmanager
def finishing(dsn: str, execution: int, level: str = "READ COMMITTED") -> Iterator[psycopg.Connection[Any]]:
    """A transaction that has finished an execution and not committed it."""
    with psycopg.connect(dsn) as connection:
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}".encode())
        connection.execute("UPDATE executions SET status = 'FINISHED' WHERE id = %s", (execution,))
        yield connection


def test_two_that_finish_at_once_log_one_and_two(executions: Database) -> None:
    """Neither sees what the other has done until he commits; whoever commits second says two."""
    make(executions.dsn, "RUNNING", "RUNNING")
    with finishing(executions.writer_dsn, 1) as one, finishing(executions.writer_dsn, 2) as other:
        other.commit()
        one.commit()

    assert [(row.execution_id, row.counts[2:4]) for row in log(executions.dsn)[2:]] == [(2, (1, 1)), (1, (0, 2))]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_that_lost_the_race_begins_again(executions: Database, level: str) -> None:
    """It gets a serialization error at commit, and nothing of it is there; trying again succeeds."""
    make(executions.dsn, "RUNNING", "RUNNING")
    with finishing(executions.writer_dsn, 1, level) as late, finishing(executions.writer_dsn, 2) as other:
        other.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            late.commit()
    with finishing(executions.writer_dsn, 1, level) as again:
        again.commit()

    assert changes(executions.dsn)[2:] == [(2, "RUNNING", "FINISHED"), (1, "RUNNING", "FINISHED")]


def test_an_old_snapshot_that_saw_an_empty_log_begins_again_too(executions: Database) -> None:
    """It must not take the first row for its own."""
    with psycopg.connect(executions.writer_dsn) as late:
        late.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        late.execute("INSERT INTO executions (id) VALUES (1)")
        fetch(executions.writer_dsn, "INSERT INTO executions (id) VALUES (2)")
        with pytest.raises(psycopg.errors.SerializationFailure):
            late.commit()

    assert changes(executions.dsn) == [(2, None, "PENDING")]


def test_nobody_waits_before_he_commits(executions: Database) -> None:
    """A long transaction that has changed a status holds up nobody else's change."""
    make(executions.dsn, "RUNNING", "RUNNING")
    with finishing(executions.writer_dsn, 1):
        assert fetch(executions.dsn, WAITING) == [0]
        fetch(executions.writer_dsn, "UPDATE executions SET status = 'FINISHED' WHERE id = 2")

    assert changes(executions.dsn)[2:] == [(2, "RUNNING", "FINISHED"), (1, "RUNNING", "FINISHED")]


def test_checks_made_early_only_take_the_lock_early(executions: Database) -> None:
    """SET CONSTRAINTS ALL IMMEDIATE is a writer's right: his rows are logged at once, others then wait for him."""
    make(executions.dsn, "RUNNING", "RUNNING")
    with finishing(executions.writer_dsn, 1) as early:
        early.execute("SET CONSTRAINTS ALL IMMEDIATE")
        other = threading.Thread(
            target=fetch, args=(executions.writer_dsn, "UPDATE executions SET status = 'FAILED' WHERE id = 2")
        )
        other.start()
        eventually(lambda: fetch(executions.dsn, WAITING) == [1])
        early.execute("DELETE FROM executions WHERE id = 1")
    other.join()

    check(log(executions.dsn))
    assert changes(executions.dsn)[2:] == [(1, "RUNNING", "FINISHED"), (1, "FINISHED", None), (2, "RUNNING", "FAILED")]


def test_ten_thousand_rows_of_a_statement_are_ten_thousand_rows_of_the_log(executions: Database) -> None:
    """Within one commit, in the order of their ids, and not in that in which they lie; the figure is printed."""
    fetch(executions.writer_dsn, "INSERT INTO executions (id) SELECT 10001 - n FROM generate_series(1, 10000) n")
    with psycopg.connect(executions.writer_dsn, autocommit=True) as writer:
        writer.execute("SELECT 1")
        began = _clock(writer)
        writer.execute("UPDATE executions SET status = 'RUNNING'")
        print(f"10,000 changes in one statement: {_clock(writer) - began:.2f} s")

    rows = log(executions.dsn)
    check(rows)
    assert len(rows) == 20_000
    assert [row.execution_id for row in rows] == [*range(1, 10_001)] * 2


def _clock(connection: psycopg.Connection[Any]) -> float:
    (now,) = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone() or (0.0,)
    return float(now)


READ = """
    SELECT sum(seq_tup_read)::bigint, sum(idx_tup_fetch)::bigint FROM pg_stat_user_tables
     WHERE relname IN ('executions', 'status_log')
"""


@pytest.mark.parametrize("size", [1_000, pytest.param(1_000_000, marks=pytest.mark.chaos)])
def test_a_change_costs_the_same_whatever_there_is(executions: Database, size: int) -> None:
    """It reads the execution and the newest row of the log, each by an index, and nothing else."""
    fetch(executions.dsn, "ALTER TABLE executions DISABLE TRIGGER USER")
    fetch(executions.dsn, "INSERT INTO executions (status) SELECT 'RUNNING' FROM generate_series(1, %s)", size)
    fetch(
        executions.dsn,
        "INSERT INTO status_log (id, executions_running) SELECT n, n FROM generate_series(1, %s) n",
        size,
    )
    fetch(executions.dsn, "ALTER TABLE executions ENABLE TRIGGER USER")
    fetch(executions.dsn, "VACUUM ANALYZE executions, status_log")
    (before,) = fetch(executions.dsn, READ)
    fetch(executions.dsn, "UPDATE executions SET status = 'FINISHED' WHERE id = 5")
    (after,) = fetch(executions.dsn, READ)

    assert log(executions.dsn)[-1].counts == (0, 0, size - 1, 1, 0, 0)
    assert after[0] - before[0] == 0
    assert after[1] - before[1] <= 4
