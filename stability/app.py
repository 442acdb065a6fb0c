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

from stability import hints, stream
from stability.alerts import TOPIC, Alerts
from stability.announcer import Announcer
from stability.contained import Contained
from stability.database import Database
from stability.duty import Duties, Duty
from stability.errors import SettingError
from stability.fanout import Fanout
from stability.fanout.admission import Admission
from stability.frames import HEARTBEAT, LISTENER, SYSTEM, encode, timestamp
from stability.http import access, answers, asyncapi, badges, health, openapi, operations, pages, polling, statuspage
from stability.http.metrics import Metrics
from stability.hub import Hub, Row
from stability.listener import Listener
from stability.monitors import MONITORS, Around, Monitor
from stability.refresher import Refresher
from stability.schema import revision
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
        self._listener, self._listener_since = "", datetime.now(UTC)
        self._unread: dict[str, datetime | None] = {}  # topics that cannot be read, and as of when their rows are
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
        self.around = Around(self.desk, settings, self.hub, self.metrics.registry)
        self.alerts = self._alerts() if alerting else None
        duties = [duty for monitor in monitors for duty in monitor.duties(self.around)]
        announcing = Duty("announcements", Announcer(self.hub, direct).run)
        self.duties = Duties(direct, [announcing, *duties, *(self.alerts.duties if self.alerts else ())])
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
            unread=self._note_unread,
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
        """Look at the badge's own state again; return when that was published."""
        found = zip(self.monitors, self.refreshers, strict=True)
        await asyncio.gather(*(refresher.look() for monitor, refresher in found if monitor.topic == SYSTEM[0]))

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
        news = listener != self._listener
        if news:
            self._listener, self._listener_since = listener, datetime.now(UTC)
            self._tell_connection()
        self.metrics.listening.set(listener == "live")
        return news

    def _note_unread(self, topic: str, unread: bool) -> None:
        """A topic cannot be read, whatever the listener hears, or can again."""
        if unread is not (topic in self._unread):
            if unread:
                self._unread[topic] = self.hub.observed.get(topic)
            else:
                del self._unread[topic]
            self._tell_connection()

    def _tell_connection(self) -> None:
        fields: dict[str, object] = {"listener": self._listener, "since": timestamp(self._listener_since)}
        if self._unread:
            fields["unread"] = {topic: moment and timestamp(moment) for topic, moment in sorted(self._unread.items())}
        self.hub.publish(LISTENER[0], {LISTENER[1]: Row(self._listener, fields)}, datetime.now(UTC))

    async def _listen(self) -> None:
        try:
            await self.listener.run()
        finally:
            self._lost("the listener ended")

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
    async def running(
        self, also: Sequence[Background] = (), readable: asyncio.Event | None = None
    ) -> AsyncIterator[None]:
        """Run all parts, each of which begins again where an error ended it; the crash of one of `also` ends them all.

        What needs the schema waits until it is `readable`. A host may outlive a crash: nothing may go on telling what
        nobody proves any more.
        """

        async def begin(name: str, part: Background) -> None:
            if readable and name in ("duties", "listener"):  # and readers wait for the listener
                await readable.wait()
            await Contained(name).run(part)

        with self.hub.subscribe(self._note_state):
            try:
                async with asyncio.TaskGroup() as group:
                    parts = {
                        "duties": self.duties.run,
                        "heartbeat": self._beat,
                        **{f"reading {m.topic}": r.run for m, r in zip(self.monitors, self.refreshers, strict=True)},
                        "listener": self._listen,
                        **({"unknown": self.alerts.run} if self.alerts else {}),
                    }
                    tasks = [group.create_task(begin(name, part)) for name, part in parts.items()]
                    tasks += [group.create_task(part()) for part in also]
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
    readable: asyncio.Event | None = None,
) -> Starlette:
    """The status server as an application, to be served or mounted.

    Settings come from the environment unless given; `conninfo` (libpq) wins over `DATABASE_URL`; `also` runs beside
    the parts, which read nothing before `readable` is set, if that is given. A host that mounts the application enters
    `app.router.lifespan_context(app)` in its own lifespan, since Starlette does not start what it mounts. Raises
    SettingError when a setting is wrong or no database is named.
    """
    settings = settings or load()
    conninfo = settings.conninfo if conninfo is None else conninfo
    if conninfo is None:
        raise SettingError("DATABASE_URL", "no database is named: set it, or run `stability up`, which brings its own.")
    parts = Stability(settings, conninfo, monitors, alerting=True)
    admission = Admission(parts.hub, settings.max_streams, settings.max_streams_per_address)
    fanout = Fanout(parts.hub, admission, parts.metrics.chunks.inc)
    topics = [monitor.topic for monitor in monitors]
    asked = [
        *stream.operations(parts.hub, topics, admission, parts.metrics, fanout),
        *polling.operations(parts.hub, look=parts.look, begun=parts.database.begun),
        *badges.operations(parts.hub),
        *statuspage.operations(parts.hub, monitors, settings.public_url),
        *(replace(each, tag=monitor.title) for monitor in monitors for each in monitor.operations(parts.around)),
        *health.operations(parts.hub),
        *parts.metrics.operations(),
        *asyncapi.operations(topics),
    ]
    token = settings.token.get_secret_value() if settings.token else None

    def lifespan(_app: Starlette) -> AbstractAsyncContextManager[None]:
        return parts.running(also, readable)

    app = Starlette(
        routes=[
            *operations.routes([*asked, *openapi.operations(asked, protected=token is not None)]),
            *access.routes(token),
            *pages.routes(parts.hub),
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
