"""Applications against a real engine: what its containers do is in the table and on the stream, and never wrong."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from stability.app import create_app
from stability.applications import rows
from stability.applications.compose import Places, normalised
from stability.applications.engine import Engine, EngineError
from stability.applications.figures import FEWEST, Figures
from stability.applications.refresh import Applications
from stability.applications.status import Container, determine_docker_status, is_status_fresh
from stability.applications.watcher import Watcher
from stability.database import Database as Pool
from stability.errors import SettingError
from stability.monitors.applications import MONITOR
from stability.monitors.monitor import Look
from stability.schema.migration import migrate, uninstall
from stability.settings import load
from tests.fixtures.catalogue import contents, incarnations
from tests.fixtures.engine import Podman, http, pretending
from tests.fixtures.eventually import in_time
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import hosting

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(database: Database, number: int = 1, **values: object) -> None:
    """An application that somebody wrote into the table."""
    given = {"model_slug": "m", "app_number": number, "app_type": "web", "provider": "p", **values}
    marks = ", ".join(["%s"] * len(given))
    fetch(database.dsn, f"INSERT INTO generated_applications ({', '.join(given)}) VALUES ({marks})", *given.values())


def status(database: Database, number: int = 1) -> Any:
    """What the table says."""
    query = "SELECT container_status FROM generated_applications WHERE app_number = %s"
    return fetch(database.dsn, query, number)[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the compose files of the applications 1 to 3."""
    for number in (1, 2, 3):
        file = tmp_path / f"m/app{number}/docker-compose.yml"
        file.parent.mkdir(parents=True)
        file.touch()
    return tmp_path


@asynccontextmanager
async def applications(database: Database, address: str | None, **more: object) -> AsyncIterator[Applications]:
    """Those of one server, with its least rights."""
    pool = Pool(database.server_dsn)
    given: Any = {"docker_host": address, **more}
    found = Applications(pool, load(**given), Figures(CollectorRegistry()))
    try:
        yield found
    finally:
        if found.engine:
            await found.engine.close()
        await pool.close()


@asynccontextmanager
async def watching(found: Applications) -> AsyncIterator[Watcher]:
    """A watcher that runs until the block ends; it must not have ended before."""
    assert found.engine
    watcher = Watcher(found, found.engine)
    running = asyncio.create_task(watcher.run())
    try:
        yield watcher
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def box(state: str, status: str = "", policy: str | None = None) -> Container:
    return Container("1", "web", "m_app1", state, status, policy)


WELL = ("exited", "Exited (0) 2 hours ago")


@pytest.mark.parametrize(
    ("containers", "file", "expected"),
    [
        ([box("exited"), box("Running")], False, "running"),
        ([box("exited"), box("paused")], True, "stopped"),
        ([box(*WELL, "always")], True, "stopped"),
        ([box(*WELL)], True, "stopped"),
        ([box(*WELL, "no")], True, "not_created"),
        ([box(*WELL, "no"), box("exited", "Exited (1) 2 hours ago", "no")], True, "stopped"),
        ([box(*WELL, "on-failure"), box("running")], True, "running"),
        ([], True, "not_created"),
        ([], False, "no_compose"),
        ([], None, "unknown"),
    ],
)
def test_what_containers_and_files_mean(containers: list[Container], file: bool | None, expected: str) -> None:
    """As the contract has it; a finished init container does not make an application stopped."""
    assert determine_docker_status(containers, file) == expected


@pytest.mark.parametrize(("seconds", "fresh"), [(0, True), (299.9, True), (300, False), (-1, False)])
def test_a_status_is_fresh_for_strictly_less_than_five_minutes(seconds: float, fresh: bool) -> None:
    """Whatever the zone; one that was never checked, or is to be, is not."""
    assert is_status_fresh(NOW - timedelta(seconds=seconds), NOW) is fresh
    assert not is_status_fresh(None, NOW)


