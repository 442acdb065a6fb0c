"""A thousand rows in a section: what each change costs the page, and what stays behind."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.conftest import Sql
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving
from tests.fixtures.shown import DEPLOYMENTS, Shown, showing

# the nodes that are written to, and every long task of the page
_WATCHED = """() => {
    window.written = [];
    const list = document.querySelector("deployment-status").shadowRoot.querySelector("ul");
    new MutationObserver((records) => window.written.push(...records.map((record) => {
        const { target, type, addedNodes, removedNodes } = record;
        const row = (target.nodeType === 1 ? target : target.parentElement).closest("li");
        return (row ?? addedNodes[0] ?? removedNodes[0])?.querySelector(".name").textContent ?? type;
    }))).observe(list, { subtree: true, childList: true, characterData: true, attributes: true });
}"""
_SEEN = "([row, seen]) => row.lastElementChild.checkVisibility({ contentVisibilityAuto: true }) === seen"
# the next slice, which comes as soon as it can, waits for `goOn()`
_STOPPED = """
    const later = setTimeout;
    const held = [];
    window.setTimeout = (act, wait, ...rest) => (wait === undefined ? -held.push(act) : later(act, wait, ...rest));
    window.goOn = () => {
        window.setTimeout = later;
        for (const act of held) later(act);
    };
"""
_ROWS = """
    INSERT INTO public.shown
    SELECT 'deployments', n::text, jsonb_build_object('id', n, 'name', 'web ' || n, 'status', 'running',
           'progress_message', NULL, 'error_message', NULL)
      FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def shown(database: Database) -> Iterator[Shown]:
    """A server with a thousand deployments, whose age nobody tells."""
    with showing(database, DEPLOYMENTS) as server:
        server.owner.execute(_ROWS, (1_000,))
        yield server


def _put(shown: Shown, number: int, status: str, message: str | None = None) -> None:
    told = {"id": number, "name": f"web {number}", "status": status, "progress_message": None}
    shown.put("deployments", str(number), {**told, "error_message": message})


def _written(page: Page) -> list[str]:
    """Of which rows something was written since the last look."""
    told: list[str] = page.evaluate("new Promise((told) => requestAnimationFrame(() => told(written.splice(0))))")
    return told


def test_one_change_of_a_thousand_rows_touches_one_row(shown: Shown, page: Page) -> None:
    """A hundred are shown, those that need somebody first; all on demand, and filters find every one."""
    page.goto(shown.url)
    part = page.locator("deployment-status")
    items = part.locator("li")
    expect(items).to_have_count(100)
    part.get_by_role("searchbox").fill("web 777")
    expect(items).to_have_count(1)
    part.get_by_role("searchbox").fill("")
    _put(shown, 900, "failed", "no capacity")
    expect(items.first).to_contain_text("web 900")
    part.get_by_role("button", name="Show all 1,000").click()
    expect(items).to_have_count(1_000)
    _put(shown, 900, "running")
    expect(items.nth(899)).to_contain_text("web 900")
    page.evaluate(_WATCHED)
    _put(shown, 500, "stopped")
    expect(items.first).to_contain_text("web 500")
    assert set(_written(page)) == {"web 500"}
    _put(shown, 500, "running")
    expect(items.nth(499)).to_contain_text("web 500")
    written = _written(page)
    assert len(written) < 20
    assert set(written) <= {"web 500", "web 1"}
    part.get_by_role("button", name="Show fewer").click()
    expect(items).to_have_count(100)


def test_rows_out_of_sight_are_not_laid_out(serving: Serving, database: Database, sql: Sql, page: Page) -> None:
    """Else each that comes costs as much as all that are there; a table stays one to those who do not see it."""
    sql(
        "INSERT INTO public.generated_applications (model_slug, app_number, app_type, provider)"
        " SELECT 'm', n, 'w', 'p' FROM generate_series(1, 90) AS n"
    )
    fetch(
        database.dsn,
        "INSERT INTO public.services (node, id, name, status)"
        " SELECT 'n', 's' || n, 'service ' || n, 'passing' FROM generate_series(1, 90) AS n",
    )
    page.set_viewport_size({"width": 900, "height": 300})
    page.goto(serving.url)
    for tag, columns in (("application-status", 3), ("service-status", 5)):
        table = page.locator(tag).get_by_role("table").first
        rows = table.get_by_role("row")
        expect(rows).to_have_count(91)
        expect(rows.first.get_by_role("columnheader")).to_have_count(columns)
        expect(rows.last.get_by_role("rowheader")).to_have_count(1)
        expect(rows.last.get_by_role("cell")).to_have_count(columns - 1)
        rows.nth(1).scroll_into_view_if_needed()
        for row, seen in ((rows.nth(1), True), (rows.last, False)):
            page.wait_for_function(_SEEN, arg=[row.element_handle(), seen])


