"""Anybody's own table: watched with one call, free to change, forgotten without a trace."""

import threading

import psycopg
import pytest

from stability.errors import DatabaseError
from stability.schema.migration import migrate
from tests.fixtures.catalogue import contents, incarnations
from tests.fixtures.postgres import Database, fetch

MAILS = """
    CREATE SCHEMA app;
    CREATE TABLE app.mail_queue (
        id integer GENERATED ALWAYS AS IDENTITY, sent_at timestamptz, "Send After" timestamptz, box text);
    CREATE TABLE app.box (name text PRIMARY KEY, open boolean);
"""
WATCH = "SELECT stability.watch('mails', 'app.mail_queue', 'sent_at IS NULL')"


@pytest.fixture
def app(database: Database) -> Database:
    """A database with a queue of mails of its own."""
    fetch(database.dsn, MAILS)
    return database


def mails(database: Database) -> tuple[object, ...]:
    """What the server reads about them."""
    query = "SELECT active, count, round(next_due), error FROM stability.read_activity() WHERE source = 'mails'"
    (row,) = fetch(database.server_dsn, query)
    return tuple(row)


def test_a_watched_table_is_work_like_any_other(app: Database) -> None:
    """With triggers, index, count and badge; nothing is amiss."""
    fetch(app.dsn, WATCH)
    with psycopg.connect(app.server_dsn, autocommit=True) as listener:
        listener.execute("LISTEN system_stability; SELECT stability.arm(0, '60 s')")
        fetch(app.dsn, "INSERT INTO app.mail_queue (box) VALUES ('out')")
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1

    assert mails(app) == (True, 1, None, None)
    assert fetch(app.server_dsn, "SELECT is_system_stable()") == [False]
    assert fetch(app.dsn, "SELECT * FROM stability.problems()") == []


def test_unwatching_leaves_no_trace(app: Database) -> None:
    """Triggers and indexes go, and so does what it said."""
    before = contents(app.dsn)
    fetch(app.dsn, WATCH)
    assert contents(app.dsn) != before
    fetch(app.dsn, "SELECT stability.unwatch('mails')")
    after = contents(app.dsn)

    assert {what: after[what] for what in after if what != "functions"} == {
        what: before[what] for what in before if what != "functions"
    }
    assert fetch(app.server_dsn, "SELECT source FROM stability.read_activity()") == ["analytics_tasks", "import_job"]


def test_watching_again_changes_nothing(app: Database) -> None:
    """The same call builds nothing twice."""
    fetch(app.dsn, WATCH)
    before = incarnations(app.dsn)
    fetch(app.dsn, WATCH)

    assert incarnations(app.dsn) == before


def test_watching_a_name_again_replaces_it(app: Database) -> None:
    """The old index goes with the old predicate, the old trigger with the old table."""
    fetch(app.dsn, WATCH)
    fetch(app.dsn, "SELECT stability.watch('mails', 'app.box', 'open')")
    fetch(app.dsn, "INSERT INTO app.box VALUES ('in', true), ('out', NULL), ('old', false)")

    assert mails(app) == (True, 2, None, None)
    assert fetch(app.dsn, "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname ~ 'mails'") == ["app.box"]
    assert fetch(app.dsn, "SELECT indexname FROM pg_indexes WHERE tablename = 'mail_queue'") == []


def test_a_due_column_of_any_name_defers_all_rows(app: Database) -> None:
    """Until its time, told in seconds; then they are work without a write."""
    fetch(app.dsn, "SELECT stability.watch('mails', 'app.mail_queue', 'sent_at IS NULL', due => 'Send After')")
    fetch(app.dsn, """INSERT INTO app.mail_queue ("Send After") VALUES (now() + '1 hour')""")
    assert mails(app) == (False, 0, 3600, None)

    fetch(app.dsn, "INSERT INTO app.mail_queue DEFAULT VALUES")
    assert mails(app) == (True, 1, 3600, None)


