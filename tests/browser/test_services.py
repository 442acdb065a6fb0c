"""Services on the page: how they are, live, and how they were."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, Route, expect

from stability.duty import CLASS
from tests.browser.test_accessibility import LOOKS, _violations
from tests.fixtures.consul import agent
from tests.fixtures.eventually import eventually
from tests.fixtures.host import Host
from tests.fixtures.host import Page as HostPage
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving, serve
from tests.test_sql_services import MINUTE, record, sample, service

Keep = Callable[[Page, str], Path]
AT_ONCE = 1000  # milliseconds, the contract's


@pytest.fixture
def page(page: Page) -> Page:
    """So high that nothing is out of sight, where nothing is drawn."""
    page.set_viewport_size({"width": 900, "height": 1800})
    return page


@pytest.fixture
def served(database: Database) -> Iterator[Serving]:
    """A server that is told of a Consul; to observe it is the test's duty."""
    with psycopg.connect(database.dsn, autocommit=True) as observer:
        observer.execute("SELECT pg_advisory_lock(%s, hashtext('services: consul'))", (CLASS,))
        with serve(database.server_dsn, CONSUL_HTTP_ADDR="http://127.0.0.1:9", STABILITY_REREAD_SECONDS="0") as server:
            yield server


def fill(database: Database) -> None:
    """Something of everything, of the last three hours."""
    now = datetime.now(UTC)
    told = [
        {**service("web"), "tags": ["edge", "http"], "meta": {"url": "https://web.example/"}},
        {**service("api"), "port": 8080},
        service("billing"),
        service("a-service-with-a-name-" * 3),
        service("bare", None),
        service("old"),
        {**service("odd"), "address": None},
    ]
    record(database, now - 180 * MINUTE, *told, whole=True)
    for minute in range(179, 0, -1):
        at = now - minute * MINUTE
        if minute == 90:
            record(database, at, service("billing", "critical"), service("api", "warning"))
        if minute == 80:
            record(database, at, service("billing", "passing"), gone=["n1:old"])
        if not 40 < minute < 60:
            sample(database, at)
    record(database, now, service("billing", "critical"))
    fetch(database.dsn, "UPDATE stability.consul SET available = true")


def test_tells_the_whole(served: Serving, database: Database, page: Page, keep_picture: Keep) -> None:
    """Each service with its status, link, tags and history; worst first in the summary."""
    fill(database)
    page.goto(served.url)
    part = page.locator("service-status")
    expect(part.locator("thead th")).to_have_text(["Service Name", "Status", "URL", "Tags", "24h History", *_NUMBERS])
    row = part.get_by_role("row").filter(has_text="billing")
    expect(row.locator(".status")).to_have_text(re.compile("🔴 critical"))
    expect(part.get_by_role("row").filter(has_text="bare").locator(".status")).to_have_text(re.compile("⚪ unknown"))
    expect(part.get_by_role("row").filter(has_text="old").locator(".status")).to_have_text(re.compile("⚪ gone"))
    expect(part.locator(".counts")).to_have_text("1 critical, 1 warning, 1 unknown, 1 gone, 3 passing")
    link = part.get_by_role("link", name="web.example")
    expect(link).to_have_attribute("href", "https://web.example/")
    expect(link).to_have_attribute("target", "_blank")
    expect(link).to_have_attribute("rel", "noopener")
    expect(part.get_by_role("row").filter(has_text="odd").get_by_role("link")).to_have_count(0)
    expect(row.locator(".bars path")).to_have_count(4)
    expect(row.locator("path.critical")).to_have_attribute("d", re.compile("M"))
    expect(row.get_by_role("img")).to_have_accessible_name(
        re.compile(r"^billing: [\d.]+ % passing over 24 h, . critical")
    )
    expect(part).to_have_attribute("state", "critical")
    page.emulate_media(reduced_motion="reduce")
    keep_picture(page, "services-light")
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    keep_picture(page, "services-dark")
    page.set_viewport_size({"width": 360, "height": 2600})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    keep_picture(page, "services-phone")


_NUMBERS = ["From", "Passing", "Warning", "Critical", "Unknown", "Samples"]


