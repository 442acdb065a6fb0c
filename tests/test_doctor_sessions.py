"""Who holds up others is named by the doctor, with what he is doing: real sessions, locks, slots and standbys."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from stability.database import connect
from stability.doctor import Finding, horizon, sessions
from stability.doctor.sessions import Session
from stability.postgres import EmbeddedPostgres
from stability.schema.migration import migrate
from tests.fixtures.eventually import eventually
from tests.fixtures.examined import about, examine, troubles
from tests.fixtures.postgres import Database, dsn_for, fetch

PATIENCE = 20.0  # seconds, on a busy machine
WRITE = "INSERT INTO public.import_job (slug, state) VALUES ('a', 'finished')"
SOMEBODY = Session(7, "app", "me", "shop", "active", 3)


def await_fact(dsn: str, query: str) -> None:
    """Return once the query yields true."""
    deadline = time.monotonic() + PATIENCE
    while fetch(dsn, query) != [True]:
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


async def snapshots(dsn: str, old: float = 0.0, far: int = 1) -> list[Finding]:
    """What is held, by bounds that a test can wait for."""
    async with await connect(dsn, "test") as connection:
        return [finding async for finding in horizon.snapshots(connection, old, far)]


@contextmanager
def settings(dsn: str, **values: str) -> Iterator[None]:
    """Settings of a whole server, until the block ends."""
    for name, value in values.items():
        fetch(dsn, f"ALTER SYSTEM SET {name} = '{value}'")
    fetch(dsn, "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        for name in values:
            fetch(dsn, f"ALTER SYSTEM RESET {name}")
        fetch(dsn, "SELECT pg_reload_conf()")


async def test_an_old_snapshot(database: Database) -> None:
    """Its session is named with pid, application, user, state and age; ended as the remedy says, it is gone."""
    with closing(psycopg.connect(database.dsn, application_name="a report")) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT FROM public.import_job")
        assert [finding.level for finding in await snapshots(database.dsn)] == ["ok"]  # nothing has died since

        fetch(database.dsn, WRITE)
        fetch(database.dsn, WRITE)
        (finding,) = await snapshots(database.dsn)
        assert finding.level == "warning"
        pid = reader.info.backend_pid
        assert finding.fact.startswith(f"pid {pid} (a report, user postgres, idle in transaction) has been open for ")
        age = re.search(r"(\d+) transactions old", finding.fact)
        assert age is not None
        assert int(age[1]) >= 2  # autovacuum may have added one
        assert troubles(await examine(database.dsn)) == []  # it is young

        fetch(database.dsn, str(finding.remedy).split('"')[1])
        assert [finding.level for finding in await snapshots(database.dsn)] == ["ok"]


async def test_a_transaction_that_has_written(database: Database) -> None:
    """It holds up as much, without a snapshot."""
    with psycopg.connect(database.dsn, application_name="an import") as writer:
        writer.execute(WRITE)
        (finding,) = await snapshots(database.dsn)
    assert "(an import, user postgres, idle in transaction)" in finding.fact


async def test_a_long_transaction_that_holds_nothing(database: Database) -> None:
    """Between two statements at READ COMMITTED there is no snapshot."""
    with psycopg.connect(database.dsn) as reader:
        reader.execute("SELECT FROM public.import_job")
        fetch(database.dsn, WRITE)
        assert [finding.level for finding in await snapshots(database.dsn)] == ["ok"]


async def test_what_may_not_be_seen_is_unknown(database: Database) -> None:
    """The server's role sees no more of others than that they are there, and says so; the remedy opens its eyes."""
    with psycopg.connect(database.dsn) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT FROM public.import_job")
        fetch(database.dsn, WRITE)
        finding = about("sessions", await examine(database.server_dsn))
        assert finding.level == "unknown"
        assert "may not look into 1 session of others" in finding.fact
        try:
            fetch(database.dsn, str(finding.remedy).split('"')[1])
            assert [finding.level for finding in await snapshots(database.server_dsn)] == ["warning"]
            assert "sessions" not in {finding.check for finding in await examine(database.server_dsn)}
        finally:
            fetch(database.dsn, "REVOKE pg_read_all_stats FROM test_server")


