"""Executions over HTTP: made, listed, moved on, cancelled; and the log of what became of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import psycopg
import pytest

from tests.fixtures.follower import Event, Follower
from tests.fixtures.postgres import Database

EXECUTIONS: Final = "/api/v1/executions"
STATUS: Final = "/api/v1/status"


@pytest.fixture
def api(hosted: str) -> Iterator[httpx.Client]:
    """A client of the server on this test's database."""
    with httpx.Client(base_url=hosted, timeout=10) as client:
        yield client


def make(api: httpx.Client, **given: Any) -> dict[str, Any]:
    answer = api.post(EXECUTIONS, json=given)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def move(api: httpx.Client, identity: int, **change: Any) -> dict[str, Any]:
    answer = api.patch(f"{EXECUTIONS}/{identity}", json=change)
    assert answer.status_code == 200, answer.text
    moved: dict[str, Any] = answer.json()
    return moved


def log(api: httpx.Client, **query: str | int) -> list[dict[str, Any]]:
    answer = api.get(STATUS, params=query)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def latest(event: Event) -> Any:
    return event.data["row"]["latest"]


def test_a_life(api: httpx.Client) -> None:
    """Made, begun, half done, finished: dates and progress are set; each change is a row of the log."""
    made = make(api, name="report", params={"rows": [1, 2]})
    assert (made["status"], made["progress"], made["name"], made["params"]) == (
        "PENDING",
        0,
        "report",
        {"rows": [1, 2]},
    )
    begun = move(api, made["id"], status="RUNNING")
    assert begun["start_date"].endswith("Z")
    assert move(api, made["id"], progress=50)["progress"] == 50
    ended = move(api, made["id"], status="FINISHED")
    assert (ended["status"], ended["progress"], ended["end_date"] is not None) == ("FINISHED", 100, True)
    assert api.get(f"{EXECUTIONS}/{made['id']}").json() == ended
    rows = log(api, sort="timestamp")
    assert [(row["status_from"], row["status_to"]) for row in rows] == [
        (None, "PENDING"),
        ("PENDING", "RUNNING"),
        ("RUNNING", "FINISHED"),
    ]
    assert [row["execution_id"] for row in rows] == [made["id"]] * 3
    assert (rows[1]["executions_running"], rows[2]["executions_running"], rows[2]["executions_finished"]) == (1, 0, 1)


def test_the_stream_and_the_log_tell_the_same(api: httpx.Client, hosted: str, database: Database) -> None:
    """Row for row, a count that was begun anew among them; names are those of now, and end with their execution."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("INSERT INTO public.executions (name, status) VALUES ('report', 'RUNNING'), ('passing', 'READY')")
        owner.execute("DELETE FROM public.executions WHERE name = 'passing'")
        owner.execute("SELECT stability.begin_log()")
    rows = log(api)
    assert [(row["name"], row["status_to"]) for row in rows] == [
        *((None, None), (None, None)),
        *((None, "READY"), ("report", "RUNNING")),
    ]
    told = [{name: value for name, value in row.items() if not name.startswith("executions_")} for row in rows]
    with Follower(f"{hosted}/api/live?topics=executions") as follower:
        follower.wait_for(lambda client: any(latest(event) == told for event in client.named("change")))


def test_what_is_over_stays_so(api: httpx.Client) -> None:
    """Leaving a terminal status is a 409 that names both, and changes nothing."""
    made = make(api)
    move(api, made["id"], status="FAILED", progress=40, error_message="no disk")
    answer = api.patch(f"{EXECUTIONS}/{made['id']}", json={"status": "RUNNING"})
    assert answer.status_code == 409
    assert "FAILED" in answer.json()["error"]
    assert "RUNNING" in answer.json()["error"]
    kept = api.get(f"{EXECUTIONS}/{made['id']}").json()
    assert (kept["status"], kept["progress"], kept["error_message"]) == ("FAILED", 40, "no disk")


def test_its_progress_stays_as_well(api: httpx.Client) -> None:
    """What is finished is whole."""
    made = make(api)
    move(api, made["id"], status="FINISHED")
    assert api.patch(f"{EXECUTIONS}/{made['id']}", json={"progress": 5}).status_code == 409
    assert move(api, made["id"], progress=100)["progress"] == 100


@pytest.mark.parametrize(
    ("change", "progress"),
    [
        ({"status": "FAILED", "progress": 40}, 40),
        ({"status": "CANCELLED", "progress": 40}, 40),
        ({"status": "FAILED"}, 100),
        ({"status": "FINISHED", "progress": 40}, 100),
    ],
)
def test_a_progress_that_is_given_stays(api: httpx.Client, change: dict[str, Any], progress: int) -> None:
    """Also where it is what it was before; what finished is whole."""
    made = make(api)
    move(api, made["id"], status="RUNNING", progress=40)
    assert move(api, made["id"], **change)["progress"] == progress


def test_what_the_table_forbids_is_said(api: httpx.Client, database: Database) -> None:
    """A value that its owner demands is missing: 409 names the column, and nothing is stored."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("ALTER TABLE public.executions ADD script text NOT NULL")
    answer = api.post(EXECUTIONS, json={"name": "report"})
    assert (answer.status_code, "script" in answer.json()["error"]) == (409, True)
    assert make(api, columns={"script": "a.py"})["columns"]["script"] == "a.py"


