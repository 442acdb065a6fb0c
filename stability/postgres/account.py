"""The user that the embedded Postgres runs as, since Postgres refuses to be root."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from stability.errors import EmbeddedError

_UNPRIVILEGED = ("nobody", "postgres", "daemon")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Account:
    """Ourselves; when we are root, the owner of the server's folder `home`, else nobody."""

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
        """Start `command` as this user; it dies with us (Linux), but not of a Ctrl-C in our terminal."""
        neutral = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**neutral, "LC_ALL": "C", "TZ": "UTC"},
            process_group=0,
            user=self.uid if self.differs else None,
            group=self.gid if self.differs else None,
            extra_groups=[] if self.differs else None,
            preexec_fn=partial(die_with, os.getpid(), signal.SIGQUIT),  # noqa: PLW1509 -- must come after the change of user, which clears it
        )


def die_with(parent: int, by: signal.Signals) -> None:
    """Called in a child, before its program begins: that signal ends it when `parent` ends (Linux only)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, by)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)


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
    raise EmbeddedError("Postgres refuses to run as root and there is no user `nobody`: start as an ordinary user.")
