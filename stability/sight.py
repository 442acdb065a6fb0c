"""What a client in a terminal knows at one moment, whether over HTTP or straight from the database.

Whoever follows calls `tell(sight)` at each change, for ever; waiting and watching are two ways to listen to that.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self, TypeAlias

from stability.frames import timestamp

State: TypeAlias = Literal["stable", "processing", "unknown"]
WORDS: Final[Mapping[State, str]] = {
    "stable": "System Stable",
    "processing": "Processing Data",
    "unknown": "Status Unknown",
}


class UnreadableError(ValueError):
    """What arrived is not a status."""


@dataclass(frozen=True, slots=True)
class Source:
    """One table of work: whether it has any, and how much of it."""

    active: bool | None
    count: int | None
    more: bool = False
    error: str | None = None

    @property
    def amount(self) -> str:
        """The count as people read it; `?` for a source that cannot be read."""
        return "?" if self.count is None else f"{self.count:,}{'+' if self.more else ''}"


@dataclass(frozen=True, slots=True)
class Sight:
    """The state, since when, and what proves it."""

    state: State
    since: datetime
    as_of: datetime
    listener: str
    sources: Mapping[str, Source]
    transport: Literal["live", "reconnecting", "database"]
    reason: str | None = None  # why nothing is known, in one line

    @classmethod
    def parse(cls, status: Any, transport: Literal["live", "database"], reason: str | None = None) -> Self:
        """Read a `status` event; raises UnreadableError when it is none."""
        try:
            state = status["state"]
            if state not in WORDS:
                raise UnreadableError(f"{state!r} is not a state")
            return cls(
                state=state,
                since=datetime.fromisoformat(status["since"]),
                as_of=datetime.fromisoformat(status["as_of"]),
                listener=str(status["listener"]),
                sources={name: _source(said) for name, said in status["sources"].items()},
                transport=transport,
                reason=reason if state == "unknown" else None,
            )
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise UnreadableError(f"not a status: {error}") from error

    def differs(self, other: "Sight | None") -> bool:
        """Whether there is news since `other`, apart from the time of the look."""
        return other is None or replace(self, as_of=other.as_of) != other

    def plain(self) -> dict[str, object]:
        """The same as JSON's types, named as the server names them."""
        return {
            "state": self.state,
            "stable": {"stable": True, "processing": False, "unknown": None}[self.state],
            "as_of": timestamp(self.as_of),
            "since": timestamp(self.since),
            "listener": self.listener,
            "transport": self.transport,
            "sources": {name: _plain(source) for name, source in self.sources.items()},
            **({"reason": self.reason} if self.reason else {}),
        }

    def busy(self) -> str:
        """What is still active, or why nobody knows: `import_job 2, analytics_tasks 1,000+`."""
        if self.state == "unknown":
            broken = "; ".join(f"{name}: {source.error}" for name, source in self.sources.items() if source.error)
            return self.reason or broken or f"the server's listener is {self.listener}"
        return ", ".join(f"{name} {source.amount}" for name, source in self.sources.items() if source.active)


Tell: TypeAlias = Callable[[Sight], None]
Follow: TypeAlias = Callable[[Tell], Awaitable[None]]


def away(reason: str, last: Sight | None) -> Sight:
    """Nothing is proven while the way to the truth is cut; `last` is what was known before."""
    now = datetime.now(UTC)
    since = last.since if last and last.state == "unknown" else now
    return Sight("unknown", since, now, "lost", {}, "reconnecting", reason)


def _source(said: Mapping[str, Any]) -> Source:
    return Source(said["active"], said["count"], bool(said.get("more", False)), said.get("error"))


def _plain(source: Source) -> dict[str, object]:
    return {
        "active": source.active,
        "count": source.count,
        **({"more": True} if source.more else {}),
        **({"error": source.error} if source.error else {}),
    }
