"""The badge never lies: every known race with real transactions, seen by a client of the real server.

Each runs twice: with every periodic re-read switched off, so that only hints lead to the truth; and without any hint,
so that only the periodic re-read does.
"""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import psycopg
import pytest

from stability.app import create_app
from stability.settings import load
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import WATCHED_TABLES, Database
from tests.fixtures.server import hosting

BOUND = 1.0  # seconds from the commit to the truth
REREAD = 0.3  # seconds
ROUNDS = 200
WORKERS = 4

_ANY_ACTIVE = """
    SELECT id FROM worker.tasks WHERE state IN ('pending', 'processing')
     ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED
"""

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass
class Scene:
    """A server, a client that watches it, and a way to write."""

    url: str
    client: Follower
    database: Database
    passed: list[bool] = field(default_factory=lambda: [True])

    def writer(self) -> Connection:
        """A connection of an application that has no right on our schema."""
        return psycopg.connect(self.database.writer_dsn, autocommit=True)

    def truth(self) -> bool:
        """What the database says."""
        with psycopg.connect(self.database.server_dsn, autocommit=True) as connection:
            row = connection.execute("SELECT public.is_system_stable()").fetchone()
        assert row is not None
        return bool(row[0])

    def passes(self, stable: bool) -> None:
        """The database and the client agree on `stable` within the bound."""
        assert self.truth() is stable
        self.client.wait_for_stable(stable, BOUND)
        if self.passed[-1] is not stable:
            self.passed.append(stable)

    def expect(self, stable: bool) -> None:
        """The same, and they go on agreeing; nothing but what passed was ever told."""
        self.passes(stable)
        known = httpx.get(f"{self.url}/api/system-status").json()
        assert known["stable"] is stable
        later = httpx.get(f"{self.url}/api/system-status", params={"since": known["version"], "wait": 1}, timeout=5)
        assert later.status_code == httpx.codes.NOT_MODIFIED or later.json()["stable"] is stable
        assert self.client.stable is stable
        assert [told for told in self.client.messages if told is not None] == self.passed


@pytest.fixture(params=["hints alone", "re-reads alone"])
def scene(request: pytest.FixtureRequest, database: Database) -> Iterator[Scene]:
    """A server that learns of changes in one way only."""
    hints = request.param == "hints alone"
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO worker.command_registry (command, queue)"
            " VALUES ('derive', 'analytics'), ('clean', 'maintenance')"
        )
        if not hints:
            for table in WATCHED_TABLES.split(", "):
                owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
    settings = load(reread_seconds=0 if hints else REREAD, canary_seconds=0)
    with (
        hosting(create_app(settings, conninfo=database.server_dsn)) as url,
        Follower(f"{url}/api/system-status/live") as client,
    ):
        client.wait_for_stable(True)
        yield Scene(url, client, database)


