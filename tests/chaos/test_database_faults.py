"""Faults between the server and its Postgres, and of Postgres itself: no wrong state, and the truth within bounds."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Final, get_args

import psycopg
import pytest

from stability.postgres import EmbeddedPostgres
from tests.chaos.stage import LOST, UNREADABLE, Stage, database_of, own_cluster, socket_of, staged, staged_apart
from tests.fixtures.apart import Apart, Lost
from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.standby import make_standby
from tests.fixtures.wire import Wire

BACK_WITHIN: Final = 6.0  # seconds from a database that is back to the truth
KILLED_WITHIN: Final = 1.0  # seconds from a killed backend to the truth
DEAF_WITHIN: Final = 15.0  # seconds until a listener that hears nothing is found out

slow = pytest.mark.chaos


@pytest.mark.parametrize("which", ["stability listener", "stability"])
def test_a_killed_backend(stage: Stage, which: str) -> None:
    """The listener's, or those that read: the truth within a second."""
    conditions = [LOST] if which == "stability listener" else []
    with stage.fault(f"backend of '{which}' killed", conditions, stale=KILLED_WITHIN) as watch:
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        assert fetch(stage.database.dsn, f"{kill} AND application_name = %s", which)
        stage.work(begins=True)
        watch.truth(KILLED_WITHIN)


@slow
def test_a_deaf_connection(stage: Stage) -> None:
    """Queries are answered, notifications are dropped without a word."""
    with stage.fault("listener deaf", [LOST], stale=DEAF_WITHIN) as watch:
        with stage.line.silent(to=b"LISTEN"):
            watch.unknown(DEAF_WITHIN)
            stage.work(begins=True)
        watch.repaired()
        watch.truth(BACK_WITHIN)


@slow
def test_a_half_open_line(stage: Stage) -> None:
    """Nothing comes back and nobody is told."""
    with stage.fault("line half open", [LOST, UNREADABLE], stale=DEAF_WITHIN) as watch:
        with stage.line.silent():
            stage.work(begins=True)
            watch.unknown(DEAF_WITHIN)
            watch.rest(DEAF_WITHIN)
        watch.repaired()
        watch.truth(BACK_WITHIN)


@slow
@pytest.mark.parametrize("packets", get_args(Lost))
def test_lost_packets(database: Database, tmp_path: Path, apart: Apart, packets: Lost) -> None:
    """On a cable between the server and its Postgres, without a reset or any other sign."""
    with (
        staged_apart(database, tmp_path / "log", apart) as stage,
        stage.fault(f"packets lost {packets}", [LOST], stale=DEAF_WITHIN) as watch,
    ):
        with apart.losing(packets):
            stage.work(begins=True)
            watch.unknown(DEAF_WITHIN)
            watch.rest(DEAF_WITHIN)
        watch.repaired()
        watch.truth(BACK_WITHIN)


def test_stopped_and_started(own_stage: Stage, postgres: EmbeddedPostgres) -> None:
    """Postgres is stopped fast, as for an upgrade, and work begins as soon as it is back."""
    with own_stage.fault("Postgres stopped fast", [LOST]) as watch:
        postgres.stop()
        watch.unknown(KILLED_WITHIN)
        postgres.start()
        watch.repaired()
        own_stage.work(begins=True)
        watch.truth(BACK_WITHIN)


@pytest.mark.parametrize("whole", [True, False], ids=["postmaster", "one backend"])
def test_crashed(own_stage: Stage, postgres: EmbeddedPostgres, whole: bool) -> None:
    """SIGKILL of the postmaster, or of one backend, which makes it restart all others."""
    with own_stage.fault(f"{'postmaster' if whole else 'one backend'} crashed by SIGKILL", [LOST]) as watch:
        assert postgres.pid is not None
        with psycopg.connect(own_stage.database.dsn) as victim:
            os.kill(postgres.pid if whole else victim.info.backend_pid, signal.SIGKILL)
            watch.unknown(KILLED_WITHIN)
        if whole:
            postgres.stop()
            postgres.start()
        else:
            eventually(lambda: _answers(own_stage.database))
        watch.repaired()
        own_stage.work(begins=True)
        watch.truth(BACK_WITHIN)


