"""A writer's commit is in the answer: the snapshot that it was read in, and questions that wait for it."""

import subprocess
import sys
import threading
import time

import httpx
import psycopg
import pytest

from stability.snapshot import Snapshot
from tests.fixtures.command import stability
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving

STATUS = "/api/system-status"


@pytest.mark.parametrize(("xid", "held"), [(9, True), (10, False), (11, True), (14, False), (19, True), (20, False)])
def test_what_a_snapshot_holds(xid: int, held: bool) -> None:
    """All below xmin, nothing from xmax on, and between them what was not running."""
    assert Snapshot.parse("10:20:10,14").holds(xid) is held


def test_a_quiet_snapshot() -> None:
    """Nothing was running."""
    assert Snapshot.parse("7:7:") == Snapshot(7, 7)


def test_the_status_names_its_snapshot(hosted: str, database: Database) -> None:
    """`xmin` is a number that grows with the writes, in the state and on the stream."""
    first = httpx.get(hosted + STATUS).json()["xmin"]
    assert httpx.get(hosted + STATUS, params={"after": work(database)}).json()["xmin"] > first


def work(database: Database, settled: str = "false") -> int:
    """Commit a job; the number of the transaction."""
    with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
        row = writer.execute(
            "INSERT INTO public.import_job (slug, state)"
            " VALUES ('a', CASE WHEN %s::boolean THEN 'finished' ELSE 'approved' END)"
            " RETURNING pg_current_xact_id()::text::bigint",
            (settled,),
        ).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_a_commit_is_in_the_answer_that_waits_for_it(hosted: str, database: Database) -> None:
    """Asked right after the commit, the answer knows of it, every time."""
    for _ in range(20):
        assert httpx.get(hosted + STATUS, params={"after": work(database)}).json()["stable"] is False
        with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
            row = writer.execute("DELETE FROM public.import_job RETURNING pg_current_xact_id()::text").fetchone()
        assert row is not None
        assert httpx.get(hosted + STATUS, params={"after": row[0]}).json()["stable"] is True


def test_a_table_that_cannot_be_read_holds_up_no_answer(hosted: str, database: Database) -> None:
    """Only the badge's own state has to hold the commit."""
    fetch(database.dsn, "ALTER TABLE public.deployments RENAME TO elsewhere")
    for _ in range(3):
        answer = httpx.get(hosted + STATUS, params={"after": work(database), "wait": 10}, timeout=15)
        assert (answer.status_code, answer.json()["stable"]) == (200, False)


def test_an_open_transaction_is_waited_for(hosted: str, database: Database) -> None:
    """The answer comes when it is over, and 504 when it is not in time."""
    with psycopg.connect(database.writer_dsn) as writer:
        row = writer.execute("SELECT pg_current_xact_id()::text").fetchone()
        assert row is not None
        late = httpx.get(hosted + STATUS, params={"after": row[0], "wait": 1}, timeout=5)
        assert late.status_code == httpx.codes.GATEWAY_TIMEOUT
        assert str(row[0]) in late.json()["error"]
        writer.execute("INSERT INTO public.import_job (slug, state) VALUES ('a', 'approved')")
        threading.Timer(0.3, writer.commit).start()
        began = time.monotonic()
        answer = httpx.get(hosted + STATUS, params={"after": row[0], "wait": 20}, timeout=25)
        assert time.monotonic() - began >= 0.3
    assert answer.json()["stable"] is False


def test_a_transaction_that_nobody_began_is_refused_at_once(hosted: str, database: Database) -> None:
    """It would be looked for until the wait is over; the sentence names it, and what to ask for."""
    never = work(database) + 1_000_000
    answer = httpx.get(hosted + STATUS, params={"after": never, "wait": 20}, timeout=5)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert answer.json()["error"].startswith(f"after: no transaction {never} has begun here yet; ask for")


@pytest.mark.parametrize("way", ["--url", "--database"])
def test_waiting_for_one_that_nobody_began_ends_at_once(serving: Serving, database: Database, way: str) -> None:
    """Exit 1 with the sentence, instead of a wait for nothing."""
    never = str(work(database) + 1_000_000)
    arguments = ["--url", serving.url] if way == "--url" else ["--database"]
    told = stability("wait", "--xid", never, *arguments, DATABASE_URL=database.server_dsn)
    assert (told.returncode, told.stdout) == (1, "")
    assert f"no transaction {never} has begun here yet" in told.stderr


@pytest.mark.parametrize("value", ["", "x", "-1", "1" * 30, "²"])
def test_what_is_no_transaction_is_refused(hosted: str, value: str) -> None:
    """In one sentence that names the parameter."""
    answer = httpx.get(hosted + STATUS, params={"after": value})
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert answer.json()["error"].startswith("after: ")


@pytest.mark.parametrize("way", ["--url", "--database"])
def test_waiting_behind_a_commit(serving: Serving, database: Database, way: str) -> None:
    """`stability wait --xid` never says stable about a moment before the commit, over HTTP and on the database."""
    arguments = ["--url", serving.url] if way == "--url" else ["--database"]
    command = [sys.executable, "-m", "stability", "wait", "--timeout", "2", *arguments, "--xid"]
    environment = {"DATABASE_URL": database.server_dsn, "PATH": ""}
    busy = subprocess.run([*command, str(work(database))], env=environment, capture_output=True, text=True, check=False)
    assert (busy.returncode, "import_job" in busy.stderr) == (1, True)
    with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
        row = writer.execute("DELETE FROM public.import_job RETURNING pg_current_xact_id()::text").fetchone()
    assert row is not None
    idle = subprocess.run([*command, str(row[0])], env=environment, capture_output=True, text=True, check=False)
    assert (idle.returncode, idle.stdout) == (0, "System Stable\n")
