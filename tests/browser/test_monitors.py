"""Executions and deployments as they ship: what is written into the tables is on the page at once."""

import re
from typing import Final

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import Sql
from tests.fixtures.server import Serving

AT_ONCE: Final = 1000  # milliseconds, the contract's


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
    expect(deployments).to_contain_text("will wake on next request", timeout=AT_ONCE)
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
