"""What one message says of many alerts of the same kind."""

from collections.abc import Sequence
from typing import Final

_PLURALS: Final = {"execution": "executions", "deployment": "deployments", "service": "services"}


def together(kind: str, count: int, facts: Sequence[str]) -> str:
    """How many there are of what, the first line of each of `facts`, and how many more."""
    subject, _, outcome = kind.partition("_")
    head = f"{count:,} {_PLURALS[subject]} {outcome}" if subject in _PLURALS else f"{count:,} alerts {kind}"
    more = [f"and {count - len(facts):,} more"] if count > len(facts) else []
    return "\n".join([head, *(fact.partition("\n")[0] for fact in facts), *more])
