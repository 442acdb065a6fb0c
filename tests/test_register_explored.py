"""Every interleaving of writers and servers: nobody waits for a hint that will not come.

A model of sql/10, 17 and 18 and of stability/register.py, one step per thing that Postgres does at once. A writer
takes a transaction id, then reads the register, then commits or rolls back, and begins anew; when it took its snapshot
matters only to the mutant that reads the register through it. A server arms (the value and the id at once), commits
that, takes a snapshot, reads the register, judges, and disarms what a hint carried. Servers crash, work is finished
and leases run out at any moment. Nothing is bounded but how many writers and servers there are at a time: worlds that
differ in nothing that anybody will ever look at count as one, and of those there are finitely many. Rules that are
known to be needed are taken out one by one, and each time a wake-up is lost.
"""

from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

import pytest

FENCE: Final = "no fence"
EARLY: Final = "a fence from the arming statement's snapshot"
COMPARE: Final = "closing without comparing"
BLIND: Final = "prolonging without comparing"
RECHECK: Final = "no look at the register when the truth is read"
CLOCK: Final = "the clock read before the lease is prolonged"
FIRST: Final = "relying on a value that was there before the server listened"
LAST: Final = "closing by the last hint alone"
SNAPSHOT: Final = "the register read through a snapshot"

IDLE, SNAPPED, ACTIVE, TOLD = range(4)  # nothing yet, has a snapshot, has an id, has read the register
CURRENT, STALE, FRESH = 1, 2, 3  # values of the register: as it is, of any time before, and the next one


class Writer(NamedTuple):
    """Inserts active rows, one transaction after the other."""

    phase: int = IDLE
    xid: int = 0
    seen: int = 0  # the open register as it found it, else 0


class Server(NamedTuple):
    """`step` is what it does next; the rest is what it knows."""

    step: str = "look"
    armed: bool = False  # whether it has, since it listens
    arming: int = 0  # the id of an arming transaction that is under way
    value: int = 0
    fence: int = 0  # 0: none
    waiting: bool = False
    snapshot: tuple[bool, bool] = (False, False)  # whether it showed a row, and whether its xmin was above the fence
    inbox: frozenset[int] = frozenset()
    carried: frozenset[int] = frozenset()
    overslept: bool = False  # a lease has run out since it judged: it has been late, and looks when it wakes


class World(NamedTuple):
    """Everything at one moment."""

    writers: tuple[Writer, ...]
    servers: tuple[Server, ...]
    row: bool = False  # whether there is a committed one
    register: int = 0
    lapsed: bool = False
    completed: int = 0  # the highest id that is over
    next_xid: int = 1

    @property
    def open(self) -> int:
        """The value while writers send hints."""
        return 0 if self.lapsed else self.register

    @property
    def xmin(self) -> int:
        """As Postgres has it: the lowest id that runs, else one above the highest that is over."""
        running = [writer.xid for writer in self.writers if writer.xid]
        running += [server.arming for server in self.servers if server.arming]
        return min(running, default=self.completed + 1)

    def writer(self, n: int, **changes: int) -> "World":
        """One writer changed."""
        return self._replace(writers=(*self.writers[:n], self.writers[n]._replace(**changes), *self.writers[n + 1 :]))

    def server(self, n: int, **changes: object) -> "World":
        """One server changed."""
        changed = self.servers[n]._replace(**changes)  # type: ignore[arg-type]
        return self._replace(servers=(*self.servers[:n], changed, *self.servers[n + 1 :]))

    def hint(self, value: int) -> "World":
        """Every server gets what carries this value."""
        return self._replace(servers=tuple(s._replace(inbox=s.inbox | {value}) for s in self.servers))


