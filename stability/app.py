"""The composition root: the one place that knows all the parts, joined into an ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from stability import access, answers, health, hints, openapi, operations, pages, revision, stream
from stability.admission import Admission
from stability.alerts import TOPIC, Alerts
from stability.announcer import Announcer
from stability.database import Database
from stability.duty import Duties
from stability.errors import SettingError
from stability.fanout import Fanout
from stability.frames import HEARTBEAT, LISTENER, SYSTEM, encode, timestamp
from stability.hub import Hub, Row
from stability.listener import Listener
from stability.metrics import Metrics
from stability.monitors import MONITORS, Around, Monitor
from stability.refresher import Refresher
from stability.settings import Settings, load

Background: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Stability:
    """The parts of one server, joined: the listener's hints go to the refreshers, what they read goes to the hub."""

    def __init__(
        self, settings: Settings, conninfo: str, monitors: Sequence[Monitor], *, alerting: bool = False
    ) -> None:
        self.settings, self.monitors = settings, monitors
        self.metrics = Metrics(settings.worker)
        self.hub = Hub(encode)
        self.database = Database(conninfo)
        self.desk = Database(conninfo)  # for requests and duties: however many there are, the truth can be read
        self.refreshers = [self._refresher(monitor) for monitor in monitors]
        direct = settings.listen_conninfo or conninfo
        self.listener = Listener(
            direct,
            sorted({hints.CHANGE_CHANNEL, *(channel for monitor in monitors for channel in monitor.channels)}),
            heard=self._heard,
            probe=self._probe,
            live=self._live,
            lost=self._lost,
            deaf=self._deaf,
            canary_seconds=settings.canary_seconds,
            proved=self.metrics.proved,
        )
        self.announcer = Announcer(self.hub, direct)
        self.around = Around(self.desk, settings, self.hub)
        self.alerts = self._alerts() if alerting else None
        duties = [duty for monitor in monitors for duty in monitor.duties(self.around)]
        self.duties = Duties(direct, [*duties, *(self.alerts.duties if self.alerts else ())])
        self._condition("lost")
        for refresher in self.refreshers:
            refresher.lost()  # the first frame of the first client says unknown, not nothing

    def _refresher(self, monitor: Monitor) -> Refresher:
        refresher = Refresher(
            monitor,
            self.database,
            self.hub,
            admit=revision.check,
            settings=self.settings,
            timed=self.metrics.read,
            told=self.metrics.told,
        )
        self.metrics.follow(monitor.topic, lambda: refresher.waiting, lambda: refresher.fence_age)
        return refresher

    def _alerts(self) -> Alerts:
        return Alerts(
            self.settings,
            self.desk,
            self.hub,
            tried=self.metrics.alerted,
            waiting=self.metrics.alerts_waiting.set,
        )

    def _heard(self, channel: str, payload: str) -> None:
        self.metrics.hints.labels(channel).inc()
        hint = hints.parse(channel, payload)
        if hint is None:
            return
        if self.alerts and hint.topic == TOPIC:
            self.alerts.hear()
        for monitor, refresher in zip(self.monitors, self.refreshers, strict=True):
            if hint.concerns(monitor.topic) and (channel == hints.CHANGE_CHANNEL or channel in monitor.channels):
                refresher.hint(hint.keys, hint.armed)

    async def look(self) -> None:
        """Have every monitor look again; return when all did."""
        await asyncio.gather(*(refresher.look() for refresher in self.refreshers))

    async def _probe(self, payload: str) -> None:
        self.metrics.queue.set(await self.database.notify(hints.CANARY_CHANNEL, payload))

    def _live(self) -> None:
        self._condition("live")
        for refresher in self.refreshers:
            refresher.live()

    def _lost(self, _reason: str) -> None:
        if self._condition("lost"):
            self.metrics.losses.inc()
        self.database.renew()
        self.desk.renew()
        self.duties.renew()
        for refresher in self.refreshers:
            refresher.lost()

    def _deaf(self, _reason: str) -> None:
        self._condition("polling")
        for refresher in self.refreshers:
            refresher.poll()

    def _condition(self, listener: str) -> bool:
        """Tell how hints travel; whether that is news."""
        now = datetime.now(UTC)
        told = self.hub.latest(*LISTENER)
        news = told is None or told.row is None or told.row.state != listener
        if news:
            self.hub.publish(
                LISTENER[0], {LISTENER[1]: Row(listener, {"listener": listener, "since": timestamp(now)})}, now
            )
        self.metrics.listening.set(listener == "live")
        return news

    async def _beat(self) -> None:
        """One heartbeat for all clients: the version they should have seen, as of when, and the build of the pages."""
        while True:
            await asyncio.sleep(self.settings.heartbeat_seconds)
            now, system = datetime.now(UTC), self.hub.latest(*SYSTEM)
            beat = {
                "time": timestamp(now),
                "as_of": timestamp(self.hub.observed.get(SYSTEM[0], now)),
                "version": system.version if system else 0,
                "build": pages.BUILD,
            }
            self.hub.publish(HEARTBEAT[0], {HEARTBEAT[1]: Row("beat", beat)}, now)

    @asynccontextmanager
    async def running(self, also: Sequence[Background] = ()) -> AsyncIterator[None]:
        """Run all parts; the crash of one ends them all, and our own server with them.

        A host may outlive that: nothing may go on telling what nobody proves any more.
        """
        with self.hub.subscribe(self._note_state):
            try:
                async with asyncio.TaskGroup() as group:
                    parts = (
                        self.announcer.run,
                        self.duties.run,
                        self._beat,
                        *(r.run for r in self.refreshers),
                        self.listener.run,
                        *([self.alerts.run] if self.alerts else []),
                        *also,
                    )
                    tasks = [group.create_task(part()) for part in parts]
                    yield
                    self.hub.close()
                    for task in tasks:
                        task.cancel()
            finally:
                self._lost("the parts have ended")
                self.hub.close()
                await self.database.close()
                await self.desk.close()

    def _note_state(self) -> None:
        system = self.hub.latest(*SYSTEM)
        if system and system.row:
            self.metrics.state.state(system.row.state)


