"""The page at `/`."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Sql
from tests.fixtures.eventually import eventually
from tests.fixtures.host import STREAMS, WEB, Host
from tests.fixtures.host import Page as HostPage
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving

REREAD = 10_000  # milliseconds: nobody tells of a table that was renamed, so the next periodic read finds it

Keep = Callable[[Page, str], Path]


def test_tells_the_whole(serving: Serving, sql: Sql, page: Page, keep_picture: Keep) -> None:
    """Sources with counts, work with progress, when it was so, how the news travels: all live."""
    page.goto(serving.url)
    sources = page.locator("#sources")
    job = sources.locator("[data-source=import_job]")
    expect(job).to_contain_text("Import jobNothing in progress")
    expect(page.locator("#transport")).to_have_text("Live")
    sql(
        "INSERT INTO public.import_job (slug, state, total_rows, imported_rows)"
        " SELECT 'units ' || n, 'importing_data', 1000, 100 * n FROM generate_series(1, 3) AS n"
    )
    expect(job).to_contain_text("3 in progress")
    expect(page.get_by_role("progressbar", name="units 2")).to_have_attribute("value", "20")
    expect(page.locator("#as-of")).to_have_text(re.compile("^now|second"))
    expect(page.locator("#as-of")).to_have_attribute("datetime", re.compile(r"^\d{4}-\d\d-\d\dT.*Z$"))
    expect(page.locator("#since time")).to_have_text(re.compile("^now|second"))
    sql("INSERT INTO public.import_job (slug, state) SELECT 'job ' || n, 'approved' FROM generate_series(1, 1100) AS n")
    expect(job).to_contain_text("1000 or more in progress")
    keep_picture(page, "page-busy")


def test_title_and_icon(serving: Serving, sql: Sql, page: Page) -> None:
    """Title and icon tell the state to those who see only the tab, and the icon is a file of ours."""
    page.goto(serving.url)
    icon = page.locator("link[rel=icon]")
    expect(page).to_have_title("System Stable · Stability")
    expect(icon).to_have_attribute("href", f"{serving.url}/favicon-stable.svg")
    sql("INSERT INTO public.import_job (slug, state) VALUES ('a', 'approved')")
    expect(page).to_have_title("Processing Data · Stability")
    expect(icon).to_have_attribute("href", f"{serving.url}/favicon-processing.svg")
    for name in ("", "-stable", "-processing", "-unknown"):
        assert httpx.get(f"{serving.url}/favicon{name}.svg").headers["content-type"] == "image/svg+xml"


def test_a_broken_source(serving: Serving, database: Database, page: Page) -> None:
    """A source that cannot be read is named with its reason, beside those that can."""
    page.goto(serving.url)
    expect(page.locator("[data-source=import_job]")).to_contain_text("Nothing in progress")
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("ALTER TABLE worker.tasks RENAME TO tasks_of_yesterday")
    tasks = page.locator("[data-source=analytics_tasks]")
    expect(tasks).to_contain_text("Not known", timeout=REREAD)
    expect(tasks.locator(".reason")).to_contain_text("worker.tasks")


def test_phone(serving: Serving, sql: Sql, page: Page, keep_picture: Keep) -> None:
    """On a phone nothing sticks out, with a name as long as they come."""
    page.set_viewport_size({"width": 320, "height": 640})
    sql("INSERT INTO public.import_job (slug, state, total_rows) VALUES (repeat('name_', 30), 'a_state', 9)")
    page.goto(serving.url)
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    keep_picture(page, "page-phone")
    page.get_by_role("button", name="Details", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("progressbar")).to_be_visible()
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
    keep_picture(page, "modal-phone")


def test_without_javascript(serving: Serving, sql: Sql, browser: Browser, keep_picture: Keep) -> None:
    """Without JavaScript the page tells the state as of its loading, says so, and leads to the state itself."""
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(serving.url)
        state = page.locator("noscript .still")
        expect(state).to_have_text(
            re.compile(r"System Stable\s+as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, reload for news")
        )
        expect(state).to_be_visible()
        expect(page.locator("noscript > p").last).to_contain_text("follows the state with JavaScript, which is off")
        keep_picture(page, "page-without-javascript")
        sql("INSERT INTO public.import_job (slug, state) VALUES ('a', 'approved')")
        eventually(lambda: httpx.get(f"{serving.url}/api/system-status").json()["state"] == "processing")
        page.reload()
        expect(state).to_contain_text("Processing Data")
        page.get_by_role("link", name="The state as JSON").click()
        assert json.loads(page.locator("body").inner_text())["state"] == "processing"


def test_printed(serving: Serving, page: Page) -> None:
    """On paper the state has its moment, and nothing is there to be pressed."""
    page.goto(serving.url)
    expect(page.locator("system-status")).to_have_attribute("state", "stable")
    page.emulate_media(media="print")
    expect(page.locator("#printed")).to_be_visible()
    expect(page.locator("#printed")).to_have_text(re.compile(r"System Stable as of .*\d\d:\d\d:\d\d"))
    expect(page.locator("button:visible, select:visible, input:visible")).to_have_count(0)


def test_copies_the_tag(serving: Serving, page: Page) -> None:
    """The button copies the two lines, with this server's address."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(serving.url)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert (
        copied
        == f'<script type="module" src="{serving.url}/system-status.js"></script>\n<system-status></system-status>'
    )


