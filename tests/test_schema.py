"""Making and removing our schema: once, twice, at the same time, and what it refuses in one sentence."""

import threading
from collections.abc import Iterator
from itertools import count

import psycopg
import pytest

from stability.errors import DatabaseError
from stability.postgres import EmbeddedPostgres
from stability.schema import revision
from stability.schema.migration import migrate, uninstall
from tests.fixtures.catalogue import contents, incarnations
from tests.fixtures.postgres import Database, dsn_for, fetch

TABLES = ["import_job", "worker.command_registry", "worker.tasks"]


def test_an_empty_database_gets_everything(empty_database: Database) -> None:
    """Tables, triggers, indexes, functions; the badge is green and doctor content."""
    migrate(empty_database.dsn)

    assert [fetch(empty_database.dsn, f"SELECT count(*) FROM {table}") for table in TABLES] == [[0]] * 3
    assert fetch(empty_database.dsn, "SELECT is_system_stable()") == [True]
    assert fetch(empty_database.dsn, "SELECT * FROM stability.problems()") == []
    assert fetch(empty_database.dsn, "SELECT version_num FROM stability.alembic_version") == [revision.revisions()[0]]


def test_a_second_migration_changes_nothing(empty_database: Database) -> None:
    """No object is dropped, rebuilt or written again, and nothing is told."""
    migrate(empty_database.dsn)
    before = contents(empty_database.dsn), incarnations(empty_database.dsn)
    told: list[str] = []
    migrate(empty_database.dsn, told.append)

    assert (contents(empty_database.dsn), incarnations(empty_database.dsn)) == before
    assert told == []


def test_migrations_at_the_same_time_take_turns(empty_database: Database) -> None:
    """Three servers that start together all find the schema as they need it."""
    failures: list[DatabaseError] = []

    def try_it() -> None:
        try:
            migrate(empty_database.dsn, lambda _line: None)
        except DatabaseError as error:
            failures.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert fetch(empty_database.dsn, "SELECT * FROM stability.problems()") == []


def test_uninstalling_leaves_an_empty_database_empty(empty_database: Database) -> None:
    """The tables that we made go as well, since they are empty; a second time there is nothing to do."""
    before = contents(empty_database.dsn)
    migrate(empty_database.dsn)
    uninstall(empty_database.dsn)
    told: list[str] = []
    uninstall(empty_database.dsn, tell=told.append)

    assert contents(empty_database.dsn) == before
    assert told == ["there is nothing of ours in this database"]


def test_uninstalling_keeps_rows_unless_told_otherwise(empty_database: Database) -> None:
    """A table with rows stays, says so, is adopted again, and goes with `drop_data`."""
    before = contents(empty_database.dsn)
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, "INSERT INTO import_job (slug, state) VALUES ('a', 'finished')")
    told: list[str] = []
    uninstall(empty_database.dsn, tell=told.append)
    assert "public.import_job has rows and stays; `stability migrate`, then --uninstall --drop-data, drops it" in told
    assert fetch(empty_database.dsn, "SELECT slug FROM import_job") == ["a"]

    migrate(empty_database.dsn)
    uninstall(empty_database.dsn, drop_data=True)
    assert contents(empty_database.dsn) == before


def test_uninstalling_drops_nothing_that_somebody_builds_on(database: Database) -> None:
    """A view over the badge is the host's: it is named, and all stays as it is."""
    fetch(database.dsn, "CREATE VIEW board AS SELECT is_system_stable() AS green")
    before = contents(database.dsn)
    with pytest.raises(DatabaseError, match=r"view (public\.)?board depends on function (public\.)?is_system_stable"):
        uninstall(database.dsn)

    assert contents(database.dsn) == before


