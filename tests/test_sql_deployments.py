"""The table of deployments: what a writer may do, what is kept in step with the status, who hears of it."""

import itertools
import json
import re
from pathlib import Path
from typing import get_args

import psycopg
import pytest

from stability import hints
from stability.deployments import rows
from stability.deployments.api import Status
from stability.deployments.monitor import LIVING
from stability.schema.migration import migrate, uninstall
from tests.fixtures.catalogue import contents, incarnations
from tests.fixtures.postgres import Database, fetch

STATUSES = ("pending", "installing", "starting", "running", "unhealthy", "stopped", "failed")
ROOT = Path(__file__).parent.parent
README, WEB = ROOT / "README.md", ROOT / "web"
MARK = "DO $$ BEGIN PERFORM pg_notify('stability_change', 'mark'); END $$"


def put(database: Database, status: str, **more: object) -> int:
    """A deployment in that state."""
    values = {"name": "web", "status": status, **more}
    (key,) = fetch(
        database.dsn,
        f"INSERT INTO deployments ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))}) RETURNING id",
        *values.values(),
    )
    return int(key)


def transitions(database: Database) -> set[tuple[str, str]]:
    """What the database allows."""
    return set(fetch(database.dsn, "SELECT * FROM stability.deployment_transitions()"))


@pytest.mark.parametrize("status_from", STATUSES)
def test_only_listed_transitions_are_allowed(database: Database, status_from: str) -> None:
    """Each pair of states is tried; a refusal says which deployment, from what to what, and what is allowed."""
    allowed = transitions(database)
    for status_to in STATUSES:
        key = put(database, status_from)
        change = f"UPDATE deployments SET status = '{status_to}' WHERE id = {key}"
        if status_to == status_from or (status_from, status_to) in allowed:
            fetch(database.dsn, change)
            continue
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            fetch(database.dsn, change)
        choices = ", ".join(sorted(to for fro, to in allowed if fro == status_from))
        assert refused.value.diag.constraint_name == "deployment_transition_is_allowed"
        assert refused.value.diag.message_primary == (
            f"Deployment {key} cannot go from {status_from} to {status_to}: "
            f"from {status_from} it may go to {choices} only."
        )


def test_the_list_is_about_the_states_of_the_table(database: Database) -> None:
    """No other one is in it, each can be left, and the table takes no other."""
    allowed = transitions(database)

    assert {fro for fro, _ in allowed} == set(STATUSES)
    assert set(itertools.chain(*allowed)) == set(STATUSES)
    with pytest.raises(psycopg.errors.CheckViolation, match="deployments_status_is_known"):
        put(database, "asleep")


def test_every_list_of_the_states_is_that_of_the_table(database: Database) -> None:
    """The check of the table, the API, what is looked at, and the page's counts."""
    known = {state for pair in transitions(database) for state in pair}
    (check,) = fetch(
        database.dsn,
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'deployments_status_is_known'",
    )
    (order,) = re.findall(r"const order = (\[.*?\])", (WEB / "deployments.js").read_text("utf-8"))

    assert known == set(STATUSES)
    assert known == set(re.findall(r"'(\w+)'", check))
    assert known == set(get_args(Status))
    assert known == {*rows.TRANSITIONAL, *LIVING, "failed"}
    assert known == set(json.loads(order)) - {"unknown"}


def test_readme_shows_the_same_list(database: Database) -> None:
    """One line per state, with what may follow it."""
    rows = re.findall(r"^\| `(\w+)` \| .* \| (`.*`) \|$", README.read_text("utf-8"), re.MULTILINE)
    shown = {(fro, to) for fro, listed in rows if fro in STATUSES for to in re.findall(r"`(\w+)`", listed)}

    assert shown == transitions(database)


def test_a_message_goes_with_its_state(database: Database) -> None:
    """One that comes with the new state stays, the old one is cleared."""
    key = put(database, "pending", progress_message="waiting")
    for status, message, kept in (("installing", "'making'", "making"), ("starting", "progress_message", None)):
        fetch(database.dsn, f"UPDATE deployments SET status = '{status}', progress_message = {message}")
        assert fetch(database.dsn, "SELECT progress_message FROM deployments WHERE id = %s", key) == [kept]


@pytest.mark.parametrize(("status", "kept"), [("running", None), ("stopped", None), ("failed", "broken")])
def test_an_error_is_over_where_it_runs_or_was_stopped(database: Database, status: str, kept: str | None) -> None:
    """Elsewhere it stands."""
    put(database, "unhealthy", error_message="broken")
    fetch(database.dsn, f"UPDATE deployments SET status = '{status}'")

    assert fetch(database.dsn, "SELECT error_message FROM deployments") == [kept]


