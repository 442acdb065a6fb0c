"""A deployment comes to life: from the row that somebody wrote to a server that answers, or to the reason why not."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from stability.deployments import machines, starts
from tests.fixtures.deployments import Row, configured, deployed, monitored, watching
from tests.fixtures.eventually import in_time
from tests.fixtures.machines import APP, TOKEN, MachineApi, closed_port, machine_api, target
from tests.fixtures.postgres import Database, fetch

CREATING = "Creating Fly machine..."
STARTING = "Installing packages and starting server..."


@pytest.fixture
def history(database: Database) -> Database:
    """Keeps every row that ever stood in the table."""
    fetch(
        database.dsn,
        "CREATE TABLE history (n serial, status text, progress text, error text);"
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " INSERT INTO public.history (status, progress, error)"
        " VALUES (new.status, new.progress_message, new.error_message); RETURN NULL; END $$;"
        "CREATE TRIGGER keep AFTER INSERT OR UPDATE ON deployments FOR EACH ROW"
        " WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION keep()",
    )
    return database


def told(database: Database) -> list[tuple[str, str | None, str | None]]:
    """What somebody who looks all the time has seen, each once."""
    seen = fetch(database.dsn, "SELECT status, progress, error FROM history ORDER BY n")
    return [row for row, before in zip(seen, [None, *seen[:-1]], strict=True) if row != before]


async def test_a_healthy_start(history: Database) -> None:
    """Each step with its message, which is cleared at the end; the machine is made as the row says."""
    async with machine_api() as api, target() as here, watching(history, configured(api, here.port)):
        row = deployed(history, config='{"image": "web"}')
        await row.becomes("running")

        assert told(history) == [
            ("pending", None, None),
            ("installing", CREATING, None),
            ("starting", STARTING, None),
            ("running", None, None),
        ]
        assert api.machines["m1"]["config"] == {"image": "web"}
        assert row.read("machine_id") == "m1"


async def test_a_wrong_package(history: Database) -> None:
    """The machine runs and nobody ever answers: it failed to start, and later looks do not say less."""
    async with machine_api() as api, watching(history, configured(api, closed_port(), deployment_start_seconds=1)):
        row = deployed(history)
        await row.becomes("unhealthy")
        looks = row.read("last_checked_at")
        await in_time(lambda: row.read("last_checked_at") != looks)

        assert row.read() == ("unhealthy", None, "Server failed to start within 1 seconds")
        assert [status for status, _, _ in told(history)] == ["pending", "installing", "starting", "unhealthy"]


def test_the_sentence_is_the_contracts() -> None:
    """At the setting's default."""
    from stability.deployments.starts import too_late  # noqa: PLC0415

    assert too_late(configured(None, deployment_start_seconds=60).deployment_start_seconds).error == (
        "Server failed to start within 60 seconds"
    )


async def test_a_machine_that_is_stopped_by_hand(history: Database) -> None:
    """It is stopped, and never unhealthy; when it wakes it runs again."""
    async with machine_api() as api, target() as here, watching(history, configured(api, here.port)):
        row = deployed(history)
        await row.becomes("running")
        api.machines["m1"]["state"] = "stopped"
        here.behaviour = "reset"
        await row.becomes("stopped")
        here.behaviour = 200
        api.machines["m1"]["state"] = "started"
        await row.becomes("running")

    assert not {"unhealthy", "failed"} & {status for status, _, _ in told(history)}


@pytest.mark.parametrize("trouble", [401, 403, 422])
async def test_a_machine_that_is_refused(database: Database, trouble: int) -> None:
    """It failed, with the reason."""
    async with machine_api() as api, watching(database, configured(api)):
        api.always = trouble
        row = deployed(database)
        await row.becomes("failed")

        assert row.read("error_message") == f"the machine API answered {trouble}: trouble {trouble}"


async def test_without_a_machine_api_none_is_made(database: Database) -> None:
    """Which the reason says."""
    async with watching(database, configured(None)):
        row = deployed(database)
        await row.becomes("failed")

    assert "STABILITY_MACHINES_URL" in row.read("error_message")


async def test_a_creation_that_hiccups(database: Database) -> None:
    """It is tried again, and one machine is made."""
    async with machine_api() as api, target() as here, watching(database, configured(api, here.port)):
        api.troubles = ["lost", 503]
        row = deployed(database)
        await row.becomes("running")

        assert len(api.machines) == 1


