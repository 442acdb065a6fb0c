"""What shall happen in a history: drawn from its seed alone, so that a seed repeats it and two designs get the same.

How its transactions interleave is up to the machine.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

Act: TypeAlias = Literal[
    "add", "add job", "add sweep", "defer", "take", "settle", "delete", "settle job", "delete job", "move", "look",
    "empty tasks", "empty jobs",
]  # fmt: skip
Isolation: TypeAlias = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
Savepoint: TypeAlias = Literal["none", "kept", "undone"]
Rest: TypeAlias = Literal["none", "arming", "armed"]
Kind: TypeAlias = Literal["listener killed", "readers killed", "server killed", "server frozen"]

ISOLATIONS: Final[Sequence[Isolation]] = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
SERVERS: Final = 2
MOST_WRITERS: Final = 6
FAULTY: Final = 0.25  # of the histories
_LINGER: Final = (
    0.8,
    1.4,
)  # seconds after the last active row in which a server arms the register and waits for its fence
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, `pause` seconds after the one before; `choice` from 0 to 1 picks what it does it with."""

    act: Act
    choice: float
    pause: float
    savepoint: Savepoint


@dataclass(frozen=True, slots=True)
class Transaction:
    """Begins after a pause, does its steps, and is held for a while before its end."""

    pause: float
    isolation: Isolation
    steps: tuple[Step, ...]
    hold: float
    rolled_back: bool


Writers: TypeAlias = tuple[tuple[Transaction, ...], ...]  # the transactions of each, one after another


@dataclass(frozen=True, slots=True)
class Fault:
    """What strikes one of the servers after so many seconds, and for how long."""

    after: float
    kind: Kind
    server: int
    seconds: float


@dataclass(frozen=True, slots=True)
class History:
    """One round: how it comes to rest before, who writes what, and what goes wrong meanwhile."""

    seed: int
    rest: Rest
    lull: float  # seconds of rest
    backlog: int | None  # active tasks to begin with; None leaves those that there are
    writers: Writers
    faults: tuple[Fault, ...]


def draw(seed: int) -> History:
    """The history of this seed."""
    chance = random.Random(seed)  # noqa: S311 -- repeats, keeps no secret
    rests: dict[Rest, float] = {"none": 40, "arming": 15, "armed": 45}
    rest = _one(chance, rests)
    plots: dict[Callable[[random.Random], Writers], float] = {
        _mixture: 40, _last_tasks: 35, _last_task_and_a_new_one: 17, _one_stays_open: 8,
    }  # fmt: skip
    plot = _one(chance, plots)
    return History(
        seed=seed,
        rest=rest,
        lull=chance.uniform(*_LINGER) if rest == "arming" else chance.uniform(0, 0.25),
        backlog=chance.choice((None, 1, 3)) if (rest, plot) == ("none", _mixture) else 0,
        writers=plot(chance),
        faults=_faults(chance) if chance.random() < FAULTY else (),
    )


def _mixture(chance: random.Random) -> Writers:
    """Everything there is, at any time."""
    busy = chance.choice((0.2, 0.45, 0.7))
    pace = chance.choice((0, 0.3, 1))
    return tuple(
        tuple(_transaction(chance, busy, pace) for _ in range(chance.randint(1, 3)))
        for _ in range(chance.randint(3, MOST_WRITERS))
    )


def _last_tasks(chance: random.Random) -> Writers:
    """Each begins a task and finishes one, all at the same time: write skew, for whoever looks before the commit."""
    return tuple(_begin_and_finish(chance) for _ in range(chance.randint(3, MOST_WRITERS)))


def _last_task_and_a_new_one(chance: random.Random) -> Writers:
    """Another task is committed while the last one is being finished: commit inversion. Others change their mind."""
    new = Transaction(chance.uniform(0.03, 0.08), "READ COMMITTED", (_plain("add", chance),), 0, rolled_back=False)
    undone = Transaction(chance.uniform(0, 0.1), "READ COMMITTED", (_plain("add", chance),), 0, rolled_back=True)
    return (_begin_and_finish(chance), (new,), *[(undone,)] * chance.randint(1, 2))


def _one_stays_open(chance: random.Random) -> Writers:
    """What it writes while the register is closed is committed when it has been armed again, or is about to be."""
    steps = (_plain("add", chance), _plain(chance.choice(("look", "settle")), chance))
    isolation = chance.choice(ISOLATIONS)
    open_ = Transaction(0.02, isolation, steps, chance.uniform(0.9, 2.7), chance.random() < 0.1)  # noqa: PLR2004
    return ((open_,), *_last_tasks(chance)[1:])


def _begin_and_finish(chance: random.Random) -> tuple[Transaction, ...]:
    begin = Transaction(0, "READ COMMITTED", (_plain("add", chance),), 0, rolled_back=False)
    return begin, Transaction(
        pause=chance.uniform(0, 0.03),
        isolation="READ COMMITTED",
        steps=(_plain("settle", chance),),
        hold=chance.uniform(0.02, 0.1),
        rolled_back=chance.random() < 0.05,  # noqa: PLR2004
    )


def _plain(act: Act, chance: random.Random) -> Step:
    return Step(act, chance.random(), 0, "none")


def _transaction(chance: random.Random, busy: float, pace: float) -> Transaction:
    if chance.random() < 0.03:  # noqa: PLR2004
        # alone and short: it keeps out readers, too
        act: Act = "empty tasks" if chance.random() < 0.5 else "empty jobs"  # noqa: PLR2004
        step = Step(act, 0, 0, "none")
        return Transaction(chance.uniform(0, 0.2), "READ COMMITTED", (step,), 0, chance.random() < 0.2)  # noqa: PLR2004
    return Transaction(
        pause=pace * chance.choice((0, chance.uniform(0, 0.05), chance.uniform(0, 0.3))),
        isolation=_one(chance, {"READ COMMITTED": 70, "REPEATABLE READ": 20, "SERIALIZABLE": 10}),
        steps=tuple(_step(chance, busy, pace) for _ in range(chance.randint(1, 3))),
        hold=pace * chance.choice((0, 0, chance.uniform(0, 0.3))),
        rolled_back=chance.random() < 0.15,  # noqa: PLR2004
    )


def _step(chance: random.Random, busy: float, pace: float) -> Step:
    begins: dict[Act, float] = {"add": 60, "add job": 20, "add sweep": 8, "defer": 6, "take": 6}
    settles: dict[Act, float] = {
        "settle": 60, "delete": 12, "settle job": 18, "delete job": 4, "move": 4, "look": 2,
    }  # fmt: skip
    return Step(
        act=_one(chance, begins if chance.random() < busy else settles),
        choice=chance.random(),
        pause=pace * chance.choice((0, 0, chance.uniform(0, 0.02))),
        savepoint=_one(chance, {"none": 80, "kept": 10, "undone": 10}),
    )


def _faults(chance: random.Random) -> tuple[Fault, ...]:
    kinds: dict[Kind, float] = {
        "listener killed": 35, "readers killed": 20, "server frozen": 30, "server killed": 15,
    }  # fmt: skip
    return tuple(
        Fault(chance.uniform(0, 0.4), _one(chance, kinds), chance.randrange(SERVERS), chance.uniform(0.1, 0.7))
        for _ in range(chance.choice((1, 1, 2)))
    )


def _one(chance: random.Random, weights: dict[_T, float]) -> _T:
    choices: Sequence[_T] = list(weights)
    return chance.choices(choices, list(weights.values()))[0]
