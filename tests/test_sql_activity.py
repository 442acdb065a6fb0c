"""What counts as work: the answer of read_activity() and is_system_stable() for every state, queue and hour."""

import json
from typing import Any

import psycopg
import pytest

from tests.fixtures.postgres import Database, fetch

JOBS_SETTLED = ["finished", "rejected", "failed", "waiting_for_review", "waiting_for_upload"]
JOBS_ACTIVE = ["upload_completed", "preparing_data", "analysing_data", "approved", "importing_data", "processing_data"]
TASKS_SETTLED = ["completed", "failed", "interrupted"]
TASKS_ACTIVE = ["pending", "processing", "waiting"]


@pytest.fixture
def owner(database: Database) -> str:
    """The owner's connection string, with two queues to put tasks into."""
    fetch(database.dsn, "INSERT INTO worker.command_registry VALUES ('count', 'analytics'), ('sweep', 'maintenance')")
    return database.dsn


def activity(dsn: str) -> dict[str, Any]:
    """Each source's answer, by its name."""
    rows = fetch(dsn, "SELECT source, active, count, more, next_due, error FROM stability.read_activity()")
    return {
        name: dict(zip(("active", "count", "more", "next_due", "error"), rest, strict=True)) for name, *rest in rows
    }


def stable(dsn: str) -> bool | None:
    """The badge."""
    answer: list[bool | None] = fetch(dsn, "SELECT public.is_system_stable()")
    return answer[0]


def add_job(dsn: str, state: str | None) -> None:
    fetch(dsn, "INSERT INTO import_job (slug, state) VALUES ('a', %s)", state)


def add_task(dsn: str, state: str | None, *, command: str = "count", due: str | None = None) -> None:
    fetch(
        dsn,
        "INSERT INTO worker.tasks (command, state, scheduled_at) VALUES (%s, %s, now() + %s::interval)",
        command,
        state,
        due,
    )


def test_an_empty_system_is_stable(database: Database) -> None:
    """No rows, no work; the server's role may read it."""
    idle = {"active": False, "count": 0, "more": False, "next_due": None, "error": None}

    assert activity(database.server_dsn) == {"import_job": idle, "analytics_tasks": idle}
    assert stable(database.server_dsn) is True


@pytest.mark.parametrize("state", JOBS_SETTLED)
def test_a_settled_job_is_no_work(database: Database, owner: str, state: str) -> None:
    """A failed job in particular does not keep the system busy for ever."""
    add_job(owner, state)

    assert stable(database.server_dsn) is True


@pytest.mark.parametrize("state", [*JOBS_ACTIVE, "a_state_of_tomorrow"])
def test_any_other_job_is_work(database: Database, owner: str, state: str) -> None:
    """Also in a state that nobody has heard of."""
    add_job(owner, state)

    assert stable(database.server_dsn) is False
    assert activity(database.server_dsn)["import_job"]["count"] == 1


@pytest.mark.parametrize("state", TASKS_SETTLED)
def test_a_settled_task_is_no_work(database: Database, owner: str, state: str) -> None:
    """Done, failed or interrupted: nothing is left to do."""
    add_task(owner, state)

    assert stable(database.server_dsn) is True


@pytest.mark.parametrize("state", [*TASKS_ACTIVE, "a_state_of_tomorrow"])
def test_any_other_analytics_task_is_work(database: Database, owner: str, state: str) -> None:
    """Also in a state that nobody has heard of."""
    add_task(owner, state)

    assert stable(database.server_dsn) is False
    assert activity(database.server_dsn)["analytics_tasks"]["count"] == 1


@pytest.mark.parametrize("table", ["import_job", "worker.tasks"])
def test_a_row_without_a_state_is_work(database: Database, owner: str, table: str) -> None:
    """Only what is known to be settled is settled."""
    fetch(owner, f"ALTER TABLE {table} ALTER state DROP NOT NULL")
    add_job(owner, None) if table == "import_job" else add_task(owner, None)

    assert stable(database.server_dsn) is False


