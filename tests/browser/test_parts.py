"""Executions and deployments: on the page, and each alone on anybody's."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from stability.levels import level
from tests.browser.test_accessibility import LOOKS, _violations
from tests.fixtures.host import Host
from tests.fixtures.host import Page as HostPage
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
    expect(page.locator("execution-status path.running")).to_have_attribute("d", re.compile("H1000$"))
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


COLOURS = {
    "pending": ("yellow", "0"),
    "installing": ("blue", "33"),
    "starting": ("blue", "66"),
    "running": ("green", None),
    "unhealthy": ("red", None),
    "failed": ("red", None),
    "stopped": ("grey", None),
}


def test_a_deployment_comes_up_and_goes(shown: Shown, page: Page) -> None:
    """Text and colour follow each status; there is a bar for those that are on their way; what went is gone."""
    page.goto(shown.url)
    part = page.locator("deployment-status")
    expect(part).to_contain_text("No deployments.")
    for status, (colour, percent) in COLOURS.items():
        shown.deploy("1", "web", status)
        expect(part.locator(".status")).to_have_text(status)
        expect(part.locator(".chip")).to_have_attribute("data-colour", colour)
        expect(part).to_have_attribute("state", level(status))
        if percent:
            expect(part.get_by_role("progressbar")).to_have_attribute("value", percent)
        else:
            expect(part.get_by_role("progressbar")).to_have_count(0)
    expect(part).to_contain_text("will wake on next request")
    shown.put("deployments", "1", None)
    expect(part).to_contain_text("No deployments.")


def test_old_news_ages_by_itself(shown: Shown, page: Page) -> None:
    """What nobody observed for three intervals is unknown, with what it was and when beside it."""
    shown.deploy("1", "web", "running", 88)
    page.goto(shown.url)
    part = page.locator("deployment-status")
    expect(part.locator(".status")).to_have_text("unknown")
    expect(part).to_contain_text(re.compile(r"running, as of \d\d:\d\d"))
    expect(part).to_have_attribute("state", "unknown")


def test_the_chart_by_keyboard_and_as_a_table(shown: Shown, page: Page) -> None:
    """Arrow keys walk through it and say what is there; changes redraw the same paths; the table has the same."""
    _fill(shown)
    page.goto(shown.url)
    part = page.locator("execution-status")
    picture, running = part.get_by_role("img"), part.locator("path.running")
    expect(picture).to_have_accessible_name(re.compile("over the last hour: now 7 running and 4 pending"))
    node = running.element_handle()
    picture.focus()
    page.keyboard.press("ArrowLeft")
    expect(part.locator(".bubble")).to_contain_text("7 running")
    expect(part.get_by_role("status")).to_contain_text("7 running, 4 pending")
    shown.count(pending=1, running=2)
    expect(picture).to_have_accessible_name(re.compile("now 2 running and 1 pending"))
    assert page.evaluate("node => node.isConnected", node)
    part.get_by_text("Show as table").click()
    expect(part.locator("tbody tr")).to_have_count(60)
    part.get_by_role("radio", name="Week").check()
    expect(picture).to_have_accessible_name(re.compile("over the last 7 days: now 2 running"))


def test_a_server_that_lacks_a_topic(database: Database, page: Page) -> None:
    """The page leaves it out and shows the rest."""
    with showing(database, DEPLOYMENTS) as server:
        page.goto(server.url)
        expect(page.locator("deployment-status")).to_contain_text("No deployments.")
        expect(page.locator("system-status")).to_have_attribute("state", "stable")
        expect(page.locator("execution-status")).to_have_attribute("state", "absent")
        expect(page.locator("#executions")).to_be_hidden()


def test_each_alone_under_a_strict_policy_and_a_prefix(shown: Shown, host: Host, page: Page) -> None:
    """Each works by its one tag on a foreign page under `default-src 'self'` and below a prefix, without one breach."""
    page.add_init_script("window.breaches = []; addEventListener('securitypolicyviolation', () => breaches.push(1));")
    _fill(shown)
    host.upstream = shown.url
    for module, tag, something in (
        ("deployments", "deployment-status", "billing"),
        ("executions", "execution-status", "12,345"),
    ):
        host.pages["/"] = HostPage(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A host page</title>'
            f'<script type="module" src="/status/{module}.js"></script></head>'
            f"<body><main><h1>Ours</h1><{tag}></{tag}></main>",
            headers={"Content-Security-Policy": "default-src 'self'"},
        )
        page.goto(host.url)
        expect(page.locator(tag)).to_contain_text(something)
        assert page.evaluate("breaches") == []
    expect(page.locator("execution-status path.running")).to_have_attribute("d", re.compile("H1000$"))
    assert page.evaluate("breaches") == []


@pytest.mark.parametrize(("scheme", "forced"), LOOKS)
def test_no_violation(  # noqa: PLR0917 -- what is shown, how, and to whom
    shown: Shown, page: Page, axe: str, keep_picture: Keep, scheme: str, forced: str
) -> None:
    """Nobody is shut out, with something of everything and the table open."""
    _fill(shown)
    page.emulate_media(color_scheme=scheme, forced_colors=forced, reduced_motion="reduce")  # type: ignore[arg-type]
    page.goto(shown.url)
    expect(page.locator("execution-status path.running")).to_have_attribute("d", re.compile("H1000$"))
    page.locator("execution-status").get_by_text("Show as table").click()
    expect(page.locator("deployment-status")).to_contain_text("billing")
    assert _violations(page, axe) == []
    keep_picture(page, f"parts-{scheme}-{forced}")
