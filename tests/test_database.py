"""The pool of connections."""

import asyncio
import gc

from sqlalchemy import text

from stability.database import Database as Pool
from tests.fixtures.postgres import Database


async def test_whoever_is_cancelled_while_it_connects_leaves_no_connection(database: Database) -> None:
    """At whatever moment: one that nobody closes is an error here."""

    async def use(pool: Pool) -> None:
        async with pool.writing() as connection:
            await connection.execute(text("SELECT 1"))

    for moment in range(20):
        pool = Pool(database.server_dsn)
        using = asyncio.create_task(use(pool))
        await asyncio.sleep(moment * 0.0005)
        using.cancel()
        await asyncio.wait([using])
        await pool.close()
        del using
        gc.collect()
