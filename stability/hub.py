"""The latest state of every key, each with the version at which it came; a subscriber is one integer.

The hub holds state, not events: a burst of ten thousand commits is one change, a slow client costs nothing, and
snapshot and live are one walk over the changes in version order. Nothing but the refreshers, the listener's condition
and the heartbeat writes here.
"""

import secrets
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from types import MappingProxyType
from typing import Final, NamedTuple

from stability.contained import Contained
from stability.snapshot import Snapshot

ABSENCE: Final = 30.0  # seconds that a client may stay away until the next question and still counts as watching
TURN: Final = 64 * 1024  # bytes after which one walk stops, so that a large snapshot leaves room for other clients
RESET: Final = b"event: reset\ndata: {}\n\n"
TOMBSTONES: Final = 1000  # gone keys remembered; a client that is further behind starts again


@dataclass(frozen=True, slots=True)
class Row:
    """One row as clients see it: `state` is the word its badge shows, `fields` is the rest of its JSON."""

    state: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Change:
    """What `key` of `topic` became at `version`; `row` is None once it is gone."""

    topic: str
    key: str
    version: int
    row: Row | None
    state_version: int  # the version at which `row.state` became what it is
    since: datetime  # and when that was observed
    observed_at: datetime
    xmin: int | None = None  # of the snapshot that it was read in


@dataclass(frozen=True, slots=True)
class Frames:
    """A change as bytes of the stream; `opening` precedes it for a client that has not seen its present state."""

    opening: bytes
    body: bytes


class Place(NamedTuple):
    """Where one subscriber is: all that a client costs. A cursor of 0 begins a snapshot."""

    topics: frozenset[str]
    cursor: int = 0  # the version that it has seen
    complete: int = 0  # the version up to which nothing is missing: less than `cursor` amid a walk in turns
    floor: int = 0  # the hub's floor when its snapshot began; 0 for a cursor from elsewhere


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    change: Change
    frames: Frames
    at: float  # seconds, monotonic


