"""What a client of a stream is told, and from where on: the part of the stream that every way to write it shares."""

from stability.frames import HEARTBEAT, LISTENER, SYSTEM, event, spread
from stability.hub import Hub, Place

CONTROL = frozenset({LISTENER[0], HEARTBEAT[0]})  # topics that every client is told


class Feed:
    """What one client has yet to be told: a snapshot first, closed by `ready`, if `then` names what follows it."""

    __slots__ = ("_then", "address", "hub", "place")

    def __init__(self, hub: Hub, address: str, place: Place, then: frozenset[str] | None = None) -> None:
        self.hub, self.address, self.place, self._then = hub, address, place, then

    @property
    def live(self) -> bool:
        """Whether its place says all: two at the same place have the same to hear, and are at the same one after it."""
        return self._then is None

    def read(self) -> bytes:
        """The next frames, or nothing when there is no news; moves on."""
        frames, self.place = self.hub.read(self.place)
        if frames or self._then is None:
            return frames
        version = self.place.cursor
        self.place, self._then = Place(self._then, version, version), None
        return event({"version": version}, "ready", f"{self.hub.epoch}-{version}")


class Badge:
    """How the badge's own stream begins: the system's row and the listener's condition, put together once a version."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._frames, self._place = hub, b"", Place(CONTROL | {SYSTEM[0]})

    def begin(self, address: str) -> tuple[bytes, Feed]:
        """The first frames of one more client, and what follows them."""
        version = self._hub.version
        if self._place.cursor != version:
            parts = (self._hub.read(Place(frozenset({topic}))) for topic, _ in (SYSTEM, LISTENER))
            self._frames = b"".join(frames for frames, _ in parts)
            self._place = Place(self._place.topics, version, version)
        return b"retry: %d\n" % spread() + self._frames, Feed(self._hub, address, self._place)
