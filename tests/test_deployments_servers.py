"""Two servers beside one table of deployments: one of them probes, and the other one as soon as that cannot."""

from collections.abc import Callable
from time import monotonic

import pytest

from stability.duty import TAKEN_OVER
from tests.fixtures.deployments import deployed
from tests.fixtures.eventually import in_time
from tests.fixtures.machines import target
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving
from tests.fixtures.wire import Wire

INTERVAL = 0.2  # seconds between two looks
HOLDERS = """
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = 'stability duties'
    AND l.objid = hashtext('deployments: health')::oid
"""


@pytest.mark.chaos  # its quick form is that of every duty
async def test_a_prober_whose_line_is_half_open_is_replaced(
    database: Database, start_server: Callable[..., Serving], wire: Wire
) -> None:
    """It hears nothing of Postgres and nobody is told: what goes wrong then is seen by the other server, in time."""
    probing = {"STABILITY_PROBE_SECONDS": str(INTERVAL), "STABILITY_PROBE_ALLOW": "127.0.0.1"}
    async with target() as here:
        row = deployed(database, "running", health_url=here.url)
        start_server(DATABASE_URL=wire.dsn(database.server_dsn), **probing)
        await in_time(lambda: here.asked)
        start_server(**probing)
        assert fetch(database.dsn, HOLDERS) == [1]
        with wire.silent():
            began = monotonic()
            for behaviour, status in ((500, "unhealthy"), (200, "running"), (500, "unhealthy")):
                here.behaviour = behaviour  # what it sends still arrives, so the first may be seen by the old one yet
                await row.becomes(status, within=TAKEN_OVER + 5)
            print(f"all seen {monotonic() - began:.1f} s after the line fell silent")
        assert fetch(database.dsn, HOLDERS) == [1]
