"""Follows Consul, and writes what it shows: every change at once, and every minute that all is still so."""

import asyncio
from time import monotonic
from typing import Final

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from stability.backoff import Backoff
from stability.contained import alone, first
from stability.database import Database, reason
from stability.services import catalogue
from stability.services.catalogue import Check, Found, Instance, Key
from stability.services.consul import Consul, ConsulError
from stability.services.records import Records, SupersededError
from stability.services.settings import ServiceSettings

CHECKS: Final = "/v1/health/state/any"
NAMES: Final = "/v1/catalog/services"  # changes with registrations
NODES: Final = "/v1/catalog/nodes"
ASKED: Final = 8  # nodes that are asked at a time
LEAST: Final = 0.05  # seconds between two writes: a catalogue that changes all the time is written in bundles

_log = structlog.get_logger(__name__)


class Observer:
    """What one server does with Consul; `run` is its duty."""

    def __init__(self, database: Database, settings: ServiceSettings) -> None:
        self._database, self._settings = database, settings
        self._backoff = Backoff(0.25, 3.0)
        self._failing: type[BaseException] | None = None

    async def run(self) -> None:
        """Observe for ever; returns only by cancellation. Whatever failed, it begins anew, with all there is."""
        async with Consul.of(self._settings) as consul:
            while True:
                records = Records(self._database, self._settings.service_sample_seconds)
                try:
                    await alone(self._observe(consul, records))
                except* (ConsulError, SupersededError, SQLAlchemyError, psycopg.Error, OSError) as failed:
                    failure = first(failed)
                try:
                    await self._tell(failure, records)
                except (SQLAlchemyError, psycopg.Error, OSError) as failure:
                    self._log(failure)
                await asyncio.sleep(self._backoff.draw())

    async def _observe(self, consul: Consul, records: Records) -> None:
        following = _Following(consul, records, self._settings.service_sample_seconds)
        await following.begin()
        self._backoff.reset()
        self._failing = None
        _log.info("observing Consul", address=self._settings.consul_http_addr, services=len(following.written))
        await following.go_on()

    async def _tell(self, failure: BaseException, records: Records) -> None:
        self._log(failure)
        if isinstance(failure, ConsulError):
            await records.lose(str(failure))  # each time: another server may have seen it well meanwhile

    def _log(self, failure: BaseException) -> None:
        """One line a change of condition."""
        if isinstance(failure, self._failing or ()):
            return
        self._failing = type(failure)
        match failure:
            case ConsulError():
                address = self._settings.consul_http_addr
                _log.warning("Consul is lost, trying again", address=address, reason=str(failure))
            case SupersededError():
                _log.info("observing Consul anew", reason=str(failure))
            case _:
                _log.warning("the observer of Consul waits for the database", reason=reason(failure))


class _Following:
    """One life of it: all that there is, then what changes, until something fails."""

    def __init__(self, consul: Consul, records: Records, sample_seconds: float) -> None:
        self._consul, self._records, self._every = consul, records, sample_seconds
        self._changes, self._registrations = consul.watch(CHECKS), consul.watch(NAMES)
        self._room, self._news = asyncio.Semaphore(ASKED), asyncio.Event()
        self._writing, self._looking = asyncio.Lock(), asyncio.Lock()
        self._checks: list[Check] = []
        self._instances: list[Instance] = []
        self.written: dict[Key, Found] = {}

    async def begin(self) -> None:
        """Write all there is, in one piece: what is not in it is gone."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_at_checks())
            group.create_task(self._look_at_registrations())
        found = catalogue.together(self._instances, self._checks)
        await self._records.put(found.values(), whole=True)
        self.written = found
        await self._records.sample(len(found))

    async def go_on(self) -> None:
        """Write what changes."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_checks())
            group.create_task(self._follow_registrations())
            group.create_task(self._write())
            group.create_task(self._sample())

    async def _follow_checks(self) -> None:
        while True:
            await self._look_at_checks()

    async def _look_at_checks(self) -> None:
        self._checks = catalogue.checks(await self._changes.next())
        self._news.set()

    async def _follow_registrations(self) -> None:
        while True:
            await self._look_at_registrations()

    async def _look_at_registrations(self) -> None:
        await self._registrations.next()
        await self._look_at_nodes()

    async def _look_at_nodes(self) -> None:
        """Addresses, ports and metadata, which no single answer has for all services.

        One look at a time: the older of two could end last, and bring back what is gone.
        """
        async with self._looking:
            names = catalogue.nodes((await self._consul.ask(NODES)).said)
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._look_at_node(name)) for name in names]
            self._instances = [one for task in asked for one in task.result()]
            self._news.set()

    async def _look_at_node(self, name: str) -> list[Instance]:
        async with self._room:
            return catalogue.on_node(await self._consul.node(name))

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            found = catalogue.together(self._instances, self._checks)
            changed = [each for key, each in found.items() if self.written.get(key) != each]
            gone = [catalogue.told_key(key) for key in self.written.keys() - found.keys()]
            if changed or gone:
                async with self._writing:
                    await self._records.put(changed, gone)
                    self.written = found
            await asyncio.sleep(LEAST)

    async def _sample(self) -> None:
        """A change of metadata alone newer Consuls do not tell, so nodes are looked at as well."""
        due = monotonic() + self._every
        while True:
            await asyncio.sleep(max(0.0, due - monotonic()))
            due = max(due + self._every, monotonic())
            async with self._writing:
                await self._records.sample(len(self.written))
            await self._look_at_nodes()