def test_a_status_follows_the_stream(served: Serving, database: Database, page: Page) -> None:
    """Within a second, without a refresh; what is new is there, what vanished is not green."""
    record(database, datetime.now(UTC), service(), whole=True)
    page.goto(served.url)
    part = page.locator("service-status")
    status = part.locator(".status")
    expect(status).to_have_text(re.compile("🟢 passing"))
    for told, seen in (("critical", "🔴 critical"), ("warning", "🟡 warning"), ("passing", "🟢 passing")):
        record(database, datetime.now(UTC), service(status=told))
        expect(status).to_have_text(re.compile(seen), timeout=AT_ONCE)
    record(database, datetime.now(UTC), service("api"))
    expect(status).to_have_count(2, timeout=AT_ONCE)
    record(database, datetime.now(UTC), gone=["n1:web"])
    expect(part.get_by_role("row").filter(has_text="web").locator(".status")).to_have_text(re.compile("⚪ gone"))


def test_a_check_finds_its_service(served: Serving, database: Database, page: Page) -> None:
    """By its name, as it is shown; no word of ours finds one that has checks."""
    record(database, datetime.now(UTC), *(service(f"s{n}", None) for n in range(6)), service(), whole=True)
    page.goto(served.url)
    part = page.locator("service-status")
    for words, found in (("PING", 1), ("object", 0), ("", 7)):
        part.get_by_role("searchbox", name="Filter services by words").fill(words)
        expect(part.locator(".status")).to_have_count(found)


def test_consul_away_and_old_news(served: Serving, database: Database, page: Page) -> None:
    """What is known stays with a word; what nobody saw for three samples is unknown, with what it was."""
    page.goto(served.url)
    part = page.locator("service-status")
    expect(part).to_contain_text("Consul connection failed - showing cached data")
    expect(part).to_contain_text("No services found")
    seen = datetime.now(UTC) - timedelta(seconds=179)
    record(database, seen, service(), whole=True)
    expect(part.locator(".status")).to_have_text(re.compile("unknown passing, as of"))
    record(database, datetime.now(UTC), service(), whole=True, by="you")
    expect(part.locator(".status")).to_have_text(re.compile("🟢 passing"))
    expect(part).not_to_contain_text("Consul connection failed")
    fetch(database.server_dsn, "SELECT stability.lose_consul('you', 'refused', false)")
    expect(part).to_contain_text("Consul connection failed - showing cached data")
    expect(part.locator(".status")).to_have_text(re.compile("🟢 passing"))
    expect(part).to_have_attribute("state", "unknown")


def test_choices_are_kept(served: Serving, database: Database, page: Page) -> None:
    """Toggle, interval and granularity; the interval is nobody's choice while it is off."""
    record(database, datetime.now(UTC), service(), whole=True)
    page.goto(served.url)
    part = page.locator("service-status")
    toggle, interval = part.get_by_role("switch", name="Auto-refresh"), part.get_by_role("combobox", name="Interval")
    history = part.get_by_role("combobox", name="History:")
    expect(toggle).not_to_be_checked()
    expect(interval).to_be_disabled()
    expect(interval.locator("option")).to_have_text(["30s", "1m", "2m", "5m", "10m"])
    expect(history.locator("option")).to_have_text(["5m", "15m", "30m", "60m"])
    expect(part.get_by_role("button", name="🔄 Refresh")).to_be_visible()
    with page.expect_response("**/api/config"):
        toggle.check()
    with page.expect_response("**/api/config"):
        interval.select_option("5m")
    with page.expect_response("**/history?granularity=60"), page.expect_response("**/api/config"):
        history.select_option("60m")
    page.reload()
    expect(toggle).to_be_checked()
    expect(interval).to_have_value("300")
    expect(history).to_have_value("60")


def test_refreshing(served: Serving, database: Database, page: Page) -> None:
    """The button says that it is at work, charts are redrawn in place, and failures are told."""
    record(database, datetime.now(UTC), service(), whole=True)
    page.goto(served.url)
    part = page.locator("service-status")
    passing = part.locator("path.passing")
    expect(passing).to_have_attribute("d", re.compile("M"))
    node, before = passing.element_handle(), passing.get_attribute("d")
    held: list[Route] = []
    page.route("**/api/services/history*", lambda route: held.append(route))  # noqa: PLW0108 -- it looks at signatures
    record(database, datetime.now(UTC) + timedelta(seconds=1), service(status="critical"))
    part.get_by_role("button", name="🔄 Refresh").click()
    expect(part.get_by_role("button", name="Loading...")).to_be_visible()
    eventually(lambda: held or page.evaluate("0"))
    held[0].continue_()
    expect(part.get_by_role("button", name="🔄 Refresh")).to_be_visible()
    assert page.evaluate("node => node.isConnected", node)
    assert before is not None
    page.unroute("**/api/services/history*")
    page.route("**/api/services", lambda route: route.abort())
    part.get_by_role("button", name="🔄 Refresh").click()
    expect(part).to_contain_text("Network error: Failed to fetch")
    page.unroute("**/api/services")
    answer = '{"status":"error","error":"Failed to fetch services","services":[],"consul_available":false}'
    page.route("**/api/services", lambda route: route.fulfill(status=503, body=answer))
    part.get_by_role("button", name="🔄 Refresh").click()
    expect(part).not_to_contain_text("Network error")
    expect(part).to_contain_text("Failed to fetch services")
    expect(part.locator(".status")).to_have_count(1)


