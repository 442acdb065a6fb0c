"""The truth over time as the writers know it, and what a client may show of it.

A writer knows of its commit when it asked for it and when it was told of it; it became visible somewhere in between.
Commits that touched the same row are in the order in which they were asked for, since the second could touch the row
only once the first was visible. So at each moment some commits are in for sure and a few may be, and the answers that
are possible then are those of every choice among the few. What a task that comes due changes is known as precisely as
its statement was measured.

One rule judges clients: at every moment, what one shows was possible at some moment of the last second or so. That
catches old news, and claims that were never true. Where the windows leave it open, the client is believed.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Final, Literal, TypeAlias

Table: TypeAlias = Literal["jobs", "tasks"]
Shown: TypeAlias = bool | None  # stable, processing, unknown
MEMORY: Final = 5.0  # seconds of the past that stay as commits; what is older is only its result


@dataclass(frozen=True, slots=True)
class Span:
    """From one moment to another, in monotonic seconds."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Begun:
    """A row is active; with `due`, only from a moment within that span on."""

    table: Table
    id: int
    command: str = ""
    due: Span | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """A row is not active any more."""

    table: Table
    id: int


@dataclass(frozen=True, slots=True)
class Emptied:
    """A table has no rows any more."""

    table: Table


@dataclass(frozen=True, slots=True)
class Moved:
    """Whether the tasks of a command count at all."""

    command: str
    counts: bool


Effect: TypeAlias = Begun | Settled | Emptied | Moved


@dataclass(frozen=True, slots=True)
class Commit:
    """What became visible at once, between `asked` and `told`."""

    asked: float
    told: float
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class State:
    """The active rows, and the commands whose tasks do not count."""

    rows: Mapping[tuple[Table, int], Begun] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()

    def after(self, commits: Iterable[Commit]) -> "State":
        """The state once these are in, too."""
        rows, silent = dict(self.rows), set(self.silent)
        for effect in (effect for commit in commits for effect in commit.effects):
            match effect:
                case Begun(table, number):
                    rows[table, number] = effect
                case Settled(table, number):
                    rows.pop((table, number), None)
                case Emptied(table):
                    rows = {key: row for key, row in rows.items() if key[0] != table}
                case Moved(command, counts):
                    (silent.discard if counts else silent.add)(command)
        return State(rows, frozenset(silent))

    @property
    def counting(self) -> Collection[Begun]:
        """The rows that keep the system busy, now or once they are due."""
        return [row for row in self.rows.values() if row.command not in self.silent]

    def answers(self, span: Span) -> set[bool]:
        """Whether all is settled, as it may be answered throughout the span, within which nothing comes due."""
        due = [row.due for row in self.counting if row.due is None or row.due.begin < span.end]
        if any(each is None or each.end <= span.begin for each in due):
            return {False}
        return {True, False} if due else {True}


class Ledger:
    """Every commit of the last while, on top of the state that the earlier ones left."""

    def __init__(self, state: State, begin: float) -> None:
        self.begin = begin  # nothing is known of the time before
        self.commits: list[Commit] = []
        self._state = state

    @property
    def state(self) -> State:
        """What all commits left."""
        return self._state.after(self._ordered())

    def forget(self, before: float) -> None:
        """Keep of what was over by then only the result."""
        commits = self._ordered()
        kept = next((n for n, commit in enumerate(commits) if commit.told >= before), len(commits))
        self._state, self.commits = self._state.after(commits[:kept]), commits[kept:]
        self.begin = max(self.begin, before)

    def possible(self, end: float) -> dict[bool, list[Span]]:
        """When each answer was possible, from the beginning to the end."""
        commits, found = self._ordered(), {True: list[Span](), False: list[Span]()}
        state, over = self._state, 0  # what all those before a first one that is open left
        for moment, following in pairwise(self._moments(commits, end)):
            span = Span(moment, following)
            while over < len(commits) and commits[over].told <= moment:
                state, over = state.after(commits[over : over + 1]), over + 1
            asked = commits[over : bisect_right(commits, moment, key=_asked)]
            for answer in _answers(state, asked, span):
                before = found[answer]
                if before and before[-1].end == moment:
                    before[-1] = Span(before[-1].begin, following)
                else:
                    before.append(span)
        return found

    def _ordered(self) -> list[Commit]:
        return sorted(self.commits, key=_asked)

    def _moments(self, commits: Sequence[Commit], end: float) -> list[float]:
        """Every moment at which what is possible may change."""
        rows = [*self._state.rows.values(), *(e for c in commits for e in c.effects if isinstance(e, Begun))]
        moments = {moment for commit in commits for moment in (commit.asked, commit.told)}
        moments |= {moment for row in rows if row.due for moment in (row.due.begin, row.due.end)}
        return [self.begin, *sorted(moment for moment in moments if self.begin < moment < end), end]


def _asked(commit: Commit) -> float:
    return commit.asked


def _answers(state: State, asked: Sequence[Commit], span: Span) -> set[bool]:
    open_ = [commit for commit in asked if commit.told > span.begin]
    answers: set[bool] = set()
    for choice in product((True, False), repeat=len(open_)):
        out = [commit for commit, chosen in zip(open_, choice, strict=True) if not chosen]
        answers |= state.after(commit for commit in asked if commit not in out).answers(span)
        if len(answers) == 2:  # noqa: PLR2004 -- there are no others
            break
    return answers


@dataclass(frozen=True, slots=True)
class Piece:
    """What a client showed for a while."""

    shown: Shown
    span: Span


@dataclass(frozen=True, slots=True)
class Lapse:
    """A while in which a client showed what was not possible any more; in the end for so many `seconds`."""

    shown: bool
    span: Span
    seconds: float


def lapses(
    pieces: Iterable[Piece], possible: Mapping[bool, Sequence[Span]], begin: float, frozen: Sequence[Span] = ()
) -> Iterator[Lapse]:
    """Every lapse of one client. `possible` is known from `begin` on; time that it was frozen does not count."""
    for piece in pieces:
        if piece.shown is None:
            continue
        for gap in _gaps(possible[piece.shown], begin, piece.span.end):
            lapse = Span(max(gap.begin, piece.span.begin), min(gap.end, piece.span.end))
            if lapse.begin < lapse.end:
                yield Lapse(piece.shown, lapse, lapse.end - gap.begin - _within(frozen, gap.begin, lapse.end))


def _gaps(spans: Sequence[Span], begin: float, end: float) -> Iterator[Span]:
    for span in spans:
        if begin < span.begin:
            yield Span(begin, span.begin)
        begin = span.end
    if begin < end:
        yield Span(begin, end)


def _within(spans: Iterable[Span], begin: float, end: float) -> float:
    return sum(max(min(span.end, end) - max(span.begin, begin), 0) for span in spans)
