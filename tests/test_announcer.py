"""Programs that LISTEN directly hear each transition once, however many servers there are."""

import json
from collections.abc import Callable, Iterator

import psycopg

from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving
from tests.fixtures.work import begin_work, end_work


def test_one_of_two_servers_announces(start_server: Callable[..., Serving], database: Database) -> None:
    """Two servers see four transitions; a listener hears four, in their order."""
    first, second = start_server(), start_server()
    with (
        psycopg.connect(database.writer_dsn, autocommit=True) as listener,
        Follower(f"{first.url}/api/system-status/live") as one,
        Follower(f"{second.url}/api/system-status/live") as other,
    ):
        listener.execute("LISTEN system_stability")
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
        begin_work(database)
        assert next(_announced(listener)) is False
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stability announcer'"
        assert fetch(database.dsn, f"{kill} AND datname = current_database()") == [True]
        end_work(database)
        client.wait_for_stable(True)
        assert next(_announced(listener)) is True


def _announced(listener: psycopg.Connection[tuple[object, ...]]) -> Iterator[bool]:
    for notification in listener.notifies(timeout=10):
        said = json.loads(notification.payload)
        if said.keys() == {"stable"}:
            yield said["stable"]
