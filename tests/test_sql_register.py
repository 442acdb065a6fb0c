"""The register: hints only while it is armed, compared before it is closed, and a fence that nobody slips through."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.fixtures.postgres import Database, fetch

Connection = psycopg.Connection[tuple[object, ...]]


def arm(connection: Connection, relied_on: int | None = 0, lease: str = "60 s") -> tuple[int, int | None]:
    """The register's value and the fence."""
    row = connection.execute("SELECT armed_until, fence::text::bigint FROM stability.arm(%s, %s)", (relied_on, lease))
    value, fence = row.fetchone() or (0, None)
    assert isinstance(value, int)
    assert fence is None or isinstance(fence, int)
    return value, fence


def value(connection: Connection) -> object:
    """The register while triggers notify, else 0."""
    return (connection.execute("SELECT stability.armed()").fetchone() or (None,))[0]


def xmin(connection: Connection) -> int:
    """Every transaction below it is over."""
    row = connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()
    assert row is not None
    return int(str(row[0]))


@pytest.fixture
def server(database: Database) -> Iterator[Connection]:
    """A server's connection, which listens as well."""
    with psycopg.connect(database.server_dsn, autocommit=True) as connection:
        connection.execute("LISTEN system_stability")
        yield connection


@pytest.fixture
def writer(database: Database) -> Iterator[Connection]:
    """An application's connection that is in a transaction once it did something."""
    with psycopg.connect(database.writer_dsn) as connection:
        yield connection


INSERT = b"INSERT INTO public.import_job (slug, state) VALUES ('a', 'approved')"


def burn(database: Database) -> None:
    """Let a later transaction end: a snapshot's xmin never passes the newest one that is over."""
    fetch(database.dsn, "SELECT pg_current_xact_id()")


def hints(server: Connection) -> list[str]:
    """What was heard until now."""
    server.execute("SELECT pg_notify('system_stability', 'mark')")
    heard: list[str] = []
    for notification in server.notifies(timeout=5):
        if notification.payload == "mark":
            return heard
        heard.append(notification.payload)
    raise AssertionError("the mark never came")


def test_closed_it_is_silent(server: Connection, writer: Connection) -> None:
    """A fresh register is closed, and so is one that was disarmed."""
    assert value(server) == 0
    writer.execute(INSERT)
    writer.commit()
    armed, _ = arm(server)
    assert server.execute("SELECT stability.disarm(%s)", ([armed],)).fetchone() == (True,)
    writer.execute(INSERT)
    writer.commit()
    assert hints(server) == []


def test_armed_it_says_look_with_its_value(server: Connection, writer: Connection) -> None:
    """Every transaction that changes rows sends one hint."""
    armed, _ = arm(server)
    assert value(server) == armed
    for _ in range(2):
        writer.execute(INSERT)
        writer.execute(INSERT)
        writer.commit()
    assert hints(server) == [f'{{"look":{armed}}}'] * 2


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_writer_in_an_old_snapshot_sees_it_as_it_is(server: Connection, writer: Connection, isolation: str) -> None:
    """The register is no row: whoever began before it was armed or disarmed still finds what holds now."""
    writer.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}".encode())
    writer.execute("SELECT count(*) FROM public.import_job")
    armed, _ = arm(server)
    writer.execute(INSERT)
    writer.commit()
    assert hints(server) == [f'{{"look":{armed}}}']


def test_who_found_it_closed_holds_the_fence_back(server: Connection, writer: Connection, database: Database) -> None:
    """Silent and not committed when it is armed: xmin does not pass the fence before his rows are seen."""
    writer.execute(INSERT)
    _, fence = arm(server)
    assert fence is not None
    assert xmin(server) <= fence
    writer.commit()
    burn(database)
    assert xmin(server) > fence
    assert server.execute("SELECT public.is_system_stable()").fetchone() == (False,)
    assert hints(server) == []


def test_a_savepoint_counts_as_its_transaction(server: Connection, writer: Connection, database: Database) -> None:
    """A silent change within a savepoint holds the fence back until the whole transaction is over."""
    with writer.transaction():
        with writer.transaction():
            writer.execute(INSERT)
        _, fence = arm(server)
        assert fence is not None
        assert xmin(server) <= fence
    burn(database)
    assert xmin(server) > fence


def test_it_is_closed_by_the_value_of_the_hint_alone(server: Connection) -> None:
    """What another server armed meanwhile stays."""
    armed, _ = arm(server)
    server.execute("SELECT stability.disarm(%s)", ([armed],))
    again, _ = arm(server)
    assert again != armed
    assert server.execute("SELECT stability.disarm(%s)", ([armed],)).fetchone() == (False,)
    assert server.execute("SELECT stability.disarm('{0}')").fetchone() == (False,)
    assert value(server) == again
    assert server.execute("SELECT stability.disarm(%s)", ([armed, again],)).fetchone() == (True,)
    assert value(server) == 0


def test_the_first_arming_since_one_listens_sets_a_value_of_its_own(server: Connection, database: Database) -> None:
    """A hint that carries the value before may be under way to others alone."""
    armed, _ = arm(server)
    with psycopg.connect(database.server_dsn, autocommit=True) as other:
        fresh, fence = arm(other, None)
    assert fresh > armed
    assert fence is not None


def test_a_second_server_takes_a_fence_of_its_own(server: Connection, database: Database) -> None:
    """The register is open already and keeps its value."""
    armed, fence = arm(server)
    with psycopg.connect(database.server_dsn, autocommit=True) as other:
        same, later = arm(other)
    assert same == armed
    assert fence is not None
    assert later is not None
    assert later > fence


def test_prolonging_needs_no_new_fence_unless_somebody_closed_it(server: Connection) -> None:
    """Relied on and open, the lease grows; relied on and closed in between, it is armed anew with a fence."""
    armed, _ = arm(server, lease="1 s")
    prolonged, fence = arm(server, armed)
    assert prolonged > armed
    assert fence is None
    server.execute("SELECT stability.disarm(%s)", ([prolonged],))
    _, fence = arm(server, prolonged)
    assert fence is not None


def test_a_lease_that_ran_out_is_silent_and_not_prolonged(server: Connection, writer: Connection) -> None:
    """By the database's clock, whoever relied on it needs a new fence."""
    armed, _ = arm(server, lease="1 ms")
    server.execute("SELECT pg_sleep(0.01)")
    assert value(server) == 0
    writer.execute(INSERT)
    writer.commit()
    assert hints(server) == []
    _, fence = arm(server, armed)
    assert fence is not None


def test_a_fence_is_the_first_thing_of_its_transaction(server: Connection) -> None:
    """A transaction that has an id already would take that one, which is too low."""
    with server.transaction():
        server.execute("SELECT pg_current_xact_id()")
        with pytest.raises(psycopg.errors.RaiseException, match="first statement of its transaction"):
            arm(server)


def test_only_servers_may_change_it(database: Database) -> None:
    """A writer may read it and nothing else."""
    for statement in (
        "SELECT stability.arm(0, '60 s')",
        "SELECT stability.disarm('{1}')",
        "SELECT setval('stability.armed_until', 1)",
        "SELECT nextval('stability.armed_until')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            fetch(database.writer_dsn, statement)
