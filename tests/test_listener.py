"""Proof of life: a listener that hears nothing is found out, the state is unknown meanwhile, and then the truth."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import psycopg
import pytest

from stability import listener
from stability.app import create_app
from stability.database import connect
from stability.hints import CANARY_CHANNEL
from stability.monitors import jobs
from stability.settings import load
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import PATIENCE, Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import hosting
from tests.fixtures.wire import Wire
from tests.fixtures.work import begin_work, end_work

CANARY = 0.2  # seconds
DEADLINE = 1.5  # seconds that a canary may take: its own five would only be waited for
QUERIES = (
    b"SELECT sum(calls) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
    b" JOIN pg_roles r ON r.oid = s.userid WHERE datname = current_database() AND rolname = 'stability_server'"
)
UNHEARD = {"serving": True, "listening": False, "state_known": False}  # the checks of /readyz
END_LISTENER = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'stability listener'"
)
BOUND = CANARY + DEADLINE + 1.0


@pytest.fixture
def url(database: Database, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that reaches Postgres over the wire, and looks at nothing unless a hint comes."""
    monkeypatch.setattr(listener, "CANARY_DEADLINE", DEADLINE)
    settings = load(reread_seconds=0, canary_seconds=CANARY)
    with hosting(create_app(settings, conninfo=wire.dsn(database.server_dsn))) as address:
        yield address


@pytest.fixture
def client(database: Database, url: str) -> Iterator[Follower]:
    """A client of it, once all is proven."""
    with Follower(f"{url}/api/system-status/live") as follower:
        follower.wait_for_stable(True)
        await_armed(database)
        yield follower


def await_armed(database: Database) -> None:
    """Return once the server has come to rest and waits for hints."""
    deadline = time.monotonic() + PATIENCE
    while fetch(database.dsn, "SELECT stability.armed() = 0") == [True]:
        assert time.monotonic() < deadline, "the register is not armed"
        time.sleep(0.01)


def test_a_deaf_listener(client: Follower, database: Database, wire: Wire, url: str) -> None:
    """Queries are answered and notifications are not: unknown and not ready, and the truth once they are again."""
    with wire.silent(to=b"LISTEN"):
        begin_work(database)
        client.wait_for_stable(None, BOUND)
        unready = httpx.get(f"{url}/readyz")
        assert (unready.status_code, unready.json()["checks"]) == (503, UNHEARD)
    client.wait_for_stable(False, BOUND)
    assert httpx.get(f"{url}/readyz").status_code == 200
    assert client.messages[-3:] == [True, None, False]


def test_a_half_open_line(client: Follower, database: Database, wire: Wire) -> None:
    """Nothing comes back at all and nothing is reset: unknown within the bound, and the truth once it does again."""
    with wire.silent():
        begin_work(database)
        client.wait_for_stable(None, BOUND)
    client.wait_for_stable(False)
    assert client.messages[-3:] == [True, None, False]


def test_a_line_that_breaks(client: Follower, database: Database, wire: Wire) -> None:
    """Every connection is reset while work ends: whatever is told meanwhile, it is never that it goes on."""
    begin_work(database)
    client.wait_for_stable(False)
    for _ in range(5):
        before = len(client.messages)
        with wire.silent():
            end_work(database)
            wire.cut()
        client.wait_for_stable(True)
        assert client.messages[before:] in ([True], [None, True])
        begin_work(database)
        client.wait_for_stable(False)


def test_a_listener_is_replaced_not_mended(client: Follower, database: Database, wire: Wire) -> None:
    """After a loss there is a new connection, and the old one is gone from Postgres."""
    query = (
        b"SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        b" AND application_name = 'stability listener'"
    )
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        before = owner.execute(query).fetchall()
        wire.cut()
        client.wait_for_stable(None)
        client.wait_for_stable(True)
        after = owner.execute(query).fetchall()
    assert len(before) == len(after) == 1
    assert before != after


def test_a_probe_that_is_refused(client: Follower, database: Database) -> None:
    """Where nobody may notify nothing is proven; the server stays, and tells the truth once it may again."""
    fetch(database.dsn, "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify FROM PUBLIC")
    client.wait_for_stable(None, BOUND)
    fetch(database.dsn, "GRANT EXECUTE ON FUNCTION pg_catalog.pg_notify TO PUBLIC")
    client.wait_for_stable(True)


def test_idle_it_asks_for_nothing(database: Database) -> None:
    """Without hints, re-reads and canaries there is not one query."""
    settings = load(reread_seconds=0, canary_seconds=0)
    with (
        hosting(create_app(settings, conninfo=database.server_dsn, monitors=[jobs.MONITOR])) as url,
        Follower(f"{url}/api/system-status/live") as follower,
        psycopg.connect(database.dsn, autocommit=True) as owner,
    ):
        follower.wait_for_stable(True)
        await_armed(database)
        owner.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        # the badge's history begins, and says nothing more for half a minute
        eventually(lambda: owner.execute("SELECT FROM stability.transition").rowcount)
        before = owner.execute(QUERIES).fetchone()
        known = httpx.get(f"{url}/api/system-status").json()
        httpx.get(f"{url}/api/system-status", params={"since": known["version"], "wait": 2}, timeout=5)
        assert before != (None,)
        assert owner.execute(QUERIES).fetchone() == before


def test_a_lost_line_disturbs_no_other(database: Database) -> None:
    """libpq closes the socket of a line that ended; whoever gets its number then, and at once, is let be."""
    live = asyncio.Event()

    async def notify(canary: str) -> None:
        async with await connect(database.dsn, "probe") as connection:
            await connection.execute("SELECT pg_notify(%s, %s)", (CANARY_CHANNEL, canary))

    async def others() -> None:
        loop = asyncio.get_running_loop()
        while True:
            with ExitStack() as stack:
                sockets = [stack.enter_context(socket.socket()) for _ in range(30)]
                for each in sockets:
                    loop.add_reader(each, print)
                await asyncio.sleep(0)
                assert all([loop.remove_reader(each) for each in sockets])  # noqa: C419 -- each of them

    async def lose() -> None:
        listening = listener.Listener(
            database.dsn, ["crowd"], heard=print, probe=notify, live=live.set, lost=print, deaf=print, canary_seconds=0
        )
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            tasks = [group.create_task(listening.run()), group.create_task(others())]
            await live.wait()
            live.clear()
            await asyncio.to_thread(fetch, database.dsn, END_LISTENER)
            await live.wait()
            for task in tasks:
                task.cancel()

    asyncio.run(lose())
