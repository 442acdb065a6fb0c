"""The hint: sent for every kind of change once committed, never for nothing, never at the writer's expense."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from stability.schema.migration import migrate
from tests.fixtures.postgres import WRITER_ROLE, Database, fetch

PATIENCE = 5.0  # seconds
MARK = "DO $$ BEGIN PERFORM pg_notify('system_stability', 'mark'); END $$"


@contextmanager
def heard(dsn: str) -> Iterator[list[str]]:
    """Collects what an armed server hears of the block, up to a mark sent after it, in commit order.

    The register's value is written as V.
    """
    payloads: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as listener:
        listener.execute("LISTEN system_stability")
        (value,) = listener.execute("SELECT armed_until FROM stability.arm(0, '60 s')").fetchone() or (0,)
        yield payloads
        fetch(dsn, MARK)
        for notification in listener.notifies(timeout=PATIENCE):
            if notification.payload == "mark":
                return
            payloads.append(notification.payload.replace(str(value), "V"))
    raise AssertionError("the mark never came")


@pytest.fixture
def filled(database: Database) -> Database:
    """One settled row in each table."""
    fetch(database.dsn, "INSERT INTO import_job (slug, state) VALUES ('a', 'finished')")
    fetch(database.dsn, "INSERT INTO worker.command_registry VALUES ('count', 'analytics')")
    fetch(database.dsn, "INSERT INTO worker.tasks (command, state) VALUES ('count', 'completed')")
    return database


CHANGES = [
    "INSERT INTO import_job (slug, state) VALUES ('b', 'approved')",
    "UPDATE import_job SET state = 'approved'",
    "UPDATE import_job SET imported_rows = 1",
    "DELETE FROM import_job",
    "TRUNCATE import_job",
    "INSERT INTO worker.tasks (command) VALUES ('count')",
    "UPDATE worker.tasks SET state = 'pending'",
    "UPDATE worker.tasks SET scheduled_at = now()",
    "DELETE FROM worker.tasks",
    "TRUNCATE worker.tasks",
    "INSERT INTO worker.command_registry VALUES ('sweep', 'maintenance')",
    "UPDATE worker.command_registry SET queue = 'maintenance'",
    "DELETE FROM worker.command_registry",
    "TRUNCATE worker.command_registry CASCADE",
    "WITH moved AS (DELETE FROM worker.tasks RETURNING command) INSERT INTO worker.tasks (command) SELECT * FROM moved",
    "MERGE INTO import_job j USING (SELECT 'a' AS slug) s ON j.slug = s.slug WHEN MATCHED THEN DELETE",
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_says_look(filled: Database, change: str) -> None:
    """Once per transaction, and the same for all."""
    with heard(filled.server_dsn) as payloads, psycopg.connect(filled.writer_dsn) as writer:
        if change.startswith("DELETE FROM worker.command_registry"):
            writer.execute("DELETE FROM worker.tasks")
        writer.execute(change.encode())

    assert payloads == ['{"look":V}']


def test_copy_and_replication_say_look(filled: Database) -> None:
    """A replica role skips ordinary triggers; ours are ENABLE ALWAYS."""
    with heard(filled.server_dsn) as payloads, psycopg.connect(filled.dsn, autocommit=True) as writer:
        with writer.cursor().copy("COPY import_job (slug, state) FROM STDIN") as copy:
            copy.write_row(("b", "approved"))
        writer.execute("SET session_replication_role = replica")
        writer.execute("UPDATE worker.tasks SET state = 'pending'")

    assert payloads == ['{"look":V}'] * 2


@pytest.mark.parametrize(
    "nothing",
    [
        "UPDATE import_job SET state = 'approved' WHERE false",
        "DELETE FROM worker.tasks WHERE id < 0",
        "INSERT INTO worker.tasks (command) SELECT 'count' WHERE false",
        "UPDATE worker.tasks SET state = 'processing' WHERE id IN"
        " (SELECT id FROM worker.tasks WHERE state = 'pending' FOR UPDATE SKIP LOCKED)",
    ],
)
def test_a_statement_that_changes_no_row_is_silent(filled: Database, nothing: str) -> None:
    """A worker that polls an empty queue does not keep the servers busy."""
    with heard(filled.server_dsn) as payloads:
        fetch(filled.writer_dsn, nothing)

    assert payloads == []


def test_a_rolled_back_change_is_silent(filled: Database) -> None:
    """Nothing was committed, nothing is to be looked at."""
    with heard(filled.server_dsn) as payloads, psycopg.connect(filled.writer_dsn) as writer:
        writer.execute("UPDATE import_job SET state = 'approved'")
        writer.rollback()

    assert payloads == []


def test_a_thousand_changes_in_a_transaction_are_one_hint(filled: Database) -> None:
    """Postgres folds what is equal."""
    with heard(filled.server_dsn) as payloads, psycopg.connect(filled.writer_dsn) as writer:
        writer.cursor().executemany(
            "INSERT INTO worker.tasks (command, priority) VALUES ('count', %s)", [(i,) for i in range(1000)]
        )

    assert payloads == ['{"look":V}']


INJURIES = {
    "our schema is nobody's to see": ["REVOKE ALL ON SCHEMA stability FROM PUBLIC"],
    "the register is nobody's to read": ["REVOKE ALL ON SEQUENCE stability.armed_until FROM PUBLIC"],
    "the register is gone": ["DROP SEQUENCE stability.armed_until CASCADE"],
    "its function is nobody's to call": [
        "REVOKE ALL ON FUNCTION public.notify_system_stability_change() FROM PUBLIC",
        "REVOKE ALL ON FUNCTION public.is_system_stable() FROM PUBLIC",
    ],
    "pg_notify is nobody's to call": ["REVOKE ALL ON FUNCTION pg_catalog.pg_notify(text, text) FROM PUBLIC"],
    "all that we keep is gone": ["DROP SCHEMA stability CASCADE", "DROP FUNCTION public.is_system_stable()"],
    "the language is nobody's": ["REVOKE ALL ON LANGUAGE plpgsql FROM PUBLIC"],
}


@pytest.mark.parametrize("injury", INJURIES)
def test_a_trigger_never_fails_its_writer(filled: Database, injury: str) -> None:
    """Whatever of ours is missing or forbidden, the row is committed."""
    fetch(filled.server_dsn, "SELECT stability.arm(0, '60 s')")
    for statement in INJURIES[injury]:
        fetch(filled.dsn, statement)
    fetch(filled.writer_dsn, "UPDATE import_job SET state = 'approved'")
    fetch(filled.writer_dsn, "TRUNCATE worker.tasks")

    assert fetch(filled.dsn, "SELECT state FROM import_job") == ["approved"]


def test_a_hostile_search_path_changes_nothing(filled: Database) -> None:
    """Functions and operators of the writer's that bear the names of Postgres's are not called."""
    for statement in (
        "CREATE SCHEMA trap",
        "CREATE FUNCTION trap.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END'",
        "CREATE FUNCTION trap.differs(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR trap.= (FUNCTION = trap.differs, LEFTARG = text, RIGHTARG = text)",
        "GRANT USAGE ON SCHEMA trap TO PUBLIC",
    ):
        fetch(filled.dsn, statement)
    with heard(filled.server_dsn) as payloads, psycopg.connect(filled.writer_dsn) as writer:
        writer.execute("SET search_path = trap, pg_catalog, public")
        writer.execute("UPDATE public.import_job SET imported_rows = 3")

    assert payloads == ['{"look":V}']


NEEDED = {
    "schema stability": "USAGE ON SCHEMA stability",
    "sequence stability.armed_until": "SELECT ON SEQUENCE stability.armed_until",
    "function pg_catalog.pg_notify(text, text)": "EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text)",
}


@pytest.mark.parametrize("needed", NEEDED)
def test_a_writer_without_a_right_that_hints_need_is_named(filled: Database, needed: str) -> None:
    """He commits in silence, so somebody else has to tell; the remedy brings his hints back."""
    change = "UPDATE import_job SET imported_rows = 1"
    fetch(filled.dsn, f"REVOKE {NEEDED[needed]} FROM PUBLIC")
    (problem,) = fetch(filled.server_dsn, "SELECT * FROM stability.problems()")
    with heard(filled.dsn) as payloads:
        fetch(filled.writer_dsn, change)
    assert payloads == []
    assert problem[0] == needed
    assert WRITER_ROLE in problem[1]

    fetch(filled.dsn, problem[2].removeprefix('run "').removesuffix('"'))
    assert fetch(filled.dsn, "SELECT * FROM stability.problems()") == []
    with heard(filled.dsn) as payloads:
        fetch(filled.writer_dsn, change)
    assert payloads == ['{"look":V}']


def test_a_right_that_every_writer_has_by_name_is_not_missed(filled: Database) -> None:
    """Taken from everybody and given to those who write, it serves as well; a column's writer is one of them."""
    fetch(filled.dsn, "REVOKE USAGE ON SCHEMA stability FROM PUBLIC")
    fetch(filled.dsn, f"GRANT USAGE ON SCHEMA stability TO {WRITER_ROLE}")
    assert fetch(filled.dsn, "SELECT * FROM stability.problems()") == []

    fetch(filled.dsn, "GRANT UPDATE (state) ON worker.tasks TO stability_reader")
    fetch(filled.dsn, "REVOKE USAGE ON SCHEMA stability FROM stability_reader")
    assert fetch(filled.dsn, "SELECT writers FROM stability.silent_writers()") == ["stability_reader"]


def test_nobody_needs_to_execute_the_triggers_function(filled: Database) -> None:
    """A trigger that fires does not ask for it, so nothing is said when it is taken away."""
    fetch(filled.dsn, "REVOKE ALL ON FUNCTION public.notify_system_stability_change() FROM PUBLIC")
    with heard(filled.server_dsn) as payloads:
        fetch(filled.writer_dsn, "UPDATE import_job SET imported_rows = 1")

    assert payloads == ['{"look":V}']
    assert fetch(filled.dsn, "SELECT * FROM stability.problems()") == []


def test_a_register_that_is_gone_is_missed(filled: Database) -> None:
    """And made anew by the remedy."""
    fetch(filled.dsn, "DROP SEQUENCE stability.armed_until")
    ((problem, remedy),) = fetch(filled.server_dsn, "SELECT object, remedy FROM stability.problems()")
    assert problem == "sequence stability.armed_until"

    fetch(filled.dsn, remedy.split('"')[1])
    migrate(filled.dsn)
    with heard(filled.server_dsn) as payloads:
        fetch(filled.writer_dsn, "UPDATE import_job SET imported_rows = 1")
    assert payloads == ['{"look":V}']
