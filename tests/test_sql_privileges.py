"""Who may do what: the server reads and never writes, readers see details, everybody else the badge alone."""

import psycopg
import pytest

from tests.fixtures.postgres import WATCHED_TABLES, Database, fetch

DETAILS = [
    "SELECT stability.import_jobs_in_progress(1)",
    "SELECT stability.analytics_tasks_in_progress(1)",
    "SELECT public.get_analytics_tasks_in_progress()",
    "SELECT stability.count_active('import_job')",
]
SERVER_ONLY = [
    "SELECT * FROM stability.read_activity()",
    "SELECT * FROM stability.problems()",
    "SELECT * FROM stability.source",
    "SELECT * FROM stability.alembic_version",
]
OWNER_ONLY = [
    "SELECT stability.watch('mine', 'pg_class', 'true')",
    "SELECT stability.unwatch('import_job')",
    "SELECT stability.regenerate()",
    "SELECT stability.sweep()",
    "SELECT stability.in_progress('import_job', 1, '{id}')",
    "DELETE FROM stability.source",
    "INSERT INTO stability.source VALUES ('x', 'pg_authid', 'true', NULL, NULL, NULL, NULL, '{}', 'x', true)",
]


@pytest.mark.parametrize("query", DETAILS + SERVER_ONLY)
def test_the_server_reads_what_it_shows(database: Database, query: str) -> None:
    """As a member of stability_server and of nothing else."""
    fetch(database.server_dsn, query)


@pytest.mark.parametrize("query", OWNER_ONLY)
def test_the_server_changes_nothing_of_ours(database: Database, query: str) -> None:
    """Registering a source runs somebody's predicate with the owner's rights: that is for the owner."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        fetch(database.server_dsn, query)


@pytest.mark.parametrize("table", WATCHED_TABLES.split(", "))
@pytest.mark.parametrize("privilege", ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"])
def test_the_server_has_no_right_on_the_watched_tables(database: Database, table: str, privilege: str) -> None:
    """It sees them through our functions only."""
    query = "SELECT has_table_privilege('stability_server', %s, %s)"

    assert fetch(database.dsn, query, table, privilege) == [False]


@pytest.mark.parametrize("query", DETAILS)
def test_readers_see_details(database: Database, query: str) -> None:
    """That is what the role is for."""
    with psycopg.connect(database.dsn) as connection:
        connection.execute("SET ROLE stability_reader")
        connection.execute(query.encode())


@pytest.mark.parametrize("query", SERVER_ONLY + OWNER_ONLY)
def test_readers_see_no_more(database: Database, query: str) -> None:
    """Reasons of failures and descriptions are the server's."""
    with psycopg.connect(database.dsn) as connection:
        connection.execute("SET ROLE stability_reader")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(query.encode())


@pytest.mark.parametrize("query", DETAILS + SERVER_ONLY + OWNER_ONLY)
def test_everybody_else_sees_the_badge_alone(database: Database, query: str) -> None:
    """A writer of the watched tables, for instance."""
    assert fetch(database.writer_dsn, "SELECT is_system_stable()") == [True]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        fetch(database.writer_dsn, query)


def test_every_function_that_runs_with_the_owners_rights_pins_its_search_path(database: Database) -> None:
    """pg_catalog first and pg_temp last, so that nobody's object is taken for Postgres's own."""
    pinned = fetch(
        database.dsn,
        "SELECT DISTINCT c FROM pg_proc p, unnest(coalesce(p.proconfig, '{none}')) c WHERE p.prosecdef"
        " AND p.pronamespace::regnamespace::text IN ('stability', 'public') AND c ~ '^(search_path|none)'",
    )

    assert pinned == ["search_path=pg_catalog, pg_temp"]


def test_only_the_badge_and_the_hint_are_everybodys(database: Database) -> None:
    """Every other function of ours was taken from PUBLIC."""
    public = fetch(
        database.dsn,
        "SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
        " WHERE p.pronamespace::regnamespace::text IN ('stability', 'public') AND a.grantee = 0 ORDER BY 1",
    )

    assert public == ["is_system_stable", "notify_system_stability_change"]


def test_a_callers_own_objects_are_not_taken_for_ours(database: Database) -> None:
    """A temporary table that bears the name of a watched one does not change the answer."""
    fetch(database.dsn, "INSERT INTO import_job (slug, state) VALUES ('a', 'approved')")
    with psycopg.connect(database.writer_dsn) as caller:
        caller.execute("CREATE TEMP TABLE import_job (state text)")
        caller.execute("CREATE TEMP TABLE source (name text)")
        caller.execute("SET search_path = pg_temp, public")

        assert caller.execute("SELECT public.is_system_stable()").fetchone() == (False,)
