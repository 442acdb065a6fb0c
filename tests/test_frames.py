"""Frames are Server-Sent Events as the standard has them, with the contract's names and nothing else."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stability.frames import LISTENER, RETRY, SYSTEM, bye, compact, encode, etag, event, spread, status, timestamp
from stability.hub import Change, Row

NOW = datetime(2026, 11, 24, 12, 30, 0, 123456, tzinfo=UTC)
SOURCES = {"import_job": {"active": True, "count": 2}}


def change(state: str, stable: bool | None, version: int = 7) -> Change:
    return Change(
        *SYSTEM, version, Row(state, {"stable": stable, "listener": "live", "sources": SOURCES}), version, NOW, NOW
    )


@pytest.mark.parametrize(
    ("state", "stable", "message"),
    [("stable", True, b"true"), ("processing", False, b"false"), ("unknown", None, b"null")],
)
def test_the_unnamed_message_is_exactly_the_boolean(state: str, stable: bool | None, message: bytes) -> None:
    """`data: {"stable":…}` to the letter, with an id."""
    assert encode("e", change(state, stable)).opening == b'id: e-7\ndata: {"stable":' + message + b"}\n\n"


def test_the_status_event() -> None:
    """The rich state has the contract's keys, in UTC with Z."""
    body = encode("e", change("processing", False)).body
    head, _, rest = body.partition(b"data: ")
    assert head == b"event: status\nid: e-7\n"
    assert json.loads(rest) == {
        "state": "processing",
        "stable": False,
        "as_of": "2026-11-24T12:30:00.123Z",
        "version": 7,
        "since": "2026-11-24T12:30:00.123Z",
        "listener": "live",
        "sources": SOURCES,
    }


def test_the_connection_event_carries_no_id() -> None:
    """Only state events move the client's last event id."""
    row = Row("live", {"listener": "live", "since": "2026-11-24T12:30:00.123Z"})
    body = encode("e", Change(*LISTENER, 3, row, 3, NOW, NOW)).body
    assert body == b'event: connection\ndata: {"listener":"live","since":"2026-11-24T12:30:00.123Z"}\n\n'


def test_a_row_of_another_topic_and_its_end() -> None:
    """`change` names topic, key and version, and the row or null when it is gone."""
    told = encode("e", Change("deployments", "d1", 4, Row("running", {"name": "x"}), 4, NOW, NOW)).body
    gone = encode("e", Change("deployments", "d1", 5, None, 5, NOW, NOW)).body
    row = json.loads(told.partition(b"data: ")[2])
    assert told.startswith(b"event: change\nid: e-4\n")
    assert row["topic"], row["key"] == ("deployments", "d1")
    assert row["row"]["state"] == "running"
    assert json.loads(gone.partition(b"data: ")[2]) == {"topic": "deployments", "key": "d1", "version": 5, "row": None}


def test_a_row_that_somebody_observed_earlier_says_when() -> None:
    """What a row tells of its own observation wins over when it was read; without that it is the latter."""
    earlier = {"observed_at": "2026-11-24T12:29:31.000Z", "stale_after": "2026-11-24T12:30:31.000Z"}
    for fields, expected in ((earlier, earlier["observed_at"]), ({}, "2026-11-24T12:30:00.123Z")):
        told = encode("e", Change("deployments", "d1", 4, Row("running", fields), 4, NOW, NOW)).body
        assert json.loads(told.partition(b"data: ")[2])["row"]["observed_at"] == expected


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.booleans()))
def test_an_event_is_one_line_of_data_whatever_it_holds(data: dict[str, object]) -> None:
    """No line end inside a value can end an event early."""
    frame = event(data, "name", "id")
    assert frame.count(b"\n") == 4
    assert b"\r" not in frame
    assert json.loads(frame.splitlines()[2].removeprefix(b"data: ")) == data


def test_the_etag_is_of_the_content_alone() -> None:
    """Two servers that see the same truth name it alike, whenever and however often they looked."""
    assert etag(change("stable", True, version=3)) == etag(change("stable", True, version=9))
    assert etag(change("stable", True)) != etag(change("unknown", None))


def test_a_state_that_nobody_read_is_unknown() -> None:
    """Without a row there is no claim."""
    assert status(Change(*SYSTEM, 1, None, 1, NOW, NOW))["stable"] is None


def test_clients_come_back_at_different_times() -> None:
    """`retry` lies within the contract's bounds and differs."""
    drawn = {spread() for _ in range(200)}
    assert len(drawn) > 50
    assert min(drawn) >= RETRY[0] == 2000
    assert max(drawn) <= RETRY[1] == 5000


def test_bye_names_one_time_in_both_ways() -> None:
    """The browser's own field and the event's data agree."""
    retry, _, data = bye().decode().splitlines()[:3]
    assert json.loads(data.removeprefix("data: ")) == {"retry": int(retry.removeprefix("retry: "))}


def test_timestamps_are_utc_whatever_the_zone() -> None:
    """A local time is told in UTC."""
    assert timestamp(NOW.astimezone(timezone(timedelta(hours=5)))) == "2026-11-24T12:30:00.123Z"


def test_compact_json_is_utf8() -> None:
    """No spaces, no escapes of ordinary letters."""
    assert compact({"name": "Größe", "n": [1, 2]}) == '{"name":"Größe","n":[1,2]}'.encode()
