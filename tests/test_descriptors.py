"""Each stream is a descriptor: the server takes as many as it may have, and streams find no room before it runs out."""

import resource
import socket
import struct
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from stability.errors import SettingError
from stability.server.descriptors import SPARE
from stability.server.sockets import BACKLOG, HERD, MOST, listening
from stability.settings import load
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving, serve

HARD = SPARE + 8
LIVE = "/api/system-status/live"


def soft_limit(server: Serving) -> int:
    """What the kernel allows this process."""
    return resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize(("wanted", "told"), [("0", 0), ("1000", 1), ("4", 0)], ids=["unset", "too many", "fewer"])
def test_as_many_streams_as_descriptors(database: Database, tmp_path: Path, wanted: str, told: int) -> None:
    """The soft limit is raised to the hard one; beyond what that allows a client is told when to come back."""
    before = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (HARD // 2, HARD))
    room = min(int(wanted) or HARD, HARD - SPARE)
    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "log").open("w+"))
        server = stack.enter_context(serve(database.server_dsn, log=log, first=before, STABILITY_MAX_STREAMS=wanted))
        assert soft_limit(server) == HARD
        for _ in range(room):
            assert stack.enter_context(Follower(server.url + LIVE)).messages == [True]
        assert httpx.get(server.url + LIVE).text.startswith("retry: 30000")
        assert httpx.get(f"{server.url}/readyz").status_code == httpx.codes.OK
        log.seek(0)
        assert log.read().count(f"wanted={wanted} streams={room}") == told


def test_whoever_finds_no_descriptor_waits(database: Database, tmp_path: Path) -> None:
    """More come than there are descriptors, and ask for nothing: a line a second says so, and all goes on after it."""
    before, told = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (HARD, HARD)), tmp_path / "log"
    with told.open("w") as log, serve(database.server_dsn, log=log, first=before) as server:
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        began = time.monotonic()
        with ExitStack() as stack:
            for _ in range(2 * HARD):
                stack.enter_context(socket.create_connection(address))
            eventually(lambda: _told(told) > 0)
        eventually(lambda: httpx.get(f"{server.url}/livez").is_success)
        assert _told(told) <= MOST * (time.monotonic() - began + 1)


def _told(log: Path) -> int:
    return log.read_text().count("nobody can be accepted for a while")


def test_a_limit_below_what_is_spared_is_not_taken_for_none() -> None:
    """One stream, whatever was wished."""
    told = subprocess.run(
        [sys.executable, "-c", "from stability.server.descriptors import room_for; print(room_for(0), room_for(9))"],
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NOFILE, (SPARE, SPARE)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines()[-1] == "1 1"


def test_a_herd_may_wait() -> None:
    """Ten thousand connections wait to be accepted, though the kernel lets only some thousand wait at one socket."""
    allowed = min(BACKLOG, int(Path("/proc/sys/net/core/somaxconn").read_text()))
    with listening(load(port=0)) as sockets:
        assert len({each.getsockname() for each in sockets}) == 1
        waiting = [_backlog(each) for each in sockets]
    assert waiting == [allowed] * len(waiting)
    assert sum(waiting) >= HERD >= 10_000 or len(waiting) == MOST


def _backlog(listener: socket.socket) -> int:
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    (most,) = struct.unpack_from("I", info, 28)  # of a listening socket `tcpi_sacked` is its backlog
    return int(most)


def test_several_sockets_are_no_invitation() -> None:
    """Though they share their port, nobody else may: a second server is refused, as at a single socket."""
    with (
        listening(load(port=0)) as (one, *_),
        pytest.raises(SettingError, match="already in use"),
        listening(load(port=one.getsockname()[1])),
    ):
        pytest.fail("it was let in")
