"""The listening socket: of one server, or of the port that several share.

It is bound before anything else is started, so that an address that cannot be used ends all at once, in one sentence.
"""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from stability.errors import SettingError
from stability.settings import Settings

BACKLOG: Final = 65_535  # connections that may wait to be accepted, as ten thousand do after a deploy
NOT_SENT: Final = (
    4096  # bytes that the kernel takes for a client that does not read, instead of megabytes of old frames
)
_SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")

_log = structlog.get_logger(__name__)


def bind(settings: Settings) -> socket.socket:
    """The socket that one server listens at.

    Raises SettingError when the address cannot be used, naming the variable and the remedy.
    """
    _note_backlog()
    if settings.uds:
        if settings.reuse_port:
            raise SettingError("STABILITY_UDS", "servers share a TCP port only: leave STABILITY_REUSE_PORT out.")
        return _bind_unix(settings)
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG, reuse_port=settings.reuse_port
        )
    except socket.gaierror as error:
        raise SettingError("STABILITY_HOST", f"{settings.host!r} is not an address of this machine.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                "STABILITY_PORT",
                f"{settings.port} is already in use on {settings.host}: stop the program there, choose another port,"
                " or let servers of ours share it (STABILITY_REUSE_PORT=1 for each).",
            ) from error
        raise SettingError(
            "STABILITY_HOST", f"cannot listen on {settings.host}:{settings.port}: {error.strerror}."
        ) from error
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # what is accepted inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT)
    return listener


def reserve(settings: Settings) -> socket.socket:
    """The port for several servers of ours: bound, so that it stays ours, and never listening.

    Raises SettingError as `bind` does, also where somebody else listens, who might share it unknowingly.
    """
    if settings.uds:
        raise SettingError("STABILITY_WORKERS", "several need a TCP port: leave STABILITY_UDS out.")
    with bind(settings) as alone:
        family, name = alone.family, alone.getsockname()
    shared = socket.socket(family)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind(name)
    return shared


def _note_backlog() -> None:
    with suppress(OSError, ValueError):  # no Linux
        allowed = int(_SOMAXCONN.read_text("ascii"))
        if allowed < BACKLOG:
            _log.debug("the kernel lets fewer wait to be accepted: net.core.somaxconn", allowed=allowed, wanted=BACKLOG)


def _bind_unix(settings: Settings) -> socket.socket:
    path = str(settings.uds)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _sweep_away(path)
        listener.bind(path)
    except OSError as error:
        listener.close()
        raise SettingError("STABILITY_UDS", f"cannot listen on {path}: {error.strerror}.") from error
    listener.listen(BACKLOG)
    return listener


def _sweep_away(path: str) -> None:
    """Remove the socket of a server that is gone; raises OSError when one answers there."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.connect(path)
    except ConnectionRefusedError:
        Path(path).unlink()
    except FileNotFoundError:
        pass
    else:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
