"""The log of executions: a row per change, in its transaction, whoever makes it, with the counts after it."""

import psycopg
import pytest

from tests.fixtures.executions import STATUSES, changes, check, log, make, truth
from tests.fixtures.postgres import Database, fetch


def test_a_change_is_one_row_with_the_counts_after_it(executions: Database) -> None:
    """Made by somebody who has no right on the log."""
    fetch(executions.writer_dsn, "INSERT INTO executions DEFAULT VALUES")
    fetch(executions.writer_dsn, "UPDATE executions SET status = 'RUNNING'")
    fetch(executions.writer_dsn, "UPDATE executions SET status = 'FINISHED'")

    assert [(row.id, row.status_from, row.status_to, row.execution_id, row.counts) for row in log(executions.dsn)] == [
        (1, None, "PENDING", 1, (1, 0, 0, 0, 0, 0)),
        (2, "PENDING", "RUNNING", 1, (0, 0, 1, 0, 0, 0)),
        (3, "RUNNING", "FINISHED", 1, (0, 0, 0, 1, 0, 0)),
    ]


def test_each_status_has_its_count_and_cancelling_runs(executions: Database) -> None:
    """The order of the columns is the contract's."""
    make(executions.writer_dsn, *STATUSES)

    assert log(executions.dsn)[-1].counts == (1, 1, 2, 1, 1, 1)


@pytest.mark.parametrize(
    "nothing",
    [
        "UPDATE executions SET status = status",
        "UPDATE executions SET progress = 50",
        "UPDATE executions SET status = 'READY' WHERE false",
        "BEGIN; UPDATE executions SET status = 'READY'; ROLLBACK",
        "BEGIN; SAVEPOINT a; UPDATE executions SET status = 'READY'; ROLLBACK TO a; COMMIT",
        "BEGIN; TRUNCATE executions; ROLLBACK",
    ],
)
def test_what_changes_no_status_is_not_logged(executions: Database, nothing: str) -> None:
    """Nor what is rolled back, in whole or in part."""
    make(executions.writer_dsn, "PENDING", "RUNNING")
    fetch(executions.writer_dsn, nothing)

    assert len(log(executions.dsn)) == 2


def test_deleting_logs_what_is_left(executions: Database) -> None:
    """With no status to go to; also a row that was over."""
    make(executions.writer_dsn, "PENDING", "FINISHED")
    fetch(executions.writer_dsn, "DELETE FROM executions")

    assert changes(executions.dsn)[2:] == [(1, "PENDING", None), (2, "FINISHED", None)]
    check(log(executions.dsn))


def test_truncating_logs_zeros(executions: Database) -> None:
    """One row that names no execution; a second time there is nothing to say."""
    make(executions.writer_dsn, "PENDING", "RUNNING")
    fetch(executions.writer_dsn, "TRUNCATE executions")
    fetch(executions.writer_dsn, "TRUNCATE executions")

    last = log(executions.dsn)[-1]
    assert (last.id, last.status_from, last.status_to, last.execution_id) == (3, None, None, None)
    assert last.counts == truth(executions.dsn) == (0, 0, 0, 0, 0, 0)


def test_what_follows_a_truncation_in_its_transaction_is_added(executions: Database) -> None:
    """And Postgres lets nobody truncate who has changed something and not committed it."""
    make(executions.writer_dsn, "PENDING", "RUNNING")
    fetch(executions.writer_dsn, "BEGIN; TRUNCATE executions; INSERT INTO executions (id) VALUES (9); COMMIT")

    assert log(executions.dsn)[-1].counts == truth(executions.dsn) == (1, 0, 0, 0, 0, 0)
    with pytest.raises(psycopg.errors.ObjectInUse):
        fetch(executions.writer_dsn, "BEGIN; DELETE FROM executions; TRUNCATE executions; COMMIT")


def test_several_changes_of_one_execution_are_all_logged(executions: Database) -> None:
    """In their order, those before and after a savepoint too."""
    with psycopg.connect(executions.writer_dsn) as writer:
        writer.execute("INSERT INTO executions (id) VALUES (1), (2)")
        writer.execute("UPDATE executions SET status = 'READY' WHERE id = 1")
        writer.execute("SAVEPOINT here")
        writer.execute("UPDATE executions SET status = 'FAILED'")
        writer.execute("ROLLBACK TO here")
        writer.execute("UPDATE executions SET status = 'RUNNING' WHERE id = 2")
        writer.execute("UPDATE executions SET status = 'FINISHED' WHERE id = 1")
        writer.execute("DELETE FROM executions WHERE id = 1")

    assert changes(executions.dsn) == [
        (1, None, "PENDING"),
        (2, None, "PENDING"),
        (1, "PENDING", "READY"),
        (2, "PENDING", "RUNNING"),
        (1, "READY", "FINISHED"),
        (1, "FINISHED", None),
    ]
    check(log(executions.dsn))
    assert log(executions.dsn)[-1].counts == truth(executions.dsn)


