"""Where a pooler swallows LISTEN, or whatever answers refuses it, the server polls while somebody watches."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from stability import hub, listener
from stability.app import create_app
from stability.errors import DatabaseError
from stability.listener import DEAF
from stability.schema.migration import migrate
from stability.settings import load
from tests.fixtures.command import stability
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import hosting, serve
from tests.fixtures.wire import Wire
from tests.fixtures.work import begin_work, end_work

DEADLINE = 1.0  # seconds that a canary may take: its own five would only be waited for
FOUND_OUT = DEAF * (DEADLINE + 1.0) + 1.0  # seconds
REFUSED = "LISTEN is not supported"
BOUND = 2.0  # seconds: two reads apart, and the read


def test_a_pooler_that_swallows_listen(
    database: Database, pooled: Callable[[Database], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown until that is found out, then the truth, called polling; with nobody there it knows nothing."""
    monkeypatch.setattr(hub, "ABSENCE", 0.0)
    monkeypatch.setattr(listener, "CANARY_DEADLINE", DEADLINE)
    settings = load(reread_seconds=0)
    with hosting(create_app(settings, conninfo=pooled(database))) as url:
        with Follower(f"{url}/api/system-status/live") as client:
            assert client.messages == [None]
            client.wait_for_stable(True, FOUND_OUT)
            assert client.named("status")[-1].data["listener"] == "polling"
            assert client.named("connection")[-1].data["listener"] == "polling"
            assert httpx.get(f"{url}/readyz").status_code == httpx.codes.OK
            begin_work(database)
            client.wait_for_stable(False, BOUND)
            end_work(database)
            client.wait_for_stable(True, BOUND)
        deadline = time.monotonic() + 5
        while httpx.get(f"{url}/readyz?verbose").status_code != httpx.codes.OK or _known(url):
            assert time.monotonic() < deadline, "it tells what nobody proved"
            time.sleep(0.05)
        with Follower(f"{url}/api/system-status/live") as client:
            client.wait_for_stable(True, BOUND)


def test_a_database_that_refuses_listen(database: Database, wire: Wire, tmp_path: Path) -> None:
    """The truth at once, called polling; one line of the log says why, and doctor what to do."""
    wire.refused = b"LISTEN"
    with (
        (tmp_path / "log").open("w") as log,
        serve(wire.dsn(database.server_dsn), log=log, STABILITY_LOG_FORMAT="json") as server,
        Follower(f"{server.url}/api/system-status/live") as client,
    ):
        client.wait_for_stable(True)
        begin_work(database)
        client.wait_for_stable(False, BOUND)
        end_work(database)
        client.wait_for_stable(True, BOUND)
        assert {event.data["listener"] for event in client.named("status")[-2:]} == {"polling"}
        assert client.named("connection")[-1].data["listener"] == "polling"
        assert httpx.get(f"{server.url}/readyz").status_code == httpx.codes.OK
        told = stability("doctor", "--url", server.url, DATABASE_URL=wire.dsn(database.server_dsn))
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(line["event"], line["reason"]) for line in lines if "reason" in line] == [
        ("listening does not work here, polling while somebody watches: see `stability doctor`", REFUSED)
    ]
    assert f"✘ problem  LISTEN is refused over this connection: {REFUSED}. The server polls" in told.stdout
    assert "remedy   set STABILITY_LISTEN_URL to a connection that leads" in told.stdout
    assert f"! warning  The server at {server.url} cannot listen" in told.stdout


def test_whoever_asks_for_his_commit_is_somebody_who_watches(database: Database, wire: Wire) -> None:
    """It is read for him alone, and again for the next one."""
    wire.refused = b"LISTEN"
    with hosting(create_app(load(), conninfo=wire.dsn(database.server_dsn))) as url:
        eventually(lambda: httpx.get(f"{url}/readyz").is_success)
        for act in (begin_work, end_work):
            act(database)
            (xid,) = fetch(database.dsn, "SELECT pg_current_xact_id()::text")
            told = httpx.get(f"{url}/api/system-status", params={"after": xid, "wait": 10}, timeout=15)
            assert (told.status_code, told.json()["stable"]) == (200, act is end_work)


def test_what_takes_no_canary_is_not_polled(database: Database, wire: Wire) -> None:
    """As a standby, which refuses both: nothing is known until it does."""
    wire.refused = b"LISTEN"
    with (
        hosting(create_app(load(), conninfo=wire.dsn(database.server_dsn))) as url,
        Follower(f"{url}/api/system-status/live") as client,
    ):
        client.wait_for_stable(True)
        fetch(database.dsn, "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify FROM PUBLIC")
        client.wait_for_stable(None)
        assert client.named("connection")[-1].data["listener"] == "lost"
        fetch(database.dsn, "GRANT EXECUTE ON FUNCTION pg_catalog.pg_notify TO PUBLIC")
        client.wait_for_stable(True)


def _known(url: str) -> bool:
    return httpx.get(f"{url}/api/system-status").json()["stable"] is not None


def test_what_we_set_stays_ours(
    database: Database, pooled: Callable[[Database], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gets a session of the pooler's after us finds it as it was; a migration, which has to set, is refused."""
    monkeypatch.setattr(listener, "CANARY_DEADLINE", DEADLINE)
    through = pooled(database)
    with hosting(create_app(load(), conninfo=through)) as url, Follower(f"{url}/api/system-status/live") as client:
        client.wait_for_stable(True, FOUND_OUT)
        for _ in range(8):
            found = fetch(through, "SELECT current_user, current_setting('statement_timeout'), current_setting('role')")
            assert found == [("postgres", "0", "none")]
    with pytest.raises(DatabaseError, match="a pooler that shares sessions"):
        migrate(through)
