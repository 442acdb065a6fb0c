"""`stability torture DSN`: warns and asks, plays the histories, prints the scores."""

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.prompt import Confirm
from rich.text import Text

from stability.errors import SettingError
from stability.torture.plan import Plan, any_seed


def torture(  # noqa: PLR0913, PLR0917 -- options, given by name
    dsn: Annotated[str, typer.Argument(metavar="DSN", help="A scratch server; the role may create databases.")],
    seed: Annotated[int, typer.Option(default_factory=any_seed, help="Of the first history.", show_default="random")],
    histories: Annotated[int, typer.Option(help="How many, for each design.")] = Plan.histories,
    rereads: Annotated[bool | None, typer.Option(help="With periodic re-reads?", show_default="both")] = None,
    bound: Annotated[float, typer.Option(help="Seconds that old news may be shown.")] = Plan.bound,
    lanes: Annotated[int, typer.Option(help="Histories at a time.")] = Plan.lanes,
    yes: Annotated[bool, typer.Option("--yes", help="It is a scratch server: do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Check what clients show against the commit order.

    For a scratch server only. Plays random overlapping transactions, with faults, on real servers in databases of its
    own; and the naive design on the same ones beside ours. Exit 1 when ours was wrong.
    """
    from stability import settings
    from stability.torture import report
    from stability.torture.playing import run

    plan = Plan(seed, histories, rereads, bound, lanes)
    plan.check()
    conninfo = settings.load(DATABASE_URL=dsn).conninfo or ""
    stdout, stderr = Console(highlight=False), Console(stderr=True, highlight=False)
    if not yes:
        _ask(conninfo, stderr)
    stderr.print(f"seed {plan.seed}")
    with report.progress(plan.histories, stderr) as told:
        scores = run(conninfo, plan, told)
    if as_json:
        found = {"seed": plan.seed, "bound": plan.bound, "scores": [score.plain() for score in scores]}
        stdout.out(json.dumps(found), highlight=False)
    else:
        report.show(scores, stdout)
    raise typer.Exit(0 if all(score.passed for score in scores) else 1)


def _ask(conninfo: str, console: Console) -> None:
    """Go on only for somebody who says that the server is for this; raises SettingError for anybody else."""
    from stability.connection import masked

    console.print(
        Text(
            f"This is for a scratch server only. On {masked(conninfo)} it makes databases of its own, keeps the whole"
            " server busy, kills backends in those databases, and drops them at the end; no other database is touched."
        ),
        soft_wrap=True,
    )
    if not (sys.stdin.isatty() and Confirm.ask("Is that a scratch server?", console=console, default=False)):
        raise SettingError("--yes", "nothing was done; give it where the server is a scratch server.")
