"""A database and a server to measure on, and the name of the machine."""

import contextlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import psycopg

from stability.postgres import EmbeddedPostgres

PATIENCE = 60.0  # seconds


@contextlib.contextmanager
def database(options: Mapping[str, str] | None = None) -> Iterator[str]:
    """An embedded Postgres in a folder of its own, with settings of its own."""
    with folder() as data, EmbeddedPostgres(data, options) as server:
        yield server.dsn


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder yet to be made, where `nobody` may enter too."""
    with tempfile.TemporaryDirectory(prefix="stability-bench-") as name:
        Path(name).chmod(0o711)
        yield Path(name) / "data"


@contextlib.contextmanager
def server(command: str, port: int, **environment: str) -> Iterator[tuple[str, float]]:
    """`stability COMMAND` in a process of its own: its address, and the seconds until it told the truth."""
    variables = {**os.environ, "STABILITY_PORT": str(port), "STABILITY_LOG_LEVEL": "error", **environment}
    url, began = f"http://127.0.0.1:{port}", time.monotonic()
    arguments = [sys.executable, "-m", "stability", command]
    with subprocess.Popen(arguments, env=variables, stdout=subprocess.DEVNULL) as process:
        try:
            while not _ready(url):
                if process.poll() is not None or time.monotonic() > began + PATIENCE:
                    raise SystemExit(f"`stability {command}` did not become ready")
                time.sleep(0.01)
            yield url, time.monotonic() - began
        finally:
            process.terminate()


def await_armed(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Return once a server waits for hints, and a moment later, so that nothing of its coming to rest is measured."""
    while connection.execute("SELECT stability.armed() = 0").fetchone() == (True,):
        time.sleep(0.01)
    time.sleep(0.2)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def machine() -> str:
    """This machine, in a line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
