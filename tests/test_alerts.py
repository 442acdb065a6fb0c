"""What is in the outbox reaches everybody who is to know, at least once, and delays nobody."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from stability.alerts import recipients
from stability.alerts.digest import together
from stability.alerts.outbox import Alert, Outbox
from stability.alerts.sender import Sender, words
from stability.database import Database as Pool
from stability.errors import SettingError
from tests.fixtures.examined import about, examine
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.receivers import PATIENCE, MailServer, Webhook

ALERT = "SELECT stability.alert('execution_failed', '7', 'Execution 7 failed', '2026-01-01T12:00Z', '/#executions/7')"
SETTLED = "SELECT count(*) FROM stability.outbox WHERE sent_at IS NOT NULL"
ALERTS = "SELECT stability.alert('execution_failed', n::text, n::text, now()) FROM generate_series(1, %s) AS n"


class Refusal:
    """What apprise answers where a recipient refused."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __bool__(self) -> bool:
        return False

    def logs(self) -> list["Refusal"]:
        """What it said meanwhile."""
        return [self]


@asynccontextmanager
async def sending(database: Database, *urls: str, public_url: str | None = None) -> AsyncIterator[Sender]:
    """A sender at work, with the server's least rights."""
    pool = Pool(database.server_dsn)
    sender = Sender(Outbox(pool), recipients.parse(" ".join(urls)), public_url)
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        task.cancel()
        await asyncio.wait([task])
        await pool.close()
    assert task.cancelled()


