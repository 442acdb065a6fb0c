"""What there are alerts of: all that is raised is in the README, and whoever tells kinds apart knows them all."""

import re
from pathlib import Path
from typing import Final

from stability.alerts import digest, outbox, sender
from tests.fixtures.postgres import Database, fetch

ROOT: Final = Path(__file__).parents[1]
SOURCES: Final = [*ROOT.glob("sql/*.sql"), *ROOT.glob("stability/**/*.py")]
LITERAL: Final = re.compile(r"""(?:stability\.alert\(\s*'|Alert\(\(\), ")(\w+)['"]\s*,""")
# Those of a kind that is made of a status are raised here.
CHANGES: Final = """
    INSERT INTO public.executions (status) SELECT 'RUNNING' FROM generate_series(1, 3);
    UPDATE public.executions SET status = (ARRAY['FINISHED', 'FAILED', 'CANCELLED'])[id];
    INSERT INTO public.deployments (id, name, status)
        SELECT n, n, 'running' FROM generate_series(1, 3) AS n;
    UPDATE public.deployments SET status = (ARRAY['unhealthy', 'failed', 'stopped'])[id];
"""


def raised(database: Database) -> set[str]:
    """Every kind that somebody puts into the outbox."""
    for statement in filter(str.strip, CHANGES.split(";")):
        fetch(database.dsn, statement)
    written = {kind for source in SOURCES for kind in LITERAL.findall(source.read_text("utf-8"))}
    return written | set(fetch(database.dsn, "SELECT DISTINCT kind FROM stability.outbox"))


def told() -> set[str]:
    """Every kind that the README's table lists."""
    text = (ROOT / "README.md").read_text("utf-8")
    table = text[text.index("| kind | when |") :].partition("\n\n")[0]
    return {kind for row in table.splitlines()[2:] for kind in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_readme_lists_what_is_raised(database: Database) -> None:
    """All of them, and no other."""
    assert raised(database) == told()


def test_who_tells_kinds_apart_knows_them() -> None:
    """How urgent each is, whether it is good or bad news, and of what there are many."""
    kinds = told()
    good = {kind for kind in kinds if kind.endswith(("_finished", "_recovered"))}
    bad = {kind for kind in kinds if kind.endswith(("_failed", "_unhealthy", "_critical"))}
    assert {kind for kind, outcome in sender._TYPES.items() if outcome == "success"} == good
    assert {kind for kind, outcome in sender._TYPES.items() if outcome == "failure"} == bad

    (endings,) = re.findall(r"kind ~ '_\(([\w|]+)\)\$'", outbox._CLAIM.text)
    assert {ending for ending in endings.split("|") if any(kind.endswith(f"_{ending}") for kind in kinds)} == {
        *endings.split("|")
    }
    assert set(re.findall(r"kind = '(\w+)'", outbox._CLAIM.text)) <= kinds
    assert set(digest._PLURALS) == {kind.partition("_")[0] for kind in kinds} - {"system", "accuracy"}
