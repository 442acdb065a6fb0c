"""The command line. Every error that a person can mend is one sentence on standard error: exit 2 for wrong usage, else 1."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from stability import __version__, logs, run, schema
from stability.errors import SettingError, StabilityError
from stability.settings import Settings, load

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="STABILITY_HOST")]
Port = Annotated[int | None, typer.Option(help="TCP port to listen on.", show_default="STABILITY_PORT")]


@contextmanager
def told() -> Iterator[None]:
    """Turn an error that a person can mend into one sentence and an exit status."""
    try:
        yield
    except StabilityError as error:
        stderr.print(f"stability: {error}", markup=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, SettingError) else 1)


def _settings(**overrides: Any) -> Settings:
    settings = load(**overrides)
    logs.configure(settings.log_format, settings.log_level)
    return settings


@app.command()
def up(host: Host = None, port: Port = None) -> None:
    """Start everything: a Postgres of our own (unless DATABASE_URL names one), the newest schema, and the page."""

    def welcome(running: run.Running) -> None:
        console.print(f"page       {running.address}/", f"database   {running.dsn}", sep="\n", markup=False, soft_wrap=True)

    with told():
        run.up(_settings(host=host, port=port), welcome)


@app.command()
def serve(host: Host = None, port: Port = None) -> None:
    """Serve the page on a database whose schema is migrated separately."""
    with told():
        run.serve(_settings(host=host, port=port), lambda running: console.print(running.address, markup=False))


@app.command()
def migrate() -> None:
    """Create or update our schema; a database that has the tables already is adopted."""
    with told(), run.database_of(_settings()) as conninfo:
        schema.migrate(conninfo)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    """A live status badge over Postgres that never lies."""
    if version:
        console.print(__version__)
        raise typer.Exit
