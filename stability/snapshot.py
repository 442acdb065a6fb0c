"""Which transactions a snapshot of Postgres holds, so that a writer can ask for an answer that knows of its commit."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What `pg_current_snapshot()` says: all below `xmin` is over, nothing from `xmax` on is, and between `running`."""

    xmin: int
    xmax: int
    running: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `xmin:xmax:running,running`."""
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(map(int, filter(None, running.split(",")))))

    def holds(self, xid: int) -> bool:
        """Whether that transaction was over by then: what it committed is in what was read."""
        return xid < self.xmin or (xid < self.xmax and xid not in self.running)


def unbegun(xid: int) -> str:
    """What to say to whoever asks for a transaction that nobody has begun."""
    return f"no transaction {xid} has begun here yet; ask for the number that pg_current_xact_id() gives within yours."
