"""The folder of the embedded Postgres: made once, whole or not at all, and never shared or overwritten.

<data_dir>/postgres           mode 0700, owned by the user the server runs as; a link when that user could not enter
<data_dir>/postgres/data      the cluster
<data_dir>/postgres/socket    a link to a shorter folder, only where the path is too long for a socket
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stability.errors import EmbeddedError
from stability.postgres import binaries
from stability.postgres.account import Account
from stability.postgres.binaries import Binaries

SUPERUSER = "postgres"
PORT = 5432  # only names the socket: nothing listens on the network
LONGEST_SOCKET_FOLDER = 107 - len(f"/.s.PGSQL.{PORT}.lock")  # bytes; the kernel's limit for a socket's path
ORPHAN_PATIENCE = 1.0  # seconds that a server whose parent was killed needs to go
LOOK_AGAIN = 0.01  # seconds

_FIRST_WITH_BUILTIN_LOCALE = 17


def prepare_home(home: Path) -> Account:
    """Make the folder `home` if need be, and say who runs a server in it."""
    account = Account(home)
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
def alone_in(home: Path, *, wait: bool = True) -> Iterator[None]:
    """One start at a time per folder; the lock goes with the process.

    Without `wait` it raises BlockingIOError where another process is starting there.
    """
    lock = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def make_cluster(programs: Binaries, data: Path, account: Account, *, durable: bool) -> None:
    """Run initdb for the folder `data`."""
    # beside its final name and renamed at the end: one that was interrupted is never taken for a whole one
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    account.own(fresh)
    builtin = programs.major >= _FIRST_WITH_BUILTIN_LOCALE
    command = [str(programs.bin / "initdb"), "-D", str(fresh.resolve()), "-U", SUPERUSER, "-E", "UTF8"]
    command += ["--locale-provider=builtin", "--locale=C.UTF-8"] if builtin else ["--locale=C"]
    command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions"]
    command += [] if durable else ["--no-sync"]
    with tempfile.TemporaryFile() as output:
        code = account.popen(command, stdout=output.fileno()).wait()
        output.seek(0)
        said = output.read().decode(errors="replace").strip().splitlines() or [f"initdb ended with {code}"]
    if code != 0:
        raise EmbeddedError(f"The database folder {data} could not be made: {said[-1]}.")
    fresh.rename(data)


def check_version(data: Path, programs: Binaries) -> None:
    """Refuse a folder that these programs cannot read."""
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


def check_unused(data: Path, patience: float = ORPHAN_PATIENCE) -> None:
    """Refuse a folder on which another server runs, after so many seconds for it to end."""
    deadline = time.monotonic() + patience
    while (owner := _running_owner(data)) is not None:
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"The data folder {data} is in use by a running Postgres (process {owner}): "
                "stop it, or choose another folder with STABILITY_DATA_DIR."
            )
        time.sleep(LOOK_AGAIN)


def socket_folder(home: Path) -> Path:
    """Where the socket of the server in `home` is."""
    link = home / "socket"
    return Path(os.path.realpath(link if os.path.islink(link) else home))


def make_socket_folder(home: Path, account: Account) -> Path:
    """Where the socket shall be: in `home`, or in a short folder of our own to which `home/socket` points."""
    link = home / "socket"
    if len(os.fsencode(home.resolve())) <= LONGEST_SOCKET_FOLDER:
        link.unlink(missing_ok=True)
    elif not (link.is_dir() and link.stat().st_uid == account.uid):  # a reboot empties /tmp
        link.unlink(missing_ok=True)
        short = Path(tempfile.mkdtemp(prefix="stability-", dir="/tmp"))
        account.own(short)
        link.symlink_to(short)
    return socket_folder(home)


def _running_owner(data: Path) -> int | None:
    """The process that runs on `data`. A left-over lock whose number a stranger got meanwhile is made harmless."""
    lock = data / "postmaster.pid"
    try:
        pid, *others = lock.read_text().splitlines()
        os.kill(int(pid), 0)
    except (FileNotFoundError, ProcessLookupError, ValueError, PermissionError):
        return None  # PermissionError: of another user, so no server of this folder; Postgres concludes the same
    try:
        at_home = Path(f"/proc/{pid}/cwd").samefile(data)  # where a server always stands
    except OSError:
        at_home = True  # no /proc here: believe the lock
    if at_home:
        return int(pid)
    # a server ignores its parent's number in the lock, and still checks the shared memory that the lock names
    lock.write_text("\n".join([str(os.getpid()), *others]) + "\n")
    return None
