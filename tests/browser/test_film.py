"""The moving picture of the README: a real import, as the page shows it."""

import io
import os
import subprocess
import sys
import time
from typing import Final

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.fixtures.browser import ARTIFACTS
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving

EVERY: Final = 0.2  # seconds between two pictures
LEAST, MOST, WIDTH, HEIGHT = 10, 150, 720, 560  # pictures, pictures, pixels, pixels
LARGEST: Final = 1_000_000  # bytes that a README may load


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
