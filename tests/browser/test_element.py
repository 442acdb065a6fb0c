"""What the element promises its host page, whatever the server says: a stand-in decides every byte of the stream."""

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.host import Host, Stream
from tests.fixtures.host import Page as HostPage

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A host page</title>
<script>
  window.told = [];
  for (const what of ["change", "open", "close"]) {
    addEventListener(`system-status-${what}`, ({ detail }) => told.push([what, detail?.state, performance.now()]));
  }
</script>
<script type="module" src="/system-status.js"></script>
<script type="module" src="/system-status.js?again"></script>
<body><div id="first"><system-status>Not known yet</system-status></div><div id="second"></div></body></html>"""

STABLE, PROCESSING, UNKNOWN = ('data: {"stable":%s}\n\n' % word for word in ("true", "false", "null"))  # noqa: UP031


@pytest.fixture
def element(host: Host, page: Page) -> Stream:
    """A page with the element, and the stream that it opened."""
    host.pages["/"] = HostPage(_PAGE)
    page.goto(host.url)
    return host.next_stream()


def _state(page: Page, state: str) -> None:
    expect(page.locator("system-status")).to_have_attribute("state", state)


@pytest.mark.usefixtures("element")
def test_loading(page: Page) -> None:
    """Before the first state it says "Loading...", and promises nothing."""
    _state(page, "loading")
    expect(page.get_by_role("button", name="Loading...", exact=True)).to_be_visible()
    expect(page.get_by_role("tooltip")).not_to_be_visible()


@pytest.mark.parametrize(
    ("frame", "text", "tooltip"),
    [
        (STABLE, "System Stable", "All data processing is complete"),
        (PROCESSING, "Processing Data", "Data is currently being processed"),
        (UNKNOWN, "Status Unknown", "Connection error. Status updates may be unavailable."),
    ],
)
def test_words(element: Stream, page: Page, frame: str, text: str, tooltip: str) -> None:
    """Each state has its words, which are the button's name, and a tooltip for pointer and keyboard, gone with Esc."""
    element.send(frame)
    button = page.get_by_role("button", name=text, exact=True)
    expect(button).to_have_accessible_description(tooltip)
    bubble = page.get_by_role("tooltip")
    button.hover()
    expect(bubble).to_have_text(tooltip)
    page.mouse.move(600, 500)
    expect(bubble).not_to_be_visible()
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    expect(bubble).to_be_visible()
    page.keyboard.press("Escape")
    expect(bubble).not_to_be_visible()


def test_the_pointer_may_enter_the_tooltip(element: Stream, page: Page) -> None:
    """The tooltip stays while the pointer moves into it."""
    element.send(STABLE)
    page.get_by_role("button", name="System Stable").hover()
    bubble = page.get_by_role("tooltip")
    bubble.hover()
    page.clock.install()
    page.clock.fast_forward(1000)
    expect(bubble).to_be_visible()


def test_one_width(element: Stream, page: Page) -> None:
    """No change of state moves the host page by a pixel."""
    badge, boxes = page.locator("system-status"), []
    for frame, state in ((STABLE, "stable"), (PROCESSING, "processing"), (UNKNOWN, "unknown")):
        element.send(frame)
        _state(page, state)
        boxes.append(badge.bounding_box())
    assert boxes[0] is not None
    assert boxes == [boxes[0]] * 3


def test_colours(element: Stream, page: Page) -> None:
    """Stable is green, processing is yellow, unknown is grey."""

    def hue() -> tuple[float, float]:
        painted = page.evaluate("""() => {
            const canvas = new OffscreenCanvas(1, 1).getContext("2d");
            const badge = document.querySelector("system-status").shadowRoot.querySelector(".badge");
            canvas.fillStyle = getComputedStyle(badge).backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data];
        }""")
        red, green, blue = (part / 255 for part in painted[:3])
        most, least = max(red, green, blue), min(red, green, blue)
        turn = (green - blue) / (most - least) if most == red else 2 + (blue - red) / (most - least)
        return 60 * turn, most - least

    page.emulate_media(reduced_motion="reduce")
    seen = {}
    for frame, state in ((STABLE, "stable"), (PROCESSING, "processing"), (UNKNOWN, "unknown")):
        element.send(frame)
        _state(page, state)
        seen[state] = hue()
    assert 140 < seen["stable"][0] < 180
    assert 35 < seen["processing"][0] < 60
    assert seen["processing"][1] > 0.15
    assert seen["unknown"][1] < 0.03