async def test_a_prepared_transaction(data_dir: Path) -> None:
    """It is named with what settles it, and two-phase commit itself is told as what keeps hints from being sent."""
    with EmbeddedPostgres(data_dir, {"fsync": "off", "max_prepared_transactions": "2"}) as server:
        migrate(server.dsn)
        with psycopg.connect(server.dsn) as writer:
            writer.execute(WRITE)
            writer.execute("PREPARE TRANSACTION 'half'")
        (finding,) = await snapshots(server.dsn)
        assert finding.fact.startswith("The prepared transaction half (user postgres) has been open for ")
        (trouble,) = troubles(await examine(server.dsn))
        assert trouble.check == "two_phase_commit"

        fetch(server.dsn, str(finding.remedy).split('"')[1])
        assert [finding.level for finding in await snapshots(server.dsn)] == ["ok"]


async def test_a_standby_that_holds_back_its_primary(database: Database, standby: Callable[[Database], str]) -> None:
    """By its feedback, over a connection or a slot; a slot that nobody uses any more is named at once."""
    copy = standby(database)
    with settings(copy, hot_standby_feedback="on", wal_receiver_status_interval="1s"):
        await_fact(database.dsn, "SELECT backend_xmin IS NOT NULL FROM pg_stat_replication")
        with psycopg.connect(copy) as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT FROM public.import_job")
            fetch(database.dsn, WRITE)
            (finding,) = await snapshots(database.dsn)
            assert finding.fact.startswith("The standby ")
            assert "hot_standby_feedback" in str(finding.remedy)
        fetch(database.dsn, "SELECT pg_create_physical_replication_slot('kept')")
        try:
            with settings(copy, primary_slot_name="kept"):
                await_fact(database.dsn, "SELECT xmin IS NOT NULL FROM pg_replication_slots")
                fetch(database.dsn, WRITE)
                (finding,) = await snapshots(database.dsn)
                assert finding.fact.startswith("The replication slot kept holds a snapshot")
                with settings(copy, primary_conninfo=""):
                    await_fact(database.dsn, "SELECT NOT active FROM pg_replication_slots")
                    fetch(database.dsn, WRITE)
                    (trouble,) = troubles(await examine(database.dsn))
                    assert "The replication slot kept" in trouble.fact
                    fetch(database.dsn, str(trouble.remedy).split('"')[1])
                    assert troubles(await examine(database.dsn)) == []
        finally:
            fetch(database.dsn, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


@pytest.mark.parametrize("doing", ["idle in transaction", "idle"])
async def test_a_queue_that_is_half_full(data_dir: Path, doing: str) -> None:
    """Who sits in a transaction is named, or who does not read what he is sent; once he is ended the queue is empty."""
    with EmbeddedPostgres(data_dir, {"fsync": "off", "max_notify_queue_pages": "64"}) as server:
        with closing(psycopg.connect(server.dsn, autocommit=True, application_name="an ear")) as listener:
            listener.execute("LISTEN chatter")
            if doing != "idle":
                listener.execute("BEGIN")
            with psycopg.connect(server.dsn, autocommit=True) as teller:
                while fetch(server.dsn, "SELECT pg_notification_queue_usage() < 0.5") == [True]:
                    teller.execute("SELECT pg_notify('chatter', %s)", ("hm" * 3900,))
            finding = about("notification_queue", await examine(server.dsn))
            assert finding.level == "warning"
            pid = listener.info.backend_pid
            assert f"pid {pid} (an ear, user postgres, {doing}" in finding.fact.partition("not reading: ")[2]
            fetch(server.dsn, str(finding.remedy).split("`")[1].replace("PID", str(pid)))
            ended = f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})"
            eventually(lambda: fetch(server.dsn, ended) == [True])
        assert about("notification_queue", await examine(server.dsn)).fact == "The notification queue is 0% full."


@pytest.mark.parametrize(("usage", "level"), [(0.49, "ok"), (0.5, "warning"), (1.0, "warning")])
def test_where_the_limit_of_the_queue_is(usage: float, level: str) -> None:
    """Half full is a warning."""
    assert sessions.of_the_queue(usage, []).level == level