async def test_one_whose_machine_was_destroyed_is_made_anew(database: Database) -> None:
    """Under the same name, once somebody writes that it is pending."""
    async with (
        machine_api() as api,
        target() as here,
        watching(database, configured(api, here.port)) as monitor,
    ):
        row = deployed(database, config='{"image": "web"}')
        await row.becomes("running")
        api.machines["m1"]["state"] = "destroyed"
        here.behaviour = "reset"
        await row.becomes("failed")
        here.behaviour = 200
        row.write("status = 'pending'")
        monitor.wake()
        await row.becomes("running")

        assert row.read("machine_id, error_message") == ("m2", None)
        assert api.machines["m2"] == {**api.machines["m1"], "id": "m2", "state": "started"}


async def test_one_whose_machine_still_exists_keeps_it(database: Database) -> None:
    """A platform said that it failed: there is no second machine."""
    async with (
        machine_api() as api,
        target() as here,
        watching(database, configured(api, here.port)) as monitor,
    ):
        row = deployed(database)
        await row.becomes("running")
        row.write("status = 'failed'")
        row.write("status = 'pending'")
        monitor.wake()
        await row.becomes("running")

        assert (row.read("machine_id"), list(api.machines)) == ("m1", ["m1"])


@pytest.mark.parametrize("trouble", ["slow", 503])
async def test_whoever_waits_for_its_turn_waits_no_longer(
    database: Database, monkeypatch: pytest.MonkeyPatch, trouble: int | str
) -> None:
    """The time in which a machine has to be made runs also while those before it are made."""
    monkeypatch.setattr(starts, "MAKING", 1)
    async with machine_api() as api:
        api.always = trouble
        for _ in range(10):
            deployed(database)
        async with watching(database, configured(api, deployment_create_seconds=2)):
            failed = "SELECT count(*) FROM deployments WHERE status = 'failed'"
            await in_time(lambda: fetch(database.dsn, failed)[0] >= 9, 6)
            (told,) = fetch(database.dsn, "SELECT DISTINCT error_message FROM deployments WHERE status = 'failed'")

    assert told == (
        "Not created within 2 seconds" if trouble == "slow" else "the machine API answered 503: trouble 503"
    )


async def test_whoever_comes_too_late_has_one_try(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash as well, and also where it has to wait for its turn: the machine may be there."""
    monkeypatch.setattr(starts, "MAKING", 1)
    async with machine_api() as api, target() as here:
        since = datetime.now(UTC) - timedelta(seconds=10)
        rows = [deployed(database, "installing", status_since=since) for _ in range(3)]
        async with watching(database, configured(api, here.port)):
            for row in rows:
                await row.becomes("running")


async def test_something_that_runs_already(database: Database) -> None:
    """With a health URL and no machine: it is only waited for, from pending as well."""
    async with target(503) as here, watching(database, configured(None, deployment_start_seconds=10)):
        rows = [deployed(database, status, health_url=here.url) for status in ("starting", "pending")]
        await in_time(lambda: len(here.asked) > 4)
        here.behaviour = 200
        for row in rows:
            await row.becomes("running")


async def test_a_new_one_begins_at_once(database: Database) -> None:
    """Within a second without being told, sooner if the monitor is."""
    async with target() as here, watching(database, configured(None)) as monitor:
        await asyncio.sleep(0)
        assert await deployed(database, "starting", health_url=here.url).becomes("running") < 2
        row = deployed(database, "starting", health_url=here.url)
        monitor.wake()
        assert await row.becomes("running") < 0.5


async def test_many_start_at_the_same_time(database: Database) -> None:
    """One that hangs holds nobody up."""
    async with (
        machine_api() as api,
        target() as here,
        target("hang") as silent,
        watching(database, configured(api, here.port, deployment_start_seconds=3)),
    ):
        stuck = [deployed(database, "starting", health_url=silent.url) for _ in range(50)]
        others = [deployed(database) for _ in range(50)]
        for row in others:
            await row.becomes("running")
        for row in stuck:
            await row.becomes("unhealthy")


async def test_who_moves_it_meanwhile_wins(database: Database) -> None:
    """A platform says that it failed while we wait: it stays so."""
    async with target(503) as here, watching(database, configured(None)):
        row = deployed(database, "starting", health_url=here.url)
        await in_time(lambda: here.asked)
        row.write("status = 'failed', error_message = 'no memory'")
        here.behaviour = 200
        await asyncio.sleep(0.5)

    assert row.read() == ("failed", None, "no memory")


PROGRAM = """
import asyncio
from stability.deployments.allow import Allow
from stability.database import Database
from stability.deployments.monitor import HealthMonitor
from stability.deployments.machines import Machines
from stability.deployments.outbound import Outbound
from stability.settings import load

async def main():
    settings = load()
    outbound = Outbound(Allow.parse(settings.probe_allow, settings.probe_template))
    await HealthMonitor(Database(settings.conninfo), Machines.of(settings), outbound, settings).run()

asyncio.run(main())
"""


@contextmanager
def another_process(database: Database, api: MachineApi, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A monitor in a process of its own, which is killed at the end of the block."""
    environment = {
        **os.environ,
        "DATABASE_URL": database.server_dsn,
        "STABILITY_MACHINES_URL": api.url,
        "STABILITY_MACHINES_APP": APP,
        "STABILITY_MACHINES_TOKEN": TOKEN,
        "STABILITY_PROBE_TEMPLATE": f"http://127.0.0.1:{port}/{{machine_id}}",
        "STABILITY_DEPLOYMENT_START_SECONDS": "30",
    }
    with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    ("at", "machines"),
    [
        ("pending", 1),
        ("installing, before it was asked for", 1),
        ("installing, while it is made", 1),
        ("starting", 1),
    ],
)
async def test_killed_at_any_moment_nothing_is_stuck(database: Database, at: str, machines: int) -> None:
    """Whoever comes next goes on from what the table says, and one machine is made."""
    async with machine_api() as api, target(503) as here:
        row = await _killed(database, api, here.port, at)
        here.behaviour = 200
        async with watching(database, configured(api, here.port)):
            await row.becomes("running")

        assert len(api.machines) == machines


