"""All tabs of a browser share one connection, whatever the origin allows: HTTP/1.1 has six in all."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Sql, page_with_the_tag, streams
from tests.fixtures.host import Host
from tests.fixtures.server import Serving

TABS = 8

Address = Callable[[Host, Serving], str]


def _shared_worker(_host: Host, serving: Serving) -> str:
    """Our own origin on plain HTTP: a shared worker may run, locks may not be had."""
    return serving.url.replace("127.0.0.1", "tabs.test")


def _lock(host: Host, _serving: Serving) -> str:
    """A foreign page on localhost, which is trusted: no worker from elsewhere, but locks."""
    return host.url


def _lease(host: Host, _serving: Serving) -> str:
    """A foreign page on plain HTTP: neither worker nor locks, a lease in its storage."""
    return host.url.replace("127.0.0.1", "host.test")


def _forbidden_worker(host: Host, serving: Serving) -> str:
    """Our own origin, below a prefix, on a page whose policy allows no worker."""
    host.upstream = serving.url
    host.pages["/"] = page_with_the_tag("/status/system-status.js", **{"Content-Security-Policy": "worker-src 'none'"})
    return host.url


def _await_streams(page: Page, serving: Serving, expected: int) -> None:
    """Wait for the server's own count."""
    for _ in range(100):
        if streams(serving) == expected:
            return
        page.wait_for_timeout(100)
    assert expected == streams(serving)


def _all(pages: list[Page], state: str) -> None:
    for page in pages:
        expect(page.locator("system-status")).to_have_attribute("state", state, timeout=20_000)


@pytest.mark.parametrize("address", [_shared_worker, _lock, _lease, _forbidden_worker])
def test_one_connection(address: Address, host: Host, serving: Serving, context: BrowserContext, sql: Sql) -> None:
    """Eight tabs follow every change over one stream, and another tab takes over from the one that held it."""
    host.pages["/"] = page_with_the_tag(f"{serving.url}/system-status.js")
    pages = [context.new_page() for _ in range(TABS)]
    for page in pages:
        page.goto(address(host, serving))
    _all(pages, "stable")
    _await_streams(pages[0], serving, 1)
    sql("INSERT INTO public.import_job (slug, state) VALUES ('units.csv', 'importing_data')")
    _all(pages, "processing")
    pages.pop(0).close()
    pages.pop(0).close()
    sql("DELETE FROM public.import_job")
    _all(pages, "stable")
    sql("INSERT INTO public.import_job (slug, state) VALUES ('units.csv', 'importing_data')")
    _all(pages, "processing")
    _await_streams(pages[0], serving, 1)
    for page in pages:
        page.close()
    _await_streams(context.new_page(), serving, 0)
