"""An error that nobody foresaw, wherever it is met: everything else goes on, and it is told of."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs
from structlog.typing import EventDict

from stability import contained, refresher
from stability.app import Stability, create_app
from stability.contained import Contained
from stability.duty import Duty
from stability.frames import LISTENER, SYSTEM
from stability.hub import Row
from stability.monitors import MONITORS
from stability.monitors.monitor import Look, Reading
from stability.settings import load
from tests.fixtures import things
from tests.fixtures.eventually import eventually, in_time
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import hosting
from tests.fixtures.work import begin_work, end_work

TOLD = "an error of ours, please report it"


@dataclass
class Mistaken:
    """A monitor like any other, with mistakes that are made for as long as somebody wants them."""

    reading = unproven = sweeping = False
    sweeps = 0

    async def read(self, connection: AsyncConnection, look: Look) -> Reading:
        if self.reading:
            raise ZeroDivisionError("a mistake in a read")
        return await things.MONITOR.read(connection, look)

    def doubt(self, _listener: str) -> Mapping[str, Row]:
        if self.unproven:
            raise LookupError("a mistake in a doubt")
        return {}

    async def sweep(self) -> None:
        self.sweeps += 1
        if self.sweeping:
            raise TypeError("a mistake in a duty")
        await asyncio.Event().wait()


@pytest.fixture
def mistaken() -> Mistaken:
    return Mistaken()


@pytest.fixture
def url(database: Database, mistaken: Mistaken, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with every monitor that ships and the mistaken one, whose deadline need not be waited for that long."""
    monkeypatch.setattr(refresher, "PROOF_DEADLINE", 2.0)
    fetch(database.dsn, things.SCHEMA)
    monitor = replace(
        things.MONITOR,
        read=mistaken.read,
        unproven=mistaken.doubt,
        duties=lambda _around: [Duty("things: sweep", mistaken.sweep)],
    )
    with hosting(create_app(load(), conninfo=database.server_dsn, monitors=(*MONITORS, monitor))) as address:
        eventually(lambda: httpx.get(f"{address}/readyz").status_code == httpx.codes.OK)
        yield address


def errors(url: str, part: str) -> float:
    """How many the server has counted; they are the process's, of whichever test."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    found = (sample for family in families for sample in family.samples)
    return sum(s.value for s in found if s.name == "stability_unforeseen_errors_total" and s.labels["part"] == part)


def status_of(url: str, monitor: str) -> str:
    components = httpx.get(f"{url}/api/v2/summary.json").json()["components"]
    return next(str(each["status"]) for each in components if each["id"] == monitor)


def told(logs: list[EventDict], part: str) -> list[BaseException]:
    """Of which errors of a part the log has the traceback."""
    return [line["exc_info"] for line in logs if line["event"] == TOLD and line["part"] == part]


def test_a_read_that_raises_keeps_no_other_topic(url: str, database: Database, mistaken: Mistaken) -> None:
    """Its rows are told to be unknown, all others go on; once it reads again it tells what it missed."""
    before = errors(url, "reading things")
    with Follower(f"{url}/api/live?topics=stability,things") as client, capture_logs() as logs:
        client.wait_for(lambda client: bool(client.named("ready")))
        eventually(lambda: status_of(url, "things") == "operational")
        mistaken.reading = mistaken.unproven = True
        fetch(database.dsn, "INSERT INTO public.things (id, state) VALUES ('a', 'running')")
        eventually(lambda: status_of(url, "things") == "degraded_performance")
        client.wait_for(lambda client: "things" in client.named("connection")[-1].data.get("unread", {}))
        assert client.named("connection")[-1].data["listener"] == "live"
        begin_work(database)
        client.wait_for(lambda client: client.named("status")[-1].data["state"] == "processing")
        end_work(database)
        client.wait_for(lambda client: client.named("status")[-1].data["state"] == "stable")
        eventually(lambda: errors(url, "reading things") >= before + 3)
        assert [type(error) for error in told(logs, "reading things")] == [ZeroDivisionError]
        assert status_of(url, "things") == "degraded_performance"
        assert status_of(url, "jobs") == "operational"
        assert not [event for event in client.named("change") if event.data["topic"] == "things"]
        mistaken.reading = mistaken.unproven = False
        client.wait_for(lambda client: any(event.data["key"] == "a" for event in client.named("change")))
        eventually(lambda: status_of(url, "things") == "operational")
        client.wait_for(lambda client: "unread" not in client.named("connection")[-1].data)


def test_a_duty_that_raises_is_begun_again(url: str, database: Database, mistaken: Mistaken) -> None:
    """The duties beside it are not ended, nor is the server."""
    before = errors(url, "things: sweep")
    eventually(lambda: mistaken.sweeps == 1)
    mistaken.sweeping = True
    fetch(
        database.dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stability duties'"
        " AND datname = current_database()",
    )
    eventually(lambda: errors(url, "things: sweep") >= before + 2)
    mistaken.sweeping = False
    tries = mistaken.sweeps
    eventually(lambda: mistaken.sweeps > tries)
    fetch(database.dsn, "INSERT INTO public.deployments (name) VALUES ('web')")
    eventually(lambda: fetch(database.dsn, "SELECT status::text FROM public.deployments") == ["failed"])


@pytest.mark.anyio
async def test_a_listener_that_raises_is_lost_and_returns(database: Database) -> None:
    """Until it does nothing is known, as after any other loss."""
    parts = Stability(load(), database.server_dsn, MONITORS)
    listen, stumble = parts.listener.run, asyncio.Event()

    async def run() -> None:
        listening = asyncio.create_task(listen())
        await stumble.wait()
        stumble.clear()
        listening.cancel()
        await asyncio.wait([listening])
        raise ArithmeticError("a mistake in the listener")

    def state(row: tuple[str, str]) -> str | None:
        change = parts.hub.latest(*row)
        return change.row.state if change and change.row else None

    parts.listener.run = run  # type: ignore[method-assign]  # the real one, and then a mistake
    states: list[tuple[str | None, str | None]] = []
    async with parts.running():
        await in_time(lambda: state(SYSTEM) == "stable")
        with parts.hub.subscribe(lambda: states.append((state(LISTENER), state(SYSTEM)))):
            stumble.set()
            await in_time(lambda: ("lost", "unknown") in states)
            await in_time(lambda: (state(LISTENER), state(SYSTEM)) == ("live", "stable"))


@pytest.mark.anyio
async def test_what_fails_on_and_on_is_logged_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with its traceback, then after a minute, after two more, and so on; every time is counted."""
    now = 1000.0
    monkeypatch.setattr(contained, "monotonic", lambda: now)
    part = Contained("a part")

    def fail() -> None:
        with part:
            raise ValueError("a mistake")

    with capture_logs() as logs:
        for second in range(601):
            now = 1000.0 + second
            fail()
        assert len(told(logs, "a part")) == 1 + 3  # 0, 60, 180, 420 s
        now += contained.WELL + 1
        fail()
        assert len(told(logs, "a part")) == 1 + 3 + 1


