"""The Caddyfile, run by the real Caddy in front of a real server."""

import json
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Thread

import httpx
import psycopg
import pytest

from tests.fixtures.caddy import CADDYFILE, at_home, authority, caddy, curl, proxying
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving, free_port

AT_ONCE = 1.0  # seconds, on a busy machine; a proxy that buffers holds a frame back until the next heartbeat

LATE = 20.0  # seconds that a heartbeat may be late on a machine that others keep busy; a browser waits for 45


class Stream:
    """What curl prints of an event stream, with the time at which each line came."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._lines: Queue[str] = Queue()
        self._process = process
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line.rstrip())

    def next_like(self, beginning: str, within: float = AT_ONCE) -> str:
        """The next line that begins so; queue.Empty when it does not come in time."""
        deadline = time.monotonic() + within
        while True:
            line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            if line.startswith(beginning):
                return line

    def next_stable(self) -> object:
        """What the next unnamed message says."""
        return json.loads(self.next_like('data: {"stable":').removeprefix("data: "))["stable"]


@contextmanager
def streaming(url: str, root: Path) -> Iterator[Stream]:
    """Follow the stream at `url` with curl, which checks the certificate and asks for HTTP/2 and compression."""
    command = [curl(), "--silent", "--no-buffer", "--include", "--http2", "--cacert", str(root)]
    command += ["--header", "Accept-Encoding: gzip, br", f"{url}/api/system-status/live"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Stream(process)
        finally:
            process.terminate()


@pytest.fixture(params=["", "/status"], ids=["at the root", "under a path"])
def root_path(request: pytest.FixtureRequest) -> str:
    """Where the site has us."""
    return str(request.param)


@pytest.fixture
def proxied(tmp_path: Path, root_path: str, start_server: Callable[..., Serving]) -> Iterator[tuple[Serving, str]]:
    """A server, and the address under which Caddy has it."""
    server = start_server(STABILITY_ROOT_PATH=root_path)
    site = f"https://localhost:{free_port()}"
    upstream = server.url.removeprefix("http://")
    variables = {"STABILITY_SITE": site, "STABILITY_ROOT_PATH": root_path, "STABILITY_UPSTREAM": upstream}
    with proxying(tmp_path, f"{site}{root_path}/livez", **variables):
        yield server, f"{site}{root_path}"


def test_the_file_is_valid_and_in_caddys_own_form(tmp_path: Path) -> None:
    """`caddy validate` and `caddy fmt` have nothing to say, with no variable set."""
    command = caddy("validate", "--adapter", "caddyfile", "--config", str(CADDYFILE))
    validated = subprocess.run(command, env=at_home(tmp_path), capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stderr
    formatted = subprocess.run(caddy("fmt", str(CADDYFILE)), capture_output=True, text=True, check=True)
    assert formatted.stdout == CADDYFILE.read_text()


def test_frames_pass_at_once_over_http2(database: Database, proxied: tuple[Serving, str], tmp_path: Path) -> None:
    """The head, the first state and each change come at once, one by one, uncompressed, over HTTP/2."""
    _, url = proxied
    with streaming(url, authority(tmp_path)) as stream:
        assert stream.next_like("HTTP/") == "HTTP/2 200"
        head = "".join(iter(partial(stream.next_like, ""), ""))
        assert "text/event-stream" in head
        assert "content-encoding" not in head
        assert stream.next_stable() is True
        with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
            for _ in range(3):
                writer.execute("INSERT INTO public.import_job (slug, state) VALUES ('a file', 'importing_data')")
                assert stream.next_stable() is False
                writer.execute("UPDATE public.import_job SET state = 'finished'")
                assert stream.next_stable() is True


def test_a_client_that_leaves_is_noticed(proxied: tuple[Serving, str], tmp_path: Path) -> None:
    """The server behind Caddy counts a client while it is there, and no longer when it has left."""
    server, url = proxied
    with streaming(url, authority(tmp_path)) as stream:
        assert stream.next_stable() is True
        assert clients(server) == 1
    deadline = time.monotonic() + 5
    while clients(server):
        assert time.monotonic() < deadline, "the client is still counted"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("heartbeat", "lasting"), [(0.5, 2.0), pytest.param(15.0, 600.0, marks=pytest.mark.chaos)], ids=["short", "long"]
)
def test_an_idle_stream_lives(
    start_server: Callable[..., Serving], database: Database, tmp_path: Path, heartbeat: float, lasting: float
) -> None:
    """With nothing to tell but heartbeats a stream lasts, for ten minutes as well, and tells the next change."""
    server = start_server(STABILITY_HEARTBEAT_SECONDS=str(heartbeat))
    site = f"https://localhost:{free_port()}"
    upstream = server.url.removeprefix("http://")
    with (
        proxying(tmp_path, f"{site}/livez", STABILITY_SITE=site, STABILITY_UPSTREAM=upstream),
        streaming(site, authority(tmp_path)) as stream,
    ):
        assert stream.next_stable() is True
        until = time.monotonic() + lasting
        while time.monotonic() < until:
            stream.next_like("event: heartbeat", within=heartbeat + LATE)
        with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
            writer.execute("INSERT INTO public.import_job (slug, state) VALUES ('a file', 'importing_data')")
        assert stream.next_stable() is False


def test_the_page_and_its_modules_are_found(proxied: tuple[Serving, str], root_path: str, tmp_path: Path) -> None:
    """Under the site's path, with the closing slash forgotten as well, there are the page and the badge."""
    _, url = proxied
    trusted = ssl.create_default_context(cafile=str(authority(tmp_path)))
    with httpx.Client(verify=trusted, follow_redirects=True) as client:
        page = client.get(url)
        assert page.url.path == f"{root_path}/"
        assert "<system-status" in page.text
        assert client.get(f"{url}/system-status.js").headers["content-type"].startswith("text/javascript")


def test_a_server_is_replaced_while_another_shares_its_port(
    tmp_path: Path, start_server: Callable[..., Serving]
) -> None:
    """Two servers on one port behind Caddy: one says goodbye, the site answers, and a new one takes its place."""
    port, site = free_port(), f"http://localhost:{free_port()}"
    share = {"port": port, "STABILITY_REUSE_PORT": "1", "ready": False}
    servers = [start_server(**share), start_server(**share)]
    servers[0].await_ready()
    with proxying(tmp_path, f"{site}/livez", STABILITY_SITE=site, STABILITY_UPSTREAM=f"127.0.0.1:{port}"):
        eventually(lambda: len({epoch(site) for _ in range(8)}) == 2)
        with ExitStack() as stack:  # Caddy ends after its last client
            clients = [stack.enter_context(Follower(f"{site}/api/live")) for _ in range(32)]
            servers[0].process.terminate()
            assert servers[0].process.wait(10) == 0
            assert all(httpx.get(f"{site}/readyz").is_success for _ in range(32))
            ended = [client for client in clients if client.named("bye")]
            for client in ended:
                client.wait_for(lambda client: client.ended)
            assert 0 < len(ended) < len(clients)
            start_server(**share)
            eventually(lambda: len({epoch(site) for _ in range(8)}) == 2)


def epoch(site: str) -> str:
    """The life of the server that answers, over a connection of its own."""
    with Follower(f"{site}/api/live") as client:
        client.wait_for(lambda client: bool(client.named("hello")))
        return str(client.named("hello")[0].data["epoch"])


def clients(server: Serving) -> int:
    """How many streams the server has open, as its metrics tell."""
    found = re.search(r"^stability_clients (\d+)", httpx.get(f"{server.url}/metrics").text, re.MULTILINE)
    assert found, "no such metric"
    return int(found.group(1))