@pytest.mark.parametrize(
    ("status", "cancelled"),
    [("PENDING", "CANCELLED"), ("READY", "CANCELLED"), ("RUNNING", "CANCELLING"), ("CANCELLING", "CANCELLING")],
)
def test_cancelling(api: httpx.Client, status: str, cancelled: str) -> None:
    """What has not begun is cancelled at once; what runs has to stop first."""
    made = make(api)
    if status != "PENDING":
        move(api, made["id"], status=status)
    answer = api.post(f"{EXECUTIONS}/{made['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, cancelled)


def test_what_is_over_cannot_be_cancelled(api: httpx.Client) -> None:
    """409, with the status."""
    made = make(api)
    move(api, made["id"], status="FINISHED")
    answer = api.post(f"{EXECUTIONS}/{made['id']}/cancel")
    assert (answer.status_code, "FINISHED" in answer.json()["error"]) == (409, True)


def test_lists_are_paged_and_filtered(api: httpx.Client) -> None:
    """The newest first; totals are exact."""
    ids = [make(api)["id"] for _ in range(5)]
    for identity in ids[:2]:
        move(api, identity, status="RUNNING")
    move(api, ids[0], status="CANCELLING")
    page = api.get(EXECUTIONS, params={"per_page": 2, "page": 2}).json()
    assert ([row["id"] for row in page["data"]], page["total"], page["page"], page["per_page"]) == (
        ids[2:0:-1],
        5,
        2,
        2,
    )
    for status, found in (("PENDING", ids[:1:-1]), ("RUNNING", [ids[1]]), ("CANCELLING", [ids[0]]), ("FAILED", [])):
        page = api.get(EXECUTIONS, params={"status": status}).json()
        assert ([row["id"] for row in page["data"]], page["total"]) == (found, len(found))


@pytest.mark.parametrize("identity", ["0", "999999", "none", "1e3", "%00", "9" * 30])
def test_what_does_not_exist_is_not_found(api: httpx.Client, identity: str) -> None:
    """404, or 400 for what nothing can be called, whatever the path."""
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/cancel")):
        body = {"progress": 1} if method == "PATCH" else None
        answer = api.request(method, f"{EXECUTIONS}/{identity}{path}", json=body)
        assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_columns_of_the_owner(api: httpx.Client, database: Database) -> None:
    """They are given and told under `columns`; one that is not there is refused with those that are."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("""ALTER TABLE public.executions ADD "the user" text, ADD script_id integer""")
    made = make(api, columns={"the user": "ada", "script_id": 7})
    assert made["columns"]["the user"] == "ada"
    assert made["columns"]["script_id"] == 7
    answer = api.post(EXECUTIONS, json={"columns": {"colour": "red"}})
    assert (answer.status_code, "'colour'" in answer.json()["error"]) == (409, True)
    assert "script_id" in answer.json()["error"]


def test_ids_are_given_by_the_database(api: httpx.Client, database: Database) -> None:
    """One that somebody gives would be given again; where a table makes none, somebody has to."""
    answer = api.post(EXECUTIONS, json={"columns": {"id": 1}})
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "columns: 'id' is given by the database; leave it out."},
    )
    assert make(api)["id"] == 1
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("ALTER TABLE public.executions ALTER id DROP IDENTITY IF EXISTS, ALTER id DROP DEFAULT")
    assert make(api, columns={"id": 7})["id"] == 7


def test_a_refused_request_stores_nothing(api: httpx.Client) -> None:
    """Neither an execution nor a row of the log."""
    refused: list[dict[str, Any]] = [
        {"status": "RUNNING"},
        {"nme": "x"},
        {"columns": {"script_id": "x"}},
        {"name": "a\0"},
        {"params": []},
    ]
    for body in refused:
        assert api.post(EXECUTIONS, json=body).status_code in (400, 409)
    assert (api.get(EXECUTIONS).json()["total"], log(api)) == (0, [])


def seed(database: Database, *rows: tuple[str, str, str, int]) -> None:
    """Rows of the log as they would have been written then: time, from, to, running."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("TRUNCATE public.status_log")
        owner.execute("DELETE FROM public.status_log")
        for number, (moment, before, after, running) in enumerate(rows, 100):
            owner.execute(
                "INSERT INTO public.status_log"
                " (id, timestamp, status_from, status_to, execution_id, executions_running)"
                " VALUES (%s, %s, %s, %s, 1, %s)",
                (number, moment, before, after, running),
            )


def test_an_aggregate_takes_the_last_value_of_each_bucket(api: httpx.Client, database: Database) -> None:
    """Counts are snapshots and never added up; what is counted are transitions. Buckets begin in UTC."""
    seed(
        database,
        ("2026-03-01 10:05Z", "PENDING", "RUNNING", 1),
        ("2026-03-01 10:55Z", "PENDING", "RUNNING", 2),
        ("2026-03-01 11:00Z", "RUNNING", "FAILED", 1),
        ("2026-03-02 09:00Z", "RUNNING", "FINISHED", 0),
    )
    asked = {"aggregate": "true", "end_date": "2026-03-02T23:59:59Z"}  # what seeding logged came after it
    hours = log(api, **asked, group_by="hour", sort="timestamp")
    assert [(row["timestamp"], row["executions_running"], row["transitions"]) for row in hours] == [
        ("2026-03-01T10:00:00.000Z", 2, 2),
        ("2026-03-01T11:00:00.000Z", 1, 1),
        ("2026-03-02T09:00:00.000Z", 0, 1),
    ]
    days = api.get(STATUS, params={**asked, "group_by": "day"}).json()
    assert [(row["timestamp"][:10], row["executions_running"], row["transitions"]) for row in days["data"]] == [
        ("2026-03-02", 0, 1),
        ("2026-03-01", 1, 3),
    ]
    assert days["total"] == 2


def test_a_range_and_a_period(api: httpx.Client, database: Database) -> None:
    """Both ends count; a period ends now; the later beginning of the two counts."""
    now = datetime.now(UTC)
    times = [now - timedelta(days=days) for days in (400, 200, 20, 5, 0.5)]
    seed(database, *((str(moment), "PENDING", "RUNNING", 1) for moment in times))
    for period, found in (("all", 5), ("last_year", 4), ("last_month", 3), ("last_week", 2), ("last_day", 1)):
        assert len([row for row in log(api, period=period) if row["execution_id"]]) == found, period
    within = log(api, start_date=times[1].isoformat(), end_date=times[3].isoformat(), period="last_month")
    assert len(within) == 2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("period=last_hour", "'last_day', 'last_week', 'last_month', 'last_year' or 'all'"),
        ("sort=id", "'timestamp' or '-timestamp'"),
        ("per_page=10001", "10000"),
        ("page=0", "1"),
        ("group_by=minute", "'hour', 'day', 'week' or 'month'"),
        ("aggregate=maybe", "true or false"),
        ("start_date=yesterday", "'yesterday'"),
        ("from=2026-01-01", "start_date"),
    ],
)
def test_a_query_that_cannot_be_meant(api: httpx.Client, query: str, said: str) -> None:
    """400 names the value and what is possible."""
    answer = api.get(f"{STATUS}?{query}")
    assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text
