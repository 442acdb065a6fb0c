"""The hub against a model: whatever is published and whenever a client looks, it ends on the latest state."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from stability import hub as hub_module
from stability.frames import SYSTEM, encode
from stability.hub import Frames, Hub, Place, Row

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TOPICS = ("stability", "deployments")


def plain(_epoch: str, change: hub_module.Change) -> Frames:
    """One JSON line per change, so that a test can read a client's bytes back."""
    row = None if change.row is None else [change.row.state, dict(change.row.fields)]
    return Frames(b"", json.dumps([change.topic, change.key, row]).encode() + b"\n")


class Reader:
    """A subscriber and where it is."""

    def __init__(self, hub: Hub, topics: frozenset[str]) -> None:
        self.hub, self.place = hub, Place(topics)

    @property
    def behind(self) -> bool:
        return self.place.cursor < self.hub.version

    def read(self) -> bytes:
        frames, self.place = self.hub.read(self.place)
        return frames


class Client:
    """What a browser keeps: its place in the stream, and the rows it was told."""

    def __init__(self, hub: Hub, topics: frozenset[str]) -> None:
        self.topics = topics
        self.reader = Reader(hub, topics)
        self.rows: dict[tuple[str, str], object] = {}

    def look(self) -> None:
        for line in self.reader.read().splitlines():
            self.take(line)

    def take(self, line: bytes) -> None:
        if line.startswith(b"event: reset"):
            self.rows.clear()
        elif line.startswith(b"["):
            topic, key, row = json.loads(line)
            if row is None:
                self.rows.pop((topic, key), None)
            else:
                self.rows[topic, key] = row


class HubMachine(RuleBasedStateMachine):
    """Publishes and looks in any order, with bounds so small that every one of them is met."""

    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(plain)
        self.truth: dict[tuple[str, str], object] = {}

    @rule(target=clients, topics=st.sets(st.sampled_from(TOPICS), min_size=1))
    def connect(self, topics: set[str]) -> Client:
        return Client(self.hub, frozenset(topics))

    @rule(client=clients)
    def take_a_turn(self, client: Client) -> None:
        client.look()

    @rule(client=clients)
    def catch_up(self, client: Client) -> None:
        turns = 0
        while client.reader.behind:
            client.look()
            turns += 1
            assert turns <= 2 * len(TOPICS) * 8, "a client that only reads must arrive"
        expected = {key: row for key, row in self.truth.items() if key[0] in client.topics}
        assert client.rows == expected

    @rule(
        topic=st.sampled_from(TOPICS),
        rows=st.dictionaries(
            st.sampled_from("abcdefgh"), st.none() | st.tuples(st.sampled_from("xy"), st.integers(0, 2))
        ),
        complete=st.booleans(),
    )
    def publish(self, topic: str, rows: dict[str, tuple[str, int] | None], complete: bool) -> None:
        published = {key: None if row is None else Row(row[0], {"n": row[1]}) for key, row in rows.items()}
        self.hub.publish(topic, published, NOW, complete=complete)
        if complete:
            self.truth = {key: row for key, row in self.truth.items() if key[0] != topic}
        for key, row in rows.items():
            if row is None:
                self.truth.pop((topic, key), None)
            else:
                self.truth[topic, key] = [row[0], {"n": row[1]}]

    @invariant()
    def memory_is_bounded_by_keys(self) -> None:
        assert len(list(self.hub.after(0))) <= len(TOPICS) * 8


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "TOMBSTONES", 2)
    monkeypatch.setattr(hub_module, "TURN", 40)


def test_every_client_ends_on_the_latest_state() -> None:
    """Snapshots, live changes, tombstones, turns and resets lead every client to the truth of its topics."""
    from hypothesis.stateful import run_state_machine_as_test  # noqa: PLC0415 -- pytest would collect the machine's class

    run_state_machine_as_test(HubMachine, settings=settings(max_examples=100, stateful_step_count=30, deadline=None))


def test_an_unchanged_row_is_no_news() -> None:
    """Publishing what is known already moves no version and wakes nobody."""
    hub, woken = Hub(plain), []
    hub.publish("stability", {"system": Row("stable", {})}, NOW)
    first = hub.version
    with hub.subscribe(lambda: woken.append(1)):
        hub.publish("stability", {"system": Row("stable", {})}, NOW)
    assert (hub.version, woken) == (first, [])


def test_progress_waits_for_its_window_and_a_change_of_state_does_not() -> None:
    """Within the window a row that only progresses is held back and named; another state passes at once."""
    hub = Hub(plain)
    hub.publish("stability", {"system": Row("processing", {"n": 1})}, NOW)
    first = hub.version
    assert hub.publish("stability", {"system": Row("processing", {"n": 2})}, NOW, coalesce=60) == {"system"}
    assert hub.version == first
    assert hub.publish("stability", {"system": Row("stable", {"n": 2})}, NOW, coalesce=60) == set()
    assert hub.version == first + 1


