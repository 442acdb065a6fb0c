"""The whole life of a server: cold start, second start, Ctrl-C, SIGKILL, a database that comes late or not at all."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import httpx
import psycopg
import pytest

from stability.postgres import EmbeddedPostgres, dsn_of
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database, dsn_for
from tests.fixtures.server import Serving, free_port, serve

LIVE = "/api/system-status/live"


@contextmanager
def up(data_dir: Path, **environment: str) -> Iterator[Serving]:
    """`stability up` on a folder, until the block ends."""
    with logged(data_dir, None, environment) as server:
        yield server


@contextmanager
def logged(data_dir: Path, log: IO[str] | None, environment: Mapping[str, str]) -> Iterator[Serving]:
    """The same, with its log in a file."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    variables = {**inherited, "STABILITY_PORT": str(port), "STABILITY_DATA_DIR": str(data_dir), **environment}
    with subprocess.Popen([sys.executable, "-m", "stability", "up"], env=variables, text=True, stderr=log) as process:
        try:
            yield Serving(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()


def fetch(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_life(data_dir: Path, end: signal.Signals) -> None:
    """An empty folder becomes a live page; a signal ends it within 2 s with browsers attached; data are kept."""
    with up(data_dir) as server, ExitStack() as clients:
        server.await_ready()
        fetch(dsn_of(data_dir), "INSERT INTO public.import_job (slug, state) VALUES ('people', 'approved')")
        followers = [clients.enter_context(Follower(server.url + LIVE)) for _ in range(10)]
        for follower in followers:
            follower.wait_for_stable(False)
        postgres = int(str(fetch(dsn_of(data_dir), "SELECT pg_backend_pid()")))
        began = time.monotonic()
        server.process.send_signal(end)
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 2
        assert not alive(postgres)
    with up(data_dir) as server:
        server.await_ready()
        assert httpx.get(f"{server.url}/api/system-status").json()["stable"] is False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_sigkill_leaves_no_orphan(data_dir: Path) -> None:
    """Killed without a word, the server takes its Postgres along, and the next start finds what was committed."""
    with up(data_dir) as server:
        server.await_ready()
        fetch(dsn_of(data_dir), "INSERT INTO public.import_job (slug, state) VALUES ('people', 'approved')")
        lock = data_dir / "postgres/data/postmaster.pid"
        postmaster = int(lock.read_text().split()[0])
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 5
        while alive(postmaster):
            assert time.monotonic() < deadline, "an orphan"
            time.sleep(0.01)
    with up(data_dir) as server:
        server.await_ready()
        assert fetch(dsn_of(data_dir), "SELECT count(*) FROM public.import_job") == 1


@pytest.mark.parametrize("named", [False, True])
def test_a_first_start_warns_of_nothing(data_dir: Path, tmp_path: Path, empty_database: Database, named: bool) -> None:
    """What reads the schema begins when there is one, in a database of ours and in one that is named."""
    variables = {"STABILITY_SECRET_KEY": "k" * 40, **({"DATABASE_URL": empty_database.dsn} if named else {})}
    written = tmp_path / "log"
    with written.open("w") as log, logged(data_dir, log, variables) as server:
        server.await_ready()
        deadline = time.monotonic() + 20
        while "the schema is up to date" not in written.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    told = written.read_text().splitlines()
    assert [line for line in told if "level=info" not in line] == []
    assert [line for line in told if "again" in line] == []
    assert any("placing" in line for line in told) is named  # what is done to tables of somebody else's is told


def test_a_named_database_and_no_other(empty_database: Database, data_dir: Path) -> None:
    """With DATABASE_URL set, `up` migrates that database, serves it, and starts none of its own."""
    with up(data_dir, DATABASE_URL=empty_database.dsn) as server:
        server.await_ready()
        assert fetch(empty_database.dsn, "SELECT public.is_system_stable()") is True
        assert not data_dir.exists()


def test_libpqs_own_variables_name_a_database_too(database: Database, data_dir: Path) -> None:
    """PG* work as they do for psql."""
    address = dict(part.split("=") for part in database.server_dsn.partition("?")[2].split("&"))
    variables = {
        "PGHOST": address["host"],
        "PGPORT": address["port"],
        "PGUSER": "test_server",
        "PGDATABASE": database.name,
    }
    with up(data_dir, **variables) as server:
        deadline = time.monotonic() + 20
        while server.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.process.returncode == 1  # test_server may not migrate: that is told, and nothing else is started
        assert not data_dir.exists()


def test_a_database_that_comes_late(data_dir: Path) -> None:
    """The server starts without its database, says unknown, and tells the truth once it is there."""
    with up(data_dir / "unused", DATABASE_URL=dsn_of(data_dir)) as server, ExitStack() as later:
        deadline = time.monotonic() + 20
        while True:
            try:
                assert httpx.get(f"{server.url}/livez").status_code == 200
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        with Follower(server.url + LIVE) as client:
            assert client.stable is None
            assert httpx.get(f"{server.url}/readyz").status_code == 503
            later.enter_context(EmbeddedPostgres(data_dir))
            client.wait_for_stable(True)


def test_serve_waits_for_the_schema(empty_database: Database) -> None:
    """On a database without our schema `serve` says unknown, and takes over once somebody migrates."""
    from stability.schema.migration import migrate  # noqa: PLC0415 -- as in the fixtures

    with serve(empty_database.dsn, ready=False) as server:
        deadline = time.monotonic() + 20
        while not _answers(server):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert httpx.get(f"{server.url}/api/system-status").json()["state"] == "unknown"
        migrate(empty_database.dsn)
        server.await_ready()


def _answers(server: Serving) -> bool:
    try:
        return httpx.get(f"{server.url}/livez").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("environment", "status", "telling"),
    [
        ({"STABILITY_PORT": "eighty"}, 2, "STABILITY_PORT"),
        ({"STABILITY_HOST": "0.0.0.0"}, 2, "STABILITY_TOKEN"),  # noqa: S104 -- the point
        ({"STABILITY_HOST": "no.such.host.invalid", "STABILITY_TOKEN": "x"}, 2, "no.such.host.invalid"),
        ({"STABILITY_HOST": "192.0.2.1", "STABILITY_TOKEN": "x"}, 2, "192.0.2.1"),
        ({"STABILITY_DATA_DIR": "/proc/nowhere"}, 1, "STABILITY_DATA_DIR"),
        ({"DATABASE_URL": "postgresql://[broken"}, 2, "DATABASE_URL"),
        ({"DATABASE_URL": "no conninfo"}, 2, "DATABASE_URL"),
    ],
)
def test_what_is_wrong_is_one_sentence(environment: dict[str, str], status: int, telling: str) -> None:
    """Exit 2 for a wrong setting, 1 for the rest; the sentence names the variable; no traceback."""
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    variables = {**inherited, "STABILITY_PORT": str(free_port()), **environment}
    ended = subprocess.run(
        [sys.executable, "-m", "stability", "up"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (status, False), ended.stderr
    assert telling in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_port_in_use(data_dir: Path) -> None:
    """The port and the variable are named before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        variables = {**os.environ, "STABILITY_PORT": port, "STABILITY_DATA_DIR": str(data_dir)}
        ended = subprocess.run(
            [sys.executable, "-m", "stability", "up"],
            env=variables,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 2
    assert f"STABILITY_PORT: {port} is already in use" in ended.stderr
    assert not data_dir.exists()


def test_a_database_without_rights(cluster: EmbeddedPostgres, database: Database) -> None:
    """A user without our role: the server says unknown, and its log names what to grant."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS stranger")
        owner.execute("CREATE ROLE stranger LOGIN")
    with serve(dsn_for(cluster, database.name, "stranger"), ready=False) as server:
        deadline = time.monotonic() + 20
        while not _answers(server):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        status = httpx.get(f"{server.url}/api/system-status").json()
        assert status["state"] == "unknown"
        assert httpx.get(f"{server.url}/readyz").status_code == 503
