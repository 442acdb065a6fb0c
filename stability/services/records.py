"""The tables of services, written: one statement each, of one observer, who stops where another has begun since."""

import json
import secrets
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Final

from sqlalchemy import text

from stability.database import Database
from stability.errors import StabilityError
from stability.services.catalogue import Found

PATIENCE: Final = 3  # samples that may be missing until nobody knows how a service was meanwhile

_RECORD: Final = text("""
    SELECT stability.record_services(CAST(:found AS jsonb), :gone, :whole, :observer, :patience)
""")
_SAMPLE: Final = text("""
    SELECT stability.sample_services(:observer, :patience) AND stability.count_services() = :known
""")
_LOSE: Final = text("SELECT stability.lose_consul(:observer, :reason, :begun)")


class SupersededError(StabilityError):
    """Another observer has begun since, or somebody else wrote: what we know may be old."""


class Records:
    """What one observer writes, from its first whole answer to the first failure."""

    def __init__(self, database: Database, sample_seconds: float) -> None:
        self._database = database
        self._asked = {"observer": secrets.token_hex(8), "patience": patience(sample_seconds)}
        self._begun = False

    async def put(self, found: Iterable[Found], gone: Collection[str] = (), *, whole: bool = False) -> None:
        """These are so and those are gone; with `whole`, there are no others. Raises SupersededError."""
        told = json.dumps([each.told for each in found])
        await self._write(_RECORD, {"found": told, "gone": list(gone), "whole": whole})
        self._begun = self._begun or whole

    async def sample(self, known: int) -> None:
        """All, so many, are as they were told last. Raises SupersededError, also where there are more or fewer."""
        await self._write(_SAMPLE, {"known": known})

    async def lose(self, reason: str) -> None:
        """Consul does not answer; nothing is written where that is known, or where another observer has begun since."""
        values = {"observer": self._asked["observer"], "reason": reason, "begun": self._begun}
        async with self._database.writing() as connection:
            await connection.execute(_LOSE, values)

    async def _write(self, statement: object, values: dict[str, object]) -> None:
        async with self._database.writing() as connection:
            done = (await connection.execute(statement, {**self._asked, **values})).scalar_one()  # type: ignore[call-overload]
        if not done:
            raise SupersededError("another server observes Consul now, or somebody else wrote services")


def patience(sample_seconds: float) -> timedelta:
    """How long what was seen may be taken for the present."""
    return timedelta(seconds=PATIENCE * sample_seconds)