IN_ORDER = {
    "INSERT INTO executions (id) VALUES (7), (9), (8)": [(7, 4), (8, 5), (9, 6)],
    "UPDATE executions SET status = 'FINISHED'": [(1, 2), (2, 1), (3, 0)],
    "DELETE FROM executions": [(1, 2), (2, 1), (3, 0)],
    "INSERT INTO executions (id) VALUES (9), (2), (8), (1) ON CONFLICT (id) DO UPDATE SET status = 'READY'": [
        (1, 2),
        (2, 1),
        (8, 2),
        (9, 3),
    ],
    "MERGE INTO executions e USING (VALUES (9), (3), (8), (2), (1)) s (id) ON e.id = s.id"
    " WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id) WHEN MATCHED AND s.id = 2 THEN DO NOTHING"
    " WHEN MATCHED THEN DELETE": [(1, 2), (3, 1), (8, 2), (9, 3)],
}


@pytest.mark.parametrize("statement", IN_ORDER)
def test_the_rows_of_a_statement_come_in_the_order_of_their_ids(executions: Database, statement: str) -> None:
    """Each with the counts after it, in whatever order they lie."""
    fetch(executions.writer_dsn, "INSERT INTO executions (id) VALUES (3)")
    fetch(executions.writer_dsn, "INSERT INTO executions (id) VALUES (1)")
    fetch(executions.writer_dsn, "INSERT INTO executions (id) VALUES (2)")
    fetch(executions.writer_dsn, statement)

    rows = log(executions.dsn)
    check(rows)
    assert [(row.execution_id, row.counts[0]) for row in rows[3:]] == IN_ORDER[statement]
    assert fetch(executions.dsn, "SELECT count(*) FROM stability.unsorted") == [0]


def test_statements_of_a_transaction_keep_their_order(executions: Database) -> None:
    """Of which each is in order for itself, whether it changes one row or several."""
    with psycopg.connect(executions.writer_dsn) as writer:
        writer.execute("INSERT INTO executions (id) VALUES (6), (5)")
        writer.execute("INSERT INTO executions (id) VALUES (4)")
        writer.execute("SAVEPOINT here")
        writer.execute("UPDATE executions SET status = 'FAILED'")
        writer.execute("ROLLBACK TO here")
        writer.execute("UPDATE executions SET status = 'READY'")
        writer.execute("INSERT INTO executions (id) VALUES (3)")
        writer.execute("UPDATE executions SET progress = 1")
        writer.execute("DELETE FROM executions WHERE id > 4")

    check(log(executions.dsn))
    assert [row.execution_id for row in log(executions.dsn)] == [5, 6, 4, 4, 5, 6, 3, 5, 6]


@pytest.mark.parametrize(
    "early",
    [
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SET CONSTRAINTS log_execution_insert, log_execution_update IMMEDIATE",
        "SET CONSTRAINTS stability.sort_log IMMEDIATE",
        "SAVEPOINT a; SET CONSTRAINTS ALL IMMEDIATE; UPDATE executions SET status = 'RUNNING'; RELEASE a",
        "TRUNCATE status_log",
        "SET LOCAL stability.sorted = '4 2'",
    ],
)
def test_what_comes_before_its_time_leaves_the_log_right(executions: Database, early: str) -> None:
    """The order may suffer, and the rows of another transaction never do."""
    fetch(executions.dsn, "INSERT INTO executions (id) VALUES (3), (1), (2)")
    rows = log(executions.dsn)
    fetch(
        executions.dsn,
        f"BEGIN; INSERT INTO executions (id) VALUES (6), (5); {early};"
        " UPDATE executions SET status = 'READY' WHERE status = 'PENDING';"
        " INSERT INTO executions (id) VALUES (8), (7); COMMIT",
    )

    truncated = early.startswith("TRUNCATE")
    after = log(executions.dsn)
    assert truncated or after[:3] == rows
    check(after, complete=not truncated)
    assert after[-1].counts == truth(executions.dsn)


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO executions (id, status) VALUES (1, 'READY'), (9, 'READY')"
        " ON CONFLICT (id) DO UPDATE SET status = excluded.status",
        "MERGE INTO executions e USING (VALUES (1), (9)) s (id) ON e.id = s.id"
        " WHEN MATCHED THEN UPDATE SET status = 'READY'"
        " WHEN NOT MATCHED THEN INSERT (id, status) VALUES (s.id, 'READY')",
        "WITH moved AS (UPDATE executions SET status = 'READY' RETURNING id)"
        " INSERT INTO executions (id, status) SELECT id + 8, 'READY' FROM moved",
    ],
)
def test_every_kind_of_statement_is_logged(executions: Database, change: str) -> None:
    """Rows that it makes and rows that it changes."""
    make(executions.writer_dsn, "PENDING")
    fetch(executions.writer_dsn, change)

    assert set(changes(executions.dsn)[1:]) == {(1, "PENDING", "READY"), (9, None, "READY")}
    check(log(executions.dsn))


