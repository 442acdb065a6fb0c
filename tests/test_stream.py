"""The stream as clients see it: the state at once, then changes, to each at its own pace, until `bye`."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from stability.fanout.protocol import Protocol
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import Http, Serving
from tests.fixtures.work import begin_work, end_work

LIVE = "/api/system-status/live"
Follow = Callable[..., Follower]


@pytest.fixture(params=["auto", Protocol], ids=["portable", "handed off"])
def http(request: pytest.FixtureRequest) -> Http:
    """Everything once under plain uvicorn, and once under our protocol, which hands streams off."""
    protocol: Http = request.param
    return protocol


def test_the_first_frame_is_the_state(hosted: str, follow: Follow) -> None:
    """An unnamed message first, so that five lines of EventSource are a client; then the rich state."""
    client = follow(hosted)
    client.wait_for(lambda client: bool(client.named("connection")))
    assert [event.name for event in client.events[:3]] == ["message", "status", "connection"]
    assert client.events[0].data == {"stable": True}
    assert client.named("connection")[0].data["listener"] == "live"


def test_the_head(hosted: str) -> None:
    """The contract's headers, for any origin, through any proxy."""
    with httpx.stream("GET", hosted + LIVE) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["access-control-allow-origin"] == "*"
        first = next(answer.iter_bytes()).decode()
    retry, _, rest = first.partition("\n")
    assert 2000 <= int(retry.removeprefix("retry: ")) <= 5000
    assert '\ndata: {"stable":true}\n\n' in f"\n{rest}"


def test_a_commit_arrives_with_its_sources(hosted: str, follow: Follow, database: Database) -> None:
    """The rich state says which source is active, how many rows, since when."""
    client = follow(hosted)
    begin_work(database)
    client.wait_for_stable(False)
    client.wait_for(lambda client: client.named("status")[-1].data["state"] == "processing")
    status = client.named("status")[-1].data
    assert status["sources"]["import_job"] == {"active": True, "count": 1}
    assert status["sources"]["analytics_tasks"] == {"active": False, "count": 0}
    assert isinstance(status["version"], int)
    end_work(database)
    client.wait_for_stable(True)


def test_progress_of_a_row_is_told(hosted: str, follow: Follow, database: Database) -> None:
    """No count changes when a job's rows grow; the stream says that work went on, so that open details look again."""
    client = follow(hosted)
    begin_work(database)
    client.wait_for_stable(False)
    for rows in range(1, 4):
        before = client.named("status")[-1].data["version"]
        with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
            writer.execute("UPDATE public.import_job SET imported_rows = %s", (rows,))
        client.wait_for(lambda client, before=before: client.named("status")[-1].data["version"] > before, 3)  # type: ignore[misc]
    assert client.messages == [True, False]


def test_work_that_does_not_count_is_no_news(hosted: str, follow: Follow, database: Database) -> None:
    """Housekeeping tasks come and go: whoever watches the badge hears nothing of it."""
    with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
        writer.execute("INSERT INTO worker.command_registry (command, queue) VALUES ('clean', 'maintenance')")
        client = follow(hosted)
        client.wait_for(lambda client: bool(client.named("connection")))
        told = len(client.named("status"))
        for _ in range(20):
            writer.execute("INSERT INTO worker.tasks (command, state) VALUES ('clean', 'pending')")
        begin_work(database)
    client.wait_for_stable(False)
    client.wait_for(lambda client: client.named("status")[-1].data["state"] == "processing")
    assert len(client.named("status")) == told + 1


def test_everything_on_one_connection(hosted: str, follow: Follow, database: Database) -> None:
    """`/api/live` opens with the snapshot and `ready`, then follows; its last id resumes without a snapshot."""
    client = follow(hosted, "/api/live?topics=stability")
    client.wait_for(lambda client: bool(client.named("ready")))
    hello = client.events[0]
    assert (hello.name, hello.data["topics"]) == ("hello", ["stability"])
    assert abs(datetime.now(UTC) - datetime.fromisoformat(hello.data["time"])) < timedelta(seconds=10)
    assert {"message", "status"} <= {event.name for event in client.events}
    seen = client.named("ready")[0].identity
    again = follow(hosted, "/api/live?topics=stability", **{"Last-Event-ID": seen})
    again.wait_for(lambda client: bool(client.named("ready")))
    assert not again.messages
    begin_work(database)
    again.wait_for_stable(False)


def test_topics_are_named(hosted: str) -> None:
    """What may be asked for, also for foreign pages: their EventSource does not learn why it was refused."""
    answer = httpx.get(f"{hosted}/api/topics")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["topics"][0] == "stability"
    for topic in answer.json()["topics"]:
        with httpx.stream("GET", f"{hosted}/api/live", params={"topics": topic}) as stream:
            assert stream.status_code == 200


@pytest.mark.parametrize("identity", ["", "0", "zzz-3", "deadbeef-1", f"deadbeef-{10**30}", "-", "ü-٣"])
def test_an_id_from_elsewhere_begins_again(hosted: str, identity: str) -> None:
    """The id of another server's life means nothing here: a whole snapshot."""
    with httpx.stream("GET", f"{hosted}/api/live", params={"last_event_id": identity}) as answer:
        assert "event: status" in _until(answer, "event: ready")


def _until(answer: httpx.Response, mark: str) -> str:
    text = ""
    for part in answer.iter_text():
        text += part
        if mark in text:
            break
    return text


