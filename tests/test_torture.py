"""The history checker finds what is wrong: in histories made by hand, in the naive design, in a trigger that is silent.

And nothing in ours; `make chaos` plays a thousand.
"""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stability.torture.lane import Lane, Verdict
from stability.torture.naive import Naive
from stability.torture.plan import Plan
from stability.torture.score import Score
from stability.torture.script import History, Step, Transaction, draw
from stability.torture.servers import Servers
from stability.torture.truth import Begun, Commit, Effect, Emptied, Lapse, Ledger, Moved, Piece, Settled, Span, State
from stability.torture.truth import lapses as judged
from tests.fixtures.command import environment, stability, terminal
from tests.fixtures.postgres import Database, fetch

LEFT = "SELECT datname FROM pg_database WHERE datname LIKE 'stability_torture_%'"
END = 20.0  # of the histories made by hand, which begin at 0
FEW = 2  # histories
# Seconds, for a machine that runs other tests as well: a wake-up that is lost would be so for ever.
LENIENT = 4.0
RESTED = 2.0  # the same, where the server may rest from reads that are slow for want of a core

Shows = tuple[float, bool | None]


def ledger(*commits: tuple[float, float, Effect]) -> Ledger:
    """Commits by when they were asked for, when they were told, and what they did."""
    made = Ledger(State(silent=frozenset({"sweep"})), 0.0)
    made.commits = [Commit(asked, told, (effect,)) for asked, told, effect in commits]
    return made


def when(made: Ledger, answer: bool) -> list[tuple[float, float]]:
    """When that answer is possible."""
    return [(span.begin, span.end) for span in made.possible(END)[answer]]


def lapses(made: Ledger, *shows: Shows, frozen: Sequence[Span] = ()) -> list[Lapse]:
    """Those of a client that shows one thing after another until the end."""
    ends = [since for since, _ in shows[1:]] + [END]
    pieces = [Piece(shown, Span(since, until)) for (since, shown), until in zip(shows, ends, strict=True)]
    return [lapse for lapse in judged(pieces, made.possible(END), 0.0, frozen) if lapse.seconds > Plan.bound]


BUSY_FROM_5_TO_9 = ((5.0, 5.1, Begun("tasks", 1)), (9.0, 9.1, Settled("tasks", 1)))


def test_what_is_possible() -> None:
    """Between asking and being told of a commit both answers are, apart from that only the one that is true."""
    made = ledger(*BUSY_FROM_5_TO_9)
    assert when(made, True) == [(0, 5.1), (9, END)]
    assert when(made, False) == [(5, 9.1)]


@pytest.mark.parametrize(
    ("commits", "stable"),
    [
        ([(5, 6, Begun("jobs", 1)), (7, 8, Emptied("tasks"))], [(0, 6)]),
        ([(5, 6, Begun("tasks", 1)), (7, 8, Emptied("tasks"))], [(0, 6), (7, END)]),
        ([(5, 6, Begun("tasks", 1, "sweep"))], [(0, END)]),
        ([(5, 6, Begun("tasks", 1, "sweep")), (8, 9, Moved("sweep", counts=True))], [(0, 9)]),
        ([(5, 6, Begun("tasks", 1, "", Span(8, 9)))], [(0, 9)]),
        ([(5, 6, Begun("tasks", 1, "", Span(2, 3)))], [(0, 6)]),
        # told late, but the second could touch the row only once the first was in
        ([(5, 9, Begun("tasks", 1)), (6, 7, Settled("tasks", 1))], [(0, END)]),
        # two that overlap, each settling what the other does not: only once both are in
        (
            [
                (1, 1, Begun("tasks", 1)),
                (1, 1, Begun("tasks", 2)),
                (5, 8, Settled("tasks", 1)),
                (6, 9, Settled("tasks", 2)),
            ],
            [(0, 1), (6, END)],
        ),
    ],
)
def test_when_stable_is_possible(commits: list[tuple[float, float, Effect]], stable: list[tuple[float, float]]) -> None:
    """By what a commit did, and by the order of those that touched the same row."""
    assert when(ledger(*commits), True) == stable


def test_a_commit_is_whole() -> None:
    """One that settles the last task and begins another leaves no stable moment, however long it takes."""
    made = ledger((5, 5, Begun("tasks", 1)))
    made.commits.append(Commit(7, 9, (Settled("tasks", 1), Begun("tasks", 2))))
    assert when(made, True) == [(0, 5)]


