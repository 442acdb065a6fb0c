"""The modal over a real server: what it says in every case, how it follows the work, how it opens and closes."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Sql, page_with_the_tag
from tests.fixtures.host import Host
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving

Keep = Callable[[Page, str], Path]

DETAILS = "**/api/system-status/details"
WORK = (
    "INSERT INTO public.import_job (slug, state, priority, total_rows, imported_rows) VALUES"
    " ('legal_units_2026.csv', 'importing_data', 1, 1000, 250), ('branches.csv', 'upload_completed', 2, NULL, NULL)",
    "INSERT INTO worker.command_registry VALUES ('derive_units', 'analytics'), ('derive_reports', 'analytics')",
    "INSERT INTO worker.tasks (command, state) VALUES ('derive_units', 'processing'), ('derive_reports', 'pending')",
)


@pytest.fixture
def embedded(host: Host, serving: Serving, page: Page) -> Page:
    """Somebody's page that holds the element alone, so that nothing but the modal asks for details."""
    host.upstream = serving.url
    host.pages["/"] = page_with_the_tag("/status/system-status.js")
    page.goto(host.url)
    expect(page.locator("system-status")).not_to_have_attribute("state", "loading")
    return page


def _hold(page: Page) -> list[Route]:
    """From now on requests for details stay unanswered; they are listed as they come."""
    held: list[Route] = []
    page.route(DETAILS, lambda route: held.extend([route]))
    return held


def _open(page: Page) -> Locator:
    page.get_by_role("button", name="Details", exact=True).click()
    return page.get_by_role("dialog", name="System Status Details")


def test_follows_the_work(embedded: Page, sql: Sql, keep_picture: Keep) -> None:
    """Open, it shows jobs and tasks in order and their progress, and moves with every commit until all is done."""
    for statement in WORK:
        sql(statement)
    modal = _open(embedded)
    jobs = modal.get_by_role("list").first.get_by_role("listitem")
    expect(modal.get_by_role("heading", name="Import Jobs In Progress")).to_be_visible()
    expect(modal.get_by_role("heading", name="Analytics Tasks In Progress")).to_be_visible()
    expect(jobs.first).to_contain_text("legal_units_2026.csvImporting data250 of 1000 rows (25%)")
    expect(jobs.last).to_contain_text("branches.csvUpload completed")
    expect(jobs.last.get_by_role("progressbar")).to_have_count(0)
    expect(modal.get_by_text("derive_units")).to_be_visible()
    bar = modal.get_by_role("progressbar", name="legal_units_2026.csv")
    expect(bar).to_have_attribute("value", "25")
    sql("UPDATE public.import_job SET imported_rows = 640 WHERE total_rows = 1000")
    expect(modal.get_by_text("640 of 1000 rows (64%)")).to_be_visible()
    expect(bar).to_have_attribute("value", "64")
    keep_picture(embedded, "modal-progress")
    sql("UPDATE public.import_job SET imported_rows = 1000 WHERE total_rows = 1000")
    expect(modal.get_by_text("1000 of 1000 rows (99%)")).to_be_visible()
    sql("UPDATE public.import_job SET state = 'finished'")
    expect(modal.get_by_role("heading", name="Import Jobs In Progress")).not_to_be_visible()
    expect(modal.get_by_text("No active")).to_have_count(0)
    sql("UPDATE worker.tasks SET state = 'completed'")
    expect(modal.get_by_text("No active import jobs.")).to_be_visible()
    expect(modal.get_by_text("No active analytics tasks.")).to_be_visible()
    expect(modal.get_by_text("System Stable: All data processing complete.")).to_be_visible()
    expect(embedded.locator("system-status")).to_have_attribute("state", "stable")
    keep_picture(embedded, "modal-stable")


def test_progress_never_goes_back(embedded: Page, sql: Sql) -> None:
    """A job that starts over keeps the bar where it was."""
    sql(WORK[0])
    modal = _open(embedded)
    expect(modal.get_by_text("250 of 1000 rows (25%)")).to_be_visible()
    sql("UPDATE public.import_job SET imported_rows = 10, state = 'preparing_data' WHERE total_rows = 1000")
    expect(modal.get_by_text("Preparing data")).to_be_visible()
    expect(modal.get_by_text("250 of 1000 rows (25%)")).to_be_visible()


