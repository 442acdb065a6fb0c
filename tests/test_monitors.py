"""What holds for every monitor, proven for those that ship and for one that a stranger would add."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest

from stability.app import create_app
from stability.hints import CHANGE_CHANNEL
from stability.monitors import MONITORS, Monitor
from stability.settings import load
from tests.fixtures import things
from tests.fixtures.follower import Event, Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import hosting

BOUND = 1.0  # seconds from the commit to the frame


@dataclass(frozen=True)
class Course:
    """What a test needs to know of one monitor: three commits, and how a client sees each."""

    monitor: Monitor
    begin: str
    progress: str
    end: str
    begun: Callable[[Event], bool]
    progressed: Callable[[Event], bool]
    ended: Callable[[Event], bool]


def counts(sources: dict[str, dict[str, Any]]) -> list[int]:
    return [source["count"] for source in sources.values()]


COURSES = (
    Course(
        MONITORS[0],
        "INSERT INTO public.import_job (slug, state) VALUES ('a', 'importing_data')",
        "INSERT INTO public.import_job (slug, state) VALUES ('b', 'importing_data')",
        "DELETE FROM public.import_job",
        begun=lambda event: event.name == "status" and event.data["state"] == "processing",
        progressed=lambda event: (
            event.name == "status" and event.data["sources"].get("import_job", {}).get("count") == 2
        ),
        ended=lambda event: event.name == "status" and event.data["state"] == "stable",
    ),
    Course(
        MONITORS[1],
        "INSERT INTO public.executions (status) VALUES ('RUNNING')",
        "INSERT INTO public.executions (status) VALUES ('RUNNING')",
        "UPDATE public.executions SET status = 'FINISHED'",
        begun=lambda event: event.name == "change" and event.data["row"]["counts"]["running"] == 1,
        progressed=lambda event: event.name == "change" and event.data["row"]["counts"]["running"] == 2,
        ended=lambda event: event.name == "change" and event.data["row"]["counts"]["finished"] == 2,
    ),
    Course(
        MONITORS[2],
        "INSERT INTO public.deployments (name, status) VALUES ('web', 'running')",
        "UPDATE public.deployments SET machine_id = 'm1'",
        "DELETE FROM public.deployments",
        begun=lambda event: event.name == "change" and event.data["row"] and event.data["row"]["status"] == "running",
        progressed=lambda event: (
            event.name == "change" and event.data["row"] and event.data["row"]["machine_id"] == "m1"
        ),
        ended=lambda event: event.name == "change" and event.data["row"] is None,
    ),
    Course(
        MONITORS[3],
        "INSERT INTO public.generated_applications (model_slug, app_number, app_type, provider, container_status,"
        " last_status_check) VALUES ('m', 1, 'web', 'p', 'running', now())",
        "UPDATE public.generated_applications SET backend_framework = 'flask'",
        "DELETE FROM public.generated_applications",
        begun=lambda event: (
            event.name == "change" and event.data["row"] and event.data["row"]["container_status"] == "running"
        ),
        progressed=lambda event: (
            event.name == "change" and event.data["row"] and event.data["row"]["backend_framework"] == "flask"
        ),
        ended=lambda event: event.name == "change" and event.data["row"] is None,
    ),
    Course(
        MONITORS[4],
        "INSERT INTO public.services (node, id, name, status) VALUES ('n', 'web', 'web', 'passing')",
        "UPDATE public.services SET name = 'site'",
        "DELETE FROM public.services",
        begun=lambda event: event.name == "change" and event.data["row"] and event.data["row"]["state"] == "passing",
        progressed=lambda event: (
            event.name == "change" and event.data["row"] and event.data["row"].get("name") == "site"
        ),
        ended=lambda event: event.name == "change" and event.data["key"] == "n:web" and event.data["row"] is None,
    ),
    Course(
        things.MONITOR,
        "INSERT INTO public.things (id, state) VALUES ('a', 'running')",
        "UPDATE public.things SET size = 2",
        "DELETE FROM public.things",
        begun=lambda event: event.name == "change" and event.data["row"] and event.data["row"]["state"] == "running",
        progressed=lambda event: event.name == "change" and event.data["row"] and event.data["row"]["size"] == 2,
        ended=lambda event: event.name == "change" and event.data["key"] == "a" and event.data["row"] is None,
    ),
)


@pytest.fixture(params=COURSES, ids=lambda course: course.monitor.name)
def course(request: pytest.FixtureRequest) -> Course:
    """One monitor and its story."""
    assert isinstance(request.param, Course)
    return request.param


@pytest.fixture
def url(database: Database) -> Iterator[str]:
    """A server with every monitor that ships and the stranger's, by hints alone."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(things.SCHEMA.encode())
    app = create_app(load(reread_seconds=0), conninfo=database.server_dsn, monitors=(*MONITORS, things.MONITOR))
    with hosting(app) as address:
        yield address


