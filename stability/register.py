"""Interrupt when quiet, poll when busy: whether hints are to be waited for, or the truth is looked at again soon.

A commit that notifies waits for every other one of its cluster, so a busy system must not notify. While nothing is
active the register is armed, and the first change sends a hint. That hint disarms it, and we look ourselves until
nothing has been active for a while. Then we arm it again, and wait for hints once one snapshot shows nothing active and
holds everything that may have been written in silence: see `sql/17_arm.sql`.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from stability.snapshot import Snapshot

LEASE: Final = 60.0  # seconds that triggers go on sending hints after the last server ended, at most
PROLONG: Final = 20.0  # seconds between two times that we see whether half of that is over
POLL: Final = 0.1  # seconds between two looks while hints are off
SLOW_POLL: Final = 1.0  # the same where looking more often helps nobody
LINGER: Final = 1.0  # seconds that we go on looking after the last active row
OLD_FENCE: Final = 5.0  # seconds after which a transaction that keeps us from waiting is a long one

_ARM: Final = text("SELECT armed_until, fence FROM stability.arm(:relied_on, make_interval(secs => :lease))")
_DISARM: Final = text("SELECT stability.disarm(:seen)")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one snapshot showed of the writers: `armed` is the register while hints are sent (else 0)."""

    armed: int
    snapshot: Snapshot
    idle: bool | None  # whether nothing is active; None if that is not known


class Register:
    """One server's side of it, as far as the writers are known; all times are monotonic seconds."""

    def __init__(self) -> None:
        self.waiting = False  # for hints, that is; else we poll
        self._armed = False  # whether we ever did, since we listen
        self._value = 0  # of the register, when we last armed it
        self._fence: int | None = None
        self._armed_at = -inf
        self._fenced_at = 0.0
        self._arm_at = inf  # when the next look has to arm it first
        self._idle_since: float | None = -inf
        self._carried: set[int] = set()  # the values that came with hints

    def fence_age(self, now: float) -> float:
        """Seconds that we have been waiting for transactions older than our arming to end; 0 while none keeps us."""
        return 0.0 if self.waiting or self._fence is None else now - self._fenced_at

    def heard(self, value: int) -> None:
        """A hint came that carried this value of the register, or 0."""
        if value:
            self._carried.add(value)

    async def prepare(self, connection: AsyncConnection, now: float) -> None:
        """Before a look and on its connection: arm the register if it is time to."""
        if now < self._arm_at:
            return
        relied_on = self._value if self._armed else None
        self._value, fence = (await connection.execute(_ARM, {"relied_on": relied_on, "lease": LEASE})).one()
        self._armed, self._arm_at = self._armed or self._value > 0, now + PROLONG
        self._armed_at = now
        if fence is not None or not self._value:
            self.waiting = False
            self._fence, self._fenced_at = None if fence is None else int(fence), now

    def judge(self, seen: Seen, now: float, rest: float = 0.0) -> float:
        """After a look: seconds until the next one, by what this one saw. While waiting that is when to arm again.

        There will be `rest` seconds at least before the next look: where reads are slow, that is lingering enough.
        """
        if self._carried or not seen.idle:
            self._idle_since = None
            self._begin_again(inf)
            return SLOW_POLL if seen.idle is None else POLL
        if self._idle_since is None:
            self._idle_since = now
        if now - self._idle_since + rest < LINGER:
            return POLL
        if self._arm_at == inf or self._value not in (0, seen.armed):  # run out, or another server's
            at_once = now - self._armed_at >= POLL  # else it does not stay, whatever takes it away
            self._begin_again(now)
            return 0.0 if at_once else SLOW_POLL
        if self._fence is None:  # hints must not be sent
            return SLOW_POLL
        if not self.waiting and seen.snapshot.xmin <= self._fence:
            return POLL if now - self._fenced_at < OLD_FENCE else SLOW_POLL
        self.waiting = True
        return max(self._arm_at - now, 0.0)

    async def release(self, connection: AsyncConnection) -> None:
        """After a look and on its connection: disarm the register if a hint came."""
        seen, self._carried = self._carried, set()
        if seen:
            await connection.execute(_DISARM, {"seen": list(seen)})

    def _begin_again(self, arm_at: float) -> None:
        self.waiting = False
        self._value, self._fence, self._arm_at = 0, None, arm_at
