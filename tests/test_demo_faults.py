"""Whatever ends a run of the demo, its job and tasks are settled, and nothing half-loaded stays."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from stability.demo.carrying import clean
from stability.errors import DatabaseError
from tests.fixtures.demo import PATIENCE, DemoDatabase, await_fact

Write = Callable[[str | bytes], Path]

IMPORTING = "SELECT count(*) = 1 FROM public.import_job WHERE state = 'importing_data' AND imported_rows > 0"
COMPUTING = "SELECT count(*) > 0 FROM worker.tasks WHERE state = 'processing'"
RUN = "SELECT outcome, reason FROM stability_demo.run ORDER BY id LIMIT 1"
JOB = "SELECT state::text FROM public.import_job ORDER BY id LIMIT 1"
TASKS = "SELECT DISTINCT state::text FROM worker.tasks ORDER BY 1"

TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'stability demo'
"""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a,b\n" + "1,2\n" * 20_000 + "1,2,3\n", "line 20,002: 3 fields where the header has 2"),
        ("a,a\n1,2\n", "line 1: columns 1 and 2 are both named 'a'"),
        ("", "line 1: the file is empty; its first line must name the columns"),
    ],
)
def test_a_malformed_file_is_rejected(demo: DemoDatabase, written: Write, content: str, reason: str) -> None:
    """The job ends as `rejected` with line and reason, nothing is loaded, the badge is stable, the exit status 1."""
    outcome, said = demo.run(written(content))
    assert (outcome.state, outcome.reason, outcome.exit_status) == ("rejected", reason, 1)
    assert f"rejected: {reason}\n" in said
    assert demo.one(JOB) == "rejected"
    assert demo.all(RUN) == [("rejected", reason)]
    assert demo.data_tables == []
    assert demo.stable


def test_trouble_while_loading_fails_the_job(demo: DemoDatabase, large_file: Path) -> None:
    """What the database refuses in the middle is told, and the rows that were loaded before are gone."""
    demo.do(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room for more'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON public.import_job FOR EACH ROW"
        " WHEN (new.imported_rows >= 20000 AND new.state = 'importing_data') EXECUTE FUNCTION refuse()",
    )
    outcome, said = demo.run(large_file)
    assert (outcome.state, outcome.reason, outcome.exit_status) == ("failed", "no room for more", 1)
    assert "failed: no room for more" in said
    assert demo.all("SELECT state::text, imported_rows FROM public.import_job") == [("failed", 15_000)]
    assert (demo.data_tables, demo.stable) == ([], True)


def test_a_lost_connection_fails_the_job(demo: DemoDatabase, large_file: Path) -> None:
    """A backend that is terminated in the middle of the import leaves a failed job, told through a new connection."""
    with demo.running(large_file) as process:
        demo.await_true(IMPORTING, "importing")
        demo.do(TERMINATE)
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert re.search("failed: (terminating connection|.*server closed the connection)", said)  # whichever is read first
    assert (demo.one(JOB), demo.data_tables, demo.stable) == ("failed", [], True)


def test_a_deleted_job_ends_the_run(demo: DemoDatabase, large_file: Path) -> None:
    """Whoever deletes the job in psql ends the import, and nothing of it stays."""
    with demo.running(large_file) as process:
        demo.await_true(IMPORTING, "importing")
        demo.do("DELETE FROM public.import_job")
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "was deleted while it ran" in said
    assert (demo.data_tables, demo.stable) == ([], True)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (99, "the file shrank from 100 to 99 rows while it was imported"),
        (101, "the file grew beyond 100 rows while it was imported"),
    ],
)
def test_a_file_that_changes_meanwhile_fails_the_job(
    demo: DemoDatabase, written: Write, rows: int, reason: str
) -> None:
    """A file that is another one when it is loaded than when it was analysed leaves nothing loaded."""
    path = written("a\n" + "1\n" * 100)
    demo.do(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN new; END $$",
        "CREATE TRIGGER hold BEFORE UPDATE ON public.import_job FOR EACH ROW"
        " WHEN (new.state = 'preparing_data') EXECUTE FUNCTION hold()",
        "SELECT pg_advisory_lock(42)",
    )
    with demo.running(path) as process:
        demo.await_true("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", "the hold")
        path.write_text("a\n" + "1\n" * rows)
        demo.do("SELECT pg_advisory_unlock(42)")
        said, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, f"failed: {reason}" in said) == (1, True), said
    assert (demo.one(JOB), demo.data_tables, demo.stable) == ("failed", [], True)


