"""The demo works on tables that were here before, as any role that may write them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from stability.demo.carrying import clean
from stability.errors import DatabaseError
from tests.fixtures.demo import DemoDatabase
from tests.fixtures.postgres import Database

Write = Callable[[str | bytes], Path]

ADOPTED = (
    "CREATE SCHEMA worker",
    "CREATE TYPE public.job_state AS ENUM ('importing_data', 'finished', 'failed')",
    "CREATE TYPE worker.task_state AS ENUM ('pending', 'processing', 'completed', 'failed')",
    "CREATE TYPE worker.queue AS ENUM ('analytics', 'maintenance')",
    """
    CREATE TABLE public.import_job (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), state public.job_state NOT NULL, created_at timestamptz NOT NULL
    )
    """,
    "CREATE TABLE worker.command_registry (command varchar(64) PRIMARY KEY, queue worker.queue NOT NULL)",
    """
    CREATE TABLE worker.tasks (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), command varchar(64) REFERENCES worker.command_registry,
        state worker.task_state NOT NULL, priority integer NOT NULL, note text
    )
    """,
)


@pytest.fixture
def adopted(empty_database: Database) -> Iterator[DemoDatabase]:
    """A database with tables of another shape: enum states that lack labels, uuid ids, fewer and more columns."""
    with psycopg.connect(empty_database.dsn, autocommit=True) as connection:
        demo = DemoDatabase(empty_database.dsn, connection)
        demo.do(*ADOPTED)
        yield demo


def states(demo: DemoDatabase) -> tuple[list[str], set[str]]:
    jobs = [state for (state,) in demo.all("SELECT state::text FROM public.import_job")]
    return jobs, {state for (state,) in demo.all("SELECT state::text FROM worker.tasks")}


def test_works_on_tables_of_another_shape(adopted: DemoDatabase) -> None:
    """Labels and columns that the tables lack are done without; what they demand is filled in."""
    outcome, said = adopted.run(rows=100)
    assert outcome.state == "finished", said
    assert states(adopted) == (["finished"], {"completed"})
    assert adopted.one("SELECT count(*) FROM stability_demo.column_profile WHERE filled > 0") == 8


def test_the_label_rejected_may_be_lacking(adopted: DemoDatabase, written: Write) -> None:
    """Where no job can be `rejected`, a malformed file is `failed`."""
    outcome, _ = adopted.run(written("a,b\n1\n"))
    assert (outcome.state, states(adopted)) == ("rejected", (["failed"], set()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP TABLE public.import_job", "there is no table public.import_job; run `stability migrate` first"),
        ("ALTER TABLE worker.tasks DROP COLUMN command", "worker.tasks has no column command"),
        ("ALTER TABLE worker.tasks ALTER note SET NOT NULL", "worker.tasks demands a note that the demo cannot know"),
        ("ALTER TYPE public.job_state RENAME VALUE 'finished' TO 'done'", "public.import_job have no 'finished'"),
    ],
)
def test_what_the_tables_do_not_allow_is_told(adopted: DemoDatabase, change: str, told: str) -> None:
    """A table that cannot hold what the demo writes is named, and no job stays active."""
    adopted.do(change)
    try:
        outcome, said = adopted.run(rows=10)
    except DatabaseError as error:
        said = str(error)
    else:
        assert outcome.state == "failed"
        assert states(adopted)[0] == ["failed"]
    assert told in said


def test_any_writer_may_run_it(database: Database, demo: DemoDatabase) -> None:
    """A role that writes the watched tables and may create a schema needs nothing else; without that, it is told."""
    as_writer = DemoDatabase(database.writer_dsn, demo.connection)
    with pytest.raises(DatabaseError, match=r"permission denied for database .*; let a role run the demo that may"):
        as_writer.run(rows=10)
    demo.do(f"GRANT CREATE ON DATABASE {database.name} TO test_writer")
    assert as_writer.run(rows=10)[0].state == "finished"


def test_a_database_that_does_not_answer_is_told(database: Database) -> None:
    """A connection that cannot be made is one sentence."""
    with psycopg.connect(database.dsn) as connection:
        demo = DemoDatabase(f"{database.dsn}&connect_timeout=1".replace("/test_", "/none_"), connection)
        with pytest.raises(DatabaseError, match=r"the database does not let us in: .* does not exist"):
            demo.run(rows=10)


def test_tables_that_were_made_anew_are_noticed(demo: DemoDatabase) -> None:
    """When ids have another type than at the last demo the remedy is told, and it removes no row of the new tables."""
    demo.run(rows=10)
    demo.do(
        "DROP TABLE public.import_job",
        "CREATE TABLE public.import_job (id text PRIMARY KEY DEFAULT gen_random_uuid(), slug text, state text)",
        "INSERT INTO public.import_job VALUES ('1', 'of the host', 'finished')",
    )
    with pytest.raises(DatabaseError, match=r"made anew since the last demo; run `stability demo --clean`"):
        demo.run(rows=10)
    clean(demo.dsn)
    assert demo.run(rows=10)[0].state == "finished"
    assert demo.all("SELECT id FROM public.import_job WHERE slug = 'of the host'") == [("1",)]
