"""Adopting a database that has the tables already: any shape, writers at work, no trace at the end."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest

from stability.errors import DatabaseError
from stability.postgres import EmbeddedPostgres
from stability.schema import adoption
from stability.schema.migration import migrate, uninstall
from tests.fixtures.catalogue import contents, incarnations
from tests.fixtures.postgres import Database, dsn_for, fetch

PATIENCE = 20.0  # seconds, on a busy machine

REGISTRY = """
    CREATE SCHEMA worker;
    CREATE TABLE worker.command_registry (command text PRIMARY KEY, queue text);
    INSERT INTO worker.command_registry VALUES ('count', 'analytics'), ('sweep', 'maintenance');
"""
# each makes a job and an analytics task that are active, beside others that are settled
HOSTS = {
    "the least columns": REGISTRY
    + """
    CREATE TABLE import_job (id integer, state text);
    INSERT INTO import_job VALUES (1, 'approved'), (2, 'finished');
    CREATE TABLE worker.tasks (id integer, command text, state text);
    INSERT INTO worker.tasks VALUES (1, 'count', 'pending'), (2, 'count', 'failed'), (3, 'sweep', 'pending');
    """,
    "enums that lack labels": """
    CREATE SCHEMA worker;
    CREATE TYPE job_state AS ENUM ('approved', 'finished', 'failed');
    CREATE TYPE worker.state AS ENUM ('processing', 'completed');
    CREATE TYPE worker.queue AS ENUM ('analytics', 'maintenance');
    CREATE TABLE import_job (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), state job_state, progress_pct numeric);
    INSERT INTO import_job (state, progress_pct) VALUES ('approved', 12.5), ('finished', 100);
    CREATE TABLE worker.command_registry (command varchar(40) PRIMARY KEY, queue worker.queue NOT NULL);
    INSERT INTO worker.command_registry VALUES ('count', 'analytics'), ('sweep', 'maintenance');
    CREATE TABLE worker.tasks (id bigserial PRIMARY KEY, command varchar(40) REFERENCES worker.command_registry,
        state worker.state, scheduled_at timestamp);
    INSERT INTO worker.tasks (command, state) VALUES ('count', 'processing'), ('count', 'completed');
    """,
    "domains, varchar and odd names": REGISTRY
    + """
    CREATE TYPE worker.label AS ENUM ('pending', 'completed');
    CREATE DOMAIN worker.label_or_nothing AS worker.label;
    CREATE TABLE import_job ("Id" integer, id varchar(9), state varchar(30), "we""ird, col" text, "select" integer,
        priority smallint, slug text, total_rows integer, imported_rows integer);
    INSERT INTO import_job (id, state) VALUES ('a', 'approved'), ('b', 'rejected');
    CREATE TABLE worker.tasks (id serial, "Command" text, command text, state worker.label_or_nothing,
        "Scheduled_At" text);
    INSERT INTO worker.tasks (command, state) VALUES ('count', 'pending'), ('count', 'completed');
    """,
    "partitions on two levels": REGISTRY
    + """
    CREATE TABLE import_job (id integer, state text) PARTITION BY HASH (id);
    CREATE TABLE import_job_0 PARTITION OF import_job FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE import_job_1 PARTITION OF import_job FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO import_job VALUES (1, 'approved'), (2, 'finished');
    CREATE TABLE worker.tasks (id integer, command text, state text, priority integer, scheduled_at timestamptz)
        PARTITION BY LIST (command);
    CREATE TABLE worker.tasks_count PARTITION OF worker.tasks FOR VALUES IN ('count') PARTITION BY RANGE (id);
    CREATE TABLE worker.tasks_count_1 PARTITION OF worker.tasks_count FOR VALUES FROM (0) TO (100);
    CREATE TABLE worker.tasks_count_2 PARTITION OF worker.tasks_count DEFAULT;
    CREATE TABLE worker.tasks_other PARTITION OF worker.tasks DEFAULT;
    INSERT INTO worker.tasks VALUES (1, 'count', 'pending'), (200, 'count', 'failed'), (3, 'sweep', 'pending');
    """,
    "row security": REGISTRY
    + """
    CREATE TABLE import_job (id integer, state text);
    INSERT INTO import_job VALUES (1, 'approved'), (2, 'finished');
    CREATE TABLE worker.tasks (id integer, command text, state text);
    INSERT INTO worker.tasks VALUES (1, 'count', 'pending'), (2, 'count', 'failed');
    ALTER TABLE import_job ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    ALTER TABLE worker.tasks ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON worker.tasks USING (command = current_user);
    """,
    "triggers, views and comments of its own": REGISTRY
    + """
    CREATE TABLE import_job (id integer, state text);
    COMMENT ON TABLE import_job IS 'ours since 2009';
    CREATE VIEW jobs AS SELECT * FROM import_job;
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.state := lower(NEW.state); RETURN NEW; END';
    CREATE TRIGGER stamp BEFORE INSERT ON import_job FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE INDEX import_job_active ON import_job (id) WHERE state <> 'finished';
    INSERT INTO import_job VALUES (1, 'APPROVED'), (2, 'finished');
    CREATE TABLE worker.tasks (id integer, command text, state text);
    INSERT INTO worker.tasks VALUES (1, 'count', 'pending');
    GRANT SELECT ON import_job TO PUBLIC;
    """,
    "a view in place of a table": REGISTRY
    + """
    CREATE TABLE jobs (id integer, phase text);
    CREATE VIEW import_job AS SELECT id, phase AS state FROM jobs;
    INSERT INTO jobs VALUES (1, 'approved'), (2, 'finished');
    CREATE TABLE worker.tasks (id integer, command text, state text);
    INSERT INTO worker.tasks VALUES (1, 'count', 'pending');
    """,
}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, empty_database: Database) -> Database:
    """A database with tables and rows of its own."""
    fetch(empty_database.dsn, HOSTS[request.param])
    return empty_database


@pytest.fixture
def small_host(empty_database: Database) -> Database:
    """A database with the least of tables."""
    fetch(empty_database.dsn, HOSTS["the least columns"])
    return empty_database


def test_any_shape_is_adopted_and_read(host: Database) -> None:
    """The one active job and task are found and listed, and nothing is amiss."""
    migrate(host.dsn)

    assert fetch(host.dsn, "SELECT * FROM stability.problems()") == []
    assert fetch(host.dsn, "SELECT source, count, error FROM stability.read_activity()") == [
        ("analytics_tasks", 1, None),
        ("import_job", 1, None),
    ]
    assert fetch(host.dsn, "SELECT is_system_stable()") == [False]
    (job,) = fetch(host.dsn, "SELECT stability.import_jobs_in_progress(100)")
    (task,) = fetch(host.dsn, "SELECT get_analytics_tasks_in_progress()")
    assert list(job) == ["id", "slug", "state", "priority", "total_rows", "imported_rows", "progress_pct"]
    assert (task["command"], task["state"] in {"pending", "processing"}) == ("count", True)


def test_settling_the_work_makes_it_stable(host: Database) -> None:
    """Once the rows are gone the badge is green."""
    migrate(host.dsn)
    jobs = "jobs" if fetch(host.dsn, "SELECT to_regclass('jobs') IS NOT NULL")[0] else "import_job"
    fetch(host.dsn, f"DELETE FROM {jobs}")
    fetch(host.dsn, "DELETE FROM worker.tasks")

    assert fetch(host.dsn, "SELECT is_system_stable()") == [True]


def test_a_second_migration_changes_nothing(host: Database) -> None:
    """No trigger, index or table is dropped, rebuilt or written again, and nothing is told."""
    migrate(host.dsn)
    before, first = contents(host.dsn), incarnations(host.dsn)
    told: list[str] = []
    migrate(host.dsn, told.append)

    assert (contents(host.dsn), incarnations(host.dsn)) == (before, first)
    assert told == []


def test_uninstalling_leaves_no_trace(host: Database) -> None:
    """Every catalogue is as it was before the first migration, and every row is there."""
    before, rows = contents(host.dsn), fetch(host.dsn, "SELECT count(*) FROM worker.tasks")
    migrate(host.dsn)
    assert contents(host.dsn) != before
    uninstall(host.dsn)

    assert contents(host.dsn) == before
    assert fetch(host.dsn, "SELECT count(*) FROM worker.tasks") == rows


def test_partitions_that_are_attached_later_are_missed_by_nobody(empty_database: Database) -> None:
    """A read sees their rows at once; the trigger for direct writes is asked for and then made."""
    fetch(empty_database.dsn, HOSTS["partitions on two levels"])
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, "CREATE TABLE worker.tasks_new PARTITION OF worker.tasks FOR VALUES IN ('new')")
    fetch(empty_database.dsn, "INSERT INTO worker.command_registry VALUES ('new', 'analytics')")
    fetch(empty_database.dsn, "INSERT INTO worker.tasks VALUES (9, 'new', 'pending')")

    assert fetch(empty_database.dsn, "SELECT stability.count_active('analytics_tasks')") == [2]
    assert fetch(empty_database.dsn, "SELECT object, remedy FROM stability.problems()") == [
        ("trigger notify_system_stability_on_task_change on worker.tasks_new", 'run "stability migrate"')
    ]
    migrate(empty_database.dsn)
    assert fetch(empty_database.dsn, "SELECT * FROM stability.problems()") == []


def test_leaves_have_indexes_of_their_own_tied_together_by_the_parent(empty_database: Database) -> None:
    """They were built concurrently, one by one; the parents adopted them and built none beside."""
    fetch(empty_database.dsn, HOSTS["partitions on two levels"])
    migrate(empty_database.dsn)

    per_table = fetch(
        empty_database.dsn,
        "SELECT indrelid::regclass::text, count(*), count(inhparent) FROM pg_index LEFT JOIN pg_inherits"
        " ON inhrelid = indexrelid WHERE indrelid::regclass::text ~ 'tasks' GROUP BY 1 ORDER BY 1",
    )
    assert per_table == [
        ("worker.tasks", 2, 0),
        ("worker.tasks_count", 2, 2),
        ("worker.tasks_count_1", 2, 2),
        ("worker.tasks_count_2", 2, 2),
        ("worker.tasks_other", 2, 2),
    ]


def test_leaves_are_vacuumed_early_and_parents_have_no_settings(empty_database: Database) -> None:
    """Postgres refuses them on a partitioned table."""
    fetch(empty_database.dsn, HOSTS["partitions on two levels"])
    migrate(empty_database.dsn)

    tuned = fetch(
        empty_database.dsn,
        "SELECT oid::regclass::text FROM pg_class WHERE reloptions::text ~ 'autovacuum_vacuum_threshold' ORDER BY 1",
    )
    assert tuned == [
        "import_job_0",
        "import_job_1",
        "worker.tasks_count_1",
        "worker.tasks_count_2",
        "worker.tasks_other",
    ]


def test_a_partition_that_left_is_as_it_was(empty_database: Database) -> None:
    """What we set on it goes at the next migration, though nobody watches it any more."""
    fetch(empty_database.dsn, HOSTS["partitions on two levels"])
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, "ALTER TABLE import_job DETACH PARTITION import_job_1")
    migrate(empty_database.dsn)

    assert fetch(empty_database.dsn, "SELECT reloptions FROM pg_class WHERE relname = 'import_job_1'") == [None]


@pytest.mark.parametrize("table", ["import_job", "import_job_0"])
def test_an_invalid_index_is_told_and_repaired(empty_database: Database, table: str) -> None:
    """As a build that was cut off leaves it, on a table and on a partition."""
    shape = "the least columns" if table == "import_job" else "partitions on two levels"
    fetch(empty_database.dsn, HOSTS[shape])
    migrate(empty_database.dsn)
    fetch(
        empty_database.dsn,
        "UPDATE pg_index SET indisvalid = false WHERE indrelid = %s::regclass",
        table,
    )

    problems = fetch(empty_database.dsn, "SELECT problem FROM stability.problems()")
    assert problems == ["is invalid: it costs writers and helps no read"]
    migrate(empty_database.dsn)
    assert fetch(empty_database.dsn, "SELECT * FROM stability.problems()") == []
    assert fetch(empty_database.dsn, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [0]


def test_an_index_that_was_built_but_not_marked_is_ours(small_host: Database) -> None:
    """A migration may end between the two; uninstalling still leaves nothing."""
    before = contents(small_host.dsn)
    migrate(small_host.dsn)
    (index,) = fetch(small_host.dsn, "SELECT indexname FROM pg_indexes WHERE tablename = 'import_job'")
    fetch(small_host.dsn, f"COMMENT ON INDEX {index} IS NULL")
    migrate(small_host.dsn)
    uninstall(small_host.dsn)

    assert contents(small_host.dsn) == before


def test_an_enum_that_learns_a_settled_label_is_described_anew(empty_database: Database) -> None:
    """Until then its rows count as active, and doctor says what to do; the old index goes."""
    fetch(empty_database.dsn, HOSTS["enums that lack labels"])
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, "ALTER TYPE job_state ADD VALUE 'rejected'")
    fetch(empty_database.dsn, "UPDATE import_job SET state = 'rejected'")

    assert fetch(empty_database.dsn, "SELECT stability.count_active('import_job')") == [2]
    assert ("source import_job", 'run "stability migrate"') in fetch(
        empty_database.dsn, "SELECT object, remedy FROM stability.problems()"
    )
    migrate(empty_database.dsn)
    assert fetch(empty_database.dsn, "SELECT stability.count_active('import_job')") == [0]
    assert fetch(empty_database.dsn, "SELECT * FROM stability.problems()") == []
    assert fetch(
        empty_database.dsn, "SELECT count(*) FROM pg_indexes WHERE tablename = 'import_job' AND indexname ~ '_active_'"
    ) == [1]


class Writer(threading.Thread):
    """Somebody who writes tasks, one transaction after the other, and remembers the slowest and every failure."""

    def __init__(self, dsn: str, over: threading.Event) -> None:
        super().__init__()
        self.dsn, self.over = dsn, over
        self.slowest, self.done = 0.0, 0
        self.failures: list[psycopg.Error] = []

    def run(self) -> None:
        with psycopg.connect(self.dsn) as connection:
            while not self.over.is_set():
                started = time.monotonic()
                try:
                    self.transact(connection)
                except psycopg.Error as error:
                    self.failures.append(error)
                    return
                self.slowest = max(self.slowest, time.monotonic() - started)
                self.done += 1

    def transact(self, connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            connection.execute("UPDATE import_job SET state = 'approved'")
            connection.execute("INSERT INTO worker.tasks VALUES (7, 'count', 'pending')")
            connection.execute("UPDATE worker.tasks SET state = 'completed' WHERE id = 7")
            connection.execute(
                "DELETE FROM worker.tasks WHERE ctid = ANY (ARRAY(SELECT ctid FROM worker.tasks"
                " WHERE id = 7 LIMIT 1 FOR UPDATE SKIP LOCKED))"
            )


@contextmanager
def writers(dsn: str, number: int = 4) -> Iterator[list[Writer]]:
    """Writers at work, from before the block to its end."""
    over = threading.Event()
    crew = [Writer(dsn, over) for _ in range(number)]
    for writer in crew:
        writer.start()
    try:
        yield crew
    finally:
        over.set()
        for writer in crew:
            writer.join(PATIENCE)


def test_writers_at_work_neither_fail_nor_wait(small_host: Database) -> None:
    """Four of them hammer the tables through two migrations and the removal; none waits longer than a lock may."""
    fetch(small_host.dsn, "INSERT INTO worker.tasks SELECT i, 'count', 'completed' FROM generate_series(10, 50000) i")
    with writers(small_host.dsn) as crew:
        migrate(small_host.dsn)
        migrate(small_host.dsn)
        problems = fetch(small_host.dsn, "SELECT * FROM stability.problems()")
        uninstall(small_host.dsn)

    assert problems == []
    assert [writer.failures for writer in crew] == [[]] * 4
    assert min(writer.done for writer in crew) > 0
    assert max(writer.slowest for writer in crew) < 4


@contextmanager
def busy(dsn: str, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    """A nightly batch in the middle of its transaction."""
    with psycopg.connect(dsn, application_name="nightly batch") as connection:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection


def test_a_table_that_stays_locked_is_told_with_who_holds_it(
    small_host: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence names process and application; when it is done, the next migration finishes the work."""
    monkeypatch.setattr(adoption, "PATIENCE", "2s")
    with busy(small_host.dsn, "INSERT INTO import_job VALUES (3, 'approved')") as batch:
        with pytest.raises(
            DatabaseError, match=rf"public.import_job is in use.*pid {batch.info.backend_pid} \(nightly batch"
        ):
            migrate(small_host.dsn)
        with psycopg.connect(small_host.dsn, autocommit=True) as writer:
            writer.execute("SET lock_timeout = '1s'")
            writer.execute("INSERT INTO import_job VALUES (4, 'approved')")

    migrate(small_host.dsn)
    assert fetch(small_host.dsn, "SELECT * FROM stability.problems()") == []


