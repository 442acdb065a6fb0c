"""The badge over a real server and real commits."""

from collections.abc import Callable
from pathlib import Path

import psycopg
from playwright.sync_api import Page, expect

from tests.browser.conftest import Sql
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving

Keep = Callable[[Page, str], Path]


REREAD = 10_000  # milliseconds: nobody tells of a table that was renamed, so the next periodic read finds it


def _expect(page: Page, state: str, text: str, within: float = 5_000) -> None:
    expect(page.locator("system-status")).to_have_attribute("state", state, timeout=within)
    expect(page.get_by_role("button", name=text, exact=True)).to_be_visible()


def test_three_states(serving: Serving, database: Database, sql: Sql, page: Page, keep_picture: Keep) -> None:
    """Commits turn the badge to processing and back; what cannot be read is unknown, not stable."""
    page.goto(serving.url)
    _expect(page, "stable", "System Stable")
    keep_picture(page, "page-stable")
    sql("INSERT INTO public.import_job (slug, state) VALUES ('units.csv', 'importing_data')")
    _expect(page, "processing", "Processing Data")
    keep_picture(page, "page-processing")
    sql("UPDATE public.import_job SET state = 'finished'")
    _expect(page, "stable", "System Stable")
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("ALTER TABLE worker.tasks RENAME TO tasks_of_yesterday")
    _expect(page, "unknown", "Status Unknown", REREAD)
    keep_picture(page, "page-unknown")


def test_only_committed_work_counts(serving: Serving, database: Database, page: Page) -> None:
    """Work that is rolled back never turns the badge; the same work, committed, does."""
    page.goto(serving.url)
    _expect(page, "stable", "System Stable")
    page.evaluate("addEventListener('system-status-change', ({ detail }) => (window.seen ??= []).push(detail.state))")
    with psycopg.connect(database.writer_dsn) as writer:
        writer.execute("INSERT INTO public.import_job (slug, state) VALUES ('a', 'importing_data')")
        writer.rollback()
        writer.execute("INSERT INTO public.import_job (slug, state) VALUES ('b', 'finished')")
        writer.commit()
        writer.execute("INSERT INTO worker.command_registry VALUES ('derive', 'analytics')")
        writer.execute("INSERT INTO worker.tasks (command) VALUES ('derive')")
        writer.commit()
    _expect(page, "processing", "Processing Data")
    assert page.evaluate("seen") == ["processing"]


def test_five_lines_are_a_client(serving: Serving, sql: Sql, page: Page) -> None:
    """A page of its own, from anywhere, needs an EventSource and `onmessage`, nothing of ours."""
    page.set_content(f"""<!doctype html><title>Five lines</title><output></output><script>
        const source = new EventSource("{serving.url}/api/system-status/live");
        source.onmessage = ({{ data }}) => (document.querySelector("output").textContent = JSON.parse(data).stable);
        source.onerror = () => (document.querySelector("output").textContent = null);
    </script>""")
    output = page.locator("output")
    expect(output).to_have_text("true")
    sql("INSERT INTO public.import_job (slug, state) VALUES ('units.csv', 'importing_data')")
    expect(output).to_have_text("false")
    sql("DELETE FROM public.import_job")
    expect(output).to_have_text("true")
    serving.process.kill()
    expect(output).to_have_text("")
