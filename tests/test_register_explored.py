"""Every interleaving of a few writers and servers: nobody waits for a hint that will not come.

A model of sql/10, 17 and 18 and of stability/register.py, one step per thing that Postgres does at once. A writer takes
a snapshot, then a transaction id, then reads the register, then commits. A server arms (the value and the id at once),
commits that, takes a snapshot, reads the register, judges, and disarms what a hint carried. Servers crash and leases
run out at any moment. Rules that are known to be needed are taken out one by one, and each time a wake-up is lost.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import pytest

FENCE: Final = "no fence"
EARLY: Final = "a fence from the arming statement's snapshot"
COMPARE: Final = "closing without comparing"
BLIND: Final = "prolonging without comparing"
RECHECK: Final = "no look at the register when the truth is read"
SNAPSHOT: Final = "the register read through a snapshot"

IDLE, SNAPPED, ACTIVE, TOLD, DONE, GONE = range(
    6
)  # nothing yet, snapshot, id, read the register, committed, no row left


@dataclass(frozen=True, slots=True)
class Writer:
    """Inserts one active row."""

    phase: int = IDLE
    xid: int = 0
    seen: int = 0  # the open register as it found it, else 0


@dataclass(frozen=True, slots=True)
class Server:
    """`step` is what it does next; the rest is what it knows."""

    step: str = "look"
    arming: int = 0  # the id of an arming transaction that is under way
    value: int = 0
    fence: int = 0  # 0: none
    waiting: bool = False
    snapshot: tuple[bool, int] = (False, 0)  # whether it showed a row, and its xmin
    inbox: frozenset[int] = frozenset()
    carried: int = 0
    shows: bool = True  # whether the last snapshot that it judged had a row
    overslept: bool = False  # a lease has run out since it judged: it has been late, and looks when it wakes


@dataclass(frozen=True, slots=True)
class World:
    """Everything at one moment."""

    writers: tuple[Writer, ...]
    servers: tuple[Server, ...]
    register: int = 0
    lapsed: bool = False
    next_xid: int = 1
    next_value: int = 1
    completed: int = 0  # the highest id that is over
    crashes: int = 1
    lapses: int = 1

    @property
    def open(self) -> int:
        """The value while writers send hints."""
        return 0 if self.lapsed else self.register

    @property
    def rows(self) -> bool:
        """Whether there is a committed row."""
        return any(writer.phase == DONE for writer in self.writers)

    @property
    def xmin(self) -> int:
        """As Postgres has it: the lowest id that runs, else one above the highest that is over."""
        running = [w.xid for w in self.writers if w.phase in (ACTIVE, TOLD)]
        running += [s.arming for s in self.servers if s.arming]
        return min(running, default=self.completed + 1)

    def writer(self, n: int, **changes: int) -> "World":
        """One writer changed."""
        return replace(self, writers=(*self.writers[:n], replace(self.writers[n], **changes), *self.writers[n + 1 :]))

    def server(self, n: int, **changes: object) -> "World":
        """One server changed."""
        changed = replace(self.servers[n], **changes)  # type: ignore[arg-type]
        return replace(self, servers=(*self.servers[:n], changed, *self.servers[n + 1 :]))

    def hint(self, value: int) -> "World":
        """Every server gets what carries this value."""
        return replace(self, servers=tuple(replace(s, inbox=s.inbox | {value}) for s in self.servers))


def _writers(world: World, mutant: str | None) -> Iterator[World]:
    for n, writer in enumerate(world.writers):
        match writer.phase:
            case 0:
                yield world.writer(n, phase=SNAPPED, seen=world.open)
            case 1:
                yield replace(world.writer(n, phase=ACTIVE, xid=world.next_xid), next_xid=world.next_xid + 1)
            case 2:
                seen = writer.seen if mutant == SNAPSHOT else world.open
                yield world.writer(n, phase=TOLD, seen=seen)
            case 3:
                over = replace(world.writer(n, phase=DONE, xid=0, seen=0), completed=max(world.completed, writer.xid))
                yield over.hint(writer.seen) if writer.seen else over
                yield over.writer(n, phase=GONE)  # rolled back, and its hint with it
            case _:
                pass


def _environment(world: World) -> Iterator[World]:
    if world.rows:  # somebody finishes all work, in one transaction that is over at once
        gone = tuple(replace(w, phase=GONE) if w.phase == DONE else w for w in world.writers)
        done = replace(world, writers=gone, next_xid=world.next_xid + 1, completed=world.next_xid)
        yield done.hint(world.open) if world.open else done
    if world.lapses and world.open:
        late = tuple(replace(s, overslept=True) for s in world.servers)
        yield replace(world, servers=late, lapsed=True, lapses=world.lapses - 1)
    for n, server in enumerate(world.servers):
        if world.crashes:
            over = max(world.completed, server.arming)
            yield replace(_with(world, n, Server()), crashes=world.crashes - 1, completed=over)


def _with(world: World, n: int, server: Server) -> World:
    return replace(world, servers=(*world.servers[:n], server, *world.servers[n + 1 :]))


def _servers(world: World, mutant: str | None, values: int) -> Iterator[World]:
    for n, server in enumerate(world.servers):
        for value in server.inbox:
            step = "look" if server.waiting else server.step
            yield world.server(n, inbox=server.inbox - {value}, carried=value, step=step)
        yield from _step(world, n, mutant, values)


def _step(world: World, n: int, mutant: str | None, values: int) -> Iterator[World]:
    server = world.servers[n]
    match server.step:
        case "arm":
            yield from _arm(world, n, mutant, values)
        case "commit":
            yield replace(world.server(n, step="look", arming=0), completed=max(world.completed, server.arming))
        case "look":
            yield world.server(n, step="read", snapshot=(world.rows, world.xmin))
        case "read":
            yield _judge(world, n, mutant)
        case "disarm":
            after = world.server(n, step="look", carried=0)
            closes = mutant == COMPARE or world.register == server.carried
            yield replace(after, register=0, lapsed=False) if closes else after
        case "rest":
            yield world.server(n, step="arm")


def _arm(world: World, n: int, mutant: str | None, values: int) -> Iterator[World]:
    server = world.servers[n]
    relies = server.waiting and (mutant == BLIND or world.open == server.value)
    fresh = replace(world, register=world.next_value, lapsed=False, next_value=world.next_value + 1)
    for after in [*([world] if world.open else []), *([fresh] if world.next_value <= values else [])]:
        if relies:
            yield after.server(n, value=after.register, step="look")
            continue
        fence = world.completed + 1 if mutant == EARLY else world.next_xid
        yield replace(
            after.server(n, value=after.register, step="commit", waiting=False, arming=world.next_xid, fence=fence),
            next_xid=world.next_xid + 1,
        )


def _judge(world: World, n: int, mutant: str | None) -> World:
    server = world.servers[n]
    rows, xmin = server.snapshot
    known = {"snapshot": (False, 0), "shows": rows, "overslept": False}
    if rows or server.carried:
        step = "disarm" if server.carried else "look"
        return world.server(n, step=step, waiting=False, value=0, fence=0, **known)
    if not server.value or (world.open != server.value and mutant != RECHECK):
        return world.server(n, step="arm", waiting=False, value=0, fence=0, **known)
    if not server.waiting and mutant != FENCE and xmin <= server.fence:
        return world.server(n, step="look", **known)
    return world.server(n, step="rest", waiting=True, **known)


def _lost(world: World) -> bool:
    """Somebody shows "nothing active" and waits, nothing is under way to him, and there is a row."""
    return any(
        server.step == "rest" and not server.inbox and not server.overslept and not server.shows and world.rows
        for server in world.servers
    )


def _normal(world: World) -> World:
    """The same world with small ids and its people in order: who is who, and how far ids are apart, matters not."""
    ids = {0, world.completed, world.next_xid, *(writer.xid for writer in world.writers)}
    for server in world.servers:
        ids |= {server.arming, server.fence, server.snapshot[1]}
    rank = {xid: n for n, xid in enumerate(sorted(ids))}
    writers = tuple(
        sorted((replace(w, xid=rank[w.xid]) for w in world.writers), key=lambda w: (w.phase, w.xid, w.seen))
    )
    servers = tuple(
        sorted(
            (
                replace(s, arming=rank[s.arming], fence=rank[s.fence], snapshot=(s.snapshot[0], rank[s.snapshot[1]]))
                for s in world.servers
            ),
            key=hash,
        )
    )
    return replace(
        world, writers=writers, servers=servers, completed=rank[world.completed], next_xid=rank[world.next_xid]
    )


@dataclass(frozen=True)
class Bounds:
    """What may happen at most."""

    writers: int = 1
    servers: int = 1
    armings: int = 1
    crashes: int = 0
    lapses: int = 0

    @property
    def world(self) -> World:
        """Where it begins: nobody has done anything."""
        servers, writers = (Server(),) * self.servers, (Writer(),) * self.writers
        return World(writers, servers, crashes=self.crashes, lapses=self.lapses)


def explore(first: World, armings: int, mutant: str | None = None) -> tuple[int, bool]:
    """The number of states, and whether a wake-up is lost in one of them."""
    known, open_ = {first}, deque([first])
    while open_:
        world = open_.popleft()
        if _lost(world):
            return len(known), True
        for after in (*_writers(world, mutant), *_environment(world), *_servers(world, mutant, armings)):
            normal = _normal(after)
            if normal not in known:
                known.add(normal)
                open_.append(normal)
    return len(known), False


QUICK = (Bounds(2, 1, 1, 1, 1), Bounds(1, 1, 2, 1, 1), Bounds(1, 2, 1, 1, 0))
LONG = (Bounds(3, 1, 2, 1, 1), Bounds(1, 2, 2, 1, 1), Bounds(2, 2, 1, 1, 0))
# Reached in many steps: one server relies on the second value, another is about to close the first.
LATE = World(
    (Writer(),),
    (Server("rest", value=2, fence=1, waiting=True, shows=False), Server("disarm", carried=1)),
    register=2,
    next_xid=2,
    next_value=3,
    completed=1,
    crashes=0,
    lapses=0,
)
NEEDED = {
    FENCE: Bounds().world,
    EARLY: Bounds(2).world,
    COMPARE: LATE,
    BLIND: Bounds(1, 1, 2, lapses=1).world,
    RECHECK: Bounds(1, 1, 2, lapses=1).world,
    SNAPSHOT: Bounds().world,
}


@pytest.mark.parametrize("bounds", [*QUICK, *(pytest.param(bounds, marks=pytest.mark.chaos) for bounds in LONG)])
def test_no_wake_up_is_lost(bounds: Bounds) -> None:
    """As built: every reachable state."""
    states, lost = explore(bounds.world, bounds.armings)
    print(f"\n{states} states of {bounds}")
    assert not lost


@pytest.mark.parametrize("mutant", NEEDED)
def test_without_one_rule_one_is_lost(mutant: str) -> None:
    """Each rule is needed: without it there is an interleaving that ends in silence."""
    assert not explore(NEEDED[mutant], 2)[1]
    assert explore(NEEDED[mutant], 2, mutant)[1]
