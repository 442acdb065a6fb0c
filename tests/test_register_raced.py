"""Each rule of the register on the real database: one course of events that is safe as built, and loses a wake-up
without that rule. Random runs hardly ever meet them; here they are played step by step, by the server's own code.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final, TypeAlias

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from stability import database as pool
from stability import register
from stability.monitors import jobs
from stability.monitors.monitor import Look
from stability.register import LINGER, PROLONG, Register, Seen
from stability.settings import load
from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import Database, fetch
from tests.test_sql_register import burn, hints

WORK: Final = "INSERT INTO public.import_job (slug, state) VALUES ('late', 'importing_data')"
ARM: Final = "stability.arm(bigint, interval)"
DISARM: Final = "stability.disarm(bigint[])"
GATE: Final = "public.notify_system_stability_change()"
LOCK: Final = "hashtextextended('stability.armed_until', 0)"
WAITS: Final = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
TICK: Final = LINGER + 0.1  # seconds between two looks, by the clock of these tests
Start: TypeAlias = Callable[..., "Server"]
Ear: TypeAlias = Callable[[], list[str]]

both = pytest.mark.parametrize("rule", [True, False], ids=["as built", "without"])


class WithoutFence(Register):
    """Waits as soon as it sees nothing active."""

    async def prepare(self, connection: AsyncConnection, now: float) -> None:
        await super().prepare(connection, now)
        self._fence = None if self._fence is None else -1


class WithoutComparison(Register):
    """Does not look at the register when it looks at the work."""

    def judge(self, seen: Seen, now: float, rest: float = 0.0) -> float:
        return super().judge(replace(seen, armed=self._value), now, rest)


class WithoutFirst(Register):
    """Relies on whatever value is there, from the start."""

    def __init__(self) -> None:
        super().__init__()
        self._armed = True


class WithoutOthers(Register):
    """Remembers the last hint alone."""

    def heard(self, value: int) -> None:
        self._carried = {value} if value else self._carried


class Server:
    """What a server does, one step at a time, by a clock of our own."""

    def __init__(self, database: pool.Database, register: Register) -> None:
        self._database, self.register, self.now = database, register, 0.0

    async def look(self) -> None:
        """Arm if it is time to, look, judge, disarm if a hint came."""
        self.now += TICK
        async with self._database.reading() as connection:
            await self.register.prepare(connection, self.now)
            reading = await jobs.MONITOR.read(connection, Look(None, "live", load()))
            assert reading.seen is not None
            self.register.judge(reading.seen, self.now)
            await self.register.release(connection)

    async def rest(self, database: Database) -> None:
        """Look until hints are waited for, other transactions ending all the while."""
        for _ in range(4):
            await self.look()
            burn(database)
        assert self.register.waiting


@pytest.fixture
async def start(database: Database) -> AsyncIterator[Start]:
    """Starts servers, with a register that may lack a rule."""
    async with AsyncExitStack() as stack:

        def started(register: type[Register] = Register) -> Server:
            connections = pool.Database(database.server_dsn)
            stack.push_async_callback(connections.close)
            return Server(connections, register())

        yield started


@pytest.fixture
def ear(database: Database) -> Iterator[Ear]:
    """What writers have told since it was asked last."""
    with psycopg.connect(database.server_dsn, autocommit=True) as connection:
        connection.execute("LISTEN system_stability")
        yield lambda: hints(connection)


@asynccontextmanager
async def writing(database: Database, isolation: str = "READ COMMITTED") -> AsyncIterator[psycopg.AsyncConnection]:
    """An application's transaction; the block commits it."""
    async with await psycopg.AsyncConnection.connect(database.writer_dsn) as connection:
        await connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}".encode())
        yield connection


def without(database: Database, function: str, rule: str, instead: str) -> None:
    """Take a rule out of a function of ours."""
    (source,) = fetch(database.dsn, "SELECT pg_get_functiondef(%s::regprocedure)", function)
    assert rule in source
    fetch(database.dsn, source.replace(rule, instead))