def test_no_path_leaves_the_root(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither by a name nor by a link; a link within it leads where it leads."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "docker-compose.yml").touch()
    (root / "m/app8").symlink_to(outside)
    (root / "m/app9").symlink_to(root / "m/app1")
    (root / "m/app7").symlink_to(root / "m/app7")
    places = Places.of(load(applications_root=root))
    assert places.has_file("m", 1)
    assert places.has_file("m", 9)
    assert [places.has_file(*odd) for odd in (("m", 8), ("..", 1), ("m/../m", 1), ("", 1), ("m\0", 1))] == [False] * 5
    assert not places.has_file("m", 7)
    assert Places.of(load(applications_root=root / "gone")).has_file("m", 1) is None


def test_a_project_is_called_as_compose_calls_it() -> None:
    """Lower case, and nothing that compose takes out."""
    assert normalised("_GPT-4.1_app1") == "gpt-41_app1"


@pytest.mark.parametrize("value", ["ssh://host", "unix://relative", "tcp://host", "http://host:1"])
def test_another_way_to_an_engine_is_refused(value: str) -> None:
    """In one sentence that names the variable."""
    with pytest.raises(SettingError, match=r"DOCKER_HOST: .*unix:///PATH"):
        load(docker_host=value)


async def test_a_container_stopped_by_hand_is_seen_within_a_second(
    database: Database, podman: Podman, root: Path
) -> None:
    """And so are one that is started, one that is removed, and an application that is new."""
    made(database)
    async with applications(database, podman.address, applications_root=root) as found, watching(found) as watcher:
        await in_time(lambda: status(database) == "not_created")
        key = await asyncio.to_thread(podman.run, "m_app1")
        await in_time(lambda: status(database) == "running", 2)
        await asyncio.to_thread(podman.kill, key)
        took = await in_time(lambda: status(database) == "stopped", 1)
        await asyncio.to_thread(podman.clear)
        await in_time(lambda: status(database) == "not_created", 2)
        made(database, 2)
        watcher.wake()
        await in_time(lambda: status(database, 2) == "not_created", 1)
    print(f"stopped by hand, in the table after {took:.2f} s")


async def test_finished_init_containers_of_a_real_engine(database: Database, podman: Podman, root: Path) -> None:
    """Alone, beside one that crashed, and beside one that runs."""
    for number in (1, 2, 3):
        made(database, number)
        await asyncio.to_thread(podman.finished, f"m_app{number}", "exit 0", "on-failure")
    await asyncio.to_thread(podman.finished, "m_app2", "exit 3")
    await asyncio.to_thread(podman.run, "m_app3")
    async with applications(database, podman.address, applications_root=root) as found:
        await found.refresh_all_application_statuses()
    assert [status(database, number) for number in (1, 2, 3)] == ["not_created", "stopped", "running"]


async def test_an_engine_that_goes_and_returns(database: Database, podman: Podman) -> None:
    """Away, the status stays and ages; what changed meanwhile is read when it is back."""
    made(database)
    key = await asyncio.to_thread(podman.run, "m_app1")
    async with applications(database, podman.address) as found, watching(found):
        await in_time(lambda: status(database) == "running")
        podman.stop()
        await in_time(lambda: found.connected is False)
        assert status(database) == "running"
        await asyncio.to_thread(podman.start)
        await asyncio.to_thread(podman.kill, key)
        await in_time(lambda: status(database) == "stopped", 15)


async def test_twenty_idle_applications_cost_less_than_a_call_a_minute(database: Database, podman: Podman) -> None:
    """One list for all, after which nothing is asked until four minutes later."""
    for number in range(20):
        made(database, number)
    asked: list[str] = []
    async with applications(database, podman.address) as found:
        found.engine = Engine(podman.address, asked.append)
        async with watching(found):
            await in_time(lambda: "list" in asked)
            await in_time(
                lambda: fetch(database.dsn, "SELECT count(last_status_check) FROM generated_applications") == [20]
            )
    assert (asked.count("list"), found.settings.application_list_seconds) == (1, 240)


async def nonsense(body: bytes, tmp_path: Path, **head: str) -> str:
    """What an engine that answers so is accused of."""

    async def answer(path: str) -> bytes:
        return http(b"OK", **head) if path == "/_ping" else http(body, **head)

    async with pretending(answer, tmp_path) as address:
        engine = Engine(address)
        try:
            with pytest.raises(EngineError) as caught:
                await engine.containers()
        finally:
            await engine.close()
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "something else than a list"),
        (b"[", "not JSON"),
        (b"[null]", "something else than containers"),
        (b'[{"Id": "../x", "State": "running", "Labels": {}}]', "something else than containers"),
    ],
)
async def test_nonsense_is_no_list(body: bytes, said: str, tmp_path: Path) -> None:
    """Not even in part: a container that is not understood may be the one that runs."""
    assert said in await nonsense(body, tmp_path)