def test_work_is_shown_for_a_second(element: Stream, page: Page) -> None:
    """A task of a millisecond turns the badge for at least one second; short tasks in a row do not make it flicker."""
    element.send(STABLE)
    _state(page, "stable")
    element.send((PROCESSING + STABLE) * 20)
    _state(page, "processing")
    _state(page, "stable")
    changes = page.evaluate("told.filter(([what]) => what === 'change')")
    assert [state for _, state, _ in changes] == ["stable", "processing", "stable"]
    assert changes[2][2] - changes[1][2] >= 999


def test_the_voice(element: Stream, page: Page) -> None:
    """The live region is there from the start, silent about the first state, and says the next one."""
    region = page.get_by_role("status")
    expect(region).to_have_text("")
    element.send(STABLE)
    _state(page, "stable")
    expect(region).to_have_text("")
    element.send(PROCESSING)
    expect(region).to_have_text("Processing Data")


def test_events_cross_the_shadow(element: Stream, page: Page) -> None:
    """The page hears what changed, what was opened and what was closed."""
    element.send(PROCESSING)
    _state(page, "processing")
    page.get_by_role("button", name="Details", exact=True).click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).not_to_be_visible()
    page.wait_for_function("told.length === 3")
    assert page.evaluate("told.map(([what]) => what)") == ["change", "open", "close"]


def test_a_moved_element_keeps_its_connection(element: Stream, host: Host, page: Page) -> None:
    """Moving the element within the page neither reconnects nor flickers; removing it closes the connection."""
    element.send(STABLE)
    _state(page, "stable")
    page.evaluate("second.append(document.querySelector('system-status'))")
    element.send(PROCESSING)
    _state(page, "processing")
    assert page.evaluate("told.map(([, state]) => state)") == ["stable", "processing"]
    assert host.streams.empty()
    page.evaluate("document.querySelector('system-status').remove()")
    assert element.closed.wait(10)


def test_two_elements_share_a_connection(element: Stream, host: Host, page: Page) -> None:
    """Any number of elements on a page needs one connection, and what comes later shows the state at once."""
    element.send(STABLE)
    _state(page, "stable")
    page.evaluate("second.append(document.createElement('system-status'))")
    expect(page.locator("#second system-status")).to_have_attribute("state", "stable")
    assert host.streams.empty()


def test_another_server(element: Stream, page: Page) -> None:
    """The attribute `server` names another server; changing it follows that one from then on."""
    element.send(STABLE)
    _state(page, "stable")
    other = Host()
    other.start()
    try:
        page.evaluate(f"document.querySelector('system-status').setAttribute('server', '{other.url}/')")
        assert element.closed.wait(10)
        other.next_stream().send(PROCESSING)
        _state(page, "processing")
    finally:
        other.stop()


def test_hidden_for_a_minute(host: Host, page: Page) -> None:
    """A tab that nobody sees for a minute lets go of its stream and claims to know nothing; seen again, it follows."""
    page.clock.install()
    page.add_init_script("""
        let state = "visible";
        Object.defineProperty(document, "visibilityState", { get: () => state });
        window.turn = (to) => { state = to; document.dispatchEvent(new Event("visibilitychange")); };
    """)
    host.pages["/"] = HostPage(_PAGE)
    page.goto(host.url)
    stream = host.next_stream()
    stream.send(STABLE)
    _state(page, "stable")
    page.evaluate("turn('hidden')")
    page.clock.fast_forward(30_000)
    stream.send(PROCESSING)
    _state(page, "processing")
    page.clock.fast_forward(29_000)
    assert not stream.closed.wait(0.2)
    page.clock.fast_forward(2_000)
    assert stream.closed.wait(10)
    _state(page, "unknown")
    page.evaluate("turn('visible')")
    host.next_stream().send(STABLE)
    _state(page, "stable")


def test_kept_in_the_back_forward_cache(element: Stream, host: Host, page: Page) -> None:
    """A page that the browser puts aside lets go of its connection; brought back as it was, it follows again."""
    host.pages["/elsewhere"] = HostPage("<!doctype html><title>Elsewhere</title>")
    element.send(STABLE)
    _state(page, "stable")
    page.evaluate("addEventListener('pageshow', ({ persisted }) => (window.broughtBack = persisted))")
    page.goto(f"{host.url}/elsewhere")
    assert element.closed.wait(10)
    page.go_back(wait_until="commit")
    _state(page, "unknown")
    host.next_stream().send(PROCESSING)
    _state(page, "processing")
    assert page.evaluate("broughtBack")
