"""What an operator can choose for applications: which engine, which folder, how old a status may be."""

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

_ENGINE: Final = re.compile(r"unix:///[^\0]{1,100}|tcp://([\w.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}/?", re.ASCII)
_NAMES: Final = re.compile(r"\{(?:model_slug|app_number)\}")


def _address(value: str | None) -> str | None:
    if value and not _ENGINE.fullmatch(value):
        raise ValueError("must be unix:///PATH of a socket or tcp://HOST:PORT; no other way to an engine is known")
    return value


def _template(value: str) -> str:
    if {"{", "}"} & set(_NAMES.sub("", value)) or not _NAMES.search(value):
        raise ValueError("must name {model_slug} or {app_number}, and nothing else in braces")
    return value


Template = Annotated[str, AfterValidator(_template)]


class ApplicationSettings(BaseSettings):
    """A part of the settings."""

    docker_host: Annotated[str | None, AfterValidator(_address)] = Field(
        None,
        validation_alias="DOCKER_HOST",
        description="the engine that runs applications' containers, as `unix:///PATH` or `tcp://HOST:PORT`;"
        " else nobody is asked",
    )
    applications_root: Path | None = Field(None, description="folder in which applications' compose files lie")
    applications_file: Template = Field(
        "{model_slug}/app{app_number}/docker-compose.yml",
        description="where in that folder the compose file of an application lies",
    )
    applications_project: Template = Field(
        "{model_slug}_app{app_number}", description="compose project of an application, before compose normalises it"
    )
    application_fresh_minutes: Annotated[float, Field(gt=0, le=1440)] = Field(
        5.0, description="minutes for which the status of an application is believed without asking the engine"
    )
    application_list_seconds: Annotated[float, Field(ge=0.05, le=86_400)] = Field(
        240.0, description="seconds between two lists of all containers, beside those that events cause"
    )
    application_accuracy_percent: Annotated[float, Field(ge=0, le=100)] = Field(
        95.0, description="percentage of checks that agree with the status told before; less is an alert, 0 = never"
    )
