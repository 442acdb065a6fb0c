"""What is too old goes, in as many small transactions as it takes; what is kept for ever has nobody who deletes it."""

import asyncio

import pytest

from stability.database import Database as Pool
from stability.retention import BATCH, retention
from tests.fixtures.eventually import in_time
from tests.fixtures.postgres import Database, fetch

pytestmark = pytest.mark.anyio

KEPT = "SELECT count(*)::int FROM stability.transition"
# A trigger notes how many rows each statement deleted.
COUNTED = """
    CREATE TABLE public.deletions (deleted int);
    CREATE FUNCTION public.note_deletion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN INSERT INTO public.deletions SELECT count(*) FROM old_rows; RETURN NULL; END $$;
    CREATE TRIGGER note_deletion AFTER DELETE ON stability.transition
        REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.note_deletion();
    INSERT INTO stability.transition (state, began, until)
    SELECT CASE WHEN n % 2 = 0 THEN 'stable' ELSE 'processing' END, now() - (n + 1) * interval '1 min',
           now() - n * interval '1 min'
      FROM generate_series(1, 3000) AS n
"""


async def test_what_is_too_old_goes_in_small_batches(database: Database) -> None:
    """Three transactions for 2,500 rows, at once; what is younger stays."""
    fetch(database.dsn, COUNTED)
    pool = Pool(database.server_dsn)
    (duty,) = retention("history", pool, "prune_transitions", 500.5 / (24 * 60))
    at_work = asyncio.create_task(duty.run())
    await in_time(lambda: fetch(database.dsn, KEPT) == [500])
    at_work.cancel()
    await asyncio.wait([at_work])
    await pool.close()
    assert fetch(database.dsn, "SELECT deleted FROM deletions") == [BATCH, BATCH, 2500 - 2 * BATCH]


async def test_what_is_kept_for_ever_is_nobodys_duty(database: Database) -> None:
    """Zero days are for ever."""
    pool = Pool(database.server_dsn)
    assert retention("history", pool, "prune_transitions", 0) == []
    await pool.close()
