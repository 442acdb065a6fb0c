"""Alerts of all systems: what `stability.alert()` puts into one outbox is sent to everybody who is to know."""

from collections.abc import Callable, Sequence

from stability.alerts.outbox import Outbox
from stability.alerts.recipients import parse
from stability.alerts.sender import TOPIC, Sender
from stability.alerts.stuck import Stuck
from stability.alerts.unknown import Unknown
from stability.database import Database
from stability.duty import Duty
from stability.hub import Hub
from stability.settings import Settings

__all__ = ["TOPIC", "Alerts"]


class Alerts:
    """What one server does about alerts: it sends them, and raises those of the whole system.

    Raises SettingError when a recipient is none.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        hub: Hub,
        *,
        tried: Callable[[bool], None] = lambda _sent: None,
        waiting: Callable[[int], None] = lambda _count: None,
    ) -> None:
        outbox = Outbox(database)
        recipients = parse(settings.notify_urls.get_secret_value() if settings.notify_urls else "")
        self._sender = Sender(outbox, recipients, settings.public_url, tried=tried, waiting=waiting)
        self._stuck = Stuck(database, hub, 60 * settings.stuck_minutes)
        self._unknown = Unknown(hub, outbox, self._sender, 60 * settings.unknown_minutes)

    def hear(self) -> None:
        """Something was put into the outbox."""
        self._sender.hear()

    @property
    def duties(self) -> Sequence[Duty]:
        """What one of several servers does."""
        return [Duty("alerts", self._sender.run), Duty("stuck", self._stuck.run)]

    async def run(self) -> None:
        """What each server does: it knows for how long its state has been unknown, whatever the database says."""
        await self._unknown.run()
