"""The health monitor as a whole: it sees everything in time, and nothing stops it but its end."""

import asyncio
import resource
from collections import Counter
from contextlib import suppress
from time import monotonic

import psycopg
import pytest
import structlog

from stability.deployments import monitor as module
from stability.deployments import prober, rows
from tests.fixtures.deployments import configured, deployed, monitored, watching
from tests.fixtures.eventually import in_time
from tests.fixtures.machines import closed_port, machine_api, target
from tests.fixtures.postgres import Database, fetch

INTERVAL = 30.0  # seconds, the contract's
MANY, HANGING = 1000, 100


async def test_a_thousand_of_which_a_hundred_hang(database: Database) -> None:
    """At the contract's interval, timeout and bound, every one is seen within one interval, the hanging ones too."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1024
    async with machine_api() as api, target() as here, target("hang") as silent:
        for number in range(HANGING):
            api.put(f"h{number}", "stopped")
        fetch(
            database.dsn,
            "INSERT INTO deployments (name, status, machine_id, health_url) SELECT n, 'running',"
            f" CASE WHEN n < {HANGING} THEN 'h' || n END, CASE WHEN n < {HANGING} THEN %s ELSE %s END"
            f" FROM generate_series(0, {MANY - 1}) AS n ORDER BY random()",
            silent.url,
            here.url,
        )
        async with monitored(database, configured(api, probe_seconds=INTERVAL, probe_timeout_seconds=5)) as monitor:
            began = monotonic()
            await monitor.look_once()
            took = monotonic() - began

    print(f"{MANY} deployments, {HANGING} of them silent: one round took {took:.1f} s")
    assert took < INTERVAL
    assert len(here.asked) == MANY - HANGING
    assert Counter(fetch(database.dsn, "SELECT status FROM deployments WHERE last_checked_at IS NOT NULL")) == {
        "running": MANY - HANGING,
        "stopped": HANGING,
    }


async def test_a_round_is_one_statement(database: Database) -> None:
    """However many were looked at, and the moment is the same for all."""
    async with target() as here, monitored(database, configured(None)) as monitor:
        for _ in range(20):
            deployed(database, "running", health_url=here.url)
        await monitor.look_once()

    assert fetch(database.dsn, "SELECT count(DISTINCT xmin::text) FROM deployments") == [1]


async def test_it_says_that_it_lives(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it starts, and at every heartbeat, with what it did."""
    assert module.HEARTBEAT == 60
    monkeypatch.setattr(module, "HEARTBEAT", 0.3)
    with structlog.testing.capture_logs() as lines:
        async with watching(database, configured(None)):
            await in_time(lambda: any(line["event"] == "HealthMonitor heartbeat" for line in lines))

    assert lines[0]["event"] == "HealthMonitor started"
    beats = [line for line in lines if line["event"] == "HealthMonitor heartbeat"]
    assert beats[0].keys() >= {"rounds", "looks", "changes"}


async def test_it_stops_within_a_second(database: Database) -> None:
    """Whatever it waits for: hanging health URLs, a slow machine API, a deployment that starts."""
    async with machine_api() as api, target("hang") as silent:
        api.always = "slow"
        settings = configured(api, closed_port(), probe_timeout_seconds=60, deployment_start_seconds=60)
        async with monitored(database, settings) as monitor:
            for _ in range(20):
                deployed(database, "running", health_url=silent.url)
                deployed(database, "running", machine_id="abc")
                deployed(database, "starting", health_url=silent.url)
                deployed(database)
            running = asyncio.create_task(monitor.run())
            await in_time(lambda: len(silent.asked) >= 40 and len(api.asked) >= 40)
            began = monotonic()
            running.cancel()
            await asyncio.wait([running])

    assert monotonic() - began < 1


@pytest.mark.parametrize(
    "broken",
    [
        "health_url = repeat('http://x', 5000)",
        "health_url = 'http://' || repeat('x.', 4000)",
        "health_url = E'http://\\u00e9\\u0007\\r\\nHost: x/'",
        "health_url = 'http://xn--a/'",
        "health_url = '', machine_id = '../../etc'",
        "config = (repeat('[', 6000) || repeat(']', 6000))::jsonb, status = 'installing'",
        "config = '[1]', status = 'pending'",
    ],
)
async def test_one_broken_deployment_stops_nobody(database: Database, broken: str) -> None:
    """Whatever somebody wrote into its row, the others are looked at and brought to life."""
    fetch(database.dsn, "SET max_stack_depth = '6MB'; INSERT INTO deployments (name, status) VALUES ('x', 'failed')")
    fetch(
        database.dsn,
        "SET max_stack_depth = '6MB'; ALTER TABLE deployments DISABLE TRIGGER USER;"
        f"UPDATE deployments SET {broken if 'status' in broken else broken + ', status = ' + repr('running')};"
        "ALTER TABLE deployments ENABLE ALWAYS TRIGGER stability_keep_deployment",
    )
    async with machine_api() as api, target() as here, watching(database, configured(api, here.port)):
        ill = deployed(database, "unhealthy", health_url=here.url)
        fresh = deployed(database)
        await ill.becomes("running")
        await fresh.becomes("running")


