"""Executions and a log that were there before: any shape, writers at work, an old schema up, down and up again."""

import threading

import psycopg
import pytest
from alembic import command
from sqlalchemy import NullPool, create_engine

from stability.errors import DatabaseError
from stability.schema import migration
from stability.schema.migration import migrate, uninstall
from tests.fixtures.catalogue import contents
from tests.fixtures.executions import check, log, truth
from tests.fixtures.postgres import Database, fetch

OLD_LOG = """
    CREATE TABLE status_log (id serial PRIMARY KEY, timestamp timestamp NOT NULL DEFAULT now(),
        executions_active integer NOT NULL, executions_pending integer NOT NULL DEFAULT 0,
        executions_ready integer NOT NULL DEFAULT 0, executions_running integer NOT NULL DEFAULT 0,
        executions_finished integer NOT NULL DEFAULT 0, executions_failed integer NOT NULL DEFAULT 0,
        executions_count integer NOT NULL DEFAULT 7, users_count integer, scripts_count integer NOT NULL DEFAULT 0);
    INSERT INTO status_log (executions_active, executions_pending, users_count) VALUES (3, 3, 12), (2, 2, 13);
"""
GONE = {"executions_active", "executions_count", "users_count", "scripts_count"}
NEW = {"executions_cancelled", "status_from", "status_to", "execution_id"}
# each holds one execution that is pending, two that run and one that was cancelled
HOSTS = {
    "the least columns": """
    CREATE TABLE executions (id integer PRIMARY KEY, status text);
    INSERT INTO executions VALUES (1, 'PENDING'), (2, 'RUNNING'), (3, 'CANCELLING'), (4, 'CANCELLED');
    """,
    "an enum, uuids and columns of its own": """
    CREATE TYPE execution_status AS ENUM
        ('PENDING', 'READY', 'RUNNING', 'CANCELLING', 'FINISHED', 'FAILED', 'CANCELLED', 'PAUSED');
    CREATE TABLE executions (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "user" text,
        status execution_status NOT NULL,
        params json, progress numeric, end_date timestamp, updated_at timestamptz);
    INSERT INTO executions (status) VALUES ('PENDING'), ('RUNNING'), ('RUNNING'), ('CANCELLED'), ('PAUSED');
    """,
    "varchar and the old log": OLD_LOG
    + """
    CREATE TABLE executions (id serial PRIMARY KEY, status varchar(20), script_id integer, start_date timestamp);
    INSERT INTO executions (status) VALUES ('PENDING'), ('RUNNING'), ('RUNNING'), ('CANCELLED'), (NULL);
    """,
    "partitions": """
    CREATE TABLE executions (id integer PRIMARY KEY, status text) PARTITION BY RANGE (id);
    CREATE TABLE executions_1 PARTITION OF executions FOR VALUES FROM (0) TO (3);
    CREATE TABLE executions_2 PARTITION OF executions DEFAULT;
    INSERT INTO executions VALUES (1, 'PENDING'), (2, 'RUNNING'), (3, 'RUNNING'), (4, 'CANCELLED');
    """,
    "partitions by status": """
    CREATE TABLE executions (id integer, status text) PARTITION BY LIST (status);
    CREATE TABLE executions_over PARTITION OF executions FOR VALUES IN ('FINISHED', 'FAILED', 'CANCELLED');
    CREATE TABLE executions_open PARTITION OF executions DEFAULT;
    INSERT INTO executions VALUES (1, 'PENDING'), (2, 'RUNNING'), (3, 'RUNNING'), (4, 'CANCELLED');
    """,
}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, empty_database: Database) -> Database:
    """A database with executions of its own."""
    fetch(empty_database.dsn, HOSTS[request.param])
    return empty_database


def test_the_log_begins_with_the_counts(host: Database) -> None:
    """In a row that names no execution; nothing is amiss."""
    migrate(host.dsn)

    last = log(host.dsn)[-1]
    assert (last.status_from, last.status_to, last.execution_id) == (None, None, None)
    assert last.counts == truth(host.dsn) == (1, 0, 2, 0, 0, 1)
    assert fetch(host.dsn, "SELECT * FROM stability.problems()") == []


