"""Deployments over HTTP: made, shown, and moved by what a platform reports."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import psycopg
import pytest
import structlog

from stability.deployments.api import item
from stability.levels import level_at
from stability.settings import Settings
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving

DEPLOYMENTS = "/api/deployments"


@pytest.fixture
def api(hosted: str) -> Iterator[httpx.Client]:
    """A client of the server on this test's database."""
    with httpx.Client(base_url=hosted, timeout=10) as client:
        yield client


def await_on_the_stream(api: httpx.Client, *names: str) -> None:
    """The deployments that the stream tells of are these."""
    with Follower(f"{api.base_url}/api/live?topics=deployments") as follower:
        follower.wait_for(
            lambda client: (
                {event.data["row"]["name"] for event in client.events if event.name in {"row", "change"}} == {*names}
            ),
            5,
        )


def test_a_request_that_makes_one_answers_at_once(api: httpx.Client) -> None:
    """202: what is to be made begins as pending, what runs already as starting."""
    made = api.post(DEPLOYMENTS, json={"name": "web", "config": {"image": "x"}})
    assert (made.status_code, made.json()["status"], made.json()["name"]) == (202, "pending", "web")
    runs = api.post(DEPLOYMENTS, json={"name": "api", "health_url": "https://api.example/health"})
    assert (runs.status_code, runs.json()["status"]) == (202, "starting")
    assert runs.json()["progress_message"] == "Installing packages and starting server..."


def test_its_configuration_is_told_nobody(api: httpx.Client) -> None:
    """It may hold secrets."""
    api.post(DEPLOYMENTS, json={"name": "web", "config": {"env": {"KEY": "sesame"}}})
    assert "sesame" not in api.get(DEPLOYMENTS).text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "web", "health_url": "ftp://web.example/"},
        {"name": "web", "health_url": "http://user:secret@web.example/"},
        {"name": "web", "config": []},
        {"name": "web", "status": "running"},
    ],
)
def test_what_cannot_be_meant_is_refused_and_stores_nothing(api: httpx.Client, body: dict[str, object]) -> None:
    """400, and no deployment."""
    assert api.post(DEPLOYMENTS, json=body).status_code == 400
    assert api.get(DEPLOYMENTS).json() == {"deployments": []}


def test_what_is_observed_says_when_it_grows_old(api: httpx.Client, database: Database) -> None:
    """Two intervals after it was looked at; what failed is looked at no more, and does not age."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO deployments (name, status, last_checked_at, status_since)"
            " VALUES ('web', 'running', '2026-01-01Z', '2025-12-31Z'), ('api', 'failed', '2026-01-01Z', '2026-01-01Z')"
        )
    web, other = api.get(DEPLOYMENTS).json()["deployments"]
    assert (web["observed_at"], web["stale_after"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z")
    assert (other["status"], other["stale_after"]) == ("failed", None)


def test_what_a_platform_says_is_as_new_as_its_saying(api: httpx.Client, database: Database) -> None:
    """It is no older than its report, however long ago somebody looked."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO deployments (id, name, status, last_checked_at, status_since)"
            " OVERRIDING SYSTEM VALUE VALUES (1, 'web', 'running', '2026-01-01Z', '2026-01-01Z')"
        )
    before = api.get(f"{DEPLOYMENTS}/1").json()
    told = api.post(f"{DEPLOYMENTS}/1/status", json={"status": "unhealthy"}).json()
    assert before["observed_at"] == "2026-01-01T00:00:00.000Z" == told["last_checked_at"]
    assert told["observed_at"] > told["created_at"]
    assert told["stale_after"] > told["observed_at"]


@pytest.mark.parametrize(
    ("machine", "configured", "ages"), [("m1", True, True), ("m1", False, False), (None, True, False)]
)
def test_a_stopped_one_that_nobody_can_be_asked_about_stands(
    machine: str | None,
    configured: bool,
    ages: bool,
) -> None:
    """As it was reported, with the moment of that; where somebody can be asked it ages."""
    where = {"machines_url": "https://machines.example/v1", "machines_app": "app"} if configured else {}
    row = {"id": 1, "name": "web", "status": "stopped", "machine_id": machine, "status_since": "2026-01-01T00:00:00Z"}
    told = item(row, Settings.model_validate(where)).model_dump(mode="json")
    assert told["observed_at"] == "2026-01-01T00:00:00.000Z"
    assert told["stale_after"] == ("2026-01-01T00:01:00.000Z" if ages else None)
    assert level_at("stopped", told, datetime.now(UTC)) == ("unknown" if ages else "warning")


