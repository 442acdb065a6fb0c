"""The alerts that are to be sent, and what each recipient got of them: tables that `stability.alert()` fills."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text

from stability.database import Database

KEPT: Final = 100_000  # alerts that are remembered, the newest
BATCH: Final = 1000  # alerts that are forgotten in one transaction

# What was tried less often goes first, so that one alert that a recipient refuses holds up no other.
# Executions come last: there may be thousands of them, and nothing else may wait for those.
_CLAIM: Final = text(r"""
    WITH due AS (
        SELECT o.id, o.kind, o.subject, o.fact, o.since, o.link
          FROM stability.outbox o LEFT JOIN stability.delivery d ON d.alert = o.id AND d.recipient = :recipient
         WHERE o.sent_at IS NULL AND o.created_at > clock_timestamp() - interval '1 day'
           AND (d.alert IS NULL OR d.sent_at IS NULL AND d.next_attempt_at <= clock_timestamp())
         ORDER BY starts_with(o.kind, 'execution_'), coalesce(d.attempts, 0), o.id LIMIT 1
    ), claimed AS (
        INSERT INTO stability.delivery AS d (alert, recipient, attempts, next_attempt_at)
        SELECT id, :recipient, 1, clock_timestamp() + make_interval(secs => :lease) FROM due
        ON CONFLICT ON CONSTRAINT delivery_pkey DO UPDATE
           SET attempts = d.attempts + 1, next_attempt_at = excluded.next_attempt_at
         WHERE d.sent_at IS NULL AND d.next_attempt_at <= clock_timestamp()
        RETURNING alert
    )
    SELECT due.* FROM due JOIN claimed ON claimed.alert = due.id
""")
_SENT: Final = text("""
    UPDATE stability.delivery SET sent_at = clock_timestamp(), error = NULL
     WHERE alert = :alert AND recipient = :recipient
""")
# Two recipients that are served at the same moment each look after their own commit, so the later one sees both.
_SETTLED: Final = text("""
    UPDATE stability.outbox o SET sent_at = clock_timestamp()
     WHERE (o.id = :alert OR CAST(:alert AS bigint) IS NULL) AND o.sent_at IS NULL AND NOT EXISTS (
        SELECT FROM unnest(CAST(:recipients AS text[])) AS r (name)
         WHERE NOT EXISTS (SELECT FROM stability.delivery d
                            WHERE d.alert = o.id AND d.recipient = r.name AND d.sent_at IS NOT NULL))
""")
_FAILED: Final = text("""
    UPDATE stability.delivery
       SET error = :error, next_attempt_at = clock_timestamp() + make_interval(secs => :seconds)
     WHERE alert = :alert AND recipient = :recipient
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
    """What happened to `subject`, and since when; `link` is a path of our page, or an address of its own."""

    id: int
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
        """The next alert that `recipient` is to get; nobody else tries it for `lease` seconds."""
        async with self._database.writing() as connection:
            found = await connection.execute(_CLAIM, {"recipient": recipient, "lease": lease})
            row = found.mappings().one_or_none()
            return Alert(**row) if row else None

    async def sent(self, alert: Alert, recipient: str, recipients: list[str]) -> None:
        """Note that `recipient` has it; it is settled when all `recipients` have it."""
        values = {"alert": alert.id, "recipient": recipient, "recipients": recipients}
        for statement in (_SENT, _SETTLED):
            async with self._database.writing() as connection:
                await connection.execute(statement, values)

    async def begin(self, recipients: list[str]) -> None:
        """Settle what all who are left have, and make due what a sender that died was about to send."""
        if recipients:  # else nobody has anything, and whoever is to know next gets what is young enough
            async with self._database.writing() as connection:
                await connection.execute(_SETTLED, {"alert": None, "recipients": recipients})
        for recipient in recipients:
            await self.try_again(recipient)

    async def failed(self, alert: Alert, recipient: str, error: str, seconds: float) -> None:
        """Note why `recipient` did not take it; it is tried again after so many seconds."""
        values = {"alert": alert.id, "recipient": recipient, "error": error, "seconds": seconds}
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
