"""Sections of what nobody set up: neither well nor ill, with what would set them up."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Sql
from tests.browser.test_accessibility import LOOKS, _violations
from tests.browser.test_monitors import ONE
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving

Keep = Callable[[Page, str], Path]
SET_UP: Final = {"service-status": "CONSUL_HTTP_ADDR", "application-status": "DOCKER_HOST"}


def test_what_is_not_set_up_says_so(serving: Serving, page: Page, axe: str, keep_picture: Keep) -> None:
    """In grey, here and in the overview, where it counts for nothing; there is nothing to refresh or to filter."""
    page.set_viewport_size({"width": 900, "height": 1500})
    page.goto(serving.url)
    for tag, setting in SET_UP.items():
        part = page.locator(tag)
        expect(part).to_have_attribute("state", "unset")
        expect(part.get_by_text(re.compile(f"^Not set up. .*{setting}"))).to_be_visible()
        expect(part.get_by_role("button")).to_have_count(0)
        expect(part.get_by_text(re.compile("No (services found|applications)"))).to_be_hidden()
    overview = page.locator("#overview")
    for name, said in (
        ("Services", "Not set up"),
        ("Applications", "Not set up"),
        ("Deployments", "Nothing in progress"),
    ):
        expect(overview.get_by_role("link", name=name)).to_have_accessible_name(f"{name} {said}")
    expect(overview.locator(".worst")).to_have_text("All is well")
    for scheme, forced in LOOKS:
        page.emulate_media(color_scheme=scheme, forced_colors=forced, reduced_motion="reduce")
        keep_picture(page, f"unset-{scheme}-{forced}")
        assert _violations(page, axe) == []


def test_rows_are_shown_whoever_set_them_up(serving: Serving, database: Database, sql: Sql, page: Page) -> None:
    """An application at which nobody can look is unknown, beside the same word; another server's Consul counts."""
    page.goto(serving.url)
    applications, services = page.locator("application-status"), page.locator("service-status")
    expect(applications).to_have_attribute("state", "unset")
    sql(ONE)
    expect(applications.locator("tbody .status")).to_have_text("unknown")
    expect(applications).to_have_attribute("state", "unknown")
    expect(applications).to_contain_text("DOCKER_HOST")
    expect(services).to_have_attribute("state", "unset")
    fetch(database.dsn, "UPDATE stability.consul SET available = true, observed_at = now()")
    page.reload()
    expect(services).to_contain_text("No services found")
    expect(services).to_have_attribute("state", "ok")


@pytest.mark.parametrize("tag", SET_UP)
def test_a_filter_of_nothing(serving: Serving, page: Page, tag: str) -> None:
    """An address that filters what is not set up finds the same word."""
    page.goto(f"{serving.url}/?{tag.removesuffix('-status')}s=is%3Acritical")
    expect(page.locator(tag)).to_contain_text("Not set up")
    expect(page.locator(tag)).to_have_attribute("state", "unset")
