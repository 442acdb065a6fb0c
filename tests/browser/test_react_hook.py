"""The hook under real React, in a host page that brings its own React by an import map."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.host import Host
from tests.fixtures.host import Page as HostPage

_APP = """<!doctype html><title>An application</title>
<script type="importmap">{"imports": {"react": "/react.js"}}</script>
<div id="app"></div>
<script type="module">
import { StrictMode, createElement, createRoot } from "react";
import { useSystemStability } from "/use-system-stability.js";
window.renders = [];
function Badge() {
  const state = useSystemStability();
  renders.push(state);
  return createElement("output", {}, JSON.stringify(state));
}
const root = createRoot(document.getElementById("app"));
root.render(STRICT ? createElement(StrictMode, {}, createElement(Badge)) : createElement(Badge));
window.unmount = () => root.unmount();
</script>"""

CONNECTION = "Connection error. Status updates may be unavailable."
BROKEN = "Error processing status update."


@pytest.fixture
def application(host: Host, react: str) -> Host:
    """A page that shows what the hook returns, as JSON."""
    host.pages["/react.js"] = HostPage(react, "text/javascript")
    host.pages["/app"] = HostPage(_APP.replace("STRICT", "false"))
    host.pages["/strict"] = HostPage(_APP.replace("STRICT", "true"))
    return host


def _shows(page: Page, is_stable: bool | None, loading: bool, error: str | None) -> None:
    state = {"isStable": is_stable, "loading": loading, "error": error}
    expect(page.locator("output")).to_have_text(json.dumps(state, separators=(",", ":")))


def test_the_life_of_the_hook(application: Host, page: Page) -> None:
    """Start, first message, bad JSON, a lost stream, its return, unmount: each changes what it must and no more."""
    page.goto(f"{application.url}/app")
    stream = application.next_stream()
    _shows(page, None, loading=True, error=None)
    stream.send('data: {"stable":true}\n\n')
    _shows(page, True, loading=False, error=None)
    stream.send("data: {broken\n\n")
    _shows(page, True, loading=False, error=BROKEN)
    stream.send('data: {"stable":false}\n\n')
    _shows(page, False, loading=False, error=None)
    stream.cut()
    again = application.next_stream()
    _shows(page, None, loading=False, error=None)  # open again: the error is over, the state is not known yet
    again.send('data: {"stable":true}\n\n')
    _shows(page, True, loading=False, error=None)
    seen = page.evaluate("renders")
    assert {"isStable": None, "loading": False, "error": CONNECTION} in seen
    assert seen[0] == {"isStable": None, "loading": True, "error": None}
    page.evaluate("unmount()")
    assert again.closed.wait(10)


def test_bad_json_first(application: Host, page: Page) -> None:
    """A broken first frame sets the error only: the state is still loading."""
    page.goto(f"{application.url}/app")
    application.next_stream().send("data: nonsense\n\n")
    _shows(page, None, loading=True, error=BROKEN)


def test_a_heartbeat_renders_nothing(application: Host, page: Page) -> None:
    """What does not change the hook's state does not render its component."""
    page.goto(f"{application.url}/app")
    stream = application.next_stream()
    stream.send('data: {"stable":true}\n\n')
    _shows(page, True, loading=False, error=None)
    renders = page.evaluate("renders.length")
    stream.send('event: heartbeat\ndata: {"version":0,"build":"b"}\n\n')
    stream.send('event: status\ndata: {"stable":true,"version":1,"sources":{}}\n\n')
    stream.send('data: {"stable":false}\n\n')
    _shows(page, False, loading=False, error=None)
    assert renders + 1 == page.evaluate("renders.length")


def test_strict_mode(application: Host, page: Page) -> None:
    """React's strict mode, which mounts everything twice, leaves one connection and a hook that works."""
    page.goto(f"{application.url}/strict")
    first = application.next_stream()
    first.send('data: {"stable":true}\n\n')
    stream = application.next_stream() if first.closed.wait(1) else first
    stream.send('data: {"stable":true}\n\n')
    _shows(page, True, loading=False, error=None)
    page.evaluate("unmount()")
    assert stream.closed.wait(10)
