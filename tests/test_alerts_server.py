"""Servers send the alerts of all systems: exactly one of several, whatever becomes of it."""

import time
from collections.abc import Callable

import httpx
import pytest

from tests.fixtures.eventually import eventually
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.receivers import Webhook, silent_port
from tests.fixtures.server import Serving
from tests.fixtures.work import begin_work, end_work

ALERT = "SELECT stability.alert('execution_failed', '{0}', 'Execution {0} failed', now())"
APART = ALERT.replace("execution_failed", "kind_{0}")  # many of one kind are one message
WAITED_FOR = "SELECT last_value > 0 FROM stability.alerts_awaited"
SETTLED = "SELECT count(*) FROM stability.outbox WHERE sent_at IS NOT NULL"


def await_sender(database: Database) -> None:
    """A server sends alerts, and waits to be told of them."""
    eventually(lambda: fetch(database.dsn, WAITED_FOR) == [True])


def figure(server: Serving, name: str) -> float:
    """One of `/metrics`."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def test_a_commit_is_in_the_mail_at_once(
    start_server: Callable[..., Serving], database: Database, webhook: Webhook
) -> None:
    """A hint wakes the sender: nobody waits for the look each 30 s. The metrics count it."""
    server = start_server(STABILITY_NOTIFY_URLS=webhook.url)
    await_sender(database)
    began = time.monotonic()
    fetch(database.dsn, ALERT.format(7))

    assert webhook.next()["title"] == "Execution 7 failed"
    assert time.monotonic() - began < 2
    eventually(lambda: fetch(database.dsn, SETTLED) == [1])
    assert figure(server, "stability_alerts_sent_total") == 1
    assert figure(server, "stability_alerts_failed_total") == 0
    eventually(lambda: figure(server, "stability_alerts_waiting") == 0)


def test_what_comes_one_after_the_other_arrives(
    start_server: Callable[..., Serving], database: Database, webhook: Webhook
) -> None:
    """Also while the sender asks for no hints, since it looks by itself."""
    start_server(STABILITY_NOTIFY_URLS=webhook.url)
    await_sender(database)
    began = time.monotonic()
    for number in range(30):
        fetch(database.dsn, APART.format(number))
        time.sleep(0.05)  # the course of the world, not a wait
    titles = {webhook.next()["title"] for _ in range(30)}

    assert titles == {f"Execution {number} failed" for number in range(30)}
    assert time.monotonic() - began < 5


def test_two_servers_send_it_once(start_server: Callable[..., Serving], database: Database, webhook: Webhook) -> None:
    """One is on duty; when that one dies the other takes over, and sends what came meanwhile."""
    servers = [start_server(STABILITY_NOTIFY_URLS=webhook.url) for _ in range(2)]
    await_sender(database)
    for number in range(20):
        fetch(database.dsn, APART.format(number))
    titles = [webhook.next()["title"] for _ in range(20)]
    assert len(set(titles)) == 20
    eventually(lambda: fetch(database.dsn, SETTLED) == [20])
    on_duty = max(servers, key=lambda server: figure(server, "stability_alerts_sent_total"))
    on_duty.process.kill()
    fetch(database.dsn, ALERT.format("after"))

    assert webhook.next()["title"] == "Execution after failed"
    assert webhook.asked == 21


def test_what_was_not_sent_is_sent_after_a_restart(
    start_server: Callable[..., Serving], database: Database, webhook: Webhook
) -> None:
    """The server is killed in the middle of a delivery, and another alert comes while there is none."""
    webhook.answers = [None, 200]
    first = start_server(STABILITY_NOTIFY_URLS=webhook.url)
    await_sender(database)
    fetch(database.dsn, ALERT.format(1))
    eventually(lambda: webhook.asked)
    first.process.kill()
    fetch(database.dsn, ALERT.format(2))
    start_server(STABILITY_NOTIFY_URLS=webhook.url)

    assert {webhook.next()["title"] for _ in range(2)} == {"Execution 1 failed", "Execution 2 failed"}
    eventually(lambda: fetch(database.dsn, SETTLED) == [2])


def test_whoever_is_no_recipient_any_more_is_not_waited_for(
    start_server: Callable[..., Serving], database: Database, webhook: Webhook
) -> None:
    """An alert that all others have is settled with the next start."""
    with silent_port() as port:
        first = start_server(STABILITY_NOTIFY_URLS=f"json://127.0.0.1:{port}/ {webhook.url}")
        await_sender(database)
        fetch(database.dsn, ALERT.format(1))
        eventually(lambda: fetch(database.dsn, "SELECT 1 FROM stability.delivery WHERE sent_at IS NOT NULL"))
        first.process.kill()
    start_server(STABILITY_NOTIFY_URLS=webhook.url)

    eventually(lambda: fetch(database.dsn, SETTLED) == [1])
    assert webhook.asked == 1


def test_a_recipient_that_hangs_holds_no_server_up(start_server: Callable[..., Serving], database: Database) -> None:
    """Neither its answers nor its end."""
    with silent_port() as port:
        server = start_server(STABILITY_NOTIFY_URLS=f"json://127.0.0.1:{port}/")
        await_sender(database)
        fetch(database.dsn, ALERT.format(1))
        eventually(lambda: fetch(database.dsn, "SELECT 1 FROM stability.delivery"))
        began = time.monotonic()
        assert httpx.get(f"{server.url}/api/system-status").status_code == 200
        assert time.monotonic() - began < 1
        server.process.terminate()
        assert server.process.wait(5) == 0


@pytest.mark.parametrize("known", [True, False], ids=["lost later", "never known"])
def test_an_unknown_state_is_an_alert_without_the_database(
    start_server: Callable[..., Serving], database: Database, webhook: Webhook, known: bool
) -> None:
    """It goes out from memory, once, tried again until it is accepted."""
    webhook.answers = [500, 200]
    settings = {"STABILITY_NOTIFY_URLS": webhook.url, "STABILITY_UNKNOWN_MINUTES": "0.02"}
    if known:
        start_server(**settings)
        await_sender(database)
    with database.away():
        if not known:
            start_server(ready=False, **settings)
        got = webhook.next()
        assert got["title"] == "The status of the system is unknown; the server's listener is lost"
    fetch(database.dsn, ALERT.format(1))

    assert webhook.next()["title"] == "Execution 1 failed"
    assert webhook.asked == 3


def test_an_unknown_state_is_an_alert_of_one_server(
    start_server: Callable[..., Serving], database: Database, webhook: Webhook
) -> None:
    """A source cannot be read, the database is there: it goes the way of all alerts, once per occurrence."""
    settings = {"STABILITY_NOTIFY_URLS": webhook.url, "STABILITY_UNKNOWN_MINUTES": "0.02"}
    servers = [start_server(STABILITY_REREAD_SECONDS="0.2", **settings) for _ in range(2)]
    await_sender(database)
    for _ in range(2):
        fetch(database.dsn, "ALTER TABLE public.import_job RENAME TO gone")
        assert webhook.next()["title"] == "The status of the system is unknown; the server's listener is live"
        fetch(database.dsn, "ALTER TABLE public.gone RENAME TO import_job")
        for server in servers:
            eventually(lambda server=server: httpx.get(f"{server.url}/api/system-status").json()["stable"])  # type: ignore[misc]

    assert fetch(database.dsn, "SELECT count(*) FROM stability.outbox") == [2]
    assert webhook.asked == 2


def test_work_that_does_not_move_is_an_alert_though_the_server_was_replaced(
    start_server: Callable[..., Serving], database: Database, webhook: Webhook
) -> None:
    """Since when the row is as it is outlives the server that saw it first, and the alert comes once."""
    first = start_server(STABILITY_STUCK_MINUTES="0.5")  # looks each 3 s
    begin_work(database)
    eventually(lambda: fetch(database.dsn, "SELECT 1 FROM stability.seen_active"), 80)
    first.process.kill()
    fetch(database.dsn, "UPDATE stability.seen_active SET since = since - interval '31 min'")
    for _ in range(2):
        start_server(STABILITY_NOTIFY_URLS=webhook.url, STABILITY_STUCK_MINUTES="30")

    assert webhook.next()["title"] == "import_job: 1 active row unchanged for 31 minutes, its id is 1"
    end_work(database)
    eventually(lambda: fetch(database.dsn, SETTLED) == [1])
    assert webhook.asked == 1


def test_a_wrong_recipient_is_told_at_the_start(start_server: Callable[..., Serving]) -> None:
    """The server does not start with it."""
    server = start_server(ready=False, STABILITY_NOTIFY_URLS="nonsense")

    assert server.process.wait(20) == 2