def test_only_the_named_groups_count(app: Database) -> None:
    """And a change of the groups' own table is heard."""
    fetch(
        app.dsn,
        "SELECT stability.watch('mails', 'app.mail_queue', 'sent_at IS NULL', group_by => 'box',"
        " groups => 'SELECT b.name FROM app.box b WHERE b.open', also => ARRAY['app.box'::regclass])",
    )
    fetch(app.dsn, "INSERT INTO app.mail_queue (box) VALUES ('in'), ('out')")
    assert mails(app) == (False, 0, None, None)

    with psycopg.connect(app.server_dsn, autocommit=True) as listener:
        listener.execute("LISTEN system_stability; SELECT stability.arm(0, '60 s')")
        fetch(app.dsn, "INSERT INTO app.box VALUES ('in', true)")
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
    assert mails(app) == (True, 1, None, None)


def test_a_view_is_watched_by_polling(app: Database) -> None:
    """It takes neither trigger nor index, and nobody asks for them."""
    fetch(app.dsn, "CREATE VIEW app.unsent AS SELECT * FROM app.mail_queue WHERE sent_at IS NULL")
    fetch(app.dsn, "SELECT stability.watch('mails', 'app.unsent', 'true')")
    fetch(app.dsn, "INSERT INTO app.mail_queue DEFAULT VALUES")

    assert mails(app) == (True, 1, None, None)
    assert fetch(app.dsn, "SELECT polled FROM stability.source WHERE name = 'mails'") == [True]
    assert fetch(app.dsn, "SELECT * FROM stability.problems()") == []