@pytest.mark.parametrize(
    "shows",
    [
        [(0.0, True), (5.05, False), (9.05, True)],
        [(0.0, True), (6.0, False), (10.0, True)],  # late, within the bound
        [(0.0, True), (4.0, None)],  # who does not know does not lie
        [(0.0, True), (5.5, None), (9.5, True)],
    ],
)
def test_a_client_that_is_right(shows: list[Shows]) -> None:
    """Nothing is found where each moment's claim was possible within the bound."""
    assert lapses(ledger(*BUSY_FROM_5_TO_9), *shows) == []


@pytest.mark.parametrize(
    ("shows", "shown", "seconds"),
    [
        ([(0.0, True), (7.5, False), (9.5, True)], True, 2.4),  # a stale badge
        ([(0.0, True), (5.2, False)], False, END - 9.1),  # a wrong end
        ([(0.0, True), (3.0, False), (3.1, True), (5.5, False), (9.5, True)], False, 3.1),  # never true
        ([(0.0, True), (5.2, False), (7.0, True), (7.1, False), (9.5, True)], True, 2.0),  # true no more
    ],
)
def test_a_client_that_is_wrong(shows: list[Shows], shown: bool, seconds: float) -> None:
    """Old news and claims that never were are found, with how old they were in the end."""
    (lapse,) = lapses(ledger(*BUSY_FROM_5_TO_9), *shows)
    assert lapse.shown is shown
    assert lapse.seconds == pytest.approx(seconds)


def test_time_that_its_server_was_frozen_is_not_the_clients_fault() -> None:
    """It counts on top of the bound."""
    late = [(0.0, True), (7.5, False), (9.5, True)]
    assert lapses(ledger(*BUSY_FROM_5_TO_9), *late, frozen=[Span(5.5, 7.0)]) == []
    assert len(lapses(ledger(*BUSY_FROM_5_TO_9), *late, frozen=[Span(0.0, 5.0)])) == 1


def test_forgetting_keeps_the_result() -> None:
    """What is over is only its result, from then on."""
    made = ledger(*BUSY_FROM_5_TO_9)
    made.forget(7.0)
    assert len(made.commits) == 1
    assert when(made, False) == [(7, 9.1)]
    assert not made.state.rows


def test_a_seed_repeats_its_history() -> None:
    """The same seed is the same script; in a few hundred everything occurs."""
    histories = [draw(seed) for seed in range(300)]
    assert histories == [draw(seed) for seed in range(300)]
    steps = [step for h in histories for writer in h.writers for t in writer for step in t.steps]
    assert {"add", "defer", "take", "settle", "delete", "move", "empty tasks"} <= {step.act for step in steps}
    assert len({fault.kind for h in histories for fault in h.faults}) == 4
    assert {h.rest for h in histories} == {"none", "arming", "armed"}


async def play(lane: Lane, histories: Sequence[History]) -> list[Verdict]:
    """The verdicts on them."""
    found: list[Verdict] = []
    await lane.run(iter(histories), found.append, asyncio.Barrier(1))
    return found


async def test_the_naive_design_ends_wrong(database: Database) -> None:
    """Two finish the last two tasks, and each sees the other's: the last message is wrong, and the checker says so."""
    finish = (Step("settle", 0, 0, "none"),)
    writer = (
        Transaction(0, "READ COMMITTED", (Step("add", 0, 0, "none"),), 0, rolled_back=False),
        Transaction(0.1, "READ COMMITTED", finish, 0.2, rolled_back=False),
    )
    history = History(1, "none", 0, 0, (writer, writer), ())
    (verdict,) = await play(Lane(database.dsn, Plan.bound, lambda changed: Naive(database.dsn, changed)), [history])
    assert verdict.wrong_ends == ("listener shows processing",)
    assert [lapse.shown for _, lapse in verdict.lapses] == [False]


