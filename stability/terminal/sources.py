"""What is watched, and how much of it is active just now."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from stability.database import Database, reason
from stability.errors import DatabaseError
from stability.schema import revision

_READ = text("""
    SELECT s.name, s.relation, a.active, a.count, a.more, a.error
      FROM stability.source s LEFT JOIN stability.read_activity() a ON a.source = s.name
     ORDER BY s.name
""")


@dataclass(frozen=True, slots=True)
class Watched:
    """One registered table."""

    name: str
    relation: str
    active: bool | None
    count: int | None
    more: bool | None
    error: str | None

    def cells(self) -> tuple[str, str, str, str, str]:
        """Name, relation, active, count and problem, to be shown."""
        active = "?" if self.active is None else "yes" if self.active else "no"
        count = "?" if self.count is None else f"{self.count:,}{'+' if self.more else ''}"
        return self.name, self.relation, active, count, self.error or ""


async def read(conninfo: str) -> Sequence[Watched]:
    """Every source, by name; raises DatabaseError when that cannot be read."""
    database = Database(conninfo)
    try:
        async with database.reading() as connection:
            await revision.check(connection)
            return [Watched(**row) for row in (await connection.execute(_READ)).mappings()]
    except SQLAlchemyError as error:
        raise DatabaseError(f"The sources cannot be read: {reason(error)}; `stability doctor` says more.") from error
    finally:
        await database.close()
