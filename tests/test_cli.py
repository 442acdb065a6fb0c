"""The command as a person uses it: what it prints, what it refuses, and with which exit status."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest

from stability import __version__, connection, resources
from stability.postgres import EmbeddedPostgres, dsn_of
from stability.schema import revision
from tests.fixtures.command import PATIENCE, environment, running, stability, terminal
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving, free_port

COMMANDS: Final = (
    "up",
    "serve",
    "migrate",
    "demo",
    "watch",
    "wait",
    "sources",
    "observe",
    "doctor",
    "healthcheck",
    "dsn",
    "torture",
)
BUSY_JOB: Final = "INSERT INTO public.import_job (slug, state) VALUES ('people', 'approved')"
NOWHERE: Final = "postgresql://app:sesame@127.0.0.1:1/app"
SCRIPT: Final = Path(sys.executable).with_name("stability")
NEEDS_A_DATABASE: Final = ("demo", "sources", "doctor")


def test_help_lists_every_command_in_a_sentence() -> None:
    """Without arguments the help is shown, wrong usage by its status; each command has one whole sentence."""
    told = stability()
    assert told.returncode == 2
    lines = {line.split()[0]: line for line in told.stderr.splitlines() if line.startswith("  ") and line.split()}
    for command in COMMANDS:
        assert lines[command].endswith("."), lines[command]
        assert not lines[command].endswith("..."), lines[command]


def test_the_version() -> None:
    """--version prints the version and nothing else."""
    told = stability("--version")
    assert (told.returncode, told.stdout) == (0, f"{__version__}\n")


@pytest.mark.parametrize("command", [["dsn"], ["healthcheck", "http://127.0.0.1:1"]])
def test_what_needs_no_server_loads_none(command: list[str]) -> None:
    """Containers ask every few seconds, and scripts in each line."""
    told = stability(*command, PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines() if line.startswith("import time:")}
    assert "stability.connection" in loaded or "stability.client" in loaded
    assert not loaded & {"starlette", "uvicorn", "sqlalchemy", "alembic"}


def test_completion() -> None:
    """For the shell that asks, a script is printed that completes this very command."""
    asked = f"{SCRIPT} --show-completion; exit $?"  # more than one command, so that the shell stays the parent
    script = subprocess.run(["bash", "-c", asked], env=environment(), capture_output=True, text=True, check=False)
    assert (script.returncode, script.stderr) == (0, "")
    assert script.stdout.rstrip().endswith("complete -o default -F _stability_completion stability")


def test_a_command_is_completed() -> None:
    """What the script asks in a shell is answered with the commands that fit."""
    asked = environment(_STABILITY_COMPLETE="complete_bash", COMP_WORDS="stability w", COMP_CWORD="1")
    answer = subprocess.run([SCRIPT], env=asked, capture_output=True, text=True, check=False)
    assert set(answer.stdout.split()) == {"watch", "wait"}


@pytest.mark.parametrize(
    ("arguments", "variables", "telling"),
    [
        (["serve", "--port", "99999"], {}, "STABILITY_PORT: 99999"),
        (["up"], {"STABILITY_PORT": "web"}, "STABILITY_PORT: 'web'"),
        (["serve", "--host", "192.0.2.1"], {}, "STABILITY_HOST: 192.0.2.1 can be reached from outside"),
        (["serve", "--uds", "/nowhere/socket"], {}, "STABILITY_UDS: cannot listen on /nowhere/socket"),
        (["migrate"], {"DATABASE_URL": "open sesame"}, "DATABASE_URL: is not a connection string"),
        (["serve"], {"STABILITY_LISTEN_URL": "open sesame"}, "STABILITY_LISTEN_URL: is not a connection string"),
        (["migrate", "--drop-data"], {}, "only goes with --uninstall"),
        (["demo", "/nowhere.csv"], {"DATABASE_URL": NOWHERE}, "/nowhere.csv"),
        (["demo", "--rows", "0"], {"DATABASE_URL": NOWHERE}, "--rows: 0"),
        (["torture", NOWHERE], {}, "--yes: nothing was done"),
        (["torture", NOWHERE, "--yes", "--histories", "0"], {}, "--histories: 0"),
        (["torture", "open sesame", "--yes"], {}, "DATABASE_URL: is not a connection string"),
        (["healthcheck", "localhost"], {}, "must begin with http:// or https://"),
    ],
)
def test_wrong_usage(arguments: list[str], variables: dict[str, str], telling: str) -> None:
    """A wrong setting or option is exit 2 and names what is wrong; nothing is started, no secret repeated."""
    told = stability(*arguments, **variables)
    assert (told.returncode, told.stdout) == (2, "")
    assert telling in told.stderr
    assert "sesame" not in told.stderr
    assert "Traceback" not in told.stderr


def test_a_port_in_use(serving: Serving, database: Database) -> None:
    """A second server on the same port names the variable and the remedy."""
    port = serving.url.rpartition(":")[2]
    told = stability("serve", "--port", port, DATABASE_URL=database.server_dsn)
    assert told.returncode == 2
    assert told.stderr == (
        f"stability: STABILITY_PORT: {port} is already in use on 127.0.0.1: "
        "stop the program there, choose another port, "
        "or let servers of ours share it (STABILITY_REUSE_PORT=1 for each).\n"
    )


@pytest.mark.parametrize("command", [*NEEDS_A_DATABASE, "wait --database", "watch --database", "serve", "migrate"])
def test_no_database_runs(command: str, tmp_path: Path) -> None:
    """Where no database is named and none of ours runs, the sentence says how to start one, and starts none."""
    told = stability(*command.split(), cwd=str(tmp_path), STABILITY_PORT=str(free_port()))
    assert told.returncode == 1
    assert "set DATABASE_URL, or start `stability up`" in told.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [*NEEDS_A_DATABASE, "migrate"])
def test_the_database_is_away(command: str) -> None:
    """One sentence or one finding, exit 1, no traceback, and the password stays secret."""
    told = stability(command, DATABASE_URL=NOWHERE)
    assert told.returncode == 1
    assert "refused" in told.stdout + told.stderr
    assert "Traceback" not in told.stderr
    assert "sesame" not in told.stdout + told.stderr


@pytest.mark.parametrize("command", ["migrate", "sources", "doctor"])
def test_a_database_without_rights(command: str, database: Database) -> None:
    """A user that may not read our schema, or make one, gets one sentence."""
    told = stability(command, DATABASE_URL=database.writer_dsn, STABILITY_PORT=str(free_port()))
    assert told.returncode == 1
    lines = (told.stderr or told.stdout).strip().splitlines()
    assert len([line for line in lines if not line.startswith("✔")]) <= 8
    assert "Traceback" not in told.stderr


def test_migrate_and_uninstall(empty_database: Database) -> None:
    """A schema is made, made again without a change, kept with its rows, and removed with --drop-data."""
    dsn = empty_database.dsn
    for _ in range(2):
        told = stability("migrate", DATABASE_URL=dsn)
        assert told.returncode == 0, told.stderr
        assert told.stdout.endswith(f"the schema is at revision {revision.revisions()[0]}\n")
    assert fetch(dsn, "SELECT public.is_system_stable()") == [True]
    fetch(dsn, BUSY_JOB)
    assert stability("migrate", "--uninstall", DATABASE_URL=dsn).returncode == 0
    assert fetch(dsn, "SELECT to_regnamespace('stability') IS NULL") == [True]
    assert fetch(dsn, "SELECT count(*) FROM public.import_job") == [1]
    assert stability("migrate", DATABASE_URL=dsn).returncode == 0
    assert stability("migrate", "--uninstall", "--drop-data", DATABASE_URL=dsn).returncode == 0
    assert fetch(dsn, "SELECT to_regnamespace('stability') IS NULL") == [True]


def test_uninstalling_removes_what_demos_wrote_as_well(empty_database: Database) -> None:
    """Its schema and its rows go without --drop-data; a schema of that name that is not ours stays."""
    dsn = empty_database.dsn
    assert stability("migrate", DATABASE_URL=dsn).returncode == 0
    assert stability("demo", "--rows", "100", DATABASE_URL=dsn).returncode == 0
    told = stability("migrate", "--uninstall", DATABASE_URL=dsn)
    assert told.returncode == 0
    assert told.stdout.startswith("removed everything of the demo\n")
    assert fetch(dsn, "SELECT to_regclass('public.import_job') IS NULL") == [True]
    assert fetch(dsn, "SELECT to_regnamespace('stability_demo') IS NULL") == [True]
    fetch(dsn, "CREATE SCHEMA stability_demo")
    assert stability("migrate", DATABASE_URL=dsn).returncode == 0
    told = stability("migrate", "--uninstall", DATABASE_URL=dsn)
    assert told.returncode == 0
    assert "stability_demo was not made by this version" in told.stdout
    assert fetch(dsn, "SELECT to_regnamespace('stability') IS NULL") == [True]


def test_sources(database: Database) -> None:
    """Each watched table with its state, and a broken one with its reason."""
    fetch(database.writer_dsn, BUSY_JOB)
    fetch(database.dsn, "DROP TABLE worker.tasks")
    told = stability("sources", DATABASE_URL=database.server_dsn, COLUMNS="120")
    assert told.returncode == 0
    head, tasks, jobs = (line.split() for line in told.stdout.splitlines())
    assert head == ["NAME", "RELATION", "ACTIVE", "COUNT", "PROBLEM"]
    assert tasks[:4] == ["analytics_tasks", "worker.tasks", "?", "?"]
    assert "exist" in tasks
    assert jobs == ["import_job", "public.import_job", "yes", "1"]


def test_sources_of_an_empty_register(database: Database) -> None:
    """Where nothing is watched the command says how to change that."""
    fetch(database.dsn, "SELECT stability.unwatch(name) FROM stability.source")
    told = stability("sources", DATABASE_URL=database.server_dsn)
    assert (told.returncode, told.stdout) == (0, "Nothing is watched: `SELECT stability.watch(…)` registers a table.\n")


def test_healthcheck(serving: Serving, database: Database) -> None:
    """Exit 0 while the truth is proven; 1 with one sentence when it is not, or nobody answers."""
    port = serving.url.rpartition(":")[2]
    assert stability("healthcheck", STABILITY_PORT=port).returncode == 0
    assert stability("healthcheck", serving.url, STABILITY_HOST="0.0.0.0", STABILITY_ALLOW_PUBLIC="1").returncode == 0  # noqa: S104
    assert stability("healthcheck", "--url", serving.url).returncode == 0
    twice = stability("healthcheck", serving.url, "--url", serving.url)
    assert (twice.returncode, twice.stderr) == (
        2,
        "stability: --url: the server is named already: give one of the two.\n",
    )
    fetch(database.dsn, "DROP TABLE public.import_job")
    fetch(database.dsn, "SELECT pg_notify('system_stability', '{}')")
    _await_state(serving.url, "unknown")
    told = stability("healthcheck", serving.url)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"stability: {serving.url} is not ready (HTTP 503): not state known.\n"
    away = f"http://127.0.0.1:{free_port()}"
    assert stability("healthcheck", away).stderr == f"stability: {away} does not answer: nobody listens there.\n"


def _await_state(url: str, state: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (told := httpx.get(f"{url}/api/system-status?wait=5").json())["state"] != state:
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def test_dsn(database: Database) -> None:
    """The last line is what psql takes: the named database, which need not answer, or libpq's own variables."""
    assert stability("dsn", DATABASE_URL=NOWHERE).stdout.splitlines()[-1] == NOWHERE
    parts = psycopg.conninfo.conninfo_to_dict(database.dsn)
    own = {"PGHOST": str(parts["host"]), "PGDATABASE": database.name, "PGUSER": "postgres", "PGPASSWORD": "a'b c"}
    told = stability("dsn", **own).stdout.splitlines()[-1]
    assert fetch(told, "SELECT current_database()") == [database.name]
    assert psycopg.conninfo.conninfo_to_dict(told)["password"] == "a'b c"