async def test_a_silent_trigger_is_found(database: Database, tmp_path: Path) -> None:
    """Real servers whose triggers are silent end wrong on every client, and our score is not passed."""
    fetch(
        database.dsn,
        "CREATE OR REPLACE FUNCTION public.notify_system_stability_change() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    )
    add = Transaction(0, "READ COMMITTED", (Step("add", 0, 0, "none"),), 0, rolled_back=False)
    history = History(1, "armed", 2.0, 0, ((add,),), ())  # both wait for hints by then
    score = Score.of(rereads=False)
    score.verdicts = await play(
        Lane(database.dsn, Plan.bound, lambda changed: Servers(database.dsn, tmp_path, 0, changed)), [history]
    )
    assert score.verdicts[0].wrong_ends == tuple(
        f"{kind} {server} shows stable" for server in (0, 1) for kind in ("terminal", "page")
    )
    assert not score.passed
    assert "seed 1: terminal 0 shows stable" in next(iter(score.complaints()))


def tortured(dsn: str, histories: int, bound: float, *, lanes: int, patience: float) -> list[Any]:
    """The scores that the command prints."""
    command = [sys.executable, "-m", "stability", "torture", dsn, "--yes", "--json"]
    options = {"--histories": histories, "--bound": bound, "--lanes": lanes, "--seed": random.randrange(10**6)}
    command += [str(part) for option in options.items() for part in option]
    told = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=patience, check=False)
    print("", " ".join(command), told.stdout, told.stderr, sep="\n")
    assert told.returncode == 0
    scores = json.loads(told.stdout)["scores"]
    assert isinstance(scores, list)
    return scores


def test_ours_is_right_and_leaves_nothing(database: Database) -> None:
    """A handful of histories with re-reads off and on, the naive design beside it; its databases are gone."""
    scores = tortured(database.dsn, FEW, LENIENT, lanes=2, patience=120)
    assert [score["design"] for score in scores] == ["re-reads off", "re-reads on", "naive"]
    assert {score["histories"] for score in scores} == {FEW}
    assert [(score["wrong_ends"], score["wrong_over_bound"]) for score in scores[:2]] == [(0, 0), (0, 0)]
    assert fetch(database.dsn, LEFT) == []


@pytest.mark.chaos
def test_a_thousand_histories(database: Database) -> None:
    """No wrong end and nothing wrong for longer than the bound, with re-reads off and on; the naive design has both."""
    off, on, naive = tortured(database.dsn, 1000, RESTED, lanes=4, patience=3600)
    for ours in (off, on):
        assert (ours["histories"], ours["wrong_ends"], ours["wrong_over_bound"]) == (1000, 0, 0)
    assert naive["wrong_ends"] > 100


def test_it_is_refused_without_a_word(database: Database) -> None:
    """Where nobody says that it is a scratch server nothing happens, and what would have is told."""
    told = stability("torture", database.dsn)
    assert (told.returncode, told.stdout) == (2, "")
    assert "for a scratch server only" in told.stderr
    with terminal("torture", database.dsn) as asked:
        asked.read_until("[y/n]")
        asked.type("n\r")
        asked.read_to_the_end()
        assert asked.process.wait(10) == 2
    assert fetch(database.dsn, LEFT) == []


def test_the_role_may_not_create_databases(database: Database) -> None:
    """One sentence with the remedy."""
    told = stability("torture", database.writer_dsn, "--yes")
    assert told.returncode == 1
    assert told.stderr.endswith(
        'The role test_writer may not create databases: ALTER ROLE "test_writer" CREATEDB, or name another role.\n'
    )


def test_an_interruption_leaves_nothing(database: Database) -> None:
    """After Ctrl-C its databases are gone, and its servers."""
    with terminal("torture", database.dsn, "--yes", "--lanes", "1") as played:
        played.read_until("1/200")
        name = min(fetch(database.dsn, LEFT))
        played.type("\x03")
        played.read_to_the_end()
        assert played.process.wait(10) != 0
    assert fetch(database.dsn, LEFT) == []
    assert not [line for line in Path("/proc").glob("[0-9]*/environ") if name.encode() in _read(line)]


def test_the_database_gives_up(database: Database) -> None:
    """What ends the writers ends the run in one sentence, and nothing is left."""
    with terminal("torture", database.dsn, "--yes", "--lanes", "1") as played:
        played.read_until("1/200")
        fetch(
            database.dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname LIKE 'stability_torture_%' AND application_name = ''",
        )
        told = played.read_to_the_end()
        assert played.process.wait(10) == 1
    assert "stability: the database gave up amid a history: terminating connection" in told
    assert "Traceback" not in told
    assert fetch(database.dsn, LEFT) == []


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
