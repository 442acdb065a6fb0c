"""Where a pooler hands out connections per transaction it swallows LISTEN: the server polls while somebody watches."""

import time
from collections.abc import Callable

import httpx
import pytest

from stability import hub
from stability.app import create_app
from stability.errors import DatabaseError
from stability.listener import CANARY_DEADLINE, DEAF
from stability.schema import migrate
from stability.settings import load
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import hosting
from tests.fixtures.work import begin_work, end_work

FOUND_OUT = DEAF * (CANARY_DEADLINE + 1.0)  # seconds
BOUND = 2.0  # seconds: two reads apart, and the read


def test_a_pooler_that_swallows_listen(
    database: Database, pooled: Callable[[Database], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown until that is found out, then the truth, called polling; with nobody there it knows nothing."""
    monkeypatch.setattr(hub, "ABSENCE", 0.0)
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


def _known(url: str) -> bool:
    return httpx.get(f"{url}/api/system-status").json()["stable"] is not None


def test_what_we_set_stays_ours(database: Database, pooled: Callable[[Database], str]) -> None:
    """Whoever gets a session of the pooler's after us finds it as it was; a migration, which has to set, is refused."""
    through = pooled(database)
    with hosting(create_app(load(), conninfo=through)) as url, Follower(f"{url}/api/system-status/live") as client:
        client.wait_for_stable(True, FOUND_OUT)
        for _ in range(8):
            found = fetch(through, "SELECT current_user, current_setting('statement_timeout'), current_setting('role')")
            assert found == [("postgres", "0", "none")]
    with pytest.raises(DatabaseError, match="a pooler that shares sessions"):
        migrate(through)
