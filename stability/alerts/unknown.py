"""An alert where the state has been unknown for too long, which holds also while the database is away."""

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from stability.alerts.outbox import Alert, Outbox
from stability.alerts.recipients import Recipient
from stability.alerts.sender import RETRY, Sender
from stability.backoff import Backoff
from stability.frames import SYSTEM
from stability.hub import Hub

WRITE: Final = 5.0  # seconds that the outbox may take, until the database counts as away

_log = structlog.get_logger(__name__)


class Unknown:
    """Follows the hub. It is for the server that sends alerts to raise this one, or that did until the database went.

    Where the database was away from the start nobody can say which one that is: then each does.
    """

    def __init__(self, hub: Hub, outbox: Outbox, sender: Sender, seconds: float) -> None:
        self._hub, self._outbox, self._sender, self._seconds = hub, outbox, sender, seconds
        self._changed = asyncio.Event()
        self._unknown, self._ever_known = True, False

    async def run(self) -> None:
        """Follow for ever; returns only by cancellation."""
        if not self._seconds:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            with self._hub.subscribe(self._look):
                while True:
                    await self._until(known=False)
                    began = monotonic()
                    try:
                        async with asyncio.timeout(self._seconds):
                            await self._until(known=True)
                    except TimeoutError:
                        self._look()
                        if self._unknown and (self._sender.responsible(began) or not self._ever_known):
                            group.create_task(self._tell())
                        await self._until(known=True)

    def _look(self) -> None:
        change = self._hub.latest(*SYSTEM)
        row = change.row if change else None
        # where it has to poll, a server that nobody watches knows nothing, and is meant to
        asleep = row is not None and row.fields.get("listener") == "polling" and not self._hub.watched
        unknown = row is None or (row.state == "unknown" and not asleep)
        if unknown is not self._unknown:
            self._unknown = unknown
            self._ever_known |= not unknown
            self._changed.set()

    async def _until(self, *, known: bool) -> None:
        while self._unknown is known:
            self._changed.clear()
            await self._changed.wait()

    async def _tell(self) -> None:
        change = self._hub.latest(*SYSTEM)
        listener = change.row.fields.get("listener") if change and change.row else "lost"
        since = change.since if change else datetime.now(UTC)
        fact = f"The status of the system is unknown; the server's listener is {listener}"
        alert = Alert((), "system_unknown", "system", fact, since)
        if not await self._written(alert):
            _log.warning("the database is away: an alert is sent without it", alert=alert.kind)
            async with asyncio.TaskGroup() as group:
                for recipient in self._sender.recipients:
                    group.create_task(self._give(recipient, alert))

    async def _written(self, alert: Alert) -> bool:
        try:
            async with asyncio.timeout(WRITE):
                await self._outbox.tell(alert.kind, alert.subject, alert.fact, alert.since)
        except (SQLAlchemyError, OSError):  # TimeoutError is one
            return False
        self._sender.hear()
        return True

    async def _give(self, recipient: Recipient, alert: Alert) -> None:
        """From memory, as often as needed."""
        backoff = Backoff(*RETRY)
        while await self._sender.give(recipient, alert):  # noqa: ASYNC110 -- a recipient announces nothing
            await asyncio.sleep(backoff.draw())