def test_a_copy_is_logged(executions: Database) -> None:
    """Row by row."""
    with (
        psycopg.connect(executions.writer_dsn) as writer,
        writer.cursor().copy("COPY executions (id, status) FROM STDIN") as copy,
    ):
        for number in range(1, 101):
            copy.write_row((number, "READY"))

    assert [row.execution_id for row in log(executions.dsn)] == [*range(1, 101)]
    check(log(executions.dsn))


def test_the_replica_role_is_logged(executions: Database) -> None:
    """In which logical replication writes, and ordinary triggers do not fire."""
    fetch(
        executions.dsn,
        "BEGIN; SET LOCAL session_replication_role = replica; INSERT INTO executions (id) VALUES (1);"
        "UPDATE executions SET status = 'FINISHED'; COMMIT",
    )

    assert changes(executions.dsn) == [(1, None, "PENDING"), (1, "PENDING", "FINISHED")]


def test_what_a_trigger_of_the_owner_makes_of_a_status_is_logged(executions: Database) -> None:
    """Whatever the statement said."""
    fetch(
        executions.dsn,
        "CREATE FUNCTION hurry() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.progress = 100 THEN NEW.status := ''FINISHED''; END IF; RETURN NEW; END'",
    )
    fetch(executions.dsn, "CREATE TRIGGER hurry BEFORE UPDATE ON executions FOR EACH ROW EXECUTE FUNCTION hurry()")
    make(executions.writer_dsn, "RUNNING")
    fetch(executions.writer_dsn, "UPDATE executions SET progress = 100")

    assert changes(executions.dsn)[1:] == [(1, "RUNNING", "FINISHED")]
    assert fetch(executions.dsn, "SELECT end_date IS NOT NULL FROM executions") == [True]


def test_a_writers_own_objects_are_not_taken_for_the_log(executions: Database) -> None:
    """Nor its search_path, time zone or temporary tables."""
    with psycopg.connect(executions.writer_dsn) as writer:
        writer.execute("CREATE TEMP TABLE status_log (LIKE public.executions)")
        writer.execute("SET search_path = pg_temp, public")
        writer.execute("INSERT INTO public.executions DEFAULT VALUES")

    assert len(log(executions.dsn)) == 1


def test_a_log_that_is_truncated_begins_with_the_counts(executions: Database) -> None:
    """What the same transaction has changed counts once."""
    make(executions.dsn, "PENDING", "RUNNING")
    fetch(
        executions.dsn,
        "BEGIN; UPDATE executions SET status = 'READY' WHERE id = 1; TRUNCATE status_log;"
        " INSERT INTO executions (id) VALUES (3); COMMIT",
    )

    assert [(row.id, row.execution_id, row.counts) for row in log(executions.dsn)] == [
        (1, None, (0, 1, 1, 0, 0, 0)),
        (2, 3, (1, 1, 1, 0, 0, 0)),
    ]


def test_truncating_both_leaves_both_empty(executions: Database) -> None:
    """As between two tests of the host's; the log then begins at 1 again."""
    make(executions.dsn, "PENDING", "RUNNING")
    fetch(executions.dsn, "TRUNCATE executions, status_log")
    assert log(executions.dsn) == []

    make(executions.writer_dsn, "READY")
    assert [(row.id, row.counts) for row in log(executions.dsn)] == [(1, (0, 1, 0, 0, 0, 0))]


def test_the_newest_row_outlives_every_deletion(executions: Database) -> None:
    """The next change is added to it."""
    make(executions.writer_dsn, "PENDING", "RUNNING")
    fetch(executions.dsn, "DELETE FROM status_log")
    make_one = "INSERT INTO executions (id, status) VALUES (3, 'READY')"
    fetch(executions.writer_dsn, make_one)

    assert [(row.id, row.counts) for row in log(executions.dsn)] == [(2, (1, 0, 1, 0, 0, 0)), (3, (1, 1, 1, 0, 0, 0))]


def test_a_change_is_hinted_once_a_transaction(executions: Database) -> None:
    """A change of status, that is: nothing else is on the log."""
    with psycopg.connect(executions.server_dsn, autocommit=True) as listener:
        listener.execute("LISTEN stability_change")
        make(executions.writer_dsn, "PENDING", "RUNNING")
        fetch(executions.writer_dsn, "UPDATE executions SET progress = 5")
        fetch(executions.writer_dsn, "TRUNCATE executions")
        fetch(executions.dsn, "DO $$ BEGIN PERFORM pg_notify('stability_change', 'mark'); END $$")
        heard = [notification.payload for notification in listener.notifies(timeout=5, stop_after=3)]

    assert heard == ['{"topic":"executions","ids":"all"}'] * 2 + ["mark"]