def test_what_changes_from_then_on_is_logged(host: Database) -> None:
    """Whatever the type of the id and of the status."""
    migrate(host.dsn)
    fetch(host.dsn, "UPDATE executions SET status = 'FAILED' WHERE status IN ('RUNNING', 'CANCELLING')")
    fetch(host.dsn, "DELETE FROM executions WHERE status = 'CANCELLED'")

    assert log(host.dsn)[-1].counts == truth(host.dsn) == (1, 0, 0, 0, 2, 0)
    with pytest.raises(psycopg.errors.CheckViolation):
        fetch(host.dsn, "UPDATE executions SET status = 'RUNNING'")
    fetch(host.dsn, "TRUNCATE executions")
    assert log(host.dsn)[-1].counts == (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("kind", ["text", "execution_status"])
def test_an_execution_without_a_status_gets_and_loses_one(empty_database: Database, kind: str) -> None:
    """It counts nowhere before and after; several at once too."""
    fetch(empty_database.dsn, "CREATE TYPE execution_status AS ENUM ('PENDING', 'RUNNING', 'FINISHED')")
    fetch(empty_database.dsn, f"CREATE TABLE executions (id integer PRIMARY KEY, status {kind})")
    fetch(empty_database.dsn, "INSERT INTO executions VALUES (2, NULL), (1, NULL)")
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, "UPDATE executions SET status = 'PENDING'")
    fetch(empty_database.dsn, "UPDATE executions SET status = NULL WHERE id = 1")
    fetch(empty_database.dsn, "DELETE FROM executions WHERE id = 1")

    begun, *rows = log(empty_database.dsn)
    assert begun.counts == (0, 0, 0, 0, 0, 0)
    assert [(row.execution_id, row.status_from, row.status_to, row.counts[0]) for row in rows] == [
        (1, None, "PENDING", 1),
        (2, None, "PENDING", 2),
        (1, "PENDING", None, 1),
    ]
    assert rows[-1].counts == truth(empty_database.dsn)


def test_a_second_migration_tells_nothing(host: Database) -> None:
    """And writes nothing into the log."""
    migrate(host.dsn)
    before = log(host.dsn)
    told: list[str] = []
    migrate(host.dsn, told.append)

    assert (told, log(host.dsn)) == ([], before)


def test_uninstalling_leaves_what_was_there(host: Database) -> None:
    """The executions as they were; an old log keeps what it became, and one of ours its rows unless told otherwise."""
    had_log = fetch(host.dsn, "SELECT to_regclass('status_log') IS NOT NULL") == [True]
    before, rows = contents(host.dsn), truth(host.dsn)
    migrate(host.dsn)
    uninstall(host.dsn, drop_data=True)

    after = contents(host.dsn)
    if had_log:
        assert {row[3] for row in after["columns"] if row[1] == "status_log"} >= NEW
        for part in ("columns", "relations", "constraints"):
            before[part], after[part] = ([r for r in c[part] if "status_log" not in r[1]] for c in (before, after))
    assert after == before
    assert truth(host.dsn) == rows


def test_a_gap_is_made_good(host: Database) -> None:
    """Where a trigger was missing for a while the log goes on from a counted row; doctor said what to do."""
    migrate(host.dsn)
    fetch(host.dsn, "DROP TRIGGER log_execution_update ON executions")
    fetch(host.dsn, "UPDATE executions SET status = 'READY' WHERE status = 'PENDING'")
    (missing,) = {
        (row[0], row[2])
        for row in fetch(host.dsn, "SELECT * FROM stability.problems()")
        if "_1" not in row[0] and "_2" not in row[0] and "_o" not in row[0]
    }
    assert missing == ("trigger log_execution_update on public.executions", 'run "stability migrate"')
    migrate(host.dsn)

    assert log(host.dsn)[-1].counts == truth(host.dsn) == (0, 1, 2, 0, 0, 1)
    assert fetch(host.dsn, "SELECT * FROM stability.problems()") == []


@pytest.mark.parametrize(("state", "word"), [("DISABLE", "is disabled"), ("ENABLE", "is not enabled ALWAYS")])
def test_a_trigger_that_is_off_is_told(database: Database, state: str, word: str) -> None:
    """And enabled by the next migration."""
    fetch(database.dsn, f"ALTER TABLE executions {state} TRIGGER log_execution_insert")

    assert fetch(database.dsn, "SELECT problem FROM stability.problems()") == [
        f"{word}: the log of executions misses changes until it stands again"
    ]
    migrate(database.dsn)
    assert fetch(database.dsn, "SELECT * FROM stability.problems()") == []


def test_a_partition_that_comes_later_is_logged(empty_database: Database) -> None:
    """Through its parent at once; doctor asks for the rest."""
    fetch(empty_database.dsn, HOSTS["partitions"].replace("DEFAULT", "FOR VALUES FROM (3) TO (9)"))
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, "CREATE TABLE executions_3 PARTITION OF executions FOR VALUES FROM (9) TO (99)")
    fetch(empty_database.dsn, "INSERT INTO executions VALUES (10, 'READY')")
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, "TRUNCATE executions_3")

    assert log(empty_database.dsn)[-1].counts == truth(empty_database.dsn) == (1, 0, 2, 0, 0, 1)
    assert fetch(empty_database.dsn, "SELECT * FROM stability.problems()") == []


def columns(database: Database) -> dict[str, tuple[str, bool, str | None]]:
    """The log's, each with its type, whether it must be there, and its default."""
    rows = fetch(
        database.dsn,
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid) FROM pg_attribute"
        " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE attrelid = 'status_log'::regclass AND attnum > 0 AND NOT attisdropped",
    )
    return {name: tuple(rest) for name, *rest in rows}


