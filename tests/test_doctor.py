"""`stability doctor` names what keeps the badge from the truth, with a remedy that works."""

import json
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from stability import doctor
from stability.doctor import Finding, entrance, instance
from stability.doctor.instance import Facts
from stability.postgres import EmbeddedPostgres
from tests.fixtures.command import PATIENCE, stability
from tests.fixtures.examined import about, examine, troubles
from tests.fixtures.postgres import Database, dsn_for, fetch
from tests.fixtures.server import Serving, free_port
from tests.fixtures.wire import Wire

LOCKED = "test_locked"
NOBODY_SERVES = {"STABILITY_PORT": str(free_port())}
CHECKS = [
    "postgres",
    "clock",
    "replica_role",
    "notification_queue",
    "notify_lock",
    "snapshots",
    "delivery",
    "revision",
    "source",
    "source",
    "objects",
]
AT_THE_URL = ["proxy_buffering", "server_clock", "listener"]


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


async def test_all_is_well(database: Database, serving: Serving) -> None:
    """On a migrated database that somebody serves everything is in order, for the owner and the server's role alike."""
    for dsn in (database.dsn, database.server_dsn):
        findings = await examine(dsn, url=serving.url)
        assert [finding.check for finding in findings if finding.level == "ok"] == CHECKS + AT_THE_URL
        assert [finding for finding in findings if finding.level != "ok" and finding.check != "sessions"] == []
        assert any("import_job can be read" in finding.fact for finding in findings)


def test_the_command_tells_and_exits_with_it(database: Database) -> None:
    """Exit 0 and a last word when all is well; exit 1, the problem and its remedy when not."""
    well = stability("doctor", DATABASE_URL=database.server_dsn, **NOBODY_SERVES)
    assert (well.returncode, well.stderr) == (0, "")
    assert "? unknown  No server answers at http://127.0.0.1:" in well.stdout
    assert well.stdout.endswith("Everything that could be seen is in order.\n")
    fetch(database.dsn, "DROP TRIGGER notify_system_stability_on_import_job_change ON public.import_job")
    ill = stability("doctor", DATABASE_URL=database.server_dsn, **NOBODY_SERVES)
    assert ill.returncode == 1
    assert "✘ problem  trigger notify_system_stability_on_import_job_change" in ill.stdout
    assert 'remedy   run "stability migrate"' in ill.stdout
    assert ill.stdout.endswith("1 problem, 0 warnings.\n")


def test_programs_read_the_same(database: Database) -> None:
    """With --json there is one document and nothing else; the exit status stays what it is."""
    fetch(database.dsn, "ALTER TABLE worker.tasks DISABLE TRIGGER notify_system_stability_on_task_change")
    told = stability("doctor", "--json", DATABASE_URL=database.dsn, **NOBODY_SERVES)
    assert (told.returncode, told.stderr) == (1, "")
    said = json.loads(told.stdout)
    assert (said["problems"], said["warnings"]) == (1, 0)
    assert [found["check"] for found in said["findings"]] == [*CHECKS[:-1], "trigger", "server"]
    assert said["findings"][-2] == {
        "check": "trigger",
        "level": "problem",
        "fact": "trigger notify_system_stability_on_task_change on worker.tasks: is disabled: changes are seen only at"
        " the next periodic read",
        "remedy": 'run "stability migrate"',
    }