@pytest.mark.parametrize(
    ("before", "more", "kept"),
    [("failed", {}, None), ("failed", {"health_url": "http://192.0.2.1/"}, "m1"), ("unhealthy", {}, "m1")],
)
def test_what_is_to_be_made_anew_has_no_machine(
    database: Database, before: str, more: dict[str, str], kept: str | None
) -> None:
    """Unless it runs elsewhere; any other change leaves it its own."""
    put(database, before, machine_id="m1", **more)
    after = "pending" if before == "failed" else "stopped"
    fetch(database.dsn, f"UPDATE deployments SET status = '{after}'")

    assert fetch(database.dsn, "SELECT machine_id FROM deployments") == [kept]


def test_a_machine_that_is_given_with_a_new_beginning_stays(database: Database) -> None:
    """Somebody made it himself."""
    put(database, "failed", machine_id="m1")
    fetch(database.dsn, "UPDATE deployments SET status = 'pending', machine_id = 'm2'")

    assert fetch(database.dsn, "SELECT machine_id FROM deployments") == ["m2"]


def test_updated_at_moves_with_a_change_only(database: Database) -> None:
    """A look that found nothing new moves `last_checked_at` alone, and `status_since` moves with the status alone."""
    put(database, "running")
    moved = "SELECT updated_at > created_at, status_since > created_at FROM deployments"
    fetch(database.dsn, "UPDATE deployments SET updated_at = created_at, status_since = created_at")
    fetch(database.dsn, "ALTER TABLE deployments DISABLE TRIGGER USER")
    fetch(database.dsn, "UPDATE deployments SET updated_at = created_at, status_since = created_at")
    fetch(database.dsn, "ALTER TABLE deployments ENABLE ALWAYS TRIGGER stability_keep_deployment")
    fetch(database.dsn, "UPDATE deployments SET last_checked_at = now()")
    assert fetch(database.dsn, moved) == [(False, False)]
    fetch(database.dsn, "UPDATE deployments SET name = 'other'")
    assert fetch(database.dsn, moved) == [(True, False)]
    fetch(database.dsn, "UPDATE deployments SET status = 'stopped'")
    assert fetch(database.dsn, moved) == [(True, True)]


HINTS = [
    ("INSERT INTO deployments (id, name) VALUES (7, 'a'), (8, 'b')", {"7", "8"}),
    ("UPDATE deployments SET last_checked_at = now() WHERE id = 1", {"1"}),
    ("UPDATE deployments SET id = id WHERE id > 5000", None),
    ("DELETE FROM deployments WHERE id = 2", {"2"}),
    ("DELETE FROM deployments WHERE false", None),
    ("TRUNCATE deployments", "all"),
    ("INSERT INTO deployments (name) SELECT 'c' FROM generate_series(1, 100)", set(map(str, range(4, 104)))),
    ("INSERT INTO deployments (name) SELECT 'c' FROM generate_series(1, 101)", "all"),
]


@pytest.mark.parametrize(("change", "ids"), HINTS)
def test_a_statement_says_which_changed(database: Database, change: str, ids: set[str] | str | None) -> None:
    """One hint with their ids, or all of them if they are many, or none where no row was touched."""
    fetch(database.dsn, "INSERT INTO deployments (name) VALUES ('a'), ('b'), ('c')")
    heard: list[hints.Hint | None] = []
    with psycopg.connect(database.dsn, autocommit=True) as listener:
        listener.execute("LISTEN stability_change")
        fetch(database.dsn, change)
        fetch(database.dsn, MARK)
        for notification in listener.notifies(timeout=5):
            if notification.payload == "mark":
                break
            heard.append(hints.parse(notification.channel, notification.payload))

    keys = None if ids == "all" or ids is None else frozenset(ids)
    assert heard == ([] if ids is None else [hints.Hint("deployments", keys)])


RECOVERED = {
    ("running", "unhealthy", "running"): ["unhealthy", "recovered"],
    ("running", "unhealthy", "stopped", "running"): ["unhealthy", "recovered"],
    ("running", "unhealthy", "stopped", "starting", "running"): ["unhealthy", "recovered"],
    ("running", "failed", "pending", "starting", "running"): ["failed", "recovered"],
    ("starting", "failed", "pending", "installing", "starting", "unhealthy", "stopped", "running"): [
        "failed",
        "unhealthy",
        "recovered",
    ],
    ("running", "stopped", "running"): [],
    ("running", "unhealthy", "running", "stopped", "running"): ["unhealthy", "recovered"],
}


@pytest.mark.parametrize("course", RECOVERED)
def test_what_was_told_recovers_whatever_came_in_between(database: Database, course: tuple[str, ...]) -> None:
    """Once; and what runs again after somebody stopped it has recovered from nothing."""
    first, *others = course
    put(database, "failed")
    key = put(database, first)
    for status in others:
        fetch(database.dsn, "UPDATE deployments SET status = %s WHERE id = %s", status, key)

    told = fetch(database.dsn, "SELECT kind FROM stability.outbox WHERE subject = %s ORDER BY id", str(key))
    assert told == [f"deployment_{kind}" for kind in RECOVERED[course]]


