"""The details behind the badge fail as the contract says, and say nothing that a stranger should not read."""

import asyncio

import httpx
import psycopg
import pytest

from stability.details import Answer
from stability.shared import Shared
from tests.fixtures.postgres import Database

DETAILS = "/api/system-status/details"
FAILED = {"error": "Failed to fetch status details"}


def test_a_database_that_refuses_is_500(hosted: str, database: Database) -> None:
    """Something of ours is missing: one sentence, the reason only in the log."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("DROP FUNCTION stability.count_active(text)")
    answer = httpx.get(hosted + DETAILS)
    assert (answer.status_code, answer.json()) == (500, FAILED)


def test_a_database_that_is_away_is_503(hosted: str, database: Database) -> None:
    """The same shape, and when to ask again."""
    with database.away():
        answer = httpx.get(hosted + DETAILS, timeout=10)
        assert (answer.status_code, answer.json()) == (503, FAILED)
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("imported", "total", "percent"),
    [(0, 100, 0), (999, 1000, 99), (1000, 1000, 99), (2000, 1000, 99), (None, 10, 0), (5, None, None), (1, 0, None)],
)
def test_progress_is_floored_and_never_done_while_active(
    hosted: str, database: Database, imported: int | None, total: int | None, percent: int | None
) -> None:
    """`progress_pct` is at most 99 while the job is active."""
    with psycopg.connect(database.writer_dsn, autocommit=True) as writer:
        writer.execute(
            "INSERT INTO public.import_job (slug, state, total_rows, imported_rows)"
            " VALUES ('x', 'importing_data', %s, %s)",
            (total, imported),
        )
    job = httpx.get(hosted + DETAILS).json()["import_jobs"][0]
    assert job["progress_pct"] in ({percent} if percent is not None else {None, 0})


def test_what_stands_still_is_told_with_its_age(hosted: str, database: Database) -> None:
    """Beside the lists, for rows of every source."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute("INSERT INTO public.import_job (slug, state) VALUES ('x', 'importing_data')")
        owner.execute("SELECT stability.look_for_stuck('1 day')")
        assert httpx.get(hosted + DETAILS).json()["unchanged"] == []
        owner.execute("UPDATE stability.seen_active SET since = '2026-01-01Z'")
    (row,) = httpx.get(hosted + DETAILS).json()["unchanged"]
    assert (row["source"], row["id"], row["since"]) == ("import_job", 1, "2026-01-01T00:00:00.000Z")
    assert row["seconds"] > 0


@pytest.mark.anyio
async def test_a_crowd_costs_what_one_asker_costs() -> None:
    """Whoever asks during an answer gets the next one, all of them the same; an error reaches all who share it."""
    begun: asyncio.Queue[asyncio.Future[Answer]] = asyncio.Queue()

    async def answer() -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        begun.put_nowait(future)
        return await future

    ask = Shared(answer)
    early = [asyncio.create_task(ask()) for _ in range(100)]
    first = await begun.get()
    late = [asyncio.create_task(ask()) for _ in range(100)]
    impatient = asyncio.create_task(ask())
    await asyncio.sleep(0)
    impatient.cancel()
    first.set_result({"turn": 1})
    assert await asyncio.gather(*early) == [{"turn": 1}] * 100
    (await begun.get()).set_exception(OSError("away"))
    assert {str(error) for error in await asyncio.gather(*late, return_exceptions=True)} == {"away"}
    last = asyncio.create_task(ask())
    (await begun.get()).set_result({"turn": 3})
    assert await last == {"turn": 3}
    assert begun.empty()


def test_the_server_cannot_write_what_it_watches(database: Database) -> None:
    """Least privilege: the server's role reads a boolean and the details, and changes nothing."""
    with psycopg.connect(database.server_dsn, autocommit=True) as server:
        for statement in (
            "INSERT INTO public.import_job (slug, state) VALUES ('x', 'approved')",
            "UPDATE worker.tasks SET state = 'completed'",
            "DELETE FROM worker.command_registry",
            "TRUNCATE public.import_job",
            "SELECT stability.watch('x', 'public.import_job', 'true')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                server.execute(statement.encode())
