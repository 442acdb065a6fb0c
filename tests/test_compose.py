"""compose.yaml as far as a machine without an image registry can prove it: what it names is run."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from stability import __version__
from tests.fixtures.caddy import at_home, caddy, curl
from tests.fixtures.composed import Engine
from tests.fixtures.eventually import eventually
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
    assert f"'pg-stability[alerts]=={__version__}'" in build["dockerfile_inline"]
    mounted = {
        volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])
    }
    assert mounted == set(compose["volumes"])


def test_every_service_comes_back(compose: dict[str, Any]) -> None:
    """A crash or a reboot is not the end."""
    assert {service["restart"] for service in compose["services"].values()} == {"unless-stopped"}


def config(variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """What `docker compose config` says to the file."""
    program = str(Path(sys.executable).with_name("docker-compose"))
    command = [program, "--file", str(FILE), "config", "--format", "json"]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_compose_itself_takes_it(compose: dict[str, Any]) -> None:
    """Compose's own `config` has nothing to say, and reads what the tests here read."""
    checked = config(GIVEN)
    assert (checked.returncode, checked.stderr) == (0, "")
    found = json.loads(checked.stdout)
    assert found["services"].keys() == compose["services"].keys()
    for name in ("database", "stability"):
        assert found["services"][name]["environment"] == compose["services"][name]["environment"]
    assert found["configs"]["caddyfile"]["content"] == compose["configs"]["caddyfile"]["content"]


@pytest.mark.parametrize("name", GIVEN)
def test_the_secrets_are_required(name: str) -> None:
    """Compose refuses to start without them; none has a default that everybody knows."""
    refused = config({other: value for other, value in GIVEN.items() if other != name})
    assert refused.returncode != 0
    assert name in refused.stderr


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


@pytest.mark.chaos
def test_it_comes_up(composing: Engine) -> None:
    """All three under a real engine: the page over HTTPS and HTTP/2, healthy, secrets in force, gone when told.

    Unproven without an image registry: the images themselves, the build, and compose's own network, names and ports.
    """
    composing.import_images()
    composing.compose(FILE, "up", "--detach", "--no-build", **GIVEN)
    try:

        def ask(path: str, *options: str) -> str:
            command = [
                *composing.enter,
                curl(),
                "--silent",
                "--insecure",
                "--include",
                *options,
                f"https://localhost{path}",
            ]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout

        eventually(lambda: ask("/readyz").startswith("HTTP/2 200"), within=60.0)
        assert '"stable":true' in ask("/api/system-status")
        assert ask("/metrics").startswith("HTTP/2 401")
        assert ask("/metrics", "--header", f"Authorization: Bearer {GIVEN['STABILITY_TOKEN']}").startswith("HTTP/2 200")
        assert composing.compose(FILE, "ps", "--format", "{{.State}}", **GIVEN).split() == ["running"] * 3
    finally:
        composing.compose(FILE, "down", "--volumes", "--timeout", "5", **GIVEN)
    assert not composing.compose(FILE, "ps", "--all", "--quiet", **GIVEN)
