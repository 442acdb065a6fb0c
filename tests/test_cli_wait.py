"""`stability wait` ends when the system is stable, and never before."""

import signal
import time
from typing import Final

import pytest

from tests.fixtures.command import running, stability, terminal
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving, free_port, serve

BUSY_JOB: Final = "INSERT INTO public.import_job (slug, state) VALUES ('people', 'approved')"
SETTLED_JOB: Final = "UPDATE public.import_job SET state = 'finished'"
INTERRUPTED: Final = 130


def way_of(kind: str, serving: Serving, database: Database) -> dict[str, str]:
    """The variables with which the command takes one way or the other."""
    if kind == "http":
        return {"STABILITY_URL": serving.url}
    return {"DATABASE_URL": database.server_dsn, "STABILITY_PORT": str(free_port())}


both_ways = pytest.mark.parametrize("way", ["http", "database"])


@both_ways
def test_a_stable_system_is_exit_0(way: str, serving: Serving, database: Database) -> None:
    """When everything is settled the command says so and ends."""
    ended = stability("wait", **way_of(way, serving, database))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "System Stable\n", "")


@both_ways
def test_a_busy_system_is_exit_1_with_what_is_active(way: str, serving: Serving, database: Database) -> None:
    """After the time-out one sentence tells what still runs."""
    fetch(database.writer_dsn, BUSY_JOB)
    ended = stability("wait", "--timeout", "1.5s", **way_of(way, serving, database))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "stability: not stable after 1.5 s: Processing Data: import_job 1\n"


@both_ways
def test_it_ends_when_the_last_work_is_settled(way: str, serving: Serving, database: Database) -> None:
    """It goes on waiting while there is work, and ends within seconds of the last commit."""
    fetch(database.writer_dsn, BUSY_JOB)
    with terminal("wait", **way_of(way, serving, database)) as waiter:
        waiter.read_until("Processing Data: import_job 1")
        fetch(database.writer_dsn, BUSY_JOB)
        waiter.read_until("Processing Data: import_job 2")
        assert waiter.process.poll() is None
        fetch(database.writer_dsn, SETTLED_JOB)
        assert waiter.process.wait(10) == 0
        assert "System Stable" in waiter.read_to_the_end()


@both_ways
def test_ctrl_c_ends_it_at_once(way: str, serving: Serving, database: Database) -> None:
    """Ctrl-C is exit 130, quickly and without a traceback."""
    fetch(database.writer_dsn, BUSY_JOB)
    with terminal("wait", **way_of(way, serving, database)) as waiter:
        waiter.read_until("Processing Data")
        began = time.monotonic()
        waiter.type("\x03")
        assert waiter.process.wait(10) == INTERRUPTED
        assert time.monotonic() - began < 2
        assert "Traceback" not in waiter.read_to_the_end()


def test_a_server_that_is_not_there_yet_is_waited_for(database: Database) -> None:
    """Started before its server, as in a deploy script, it waits for both."""
    port = free_port()
    with running("wait", "--url", f"http://127.0.0.1:{port}") as waiter, serve(database.server_dsn, port=port):
        assert waiter.process.wait(20) == 0


def test_nobody_there_is_unknown_and_unknown_is_not_stable() -> None:
    """Where nothing answers the time-out tells why nothing is known."""
    ended = stability("wait", "--url", f"http://127.0.0.1:{free_port()}", "--timeout", "1")
    assert ended.returncode == 1
    assert ended.stderr == "stability: not stable after 1 s: Status Unknown: nobody listens there\n"


def test_a_broken_source_is_unknown_with_its_reason(database: Database) -> None:
    """A watched table that is gone is named."""
    fetch(database.dsn, "DROP TABLE public.import_job")
    ended = stability("wait", "--database", "--timeout", "5", DATABASE_URL=database.server_dsn)
    assert ended.returncode == 1
    assert 'Status Unknown: import_job: relation "public.import_job" does not exist' in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "telling"),
    [
        (["--timeout", "soon"], "'soon' is not a length of time: write 10m"),
        (["--timeout", "0"], "'0' is not a length of time"),
        (["--timeout"], "requires an argument"),
        (["--url", "status.example"], "STABILITY_URL: must begin with http:// or https://"),
        (["--url", "http://localhost", "--database"], "give one of the two"),
        (["--forever"], "No such option"),
        (["now"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], telling: str) -> None:
    """What was wrong is said, and nothing on standard output."""
    ended = stability("wait", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert telling in ended.stderr


def test_sigterm_ends_it(serving: Serving, database: Database) -> None:
    """A supervisor's SIGTERM ends it as it ends any program."""
    fetch(database.writer_dsn, BUSY_JOB)
    with running("watch", STABILITY_URL=serving.url) as watcher:
        watcher.read_until("processing")
        watcher.process.terminate()
        assert watcher.process.wait(10) == -signal.SIGTERM
