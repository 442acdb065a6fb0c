"""What stands behind the badge: explicit columns, the order that people see, honest percentages, any table."""

import json
from typing import Any

import pytest

from tests.fixtures.postgres import Database, fetch


def jobs(database: Database, shown: int = 100) -> list[dict[str, Any]]:
    """The import jobs that the server's role is shown."""
    return fetch(database.server_dsn, "SELECT stability.import_jobs_in_progress(%s)", shown)


def tasks(database: Database, shown: int = 100) -> list[dict[str, Any]]:
    """The analytics tasks that the server's role is shown."""
    return fetch(database.server_dsn, "SELECT stability.analytics_tasks_in_progress(%s)", shown)


@pytest.fixture(autouse=True)
def _queues(database: Database) -> None:
    fetch(database.dsn, "INSERT INTO worker.command_registry VALUES ('count', 'analytics'), ('sweep', 'maintenance')")


def test_a_job_has_exactly_the_columns_of_the_contract(database: Database) -> None:
    """Whatever else the table holds."""
    fetch(
        database.dsn,
        "INSERT INTO import_job (slug, state, priority, total_rows, imported_rows, error)"
        " VALUES ('a', 'importing_data', 2, 200, 51, 'none of your business')",
    )

    assert jobs(database) == [
        {
            "id": 1,
            "slug": "a",
            "state": "importing_data",
            "priority": 2,
            "total_rows": 200,
            "imported_rows": 51,
            "progress_pct": 25,
        }
    ]


def test_a_task_has_exactly_the_columns_of_the_contract(database: Database) -> None:
    """Times are in UTC and say so."""
    fetch(
        database.dsn,
        "INSERT INTO worker.tasks (command, state, created_at, duration_ms)"
        " VALUES ('count', 'processing', '2026-03-04 05:06:07.5+02', 12)",
    )
    expected = {
        "id": 1,
        "command": "count",
        "state": "processing",
        "created_at": "2026-03-04T03:06:07.500000Z",
        "duration_ms": 12,
    }

    assert tasks(database) == [expected]
    assert fetch(database.server_dsn, "SELECT public.get_analytics_tasks_in_progress()") == [expected]


@pytest.mark.parametrize(
    ("total", "imported", "expected"),
    [
        (None, None, 0),
        (None, 5, 0),
        (5, None, 0),
        (0, 5, 0),
        (3, 1, 33),
        (3, 2, 66),
        (100, 100, 99),
        (100, 250, 99),
        (100, -5, 0),
        (9_000_000_000_000_000_000, 8_999_999_999_999_999_999, 99),
        (9_000_000_000_000_000_000, 4_500_000_000_000_000_000, 50),
    ],
)
def test_progress_is_whole_percents_below_a_hundred(
    database: Database, total: int | None, imported: int | None, expected: int
) -> None:
    """What is still listed is not done, whatever its rows say."""
    fetch(
        database.dsn,
        "INSERT INTO import_job (slug, state, total_rows, imported_rows) VALUES ('a', 'approved', %s, %s)",
        total,
        imported,
    )

    assert [job["progress_pct"] for job in jobs(database)] == [expected]


def test_the_tables_own_progress_wins(database: Database) -> None:
    """Up to the same bound; null is nothing done yet."""
    fetch(database.dsn, "ALTER TABLE import_job ADD progress_pct numeric")
    fetch(
        database.dsn,
        "INSERT INTO import_job (slug, state, total_rows, imported_rows, progress_pct)"
        " VALUES ('a', 'approved', 2, 1, 12.5), ('b', 'approved', 2, 1, NULL), ('c', 'approved', 2, 1, 100)",
    )

    assert [job["progress_pct"] for job in jobs(database)] == [12.5, 0, 99]


def test_the_order_is_priority_then_id(database: Database) -> None:
    """What has no priority comes last."""
    fetch(
        database.dsn,
        "INSERT INTO import_job (slug, state, priority)"
        " VALUES ('d', 'approved', NULL), ('b', 'approved', 2), ('c', 'approved', 2), ('a', 'approved', 1)",
    )
    fetch(
        database.dsn,
        "INSERT INTO worker.tasks (command, priority) VALUES ('count', NULL), ('count', 9), ('count', 1), ('count', 1)",
    )

    assert [job["slug"] for job in jobs(database)] == ["a", "b", "c", "d"]
    assert [task["id"] for task in tasks(database)] == [3, 4, 2, 1]


def test_at_most_the_asked_number_is_shown_and_all_are_counted(database: Database) -> None:
    """The total is exact beyond the badge's thousand."""
    fetch(database.dsn, "INSERT INTO import_job (slug, state) SELECT i, 'approved' FROM generate_series(1, 1234) i")
    fetch(database.dsn, "INSERT INTO worker.tasks (command) SELECT 'count' FROM generate_series(1, 5)")

    assert [job["slug"] for job in jobs(database, 2)] == ["1", "2"]
    assert len(tasks(database, 2)) == 2
    assert len(fetch(database.server_dsn, "SELECT public.get_analytics_tasks_in_progress()")) == 5
    assert fetch(
        database.server_dsn,
        "SELECT stability.count_active('import_job'), stability.count_active('analytics_tasks')",
    ) == [(1234, 5)]


def test_what_does_not_hold_the_badge_is_not_listed(database: Database) -> None:
    """Settled rows, other queues and what is due later."""
    fetch(database.dsn, "INSERT INTO import_job (slug, state) VALUES ('a', 'failed')")
    fetch(
        database.dsn,
        "INSERT INTO worker.tasks (command, state, scheduled_at) VALUES"
        " ('count', 'completed', NULL), ('sweep', 'pending', NULL), ('count', 'pending', now() + '1 hour')",
    )

    assert (jobs(database), tasks(database)) == ([], [])
    assert fetch(database.server_dsn, "SELECT is_system_stable()") == [True]


@pytest.mark.parametrize("column", ["slug", "priority", "total_rows", "imported_rows"])
def test_a_column_that_goes_is_null_from_then_on(database: Database, column: str) -> None:
    """Without a migration of ours; the other columns are still told."""
    fetch(database.dsn, "INSERT INTO import_job (slug, state, priority) VALUES ('a', 'approved', 1)")
    fetch(database.dsn, f"ALTER TABLE import_job DROP COLUMN {column}")

    ((job),) = jobs(database)
    assert job[column] is None
    assert (job["id"], job["state"], job["progress_pct"]) == (1, "approved", 0)


def test_odd_values_are_told_as_they_are(database: Database) -> None:
    """Quotes, markup, long texts and other scripts survive; JSON is valid."""
    odd = 'a"b\\c\n<script>&amp;</script> \u202e \U0001f4be ' + "x" * 10_000
    fetch(database.dsn, "INSERT INTO import_job (slug, state) VALUES (%s, 'approved')", odd)
    (text,) = fetch(database.server_dsn, "SELECT stability.import_jobs_in_progress(1)::text")

    assert json.loads(text)["slug"] == odd