def test_programs_read_that_there_is_no_database(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As a finding like any other."""
    nowhere = str(tmp_path_factory.mktemp("empty"))
    told = stability("doctor", "--json", cwd=nowhere, **NOBODY_SERVES)
    assert (told.returncode, told.stderr) == (1, "")
    (found,) = json.loads(told.stdout)["findings"]
    assert (found["check"], found["level"]) == ("connection", "problem")
    assert found["remedy"] == "set DATABASE_URL, or start `stability up`."


def test_a_url_that_is_none_is_wrong_usage(database: Database) -> None:
    """Exit 2, and a sentence that names the setting."""
    told = stability("doctor", "--json", "--url", "status.example", DATABASE_URL=database.dsn)
    assert (told.returncode, told.stdout) == (2, "")
    assert "STABILITY_URL: must begin with http" in told.stderr


async def test_a_database_that_falls_silent(database: Database, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it goes away, at the entrance or in the middle, the doctor comes to an end and says so."""
    monkeypatch.setattr(entrance, "STAY", 1.0)
    began = time.monotonic()
    with wire.silent(b"pg_is_in_recovery"):
        (finding, _) = await examine(wire.dsn(database.dsn))
    assert (finding.check, finding.fact) == ("connection", "Cannot connect: no answer within 1 s")
    with wire.silent(b"pg_notification_queue_usage"):
        findings = await examine(wire.dsn(database.dsn))
    assert about("notification_queue", findings).level == "unknown"
    assert [finding.check for finding in findings if finding.level == "ok"] == [
        *["postgres", "clock", "replica_role"],
        *CHECKS[CHECKS.index("delivery") :],
    ]
    assert time.monotonic() - began < doctor.LONGEST


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


PARTS: dict[str, tuple[str, str, str]] = {
    "a hint of deployments": (
        "DROP TRIGGER stability_deployments_updated ON public.deployments",
        "trigger",
        "trigger stability_deployments_updated of public.deployments: is missing: changes are seen only at the next",
    ),
    "the rules of deployments": (
        "ALTER TABLE public.deployments DISABLE TRIGGER stability_keep_deployment",
        "trigger",
        "trigger stability_keep_deployment of public.deployments: is disabled: the rules of its rows are not kept",
    ),
    "alerts of deployments": (
        "ALTER TABLE public.deployments ENABLE TRIGGER stability_deployment_alerts",
        "trigger",
        "trigger stability_deployment_alerts of public.deployments: is not enabled ALWAYS, so that it sleeps in the",
    ),
    "a column of deployments": (
        "ALTER TABLE public.deployments DROP COLUMN progress_message",
        "column",
        "column progress_message of public.deployments: is missing: what it is to hold is neither kept nor told",
    ),
    "a hint of applications": (
        "COMMENT ON TRIGGER stability_applications_inserted ON public.generated_applications IS 'mine'",
        "trigger",
        "trigger stability_applications_inserted of public.generated_applications: is not the trigger that Stability",
    ),
    "a column of applications": (
        "ALTER TABLE public.generated_applications DROP COLUMN metadata_json",
        "column",
        "column metadata_json of public.generated_applications: is missing",
    ),
    "a hint of services": (
        "ALTER TABLE public.services DISABLE TRIGGER stability_services_deleted",
        "trigger",
        "trigger stability_services_deleted of public.services: is disabled: changes are seen only at the next",
    ),
    "a trigger as an earlier release made it": (
        "DROP TRIGGER stability_services_inserted ON public.services;"
        " CREATE TRIGGER stability_services_inserted AFTER INSERT ON public.services FOR EACH ROW"
        " EXECUTE FUNCTION stability.notify_row_change('services');"
        " COMMENT ON TRIGGER stability_services_inserted ON public.services IS 'pg-stability: an older one'",
        "trigger",
        "trigger stability_services_inserted of public.services: is not the trigger that Stability makes",
    ),
    "alerts of services": (
        "DROP TRIGGER stability_service_alerts ON public.services",
        "trigger",
        "trigger stability_service_alerts of public.services: is missing: nobody is alerted",
    ),
    "an index of applications": (
        "DROP INDEX ix_generated_applications_last_status_check",
        "index",
        "index ix_generated_applications_last_status_check on public.generated_applications: is missing",
    ),
}


@pytest.mark.parametrize("part", PARTS)
async def test_a_missing_part_and_its_remedy(database: Database, part: str) -> None:
    """What the monitors' tables need of ours is told as the server sees it, and is there after the remedy."""
    broken, check, fact = PARTS[part]
    fetch(database.dsn, broken)
    (trouble,) = troubles(await examine(database.server_dsn))
    whose = "rename or drop it if it is yours, then " if "is not the trigger" in fact else ""
    remedy = f'{whose}run "stability migrate"'
    assert (trouble.check, trouble.level, trouble.remedy) == (check, "problem", remedy)
    assert trouble.fact.startswith(fact)
    assert stability("migrate", DATABASE_URL=database.dsn).returncode == 0
    assert troubles(await examine(database.server_dsn)) == []


async def test_a_column_that_only_its_owner_can_fill(database: Database) -> None:
    """It is told with another remedy: no migration can make it."""
    fetch(database.dsn, "ALTER TABLE public.deployments RENAME COLUMN name TO title")
    found = troubles(await examine(database.server_dsn))
    (trouble,) = [finding for finding in found if finding.check == "column"]
    assert trouble.fact.startswith("column name of public.deployments: is missing")
    assert trouble.remedy == 'add or rename it, then run "stability migrate"'
    refused = stability("migrate", DATABASE_URL=database.dsn)
    assert "public.deployments exists and has no column name; add or rename it first." in refused.stderr
    fetch(database.dsn, "ALTER TABLE public.deployments RENAME COLUMN title TO name")
    assert troubles(await examine(database.server_dsn)) == []


FOREIGN: dict[str, tuple[str, ...]] = {
    "table": ("CREATE TABLE public.services (price numeric)",),
    "view": ("CREATE VIEW public.services AS SELECT 1 AS price",),
    "foreign table": (
        "CREATE FOREIGN DATA WRAPPER elsewhere",
        "CREATE SERVER there FOREIGN DATA WRAPPER elsewhere",
        "CREATE FOREIGN TABLE public.services (price numeric) SERVER there",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
async def test_services_of_somebody_elses(empty_database: Database, kind: str) -> None:
    """A warning, since whoever has no Consul misses nothing; the remedy makes room for ours."""
    for statement in FOREIGN[kind]:
        fetch(empty_database.dsn, statement)
    assert stability("migrate", DATABASE_URL=empty_database.dsn).returncode == 0
    (trouble,) = troubles(await examine(empty_database.dsn))
    assert (trouble.check, trouble.level) == (kind.partition(" ")[0], "warning")
    assert trouble.fact.startswith(f"{kind} public.services: is somebody else's: services of Consul are neither stored")
    assert "rename it" in str(trouble.remedy)

    fetch(empty_database.dsn, f"ALTER {kind} public.services RENAME TO offers")
    for command in (("migrate", "--uninstall"), ("migrate",)):
        assert stability(*command, DATABASE_URL=empty_database.dsn).returncode == 0
    assert troubles(await examine(empty_database.dsn)) == []


async def test_a_pooler_that_swallows_listen(database: Database, pooled: Callable[[Database], str]) -> None:
    """Behind PgBouncer nothing arrives; the remedy, a direct STABILITY_LISTEN_URL, cures it."""
    (trouble,) = troubles(await examine(pooled(database)))
    assert trouble.check == "delivery"
    assert "a pooler swallows LISTEN" in trouble.fact
    assert trouble.remedy is not None
    assert "STABILITY_LISTEN_URL" in trouble.remedy
    assert troubles(await examine(pooled(database), listen_url=database.dsn)) == []


async def test_a_listen_url_to_elsewhere(database: Database, cluster: EmbeddedPostgres) -> None:
    """A STABILITY_LISTEN_URL that names another database hears nothing of this one."""
    (trouble,) = troubles(await examine(database.dsn, listen_url=dsn_for(cluster, "postgres")))
    assert "Nothing arrives over STABILITY_LISTEN_URL" in trouble.fact


async def test_a_standby(database: Database, standby: Callable[[Database], str]) -> None:
    """A standby is told as such, once, and not blamed for what follows from it."""
    (trouble,) = troubles(await examine(standby(database)))
    assert trouble.check == "standby"
    assert "This is a standby" in trouble.fact
    assert trouble.remedy is not None
    assert "primary" in trouble.remedy


async def test_no_schema(empty_database: Database) -> None:
    """A database that was never migrated is told to be."""
    (trouble,) = troubles(await examine(empty_database.dsn))
    assert trouble == Finding("revision", "problem", "The database has no schema stability.", "run `stability migrate`")


async def test_a_user_without_rights(database: Database) -> None:
    """Whoever may not read the state learns which role to ask for."""
    found = troubles(await examine(database.writer_dsn))
    assert "may not read" in found[0].fact
    assert "stability_server" in str(found[0].remedy)


async def test_a_watched_table_that_is_locked(database: Database) -> None:
    """Whoever keeps even readers out is named, and the remedy is not a grant."""
    with psycopg.connect(database.dsn, application_name="a long migration") as migration:
        migration.execute("LOCK TABLE worker.tasks")
        pid = migration.info.backend_pid
        (trouble,) = troubles(await examine(database.dsn))
    assert trouble.check == "reading"
    assert f"pid {pid} (a long migration, user postgres, idle in transaction)" in trouble.fact
    assert "pg_terminate_backend" in str(trouble.remedy)


async def test_writers_without_a_right_that_hints_need(database: Database) -> None:
    """The grant that was taken away is the remedy."""
    fetch(database.dsn, "REVOKE SELECT ON SEQUENCE stability.armed_until FROM PUBLIC")
    (trouble,) = troubles(await examine(database.server_dsn))
    assert trouble.check == "privilege"
    assert "test_writer" in trouble.fact
    assert trouble.remedy == 'run "GRANT SELECT ON SEQUENCE stability.armed_until TO PUBLIC"'


@pytest.mark.parametrize("whose", ["DATABASE {}", "ROLE test_writer IN DATABASE {}", "ROLE ALL IN DATABASE {}"])
async def test_the_replica_role(database: Database, whose: str) -> None:
    """It is told, and is a problem only for a trigger that is not enabled ALWAYS; the remedy cures that."""
    fetch(database.dsn, f"ALTER {whose.format(database.name)} SET session_replication_role = replica")
    findings = await examine(database.server_dsn)
    assert troubles(findings) == []
    assert f"for {'role test_writer in ' if 'test_writer' in whose else ''}database {database.name}: " in (
        about("replica_role", findings).fact
    )

    trigger = "notify_system_stability_on_import_job_change"
    fetch(database.dsn, f"ALTER TABLE public.import_job ENABLE TRIGGER {trigger}")
    found = troubles(await examine(database.server_dsn))
    assert [finding.check for finding in found] == ["replica_role", "trigger"]
    assert f"does not fire {trigger} on import_job" in found[0].fact
    assert stability("migrate", DATABASE_URL=database.dsn).returncode == 0
    assert troubles(await examine(database.server_dsn)) == []


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
    finding, _ = await examine(
        psycopg.conninfo.make_conninfo(database.dsn, **dict(part.split("=") for part in broken.split()))
    )
    assert finding.level == "problem"
    assert telling in finding.fact
    assert str(finding.remedy).startswith(remedy)
    assert "DATABASE_URL" in str(finding.remedy)


async def test_a_wrong_password_is_not_repeated(locked_dsn: str) -> None:
    """The password that did not fit is not told again."""
    dsn = psycopg.conninfo.make_conninfo(locked_dsn, password="open barley")
    finding, _ = await examine(dsn)
    assert "password" in finding.fact
    assert "barley" not in str(finding)
    told = stability("doctor", DATABASE_URL=dsn, **NOBODY_SERVES)
    assert told.returncode == 1
    assert "barley" not in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("version", "number", "level"), [("18.1", 180_001, "ok"), ("13.0", 130_000, "ok"), ("12.22", 120_022, "problem")]
)
def test_a_postgres_that_is_too_old(version: str, number: int, level: str) -> None:
    """PostgreSQL before 13."""
    facts = Facts(version, number, standby=False, username="me")
    assert [finding.level for finding in instance.of_the_server(facts)] == [level]


@pytest.mark.parametrize(
    ("theirs", "received", "grain", "seconds"),
    [
        (100.0, 100.0, 0, 0),
        (103.0, 100.0, 0, 3),
        (97.0, 100.0, 0, -3),
        (103.0, 102.0, 0, 1),  # read at 102 at the latest
        (101.0, 104.0, 0, 0),
        (98.0, 100.5, 2.0, 0),  # a time of up to 100.0
        (97.0, 100.0, 2.0, -1),
    ],
)
def test_how_far_two_clocks_are_apart_at_least(theirs: float, received: float, grain: float, seconds: float) -> None:
    """The time on the way counts for neither, nor does what a clock leaves out; asked at 100."""
    assert instance.apart(theirs, 100.0, received, grain) == pytest.approx(seconds)


@pytest.mark.parametrize(("seconds", "level"), [(1.0, "ok"), (-1.0, "ok"), (1.1, "warning"), (-3600.0, "warning")])
def test_a_clock_that_is_wrong(seconds: float, level: str) -> None:
    """Beyond a second it is told, and for what it matters."""
    finding = instance.of_the_clock("clock", "The database's clock", seconds)
    assert finding.level == level
    assert level == "ok" or f"{abs(seconds):,.1f} s {'behind' if seconds < 0 else 'ahead of'}" in finding.fact
