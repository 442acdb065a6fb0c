"""Faults between the server and those who look, and of the server itself."""

from contextlib import ExitStack
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.chaos.stage import Stage, started
from tests.fixtures.server import free_port

RESET_WITHIN: Final = 5.0  # seconds until somebody whose connection was reset knows that he knows nothing
SILENT_WITHIN: Final = 45.0  # seconds for one whose connection fell silent
BACK_WITHIN: Final = 35.0  # seconds from a way that is free again to the truth: clients wait 30 s at most, by then
GRACE: Final = 1.0  # seconds that it takes to show what is known

slow = pytest.mark.chaos


def test_the_way_is_cut(stage: Stage) -> None:
    """Every connection to the server is reset and none gets through."""
    with stage.fault("way to the server reset", stale=RESET_WITHIN) as watch:
        stage.way.upstream = free_port()  # nobody listens there
        stage.way.cut()
        stage.work(begins=True)
        watch.unknown(RESET_WITHIN)
        stage.way.upstream = stage.port
        watch.repaired()
        watch.truth(BACK_WITHIN)


@slow
def test_the_way_falls_silent(stage: Stage, page: Page) -> None:
    """Nothing arrives and nobody is told, at a command line and in a browser."""
    page.goto(f"http://127.0.0.1:{stage.way.port}/")
    badge = page.locator("system-status")
    expect(badge).to_have_attribute("state", "stable")
    with stage.fault("way to the server silent", stale=SILENT_WITHIN + GRACE) as watch:
        with stage.way.silent():
            stage.work(begins=True)
            watch.unknown(SILENT_WITHIN + GRACE)
            expect(badge).to_have_attribute("state", "unknown", timeout=watch.left(SILENT_WITHIN + GRACE) * 1000)
        watch.repaired()
        watch.truth(BACK_WITHIN)
        expect(badge).to_have_attribute("state", "processing", timeout=BACK_WITHIN * 1000)


def test_the_server_is_killed(stage: Stage) -> None:
    """SIGKILL, and another start on the same port, while work begins."""
    with ExitStack() as again, stage.fault("server killed by SIGKILL", stale=RESET_WITHIN, news=["listening"]) as watch:
        stage.server.process.kill()
        stage.server.process.wait()
        stage.work(begins=True)
        watch.unknown(RESET_WITHIN)
        again.enter_context(started(stage.line.dsn(stage.database.server_dsn), stage.port, stage.log))
        watch.repaired()
        watch.truth(BACK_WITHIN)
        stage.work(begins=False)
        stage.onlooker.wait_for(True, GRACE)
