"""Whether a notification travels from the connection that writes to the one that listens."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Final

import psycopg

from stability.database import reason
from stability.doctor.entrance import entered
from stability.doctor.finding import Finding
from stability.settings import Settings

DELIVERY: Final = 3.0  # seconds that a notification may take between two connections
_CHANNEL: Final = "stability_doctor"
_PAST: Final = "set STABILITY_LISTEN_URL to a connection that leads past the pooler, straight to Postgres"


async def delivery(settings: Settings, conninfo: str) -> AsyncIterator[Finding]:
    """The answer, with what stands in between."""
    direct = settings.listen_conninfo
    over = "STABILITY_LISTEN_URL" if direct else "this connection"
    try:
        arrived = await _delivers(direct or conninfo, conninfo)
    except psycopg.errors.FeatureNotSupported as error:
        fact = f"LISTEN is refused over {over}: {reason(error)}. The server polls instead, while somebody watches."
        yield Finding("delivery", "problem", fact, _PAST)
        return
    except psycopg.Error as error:
        yield Finding("delivery", "problem", f"Cannot LISTEN over {over}: {reason(error)}", f"correct {over}")
        return
    except TimeoutError:
        yield Finding(
            "delivery",
            "problem",
            f"A NOTIFY does not commit within {DELIVERY:g} s: it waits for another commit that notifies, as all do.",
            "end what holds that commit up, such as a synchronous standby that is away",
        )
        return
    if arrived:
        yield Finding("delivery", "ok", f"A notification arrives over {over}.")
    elif direct:
        yield Finding(
            "delivery",
            "problem",
            f"Nothing arrives over STABILITY_LISTEN_URL within {DELIVERY:g} s: it leads elsewhere or through a pooler.",
            "name the same database there, past the pooler",
        )
    else:
        yield Finding(
            "delivery",
            "problem",
            f"No notification arrives within {DELIVERY:g} s: a pooler swallows LISTEN, as PgBouncer does per"
            " transaction.",
            _PAST,
        )


async def _delivers(ear: str, mouth: str) -> bool:
    token = secrets.token_hex(8)
    async with entered(ear) as listening, entered(mouth) as telling:
        await listening.execute(f"LISTEN {_CHANNEL}".encode())
        async with asyncio.timeout(DELIVERY):
            await telling.execute("SELECT pg_catalog.pg_notify(%s, %s)", (_CHANNEL, token))
        async for heard in listening.notifies(timeout=DELIVERY):
            if heard.payload == token:
                return True
    return False