class Hub:
    """Latest state per key, in version order, for any number of subscribers."""

    def __init__(self, encode: Callable[[str, Change], Frames]) -> None:
        self.epoch: Final = secrets.token_hex(4)
        # Milliseconds since 1970: a version of an earlier life of this server is never one of this life.
        self.version = time.time_ns() // 1_000_000
        self.floor = 0  # version of the newest tombstone that was forgotten
        self.closed = False
        self.observed: dict[str, datetime] = {}
        self.snapshots: dict[str, Snapshot | None] = {}  # the last one, by topic
        self.unproven: set[str] = set()  # topics of which nothing proves what was read last
        self._encode = encode
        self._topics: dict[str, dict[str, _Step]] = {}
        self._log: list[_Step] = []
        self._gone: list[_Step] = []
        self._wakes: set[Callable[[], None]] = set()
        self._contained = Contained("subscribers")
        self._clients, self._left_at = 0, -inf

    @property
    def watched(self) -> bool:
        """Whether a client is there, or was until `ABSENCE` ago."""
        return self._clients > 0 or time.monotonic() < self._left_at + ABSENCE

    @property
    def subscribers(self) -> int:
        """How many are connected now."""
        return len(self._wakes)

    def latest(self, topic: str, key: str) -> Change | None:
        """The newest change of `key`, a tombstone included, or None if the key was never seen."""
        step = self._topics.get(topic, {}).get(key)
        return step.change if step else None

    def rows(self, topic: str) -> Iterator[Row]:
        """Every row of a topic, as it is now."""
        return (step.change.row for step in self._topics.get(topic, {}).values() if step.change.row)

    def publish(  # noqa: PLR0913 -- one moment of a topic, and how fast it may move
        self,
        topic: str,
        rows: Mapping[str, Row | None],
        observed_at: datetime,
        *,
        complete: bool = False,
        coalesce: float = 0.0,
        renew: Mapping[str, float] = MappingProxyType({}),
        snapshot: Snapshot | None = None,
    ) -> set[str]:
        """Take what was just read of `topic` and wake the subscribers if anything differs.

        `complete` says that `rows` is the whole topic, so that keys it lacks are gone. A row whose state stays the same
        moves at most once per `coalesce` seconds; the keys held back for that are returned, to be read again later. One
        that did not move is told again only if `renew` has its key and so many seconds passed.
        """
        steps = self._topics.setdefault(topic, {})
        buried = dict.fromkeys(steps.keys() - rows.keys()) if complete else {}
        xmin = snapshot.xmin if snapshot else None
        now, held, news = time.monotonic(), set(), list[_Step]()
        for key, row in {**buried, **rows}.items():
            step = steps.get(key)
            last, age = (step.change.row, now - step.at) if step else (None, inf)
            if row is None and step is None:  # gone without ever having been there
                continue
            if row == last:
                if age < renew.get(key, inf):
                    continue
            elif row and last and row.state == last.state and age < coalesce:
                held.add(key)
                continue
            version = self.version + len(news) + 1
            news.append(self._step(Change(topic, key, version, row, version, observed_at, observed_at, xmin), now))
        # all of them or, where one cannot be encoded, none: the topic then stays as it was, and as old
        self.observed[topic], self.snapshots[topic] = observed_at, snapshot
        self.unproven.discard(topic)
        for step in news:
            self._append(step)
        if news:
            self._compact()
            self._wake()
        return held

    def _step(self, change: Change, now: float) -> _Step:
        last = self.latest(change.topic, change.key)
        if last and last.row and change.row and last.row.state == change.row.state:
            change = replace(change, state_version=last.state_version, since=last.since)
        return _Step(change, self._encode(self.epoch, change), now)

    def _append(self, step: _Step) -> None:
        self.version = step.change.version
        self._topics[step.change.topic][step.change.key] = step
        self._log.append(step)
        if step.change.row is None:
            self._gone.append(step)

    def _compact(self) -> None:
        if len(self._gone) > 2 * TOMBSTONES:
            for step in self._gone[:-TOMBSTONES]:
                if self._is_latest(step):
                    del self._topics[step.change.topic][step.change.key]
                    self.floor = step.change.version
            del self._gone[:-TOMBSTONES]
        if len(self._log) > 64 + 2 * sum(map(len, self._topics.values())):
            self._log = [step for step in self._log if self._is_latest(step)]

    def _is_latest(self, step: _Step) -> bool:
        return self._topics[step.change.topic].get(step.change.key) is step

    def after(self, version: int) -> Iterator[tuple[Change, Frames]]:
        """Every key that changed after `version`, as it is now, in the order of its last change."""
        for index in range(bisect_right(self._log, version, key=_version), len(self._log)):
            step = self._log[index]
            if self._is_latest(step):
                yield step.change, step.frames

    def read(self, place: Place) -> tuple[bytes, Place]:
        """The frames after `place`, about `TURN` bytes at most, and the place after them.

        A cursor older than the tombstones that are remembered begins a new snapshot after a `reset` event, since keys
        may have gone in between. A snapshot that is read in turns does so only if tombstones were forgotten meanwhile.
        """
        parts: list[bytes] = []
        topics, cursor, complete, floor = place
        if 0 < cursor < self.floor != floor:
            parts.append(RESET)
            cursor = complete = 0
        if cursor == 0:
            floor = self.floor
        size, seen = 0, cursor
        for change, frames in self.after(cursor):
            if change.topic in topics and (change.row or seen):
                frame = frames.opening + frames.body if change.state_version > complete else frames.body
                parts.append(frame)
                size += len(frame)
            if size >= TURN:
                cursor = change.version
                break
        else:
            cursor = self.version
        return b"".join(parts), Place(topics, cursor, cursor if cursor == self.version else complete, floor)

    def call(self, wake: Callable[[], None]) -> None:
        """Call `wake` after every change, and at the close; it must not block."""
        self._wakes.add(wake)

    def count(self, clients: int) -> None:
        """So many more clients are there, or fewer."""
        self._clients += clients
        if clients < 0:
            self._left_at = time.monotonic()

    @contextmanager
    def subscribe(self, wake: Callable[[], None], *, client: bool = False) -> Iterator[None]:
        """The same until the block ends; with `client` there is one more client meanwhile."""
        self.call(wake)
        self.count(+client)
        try:
            yield
        finally:
            self._wakes.discard(wake)
            self.count(-client)

    def close(self) -> None:
        """No change will come any more: subscribers say goodbye."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        for wake in tuple(self._wakes):
            with self._contained:
                wake()


def _version(step: _Step) -> int:
    return step.change.version
