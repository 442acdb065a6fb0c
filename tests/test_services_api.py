"""`/api/services` and `/api/config`: lists, links, histories, and what a browser chose."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from stability.errors import SettingError
from stability.services.api import link
from stability.settings import load
from tests.fixtures.eventually import PATIENCE
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import hosting
from tests.test_sql_services import record, service

NAMES = ["id", "name", "url", "tags", "current_status"]
DEFAULTS: Any = {
    "autoRefresh": {"enabled": False, "interval": 60, "options": [30, 60, 120, 300, 600]},
    "display": {"historyGranularity": 15, "granularityOptions": [5, 15, 30, 60]},
}


@pytest.fixture
def api(hosted: str) -> Iterator[httpx.Client]:
    """A browser of its own."""
    with httpx.Client(base_url=hosted, timeout=PATIENCE) as browser:
        yield browser


MANY = """
    INSERT INTO services (node, id, name, status, checks, last_seen, first_seen, status_since)
    SELECT 'n', 's' || n, 's', CASE WHEN n > 3000 THEN 'gone' ELSE 'passing' END, '[]',
           CASE WHEN n > 3001 THEN now() - interval '2 days' ELSE now() END, now(), now()
      FROM generate_series(1, %s) AS n
"""


def test_more_than_a_server_bears_is_refused(api: httpx.Client, database: Database) -> None:
    """A thousand services in slots of five minutes are told at once, and three thousand in longer ones."""
    fetch(database.dsn, MANY, 1001)
    assert api.get("/api/services/history?granularity=5").status_code == 400
    assert "1001 services" in (said := api.get("/api/services/history?granularity=5").json()["error"])
    assert "15 minutes or more" in said
    assert len(api.get("/api/services/history?granularity=15").json()["services"]) == 1001
    assert api.get("/api/services/n:s7/history?granularity=5").json()["data"] == []
    fetch(database.dsn, "DELETE FROM services WHERE id = 's1'")
    assert api.get("/api/services/history?granularity=5").status_code == 200


def test_what_is_gone_for_a_day_weighs_nothing(api: httpx.Client, database: Database) -> None:
    """It has no slot; three thousand and one that were there today are too many, whatever the slots."""
    fetch(database.dsn, MANY, 3100)
    refused = api.get("/api/services/history?granularity=60")
    assert refused.json() == {
        "error": "3001 services are more than the 3000 whose slots of 60 minutes are told at once; "
        "ask for each by its id."
    }
    fetch(database.dsn, "DELETE FROM services WHERE id = 's1'")
    assert api.get("/api/services/history?granularity=60").status_code == 200


def test_the_list(api: httpx.Client, database: Database) -> None:
    """Each with its id, link, tags and status; Consul answers as long as somebody saw that just now."""
    assert api.get("/api/services").json() == {"status": "success", "services": [], "consul_available": False}
    record(database, datetime.now(UTC), {**service(), "tags": ["a", "b"]}, service("api", "critical"), whole=True)
    told = api.get("/api/services").json()
    assert [[each[name] for name in NAMES] for each in told["services"]] == [
        ["n1:api", "api", "http://192.0.2.1:80", [], "critical"],
        ["n1:web", "web", "http://192.0.2.1:80", ["a", "b"], "passing"],
    ]
    assert told["services"][0]["observed_at"] < told["services"][0]["stale_after"]
    assert (told["status"], told["consul_available"]) == ("success", True)
    fetch(database.dsn, "UPDATE stability.consul SET observed_at = observed_at - interval '1 hour'")
    assert api.get("/api/services").json() == {**told, "consul_available": False}
    fetch(database.dsn, "UPDATE stability.consul SET observed_at = observed_at + interval '2 hours'")
    assert api.get("/api/services").json() == {**told, "consul_available": False}


def test_the_history_of_one_and_of_all(api: httpx.Client, database: Database) -> None:
    """By its id as a URL has it, in slots as asked for, or as this browser chose."""
    odd = service("a/b ü%", node="n:1")
    record(database, datetime.now(UTC), service(), odd, whole=True)
    one = api.get("/api/services/n1:web/history?granularity=5").json()
    assert (one["service_id"], one["granularity"], len(one["data"])) == ("n1:web", 5, 288)
    assert list(one["data"][-1]) == ["timestamp", "passing", "warning", "critical", "unknown", "samples"]
    both = api.get("/api/services/history").json()
    assert (both["granularity"], sorted(both["services"])) == (15, ["n%3A1:a/b ü%", "n1:web"])
    assert {len(slots) for slots in both["services"].values()} == {96}
    api.post("/api/config", json={"display": {"historyGranularity": 60}})
    told = api.get("/api/services/n%253A1%3Aa%2Fb%20%C3%BC%25/history").json()
    assert (told["service_id"], told["granularity"], len(told["data"])) == ("n%3A1:a/b ü%", 60, 24)


def test_other_granularities_are_refused(api: httpx.Client) -> None:
    """With the value and those that there are."""
    for path in ("/api/services/history", "/api/services/n1:web/history"):
        for value in ("7", "0", "-5", "5.0", "many", ""):
            answer = api.get(path, params={"granularity": value})
            assert answer.status_code == 400
            assert value in answer.json()["error"]
            assert "5, 15, 30 or 60" in answer.json()["error"]


def test_an_unknown_service(api: httpx.Client) -> None:
    """404, with its id."""
    answer = api.get("/api/services/n1:none/history")
    assert (answer.status_code, answer.json()) == (404, {"error": "There is no service 'n1:none'."})


def test_without_the_database(api: httpx.Client, database: Database) -> None:
    """The shapes that clients of such a list know."""
    with database.away():
        listed, told = api.get("/api/services"), api.get("/api/services/n1:web/history")
    assert (listed.status_code, listed.json()) == (
        503,
        {"status": "error", "error": "Failed to fetch services", "services": [], "consul_available": False},
    )
    assert (told.status_code, told.json()) == (
        500,
        {"error": "Failed to fetch history", "service_id": "n1:web", "data": []},
    )


@pytest.mark.parametrize(
    ("row", "url"),
    [
        ({"url": "https://web.example/a?b"}, "https://web.example/a?b"),
        ({"url": "javascript:alert(1)"}, "http://192.0.2.1:80"),
        ({"url": "http://"}, "http://192.0.2.1:80"),
        ({"url": 7, "address": "2001:db8::1"}, "http://[2001:db8::1]:80"),
        ({"port": None}, None),
        ({"address": None}, None),
        ({"address": "evil host"}, None),
    ],
)
def test_links(row: dict[str, Any], url: str | None) -> None:
    """The service's own if it is one of the web, else by the template, else none."""
    told = {"url": None, "address": "192.0.2.1", "port": 80, "name": "web", "node": "n1", "id": "web", **row}
    assert link(told, load()) == url


