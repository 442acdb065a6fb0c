"""Who keeps dead rows from being removed: while an old snapshot is held, every read of the state walks over them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from stability.doctor.finding import Finding

OLD: Final = 60.0  # seconds that a transaction may take
FAR: Final = 100_000  # transactions that a standby may be behind with its oldest query
STILL: Final = 0.5  # seconds; who shows another snapshot after that takes one per statement, and holds none

# A snapshot holds back no more than running transactions do anyway, unless it is older. VACUUM's holds back nothing.
_HOLDERS: Final = """
    WITH fresh (age) AS MATERIALIZED (
        SELECT pg_catalog.age(pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::xid)
    )
    SELECT pg_catalog.format('pid %%s (%%s)', a.pid, pg_catalog.concat_ws(', ', nullif(a.application_name, ''),
               'user ' || a.usename, a.state)) AS who,
           pg_catalog.concat_ws('/', a.pid, a.backend_xid, a.backend_xmin) AS snapshot,
           pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - a.xact_start) AS seconds,
           greatest(pg_catalog.age(a.backend_xid), pg_catalog.age(a.backend_xmin)) AS behind,
           pg_catalog.format('end it with "SELECT pg_terminate_backend(%%s)"; idle_in_transaction_session_timeout or'
               ' statement_timeout ends the next one', a.pid) AS remedy
      FROM pg_catalog.pg_stat_activity a, fresh
     WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
       AND pg_catalog.clock_timestamp() - a.xact_start >= pg_catalog.make_interval(secs => %(old)s)
       AND (a.backend_xid IS NOT NULL OR pg_catalog.age(a.backend_xmin) > fresh.age)
       AND a.backend_type NOT IN ('autovacuum worker', 'parallel worker')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.pid = a.pid)
    UNION ALL
    SELECT pg_catalog.format('The prepared transaction %%s (user %%s)', p.gid, p.owner), p.gid,
           pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - p.prepared), pg_catalog.age(p.transaction),
           pg_catalog.format('settle it with "COMMIT PREPARED %%L" or "ROLLBACK PREPARED %%L"', p.gid, p.gid)
      FROM pg_catalog.pg_prepared_xacts p
     WHERE p.database = pg_catalog.current_database()
       AND pg_catalog.clock_timestamp() - p.prepared >= pg_catalog.make_interval(secs => %(old)s)
    UNION ALL
    SELECT pg_catalog.format('The replication slot %%s', s.slot_name), s.slot_name, NULL, pg_catalog.age(s.xmin),
           CASE WHEN s.active THEN 'end the long query on its standby, or set hot_standby_feedback = off there'
               ELSE pg_catalog.format('nobody uses it now: "SELECT pg_drop_replication_slot(%%L)" if nobody will',
                   s.slot_name) END
      FROM pg_catalog.pg_replication_slots s, fresh
     WHERE pg_catalog.age(s.xmin) >= CASE WHEN s.active THEN %(far)s ELSE fresh.age + 1 END
    UNION ALL
    SELECT pg_catalog.format('The standby %%s (pid %%s)', r.application_name, r.pid), r.pid::text, NULL,
           pg_catalog.age(r.backend_xmin),
           'end the long query on that standby, or set hot_standby_feedback = off there'
      FROM pg_catalog.pg_stat_replication r WHERE pg_catalog.age(r.backend_xmin) >= %(far)s
     ORDER BY behind DESC
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who keeps what died in the last `behind` transactions, for `seconds` if that is known."""

    who: str
    snapshot: str
    seconds: float | None
    behind: int
    remedy: str


async def snapshots(
    connection: psycopg.AsyncConnection[Any], old: float = OLD, far: int = FAR
) -> AsyncIterator[Finding]:
    """Transactions, slots and standbys that hold an old snapshot: `old` in seconds, `far` in transactions."""
    holders = await _holders(connection, old, far)
    if holders:
        await asyncio.sleep(STILL)
        before = {holder.snapshot for holder in holders}
        holders = [holder for holder in await _holders(connection, old, far) if holder.snapshot in before]
    for holder in holders:
        lasts = "" if holder.seconds is None else f" has been open for {holder.seconds:,.0f} s and"
        yield Finding(
            "snapshots",
            "warning",
            f"{holder.who}{lasts} holds a snapshot that is {holder.behind:,}"
            f" {'transaction' if holder.behind == 1 else 'transactions'} old: rows that died since cannot be removed,"
            " and reads become slow.",
            holder.remedy,
        )
    if not holders:
        yield Finding("snapshots", "ok", "Nobody who can be seen holds an old snapshot.")


async def _holders(connection: psycopg.AsyncConnection[Any], old: float, far: int) -> list[Holder]:
    async with connection.cursor(row_factory=class_row(Holder)) as cursor:
        await cursor.execute(_HOLDERS, {"old": old, "far": far})
        return await cursor.fetchall()