def test_long_ids_never_come_near_what_a_notification_holds(empty_database: Database) -> None:
    """A host's table may have any ids: forty of 200 characters are cut to all."""
    fetch(empty_database.dsn, "CREATE TABLE deployments (id text PRIMARY KEY, name text, status text)")
    migrate(empty_database.dsn)
    with psycopg.connect(empty_database.dsn, autocommit=True) as listener:
        listener.execute("LISTEN stability_change")
        fetch(empty_database.dsn, "INSERT INTO deployments SELECT n || repeat('x', 200) FROM generate_series(1, 40) n")
        (heard,) = (json.loads(n.payload) for n in listener.notifies(timeout=5, stop_after=1))

    assert heard == {"topic": "deployments", "ids": "all"}


@pytest.mark.parametrize(
    "break_it",
    [
        "ALTER FUNCTION stability.alert RENAME TO gone",
        "ALTER TABLE deployments RENAME id TO key",
        "ALTER TABLE deployments DROP COLUMN status_since",
        "ALTER TABLE deployments DROP COLUMN progress_message",
        "ALTER FUNCTION stability.deployment_transitions() RENAME TO gone",
    ],
)
def test_whatever_is_missing_the_writer_goes_on(database: Database, break_it: str) -> None:
    """Neither hint nor alert nor the keeping of messages makes his transaction fail."""
    put(database, "running")
    fetch(database.dsn, break_it)
    fetch(database.dsn, "UPDATE deployments SET status = 'unhealthy'")

    assert fetch(database.dsn, "SELECT status FROM deployments") == ["unhealthy"]


def test_a_writer_needs_no_right_on_ours(database: Database) -> None:
    """He writes his deployments, and the rule holds for him as well."""
    fetch(database.dsn, "GRANT SELECT, INSERT, UPDATE ON deployments TO test_writer")
    fetch(database.writer_dsn, "INSERT INTO deployments (name) VALUES ('a')")
    with pytest.raises(psycopg.errors.CheckViolation, match="from pending to stopped"):
        fetch(database.writer_dsn, "UPDATE deployments SET status = 'stopped'")
    fetch(database.writer_dsn, "UPDATE deployments SET status = 'installing'")

    assert fetch(database.server_dsn, "SELECT status FROM deployments") == ["installing"]


@pytest.mark.parametrize("privilege", ["DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"])
def test_the_server_has_the_least_rights(database: Database, privilege: str) -> None:
    """It reads, adds and changes."""
    query = "SELECT has_table_privilege('stability_server', 'deployments', %s)"

    assert fetch(database.dsn, query, privilege) == [False]


HOSTS = [
    "CREATE TABLE deployments (id serial PRIMARY KEY, name text, status text DEFAULT 'pending')",
    "CREATE TYPE mood AS ENUM ('pending', 'running', 'stopped', 'asleep');"
    "CREATE TABLE deployments (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(20), status mood,"
    " progress_message varchar(100), updated_at timestamptz)",
]


@pytest.mark.parametrize("host", HOSTS)
def test_a_hosts_own_table_is_adopted(empty_database: Database, host: str) -> None:
    """It gets what it lacks, once; uninstalling takes exactly that back, and his rows stay."""
    fetch(empty_database.dsn, host)
    fetch(empty_database.dsn, "INSERT INTO deployments (name, status) VALUES ('old', 'running')")
    before = contents(empty_database.dsn)
    migrate(empty_database.dsn)
    once = incarnations(empty_database.dsn)
    migrate(empty_database.dsn)
    assert incarnations(empty_database.dsn) == once
    fetch(empty_database.dsn, "UPDATE deployments SET status = 'stopped', health_url = 'http://x/'")
    with pytest.raises(psycopg.errors.CheckViolation):
        fetch(empty_database.dsn, "UPDATE deployments SET status = 'pending'")
    uninstall(empty_database.dsn)

    after = contents(empty_database.dsn)
    assert fetch(empty_database.dsn, "SELECT name, status::text FROM deployments") == [("old", "stopped")]
    assert {what for what in before if before[what] != after[what]} <= {"relations", "columns"}
    assert [column for column in before["columns"] if column not in after["columns"]] == []


def test_a_status_of_the_hosts_own_goes_anywhere(empty_database: Database) -> None:
    """What the list does not know it does not judge."""
    fetch(empty_database.dsn, "CREATE TABLE deployments (id integer, name text, status text)")
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, "INSERT INTO deployments VALUES (1, 'a', 'running')")
    for status in ("asleep", "pending"):
        fetch(empty_database.dsn, f"UPDATE deployments SET status = '{status}'")

    assert fetch(empty_database.dsn, "SELECT status FROM deployments") == ["pending"]


def test_a_table_that_cannot_be_ours_is_told(empty_database: Database) -> None:
    """With the column that it lacks."""
    from stability.errors import DatabaseError  # noqa: PLC0415

    fetch(empty_database.dsn, "CREATE TABLE deployments (id integer, name text)")
    with pytest.raises(DatabaseError, match="has no column status"):
        migrate(empty_database.dsn)
