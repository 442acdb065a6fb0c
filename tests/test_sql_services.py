"""What is written of services, and what is added up of it: at moments that a test chooses."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import Database, fetch

MINUTE = timedelta(minutes=1)
PATIENCE = "3 minutes"
Told = dict[str, list[dict[str, Any]]]


@pytest.fixture
def noon() -> datetime:
    """The beginning of an hour, a few hours ago, so that slots of any length begin there."""
    return (datetime.now(UTC) - timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)


def service(identity: str = "web", status: str | None = "passing", node: str = "n1") -> dict[str, object]:
    """One as an observer tells it, with one check or none."""
    checks = [{"id": "c", "name": "ping", "status": status}] if status else []
    given = {"node": node, "id": identity, "name": identity, "address": "192.0.2.1", "port": 80}
    return {**given, "tags": [], "meta": {}, "checks": checks}


def record(
    database: Database,
    at: datetime,
    *told: dict[str, object],
    gone: Sequence[str] = (),
    whole: bool = False,
    by: str = "me",
    patience: str = PATIENCE,
) -> bool:
    """What an observer found then; whether it was written."""
    query = "SELECT stability.record_services(%s, %s, %s, %s, %s, %s)"
    (done,) = fetch(database.server_dsn, query, json.dumps(told), list(gone), whole, by, patience, at)
    return bool(done)


def sample(database: Database, at: datetime, by: str = "me", patience: str = PATIENCE) -> bool:
    """All is still so then; whether it was written."""
    (done,) = fetch(database.server_dsn, "SELECT stability.sample_services(%s, %s, %s)", by, patience, at)
    return bool(done)


def history(database: Database, minutes: int = 5) -> Told:
    """What is told of all services."""
    rows = fetch(database.server_dsn, "SELECT * FROM stability.service_history(%s, %s)", minutes, PATIENCE)
    return {key: json.loads(data) for key, data in rows}


def slot(database: Database, at: datetime, minutes: int = 5, key: str = "n1:web") -> tuple[float, ...]:
    """The slot that begins then: passing, warning, critical, unknown, samples."""
    said = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    (found,) = [each for each in history(database, minutes)[key] if each["timestamp"] == said]
    return tuple(found[name] for name in ("passing", "warning", "critical", "unknown", "samples"))


def test_a_status_weighs_as_long_as_it_lasted(database: Database, noon: datetime) -> None:
    """Not as often as it was seen, in slots of any length."""
    record(database, noon, service(), whole=True)
    sample(database, noon + MINUTE)
    record(database, noon + 1.5 * MINUTE, service(status="critical"))
    record(database, noon + 1.75 * MINUTE, service(status="warning"))
    for minute in range(2, 61):
        sample(database, noon + minute * MINUTE)

    assert slot(database, noon) == (30.0, 65.0, 5.0, 0, 7)
    assert slot(database, noon + 5 * MINUTE) == (0, 100.0, 0, 0, 5)
    assert slot(database, noon, 15) == (10.0, 88.3, 1.7, 0, 17)
    assert slot(database, noon, 60) == (2.5, 97.1, 0.4, 0, 62)


def test_slots_are_those_of_a_day_up_to_now(database: Database, noon: datetime) -> None:
    """288, 96, 48 or 24, aligned to UTC; those in which nobody looked are empty."""
    record(database, noon, service(), whole=True)
    sample(database, noon + MINUTE)
    for minutes, count in ((5, 288), (15, 96), (30, 48), (60, 24)):
        told = history(database, minutes)["n1:web"]
        starts = [datetime.fromisoformat(each["timestamp"]) for each in told]
        assert len(told) == count
        assert all(start.timestamp() % (60 * minutes) == 0 for start in starts)
        assert timedelta() <= datetime.now(UTC) - starts[-1] < minutes * MINUTE + MINUTE
    assert slot(database, noon + 10 * MINUTE) == (0, 0, 0, 0, 0)


def test_a_session_may_ask_as_often_as_it_likes(database: Database, noon: datetime) -> None:
    """Postgres plans a statement anew that was asked some times: the answers stay the same, of one and of all."""
    record(database, noon, service(), service("api"), whole=True)
    query = "SELECT count(*) FROM stability.service_history(5, '3 minutes', %s)"
    with psycopg.connect(database.server_dsn, autocommit=True) as session:
        for _ in range(12):
            counts = [session.execute(query, (key,)).fetchone() for key in (None, "n1:web")]
            assert counts == [(2,), (1,)]


def test_what_lies_between_two_samples_is_no_gap(database: Database, noon: datetime) -> None:
    """Where samples are rarer than slots those in between are known as well."""
    record(database, noon, service(), whole=True, patience="90 minutes")
    sample(database, noon + 30 * MINUTE, patience="90 minutes")
    record(database, noon + 51 * MINUTE, service(status="critical"), patience="90 minutes")

    assert [slot(database, noon + n * MINUTE) for n in (0, 5, 25, 30)] == [(100.0, 0, 0, 0, 1)] * 4
    assert slot(database, noon + 45 * MINUTE) == (100.0, 0, 0, 0, 1)
    assert slot(database, noon, 60)[4] == 3


def test_an_hour_without_consul_is_a_gap(database: Database, noon: datetime) -> None:
    """What nobody saw is unknown in the slots that were begun or ended by looking, and empty in between."""
    record(database, noon, service(), whole=True)
    sample(database, noon + MINUTE)
    fetch(database.server_dsn, "SELECT stability.lose_consul('me', 'refused', true)")
    record(database, noon + 62 * MINUTE, service(), whole=True, by="you")
    for minute in (63, 64, 65):
        sample(database, noon + minute * MINUTE, by="you")

    assert slot(database, noon) == (20.0, 0, 0, 80.0, 2)
    assert slot(database, noon + 30 * MINUTE) == (0, 0, 0, 0, 0)
    assert slot(database, noon + 60 * MINUTE) == (60.0, 0, 0, 40.0, 3)


def test_an_hour_without_any_server_is_a_gap(database: Database, noon: datetime) -> None:
    """Nobody could say that nobody looked."""
    record(database, noon, service(), whole=True)
    sample(database, noon + MINUTE)
    record(database, noon + 62 * MINUTE, service(), whole=True, by="you")

    assert slot(database, noon) == (20.0, 0, 0, 80.0, 2)
    assert slot(database, noon + 60 * MINUTE) == (0, 0, 0, 100.0, 1)


def test_a_short_restart_is_none(database: Database, noon: datetime) -> None:
    """Within three samples the next server goes on where the last one ended."""
    record(database, noon, service(), whole=True)
    record(database, noon + 2 * MINUTE, service(), whole=True, by="you")
    assert slot(database, noon) == (100.0, 0, 0, 0, 2)


def test_what_is_gone_is_gone(database: Database, noon: datetime) -> None:
    """It counts up to then, and again from its return; its slots in between are empty."""
    record(database, noon, service(), service("api"), whole=True)
    record(database, noon + 2 * MINUTE, gone=["n1:web"])
    for minute in range(3, 12):
        sample(database, noon + minute * MINUTE)
    record(database, noon + 12 * MINUTE, service(), service("api"))
    sample(database, noon + 13 * MINUTE)

    assert slot(database, noon) == (100.0, 0, 0, 0, 2)
    assert slot(database, noon + 5 * MINUTE) == (0, 0, 0, 0, 0)
    assert slot(database, noon + 10 * MINUTE) == (100.0, 0, 0, 0, 2)
    record(database, noon + 14 * MINUTE, service("api"), whole=True)
    assert fetch(database.dsn, "SELECT id FROM services WHERE status = 'gone'") == ["web"]


def test_what_stands_now_counts_until_now(database: Database) -> None:
    """The last slot is the present, without waiting for a sample; one never sampled has nothing."""
    now = datetime.now(UTC)
    record(database, now, service(status="warning"), whole=True)
    fetch(
        database.dsn,
        "INSERT INTO services (node, id, name, last_seen) VALUES ('n', 'x', 'x', now() - interval '1 day')",
    )
    told = history(database, 15)

    assert told["n1:web"][-1]["warning"] == 100.0
    assert told["n1:web"][-1]["samples"] == 1
    assert told["n:x"] == []


def test_a_service_without_checks_is_unknown(database: Database, noon: datetime) -> None:
    """It is looked at like any other."""
    record(database, noon, service(status=None), whole=True)
    sample(database, noon + 5 * MINUTE)
    assert slot(database, noon) == (0, 0, 0, 100.0, 1)


def test_rows_of_checks_are_changes_and_samples(database: Database, noon: datetime) -> None:
    """One for each check that is new or changed, and one for each at each sample."""
    record(database, noon, service(), service("api"), whole=True)
    record(database, noon + MINUTE, service(status="critical"))
    record(database, noon + MINUTE, {**service(status="critical"), "tags": ["new"]})
    sample(database, noon + 2 * MINUTE)
    rows = fetch(
        database.dsn,
        "SELECT s.id, h.check_name, h.status, h.timestamp FROM health_checks h JOIN services s ON s.number = h.service"
        " ORDER BY h.timestamp, s.id",
    )
    assert rows == [
        ("api", "ping", "passing", noon),
        ("web", "ping", "passing", noon),
        ("web", "ping", "critical", noon + MINUTE),
        ("api", "ping", "passing", noon + 2 * MINUTE),
        ("web", "ping", "critical", noon + 2 * MINUTE),
    ]


def test_one_observer_at_a_time(database: Database, noon: datetime) -> None:
    """One whose successor has begun writes nothing any more, until it has looked at everything again."""
    record(database, noon, service(), whole=True, by="old")
    record(database, noon + MINUTE, service(), whole=True, by="new")

    assert not record(database, noon + 2 * MINUTE, service(status="critical"), by="old")
    assert not sample(database, noon + 2 * MINUTE, by="old")
    assert fetch(database.dsn, "SELECT status FROM services") == ["passing"]
    assert record(database, noon + 3 * MINUTE, service(status="warning"), whole=True, by="old")


def test_a_clock_that_goes_back_takes_nothing_back(database: Database, noon: datetime) -> None:
    """Time stands until it has caught up."""
    record(database, noon + 10 * MINUTE, service(), whole=True)
    sample(database, noon + 8 * MINUTE)
    sample(database, noon + 12 * MINUTE)
    assert slot(database, noon + 10 * MINUTE) == (100.0, 0, 0, 0, 3)


def test_a_clock_that_goes_far_back_makes_nothing_look_fresh(database: Database, noon: datetime) -> None:
    """What was seen by the clock from before counts as seen now; time goes on from there."""
    record(database, noon + 60 * MINUTE, service(), whole=True)
    sample(database, noon)
    record(database, noon + MINUTE, service(status="critical"))
    seen = "SELECT s.last_seen, s.status_since, c.observed_at FROM services s, stability.consul c"
    assert fetch(database.dsn, seen) == [(noon + MINUTE,) * 3]
    sample(database, noon + 2 * MINUTE)
    assert slot(database, noon) == (50.0, 0, 50.0, 0, 3)


def test_what_is_away_is_told_by_whoever_observes(database: Database, noon: datetime) -> None:
    """Not by one whose successor has begun, and sees Consul well; again after another one saw it so."""

    def lose(by: str, *, begun: bool) -> list[object]:
        fetch(database.server_dsn, "SELECT stability.lose_consul(%s, 'refused', %s)", by, begun)
        return fetch(database.dsn, "SELECT available FROM stability.consul")

    record(database, noon, whole=True, by="old")
    record(database, noon + MINUTE, whole=True, by="new")
    assert lose("old", begun=True) == [True]
    assert lose("new", begun=True) == [False]
    record(database, noon + 2 * MINUTE, whole=True, by="newer")
    assert lose("newest", begun=False) == [False]
    (since,) = fetch(database.dsn, "SELECT since FROM stability.consul")
    with psycopg.connect(database.dsn, autocommit=True) as listener:
        listener.execute("LISTEN stability_change")
        lose("newest of all", begun=False)
        assert list(listener.notifies(timeout=0)) == []
    assert fetch(database.dsn, "SELECT since FROM stability.consul") == [since]


def test_a_new_service_is_alerted_once_it_stays_critical(database: Database, noon: datetime) -> None:
    """Consul calls every check critical until it was made the first time."""
    record(database, noon, service(status="critical"), service("api", "critical"), whole=True)
    sample(database, noon + timedelta(seconds=10))
    record(database, noon + timedelta(seconds=20), service())
    for minute in (1, 2, 3):
        sample(database, noon + minute * MINUTE)
    told = fetch(database.dsn, "SELECT kind, subject, since FROM stability.outbox ORDER BY id")
    assert told == [("service_critical", "n1:api", noon)]


@pytest.mark.parametrize("between", ["gone", "without checks", "critical at first"])
def test_what_was_told_critical_recovers_whatever_came_in_between(
    database: Database, noon: datetime, between: str
) -> None:
    """No service, or no check: once, and not once more when it comes and goes again."""
    record(database, noon, service(), whole=True)
    record(database, noon + MINUTE, service(status="critical"))
    if between == "without checks":
        record(database, noon + 2 * MINUTE, service(status=None))
    else:
        record(database, noon + 2 * MINUTE, gone=["n1:web"])
    if between == "critical at first":
        record(database, noon + 3 * MINUTE, service(status="critical"))
    record(database, noon + 4 * MINUTE, service())
    record(database, noon + 5 * MINUTE, gone=["n1:web"])
    record(database, noon + 6 * MINUTE, service())
    assert fetch(database.dsn, "SELECT kind, since FROM stability.outbox ORDER BY id") == [
        ("service_critical", noon + MINUTE),
        ("service_recovered", noon + 4 * MINUTE),
    ]


def test_a_recovery_is_told_although_the_outbox_has_forgotten(database: Database, noon: datetime) -> None:
    """As after a week."""
    record(database, noon, service(), whole=True)
    record(database, noon + MINUTE, service(status="critical"))
    fetch(database.dsn, "DELETE FROM stability.outbox")
    record(database, noon + 90 * MINUTE, service())
    assert fetch(database.dsn, "SELECT kind FROM stability.outbox") == ["service_recovered"]


def test_thousands_are_sampled_in_the_time_of_one_statement(database: Database) -> None:
    """A plan that was made for few would take three times what the server gives."""
    told = json.dumps([service(f"s{number}") for number in range(5_000)])
    with psycopg.connect(database.server_dsn, autocommit=True, options="-c statement_timeout=2000") as connection:
        for _ in range(2):
            connection.execute("SELECT stability.record_services(%s, '{}', true, 'me', %s)", (told, PATIENCE))
            connection.execute("SELECT stability.sample_services('me', %s)", (PATIENCE,))
        assert connection.execute("SELECT stability.count_services()").fetchone() == (5_000,)


def test_what_is_too_old_goes_in_small_batches(database: Database, noon: datetime) -> None:
    """Samples, slots, and services that are gone as long; what is younger stays."""
    long_ago = noon - timedelta(days=9)
    record(database, long_ago, service(), service("old"), whole=True)
    for minute in range(1, 6):
        sample(database, long_ago + minute * MINUTE)
    record(database, long_ago + 6 * MINUTE, gone=["n1:old"])
    record(database, noon, service(), whole=True)
    sample(database, noon + MINUTE)

    prune = "SELECT stability.prune_services('8 days', 5)"
    assert [fetch(database.server_dsn, prune) for _ in range(4)] == [[5], [5], [2], [0]]
    assert fetch(database.dsn, "SELECT timestamp FROM health_checks") == [noon + MINUTE]
    assert fetch(database.dsn, "SELECT id FROM services") == ["web"]
    assert fetch(database.dsn, "SELECT min(slot) FROM stability.service_slots") == [noon]


@pytest.mark.parametrize("gone_again", [False, True])
def test_what_comes_back_in_that_moment_stays(database: Database, noon: datetime, gone_again: bool) -> None:
    """With what was written of it, although it was found gone and empty."""
    long_ago = noon - timedelta(days=9)
    record(database, long_ago, service("old"), whole=True)
    record(database, long_ago + MINUTE, gone=["n1:old"])
    fetch(database.dsn, "DELETE FROM health_checks")
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
    call = "SELECT stability.record_services(%s, %s, false, 'me', %s, %s)"
    with ThreadPoolExecutor() as pool, psycopg.connect(database.server_dsn) as observer:
        observer.execute(call, (json.dumps([service("old")]), [], PATIENCE, noon))
        if gone_again:
            observer.execute(call, ("[]", ["n1:old"], PATIENCE, noon + MINUTE))
        pruned = pool.submit(fetch, database.server_dsn, "SELECT stability.prune_services('8 days', 5)")
        eventually(lambda: fetch(database.dsn, blocked, observer.info.backend_pid) == [1])
        observer.commit()
        pruned.result()

    assert fetch(database.dsn, "SELECT status FROM services") == ["gone" if gone_again else "passing"]
    assert fetch(database.dsn, "SELECT status FROM health_checks") == ["passing"]


def test_of_those_that_are_gone_the_last_thousand_stay(database: Database, noon: datetime) -> None:
    """Where ids are made anew with each start there would be no end of them; in small batches, samples first."""
    record(database, noon, *(service(f"s{number}") for number in range(1003)), service(), whole=True)
    record(database, noon + MINUTE, gone=[f"n1:s{number}" for number in (7, 8, 9)])
    record(database, noon + 2 * MINUTE, service(), whole=True)
    prune = "SELECT stability.prune_services('8 days', 2)"
    while fetch(database.server_dsn, prune) != [0]:
        pass
    assert fetch(database.dsn, "SELECT status, count(*)::int FROM services GROUP BY 1 ORDER BY 1") == [
        ("gone", 1000),
        ("passing", 1),
    ]
    assert fetch(database.dsn, "SELECT id FROM services WHERE id IN ('s7', 's8', 's9')") == []


def test_keys_are_unambiguous(database: Database, noon: datetime) -> None:
    """A colon in a node's name is escaped, so that no two services share a key."""
    record(database, noon, service("b:c", node="a"), service("c", node="a:b"), whole=True)
    assert sorted(fetch(database.dsn, "SELECT key FROM services")) == ["a%3Ab:c", "a:b:c"]


