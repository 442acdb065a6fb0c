"""Faults of the Postgres that `stability up` brings: it is started again, and nothing that was committed is lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest

from stability.postgres import dsn_of
from tests.chaos.onlooker import Onlooker
from tests.chaos.verdict import Truth, judge
from tests.fixtures.command import stability
from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import fetch
from tests.fixtures.server import Serving, free_port

# Seconds for a machine that others keep busy; a quiet one takes two, since the server looks for its Postgres every 2 s.
BACK_WITHIN: Final = 30.0
AT_ONCE: Final = 5.0  # the same, for what a quiet one shows within one
DISK: Final = "size=128m"
WORK: Final = "INSERT INTO public.import_job (slug, state) VALUES ('people', 'importing_data')"
DONE: Final = "UPDATE public.import_job SET state = 'finished'"


@contextmanager
def up(data_dir: Path, *before: str) -> Iterator[Serving]:
    """`stability up` on a folder until the block ends; `before` is what starts it."""
    port = free_port()
    variables = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    variables |= {"STABILITY_PORT": str(port), "STABILITY_DATA_DIR": str(data_dir)}
    command = [*before, sys.executable, "-m", "stability", "up"]
    with subprocess.Popen(command, env=variables, text=True) as process:  # what it logs is seen when a test fails
        serving = Serving(f"http://127.0.0.1:{port}", process)
        try:
            serving.await_ready()
            yield serving
        finally:
            process.terminate()


def postmaster(data_dir: Path) -> int:
    """The process id of the Postgres in that folder."""
    return int((data_dir / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def test_the_schema_was_made_anew(data_dir: Path) -> None:
    """With roles and functions that only have the names of those before: nobody has to start the server again."""
    with up(data_dir) as server, Onlooker(server.url) as onlooker:
        onlooker.wait_for(True, BACK_WITHIN)
        assert stability("migrate", "--uninstall", "--drop-data", DATABASE_URL=dsn_of(data_dir)).returncode == 0
        onlooker.wait_for(None, BACK_WITHIN)
        assert stability("migrate", DATABASE_URL=dsn_of(data_dir)).returncode == 0
        onlooker.wait_for(True, BACK_WITHIN)
        fetch(dsn_of(data_dir), WORK)
        onlooker.wait_for(False, AT_ONCE)
        eventually(lambda: httpx.get(f"{server.url}/api/v1/executions").is_success)


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.chaos)])
def test_killed(data_dir: Path, times: int) -> None:
    """However often, it is there again, with what was committed."""
    with up(data_dir) as server, Onlooker(server.url) as onlooker:
        onlooker.wait_for(True, BACK_WITHIN)
        for _ in range(times):
            fetch(dsn_of(data_dir), WORK)
            onlooker.wait_for(False, AT_ONCE)
            killed = postmaster(data_dir)
            os.kill(killed, signal.SIGKILL)
            onlooker.wait_for(None, AT_ONCE)
            onlooker.wait_for(False, BACK_WITHIN)
            assert postmaster(data_dir) != killed
            fetch(dsn_of(data_dir), DONE)
            onlooker.wait_for(True, AT_ONCE)


def test_a_full_disk(data_dir: Path) -> None:
    """Postgres cannot write another byte and crashes: never a wrong state; with room again the truth is back."""
    mount = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o {DISK},mode=711 tmpfs "$0" && exec "$@"', str(data_dir)]
    data_dir.mkdir()
    if subprocess.run([*mount, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk: run as root")
    with up(data_dir, *mount) as server, Onlooker(server.url) as onlooker:
        disk = Path(f"/proc/{server.process.pid}/root{data_dir}")
        dsn = dsn_of(data_dir).replace(str(data_dir), str(disk))
        now = time.monotonic()
        onlooker.wait_for(True, BACK_WITHIN)
        truths = [Truth(now, now, True)]
        _commit(dsn, WORK, truths, stable=False)
        onlooker.wait_for(False, AT_ONCE)
        _fill(disk / "fill")
        with suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as writer:
            while True:
                writer.execute("SELECT pg_logical_emit_message(true, 'fill', repeat('x', 1000000))")
        onlooker.wait_for(None, BACK_WITHIN)
        (disk / "fill").unlink()
        began = time.monotonic()
        onlooker.wait_for(False, BACK_WITHIN)
        print(f"\ndisk full: truth {time.monotonic() - began:.2f} s after there was room again")
        _commit(dsn, DONE, truths, stable=True)
        onlooker.wait_for(True, AT_ONCE)
        verdict = judge(onlooker.shown, truths, time.monotonic())
        assert verdict.lied == 0
        assert verdict.stale <= AT_ONCE


def _commit(dsn: str, statement: str, truths: list[Truth], *, stable: bool) -> None:
    began = time.monotonic()
    fetch(dsn, statement)
    truths.append(Truth(began, time.monotonic(), stable))


def _fill(file: Path) -> None:
    with suppress(OSError), file.open("wb") as full:
        while True:
            full.write(bytes(1 << 20))
            full.flush()
