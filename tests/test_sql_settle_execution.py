"""What is over stays as it is; beginnings and ends are stamped, overdue executions end, old rows of the log go."""

from typing import Any

import psycopg
import pytest

from tests.fixtures.executions import changes, log, make
from tests.fixtures.postgres import Database, fetch

OVER = ("FINISHED", "FAILED", "CANCELLED")
STAMPS = "SELECT start_date IS NOT NULL, end_date IS NOT NULL, progress FROM executions WHERE id = 1"


@pytest.mark.parametrize("status", OVER)
@pytest.mark.parametrize("wanted", ["PENDING", "RUNNING", "FAILED", "FINISHED"])
def test_what_is_over_stays_what_it_is(executions: Database, status: str, wanted: str) -> None:
    """The sentence names the execution and both states; saying the same again is no change."""
    make(executions.writer_dsn, status)
    change = f"UPDATE executions SET status = '{wanted}'"
    if wanted == status:
        fetch(executions.writer_dsn, change)
    else:
        with pytest.raises(psycopg.errors.CheckViolation, match=f"Execution 1 is {status} .* cannot become {wanted}"):
            fetch(executions.writer_dsn, change)

    assert changes(executions.dsn) == [(1, None, status)]


def test_the_remedy_is_told(executions: Database) -> None:
    """As the hint of the error."""
    make(executions.writer_dsn, "FAILED")
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        fetch(executions.writer_dsn, "UPDATE executions SET status = 'PENDING'")

    assert refused.value.diag.message_hint == "Make a new execution instead."


@pytest.mark.parametrize(
    ("change", "stamps"),
    [
        ("status = 'READY'", (False, False, 0)),
        ("status = 'RUNNING'", (True, False, 0)),
        ("status = 'FINISHED'", (False, True, 100)),
        ("status = 'FINISHED', progress = 40", (False, True, 100)),
        ("status = 'FAILED'", (False, True, 100)),
        ("status = 'FAILED', progress = 40", (False, True, 40)),
        ("status = 'CANCELLED', progress = 40", (False, True, 40)),
    ],
)
def test_beginnings_and_ends_are_stamped(executions: Database, change: str, stamps: tuple[Any, ...]) -> None:
    """A progress that the statement gives to what failed or was cancelled is kept."""
    make(executions.writer_dsn, "PENDING")
    fetch(executions.writer_dsn, f"UPDATE executions SET {change}")

    assert fetch(executions.dsn, STAMPS) == [stamps]


def test_a_progress_may_be_said_to_be_given(executions: Database) -> None:
    """A trigger cannot see that a statement gives what was there before: who writes SQL says so, of one execution."""
    make(executions.writer_dsn, "RUNNING", "RUNNING")
    fetch(executions.writer_dsn, "UPDATE executions SET progress = 40")
    with psycopg.connect(executions.writer_dsn) as writer:
        writer.execute("SELECT set_config('stability.progress_given', '1', true)")
        writer.execute("UPDATE executions SET status = 'FAILED', progress = 40")

    assert fetch(executions.dsn, "SELECT progress FROM executions ORDER BY id") == [40, 100]


def test_an_execution_that_is_made_over_is_stamped_as_well(executions: Database) -> None:
    """As a batch that is brought in afterwards; its own times stay."""
    fetch(
        executions.writer_dsn,
        "INSERT INTO executions (id, status, progress, end_date) VALUES (1, 'FAILED', 40, '2020-01-01')",
    )

    assert fetch(executions.dsn, "SELECT progress, extract(year FROM end_date)::integer FROM executions") == [
        (40, 2020)
    ]


def test_updated_at_moves_with_every_update(executions: Database) -> None:
    """Within a transaction too."""
    make(executions.writer_dsn, "RUNNING")
    seen = "UPDATE executions SET progress = progress + 1 RETURNING updated_at"
    with psycopg.connect(executions.writer_dsn) as writer:
        moments = [writer.execute(seen.encode()).fetchone() for _ in range(3)]

    assert len(set(moments)) == 3


def test_columns_that_are_gone_are_missed_by_nobody(executions: Database) -> None:
    """The owner may drop any of them, beside a session that has changed a row before."""
    make(executions.writer_dsn, "PENDING", "PENDING")
    with psycopg.connect(executions.writer_dsn, autocommit=True) as writer:
        writer.execute("UPDATE executions SET status = 'RUNNING' WHERE id = 1")
        fetch(executions.dsn, "ALTER TABLE executions DROP progress, DROP start_date, DROP end_date, DROP updated_at")
        writer.execute("UPDATE executions SET status = 'FINISHED' WHERE id = 1")
        writer.execute("INSERT INTO executions (id, status) VALUES (3, 'FAILED')")

    assert changes(executions.dsn)[-2:] == [(1, "RUNNING", "FINISHED"), (3, None, "FAILED")]


def aged(database: Database, age: str) -> None:
    """Let every change have happened so long ago."""
    fetch(database.dsn, "UPDATE status_log SET timestamp = now() - %s::interval", age)


def expire(
    database: Database, deadlines: str = "{}", grace: str = "0", at_most: int = 100, seen: str | None = None
) -> list[tuple[str, ...]]:
    """What a server ends, which has seen all so long ago."""
    query = (
        "SELECT * FROM stability.expire_executions(%s, %s::interval, interval '10 min', %s, now() - %s::text::interval)"
    )
    return fetch(database.server_dsn, query, deadlines, grace, at_most, seen)


