"""How well the status that is told agrees with the engine, and what it costs to know."""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stability.http.operations import Model

WINDOW: Final = 3600.0  # seconds whose checks the rates are of
FEWEST: Final = 20  # checks from which on a rate says something
MOST: Final = 100_000  # of each, remembered
MINUTE: Final = 60.0  # seconds


class Told(Model):
    """The figures of the server that answers; rates are of the last hour, and null while there is nothing to tell."""

    accuracy_percent: float | None
    cache_hit_percent: float | None
    engine_calls_per_minute: int
    refreshes: dict[str, int]
    status_ages: dict[str, int]


class _Rate:
    """Which part of what happened lately was so."""

    def __init__(self) -> None:
        self._happened: deque[tuple[float, bool]] = deque(maxlen=MOST)

    def note(self, so: bool) -> None:
        self._happened.append((monotonic(), so))

    def lately(self, seconds: float) -> list[bool]:
        while self._happened and self._happened[0][0] < monotonic() - WINDOW:
            self._happened.popleft()
        return [so for at, so in self._happened if at > monotonic() - seconds]

    @property
    def percent(self) -> float | None:
        happened = self.lately(WINDOW)
        return round(100 * sum(happened) / len(happened), 1) if happened else None


class Figures:
    """Counted by this server since it began."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._checks, self._answers, self._calls = _Rate(), _Rate(), _Rate()
        self._refreshes = {"updated": 0, "unchanged": 0, "error": 0, "unreachable": 0}
        self._low_since: datetime | None = None
        self._checked = Counter(
            "stability_application_checks", "Checks, by whether they agreed with the status told", ["agreed"],
            registry=registry,
        )  # fmt: skip
        self._answered = Counter(
            "stability_application_answers", "Statuses told, from the table or after asking the engine", ["source"],
            registry=registry,
        )  # fmt: skip
        self._asked = Counter("stability_engine_requests", "Requests to the engine", ["what"], registry=registry)
        self._refreshed = Counter(
            "stability_application_refreshes", "Applications refreshed, by result", ["result"], registry=registry
        )
        self._ages = Histogram(
            "stability_application_status_age_seconds", "Age of a status when it was told or checked",
            buckets=(1, 10, 60, 120, 240, 300, 600, 1800, 3600, 86_400), registry=registry,
        )  # fmt: skip
        self.connected = Gauge(
            "stability_engine_connected", "1 while the engine answers this server", registry=registry
        )
        accuracy = Gauge(
            "stability_application_accuracy_ratio", "Checks of the last hour that agreed; NaN before the first",
            registry=registry,
        )  # fmt: skip
        accuracy.set_function(lambda: float("nan") if self._checks.percent is None else self._checks.percent / 100)

    def asked(self, what: str) -> None:
        """A request goes to the engine."""
        self._asked.labels(what).inc()
        self._calls.note(True)

    def answered(self, cached: bool, age: float | None) -> None:
        """A status was told, `age` seconds old."""
        self._answered.labels("table" if cached else "engine").inc()
        self._answers.note(cached)
        self.aged(age)

    def aged(self, age: float | None) -> None:
        """A status is that old."""
        if age is not None:
            self._ages.observe(age)

    def checked(self, agreed: bool) -> None:
        """The engine was asked for no other reason than time or a person, and agreed with what was told, or not."""
        self._checked.labels("yes" if agreed else "no").inc()
        self._checks.note(agreed)

    def refreshed(self, result: str, count: int = 1) -> None:
        """So many applications were refreshed with that result."""
        self._refreshed.labels(result).inc(count)
        self._refreshes[result] += count

    def low(self, percent: float) -> tuple[float, datetime] | None:
        """How accurate it is, and since when it is less than `percent`, if it is."""
        rate, checks = self._checks.percent, len(self._checks.lately(WINDOW))
        if rate is None or rate >= percent or checks < FEWEST:
            self._low_since = None
            return None
        self._low_since = self._low_since or datetime.now(UTC)
        return rate, self._low_since

    def told(self, ages: Iterable[float | None], fresh: float) -> Told:
        """All of it; `ages` are those of all statuses in seconds, `fresh` is where they stop to be believed."""
        known = list(ages)
        distribution = {
            "under_1_minute": sum(age is not None and age < MINUTE for age in known),
            "fresh": sum(age is not None and MINUTE <= age < fresh for age in known),
            "outdated": sum(age is not None and age >= max(fresh, MINUTE) for age in known),
            "never_checked": sum(age is None for age in known),
        }
        calls = len(self._calls.lately(MINUTE))
        return Told(
            accuracy_percent=self._checks.percent, cache_hit_percent=self._answers.percent,
            engine_calls_per_minute=calls, refreshes=dict(self._refreshes), status_ages=distribution,
        )  # fmt: skip