def _writers(world: World, mutant: str | None) -> Iterator[World]:
    for n, writer in enumerate(world.writers):
        if writer.phase == IDLE and mutant == SNAPSHOT:  # nothing else depends on when it was taken
            yield world.writer(n, phase=SNAPPED, seen=world.open)
        elif writer.phase in (IDLE, SNAPPED):
            yield world.writer(n, phase=ACTIVE, xid=world.next_xid)._replace(next_xid=world.next_xid + 1)
        elif writer.phase == ACTIVE:
            yield world.writer(n, phase=TOLD, seen=writer.seen if mutant == SNAPSHOT else world.open)
        else:
            over = world.writer(n, phase=IDLE, xid=0, seen=0)._replace(completed=max(world.completed, writer.xid))
            yield over  # rolled back, and its hint with it
            yield (over.hint(writer.seen) if writer.seen else over)._replace(row=True)


def _environment(world: World) -> Iterator[World]:
    if world.row:  # somebody finishes all work, in one transaction that is over at once
        done = world._replace(row=False, completed=world.next_xid, next_xid=world.next_xid + 1)
        yield done.hint(world.open) if world.open else done
    else:  # somebody does something else
        yield world._replace(completed=world.next_xid, next_xid=world.next_xid + 1)
    if world.open:
        late = tuple(server._replace(overslept=True) for server in world.servers)
        yield world._replace(servers=late, lapsed=True)
    for n, server in enumerate(world.servers):
        others = (*world.servers[:n], Server(), *world.servers[n + 1 :])
        yield world._replace(servers=others, completed=max(world.completed, server.arming))


def _servers(world: World, mutant: str | None) -> Iterator[World]:
    for n, server in enumerate(world.servers):
        for value in server.inbox:
            step = "look" if server.waiting else server.step
            carried = frozenset({value}) | (frozenset() if mutant == LAST else server.carried)
            yield world.server(n, inbox=server.inbox - {value}, carried=carried, step=step)
        yield from _step(world, n, mutant)


def _step(world: World, n: int, mutant: str | None) -> Iterator[World]:  # noqa: C901 -- one case per step
    server = world.servers[n]
    match server.step:
        case "arm":
            yield from _arm(world, n, mutant)
        case "commit":
            yield world.server(n, step="look", arming=0)._replace(completed=max(world.completed, server.arming))
        case "prolong":
            yield world._replace(register=FRESH, lapsed=False).server(n, value=FRESH, step="look")
        case "look":
            yield world.server(n, step="read", snapshot=(world.row, world.xmin > server.fence))
            if server.value and not server.carried:
                yield world.server(n, step="arm")
        case "read":
            yield _judge(world, n, mutant)
        case "disarm":
            after = world.server(n, step="look", carried=frozenset())
            closes = mutant == COMPARE or world.register in server.carried
            yield after._replace(register=0, lapsed=False) if closes else after
        case "rest":
            yield world.server(n, step="arm")


def _arm(world: World, n: int, mutant: str | None) -> Iterator[World]:
    server = world.servers[n]
    relies = 0 != server.value == world.open or (server.waiting and mutant == BLIND)
    if relies and mutant == CLOCK:
        yield world.server(n, step="prolong")
        return
    fresh = world._replace(register=FRESH, lapsed=False)
    keeps = world.open and (server.armed or mutant == FIRST)
    for after in (world, fresh) if keeps else (fresh,):
        if relies:
            yield after.server(n, value=after.register, step="look")
            continue
        fence = world.completed + 1 if mutant == EARLY else world.next_xid
        yield (
            after.server(
                n, armed=True, value=after.register, step="commit", waiting=False, arming=world.next_xid, fence=fence
            )
        )._replace(
            next_xid=world.next_xid + 1,
        )


def _judge(world: World, n: int, mutant: str | None) -> World:
    server = world.servers[n]
    row, passed = server.snapshot
    if row or server.carried:
        step = "disarm" if server.carried else "look"
        return world.server(n, step=step, waiting=False, value=0, fence=0, overslept=False)
    if not server.value or (world.open != server.value and mutant != RECHECK):
        return world.server(n, step="arm", waiting=False, value=0, fence=0, overslept=False)
    if not server.waiting and mutant != FENCE and not passed:
        return world.server(n, step="look", overslept=False)
    return world.server(n, step="rest", waiting=True, fence=0, overslept=False)


