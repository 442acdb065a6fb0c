"""Rows of tables that may be somebody else's: what is odd in one ends nothing."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import structlog
from pydantic import BeforeValidator, ValidationError

from stability.errors import RequestError
from stability.logs import Seldom

_log = structlog.get_logger(__name__)
_seldom: Final[defaultdict[str, Seldom]] = defaultdict(lambda: Seldom(60.0))
_Understood = TypeVar("_Understood")


def understood(
    table: str, parse: Callable[[Mapping[str, Any]], _Understood], found: Sequence[Mapping[str, Any]]
) -> list[_Understood]:
    """The rows that can be told: one may lack its name, or have a word for a number, and is left out."""
    parsed = []
    for row in found:
        try:
            parsed.append(parse(row))
        except ValidationError as error:
            if _seldom[table]():
                field = error.errors()[0]["loc"]
                _log.warning("a row is left out", table=table, row=row.get("id"), field=field)
    return parsed


def alone(what: str, parse: Callable[[], _Understood]) -> _Understood:
    """The one row that is asked for; raises RequestError where it cannot be told, since nothing else can be left."""
    try:
        return parse()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        value = json.dumps(first["input"], default=str)
        raise RequestError(f"{what} cannot be told: its {first['loc'][0]} is {value}.", 409) from error


def words(value: object) -> str | None:
    """A text, also where its column is one of numbers or of JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


Words: TypeAlias = Annotated[str, BeforeValidator(words)]
"""What a column holds that ought to be one of texts."""


def later(moment: datetime, by: timedelta) -> datetime:
    """So much later, or the last moment that Python knows."""
    try:
        return moment + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