def add(connection: Connection, command: str = "derive", state: str = "pending") -> int:
    row = connection.execute(
        "INSERT INTO worker.tasks (command, state) VALUES (%s, %s) RETURNING id", (command, state)
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def finish(connection: Connection, task: int) -> None:
    connection.execute("UPDATE worker.tasks SET state = 'completed' WHERE id = %s", (task,))


def test_write_skew(scene: Scene) -> None:
    """Two transactions finish the last two tasks, each seeing the other's as active: the truth is stable."""
    with scene.writer() as first, scene.writer() as second:
        tasks = add(first), add(first)
        scene.passes(False)
        with first.transaction(), second.transaction():
            finish(first, tasks[0])
            finish(second, tasks[1])
    scene.expect(True)


def test_commit_inversion(scene: Scene) -> None:
    """A finisher has done the last task, an enqueuer commits first: the truth is not stable."""
    with scene.writer() as finisher, scene.writer() as enqueuer:
        last = add(finisher)
        scene.passes(False)
        with finisher.transaction():
            finish(finisher, last)
            add(enqueuer)
        scene.expect(False)


def test_delete(scene: Scene) -> None:
    """An active task that is deleted is work no more."""
    with scene.writer() as writer:
        task = add(writer)
        scene.passes(False)
        writer.execute("DELETE FROM worker.tasks WHERE id = %s", (task,))
    scene.expect(True)


@pytest.mark.parametrize("table", ["worker.tasks", "public.import_job"])
def test_truncate(scene: Scene, table: str) -> None:
    """TRUNCATE fires no row trigger and changes the answer all the same."""
    with scene.writer() as writer:
        if table == "worker.tasks":
            add(writer)
        else:
            writer.execute("INSERT INTO public.import_job (slug, state) VALUES ('people', 'importing_data')")
        scene.passes(False)
        writer.execute(f"TRUNCATE {table}".encode())
    scene.expect(True)


def test_a_command_moves_to_another_queue(scene: Scene) -> None:
    """The answer changes though no task was touched, in both directions."""
    with scene.writer() as writer:
        add(writer, command="clean")
        scene.expect(True)
        writer.execute("UPDATE worker.command_registry SET queue = 'analytics' WHERE command = 'clean'")
        scene.passes(False)
        writer.execute("UPDATE worker.command_registry SET queue = 'maintenance' WHERE command = 'clean'")
    scene.expect(True)


def test_a_rolled_back_change_was_never_there(scene: Scene) -> None:
    """What no transaction committed no client ever saw."""
    with scene.writer() as writer:
        with writer.transaction(force_rollback=True):
            add(writer)
        scene.expect(True)
        with writer.transaction():
            task = add(writer)
            with writer.transaction(force_rollback=True):
                finish(writer, task)
        scene.expect(False)
        assert scene.client.messages[-2:] == [True, False]


@pytest.mark.parametrize("state", ["a_state_of_next_year", None])
def test_what_nobody_knows_is_work(scene: Scene, state: str | None) -> None:
    """A new state and NULL count as active until somebody says that they are settled."""
    with psycopg.connect(scene.database.dsn, autocommit=True) as owner:
        owner.execute("ALTER TABLE public.import_job ALTER state DROP NOT NULL")  # as adopted tables may have it
    with scene.writer() as writer:
        row = writer.execute(
            "INSERT INTO public.import_job (slug, state) VALUES ('x', %s) RETURNING id", (state,)
        ).fetchone()
        scene.passes(False)
        assert row is not None
        writer.execute("UPDATE public.import_job SET state = 'failed' WHERE id = %s", row)
    scene.expect(True)


def test_a_task_comes_due_without_any_write(scene: Scene) -> None:
    """A deferred task is no work until its time, and is from then on, by the database's clock."""
    with scene.writer() as writer:
        writer.execute(
            "INSERT INTO worker.tasks (command, state, scheduled_at)"
            " VALUES ('derive', 'pending', clock_timestamp() + interval '2 seconds')"
        )
        assert scene.truth()
        scene.client.wait_for_stable(False, 2 + BOUND)
        assert not scene.truth()


def test_a_change_while_the_listener_is_away(scene: Scene) -> None:
    """The listener is killed and a task is committed at that moment: unknown meanwhile, and then the truth."""
    with scene.writer() as writer, psycopg.connect(scene.database.dsn, autocommit=True) as owner:
        before = len(scene.client.messages)
        killed = owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'stability listener'"
        ).fetchall()
        assert killed == [(True,)]
        add(writer)
        scene.client.wait_for_stable(False, BOUND)
        assert scene.client.messages[before:] in ([None, False], [False])
    scene.expect(False)


def test_random_rounds_of_overlapping_workers(scene: Scene) -> None:
    """Four workers with overlapping transactions, 200 rounds with hints, 20 without: each ends on the truth."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    rounds = ROUNDS if scene_has_hints(scene) else ROUNDS // 10
    right = 0
    with scene.writer() as owner:
        for _ in range(rounds):
            _play(scene, [random.Random(chance.random()) for _ in range(WORKERS)])
            scene.client.wait_for_stable(scene.truth(), BOUND)
            right += 1
            if chance.random() < 0.3:
                owner.execute("UPDATE worker.tasks SET state = 'completed' WHERE state <> 'completed'")
    print(f"\n{right} of {rounds} rounds ended with the right badge (seed {seed})")
    assert right == rounds


def scene_has_hints(scene: Scene) -> bool:
    with psycopg.connect(scene.database.dsn) as owner:
        row = owner.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'worker.tasks'::regclass AND tgenabled = 'A'"
        ).fetchone()
    return row is not None and bool(row[0])


def _play(scene: Scene, chances: list[random.Random]) -> None:
    """All workers start together; each runs a few transactions that add, finish, delete or roll back."""
    start = threading.Barrier(len(chances))
    threads = [threading.Thread(target=_work, args=(scene, start, chance)) for chance in chances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _work(scene: Scene, start: threading.Barrier, chance: random.Random) -> None:
    actions: list[Callable[[Connection], object]] = [
        add,
        lambda connection: add(connection, state="processing"),
        lambda connection: _settle_one(connection, "UPDATE worker.tasks SET state = 'completed' WHERE id = (%s)"),
        lambda connection: _settle_one(connection, "UPDATE worker.tasks SET state = 'failed' WHERE id = (%s)"),
        lambda connection: _settle_one(connection, "DELETE FROM worker.tasks WHERE id = (%s)"),
    ]
    with scene.writer() as connection:
        start.wait()
        for _ in range(chance.randint(1, 3)):
            with connection.transaction(force_rollback=chance.random() < 0.2):
                for _ in range(chance.randint(1, 3)):
                    chance.choice(actions)(connection)


def _settle_one(connection: Connection, statement: str) -> None:
    connection.execute((statement % _ANY_ACTIVE).encode())
