"""Who gets alerts: each an address that apprise knows, from e-mail to chats to a webhook of one's own."""

import asyncio
import hashlib
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stability.errors import SettingError

if TYPE_CHECKING:
    import apprise

VARIABLE: Final = "STABILITY_NOTIFY_URLS"
PATIENCE: Final = 20.0  # seconds that a recipient may take to accept an alert
_BETWEEN: Final = re.compile(r"[\s,]+(?=[A-Za-z][\w+.-]*://)")  # an address may have commas of its own
_REMEDY: Final = "write addresses such as mailto://user:password@example.org or json://host/path, separated by spaces"


class Recipient:
    """One address; `name` tells it from others without telling what is secret in it."""

    def __init__(self, url: str, channel: "apprise.Apprise") -> None:
        self.name = f"{url.partition('://')[0].lower()}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        self._channel = channel
        self._thread: threading.Thread | None = None

    async def give(self, title: str, body: str, notify_type: str) -> str | None:
        """Hand one alert over; None once it is accepted, else in a line why not.

        It runs in a thread, since apprise blocks. One that hangs is left to itself, and is the only one until it ends.
        """
        if self._thread and self._thread.is_alive():
            return "it has not answered for the last one yet"
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[str | None] = loop.create_future()

        def settle(said: str | None) -> None:
            if not outcome.done():
                outcome.set_result(said)

        def work() -> None:
            said = self._send(title, body, notify_type)
            with suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(settle, said)

        # not one of a pool: the end of the process would wait for it
        self._thread = threading.Thread(target=work, name=self.name, daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(PATIENCE):
                return await outcome
        except TimeoutError:
            return f"no answer within {PATIENCE:g} s"

    def _send(self, title: str, body: str, notify_type: str) -> str | None:
        from apprise import NotifyType  # noqa: PLC0415 -- an extra, which is there where there is a recipient

        result = self._channel.notify(title=title, body=body, notify_type=NotifyType(notify_type), body_format="text")
        if result:
            return None
        said = [entry.message for entry in result.logs()]
        return " ".join(said)[:300] or "it refused"


def parse(urls: str) -> tuple[Recipient, ...]:
    """The recipients that a setting names; raises SettingError, which does not repeat what may be secret."""
    given = [url for url in _BETWEEN.split(urls.strip(" ,\t\r\n")) if url]
    if not given:
        return ()
    try:
        from apprise import Apprise  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise SettingError(VARIABLE, "alerts need apprise: pip install 'pg-stability[alerts]'.") from error
    return tuple(_recipient(number, url, Apprise()) for number, url in enumerate(dict.fromkeys(given), start=1))


def _recipient(number: int, url: str, channel: "apprise.Apprise") -> Recipient:
    if not channel.add(url):
        kind = url.partition("://")[0] if "://" in url else "without ://"
        raise SettingError(VARIABLE, f"address number {number} ({kind}) is none that apprise knows: {_REMEDY}.")
    return Recipient(url, channel)
