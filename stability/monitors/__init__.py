"""What is watched: one module each, all of one shape; a new monitor is a module and a line here."""

from typing import Final

from stability.monitors import executions, jobs
from stability.monitors.monitor import Around, Monitor

MONITORS: Final[tuple[Monitor, ...]] = (jobs.MONITOR, executions.MONITOR)

__all__ = ["MONITORS", "Around", "Monitor"]
