"""Reads the committed truth of one topic whenever something says "look", and hands it to the hub.

The first hint reads at once. After that reading takes at most `READ_SHARE` of the time, so a storm of hints costs the
database little and slow reads are asked for seldom; the last hint is always followed by a read. One read at a time.
What a read costs is the least of the last `SAMPLES`: one that met a busy moment, or had to connect, delays nobody. One
that the statement timeout cut off has cost its time as well; one that waited for a lock has cost none.

A look that waits for the end of such a rest is not unanswered: the deadline counts from then, where the rest is short.
That holds for what hints ask for, and for the looks that are due while hints are off.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import Final, Literal, TypeAlias

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from stability.contained import Contained
from stability.database import FORESEEN, Database, cut_off, reason
from stability.hub import Hub
from stability.monitors.monitor import Look, Monitor, Reading
from stability.register import Register
from stability.settings import Settings

READ_SHARE: Final = 0.05  # of the time may go into reading, when hints come without end
SAMPLES: Final = 3
POLLED: Final = 1.0  # seconds between reads where listening does not work
COALESCE: Final = 0.25  # seconds between two frames of a row that only progresses
RENEW: Final = 1.0  # seconds between two frames that only say that work goes on
PROOF_DEADLINE: Final = 5.0  # seconds that a look may stay unanswered before the state is unknown
SLOW: Final = 1.0  # seconds of rest from which on an operator should know of it
RETRY: Final = 0.25  # seconds after a read that failed

Outcome: TypeAlias = Literal["answered", "cut off", "failed", "crashed"]

_log = structlog.get_logger(__name__)


class Refresher:
    """Keeps one monitor's topic in the hub equal to the database."""

    def __init__(  # noqa: PLR0913 -- the composition root names every part
        self,
        monitor: Monitor,
        database: Database,
        hub: Hub,
        *,
        admit: Callable[[AsyncConnection], Awaitable[None]],
        settings: Settings,
        timed: Callable[[str, float, bool], None] = lambda _topic, _seconds, _answered: None,
        told: Callable[[str, float, bool], None] = lambda _topic, _seconds, _hinted: None,
        unread: Callable[[str, bool], None] = lambda _topic, _unread: None,
    ) -> None:
        self._monitor, self._database, self._hub = monitor, database, hub
        self._admit, self._admitted = admit, False
        self._settings, self._reread = settings, settings.reread_seconds or inf
        self._timed, self._told, self._unread = timed, told, unread
        self._listener = "lost"
        self._era = 0  # grows with every loss and return: a read from before proves nothing after
        self._wake = asyncio.Event()
        self._wanted: frozenset[str] | None = frozenset()  # keys to read; None = all
        self._held: frozenset[str] = frozenset()  # keys whose progress waits for the end of its window
        self._asked = inf  # since when a look is unanswered; this and the next four in monotonic seconds
        self._hinted = inf  # when the first hint came that no read has begun after
        self._looked = inf  # when the newest answered read began: what changed since was committed since
        self._held_due = self._full_due = inf
        self._blind_from = inf  # when the truth may change without any hint: a look at it is due
        self._failing = self._slow = False
        self._contained = Contained(f"reading {monitor.topic}", PROOF_DEADLINE)
        self._rested = -inf  # when the rest after the last answer is over, in monotonic seconds
        self._register, self._published = Register(), asyncio.Event()
        self._costs: deque[float] = deque((0.0,) * SAMPLES, maxlen=SAMPLES)  # seconds

    def hint(self, keys: frozenset[str] | None, armed: int = 0) -> None:
        """Something of this topic may have changed: `keys`, or anything if None. `armed`: see Hint."""
        self._register.heard(armed)
        self._hinted = min(self._hinted, monotonic())
        self._want(keys)

    @property
    def waiting(self) -> bool:
        """Whether it waits for hints; else it polls."""
        return self._listener == "live" and self._register.waiting

    @property
    def fence_age(self) -> float:
        """Seconds that older transactions have kept it from waiting for hints."""
        return self._register.fence_age(monotonic())

    async def look(self) -> None:
        """Look again, and return when something was read; that may have begun before the call."""
        published = self._published
        self._want(None)
        await published.wait()

    def _want(self, keys: frozenset[str] | None) -> None:
        self._wanted = None if keys is None or self._wanted is None else self._wanted | keys
        self._asked = min(self._asked, monotonic())
        self._wake.set()

    def live(self) -> None:
        """From now on hints arrive: read everything that may have been missed."""
        self._listener = "live"
        self._era += 1
        self._want(None)

    def lost(self) -> None:
        """Hints no longer arrive: nothing that was read is proven any more."""
        self._listener = "lost"
        self._era += 1
        self._admitted = False
        self._full_due = self._held_due = self._looked = self._blind_from = inf
        self._register = Register()
        self._unproven()

    def poll(self) -> None:
        """Hints will not arrive: read as long as somebody watches, and know nothing while nobody does."""
        if self._listener == "polling":
            return
        self._listener = "polling"
        self._era += 1
        self._want(None)

    async def run(self) -> None:
        """Read when asked, for ever; returns only by cancellation."""
        if self._listener != "lost":
            self._want(None)  # it runs again after an error: what was wanted then is forgotten
        while True:
            await self._until_wanted()
            if self._listener == "lost":
                continue  # its return asks for everything
            if self._listener == "polling" and not self._hub.watched:
                self._unproven()
                self._wanted, self._asked, self._full_due = frozenset(), inf, monotonic() + POLLED
                continue
            started = monotonic()
            outcome: Outcome = "crashed"
            with self._contained:
                outcome = await self._read()
            spent = monotonic() - started
            self._timed(self._monitor.topic, spent, outcome == "answered")
            if outcome in ("answered", "cut off"):
                self._costs.append(spent)
            await self._rest(outcome)

    async def _rest(self, outcome: Outcome) -> None:
        """Ask nothing of the database for as long as the last reads have earned it."""
        pause = min(self._costs) / READ_SHARE
        if outcome == "crashed":
            pause = max(RETRY, self._contained.pause())
        elif outcome != "answered":
            pause = RETRY if outcome == "failed" else max(RETRY, pause)
        over = monotonic() + pause
        if outcome == "answered":
            self._rested = over
            self._tell_pace(pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(self._verdict_at(self._blind_from) - monotonic(), 0)):
                        await self._wake.wait()
                await asyncio.sleep(self._verdict_at(min(self._asked, self._blind_from)) - monotonic())
            self._give_up()
        await asyncio.sleep(over - monotonic())

    def _tell_pace(self, pause: float) -> None:
        slow = pause >= (SLOW / 2 if self._slow else SLOW)
        if slow and not self._slow:
            _log.warning(
                "reads are slow; `stability doctor` may know why", topic=self._monitor.topic, rest=round(pause, 1)
            )
        elif self._slow and not slow:
            _log.info("reads are fast again", topic=self._monitor.topic)
        self._slow = slow

    def _verdict_at(self, asked: float) -> float:
        """When what was asked then becomes unknown without an answer; it may have to wait for the end of a rest."""
        return min(max(asked, self._rested), asked + PROOF_DEADLINE) + PROOF_DEADLINE

    async def _until_wanted(self) -> None:
        due = min(self._full_due, self._held_due)
        try:
            async with asyncio.timeout(None if due == inf else max(due - monotonic(), 0)):
                await self._wake.wait()
        except TimeoutError:  # timers of an event loop may run a moment early
            now = max(monotonic(), due)
        else:
            now = monotonic()
        if now >= self._full_due:
            self._want(None)
        if now >= self._held_due:
            self._want(self._held)
            self._held, self._held_due = frozenset(), inf
        self._wake.clear()

    async def _read(self) -> Outcome:
        """Read what is wanted and publish it."""
        look, self._wanted = Look(self._wanted, self._listener, self._settings), frozenset()
        began, hinted, self._hinted = monotonic(), self._hinted, inf
        asked, self._asked = min(self._asked, began), inf
        era, loop = self._era, asyncio.get_running_loop()
        # The verdict is due at the deadline of what was asked first; a read has its whole time however late it begins,
        # or one that needs longer than what is left would never end.
        left, answered = self._verdict_at(asked) - began, False
        verdict = loop.call_later(max(left, 0), self._unanswered if left > 0 else self._give_up)
        try:
            async with asyncio.timeout(PROOF_DEADLINE), self._database.reading() as connection:
                if not self._admitted:
                    await self._admit(connection)
                if self._listener == "live":
                    await self._register.prepare(connection, monotonic())
                reading = await self._monitor.read(connection, look)
                verdict.cancel()
                if era == self._era:
                    version = self._hub.version
                    self._publish(look, reading)
                    self._note_delay(reading, version, hinted)
                    self._looked = began
                await self._register.release(connection)
                answered = True
        except FORESEEN as error:
            self._tell_failing(reason(error))
            return "cut off" if cut_off(error) else "failed"
        finally:
            verdict.cancel()
            if not answered:
                self._ask_again(asked)
        self._recover()
        self._admitted = era == self._era
        return "answered"

    def _publish(self, look: Look, reading: Reading) -> None:
        gone = dict.fromkeys(look.keys - reading.rows.keys()) if look.keys else {}
        held = self._hub.publish(
            self._monitor.topic,
            {**gone, **reading.rows},
            reading.as_of,
            complete=look.keys is None,
            coalesce=COALESCE,
            snapshot=reading.seen.snapshot if reading.seen else None,
            renew={key: RENEW for key, row in reading.rows.items() if self._monitor.works(row)},
        )
        self._unread(self._monitor.topic, False)
        self._published.set()
        self._published = asyncio.Event()
        now = monotonic()
        if held:
            self._held |= held
            self._held_due = min(self._held_due, now + COALESCE)
        if look.keys is None:
            pause = POLLED if self._listener == "polling" else inf
            if reading.seen and self._listener == "live":
                pause = self._register.judge(reading.seen, now, min(self._costs) / READ_SHARE)
            next_due = inf if reading.next_due is None else reading.next_due
            self._full_due = now + min(self._reread, pause, next_due)
            self._blind_from = now + min(inf if self.waiting else pause, next_due)

    def _note_delay(self, reading: Reading, version: int, hinted: float) -> None:
        """Tell how old a change of state can be that was just published, `version` being the newest before."""
        changes = (self._hub.latest(self._monitor.topic, key) for key in reading.rows)
        since = hinted if hinted < inf else self._looked
        if since < inf and any(change and change.state_version > version for change in changes):
            self._told(self._monitor.topic, monotonic() - since, hinted < inf)

    def _ask_again(self, asked: float) -> None:
        self._asked, self._failing = asked, True
        self._want(None)
        if monotonic() >= self._verdict_at(asked):
            self._give_up()

    def _give_up(self) -> None:
        """It was asked for in vain: this topic alone is not known, whatever is of the others."""
        self._unproven()
        self._unread(self._monitor.topic, True)

    def _unanswered(self) -> None:
        self._give_up()
        self._tell_failing(f"no answer within {PROOF_DEADLINE:g} s")

    def _tell_failing(self, why: str) -> None:
        if not self._failing:
            _log.warning("cannot read the state", topic=self._monitor.topic, reason=why)
        self._failing = True

    def _recover(self) -> None:
        if self._failing:
            _log.info("reading the state again", topic=self._monitor.topic)
        self._failing = False

    def _unproven(self) -> None:
        with self._contained:
            if rows := self._monitor.unproven(self._listener):
                self._hub.publish(self._monitor.topic, rows, datetime.now(UTC))
        self._hub.unproven.add(self._monitor.topic)