def test_links_by_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may name the service; what cannot be filled is refused at the start."""
    told = {"url": None, "address": None, "port": None, "name": "a b", "node": "n1", "id": "web"}
    assert link(told, load(service_url_template="https://in.example/{name}")) == "https://in.example/a%20b"
    for wrong in ("http://{host}", "ftp://{address}", "http://{address"):
        monkeypatch.setenv("STABILITY_SERVICE_URL_TEMPLATE", wrong)
        with pytest.raises(SettingError, match="STABILITY_SERVICE_URL_TEMPLATE"):
            load()


def test_the_configuration_of_a_browser(api: httpx.Client, hosted: str) -> None:
    """What it changes it finds again, the rest stays as it was; another browser has its own."""
    assert api.get("/api/config").json() == DEFAULTS
    answer = api.post("/api/config", json={"autoRefresh": {"enabled": True, "interval": 300}})
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("max-age=2678400", "httponly", "samesite=lax", "path=/"))
    assert "secure" not in cookie
    api.post("/api/config", json={"display": {"historyGranularity": 5}})
    api.post("/api/config", json={"autoRefresh": {"interval": 30}})
    assert api.get("/api/config").json() == {
        "autoRefresh": {**DEFAULTS["autoRefresh"], "enabled": True, "interval": 30},
        "display": {**DEFAULTS["display"], "historyGranularity": 5},
    }
    assert httpx.get(f"{hosted}/api/config").json() == DEFAULTS


def test_what_is_not_possible_changes_nothing(api: httpx.Client) -> None:
    """400 with the reason, and no cookie, not even for the part that was right."""
    bodies: list[object] = [
        {"autoRefresh": {"interval": 45}},
        {"autoRefresh": {"enabled": "yes"}},
        {"display": {"historyGranularity": 10}},
        {"autoRefresh": {"enabled": True}, "display": {"historyGranularity": 1}},
        {"theme": "dark"},
        [],
    ]
    for body in bodies:
        answer = api.post("/api/config", json=body)
        assert (answer.status_code, list(answer.json())) == (400, ["error"])
        assert "set-cookie" not in answer.headers


def test_a_cookie_of_somebody_elses_making_is_none(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed with another key: the defaults; with the same key another server knows it."""
    cookies: list[str] = []
    for key in ("one", "two", "one"):
        monkeypatch.setenv("STABILITY_SECRET_KEY", key)
        with hosting(_app(database)) as url, httpx.Client(base_url=url) as browser:
            for cookie in cookies:
                told = httpx.get(f"{url}/api/config", cookies={"stability_config": cookie}).json()
                assert told["display"]["historyGranularity"] == (30 if (key, len(cookies)) == ("one", 1) else 15)
            if not cookies:
                browser.post("/api/config", json={"display": {"historyGranularity": 30}})
                cookies.append(browser.cookies["stability_config"])


def _app(database: Database) -> Any:
    from stability.app import create_app  # noqa: PLC0415 -- once a key

    return create_app(load(), conninfo=database.server_dsn)


def test_over_https_the_cookie_is_for_https_only(database: Database) -> None:
    """A proxy says so."""
    from starlette.testclient import TestClient  # noqa: PLC0415

    answer = TestClient(_app(database), base_url="https://status.example").post("/api/config", json={})
    assert "secure" in answer.headers["set-cookie"].lower()


def test_a_random_key_is_warned_of(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Only where none is set."""
    _app(database)
    assert "STABILITY_SECRET_KEY" in capsys.readouterr().out


def test_ages_are_told_by_the_interval(database: Database, api: httpx.Client) -> None:
    """Two samples later what was seen is old; what is gone does not age."""
    now = datetime.now(UTC)
    record(database, now, service(), whole=True)
    (told,) = api.get("/api/services").json()["services"]
    seen, stale = (datetime.fromisoformat(told[name]) for name in ("observed_at", "stale_after"))
    assert stale - seen == timedelta(seconds=120)
    record(database, now, gone=["n1:web"])
    (told,) = api.get("/api/services").json()["services"]
    assert (told["current_status"], told["stale_after"]) == ("gone", None)