@pytest.mark.anyio
async def test_what_a_database_does_is_no_error_of_ours() -> None:
    """It is logged in one line, and not counted as one; among several at once ours is the one that is told."""
    part = Contained("a part", 0.01)
    with capture_logs() as logs, part:
        raise ExceptionGroup("", [psycopg.OperationalError("away"), ConnectionResetError("gone")])
    assert [(line["event"], line["reason"]) for line in logs] == [("failed, and begins again", "away")]
    with capture_logs() as logs, Contained("another part"):
        raise ExceptionGroup("", [psycopg.OperationalError("away"), ValueError("a mistake")])
    assert len(told(logs, "another part")) == 1


@pytest.mark.anyio
async def test_it_is_done_again_until_it_returns() -> None:
    """Whatever it raised before."""
    left: list[Exception] = [ValueError("a mistake"), psycopg.OperationalError("away")]

    async def act() -> None:
        if left:
            raise left.pop()

    await Contained("a part", 0.01).run(act)
    assert not left


@pytest.mark.anyio
async def test_an_error_amid_a_cancellation_ends_it_as_well() -> None:
    """A group of tasks tells of the error of one of them, and not that it was to end."""
    begun = asyncio.Event()

    async def clean_up_badly() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            raise ValueError("a mistake in the end")

    async def act() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(clean_up_badly())

    task = asyncio.create_task(Contained("a part").run(act))
    await begun.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 5)
    assert task.cancelled()


@pytest.mark.anyio
async def test_a_group_that_failed_begins_again() -> None:
    """However often one of its tasks failed, and then it is ended as if none had."""
    tries, well = count(), asyncio.Event()

    async def fail() -> None:
        raise ValueError("a mistake")

    async def act() -> None:
        async with asyncio.TaskGroup() as group:
            if next(tries) < 3:
                group.create_task(fail())
            else:
                well.set()
            await asyncio.sleep(0)
            group.create_task(asyncio.Event().wait())

    task = asyncio.create_task(Contained("a part", 0.01).run(act))
    await asyncio.wait_for(well.wait(), 5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 5)
    assert task.cancelled()


def test_what_is_no_mistake_goes_on_its_way() -> None:
    """Cancellation and Ctrl-C end what they are to end, and so does what the part leaves to somebody else."""

    def met(error: BaseException) -> Callable[[], None]:
        def act() -> None:
            with Contained("a part", but=(OSError,)):
                raise error

        return act

    for error in (asyncio.CancelledError(), KeyboardInterrupt(), FileNotFoundError("gone")):
        with pytest.raises(type(error)):
            met(error)()