def test_a_full_disk_fails_the_job(demo: DemoDatabase) -> None:
    """When the file cannot be made whole the job that waits for it fails, with the reason of the system."""
    program = (
        "import resource, sys; from rich.console import Console; from stability.demo.carrying import run\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "sys.exit(run(sys.argv[1], rows=100_000, console=Console(width=200)).exit_status)"
    )
    done = subprocess.run([sys.executable, "-c", program, demo.dsn], capture_output=True, text=True, check=False)
    assert (done.returncode, "failed: File too large: " in done.stdout) == (1, True), done.stdout + done.stderr
    assert (demo.one(JOB), demo.data_tables, demo.stable) == ("failed", [], True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_import_ends_quickly_and_cleanly(demo: DemoDatabase, large_file: Path, number: int) -> None:
    """Ctrl-C, a polite kill and a closed terminal end the import within three seconds, with a failed job."""
    with demo.running(large_file) as process:
        demo.await_true(IMPORTING, "importing")
        process.send_signal(number)
        began = time.monotonic()
        said, _ = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 3
    assert (process.returncode, "interrupted: the demo was interrupted" in said) == (130, True), said
    assert (demo.one(JOB), demo.data_tables, demo.stable) == ("failed", [], True)


def test_interrupted_analytics_leave_interrupted_tasks(demo: DemoDatabase, written: Write) -> None:
    """Ctrl-C ends the queries, even those that wait for a lock: the job stays finished, open tasks do not."""
    demo.run(rows=10)
    with psycopg.connect(demo.dsn) as other, demo.running(written("a,b,c\n1,2,3\n")) as process:
        other.execute("LOCK TABLE stability_demo.column_profile")
        demo.await_true("SELECT count(*) = 2 FROM pg_locks WHERE NOT granted", "two workers that wait")
        assert not demo.stable
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        said, _ = process.communicate(timeout=PATIENCE)
        assert time.monotonic() - began < 3
    assert (process.returncode, demo.connections) == (130, 0), said
    assert demo.all("SELECT DISTINCT state::text FROM public.import_job") == [("finished",)]
    assert demo.all("SELECT outcome FROM stability_demo.run WHERE id = 2") == [("interrupted",)]
    assert demo.all(TASKS) == [("completed",), ("interrupted",)]
    assert (demo.data_tables, demo.stable) == (["data_1", "data_2"], True)


def test_tasks_are_enqueued_with_the_end_of_the_import_or_not_at_all(demo: DemoDatabase, written: Write) -> None:
    """A job that cannot be finished leaves no task that anybody could execute."""
    demo.do(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not yet'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON public.import_job FOR EACH ROW"
        " WHEN (new.state = 'finished') EXECUTE FUNCTION refuse()",
    )
    assert demo.run(written("a\n1\n"))[0].reason == "not yet"
    assert (demo.one("SELECT count(*) FROM worker.tasks"), demo.one(JOB)) == (0, "failed")
    assert (demo.data_tables, demo.stable) == ([], True)


@pytest.mark.parametrize(("moment", "left"), [(IMPORTING, ("failed", [])), (COMPUTING, ("finished", ["data_1"]))])
def test_the_next_run_settles_what_a_killed_one_left(
    demo: DemoDatabase, large_file: Path, written: Write, moment: str, left: tuple[str, list[str]]
) -> None:
    """After SIGKILL the system is busy with work that nobody does, until the next run: then that is settled."""
    with demo.running(large_file) as process:
        demo.await_true(moment, "the moment to kill")
        process.kill()
        process.wait()
    assert not demo.stable
    await_fact(lambda: demo.connections == 0, "the end of its backends")
    outcome, said = demo.run(written("a\n1\n"))
    assert outcome.state == "finished"
    assert "settled 1 run of a demo that was killed" in said
    job, tables = left
    assert (demo.one(JOB), demo.data_tables, demo.stable) == (job, [*tables, "data_2"], True)
    assert demo.all(RUN) == [("failed", "the demo was killed")]


def test_clean_removes_what_a_killed_run_left(demo: DemoDatabase, large_file: Path) -> None:
    """Where no next run is wanted, cleaning makes the system stable as well."""
    with demo.running(large_file) as process:
        demo.await_true(IMPORTING, "importing")
        process.kill()
    await_fact(lambda: demo.connections == 0, "the end of its backends")
    clean(demo.dsn)
    assert (demo.one(JOB), demo.one("SELECT to_regnamespace('stability_demo')"), demo.stable) == (None, None, True)


def test_a_live_run_is_left_alone(demo: DemoDatabase, large_file: Path, written: Write) -> None:
    """A second demo neither settles nor cleans a first one that lives, not even one that stands still."""
    with demo.running(large_file) as process:
        demo.await_true(IMPORTING, "importing")
        process.send_signal(signal.SIGSTOP)
        assert demo.run(written("a\n1\n"))[0].state == "finished"
        with pytest.raises(DatabaseError, match="demo run 1 is going on; stop it first"):
            clean(demo.dsn)
        assert demo.one(JOB) == "importing_data"
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert demo.all("SELECT DISTINCT state::text FROM public.import_job") == [("finished",)]


def test_a_failing_task_says_why_and_stops_no_other(demo: DemoDatabase, written: Write) -> None:
    """A task whose computation fails ends as `failed` with the reason; the others complete; the exit status is 1."""
    demo.run(rows=10)
    demo.do(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'bad figure'; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON stability_demo.column_profile FOR EACH ROW"
        " WHEN (new.name = 'b') EXECUTE FUNCTION refuse()",
    )
    outcome, said = demo.run(written("a,b,c\n1,2,3\n"))
    assert (outcome.state, outcome.exit_status) == ("failed", 1)
    assert "failed: 1 task failed" in said
    assert demo.all("SELECT reason FROM stability_demo.work WHERE reason IS NOT NULL") == [("bad figure",)]
    assert demo.all("SELECT name FROM stability_demo.column_profile WHERE run = 2 ORDER BY field") == [("a",), ("c",)]
    assert demo.all(TASKS) == [("completed",), ("failed",)]
    assert demo.stable