@pytest.fixture
def client(url: str, course: Course) -> Iterator[Follower]:
    """A client of this monitor's topic alone, once the listener is live."""
    with Follower(f"{url}/api/live?topics={course.monitor.topic}") as follower:
        follower.wait_for(
            lambda client: [event.data["listener"] for event in client.named("connection")][-1:] == ["live"]
        )
        yield follower


def commit(database: Database, statement: str) -> None:
    with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
        writer.execute(statement.encode())


def test_every_monitor_that_ships_has_a_course() -> None:
    """A new monitor is held to all of this by one entry above."""
    assert [course.monitor for course in COURSES[:-1]] == list(MONITORS)


def test_names_are_unique_and_told() -> None:
    """Topics and names identify; titles are for people."""
    everything = (*MONITORS, things.MONITOR)
    for values in ({m.name for m in everything}, {m.topic for m in everything}, {m.title for m in everything}):
        assert len(values) == len(everything)
        assert all(values)


def test_a_commit_arrives_and_its_end_too(client: Follower, course: Course, database: Database) -> None:
    """Beginning, progress and end each reach a client of the topic within a second."""
    for statement, seen in (
        (course.begin, course.begun),
        (course.progress, course.progressed),
        (course.end, course.ended),
    ):
        commit(database, statement)
        client.wait_for(lambda client, seen=seen: any(seen(event) for event in client.events), BOUND)  # type: ignore[misc]


def test_a_snapshot_says_the_same_as_the_stream(client: Follower, url: str, course: Course, database: Database) -> None:
    """Who connects later is told the present row, from memory."""
    commit(database, course.begin)
    client.wait_for(lambda client: any(course.begun(event) for event in client.events))
    with Follower(f"{url}/api/live?topics={course.monitor.topic}") as late:
        late.wait_for(lambda client: bool(client.named("ready")))
        assert any(course.begun(event) for event in late.events)


def test_what_was_missed_is_read_again(client: Follower, course: Course, database: Database) -> None:
    """A change whose hint nobody heard, since the listener was away, arrives with its return."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stability listener'"
        )
    commit(database, course.begin)
    client.wait_for(lambda client: any(course.begun(event) for event in client.events), 5)


def test_a_hint_for_everything_reads_everything(client: Follower, course: Course, database: Database) -> None:
    """A hint whose payload nobody understands still leads to the truth."""
    with psycopg.connect(database.dsn) as owner:
        owner.execute("SET LOCAL session_replication_role = replica")  # no trigger fires
        owner.execute(course.begin.encode())
    with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
        writer.execute(f"NOTIFY {CHANGE_CHANNEL}, 'look!'".encode())
    client.wait_for(lambda client: any(course.begun(event) for event in client.events), BOUND)


def test_every_channel_that_is_sent_is_listened_to(url: str, database: Database) -> None:
    """The channels of triggers, servers and programs: none is spoken into the void."""
    httpx.get(f"{url}/livez")
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        sent = {
            row[0]
            for row in owner.execute(
                "SELECT (regexp_matches(prosrc, $$pg_notify\\(\\s*'([a-z_]+)'$$, 'g'))[1] FROM pg_proc"
                " WHERE pronamespace IN ('public'::regnamespace, 'stability'::regnamespace)"
            )
        }
        listening = owner.execute(
            "SELECT query FROM pg_stat_activity WHERE application_name = 'stability listener'"
            " AND datname = current_database()"
        ).fetchone()
    assert sent
    assert listening is not None
    heard = {statement.removeprefix("LISTEN ") for statement in str(listening[0]).split("; ")}
    assert heard == sent | {"system_stability", "stability_change", "stability_canary", "import_job_progress"}
