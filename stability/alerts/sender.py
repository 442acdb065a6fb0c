"""Sends what is in the outbox, at least once, to each recipient; exactly one of several servers does.

Each recipient is served apart: one that is away or hangs delays nobody else. An idle system is looked at each 30 s; in
between a hint says that there is something.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from time import monotonic
from typing import Final, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from stability.alerts.outbox import APART, Alert, Outbox
from stability.alerts.recipients import PATIENCE, Recipient, refused
from stability.backoff import Backoff
from stability.contained import Contained
from stability.database import reason
from stability.frames import timestamp

TOPIC: Final = "alerts"  # of the hints
LOOK: Final = 30.0  # seconds between looks that no hint asked for
BUSY: Final = 1.0  # seconds between looks while alerts come one after the other
HINTS: Final = 3 * LOOK  # seconds for which hints are asked for, at each look
LEASE: Final = 2 * PATIENCE  # seconds after which an alert whose sender died is another's
RETRY: Final = (1.0, 600.0)  # seconds, first and longest bound of the wait for another try
HANDOVER: Final = 30.0  # seconds within which the loss of the database ends a duty and the proof of the state
TIDY: Final = 600.0  # seconds between looks for what can be forgotten
DAYS: Final = (1, 7)  # that alerts are remembered, without and with recipients
_TITLE: Final = 120  # characters
_TYPES: Final = {
    "execution_finished": "success",
    "deployment_recovered": "success",
    "service_recovered": "success",
    "execution_failed": "failure",
    "deployment_unhealthy": "failure",
    "deployment_failed": "failure",
    "service_critical": "failure",
}

_Told = TypeVar("_Told")

_log = structlog.get_logger(__name__)


class Sender:
    """`run` sends for ever; `hear` says that there is something new.

    `tried(sent)` is called after each try, `waiting(count)` at each look.
    """

    def __init__(
        self,
        outbox: Outbox,
        recipients: Sequence[Recipient],
        public_url: str | None = None,
        *,
        tried: Callable[[bool], None] = lambda _sent: None,
        waiting: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self.recipients = recipients
        self._outbox, self._public_url = outbox, public_url
        self._names = [recipient.name for recipient in recipients]
        self._tried, self._waiting = tried, waiting
        self._news = asyncio.Event()
        self._looks = {name: asyncio.Event() for name in self._names}
        self._away = False
        self._at_work, self._left = False, -inf

    def responsible(self, since: float) -> bool:
        """Whether this server sends alerts, or did at about that moment (in monotonic seconds)."""
        return self._at_work or self._left > since - HANDOVER

    def hear(self) -> None:
        """Somebody put an alert into the outbox."""
        self._news.set()

    async def run(self) -> None:
        """Send for ever; returns only by cancellation."""
        self._at_work = True
        try:
            await self._patiently(lambda: self._outbox.begin(self._names))
            async with asyncio.TaskGroup() as group:
                group.create_task(Contained("alerts: retention").run(self._tidy))
                if self.recipients:
                    group.create_task(Contained("alerts: looks").run(self._watch))
                for recipient in self.recipients:
                    group.create_task(Contained(f"alerts: {recipient.name}").run(partial(self._serve, recipient)))
        finally:
            self._at_work, self._left = False, monotonic()
            self._waiting(0)  # it is another server's to say

    async def give(self, recipient: Recipient, alert: Alert) -> str | None:
        """Hand an alert to a recipient, whether or not it is in the outbox; None once it is accepted, else why not."""
        error = await recipient.give(*words(alert, self._public_url), _TYPES.get(alert.kind, "warning"))
        self._tried(error is None)
        return error

    async def _watch(self) -> None:
        while True:
            self._news.clear()
            await self._patiently(lambda: self._outbox.await_hints(HINTS))
            await self._look()
            if await _within(LOOK, self._news):
                # whatever comes now is seen at the next look, and need not say so
                await self._patiently(lambda: self._outbox.await_hints(0))
                await self._look()
                await asyncio.sleep(BUSY)

    async def _look(self) -> None:
        for look in self._looks.values():
            look.set()
        self._waiting(await self._patiently(self._outbox.waiting))

    async def _serve(self, recipient: Recipient) -> None:
        backoff, failing, look = Backoff(*RETRY), False, self._looks[recipient.name]
        while True:
            look.clear()
            alert = await self._patiently(lambda: self._outbox.claim(recipient.name, LEASE))
            if alert is None:
                seconds = await self._patiently(lambda: self._outbox.next_attempt(recipient.name))
                await _within(LOOK if seconds is None else min(max(seconds, 0.05), LOOK), look)
                continue
            error = await self.give(recipient, alert)
            if error is None:
                await self._note_sent(alert, recipient.name, failing)
                backoff.reset()
            elif len(alert.ids) > 1 and refused(error):
                error = await self._by_halves(recipient, alert, error, backoff, news=not failing)
            else:
                await self._note_failed(alert, recipient.name, error, backoff.draw(), news=not failing)
            failing = error is not None

    async def _by_halves(
        self, recipient: Recipient, alert: Alert, error: str, backoff: Backoff, *, news: bool
    ) -> str | None:
        """Send in parts what was refused as one, so that a bad alert holds up no other; why some was refused, if any.

        Where a few in a row are refused alone the recipient takes nothing at all. What is left then, or when others may
        soon claim it, is tried again as anything that failed.
        """
        until, alone, met = monotonic() + LEASE - PATIENCE, 0, None
        parts = _halves(alert.ids)
        while parts and alone < APART and monotonic() < until:
            ids = parts.pop()
            part = await self._patiently(partial(self._outbox.part, ids))
            said = await self.give(recipient, part) if part else None
            if said is None and part:
                await self._note_sent(part, recipient.name, failed=False)
                alone = 0
                backoff.reset()
            elif said and len(ids) > 1 and refused(said):
                parts += _halves(ids)
            elif said and part:
                await self._note_failed(part, recipient.name, said, backoff.draw(), news=news and not met)
                met = error = said
                alone = alone + 1 if refused(said) else APART
        if rest := [one for ids in parts for one in ids]:
            left = replace(alert, ids=tuple(rest))
            await self._note_failed(left, recipient.name, error, backoff.draw(), news=news and not met)
            met = error
        return met

    async def _note_sent(self, alert: Alert, name: str, failed: bool) -> None:
        await self._patiently(lambda: self._outbox.sent(alert, name, self._names))
        if failed:
            _log.info("alerts are delivered again", recipient=name)
            await self._patiently(lambda: self._outbox.try_again(name))

    async def _note_failed(self, alert: Alert, name: str, error: str, seconds: float, *, news: bool) -> None:
        if news:
            _log.warning("an alert was not delivered, and is tried again", recipient=name, reason=error)
        await self._patiently(lambda: self._outbox.failed(alert, name, error, seconds))

    async def _tidy(self) -> None:
        days = DAYS[bool(self.recipients)]
        while True:
            more = await self._patiently(lambda: self._outbox.forget(days))
            await asyncio.sleep(0.1 if more else TIDY)

    async def _patiently(self, act: Callable[[], Awaitable[_Told]]) -> _Told:
        """Do it, as often as needed until the database is there."""
        backoff = Backoff(0.25, LOOK)
        while True:
            try:
                told = await act()
            except (SQLAlchemyError, OSError) as error:
                if not self._away:
                    _log.warning("alerts wait for the database", reason=reason(error))
                self._away = True
                await asyncio.sleep(backoff.draw())
            else:
                self._away = False
                return told


def words(alert: Alert, public_url: str | None) -> tuple[str, str]:
    """What people read: a title, and the fact with since when and a link, if there is one."""
    head = alert.fact.partition("\n")[0]
    title = head if len(head) <= _TITLE else f"{head[: _TITLE - 1]}…"
    return title, "\n".join(filter(None, (alert.fact, f"Since {timestamp(alert.since)}", link(alert, public_url))))


def link(alert: Alert, public_url: str | None) -> str | None:
    """Where to look: the alert's own address, or its path below `public_url`; None where neither is known."""
    if alert.link and "://" in alert.link:
        return alert.link
    return f"{public_url.rstrip('/')}/{(alert.link or '').lstrip('/')}" if public_url else None


def _halves(ids: Sequence[int]) -> list[Sequence[int]]:
    """In any order: were it always the same, a few bad ones at one end could hold up all others."""
    middle = len(ids) // 2
    return random.sample([ids[:middle], ids[middle:]], 2)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it happened within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
