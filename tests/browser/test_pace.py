"""The page's pause and rate control: how often it asks, by the requests that leave the browser."""

import httpx
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import Sql, streams
from tests.fixtures.eventually import eventually
from tests.fixtures.server import Serving

UNHEARD = 45_000  # milliseconds after which a stream that says nothing is dead


def state_of(serving: Serving) -> str:
    """What the server says of itself."""
    return str(httpx.get(f"{serving.url}/api/system-status").json()["state"])


def asked_once(page: Page, asked: list[str]) -> bool:
    """Whether the page looked once at both; what left the browser is told only while something is asked of it."""
    page.title()
    return [asked.count(path) for path in ("/api/live", "/api/system-status/details")] == [1, 1]


def test_how_often_the_page_asks(serving: Serving, sql: Sql, page: Page) -> None:
    """A stream for each look and none between, `r` looks at once, Off asks for nothing, and what is old is unknown."""
    asked: list[str] = []

    def note(request: Request) -> None:
        path = request.url.removeprefix(serving.url).partition("?")[0]
        if path.startswith("/api/"):
            asked.append(path)

    page.clock.install()
    page.add_init_script("delete window.SharedWorker")  # whose requests and clock are out of reach
    page.goto(serving.url)
    badge, pace, way = (
        page.locator("system-status"),
        page.get_by_label("Refresh", exact=True),
        page.locator("#transport"),
    )
    expect(way).to_have_text("Live")
    expect(badge).to_have_attribute("state", "stable")
    expect(pace.locator("option")).to_have_text(["Live", "30 s", "1 m", "2 m", "5 m", "10 m", "Off"])

    pace.select_option("1 m")
    expect(way).to_have_text("Paused")
    expect(badge).to_have_attribute("state", "stable")
    eventually(lambda: streams(serving) == 0)
    page.on("request", note)
    sql("INSERT INTO public.import_job (slug, state) VALUES ('a', 'approved')")
    eventually(lambda: state_of(serving) == "processing")
    page.clock.fast_forward(50_000)
    expect(page.locator("#updated")).to_have_text("50 seconds ago")
    assert asked == []
    page.clock.fast_forward(11_000)
    expect(badge).to_have_attribute("state", "processing")
    eventually(lambda: asked_once(page, asked) and streams(serving) == 0)

    sql("DELETE FROM public.import_job")
    eventually(lambda: state_of(serving) == "stable")
    pace.focus()
    page.keyboard.press("r")
    expect(badge).to_have_attribute("state", "processing")  # `r` in a field is the field's
    page.locator("h1").click()
    with page.expect_request("**/api/live?*"):
        page.keyboard.press("r")
    expect(badge).to_have_attribute("state", "stable")
    assert asked.count("/api/live") == 2

    pace.select_option("Off")
    eventually(lambda: streams(serving) == 0)
    page.clock.run_for(4_000)  # what was under way ends
    asked.clear()
    page.clock.fast_forward(UNHEARD)
    expect(badge).to_have_attribute("state", "unknown")
    expect(page).to_have_title("Status Unknown · Stability")
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", f"{serving.url}/favicon-unknown.svg")
    page.clock.fast_forward(24 * 3_600_000)
    expect(page.locator("#updated")).to_have_text("yesterday")
    assert asked == []


def test_the_choice_is_kept(serving: Serving, page: Page) -> None:
    """A page that was turned off looks once when it is loaded, and follows again when it is told to."""
    page.goto(serving.url)
    badge, pace, way = (
        page.locator("system-status"),
        page.get_by_label("Refresh", exact=True),
        page.locator("#transport"),
    )
    pace.select_option("Off")
    page.reload()
    expect(pace).to_have_value("off")
    expect(way).to_have_text("Paused")
    expect(badge).to_have_attribute("state", "stable")
    eventually(lambda: streams(serving) == 0)
    pace.select_option("Live")
    expect(way).to_have_text("Live")