def test_work_that_goes_on_is_told_again_after_a_while() -> None:
    """A row that did not move is news only for who asks for it, and not before its time."""
    hub = Hub(plain)
    row = Row("processing", {"n": 1})
    hub.publish("stability", {"system": row}, NOW)
    hub.publish("stability", {"system": row}, NOW)
    first = hub.version
    hub.publish("stability", {"system": row}, NOW, renew={"system": 60})
    assert hub.version == first
    hub.publish("stability", {"system": row}, NOW, renew={"system": 0})
    assert hub.version == first + 1


def test_since_is_when_the_state_began() -> None:
    """Progress keeps `since`; a change of state moves it."""
    hub, later = Hub(plain), datetime(2026, 11, 25, tzinfo=UTC)
    hub.publish("stability", {"system": Row("processing", {"n": 1})}, NOW)
    hub.publish("stability", {"system": Row("processing", {"n": 2})}, later)
    change = hub.latest("stability", "system")
    assert change is not None
    assert (change.since, change.observed_at) == (NOW, later)


def test_the_unnamed_message_comes_only_with_a_new_state() -> None:
    """A five-line client hears `{"stable":…}` once per state, however much the counts move."""
    hub = Hub(encode)
    topic, key = SYSTEM
    began = hub.version
    hub.publish(topic, {key: Row("processing", {"stable": False, "n": 1})}, NOW)
    reader = Reader(hub, frozenset({topic}))
    first = reader.read()
    hub.publish(topic, {key: Row("processing", {"stable": False, "n": 2})}, NOW)
    second = reader.read()
    assert first.startswith(b'id: %s-%d\ndata: {"stable":false}\n\nevent: status\n' % (hub.epoch.encode(), began + 1))
    assert second.startswith(b"event: status\n")


def test_a_state_that_came_and_went_is_not_told_twice() -> None:
    """A client that slept through processing and back hears the present state, once."""
    hub = Hub(encode)
    topic, key = SYSTEM
    hub.publish(topic, {key: Row("stable", {"stable": True})}, NOW)
    reader = Reader(hub, frozenset({topic}))
    reader.read()
    hub.publish(topic, {key: Row("processing", {"stable": False})}, NOW)
    hub.publish(topic, {key: Row("stable", {"stable": True})}, NOW)
    frames = reader.read()
    assert frames.count(b"event: status") == 1
    assert b'data: {"stable":true}\n\n' in frames


def test_close_wakes_everybody() -> None:
    """Subscribers learn of the end the way they learn of a change."""
    hub, woken = Hub(plain), []
    with hub.subscribe(lambda: woken.append(hub.closed)):
        assert hub.subscribers == 1
        hub.close()
    assert woken == [True]
    assert hub.subscribers == 0


def test_memory_grows_with_keys_and_not_with_changes() -> None:
    """Ten thousand changes of one key leave about as much behind as one."""
    hub = Hub(plain)
    for n in range(10_000):
        hub.publish("stability", {"system": Row("processing", {"n": n})}, NOW)
    assert len(hub._log) < 100


def test_a_subscriber_that_raises_keeps_no_other_from_its_news() -> None:
    """The mistake of one is not everybody's."""
    hub, woken = Hub(plain), []

    def stumble() -> None:
        raise ValueError("a mistake in a subscriber")

    for wake in (stumble, lambda: woken.append(1), lambda: woken.append(2)):
        hub.call(wake)
    hub.publish("stability", {"system": Row("stable", {})}, NOW)
    assert sorted(woken) == [1, 2]


def test_what_cannot_be_encoded_leaves_a_topic_as_it_was() -> None:
    """Nothing of that moment is told, and the topic stays as old as it is; the others go on."""

    def picky(epoch: str, change: hub_module.Change) -> Frames:
        if change.row and change.row.state == "odd":
            raise ValueError("a row that cannot be told")
        return plain(epoch, change)

    hub, later = Hub(picky), datetime(2026, 11, 25, tzinfo=UTC)
    reader = Client(hub, frozenset(TOPICS))
    hub.publish("deployments", {"a": Row("running", {})}, NOW)
    with pytest.raises(ValueError, match="cannot be told"):
        hub.publish("deployments", {"b": Row("running", {}), "c": Row("odd", {})}, later, complete=True)
    assert hub.observed["deployments"] == NOW
    hub.publish("stability", {"system": Row("stable", {})}, later)
    reader.look()
    assert set(reader.rows) == {("deployments", "a"), ("stability", "system")}
