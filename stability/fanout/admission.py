"""Who has a stream, and for how many there is room."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

from stability.hub import Hub

RETURN: Final = 30_000  # milliseconds after which a client that found no room may come back

Limit: TypeAlias = Literal["all", "address"]


class Admission:
    """Counts the streams of `hub`, in all and for each address; a limit of 0 is none."""

    def __init__(self, hub: Hub, most: int = 0, most_per_address: int = 0) -> None:
        self.streams = 0
        self._hub, self._most, self._most_per_address = hub, most, most_per_address
        self._at: Counter[str] = Counter()

    def full(self, address: str) -> Limit | None:
        """The limit that leaves no room for one more from there."""
        if 0 < self._most <= self.streams:
            return "all"
        return "address" if 0 < self._most_per_address <= self._at[address] else None

    def enter(self, address: str) -> None:
        """One more is there."""
        self.streams += 1
        self._at[address] += 1
        self._hub.count(+1)

    def leave(self, address: str) -> None:
        """It is gone."""
        self.streams -= 1
        self._at[address] -= 1
        if self._at[address] <= 0:
            del self._at[address]
        self._hub.count(-1)

    @contextmanager
    def inside(self, address: str) -> Iterator[None]:
        """One is there until the block ends."""
        self.enter(address)
        try:
            yield
        finally:
            self.leave(address)
