"""What is written beside the badge during a fault, and what must agree with it in the end: executions, deployments."""

import json
from typing import Any, Final

import httpx
from httpx_sse import connect_sse

from tests.fixtures import executions
from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import fetch

SETTLED_WITHIN: Final = 30.0  # seconds until the duties of a server that lost its database are done again

# Each write is a step of its own: what was under way before ends, something new begins, and a third is only announced.
# Deployments that failed go, or the server would hold more and more of them.
_WRITES: Final = (
    "UPDATE public.executions SET status = 'FINISHED' WHERE status = 'RUNNING'",
    "UPDATE public.executions SET status = 'RUNNING' WHERE status = 'READY'",
    "INSERT INTO public.executions (status) VALUES ('READY'), ('PENDING'), ('RUNNING')",
    "DELETE FROM public.deployments WHERE status = 'failed'",
    "INSERT INTO public.deployments (name, status) VALUES ('web', 'pending')",
)
_ASTRAY: Final = """
    SELECT e.id, e.status::text, l.status_to::text FROM public.executions AS e LEFT JOIN LATERAL (
        SELECT s.status_to FROM public.status_log AS s WHERE s.execution_id = e.id ORDER BY s.id DESC LIMIT 1
    ) AS l ON true WHERE l.status_to::text IS DISTINCT FROM e.status::text
"""
_ON_ITS_WAY: Final = "SELECT id FROM public.deployments WHERE status IN ('pending', 'installing', 'starting')"


def write(dsn: str) -> None:
    """Executions begin, go on and end, and a deployment is asked for."""
    for statement in _WRITES:
        fetch(dsn, statement)


def check(dsn: str, url: str) -> None:
    """The log is gapless and ends at the truth, the server at `url` tells it, and no deployment is left lying."""
    eventually(lambda: fetch(dsn, _ON_ITS_WAY) == [], SETTLED_WITHIN)
    eventually(lambda: _told(url, "executions")["log"]["counts"] == _counts(dsn), SETTLED_WITHIN)
    eventually(lambda: _statuses(_told(url, "deployments")) == _deployments(dsn), SETTLED_WITHIN)
    history = executions.log(dsn)
    executions.check(history)
    assert history[-1].counts == executions.truth(dsn)
    assert fetch(dsn, _ASTRAY) == []


def _counts(dsn: str) -> dict[str, int]:
    return dict(zip(executions.COUNTED, executions.truth(dsn), strict=True))


def _deployments(dsn: str) -> dict[str, str]:
    return dict(fetch(dsn, "SELECT id::text, status::text FROM public.deployments"))


def _statuses(rows: dict[str, Any]) -> dict[str, str]:
    return {key: row["status"] for key, row in rows.items()}


def _told(url: str, topic: str) -> dict[str, Any]:
    """The rows of a topic as somebody who opens the page now is told them."""
    rows: dict[str, Any] = {}
    with (
        httpx.Client(timeout=10) as client,
        connect_sse(client, "GET", f"{url}/api/live", params={"topics": topic}) as source,
    ):
        for event in source.iter_sse():
            if event.event == "ready":
                break
            data = json.loads(event.data)
            if data.get("topic") == topic:
                rows[data["key"]] = data["row"]
    return rows
