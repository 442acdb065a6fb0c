"""The table of deployments, read and written: whatever is written says what it found before."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import RowMapping, bindparam, text
from sqlalchemy.types import NULLTYPE

from stability.database import Database

TRANSITIONAL: Final = ("pending", "installing", "starting")
_COLUMNS: Final = """
    id::text, status::text, machine_id::text, health_url::text, error_message::text,
    greatest(0, extract(epoch FROM clock_timestamp())
        - extract(epoch FROM coalesce(status_since, updated_at, created_at, now())))::float8 AS age
"""
_STATUS: Final = f"SELECT {_COLUMNS} FROM public.deployments WHERE status::text = ANY(:statuses) ORDER BY id"  # noqa: S608
# the parameter has no type of its own, so that it takes the column's: a number, a uuid, a text
_ONE: Final = text(f"SELECT {_COLUMNS} FROM public.deployments WHERE id = :id").bindparams(  # noqa: S608
    bindparam("id", type_=NULLTYPE)
)
_MOVE: Final = text("""
    UPDATE public.deployments
       SET status = :status, progress_message = :progress, error_message = :error,
           machine_id = coalesce(:machine, machine_id)
     WHERE id = :id AND status::text = :seen RETURNING id::text
""").bindparams(*(bindparam(name, type_=NULLTYPE) for name in ("id", "status", "machine")))
_CONFIG: Final = text("SELECT config::text FROM public.deployments WHERE id = :id").bindparams(
    bindparam("id", type_=NULLTYPE)
)
_CHECKED: Final = text("""
    UPDATE public.deployments SET last_checked_at = clock_timestamp() WHERE id::text = ANY(:ids)
""")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as it was found; `age` is the seconds since it has its status, by the database's clock."""

    id: str
    status: str
    machine_id: str | None
    health_url: str | None
    error: str | None
    age: float


@dataclass(frozen=True, slots=True)
class Move:
    """What a deployment is to become."""

    status: str
    progress: str | None = None
    error: str | None = None
    machine_id: str | None = None


async def find(database: Database, key: str) -> Deployment | None:
    """The deployment of that id, as it is now."""
    async with database.reading() as connection:
        row = (await connection.execute(_ONE, {"id": key})).mappings().first()
    return _deployment(row) if row else None


async def having(database: Database, statuses: Sequence[str]) -> Sequence[Deployment]:
    """Every deployment with one of these statuses."""
    async with database.reading() as connection:
        rows = (await connection.execute(text(_STATUS), {"statuses": list(statuses)})).mappings().all()
    return [_deployment(row) for row in rows]


async def config_of(database: Database, key: str) -> Mapping[str, object]:
    """What the machine of that deployment is made of; empty where that is no object."""
    async with database.reading() as connection:
        config: Any = json.loads((await connection.execute(_CONFIG, {"id": key})).scalar() or "{}")
    return config if isinstance(config, dict) else {}


async def move(database: Database, deployment: Deployment, to: Move) -> bool:
    """Whether it became that: not where somebody changed its status meanwhile."""
    values = {
        "id": deployment.id, "seen": deployment.status, "status": to.status, "progress": to.progress,
        "error": to.error, "machine": to.machine_id,
    }  # fmt: skip
    async with database.writing() as connection:
        moved = (await connection.execute(_MOVE, values)).first() is not None
    if moved and to.status != deployment.status:
        _log.info(
            "deployment changed", deployment=deployment.id, before=deployment.status, now=to.status, reason=to.error
        )
    return moved


async def checked(database: Database, keys: Collection[str]) -> None:
    """These were looked at, and what was seen stands in the table."""
    if keys:
        async with database.writing() as connection:
            await connection.execute(_CHECKED, {"ids": sorted(keys)})


def _deployment(row: RowMapping) -> Deployment:
    return Deployment(row["id"], row["status"], row["machine_id"], row["health_url"], row["error_message"], row["age"])
