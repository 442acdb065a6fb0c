"""Shows the live state in a terminal; in a pipe one line a change, for people or as JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stability.frames import compact, timestamp
from stability.sight import WORDS, Follow, Sight, Source, State

# never by colour alone: each state has a mark of its own
_LOOKS: Final[dict[State, tuple[str, str]]] = {
    "stable": ("✔", "bold green"),
    "processing": ("○", "bold yellow"),
    "unknown": ("?", "bold bright_black"),
}
_TRANSPORTS: Final = {
    "live": "live stream",
    "reconnecting": "reconnecting",
    "database": "straight on the database",
}
_REFRESH: Final = 2  # times a second, so that ages count and a resized terminal is filled again
_SPANS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))  # seconds


async def watch(follow: Follow, console: Console, where: str, *, as_json: bool = False) -> None:
    """Show every change, for ever: a live table in a terminal, else a line each."""
    if as_json or not console.is_terminal:
        write = _json if as_json else line
        await follow(lambda sight: console.out(write(sight), highlight=False))
        return
    await _live(follow, console, where)


async def _live(follow: Follow, console: Console, where: str) -> None:
    last: Sight | None = None

    def picture() -> RenderableType:
        return _table(last, where, datetime.now(UTC)) if last else Text(f"Asking {where} …")

    # the alternate screen: the only one that a resize leaves clean
    live = Live(console=console, get_renderable=picture, refresh_per_second=_REFRESH, screen=True)

    def tell(sight: Sight) -> None:
        nonlocal last
        last = sight
        live.refresh()

    try:
        with live:
            await follow(tell)
    finally:
        if last:
            console.out(line(last), highlight=False)


def line(sight: Sight) -> str:
    """A change in one line: `2026-11-24T19:31:11.123Z processing import_job=2 analytics_tasks=0 listener=live`."""
    sources = [f"{name}={source.amount}" for name, source in sight.sources.items()]
    facts = [timestamp(sight.as_of), sight.state, *sources, f"listener={sight.listener}"]
    if sight.transport != "live":
        facts.append(f"transport={sight.transport}")
    if sight.state == "unknown":
        facts.append(f"({sight.busy()})")
    return " ".join(facts)


def age(seconds: float) -> str:
    """A span as people say it: the largest unit that fits, whole."""
    for size, unit in _SPANS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 0)} s"


def _json(sight: Sight) -> str:
    return compact(sight.plain()).decode()


def _table(sight: Sight, where: str, now: datetime) -> RenderableType:
    mark, style = _LOOKS[sight.state]
    head = Text.assemble((f"{mark} {WORDS[sight.state]}", style), f"   since {_clock(sight.since, now)}")
    facts = Table.grid(padding=(0, 2))
    facts.add_column()
    facts.add_column(overflow="fold")
    facts.add_row("as of", _clock(sight.as_of, now))
    facts.add_row("listener", sight.listener)
    facts.add_row("transport", Text(f"{_TRANSPORTS[sight.transport]}, {where}"))
    if sight.state == "unknown":
        facts.add_row("reason", Text(sight.busy()))
    parts: list[RenderableType] = [head, Text(), facts]
    if sight.sources:
        parts += [Text(), _sources(sight.sources)]
    return Padding(Group(*parts), (1, 2))


def _sources(sources: Mapping[str, Source]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("source", overflow="fold")
    table.add_column("work", overflow="fold")
    table.add_column("count", justify="right")
    for name, source in sources.items():
        work = (
            Text(source.error, "red") if source.error else Text("active", "yellow") if source.active else Text("none")
        )
        table.add_row(Text(name), work, source.amount)
    return table


def _clock(moment: datetime, now: datetime) -> str:
    local = moment.astimezone()
    form = "%H:%M:%S" if local.date() == now.astimezone().date() else "%Y-%m-%d %H:%M:%S"
    return f"{local.strftime(form)} ({age((now - moment).total_seconds())} ago)"
