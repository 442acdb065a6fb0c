"""Firefox and WebKitGTK: what chromium is held to in the other files here, where it matters most."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.browser.conftest import Sql, page_with_the_tag, streams
from tests.browser.test_embedding import STRICT
from tests.browser.test_modal import WORK
from tests.fixtures.caddy import proxying
from tests.fixtures.driven import ENTER, ESCAPE, Driven, firefox, webkit
from tests.fixtures.eventually import eventually
from tests.fixtures.host import Host
from tests.fixtures.host import Page as HostPage
from tests.fixtures.server import Serving, free_port

TABS: Final = 6
NIGHT: Final = 50.0  # seconds; a stream that is silent for 45 is dead


def test_live_and_for_everybody(serving: Serving, sql: Sql, driven: Driven, axe: str) -> None:
    """Commits turn the badge and the page; the modal takes and returns the focus; axe objects to none of it."""
    driven.open(serving.url)
    driven.shows("stable")
    found = driven.violations(axe)
    for statement in WORK:
        sql(statement)
    driven.shows("processing")
    driven.tells("document.querySelector('#work').textContent.includes('derive_reports')")
    sql("INSERT INTO public.executions (name, status) VALUES ('nightly', 'RUNNING')")
    driven.tells("document.querySelector('execution-status').shadowRoot.textContent.includes('nightly')")
    found += driven.violations(axe)
    driven.keep_picture("page")
    for part in ("badge", "details"):
        driven.focus(part)
        driven.press(ENTER)
        driven.modal_says("250 of 1000 rows (25%)")
        assert driven.focused() == "close"
        found += driven.violations(axe) if part == "badge" else []
        driven.keep_picture("modal")
        driven.press(ESCAPE)
        eventually(lambda part=part: driven.focused() == part)  # type: ignore[misc]
    sql("UPDATE public.import_job SET state = 'finished'")
    sql("UPDATE worker.tasks SET state = 'completed'")
    driven.shows("stable")
    assert found == []


def test_killed_and_restarted(start_server: Callable[..., Serving], sql: Sql, driven: Driven) -> None:
    """Killed, the server leaves a badge that knows nothing; back, the page shows what was committed meanwhile."""
    port = free_port()
    server = start_server(port=port)
    driven.open(server.url)
    driven.shows("stable")
    server.process.kill()
    driven.shows("unknown")
    driven.keep_picture("server-killed")
    sql("INSERT INTO public.import_job (slug, state) VALUES ('meanwhile.csv', 'importing_data')")
    start_server(port=port)
    driven.shows("processing")


def test_six_tabs_share_a_connection(serving: Serving, sql: Sql, driven: Driven) -> None:
    """As many tabs as HTTP/1.1 has connections follow every change over one stream, and one more page loads."""
    driven.open(serving.url)
    driven.shows("stable")
    for _ in range(TABS - 1):
        driven.new_tab(serving.url)
        driven.shows("stable")
    assert streams(serving) == 1
    sql(WORK[0])
    for _ in driven.tabs():
        driven.shows("processing")
    driven.close_tab()
    sql("DELETE FROM public.import_job")
    for _ in driven.tabs():
        driven.shows("stable")
    assert streams(serving) == 1


def test_kept_in_the_back_forward_cache(serving: Serving, sql: Sql, driven: Driven) -> None:
    """A page that was put aside, and brought back as it was, shows what was committed meanwhile."""
    sql("INSERT INTO public.import_job (slug, state) VALUES ('people', 'finished')")
    driven.open(serving.url)
    driven.shows("stable")
    for job, badge in (("importing_data", "processing"), ("finished", "stable")) * 2:
        driven.run("addEventListener('pageshow', ({ persisted }) => (window.broughtBack = persisted))")
        driven.open(f"{serving.url}/login")
        if driven.name == "firefox":  # WebKitGTK puts the shared worker aside with the page, and its stream with it
            eventually(lambda: streams(serving) == 0)
        sql(f"UPDATE public.import_job SET state = '{job}'")
        driven.driver.back()
        driven.shows(badge)
        if driven.run("return window.broughtBack"):
            return
    pytest.fail("the browser never kept it")  # once it may: one that is left in the middle of a request is not kept


@pytest.fixture
def proxied(serving: Serving, tmp_path: Path) -> Iterator[str]:
    """The address of the server behind the Caddyfile."""
    site = f"https://localhost:{free_port()}"
    variables = {"STABILITY_SITE": site, "STABILITY_UPSTREAM": serving.url.removeprefix("http://")}
    with proxying(tmp_path, f"{site}/livez", **variables):
        yield site


def test_http2(proxied: str, sql: Sql, driven: Driven) -> None:
    """Through Caddy the page follows over HTTP/2."""
    driven.open(proxied)
    driven.shows("stable")
    assert driven.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
    sql(WORK[0])
    driven.shows("processing")


@pytest.mark.chaos
def test_strict_policy_and_prefix(serving: Serving, host: Host, sql: Sql, driven: Driven) -> None:
    """Below a prefix and under `default-src 'self'` the badge works by its one tag, without one breach."""
    host.upstream = serving.url
    host.pages["/watch.js"] = HostPage(
        "window.breaches = []; addEventListener('securitypolicyviolation', ({ violatedDirective }) => "
        "breaches.push(violatedDirective));",
        "text/javascript",
    )
    page = page_with_the_tag("/status/system-status.js", **{"Content-Security-Policy": STRICT})
    page.body = page.body.replace("<script", '<script src="/watch.js"></script><script', 1)
    host.pages["/"] = page
    driven.open(host.url)
    driven.shows("stable")
    sql(WORK[0])
    driven.shows("processing")
    driven.focus("details")
    driven.press(ENTER)
    driven.modal_says("branches.csv")
    assert driven.run("return breaches") == []


@pytest.mark.chaos
@pytest.mark.parametrize("seconds", [1.0, NIGHT])
def test_sleep_and_wake(serving: Serving, sql: Sql, driven: Driven, seconds: float) -> None:
    """A browser that was frozen shows what was committed while it slept, as soon as it runs again."""
    driven.open(serving.url)
    driven.shows("stable")
    with driven.asleep():
        sql(WORK[0])
        time.sleep(seconds)  # what is waited for is the passing of time itself
    driven.shows("processing", within=10.0)


# Which of the two is dark is an enumeration of firefox's own; 2 puts the user's colours over those of every page.
LOOKS: Final = {
    "firefox-dark": partial(firefox, **{"layout.css.prefers-color-scheme.content-override": 0}),
    "firefox-forced": partial(firefox, **{"browser.display.document_color_use": 2}),
    "webkit-dark": partial(webkit, GTK_THEME="Adwaita:dark"),
}
QUERIES: Final = {"dark": "(prefers-color-scheme: dark)", "forced": "(forced-colors: active)"}


@pytest.mark.chaos
@pytest.mark.parametrize("look", LOOKS)
def test_no_violation_in_other_looks(serving: Serving, sql: Sql, axe: str, look: str) -> None:
    """In the dark and in forced colours axe objects to nothing, with the modal open as well."""
    begin: Callable[[], AbstractContextManager[Driven]] = LOOKS[look]
    for statement in WORK:
        sql(statement)
    with begin() as browser:
        browser.open(serving.url)
        browser.shows("processing")
        browser.tells(f"matchMedia('{QUERIES[look.partition('-')[2]]}').matches")
        found = browser.violations(axe)
        browser.keep_picture(f"{look.partition('-')[2]}-page")
        browser.focus("details")
        browser.press(ENTER)
        browser.modal_says("derive_reports")
        browser.keep_picture(f"{look.partition('-')[2]}-modal")
        assert found + browser.violations(axe) == []
