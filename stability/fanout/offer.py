"""What an application lets its server begin by itself: the streams that a herd asks for."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from stability.fanout import Fanout
from stability.fanout.feed import Feed


@dataclass(frozen=True)
class Offer:
    """A stream that a server may begin without asking the application: `GET path`, and nothing special about it.

    A request that has one of the headers in `unless` is special. `begin` has the first frames and the feed for a client
    at an address, or None where the application has to be asked after all.
    """

    path: str
    headers: Sequence[tuple[bytes, bytes]]
    unless: Collection[str]
    begin: Callable[[str], tuple[bytes, Feed] | None]
    fanout: Fanout
