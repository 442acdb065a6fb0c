"""Every outside system is away at once: each section says so, and all the rest goes on."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.fixtures.consul import agent
from tests.fixtures.engine import Podman
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import hosting, serve
from tests.fixtures.wire import Wire

PATIENCE: Final = 30_000  # milliseconds
AT_ONCE: Final = 1000  # the same, for what concerns no outside system
ROWS: Final = """
    INSERT INTO public.generated_applications (model_slug, app_number, app_type, provider) VALUES ('m', 1, 'w', 'p');
    INSERT INTO public.deployments (name, status, health_url) VALUES ('front', 'running', '{}');
"""
SECTIONS: Final = ("execution-status", "deployment-status", "application-status", "service-status")


def test_with_everything_away_the_page_says_so(
    database: Database, podman: Podman, wire: Wire, page: Page, tmp_path: Path
) -> None:
    """The engine, Consul and what is probed go: what was known stays, as old as it is. Then the database goes."""
    podman.run("m_app1")
    well = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("well"))])
    with agent() as consul, ExitStack() as probed:
        fetch(database.dsn, ROWS.format(probed.enter_context(hosting(well))))
        consul.register("db", "db-check")
        with serve(
            wire.dsn(database.server_dsn),
            DOCKER_HOST=podman.address,
            CONSUL_HTTP_ADDR=consul.url,
            STABILITY_APPLICATIONS_ROOT=str(tmp_path),
            STABILITY_PROBE_ALLOW="127.0.0.1",
            STABILITY_PROBE_SECONDS="0.5",
        ) as server:
            page.goto(server.url)
            badge = page.locator("system-status").first
            executions, deployments, applications, services = (page.locator(name) for name in SECTIONS)
            expect(services).to_contain_text("2 passing", timeout=PATIENCE)
            expect(deployments.locator(".status")).to_have_text("running")
            expect(applications.locator("tbody .status")).to_have_text("running", timeout=PATIENCE)

            podman.stop()
            consul.stop()
            probed.close()
            expect(deployments).to_contain_text("unhealthy", timeout=PATIENCE)
            expect(services).to_contain_text("Consul connection failed - showing cached data", timeout=PATIENCE)
            page.reload()  # its own look at the engine comes once a minute
            expect(applications).to_contain_text("Docker is not reachable - showing cached statuses", timeout=PATIENCE)
            expect(applications.locator("tbody .status")).to_have_text("running")
            expect(services).to_contain_text("db")

            expect(badge).to_contain_text("System Stable")
            fetch(database.dsn, "INSERT INTO public.executions (name, status) VALUES ('nightly', 'RUNNING')")
            expect(executions).to_contain_text("nightly", timeout=AT_ONCE)
            fetch(database.dsn, "INSERT INTO public.import_job (slug, state) VALUES ('people', 'importing_data')")
            expect(badge).to_contain_text("Processing Data", timeout=AT_ONCE)

            with wire.silent():
                wire.cut()
                expect(badge).to_have_attribute("state", "unknown", timeout=PATIENCE)
                for section in (executions, deployments, applications, services):
                    expect(section).to_have_attribute("way", "lost", timeout=PATIENCE)
            fetch(database.dsn, "UPDATE public.import_job SET state = 'finished'")
            expect(badge).to_contain_text("System Stable", timeout=PATIENCE)
            podman.start()
