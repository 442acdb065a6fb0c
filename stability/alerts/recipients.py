"""Who gets alerts: each an address that apprise knows, from e-mail to chats to a webhook of one's own."""

import asyncio
import hashlib
import logging
import re
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from stability.errors import SettingError

if TYPE_CHECKING:
    import apprise

VARIABLE: Final = "STABILITY_NOTIFY_URLS"
PATIENCE: Final = 20.0  # seconds that a recipient may take to accept an alert
_BETWEEN: Final = re.compile(r"[\s,]+(?=[A-Za-z][\w+.-]*://)")  # an address may have commas of its own
_APPRISE: Final = logging.getLogger("apprise")
_SAID: Final[ContextVar[list[str]]] = ContextVar("said")
_PIECES: Final = re.compile(r"[/:@?&=#,+;|<>]+")  # of an address, each of which may be a secret
_SHORT: Final = 5  # characters
# What an HTTP service says of a message, in the words of apprise; not of who sends it, to where, how often or when.
_REFUSED: Final = re.compile(r"\berror=4(?!01|03|04|05|07|08|10|23|25|29)\d\d\b")
# The same of a mail server: 552 or 5.3.4, and 5.2.3, which is a mailbox's own limit; 5.2.2 is one that is full.
_TOO_LONG: Final = re.compile(r"(\(|refused: )(552,? b['\"](?!5\.2\.2)|\d{3},? b['\"]5\.(3\.4|2\.3)\b)")
_MAIL: Final = "Socket Exception: "  # as which apprise logs what a mail server said, at DEBUG
_REMEDY: Final = "write addresses such as mailto://user:password@example.org or json://host/path, separated by spaces"


class Recipient:
    """One address; `name` tells it from others without telling what is secret in it."""

    def __init__(self, url: str, channel: "apprise.Apprise") -> None:
        self.name = f"{url.partition('://')[0].lower()}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        self._secrets = _secrets(url)
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
            self._thread = None  # it may take a moment to end, and could pass for one that hangs
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

        mail: list[str] = []
        _SAID.set(mail)  # this thread is for this alert only
        result = self._channel.notify(title=title, body=body, notify_type=NotifyType(notify_type), body_format="text")
        if result:
            return None
        said = [*(entry.message for entry in result.logs()), *mail]
        return self._secrets.sub("…", " ".join(said))[:300] or "it refused"


class _Overheard(logging.Filter):
    """What mail servers say, which apprise tells nobody but a log that is at DEBUG."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether anybody else hears it: what is logged at that level holds secrets."""
        said = _SAID.get(None)  # apprise sends in threads of its own, with a copy of our context
        if said is not None and record.getMessage().startswith(_MAIL):
            said.append(record.getMessage().removeprefix(_MAIL))
        return record.levelno >= max(logging.getLogger().level, logging.INFO)


_OVERHEARD: Final = _Overheard()


def refused(reason: str) -> bool:
    """Whether it was the message that was refused, such as one that is too long (413, 552): another may be accepted."""
    return (_REFUSED.search(reason) or _TOO_LONG.search(reason)) is not None


def parse(urls: str) -> tuple[Recipient, ...]:
    """The recipients that a setting names; raises SettingError, which does not repeat what may be secret."""
    given = [url for url in _BETWEEN.split(urls.strip(" ,\t\r\n")) if url]
    if not given:
        return ()
    try:
        from apprise import Apprise  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise SettingError(VARIABLE, "alerts need apprise: pip install 'pg-stability[alerts]'.") from error
    _APPRISE.addFilter(_OVERHEARD)
    _APPRISE.setLevel(logging.DEBUG)
    return tuple(_recipient(number, url, Apprise()) for number, url in enumerate(dict.fromkeys(given), start=1))


def _recipient(number: int, url: str, channel: "apprise.Apprise") -> Recipient:
    if not channel.add(url):
        kind = url.partition("://")[0] if "://" in url else "without ://"
        raise SettingError(VARIABLE, f"address number {number} ({kind}) is none that apprise knows: {_REMEDY}.")
    return Recipient(url, channel)


def _secrets(url: str) -> re.Pattern[str]:
    """Whatever of an address may be a secret, in every way of writing it: in many the host is a token.

    Words of a sentence that the address happens to have as well go with it.
    """
    rest = url.partition("://")[2]
    pieces = {rest} | {piece for decoded in (rest, unquote(rest)) for piece in (decoded, *_PIECES.split(decoded))}
    written = {way(piece) for piece in pieces for way in (str, unquote, unquote_plus, quote, quote_plus, _quoted)}
    longest_first = sorted(filter(None, written), key=len, reverse=True)
    # a short one within a word is a part of that word
    return re.compile(
        "|".join(
            rf"(?<!\w){re.escape(piece)}(?!\w)" if len(piece) < _SHORT else re.escape(piece) for piece in longest_first
        )
        or "(?!)",
        re.IGNORECASE,
    )


def _quoted(piece: str) -> str:
    return quote(piece, safe="")
