"""Deletes what is older than somebody wants to keep it: beside everything else, and never much at once."""

import asyncio
from datetime import timedelta
from typing import Final

from sqlalchemy import text

from stability.database import Database
from stability.duty import Duty

EVERY: Final = 600.0  # seconds between two looks for what is too old
BATCH: Final = 1000  # rows that one transaction deletes at most, of each kind


def retention(of: str, database: Database, prune: str, days: float) -> list[Duty]:
    """The duty of deleting what `of` has that is older than `days`; with 0, which is for ever, there is none.

    `prune` names a function of schema `stability` that takes an interval and a number of rows, deletes as many at most
    that are older, and returns how many it deleted.
    """
    statement = text(f"SELECT stability.{prune}(:keep, :batch)")
    values = {"keep": timedelta(days=days), "batch": BATCH}

    async def run() -> None:
        while True:
            deleted = BATCH
            while deleted >= BATCH:
                async with database.writing() as connection:
                    deleted = (await connection.execute(statement, values)).scalar_one()
            await asyncio.sleep(EVERY)

    return [Duty(f"{of}: retention", run)] if days else []