def test_dsn_of_our_own(data_dir: Path) -> None:
    """It is in use while it runs; else there is none, and psql must not be led to nowhere."""
    with EmbeddedPostgres(data_dir):
        assert stability("dsn", STABILITY_DATA_DIR=str(data_dir)).stdout.splitlines()[-1] == dsn_of(data_dir)
    told = stability("dsn", STABILITY_DATA_DIR=str(data_dir))
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        f"stability: No database is named and none runs in {data_dir}: set DATABASE_URL, or start `stability up`.\n"
    )


@pytest.mark.parametrize(
    ("conninfo", "shown"),
    [
        ("postgresql://me@here/db", "postgresql://me@here/db"),
        ("postgresql://me:ses%40me@here/db", "user=me password=*** dbname=db host=here"),
        ("host=here password=sesame", "password=*** host=here"),
        ("postgresql://here/db?password=sesame", "password=*** dbname=db host=here"),
    ],
)
def test_a_connection_string_is_shown_without_its_password(conninfo: str, shown: str) -> None:
    """Wherever the password stands, it is masked; a string without one stays as it is."""
    assert connection.masked(conninfo) == shown


def test_up_welcomes(data_dir: Path) -> None:
    """It prints the address, a connection string that works, and next steps that do what they say."""
    with terminal("up", "--port", str(free_port()), STABILITY_DATA_DIR=str(data_dir)) as up:
        told = up.read_until("Ctrl-C ends it")
        up.read_until("listening")
        lines = [line.strip() for line in told.splitlines()]
        page, dsn = (next(line.split()[1] for line in lines if line.startswith(name)) for name in ("page", "database"))
        assert dsn == dsn_of(data_dir)
        assert "<system-status" in httpx.get(page).text
        (yellow,) = (line for line in lines if line.startswith("psql "))
        _await_state(page.rstrip("/"), "stable")
        statement = yellow.partition(' -c "')[2].rstrip('"')
        fetch(dsn, statement)
        _await_state(page.rstrip("/"), "processing")
        up.type("\x03")
        assert up.process.wait(10) == 0


