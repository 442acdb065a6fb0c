"""`/api/applications`: all of them; the status of one, from the table while it is fresh; and a refresh of all."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from starlette.requests import Request

from stability.applications import rows
from stability.applications.engine import EngineError
from stability.applications.figures import Told
from stability.applications.refresh import AWAY, Applications
from stability.applications.rows import Application, Found
from stability.applications.status import UNCERTAIN, is_status_fresh
from stability.http.odd import later, understood
from stability.http.operations import Answer, Flag, Key, Model, Moment, Operation, stored

PATH: Final = "/api/applications"
MINUTE: Final = 60.0  # seconds


class Item(Model):
    """One application; `observed_at` is when its containers were asked for, after `stale_after` that is old."""

    id: int | str
    model_slug: str
    app_number: int
    app_type: str | None
    provider: str | None
    generation_status: str | None
    has_backend: bool | None
    has_frontend: bool | None
    backend_framework: str | None
    frontend_framework: str | None
    container_status: str
    last_status_check: Moment | None
    created_at: Moment | None
    updated_at: Moment | None
    observed_at: Moment | None
    stale_after: Moment | None


class All(Model):
    """Every application, whether this server has an engine and knows it to answer, and how well all this goes."""

    applications: list[Item]
    docker_configured: bool
    docker_connected: bool | None
    figures: Told


class Which(Model):
    """Which application, and whether the engine is to be asked whatever is known."""

    model_slug: Key = Field(description="the application's model_slug")
    app_number: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(description="the application's app_number")
    force_refresh: Flag = Field(False, description="ask the engine, whatever is known")


class Box(Model):
    """A container."""

    id: str
    name: str
    state: str
    status: str
    finished: bool


class Status(Model):
    """`cached_status` is what stood in the table before, `docker_status` what this request saw."""

    model_slug: str
    app_number: int
    docker_status: str
    cached_status: str
    running: bool
    containers: list[Box]
    states: list[str]
    last_check: Moment | None
    status_age_minutes: float | None
    status_is_fresh: bool
    compose_file_exists: bool
    docker_connected: bool


class One(Model):
    """The status of one."""

    success: Literal[True] = True
    message: Literal["Status retrieved"] = "Status retrieved"
    data: Status


class Counted(Model):
    """What a refresh of all did, and when it was done."""

    total_checked: int
    updated: int
    errors: int
    timestamp: Moment


class Refreshed(Model):
    """A refresh of all."""

    success: Literal[True] = True
    message: str
    data: Counted


class Refused(Model):
    """Why there is no other answer."""

    error: str
    success: Literal[False] = False


def item(row: Mapping[str, Any], fresh_minutes: float) -> Item:
    """A row of the table as it is told."""
    fields = stored(Item, row)
    fields["observed_at"] = observed = fields["last_status_check"]
    # whatever a table of somebody else's says: what was never checked is unknown
    fields["container_status"] = (observed and row.get("container_status")) or "unknown"
    if observed:
        fields["stale_after"] = later(observed, timedelta(minutes=fresh_minutes))
    return Item.model_validate(fields)


def operations(applications: Applications) -> Sequence[Operation]:
    """List, look at one, refresh all."""
    fresh = applications.settings.application_fresh_minutes

    async def everything(_request: Request) -> Answer:
        asked, found = await rows.listed(applications.database)
        items = understood(rows.TABLE, lambda row: item(row, fresh), found)
        ages = [_age(one.last_status_check, asked) for one in items]
        figures = applications.figures.told(ages, fresh * MINUTE)
        configured = applications.engine is not None
        connected = applications.connected
        return All(applications=items, docker_configured=configured, docker_connected=connected, figures=figures)

    async def status(_request: Request, which: Which) -> Answer:
        found = await rows.find(applications.database, which.model_slug, which.app_number)
        if not found.applications:
            return 404, Refused(error=f"There is no application {which.app_number} of {which.model_slug!r}.")
        before = found.applications[0]
        believed = is_status_fresh(before.last_status_check, found.asked, fresh) and before.status not in UNCERTAIN
        applications.figures.answered(
            cached := believed and not which.force_refresh, _age(before.last_status_check, found.asked)
        )
        return One(data=_cached(applications, before, found.asked) if cached else await _asked(applications, found))

    async def refresh(_request: Request) -> Answer:
        try:
            result = await applications.refresh_all_application_statuses()
        except EngineError:
            return 503, Refused(error=AWAY)
        said = (
            f"Refreshed status for {result.total_checked} applications. "
            f"Updated: {result.updated}, Errors: {result.errors}"
        )
        return Refreshed(
            message=said,
            data=Counted(
                total_checked=result.total_checked,
                updated=result.updated,
                errors=result.errors,
                timestamp=result.timestamp,
            ),
        )

    one = "/api/app/{model_slug}/{app_number}/status"
    return (
        Operation("GET", PATH, "Every application", everything, {200: All}),
        Operation("GET", one, "The status of an application", status, {200: One, 404: Refused}, query=Which),
        Operation(
            "POST", f"{PATH}/refresh-all-statuses", "Refresh every application", refresh, {200: Refreshed, 503: Refused}
        ),
    )


def _box(told: Mapping[str, Any]) -> Box:
    """As it stands in the metadata, where others may write as well."""
    words = {name: str(told.get(name, "")) for name in ("id", "name", "state", "status")}
    return Box(finished=told.get("finished") is True, **words)


def _age(checked: datetime | None, now: datetime) -> float | None:
    return max(0.0, (now - checked).total_seconds()) if checked else None


def _cached(applications: Applications, application: Application, now: datetime) -> Status:
    boxes = [_box(one) for one in application.containers]
    has_file = applications.places.has_file(application.model_slug, application.app_number)
    connected = applications.connected is not False
    return _status(applications, application, now, application.status, boxes, bool(has_file), connected)


async def _asked(applications: Applications, found: Found) -> Status:
    """What the engine says, written into the table; the cached status where it says nothing."""
    before = found.applications[0]
    try:
        (look,) = await applications.look(found)
    except EngineError:
        has_file = applications.places.has_file(before.model_slug, before.app_number)
        return _status(applications, before, found.asked, "unknown", [], bool(has_file), False)
    errors = await rows.update_container_status(applications.database, [look.seen], found.asked)
    result = "error" if errors else "unchanged" if look.seen.status == before.status else "updated"
    applications.figures.refreshed(result)
    checked = before if errors else before.model_copy(update={"last_status_check": found.asked})
    boxes = [Box.model_validate(one) for one in look.seen.containers]
    return _status(applications, checked, found.asked, look.seen.status, boxes, look.has_file, True)


def _status(  # noqa: PLR0913, PLR0917 -- the parts of one answer
    applications: Applications,
    application: Application,
    now: datetime,
    status: str,
    boxes: list[Box],
    has_file: bool,
    connected: bool,
) -> Status:
    age = _age(application.last_status_check, now)
    return Status(
        model_slug=application.model_slug,
        app_number=application.app_number,
        docker_status=status,
        cached_status=application.status,
        running=status == "running",
        containers=boxes,
        states=[box.state for box in boxes],
        last_check=application.last_status_check,
        status_age_minutes=None if age is None else round(age / MINUTE, 1),
        status_is_fresh=is_status_fresh(
            application.last_status_check, now, applications.settings.application_fresh_minutes
        ),
        compose_file_exists=has_file,
        docker_connected=connected,
    )