async def test_what_is_no_engine_or_too_old(tmp_path: Path) -> None:
    """It has to name a version of its API that is understood."""
    assert "no engine" in await nonsense(b"[]", tmp_path, version="")
    assert "1.20" in await nonsense(b"[]", tmp_path, version="1.20")
    assert "answered 403" in await nonsense(b"", tmp_path, status="403 Forbidden")


@pytest.mark.parametrize(("offered", "asked"), [("1.24", "/v1.24/"), ("1.51", "/v1.51/"), ("1.99", "/v1.51/")])
async def test_the_newest_version_that_both_know(offered: str, asked: str, tmp_path: Path) -> None:
    """Is asked for."""
    paths = []

    async def answer(path: str) -> bytes:
        paths.append(path)
        return http(b"OK" if path == "/_ping" else b"[]", version=offered)

    async with pretending(answer, tmp_path) as address:
        engine = Engine(address)
        assert await engine.containers() == []
        await engine.close()
    assert paths[1].startswith(asked)


async def test_two_refreshes_at_once_are_one(database: Database, podman: Podman) -> None:
    """Both get its answer."""
    made(database)
    async with applications(database, podman.address) as found:
        both = await asyncio.gather(*(found.refresh_all_application_statuses() for _ in range(2)))
    assert both[0] is both[1]


async def test_one_that_cannot_be_written_is_an_error_and_the_rest_goes_on(
    database: Database, podman: Podman, root: Path
) -> None:
    """Here a constraint of the host's keeps it from what it became."""
    for number in (1, 2):
        made(database, number)
    fetch(
        database.dsn,
        "ALTER TABLE generated_applications ADD CHECK (app_number <> 1 OR container_status = 'unknown') NOT VALID",
    )
    async with applications(database, podman.address, applications_root=root) as found:
        result = await found.refresh_all_application_statuses()
    assert (result.total_checked, result.updated, result.errors) == (2, 1, 1)
    assert [status(database, number) for number in (1, 2)] == ["unknown", "not_created"]


@pytest.mark.parametrize("kind", ["jsonb", "json", "text"])
async def test_metadata_of_the_owner_stay(database: Database, podman: Podman, kind: str) -> None:
    """The engine's last answer stands beside them, whatever type the column has."""
    fetch(
        database.dsn, f"ALTER TABLE generated_applications ALTER metadata_json TYPE {kind} USING metadata_json::{kind}"
    )
    made(database, metadata_json='{"mine": 1}')
    async with applications(database, podman.address) as found:
        await found.refresh_all_application_statuses()
    (kept,) = fetch(database.dsn, "SELECT metadata_json::text FROM generated_applications")
    assert json.loads(kept) == {"mine": 1, "docker": []}


