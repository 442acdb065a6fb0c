"""What containers and compose files mean for the application that they belong to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

UNCERTAIN: Final = frozenset({"unknown", "no_compose"})
_EXIT_ZERO: Final = re.compile(r"Exited \(0\)")
_DONE: Final = frozenset({"", "no", "on-failure"})


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine lists it; `policy`, when it is to be started again, only where that was asked for."""

    id: str
    name: str
    project: str
    state: str
    status: str
    policy: str | None = None

    @property
    def runs(self) -> bool:
        """Whether it does now."""
        return self.state.lower() == "running"

    @property
    def ended_well(self) -> bool:
        """Whether it ended by itself with the exit code 0, or was stopped and took it well."""
        return self.state.lower() == "exited" and bool(_EXIT_ZERO.match(self.status))

    @property
    def finished(self) -> bool:
        """Whether it did what it was for, such as an init container, and nobody is to start it again."""
        return self.ended_well and self.policy in _DONE


def determine_docker_status(containers: Sequence[Container], compose_file_exists: bool | None) -> str:
    """The status of the application that these containers belong to; None for a file of which nobody can say."""
    if any(container.runs for container in containers):
        return "running"
    if not all(container.finished for container in containers):
        return "stopped"
    return {True: "not_created", False: "no_compose", None: "unknown"}[compose_file_exists]


def is_status_fresh(last_check: datetime | None, now: datetime, max_age_minutes: float = 5) -> bool:
    """Whether it was checked strictly less than so long ago; a moment that is yet to come proves nothing."""
    return last_check is not None and timedelta(0) <= now - last_check < timedelta(minutes=max_age_minutes)
