"""A Postgres of our own: one folder, one child process, reachable through a socket that only its owner may touch.

    with EmbeddedPostgres(Path(".stability")) as server:
        psycopg.connect(server.dsn)

Everything lies in `<data_dir>/postgres` (mode 0700): the cluster in `data`, the socket and `postgres.log`. Started by
root, the server runs as the folder's owner or as `nobody`, since Postgres refuses to be root.
"""

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from stability import binaries
from stability.errors import EmbeddedError

DATABASE = "stability"
SUPERUSER = "postgres"
PORT = 5432  # only names the socket: nothing listens on the network
LONGEST_SOCKET_FOLDER = 107 - len(f"/.s.PGSQL.{PORT}.lock")  # bytes; the kernel's limit for a socket's path

START_PATIENCE = 60.0  # seconds; recovery after a crash may replay up to max_wal_size
STOP_PATIENCE = 1.2  # seconds for the shutdown checkpoint; whatever it could not write is recovered at the next start
ORPHAN_PATIENCE = 1.0  # seconds that a server whose parent was killed needs to go
LOOK_AGAIN = 0.01  # seconds between two attempts to connect

_UNPRIVILEGED = ("nobody", "postgres", "daemon")
_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "cluster_name": DATABASE,
}
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def dsn_of(data_dir: Path) -> str:
    """The connection string of the server in `data_dir`, running or not."""
    return _dsn(_socket_folder(data_dir.absolute() / "postgres"), DATABASE)


class EmbeddedPostgres:
    """A Postgres server in `data_dir` that lives as long as this process; its superuser may do everything.

    `options` are settings of postgresql.conf that win over ours. Raises `EmbeddedError` when it cannot be started.
    """

    def __init__(self, data_dir: Path, options: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.dsn = ""
        self._options = {**_SETTINGS, **(options or {})}
        self._home = self.data_dir / "postgres"
        self._process: subprocess.Popen[bytes] | None = None

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
            account = _prepare_home(self._home)
            with _alone(self._home):
                self._start(account)
        except OSError as error:
            raise EmbeddedError(
                f"The data folder {self.data_dir} cannot be used ({error.strerror or error}): "
                "choose another one with STABILITY_DATA_DIR."
            ) from error
        self.dsn = dsn_of(self.data_dir)

    def stop(self) -> None:
        """End the server: politely, then at once. What was committed is kept either way."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, account: "_Account") -> None:
        data = self._home / "data"
        programs = binaries.find()
        if account.differs:
            programs = binaries.reachable(programs)
        if not data.exists():
            _make_cluster(programs, data, account, durable=self._options.get("fsync") != "off")
        _check_version(data, programs)
        _check_unused(data)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".previous.log"))
        options = {**self._options, "unix_socket_directories": str(_make_socket_folder(self._home, account))}
        command = [str(programs.bin / "postgres"), "-D", str(data.resolve()), "-p", str(PORT)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("wb") as log:
            self._process = account.popen(command, stdout=log.fileno())
        try:
            self._await_answer()
        except BaseException:
            self.stop()
            raise

    def _await_answer(self) -> None:
        assert self._process is not None  # noqa: S101 -- started just before
        deadline = time.monotonic() + START_PATIENCE
        while not _answers(_socket_folder(self._home)):
            if self._process.poll() is not None:
                raise EmbeddedError(f"Postgres did not start: {self._last_line()} (see {self.log}).")
            if time.monotonic() > deadline:
                raise EmbeddedError(f"Postgres did not answer within {START_PATIENCE:.0f} s (see {self.log}).")
            time.sleep(LOOK_AGAIN)

    def _last_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        telling = [line for line in lines if "FATAL:" in line or "PANIC:" in line] or lines
        return telling[-1] if telling else "it said nothing"


class _Account:
    """The user the server runs as: ourselves, or when we are root the owner of its folder, else nobody."""

    def __init__(self, home: Path) -> None:
        self.uid, self.gid = os.geteuid(), os.getegid()
        self.differs = self.uid == 0
        if self.differs:
            self.uid, self.gid = _owner_of(home) or _unprivileged()

    def own(self, folder: Path) -> None:
        """Make `folder` this user's, closed to everybody else."""
        folder.chmod(0o700)
        if self.differs:
            os.chown(folder, self.uid, self.gid)

    def popen(self, command: list[str], stdout: int) -> subprocess.Popen[bytes]:
        """Start `command` as this user, in a process group of its own: a Ctrl-C in the terminal is for us to handle."""
        parent = os.getpid()

        def die_with_parent() -> None:
            if _libc is not None:
                _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
                if os.getppid() != parent:  # it died before the call
                    os._exit(1)

        ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**ours, "LC_ALL": "C", "TZ": "UTC"},
            process_group=0,
            user=self.uid if self.differs else None,
            group=self.gid if self.differs else None,
            extra_groups=[] if self.differs else None,
            preexec_fn=die_with_parent,  # noqa: PLW1509 -- runs after the change of user, which would clear it
        )


