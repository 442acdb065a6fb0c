"""Writers that do what the script says, and write down what they committed."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, LiteralString

import psycopg

from stability.torture.script import Act, Step, Transaction
from stability.torture.truth import Begun, Commit, Effect, Emptied, Ledger, Moved, Settled, Span, State, Table

SWEEP: Final = "sweep"  # a command that moves from queue to queue, and begins where it does not count
EMPTY: Final = State(silent=frozenset({SWEEP}))
LATER: Final = (0.1, 0.8)  # seconds until a deferred task is due

COMMANDS: LiteralString = """
    INSERT INTO worker.command_registry (command, queue) VALUES ('derive', 'analytics'), ('sweep', 'maintenance')
"""
SETTLE_ALL: LiteralString = """
    WITH jobs AS (
        UPDATE public.import_job SET state = 'finished'
         WHERE state NOT IN ('finished', 'failed', 'rejected') RETURNING id
    ), tasks AS (
        UPDATE worker.tasks SET state = 'completed'
         WHERE state NOT IN ('completed', 'failed', 'interrupted') RETURNING id
    )
    SELECT 'jobs', id FROM jobs UNION ALL SELECT 'tasks', id FROM tasks
"""
_PICK: Final[Mapping[Table, LiteralString]] = {
    "tasks": """
        SELECT id FROM worker.tasks WHERE state NOT IN ('completed', 'failed', 'interrupted')
         ORDER BY id DESC LIMIT 1 FOR UPDATE SKIP LOCKED
    """,
    "jobs": """
        SELECT id FROM public.import_job WHERE state NOT IN ('finished', 'failed', 'rejected')
         ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    """,
}
_BEGIN: Final[Mapping[Act, LiteralString]] = {
    "add": "INSERT INTO worker.tasks (command, state) VALUES ('derive', %(active)s) RETURNING id, command",
    "add sweep": "INSERT INTO worker.tasks (command, state) VALUES ('sweep', %(active)s) RETURNING id, command",
    "add job": "INSERT INTO public.import_job (slug, state) VALUES ('torture', %(active)s) RETURNING id, ''",
    "defer": """
        INSERT INTO worker.tasks (command, state, scheduled_at)
        VALUES ('derive', 'pending', clock_timestamp() + make_interval(secs => %(later)s)) RETURNING id, command
    """,
    "take": "UPDATE worker.tasks SET state = 'processing' WHERE id = %(picked)s RETURNING id, command",
}
_SETTLE: Final[Mapping[Act, LiteralString]] = {
    "settle": "UPDATE worker.tasks SET state = %(settled)s WHERE id = %(picked)s RETURNING id",
    "delete": "DELETE FROM worker.tasks WHERE id = %(picked)s RETURNING id",
    "settle job": "UPDATE public.import_job SET state = %(settled_job)s WHERE id = %(picked)s RETURNING id",
    "delete job": "DELETE FROM public.import_job WHERE id = %(picked)s RETURNING id",
}
_PICKING: Final = {"take", *_SETTLE}
_EMPTY: Final[Mapping[Act, LiteralString]] = {
    "empty tasks": "TRUNCATE worker.tasks",
    "empty jobs": "TRUNCATE public.import_job",
}
_MOVE: LiteralString = "UPDATE worker.command_registry SET queue = %(queue)s WHERE command = 'sweep'"
_LOOK: LiteralString = "SELECT count(*) FROM worker.tasks WHERE state NOT IN ('completed', 'failed', 'interrupted')"
# TRUNCATE keeps out readers, too, while it waits: for a long transaction it had better not
_PATIENCE: LiteralString = "SET LOCAL lock_timeout = '50ms'"
_REFUSALS: Final = ("40", "55")  # classes of SQLSTATE: lost a race, or did not get a lock


class Writer:
    """One writer at a time commits on `connection` what the script says, and writes it down in `ledger`."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], ledger: Ledger) -> None:
        self._connection, self._ledger = connection, ledger

    async def play(self, transactions: Iterable[Transaction]) -> None:
        """Do them one after another; one that Postgres refuses is rolled back."""
        for transaction in transactions:
            await asyncio.sleep(transaction.pause)
            try:
                await self._carry_out(transaction)
            except psycopg.Error as error:
                if not (error.sqlstate or "").startswith(_REFUSALS):
                    raise
                await self._connection.execute("ROLLBACK")

    async def settle_all(self, backlog: int) -> None:
        """Settle whatever is active, then begin so many tasks; all in one transaction."""
        await self._connection.execute("BEGIN")
        found = await (await self._connection.execute(SETTLE_ALL)).fetchall()
        effects: list[Effect] = [Settled(table, number) for table, number in found]
        for _ in range(backlog):
            effects += await self._do(Step("add", 0, 0, "none"))
        await self._commit(effects)

    async def _carry_out(self, transaction: Transaction) -> None:
        effects: list[Effect] = []
        await self._connection.execute(f"BEGIN ISOLATION LEVEL {transaction.isolation}".encode())
        for step in transaction.steps:
            await asyncio.sleep(step.pause)
            effects += await self._step(step)
        await asyncio.sleep(transaction.hold)
        if transaction.rolled_back:
            await self._connection.execute("ROLLBACK")
        else:
            await self._commit(effects)

    async def _commit(self, effects: Iterable[Effect]) -> None:
        asked = monotonic()
        await self._connection.execute("COMMIT")
        self._ledger.commits.append(Commit(asked, monotonic(), tuple(effects)))

    async def _step(self, step: Step) -> list[Effect]:
        if step.savepoint == "none":
            return await self._do(step)
        await self._connection.execute("SAVEPOINT torture")
        effects = await self._do(step)
        undone = step.savepoint == "undone"
        await self._connection.execute("ROLLBACK TO SAVEPOINT torture" if undone else "RELEASE SAVEPOINT torture")
        return [] if undone else effects

    async def _do(self, step: Step) -> list[Effect]:
        values, table = _values(step.choice), _table(step.act)
        if step.act in _PICKING:
            picked = await (await self._connection.execute(_PICK[table])).fetchone()
            values["picked"] = picked[0] if picked else None  # where there is nothing, a statement that touches no row
        began = monotonic()
        if statement := _BEGIN.get(step.act):
            rows = await (await self._connection.execute(statement, values)).fetchall()
            due = Span(began + values["later"], monotonic() + values["later"]) if step.act == "defer" else None
            return [Begun(table, number, command, due) for number, command in rows]
        if statement := _SETTLE.get(step.act):
            rows = await (await self._connection.execute(statement, values)).fetchall()
            return [Settled(table, number) for (number,) in rows]
        if statement := _EMPTY.get(step.act):
            await self._connection.execute(_PATIENCE)
            await self._connection.execute(statement)
            return [Emptied(table)]
        if step.act == "move":
            await self._connection.execute(_MOVE, values)
            return [Moved(SWEEP, values["queue"] == "analytics")]
        await self._connection.execute(_LOOK)
        return []


def _table(act: Act) -> Table:
    return "jobs" if "job" in act else "tasks"


def _values(choice: float) -> Any:
    """What a statement may be filled in with, all picked by one number from 0 to 1."""
    return {
        "active": _pick(choice, ("pending", "processing", "waiting", "a_state_of_next_year")),
        "settled": _pick(choice, ("completed", "failed", "interrupted")),
        "settled_job": _pick(choice, ("finished", "failed", "rejected")),
        "queue": _pick(choice, ("analytics", "maintenance")),
        "later": LATER[0] + choice * (LATER[1] - LATER[0]),
    }


def _pick(choice: float, among: Sequence[str]) -> str:
    return among[int(choice * len(among))]
