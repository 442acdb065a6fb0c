"""The alerts that are to be sent, and what each recipient got of them: tables that `stability.alert()` fills."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import RowMapping, text

from stability.alerts.digest import together
from stability.database import Database

KEPT: Final = 100_000  # alerts that are remembered, the newest
BATCH: Final = 1000  # alerts that are forgotten in one transaction
APART: Final = 5  # alerts of one kind that come one by one; more are one message
MOST: Final = 10_000  # alerts in one message
SHOWN: Final = 20  # of them whose facts it tells

# What can wait comes last: there may be thousands that finished, and nothing else may wait for those. Those that were
# tried are apart from those that were not, so that one that a recipient refuses holds up nothing that is new.
_AS_ONE: Final = r"""
    array_agg(c.id ORDER BY c.id) AS ids, c.kind, min(c.subject) AS subject, min(c.since) AS since,
    (array_agg(c.fact ORDER BY c.id))[1 \: :shown] AS facts,
    CASE WHEN min(c.link) = max(c.link) THEN min(c.link) END AS link
"""
_CLAIM: Final = text(rf"""
    WITH due AS MATERIALIZED (
        SELECT o.id, o.kind, o.subject, o.fact, o.since, o.link, d.alert IS NOT NULL AS tried,
               coalesce(d.attempts, 0) AS attempts
          FROM stability.outbox o LEFT JOIN stability.delivery d ON d.alert = o.id AND d.recipient = :recipient
         WHERE o.sent_at IS NULL AND o.created_at > clock_timestamp() - interval '1 day'
           AND (d.alert IS NULL OR d.sent_at IS NULL AND d.next_attempt_at <= clock_timestamp())
    ), first AS (
        SELECT id, kind, tried FROM due
         ORDER BY CASE WHEN kind ~ '_(finished|cancelled|recovered)$' THEN 2
                       WHEN kind = 'execution_failed' THEN 1 ELSE 0 END, attempts, id LIMIT 1
    ), alike AS MATERIALIZED (
        SELECT due.* FROM due JOIN first USING (kind, tried) ORDER BY due.id LIMIT :most
    ), chosen AS (
        SELECT * FROM alike WHERE (SELECT count(*) FROM alike) > :apart
        UNION ALL
        SELECT due.* FROM due JOIN first USING (id) WHERE (SELECT count(*) FROM alike) <= :apart
    ), claimed AS (
        INSERT INTO stability.delivery AS d (alert, recipient, attempts, next_attempt_at)
        SELECT id, :recipient, 1, clock_timestamp() + make_interval(secs => :lease) FROM chosen
        ON CONFLICT ON CONSTRAINT delivery_pkey DO UPDATE
           SET attempts = d.attempts + 1, next_attempt_at = excluded.next_attempt_at
         WHERE d.sent_at IS NULL AND d.next_attempt_at <= clock_timestamp()
        RETURNING alert
    )
    SELECT {_AS_ONE} FROM chosen c JOIN claimed ON claimed.alert = c.id GROUP BY c.kind
""")  # noqa: S608 -- constants
_PART: Final = text(rf"SELECT {_AS_ONE} FROM stability.outbox c WHERE c.id = ANY (:alerts) GROUP BY c.kind")  # noqa: S608
_SENT: Final = text("""
    UPDATE stability.delivery SET sent_at = clock_timestamp(), error = NULL
     WHERE alert = ANY (:alerts) AND recipient = :recipient
""")
# Two recipients that are served at the same moment each look after their own commit, so the later one sees both.
_SETTLED: Final = text("""
    UPDATE stability.outbox o SET sent_at = clock_timestamp()
     WHERE (o.id = ANY (:alerts) OR CAST(:alerts AS bigint[]) IS NULL) AND o.sent_at IS NULL AND NOT EXISTS (
        SELECT FROM unnest(CAST(:recipients AS text[])) AS r (name)
         WHERE NOT EXISTS (SELECT FROM stability.delivery d
                            WHERE d.alert = o.id AND d.recipient = r.name AND d.sent_at IS NOT NULL))
""")
_FAILED: Final = text("""
    UPDATE stability.delivery
       SET error = :error, next_attempt_at = clock_timestamp() + make_interval(secs => :seconds)
     WHERE alert = ANY (:alerts) AND recipient = :recipient
""")
_AGAIN: Final = text("""
    UPDATE stability.delivery SET next_attempt_at = clock_timestamp() WHERE recipient = :recipient AND sent_at IS NULL
""")
_NEXT: Final = text("""
    SELECT date_part('epoch', min(d.next_attempt_at) - clock_timestamp())
      FROM stability.delivery d JOIN stability.outbox o ON o.id = d.alert
     WHERE d.recipient = :recipient AND d.sent_at IS NULL AND o.sent_at IS NULL
       AND o.created_at > clock_timestamp() - interval '1 day'
