"""What commands share: their options, where they print, and how an error is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from stability import durations
from stability.errors import SettingError, StabilityError

if TYPE_CHECKING:
    from stability.settings import Settings

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


def duration(text: str) -> float:
    """Seconds, for an option; raises BadParameter."""
    try:
        return durations.duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="STABILITY_HOST")]
Port = Annotated[int | None, typer.Option(help="TCP port to listen on; 0 picks one.", show_default="STABILITY_PORT")]
Uds = Annotated[Path | None, typer.Option(help="Unix socket to listen on instead.", show_default="STABILITY_UDS")]
Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]
Url = Annotated[str | None, typer.Option(help="Server to follow.", show_default="STABILITY_URL, else the local one")]
Direct = Annotated[bool, typer.Option("--database", help="Follow the database itself, without a server.")]


@contextmanager
def told() -> Iterator[None]:
    """Turn an error that a person can mend into one sentence and an exit status."""
    try:
        yield
    except StabilityError as error:
        stderr.print(f"stability: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2 if isinstance(error, SettingError) else 1) from error


def settings_of(*, quiet: bool = False, **overrides: Any) -> "Settings":
    """The settings, with which logging is set up; raises SettingError."""
    from stability import logs
    from stability.settings import load

    settings = load(**overrides)
    logs.configure(settings.log_format, "error" if quiet else settings.log_level, settings.worker)
    return settings


def say(line: str) -> None:
    """Print it as it is."""
    console.print(line, markup=False, soft_wrap=True)
