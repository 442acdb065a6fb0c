"""One tag on somebody else's page: behind a path prefix, from another origin, under a strict policy."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Sql, page_with_the_tag
from tests.fixtures.host import Host
from tests.fixtures.host import Page as HostPage
from tests.fixtures.server import Serving

STRICT = "default-src 'self'"
BUSY = (
    "INSERT INTO public.import_job (slug, state, total_rows, imported_rows) VALUES ('a.csv', 'importing_data', 10, 4)"
)


@pytest.fixture
def watched(page: Page) -> Page:
    """A tab that notes every breach of a page's policy."""
    page.add_init_script("""
        window.breaches = [];
        addEventListener("securitypolicyviolation", ({ violatedDirective: rule }) => breaches.push(rule));
    """)
    return page


def _works(page: Page, sql: Sql) -> None:
    badge = page.locator("system-status")
    expect(badge).to_have_attribute("state", "stable")
    sql(BUSY)
    expect(badge).to_have_attribute("state", "processing")
    page.get_by_role("button", name="Processing Data").hover()
    expect(page.get_by_role("tooltip")).to_be_visible()
    page.get_by_role("button", name="Details", exact=True).click()
    modal = page.get_by_role("dialog")
    expect(modal.get_by_text("4 of 10 rows (40%)")).to_be_visible()
    sql("UPDATE public.import_job SET imported_rows = 7")
    expect(modal.get_by_text("7 of 10 rows (70%)")).to_be_visible()
    assert modal.evaluate("dialog => getComputedStyle(dialog).borderRadius") == "12px"


def test_strict_policy_and_prefix(host: Host, serving: Serving, watched: Page, sql: Sql) -> None:
    """Under `default-src 'self'` and below /status/ everything works, styles and worker too, without one breach."""
    host.upstream = serving.url
    host.pages["/"] = page_with_the_tag("/status/system-status.js", **{"Content-Security-Policy": STRICT})
    watched.goto(host.url)
    _works(watched, sql)
    assert watched.evaluate("breaches") == []


def test_another_origin(start_server: Callable[..., Serving], host: Host, watched: Page, sql: Sql) -> None:
    """From another origin it takes the two lines of policy that the README names, and leave for the details."""
    serving = start_server(STABILITY_ALLOWED_ORIGINS=host.url)
    policy = f"{STRICT}; script-src 'self' {serving.url}; connect-src 'self' {serving.url}"
    host.pages["/"] = page_with_the_tag(f"{serving.url}/system-status.js", **{"Content-Security-Policy": policy})
    watched.goto(host.url)
    _works(watched, sql)


def test_a_stranger_sees_the_badge_only(host: Host, serving: Serving, page: Page, sql: Sql) -> None:
    """A foreign page that nobody allowed shows the badge; its modal says that the details could not be loaded."""
    sql(BUSY)
    host.pages["/"] = page_with_the_tag(f"{serving.url}/system-status.js")
    page.goto(host.url)
    expect(page.locator("system-status")).to_have_attribute("state", "processing")
    page.get_by_role("button", name="Details", exact=True).click()
    said = f"{host.url} may not read it. STABILITY_ALLOWED_ORIGINS of the server has to name it."
    expect(page.get_by_role("alert")).to_have_text(f"Failed to load details: {said}")
    expect(page.get_by_text("a.csv")).to_have_count(0)


def test_a_stranger_is_told_what_would_help(host: Host, serving: Serving, page: Page) -> None:
    """Parts on a foreign page that nobody allowed name the setting, and claim nothing that they could not ask for."""
    modules = "".join(
        f'<script type="module" src="{serving.url}/{name}.js"></script>' for name in ("services", "status-history")
    )
    tags = "<service-status></service-status><status-history></status-history>"
    host.pages["/"] = HostPage(f"<!doctype html><title>A host page</title>{modules}{tags}")
    page.goto(host.url)
    for tag, words in (("service-status", "Network error: "), ("status-history", "Failed to load the history: ")):
        said = f"{words}{host.url} may not read it. STABILITY_ALLOWED_ORIGINS of the server has to name it."
        expect(page.locator(tag).get_by_text(said)).to_be_visible()
    expect(page.locator("service-status").get_by_text("No services found")).to_be_hidden()
    serving.process.kill()
    expect(page.locator("service-status")).to_have_attribute("way", "lost")
    expect(page.locator("service-status").get_by_text("No services found")).to_be_hidden()


def test_our_page_below_a_prefix(host: Host, serving: Serving, watched: Page, sql: Sql) -> None:
    """The page itself works below a prefix, under its own policy."""
    host.upstream = serving.url
    watched.goto(f"{host.url}/status/")
    sql(BUSY)
    expect(watched.locator("#work")).to_contain_text("4 of 10 rows (40%)")
    expect(watched.locator("#embed")).to_contain_text(f"{host.url}/status/system-status.js")
    assert watched.evaluate("breaches") == []
