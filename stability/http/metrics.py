"""What an operator scrapes: base units, `_total` on counters only, one registry per application."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from stability.contained import ERRORS
from stability.http.operations import Media, Operation

_DELAYS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# Of the process, whichever applications are in it: each one's registry shows it.
_PAUSES: Final = Histogram(
    "stability_gc_pause_seconds", "Pauses of the garbage collector", buckets=sorted({*_DELAYS, 0.02}), registry=None
)
_pause_began = 0.0


def _pause(phase: str, _info: Mapping[str, int]) -> None:
    global _pause_began  # noqa: PLW0603 -- gc.callbacks are functions, and there is one collector
    if phase == "start":
        _pause_began = time.perf_counter()
    else:
        _PAUSES.observe(time.perf_counter() - _pause_began)


gc.callbacks.append(_pause)


class Metrics:
    """The figures of one application."""

    def __init__(self, worker: str = "") -> None:
        self.registry = registry = CollectorRegistry()
        self._shown = _Labelled(registry, worker) if worker else registry
        self.state = Enum(
            "stability_state",
            "What the badge shows",
            states=["stable", "processing", "unknown"],
            registry=registry,
        )
        self.state.state("unknown")
        self.listening = Gauge(
            "stability_listener_connected", "1 while notifications are proven to arrive", registry=registry
        )
        self.losses = Counter("stability_listener_losses", "Times that the listener was lost", registry=registry)
        self.hints = Counter("stability_hints", "Notifications received", ["channel"], registry=registry)
        self.canary = Histogram(
            "stability_canary_delay_seconds", "NOTIFY to listener", buckets=_DELAYS, registry=registry
        )
        self._canary_delay = 0.0
        self.delay = Histogram(
            "stability_commit_to_frame_seconds",
            "From the commit that changed a state to the frame that tells it, about: since its hint came plus what the "
            "last canary took, or since the read before, where no hint was needed",
            ["topic"],
            buckets=(*_DELAYS, 10, 30),
            registry=registry,
        )
        self.waiting = Gauge(
            "stability_hints_awaited", "1 while hints are waited for, 0 while polling", ["topic"], registry=registry
        )
        self.fence_age = Gauge(
            "stability_fence_age_seconds",
            "How long transactions that began before hints were switched on have kept the server polling",
            ["topic"],
            registry=registry,
        )
        self.queue = Gauge(
            "stability_notification_queue_ratio",
            "Used part of Postgres's notification queue; at 1 every NOTIFY fails",
            registry=registry,
        )
        self.reads = Histogram(
            "stability_read_seconds", "Reads of the truth", ["topic"], buckets=_DELAYS, registry=registry
        )
        self.failures = Counter("stability_read_failures", "Reads that failed", ["topic"], registry=registry)
        self.clients = Gauge("stability_clients", "Streams that are open", registry=registry)
        tasks = Gauge("stability_tasks", "Tasks of the event loop; constant but for clients", registry=registry)
        tasks.set_function(lambda: len(asyncio.all_tasks()))
        ProcessCollector(registry=registry)
        registry.register(_PAUSES)
        registry.register(_Errors())
        self.refused = Counter(
            "stability_streams_refused",
            "Streams that found no room, in all or for their address",
            ["limit"],
            registry=registry,
        )
        self.chunks = Counter("stability_chunks_sent", "Chunks of frames handed to clients", registry=registry)
        self.alerts_sent = Counter("stability_alerts_sent", "Messages that a recipient accepted", registry=registry)
        self.alerts_failed = Counter(
            "stability_alerts_failed",
            "Tries to hand a message to a recipient that failed; one of many alerts that is refused is tried again by "
            "halves, each a message of its own",
            registry=registry,
        )
        self.alerts_waiting = Gauge(
            "stability_alerts_waiting",
            "Alerts that not everybody has who is to know, at the server that sends them; else 0",
            registry=registry,
        )

    def proved(self, seconds: float) -> None:
        """Note how long a canary took."""
        self._canary_delay = seconds
        self.canary.observe(seconds)

    def alerted(self, sent: bool) -> None:
        """Note a try to hand an alert to a recipient."""
        (self.alerts_sent if sent else self.alerts_failed).inc()

    def told(self, topic: str, seconds: float, hinted: bool) -> None:
        """Note a change of state in `topic`, told `seconds` after its hint, or if not `hinted` the last read."""
        self.delay.labels(topic).observe(seconds + self._canary_delay * hinted)

    def follow(self, topic: str, waiting: Callable[[], bool], fence_age: Callable[[], float]) -> None:
        """Ask for these whenever somebody scrapes."""
        self.waiting.labels(topic).set_function(waiting)
        self.fence_age.labels(topic).set_function(fence_age)

    def read(self, topic: str, seconds: float, answered: bool) -> None:
        """Note a read of `topic`."""
        if answered:
            self.reads.labels(topic).observe(seconds)
        else:
            self.failures.labels(topic).inc()

    def operations(self) -> Sequence[Operation]:
        """`GET /metrics`."""

        async def metrics(_request: Request) -> Response:
            return Response(generate_latest(self._shown), headers={"Content-Type": CONTENT_TYPE_LATEST})

        shown = {200: Media("text/plain", "What Prometheus scrapes")}
        return [Operation("GET", "/metrics", "Figures for Prometheus", metrics, shown, tag="Server", asks=False)]


class _Errors(Collector):
    """Of the process, whichever applications are in it."""

    def collect(self) -> Iterator[Metric]:
        """How many each part has met."""
        told = "Errors of the server's own, each kept to the part that met it, which begins again: the log tells them"
        family = CounterMetricFamily("stability_unforeseen_errors", told, labels=["part"])
        for part, count in ERRORS.items():
            family.add_metric([part], count)
        yield family


class _Labelled(Collector):
    """Those of one worker among several at the same address: each figure names it, so that they stay apart."""

    def __init__(self, registry: CollectorRegistry, worker: str) -> None:
        self._registry, self._worker = registry, worker

    def collect(self) -> Iterator[Metric]:
        """The same figures with the label."""
        for metric in self._registry.collect():
            metric.samples = [
                sample._replace(labels={**sample.labels, "worker": self._worker}) for sample in metric.samples
            ]
            yield metric