def test_the_chart_by_pointer_keyboard_and_as_a_table(served: Serving, database: Database, page: Page) -> None:
    """Each bar says when it was and how much of what; arrow keys walk; the table has the same."""
    fill(database)
    page.goto(served.url)
    part = page.locator("service-status")
    row = part.get_by_role("row").filter(has_text="billing")
    picture = row.get_by_role("img")
    expect(row.locator("path.passing")).to_have_attribute("d", re.compile("M"))
    picture.hover()
    expect(part.locator(".bubble")).to_contain_text("No samples")
    picture.focus()
    page.keyboard.press("End")
    expect(part.locator(".bubble")).to_contain_text(re.compile(r"\d{4}.*(Passing|Critical): [\d.]+%", re.DOTALL))
    expect(part.locator("[role=status].unseen")).to_contain_text(re.compile("(Passing|Critical): "))
    page.keyboard.press("Escape")
    expect(part.locator(".bubble")).to_be_hidden()
    part.get_by_text("Show as table").click()
    part.get_by_role("combobox", name="Service:").select_option("n1:billing")
    expect(part.locator(".rows tbody tr")).to_have_count(96)


def test_strict_policy_and_prefix(served: Serving, database: Database, host: Host, page: Page) -> None:
    """It works on a foreign page under `default-src 'self'` and below a prefix, without one breach."""
    page.add_init_script("window.breaches = []; addEventListener('securitypolicyviolation', () => breaches.push(1));")
    record(database, datetime.now(UTC), service(), whole=True)
    host.upstream = served.url
    host.pages["/"] = HostPage(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A host page</title>'
        '<script type="module" src="/status/services.js"></script></head>'
        "<body><main><h1>Ours</h1><service-status></service-status></main>",
        headers={"Content-Security-Policy": "default-src 'self'"},
    )
    page.goto(host.url)
    expect(page.locator("service-status path.passing")).to_have_attribute("d", re.compile("M"))
    page.locator("service-status").get_by_role("img").focus()
    page.keyboard.press("End")
    expect(page.locator("service-status .bubble")).to_contain_text("Passing: 100%")
    assert page.evaluate("breaches") == []


def test_no_violation(served: Serving, database: Database, page: Page, axe: str, keep_picture: Keep) -> None:
    """Nobody is shut out, with something of everything and the table open."""
    fill(database)
    page.goto(served.url)
    part = page.locator("service-status")
    expect(part.locator("tr").filter(has_text="billing").locator("path.critical")).to_have_attribute(
        "d", re.compile("M")
    )
    part.get_by_text("Show as table").click()
    found = []
    for scheme, forced in LOOKS:
        page.emulate_media(color_scheme=scheme, forced_colors=forced, reduced_motion="reduce")
        found += _violations(page, axe)
        keep_picture(page, f"services-{scheme}-{forced}")
    assert found == []


def test_a_check_that_turns_critical_is_on_the_page_within_a_second(database: Database, page: Page) -> None:
    """From a real Consul, through the tables, to the cell; and a Consul that dies is told."""
    with agent() as consul:
        consul.register("web", "web-1")
        with serve(database.server_dsn, CONSUL_HTTP_ADDR=f"127.0.0.1:{consul.port}") as server:
            page.goto(server.url)
            part = page.locator("service-status")
            status = part.get_by_role("row").filter(has_text="web").locator(".status")
            expect(status).to_have_text(re.compile("🟢 passing"))
            consul.say("web-1", "critical")
            expect(status).to_have_text(re.compile("🔴 critical"), timeout=AT_ONCE)
            consul.stop()
            expect(part).to_contain_text("Consul connection failed - showing cached data")
            expect(status).to_have_text(re.compile("🔴 critical"))
