"""Writers that do what the triggers do not expect, and clocks that jump."""

import threading
from pathlib import Path
from typing import Final

import psycopg
import pytest

from stability.register import LEASE, SLOW_POLL
from tests.chaos.stage import Stage, own_cluster, staged
from tests.fixtures.clock import Clock
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import fetch
from tests.fixtures.work import begin_work

HINTED: Final = 1.0  # seconds from a commit that sent a hint to the truth
REREAD: Final = 6.0  # seconds from one that sent none: a periodic read and what it takes
HOUR: Final = 3600  # seconds
WORK: Final = "INSERT INTO public.import_job (slug, state) VALUES ('late', 'importing_data')"
BURST: Final = 10_000  # commits

slow = pytest.mark.chaos


@pytest.mark.parametrize("seconds", [2.0, pytest.param(LEASE + 5, marks=slow)])
def test_a_transaction_that_saw_the_gate_closed(stage: Stage, seconds: float) -> None:
    """Work is written while hints are off, and committed long after they were switched on, and on again."""
    what = f"transaction held for {seconds:g} s across arming"
    with stage.fault(what, stale=SLOW_POLL + HINTED) as watch, psycopg.connect(stage.database.writer_dsn) as writer:
        stage.work(begins=True)
        watch.truth(HINTED)
        writer.execute(WORK)
        stage.work(begins=False)
        stage.onlooker.wait_for(True, HINTED)
        stage.await_rest()
        watch.rest(seconds)
        watch.repaired()
        with stage.turning(stable=False):
            writer.commit()
        watch.truth(SLOW_POLL + HINTED)


def test_replica_role(stage: Stage) -> None:
    """What replication writes sends hints as well."""
    with (
        stage.fault("session_replication_role = replica", stale=HINTED) as watch,
        psycopg.connect(stage.database.dsn, autocommit=True) as replica,
    ):
        replica.execute("SET session_replication_role = replica")
        with stage.turning(stable=False):
            replica.execute(WORK)
        watch.truth(HINTED)


def test_triggers_dropped(stage: Stage) -> None:
    """Without triggers nobody is told: the next periodic read finds it."""
    with stage.fault("triggers dropped", stale=REREAD) as watch:
        fetch(stage.database.dsn, "DROP TRIGGER notify_system_stability_on_import_job_change ON public.import_job")
        stage.work(begins=True)
        watch.truth(REREAD)


@pytest.mark.parametrize("step", [pytest.param(HOUR, marks=slow), -HOUR])
@pytest.mark.parametrize("whose", ["database", pytest.param("server", marks=slow)])
def test_a_stepped_clock(
    clock: Clock, *, whose: str, step: int, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clock jumps by an hour, forth or back, and work begins at once; later all is as it was before."""
    of_the_server = clock.variables
    if whose == "database":
        of_the_server = {"LD_PRELOAD": ""}
        for name, value in clock.variables.items():
            monkeypatch.setenv(name, value)
    with own_cluster(data_dir) as (_, database), staged(database, tmp_path / "log", environment=of_the_server) as stage:
        with stage.fault(f"clock of the {whose} stepped by {step:+d} s", stale=REREAD) as watch:
            clock.step(step)
            stage.work(begins=True)
            watch.truth(REREAD)
        stage.work(begins=False)
        stage.onlooker.wait_for(True, HINTED)
        with stage.fault("work begins after that", stale=HINTED) as watch:
            stage.work(begins=True)
            watch.truth(HINTED)


def test_a_burst(stage: Stage) -> None:
    """10,000 commits by four writers: few frames, and the truth within a second of the last."""
    with Follower(f"http://127.0.0.1:{stage.port}/api/system-status/live") as client:
        client.wait_for_stable(True)
        with stage.fault(f"burst of {BURST:,} commits", stale=HINTED) as watch:
            with stage.turning(stable=False):
                begin_work(stage.database)
            threads = [threading.Thread(target=_write, args=(stage.database.writer_dsn, BURST // 4)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            watch.repaired()
            stage.work(begins=False)
            watch.truth(HINTED)
        client.wait_for_stable(True)
        assert client.messages == [True, False, True]
        assert len(client.named("status")) < BURST / 100


def _write(dsn: str, commits: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as writer:
        for number in range(commits):
            state = ("importing_data", "finished")[number % 2]
            writer.execute("INSERT INTO public.import_job (slug, state) VALUES ('burst', %s)", (state,))
