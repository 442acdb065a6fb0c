"""Programs that LISTEN directly hear each transition once, however many servers there are."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import psycopg
import pytest

from stability.announcer import Announcer
from stability.duty import CLASS
from stability.frames import SYSTEM, encode
from stability.hub import Hub, Row
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving
from tests.fixtures.work import begin_work, end_work

ON_DUTY: Final = f"""
    SELECT a.pid FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'advisory' AND l.classid = {CLASS} AND a.datname = current_database()
      AND l.objid = (hashtext('announcements')::bigint & 4294967295)::oid
"""


def test_one_of_two_servers_announces(start_server: Callable[..., Serving], database: Database) -> None:
    """Two servers see four transitions; a listener hears four, in their order."""
    first, second = start_server(), start_server()
    with (
        psycopg.connect(database.writer_dsn, autocommit=True) as listener,
        Follower(f"{first.url}/api/system-status/live") as one,
        Follower(f"{second.url}/api/system-status/live") as other,
    ):
        listener.execute("LISTEN system_stability")
        eventually(lambda: fetch(database.dsn, ON_DUTY) != [])
        for act, stable in ((begin_work, False), (end_work, True)) * 2:
            act(database)
            one.wait_for_stable(stable)
            other.wait_for_stable(stable)
        heard: list[object] = []
        for notification in listener.notifies(timeout=5):
            said = json.loads(notification.payload)
            heard += [said["stable"]] if said.keys() == {"stable"} else []
            if len(heard) == 4:
                break
        heard += [json.loads(late.payload) for late in listener.notifies(timeout=0.5)]
    assert heard == [False, True, False, True]


def test_an_announcement_survives_its_connection(start_server: Callable[..., Serving], database: Database) -> None:
    """The announcer's connection is ended while nothing is to be said; what comes next is said all the same."""
    server = start_server()
    with (
        psycopg.connect(database.writer_dsn, autocommit=True) as listener,
        Follower(f"{server.url}/api/system-status/live") as client,
    ):
        listener.execute("LISTEN system_stability")
        eventually(lambda: fetch(database.dsn, ON_DUTY) != [])
        begin_work(database)
        assert next(_announced(listener)) is False
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stability announcer'"
        assert fetch(database.dsn, f"{kill} AND datname = current_database()") == [True]
        end_work(database)
        client.wait_for_stable(True)
        assert next(_announced(listener)) is True


async def test_whoever_takes_over_says_how_it_is(database: Database) -> None:
    """Once, where it has changed lately: whoever had that duty may have ended before it said so."""
    hub = Hub(encode)
    announcer = Announcer(hub, database.server_dsn)

    def publish(stable: bool) -> None:
        hub.publish(SYSTEM[0], {SYSTEM[1]: Row("any", {"stable": stable, "sources": {}})}, datetime.now(UTC))

    async with await psycopg.AsyncConnection.connect(database.writer_dsn, autocommit=True) as listener:
        await listener.execute("LISTEN system_stability")
        for stable in (True, False, True):
            publish(stable)
        task = asyncio.create_task(announcer.run())
        heard = [json.loads(each.payload) async for each in listener.notifies(timeout=10, stop_after=1)]
        publish(False)
        heard += [json.loads(each.payload) async for each in listener.notifies(timeout=10, stop_after=1)]
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert heard == [{"stable": True}, {"stable": False}]


@pytest.mark.chaos
def test_a_frozen_announcer_is_replaced(start_server: Callable[..., Serving], database: Database) -> None:
    """Its host holds it, and the session that has the lock says nothing: the other server announces."""
    servers = [start_server()]
    eventually(lambda: fetch(database.dsn, ON_DUTY) != [])
    servers.append(start_server())
    with (
        psycopg.connect(database.writer_dsn, autocommit=True) as listener,
        Follower(f"{servers[1].url}/api/system-status/live") as client,
    ):
        listener.execute("LISTEN system_stability")
        begin_work(database)
        client.wait_for_stable(False)
        assert next(_announced(listener)) is False
        servers[0].process.send_signal(signal.SIGSTOP)
        try:
            end_work(database)
            client.wait_for_stable(True)
            assert next(_announced(listener, 20)) is True
        finally:
            servers[0].process.send_signal(signal.SIGCONT)


def _announced(listener: psycopg.Connection[tuple[object, ...]], seconds: float = 10) -> Iterator[bool]:
    for notification in listener.notifies(timeout=seconds):
        said = json.loads(notification.payload)
        if said.keys() == {"stable"}:
            yield said["stable"]
