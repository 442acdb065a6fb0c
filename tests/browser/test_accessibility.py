"""Nobody is shut out: no violation that axe-core can find, in both themes and in forced colours."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Sql
from tests.browser.test_modal import WORK
from tests.fixtures.server import Serving

Keep = Callable[[Page, str], Path]
Look = tuple[Literal["light", "dark"], Literal["active", "none"]]

LOOKS: list[Look] = [("light", "none"), ("dark", "none"), ("light", "active"), ("dark", "active")]


@pytest.fixture(params=LOOKS, ids=["light", "dark", "forced-light", "forced-dark"])
def looked_at(browser: Browser, request: pytest.FixtureRequest) -> Iterator[tuple[Page, str]]:
    """A tab that looks so, and the look's name."""
    scheme, forced = request.param
    context = browser.new_context(color_scheme=scheme, forced_colors=forced, reduced_motion="reduce")
    yield context.new_page(), "-".join(["forced"] * (forced == "active") + [scheme])
    context.close()


def _violations(page: Page, axe: str) -> list[str]:
    """What axe-core objects to: the rule, and where."""
    page.evaluate(axe)
    found = page.evaluate("""async () => (await axe.run({ resultTypes: ["violations"] })).violations
        .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id} ${target} ${failureSummary}`))""")
    return [str(each) for each in found]


def test_no_violation(looked_at: tuple[Page, str], serving: Serving, sql: Sql, axe: str, keep_picture: Keep) -> None:
    """The page at rest, at work and with the modal open."""
    page, look = looked_at
    page.goto(serving.url)
    expect(page.locator("system-status")).to_have_attribute("state", "stable")
    expect(page.locator("#work")).to_contain_text("No active import jobs.")
    at_rest = _violations(page, axe)
    for statement in WORK:
        sql(statement)
    expect(page.locator("#work")).to_contain_text("derive_reports")
    at_work = _violations(page, axe)
    keep_picture(page, f"look-{look}-page")
    page.get_by_role("button", name="Details", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("derive_reports")
    opened = _violations(page, axe)
    keep_picture(page, f"look-{look}-modal")
    assert [at_rest, at_work, opened] == [[], [], []]


def test_no_violation_in_trouble(serving: Serving, page: Page, axe: str, keep_picture: Keep) -> None:
    """The page and the modal after the server died, in both themes."""
    page.goto(serving.url)
    expect(page.locator("#sources")).to_contain_text("Nothing in progress")
    serving.process.kill()
    expect(page.locator("system-status")).to_have_attribute("state", "unknown")
    page.get_by_role("button", name="Status Unknown").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Failed to load details")
    found, schemes = {}, [scheme for scheme, forced in LOOKS if forced == "none"]
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found[scheme, "modal"] = _violations(page, axe)
    keep_picture(page, "look-dark-trouble-modal")
    page.keyboard.press("Escape")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found[scheme, "page"] = _violations(page, axe)
    keep_picture(page, "look-dark-trouble-page")
    assert {where: [] for where in found} == found


def test_no_violation_in_what_may_be_asked(looked_at: tuple[Page, str], serving: Serving, axe: str) -> None:
    """Closed, and with all of it open."""
    page, _ = looked_at
    page.goto(f"{serving.url}/docs")
    closed = _violations(page, axe)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert [closed, _violations(page, axe)] == [[], []]


def test_still(serving: Serving, sql: Sql, page: Page) -> None:
    """Who asked for less motion sees none."""
    page.emulate_media(reduced_motion="reduce")
    sql(WORK[0])
    page.goto(serving.url)
    expect(page.locator("system-status")).to_have_attribute("state", "processing")
    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(reduced_motion="no-preference")
    page.wait_for_function("document.querySelector('system-status').shadowRoot.getAnimations().length > 0")


def test_the_login_form(start_server: Callable[..., Serving], page: Page, axe: str) -> None:
    """The form that asks for the token is as open as the rest."""
    page.goto(start_server(STABILITY_TOKEN="open sesame").url)
    expect(page.get_by_label("Token")).to_be_focused()
    assert _violations(page, axe) == []