def test_up_masks_the_password_of_a_foreign_database() -> None:
    """A database that is named with a password is shown without it, in the welcome and in the log."""
    with running("up", "--port", "0", DATABASE_URL=NOWHERE) as up:
        up.read_until("password=***")
        up.read_until("the database is away")
        assert "sesame" not in up.text


def test_serve_on_a_socket_is_waited_for_and_checked(database: Database, tmp_path: Path) -> None:
    """--uds serves on a Unix socket, where STABILITY_UDS leads healthcheck and wait."""
    path = str(tmp_path / "socket")
    with running("serve", "--uds", path, DATABASE_URL=database.server_dsn) as server:
        server.read_until("listening")
        assert stability("wait", "--timeout", "10", STABILITY_UDS=path).returncode == 0
        assert stability("healthcheck", STABILITY_UDS=path).stdout == "ready\n"


def test_open_shows_the_page_in_the_browser(database: Database, tmp_path: Path) -> None:
    """--open calls the browser of the desktop with the page's address."""
    called = tmp_path / "called"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {called}.new && mv {called}.new {called}\n')
    browser.chmod(0o755)
    port = free_port()
    with running("serve", "--port", str(port), "--open", DATABASE_URL=database.server_dsn, BROWSER=f"{browser} %s"):
        deadline = time.monotonic() + PATIENCE
        while not called.exists():
            assert time.monotonic() < deadline, "no browser was opened"
            time.sleep(0.02)
    assert called.read_text() == f"http://127.0.0.1:{port}/\n"


