"""`/api/config`: how a browser wants to see services, kept in a signed cookie of its own."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import structlog
from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import BeforeValidator, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from stability.http.operations import Answer, Model, Operation, whole
from stability.services.settings import ServiceSettings

COOKIE: Final = "stability_config"
INTERVALS: Final = (30, 60, 120, 300, 600)  # seconds
GRANULARITIES: Final = (5, 15, 30, 60)  # minutes
KEPT: Final = 31 * 86_400  # seconds

Interval: TypeAlias = Annotated[Literal[30, 60, 120, 300, 600], BeforeValidator(whole)]
Granularity: TypeAlias = Annotated[Literal[5, 15, 30, 60], BeforeValidator(whole)]

_log = structlog.get_logger(__name__)


class AutoRefresh(Model):
    """Whether list and charts are fetched anew by themselves, and every how many seconds."""

    enabled: bool = False
    interval: Interval = 60
    options: tuple[int, ...] = INTERVALS


class Display(Model):
    """In slots of how many minutes history is shown."""

    historyGranularity: Granularity = 15  # noqa: N815 -- the contract's name
    granularityOptions: tuple[int, ...] = GRANULARITIES  # noqa: N815


class Configuration(Model):
    """What a browser chose, and what it may choose."""

    autoRefresh: AutoRefresh = AutoRefresh()  # noqa: N815
    display: Display = Display()


class AutoRefreshChange(Model):
    """What is to change of it."""

    enabled: bool | None = None
    interval: Interval | None = None


class DisplayChange(Model):
    """What is to change of it."""

    historyGranularity: Granularity | None = None  # noqa: N815


class Change(Model):
    """What is to change; the rest stays."""

    autoRefresh: AutoRefreshChange | None = None  # noqa: N815
    display: DisplayChange | None = None


class Done(Model):
    """It is stored."""

    status: Literal["success"] = "success"


class Choices:
    """What browsers chose: each brings its own, signed, so that nothing else than what was validated comes back."""

    def __init__(self, settings: ServiceSettings) -> None:
        key = settings.secret_key.get_secret_value() if settings.secret_key else None
        if not key:
            _log.warning(
                "browsers' settings are forgotten when this server ends, and other servers do not know them;"
                " set STABILITY_SECRET_KEY"
            )
        self._serializer = URLSafeTimedSerializer(key or secrets.token_hex(32), salt="stability config")

    def of(self, request: Request) -> Configuration:
        """What this browser chose; the defaults where it chose nothing, or somebody else wrote its cookie."""
        chosen = self._chosen(request)
        return Configuration(
            autoRefresh=AutoRefresh(**chosen.get("autoRefresh", {})), display=Display(**chosen.get("display", {}))
        )

    def _chosen(self, request: Request) -> Mapping[str, Any]:
        try:
            stored = self._serializer.loads(request.cookies.get(COOKIE, ""), max_age=KEPT)
            return Change.model_validate(stored).model_dump(exclude_none=True)
        except (BadData, ValidationError):
            return {}

    def store(self, request: Request, change: Change) -> JSONResponse:
        """The answer that has the browser keep what it chose."""
        chosen, more = self._chosen(request), change.model_dump(exclude_none=True)
        merged = {part: {**chosen.get(part, {}), **more.get(part, {})} for part in {*chosen, *more}}
        answer = JSONResponse(Done().model_dump(), headers={"Cache-Control": "no-store"})
        answer.set_cookie(
            COOKIE, self._serializer.dumps(merged), max_age=KEPT, path=f"{request.scope.get('root_path', '')}/",
            httponly=True, samesite="lax", secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer


def operations(choices: Choices) -> Sequence[Operation]:
    """Ask, and change."""

    async def ask(request: Request) -> Answer:
        return choices.of(request)

    async def change(request: Request, asked: Change) -> Answer:
        return choices.store(request, asked)

    return (
        Operation("GET", "/api/config", "How this browser shows services", ask, {200: Configuration}),
        Operation("POST", "/api/config", "Change that, all of it or a part", change, {200: Done}, body=Change),
    )