FOREIGN = {
    "schema": ("CREATE SCHEMA stability", "The schema stability belongs to somebody else"),
    "badge": (
        "CREATE FUNCTION is_system_stable() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        r"The function public.is_system_stable\(\) belongs to somebody else",
    ),
    "procedure": (
        "CREATE PROCEDURE get_analytics_tasks_in_progress() LANGUAGE sql AS ''",
        r"The function public.get_analytics_tasks_in_progress\(\) belongs to somebody else",
    ),
    "trigger function": (
        "CREATE FUNCTION notify_system_stability_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        r"The function public.notify_system_stability_change\(\) belongs to somebody else",
    ),
    "type": ("CREATE TYPE import_job AS ENUM ('a')", "public.import_job exists and is not a table"),
    "sequence": ("CREATE SCHEMA worker CREATE SEQUENCE tasks", "worker.tasks exists and is not a table"),
    "table without a state": ("CREATE TABLE import_job (id integer)", "public.import_job has no column state"),
    "registry without a queue": (
        "CREATE SCHEMA worker CREATE TABLE command_registry (command text)",
        "worker.command_registry has no column queue",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_object_of_our_name_is_refused(empty_database: Database, what: str) -> None:
    """One sentence names it; nothing is half-done."""
    statement, sentence = FOREIGN[what]
    fetch(empty_database.dsn, statement)
    before = contents(empty_database.dsn)
    with pytest.raises(DatabaseError, match=sentence):
        migrate(empty_database.dsn)

    assert contents(empty_database.dsn) == before


def test_a_foreign_trigger_of_our_name_is_refused(empty_database: Database) -> None:
    """It keeps working as it did, and the sentence says what it calls."""
    fetch(empty_database.dsn, "CREATE TABLE import_job (id integer, state text)")
    fetch(
        empty_database.dsn,
        "CREATE TRIGGER notify_system_stability_on_import_job_change BEFORE UPDATE ON import_job"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    )
    before = contents(empty_database.dsn)
    with pytest.raises(DatabaseError, match=r"belongs to somebody else \(it calls suppress_redundant_updates_trigger"):
        migrate(empty_database.dsn)

    assert contents(empty_database.dsn) == before


FOREIGN_TRIGGERS = {
    "CREATE TABLE deployments (id integer PRIMARY KEY, name text, status text)": (
        "stability_keep_deployment",
        "deployments",
    ),
    "CREATE TABLE generated_applications (id integer PRIMARY KEY, model_slug text, app_number integer)": (
        "stability_applications_updated",
        "generated_applications",
    ),
}


@pytest.mark.parametrize("table", FOREIGN_TRIGGERS)
def test_a_foreign_trigger_on_a_monitors_table_is_refused(empty_database: Database, table: str) -> None:
    """It is neither replaced nor dropped, also not where it came after the first migration."""
    name, relation = FOREIGN_TRIGGERS[table]
    theirs = f"CREATE TRIGGER {name} BEFORE UPDATE ON {relation} FOR EACH ROW"
    theirs += " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    fetch(empty_database.dsn, f"{table}; {theirs}")
    before = contents(empty_database.dsn)
    refused = rf"trigger {name} on (public\.)?{relation} belongs to somebody else \(it calls suppress_redundant"
    with pytest.raises(DatabaseError, match=refused):
        migrate(empty_database.dsn)
    assert contents(empty_database.dsn) == before

    fetch(empty_database.dsn, f"DROP TRIGGER {name} ON {relation}")
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, f"DROP TRIGGER {name} ON {relation}; {theirs}")
    with pytest.raises(DatabaseError, match=refused):
        migrate(empty_database.dsn)
    uninstall(empty_database.dsn)
    assert contents(empty_database.dsn)["triggers"] == before["triggers"]


def test_a_foreign_schema_is_not_uninstalled(empty_database: Database) -> None:
    """What does not carry our mark is not ours."""
    fetch(empty_database.dsn, "CREATE SCHEMA stability CREATE TABLE source (name text)")
    with pytest.raises(DatabaseError, match="The schema stability in this database is somebody else's"):
        uninstall(empty_database.dsn)

    assert fetch(empty_database.dsn, "SELECT count(*) FROM stability.source") == [0]


def test_a_newer_schema_is_left_alone(database: Database) -> None:
    """An old release neither downgrades it nor replaces its functions."""
    fetch(database.dsn, "UPDATE stability.alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match=r"9999.*upgrade pg-stability"):
        migrate(database.dsn)


def test_a_database_that_is_away_is_told_in_a_sentence(empty_database: Database) -> None:
    """The reason is the driver's."""
    with pytest.raises(DatabaseError, match=r'cannot be reached: .*database "nowhere" does not exist'):
        migrate(empty_database.dsn.replace(empty_database.name, "nowhere"))


_visitors = count(1)


@pytest.fixture
def visitor(cluster: EmbeddedPostgres, empty_database: Database) -> Iterator[str]:
    """A login role that may connect and nothing else; its connection string."""
    name = f"visitor_{next(_visitors)}"
    fetch(empty_database.dsn, f"CREATE ROLE {name} LOGIN")
    yield dsn_for(cluster, empty_database.name, name)
    fetch(empty_database.dsn, f"DROP OWNED BY {name} CASCADE")
    fetch(empty_database.dsn, f"DROP ROLE {name}")


def test_a_missing_right_is_named_with_the_grant(empty_database: Database, visitor: str) -> None:
    """One after the other, until the migration succeeds."""
    (name,) = fetch(visitor, "SELECT current_user")
    fetch(empty_database.dsn, "CREATE TABLE import_job (id integer, state text)")
    granted = []
    for _ in range(10):
        before = contents(empty_database.dsn)
        try:
            migrate(visitor)
            break
        except DatabaseError as error:
            assert contents(empty_database.dsn) == before
            remedy = str(error).partition('run "')[2].partition('"')[0]
            granted.append(remedy)
            fetch(empty_database.dsn, remedy)

    assert granted == [
        f"GRANT CREATE ON DATABASE {empty_database.name} TO {name}",
        f"GRANT CREATE ON SCHEMA public TO {name}",
        f"GRANT postgres TO {name}",
    ]
    assert fetch(empty_database.dsn, "SELECT is_system_stable()") == [True]


def test_somebody_elses_schema_is_not_migrated(database: Database) -> None:
    """A role that does not own what was migrated is told whose it is."""
    with pytest.raises(DatabaseError, match=r"may not .*GRANT"):
        migrate(database.writer_dsn)
    with pytest.raises(DatabaseError):
        uninstall(database.writer_dsn)

    assert fetch(database.dsn, "SELECT * FROM stability.problems()") == []


def test_a_revision_that_is_missing_is_caught_up(empty_database: Database) -> None:
    """What a migration was cut off from doing, the next one does: its tables and code came in one transaction."""
    with psycopg.connect(empty_database.dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA stability")
        connection.execute("COMMENT ON SCHEMA stability IS 'pg-stability: as an interrupted hand left it'")
    migrate(empty_database.dsn)

    assert fetch(empty_database.dsn, "SELECT * FROM stability.problems()") == []
