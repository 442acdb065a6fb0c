"""Workers share the pending tasks: each is executed once, by one, and nobody waits for a task that is taken."""

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from stability.demo import analytics, importing, ledger
from stability.demo.csvfile import CsvFile
from stability.demo.host import Host
from stability.demo.orders import make
from stability.demo.worker import Assignment, Worker, execute
from tests.fixtures.demo import DemoDatabase

COLUMNS = 1_700  # 28 tasks


@pytest.fixture
def assignment(demo: DemoDatabase, tmp_path: Path) -> Assignment:
    """An imported file whose tasks are all pending."""
    path = tmp_path / "orders.csv"
    make(path, 40, COLUMNS, 1, lambda _rows: None)
    file = CsvFile.open(path)
    with psycopg.connect(demo.dsn, autocommit=True) as connection:
        host = Host.read(connection)
        ledger.prepare(connection)
        analytics.register(connection, host)
        run = ledger.Run.begin(connection, host, path)
        ledger.describe(connection, run, file.header)
        importing.load(connection, run, file, 40, lambda _rows: None)
        with connection.transaction():
            analytics.enqueue(connection, host, run, COLUMNS)
    return Assignment(demo.dsn, host, run.id, COLUMNS)


def test_no_task_is_executed_twice(demo: DemoDatabase, assignment: Assignment) -> None:
    """Eight workers at once: every task is claimed exactly once, and more than one worker had some."""
    demo.do(
        "CREATE TABLE claims (task bigint, pid integer)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO claims VALUES (new.id, pg_backend_pid()); RETURN new; END $$",
        "CREATE TRIGGER note AFTER UPDATE ON worker.tasks FOR EACH ROW"
        " WHEN (new.state = 'processing') EXECUTE FUNCTION note()",
    )
    done: list[int] = []
    assert execute(assignment, 8, lambda: done.append(1)) == 0
    assert demo.all("SELECT task FROM claims ORDER BY 1") == demo.all("SELECT id FROM worker.tasks ORDER BY 1")
    assert demo.one("SELECT count(DISTINCT pid) FROM claims") > 1
    assert demo.all("SELECT DISTINCT state::text, duration_ms >= 0 FROM worker.tasks") == [("completed", True)]
    assert len(done) == demo.one("SELECT count(*) FROM worker.tasks") == 28
    assert demo.one("SELECT count(*) FROM stability_demo.column_profile") == COLUMNS


def test_a_task_that_another_is_claiming_is_passed_over(demo: DemoDatabase, assignment: Assignment) -> None:
    """A locked row keeps no worker waiting: all other tasks are done, the locked one stays pending."""
    with psycopg.connect(demo.dsn) as other:
        locked = other.execute("SELECT id FROM worker.tasks ORDER BY id LIMIT 1 FOR UPDATE").fetchone()
        impatient = replace(assignment, conninfo=f"{assignment.conninfo}&options=-clock_timeout%3D5s")
        assert Worker(impatient, lambda: None).work() == 0
        assert demo.all("SELECT id FROM worker.tasks WHERE state = 'pending'") == [locked]
        assert demo.one("SELECT count(*) FROM worker.tasks WHERE state = 'completed'") == 27


def test_urgent_tasks_come_first(demo: DemoDatabase, assignment: Assignment) -> None:
    """Tasks are taken by priority, those without one last."""
    demo.do(
        "UPDATE worker.tasks SET priority = 1000 - id WHERE id % 2 = 0",
        "UPDATE worker.tasks SET priority = NULL WHERE id % 2 = 1",
    )
    expected = demo.all("SELECT id FROM worker.tasks ORDER BY priority NULLS LAST, id")
    demo.do(
        "CREATE TABLE claims (n serial, task bigint)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO claims (task) VALUES (new.id); RETURN new; END $$",
        "CREATE TRIGGER note AFTER UPDATE ON worker.tasks FOR EACH ROW"
        " WHEN (new.state = 'processing') EXECUTE FUNCTION note()",
    )
    Worker(assignment, lambda: None).work()
    assert demo.all("SELECT task FROM claims ORDER BY n") == expected


def test_a_task_that_is_taken_away_leaves_no_result(demo: DemoDatabase, assignment: Assignment) -> None:
    """A task that somebody interrupts while it is executed stays interrupted, without a result and with a reason."""
    demo.do(
        "CREATE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN new.state := 'interrupted'; RETURN new; END $$",
        "CREATE TRIGGER interrupt BEFORE UPDATE ON worker.tasks FOR EACH ROW"
        " WHEN (new.state = 'processing' AND new.command = 'demo_profile_rows') EXECUTE FUNCTION interrupt()",
    )
    assert Worker(assignment, lambda: None).work() == 1
    assert demo.all("SELECT DISTINCT state::text FROM worker.tasks ORDER BY 1") == [("completed",), ("interrupted",)]
    assert demo.one("SELECT count(*) FROM stability_demo.row_profile") == 0
    assert demo.one("SELECT reason FROM stability_demo.work WHERE reason IS NOT NULL") == (
        "somebody took the task away while it was executed"
    )
