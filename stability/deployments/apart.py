"""Keeps the deployments apart: whatever is wrong with one, the others go on."""

from collections.abc import Coroutine
from typing import Any, Final

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from stability.contained import Contained
from stability.database import answered, reason
from stability.logs import Seldom

_DATABASE: Final = (SQLAlchemyError, psycopg.Error)

_log = structlog.get_logger(__name__)
_seldom: Final = Seldom(10.0)
_contained: Final = Contained("deployments", but=_DATABASE)


async def apart(deployment: str, work: Coroutine[Any, Any, None]) -> None:
    """Do what concerns one deployment, and log what went wrong with it; a database that is away concerns all."""
    with _contained:
        try:
            await work
        except _DATABASE as error:
            if not answered(error):
                raise
            if _seldom():
                _log.warning("the database refuses a deployment's change", deployment=deployment, reason=reason(error))
        except Exception as error:
            error.add_note(f"It was met with the deployment {deployment}.")
            raise
