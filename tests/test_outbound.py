"""The way out leads only where it is allowed to, for so long and so many bytes."""

import socket
import threading
from ipaddress import ip_address
from time import monotonic
from typing import Any

import pytest

from stability.deployments import outbound as module
from stability.deployments.allow import Allow
from stability.deployments.outbound import Answer, ForbiddenError, Outbound, UnansweredError
from tests.fixtures.machines import closed_port, target

HERE = Allow.parse(["127.0.0.1"])


async def ask(url: str, allow: Allow = HERE, seconds: float = 5.0, most: int = 0) -> Answer:
    """One question over a way out of its own."""
    outbound = Outbound(allow)
    try:
        return await outbound.ask(url, seconds, most=most)
    finally:
        await outbound.close()


@pytest.mark.parametrize(
    ("entries", "host", "address", "permitted"),
    [
        ([], "example.org", "93.184.216.34", True),
        ([], "example.org", "10.0.0.1", False),
        ([], "example.org", "127.0.0.1", False),
        ([], "example.org", "::1", False),
        ([], "example.org", "::ffff:10.0.0.1", False),
        ([], "example.org", "64:ff9b::7f00:1", False),
        ([], "example.org", "2002:7f00:1::", False),
        ([], "example.org", "169.254.169.254", False),
        ([], "example.org", "100.100.100.200", False),
        ([], "example.org", "fd00:ec2::254", False),
        ([], "example.org", "fec0::1", False),
        ([], "example.org", "feff::1", False),
        ([], "example.org", "0.0.0.0", False),  # noqa: S104
        ([], "example.org", "224.0.0.1", False),
        (["10.0.0.0/8"], "example.org", "10.0.0.1", True),
        (["10.0.0.0/8"], "example.org", "::ffff:10.0.0.1", True),
        (["10.0.0.0/8"], "example.org", "93.184.216.34", False),
        (["10.0.0.0/8", "public"], "example.org", "93.184.216.34", True),
        ([".internal"], "a.internal", "fdaa::1", True),
        ([".internal"], "a.internal", "fec0::1", True),
        ([".internal"], "internal", "fdaa::1", False),
        ([".internal"], "a.internal.evil.example", "fdaa::1", False),
        ([".internal"], "metadata.google.internal", "169.254.169.254", False),
        ([".internal"], "a.internal", "127.0.0.1", False),
        (["localhost"], "localhost", "127.0.0.1", True),
        (["metadata.google.internal"], "metadata.google.internal", "169.254.169.254", True),
    ],
)
def test_an_address_is_judged(entries: list[str], host: str, address: str, permitted: bool) -> None:
    """Private, local and metadata addresses are reached only if the operator names them."""
    assert Allow.parse(entries).permits(host, ip_address(address)) is permitted


@pytest.mark.parametrize(
    ("template", "host", "permitted"),
    [
        ("http://{machine_id}.vm.app.internal:8080/status", "a1.vm.app.internal", True),
        ("http://{machine_id}.vm.app.internal:8080/status", "a1.vm.other.internal", False),
        ("http://proxy.lan/{machine_id}", "proxy.lan", True),
        ("http://{machine_id}/status", "a1", False),
    ],
)
def test_the_template_is_the_operators_word(template: str, host: str, permitted: bool) -> None:
    """What it can lead to is allowed, and nothing beside it."""
    assert Allow.parse([], template).permits(host, ip_address("10.1.1.1")) is permitted


@pytest.mark.parametrize("entry", ["http://x/", "a b", "10.0.0.0/99", "*"])
def test_a_wrong_entry_is_told(entry: str) -> None:
    """By its name."""
    with pytest.raises(ValueError, match="no host"):
        Allow.parse([entry])


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://user:secret@127.0.0.1/",
        "http:///status",
        "//127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://a\x00b/",
        "gopher://127.0.0.1",
        "",
    ],
)
async def test_what_is_no_plain_address_is_refused(url: str) -> None:
    """Only http and https, a host, and no credentials."""
    with pytest.raises(ForbiddenError):
        await ask(url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "127.1"]
)
async def test_this_machine_is_not_reached_however_it_is_written(host: str) -> None:
    """Nothing connects."""
    async with target() as here:
        with pytest.raises((ForbiddenError, UnansweredError)):
            await ask(f"http://{host}:{here.port}/", Allow.parse([]))

        assert here.asked == []


