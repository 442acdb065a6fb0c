"""One table of levels, in Python and in SQL."""

import psycopg

from stability.levels import LEVELS, level
from tests.fixtures.postgres import Database


def test_sql_and_python_say_the_same(database: Database) -> None:
    """Every status, whatever is not listed, and none."""
    asked = [*LEVELS, "paused", "", "Running", None]
    with psycopg.connect(database.dsn) as owner:
        told = [row[0] for row in owner.execute("SELECT stability.level(s) FROM unnest(%s::text[]) s", (asked,))]
    assert told == [level(status or "") for status in asked]
    assert set(told) == {"ok", "processing", "warning", "critical", "unknown"}