""")
_AWAIT: Final = text("""
    SELECT setval('stability.alerts_awaited', CASE WHEN :seconds > 0 THEN
        CAST((date_part('epoch', clock_timestamp()) + :seconds) * 1000000 AS bigint) ELSE 0 END)
""")
_WAITING: Final = text("""
    SELECT count(*) FROM stability.outbox
     WHERE sent_at IS NULL AND created_at > clock_timestamp() - interval '1 day'
""")
_FORGET: Final = text("""
    DELETE FROM stability.outbox WHERE id IN (
        SELECT id FROM stability.outbox
         WHERE created_at < clock_timestamp() - make_interval(days => :days)
            OR id <= (SELECT max(id) FROM stability.outbox) - :kept
         ORDER BY id LIMIT :batch)
""")
_TELL: Final = text("SELECT stability.alert(:kind, :subject, :fact, :since)")


@dataclass(frozen=True, slots=True)
class Alert:
    """What happened to `subject`, and since when; `link` is a path of our page, or an address of its own.

    Where there are several `ids` it stands for all of them, which are of one kind.
    """

    ids: tuple[int, ...]
    kind: str
    subject: str
    fact: str
    since: datetime
    link: str | None = None


class Outbox:
    """Each method is one statement, or a few that stand alone: nothing is held while an alert is being sent.

    Each raises SQLAlchemyError or OSError while the database is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, recipient: str, lease: float) -> Alert | None:
        """The next alert that `recipient` is to get, or many as one; nobody else tries them for `lease` seconds."""
        values = {"recipient": recipient, "lease": lease, "apart": APART, "most": MOST, "shown": SHOWN}
        async with self._database.writing() as connection:
            found = await connection.execute(_CLAIM, values)
            row = found.mappings().one_or_none()
            return _alert(row) if row else None

    async def part(self, ids: Sequence[int]) -> Alert | None:
        """Some of those that were claimed as one, as one; None where all are forgotten meanwhile."""
        async with self._database.reading() as connection:
            found = await connection.execute(_PART, {"alerts": list(ids), "shown": SHOWN})
            row = found.mappings().one_or_none()
            return _alert(row) if row else None

    async def sent(self, alert: Alert, recipient: str, recipients: list[str]) -> None:
        """Note that `recipient` has it; it is settled when all `recipients` have it."""
        values = {"alerts": list(alert.ids), "recipient": recipient, "recipients": recipients}
        for statement in (_SENT, _SETTLED):
            async with self._database.writing() as connection:
                await connection.execute(statement, values)

    async def begin(self, recipients: list[str]) -> None:
        """Settle what all who are left have, and make due what a sender that died was about to send."""
        if recipients:  # else nobody has anything, and whoever is to know next gets what is young enough
            async with self._database.writing() as connection:
                await connection.execute(_SETTLED, {"alerts": None, "recipients": recipients})
        for recipient in recipients:
            await self.try_again(recipient)

    async def failed(self, alert: Alert, recipient: str, error: str, seconds: float) -> None:
        """Note why `recipient` did not take it; it is tried again after so many seconds."""
        values = {"alerts": list(alert.ids), "recipient": recipient, "error": error, "seconds": seconds}
        async with self._database.writing() as connection:
            await connection.execute(_FAILED, values)

    async def try_again(self, recipient: str) -> None:
        """What it refused, or what a sender that died was about to give it, is due now."""
        async with self._database.writing() as connection:
            await connection.execute(_AGAIN, {"recipient": recipient})

    async def next_attempt(self, recipient: str) -> float | None:
        """Seconds until something is to be tried again."""
        async with self._database.reading() as connection:
            seconds: float | None = (await connection.execute(_NEXT, {"recipient": recipient})).scalar_one()
            return seconds

    async def await_hints(self, seconds: float) -> None:
        """Have `stability.alert()` send hints for so long; 0 = no more."""
        async with self._database.writing() as connection:
            await connection.execute(_AWAIT, {"seconds": seconds})

    async def waiting(self) -> int:
        """How many alerts wait to be sent; what is older than a day is not sent any more."""
        async with self._database.reading() as connection:
            return int((await connection.execute(_WAITING)).scalar_one())

    async def forget(self, days: int) -> bool:
        """Delete the oldest of those that are older, or too many; whether there may be more."""
        async with self._database.writing() as connection:
            done = await connection.execute(_FORGET, {"days": days, "kept": KEPT, "batch": BATCH})
            return done.rowcount == BATCH

    async def tell(self, kind: str, subject: str, fact: str, since: datetime) -> None:
        """Put an alert of the server's own into it."""
        async with self._database.writing() as connection:
            await connection.execute(_TELL, {"kind": kind, "subject": subject, "fact": fact, "since": since})


def _alert(row: RowMapping) -> Alert:
    ids, facts = tuple(row["ids"]), row["facts"]
    fact = together(row["kind"], len(ids), facts) if len(ids) > 1 else facts[0]
    return Alert(ids, row["kind"], row["subject"], fact, row["since"], row["link"])
