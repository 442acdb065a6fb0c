"""What the badge showed over time: logged by one of several servers, and unknown wherever nobody vouches for it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from stability.database import Database as Pool
from stability.frames import SYSTEM, encode, timestamp
from stability.history import History
from stability.history.api import read
from stability.hub import Hub, Row
from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving
from tests.fixtures.work import begin_work, end_work

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)
LOGGED = "SELECT state, began, until FROM stability.transition ORDER BY began"


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite may have been running for long when a test begins."""
    monkeypatch.setattr(f"{__name__}.NOW", datetime.now(UTC).replace(microsecond=0))


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def note(database: Database, *seen: tuple[str, float, float]) -> None:
    """A server writes down what it saw: states from and until so many minutes ago."""
    said = [[state, timestamp(ago(began)), timestamp(ago(until))] for state, began, until in seen]
    with_json = str(said).replace("'", '"')
    fetch(database.server_dsn, "SELECT stability.note_states(%s::jsonb)", with_json)


def logged(database: Database) -> list[tuple[str, float, float]]:
    return [
        (s, (NOW - b).total_seconds() / 60, (NOW - u).total_seconds() / 60) for s, b, u in fetch(database.dsn, LOGGED)
    ]


def test_what_goes_on_makes_the_row_longer(database: Database) -> None:
    """The same news again writes nothing new; what is added to it extends the row; what follows is another one."""
    note(database, ("stable", 90, 60))
    note(database, ("stable", 90, 60))
    note(database, ("stable", 90, 50), ("processing", 50, 40))
    assert logged(database) == [("stable", 90, 50), ("processing", 50, 40)]


def test_a_successor_adds_what_the_history_lacks(database: Database) -> None:
    """A server that takes over tells all it remembers: what was told is not told twice, what nobody saw is a gap."""
    note(database, ("stable", 90, 60), ("processing", 60, 50))
    note(database, ("stable", 95, 60), ("processing", 60, 45), ("unknown", 45, 44), ("stable", 30, 20))
    assert logged(database) == [("stable", 90, 60), ("processing", 60, 45), ("unknown", 45, 44), ("stable", 30, 20)]


def test_wrong_clocks_make_nothing_up(database: Database) -> None:
    """What would end before it began, or in the future, is cut to what can be."""
    note(database, ("stable", 20, 10), ("unknown", 2, 5), ("stable", 5, -600))
    history = logged(database)
    assert [state for state, *_ in history] == ["stable", "stable"]
    assert all(began >= until >= -1 for _, began, until in history)


async def test_slots_weigh_by_time(database: Database) -> None:
    """Each slot says how much of it was what; gaps are unknown, and what is not over yet is weighed by what was."""
    start = NOW.replace(minute=0, second=0) - timedelta(hours=2)
    for state, began, until in (("stable", 0, 30), ("processing", 30, 45), ("stable", 60, 90)):
        fetch(
            database.dsn,
            "INSERT INTO stability.transition VALUES (%s, %s, %s)",
            start + timedelta(minutes=began),
            state,
            start + timedelta(minutes=until),
        )
    pool = Pool(database.server_dsn)
    try:
        found: Any = await read(pool, 60)
    finally:
        await pool.close()
    slots = {slot.timestamp: (slot.stable, slot.processing, slot.unknown) for slot in found["data"]}
    assert len(slots) == 24
    assert slots[start] == (50, 25, 25)
    assert slots[start + timedelta(hours=1)] == (50, 0, 50)
    assert slots[start - timedelta(hours=1)] == (0, 0, 100)


async def test_a_moment_without_work_is_no_pause(database: Database) -> None:
    """A queue of short tasks is one piece of work in the history, as on the badge."""
    hub, pool = Hub(encode), Pool(database.server_dsn)
    history = History(hub, pool, 0)
    for state, second in (("stable", 0), ("processing", 10), ("stable", 11), ("processing", 11.5), ("stable", 13)):
        row = Row(state, {"stable": state == "stable"})
        hub.publish(SYSTEM[0], {SYSTEM[1]: row}, ago(10) + timedelta(seconds=second))
    await history.note()
    await pool.close()
    found = [(state, (began - ago(10)).total_seconds()) for state, began, _ in fetch(database.dsn, LOGGED)]
    assert found == [("stable", 0), ("processing", 10), ("stable", 13)]


def test_another_server_takes_over(start_server: Callable[..., Serving], database: Database) -> None:
    """Each transition is in the table once; after the server on duty was killed another one goes on with it."""

    def states() -> list[str]:
        return [state for state, *_ in fetch(database.dsn, LOGGED) if state != "unknown"]

    first = start_server()
    eventually(lambda: states() == ["stable"])
    second = start_server()
    begin_work(database)
    eventually(lambda: states() == ["stable", "processing"])
    first.process.kill()
    end_work(database)
    eventually(lambda: states() == ["stable", "processing", "stable"])
    answer = httpx.get(f"{second.url}/api/system-status/history").json()
    assert len(answer["data"]) == 96
    assert answer["data"][0]["unknown"] == 100
    assert answer["data"][-1]["processing"] > 0
    refused = httpx.get(f"{second.url}/api/system-status/history?granularity=7")
    assert (refused.status_code, "5, 15, 30 or 60" in refused.json()["error"]) == (400, True)


async def test_old_rows_go_in_small_batches(database: Database) -> None:
    """What ended longer ago than it is kept is deleted, a few rows at a time."""
    note(database, *(("stable" if n % 2 else "processing", 1005 - 10 * n, 995 - 10 * n) for n in range(50)))
    batches = fetch(
        database.server_dsn, "SELECT stability.prune_transitions('10 hours', 30) FROM generate_series(1, 3)"
    )
    assert batches == [30, 10, 0]
    assert len(logged(database)) == 10
