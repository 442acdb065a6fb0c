"""A server that dies under open pages, and comes back."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Sql
from tests.fixtures.server import Serving, free_port

Keep = Callable[[Page, str], Path]


def _state(page: Page, state: str, *, within: float = 15_000) -> None:
    expect(page.locator("system-status")).to_have_attribute("state", state, timeout=within)


def test_killed_and_restarted(start_server: Callable[..., Serving], sql: Sql, page: Page, keep_picture: Keep) -> None:
    """Killed, the server leaves a badge that knows nothing; back, the page shows what was committed meanwhile."""
    port = free_port()
    server = start_server(port=port)
    page.goto(server.url)
    _state(page, "stable")
    expect(page.locator("#transport")).to_have_text("Live")
    server.process.kill()
    _state(page, "unknown")
    expect(page.locator("#transport")).not_to_have_text("Live")
    expect(page).to_have_title("Status Unknown · Stability")
    expect(page.locator("#transport")).to_have_text("Reconnecting...", timeout=10_000)
    expect(page.locator("[data-source=import_job]")).to_contain_text("Not known")
    keep_picture(page, "page-server-killed")
    sql("INSERT INTO public.import_job (slug, state) VALUES ('meanwhile.csv', 'importing_data')")
    start_server(port=port)
    _state(page, "processing")
    expect(page.locator("#transport")).to_have_text("Live")
    expect(page.locator("#work")).to_contain_text("meanwhile.csv")
    expect(page.locator("#work-error")).not_to_be_visible()
    sql("DELETE FROM public.import_job")
    _state(page, "stable")


def test_killed_under_an_open_modal(
    start_server: Callable[..., Serving], sql: Sql, page: Page, keep_picture: Keep
) -> None:
    """The open modal says that its request failed, keeps what it had, and follows again afterwards."""
    port = free_port()
    server = start_server(port=port)
    sql("INSERT INTO public.import_job (slug, state) VALUES ('before.csv', 'importing_data')")
    page.goto(server.url)
    page.get_by_role("button", name="Details", exact=True).click()
    modal = page.get_by_role("dialog")
    expect(modal).to_contain_text("before.csv")
    server.process.kill()
    expect(modal.get_by_role("alert")).to_have_text("Failed to load details: Failed to fetch")
    keep_picture(page, "modal-server-killed")
    expect(modal).to_contain_text("before.csv")
    sql("UPDATE public.import_job SET slug = 'after.csv'")
    start_server(port=port)
    expect(modal).to_contain_text("after.csv", timeout=15_000)
    expect(modal.get_by_role("alert")).to_be_empty()


def test_stopped_politely(start_server: Callable[..., Serving], page: Page) -> None:
    """A server that says goodbye on SIGTERM ends in time although a page is open, which comes back to the next one."""
    port = free_port()
    server = start_server(port=port)
    page.goto(server.url)
    _state(page, "stable")
    server.process.terminate()
    assert server.process.wait(timeout=5) == 0
    _state(page, "unknown")
    start_server(port=port)
    _state(page, "stable")
    expect(page.locator("#since")).to_have_text(re.compile("^Changed "))


def test_a_frozen_tab(serving: Serving, sql: Sql, page: Page) -> None:
    """A tab that the browser froze, as it does with those of yesterday, tells the truth as soon as it is thawed."""
    page.goto(serving.url)
    _state(page, "stable")
    session = page.context.new_cdp_session(page)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    sql("INSERT INTO public.import_job (slug, state) VALUES ('at_night.csv', 'importing_data')")
    session.send("Page.setWebLifecycleState", {"state": "active"})
    _state(page, "processing")
