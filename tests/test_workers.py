"""Several servers on one port: each is one of its own, a crash is made good, and all end together."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving, free_port, serve
from tests.fixtures.work import begin_work, end_work

LIVE = "/api/live"
MANY = 64  # connections: that one of two workers gets none of them happens once in 2**63 times


@pytest.fixture
def pair(database: Database) -> Iterator[Serving]:
    """`stability serve --workers 2`, both of them ready."""
    with serve(database.server_dsn, command=("serve", "--workers", "2")) as server:
        eventually(lambda: len(ready(server)) == 2)
        yield server


def children(pid: int) -> set[int]:
    """The processes that it has started and that live."""
    return {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()}


def ready(server: Serving) -> set[str]:
    """The workers that say they are."""
    found = set()
    for _ in range(MANY):
        try:
            with httpx.Client(base_url=server.url) as client:
                if client.get("/readyz").is_success:
                    found.add(name(client.get("/metrics").text))
        except httpx.TransportError:
            assert server.process.poll() is None, "the server ended"
        if len(found) == 2:
            break
    return found


def name(metrics: str) -> str:
    """Of the worker that told these."""
    (found,) = set(re.findall(r'worker="(\d+)"', metrics))
    return str(found)


def hello(url: str, identity: str = "") -> tuple[str, str]:
    """The epoch of the worker that answers, and all that it opens with."""
    with httpx.stream("GET", url + LIVE, headers={"Last-Event-ID": identity}) as answer:
        text = ""
        for part in answer.iter_text():
            text += part
            if "event: ready" in text:
                break
    found = re.search(r'"epoch":"(\w+)"', text)
    assert found is not None
    return found[1], text


def test_clients_are_dealt_out_and_all_hear_everything(pair: Serving, database: Database) -> None:
    """Every client has each change, whichever worker it has, and both have clients."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Follower(pair.url + LIVE)) for _ in range(MANY)]
        for act, stable in ((begin_work, False), (end_work, True)):
            act(database)
            for client in clients:
                client.wait_for_stable(stable)
        assert {tuple(client.messages) for client in clients} == {(True, False, True)}
        dealt = Counter(client.named("hello")[0].data["epoch"] for client in clients)
    assert len(dealt) == 2
    assert min(dealt.values()) > MANY / 8


def test_an_id_of_the_other_worker_begins_again(pair: Serving) -> None:
    """Back at the same worker a client hears nothing twice; at the other one it has the whole snapshot."""
    first, text = hello(pair.url)
    identity = re.findall(r"^id: (\S+)$", text, re.MULTILINE)[-1]
    assert "event: status" in text
    again = [hello(pair.url, identity) for _ in range(MANY)]
    assert {epoch for epoch, _ in again} > {first}
    assert all(("event: status" in text) is (epoch != first) for epoch, text in again)


def test_each_figure_names_its_worker(pair: Serving) -> None:
    """A scraper gets one worker's at a time, and can tell them apart; nothing is without the label."""
    for line in httpx.get(f"{pair.url}/metrics").text.splitlines():
        assert line.startswith("#") or 'worker="' in line
    assert ready(pair) == {"1", "2"}


def test_each_line_of_the_log_names_its_worker(database: Database, tmp_path: Path) -> None:
    """Both write into one log, and can be told apart there."""
    with (
        (tmp_path / "log").open("w") as log,
        serve(database.server_dsn, command=("serve", "--workers", "2"), log=log, STABILITY_LOG_FORMAT="json") as server,
    ):
        eventually(lambda: len(ready(server)) == 2)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {line["worker"] for line in lines} == {"1", "2"}
    assert {line["worker"] for line in lines if line["event"] == "listening"} == {"1", "2"}


def test_the_same_state_has_the_same_tag(pair: Serving) -> None:
    """A client that polls may have another worker each time."""
    tags = {httpx.get(f"{pair.url}/api/system-status").headers["etag"] for _ in range(MANY)}
    assert len(tags) == 1


def test_a_crash_is_made_good(pair: Serving) -> None:
    """The clients of the other worker notice nothing, new ones are always let in, and soon there are two again."""
    victim, other = children(pair.process.pid)
    with ExitStack() as stack:
        clients = [stack.enter_context(Follower(pair.url + LIVE)) for _ in range(MANY)]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: any(client.ended for client in clients))
        eventually(lambda: victim not in children(pair.process.pid))
        assert httpx.get(f"{pair.url}/livez").is_success
        eventually(lambda: len(ready(pair)) == 2)
        assert other in children(pair.process.pid)
        assert not all(client.ended for client in clients)


