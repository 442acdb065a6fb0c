"""What an operator scrapes, after real changes."""

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from stability.postgres import EmbeddedPostgres
from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving
from tests.fixtures.work import begin_work, end_work
from tests.test_listener import await_armed

TOPIC = {"topic": "stability"}


def scrape(serving: Serving, name: str, labels: dict[str, str]) -> float | None:
    """The value of one sample, or None if there is none."""
    text = httpx.get(f"{serving.url}/metrics").text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), None)


def test_commit_to_frame(serving: Serving, database: Database) -> None:
    """Each change of state is noted once, the one that a hint told of and the one that was looked for."""
    with Follower(f"{serving.url}/api/system-status/live") as client:
        client.wait_for_stable(True)
        await_armed(database)
        begin_work(database)
        client.wait_for_stable(False)
        assert scrape(serving, "stability_commit_to_frame_seconds_count", TOPIC) == 1
        end_work(database)
        client.wait_for_stable(True)
        assert scrape(serving, "stability_commit_to_frame_seconds_count", TOPIC) == 2
        assert scrape(serving, "stability_commit_to_frame_seconds_bucket", {**TOPIC, "le": "30.0"}) == 2
    delay = scrape(serving, "stability_canary_delay_seconds_count", {})
    assert delay is not None
    assert delay >= 1


def test_what_keeps_it_polling(serving: Serving, database: Database) -> None:
    """A transaction that began before hints were switched on is seen by the age of the fence, until it ends."""
    with Follower(f"{serving.url}/api/system-status/live") as client, psycopg.connect(database.writer_dsn) as writer:
        client.wait_for_stable(True)
        await_armed(database)
        begin_work(database)
        client.wait_for_stable(False)
        assert scrape(serving, "stability_hints_awaited", TOPIC) == 0
        writer.execute("INSERT INTO public.import_job (slug, state) VALUES ('b', 'finished')")
        end_work(database)
        client.wait_for_stable(True)
        await_armed(database)
        first = scrape(serving, "stability_fence_age_seconds", TOPIC)
        later = scrape(serving, "stability_fence_age_seconds", TOPIC)
        assert first is not None
        assert later is not None
        assert 0 < first < later
        assert scrape(serving, "stability_hints_awaited", TOPIC) == 0
        writer.commit()
        eventually(lambda: scrape(serving, "stability_hints_awaited", TOPIC) == 1)
    assert scrape(serving, "stability_fence_age_seconds", TOPIC) == 0


def test_an_outage_is_one_loss(serving: Serving, database: Database, cluster: EmbeddedPostgres) -> None:
    """However often the listener tries in vain."""
    with Follower(f"{serving.url}/api/system-status/live") as client:
        client.wait_for_stable(True)
        with database.away():
            client.wait_for_stable(None)
            refused = f'FATAL:  database "{database.name}" is not currently accepting connections'
            eventually(lambda: cluster.log.read_text().count(refused) > 3)
        client.wait_for_stable(True)
        assert scrape(serving, "stability_listener_losses_total", {}) == 1


def test_no_pause_over_20_ms_can_be_told(serving: Serving) -> None:
    """The histogram of the garbage collector's pauses has the bound that they are held to."""
    assert scrape(serving, "stability_gc_pause_seconds_bucket", {"le": "0.02"}) is not None
