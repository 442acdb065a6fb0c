"""`stability doctor` names what keeps the badge from the truth, with a remedy that works."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

import psycopg
import pytest

from stability import doctor
from stability.doctor import Facts, Finding
from stability.postgres import EmbeddedPostgres
from stability.settings import load
from tests.fixtures.command import PATIENCE, stability
from tests.fixtures.postgres import Database, dsn_for, fetch

LOCKED = "test_locked"


async def examine(dsn: str, listen_url: str | None = None) -> list[Finding]:
    findings: AsyncIterator[Finding] = doctor.examine(load(DATABASE_URL=dsn, listen_url=listen_url), dsn)
    async with aclosing(findings):  # type: ignore[type-var]
        return [finding async for finding in findings]


def troubles(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level != "ok"]


@pytest.fixture
def locked_dsn(cluster: EmbeddedPostgres) -> Iterator[str]:
    """A user that needs the password `sesame`."""
    rules = cluster.data_dir / "postgres/data/pg_hba.conf"
    before = rules.read_text()
    fetch(dsn_for(cluster, "postgres"), f"CREATE ROLE {LOCKED} LOGIN PASSWORD 'sesame'")
    rules.write_text(f"local all {LOCKED} scram-sha-256\n{before}")
    fetch(dsn_for(cluster, "postgres"), "SELECT pg_reload_conf()")
    dsn = dsn_for(cluster, "postgres", LOCKED)
    _await_lock(dsn)
    yield dsn
    rules.write_text(before)
    fetch(dsn_for(cluster, "postgres"), "SELECT pg_reload_conf()")
    fetch(dsn_for(cluster, "postgres"), f"DROP ROLE {LOCKED}")


def _await_lock(dsn: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            return
        time.sleep(0.02)
    pytest.fail("the new rule does not hold")


async def test_all_is_well(database: Database) -> None:
    """On a migrated database nothing is found, for the owner and for the server's role alike."""
    for dsn in (database.dsn, database.server_dsn):
        findings = await examine(dsn)
        assert troubles(findings) == []
        assert any("import_job can be read" in finding.fact for finding in findings)


def test_the_command_tells_and_exits_with_it(database: Database) -> None:
    """Exit 0 and a last word when all is well; exit 1, the problem and its remedy when not."""
    well = stability("doctor", DATABASE_URL=database.server_dsn)
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout.endswith("Everything is in order.\n")
    fetch(database.dsn, "DROP TRIGGER notify_system_stability_on_import_job_change ON public.import_job")
    ill = stability("doctor", DATABASE_URL=database.server_dsn)
    assert ill.returncode == 1
    assert "✘ problem  trigger notify_system_stability_on_import_job_change" in ill.stdout
    assert 'remedy   run "stability migrate"' in ill.stdout
    assert ill.stdout.endswith("1 problem, 0 warnings.\n")


async def test_a_missing_index_and_its_remedy(database: Database) -> None:
    """A dropped index is found, and gone after the remedy."""
    (index,) = fetch(
        database.dsn,
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'public.import_job'::regclass"
        " AND indexrelid::regclass::text LIKE '%active%'",
    )
    fetch(database.dsn, f"DROP INDEX {index}")
    (trouble,) = troubles(await examine(database.dsn))
    assert trouble.level == "problem"
    assert index.removeprefix("public.") in trouble.fact
    assert trouble.remedy == 'run "stability migrate"'
    assert stability("migrate", DATABASE_URL=database.dsn).returncode == 0
    assert troubles(await examine(database.dsn)) == []


async def test_a_pooler_that_swallows_listen(database: Database, pooled: Callable[[Database], str]) -> None:
    """Behind PgBouncer nothing arrives; the remedy, a direct STABILITY_LISTEN_URL, cures it."""
    (trouble,) = troubles(await examine(pooled(database)))
    assert "a pooler swallows LISTEN" in trouble.fact
    assert trouble.remedy is not None
    assert "STABILITY_LISTEN_URL" in trouble.remedy
    assert troubles(await examine(pooled(database), database.dsn)) == []


async def test_a_listen_url_to_elsewhere(database: Database, cluster: EmbeddedPostgres) -> None:
    """A STABILITY_LISTEN_URL that names another database hears nothing of this one."""
    (trouble,) = troubles(await examine(database.dsn, dsn_for(cluster, "postgres")))
    assert "Nothing arrives over STABILITY_LISTEN_URL" in trouble.fact


async def test_a_standby(database: Database, standby: Callable[[Database], str]) -> None:
    """A standby is told as such, once, and not blamed for what follows from it."""
    (trouble,) = troubles(await examine(standby(database)))
    assert "This is a standby" in trouble.fact
    assert trouble.remedy is not None
    assert "primary" in trouble.remedy


async def test_no_schema(empty_database: Database) -> None:
    """A database that was never migrated is told to be."""
    (trouble,) = troubles(await examine(empty_database.dsn))
    assert trouble == Finding("problem", "The database has no schema stability.", "run `stability migrate`")


async def test_a_user_without_rights(database: Database) -> None:
    """Whoever may not read the state learns which role to ask for."""
    found = troubles(await examine(database.writer_dsn))
    assert "may not read" in found[0].fact
    assert "stability_server" in str(found[0].remedy)


@pytest.mark.parametrize(
    ("broken", "telling", "remedy"),
    [
        ("host=127.0.0.1 port=1", "refused", "check that Postgres runs there"),
        ("dbname=nowhere", "does not exist", "create it with `createdb`"),
        ("user=nobody_here", "does not exist", "create the role"),
    ],
)
async def test_nobody_gets_in(database: Database, broken: str, telling: str, remedy: str) -> None:
    """A server that is away, an unknown database and an unknown user each get a remedy of their own."""
    (finding,) = await examine(
        psycopg.conninfo.make_conninfo(database.dsn, **dict(part.split("=") for part in broken.split()))
    )
    assert finding.level == "problem"
    assert telling in finding.fact
    assert str(finding.remedy).startswith(remedy)
    assert "DATABASE_URL" in str(finding.remedy)


async def test_a_wrong_password_is_not_repeated(locked_dsn: str) -> None:
    """The password that did not fit is not told again."""
    dsn = psycopg.conninfo.make_conninfo(locked_dsn, password="open barley")
    (finding,) = await examine(dsn)
    assert "password" in finding.fact
    assert "barley" not in str(finding)
    told = stability("doctor", DATABASE_URL=dsn)
    assert told.returncode == 1
    assert "barley" not in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("facts", "levels"),
    [
        (Facts("18.1", 180001, standby=False, username="me", queue=0.49), ["ok", "ok"]),
        (Facts("18.1", 180001, standby=False, username="me", queue=0.5), ["ok", "warning"]),
        (Facts("12.22", 120022, standby=False, username="me", queue=0), ["problem", "ok"]),
    ],
)
def test_where_the_limits_are(facts: Facts, levels: list[str]) -> None:
    """PostgreSQL before 13 is too old; a notification queue that is half full is a warning."""
    assert [finding.level for finding in doctor.of_the_server(facts)] == levels
