"""Work that does not move: an active row that nobody writes is an alert once, and its age is told."""

import pytest

from tests.fixtures.postgres import Database, fetch

JOB = "INSERT INTO public.import_job (slug, state) VALUES ('a', 'approved')"
LOOK = "SELECT stability.look_for_stuck('30 min')"
LATER = "UPDATE stability.seen_active SET since = since - interval '31 min', told_at = told_at - interval '31 min'"
FACTS = "SELECT fact FROM stability.outbox ORDER BY id"
UNCHANGED = "SELECT source, id, seconds FROM stability.unchanged(10)"


def run(database: Database, *statements: str) -> None:
    """One after the other; a look as the server's role."""
    for statement in statements:
        fetch(database.server_dsn if statement == LOOK else database.dsn, statement)


def test_a_row_that_nobody_writes_is_an_alert_once(database: Database) -> None:
    """After half an hour, with its id and since when; and no second time, however long it stays."""
    run(database, JOB, LOOK)
    assert fetch(database.dsn, FACTS) == []
    run(database, LATER, LOOK, LOOK, LATER, LOOK)

    assert fetch(database.dsn, FACTS) == ["import_job: 1 active row unchanged for 31 minutes, its id is 1"]
    assert fetch(database.dsn, "SELECT kind, subject, now() - since > '31 min' FROM stability.outbox") == [
        ("system_stuck", "import_job", True)
    ]


@pytest.mark.parametrize(
    "write",
    [
        "UPDATE public.import_job SET imported_rows = 1",
        "UPDATE public.import_job SET state = state",
        "UPDATE public.import_job SET state = 'finished'",
        "DELETE FROM public.import_job",
    ],
)
def test_whatever_is_written_moves(database: Database, write: str) -> None:
    """A sign of life counts, though it changes no value."""
    run(database, JOB, LOOK, LATER, write, LOOK)

    assert fetch(database.dsn, FACTS) == []
    assert fetch(database.dsn, UNCHANGED) == []


def test_a_queue_that_stands_still_is_one_letter(database: Database) -> None:
    """Those that get stuck later are told together, half an hour after the first at the earliest."""
    run(database, JOB, LOOK, LATER, LOOK, JOB, JOB, LOOK)
    run(database, "UPDATE stability.seen_active SET since = since - interval '31 min'", LOOK)
    assert len(fetch(database.dsn, FACTS)) == 1
    run(database, LATER, LOOK, LOOK)

    assert fetch(database.dsn, FACTS)[1:] == [
        "import_job: 3 active rows unchanged for 93 minutes, the id of the first is 1"
    ]


def test_tasks_that_move_at_last_and_stop_again_are_another_occurrence(database: Database) -> None:
    """What moved is forgotten. Tasks are found by group, so their place is read within it."""
    run(database, "INSERT INTO worker.command_registry VALUES ('analyse', 'analytics'), ('sweep', 'maintenance')")
    run(database, "INSERT INTO worker.tasks (command) VALUES ('analyse'), ('sweep')", LOOK, LATER, LOOK)
    run(database, "UPDATE worker.tasks SET priority = 1", LOOK, LATER, LOOK)

    assert fetch(database.dsn, FACTS) == ["analytics_tasks: 1 active row unchanged for 31 minutes, its id is 1"] * 2


def test_its_age_is_told(database: Database) -> None:
    """Since it was first seen as it is, the longest first, and for those who may read details."""
    run(database, JOB, LOOK, LATER, JOB, LOOK)
    ((source, number, seconds),) = fetch(database.server_dsn, UNCHANGED)

    assert (source, number) == ("import_job", 1)
    assert 31 * 60 <= seconds < 32 * 60


def test_it_is_bounded_and_writes_nothing_while_nothing_moves(database: Database) -> None:
    """A thousand rows of each source, and no row version more at the second look."""
    run(database, "INSERT INTO public.import_job (slug, state) SELECT 'a', 'approved' FROM generate_series(1, 3000)")
    run(database, LOOK)
    seen = "SELECT count(*), max(xmin::text) FROM stability.seen_active"
    before = fetch(database.dsn, seen)
    run(database, LOOK)

    assert before[0][0] == 1000
    assert fetch(database.dsn, seen) == before


def test_views_and_tables_without_an_id_are_seen_as_well(database: Database) -> None:
    """By what a row says, and by the first column of its primary key."""
    run(
        database,
        "CREATE TABLE mails (address text, n int, done boolean, PRIMARY KEY (address, n))",
        "CREATE VIEW open_mails AS SELECT address AS id, done FROM mails",
        "SELECT stability.watch('mails', 'public.mails', 'NOT done')",
        "SELECT stability.watch('views', 'public.open_mails', 'NOT done')",
        "INSERT INTO mails VALUES ('x@y', 1, false)",
        LOOK,
        LATER,
        LOOK,
    )

    assert fetch(database.dsn, UNCHANGED.replace(", seconds", "") + " ORDER BY 1") == [
        ("mails", "x@y"),
        ("views", "x@y"),
    ]
    assert len(fetch(database.dsn, FACTS)) == 2


def test_a_source_that_is_broken_or_gone_holds_up_no_other(database: Database) -> None:
    """It keeps what is remembered of it until it is unwatched."""
    run(database, "CREATE TABLE a (id int, done boolean)", "SELECT stability.watch('a', 'public.a', 'NOT done')")
    run(database, "INSERT INTO a VALUES (1, false)", JOB, LOOK, "ALTER TABLE a RENAME TO b", LATER, LOOK)

    assert fetch(database.dsn, FACTS) == ["import_job: 1 active row unchanged for 31 minutes, its id is 1"]
    assert fetch(database.dsn, "SELECT source FROM stability.unchanged(10)") == ["import_job"]
    run(database, "SELECT stability.unwatch('a')")
    assert fetch(database.dsn, "SELECT DISTINCT source FROM stability.seen_active") == ["import_job"]