def test_a_crash_amid_a_shortage(pair: Serving) -> None:
    """Where there is no descriptor to start it with, the others go on, and it is started once there are some again."""
    (victim, other), parent = sorted(children(pair.process.pid)), pair.process.pid
    before = resource.prlimit(parent, resource.RLIMIT_NOFILE)
    resource.prlimit(parent, resource.RLIMIT_NOFILE, (3, before[1]))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: children(parent) == {other})
    assert len(ready(pair)) == 1
    resource.prlimit(parent, resource.RLIMIT_NOFILE, before)
    eventually(lambda: len(ready(pair)) == 2)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_all_end_together(pair: Serving, end: signal.Signals) -> None:
    """Within two seconds, every client with a goodbye, and no process is left."""
    workers = children(pair.process.pid)
    assert len(workers) == 2
    with ExitStack() as stack:
        clients = [stack.enter_context(Follower(pair.url + LIVE)) for _ in range(8)]
        pair.process.send_signal(end)
        began = time.monotonic()
        assert pair.process.wait(10) == 0
        assert time.monotonic() - began < 2
        for client in clients:
            client.wait_for(lambda client: client.ended)
            assert client.named("bye")
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_no_orphans(pair: Serving) -> None:
    """Killed without a word, the parent takes its workers along, and they say goodbye."""
    workers = children(pair.process.pid)
    with Follower(pair.url + LIVE) as client:
        pair.process.kill()
        pair.process.wait()
        client.wait_for(lambda client: client.ended)
        assert client.named("bye")
    eventually(lambda: not any(_alive(worker) for worker in workers))


def _alive(pid: int) -> bool:
    """Whether it runs; one that only waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_port_is_told_once_somebody_answers_there(database: Database) -> None:
    """Port 0 picks one for all; who reads the address can connect."""
    command = [sys.executable, "-m", "stability", "serve", "--workers", "2", "--port", "0"]
    variables = {**os.environ, "DATABASE_URL": database.server_dsn}
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            assert httpx.get(f"{url}/livez").is_success
        finally:
            process.terminate()
        assert process.stdout.read() == ""


@pytest.mark.parametrize("sharing", [False, True], ids=["alone", "sharing"])
def test_a_port_that_somebody_has(database: Database, sharing: bool) -> None:
    """It is not shared unknowingly, even where its owner would."""
    with closing(socket.socket()) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, sharing)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"{port} is already in use" in refusal(database, "--workers", "2", "--port", str(port))


@pytest.mark.parametrize(
    ("options", "telling"),
    [
        (("--workers", "2", "--reload"), "--reload"),
        (("--workers", "2", "--uds", "/tmp/unused"), "STABILITY_UDS"),  # noqa: S108 -- never made
        (("--workers", "0"), "STABILITY_WORKERS"),
        (("--reuse-port", "--uds", "/tmp/unused"), "STABILITY_UDS"),  # noqa: S108 -- never made
    ],
)
def test_what_does_not_go_together(database: Database, options: tuple[str, ...], telling: str) -> None:
    """One sentence that names it, and exit status 2."""
    assert telling in refusal(database, *options)


def refusal(database: Database, *options: str) -> str:
    """What `stability serve` says when it does not start."""
    command = [sys.executable, "-m", "stability", "serve", *options]
    variables = {**os.environ, "DATABASE_URL": database.server_dsn, "COLUMNS": "200"}
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False), ended.stderr
    return ended.stderr


def test_on_a_postgres_of_our_own(data_dir: Path) -> None:
    """Only `up` starts one, and one process is enough for it; `serve` with several finds it, and does not end it."""
    port, other = str(free_port()), str(free_port())
    variables = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    variables |= {"STABILITY_DATA_DIR": str(data_dir), "STABILITY_WORKERS": "2"}
    command = [sys.executable, "-m", "stability"]
    with subprocess.Popen([*command, "up", "--port", port], env=variables) as up:
        try:
            Serving(f"http://127.0.0.1:{port}", up).await_ready()  # type: ignore[arg-type]
            with subprocess.Popen([*command, "serve", "--port", other], env=variables, text=True) as workers:
                try:
                    eventually(lambda: len(ready(Serving(f"http://127.0.0.1:{other}", workers))) == 2)
                finally:
                    workers.terminate()
            assert httpx.get(f"http://127.0.0.1:{port}/api/system-status").json()["stable"] is True
        finally:
            up.terminate()
