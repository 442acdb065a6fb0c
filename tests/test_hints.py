"""What a notification asks for, whoever sent it and whatever it holds."""

import pytest
from structlog.testing import capture_logs

from stability.hints import EVERYTHING, Hint, parse


@pytest.mark.parametrize("payload", ['{"look":0}', '{"look":true}', "{}", '{"stable":true,"more":1}'])
def test_an_object_on_the_systems_channel_is_a_hint(payload: str) -> None:
    """Whatever else it says, it says look."""
    assert parse("system_stability", payload) == EVERYTHING


def test_a_triggers_hint_carries_the_registers_value() -> None:
    """It says which arming of the register it belongs to."""
    assert parse("system_stability", '{"look":17}') == Hint(armed=17)


@pytest.mark.parametrize("payload", ['{"stable":true}', '{"stable": false}', '{"stable":null}'])
def test_a_servers_announcement_is_no_hint(payload: str) -> None:
    """Servers do not look again because of what a server said."""
    assert parse("system_stability", payload) is None


def test_keys_of_a_topic() -> None:
    """A per-key hint names its topic and its rows; numbers and strings are the same key."""
    hint = parse("stability_change", '{"topic":"deployments","ids":[7,"x"]}')
    assert hint == Hint("deployments", frozenset({"7", "x"}))
    assert hint.concerns("deployments")
    assert not hint.concerns("services")


def test_all_keys_of_a_topic() -> None:
    """A hint that was cut at its bound asks for the whole topic."""
    assert parse("stability_change", '{"topic":"services","ids":"all"}') == Hint("services")


def test_other_programs_progress_is_a_hint() -> None:
    """Whatever object comes on import_job_progress, it is a reason to look."""
    assert parse("import_job_progress", '{"job":1,"rows":10}') == EVERYTHING


@pytest.mark.parametrize("payload", ["", "true", "[1]", "{broken", '"text"', "\x00", "null"])
@pytest.mark.parametrize("channel", ["system_stability", "stability_change", "import_job_progress"])
def test_a_broken_payload_is_logged_and_still_a_hint(channel: str, payload: str) -> None:
    """Nothing that arrives is lost because it cannot be read."""
    with capture_logs() as logs:
        assert parse(channel, payload) == EVERYTHING
    assert [(line["channel"], line["payload"]) for line in logs] == [(channel, payload)]


def test_a_long_broken_payload_is_cut_in_the_log() -> None:
    """A log line stays a line."""
    with capture_logs() as logs:
        parse("system_stability", "x" * 8000)
    assert len(logs[0]["payload"]) == 200


def test_a_payload_too_deep_to_parse_is_a_hint() -> None:
    """Any role may send it."""
    assert parse("system_stability", "[" * 7999) == EVERYTHING
