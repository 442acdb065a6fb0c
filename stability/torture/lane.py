"""Plays histories on one database, one after another, and judges what the clients showed."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import psycopg

from stability.torture.clients import Screen
from stability.torture.naive import Naive
from stability.torture.script import MOST_WRITERS, History
from stability.torture.servers import Servers
from stability.torture.truth import MEMORY, Lapse, Ledger, Shown, lapses
from stability.torture.writers import COMMANDS, EMPTY, Writer

RECOVERY: Final = 90.0  # seconds after which a client must know again, its server having been killed: it backs off
START: Final = 60.0  # seconds until the first clients must know

Connection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one history."""

    seed: int
    seconds: float
    wrong_ends: tuple[str, ...]  # the clients that ended on something else than the truth, and on what
    lapses: tuple[tuple[str, Lapse], ...]  # of more than the bound
    behind: float  # seconds that a client showed what was not true any more, at most
    unknown: float  # seconds that a client did not know, at most
    killed: bool  # whether a server was, so that its clients had to find another life of it
    overslept: bool  # whether the truth in the end is only that a task came due


class Lane:
    """One database, its writers and one design of telling."""

    def __init__(self, conninfo: str, bound: float, design: Callable[[Callable[[], None]], Servers | Naive]) -> None:
        self._conninfo = conninfo
        self._bound = bound  # seconds that a client may show what is not true any more
        self._news = asyncio.Event()
        self._design = design(self._news.set)
        self._begin = 0.0  # of what was not judged yet
        self._lost = False  # whether the last history ended wrong
        self._ledger: Ledger
        self._owner: Connection
        self._writers: list[Writer]

    async def run(
        self, histories: Iterable[History], judged: Callable[[Verdict], None], ready: asyncio.Barrier
    ) -> None:
        """Play them all, from when every lane is ready on: starting the servers keeps a machine busy."""
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(await self._connect()) for _ in range(MOST_WRITERS + 1)]
            self._owner = connections[0]
            await self._owner.execute(COMMANDS)
            self._ledger = Ledger(EMPTY, monotonic())
            self._writers = [Writer(connection, self._ledger) for connection in connections[1:]]
            await stack.enter_async_context(self._design.running())
            await self._agree(monotonic() + START)
            await ready.wait()
            self._begin = monotonic()
            for history in histories:
                judged(await self._play(history))

    async def _connect(self) -> Connection:
        return await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, prepare_threshold=None)

    async def _play(self, history: History) -> Verdict:
        if self._lost:
            await self._afresh()
        began = monotonic()
        await self._rest(history)
        async with asyncio.TaskGroup() as group:
            for writer, transactions in zip(self._writers, history.writers, strict=False):
                group.create_task(writer.play(transactions))
            for fault in history.faults:
                group.create_task(self._design.strike(fault, self._owner))
        wrong = await self._end()
        self._lost = bool(wrong)
        return self._judge(history, began, wrong)

    async def _afresh(self) -> None:
        await self._design.afresh(self._truth)
        await self._agree(monotonic() + START)
        self._begin = monotonic()

    async def _rest(self, history: History) -> None:
        if history.backlog is not None:
            await self._writers[0].settle_all(history.backlog)
        if history.rest != "none" and await self._agree(monotonic() + self._bound):
            await self._design.rest(history.rest, history.lull, self._owner)

    async def _end(self) -> tuple[str, ...]:
        """Wait until every client shows the truth for good; which do not, a bound after nothing happens any more."""
        due = [row.due.end for row in self._ledger.state.counting if row.due]
        over = max([monotonic(), *due])
        await asyncio.sleep(over - monotonic())
        if await self._agree(over + self._bound):
            return ()
        if not self._lied():
            await self._agree(over + RECOVERY)
        return tuple(f"{screen.name} shows {_word(screen.shows)}" for screen in self._astray())

    @property
    def _truth(self) -> bool:
        return not self._ledger.state.counting  # once all that is deferred is due

    async def _agree(self, deadline: float) -> bool:
        """Whether every client shows the truth at some moment until then; returns as soon as they do."""
        while self._astray():
            self._news.clear()
            try:
                async with asyncio.timeout_at(deadline):  # a loop's clock is the monotonic one
                    await self._news.wait()
            except TimeoutError:
                return not self._astray()
        return True

    def _astray(self) -> list[Screen]:
        return [screen for screen in self._design.screens if screen.shows is not self._truth]

    def _lied(self) -> bool:
        return any(screen.shows is not None for screen in self._astray())

    def _judge(self, history: History, began: float, wrong_ends: tuple[str, ...]) -> Verdict:
        begin, self._begin = self._begin, monotonic()
        possible, found, unknown = self._ledger.possible(self._begin), list[tuple[str, Lapse]](), 0.0
        for screen in self._design.screens:
            pieces = list(screen.pieces(begin, self._begin))
            found += [(screen.name, lapse) for lapse in lapses(pieces, possible, self._ledger.begin, screen.frozen)]
            unknown = max(unknown, *(p.span.end - p.span.begin for p in pieces if p.shown is None), 0.0)
            screen.forget(begin)
        active = self._ledger.state.counting
        self._ledger.forget(self._begin - MEMORY)
        return Verdict(
            seed=history.seed,
            seconds=self._begin - began,
            wrong_ends=wrong_ends,
            lapses=tuple((name, lapse) for name, lapse in found if lapse.seconds > self._bound),
            behind=max((lapse.seconds for _, lapse in found), default=0.0),
            unknown=unknown,
            killed=any(fault.kind == "server killed" for fault in history.faults),
            overslept=bool(active) and all(row.due for row in active),
        )


def _word(shown: Shown) -> str:
    return {True: "stable", False: "processing", None: "unknown"}[shown]
