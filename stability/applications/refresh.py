"""Asks the engine and writes what it says, for one application or for all: one list of containers in any case."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog
from sqlalchemy import text

from stability.applications import rows
from stability.applications.compose import Places
from stability.applications.engine import Engine, EngineError
from stability.applications.figures import Figures
from stability.applications.rows import Application, Found, Seen
from stability.applications.status import UNCERTAIN, Container, determine_docker_status
from stability.database import Database
from stability.settings import Settings
from stability.shared import Shared

AWAY: Final = "Docker is not reachable"
_ALERT: Final = text("""
    SELECT stability.alert('accuracy_low', 'applications', :fact, CAST(:since AS timestamptz), '/#applications')
""")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What a refresh of all did."""

    total_checked: int
    updated: int
    errors: int
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """What the engine said of one, and whether a compose file lies there."""

    seen: Seen
    has_file: bool


class Applications:
    """The applications of one server."""

    def __init__(self, database: Database, settings: Settings, figures: Figures) -> None:
        self.database, self.settings, self.figures = database, settings, figures
        self.engine = Engine(settings.docker_host, figures.asked) if settings.docker_host else None
        self.places = Places.of(settings)
        self.connected: bool | None = None
        self._run: asyncio.Task[Result] | None = None
        self._list = Shared(self._containers)

    async def refresh_all_application_statuses(self) -> Result:
        """Refresh every application; whoever asks meanwhile gets the same answer.

        Raises EngineError, and writes nothing, when the engine does not answer.
        """
        if self._run is None or self._run.done():
            self._run = asyncio.create_task(self.refresh())
        return await asyncio.shield(self._run)  # one who leaves takes it from nobody else

    async def refresh(self, projects: Collection[str] | None = None) -> Result:
        """Refresh them with one list; with `projects`, which are known to have changed, those and what else changed."""
        found = await rows.everything(self.database)
        looks = await self.look(found, proven=projects is None)
        due = [one.seen for one in looks if projects is None or self._due(one.seen, projects)]
        errors = await rows.update_container_status(self.database, due, found.asked)
        updated = sum(_differs(seen) for seen in due) - errors
        self.figures.refreshed("error", errors)
        self.figures.refreshed("updated", max(0, updated))
        self.figures.refreshed("unchanged", max(0, len(due) - errors - max(0, updated)))
        await self._warn()
        return Result(len(due), max(0, updated), errors, datetime.now(UTC))

    def _due(self, seen: Seen, projects: Collection[str]) -> bool:
        return (
            _differs(seen) or self.project(seen.application) in projects or seen.application.last_status_check is None
        )

    async def look(self, found: Found, *, proven: bool = True) -> Sequence[Look]:
        """What the engine says of these; `proven` says that nothing hinted at a change.

        Raises EngineError.
        """
        containers = await self._list()  # as it became after this was asked, however many ask
        of: dict[str, list[Container]] = {}
        for container in containers:
            of.setdefault(container.project, []).append(container)
        files = await asyncio.to_thread(self._files, found.applications)
        looks = [self._look(one, of.get(self.project(one), []), files[one.id]) for one in found.applications]
        for look in looks:
            self._count(look.seen, found.asked, proven)
        return looks

    def _look(self, application: Application, containers: Sequence[Container], has_file: bool | None) -> Look:
        status = determine_docker_status(containers, has_file)
        return Look(Seen(application, status, [_told(one) for one in containers]), bool(has_file))

    def _count(self, seen: Seen, asked: datetime, proven: bool) -> None:
        application = seen.application
        if application.last_status_check is None:
            return
        self.figures.aged(max(0.0, (asked - application.last_status_check).total_seconds()))
        if proven and application.status not in UNCERTAIN:
            self.figures.checked(seen.status == application.status)

    async def _containers(self) -> Sequence[Container]:
        if self.engine is None:
            raise EngineError("no engine is named: set DOCKER_HOST")
        try:
            containers = await self.engine.containers()
        except EngineError as error:
            self.figures.refreshed("unreachable")
            self.lose(error)
            raise
        if not self.connected:
            _log.info("the engine answers", containers=len(containers))
        self.connected = True
        self.figures.connected.set(1)
        return containers

    def lose(self, error: BaseException) -> None:
        """The engine does not answer as it should; said once."""
        if self.engine is not None and self.connected is not False:
            _log.warning("the engine is away", reason=str(error))
        self.connected = False
        self.figures.connected.set(0)

    def project(self, application: Application) -> str:
        """What its containers are labelled with."""
        return self.places.project(application.model_slug, application.app_number)

    def _files(self, applications: Sequence[Application]) -> Mapping[int | str, bool | None]:
        return {one.id: self.places.has_file(one.model_slug, one.app_number) for one in applications}

    async def _warn(self) -> None:
        """Once for each time that it becomes less than it should be."""
        least = self.settings.application_accuracy_percent
        if low := self.figures.low(least):
            rate, since = low
            fact = (
                f"{rate:g} % of the checks of applications agreed with the status told before, fewer than {least:g} %"
            )
            async with self.database.writing() as connection:
                await connection.execute(_ALERT, {"fact": fact, "since": since})


def _differs(seen: Seen) -> bool:
    return seen.status != seen.application.status


def _told(container: Container) -> Mapping[str, object]:
    return {
        "id": container.id, "name": container.name, "state": container.state, "status": container.status,
        "finished": container.finished,
    }  # fmt: skip