def test_an_odd_row_hides_no_other(api: httpx.Client, database: Database) -> None:
    """A time that no calendar has is not known, and the topic goes on."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO deployments (name, status, last_checked_at, created_at)"
            " VALUES ('web', 'running', 'infinity', '0044-03-15 BC'), ('api', 'running', '294276-12-31', now())"
        )
    listed = api.get(DEPLOYMENTS).json()["deployments"]
    assert [(one["name"], one["last_checked_at"]) for one in listed] == [("web", None), ("api", None)]
    assert api.get("/readyz").status_code == 200


def test_what_is_observed_at_the_end_of_time_never_grows_old(api: httpx.Client, database: Database) -> None:
    """There is no later moment, and the topic goes on."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO deployments (name, status, last_checked_at) VALUES ('web', 'running', '9999-12-31 23:59:59Z')"
        )
    (listed,) = api.get(DEPLOYMENTS).json()["deployments"]
    assert (listed["observed_at"], listed["stale_after"]) == ("9999-12-31T23:59:59.000Z", "9999-12-31T23:59:59.999Z")
    await_on_the_stream(api, "web")


def test_a_row_that_cannot_be_told_is_left_out(api: httpx.Client, database: Database) -> None:
    """In a table of somebody else's: the others go on, and the log names it."""
    with structlog.testing.capture_logs() as lines:
        with psycopg.connect(database.dsn, autocommit=True) as owner:
            owner.execute("ALTER TABLE deployments ALTER id DROP IDENTITY")
            owner.execute("ALTER TABLE deployments ALTER id TYPE numeric")
            owner.execute(
                "INSERT INTO deployments (id, name, status) VALUES (1.5, 'odd', 'failed'), (2, 'web', 'failed')"
            )
        assert [one["name"] for one in api.get(DEPLOYMENTS).json()["deployments"]] == ["web"]
        await_on_the_stream(api, "web")
    assert [line["row"] for line in lines if line["event"] == "a row is left out"] == [1.5]


@pytest.mark.parametrize(
    ("column", "value"),
    [("last_checked_at bigint", "1700000000"), ("last_checked_at jsonb", '{"at": 1}'), ("created_at boolean", "true")],
)
def test_what_is_no_moment_is_none(api: httpx.Client, database: Database, column: str, value: str) -> None:
    """A number may be seconds or milliseconds: the row is told without it, in the list, alone, and after a report."""
    name = column.split(maxsplit=1)[0]
    fetch(database.dsn, f"ALTER TABLE deployments DROP {name}, ADD {column}")
    fetch(database.dsn, f"INSERT INTO deployments (name, status, {name}) VALUES ('web', 'running', %s)", value)
    (listed,) = api.get(DEPLOYMENTS).json()["deployments"]
    assert (listed["name"], listed[name]) == ("web", None)
    assert api.get(f"{DEPLOYMENTS}/1").json() == listed
    assert api.post(f"{DEPLOYMENTS}/1/status", json={"status": "unhealthy"}).json()["status"] == "unhealthy"


def test_a_row_that_cannot_be_told_is_one_sentence(api: httpx.Client, database: Database) -> None:
    """409, which names what is odd; a report of it is refused and stores nothing."""
    fetch(database.dsn, "ALTER TABLE deployments ALTER id DROP IDENTITY")
    fetch(database.dsn, "ALTER TABLE deployments ALTER id TYPE numeric")
    fetch(database.dsn, "INSERT INTO deployments (id, name, status) VALUES (1.5, 'odd', 'running')")
    for answer in (
        api.get(f"{DEPLOYMENTS}/1.5"),
        api.post(f"{DEPLOYMENTS}/1.5/status", json={"status": "unhealthy"}),
    ):
        assert answer.json() == {"error": "The deployment '1.5' cannot be told: its id is 1.5."}
        assert answer.status_code == 409
    assert fetch(database.dsn, "SELECT status FROM deployments") == ["running"]