async def test_a_name_that_changes_its_address_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked up once, and the connection goes to the address that was judged."""
    answers = iter(["127.0.0.1", "93.184.216.34"])
    looked_up: list[str] = []

    def getaddrinfo(host: str, port: Any, **_kwargs: Any) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port or 0))]

    async with target() as here:
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        answer = await ask(f"http://rebinding.example:{here.port}/", Allow.parse(["127.0.0.0/8"]))

    assert (answer.code, looked_up) == (200, ["rebinding.example"])
    assert here.asked[0].headers["host"] == f"rebinding.example:{here.port}"


async def test_a_redirect_is_an_answer() -> None:
    """It is not followed."""
    async with target("redirect") as here:
        assert (await ask(here.url)).code == 302
        assert len(here.asked) == 1


@pytest.mark.parametrize("behaviour", ["hang", "drip", "endless head", "close", "reset", "garbage"])
async def test_no_answer_is_no_answer_in_time(behaviour: str) -> None:
    """However it fails to come, byte by byte as well."""
    began = monotonic()
    async with target(behaviour) as here:
        with pytest.raises(UnansweredError):
            await ask(here.url, seconds=0.5)

    assert monotonic() - began < 2


async def test_nobody_there_is_no_answer() -> None:
    """A refused connection, and a name that nobody knows."""
    for url in (f"http://127.0.0.1:{closed_port()}/", "http://nobody.invalid/"):
        with pytest.raises(UnansweredError):
            await ask(url)


async def test_of_an_endless_body_a_part_is_read() -> None:
    """Then the connection is closed; a health check reads none."""
    async with target("endless body") as here:
        assert len((await ask(here.url, most=64 * 1024)).body) == 64 * 1024
        assert await ask(here.url) == Answer(200)


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are its credentials used."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    async with target() as here:
        assert (await ask(here.url)).code == 200
        assert "authorization" not in here.asked[0].headers


async def test_a_lookup_that_hangs_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the resolver goes on doing."""
    over = threading.Event()

    def getaddrinfo(*_args: Any, **_kwargs: Any) -> list[Any]:
        over.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    began = monotonic()
    with pytest.raises(UnansweredError):
        await ask("http://slow.example/", seconds=0.3)
    over.set()

    assert monotonic() - began < 2


async def test_lookups_that_hang_keep_no_more_threads_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often somebody asks and gives up; once they end, the next ones go on."""
    monkeypatch.setattr(module, "RESOLVING", 2)
    over, looking = threading.Event(), []

    def getaddrinfo(host: str, port: Any, **_kwargs: Any) -> list[Any]:
        looking.append(host)
        over.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port or 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    outbound = Outbound(HERE)
    try:
        for number in range(5):
            with pytest.raises(UnansweredError):
                await outbound.ask(f"http://slow{number}.example/", 0.1)
        assert looking == ["slow0.example", "slow1.example"]
        over.set()
        async with target() as here:
            for _ in range(5):
                assert (await outbound.ask(f"http://well.example:{here.port}/", 5)).code == 200
    finally:
        over.set()
        await outbound.close()


async def test_a_thread_that_cannot_begin_keeps_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may have no more of them for a while."""

    def begin(_thread: threading.Thread) -> None:
        raise RuntimeError

    monkeypatch.setattr(module, "RESOLVING", 1)
    outbound = Outbound(HERE)
    try:
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", begin)
            with pytest.raises(RuntimeError):
                await outbound.ask("http://localhost/", 5)
        async with target() as here:
            assert (await outbound.ask(f"http://localhost:{here.port}/", 5)).code == 200
    finally:
        await outbound.close()