def test_reload_serves_the_new_code(database: Database, tmp_path: Path) -> None:
    """With --reload a changed file of the package is served without a restart by hand; Ctrl-C ends both processes."""
    for name in ("sql", "web", "migrations"):
        shutil.copytree(resources.folder(name), tmp_path / name)
    shutil.copytree(
        Path(resources.__file__).parent, tmp_path / "stability", ignore=shutil.ignore_patterns("__pycache__")
    )
    url = f"http://127.0.0.1:{free_port()}"
    options = ["serve", "--reload", "--port", url.rpartition(":")[2]]
    with terminal(*options, DATABASE_URL=database.server_dsn, PYTHONPATH=str(tmp_path), PYTHONSAFEPATH="1") as server:
        server.read_until("listening")
        assert httpx.get(f"{url}/livez").json() == {"status": "ok"}
        changed = tmp_path / "stability/http/health.py"
        changed.write_text(changed.read_text().replace('{"status": "ok"}', '{"status": "new"}'))
        deadline = time.monotonic() + PATIENCE
        while json.loads(httpx.get(f"{url}/livez", timeout=PATIENCE).text) != {"status": "new"}:
            assert time.monotonic() < deadline, server.text
            time.sleep(0.1)
        server.type("\x03")
        assert server.process.wait(10) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/livez")


def test_observe_knows_what_can_be_observed(database: Database) -> None:
    """A monitor that does not exist is refused with a sentence."""
    none = stability("observe", "weather", DATABASE_URL=database.server_dsn)
    assert (none.returncode, "'weather' is no monitor; there are: jobs" in none.stderr) == (2, True)
