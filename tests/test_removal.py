"""Uninstalling beside writers who hold our register, but none of the tables: they took a step back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from stability.errors import DatabaseError
from stability.schema import removal
from stability.schema.migration import migrate, uninstall
from tests.fixtures.catalogue import contents
from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import Database, fetch

WRITE = "INSERT INTO public.import_job (slug, state) VALUES ('a', 'finished')"
TRIGGERS = "SELECT count(*) FROM pg_trigger t WHERE stability.is_ours(t.oid, 'pg_trigger')"


@contextmanager
def stepped_back(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that wrote and took that back: its table is free again, the register that a trigger read is not."""
    with psycopg.connect(dsn, application_name="import") as writer:
        step_back(writer)
        yield writer


def step_back(writer: psycopg.Connection[Any]) -> None:
    """Write, and take it back."""
    writer.execute("SAVEPOINT before")
    writer.execute(WRITE)
    writer.execute("ROLLBACK TO before")


class Removal(threading.Thread):
    """An uninstallation, what it told, and what it failed with."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self.dsn = dsn
        self.told: list[str] = []
        self.failures: list[DatabaseError] = []

    def run(self) -> None:
        try:
            uninstall(self.dsn, tell=self.told.append)
        except DatabaseError as error:
            self.failures.append(error)

    def waits(self) -> bool:
        """Whether it came to wait for somebody, or to its end."""
        return bool(self.told) or not self.is_alive()


def test_a_writer_who_stepped_back_is_waited_for(empty_database: Database) -> None:
    """He goes on writing as long as he likes and does not fail; nothing of ours is left afterwards."""
    before = contents(empty_database.dsn)
    migrate(empty_database.dsn)
    leaving = Removal(empty_database.dsn)
    with stepped_back(empty_database.dsn) as writer:
        leaving.start()
        while not leaving.waits():
            step_back(writer)
        assert "pid" in leaving.told[0]
        step_back(writer)
        assert leaving.is_alive()
    leaving.join()

    assert leaving.failures == []
    assert contents(empty_database.dsn) == before


def test_one_who_stays_is_told(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what he is; the triggers are gone by then, and once he is as well, the same command removes the rest."""
    monkeypatch.setattr(removal, "PATIENCE", 0.3)
    before = contents(empty_database.dsn)
    migrate(empty_database.dsn)
    with stepped_back(empty_database.dsn) as writer:
        telling = rf"is in use.*pid {writer.info.backend_pid} \(import, postgres, idle in trans"
        with pytest.raises(DatabaseError, match=telling):
            uninstall(empty_database.dsn)
        assert fetch(empty_database.dsn, TRIGGERS) == [0]
        assert fetch(empty_database.dsn, "SELECT is_system_stable()") == [True]
    uninstall(empty_database.dsn)

    assert contents(empty_database.dsn) == before


def test_a_removal_that_was_cut_off_is_run_again(empty_database: Database) -> None:
    """Or taken back by a migration."""
    before = contents(empty_database.dsn)
    migrate(empty_database.dsn)
    for finish in (migrate, uninstall):
        leaving = Removal(empty_database.dsn)
        with stepped_back(empty_database.dsn):
            leaving.start()
            eventually(leaving.waits)
            fetch(
                empty_database.dsn,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'stability migrate' AND datname = current_database()",
            )
            leaving.join()
            assert len(leaving.failures) == 1
        finish(empty_database.dsn)
        if finish is migrate:
            assert fetch(empty_database.dsn, "SELECT * FROM stability.problems()") == []

    assert contents(empty_database.dsn) == before


FOREIGN = {
    "a view of the badge": (
        "CREATE VIEW board AS SELECT is_system_stable() AS green",
        r"view (public\.)?board depends on function",
    ),
    "a view of the register": (
        "CREATE VIEW board AS SELECT last_value FROM stability.armed_until",
        r"view (public\.)?board depends on sequence stability.armed_until",
    ),
    "a table in the schema": (
        "CREATE TABLE stability.board (green boolean)",
        "table stability.board depends on schema stability",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_somebody_builds_on_is_found_first(empty_database: Database, what: str) -> None:
    """Even where somebody holds the register: it is named, and nothing is dropped, no trigger either."""
    statement, sentence = FOREIGN[what]
    migrate(empty_database.dsn)
    fetch(empty_database.dsn, statement)
    before = contents(empty_database.dsn)
    with stepped_back(empty_database.dsn), pytest.raises(DatabaseError, match=sentence):
        uninstall(empty_database.dsn)

    assert contents(empty_database.dsn) == before
