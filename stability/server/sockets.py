"""The listening sockets: of one server, or of the port that several share.

They are bound before anything else is started, so that an address that cannot be used ends all at once, in one
sentence. A server has several of one port where the kernel lets fewer wait at one than come together after a deploy:
whoever finds no room there hears nothing, and tries again after a second, then after two more.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from stability.errors import SettingError
from stability.settings import Settings

BACKLOG: Final = 65_535  # connections that may wait at one socket to be accepted, if it were for us
HERD: Final = 16_384  # connections that may wait at all of them, as ten thousand do after a deploy
MOST: Final = 16  # sockets of one server, however few the kernel lets wait
NOT_SENT: Final = (
    4096  # bytes that the kernel takes for a client that does not read, instead of megabytes of old frames
)
_SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")


@contextmanager
def listening(settings: Settings) -> Iterator[list[socket.socket]]:
    """The sockets that one server listens at, until the block ends; of one address.

    Raises SettingError when the address cannot be used, naming the variable and the remedy.
    """
    if settings.uds and settings.reuse_port:
        raise SettingError("STABILITY_UDS", "servers share a TCP port only: leave STABILITY_REUSE_PORT out.")
    with ExitStack() as stack:
        yield [stack.enter_context(each) for each in ([_bind_unix(settings)] if settings.uds else _bind(settings))]


def _bind(settings: Settings) -> Iterator[socket.socket]:
    """One that finds out whether somebody else listens there; several only share a port after that."""
    one = _bind_one(settings, settings.port, shared=settings.reuse_port)
    count = min(-(-HERD // _may_wait()), MOST)
    if count == 1:
        yield one
        return
    port = one.getsockname()[1]
    one.close()
    for _ in range(count):
        yield _bind_one(settings, port, shared=True)


def _bind_one(settings: Settings, port: int, *, shared: bool) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((settings.host, port), family=family, backlog=BACKLOG, reuse_port=shared)
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
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it, and this:
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT)
    return listener


def reserve(settings: Settings) -> socket.socket:
    """The port for several servers of ours: bound, so that it stays ours, and never listening.

    Raises SettingError as `listening` does, also where somebody else listens, who might share it unknowingly.
    """
    if settings.uds:
        raise SettingError("STABILITY_WORKERS", "several need a TCP port: leave STABILITY_UDS out.")
    with listening(settings) as (one, *_):
        family, name = one.family, one.getsockname()
    shared = socket.socket(family)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind(name)
    return shared


def _may_wait() -> int:
    """How many connections the kernel lets wait at one socket."""
    with suppress(OSError, ValueError):  # no Linux
        return min(int(_SOMAXCONN.read_text("ascii")), BACKLOG) or 1
    return BACKLOG


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