def test_json_that_postgres_cannot_read_is_one_sentence(api: httpx.Client, database: Database) -> None:
    """It is there, so it is not called missing."""
    fetch(database.dsn, "ALTER TABLE deployments ALTER config TYPE json")
    fetch(database.dsn, """INSERT INTO deployments (name, config) VALUES ('web', '{"key": "\\u0000"}')""")
    answer = api.get(f"{DEPLOYMENTS}/1")
    assert (answer.status_code, answer.json()) == (
        409,
        {"error": "The deployment '1' cannot be told: unsupported Unicode escape sequence."},
    )


def test_a_message_that_the_column_cannot_hold_is_refused(api: httpx.Client, database: Database) -> None:
    """It is the message that is wrong, and the deployment is there."""
    fetch(database.dsn, "ALTER TABLE deployments ALTER error_message TYPE jsonb USING NULL")
    fetch(database.dsn, "INSERT INTO deployments (name, status) VALUES ('web', 'running')")
    answer = api.post(f"{DEPLOYMENTS}/1/status", json={"status": "failed", "message": "no disk"})
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid input syntax for type json."})


def test_texts_of_another_type_are_told_as_texts(api: httpx.Client, database: Database) -> None:
    """A host may number his machines, and keep more of an error than a sentence."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "ALTER TABLE deployments ALTER name TYPE integer USING 0, ALTER machine_id TYPE bigint USING 0,"
            " ALTER error_message TYPE jsonb USING NULL"
        )
        owner.execute(
            "INSERT INTO deployments (name, status, machine_id, error_message)"
            """ VALUES (7, 'failed', 9007199254740993, '{"code": 1}')"""
        )
    (listed,) = api.get(DEPLOYMENTS).json()["deployments"]
    assert listed == api.get(f"{DEPLOYMENTS}/{listed['id']}").json()
    assert (listed["name"], listed["machine_id"], listed["error_message"]) == ("7", "9007199254740993", '{"code": 1}')
    await_on_the_stream(api, "7")


def test_a_report_is_of_its_status(api: httpx.Client) -> None:
    """The message of one on its way is its progress, of one in trouble its error, and neither outlives it."""
    made = api.post(DEPLOYMENTS, json={"name": "web", "health_url": "https://web.example/"}).json()
    hook = f"{DEPLOYMENTS}/{made['id']}/status"
    told = api.post(hook, json={"status": "unhealthy", "message": "out of memory"}).json()
    assert (told["status"], told["progress_message"], told["error_message"]) == ("unhealthy", None, "out of memory")
    told = api.post(hook, json={"status": "running"}).json()
    assert (told["status"], told["error_message"]) == ("running", None)
    refused = api.post(hook, json={"status": "installing"})
    assert (refused.status_code, "running" in refused.json()["error"]) == (409, True)
    assert api.post(f"{DEPLOYMENTS}/99/status", json={"status": "running"}).status_code == 404


def test_a_report_that_it_is_pending_makes_it_anew(api: httpx.Client, database: Database) -> None:
    """Without the machine that it had."""
    fetch(database.dsn, "INSERT INTO deployments (name, status, machine_id) VALUES ('web', 'failed', 'm1')")
    told = api.post(f"{DEPLOYMENTS}/1/status", json={"status": "pending"}).json()
    assert (told["status"], told["machine_id"]) == ("pending", None)


def test_a_report_needs_the_token(start_server: Callable[..., Serving]) -> None:
    """401 without it, 403 from a foreign page; nothing changes."""
    serving = start_server(STABILITY_TOKEN="sesame")
    hook = f"{serving.url}{DEPLOYMENTS}/1/status"
    assert httpx.post(hook, json={"status": "running"}).status_code == 401
    foreign = {"Origin": "https://evil.example", "Authorization": "Bearer sesame"}
    assert httpx.post(hook, json={"status": "running"}, headers=foreign).status_code == 403