@pytest.mark.parametrize("seconds", [pytest.param(20.0, marks=slow)])
def test_frozen(own_stage: Stage, postgres: EmbeddedPostgres, seconds: float) -> None:
    """SIGSTOP of all of Postgres: the connections live on and nothing is answered."""
    with own_stage.fault(f"Postgres frozen for {seconds:g} s", [LOST, UNREADABLE]) as watch, ExitStack() as thaw:
        for process in _family(postgres):
            os.kill(process, signal.SIGSTOP)
            thaw.callback(os.kill, process, signal.SIGCONT)
        watch.unknown(DEAF_WITHIN)
        watch.rest(seconds)
        thaw.close()
        watch.repaired()
        own_stage.work(begins=True)
        watch.truth(BACK_WITHIN)


def test_moved(own_stage: Stage, postgres: EmbeddedPostgres) -> None:
    """Postgres is started elsewhere, and the proxy in between leads there."""
    with ExitStack() as stack, own_stage.fault("Postgres moved behind its proxy", [LOST]) as watch:
        postgres.stop()
        watch.unknown(KILLED_WITHIN)
        elsewhere = postgres.data_dir.rename(postgres.data_dir.with_name("elsewhere"))
        moved = stack.enter_context(EmbeddedPostgres(elsewhere, {"fsync": "off"}))
        own_stage.line.upstream = socket_of(moved)
        own_stage.database = database_of(moved)
        watch.repaired()
        own_stage.work(begins=True)
        watch.truth(BACK_WITHIN)


def test_another_cluster(own_stage: Stage, data_dir: Path) -> None:
    """New connections lead to another cluster while the old ones stay where they are: it is found out, and followed."""
    with ExitStack() as stack, own_stage.fault("another cluster behind the proxy", [LOST], stale=DEAF_WITHIN) as watch:
        _, other = cluster = stack.enter_context(own_cluster(data_dir.with_name("other")))
        own_stage.line.upstream, own_stage.database = socket_of(cluster[0]), other
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stability listener'"
        fetch(database_of(EmbeddedPostgres(data_dir)).dsn, kill)
        watch.repaired()
        own_stage.work(begins=True)
        watch.truth(BACK_WITHIN)


def test_a_promoted_standby(own: tuple[EmbeddedPostgres, Database], data_dir: Path, tmp_path: Path) -> None:
    """The primary is lost and its standby promoted: the server finds it among the hosts that it was given."""
    primary, database = own
    standby = make_standby(primary, data_dir.with_name("standby"))
    with (
        standby,
        Wire(socket_of(standby)).running() as second,
        staged(database, tmp_path / "log", also=second) as stage,
        stage.fault("primary lost, standby promoted", [LOST]) as watch,
    ):
        eventually(
            lambda: fetch(primary.dsn, "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication") == [True]
        )
        os.kill(primary.pid or 0, signal.SIGKILL)
        watch.unknown(KILLED_WITHIN)
        stage.database = database_of(standby)
        assert fetch(standby.dsn, "SELECT pg_promote()") == [True]
        watch.repaired()
        stage.work(begins=True)
        watch.truth(BACK_WITHIN)


@pytest.mark.parametrize("seconds", [2.0, pytest.param(BACK_WITHIN, marks=slow)])
def test_a_standby_shows_nothing(
    own: tuple[EmbeddedPostgres, Database], data_dir: Path, tmp_path: Path, seconds: float
) -> None:
    """Behind the proxy a standby takes the place of the primary: unknown until it is promoted, then the truth."""
    primary, database = own
    standby = make_standby(primary, data_dir.with_name("standby"))
    with standby, staged(database, tmp_path / "log") as stage, stage.fault("standby behind the proxy", [LOST]) as watch:
        stage.line.upstream = socket_of(standby)
        stage.line.cut()
        watch.unknown(KILLED_WITHIN)
        watch.rest(seconds)
        assert stage.onlooker.stable is None
        stage.database = database_of(standby)
        assert fetch(standby.dsn, "SELECT pg_promote()") == [True]
        watch.repaired()
        stage.work(begins=True)
        watch.truth(BACK_WITHIN)


def _answers(database: Database) -> bool:
    try:
        return fetch(database.dsn, "SELECT true") == [True]
    except psycopg.OperationalError:
        return False


def _family(postgres: EmbeddedPostgres) -> list[int]:
    """The postmaster and all that it started."""
    children = Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children").read_text().split()
    return [postgres.pid or 0, *map(int, children)]
