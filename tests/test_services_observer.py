"""The observer of Consul, against a real one: what changes there is in the tables at once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stability.database import Database as Pool
from stability.services.observer import Observer
from stability.settings import load
from tests.fixtures import consul_stand_in
from tests.fixtures.consul import Agent, agent
from tests.fixtures.eventually import in_time
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import hosting

SOON = 1.0  # seconds, the contract's


@pytest.fixture(scope="module")
def shared() -> Iterator[Agent]:
    """The Consul of this module."""
    with agent() as consul:
        yield consul


@pytest.fixture
def consul(shared: Agent) -> Agent:
    """The same, with nothing registered."""
    shared.clear()
    return shared


@asynccontextmanager
async def observing(database: Database, url: str, **more: Any) -> AsyncIterator[None]:
    """An observer at work, as the server's role; it must not have ended before."""
    pool = Pool(database.server_dsn)
    settings = load(consul_http_addr=url, **more)
    running = asyncio.create_task(Observer(pool, settings).run())
    try:
        yield
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await pool.close()


def statuses(database: Database) -> dict[str, str]:
    """Of every service but Consul itself."""
    return dict(fetch(database.dsn, "SELECT key, status FROM services WHERE name <> 'consul'"))


def available(database: Database) -> bool:
    """Whether Consul answers, as the table says."""
    return fetch(database.dsn, "SELECT available FROM stability.consul") == [True]


async def test_what_there_is_and_what_changes(database: Database, consul: Agent) -> None:
    """Services are there at the start; the worst check counts; each change is stored within a second."""
    consul.register("web", "web-1", "web-2", Port=80, Tags=["a"], Meta={"url": "https://web.example/"})
    consul.register("bare")
    async with observing(database, consul.url):
        await in_time(lambda: statuses(database) == {"n1:web": "passing", "n1:bare": "unknown"})
        columns = "name, address, port, tags, meta"
        row = fetch(database.dsn, f"SELECT {columns} FROM services WHERE id = 'web'")
        assert row == [("web", "127.0.0.1", 80, ["a"], {"url": "https://web.example/"})]
        for check, status, worst in (
            ("web-1", "warning", "warning"),
            ("web-2", "critical", "critical"),
            ("web-2", "passing", "warning"),
            ("web-1", "passing", "passing"),
        ):
            consul.say(check, status)
            await in_time(lambda worst=worst: statuses(database)["n1:web"] == worst, SOON)  # type: ignore[misc]
        consul.register("web", "web-1", "web-2", Port=8080)
        await in_time(lambda: fetch(database.dsn, "SELECT port FROM services WHERE id = 'web'") == [8080], SOON)
    changes = fetch(
        database.dsn, "SELECT check_name, status FROM health_checks WHERE check_name LIKE 'web%' ORDER BY id"
    )
    assert changes[-4:] == [("web-1", "warning"), ("web-2", "critical"), ("web-2", "passing"), ("web-1", "passing")]


async def test_what_vanishes_is_gone_and_not_green(database: Database, consul: Agent) -> None:
    """While it is observed, and while nobody looked; what comes back is as it is then."""
    consul.register("web", "web-1")
    consul.register("api", "api-1")
    async with observing(database, consul.url):
        await in_time(lambda: len(statuses(database)) == 2)
        consul.deregister("web")
        await in_time(lambda: statuses(database)["n1:web"] == "gone", SOON)
    consul.deregister("api")
    async with observing(database, consul.url):
        await in_time(lambda: statuses(database)["n1:api"] == "gone")
        consul.register("api", "api-1", status="critical")
        await in_time(lambda: statuses(database)["n1:api"] == "critical", SOON)
    assert fetch(database.dsn, "SELECT count(*) FROM stability.outbox") == [0]  # it begins so until it is asked first


async def test_one_id_on_two_nodes_is_two_services(database: Database, consul: Agent) -> None:
    """An id is unique on its node only; a node that fails fails its services, one that is well proves nothing."""
    node = {"Node": "n2", "Address": "192.0.2.7"}
    consul.register("web", "web-1")
    consul.put(
        "catalog/register",
        **node,
        Service={"ID": "web", "Service": "web", "Port": 80},
        Checks=[{"Node": "n2", "CheckID": "alive", "Name": "alive", "Status": "passing"}],
    )
    async with observing(database, consul.url):
        await in_time(lambda: statuses(database) == {"n1:web": "passing", "n2:web": "unknown"})
        consul.put(
            "catalog/register", **node, Check={"Node": "n2", "CheckID": "alive", "Name": "alive", "Status": "critical"}
        )
        await in_time(lambda: statuses(database)["n2:web"] == "critical", SOON)
        assert statuses(database)["n1:web"] == "passing"
        consul.put("catalog/deregister", Node="n2")
        await in_time(lambda: statuses(database)["n2:web"] == "gone", SOON)


async def test_maintenance_is_critical(database: Database, consul: Agent) -> None:
    """As Consul itself has it."""
    consul.register("web", "web-1")
    async with observing(database, consul.url):
        await in_time(lambda: statuses(database) == {"n1:web": "passing"})
        consul.put("agent/service/maintenance/web?enable=true&reason=now")
        await in_time(lambda: statuses(database)["n1:web"] == "critical", SOON)
        consul.put("agent/service/maintenance/web?enable=false")
        await in_time(lambda: statuses(database)["n1:web"] == "passing", SOON)