async def test_low_accuracy_is_an_alert_once(database: Database, podman: Podman, root: Path) -> None:
    """Of a table that says something else than the engine again and again."""
    async with applications(database, podman.address, applications_root=root) as found:
        for number in range(FEWEST):
            made(database, number, container_status="running", last_status_check=datetime.now(UTC))
        for _ in range(2):
            await found.refresh_all_application_statuses()
    assert fetch(database.dsn, "SELECT kind FROM stability.outbox") == ["accuracy_low"]


@pytest.fixture
def api(database: Database, podman: Podman, root: Path) -> Iterator[httpx.Client]:
    """A client of a server that watches this engine."""
    settings = load(docker_host=podman.address, applications_root=root)
    with (
        hosting(create_app(settings, conninfo=database.server_dsn)) as url,
        httpx.Client(base_url=url, timeout=10) as client,
    ):
        yield client


def test_over_http(api: httpx.Client, database: Database, podman: Podman) -> None:
    """One, all, a refresh, and the stream: each as the contract has it."""
    made(database)
    key = podman.run("m_app1")
    answer = api.get("/api/app/m/1/status?force_refresh=true").json()
    data = answer["data"]
    assert (answer["success"], answer["message"]) == (True, "Status retrieved")
    assert (data["docker_status"], data["running"], data["states"]) == ("running", True, ["running"])
    assert (data["docker_connected"], data["compose_file_exists"], data["status_is_fresh"]) == (True, True, True)
    assert data["status_age_minutes"] == 0
    cached = api.get("/api/app/m/1/status").json()["data"]
    assert (cached["cached_status"], cached["docker_status"], cached["states"]) == ("running", "running", ["running"])
    refreshed = api.post("/api/applications/refresh-all-statuses").json()
    assert refreshed["message"] == "Refreshed status for 1 applications. Updated: 0, Errors: 0"
    listed = api.get("/api/applications").json()
    assert listed["applications"][0]["container_status"] == "running"
    assert listed["figures"]["cache_hit_percent"] == 50
    assert api.get("/api/app/m/2/status").json()["success"] is False
    assert "stability_engine_requests_total" in api.get("/metrics").text
    with Follower(f"{api.base_url}/api/live?topics=applications") as follower:
        follower.wait_for(lambda client: bool(client.named("ready")))
        began = monotonic()
        podman.kill(key)
        follower.wait_for(
            lambda client: any(
                event.name == "change" and event.data["row"]["container_status"] == "stopped" for event in client.events
            ),
            1,
        )
        print(f"stopped by hand, told on the stream after {monotonic() - began:.2f} s")


async def test_a_row_that_is_no_application_is_left_out(database: Database, tmp_path: Path) -> None:
    """In a table of somebody else's: the others, and all other monitors, go on."""
    nullable = "ALTER model_slug DROP NOT NULL, ALTER app_number DROP NOT NULL"
    fetch(database.dsn, f"ALTER TABLE generated_applications {nullable}")
    made(database, model_slug=None)
    made(database, 1)

    async def answer(path: str) -> bytes:
        return http(b"OK" if path == "/_ping" else b"[]")

    async with pretending(answer, tmp_path) as address, applications(database, address) as found:
        assert (await found.refresh()).total_checked == 1
        async with found.database.reading() as connection:
            reading = await MONITOR.read(connection, Look(None, "live", found.settings))
    assert [row.fields["model_slug"] for row in reading.rows.values()] == ["m"]