def create_app(
    settings: Settings | None = None,
    *,
    conninfo: str | None = None,
    monitors: Sequence[Monitor] = MONITORS,
    also: Sequence[Background] = (),
) -> Starlette:
    """The status server as an application, to be served or mounted.

    Settings come from the environment unless given; `conninfo` (libpq) wins over `DATABASE_URL`; `also` runs beside the
    parts. A host that mounts the application enters `app.router.lifespan_context(app)` in its own lifespan, since
    Starlette does not start what it mounts. Raises SettingError when a setting is wrong or no database is named.
    """
    settings = settings or load()
    conninfo = settings.conninfo if conninfo is None else conninfo
    if conninfo is None:
        raise SettingError("DATABASE_URL", "no database is named: set it, or run `stability up`, which brings its own.")
    parts = Stability(settings, conninfo, monitors, alerting=True)
    asked = [replace(each, tag=monitor.title) for monitor in monitors for each in monitor.operations(parts.around)]
    admission = Admission(parts.hub, settings.max_streams, settings.max_streams_per_address)
    fanout = Fanout(parts.hub, admission, parts.metrics.chunks.inc)
    token = settings.token.get_secret_value() if settings.token else None

    def lifespan(_app: Starlette) -> AbstractAsyncContextManager[None]:
        return parts.running(also)

    app = Starlette(
        routes=[
            *stream.routes(
                parts.hub,
                [monitor.topic for monitor in monitors],
                admission,
                parts.metrics,
                fanout,
                look=parts.look,
                begun=parts.database.begun,
            ),
            *operations.routes(asked),
            *openapi.routes(asked, protected=token is not None),
            *health.routes(parts.hub),
            *parts.metrics.routes(),
            *access.routes(token),
            *pages.routes(),
        ],
        middleware=[
            Middleware(CORSMiddleware, allow_origins=settings.allowed_origins, allow_headers=["Authorization"]),
            Middleware(access.Access, token=token, allowed_origins=settings.allowed_origins),
        ],
        exception_handlers=answers.HANDLERS,
        lifespan=lifespan,
    )
    app.state.drain = parts.hub.close
    # The middleware above, of which such a request knows nothing: it is let in, and its answer says so much more.
    app.state.offer = stream.offer(
        parts.hub,
        admission,
        fanout,
        more=[(b"vary", b"Origin")],
        unless=["origin"] if settings.allowed_origins else [],
    )
    return app