async def test_what_somebody_else_empties_is_filled_again(database: Database, consul: Agent) -> None:
    """By the next sample, although nothing changed in Consul."""
    consul.register("web", "web-1")
    consul.register("api", "api-1")
    async with observing(database, consul.url, service_sample_seconds=0.5):
        for statement in ("TRUNCATE services, health_checks", "DELETE FROM services WHERE id = 'web'"):
            await in_time(lambda: statuses(database) == {"n1:web": "passing", "n1:api": "passing"})
            await asyncio.to_thread(fetch, database.dsn, statement)  # the observer may hold its locks
        await in_time(lambda: statuses(database) == {"n1:web": "passing", "n1:api": "passing"})


async def test_samples(database: Database, consul: Agent) -> None:
    """A row per check, again and again, and the time that the service was so."""
    consul.register("web", "web-1", "web-2")
    async with observing(database, consul.url, service_sample_seconds=0.5):
        count = "SELECT count(*) FROM health_checks h JOIN services s ON s.number = h.service WHERE s.id = 'web'"
        await in_time(lambda: fetch(database.dsn, count)[0] >= 8)
    slots = "SELECT sum(passing), sum(critical + warning + unknown), sum(samples) FROM stability.service_slots p"
    ((passing, rest, samples),) = fetch(
        database.dsn, f"{slots} JOIN services s ON s.number = p.service WHERE id = 'web'"
    )
    assert passing >= 200
    assert rest == 0
    assert samples >= 3


async def test_alerts(database: Database, consul: Agent) -> None:
    """One when it becomes critical, one when it recovers, each with the fact."""
    consul.register("web", "web-1", "web-2")
    async with observing(database, consul.url):
        await in_time(lambda: statuses(database) == {"n1:web": "passing"})
        consul.say("web-1", "critical")
        await in_time(lambda: statuses(database)["n1:web"] == "critical")
        consul.say("web-2", "critical")
        consul.say("web-1", "passing")
        consul.say("web-2", "passing")
        await in_time(lambda: statuses(database)["n1:web"] == "passing")
    told = fetch(database.dsn, "SELECT kind, subject, fact FROM stability.outbox ORDER BY id")
    assert told == [
        ("service_critical", "n1:web", "Service web on n1 is critical: web-1"),
        ("service_recovered", "n1:web", "Service web on n1 is passing again"),
    ]


async def test_consul_goes_and_comes_back(database: Database) -> None:
    """What is known stays, `available` is false, and all is read anew once it is back, without a restart."""
    with agent() as consul:
        consul.register("web", "web-1")
        consul.register("old", "old-1")
        async with observing(database, consul.url):
            await in_time(lambda: len(statuses(database)) == 2)
            consul.stop()
            await in_time(lambda: not available(database))
            assert statuses(database) == {"n1:web": "passing", "n1:old": "passing"}
            consul.start()  # it knows nothing any more, and counts from the beginning
            consul.register("web", "web-1", status="warning")
            await in_time(lambda: statuses(database) == {"n1:web": "warning", "n1:old": "gone"})
            assert available(database)


class Slow:
    """A Consul that gives its next answer about a node, which it has made by then, only when it may."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.keep, self.kept, self.give = threading.Event(), threading.Event(), threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the other does, this one late."""

        async def late(message: Message) -> None:
            if not self.kept.is_set():
                self.kept.set()
                await asyncio.to_thread(self.give.wait, 20)
            await send(message)

        if self.keep.is_set() and scope.get("path", "").startswith("/v1/catalog/node/"):
            self.keep.clear()
            await self._app(scope, receive, late)
        else:
            await self._app(scope, receive, send)


async def test_what_is_gone_stays_gone_however_slow_a_look_is(database: Database) -> None:
    """A look that read a node before its service went writes nothing after one that found it gone."""
    fetch(
        database.dsn,
        "CREATE TABLE history (n serial, status text);"
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " INSERT INTO public.history (status) VALUES (new.status); RETURN NULL; END $$;"
        "CREATE TRIGGER keep AFTER INSERT OR UPDATE OF status ON services FOR EACH ROW WHEN (new.id = 'web')"
        " EXECUTE FUNCTION keep()",
    )
    samples = "SELECT sum(samples) FROM stability.service_slots"
    slow, consul = Slow(consul_stand_in.app()), Agent()
    with hosting(slow, port=consul.port):
        consul.register("web", "web-1")
        consul.register("api", "api-1")
        async with observing(database, consul.url, service_sample_seconds=1):
            await in_time(lambda: statuses(database) == {"n1:web": "passing", "n1:api": "passing"})
            slow.keep.set()  # nothing is registered, so it is a sample's look that is kept
            await in_time(slow.kept.is_set)
            consul.deregister("web")
            for status in ("warning", "critical", "passing"):  # and the look at what was registered has all this time
                consul.say("api-1", status)
                await in_time(lambda status=status: statuses(database)["n1:api"] == status)  # type: ignore[misc]
            (before,) = fetch(database.dsn, samples)
            slow.give.set()
            await in_time(lambda: fetch(database.dsn, samples) > [before] and statuses(database)["n1:web"] == "gone")
    told = fetch(database.dsn, "SELECT status FROM history ORDER BY n")
    assert set(told[told.index("gone") :]) == {"gone"}
