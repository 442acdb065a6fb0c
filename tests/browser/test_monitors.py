"""Executions and deployments as they ship: what is written into the tables is on the page at once."""

import re
from pathlib import Path
from typing import Final

import httpx
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Sql
from tests.fixtures.engine import Podman
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving, serve

AT_ONCE: Final = 1000  # milliseconds, the contract's
ONE: Final = (
    "INSERT INTO public.generated_applications (model_slug, app_number, app_type, provider) VALUES ('m', 1, 'w', 'p')"
)


def test_a_change_in_psql_is_on_the_page_within_a_second(serving: Serving, sql: Sql, page: Page) -> None:
    """Of both, and nothing is asked for that the server does not have."""
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
    page.goto(serving.url)
    executions, deployments = page.locator("execution-status"), page.locator("deployment-status")
    expect(deployments).to_contain_text("No deployments.")
    expect(executions.locator("path.running")).to_be_attached()

    sql("INSERT INTO public.executions (name, status) VALUES ('nightly', 'RUNNING')")
    expect(executions).to_contain_text("nightly", timeout=AT_ONCE)
    sql("UPDATE public.executions SET status = 'FINISHED'")
    expect(executions).to_contain_text(re.compile("nightly.*Running.*Finished"), timeout=AT_ONCE)

    sql("INSERT INTO public.deployments (name, status) VALUES ('web', 'running')")
    expect(deployments.locator(".status")).to_have_text("running", timeout=AT_ONCE)
    sql("UPDATE public.deployments SET status = 'stopped'")
    expect(deployments).to_contain_text("will wake on next request · stopped, as of ", timeout=AT_ONCE)
    assert not refused


def test_the_webhook_moves_a_deployment(serving: Serving, page: Page) -> None:
    """What a platform reports is on the page as soon; what may not follow is refused, and changes nothing."""
    page.goto(serving.url)
    status = page.locator("deployment-status .status")
    made = httpx.post(f"{serving.url}/api/deployments", json={"name": "web", "health_url": "https://web.example/"})
    assert (made.status_code, made.json()["status"]) == (202, "starting")
    expect(status).to_have_text("starting", timeout=AT_ONCE)
    hook = f"{serving.url}/api/deployments/{made.json()['id']}/status"
    assert httpx.post(hook, json={"status": "failed", "message": "no capacity in fra"}).is_success
    expect(page.locator("deployment-status")).to_contain_text("no capacity in fra", timeout=AT_ONCE)
    refused = httpx.post(hook, json={"status": "running"})
    assert (refused.status_code, "failed" in refused.json()["error"]) == (409, True)
    expect(status).to_have_text("failed")


def test_applications_are_shown_and_refreshed(serving: Serving, page: Page, sql: Sql) -> None:
    """Icon, words and the last check of each; the button says what came of it, here that no engine is named."""
    page.goto(serving.url)
    applications = page.locator("application-status")
    expect(applications).to_contain_text("No applications.")
    sql(
        "INSERT INTO public.generated_applications (model_slug, app_number, app_type, provider, container_status,"
        " last_status_check) SELECT 'm', n, 'web', 'p', 'running', now() - n * interval '1 minute'"
        " FROM generate_series(0, 16) AS n"
    )
    rows = applications.locator("tbody tr")
    expect(rows).to_have_count(17, timeout=AT_ONCE)
    expect(rows.nth(0)).to_contain_text("▶️ running Containers are active and accessible")
    expect(rows.nth(0).get_by_text("Status may be outdated")).to_be_hidden()
    expect(rows.nth(6)).to_contain_text("Status may be outdated")
    expect(rows.nth(16)).to_contain_text("unknown (running, as of ")
    button = applications.get_by_role("button", name="Refresh all")
    button.click()
    expect(applications).to_contain_text("Status refresh failed: Docker is not reachable")
    expect(button).to_be_enabled()


