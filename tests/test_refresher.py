"""Reading the truth: what is not answered in time is unknown, a failure heals by itself, a storm costs little."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from stability import database as pool
from stability import refresher
from stability.app import create_app
from stability.frames import encode
from stability.hub import Hub
from stability.monitors import jobs
from stability.monitors.monitor import Look, Reading
from stability.refresher import READ_SHARE, SAMPLES, Refresher
from stability.schema import revision
from stability.settings import load
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving, hosting
from tests.fixtures.work import begin_work

LIVE = "/api/system-status/live"
PATIENCE = 15.0  # seconds, on a busy machine
DEADLINE = 2.0  # seconds, more than what one read may wait for a lock
BOUND = DEADLINE + 1.0
READING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'test_server'"
    " AND query LIKE '%read_activity%' AND state = 'active'"
)


@pytest.fixture
def hurried(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server with a deadline and re-reads that need not be waited for that long."""
    monkeypatch.setattr(refresher, "PROOF_DEADLINE", DEADLINE)
    with hosting(create_app(load(reread_seconds=0.5), conninfo=database.server_dsn)) as url:
        yield url


def test_a_read_that_hangs(hurried: str, database: Database) -> None:
    """Unknown after the deadline, one read at a time however many hints come, and the truth when the lock is gone."""
    with (
        Follower(hurried + LIVE) as client,
        psycopg.connect(database.dsn) as owner,
        psycopg.connect(database.writer_dsn, autocommit=True) as writer,
    ):
        client.wait_for_stable(True)
        owner.execute("LOCK TABLE public.import_job IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        writer.execute("INSERT INTO worker.command_registry VALUES ('derive', 'analytics')")
        reading = []
        while client.stable is True:
            assert time.monotonic() - began < BOUND, "what hangs counts as proof"
            writer.execute("INSERT INTO worker.tasks (command, state) VALUES ('derive', 'completed')")
            reading += fetch(database.dsn, READING)
            time.sleep(0.05)
        assert client.stable is None
        assert max(reading) == 1
        owner.execute("INSERT INTO public.import_job (slug, state) VALUES ('a', 'approved')")
        owner.commit()
        client.wait_for_stable(False)
    # the read that waited for the lock may end with what was true when it began
    assert client.messages[-3:] in ([True, None, False], [None, True, False])


def test_a_read_that_fails(hurried: str, database: Database) -> None:
    """Something of ours is gone: unknown after the deadline, and once it is back the truth without any write."""
    with Follower(hurried + LIVE) as client:
        client.wait_for_stable(True)
        fetch(database.dsn, "ALTER FUNCTION stability.read_activity() RENAME TO elsewhere")
        client.wait_for_stable(None, 2 * BOUND)
        fetch(database.dsn, "ALTER FUNCTION stability.elsewhere() RENAME TO read_activity")
        client.wait_for_stable(True, 2.0)


def test_a_storm_costs_few_reads(serving: Serving, database: Database) -> None:
    """Of 4,000 commits by four writers most are one look, and the last one is looked at."""
    commits = 1000
    fetch(database.dsn, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    fetch(database.dsn, "INSERT INTO worker.command_registry VALUES ('derive', 'analytics')")

    def write() -> None:
        with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
            for _ in range(commits):
                writer.execute("INSERT INTO worker.tasks (command, state) VALUES ('derive', 'pending')")

    with Follower(serving.url + LIVE) as client:
        client.wait_for_stable(True)
        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.wait_for(lambda client: bool(client.named("status")[-1].data["sources"]["analytics_tasks"]["count"]))
        fetch(database.dsn, "UPDATE worker.tasks SET state = 'completed'")
        client.wait_for_stable(True, 1.0)
    reads = fetch(
        database.dsn,
        "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
        " WHERE d.datname = current_database() AND query LIKE '%clock_timestamp() AS as_of%'",
    )
    assert 0 < reads[0] < commits / 4
    assert len(client.named("status")) < commits / 10


def slow_down(database: Database, seconds: float) -> None:
    """Let each read take so long, and count the reads in a sequence, which no snapshot hides."""
    fetch(database.dsn, "CREATE SEQUENCE looks")
    fetch(
        database.dsn,
        f"CREATE VIEW slow AS SELECT FROM (SELECT nextval('looks') AS look, pg_sleep({seconds})::text) AS s"
        " WHERE look < 0",
    )
    fetch(database.dsn, "SELECT stability.watch('slow', 'slow', 'true')")


async def spans(
    database: Database, number: int, ask: Callable[[Refresher], None], reread_seconds: float = 0
) -> list[tuple[float, float]]:
    """When each of the next reads began and ended, in monotonic seconds, while `ask` is called without end."""
    seen: list[tuple[float, float]] = []

    async def read(connection: AsyncConnection, look: Look) -> Reading:
        began = time.monotonic()
        try:
            return await jobs.MONITOR.read(connection, look)
        finally:
            seen.append((began, time.monotonic()))

    truth = pool.Database(database.server_dsn)
    reader = Refresher(
        replace(jobs.MONITOR, read=read),
        truth,
        Hub(encode),
        admit=revision.check,
        settings=load(reread_seconds=reread_seconds),
    )
    reader.live()
    running = asyncio.create_task(reader.run())
    try:
        async with asyncio.timeout(PATIENCE):
            while len(seen) < number:
                ask(reader)
                await asyncio.sleep(0)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await truth.close()
    return seen


def rests(seen: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """After each read: the seconds until the next, and the least that the last reads took."""
    return [
        (following[0] - last[-1][1], min(ended - began for began, ended in last))
        for last, following in zip(zip(*(seen[n:] for n in range(SAMPLES)), strict=False), seen[SAMPLES:], strict=False)
    ]


ASKED: dict[str, tuple[Callable[[Refresher], None], float, bool]] = {
    "by hints without end": (lambda reader: reader.hint(None), 0, False),
    "by hints of the register": (lambda reader: reader.hint(None, 1), 0, False),
    "by the periodic read": (lambda _reader: None, 0.001, False),
    "by polling while work goes on": (lambda _reader: None, 0, True),
}


@pytest.mark.anyio
@pytest.mark.parametrize("way", ASKED)
async def test_slow_reads_take_a_twentieth_of_the_time(database: Database, way: str) -> None:
    """Whoever asks for them: a read of 20 ms is followed by 400 ms without one, and so in proportion."""
    ask, reread_seconds, busy = ASKED[way]
    slow_down(database, 0.02)
    if busy:
        begin_work(database)
    seen = await spans(database, SAMPLES + 3, ask, reread_seconds)

    assert [rest >= cost / READ_SHARE for rest, cost in rests(seen)] == [True] * 3


@pytest.mark.anyio
async def test_reads_that_are_cut_off_rest_as_well(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database worked on them for all of the statement timeout, and they are asked for again and again."""
    monkeypatch.setattr(pool, "STATEMENT_TIMEOUT", 50)
    slow_down(database, 60)
    seen = await spans(database, SAMPLES + 2, lambda _reader: None)

    assert [rest >= cost / READ_SHARE for rest, cost in rests(seen)] == [True] * 2


@pytest.mark.anyio
async def test_reads_that_wait_for_a_lock_need_no_rest(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost nothing, and whoever holds the lock may end at any moment: it is tried again soon."""
    monkeypatch.setattr(pool, "LOCK_TIMEOUT", 500)
    with psycopg.connect(database.dsn) as owner:
        owner.execute("LOCK TABLE public.import_job IN ACCESS EXCLUSIVE MODE")
        seen = await spans(database, SAMPLES + 2, lambda _reader: None)

    assert sum(ended - began for began, ended in seen) / READ_SHARE > PATIENCE


def test_a_change_that_waits_for_a_rest_is_not_unknown(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint comes while a read ends whose rest takes as long as the deadline: late, yet answered."""
    monkeypatch.setattr(refresher, "PROOF_DEADLINE", 2.0)
    slow_down(database, 2.0 * READ_SHARE)
    app = create_app(load(reread_seconds=0.01), conninfo=database.server_dsn)
    with hosting(app) as url, Follower(url + LIVE) as client:
        client.wait_for_stable(True)
        look = max(SAMPLES + 1, *fetch(database.dsn, "SELECT last_value + 1 FROM looks"))
        while fetch(database.dsn, "SELECT last_value FROM looks") < [look]:
            time.sleep(0.005)
        begin_work(database)
        client.wait_for_stable(False)
        assert client.messages[client.messages.index(True) :] == [True, False]


def test_a_rest_that_is_too_long_is_unknown(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old news is not shown in green until the look; it is asked for late, and then it is the truth."""
    monkeypatch.setattr(refresher, "PROOF_DEADLINE", 0.5)
    slow_down(database, 0.1)
    app = create_app(load(reread_seconds=0.01), conninfo=database.server_dsn)
    with hosting(app) as url, Follower(url + LIVE) as client:
        client.wait_for_stable(True)
        look = max(SAMPLES + 1, *fetch(database.dsn, "SELECT last_value + 1 FROM looks"))
        while fetch(database.dsn, "SELECT last_value FROM looks") < [look]:
            time.sleep(0.005)
        begin_work(database)
        client.wait_for_stable(None)
        assert fetch(database.dsn, "SELECT last_value FROM looks") == [look]
        client.wait_for_stable(False)


@pytest.mark.anyio
async def test_slow_reads_are_told_once(database: Database) -> None:
    """When they begin to be slow, not at each of them."""
    slow_down(database, 0.06)
    with capture_logs() as logs:
        await spans(database, SAMPLES + 2, lambda _reader: None, 0.001)

    assert [line["event"] for line in logs] == ["reads are slow; `stability doctor` may know why"]
