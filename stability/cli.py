"""The command line: each command parses, calls and prints.

Every error that a person can mend is one sentence on standard error: exit 2 for wrong usage, else 1. Each command
imports what it needs itself: containers ask for their health every few seconds, and need not load a server for it.
"""

import asyncio
import io
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stability import __version__
from stability.demo.plan import Plan
from stability.errors import DatabaseError, SettingError, StabilityError
from stability.terminal.commands import console, say, settings_of, stderr, told
from stability.terminal.options import Asked, Direct, Host, Open, Port, Uds, Url, duration
from stability.torture.command import torture

if TYPE_CHECKING:
    from stability.run import Running
    from stability.sight import Sight

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _open(address: str) -> None:
    # a browser of the terminal would hold up the server until it is closed
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


@app.command()
def up(host: Host = None, port: Port = None, uds: Uds = None, browser: Open = False) -> None:
    """Start everything: database, schema and page.

    The database is a Postgres of our own, unless DATABASE_URL or PG* names one. Ctrl-C or SIGTERM ends it all.
    """

    from stability import run
    from stability.terminal.welcome import welcome

    def started(running: "Running") -> None:
        welcome(console, running)
        if browser:
            _open(running.page)

    with told():
        run.up(settings_of(host=host, port=port, uds=uds), started)


@app.command()
def serve(  # noqa: PLR0913, PLR0917 -- each option is one
    host: Host = None,
    port: Port = None,
    uds: Uds = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the port.", show_default="STABILITY_WORKERS, else 1")
    ] = None,
    reuse_port: Annotated[
        bool | None, typer.Option("--reuse-port", help="Share the port with servers that say so too.")
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when our Python files change.")] = False,
    browser: Open = False,
) -> None:
    """Serve the page on a migrated database.

    On an older schema the state is unknown until `stability migrate` has run.
    """

    from stability import run

    def started(running: "Running") -> None:
        console.print(running.address, markup=False, soft_wrap=True)
        if browser:
            _open(running.page)

    with told():
        settings = settings_of(host=host, port=port, uds=uds, workers=workers, reuse_port=reuse_port)
        run.serve(settings, started, reload=reload)


@app.command()
def migrate(
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Remove everything that is ours.")] = False,
    drop_data: Annotated[bool, typer.Option("--drop-data", help="Remove tables of ours that have rows too.")] = False,
) -> None:
    """Create, update or remove our schema.

    Tables that the database has already are adopted, whoever writes to them meanwhile.
    """
    if drop_data and not uninstall:
        raise typer.BadParameter("it only goes with --uninstall.", param_hint="--drop-data")
    from stability import connection
    from stability.demo.carrying import clean
    from stability.demo.ledger import ForeignSchemaError
    from stability.schema import migration, revision

    with told():
        settings = settings_of()
        with connection.database_of(settings) as conninfo:
            if uninstall:
                try:
                    if clean(conninfo):
                        say("removed everything of the demo")
                except ForeignSchemaError as error:
                    say(f"{error}; it stays")
                migration.uninstall(conninfo, drop_data=drop_data, tell=say)
            else:
                migration.migrate(settings.listen_conninfo or conninfo, say)
                say(f"the schema is at revision {revision.revisions()[0]}")


