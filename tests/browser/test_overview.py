"""The page as a whole: what is worst, how much there is of everything, and how it was."""

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Sql
from tests.browser.test_accessibility import LOOKS, _violations
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving

Keep = Callable[[Page, str], Path]

PAST = """
    INSERT INTO stability.transition (began, state, until)
    SELECT now() - n * interval '30 minutes',
           CASE n % 7 WHEN 0 THEN 'processing' WHEN 3 THEN 'unknown' ELSE 'stable' END,
           now() - n * interval '30 minutes' + CASE n WHEN 20 THEN interval '9 minutes' ELSE interval '30 minutes' END
      FROM generate_series(1, 60) AS n
"""


def test_worst_first_counts_links_and_filters(  # noqa: PLR0917 -- what is there, shown, and to whom
    serving: Serving, database: Database, sql: Sql, page: Page, axe: str, keep_picture: Keep
) -> None:
    """The overview names the worst and leads to each section; a section is filtered by words and by level."""
    fetch(database.dsn, PAST)
    sql(
        "INSERT INTO public.executions (name, status) SELECT 'nightly ' || n, 'RUNNING' FROM generate_series(1, 3) AS n"
    )
    sql(
        "INSERT INTO public.deployments (name, status, last_checked_at) SELECT 'web ' || n,"
        " CASE n WHEN 7 THEN 'failed' WHEN 3 THEN 'stopped' ELSE 'running' END, now() FROM generate_series(1, 9) AS n"
    )
    page.emulate_media(reduced_motion="reduce")
    page.set_viewport_size({"width": 900, "height": 2000})
    page.goto(f"{serving.url}/#deployments")
    overview, deployments = page.locator("#overview"), page.locator("deployment-status")
    expect(overview.locator(".worst")).to_have_text("Something needs attention")
    expect(overview.get_by_role("link", name="Deployments")).to_have_accessible_name(
        "Deployments 1 critical, 1 warning, 7 ok"
    )
    expect(overview.get_by_role("link", name="Executions")).to_have_accessible_name("Executions 3 in progress")
    history = page.locator("status-history")
    expect(history.get_by_role("img")).to_have_accessible_name(re.compile(r"over the last 24 hours: \d\d.* % stable"))
    expect(deployments.locator("li")).to_have_count(9)
    for scheme, forced in LOOKS:
        page.emulate_media(color_scheme=scheme, forced_colors=forced, reduced_motion="reduce")
        keep_picture(page, f"whole-{scheme}-{forced}")
        assert _violations(page, axe) == []

    deployments.get_by_role("searchbox", name="Filter deployments by words").fill("web 3")
    expect(deployments.locator("li")).to_have_count(1)
    expect(page).to_have_url(f"{serving.url}/?deployments=web+3#deployments")
    expect(overview.get_by_role("link", name="Deployments")).to_have_accessible_name(
        "Deployments 1 critical, 1 warning, 7 ok"
    )
    deployments.get_by_role("searchbox").fill("nowhere")
    expect(deployments).to_contain_text("Nothing matches the filter.")
    deployments.get_by_role("searchbox").fill("")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(deployments.locator("li .name")).to_have_text("web 7")
    expect(page).to_have_url(f"{serving.url}/?deployments=is%3Acritical#deployments")
    page.reload()
    expect(deployments.locator("li .name")).to_have_text("web 7")
    expect(deployments.get_by_role("button", name="1 critical")).to_have_attribute("aria-pressed", "true")
    sql("UPDATE public.deployments SET status = 'failed' WHERE name = 'web 1'")
    expect(deployments.locator("li")).to_have_count(2)
    page.emulate_media(color_scheme="light", forced_colors="none", reduced_motion="reduce")
    page.set_viewport_size({"width": 320, "height": 2600})
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    keep_picture(page, "whole-phone")


def test_the_past_by_keyboard_and_as_a_table(serving: Serving, database: Database, page: Page) -> None:
    """Arrow keys walk through the columns and say what was; the table has the same; so many paths, ever."""
    fetch(database.dsn, PAST)
    page.goto(serving.url)
    history = page.locator("status-history")
    history.get_by_role("img").focus()
    page.keyboard.press("Home")
    expect(history.get_by_role("status")).to_contain_text(re.compile("% (stable|processing|unknown)"))
    history.get_by_text("Show as table").click()
    expect(history.locator("tbody tr")).to_have_count(96)
    assert history.locator("svg > path").count() == 3
