"""What hundreds of faults leave behind in the server: nothing."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from typing import Final

import httpx
import pytest

from stability.database import POOL
from tests.chaos.stage import Stage
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import fetch

KILL: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'stability%'"
)
BACKENDS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'stability%'"
)
SLACK: Final = 256 * 1024  # bytes over a hundred cycles, a page or two of the allocator each


@dataclass(frozen=True)
class Holdings:
    """What the server holds at one moment of rest, apart from what its pool may keep."""

    descriptors: int  # beside those of its connections to Postgres
    tasks: int


@pytest.mark.parametrize("cycles", [3, pytest.param(200, marks=pytest.mark.chaos)])
def test_nothing_is_left_behind(stage: Stage, cycles: int) -> None:
    """Each cycle: clients come and go, every connection to Postgres is killed, work begins and ends."""
    holdings, backends, memory = [], [], []
    for _ in range(cycles):
        clients = [Follower(f"http://127.0.0.1:{stage.port}/api/system-status/live") for _ in range(3)]
        for client in clients:
            client.__enter__()
        fetch(stage.database.dsn, KILL)
        stage.work(begins=True)
        stage.onlooker.wait_for(False, 5)
        stage.work(begins=False)
        stage.onlooker.wait_for(True, 5)
        for client in clients:
            client.__exit__()
        stage.await_rest()
        eventually(lambda: httpx.get(f"http://127.0.0.1:{stage.port}/livez").is_success and _streams(stage) == 1)
        backends += fetch(stage.database.dsn, BACKENDS)
        holdings.append(_holdings(stage, backends[-1]))
        memory.append(_memory(stage))
    half = memory[cycles // 2 :]
    slope = linear_regression(range(len(half)), half).slope
    kept = f"{holdings[1]} → {holdings[-1]}, {backends[1]} → {backends[-1]} backends"
    print(f"\n{cycles} cycles: {kept}, {slope:+.0f} bytes a cycle over the last {len(half)}")
    assert holdings[-1] == holdings[1]
    assert max(backends) <= 2 * POOL + 3  # refreshers' and requests'; the listener, the announcer and the duties
    if cycles >= 200:
        assert slope * len(half) < SLACK


def _holdings(stage: Stage, backends: int) -> Holdings:
    descriptors = len(os.listdir(f"/proc/{stage.server.process.pid}/fd"))
    return Holdings(descriptors - backends, int(_metric(stage, "stability_tasks")))


def _memory(stage: Stage) -> int:
    """Bytes that are resident and the process's own."""
    text = Path(f"/proc/{stage.server.process.pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) * 1024


def _streams(stage: Stage) -> int:
    return int(_metric(stage, "stability_clients"))


def _metric(stage: Stage, name: str) -> float:
    text = httpx.get(f"http://127.0.0.1:{stage.port}/metrics").text
    found = re.search(rf"^{name} (\S+)", text, re.MULTILINE)
    assert found is not None
    return float(found[1])