@app.command()
def demo(
    file: Annotated[
        Path | None, typer.Argument(help="CSV file with a header line.", show_default="one is made")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of the file that is made.")] = Plan.rows,
    workers: Annotated[int, typer.Option(help="Workers that compute over the rows.")] = Plan.workers,
    clean: Annotated[bool, typer.Option("--clean", help="Remove everything that demos wrote, and stop.")] = False,
) -> None:
    """Import a CSV file and compute over its rows.

    Something for the badge to show: the state follows each step, with progress.
    """
    from stability import connection
    from stability.demo import carrying

    with told(), connection.database_of(settings_of(), start=False) as conninfo:
        if clean:
            removed = carrying.clean(conninfo)
            say("removed everything of the demo" if removed else "there is nothing of the demo to remove")
        else:
            raise typer.Exit(carrying.run(conninfo, file, rows=rows, workers=workers, console=console).exit_status)


@app.command()
def watch(
    url: Url = None,
    database: Direct = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each change as one line of JSON.")] = False,
) -> None:
    """Show the live state, until Ctrl-C.

    In a pipe it prints one line per change.
    """
    from stability.terminal import watching
    from stability.terminal.way import to_the_truth

    with told(), to_the_truth(settings_of(quiet=True), url, database=database) as (follow, where):
        asyncio.run(watching.watch(follow, console, where, as_json=as_json))


@app.command()
def wait(
    timeout: Annotated[float | None, typer.Option(parser=duration, metavar="TIME", help="10m, 90s, 1h30m.")] = None,
    xid: Annotated[
        int | None, typer.Option(min=3, help="Count only what knows of this transaction (pg_current_xact_id()).")
    ] = None,
    url: Url = None,
    database: Direct = False,
) -> None:
    """Wait until the system is stable.

    Exit 0 when it is, 1 after the time-out, with what is still active. A state that nobody can prove is not stable.
    """
    from rich.text import Text

    from stability.sight import WORDS
    from stability.terminal import waiting
    from stability.terminal.way import to_the_truth

    with told(), to_the_truth(settings_of(quiet=True), url, database=database, after=xid) as (follow, where):
        with stderr.status(f"Asking {where}") as status:

            def seen(sight: "Sight") -> None:
                status.update(Text(f"{WORDS[sight.state]}: {sight.busy()}"))

            last = asyncio.run(waiting.until_stable(follow, timeout, seen))
        if last is None or last.state != "stable":
            raise StabilityError(f"not stable after {timeout:g} s: {waiting.sentence(last)}")
        console.print(WORDS[last.state])


@app.command()
def sources() -> None:
    """List what is watched, and what is active now."""
    from rich.table import Table
    from rich.text import Text

    from stability import connection
    from stability.terminal import sources as watched

    with told(), connection.database_of(settings_of(quiet=True), start=False) as conninfo:
        found = asyncio.run(watched.read(conninfo))
        if not found:
            console.print("Nothing is watched: `SELECT stability.watch(…)` registers a table.", markup=False)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        for title in ("NAME", "RELATION", "ACTIVE", "COUNT", "PROBLEM"):
            table.add_column(title, justify="right" if title == "COUNT" else "left", overflow="fold")
        for source in found:
            table.add_row(*map(Text, source.cells()))
        console.print(table)


@app.command()
def observe(
    monitor: Annotated[str, typer.Argument(help="Which monitor's work, such as deployments.", metavar="NAME")],
) -> None:
    """Do one monitor's background work without a server.

    Servers that run beside it leave that work alone, and take over when it ends. Ctrl-C or SIGTERM ends it.
    """
    from stability import run

    with told():
        run.observe(settings_of(), monitor)


@app.command()
def doctor(
    url: Annotated[
        str | None, typer.Option(help="Server, as browsers reach it.", show_default="STABILITY_URL, else the local one")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all findings as one JSON document.")] = False,
) -> None:
    """Say what is wrong, and how to mend it.

    Looks at the database, at our part of it, and at the server behind its proxy. Exit 1 when there is a problem.
    """
    from stability import connection
    from stability import doctor as examination

    report = examination.Report(console, as_json=as_json)
    with told():
        settings = settings_of(quiet=True)
        try:
            with connection.database_of(settings, start=False) as conninfo:
                asyncio.run(examination.examine(settings, conninfo, url, report.tell))
        except DatabaseError as error:
            if not as_json:
                raise
            report.tell(examination.no_database(error))
    raise typer.Exit(report.end())


@app.command()
def healthcheck(
    server: Annotated[
        str | None, typer.Argument(help="The same as --url.", metavar="[URL]", show_default=False)
    ] = None,
    url: Asked = None,
) -> None:
    """Exit 0 while the truth is proven, else 1.

    For containers: asks the server's /readyz, and says what is missing.
    """
    from stability import client

    with told():
        if server and url:
            raise SettingError("--url", "the server is named already: give one of the two.")
        if reason := asyncio.run(client.why_not_ready(client.server_of(settings_of(quiet=True), url or server))):
            raise StabilityError(reason)
        console.print("ready")


@app.command()
def dsn() -> None:
    """Print the database's connection string.

    With its password, since programs need it: psql "$(stability dsn)". Exit 1 where there is none.
    """
    from stability import connection

    with told():
        console.print(connection.in_use(settings_of(quiet=True)), markup=False, soft_wrap=True)


app.command()(told()(torture))


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    """A live status badge over Postgres that never lies."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no ✔ shows a ?
    if version:
        console.print(__version__)
        raise typer.Exit
