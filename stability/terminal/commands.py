"""What commands share: where they print, the settings, and how an error is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from stability.errors import SettingError, StabilityError

if TYPE_CHECKING:
    from stability.settings import Settings

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


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
