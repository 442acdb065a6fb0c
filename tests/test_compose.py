"""compose.yaml as far as a machine without a container engine can prove it: what it names is run."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from stability import __version__
from tests.fixtures.caddy import at_home, caddy
from tests.fixtures.postgres import Database
from tests.fixtures.server import free_port, serve

FILE = Path(__file__).parents[1] / "compose.yaml"
GIVEN = {"POSTGRES_PASSWORD": "hunter2", "STABILITY_TOKEN": "open sesame"}


def interpolated(text: str) -> str:
    """`text` as compose reads it where only the required variables are set."""
    return re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda match: GIVEN.get(match[1]) or match[2] or "", text)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file, read as compose reads it."""
    found = yaml.safe_load(interpolated(FILE.read_text("utf-8")))
    assert isinstance(found, dict)
    return found


def test_it_stands_alone(compose: dict[str, Any]) -> None:
    """No file beside it: the image's recipe and the proxy's configuration stand inside, and no folder is mounted."""
    build = compose["services"]["stability"]["build"]
    assert build.keys() == {"dockerfile_inline"}
    assert "COPY" not in build["dockerfile_inline"]
    assert f"pg-stability=={__version__}" in build["dockerfile_inline"]
    mounted = {
        volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])
    }
    assert mounted == set(compose["volumes"])


def test_every_service_comes_back(compose: dict[str, Any]) -> None:
    """A crash or a reboot is not the end."""
    assert {service["restart"] for service in compose["services"].values()} == {"unless-stopped"}


def test_the_secrets_are_required() -> None:
    """Compose refuses to start without them; none has a default that everybody knows."""
    text = FILE.read_text("utf-8")
    assert all(f"${{{name}:?" in text for name in GIVEN)


def test_its_commands_work(compose: dict[str, Any], empty_database: Database) -> None:
    """The command and the health check run as they stand there, with the variables that stand there."""
    service = compose["services"]["stability"]
    variables = {name: str(value) for name, value in service["environment"].items()}
    port = free_port()
    variables |= {"STABILITY_PORT": str(port), "DATABASE_URL": empty_database.dsn}
    program, *command = service["command"]
    kind, checker, *check = service["healthcheck"]["test"]
    assert (program, kind, checker) == ("stability", "CMD", "stability")
    healthcheck = [sys.executable, "-m", "stability", *check]
    refused = subprocess.run(healthcheck, env=variables, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    with serve(empty_database.dsn, command=command, port=port, **variables) as server:  # type: ignore[arg-type]
        assert subprocess.run(healthcheck, env=variables, check=False).returncode == 0
        assert httpx.get(f"{server.url}/metrics").status_code == 401
        assert httpx.get(f"{server.url}/api/system-status").json()["stable"] is True


def test_the_database_it_names_is_the_one_it_starts(compose: dict[str, Any]) -> None:
    """User, password, host and name agree between the two services."""
    database = compose["services"]["database"]["environment"]
    url = compose["services"]["stability"]["environment"]["DATABASE_URL"]
    assert url == f"postgresql://postgres:{database['POSTGRES_PASSWORD']}@database/{database['POSTGRES_DB']}"


def test_the_proxys_configuration_is_valid(compose: dict[str, Any], tmp_path: Path) -> None:
    """The real Caddy takes it, and it leads to the server's port."""
    config = tmp_path / "Caddyfile"
    config.write_text(compose["configs"]["caddyfile"]["content"])
    command = caddy("validate", "--adapter", "caddyfile", "--config", str(config))
    validated = subprocess.run(command, env=at_home(tmp_path), capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stderr
    assert f"stability:{compose['services']['stability']['environment']['STABILITY_PORT']}" in config.read_text()