@pytest.mark.parametrize("seen", [None, "70 min"])
def test_what_is_overdue_has_failed(executions: Database, seen: str | None) -> None:
    """With the reason; what has no deadline may take for ever."""
    make(executions.writer_dsn, "RUNNING", "PENDING", "FINISHED")
    aged(executions, "2 h")

    assert expire(executions, '{"RUNNING": "1 h", "FINISHED": "1 h"}', seen=seen) == [("1", "RUNNING", "FAILED")]
    assert fetch(executions.dsn, "SELECT status, error_message FROM executions WHERE id = 1") == [
        ("FAILED", "Overdue: RUNNING for longer than 01:00:00")
    ]
    assert changes(executions.dsn)[-1] == (1, "RUNNING", "FAILED")


@pytest.mark.parametrize("seen", [None, "70 min"])
def test_the_age_is_that_of_the_status(executions: Database, seen: str | None) -> None:
    """Not of the execution."""
    make(executions.writer_dsn, "PENDING")
    aged(executions, "2 h")
    fetch(executions.writer_dsn, "UPDATE executions SET status = 'RUNNING'")

    assert expire(executions, '{"RUNNING": "1 h"}', seen=seen) == []


def test_nothing_fails_within_its_grace(executions: Database) -> None:
    """However short its deadline."""
    make(executions.writer_dsn, "RUNNING")
    aged(executions, "2 h")

    assert expire(executions, '{"RUNNING": "1 s"}', grace="3 h") == []
    assert len(expire(executions, '{"RUNNING": "1 s"}', grace="1 h")) == 1


def test_what_is_being_cancelled_for_too_long_is_cancelled(executions: Database) -> None:
    """After ten minutes, whatever the other deadlines; it did not fail."""
    make(executions.writer_dsn, "CANCELLING")
    assert expire(executions) == []
    aged(executions, "11 min")

    assert expire(executions) == [("1", "CANCELLING", "CANCELLED")]
    assert fetch(executions.dsn, "SELECT error_message FROM executions") == [None]


@pytest.mark.parametrize("seen", [None, "70 min"])
def test_they_expire_in_small_batches_past_those_in_use(executions: Database, seen: str | None) -> None:
    """A row that a worker is changing is left to him, and said to be: it is to be looked at again."""
    make(executions.writer_dsn, *["RUNNING"] * 5)
    aged(executions, "2 h")
    first, second = [("1", None), ("2", "FAILED"), ("3", "FAILED"), ("4", "FAILED")], [("1", None), ("5", "FAILED")]
    with psycopg.connect(executions.writer_dsn) as worker:
        worker.execute("UPDATE executions SET progress = 9 WHERE id = 1")
        for expected in (first, second):
            ended = expire(executions, '{"RUNNING": "1 h"}', at_most=3, seen=seen)
            assert [(row[0], row[2]) for row in ended] == expected


READ = (
    "SELECT sum(seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables"
    " WHERE relname IN ('executions', 'status_log')"
)


def test_looking_again_costs_what_has_grown_old_since(executions: Database) -> None:
    """Not what is under way, of which there may be a million."""
    make(executions.writer_dsn, *["RUNNING"] * 5000)
    fetch(executions.dsn, "UPDATE status_log SET timestamp = now() - interval '1 d' * (5000.5 - id)")
    fetch(executions.dsn, "VACUUM ANALYZE executions, status_log")
    deadline = '{"RUNNING": "4998 d"}'
    (before,) = fetch(executions.dsn, READ)
    assert [row[0] for row in expire(executions, deadline, seen="1 h")] == []
    (between,) = fetch(executions.dsn, READ)
    assert between - before <= 4
    assert [row[0] for row in expire(executions, deadline, seen="1 d")] == ["2"]
    (after,) = fetch(executions.dsn, READ)
    assert after - between <= 20
    assert [row[0] for row in expire(executions, deadline)] == ["1"]


def test_what_the_log_has_forgotten_is_as_old_as_the_log(executions: Database) -> None:
    """At least."""
    make(executions.writer_dsn, "RUNNING", "PENDING")
    aged(executions, "2 h")
    fetch(executions.dsn, "DELETE FROM status_log WHERE execution_id = 1")

    assert expire(executions, '{"RUNNING": "1 h"}') == [("1", "RUNNING", "FAILED")]


def test_old_rows_of_the_log_are_deleted_but_the_newest(executions: Database) -> None:
    """In small batches, the oldest first."""
    make(executions.writer_dsn, *["PENDING"] * 5)
    aged(executions, "2 h")
    prune = "SELECT stability.prune_status_log('1 h', 3)"

    assert fetch(executions.server_dsn, prune) == [3]
    assert [row.id for row in log(executions.dsn)] == [4, 5]
    assert fetch(executions.server_dsn, prune) == [1]
    assert fetch(executions.server_dsn, prune) == [0]
    assert [row.id for row in log(executions.dsn)] == [5]


def test_every_end_is_told(executions: Database) -> None:
    """Once, by the transaction that brings it about."""
    make(executions.writer_dsn, "RUNNING", "RUNNING", "PENDING", "PENDING")
    fetch(executions.writer_dsn, "UPDATE executions SET status = 'FINISHED', name = 'nightly' WHERE id = 1")
    fetch(executions.writer_dsn, "UPDATE executions SET status = 'FAILED', error_message = 'no disk' WHERE id = 2")
    fetch(executions.writer_dsn, "UPDATE executions SET status = 'CANCELLED' WHERE id = 3")
    fetch(executions.writer_dsn, "UPDATE executions SET status = 'RUNNING' WHERE id = 4")

    assert fetch(executions.dsn, "SELECT kind, subject, fact, link FROM stability.outbox ORDER BY id") == [
        ("execution_finished", "execution 1", "Execution 1 (nightly) is FINISHED.", "/#executions"),
        ("execution_failed", "execution 2", "Execution 2 is FAILED: no disk.", "/#executions"),
        ("execution_cancelled", "execution 3", "Execution 3 is CANCELLED.", "/#executions"),
    ]