def is_lost(server: Server, ear: Ear, database: Database) -> bool:
    """The server waits for a hint of work that nobody will send."""
    assert fetch(database.dsn, "SELECT public.is_system_stable()") == [False]
    return server.register.waiting and not [hint for hint in ear() if hint != '{"look":0}']


@both
async def test_the_fence(rule: bool, start: Start, ear: Ear, database: Database) -> None:
    """Work was written in silence before the arming, and is committed after the look."""
    server = start(Register if rule else WithoutFence)
    async with writing(database) as writer:
        await writer.execute(WORK)
        for _ in range(4):
            await server.look()
    assert is_lost(server, ear, database) is not rule


@both
async def test_the_fence_is_an_id_of_its_own(rule: bool, start: Start, ear: Ear, database: Database) -> None:
    """A snapshot's upper bound in the arming statement is no fence: it is the latest completed id and one, too low."""
    if not rule:
        without(database, ARM, "fence := pg_current_xact_id();", "fence := pg_snapshot_xmax(pg_current_snapshot());")
    server = start()
    async with AsyncExitStack() as late:
        async with writing(database) as older:
            await older.execute("SELECT pg_current_xact_id()")
            await (await late.enter_async_context(writing(database))).execute(WORK)
            await server.look()
            await server.look()
        for _ in range(3):
            await server.look()
    assert is_lost(server, ear, database) is not rule


@both
async def test_closed_by_comparison(rule: bool, start: Start, ear: Ear, database: Database) -> None:
    """One server is slow to close what the other has armed again since."""
    if not rule:
        without(database, DISARM, "IF NOT coalesce(", "IF false AND coalesce(")
    quick, slow = start(), start()
    await quick.rest(database)
    await slow.rest(database)
    (value,) = fetch(database.dsn, "SELECT stability.armed()")
    quick.register.heard(value)
    slow.register.heard(value)
    await quick.look()
    await quick.rest(database)
    await slow.look()
    async with writing(database) as writer:
        await writer.execute(WORK)
    assert is_lost(quick, ear, database) is not rule


@both
async def test_the_first_value_is_ones_own(rule: bool, start: Start, ear: Ear, database: Database) -> None:
    """A server starts while the other is slow to close what a hint carried that was sent before."""
    slow = start()
    await slow.rest(database)
    slow.register.heard(*fetch(database.dsn, "SELECT stability.armed()"))
    late = start(Register if rule else WithoutFirst)
    await late.rest(database)
    await slow.look()
    async with writing(database) as writer:
        await writer.execute(WORK)
    assert is_lost(late, ear, database) is not rule


@both
async def test_every_hint_is_compared(rule: bool, start: Start, ear: Ear, database: Database) -> None:
    """Two hints come in another order than their values; the other server is slow to close the newer one."""
    slow, quick = start(), start(Register if rule else WithoutOthers)
    await slow.rest(database)
    await quick.rest(database)
    (value,) = fetch(database.dsn, "SELECT stability.armed()")
    slow.register.heard(value)
    for carried in (value, value - 1):
        quick.register.heard(carried)
    await quick.look()
    await quick.rest(database)
    await slow.look()
    async with writing(database) as writer:
        await writer.execute(WORK)
    assert is_lost(quick, ear, database) is not rule


@both
async def test_no_lease_is_prolonged_blindly(rule: bool, start: Start, ear: Ear, database: Database) -> None:
    """The lease ran out while the server was stopped: what was written meanwhile was written in silence."""
    if not rule:
        without(database, ARM, "relied_on IS DISTINCT FROM before OR before <= now", "coalesce(relied_on, 0) = 0")
    server = start()
    await server.rest(database)
    _run_out(database)
    async with writing(database) as writer:
        await writer.execute(WORK)
        server.now += PROLONG
        for _ in range(3):
            await server.look()
    assert is_lost(server, ear, database) is not rule


