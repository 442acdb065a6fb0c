"""What `stability up` says once it runs: where things are, and what to try next."""

import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from stability import __version__, connection
from stability.postgres import binaries
from stability.run import Running

_BUSY = "INSERT INTO import_job (slug, state) VALUES ('hello', 'importing_data')"


def welcome(console: Console, running: Running) -> None:
    """Print the address, the database and the next steps."""
    console.print(f"\nStability {__version__} is up.", style="bold", markup=False)
    _facts(console, [("page", running.page), ("database", connection.masked(running.dsn))])
    stability = program()
    console.print("Try next, in a second terminal:")
    _steps(
        console,
        [
            (f"{stability} demo", "import a CSV and let workers compute over it"),
            (f"{stability} watch", "follow the state in the terminal"),
            (
                f'{_psql(running)} "$({stability} dsn)" -c "{_BUSY}"',
                "turn the badge yellow; UPDATE import_job SET state = 'finished' makes it green again",
            ),
        ],
    )
    console.print("Ctrl-C ends it; the data stay.\n" if running.embedded else "Ctrl-C ends it.\n", style="dim")


def program() -> str:
    """How this program was called, so that it can be called again."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m stability"
    found = shutil.which(called.name)
    return called.name if found and Path(found).samefile(called) else str(called)


def _psql(running: Running) -> str:
    """Our own Postgres brings a psql for machines that have none."""
    if running.embedded and not shutil.which("psql"):
        return str(binaries.find().bin / "psql")
    return "psql"


def _facts(console: Console, facts: list[tuple[str, str]]) -> None:
    # no table: whatever the width, an address must stay in one piece to be clicked or copied
    console.print()
    for name, value in facts:
        console.print(Text.assemble(f"  {name:<10}", (value, "cyan")), soft_wrap=True)
    console.print()


def _steps(console: Console, steps: list[tuple[str, str]]) -> None:
    console.print()
    for command, effect in steps:
        console.print(Text.assemble(("  # " + effect, "dim")), soft_wrap=True)
        console.print(Text("  " + command, "green"), soft_wrap=True)
    console.print()