def test_a_row_changes_before_it_is_drawn(shown: Shown, page: Page) -> None:
    """Rows are drawn in slices; what changes or goes in between is right in the end, in order, nothing made twice."""
    page.add_init_script(_STOPPED)
    page.goto(shown.url)
    part = page.locator("deployment-status")
    items = part.locator("li")
    part.get_by_role("button", name="Show all 1,000").click()
    first = items.first.element_handle()
    _put(shown, 980, "stopped", "out of credit")
    expect(items.first).to_contain_text("out of credit")
    _put(shown, 980, "running", "and back")
    expect(items.first).to_have_text(re.compile("web 1running"))
    shown.put("deployments", "990", None)
    shown.put("deployments", "2", None)
    expect(items.nth(1)).to_contain_text("web 3")
    assert items.count() < 100
    page.evaluate("goOn()")
    expect(items).to_have_count(998)
    assert page.evaluate("first => first.matches(':first-child')", first)
    names = part.locator("li .name").all_text_contents()
    assert names == [f"web {number}" for number in range(1, 1_001) if number not in {2, 990}]
    expect(items.nth(978)).to_contain_text("and back")


@pytest.mark.parametrize(("updates", "reconnects"), [(50, 5), pytest.param(1_000, 200, marks=pytest.mark.chaos)])
def test_nothing_stays_behind(shown: Shown, page: Page, updates: int, reconnects: int) -> None:
    """Rows come and go, the stream begins anew; nodes and listeners stay as they were, and so does memory in the end.

    At first the engine compiles: three rounds at length left 580, 120 and 70 KB. The last may leave a twentieth of what
    there was at the beginning.
    """
    page.goto(shown.url)
    items = page.locator("deployment-status li")
    expect(items).to_have_count(100)
    cdp = page.context.new_cdp_session(page)
    _update(shown, page, 20)
    _reconnect(page, 3)
    kept = [_kept(cdp)]
    for _ in range(3):
        _update(shown, page, updates)
        _reconnect(page, reconnects)
        kept.append(_kept(cdp))
    print(f"\n{updates} updates, {reconnects} reconnects, three times: {kept}")
    first, *_, before, last = kept
    assert last[0] <= first[0] + 20
    assert last[1] <= first[1] + 5
    assert last[2] - before[2] < first[2] * 0.05


def _update(shown: Shown, page: Page, count: int) -> None:
    """Each brings a row to the top that was not there, and the next one takes it away again."""
    first = page.locator("deployment-status li").first
    for number in range(count):
        _put(shown, 950, "failed" if number % 2 == 0 else "running", f"no capacity {number}")
        if number % 10 == 0:
            expect(first).to_contain_text(f"no capacity {number}")
    _put(shown, 950, "running")
    expect(first).to_have_text("web 1running")


def _reconnect(page: Page, count: int) -> None:
    """The browser puts the page away and takes it out again, as it does on a phone."""
    part = page.locator("deployment-status")
    for _ in range(count):
        page.evaluate("dispatchEvent(new Event('pagehide'))")
        expect(part).to_have_attribute("way", "lost")
        page.evaluate("dispatchEvent(new Event('pageshow'))")
        expect(part).to_have_attribute("way", "live")


def _kept(cdp: CDPSession) -> tuple[int, int, int]:
    """Nodes, listeners, and bytes of the heap once everything that can be collected is."""
    for _ in range(3):
        cdp.send("HeapProfiler.collectGarbage")
    counted = cdp.send("Memory.getDOMCounters")
    return counted["nodes"], counted["jsEventListeners"], int(cdp.send("Runtime.getHeapUsage")["usedSize"])
