"""One client that was handed off: its socket, which is written to, and otherwise only noticed when it goes."""

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stability.frames import bye

if TYPE_CHECKING:
    from stability.fanout import Fanout
    from stability.fanout.feed import Feed

READ_DEADLINE: Final = 30.0  # seconds that a client may leave its buffers full
LONGEST_REMARK: Final = 64 * 1024  # bytes that a client may send after its request; nobody reads them
_END: Final = b"0\r\n\r\n"  # the chunk after which HTTP/1.1 has no more


class Connection:
    """Writes to one client what its feed has to tell, until it is gone, or lets its buffers stay full for too long."""

    __slots__ = (
        "_among",
        "_chunked",
        "_deadline",
        "_fanout",
        "_remarks",
        "_rest",
        "_socket",
        "descriptor",
        "feed",
    )

    def __init__(self, fanout: "Fanout", feed: "Feed", socket: int, *, chunked: bool, among: "set[Connection]") -> None:
        """Of the descriptor `socket`, which does not block and is its own now; one of `among` until it is gone."""
        self._fanout, self.feed, self._socket = fanout, feed, socket
        self._chunked, self._among = chunked, among
        self.descriptor: int | None = socket
        """The same, while nothing stands in the way of writing to it."""
        self._rest, self._remarks = b"", 0
        self._deadline: asyncio.TimerHandle | None = None

    def begin(self, first: bytes) -> None:
        """It hears `first`, then everything else; somebody has to `read` whatever it says."""
        self._among.add(self)
        self._write(first)
        self._fanout.join(self)

    def tell(self) -> int:
        """Write what is new, if it can be taken; returns how many chunks, 0 or 1. A client that is gone takes none."""
        if self.descriptor is None:
            return 0
        if self._fanout.closed:
            self.shutdown()
            return 1
        if self._chunked:
            frames, behind = self._fanout.next(self.feed)
        else:
            frames = self.feed.read()
            behind = self._fanout.is_behind(self.feed)
        if not frames:
            return 0
        self._write(frames)
        if behind:  # that was one turn of several
            self._fanout.visit(self)
        return 1

    def keep(self, rest: bytes) -> None:
        """The buffers are full: before it hears this, and anything else, the client has to read."""
        loop = asyncio.get_running_loop()
        self.descriptor, self._rest = None, rest
        loop.add_writer(self._socket, self._write_rest)
        self._deadline = loop.call_later(READ_DEADLINE, self.close)

    def read(self) -> None:
        """It said something, or is gone. Nobody asks for anything here any more; a client that says no more is gone."""
        try:
            remark = os.read(self._socket, LONGEST_REMARK)
        except BlockingIOError:
            return
        except OSError:
            remark = b""
        self._remarks += len(remark)
        if not remark or self._remarks > LONGEST_REMARK:
            self.close()

    def shutdown(self) -> None:
        """Say goodbye and end, to whoever can take it; uvicorn calls this as well, for all of its connections."""
        if self.descriptor is not None:
            with suppress(OSError):
                os.write(self.descriptor, chunk_of(bye()) + _END if self._chunked else bye())
        self.close()

    def close(self) -> None:
        """End it: nothing of it stays. Twice is once."""
        if self not in self._among:
            return
        self._among.remove(self)
        self._fanout.leave(self)
        self._forget_rest()
        self.descriptor = None
        asyncio.get_running_loop().remove_reader(self._socket)
        os.close(self._socket)

    def _write(self, frames: bytes) -> None:
        try:
            written = os.write(self._socket, frames)
        except OSError:  # the buffers are full, or it is gone, which is noticed then
            written = 0
        if written < len(frames):
            self.keep(frames[written:])

    def _write_rest(self) -> None:
        """It has read, and can take more."""
        try:
            self._rest = self._rest[os.write(self._socket, self._rest) :]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self._rest:
            self._forget_rest()
            self.descriptor = self._socket
            self._fanout.visit(self)

    def _forget_rest(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline, self._rest = None, b""
            asyncio.get_running_loop().remove_writer(self._socket)


def chunk_of(frames: bytes) -> bytes:
    """One chunk of HTTP/1.1's chunked encoding; nothing for nothing, which would be the end."""
    return b"%x\r\n%s\r\n" % (len(frames), frames) if frames else b""
