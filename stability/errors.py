"""What a person can mend, as one small tree; each message names the value and says what to do next.

StabilityError
├── SettingError        a setting or an option is wrong: exit status 2
├── DatabaseError       the database is away, forbids something, or holds what we must not touch
│   ├── AwayError       it is away, or went away: trying again may help
│   ├── ContendedError  somebody else changed the same at the same time: trying again helps
│   └── EmbeddedError   the Postgres that we start ourselves cannot be started
├── ExecutionError      an execution that is not there, or cannot become what is asked
├── RequestError        an HTTP request that is refused, too early, or outlasted by what it waits for: its `status`
└── RefusedError        `client`: what answers at an address is no Stability server

Errors that only one folder raises and cures stand there: those of engine, Consul and machine API, and of the demo.
"""


class StabilityError(Exception):
    """Something a person can mend; `str(error)` is one sentence with the remedy."""


class SettingError(StabilityError):
    """A setting named `name` has a value that cannot be used."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class DatabaseError(StabilityError):
    """The database cannot be used as it is."""


class EmbeddedError(DatabaseError):
    """The embedded Postgres cannot be started or stopped."""


class AwayError(DatabaseError):
    """The database is away, or went away: it may come back."""


class ContendedError(DatabaseError):
    """Somebody else changed the same at the same time; nothing is changed, and trying again helps."""


class ExecutionError(StabilityError):
    """An execution that does not exist, is over, or has no such status or progress."""


class RequestError(StabilityError):
    """A request that is answered with `status` (an HTTP 4xx code, 503 or 504) and one sentence."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


_WANTED = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def plain(kind: str, said: str) -> str:
    """What pydantic said of a value, such as `int_parsing`, for somebody who does not know its types; no full stop."""
    wanted = _WANTED.get(kind.removesuffix("_parsing")) if kind.endswith("_parsing") else None
    said = f"it should be {wanted}" if wanted else said.removeprefix("Value error, ")
    return said.replace("Input should be", "it should be", 1).rstrip(".")
