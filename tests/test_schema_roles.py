"""The two group roles belong to a whole cluster: made when possible, shared by databases, dropped by the last."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stability.postgres import EmbeddedPostgres
from stability.schema.migration import migrate, uninstall
from tests.fixtures.postgres import dsn_for, fetch

OUR_ROLES = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'stability\\_%' ORDER BY 1"


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[EmbeddedPostgres]:
    """A cluster that has never seen our roles, and where two-phase commit is on."""
    with tempfile.TemporaryDirectory(prefix="stability-test-") as folder:
        Path(folder).chmod(0o711)
        options = {"fsync": "off", "max_prepared_transactions": "2"}
        with EmbeddedPostgres(Path(folder) / "data", options) as server:
            fetch(server.dsn, "CREATE ROLE plain LOGIN")
            yield server


@pytest.fixture
def two_databases(own_cluster: EmbeddedPostgres) -> Iterator[tuple[str, str]]:
    """The connection strings of two empty databases in one cluster."""
    for name in ("one", "two"):
        fetch(own_cluster.dsn, f"CREATE DATABASE {name} OWNER plain")
    yield dsn_for(own_cluster, "one"), dsn_for(own_cluster, "two")
    for name in ("one", "two"):
        fetch(own_cluster.dsn, f"DROP DATABASE {name} WITH (FORCE)")
    for role in fetch(own_cluster.dsn, OUR_ROLES):
        fetch(own_cluster.dsn, f"DROP ROLE {role}")


def test_the_roles_go_with_the_last_database_that_uses_them(two_databases: tuple[str, str]) -> None:
    """The other database's grants keep them."""
    one, two = two_databases
    migrate(one)
    migrate(two)
    told: list[str] = []
    uninstall(one, tell=told.append)
    assert told == ["the role stability_server is in use and stays", "the role stability_reader is in use and stays"]
    assert fetch(two, "SELECT * FROM stability.problems() WHERE object ~ 'role'") == []

    uninstall(two)
    assert fetch(two, OUR_ROLES) == []


def test_roles_with_members_stay(two_databases: tuple[str, str]) -> None:
    """Somebody granted them to a login role, and may still need them."""
    one, _ = two_databases
    migrate(one)
    fetch(one, "GRANT stability_server TO plain")
    uninstall(one)

    assert fetch(one, OUR_ROLES) == ["stability_server"]


def test_roles_that_somebody_else_made_stay(two_databases: tuple[str, str]) -> None:
    """They do not carry our mark, and serve all the same."""
    one, _ = two_databases
    fetch(one, "CREATE ROLE stability_server NOLOGIN")
    migrate(one)
    assert fetch(one, "SELECT has_function_privilege('stability_server', 'stability.read_activity()', 'EXECUTE')") == [
        True
    ]
    uninstall(one)

    assert fetch(one, OUR_ROLES) == ["stability_server"]


def test_an_owner_who_may_not_create_roles_goes_without(
    own_cluster: EmbeddedPostgres, two_databases: tuple[str, str]
) -> None:
    """It is told once, doctor says it too, and the next migration after somebody created them grants the rest."""
    plain = dsn_for(own_cluster, "one", "plain")
    told: list[str] = []
    migrate(plain, told.append)
    warnings = [line for line in told if "may not create the role" in line]
    assert len(warnings) == 2
    assert fetch(plain, "SELECT is_system_stable()") == [True]
    assert ("role stability_server", 'run "CREATE ROLE stability_server NOLOGIN", then "stability migrate"') in fetch(
        plain, "SELECT object, remedy FROM stability.problems()"
    )

    for role in ("stability_server", "stability_reader"):
        fetch(two_databases[0], f"CREATE ROLE {role} NOLOGIN")
    migrate(plain)
    assert fetch(plain, "SELECT * FROM stability.problems() WHERE object ~ 'role'") == []


def test_two_phase_commit_still_works(two_databases: tuple[str, str]) -> None:
    """No hint is sent, for it would make PREPARE TRANSACTION fail; doctor says so."""
    one, _ = two_databases
    migrate(one)
    with psycopg.connect(one) as connection:
        connection.execute("INSERT INTO import_job (slug, state) VALUES ('a', 'approved')")
        connection.execute("PREPARE TRANSACTION 'half'")
    fetch(one, "COMMIT PREPARED 'half'")

    assert fetch(one, "SELECT is_system_stable()") == [False]
    assert fetch(one, "SELECT object FROM stability.problems()") == ["setting max_prepared_transactions"]
