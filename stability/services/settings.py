"""What an operator can choose about services; part of `stability.settings`."""

import re
from pathlib import Path
from string import Formatter
from typing import Annotated, Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

_ADDRESS: Final = re.compile(r"(https?://)?[^/@?#\s]+(/[^?#\s]*)?|unix://\S+")
_PLACES: Final = frozenset({"address", "port", "name", "node", "id"})


class ServiceSettings(BaseSettings):
    """Consul, what is kept of it, and how services are linked."""

    consul_http_addr: str | None = Field(
        None,
        validation_alias="CONSUL_HTTP_ADDR",
        description="the Consul whose services are shown, such as `http://127.0.0.1:8500` or `unix:///run/consul.sock`;"
        " without it none is asked",
    )
    consul_http_token: SecretStr | None = Field(
        None,
        validation_alias="CONSUL_HTTP_TOKEN",
        description="secret that Consul asks for: it has to read nodes and services",
    )
    consul_http_token_file: Path | None = Field(
        None, validation_alias="CONSUL_HTTP_TOKEN_FILE", description="a file that holds `CONSUL_HTTP_TOKEN`"
    )
    service_sample_seconds: Annotated[float, Field(ge=0.05, le=3600)] = Field(
        60.0, description="seconds between two samples of every check of every service"
    )
    service_history_days: Annotated[float, Field(ge=1, le=36_500)] = Field(
        8.0, description="days that samples of services are kept, and services that are gone"
    )
    service_url_template: str = Field(
        "http://{address}:{port}",
        description="where a service is opened that has no `url` among its metadata;"
        " `{name}`, `{node}` and `{id}` are known as well",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="what the cookie with a browser's settings is signed with; else a random one until the server ends",
    )
    secret_key_file: Path | None = Field(None, description="a file that holds `STABILITY_SECRET_KEY`")

    @field_validator("consul_http_addr")
    @classmethod
    def _consul(cls, value: str | None) -> str | None:
        if value and not _ADDRESS.fullmatch(value):
            raise ValueError("must be an address such as http://127.0.0.1:8500 and hold neither user nor query")
        return value

    @field_validator("service_url_template")
    @classmethod
    def _fillable(cls, value: str) -> str:
        try:
            names = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
        except ValueError as error:
            raise ValueError(f"cannot be filled: {error}") from error
        if not names <= _PLACES or not value.startswith(("http://", "https://")):
            raise ValueError(
                "must begin with http:// or https:// and hold only {address}, {port}, {name}, {node} and {id}"
            )
        return value
