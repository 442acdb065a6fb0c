"""Every setting, read once from the environment into one frozen object; README's table lists them (a test compares)."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from stability.applications.settings import ApplicationSettings
from stability.deployments.allow import Allow, template
from stability.durations import duration
from stability.errors import SettingError, plain
from stability.services.settings import ServiceSettings

PREFIX: Final = "STABILITY_"
# Any of these means that libpq's own environment names the database.
_LIBPQ: Final = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")

LEAST: Final = 0.1  # seconds between two canaries
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Days = Annotated[float, Field(ge=0, le=36_500)]
Deadlines = tuple[tuple[Literal["PENDING", "READY", "RUNNING"], Annotated[float, Field(gt=0)]], ...]


class Settings(ApplicationSettings, ServiceSettings):
    """What an operator can choose; the variable is `STABILITY_` and the field's name, unless it has an alias."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", populate_by_name=True
    )

    database_url: SecretStr | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="the database, as a URL or libpq's key=value; else `PG*`; else a Postgres of our own is started",
    )
    database_url_file: Path | None = Field(
        None, validation_alias="DATABASE_URL_FILE", description="a file that holds `DATABASE_URL`"
    )
    listen_url: SecretStr | None = Field(
        None, description="a direct connection for LISTEN, where `DATABASE_URL` leads through a pooler"
    )
    pghost: str | None = Field(None, validation_alias=AliasChoices(*_LIBPQ), exclude=True)
    data_dir: Path = Field(Path(".stability"), description="folder of the embedded Postgres")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8642, ge=0, le=65_535, description="TCP port to listen on; 0 picks a free one")
    uds: Path | None = Field(None, description="listen on this Unix socket instead of a TCP port")
    workers: int = Field(
        1, ge=1, le=256, description="processes of `serve` on the port, each with connections and limits of its own"
    )
    reuse_port: bool = Field(False, description="share the port with other servers of the same user that say so too")
    worker: str = Field(
        "", description="name of this one among several, in each metric and log line; `serve --workers` numbers its own"
    )
    root_path: str = Field("", description="path prefix that a proxy strips before it calls us, such as `/status`")
    url: str | None = Field(
        None,
        description="the server that `watch`, `wait`, `healthcheck` and `doctor` ask;"
        " else the one at the address above, or for `watch` and `wait`, where none answers there, the database itself",
    )
    token: SecretStr | None = Field(
        None, description="secret for everything but the badge, its stream and the health paths (header or cookie)"
    )
    token_file: Path | None = Field(None, description="a file that holds `STABILITY_TOKEN`")
    allow_public: bool = Field(False, description="listen on a public address without a token")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="foreign origins whose pages may read the details, separated by commas"
    )
    reread_seconds: Seconds = Field(5.0, description="seconds between re-reads that no hint asked for; 0 = never")
    canary_seconds: Seconds = Field(8.0, description="seconds between proofs that a notification arrives; 0 = at start")
    heartbeat_seconds: Annotated[float, Field(ge=0.1, le=30)] = Field(
        15.0, description="seconds between heartbeats on the stream; clients call 45 s of silence dead"
    )
    notify_urls: SecretStr | None = Field(
        None,
        description="who gets alerts: addresses of [apprise](https://github.com/caronc/apprise), separated by spaces;"
        " needs `pip install 'pg-stability[alerts]'`",
    )
    notify_urls_file: Path | None = Field(None, description="a file that holds `STABILITY_NOTIFY_URLS`")
    public_url: str | None = Field(
        None, description="where people open the page, for the links in alerts; else they have none"
    )
    stuck_minutes: Annotated[float, Field(ge=0, le=525_600)] = Field(
        30.0, description="minutes that an active row may stay unchanged until that is an alert; 0 = for ever"
    )
    unknown_minutes: Annotated[float, Field(ge=0, le=525_600)] = Field(
        5.0, description="minutes that the state may be unknown until that is an alert; 0 = for ever"
    )
    history_days: Days = Field(8.0, description="days that the badge's history is kept; 0 = for ever")
    max_streams: int = Field(
        0, ge=0, description="streams at a time; 0 = as many as there are descriptors (`ulimit -Hn`)"
    )
    max_streams_per_address: int = Field(
        0, ge=0, description="streams at a time of one address, by `FORWARDED_ALLOW_IPS` behind a proxy; 0 = no limit"
    )
    execution_deadlines: Annotated[Deadlines, NoDecode] = Field(
        (), description="how long an execution may be in a status until it is FAILED, such as `PENDING=1d,RUNNING=6h`"
    )
    execution_grace_seconds: Seconds = Field(
        60.0, description="seconds that an execution has in a status in any case, whatever its deadline"
    )
    execution_cancelling_seconds: Seconds = Field(
        600.0, description="seconds until an execution that is CANCELLING is CANCELLED; 0 = whenever its worker says so"
    )
    execution_log_days: Days = Field(0.0, description="days that rows of `status_log` are kept; 0 = for ever")
    machines_url: str | None = Field(
        None, description="the machine API that makes deployments, such as `https://api.machines.dev/v1`"
    )
    machines_app: str | None = Field(
        None, description="the app of the machine API that deployments' machines belong to, and no others' do"
    )
    machines_region: str | None = Field(None, description="where machines are made; else where the machine API likes")
    machines_token: SecretStr | None = Field(None, description="secret that the machine API asks for")
    machines_token_file: Path | None = Field(None, description="a file that holds `STABILITY_MACHINES_TOKEN`")
    probe_template: str = Field(
        "http://{machine_id}.vm.{app}.internal:8080/status",
        description="health URL of a deployment that brings none of its own",
    )
    probe_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="hosts, suffixes like `.internal`, and networks that health URLs may lead to beside the template's,"
        " separated by commas; `public` stands for every public address, and for all of it if empty",
    )
    probe_seconds: Annotated[float, Field(ge=0.05, le=86_400)] = Field(
        30.0, description="seconds between two looks at every deployment"
    )
    probe_timeout_seconds: Annotated[float, Field(ge=0.05, le=60)] = Field(
        5.0, description="seconds that a health URL may take to answer"
    )
    probe_parallel: int = Field(128, ge=1, le=4096, description="deployments that are looked at at a time")
    probe_failures: int = Field(
        1, ge=1, description="looks in a row that find a running deployment unhealthy, to say so"
    )
    probe_successes: int = Field(1, ge=1, description="looks in a row that find an unhealthy one running, to say so")
    deployment_create_seconds: Seconds = Field(
        60.0, description="seconds in which the machine API is asked for a machine"
    )
    deployment_start_seconds: Seconds = Field(
        60.0, description="seconds until a deployment that starts has to answer 200"
    )
    deployment_start_probe_seconds: Annotated[float, Field(ge=0.01, le=60)] = Field(
        2.0, description="seconds between two looks at a deployment that starts"
    )
    log_format: Literal["logfmt", "json"] = Field("logfmt", description="`logfmt` or `json`, one line an event")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    @field_validator("allowed_origins", "probe_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("execution_deadlines", mode="before")
    @classmethod
    def _deadlines(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = [part.partition("=") for part in value.split(",") if part.strip()]
        return tuple((status.strip().upper(), duration(seconds)) for status, _, seconds in parts)

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        origins = tuple(origin.rstrip("/") for origin in value)
        if not all(re.fullmatch(r"https?://[^/?#*\s]+", origin) for origin in origins):
            raise ValueError("must be origins such as https://app.example, separated by commas")
        return origins

    @field_validator("probe_allow")
    @classmethod
    def _allowed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Allow.parse(value)
        return value

    @field_validator("probe_template")
    @classmethod
    def _is_template(cls, value: str) -> str:
        return template(value)

    @field_validator("machines_url")
    @classmethod
    def _api(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"https?://[^/@?#\s]+(/[^?#\s]*)?", value):
            raise ValueError("must begin with http:// or https:// and hold neither user nor query")
        return value

    @field_validator("machines_app", "machines_region")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", value):
            raise ValueError("must consist of letters, digits, - and _")
        return value

    @field_validator("canary_seconds")
    @classmethod
    def _bearable(cls, value: float) -> float:
        if 0 < value < LEAST:
            raise ValueError(f"must be 0 or at least {LEAST:g}: each one is a commit that others wait for")
        return value

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"https?://[^/?#\s]+[^?#\s]*", value):
            raise ValueError("must be an address such as https://status.example")
        return value

    @field_validator("root_path")
    @classmethod
    def _rooted(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError("must begin with /, for example /status")
        return value.rstrip("/")

    @field_validator("database_url", "listen_url")
    @classmethod
    def _connects(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                conninfo_to_dict(plain_conninfo(value.get_secret_value()))
            except psycopg.ProgrammingError:
                # libpq's own message quotes what may be a password
                raise ValueError(
                    "is not a connection string; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
                ) from None
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in ("DATABASE_URL", "CONSUL_HTTP_TOKEN", "token", "notify_urls", "machines_token", "secret_key"):
            file = values.get(f"{name}_FILE") or values.get(f"{name}_file")
            if file and not values.get(name):
                try:
                    values[name] = Path(file).read_text(encoding="utf-8").strip()
                except OSError as error:
                    variable = name if name.isupper() else PREFIX + name.upper()
                    raise SettingError(f"{variable}_FILE", f"cannot read {file}: {error.strerror}.") from error
        return values

    @model_validator(mode="after")
    def _public_needs_a_token(self) -> Self:
        if not (self.uds or is_loopback(self.host) or self.token or self.allow_public):
            raise SettingError(
                "STABILITY_HOST",
                f"{self.host} can be reached from outside and there is no token: set STABILITY_TOKEN, "
                "or STABILITY_ALLOW_PUBLIC=1 to serve the details to everybody.",
            )
        return self

    @property
    def conninfo(self) -> str | None:
        """What libpq connects to; empty = its own `PG*` environment, None = the embedded Postgres."""
        if self.database_url is not None:
            return plain_conninfo(self.database_url.get_secret_value())
        return None if self.pghost is None else ""

    @property
    def listen_conninfo(self) -> str | None:
        """What the listener connects to when that is another address than `conninfo`."""
        return plain_conninfo(self.listen_url.get_secret_value()) if self.listen_url else None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`; a name other than localhost may point anywhere."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def plain_conninfo(url: str) -> str:
    """Drop the driver from an SQLAlchemy URL (`postgresql+psycopg://`): libpq takes the rest."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}" if separator else url


def load(**overrides: object) -> Settings:
    """The settings of this process; an override of None leaves the environment's value.

    Raises SettingError, whose message names the variable, the value and the remedy.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _named(first) from error


def _named(detail: Any) -> SettingError:
    field = str(detail["loc"][0]) if detail["loc"] else "settings"
    variable = field if field.isupper() else PREFIX + field.upper()
    value = "" if "SECRET" in variable or "TOKEN" in variable or "URL" in variable else f"{detail['input']!r}: "
    return SettingError(variable, f"{value}{plain(detail['type'], detail['msg'])}.")