def test_settings_that_a_vacuum_keeps_us_from_wait_for_the_next_migration(
    small_host: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that runs for hours is no reason to fail: the badge does without. It holds this lock, as writers never do."""
    migrate(small_host.dsn)
    fetch(small_host.dsn, "ALTER TABLE import_job RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
    fetch(small_host.dsn, "DELETE FROM stability.tuned WHERE relation = 'import_job'::regclass")
    monkeypatch.setattr(adoption, "PATIENCE", "0s")
    told: list[str] = []
    with busy(small_host.dsn, "LOCK TABLE import_job IN SHARE UPDATE EXCLUSIVE MODE"):
        migrate(small_host.dsn, told.append)
    assert [line for line in told if "left for the next migration: public.import_job is in use" in line] != []

    migrate(small_host.dsn)
    assert fetch(small_host.dsn, "SELECT cardinality(reloptions) FROM pg_class WHERE relname = 'import_job'") == [2]


def test_an_old_transaction_that_a_build_waits_for_is_told(
    small_host: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the build left half-done is repaired by the next migration."""
    monkeypatch.setattr(adoption, "BUILD_PATIENCE", "300ms")
    with (
        busy(small_host.dsn, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1 FROM pg_class") as batch,
        pytest.raises(DatabaseError, match=rf"stay open after 300ms: .*pid {batch.info.backend_pid} \(nightly batch\)"),
    ):
        migrate(small_host.dsn)

    assert fetch(small_host.dsn, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [1]
    migrate(small_host.dsn)
    assert fetch(small_host.dsn, "SELECT * FROM stability.problems()") == []


_owners = count(1)


@pytest.fixture
def plain_owner(cluster: EmbeddedPostgres, small_host: Database) -> str:
    """Adopted tables and their database belong to a login role that is no superuser; its connection string."""
    name = f"plain_owner_{next(_owners)}"
    fetch(small_host.dsn, f"CREATE ROLE {name} LOGIN")
    for statement in (
        "ALTER DATABASE {database} OWNER TO {name}",
        "ALTER SCHEMA public OWNER TO {name}",
        "ALTER SCHEMA worker OWNER TO {name}",
        "ALTER TABLE import_job OWNER TO {name}",
        "ALTER TABLE worker.tasks OWNER TO {name}",
        "ALTER TABLE worker.command_registry OWNER TO {name}",
    ):
        fetch(small_host.dsn, statement.format(database=small_host.name, name=name))
    return dsn_for(cluster, small_host.name, name)


def test_the_owner_needs_to_be_no_superuser(plain_owner: str) -> None:
    """Owning the database and its tables suffices, to come and to go."""
    before = contents(plain_owner)
    migrate(plain_owner)

    assert [o for o in fetch(plain_owner, "SELECT object FROM stability.problems()") if not o.startswith("role ")] == []
    assert fetch(plain_owner, "SELECT is_system_stable()") == [False]
    uninstall(plain_owner)
    assert contents(plain_owner) == before


def test_rows_that_row_security_hides_are_unknown_not_settled(plain_owner: str) -> None:
    """FORCE binds the owner too; the error is the state, and doctor names the grant."""
    fetch(plain_owner, "ALTER TABLE import_job ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    fetch(plain_owner, "DELETE FROM worker.tasks")
    migrate(plain_owner)

    (user,) = fetch(plain_owner, "SELECT current_user")
    assert fetch(plain_owner, "SELECT is_system_stable()") == [None]
    ((error, remedy),) = fetch(
        plain_owner, "SELECT problem, remedy FROM stability.problems() WHERE object = 'source import_job'"
    )
    assert "row-level security" in error
    assert remedy == f'row security hides rows of public.import_job: run "ALTER ROLE {user} BYPASSRLS"'