def test_work_that_stands_still_says_so(embedded: Page, database: Database, sql: Sql) -> None:
    """When it last changed, as far as a server has seen it, once that is long ago; not for what moves."""
    for statement in WORK:
        sql(statement)
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("SELECT stability.look_for_stuck('1 day')")
        owner.execute("UPDATE stability.seen_active SET since = since - interval '42 min'")
    sql("UPDATE public.import_job SET imported_rows = 300 WHERE total_rows = 1000")
    modal = _open(embedded)
    jobs = modal.get_by_role("list").first.get_by_role("listitem")
    expect(jobs.last).to_contain_text("Last change seen 42 minutes ago")
    expect(jobs.first.get_by_text("Last change seen")).to_be_hidden()
    expect(modal.get_by_text("Last change seen 42 minutes ago")).to_have_count(3)


def test_other_work(embedded: Page, database: Database, sql: Sql, keep_picture: Keep) -> None:
    """Work of a source that has no list of its own is told by its name and count, as it changes."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("CREATE TABLE public.mail (id int, sent boolean NOT NULL DEFAULT false)")
        owner.execute("GRANT INSERT ON public.mail TO test_writer")
        owner.execute("SELECT stability.watch('mail', 'public.mail', 'NOT sent')")
    sql("INSERT INTO public.mail VALUES (1)")
    expect(embedded.locator("system-status")).to_have_attribute("state", "processing")
    modal = _open(embedded)
    expect(modal.get_by_text("No active import jobs.")).to_be_visible()
    expect(modal.get_by_text("System may still be processing background tasks.")).to_be_visible()
    others = modal.get_by_role("listitem")
    expect(others).to_have_text("Mail1 in progress")
    keep_picture(embedded, "modal-other-work")
    sql("INSERT INTO public.mail VALUES (2)")
    expect(others).to_have_text("Mail2 in progress")


def test_more_than_it_lists(embedded: Page, sql: Sql) -> None:
    """Of a long queue it shows the first hundred, and says how many there are."""
    sql("INSERT INTO public.import_job (slug, state) SELECT 'job ' || n, 'approved' FROM generate_series(1, 250) AS n")
    modal = _open(embedded)
    expect(modal.get_by_text("The first 100 of 250.")).to_be_visible()
    expect(modal.get_by_role("listitem")).to_have_count(100)
    box, body = modal.bounding_box(), modal.get_by_role("region").bounding_box()
    assert box is not None
    assert body is not None
    viewport = embedded.viewport_size
    assert viewport is not None
    assert box["width"] <= 600
    assert body["height"] <= 0.6 * viewport["height"] + 1


def test_loading(embedded: Page, keep_picture: Keep) -> None:
    """A spinner shows only after half a second of waiting, and goes when the details come."""
    held = _hold(embedded)
    embedded.clock.install(time=0)
    embedded.clock.pause_at(5_000)
    modal = _open(embedded)
    spinner = modal.get_by_text("Loading details...")
    embedded.clock.run_for(450)
    expect(spinner).not_to_be_visible()
    embedded.clock.run_for(100)
    expect(spinner).to_be_visible()
    keep_picture(embedded, "modal-loading")
    held.pop().continue_()
    expect(modal.get_by_text("System Stable: All data processing complete.")).to_be_visible()
    expect(spinner).not_to_be_visible()


def test_server_error(embedded: Page, database: Database, keep_picture: Keep) -> None:
    """A database that refuses is an HTTP 500, told as such; once it is mended the modal heals by itself."""
    rename = "ALTER FUNCTION stability.import_jobs_in_progress(integer) RENAME TO import_jobs_elsewhere"
    mend = "ALTER FUNCTION stability.import_jobs_elsewhere(integer) RENAME TO import_jobs_in_progress"
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(rename)
        modal = _open(embedded)
        expect(modal.get_by_role("alert")).to_have_text("Failed to load details: HTTP error! status: 500")
        expect(modal.get_by_text("Could not load status details.")).to_be_visible()
        keep_picture(embedded, "modal-500")
        owner.execute(mend)
    expect(modal.get_by_text("System Stable: All data processing complete.")).to_be_visible(timeout=10_000)
    expect(modal.get_by_role("alert")).to_be_empty()


def test_network_error(embedded: Page, keep_picture: Keep) -> None:
    """A request that never arrives is told in the browser's words."""
    embedded.route(DETAILS, lambda route: route.abort("connectionrefused"))
    modal = _open(embedded)
    expect(modal.get_by_role("alert")).to_have_text("Failed to load details: Failed to fetch")
    expect(modal.get_by_text("Could not load status details.")).to_be_visible()
    keep_picture(embedded, "modal-network-error")