def test_hints_name_what_changed(database: Database, noon: datetime) -> None:
    """Not what was merely looked at again; of very many, all."""
    with psycopg.connect(database.dsn, autocommit=True) as listener:
        listener.execute("LISTEN stability_change")
        record(database, noon, service(), service("api"), whole=True)
        record(database, noon + MINUTE, service(status="critical"))
        sample(database, noon + 2 * MINUTE)
        record(database, noon + 3 * MINUTE, *(service(f"many-{number}") for number in range(101)))
        heard = [json.loads(note.payload)["ids"] for note in listener.notifies(timeout=5, stop_after=5)]
    heard = [sorted(ids) if isinstance(ids, list) else ids for ids in heard]
    assert heard == [["n1:api", "n1:web"], ["consul"], ["n1:web"], ["consul"], "all"]


def test_tables_of_somebody_elses_are_left_alone(empty_database: Database) -> None:
    """The rest of the system works; there are no services, and whoever observes is told why."""
    from stability.schema.migration import migrate, uninstall  # noqa: PLC0415 -- with Alembic

    fetch(empty_database.dsn, "CREATE TABLE public.services (id integer, price numeric)")
    migrate(empty_database.dsn)

    assert fetch(empty_database.dsn, "SELECT services FROM stability.read_services(NULL)") == [[]]
    assert fetch(empty_database.dsn, "SELECT * FROM stability.service_history(5, '3 minutes')") == []
    assert fetch(empty_database.dsn, "SELECT stability.prune_services('8 days', 5)") == [0]
    with pytest.raises(psycopg.errors.RaiseException, match="somebody else's"):
        fetch(empty_database.dsn, "SELECT stability.record_services('[]', '{}', true, 'me', '3 minutes')")
    uninstall(empty_database.dsn)
    assert fetch(empty_database.dsn, "SELECT count(*) FROM public.services") == [0]