def revise(database: Database, to: str) -> None:
    """Run the revisions down or up, as somebody does who takes a release back."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn), poolclass=NullPool)
    with engine.begin() as connection:
        config = migration._config()
        config.attributes["connection"] = connection
        (command.downgrade if to < "0005" else command.upgrade)(config, to)


def test_an_old_log_goes_up_and_down_and_up(empty_database: Database) -> None:
    """Its rows stay; what went comes back with its default; writers are held up by nothing in between."""
    fetch(empty_database.dsn, HOSTS["varchar and the old log"])
    before = columns(empty_database)
    migrate(empty_database.dsn)
    assert not columns(empty_database).keys() & GONE
    assert columns(empty_database).keys() >= NEW
    fetch(empty_database.dsn, "UPDATE executions SET status = 'FINISHED' WHERE id = 1")
    rows = len(log(empty_database.dsn))

    revise(empty_database, "0004")
    after = columns(empty_database)
    assert after.keys() == before.keys()
    assert {name: kind[:2] for name, kind in after.items()} == {name: kind[:2] for name, kind in before.items()}
    assert after["executions_count"][2] == "7"
    assert fetch(
        empty_database.dsn,
        "SELECT executions_pending, executions_active, executions_count, users_count"
        " FROM status_log ORDER BY id LIMIT 1",
    ) == [(3, 0, 7, None)]
    fetch(empty_database.dsn, "UPDATE executions SET status = 'FAILED' WHERE id = 2")
    fetch(empty_database.dsn, "UPDATE executions SET status = 'READY' WHERE id = 2")
    assert fetch(empty_database.dsn, "SELECT count(*) FROM status_log") == [rows]

    migrate(empty_database.dsn)
    assert columns(empty_database).keys() >= NEW
    assert log(empty_database.dsn)[-1].counts == truth(empty_database.dsn) == (0, 1, 1, 1, 0, 1)
    assert fetch(empty_database.dsn, "SELECT * FROM stability.problems()") == []


def test_an_empty_database_goes_up_and_down_and_up(database: Database) -> None:
    """Tables of ours stay, with their rows, and are ours again."""
    fetch(database.dsn, "INSERT INTO executions (status) VALUES ('RUNNING')")
    revise(database, "0004")
    fetch(database.dsn, "INSERT INTO executions (status) VALUES ('RUNNING')")
    migrate(database.dsn)

    assert [row.counts[2] for row in log(database.dsn)] == [1, 2]
    assert fetch(database.dsn, "SELECT * FROM stability.problems()") == []


REFUSED = {
    "CREATE VIEW executions AS SELECT 1 AS id, 'RUNNING' AS status": "public.executions is no table",
    "CREATE TABLE executions (id integer PRIMARY KEY)": "public.executions has no column status",
    "CREATE TABLE status_log (id integer, timestamp timestamptz)": "public.status_log has no primary key on id",
    "CREATE TABLE status_log (id integer PRIMARY KEY, timestamp timestamptz, host text NOT NULL)": "needs a value",
    "CREATE TABLE executions (id integer PRIMARY KEY, status text); CREATE TRIGGER zz_settle_execution BEFORE UPDATE"
    " ON executions FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()": "belongs to somebody else",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_cannot_be_kept_is_refused(empty_database: Database, statement: str) -> None:
    """In a sentence; nothing is half-done."""
    fetch(empty_database.dsn, statement)
    before = contents(empty_database.dsn)
    with pytest.raises(DatabaseError, match=REFUSED[statement]):
        migrate(empty_database.dsn)

    assert contents(empty_database.dsn) == before


def test_writers_go_on_and_every_row_becomes_right(empty_database: Database) -> None:
    """While the executions are counted others are changed; the log is one history from its first row on."""
    fetch(empty_database.dsn, "CREATE TABLE executions (id serial PRIMARY KEY, status text NOT NULL)")
    fetch(empty_database.dsn, "INSERT INTO executions (status) SELECT 'PENDING' FROM generate_series(1, 200000)")
    over = threading.Event()

    def write() -> None:
        with psycopg.connect(empty_database.dsn, autocommit=True) as connection:
            while not over.is_set():
                connection.execute("UPDATE executions SET status = 'READY' WHERE id = (SELECT min(id) FROM executions)")
                connection.execute("DELETE FROM executions WHERE id = (SELECT min(id) FROM executions)")
                connection.execute("INSERT INTO executions (status) VALUES ('RUNNING')")

    crew = [threading.Thread(target=write) for _ in range(3)]
    for writer in crew:
        writer.start()
    migrate(empty_database.dsn)
    over.set()
    for writer in crew:
        writer.join()

    rows = log(empty_database.dsn)
    check(rows, complete=False)
    assert rows[-1].counts == truth(empty_database.dsn)


def test_an_old_log_in_use_is_waited_for(empty_database: Database) -> None:
    """Nobody waits for us longer than a lock may."""
    fetch(empty_database.dsn, HOSTS["varchar and the old log"])
    with psycopg.connect(empty_database.dsn) as collector:
        collector.execute("INSERT INTO status_log (executions_active) VALUES (1)")
        migration = threading.Thread(target=migrate, args=(empty_database.dsn,))
        migration.start()
        collector.execute("SELECT pg_sleep(2.5)")
    migration.join()

    assert columns(empty_database).keys() >= NEW
