"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from stability import durations


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
Asked = Annotated[
    str | None, typer.Option("--url", help="Server to ask.", show_default="STABILITY_URL, else the local one")
]
Direct = Annotated[bool, typer.Option("--database", help="Follow the database itself, without a server.")]