@both
async def test_every_look_compares_the_register(rule: bool, start: Start, ear: Ear, database: Database) -> None:
    """The lease ran out, and a periodic look would be the time to notice."""
    server = start(Register if rule else WithoutComparison)
    await server.rest(database)
    _run_out(database)
    await server.look()
    async with writing(database) as writer:
        await writer.execute(WORK)
    assert is_lost(server, ear, database) is not rule


@both
async def test_the_gate_is_no_row(rule: bool, start: Start, ear: Ear, database: Database) -> None:
    """A writer whose snapshot is older than the arming reads what holds now, and not what held then."""
    if not rule:
        fetch(database.dsn, "CREATE TABLE public.gate AS SELECT 0::bigint AS until")
        fetch(database.dsn, "GRANT SELECT ON public.gate TO PUBLIC")
        without(
            database,
            GATE,
            "pg_catalog.pg_sequence_last_value(register)",
            "(SELECT until FROM public.gate)",
        )
    server = start()
    async with writing(database, "REPEATABLE READ") as writer:
        await writer.execute("SELECT count(*) FROM public.import_job")
        await server.rest(database)
        if not rule:
            fetch(database.dsn, "UPDATE public.gate SET until = stability.armed()")
        await writer.execute(WORK)
    assert is_lost(server, ear, database) is not rule


@both
async def test_the_fence_is_not_older_than_the_opening(rule: bool, start: Start, ear: Ear, database: Database) -> None:
    """Between an id that the arming transaction had before and the opening somebody writes in silence."""
    if not rule:
        without(database, ARM, "armed_until := 0;", "armed_until := 0; PERFORM pg_current_xact_id();")
    server = start()
    await server.look()
    async with writing(database) as writer:
        with psycopg.connect(database.dsn, autocommit=True) as other:
            other.execute(f"SELECT pg_advisory_lock({LOCK})".encode())
            arming = asyncio.create_task(server.look())
            await asyncio.to_thread(eventually, lambda: fetch(database.dsn, WAITS) == [True])
            await writer.execute(WORK)
            other.execute(f"SELECT pg_advisory_unlock({LOCK})".encode())
            await arming
        for _ in range(3):
            await server.look()
    assert is_lost(server, ear, database) is not rule


@both
async def test_the_clock_is_read_after_prolonging(
    rule: bool, start: Start, ear: Ear, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease runs out between the look at it and the moment at which it is longer."""
    monkeypatch.setattr(register, "LEASE", 1.5)
    pause = "PERFORM pg_sleep(1); armed_until := setval("
    without(database, ARM, "armed_until := setval(", pause)  # makes the gap wide enough to meet
    if not rule:
        without(database, ARM, "    now := date_part('epoch', clock_timestamp()) * 1000000;\n    IF", "    IF")
    server = start()
    await server.rest(database)
    server.now += PROLONG
    async with writing(database) as writer:
        arming = asyncio.create_task(server.look())
        await asyncio.to_thread(eventually, lambda: fetch(database.dsn, "SELECT stability.armed() = 0") == [True])
        await writer.execute(WORK)
        await arming
        for _ in range(3):
            await server.look()
    assert is_lost(server, ear, database) is not rule


def test_what_setval_takes_under_its_lock(database: Database) -> None:
    """A logged register gives an id to whoever sets it; on an unlogged one the fence's id is taken by arm()'s end."""
    for kind, has_one in (("", True), ("UNLOGGED", False)):
        with psycopg.connect(database.dsn) as connection:
            connection.execute(f"CREATE {kind} SEQUENCE public.register MINVALUE 0".encode())
            connection.commit()
            connection.execute("SELECT setval('public.register', 1)")
            row = connection.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()
            assert row == (has_one,)
            connection.execute("DROP SEQUENCE public.register")
            connection.commit()


def _run_out(database: Database) -> None:
    """Let the lease end now."""
    fetch(database.dsn, "SELECT setval('stability.armed_until', stability.armed() - 3600 * 1000000::bigint)")
