"""Executions and deployments: on the page, and each alone on anybody's."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.postgres import Database
from tests.fixtures.shown import DEPLOYMENTS, EXECUTIONS, Shown, change, showing

Keep = Callable[[Page, str], Path]

STATUSES = ("PENDING", "READY", "RUNNING", "FINISHED", "FAILED", "CANCELLED")


@pytest.fixture
def shown(database: Database) -> Iterator[Shown]:
    """A server with both."""
    with showing(database, EXECUTIONS, DEPLOYMENTS) as server:
        yield server


def _fill(shown: Shown) -> None:
    """Something of everything."""
    shown.happened(*((60 * (58 - n), (n * 7) % 5 + (n > 30) * 3, (n * 5) % 9) for n in range(58)))
    latest = [
        change(90 - n, 20 * n * n, STATUSES[n % 3], STATUSES[n % 3 + 1], name=f"import-{n}.csv") for n in range(17)
    ]
    latest += [change(70, 7200, None, "PENDING"), change(69, 7300, "PENDING", None)]
    latest += [change(68, 9000, None, None, execution_id=None)]
    shown.count(latest, pending=4, ready=2, running=7, finished=12_345, failed=3, cancelled=0)
    shown.deploy("1", "api", "running", 12)
    shown.deploy("2", "billing", "unhealthy", 3, error_message="Health check failed: 503")
    shown.deploy("3", "docs", "stopped", 20)
    shown.deploy("4", "frontend", "starting", 1, progress_message="Installing packages and starting server...")
    shown.deploy("5", "mailer", "failed", 2, error_message="Machine creation failed: no capacity in fra")
    shown.deploy("6", "new-one", "pending", 2)
    shown.deploy("7", "old-news", "running", 600)
    shown.deploy("8", "slow", "running", 75)
    shown.deploy("9", "worker", "installing", 4, progress_message="Creating Fly machine...")


def test_tells_the_whole(shown: Shown, page: Page, keep_picture: Keep) -> None:
    """Both stand on the page, in both themes."""
    _fill(shown)
    page.set_viewport_size({"width": 900, "height": 2200})
    page.emulate_media(reduced_motion="reduce")
    page.goto(shown.url)
    expect(page.locator("deployment-status")).to_contain_text("billing")
    expect(page.locator("execution-status")).to_contain_text("12,345")
    expect(page.locator("execution-status svg[role=img]")).not_to_have_attribute("data-loading", re.compile(""))
    keep_picture(page, "parts-light")
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    keep_picture(page, "parts-dark")


def test_phone(shown: Shown, page: Page, keep_picture: Keep) -> None:
    """On a phone nothing sticks out, with names as long as they come."""
    _fill(shown)
    shown.deploy("x", "a-name-" * 12, "failed", error_message="reason" * 30)
    page.set_viewport_size({"width": 360, "height": 3000})
    page.goto(shown.url)
    expect(page.locator("execution-status")).to_contain_text("12,345")
    expect(page.locator("deployment-status")).to_contain_text("a-name-a-name")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    keep_picture(page, "parts-phone")
