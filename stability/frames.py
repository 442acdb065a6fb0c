"""Changes as bytes of a Server-Sent Events stream (WHATWG HTML, section 9.2): each is encoded once, for all clients.

Unnamed messages say only `{"stable":…}`, so that five lines of EventSource are a client; the rest are named events.
"""

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

from stability.hub import Change, Frames, Row
from stability.levels import level
from stability.snapshot import Snapshot

SYSTEM: Final = ("stability", "system")  # topic and key of the row that the badge shows
LISTENER: Final = ("connection", "listener")
HEARTBEAT: Final = ("heartbeat", "server")
RETRY: Final = (2000, 5000)  # milliseconds after which clients come back, spread so that they do not come together


def encode(epoch: str, change: Change) -> Frames:
    """The frames of `change`: `status` for the system, `connection`, `heartbeat`, and `change` for any other row."""
    version = f"{epoch}-{change.version}"
    if (change.topic, change.key) == SYSTEM and change.row:
        stable = {"stable": change.row.fields["stable"]}
        return Frames(event(stable, identity=version), event(status(change), "status", version))
    if (change.topic, change.key) in (LISTENER, HEARTBEAT) and change.row:
        return Frames(b"", event(change.row.fields, change.topic))
    return Frames(b"", event(_change(change), "change", version))


def status(change: Change, as_of: datetime | None = None, snapshot: Snapshot | None = None) -> dict[str, object]:
    """The system's row as the `status` event and `GET /api/system-status` tell it; of a later look if that is given."""
    xmin = snapshot.xmin if snapshot else change.xmin
    row = change.row or Row("unknown", {"stable": None, "listener": "lost", "sources": {}})
    return {
        "state": row.state,
        "stable": row.fields["stable"],
        "as_of": timestamp(as_of or change.observed_at),
        "version": change.version,
        "since": timestamp(change.since),
        **({} if xmin is None else {"xmin": xmin}),
        **{name: value for name, value in row.fields.items() if name != "stable"},
    }


def etag(change: Change) -> str:
    """A hash of what `change` says, apart from when: the same on every server that sees the same truth."""
    said = [change.row.state, change.row.fields] if change.row else None
    return blake2b(compact(said), digest_size=8).hexdigest()


def _change(change: Change) -> dict[str, object]:
    row = change.row and {
        "since": timestamp(change.since),
        "observed_at": timestamp(change.observed_at),
        **change.row.fields,  # one that somebody observed earlier says when
        "state": change.row.state,
        "level": level(change.row.state),
    }
    return {"topic": change.topic, "key": change.key, "version": change.version, "row": row}


def event(data: object, name: str = "", identity: str = "", retry: int | None = None) -> bytes:
    """One event of the stream; JSON in one line needs no further framing."""
    return (
        (b"retry: %d\n" % retry if retry else b"")
        + (b"event: %s\n" % name.encode() if name else b"")
        + (b"id: %s\n" % identity.encode() if identity else b"")
        + b"data: %s\n\n" % compact(data)
    )


def bye(retry: int | None = None) -> bytes:
    """The last event: come back after `retry` milliseconds, or after some that are different for each client."""
    retry = retry or spread()
    return event({"retry": retry}, "bye", retry=retry)


def spread() -> int:
    """A reconnection time in milliseconds, different for each client."""
    first, last = RETRY
    return first + int(random.random() * (last - first))  # noqa: S311 - spreads load, keeps no secret


def compact(data: object) -> bytes:
    """JSON without spaces, UTF-8."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC with `Z`, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