async def test_of_several_rows_of_one_that_was_checked_last_is_told(database: Database, tmp_path: Path) -> None:
    """As a table of somebody else's may have them; from the engine as well as from the table."""
    fetch(database.dsn, "ALTER TABLE generated_applications DROP CONSTRAINT generated_applications_are_numbered_once")
    made(database)
    made(database, container_status="stopped", last_status_check=NOW)
    made(database, container_status="no_compose", last_status_check=NOW - timedelta(days=1))

    async def answer(path: str) -> bytes:
        return http(b"OK" if path == "/_ping" else b"[]")

    async with pretending(answer, tmp_path) as address:
        async with applications(database, address) as found:
            (told,) = (await rows.find(found.database, "m", 1)).applications
            assert (told.status, told.last_status_check) == ("stopped", NOW)
        app = create_app(load(docker_host=address), conninfo=database.server_dsn)
        with hosting(app) as url, httpx.Client(base_url=url, timeout=10) as client:
            path = "/api/app/m/1/status"
            answers = [
                await asyncio.to_thread(client.get, path, params={"force_refresh": asked})
                for asked in ("true", "false")
            ]
    assert [one.json()["message"] for one in answers] == ["Status retrieved"] * 2


def test_what_was_checked_at_the_end_of_time_never_grows_old(hosted: str, database: Database) -> None:
    """There is no later moment, and the topic goes on."""
    made(database, container_status="running", last_status_check=datetime.max.replace(tzinfo=UTC, microsecond=0))
    (listed,) = httpx.get(f"{hosted}/api/applications").json()["applications"]
    assert (listed["container_status"], listed["stale_after"]) == ("running", "9999-12-31T23:59:59.999Z")


def test_without_an_engine_nothing_is_claimed_or_written(hosted: str, database: Database) -> None:
    """The cached status stays as it is, and a refresh of all says so."""
    made(database, container_status="running", last_status_check=NOW)
    data = httpx.get(f"{hosted}/api/app/m/1/status").json()["data"]
    assert (data["docker_status"], data["cached_status"], data["docker_connected"]) == ("unknown", "running", False)
    assert data["last_check"] == "2026-01-01T00:00:00.000Z"
    refused = httpx.post(f"{hosted}/api/applications/refresh-all-statuses")
    assert (refused.status_code, refused.json()) == (503, {"success": False, "error": "Docker is not reachable"})
    assert fetch(database.dsn, "SELECT last_status_check FROM generated_applications") == [NOW]


def test_a_hosts_own_table_is_adopted(empty_database: Database) -> None:
    """It gets what it lacks, the index as well, once; uninstalling takes exactly that back, and his rows stay."""
    fetch(empty_database.dsn, "CREATE TABLE generated_applications (id integer, model_slug text, app_number integer)")
    fetch(empty_database.dsn, "INSERT INTO generated_applications VALUES (1, 'm', 1)")
    before = contents(empty_database.dsn)
    migrate(empty_database.dsn)
    once = incarnations(empty_database.dsn)
    migrate(empty_database.dsn)
    assert incarnations(empty_database.dsn) == once
    assert fetch(empty_database.dsn, "SELECT container_status, has_backend FROM generated_applications") == [
        ("unknown", False)
    ]
    index = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_generated_applications_last_status_check'::regclass"
    assert fetch(empty_database.dsn, index) == [True]
    uninstall(empty_database.dsn)
    after = contents(empty_database.dsn)
    assert {what for what in before if before[what] != after[what]} <= {"relations", "columns"}
    assert [column for column in before["columns"] if column not in after["columns"]] == []
    assert fetch(empty_database.dsn, "SELECT model_slug FROM generated_applications") == ["m"]


def test_the_owners_own_index_stays_his(empty_database: Database) -> None:
    """One of that name is used as it is, and is there when we are gone."""
    fetch(
        empty_database.dsn,
        "CREATE TABLE generated_applications"
        " (id integer, model_slug text, app_number integer, last_status_check timestamptz)",
    )
    name = "ix_generated_applications_last_status_check"
    fetch(empty_database.dsn, f"CREATE INDEX {name} ON generated_applications (last_status_check)")
    (before,) = fetch(empty_database.dsn, f"SELECT '{name}'::regclass::oid")
    migrate(empty_database.dsn)
    uninstall(empty_database.dsn)
    assert fetch(empty_database.dsn, f"SELECT '{name}'::regclass::oid") == [before]