def test_heartbeats_name_version_proof_and_build(start_server: Callable[..., Serving], follow: Follow) -> None:
    """A client detects silence, a missed state and a new build by them, and how old the proof of the state is."""
    client = follow(start_server(STABILITY_HEARTBEAT_SECONDS="0.2", STABILITY_REREAD_SECONDS="0.1").url)
    client.wait_for(lambda client: len(client.named("heartbeat")) >= 2)
    beat, status = client.named("heartbeat")[-1].data, client.named("status")[-1].data
    assert beat.keys() == {"time", "as_of", "version", "build"}
    assert beat["version"] == status["version"]
    assert status["as_of"] < beat["as_of"] <= beat["time"]


def test_the_same_state_without_a_stream(hosted: str, database: Database) -> None:
    """`GET /api/system-status` says the same, answers 304 to its ETag, and a long poll returns with the change."""
    first = httpx.get(f"{hosted}/api/system-status")
    assert first.json()["state"] == "stable"
    cached = httpx.get(f"{hosted}/api/system-status", headers={"If-None-Match": first.headers["etag"]})
    assert cached.status_code == 304
    with httpx.Client() as client:
        began = time.monotonic()
        request = client.build_request("GET", f"{hosted}/api/system-status?wait=25&since={first.json()['version']}")
        begin_work(database)
        answer = client.send(request)
    assert answer.json()["state"] == "processing"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("path", "telling"),
    [
        ("/api/live?topics=nonsense", "'nonsense' is not a topic"),
        ("/api/live?topics=stability,,x", "'x'"),
        ("/api/system-status?wait=soon", "'soon'"),
        ("/api/system-status?wait=-1", "'-1'"),
        ("/api/system-status?wait=61", "from 0 to 60"),
        ("/api/system-status?wait=٣", "'٣'"),
    ],
)
def test_wrong_query_values_are_refused(hosted: str, path: str, telling: str) -> None:
    """400 and one sentence that names the value and what is allowed."""
    answer = httpx.get(hosted + path)
    assert answer.status_code == 400
    assert telling in answer.json()["error"]


def test_unknown_paths_and_methods_are_one_sentence(hosted: str) -> None:
    """JSON like every other answer."""
    assert httpx.get(f"{hosted}/api/nothing").json() == {"error": "There is nothing at /api/nothing."}
    assert httpx.delete(f"{hosted}{LIVE}").status_code == 405


def test_bye_ends_every_stream_quickly(serving: Serving, follow: Follow) -> None:
    """SIGTERM: each client hears when to come back, all streams end, the process is gone in under two seconds."""
    clients = [follow(serving.url) for _ in range(20)]
    serving.process.terminate()
    began = time.monotonic()
    assert serving.process.wait(10) == 0
    assert time.monotonic() - began < 2
    for client in clients:
        client.wait_for(lambda client: client.ended)
        assert 2000 <= client.named("bye")[0].data["retry"] <= 5000


def test_a_second_signal_is_no_crash(start_server: Callable[..., Serving], follow: Follow, tmp_path: Path) -> None:
    """Whoever has no patience ends the server at once, which is nothing to report."""
    told = tmp_path / "log"
    with told.open("w") as log:
        server = start_server(log=log)
        client = follow(server.url)
        server.process.terminate()
        client.wait_for(lambda client: client.ended)
        server.process.terminate()  # within uvicorn's own wait, a tenth of a second and the end of all parts
        assert server.process.wait(10) == 0
    assert "please report it" not in told.read_text()


def test_a_lost_database_is_told_inside_the_stream(hosted: str, follow: Follow, database: Database) -> None:
    """The answer stays 200, the state becomes unknown, and the truth comes back by itself."""
    client = follow(hosted)
    with database.away():
        client.wait_for_stable(None)
        assert httpx.get(f"{hosted}/readyz").status_code == 503
        with httpx.stream("GET", hosted + LIVE) as late:
            assert '{"stable":null}' in _until(late, "data:")
    client.wait_for_stable(True)


def test_details_from_one_snapshot(hosted: str, database: Database) -> None:
    """The rows in progress, their totals and the badge's answer agree."""
    with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
        writer.execute(
            "INSERT INTO public.import_job (slug, state, priority, total_rows, imported_rows)"
            " SELECT 'job ' || n, 'importing_data', n, 300, 2 * n FROM generate_series(1, 120) n"
        )
    answer = httpx.get(f"{hosted}/api/system-status/details")
    details = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert details.keys() == {
        "import_jobs",
        "analytics_tasks",
        "import_jobs_total",
        "analytics_tasks_total",
        "system_stable",
        "unchanged",
    }
    assert len(details["import_jobs"]) == 100
    assert details["import_jobs_total"] == 120
    assert details["system_stable"] is False
    first = details["import_jobs"][1]
    assert json.dumps(first) == json.dumps(
        {
            "id": first["id"],
            "slug": "job 2",
            "state": "importing_data",
            "priority": 2,
            "total_rows": 300,
            "imported_rows": 4,
            "progress_pct": 1,
        }
    )


def test_a_long_poll_ends_with_its_client(hosted: str) -> None:
    """Nothing waits for the answer of one that left."""
    tag = httpx.get(f"{hosted}/api/system-status").headers["etag"].strip('"')
    before = tasks(hosted)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{hosted}/api/system-status", params={"since": tag, "wait": "60"}, timeout=0.2)
    eventually(lambda: tasks(hosted) <= before)


def tasks(url: str) -> float:
    """Of the server's event loop."""
    found = re.search(r"^stability_tasks (\S+)", httpx.get(f"{url}/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])
