"""What Consul knows of its services, put together from its answers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from stability.services.consul import ConsulError

Key = tuple[str, str]  # node, and the service's id there
_STATUSES: Final = frozenset({"passing", "warning", "critical"})
HIGHEST: Final = 65_535  # of TCP's ports
LONGEST: Final = 4000  # characters of a text that are kept
LONGEST_IDENTITY: Final = 400  # bytes; with a node's, each escaped, an index of Postgres holds 2,700
CONSUL: Final = "consul"  # the service that Consul itself is


@dataclass(frozen=True, slots=True)
class Check:
    """One check: of a service, or where `service` is empty of a whole node."""

    node: str
    id: str
    name: str
    status: str
    service: str
    service_name: str
    tags: tuple[str, ...]

    @property
    def told(self) -> dict[str, str]:
        """As the database has it."""
        return {"id": self.id, "name": self.name, "status": self.status}


@dataclass(frozen=True, slots=True)
class Instance:
    """One service on one node."""

    node: str
    id: str
    name: str
    address: str | None = None
    port: int | None = None
    tags: tuple[str, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A service with its checks: what is written when it changes."""

    instance: Instance
    checks: tuple[Check, ...]

    @property
    def told(self) -> dict[str, object]:
        """As `stability.record_services()` takes it."""
        one = self.instance
        return {
            "node": one.node, "id": one.id, "name": one.name, "address": one.address, "port": one.port,
            "tags": list(one.tags), "meta": dict(one.meta), "checks": [check.told for check in self.checks],
        }  # fmt: skip


def together(instances: Iterable[Instance], checks: Iterable[Check]) -> dict[Key, Found]:
    """Every service with the checks that say how it is.

    A node that fails fails its services; that it is well says nothing of them, apart from Consul, whose check that is.
    One whose check is known before itself is taken from the check.
    """
    services = {(one.node, one.id): one for one in instances}
    own: dict[Key, list[Check]] = {}
    of_node: dict[str, list[Check]] = {}
    for check in checks:
        if check.service:
            own.setdefault((check.node, check.service), []).append(check)
            known = Instance(check.node, check.service, check.service_name, tags=check.tags)
            services.setdefault((check.node, check.service), known)
        else:
            of_node.setdefault(check.node, []).append(check)
    return {key: Found(one, tuple(_checks_of(one, own.get(key, []), of_node))) for key, one in services.items()}


def told_key(key: Key) -> str:
    """The one text that names a service, in URLs and hints: `<node>:<id>`. The database makes the same of its row."""
    node, identity = key
    return f"{node.replace('%', '%25').replace(':', '%3A')}:{identity}"


def _checks_of(one: Instance, own: Iterable[Check], of_node: Mapping[str, Iterable[Check]]) -> Iterator[Check]:
    yield from own
    for check in of_node.get(one.node, ()):
        if check.status != "passing" or one.name == CONSUL:
            yield check


def checks(said: Any) -> list[Check]:
    """The answer of `/v1/health/state/any`; raises ConsulError for anything else."""
    try:
        return [
            Check(
                _identity(row["Node"]), _text(row["CheckID"]), _text(row["Name"]), _status(row["Status"]),
                _identity(row.get("ServiceID")), _text(row.get("ServiceName")), _texts(row.get("ServiceTags")),
            )
            for row in _list(said)
        ]  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise ConsulError("its list of checks cannot be understood") from error


def nodes(said: Any) -> list[str]:
    """The names in the answer of `/v1/catalog/nodes`; raises ConsulError for anything else."""
    try:
        return [_text(row["Node"]) for row in _list(said)]
    except (KeyError, TypeError) as error:
        raise ConsulError("its list of nodes cannot be understood") from error


def on_node(said: Any) -> list[Instance]:
    """The answer of `/v1/catalog/node/NAME`, null for one that has just gone; raises ConsulError for anything else."""
    if said is None:
        return []
    try:
        node = said["Node"]
        return [
            Instance(
                _identity(node["Node"]), _identity(row["ID"]), _text(row["Service"]),
                _text(row.get("Address")) or _text(node.get("Address")) or None, _port(row.get("Port")),
                _texts(row.get("Tags")), _pairs(row.get("Meta")),
            )
            for row in said["Services"].values()
        ]  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise ConsulError("its list of a node's services cannot be understood") from error


def _list(said: Any) -> list[Any]:
    if not isinstance(said, list):
        raise TypeError
    return said


def _text(value: object) -> str:
    return _storable(value)[:LONGEST]


def _identity(value: object) -> str:
    """One that is too long is told by its beginning, and apart from others that begin so."""
    whole = _storable(value)
    told = whole.encode()
    if len(told) <= LONGEST_IDENTITY:
        return whole
    digest = sha256(told).hexdigest()
    return f"{told[: LONGEST_IDENTITY - len(digest) - 1].decode(errors='ignore')}-{digest}"


def _storable(value: object) -> str:
    """Postgres cannot store NUL, nor half of a character."""
    if isinstance(value, (dict, list)):
        raise TypeError
    return "" if value is None else str(value).replace("\0", "").encode(errors="replace").decode()


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(each) for each in value or ())


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((_text(name), _text(each)) for name, each in (value or {}).items())


def _status(value: object) -> str:
    return value if isinstance(value, str) and value in _STATUSES else "unknown"


def _port(value: object) -> int | None:
    return value if type(value) is int and 0 < value <= HIGHEST else None
