"""What is watched: one module each, all of one shape; a new monitor is a module and a line here."""

from typing import Final

from stability.monitors import deployments, executions, jobs
from stability.monitors.monitor import Around, Monitor

MONITORS: Final[tuple[Monitor, ...]] = (jobs.MONITOR, executions.MONITOR, deployments.MONITOR)

__all__ = ["MONITORS", "Around", "Monitor"]