def test_other_queues_never_count(database: Database, owner: str) -> None:
    """An always-pending housekeeping task does not hold the badge, until its command moves to analytics."""
    add_task(owner, "pending", command="sweep")
    assert stable(database.server_dsn) is True

    fetch(owner, "UPDATE worker.command_registry SET queue = 'analytics' WHERE command = 'sweep'")
    assert stable(database.server_dsn) is False


@pytest.mark.parametrize("state", ["pending", "waiting"])
def test_a_later_task_waits_for_its_hour(database: Database, owner: str, state: str) -> None:
    """It is no work yet, and the answer says in how many seconds it will be."""
    add_task(owner, state, due="1 hour")

    answer = activity(database.server_dsn)["analytics_tasks"]
    assert stable(database.server_dsn) is True
    assert answer["active"] is False
    assert 3590 < answer["next_due"] <= 3600


@pytest.mark.parametrize("state", ["processing", "a_state_of_tomorrow"])
def test_only_pending_and_waiting_tasks_can_be_deferred(database: Database, owner: str, state: str) -> None:
    """A running task is work whatever its hour."""
    add_task(owner, state, due="1 hour")

    answer = activity(database.server_dsn)["analytics_tasks"]
    assert (answer["active"], answer["next_due"]) == (True, None)
    assert stable(database.server_dsn) is False


def test_a_task_without_a_state_is_not_deferred(database: Database, owner: str) -> None:
    """NULL is neither pending nor waiting."""
    fetch(owner, "ALTER TABLE worker.tasks ALTER state DROP NOT NULL")
    add_task(owner, None, due="1 hour")

    assert stable(database.server_dsn) is False


def test_a_task_that_comes_due_is_work_without_a_write(database: Database, owner: str) -> None:
    """The clock alone changes the answer, just when `next_due` says so."""
    add_task(owner, "pending", due="0.3 seconds")
    with psycopg.connect(database.server_dsn, autocommit=True) as connection:
        before = connection.execute("SELECT is_system_stable()").fetchone()
        connection.execute("SELECT pg_sleep(max(next_due)) FROM stability.read_activity()")
        after = connection.execute("SELECT is_system_stable()").fetchone()

    assert (before, after) == ((True,), (False,))


def test_next_due_is_the_earliest_of_the_analytics_tasks(database: Database, owner: str) -> None:
    """Settled tasks, other queues and tasks that never come due do not count."""
    for due in ("3 hours", "2 hours"):
        add_task(owner, "pending", due=due)
    add_task(owner, "completed", due="1 minute")
    add_task(owner, "pending", due="1 minute", command="sweep")
    fetch(owner, "INSERT INTO worker.tasks (command, state, scheduled_at) VALUES ('count', 'pending', 'infinity')")

    answer = activity(database.server_dsn)["analytics_tasks"]
    assert (answer["active"], round(answer["next_due"] / 60)) == (False, 120)


def test_counts_are_exact_up_to_a_thousand(database: Database, owner: str) -> None:
    """Beyond it the count stays at 1,000 and says that there are more."""
    fetch(owner, "INSERT INTO import_job (slug, state) SELECT i, 'approved' FROM generate_series(1, 1000) i")
    exact = activity(database.server_dsn)["import_job"]
    add_job(owner, "approved")
    beyond = activity(database.server_dsn)["import_job"]

    assert (exact["count"], exact["more"]) == (1000, False)
    assert (beyond["count"], beyond["more"]) == (1000, True)


