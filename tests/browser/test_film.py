"""The pictures of the README: the page with something of everything, and a real import on it."""

import io
import os
import subprocess
import sys
import time
from typing import Final

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Sql
from tests.browser.test_overview import PAST
from tests.browser.test_services import fill
from tests.fixtures.browser import ARTIFACTS
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving

EVERY: Final = 0.2  # seconds between two pictures
LEAST, MOST, WIDTH, HEIGHT = 10, 150, 720, 560  # pictures, pictures, pixels, pixels
LARGEST: Final = 1_000_000  # bytes that a README may load

WORK: Final = """
    INSERT INTO public.import_job (slug, state, total_rows, imported_rows)
    VALUES ('legal_units_2026.csv', 'importing_data', 1000000, 640000),
        ('branches_2026.csv', 'preparing_data', 248210, 0);
    INSERT INTO worker.command_registry VALUES ('derive_units', 'analytics'), ('derive_reports', 'analytics');
    INSERT INTO worker.tasks (command, state) VALUES ('derive_units', 'processing'), ('derive_reports', 'pending');
    INSERT INTO public.executions (name, status)
    SELECT name, 'RUNNING' FROM unnest(ARRAY['nightly', 'backup', 'reindex']) AS name;
    INSERT INTO public.deployments (name, status, last_checked_at)
    VALUES ('shop', 'running', now()), ('search', 'running', now()), ('preview', 'stopped', now());
    INSERT INTO public.generated_applications
        (model_slug, app_number, app_type, provider, container_status, last_status_check)
    VALUES ('crm', 1, 'web', 'own', 'running', now()), ('crm', 2, 'web', 'own', 'running', now());
"""
DAY: Final = """
    INSERT INTO stability.service_slots (slot, service, passing, warning, critical, samples)
    SELECT t, s, CASE WHEN bad THEN 180000 ELSE 300000 END, CASE WHEN bad AND s = 2 THEN 120000 ELSE 0 END,
           CASE WHEN bad AND s <> 2 THEN 120000 ELSE 0 END, 5
      FROM generate_series(stability.service_slot(now() - interval '1 day'), now() - interval '3 h', '5 min') AS t,
           generate_series(1, 7) AS s, LATERAL (SELECT s <= 3 AND extract(hour FROM t)::integer % 9 = 2 * s) AS b (bad)
"""


@pytest.mark.chaos
def test_pictures_of_the_page(serving: Serving, database: Database, sql: Sql, page: Page) -> None:
    """The page, the details, and a day of services: kept as `artifacts/{badge,details,services}.png`."""
    fetch(database.dsn, PAST)
    fetch(database.dsn, DAY)
    fill(database)
    page.set_viewport_size({"width": WIDTH, "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(serving.url)
    sql(WORK)
    expect(page.locator("#overview .worst")).to_have_text("Something needs attention")
    expect(page.locator("deployment-status li")).to_have_count(3)
    expect(page.locator("application-status tbody tr")).to_have_count(2)
    services = page.locator("service-status")
    expect(services.locator(".bars:not([data-loading])").first).to_be_attached()
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / "badge.png")
    page.locator("#services").screenshot(path=ARTIFACTS / "services.png")
    page.locator("system-status").get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("derive_reports")
    page.screenshot(path=ARTIFACTS / "details.png")


@pytest.mark.chaos
def test_film_of_an_import(serving: Serving, database: Database, page: Page) -> None:
    """`stability demo` turns the page from stable over progress back to stable: kept as `artifacts/import.webp`."""
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(serving.url)
    badge = page.locator("system-status")
    expect(badge).to_have_attribute("state", "stable")
    pictures = [Image.open(io.BytesIO(page.screenshot()))] * 4
    command = [sys.executable, "-m", "stability", "demo", "--rows", "1000000"]
    with subprocess.Popen(command, env={**os.environ, "DATABASE_URL": database.dsn}, stdout=subprocess.DEVNULL) as demo:
        expect(badge).to_have_attribute("state", "processing", timeout=60_000)  # it makes its file first
        while len(pictures) < MOST and (demo.poll() is None or badge.get_attribute("state") != "stable"):
            pictures.append(Image.open(io.BytesIO(page.screenshot())))
            time.sleep(EVERY)  # the frame rate
    expect(badge).to_have_attribute("state", "stable")
    pictures += [Image.open(io.BytesIO(page.screenshot()))] * 8
    ARTIFACTS.mkdir(exist_ok=True)
    film = ARTIFACTS / "import.webp"
    first, *others = pictures
    first.save(film, save_all=True, append_images=others, duration=int(1000 * EVERY), loop=0, quality=70, method=4)
    assert len(pictures) > LEAST
    assert film.stat().st_size < LARGEST