@pytest.fixture
def scripted(host: Host) -> Host:
    """A server that serves the page, and whose stream the test decides."""
    host.pages["/"] = HostPage((WEB / "index.html").read_text())
    host.pages["/api/system-status/details"] = HostPage(
        '{"import_jobs":[],"analytics_tasks":[],"system_stable":true}', "application/json"
    )
    return host


def test_polling_is_told(scripted: Host, page: Page, keep_picture: Keep) -> None:
    """Where no stream gets through the state is asked for, and the page says so, with the reason."""
    for path in STREAMS:
        scripted.pages[path] = HostPage("<p>A proxy's own words</p>")
    scripted.pages["/api/system-status"] = HostPage('{"stable":false,"version":1,"sources":{}}', "application/json")
    page.goto(scripted.url)
    expect(page.locator("system-status")).to_have_attribute("state", "processing", timeout=20_000)
    expect(page.locator("#transport")).to_have_text("Polling")
    expect(page.get_by_text("No live stream gets through")).to_be_visible(timeout=10_000)
    keep_picture(page, "page-polling")


def test_reconnecting_is_told_after_five_seconds(scripted: Host, page: Page) -> None:
    """A stream that is away for a moment is not worth a word; one that stays away is."""
    page.clock.install()
    page.goto(scripted.url)
    stream = scripted.next_stream()
    stream.send('data: {"stable":true}\n\n')
    transport = page.locator("#transport")
    expect(transport).to_have_text("Live")
    for path in STREAMS:
        scripted.pages[path] = HostPage("away")
    stream.cut()
    expect(page.locator("system-status")).to_have_attribute("state", "unknown")
    page.clock.run_for(2_500)  # on top of the time that this takes, since the clock goes on
    expect(transport).to_have_text("")
    page.clock.run_for(2_600)
    expect(transport).to_have_text("Reconnecting...")


def test_a_new_build_reloads_the_hidden_page(scripted: Host, page: Page) -> None:
    """A page from an older build than the server's reloads, but only while nobody looks at it."""
    page.add_init_script("""
        let state = "visible";
        Object.defineProperty(document, "visibilityState", { get: () => state });
        window.hide = () => { state = "hidden"; document.dispatchEvent(new Event("visibilitychange")); };
    """)
    page.goto(scripted.url)
    stream = scripted.next_stream()
    stream.send('data: {"stable":true}\n\nevent: heartbeat\ndata: {"version":0,"build":"one"}\n\n')
    expect(page.locator("#transport")).to_have_text("Live")
    stream.send('event: heartbeat\ndata: {"version":0,"build":"two"}\n\ndata: {"stable":false}\n\n')
    expect(page.locator("system-status")).to_have_attribute("state", "processing")
    with page.expect_navigation():
        page.evaluate("hide()")