BREAKAGES = {
    "table dropped": ("DROP TABLE import_job", "does not exist"),
    "column dropped": ("ALTER TABLE import_job DROP COLUMN state", "state"),
    "table moved": ("ALTER TABLE import_job SET SCHEMA worker", "does not exist"),
    "column renamed": ("ALTER TABLE import_job RENAME state TO phase", "state"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_the_host_may_change_its_tables_at_any_time(database: Database, owner: str, breakage: str) -> None:
    """Its command succeeds; the source is unknown with the reason, and the others go on."""
    statement, reason = BREAKAGES[breakage]
    fetch(owner, statement)

    answers = activity(database.server_dsn)
    assert answers["import_job"]["active"] is None
    assert reason in answers["import_job"]["error"]
    assert answers["analytics_tasks"]["active"] is False
    assert stable(database.server_dsn) is None

    add_task(owner, "processing")
    assert stable(database.server_dsn) is False


def test_a_broken_source_heals_when_its_table_is_back(database: Database, owner: str) -> None:
    """Names are bound late, also by sessions that have read before."""
    with psycopg.connect(database.server_dsn, autocommit=True) as connection:
        answers = [connection.execute("SELECT is_system_stable()").fetchone()]
        for new, old in (("gone", "import_job"), ("import_job", "gone")):
            fetch(owner, f"ALTER TABLE {old} RENAME TO {new}")
            answers.append(connection.execute("SELECT is_system_stable()").fetchone())

    assert answers == [(True,), (None,), (True,)]


def test_both_answers_agree_within_one_snapshot(database: Database, owner: str) -> None:
    """What a transaction has not committed nobody else sees; its own snapshot shows both alike."""
    with psycopg.connect(owner) as writer:
        writer.execute("INSERT INTO import_job (slug, state) VALUES ('a', 'approved')")
        own = writer.execute("SELECT is_system_stable(), bool_or(active) FROM stability.read_activity()").fetchone()
        assert stable(database.server_dsn) is True

    assert own == (False, True)


def buffers(dsn: str, query: str) -> int:
    """How many pages a read touches, once its plans are cached as a server's are."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for _ in range(6):
            connection.execute(query.encode())
        explained = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {query}".encode()).fetchone()
        assert explained is not None
        plan = explained[0][0]["Plan"]
        return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.parametrize("query", ["SELECT is_system_stable()", "SELECT * FROM stability.read_activity()"])
def test_a_read_costs_the_same_however_many_rows_are_settled_or_none_of_its_business(owner: str, query: str) -> None:
    """500,000 pending maintenance tasks and 100,000 settled jobs and tasks are not touched, analysed or not."""
    few = buffers(owner, query)
    fetch(owner, "INSERT INTO worker.tasks (command, state) SELECT 'sweep', 'pending' FROM generate_series(1, 500000)")
    fetch(
        owner, "INSERT INTO worker.tasks (command, state) SELECT 'count', 'completed' FROM generate_series(1, 100000)"
    )
    fetch(owner, "INSERT INTO import_job (slug, state) SELECT i, 'failed' FROM generate_series(1, 100000) i")
    many = buffers(owner, query)
    fetch(owner, "VACUUM ANALYZE worker.tasks, import_job")
    analysed = buffers(owner, query)

    assert few <= 20
    assert many <= few + 10
    assert analysed <= few + 10


def test_a_read_costs_the_same_however_many_tasks_are_deferred(database: Database, owner: str) -> None:
    """100,000 tasks of next week neither hold the badge nor slow it down."""
    few = buffers(owner, "SELECT is_system_stable()")
    fetch(
        owner,
        "INSERT INTO worker.tasks (command, state, scheduled_at)"
        " SELECT 'count', 'pending', now() + '7 days' FROM generate_series(1, 100000)",
    )

    assert stable(database.server_dsn) is True
    assert buffers(owner, "SELECT is_system_stable()") <= few + 10


def test_the_hint_is_not_the_answer(database: Database) -> None:
    """Whatever a hint says, it parses as JSON and carries no state."""
    with psycopg.connect(database.server_dsn, autocommit=True) as listener:
        listener.execute("LISTEN system_stability; SELECT stability.arm(0, '60 s')")
        add_job(database.dsn, "approved")
        (hint,) = listener.notifies(timeout=5, stop_after=1)

    assert "stable" not in json.loads(hint.payload)
