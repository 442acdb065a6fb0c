"""What is watched: one module each, of one shape; a new monitor is a module, a line here, its SQL and its revision."""

from typing import Final

from stability.monitors import applications, deployments, executions, jobs, services
from stability.monitors.monitor import Around, Monitor

MONITORS: Final[tuple[Monitor, ...]] = (
    jobs.MONITOR,
    executions.MONITOR,
    deployments.MONITOR,
    applications.MONITOR,
    services.MONITOR,
)

__all__ = ["MONITORS", "Around", "Monitor"]