def test_the_figures_and_the_engine_are_on_the_page(
    database: Database, podman: Podman, page: Page, sql: Sql, tmp_path: Path
) -> None:
    """A container stopped by hand is told within a second; the button turns, unless that is unwelcome, and tells."""
    sql(ONE)
    key = podman.run("m_app1")
    held: list[Route] = []
    page.route("**/refresh-all-statuses", lambda route: held.append(route))  # noqa: PLW0108 -- it looks at signatures
    page.emulate_media(reduced_motion="reduce")
    with serve(database.server_dsn, DOCKER_HOST=podman.address, STABILITY_APPLICATIONS_ROOT=str(tmp_path)) as served:
        page.goto(served.url)
        applications = page.locator("application-status")
        status, button = applications.locator("tbody .status"), applications.get_by_role("button", name="Refresh all")
        expect(status).to_have_text("running")
        figures = applications.locator(".figures")
        expect(figures).to_contain_text(re.compile("Accuracy: .*cache: .*calls .*Refreshes: .*Ages: "))
        podman.kill(key)
        expect(status).to_have_text("stopped", timeout=AT_ONCE)

        spinner = applications.locator(".spinner")
        expect(spinner).to_be_hidden()
        button.click()
        expect(applications).to_contain_text("Refreshing all application statuses from Docker...")
        expect(button).to_be_disabled()
        expect(spinner).to_be_visible()
        expect(spinner).to_have_css("animation-name", "none")
        page.emulate_media(reduced_motion="no-preference")
        expect(spinner).to_have_css("animation-name", "turn")
        held.pop().continue_()
        expect(applications).to_contain_text("Refreshed status for 1 applications. Updated: 0, Errors: 0")
        expect(button).to_be_enabled()
        expect(spinner).to_be_hidden()


def test_applications_without_a_stream(serving: Serving, page: Page, sql: Sql) -> None:
    """Asked for each minute while one is uncertain, else in every fifth."""
    sql(ONE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("api/applications") else None)
    page.add_init_script("delete globalThis.SharedWorker")  # whose stream no route stops
    page.route("**/api/live*", lambda route: route.abort())
    page.clock.install()
    page.goto(serving.url)
    applications = page.locator("application-status")
    assert _asks(page, asked, 10)
    expect(applications).to_have_attribute("way", "polling")
    expect(applications.locator(".figures")).to_contain_text("Accuracy: ")
    sql(
        "UPDATE public.generated_applications"
        " SET container_status = 'running', last_status_check = now() + interval '10 minutes'"
    )
    assert _asks(page, asked, 70)
    expect(applications.locator("tbody .status")).to_contain_text("running")
    assert not _asks(page, asked, 250)
    assert _asks(page, asked, 100)


def _asks(page: Page, asked: list[str], seconds: int) -> bool:
    """Whether it does within so many of its own; its clock stops there, for an answer that is late is given up."""
    before = len(asked)
    for _ in range(seconds):
        page.clock.run_for(1000)
        if len(asked) > before:
            return True
    return False


def test_what_the_server_cannot_read_is_told_of_that_part_alone(
    serving: Serving, page: Page, sql: Sql, database: Database
) -> None:
    """Its rows stay, as old as they are, and are not called known; all else goes on, and so does it afterwards."""
    sql("INSERT INTO public.deployments (name, status) VALUES ('web', 'stopped')")
    page.goto(serving.url)
    part = page.locator("deployment-status")
    expect(part).to_contain_text("web")
    fetch(database.dsn, "ALTER TABLE public.deployments RENAME TO elsewhere")
    expect(part).to_contain_text("The server cannot read them.", timeout=30_000)
    expect(part).to_have_attribute("state", "unknown")
    expect(part).to_contain_text("web")
    expect(page.locator("execution-status")).to_have_attribute("way", "live")
    expect(page.locator("system-status").first).to_contain_text("System Stable")
    fetch(database.dsn, "ALTER TABLE public.elsewhere RENAME TO deployments")
    expect(part).to_have_attribute("way", "live", timeout=30_000)