async def test_one_that_is_so_for_ever_stops_nobody(database: Database) -> None:
    """An infinite time has no distance from now: it is as old, or as young, as can be."""
    async with target() as here, watching(database, configured(None)):
        odd = [
            deployed(database, status, health_url=here.url, status_since=since)
            for status in ("unhealthy", "starting")
            for since in ("infinity", "-infinity")
        ]
        for row in (*odd, deployed(database, "starting", health_url=here.url)):
            await row.becomes("running")


async def test_machines_may_be_numbered(database: Database) -> None:
    """In a table of somebody else's."""
    fetch(database.dsn, "ALTER TABLE deployments ALTER machine_id TYPE bigint USING NULL")
    async with target() as here, machine_api() as api, watching(database, configured(api, here.port)):
        row = deployed(database, "running", machine_id=42)
        fresh = deployed(database, machine_id=43)
        await fresh.becomes("running")
        here.behaviour = 500
        await row.becomes("unhealthy")

    assert {asked.path for asked in here.asked} == {"/42/status", "/43/status"}


async def test_a_row_that_the_database_does_not_let_be_written_stops_nobody(database: Database) -> None:
    """A host's own trigger may refuse what it likes."""
    fetch(
        database.dsn,
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never'; END $$;"
        "CREATE TRIGGER no BEFORE UPDATE OF status ON deployments FOR EACH ROW WHEN (old.name = 'held')"
        " EXECUTE FUNCTION no()",
    )
    async with machine_api() as api, target() as here, watching(database, configured(api, here.port)):
        held = [deployed(database, status, name="held", health_url=here.url) for status in ("unhealthy", "starting")]
        free = [deployed(database, status, health_url=here.url) for status in ("unhealthy", "starting")]
        for row in free:
            await row.becomes("running")

    assert [row.read("status") for row in held] == ["unhealthy", "starting"]


async def test_an_error_of_ours_stops_nobody(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that nobody thought of."""

    def of_code(code: int) -> rows.Move:
        if code == 418:
            raise ZeroDivisionError
        return rows.Move("running")

    monkeypatch.setattr(prober, "of_code", of_code)
    async with target(418) as odd, target() as here, watching(database, configured(None)):
        deployed(database, "unhealthy", health_url=odd.url)
        row = deployed(database, "unhealthy", health_url=here.url)
        await row.becomes("running")


async def test_a_database_that_goes_away_and_comes_back(database: Database) -> None:
    """It is waited for, and everything goes on from the table."""
    async with target() as here, watching(database, configured(None)):
        row = deployed(database, "unhealthy", health_url=here.url)
        await row.becomes("running")
        with database.away():
            here.behaviour = 500
            await asyncio.sleep(1)
        await row.becomes("unhealthy")
        await deployed(database, "starting", health_url=here.url, status_since="2026-01-01Z").becomes("unhealthy")


async def test_only_what_is_still_so_is_written(database: Database) -> None:
    """A look that took long does not undo what somebody wrote meanwhile."""
    async with target("hang") as here, machine_api() as api:
        row = deployed(database, "running", health_url=here.url, machine_id="abc")
        api.put("abc", "started")
        async with monitored(database, configured(api)) as monitor:
            looking = asyncio.create_task(monitor.look_once())
            await in_time(lambda: here.asked)
            row.write("status = 'stopped'")
            await looking

    assert row.read("status, error_message") == ("stopped", None)


async def test_alerts_are_written_with_the_change(database: Database) -> None:
    """Unhealthy, failed and recovered, each once per occurrence."""
    async with machine_api() as api, target(500) as here, monitored(database, configured(api, here.port)) as monitor:
        row = deployed(database, "running", machine_id="abc", health_url=here.url)
        for here.behaviour in (500, 500, 200, 200, "close"):
            await monitor.look_once()
        told = fetch(database.dsn, "SELECT kind, subject, fact FROM stability.outbox ORDER BY id")

    assert told == [
        ("deployment_unhealthy", str(row.id), "Deployment web is unhealthy: Health check failed: 500"),
        ("deployment_recovered", str(row.id), "Deployment web runs again"),
        ("deployment_failed", str(row.id), "Deployment web is failed: Machine not found"),
    ]


async def test_ids_may_be_of_any_type(empty_database: Database) -> None:
    """A host's table with uuids, and one with an enum for the status."""
    from stability.schema.migration import migrate  # noqa: PLC0415
    from tests.fixtures.postgres import make_roles  # noqa: PLC0415

    fetch(
        empty_database.dsn,
        "CREATE TYPE mood AS ENUM ('pending', 'installing', 'starting', 'running', 'unhealthy', 'stopped', 'failed');"
        "CREATE TABLE deployments (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(20), status mood)",
    )
    migrate(empty_database.dsn)
    with suppress(psycopg.errors.DuplicateObject):
        make_roles(empty_database.dsn)
    async with machine_api() as api, target() as here, watching(empty_database, configured(api, here.port)):
        fetch(empty_database.dsn, "INSERT INTO deployments (name, status) VALUES ('web', 'pending')")
        await in_time(lambda: fetch(empty_database.dsn, "SELECT status::text FROM deployments") == ["running"])
