"""The same SQL on the other versions of Postgres that this machine has: migrated, read, migrated again, removed."""

from math import inf
from pathlib import Path

import pytest

from stability.database import Database
from stability.deployments import rows
from stability.postgres import EmbeddedPostgres, binaries
from stability.postgres.binaries import Binaries
from stability.schema.migration import migrate, uninstall
from tests.fixtures.catalogue import contents, incarnations
from tests.fixtures.examined import examine
from tests.fixtures.postgres import dsn_for, fetch
from tests.test_adoption import HOSTS

INSTALLED = sorted(path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists())


@pytest.mark.skipif(not INSTALLED, reason="this machine has no other Postgres under /usr/lib/postgresql")
@pytest.mark.parametrize("programs", INSTALLED, ids=lambda path: f"PostgreSQL {path.parent.name}")
def test_another_version_does_as_well(programs: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shape of host is adopted, read and left as it was found."""
    monkeypatch.setattr(binaries, "find", lambda: Binaries(programs, programs.parent.name))
    with EmbeddedPostgres(data_dir, {"fsync": "off"}) as server:
        for number, (shape, tables) in enumerate(HOSTS.items()):
            fetch(server.dsn, f"CREATE DATABASE host_{number}")
            dsn = dsn_for(server, f"host_{number}")
            fetch(dsn, tables)
            before = contents(dsn)
            migrate(dsn)
            first = incarnations(dsn)
            migrate(dsn)

            assert incarnations(dsn) == first, shape
            assert fetch(dsn, "SELECT * FROM stability.problems()") == [], shape
            assert fetch(dsn, "SELECT is_system_stable()") == [False], shape
            assert len(fetch(dsn, "SELECT get_analytics_tasks_in_progress()")) == 1, shape
            uninstall(dsn)
            assert contents(dsn) == before, shape


@pytest.mark.skipif(not INSTALLED, reason="this machine has no other Postgres under /usr/lib/postgresql")
@pytest.mark.parametrize("programs", INSTALLED, ids=lambda path: f"PostgreSQL {path.parent.name}")
async def test_the_doctor_can_ask_it_as_well(programs: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every check comes to its end there, and all is in order."""
    monkeypatch.setattr(binaries, "find", lambda: Binaries(programs, programs.parent.name))
    with EmbeddedPostgres(data_dir, {"fsync": "off"}) as server:
        migrate(server.dsn)
        assert [finding.check for finding in await examine(server.dsn) if finding.level != "ok"] == ["server"]


@pytest.mark.skipif(not INSTALLED, reason="this machine has no other Postgres under /usr/lib/postgresql")
@pytest.mark.parametrize("programs", INSTALLED, ids=lambda path: f"PostgreSQL {path.parent.name}")
async def test_a_deployment_that_is_so_for_ever_has_an_age(
    programs: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 17, Postgres cannot subtract an infinite time: the others are read all the same."""
    monkeypatch.setattr(binaries, "find", lambda: Binaries(programs, programs.parent.name))
    with EmbeddedPostgres(data_dir, {"fsync": "off"}) as server:
        migrate(server.dsn)
        since = "INSERT INTO deployments (name, status, status_since) VALUES ('web', 'running', %s)"
        for moment in ("infinity", "-infinity"):
            fetch(server.dsn, since, moment)
        pool = Database(server.dsn)
        try:
            assert sorted(one.age for one in await rows.having(pool, ["running"])) == [0, inf]
        finally:
            await pool.close()
