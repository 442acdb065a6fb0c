"""A Postgres of our own: one folder, one child process, reachable through a socket that only its owner may touch.

with EmbeddedPostgres(Path(".stability")) as server:
    psycopg.connect(server.dsn)
"""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
import structlog

from stability.errors import EmbeddedError
from stability.postgres import binaries, cluster
from stability.postgres.account import Account

DATABASE = "stability"
START_PATIENCE = 60.0  # seconds; recovery after a crash may replay up to max_wal_size
LOOK_AFTER = 2.0  # seconds between two looks whether it still runs
TOLD_AGAIN = 10.0  # seconds that it must have stayed before its next end is news
QUIT_PATIENCE = 0.5  # seconds for an end without a checkpoint
STOP_PATIENCE = 0.8  # seconds for the shutdown checkpoint; whatever it could not write is recovered at the next start

_log = structlog.get_logger(__name__)

_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "cluster_name": DATABASE,
}


def dsn_of(data_dir: Path) -> str:
    """The connection string of the server in `data_dir`, running or not."""
    return _dsn(cluster.socket_folder(data_dir.absolute() / "postgres"), DATABASE)


class EmbeddedPostgres:
    """A Postgres server in `data_dir` that lives as long as this process; who may read the folder may do everything.

    `options` are settings of postgresql.conf that win over ours. Raises `EmbeddedError` when it cannot be started.
    """

    def __init__(self, data_dir: Path, options: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self._options = {**_SETTINGS, **(options or {})}
        self._home = self.data_dir / "postgres"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """The connection string of the superuser, for the database `stability`."""
        return dsn_of(self.data_dir)

    @property
    def pid(self) -> int | None:
        """The process id of the running server."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> Path:
        """What the server has written since its start."""
        return self._home / "postgres.log"

    def start(self) -> None:
        """Start the server, after making the cluster if there is none, and return when it answers."""
        if threading.current_thread() is not threading.main_thread():
            # PR_SET_PDEATHSIG fires at the end of the *thread* that forked
            raise RuntimeError("EmbeddedPostgres.start() must be called in the main thread")
        try:
            account = cluster.prepare_home(self._home)
            with cluster.alone_in(self._home):
                self._process = self._launch(account)
                self._await_answer(self._process)
        except OSError as error:
            raise EmbeddedError(
                f"The data folder {self.data_dir} cannot be used ({error.strerror or error}): "
                "choose another one with STABILITY_DATA_DIR."
            ) from error

    def stop(self) -> None:
        """End the server: politely, then at once. What was committed is kept either way."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(QUIT_PATIENCE)
            except subprocess.TimeoutExpired:  # it, or one of its children, is stopped
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._process = None

    async def keep(self) -> None:
        """Start the server again whenever it ended without `stop()`; returns only by cancellation.

        It may end by a crash, for want of disk or memory, or by somebody's hand; clients connect again by themselves.
        """
        told_at, refused = -TOLD_AGAIN, ""
        while True:
            await asyncio.sleep(LOOK_AFTER)
            if self._process is None or self._process.poll() is None:
                continue
            now = time.monotonic()
            if now - told_at >= TOLD_AGAIN:
                _log.warning("Postgres ended, starting it again until it stays", reason=self._last_line())
            told_at = now
            try:
                account = cluster.prepare_home(self._home)
                with cluster.alone_in(self._home, wait=False):
                    self._process = self._launch(account, again=True)
            except (OSError, EmbeddedError) as error:
                if str(error) != refused:
                    _log.warning("Postgres cannot be started", reason=str(error))
                refused = str(error)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _launch(self, account: Account, *, again: bool = False) -> subprocess.Popen[bytes]:
        """Start the program; `again` in a cluster that there was, and without any delay."""
        data = self._home / "data"
        if again and not data.exists():
            raise EmbeddedError(f"{data} is gone: stop the server and start it anew.")
        programs = binaries.find()
        if account.differs:
            programs = binaries.reachable(programs)
        if not data.exists():
            cluster.make_cluster(programs, data, account, durable=self._options.get("fsync") != "off")
        cluster.check_version(data, programs)
        cluster.check_unused(data, 0.0 if again else cluster.ORPHAN_PATIENCE)
        if self.log.exists() or self.log.is_symlink():
            self.log.replace(self.log.with_suffix(".previous.log"))
        options = {**self._options, "unix_socket_directories": str(cluster.make_socket_folder(self._home, account))}
        command = [str(programs.bin / "postgres"), "-D", str(data.resolve()), "-p", str(cluster.PORT)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        # the account of Postgres owns the folder: root must not follow a link that it left there
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as log:
            return account.popen(command, stdout=log.fileno())

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_PATIENCE
        try:
            while not _answers(cluster.socket_folder(self._home)):
                self._check(process, deadline)
                time.sleep(cluster.LOOK_AGAIN)
        except BaseException:
            self.stop()
            raise

    def _check(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        if process.poll() is not None:
            raise EmbeddedError(f"Postgres did not start: {self._last_line()} (see {self.log}).")
        if time.monotonic() > deadline:
            raise EmbeddedError(f"Postgres did not answer within {START_PATIENCE:.0f} s (see {self.log}).")

    def _last_line(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError as error:
            return f"its log cannot be read ({error.strerror})"
        telling = [line for line in lines if "FATAL:" in line or "PANIC:" in line] or lines
        return telling[-1] if telling else "it said nothing"


def _answers(socket_folder: Path) -> bool:
    """Whether the server takes connections; then the database exists as well."""
    try:
        with psycopg.connect(_dsn(socket_folder, "postgres"), autocommit=True, connect_timeout=2) as connection:
            found = connection.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
    except psycopg.OperationalError:
        return False
    return True


def _dsn(socket_folder: Path, database: str) -> str:
    # the port is named because PGPORT would win otherwise
    return f"postgresql://{cluster.SUPERUSER}@/{database}?host={quote(str(socket_folder))}&port={cluster.PORT}"
