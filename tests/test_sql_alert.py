"""The outbox: an alert per occurrence, in the transaction of the change, and never at the writer's expense."""

from collections.abc import Iterator

import psycopg
import pytest

from stability.schema.migration import migrate, uninstall
from tests.fixtures.catalogue import contents
from tests.fixtures.postgres import Database, fetch

Connection = psycopg.Connection[tuple[object, ...]]

ALERT = "SELECT stability.alert('execution_failed', '7', 'Execution 7 failed', '2026-01-01Z')"
TOLD = "SELECT kind, subject, fact, since = '2026-01-01Z', link FROM stability.outbox ORDER BY id"
HINTS_WANTED = (
    "SELECT setval('stability.alerts_awaited', (date_part('epoch', clock_timestamp()) * 1e6)::bigint + 60000000)"
)


@pytest.fixture
def owner(database: Database) -> Iterator[Connection]:
    """A connection of the owner, in a transaction once it did something."""
    with psycopg.connect(database.dsn) as connection:
        yield connection


@pytest.fixture
def listener(database: Database) -> Iterator[Connection]:
    """A server's connection that hears of changes."""
    with psycopg.connect(database.server_dsn, autocommit=True) as connection:
        connection.execute("LISTEN stability_change")
        yield connection


def heard(listener: Connection) -> list[str]:
    """The hints until now."""
    listener.execute("SELECT pg_notify('stability_change', 'mark')")
    payloads: list[str] = []
    for notification in listener.notifies(timeout=5):
        if notification.payload == "mark":
            return payloads
        payloads.append(notification.payload)
    raise AssertionError("the mark never came")


def test_an_alert_is_a_row(database: Database) -> None:
    """With the fact, since when, and the link if there is one; the server's role may write it as well."""
    fetch(database.dsn, ALERT)
    fetch(database.server_dsn, "SELECT stability.alert('system_stuck', 'a', 'stuck', '2026-01-01Z', 'https://x/')")

    assert fetch(database.server_dsn, TOLD) == [
        ("execution_failed", "7", "Execution 7 failed", True, None),
        ("system_stuck", "a", "stuck", True, "https://x/"),
    ]


def test_each_occurrence_is_told_once(database: Database) -> None:
    """The same subject since the same moment is the same; since another moment it is news."""
    fetch(database.dsn, ALERT)
    fetch(database.dsn, ALERT.replace("failed'", "failed again'", 1))
    fetch(database.dsn, ALERT)
    fetch(database.dsn, ALERT.replace("2026-01-01Z", "2026-01-02Z"))

    assert fetch(database.dsn, "SELECT count(*) FROM stability.outbox WHERE kind = 'execution_failed'") == [2]


def test_what_is_rolled_back_alerts_nobody(database: Database, owner: Connection) -> None:
    """The row is part of the change."""
    owner.execute(ALERT.encode())
    owner.rollback()

    assert fetch(database.dsn, TOLD) == []


@pytest.mark.parametrize(
    "break_it",
    [
        "DROP TABLE stability.outbox CASCADE",
        "ALTER TABLE stability.outbox DROP COLUMN fact",
        "ALTER TABLE stability.outbox DROP CONSTRAINT outbox_tells_an_occurrence_once",
        "ALTER TABLE stability.outbox ADD CONSTRAINT nothing CHECK (false)",
        "SET TRANSACTION READ ONLY",
    ],
)
def test_it_never_fails_the_writer(owner: Connection, break_it: str) -> None:
    """Whatever of ours is missing or forbidden, his transaction goes on."""
    owner.execute(break_it.encode())
    owner.execute(ALERT.encode())

    assert owner.execute("SELECT 1").fetchone() == (1,)


def test_without_the_register_the_row_is_there(database: Database) -> None:
    """Who looks each 30 s finds it."""
    fetch(database.dsn, "DROP SEQUENCE stability.alerts_awaited")
    fetch(database.dsn, ALERT)

    assert len(fetch(database.dsn, TOLD)) == 1


def test_what_it_is_told_may_be_anything(database: Database) -> None:
    """Nothing at all, or too much for an index: the alert is kept, cut to what fits."""
    fetch(database.dsn, "SELECT stability.alert(NULL, NULL, NULL, NULL)")
    fetch(database.dsn, "SELECT stability.alert(r, r, r, now(), r) FROM repeat('ö', 100000) AS r")

    assert fetch(database.dsn, "SELECT length(subject), length(fact) FROM stability.outbox ORDER BY id") == [
        (0, 0),
        (400, 2000),
    ]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_two_at_once_tell_it_once(database: Database, owner: Connection, isolation: str) -> None:
    """Whoever comes second is delayed by half a second at most, and commits, at every isolation level."""
    owner.execute(ALERT.encode())
    with psycopg.connect(database.dsn) as second:
        second.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}".encode())
        second.execute(b"INSERT INTO public.import_job (slug, state) VALUES ('a', 'approved')")
        second.execute(ALERT.encode())
        second.commit()
    owner.commit()

    assert len(fetch(database.dsn, TOLD)) == 1
    assert fetch(database.dsn, "SELECT slug FROM public.import_job") == ["a"]


def test_a_snapshot_from_before_is_no_obstacle(database: Database, owner: Connection) -> None:
    """Who cannot see that somebody told it has told it all the same."""
    owner.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    owner.execute("SELECT count(*) FROM stability.outbox")
    fetch(database.dsn, ALERT)
    owner.execute(ALERT.encode())
    owner.commit()

    assert len(fetch(database.dsn, TOLD)) == 1


def test_the_sender_is_told_only_while_it_waits(database: Database, listener: Connection) -> None:
    """One hint per transaction while it does, none before or after, and none for what was told already."""
    fetch(database.dsn, ALERT)
    assert heard(listener) == []

    fetch(database.server_dsn, HINTS_WANTED)
    fetch(database.dsn, ALERT)
    assert heard(listener) == []
    fetch(database.dsn, "SELECT stability.alert('a', n::text, 'b', now()) FROM generate_series(1, 3) AS n")
    assert heard(listener) == ['{"topic":"alerts","ids":"all"}']

    fetch(database.server_dsn, "SELECT setval('stability.alerts_awaited', 0)")
    fetch(database.dsn, "SELECT stability.alert('a', '4', 'b', now())")
    assert heard(listener) == []


@pytest.mark.parametrize("query", [ALERT, "SELECT * FROM stability.outbox", "SELECT * FROM stability.delivery"])
def test_nobody_else_may_alert_or_read_alerts(database: Database, query: str) -> None:
    """A writer's changes alert through functions of the owner's."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        fetch(database.writer_dsn, query)


def test_uninstalling_takes_them(empty_database: Database) -> None:
    """Alerts and deliveries go with the rest."""
    before = contents(empty_database.dsn)
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, ALERT)
    fetch(empty_database.dsn, "INSERT INTO stability.delivery SELECT id, 'x', 1, now() FROM stability.outbox")
    uninstall(empty_database.dsn)

    assert contents(empty_database.dsn) == before