WRONG = {
    "'sent = 1'": "column.*sent",
    "'sent_at IS NULL; DROP TABLE app.mail_queue'": "syntax error",
    "'sent_at'": "boolean",
    "'sent_at IS NULL', due => 'nowhen'": "nowhen",
    "'sent_at IS NULL', group_by => 'box', groups => 'SELECT 1'": "operator does not exist",
    "'sent_at IS NULL', due => 'Send After', deferred_when => 'nonsense'": "nonsense",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_read_is_refused(app: Database, wrong: str) -> None:
    """With the planner's own reason, and nothing is registered."""
    before = contents(app.dsn)
    with pytest.raises(psycopg.Error, match=f"The source mails cannot be read: .*{WRONG[wrong]}"):
        fetch(app.dsn, f"SELECT stability.watch('mails', 'app.mail_queue', {wrong})")

    assert contents(app.dsn) == before
    assert fetch(app.dsn, "SELECT count(*) FROM stability.source") == [2]


UNFIT = {
    "'sent_at IS NULL AND \"Send After\" <= now()'": (
        'active_when (sent_at IS NULL AND "Send After" <= now()) asks for more than the row, such as the clock; '
        "leave that out, and name the column of the moment in due."
    ),
    "'sent_at IS NULL', due => 'Send After', deferred_when => 'now() > sent_at'": (
        "deferred_when (now() > sent_at) asks for more than the row, such as the clock; "
        "leave that out, and name the column of the moment in due."
    ),
    "'id NOT IN (SELECT 1)'": (
        "active_when (id NOT IN (SELECT 1)) asks for more than the row, such as the clock; "
        "leave that out, and name the column of the moment in due."
    ),
    "'sent_at IS NULL', due => 'box'": "due (box) is a column of type text; name one of type timestamptz.",
    "'sent_at IS NULL', due => 'id'": "due (id) is a column of type integer; name one of type timestamptz.",
}


@pytest.mark.parametrize("rows", [0, 50_000])
@pytest.mark.parametrize("unfit", UNFIT)
def test_what_no_index_can_follow_is_refused(app: Database, unfit: str, rows: int) -> None:
    """In one sentence with the value and the remedy, whether the index would be built now or later."""
    fetch(app.dsn, "INSERT INTO app.mail_queue (box) SELECT repeat('x', 200) FROM generate_series(1, %s)", rows)
    before = contents(app.dsn)
    with pytest.raises(psycopg.Error) as refused:
        fetch(app.dsn, f"SELECT stability.watch('mails', 'app.mail_queue', {unfit})")

    assert refused.value.diag.message_primary == f"The source mails cannot be watched: {UNFIT[unfit]}"
    assert contents(app.dsn) == before


def test_a_view_may_ask_the_clock(app: Database) -> None:
    """It is read again and again, without an index."""
    fetch(app.dsn, "CREATE VIEW app.unsent AS SELECT * FROM app.mail_queue WHERE sent_at IS NULL")
    fetch(app.dsn, "SELECT stability.watch('mails', 'app.unsent', '\"Send After\" <= now()')")
    fetch(app.dsn, "INSERT INTO app.mail_queue (\"Send After\") VALUES ('infinity'), ('-infinity')")

    assert mails(app) == (True, 1, None, None)


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_a_moment_may_be_of_any_type_that_has_a_date(app: Database, kind: str) -> None:
    """A table of somebody else's is what it is."""
    fetch(app.dsn, f'ALTER TABLE app.mail_queue ALTER "Send After" TYPE {kind}')
    fetch(app.dsn, "SELECT stability.watch('mails', 'app.mail_queue', 'sent_at IS NULL', due => 'Send After')")
    fetch(app.dsn, "INSERT INTO app.mail_queue (\"Send After\") VALUES (now() + '9 d'), (now() - interval '9 d')")

    assert mails(app)[:2] == (True, 1)


def test_an_unknown_source_cannot_be_unwatched(database: Database) -> None:
    """The sentence says where the known ones are."""
    with pytest.raises(psycopg.errors.UndefinedObject, match=r"no source named nothing; stability\.source lists them"):
        fetch(database.dsn, "SELECT stability.unwatch('nothing')")


def test_a_foreign_trigger_of_that_name_is_refused(app: Database) -> None:
    """It stays, and the source is not registered."""
    fetch(
        app.dsn,
        "CREATE TRIGGER taken BEFORE UPDATE ON app.mail_queue FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    )
    with pytest.raises(psycopg.Error, match=r"The trigger taken on app\.mail_queue belongs to somebody else"):
        fetch(app.dsn, "SELECT stability.watch('mails', 'app.mail_queue', 'true', trigger_name => 'taken')")

    assert fetch(app.dsn, "SELECT count(*) FROM stability.source") == [2]


CHURN = [
    "DROP TABLE app.mail_queue",
    "DROP SCHEMA app CASCADE",
    "ALTER TABLE app.mail_queue DROP COLUMN sent_at",
    "ALTER TABLE app.mail_queue RENAME sent_at TO done",
    "ALTER TABLE app.mail_queue RENAME TO letters",
    "ALTER TABLE app.mail_queue SET SCHEMA public",
]


@pytest.mark.parametrize("change", CHURN)
def test_the_hosts_migrations_never_fail_because_of_us(app: Database, change: str) -> None:
    """Indexes and triggers go with what they stood on; the broken source is unknown with its reason and a remedy."""
    fetch(app.dsn, WATCH)
    fetch(app.dsn, change)

    active, _, _, error = mails(app)
    assert active is None
    assert error
    assert fetch(app.server_dsn, "SELECT is_system_stable()") == [None]
    assert [
        r for r in fetch(app.dsn, "SELECT remedy FROM stability.problems() WHERE object = 'source mails'") if r
    ] != []


def test_a_migration_goes_through_beside_a_broken_source(app: Database) -> None:
    """The host dropped its table; everything else is still brought up to date."""
    fetch(app.dsn, WATCH)
    fetch(app.dsn, "DROP TABLE app.mail_queue")
    fetch(app.dsn, "ALTER TABLE import_job DISABLE TRIGGER notify_system_stability_on_import_job_change")
    migrate(app.dsn)

    assert fetch(app.dsn, "SELECT object FROM stability.problems()") == ["source mails"]


def test_a_wider_type_keeps_the_source(app: Database) -> None:
    """Postgres rebuilds the index with the column."""
    fetch(app.dsn, "SELECT stability.watch('mails', 'app.mail_queue', $$box <> 'sent'$$)")
    fetch(app.dsn, "ALTER TABLE app.mail_queue ALTER box TYPE varchar(40), ALTER id TYPE bigint")
    fetch(app.dsn, "INSERT INTO app.mail_queue (box) VALUES ('out')")

    assert mails(app) == (True, 1, None, None)


def test_unwatch_and_watch_around_a_change_of_type(app: Database) -> None:
    """Postgres itself cannot convert a partial index from text to an enum: forget the source, migrate, watch again."""
    watch = "SELECT stability.watch('mails', 'app.mail_queue', $$box <> 'sent'$$)"
    fetch(app.dsn, watch)
    fetch(app.dsn, "CREATE TYPE app.box_name AS ENUM ('sent', 'out')")
    for statement in (
        "SELECT stability.unwatch('mails')",
        "ALTER TABLE app.mail_queue ALTER box TYPE app.box_name USING box::app.box_name",
        watch,
        "INSERT INTO app.mail_queue (box) VALUES ('out'), ('sent')",
    ):
        fetch(app.dsn, statement)

    assert mails(app) == (True, 1, None, None)


def test_a_large_table_gets_its_index_from_migrate(app: Database) -> None:
    """The call itself would block its writers for as long as the build takes; it says what to do instead."""
    fetch(
        app.dsn,
        "INSERT INTO app.mail_queue (sent_at, box) SELECT now(), repeat('x', 100) FROM generate_series(1, 100000)",
    )
    notices: list[str | None] = []
    with psycopg.connect(app.dsn, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute(WATCH.encode())

    assert [n for n in notices if n and 'app.mail_queue is large: run "stability migrate"' in n] != []
    assert fetch(app.dsn, "SELECT problem FROM stability.problems()") == ["is missing: each read walks the whole table"]
    migrate(app.dsn)
    assert fetch(app.dsn, "SELECT * FROM stability.problems()") == []


def test_watching_two_tables_never_ends_a_writer_by_deadlock(app: Database) -> None:
    """Writers lock them in one order and in the other; both orders and the call itself go through."""
    over, failures, rounds = threading.Event(), [], [0, 0]

    def write(number: int, *tables: str) -> None:
        with psycopg.connect(app.dsn) as connection:
            while not over.is_set():
                try:
                    with connection.transaction():
                        for table in tables:
                            connection.execute(f"INSERT INTO {table} SELECT FROM generate_series(1, 0)".encode())
                except psycopg.Error as error:
                    failures.append(error)
                    return
                rounds[number] += 1

    orders = (("app.mail_queue", "app.box"), ("app.box", "app.mail_queue"))
    threads = [threading.Thread(target=write, args=(number, *tables)) for number, tables in enumerate(orders)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            fetch(
                app.dsn, "SELECT stability.watch('mails', 'app.mail_queue', 'true', also => ARRAY['app.box'::regclass])"
            )
            fetch(app.dsn, "SELECT stability.unwatch('mails')")
    finally:
        over.set()
        for thread in threads:
            thread.join()

    assert failures == []
    assert min(rounds) > 0


def test_watching_a_table_in_use_gives_up_with_who_uses_it(app: Database) -> None:
    """A lock is waited for briefly; who holds the table is named."""
    with psycopg.connect(app.dsn, application_name="nightly batch") as batch:
        batch.execute("INSERT INTO app.mail_queue DEFAULT VALUES")
        with pytest.raises(psycopg.Error, match=r"app\.mail_queue is in use.*nightly batch"):
            fetch(app.dsn, "SELECT stability.hold(ARRAY['app.mail_queue'::regclass], 'ACCESS EXCLUSIVE', '0s')")


def test_two_calls_at_the_same_time_take_turns(app: Database) -> None:
    """Both sources are registered and read."""
    calls = [WATCH, "SELECT stability.watch('boxes', 'app.box', 'open')"]
    threads = [threading.Thread(target=fetch, args=(app.dsn, call)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert fetch(app.server_dsn, "SELECT source FROM stability.read_activity()") == [
        "analytics_tasks",
        "boxes",
        "import_job",
        "mails",
    ]


def test_a_migration_that_finds_a_foreign_trigger_stops(app: Database) -> None:
    """Somebody took the name after the source was registered."""
    fetch(app.dsn, WATCH)
    fetch(app.dsn, "DROP TRIGGER notify_system_stability_on_mails_change ON app.mail_queue")
    fetch(
        app.dsn,
        "CREATE TRIGGER notify_system_stability_on_mails_change BEFORE UPDATE ON app.mail_queue FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    )
    with pytest.raises(DatabaseError, match="belongs to somebody else"):
        migrate(app.dsn)


def test_a_column_that_goes_is_unknown_not_idle(app: Database) -> None:
    """Also one that is called as we call what we answer."""
    fetch(app.dsn, "CREATE TABLE app.jobs (id int, active boolean, known boolean)")
    fetch(app.dsn, "INSERT INTO app.jobs VALUES (1, true, true)")
    fetch(app.dsn, "SELECT stability.watch('jobs', 'app.jobs', 'active IS TRUE')")
    fetch(app.dsn, "ALTER TABLE app.jobs RENAME active TO is_active")

    assert fetch(app.server_dsn, "SELECT active FROM stability.read_activity() WHERE source = 'jobs'") == [None]
    assert fetch(app.server_dsn, "SELECT is_system_stable()") == [None]


def test_an_error_does_not_repeat_a_value(app: Database) -> None:
    """The badge is public, and so is why it does not know."""
    fetch(app.dsn, "CREATE TABLE app.cards (payload text)")
    fetch(app.dsn, "CREATE VIEW app.numbers AS SELECT payload::int AS n FROM app.cards")
    fetch(app.dsn, "SELECT stability.watch('cards', 'app.numbers', 'n > 100')")
    fetch(app.dsn, "INSERT INTO app.cards VALUES ('4111-1111')")

    assert fetch(app.server_dsn, "SELECT error FROM stability.read_activity() WHERE source = 'cards'") == [
        "its predicate failed with SQLSTATE 22P02"
    ]


def test_watching_says_look(app: Database) -> None:
    """A server has to learn of a new source, and of one that goes."""
    with psycopg.connect(app.server_dsn, autocommit=True) as listener:
        listener.execute("LISTEN system_stability")
        fetch(app.dsn, WATCH)
        fetch(app.dsn, "SELECT stability.unwatch('mails')")
        assert len(list(listener.notifies(timeout=5, stop_after=2))) == 2


AUTOVACUUM = ["autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_threshold=10000"]


def options(database: Database, table: str = "app.mail_queue") -> list[str]:
    """The storage settings of a table, sorted."""
    query = "SELECT unnest(reloptions) AS option FROM pg_class WHERE oid = %s::regclass ORDER BY option"
    return fetch(database.dsn, query, table)


def test_a_watched_table_is_vacuumed_early(app: Database) -> None:
    """Else each read walks over the dead entries of a fifth of its rows; forgotten, it is as it was."""
    fetch(app.dsn, "ALTER TABLE app.mail_queue SET (fillfactor = 70)")
    fetch(app.dsn, WATCH)
    assert options(app) == [*AUTOVACUUM, "fillfactor=70"]

    fetch(app.dsn, "SELECT stability.unwatch('mails')")
    assert options(app) == ["fillfactor=70"]


def test_what_the_owner_set_stays(app: Database) -> None:
    """Before the watch, and through it and after it, also where it is what we would have set."""
    fetch(app.dsn, "ALTER TABLE app.mail_queue SET (autovacuum_vacuum_threshold = 10000)")
    fetch(app.dsn, "ALTER TABLE app.box SET (autovacuum_vacuum_scale_factor = 0.5)")
    fetch(app.dsn, WATCH)
    fetch(app.dsn, "SELECT stability.watch('boxes', 'app.box', 'open')")
    assert options(app) == AUTOVACUUM
    assert options(app, "app.box") == ["autovacuum_vacuum_scale_factor=0.5", "autovacuum_vacuum_threshold=10000"]

    fetch(app.dsn, "SELECT stability.unwatch('mails'), stability.unwatch('boxes')")
    assert options(app) == ["autovacuum_vacuum_threshold=10000"]
    assert options(app, "app.box") == ["autovacuum_vacuum_scale_factor=0.5"]


def test_what_the_owner_changes_afterwards_is_his(app: Database) -> None:
    """A value of ours that he changed or reset is not set again, and not taken back."""
    fetch(app.dsn, WATCH)
    fetch(app.dsn, "ALTER TABLE app.mail_queue SET (autovacuum_vacuum_threshold = 50)")
    fetch(app.dsn, "ALTER TABLE app.mail_queue RESET (autovacuum_vacuum_scale_factor)")
    fetch(app.dsn, WATCH)
    migrate(app.dsn)
    assert options(app) == ["autovacuum_vacuum_threshold=50"]

    fetch(app.dsn, "SELECT stability.unwatch('mails')")
    assert options(app) == ["autovacuum_vacuum_threshold=50"]


def test_two_sources_share_what_was_set(app: Database) -> None:
    """It goes with the last of them."""
    fetch(app.dsn, WATCH)
    fetch(app.dsn, "SELECT stability.watch('outgoing', 'app.mail_queue', $$box = 'out'$$)")
    fetch(app.dsn, "SELECT stability.unwatch('mails')")
    assert options(app) == AUTOVACUUM

    fetch(app.dsn, "SELECT stability.unwatch('outgoing')")
    assert options(app) == []


def test_settings_wait_for_no_writer(app: Database) -> None:
    """Where nothing else is lacking, as after an update from an older release, the call goes through beside them."""
    fetch(app.dsn, WATCH)
    fetch(app.dsn, "ALTER TABLE app.mail_queue RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
    fetch(app.dsn, "DELETE FROM stability.tuned")
    with psycopg.connect(app.dsn) as writer:
        writer.execute("INSERT INTO app.mail_queue DEFAULT VALUES")
        fetch(app.dsn, "SET lock_timeout = '2s'; " + WATCH)
        writer.execute("INSERT INTO app.mail_queue DEFAULT VALUES")

    assert options(app) == AUTOVACUUM


def test_a_table_that_is_gone_leaves_no_record(app: Database) -> None:
    """Its settings went with it, and another of its name is a new one."""
    fetch(app.dsn, WATCH)
    fetch(app.dsn, "DROP TABLE app.mail_queue")
    fetch(app.dsn, "CREATE TABLE app.mail_queue (sent_at timestamptz)")
    migrate(app.dsn)

    assert options(app) == AUTOVACUUM
    assert fetch(app.dsn, "SELECT count(*) FROM stability.tuned WHERE relation::text !~ '[a-z]'") == [0]


@pytest.mark.parametrize("value", ["false", "off"])
def test_autovacuum_that_is_off_is_told(app: Database, value: str) -> None:
    """It is the owner's decision, and the reads pay for it."""
    fetch(app.dsn, f"ALTER TABLE app.mail_queue SET (autovacuum_enabled = {value}, fillfactor = 70)")
    fetch(app.dsn, WATCH)
    assert fetch(app.dsn, "SELECT object, remedy FROM stability.problems()") == [
        ("autovacuum of app.mail_queue", 'run "ALTER TABLE app.mail_queue RESET (autovacuum_enabled)"')
    ]

    fetch(app.dsn, "ALTER TABLE app.mail_queue RESET (autovacuum_enabled)")
    assert fetch(app.dsn, "SELECT * FROM stability.problems()") == []
