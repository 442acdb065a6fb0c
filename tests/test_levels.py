"""One table of levels, in Python, in SQL and in JavaScript."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest

from stability.deployments.api import Status as Deployment
from stability.executions import STATUSES
from stability.http.asyncapi import EVENTS
from stability.levels import LEVELS, Level, level, level_at, worst
from tests.fixtures.node import run_node
from tests.fixtures.postgres import Database


def test_sql_and_python_say_the_same(database: Database) -> None:
    """Every status, whatever is not listed, and none."""
    asked = [*LEVELS, "paused", "", "Running", None]
    with psycopg.connect(database.dsn) as owner:
        told = [row[0] for row in owner.execute("SELECT stability.level(s) FROM unnest(%s::text[]) s", (asked,))]
    assert told == [level(status or "") for status in asked]
    assert set(told) == {"ok", "processing", "warning", "critical", "unknown"}


def test_javascript_and_python_say_the_same() -> None:
    """Every status, and whatever is not listed; the page has no status of its own."""
    asked = [*LEVELS, "paused", "", "Running"]
    listed, told = in_javascript(f"[[...LEVELS.keys()], {json.dumps(asked)}.map(level)]")
    assert told == [level(status) for status in asked]
    assert set(listed) == set(LEVELS)


SEEN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "seconds", "expected"),
    [
        ("running", 59.9, "ok"),
        ("running", 60, "warning"),
        ("failed", 60, "critical"),
        ("running", 90, "unknown"),
        ("failed", 90, "unknown"),
    ],
)
def test_what_was_observed_ages(state: str, seconds: float, expected: Level) -> None:
    """Two of its intervals later it is stale, three later nothing is known; Python and the page say the same."""
    told = {"observed_at": "2026-01-31T12:00:00.000Z", "stale_after": "2026-01-31T12:01:00.000Z"}
    now = SEEN + timedelta(seconds=seconds)
    assert level_at(state, told, now) == expected
    module = (Path(__file__).parents[1] / "web" / "levels.js").as_uri()
    script = f"import {{ levelOf }} from {json.dumps(module)};"
    script += f"console.log(levelOf({json.dumps({**told, 'state': state})}, {now.timestamp() * 1000}))"
    assert (run_node("--input-type=module", "--eval", script).strip() == "unknown") == (expected == "unknown")


@pytest.mark.parametrize("told", [{}, {"observed_at": None, "stale_after": None}])
def test_what_is_not_observed_does_not_age(told: dict[str, object]) -> None:
    """Such as the log of executions, which the database itself keeps."""
    assert level_at("ok", told, SEEN) == "ok"


def test_all_agree_what_is_worst() -> None:
    """The page ranks as badges and summaries do, and the stream tells of no other level."""
    ranked: list[Level] = in_javascript("RANKED")
    assert set(ranked) == set(get_args(Level)) == {*LEVELS.values(), "unknown"}
    assert [worst(pair) for pair in pairwise(ranked)] == ranked[:-1]
    change: Any = EVENTS["change"][1]
    assert set(change["properties"]["row"]["properties"]["level"]["enum"]) == set(ranked)


@pytest.mark.parametrize("status", [*STATUSES, *get_args(Deployment)])
def test_every_status_has_a_level(status: str) -> None:
    """None that we know of ourselves is shown as unknown."""
    assert level(status) != "unknown"


def in_javascript(expression: str) -> Any:
    """What it is where the page's table is at hand."""
    module = (Path(__file__).parents[1] / "web" / "levels.js").as_uri()
    script = f"import {{ LEVELS, RANKED, level }} from {json.dumps(module)}; console.log(JSON.stringify({expression}))"
    return json.loads(run_node("--input-type=module", "--eval", script))