async def later(fact: Callable[[], object]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(fact):  # noqa: ASYNC110 -- nobody announces it
            await asyncio.sleep(0.01)


async def test_a_webhook_gets_the_fact_since_when_and_a_link(database: Database, webhook: Webhook) -> None:
    """What was in the outbox before the sender came is sent, and marked as sent after that."""
    fetch(database.dsn, ALERT)
    async with sending(database, webhook.url, public_url="https://status.example/s/"):
        got = await asyncio.to_thread(webhook.next)
        await later(lambda: fetch(database.dsn, SETTLED) == [1])

    assert got["title"] == "Execution 7 failed"
    assert got["message"] == (
        "Execution 7 failed\nSince 2026-01-01T12:00:00.000Z\nhttps://status.example/s/#executions/7"
    )
    assert got["type"] == "failure"


async def test_a_mail_says_the_same(database: Database, mail_server: MailServer) -> None:
    """The title is its subject."""
    fetch(database.dsn, ALERT)
    async with sending(database, mail_server.url):
        got = await asyncio.to_thread(mail_server.next)

    assert got["Subject"] == "Execution 7 failed"
    assert got["To"] == "ops@example.org"
    body = got.get_body(("plain", "html"))
    assert body is not None
    assert "2026-01-01T12:00:00.000Z" in body.get_content()


async def test_what_is_refused_is_tried_again(database: Database, webhook: Webhook) -> None:
    """500, then 200: the attempts and the reason are in the row."""
    webhook.answers = [500, 200]
    fetch(database.dsn, ALERT)
    async with sending(database, webhook.url):
        await later(lambda: fetch(database.dsn, "SELECT error FROM stability.delivery WHERE error IS NOT NULL"))
        (error,) = fetch(database.dsn, "SELECT coalesce(error, 'sent meanwhile') FROM stability.delivery")
        await asyncio.to_thread(webhook.next)
        await later(lambda: fetch(database.dsn, SETTLED) == [1])

    assert "500" in error or error == "sent meanwhile"
    assert fetch(database.dsn, "SELECT attempts, error FROM stability.delivery") == [(2, None)]


async def test_a_recipient_that_is_away_gets_it_when_it_is_back(database: Database, webhook: Webhook) -> None:
    """Connections are refused, and then are not."""
    webhook.stop()
    fetch(database.dsn, ALERT)
    async with sending(database, webhook.url):
        await later(lambda: fetch(database.dsn, "SELECT 1 FROM stability.delivery WHERE error IS NOT NULL"))
        webhook.start()
        got = await asyncio.to_thread(webhook.next)

    assert got["title"] == "Execution 7 failed"


async def test_who_has_it_does_not_get_it_again(database: Database, webhook: Webhook, other_webhook: Webhook) -> None:
    """One recipient accepts at once, the other at the third try: the first was asked once."""
    other_webhook.answers = [500, 500, 200]
    fetch(database.dsn, ALERT)
    async with sending(database, webhook.url, other_webhook.url):
        await asyncio.to_thread(other_webhook.next)
        await later(lambda: fetch(database.dsn, SETTLED) == [1])

    assert (webhook.asked, other_webhook.asked) == (1, 3)


async def test_a_recipient_that_hangs_delays_nobody(
    database: Database, webhook: Webhook, other_webhook: Webhook
) -> None:
    """Neither another recipient, nor whoever puts alerts into the outbox, nor the end."""
    other_webhook.answers = [None]
    async with sending(database, webhook.url, other_webhook.url) as sender:
        fetch(database.dsn, ALERTS, 20)
        sender.hear()
        async with asyncio.timeout(5):
            assert (await asyncio.to_thread(webhook.next))["title"] == "20 executions failed"
        began = time.monotonic()
    assert time.monotonic() - began < 1


async def test_an_alert_that_is_refused_for_good_holds_up_no_other(database: Database, webhook: Webhook) -> None:
    """What was never tried goes before what failed."""
    webhook.answers = [400, 200]
    fetch(database.dsn, ALERT)
    fetch(database.dsn, ALERTS, 3)
    async with sending(database, webhook.url):
        titles = [(await asyncio.to_thread(webhook.next))["title"] for _ in range(4)]

    assert titles == ["1", "2", "3", "Execution 7 failed"]


async def test_ten_thousand_ends_are_a_few_mails(database: Database, mail_server: MailServer) -> None:
    """One statement finishes them: twenty are named, none is left, and what is urgent does not wait for them."""
    fetch(database.dsn, "INSERT INTO executions (status) SELECT 'RUNNING' FROM generate_series(1, 10000)")
    fetch(database.dsn, "UPDATE executions SET status = 'FINISHED'")
    fetch(database.dsn, "SELECT stability.alert('backup_failed', 'db1', 'The backup failed', now())")
    async with sending(database, mail_server.url, public_url="https://status.example"):
        await later(lambda: fetch(database.dsn, SETTLED) == [10_001])

    urgent, mail = (mail_server.got.get_nowait() for _ in range(2))
    assert mail_server.got.empty()
    assert (urgent["Subject"], mail["Subject"]) == ("The backup failed", "10,000 executions finished")
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert re.findall(r"Execution (\d+) is FINISHED\.", text) == [str(number) for number in range(1, 21)]
    assert "and 9,980 more" in text
    assert "https://status.example/#executions" in text


async def test_a_digest_that_is_refused_is_tried_again_without_what_is_new(
    database: Database, webhook: Webhook
) -> None:
    """What comes meanwhile is told first; then all of the first lot, once more as one."""
    webhook.answers = [500, 200]
    fetch(database.dsn, ALERTS, 6)
    async with sending(database, webhook.url) as sender:
        await later(lambda: webhook.asked)
        fetch(database.dsn, ALERT)
        sender.hear()
        titles = {(await asyncio.to_thread(webhook.next))["title"] for _ in range(2)}
        await later(lambda: fetch(database.dsn, SETTLED) == [7])

    assert titles == {"Execution 7 failed", "6 executions failed"}
    assert webhook.asked == 3


async def test_a_digest_that_is_too_long_is_sent_in_parts(database: Database, webhook: Webhook) -> None:
    """Each as long as the recipient takes it, and all of them at once, without waiting for another try."""
    webhook.judge = lambda message: 413 if message.count("\n") > 6 else 200
    fetch(database.dsn, ALERTS, 50)
    async with sending(database, webhook.url):
        await later(lambda: fetch(database.dsn, SETTLED) == [50])

    got = [webhook.got.get_nowait()["message"].splitlines() for _ in range(webhook.got.qsize())]
    told = [line for lines in got for line in lines if line.isdigit()]
    assert sorted(map(int, told)) == list(range(1, 51))
    assert webhook.asked <= 2 * len(got)


async def test_a_mail_that_is_too_long_is_sent_in_parts(database: Database, mail_server: MailServer) -> None:
    """As SMTP says it."""
    mail_server.judge = lambda text: "552 5.3.4 Message too big" if len(text) > 150 else "250 ok"
    fetch(database.dsn, ALERTS, 20)
    async with sending(database, mail_server.url):
        await later(lambda: fetch(database.dsn, SETTLED) == [20])

    lines = [line for _ in range(mail_server.got.qsize()) for line in mail_server.next().get_content().splitlines()]
    assert sorted(int(line) for line in lines if line.isdigit()) == list(range(1, 21))


@pytest.mark.parametrize(
    ("said", "whether"),
    [
        ("552 5.3.4 Message size exceeds fixed limit", True),
        ("552 Message exceeds the maximum size", True),
        ("554 5.2.3 Message length exceeds the limit of this mailbox", True),
        ("552 5.2.2 Mailbox full", False),
        ("554 5.7.1 You are not welcome", False),
        ("451 4.3.0 Try again later", False),
    ],
)
async def test_a_mail_server_refuses_the_size(mail_server: MailServer, said: str, whether: bool) -> None:
    """Of the message, not of who sends it, nor of a mailbox that is full; and its words are the reason."""
    mail_server.judge = lambda _text: said
    (recipient,) = recipients.parse(mail_server.url)
    why = await recipient.give("title", "body", "info") or ""
    assert recipients.refused(why) is whether
    assert f"({said[:3]}, b'{said[4:]}')" in why


async def test_who_has_answered_may_be_asked_at_once(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """What asked it the last time may still be ending, which is not to hang."""
    over = threading.Event()

    class Lingering(threading.Thread):
        def run(self) -> None:
            super().run()
            over.wait(10)

    monkeypatch.setattr("stability.alerts.recipients.threading.Thread", Lingering)
    (recipient,) = recipients.parse(webhook.url)
    try:
        assert [await recipient.give("title", "body", "info") for _ in range(3)] == [None, None, None]
    finally:
        over.set()


async def test_a_bad_alert_of_many_holds_up_none_of_them(database: Database, webhook: Webhook) -> None:
    """Those around it arrive in a few messages; it alone is tried again, and says why."""
    webhook.judge = lambda message: 422 if "7" in message.splitlines() else 200
    fetch(database.dsn, ALERTS, 20)
    async with sending(database, webhook.url):
        await later(lambda: fetch(database.dsn, SETTLED) == [19])
        left = "SELECT o.subject, d.error FROM stability.delivery d JOIN stability.outbox o ON o.id = d.alert"
        ((subject, error),) = fetch(database.dsn, f"{left} WHERE d.sent_at IS NULL")
        assert webhook.asked < 20
        webhook.judge = lambda _message: 200
        await later(lambda: fetch(database.dsn, SETTLED) == [20])

    assert subject == "7"
    assert "422" in error


async def test_who_refuses_everything_is_not_asked_for_each(database: Database, webhook: Webhook) -> None:
    """After a few alone it is clear that no message is taken: all of them wait, as for anybody who is away."""
    webhook.answers = [400]
    fetch(database.dsn, ALERTS, 1000)
    failed = "SELECT count(*) FROM stability.delivery WHERE error IS NOT NULL"
    async with sending(database, webhook.url):
        await later(lambda: fetch(database.dsn, failed) == [1000])
        assert webhook.asked < 60
        webhook.answers = [200]
        await later(lambda: fetch(database.dsn, SETTLED) == [1000])


@pytest.mark.parametrize(("code", "whether"), [(413, True), (400, True), (404, False), (429, False), (500, False)])
async def test_a_refusal_is_one_of_the_message(webhook: Webhook, code: int, whether: bool) -> None:
    """As apprise tells it; who is asked too often, elsewhere, or is out of order takes no shorter one either."""
    webhook.answers = [code]
    (recipient,) = recipients.parse(webhook.url)
    assert recipients.refused(await recipient.give("title", "body", "info") or "") is whether


async def test_what_can_wait_comes_last(database: Database, webhook: Webhook) -> None:
    """The urgent first, then failures of executions, then good news; up to five of a kind come one by one."""
    for kind in (
        "execution_finished",
        "service_recovered",
        "execution_cancelled",
        "execution_failed",
        "service_critical",
    ):
        fetch(database.dsn, "SELECT stability.alert(%s, 'a', %s, now())", kind, kind)
    fetch(database.dsn, ALERTS.replace("execution_failed", "backup_failed"), 5)
    async with sending(database, webhook.url):
        titles = [(await asyncio.to_thread(webhook.next))["title"] for _ in range(10)]

    assert titles[1:7] == ["1", "2", "3", "4", "5", "execution_failed"]
    assert titles[0] == "service_critical"
    assert titles[7:] == ["execution_finished", "service_recovered", "execution_cancelled"]


def test_many_of_a_kind_of_yours_are_counted() -> None:
    """Under its name, with the first line of each."""
    assert together("backup_failed", 1200, ["a\nb", "c"]) == "1,200 alerts backup_failed\na\nc\nand 1,198 more"


async def test_old_alerts_are_not_sent_to_who_comes_late(database: Database, webhook: Webhook) -> None:
    """Nobody wants yesterday's alerts when the first recipient is configured."""
    fetch(database.dsn, ALERTS, 1)
    fetch(database.dsn, "UPDATE stability.outbox SET created_at = now() - interval '25 hours'")
    fetch(database.dsn, ALERT)
    async with sending(database, webhook.url):
        assert (await asyncio.to_thread(webhook.next))["title"] == "Execution 7 failed"
        await later(lambda: fetch(database.dsn, SETTLED) == [1])

    assert webhook.asked == 1


async def test_what_nobody_got_is_for_whoever_is_configured_next(database: Database, webhook: Webhook) -> None:
    """A server without recipients takes nothing for sent."""
    fetch(database.dsn, ALERT)
    async with sending(database):
        fetch(database.dsn, "SELECT stability.alert('a', 'old', 'b', now())")
        fetch(database.dsn, "UPDATE stability.outbox SET created_at = now() - interval '3 days' WHERE subject = 'old'")
    async with sending(database):
        await later(lambda: fetch(database.dsn, "SELECT subject FROM stability.outbox") == ["7"])
    async with sending(database, webhook.url):
        assert (await asyncio.to_thread(webhook.next))["title"] == "Execution 7 failed"


async def test_the_doctor_says_who_does_not_get_alerts(database: Database, webhook: Webhook) -> None:
    """With the reason, as long as it lasts."""
    webhook.answers = [500]
    fetch(database.dsn, ALERT)
    async with sending(database, webhook.url):
        await later(lambda: fetch(database.dsn, "SELECT 1 FROM stability.delivery WHERE error IS NOT NULL"))
        failing = about("alerts", await examine(database.server_dsn))
        webhook.answers = [200]
        await later(lambda: fetch(database.dsn, SETTLED) == [1])

    assert failing.level == "problem"
    assert "1 is not delivered, the last one because: Failed to send JSON" in failing.fact
    assert "STABILITY_NOTIFY_URLS" in (failing.remedy or "")
    assert not [finding for finding in await examine(database.server_dsn) if finding.check == "alerts"]


async def test_what_is_rolled_back_is_not_sent(database: Database, webhook: Webhook) -> None:
    """The change did not happen."""
    async with sending(database, webhook.url) as sender:
        with psycopg.connect(database.dsn) as writer:
            writer.execute(ALERT.encode())
            sender.hear()
            writer.rollback()
        fetch(database.dsn, ALERTS, 1)
        sender.hear()
        assert (await asyncio.to_thread(webhook.next))["title"] == "1"

    assert webhook.asked == 1


@pytest.mark.parametrize(("url", "days"), [("", 1), ("json://127.0.0.1:1/", 7)])
async def test_the_outbox_does_not_grow_for_ever(database: Database, url: str, days: int) -> None:
    """Old rows go, in batches; without a recipient they are old after a day."""
    fetch(database.dsn, ALERTS, 2500)
    fetch(database.dsn, "UPDATE stability.outbox SET created_at = now() - make_interval(days => %s, hours => 1)", days)
    fetch(database.dsn, "UPDATE stability.outbox SET sent_at = now() WHERE id % 2 = 0")
    fetch(database.dsn, "SELECT stability.alert('a', 'new', 'b', now())")
    async with sending(database, url):
        await later(lambda: fetch(database.dsn, "SELECT subject FROM stability.outbox") == ["new"])


async def test_too_many_are_forgotten(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However young they are, the newest are kept."""
    monkeypatch.setattr("stability.alerts.outbox.KEPT", 10)
    fetch(database.dsn, ALERTS, 50)
    async with sending(database):
        await later(lambda: fetch(database.dsn, "SELECT count(*), max(id) FROM stability.outbox") == [(10, 50)])


async def test_a_database_that_is_away_is_waited_for(database: Database, webhook: Webhook) -> None:
    """The sender goes on where it was."""
    async with sending(database, webhook.url) as sender:
        with database.away():
            sender.hear()
            await asyncio.sleep(0)
        fetch(database.dsn, ALERT)
        sender.hear()
        await asyncio.to_thread(webhook.next)

    assert webhook.asked == 1


def test_without_a_base_there_is_no_link() -> None:
    """Unless the alert has an address of its own."""
    alert = Alert((1,), "a", "b", f"{'long ' * 40}\nsecond line", datetime(2026, 1, 1, tzinfo=UTC), "/x")
    title, body = words(alert, None)

    assert len(title) == 120
    assert body.endswith("second line\nSince 2026-01-01T00:00:00.000Z")
    assert words(Alert((1,), "a", "b", "c", alert.since, "https://x/"), "https://y")[1].endswith("\nhttps://x/")
    assert words(Alert((1,), "a", "b", "c", alert.since), "https://y")[1].endswith("\nhttps://y/")


def test_a_link_leads_to_a_part_of_the_page() -> None:
    """Each that an alert of ours may carry is the place of one, and each part has its alerts."""
    sources = [*Path("sql").glob("*.sql"), *Path("stability").rglob("*.py")]
    links = {found for source in sources for found in re.findall(r"'/#(\w+)'", source.read_text("utf-8"))}

    assert links == set(re.findall(r"PART as (\w+)", Path("web/parts.js").read_text("utf-8")))


def test_recipients_are_separated_by_spaces_or_commas() -> None:
    """An address may have commas of its own, and is one recipient however often it is named."""
    named = recipients.parse("json://a/?to=b,c, json://d/\n json://d/,mailto://u:p@example.org")

    assert [name.partition("-")[0] for name in (recipient.name for recipient in named)] == ["json", "json", "mailto"]
    assert "u:p" not in "".join(recipient.name for recipient in named)


@pytest.mark.parametrize("urls", ["hello", "json://a/ secret://password@b/", "password@b"])
def test_an_address_that_nobody_knows_is_refused(urls: str) -> None:
    """In a sentence that names the remedy, and not what may be secret."""
    with pytest.raises(SettingError, match=r"^STABILITY_NOTIFY_URLS: address number \d .* write addresses") as refused:
        recipients.parse(urls)

    assert "password@b" not in str(refused.value)


@pytest.mark.parametrize(
    "said", ["open/sesame", "open%2Fsesame", "OPEN%2fSESAME", "Token", "x", "host.example", "A=b c"]
)
async def test_what_apprise_says_tells_no_secret(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Whatever of an address a reason repeats, in whichever way of writing, is left out of it."""
    (recipient,) = recipients.parse("json://x:open%2Fsesame@host.example/Token?+A=b%20c")
    monkeypatch.setattr(recipient._channel, "notify", lambda **_given: Refusal(f"no {said} for http://h/{said}/y."))

    assert await recipient.give("title", "body", "info") in ("no … for http://h/…/y.", "no …=… for http://h/…=…/y.")


def test_without_apprise_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    with pytest.raises(SettingError, match="pip install 'pg-stability\\[alerts\\]'"):
        recipients.parse("json://a/")
    assert recipients.parse(" ") == ()