def _owner_of(home: Path) -> tuple[int, int] | None:
    if not home.exists():
        return None
    found = home.stat()
    return (found.st_uid, found.st_gid) if found.st_uid != 0 else None


def _unprivileged() -> tuple[int, int]:
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return user.pw_uid, user.pw_gid
    raise EmbeddedError(
        f"Postgres refuses to run as root and there is no user {_UNPRIVILEGED[0]}: start as another user."
    )


def _prepare_home(home: Path) -> _Account:
    account = _Account(home)
    if not home.exists():
        home.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        if account.differs and not binaries.is_enterable_by_all(home.parent.resolve()):
            binaries.SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
            home.symlink_to(tempfile.mkdtemp(prefix="data-", dir=binaries.SHARED))
        else:
            home.mkdir(mode=0o700)
    account.own(home)
    return account


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One start at a time per folder; the lock goes with the process."""
    lock = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make_cluster(programs: binaries.Binaries, data: Path, account: _Account, *, durable: bool) -> None:
    # beside its final name and renamed at the end: one that was interrupted is never taken for a whole one
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    account.own(fresh)
    locale = ["--locale-provider=builtin", "--locale=C.UTF-8"] if programs.major >= 17 else ["--locale=C"]  # noqa: PLR2004 -- the first with it
    command = [str(programs.bin / "initdb"), "-D", str(fresh.resolve()), "-U", SUPERUSER, "-E", "UTF8", *locale]
    command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions"]
    with tempfile.TemporaryFile() as output:
        code = account.popen(command if durable else [*command, "--no-sync"], stdout=output.fileno()).wait()
        output.seek(0)
        said = output.read().decode(errors="replace").strip().splitlines()
    if code != 0:
        raise EmbeddedError(
            f"The database folder {data} could not be made: {said[-1] if said else f'initdb ended with {code}'}."
        )
    fresh.rename(data)


def _check_version(data: Path, programs: binaries.Binaries) -> None:
    mark = data / "PG_VERSION"
    if not mark.is_file():
        raise EmbeddedError(
            f"{data} is not a Postgres data folder: move it away, or choose another with STABILITY_DATA_DIR."
        )
    version = mark.read_text().strip()
    if version != str(programs.major):
        raise EmbeddedError(
            f"The data folder {data} was made by Postgres {version}, the programs here are {programs.version}: "
            f"install Postgres {version}, or choose an empty folder with STABILITY_DATA_DIR and load a dump into it."
        )


def _check_unused(data: Path) -> None:
    deadline = time.monotonic() + ORPHAN_PATIENCE
    while (owner := _running_owner(data)) is not None:
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"The data folder {data} is in use by a running Postgres (process {owner}): "
                "stop it, or choose another folder with STABILITY_DATA_DIR."
            )
        time.sleep(LOOK_AGAIN)


def _running_owner(data: Path) -> int | None:
    """The process that runs on `data`. A left-over lock whose number a stranger got meanwhile is made harmless."""
    lock = data / "postmaster.pid"
    try:
        pid, *others = lock.read_text().splitlines()
        os.kill(int(pid), 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    except PermissionError:
        return None  # of another user, so no server of this folder: Postgres concludes the same
    try:
        at_home = Path(f"/proc/{pid}/cwd").samefile(data)  # where a server always stands
    except OSError:
        at_home = True  # no /proc here: believe the lock
    if at_home:
        return int(pid)
    # a server ignores its parent's number in the lock, and still checks the shared memory that the lock names
    lock.write_text("\n".join([str(os.getpid()), *others]) + "\n")
    return None


def _socket_folder(home: Path) -> Path:
    link = home / "socket"
    return Path(os.path.realpath(link if os.path.islink(link) else home))


def _make_socket_folder(home: Path, account: _Account) -> Path:
    link = home / "socket"
    if len(os.fsencode(home.resolve())) <= LONGEST_SOCKET_FOLDER:
        link.unlink(missing_ok=True)
    elif not (link.is_dir() and link.stat().st_uid == account.uid):
        link.unlink(missing_ok=True)
        short = Path(tempfile.mkdtemp(prefix="stability-", dir="/tmp"))
        account.own(short)
        link.symlink_to(short)
    return _socket_folder(home)


def _dsn(socket_folder: Path, database: str) -> str:
    # the port is named because PGPORT would win otherwise
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(socket_folder))}&port={PORT}"


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
