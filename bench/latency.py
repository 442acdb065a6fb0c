"""Commit to frame: from sending an autocommit statement until one client of the stream holds its frame.

Beside it, on the same commits, a bare psycopg LISTEN loop behind a trigger that notifies: what any listener in Python
must take, without a read of the truth, a state, or a stream. From stable to processing a hint leads the way; back again
the server sees it at one of its own looks.
"""

import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median, quantiles
from urllib.parse import urlsplit

import psycopg

from bench import ground
from bench.report import Column, Table, tell

CHANGES = 60  # there and back
BEGIN = b"INSERT INTO public.import_job (slug, state) VALUES ('bench', 'importing_data')"
END = b"DELETE FROM public.import_job"
PAUSE = (0.2, 0.4)  # seconds that work goes on
TRIGGER = """
    CREATE FUNCTION bare() RETURNS trigger LANGUAGE plpgsql
    AS $$BEGIN PERFORM pg_notify('bare', ''); RETURN NULL; END$$;
    CREATE TRIGGER bare AFTER INSERT OR DELETE ON public.import_job FOR EACH STATEMENT EXECUTE FUNCTION bare();
"""


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
    """Print the rows."""
    with (
        ground.database() as dsn,
        ground.server("up", port, DATABASE_URL=dsn) as (url, _),
        psycopg.connect(dsn, autocommit=True) as writer,
    ):
        writer.execute(TRIGGER)
        heard, framed = Arrivals(), Arrivals()
        for target, arguments in ((_listen, (dsn, heard)), (_follow, (url, framed))):
            threading.Thread(target=target, args=arguments, daemon=True).start()
        framed.came.wait()
        begun, ended = [], []
        for _ in range(CHANGES):
            ground.await_armed(writer)
            begun.append(_change(writer, BEGIN, heard, framed))
            time.sleep(random.uniform(*PAUSE))  # noqa: S311
            ended.append(_change(writer, END, heard, framed))
    rows = {
        "a bare psycopg LISTEN loop": _figures([bare for bare, _ in begun + ended]),
        "Stability: stable → processing": _figures([ours for _, ours in begun]),
        "Stability: processing → stable": _figures([ours for _, ours in ended]),
    }
    tell(Table("Commit to one client", [Column("median, ms"), Column("p99, ms")], rows), ground.machine())


def _figures(seconds: list[float]) -> list[float]:
    return [1e3 * median(seconds), 1e3 * quantiles(seconds, n=100)[98]]


def _change(
    writer: psycopg.Connection[tuple[object, ...]], statement: bytes, heard: Arrivals, framed: Arrivals
) -> tuple[float, float]:
    heard.came.clear()
    framed.came.clear()
    began = time.perf_counter()
    writer.execute(statement)
    heard.came.wait()
    framed.came.wait()
    return heard.at - began, framed.at - began


def _listen(dsn: str, heard: Arrivals) -> None:
    with (
        suppress(psycopg.OperationalError),
        psycopg.connect(dsn, autocommit=True) as connection,
    ):  # it ends with the server
        connection.execute("LISTEN bare")
        for _ in connection.notifies():
            heard.note()


def _follow(url: str, framed: Arrivals) -> None:
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as client:
        client.sendall(b"GET /api/system-status/live HTTP/1.1\r\nHost: bench\r\n\r\n")
        while part := client.recv(65536):
            if b'data: {"stable":' in part:
                framed.note()