def _lost(world: World) -> bool:
    """Somebody shows "nothing active" and waits, nothing is under way to him, and there is a row."""
    return world.row and any(
        server.step == "rest" and not server.inbox and not server.overslept for server in world.servers
    )


def _normal(world: World, mutant: str | None) -> World:
    """The same world without what nobody looks at any more: who is who, how far ids are apart, which old value it was.

    A value that the register no longer has never comes back, so that all of those are one.
    """
    servers = [_remembering(server, world.register, mutant) for server in world.servers]
    fences = {server.fence for server in servers}
    running = {writer.xid for writer in world.writers} | {server.arming for server in servers}
    completed = world.completed
    if mutant != EARLY:  # it is held against fences alone
        completed = max((fence for fence in fences if fence <= completed), default=0)
    rank = {xid: n for n, xid in enumerate(sorted({0, completed} | fences | running))}
    return World(
        tuple(sorted(Writer(w.phase, rank[w.xid], _name(w.seen, world.register)) for w in world.writers)),
        tuple(sorted((s._replace(arming=rank[s.arming], fence=rank[s.fence]) for s in servers), key=hash)),
        world.row,
        _name(world.register, world.register),
        world.lapsed,
        rank[completed],
        len(rank),
    )


def _name(value: int, register: int) -> int:
    return 0 if value == 0 else CURRENT if value == register else STALE


@cache
def _remembering(server: Server, register: int, mutant: str | None) -> Server:
    """What a server knows, as far as it matters for what it does next."""
    value, carried = _name(server.value, register), frozenset(_name(value, register) for value in server.carried)
    if carried or (value == STALE and mutant != RECHECK):  # it begins again in any case
        value = 0
    return server._replace(
        fence=server.fence if value else 0,
        value=value,
        carried=carried - {STALE} or carried,
        inbox=frozenset(_name(value, register) for value in server.inbox),
        snapshot=server.snapshot if server.step == "read" else (False, False),
        overslept=server.overslept and server.step == "rest",
    )


def explore(writers: int, servers: int, mutant: str | None = None) -> tuple[int, bool]:
    """The number of states, and whether a wake-up is lost in one of them.

    States are remembered by their hashes of 64 bits: of ten million one is overlooked with a chance of 1 in 300,000.
    """
    first = World((Writer(),) * writers, (Server(),) * servers)
    known, open_ = {hash(first)}, deque([first])
    while open_:
        world = open_.popleft()
        if _lost(world):
            return len(known), True
        for after in (*_writers(world, mutant), *_environment(world), *_servers(world, mutant)):
            normal = _normal(after, mutant)
            mark = hash(normal)
            if mark not in known:
                known.add(mark)
                open_.append(normal)
    return len(known), False


long = pytest.mark.chaos
# Each with as few as it takes; those of two servers are played on the real database by test_register_raced as well.
NEEDED = {
    FENCE: (1, 1),
    EARLY: (2, 1),
    BLIND: (1, 1),
    CLOCK: (1, 1),
    RECHECK: (1, 1),
    SNAPSHOT: (1, 1),
    COMPARE: (1, 2),
    FIRST: (1, 2),
    LAST: (1, 2),
}


@pytest.mark.parametrize(
    ("writers", "servers"),
    [
        (1, 1),
        (2, 1),
        (3, 1),
        pytest.param(1, 2, marks=long),
        pytest.param(2, 2, marks=long),
        pytest.param(3, 2, marks=long),
    ],
)
def test_no_wake_up_is_lost(writers: int, servers: int) -> None:
    """As built: every reachable state."""
    states, lost = explore(writers, servers)
    print(f"\n{states:,} states of {writers} writers and {servers} servers")
    assert not lost


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(mutant, marks=long if servers > 1 else ()) for mutant, (_, servers) in NEEDED.items()],
)
def test_without_one_rule_one_is_lost(mutant: str) -> None:
    """Each rule is needed: without it there is an interleaving that ends in silence."""
    assert explore(*NEEDED[mutant], mutant)[1]
