"""Work that exactly one of several servers does, whatever becomes of the one that does it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
import pytest

from stability.duty import APPLICATION, TAKEN_OVER, Duties, Duty
from tests.fixtures.postgres import Database
from tests.fixtures.wire import Wire

pytestmark = pytest.mark.anyio

BEGUN = 5.0  # seconds, on a busy machine
Server = Callable[..., AbstractAsyncContextManager[asyncio.Task[None]]]


class Shift:
    """Who works, in the order of coming and going."""

    def __init__(self) -> None:
        self.at_work: list[str] = []
        self.history: list[list[str]] = []
        self.changed = asyncio.Condition()

    def duty(self, server: str, name: str = "sweep") -> Duty:
        async def run() -> None:
            await self._note(server, came=True)
            try:
                await asyncio.Event().wait()
            finally:
                await self._note(server, came=False)

        return Duty(name, run)

    async def _note(self, server: str, *, came: bool) -> None:
        async with self.changed:
            self.at_work = [*self.at_work, server] if came else [one for one in self.at_work if one != server]
            self.history.append(self.at_work)
            self.changed.notify_all()

    async def until(self, holds: Callable[[list[str]], bool], within: float = BEGUN) -> None:
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(lambda: holds(self.at_work))


@pytest.fixture
async def shift() -> Shift:
    return Shift()


@pytest.fixture
def server(shift: Shift, database: Database) -> Server:
    """A server that would do the work, until the block ends."""

    @asynccontextmanager
    async def working(name: str, dsn: str = database.server_dsn) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(Duties(dsn, [shift.duty(name)]).run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    return working


async def test_one_of_two_works_and_the_other_takes_over(shift: Shift, server: Server) -> None:
    """Never both, and after an orderly end the other one."""
    async with server("first") as first:
        await shift.until(lambda at_work: at_work == ["first"])
        async with server("second"):
            first.cancel()
            await shift.until(lambda at_work: at_work == ["second"], TAKEN_OVER)


async def test_a_session_that_ends_ends_the_work(shift: Shift, server: Server, database: Database) -> None:
    """Whoever lost the lock stops before anybody else can have begun; somebody works again soon."""
    async with server("first"):
        await shift.until(lambda at_work: at_work == ["first"])
        async with server("second"):
            terminate(database)
            await shift.until(lambda _: len(shift.history) == 3, TAKEN_OVER)
    assert [len(at_work) for at_work in shift.history[:3]] == [1, 0, 1]


@pytest.mark.parametrize("error", [psycopg.OperationalError("away"), ValueError("a mistake")], ids=["away", "mistake"])
async def test_work_that_failed_begins_again(database: Database, shift: Shift, error: Exception) -> None:
    """Whatever failed it, the work beside it goes on."""
    begun: list[int] = []
    third = asyncio.Event()

    async def run() -> None:
        begun.append(1)
        if len(begun) > 2:
            third.set()
            await asyncio.Event().wait()
        raise error

    task = asyncio.create_task(Duties(database.server_dsn, [Duty("fails", run), shift.duty("first")]).run())
    async with asyncio.timeout(BEGUN):
        await third.wait()
    await shift.until(lambda at_work: at_work == ["first"])
    task.cancel()
    await asyncio.wait([task])
    assert shift.history == [["first"], []]


async def test_several_works_are_shared_out_by_name(database: Database, shift: Shift) -> None:
    """Each has a lock of its own; one server may do them all."""
    duties = Duties(database.server_dsn, [shift.duty(name, name) for name in ("a", "b", "c")])
    task = asyncio.create_task(duties.run())
    await shift.until(lambda at_work: sorted(at_work) == ["a", "b", "c"])
    task.cancel()
    await asyncio.wait([task])
    assert not shift.at_work


async def test_a_database_that_moved_is_asked_anew(database: Database, shift: Shift) -> None:
    """What was held at its old address is let go, and taken at the new one."""
    duties = Duties(database.server_dsn, [shift.duty("first")])
    task = asyncio.create_task(duties.run())
    await shift.until(lambda at_work: at_work == ["first"])
    duties.renew()
    await shift.until(lambda _: shift.history == [["first"], [], ["first"]])
    task.cancel()
    await asyncio.wait([task])


async def test_without_work_nobody_connects(database: Database) -> None:
    """A server with nothing to do holds no session for it."""
    await Duties(database.server_dsn, []).run()
    with psycopg.connect(database.dsn) as owner:
        assert not sessions(owner)


async def test_a_holder_that_stands_still_is_replaced(shift: Shift, server: Server, database: Database) -> None:
    """Its process is stopped, its kernel goes on answering: Postgres ends a session that says nothing any more."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WORKER, database.server_dsn, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdout
    try:
        async with asyncio.timeout(BEGUN):
            while await program.stdout.readline() != b"at work\n":
                pass
        program.send_signal(signal.SIGSTOP)
        async with server("second"):
            await shift.until(lambda at_work: at_work == ["second"], TAKEN_OVER)
    finally:
        program.kill()
        await program.wait()


async def test_a_holder_that_hears_nothing_stops(shift: Shift, server: Server, database: Database, wire: Wire) -> None:
    """Its line to Postgres is half open: it ends its work, and the other one begins."""
    async with server("first", wire.dsn(database.server_dsn)):
        await shift.until(lambda at_work: at_work == ["first"])
        async with server("second"):
            with wire.silent():
                await shift.until(lambda at_work: at_work == ["second"], TAKEN_OVER)


async def test_behind_a_pooler_one_works_as_well(
    shift: Shift, server: Server, database: Database, pooled: Callable[[Database], str]
) -> None:
    """A pooler that shares sessions would give our lock away; it is a transaction's there."""
    async with server("first", pooled(database)) as first:
        await shift.until(lambda at_work: at_work == ["first"])
        async with server("second", pooled(database)):
            first.cancel()
            await shift.until(lambda at_work: at_work == ["second"], TAKEN_OVER)


_WORKER = """
import asyncio, sys
from stability.duty import Duties, Duty

async def run():
    print("at work", flush=True)
    await asyncio.Event().wait()

asyncio.run(Duties(sys.argv[1], [Duty("sweep", run)]).run())
"""


def terminate(database: Database) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = %s",
            (APPLICATION,),
        )


def sessions(owner: psycopg.Connection[Any]) -> list[Any]:
    return owner.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = %s", (APPLICATION,)).fetchall()
