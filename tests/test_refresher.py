"""Reading the truth: what is not answered in time is unknown, a failure heals by itself, a storm costs little."""

import threading
import time

import psycopg

from stability.refresher import PROOF_DEADLINE
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving

LIVE = "/api/system-status/live"
BOUND = PROOF_DEADLINE + 1.0
READING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'test_server'"
    " AND query LIKE '%%read_activity%%' AND state = 'active'"
)


def test_a_read_that_hangs(serving: Serving, database: Database) -> None:
    """Unknown after the deadline, one read at a time however many hints come, and the truth when the lock is gone."""
    with (
        Follower(serving.url + LIVE) as client,
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
    assert client.messages[-3:] == [True, None, False]


def test_a_read_that_fails(serving: Serving, database: Database) -> None:
    """Something of ours is gone: unknown after the deadline, and once it is back the truth without any write."""
    with Follower(serving.url + LIVE) as client:
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
        client.wait_for(lambda client: bool(client.named("status")[-1].data["sources"]))
        fetch(database.dsn, "UPDATE worker.tasks SET state = 'completed'")
        client.wait_for_stable(True, 1.0)
    reads = fetch(
        database.dsn,
        "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
        " WHERE d.datname = current_database() AND query LIKE '%%clock_timestamp() AS as_of%%'",
    )
    assert 0 < reads[0] < commits / 4
    assert len(client.named("status")) < commits / 10