def test_old_content_stays(embedded: Page, sql: Sql) -> None:
    """While newer details load, or fail to, what was read stays; a new opening begins empty."""
    sql(WORK[0])
    modal = _open(embedded)
    expect(modal.get_by_text("branches.csv")).to_be_visible()
    embedded.route(DETAILS, lambda route: route.abort())
    sql("UPDATE public.import_job SET imported_rows = 640 WHERE total_rows = 1000")
    expect(modal.get_by_role("alert")).to_have_text("Failed to load details: Failed to fetch")
    expect(modal.get_by_text("branches.csv")).to_be_visible()
    embedded.keyboard.press("Escape")
    modal = _open(embedded)
    expect(modal.get_by_text("Could not load status details.")).to_be_visible()
    expect(modal.get_by_text("branches.csv")).to_have_count(0)


def test_asks_only_while_it_is_open(embedded: Page, sql: Sql) -> None:
    """Nothing is fetched before it opens, and an answer that comes after it closed is aborted."""
    asked: list[str] = []
    failed: list[str] = []
    embedded.on("request", lambda request: asked.append(request.url) if request.url.endswith("/details") else None)
    embedded.on("requestfailed", lambda request: failed.append(request.url))
    sql(WORK[0])
    expect(embedded.locator("system-status")).to_have_attribute("state", "processing")
    assert asked == []
    _hold(embedded)
    modal = _open(embedded)
    expect(modal).to_be_visible()
    with embedded.expect_event("requestfailed"):
        embedded.keyboard.press("Escape")
    assert failed == asked


@pytest.mark.parametrize("opener", ["System Stable", "Details"])
def test_keyboard(embedded: Page, opener: str) -> None:
    """Enter opens it from badge and button, Esc closes it, and the focus returns to the one that opened it."""
    button = embedded.get_by_role("button", name=opener, exact=True)
    button.focus()
    embedded.keyboard.press("Enter")
    modal = embedded.get_by_role("dialog")
    expect(modal.get_by_role("button", name="Close")).to_be_focused()
    embedded.keyboard.press("Escape")
    expect(modal).not_to_be_visible()
    expect(button).to_be_focused()


def test_pointer(embedded: Page) -> None:
    """A click beside it closes it, a click in it does not; the cross closes it too."""
    modal = _open(embedded)
    modal.get_by_text("No active import jobs.").click()
    expect(modal).to_be_visible()
    embedded.mouse.click(5, 5)
    expect(modal).not_to_be_visible()
    _open(embedded).get_by_role("button", name="Close").click()
    expect(modal).not_to_be_visible()
    expect(embedded.get_by_role("button", name="Details", exact=True)).to_be_focused()


def test_focus_and_scroll_survive(embedded: Page, sql: Sql) -> None:
    """An update patches what changed: place, focus and elements stay."""
    sql("INSERT INTO public.import_job (slug, state) SELECT 'job ' || n, 'approved' FROM generate_series(1, 60) AS n")
    modal = _open(embedded)
    body = modal.get_by_role("region")
    last = modal.get_by_role("listitem").last
    expect(last).to_contain_text("job 60")
    body.focus()
    body.evaluate("body => { body.scrollTop = 900; window.kept = body.querySelector('li:last-child'); }")
    before = body.evaluate("body => body.scrollTop")
    sql("UPDATE public.import_job SET state = 'importing_data' WHERE slug = 'job 60'")
    expect(last).to_contain_text("Importing data")
    expect(body).to_be_focused()
    assert body.evaluate("body => body.scrollTop") == before
    assert body.evaluate("body => body.querySelector('li:last-child') === kept")


def test_sign_in(start_server: Callable[..., Serving], host: Host, page: Page, sql: Sql, keep_picture: Keep) -> None:
    """With a token set the badge is free, the modal says 401 and leads to the form, and the token opens the page."""
    server = start_server(STABILITY_TOKEN="open sesame")
    host.upstream = server.url
    host.pages["/"] = page_with_the_tag("/status/system-status.js")
    sql(WORK[0])
    page.goto(host.url)
    expect(page.locator("system-status")).to_have_attribute("state", "processing")
    modal = _open(page)
    expect(modal.get_by_role("alert")).to_contain_text("Failed to load details: HTTP error! status: 401")
    link = modal.get_by_role("link", name="Sign in")
    expect(link).to_have_attribute("href", f"{host.url}/status/login")
    keep_picture(page, "modal-sign-in")
    page.goto(server.url)
    page.get_by_label("Token").fill("open sesame")
    keep_picture(page, "sign-in")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("branches.csv").first).to_be_visible()
