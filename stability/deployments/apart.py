"""Keeps the deployments apart: whatever is wrong with one, the others go on."""

from collections.abc import Coroutine
from typing import Any, Final

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from stability.database import answered, reason
from stability.logs import Seldom

_log = structlog.get_logger(__name__)
_seldom: Final = Seldom(10.0)


async def apart(deployment: str, work: Coroutine[Any, Any, None]) -> None:
    """Do what concerns one deployment, and log what went wrong with it; a database that is away concerns all."""
    try:
        await work
    except (SQLAlchemyError, psycopg.Error) as error:
        if not answered(error):
            raise
        if not _seldom():
            _log.warning("the database refuses a deployment's change", deployment=deployment, reason=reason(error))
    except Exception:  # noqa: BLE001 -- the boundary that the monitor's promise is kept at: no error stops it
        if not _seldom():
            _log.exception("a deployment could not be served", deployment=deployment)
