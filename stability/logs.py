"""One line per event, logfmt or JSON, to standard error: our own and those of the libraries."""

import logging
import sys
from math import inf
from time import monotonic
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger


def configure(form: Literal["logfmt", "json"], level: str, worker: str = "") -> None:
    """Send every log line of this process through one formatter; each names `worker` if this is one of several."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        *([_naming(worker)] if worker else []),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [structlog.processors.format_exc_info, _logfmt_safe, _LOGFMT]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("sse_starlette").setLevel(logging.WARNING)  # logs every chunk otherwise
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # what it tells at start and end, we tell in our words
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # a connection that it gives up is one that we tell of
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # what it says of a failure is in our line and in the row
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # names the paths of recipients, which may be secrets
    logging.getLogger("httpx").setLevel(logging.WARNING)  # tells of every look at a deployment
    logging.getLogger("alembic").setLevel(logging.WARNING)


class Seldom:
    """Whether so many seconds have passed since it last said yes: for lines that anybody may cause."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._said_at = seconds, -inf

    def __call__(self) -> bool:
        now = monotonic()
        if now - self._said_at < self._seconds:
            return False
        self._said_at = now
        return True


def _naming(worker: str) -> structlog.typing.Processor:
    def name(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        return {**event, "worker": worker}

    return name


_LOGFMT = structlog.processors.LogfmtRenderer(key_order=["time", "level", "event"], drop_missing=True)


def _logfmt_safe(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Logfmt has no lists and its keys no spaces: values that are no scalars are written as text."""
    return {
        key: value if value is None or isinstance(value, bool | int | float | str) else str(value)
        for key, value in event.items()
    }