@pytest.fixture
def chatter(database: Database) -> Iterator[None]:
    """One commit that notifies, held up by a synchronous standby that is away, and two more behind it."""
    fetch(database.dsn, "CREATE TABLE chatter (said text)")
    notify = "WITH c AS (INSERT INTO chatter VALUES ('hm') RETURNING said) SELECT pg_notify('chatter', said) FROM c"
    over = threading.Event()

    def tell() -> None:
        while not over.is_set():
            with psycopg.connect(database.dsn, autocommit=True, application_name="chatterbox") as teller:
                teller.execute(notify)

    threads = [threading.Thread(target=tell) for _ in range(3)]
    waiting = (
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep') = 1 AND (SELECT count(*) FROM"
        " pg_locks WHERE locktype = 'object' AND database = 0 AND objid = 0 AND NOT granted) = 2"
    )
    with settings(database.dsn, synchronous_standby_names="nobody"):
        for thread in threads:
            thread.start()
        await_fact(database.dsn, waiting)
        yield
        over.set()
    for thread in threads:
        thread.join(PATIENCE)


@pytest.mark.usefixtures("chatter")
async def test_commits_that_wait_because_they_notify(database: Database) -> None:
    """They are counted and named; the doctor's own NOTIFY, which waits with them, is given up."""
    findings = await examine(database.server_dsn)
    assert [finding.check for finding in troubles(findings)] == ["notify_lock", "delivery"]
    fact = about("notify_lock", findings).fact
    assert fact.startswith("Up to 2 commits wait for another")
    assert f"seen in 10 of 10 looks; chatterbox in database {database.name}" in fact
    assert "A NOTIFY does not commit within" in about("delivery", findings).fact


@pytest.mark.parametrize(("crowded", "level"), [(0, "ok"), (1, "ok"), (2, "warning")])
def test_one_look_may_see_somebody_wait(crowded: int, level: str) -> None:
    """Two of ten are no chance."""
    looks = [[SOMEBODY]] * crowded + [[]] * (sessions.LOOKS - crowded)
    assert sessions.of_the_lock(looks).level == level


async def test_a_table_that_logical_replication_fills(data_dir: Path) -> None:
    """It fires no trigger of ours and that is told; the replica role of a whole server, where they do fire, is none."""
    options = {"fsync": "off", "wal_level": "logical", "session_replication_role": "replica"}
    with EmbeddedPostgres(data_dir, options) as server:
        source, target = dsn_for(server, "source"), dsn_for(server, "target")
        for dsn in (source, target):
            fetch(server.dsn, f"CREATE DATABASE {dsn.partition('?')[0].rpartition('/')[2]}")
            migrate(dsn)
        fetch(source, "CREATE PUBLICATION jobs FOR TABLE public.import_job")
        fetch(source, "SELECT pg_create_logical_replication_slot('jobs', 'pgoutput')")
        fetch(
            target,
            f"CREATE SUBSCRIPTION jobs CONNECTION '{source}' PUBLICATION jobs"
            " WITH (create_slot = false, copy_data = false)",
        )
        with (
            psycopg.connect(target, autocommit=True) as listener,
            psycopg.connect(target, autocommit=True) as writer,
        ):
            listener.execute("LISTEN system_stability")
            listener.execute("SELECT stability.arm(0, '60 s')")
            fetch(source, WRITE)
            await_fact(target, "SELECT count(*) = 1 FROM public.import_job")
            writer.execute("UPDATE public.import_job SET state = 'failed'")
            (first,) = listener.notifies(timeout=PATIENCE, stop_after=1)
            assert first.pid == writer.info.backend_pid
        findings = await examine(target)
        fetch(target, "DROP SUBSCRIPTION jobs")
    (trouble,) = troubles(findings)
    assert trouble.check == "subscription"
    assert trouble.fact.startswith("A subscription writes import_job: ")
    assert (
        "replica for the whole server: Stability's triggers are enabled ALWAYS" in about("replica_role", findings).fact
    )
