"""What a server costs while nothing happens: it sleeps."""

import re
from pathlib import Path
from typing import Final

from tests.fixtures.eventually import eventually
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import serve
from tests.test_metrics import TOPIC, scrape

BEAT: Final = 1.0  # seconds
BEATS: Final = 3
# Measured: 2. A driver's or a server's loop that looks every 100 ms, as psycopg's notifies() and uvicorn's do, adds 10.
MOST: Final = 5.0  # wake-ups a second


def test_a_server_at_rest_sleeps(database: Database) -> None:
    """With a client attached its threads wake for heartbeats, canaries, re-reads and the date, and for nothing else."""
    with (
        serve(database.server_dsn, STABILITY_HEARTBEAT_SECONDS=str(BEAT)) as server,
        Follower(f"{server.url}/api/system-status/live") as client,
    ):
        client.wait_for_stable(True)
        eventually(lambda: scrape(server, "stability_hints_awaited", TOPIC) == 1)
        heard = len(client.named("heartbeat"))
        client.wait_for(lambda self: len(self.named("heartbeat")) > heard)
        before = wake_ups(server.process.pid)
        client.wait_for(lambda self: len(self.named("heartbeat")) > heard + BEATS)
        after = wake_ups(server.process.pid)
        first, *_, last = client.named("heartbeat")[heard:]
    rate = (after - before) / (last.at - first.at)
    print(f"\n{rate:.1f} wake-ups a second at rest")
    assert rate < MOST


def wake_ups(process: int) -> int:
    """How often its threads have given the processor up and come back, all together."""
    statuses = [(task / "status").read_text() for task in Path(f"/proc/{process}/task").iterdir()]
    found = [re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE) for status in statuses]
    return sum(int(match[1]) for match in found if match)
