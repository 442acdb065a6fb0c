"""Commit to frame: from sending an autocommit statement until one client of the stream holds its frame.

Beside it, on the same commits, a bare psycopg LISTEN loop: what any listener in Python must take, without a read of the
truth, a state, or a stream.
"""

import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg

from bench import ground

COMMITS = 400
PAUSE = (0.06, 0.12)  # seconds between commits: each is news by itself


@dataclass
class Arrivals:
    """When something arrived, handed from the thread that waits for it."""

    at: float = 0.0
    came: threading.Event = field(default_factory=threading.Event)

    def note(self) -> None:
        """Now."""
        self.at = time.perf_counter()
        self.came.set()


def run(port: int) -> None:
    """Print both rows and their ratio."""
    with (
        ground.database() as dsn,
        ground.server("up", port, DATABASE_URL=dsn) as (url, _),
        psycopg.connect(dsn, autocommit=True) as writer,
    ):
        heard, framed = Arrivals(), Arrivals()
        for target, arguments in ((_listen, (dsn, heard)), (_follow, (url, framed))):
            threading.Thread(target=target, args=arguments, daemon=True).start()
        framed.came.wait()
        time.sleep(1)
        bare, ours = _measure(writer, heard, framed)
    print(ground.head("commit → client"))
    print(ground.row("bare psycopg LISTEN loop", bare))
    print(ground.row("Stability: frame at one client", ours))


def _measure(writer: psycopg.Connection[object], heard: Arrivals, framed: Arrivals) -> tuple[list[float], list[float]]:
    bare, ours = [], []
    for n in range(COMMITS):
        time.sleep(random.uniform(*PAUSE))  # noqa: S311
        heard.came.clear()
        framed.came.clear()
        statement = (
            "INSERT INTO public.import_job (slug, state) VALUES ('bench', 'importing_data')"
            if n % 2 == 0
            else "DELETE FROM public.import_job"
        )
        began = time.perf_counter()
        writer.execute(statement.encode())
        heard.came.wait()
        framed.came.wait()
        bare.append(heard.at - began)
        ours.append(framed.at - began)
    return bare, ours


def _listen(dsn: str, heard: Arrivals) -> None:
    with (
        suppress(psycopg.OperationalError),
        psycopg.connect(dsn, autocommit=True) as connection,
    ):  # it ends with the server
        connection.execute("LISTEN system_stability")
        for notification in connection.notifies():
            if "stable" not in notification.payload:
                heard.note()


def _follow(url: str, framed: Arrivals) -> None:
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as client:
        client.sendall(b"GET /api/system-status/live HTTP/1.1\r\nHost: bench\r\n\r\n")
        while part := client.recv(65536):
            if b'data: {"stable":' in part:
                framed.note()