async def _killed(database: Database, api: MachineApi, port: int, at: str) -> Row:
    """A deployment whose monitor was killed at that moment."""
    if at == "pending":
        return deployed(database)
    if at == "installing, before it was asked for":
        return deployed(database, "installing")
    row = deployed(database)
    if at == "installing, while it is made":
        api.always = "lost"
    with another_process(database, api, port):
        if at == "starting":
            await row.becomes("starting")
        else:
            await in_time(lambda: api.machines)
    api.always = None
    assert row.read("status") == at.partition(",")[0]
    return row


@pytest.mark.parametrize(("behaviour", "status"), [(200, "running"), (503, "unhealthy")])
async def test_a_wait_that_ran_out_while_nobody_waited(database: Database, behaviour: int, status: str) -> None:
    """It is asked once more, and then it is one or the other: the wait began when the table says so."""
    async with target(behaviour) as here:
        row = deployed(database, "starting", health_url=here.url, status_since="2026-01-01Z")
        async with watching(database, configured(None, deployment_start_seconds=3600)):
            await row.becomes(status)


async def test_a_round_that_comes_first_leaves_them_their_try(database: Database) -> None:
    """After a long outage all are overdue, and nobody has tried yet."""
    async with target() as here, machine_api() as api:
        rows = [deployed(database, status, status_since="2026-01-01Z") for status in ("pending", "installing")]
        async with monitored(database, configured(api, here.port)) as monitor:
            await monitor.look_once()
            running = asyncio.create_task(monitor.run())
            for row in rows:
                await row.becomes("running")
            running.cancel()


async def test_however_long_the_queue_each_has_its_try(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are overdue when somebody takes over fail by what the machine API says, or does not."""
    monkeypatch.setattr(starts, "MAKING", 1)
    monkeypatch.setattr(machines, "TIMEOUT", 0.9)
    async with machine_api() as api:
        api.always = "slow"
        rows = [deployed(database, "installing", status_since="2026-01-01Z") for _ in range(13)]
        async with watching(database, configured(api)):
            for row in rows:
                await row.becomes("failed")
    assert len(api.asked) == 13
    assert {"does not answer" in row.read("error_message") for row in rows} == {True}


async def test_one_that_cannot_be_brought_on_is_looked_at_past_its_deadline(database: Database) -> None:
    """By the rounds: a trigger of the host's refuses what it would become."""
    fetch(
        database.dsn,
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not here'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON deployments FOR EACH ROW
            WHEN (NEW.status IN ('installing', 'starting', 'unhealthy')) EXECUTE FUNCTION refuse();
        """,
    )
    async with target(503) as here, machine_api() as api, watching(database, configured(api, here.port)):
        rows = [deployed(database, status, status_since="2026-01-01Z") for status in ("pending", "installing")]
        rows.append(deployed(database, "starting", health_url=here.url, status_since="2026-01-01Z"))
        await in_time(lambda: here.asked)
        here.behaviour = 200
        for row, status in zip(rows, ("failed", "failed", "running"), strict=True):
            await row.becomes(status)
