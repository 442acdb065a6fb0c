"""The doctor at a server's public address: real proxies that buffer, compress and rewrite, and servers in trouble."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stability import listener
from stability.app import create_app
from stability.settings import load
from tests.fixtures.buffering import buffering
from tests.fixtures.caddy import at_home, caddy, started
from tests.fixtures.examined import about, examine, troubles
from tests.fixtures.follower import Follower
from tests.fixtures.host import Host, Page
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving, free_port, hosting

CADDYFILE = """{
	admin off
	auto_https off
}
http://127.0.0.1:%d {
	encode gzip
	reverse_proxy %s {
		%s
	}
}
"""
NOT_THERE = "http://127.0.0.1:1"


@contextmanager
def compressing(folder: Path, upstream: str, rule: str) -> Iterator[str]:
    """A Caddy that may compress, with one more rule for the proxy."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    (folder / "Caddyfile").write_text(CADDYFILE % (port, upstream.removeprefix("http://"), rule))
    with started(caddy("run", "--config", str(folder / "Caddyfile")), at_home(folder), f"{url}/livez"):
        yield url


@pytest.mark.parametrize("buffers", ["body", "head and body"])
async def test_a_proxy_that_buffers(database: Database, serving: Serving, buffers: str) -> None:
    """Whether it holds the head back as well or not; the remedy, to pass everything on at once, cures it."""
    with buffering(serving.url, buffers) as url:
        (trouble,) = troubles(await examine(database.dsn, url=url))
    assert (trouble.check, trouble.level) == ("proxy_buffering", "problem")
    assert "something in between holds it back" in trouble.fact
    assert "proxy_buffering off" in str(trouble.remedy)
    with buffering(serving.url, "nothing") as url:
        assert troubles(await examine(database.dsn, url=url)) == []


async def test_a_proxy_that_rewrites_and_compresses(database: Database, serving: Serving, tmp_path: Path) -> None:
    """Caddy compresses once the head does not forbid it; the remedy, to leave Cache-Control alone, is enough."""
    with compressing(tmp_path, serving.url, "header_down Cache-Control no-cache") as url:
        found = troubles(await examine(database.dsn, url=url))
    assert [(finding.check, finding.level) for finding in found] == [
        ("proxy_compression", "warning"),
        ("proxy_headers", "warning"),
    ]
    assert "arrives compressed (gzip)" in found[0].fact
    assert "as 'no-cache'" in found[1].fact
    with compressing(tmp_path, serving.url, "") as url:
        assert troubles(await examine(database.dsn, url=url)) == []


async def test_a_proxy_that_speaks_an_old_protocol(database: Database, serving: Serving) -> None:
    """HTTP/1.0 knows no chunks."""
    with buffering(serving.url, "nothing", protocol="HTTP/1.0") as url:
        (trouble,) = troubles(await examine(database.dsn, url=url))
    assert (trouble.check, trouble.level) == ("proxy_protocol", "warning")


async def test_a_clock_at_the_url_that_is_wrong(database: Database, serving: Serving) -> None:
    """It is told, by how much at least, and that the state stays true."""
    with buffering(serving.url, "nothing", headers={"Date": "Wed, 01 Jan 2025 12:00:00 GMT"}) as url:
        (trouble,) = troubles(await examine(database.dsn, url=url))
    assert (trouble.check, trouble.level) == ("server_clock", "warning")
    assert "behind this machine's: the state stays true" in trouble.fact
    with buffering(serving.url, "nothing", headers={"Date": "today"}) as url:
        assert troubles(await examine(database.dsn, url=url)) == []


@pytest.mark.parametrize("url", [NOT_THERE, None])
async def test_nobody_answers(database: Database, url: str | None) -> None:
    """A warning where somebody named the server; else it is said that nothing was looked at."""
    finding = about("server", await examine(database.dsn, url=url))
    assert finding.level == ("warning" if url else "unknown")
    assert ("does not answer: nobody listens there" if url else "No server answers at") in finding.fact


async def test_something_else_answers(database: Database, host: Host) -> None:
    """The status tells what, and the remedy asks for the right address."""
    host.pages["/api/system-status/live"] = Page("hello")
    for url, said in ((host.url, "HTTP 200 (text/html)"), (f"{host.url}/elsewhere", "HTTP 404")):
        (trouble,) = troubles(await examine(database.dsn, url=url))
        assert (trouble.check, trouble.level) == ("server", "problem")
        assert said in trouble.fact


async def test_a_server_that_is_stopping(database: Database, host: Host) -> None:
    """It says goodbye instead of its condition; nothing holds that back."""
    farewell = 'event: bye\ndata: {"retry":2000}\n\n'
    thread = threading.Thread(target=lambda: host.next_stream().send(farewell))
    thread.start()
    findings = await examine(database.dsn, url=host.url)
    thread.join()
    assert "says goodbye" in about("listener", findings).fact
    assert about("proxy_buffering", findings).level == "ok"


async def test_a_server_that_has_to_poll(
    database: Database, pooled: Callable[[Database], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so itself; the remedy is the server's setting, whatever the doctor's own connection can do."""
    monkeypatch.setattr(listener, "CANARY_DEADLINE", 0.5)
    with hosting(create_app(load(), conninfo=pooled(database))) as url:
        with Follower(f"{url}/api/system-status/live") as client:
            client.wait_for(lambda seen: any(event.data["listener"] == "polling" for event in seen.named("connection")))
        (trouble,) = troubles(await examine(database.dsn, url=url))
    assert (trouble.check, trouble.level) == ("listener", "warning")
    assert "STABILITY_LISTEN_URL" in str(trouble.remedy)


async def test_a_server_that_lost_its_database(database: Database, hosted: str) -> None:
    """Both are told, each from its own side."""
    with database.away():
        with Follower(f"{hosted}/api/system-status/live") as client:
            client.wait_for_stable(None, 20)
        found = troubles(await examine(database.dsn, url=hosted))
    assert [finding.check for finding in found] == ["connection", "listener"]
    assert found[1].level == "problem"


async def test_a_server_that_cannot_read(database: Database, start_server: Callable[..., Serving]) -> None:
    """It listens, but is not ready: a table that it reads is gone, which the database tells as well."""
    serving = start_server(STABILITY_REREAD_SECONDS="0.2")
    fetch(database.dsn, "DROP TABLE public.import_job CASCADE")
    with Follower(f"{serving.url}/api/system-status/live") as client:
        client.wait_for_stable(None, 20)
    found = troubles(await examine(database.dsn, url=serving.url))
    assert {finding.check for finding in found} == {"source", "ready"}
