"""The summary in Statuspage's shape: nothing is told as operational that is not known to be."""

import httpx
import pytest

from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import Database, fetch

INSERT = (
    "INSERT INTO public.generated_applications"
    "       (model_slug, app_number, app_type, provider, container_status, last_status_check)"
    " VALUES ('gpt', 1, 'web', 'openai', 'running', now() - %s::interval)"
)
AGES = {"1 minute": "operational", "6 minutes": "degraded_performance", "1 hour": "degraded_performance"}


def told(url: str, monitor: str) -> str:
    """What the summary says of it."""
    components = httpx.get(f"{url}/api/v2/summary.json").json()["components"]
    return str({each["id"]: each["status"] for each in components}[monitor])


@pytest.mark.parametrize("age", AGES)
def test_what_is_old_is_never_operational(hosted: str, database: Database, age: str) -> None:
    """A status past its `stale_after` is degraded, also long before anybody writes that it is."""
    fetch(database.dsn, INSERT, age)
    eventually(lambda: httpx.get(f"{hosted}/api/applications").json()["applications"])
    eventually(lambda: told(hosted, "applications") == AGES[age])
    worst = httpx.get(f"{hosted}/api/v2/status.json").json()["status"]["indicator"]
    assert (worst == "none") == (AGES[age] == "operational")


def test_what_was_never_checked_is_never_operational(hosted: str, database: Database) -> None:
    """Whatever the table says of its containers."""
    assert told(hosted, "applications") == "operational"
    fetch(database.dsn, INSERT, None)
    eventually(lambda: told(hosted, "applications") == "degraded_performance")


def test_what_cannot_be_read_is_never_operational(hosted: str, database: Database) -> None:
    """While one table is out of the server's sight, and all others are not."""
    fetch(database.dsn, "ALTER TABLE public.status_log RENAME TO moved")
    eventually(lambda: told(hosted, "executions") == "degraded_performance")
    assert told(hosted, "deployments") == "operational"
    fetch(database.dsn, "ALTER TABLE public.moved RENAME TO status_log")
    eventually(lambda: told(hosted, "executions") == "operational")
