"""What a look at a deployment says: each row of the contract's verdict, over real sockets."""

import pytest

from tests.fixtures.deployments import configured, deployed, monitored
from tests.fixtures.machines import Target, closed_port, machine_api, target
from tests.fixtures.postgres import Database

SILENT = ["refuse", "hang", "close", "reset", "garbage", "drip"]


def place(here: Target, behaviour: int | str) -> int:
    """The port of a target that behaves so, or a closed one."""
    if behaviour == "refuse":
        return closed_port()
    here.behaviour = behaviour
    return here.port


@pytest.mark.parametrize("before", ["running", "unhealthy"])
@pytest.mark.parametrize(
    ("behaviour", "status", "error"),
    [
        (200, "running", None),
        (500, "unhealthy", "Health check failed: 500"),
        (404, "unhealthy", "Health check failed: 404"),
        (204, "unhealthy", "Health check failed: 204"),
        ("redirect", "unhealthy", "Health check failed: 302"),
        ("endless body", "running", None),
    ],
)
async def test_an_answer_decides(
    database: Database, before: str, behaviour: int | str, status: str, error: str | None
) -> None:
    """200 is running, any other code is not, and the machine API is not asked."""
    row = deployed(database, before, machine_id="abc", error_message="old" if before == "unhealthy" else None)
    async with (
        machine_api() as api,
        target(behaviour) as here,
        monitored(database, configured(api, here.port)) as monitor,
    ):
        await monitor.look_once()

        assert row.read() == (status, None, error)
        assert row.read("last_checked_at IS NOT NULL") is True
        assert [asked.path for asked in here.asked] == ["/abc/status"]
        assert api.asked == []


@pytest.mark.parametrize("behaviour", SILENT)
@pytest.mark.parametrize(
    ("state", "status", "error"),
    [
        ("stopped", "stopped", None),
        ("suspended", "stopped", None),
        ("stopping", "stopped", None),
        ("destroyed", "failed", "Machine was destroyed"),
        (None, "failed", "Machine not found"),
        ("started", "unhealthy", "Machine unreachable"),
    ],
)
async def test_where_nobody_answers_the_machine_api_is_asked(
    database: Database, behaviour: str, state: str | None, status: str, error: str | None
) -> None:
    """However no answer comes."""
    row = deployed(database, "running", machine_id="abc")
    async with machine_api() as api, target() as here:
        if state:
            api.put("abc", state)
        async with monitored(database, configured(api, place(here, behaviour))) as monitor:
            await monitor.look_once()

    assert row.read() == (status, None, error)
    assert row.read("last_checked_at IS NOT NULL") is True


@pytest.mark.parametrize("trouble", [401, 429, 500, "truncated", "cut", "no json", "lost", "replacing"])
@pytest.mark.parametrize("before", ["running", "unhealthy", "stopped"])
async def test_what_nobody_knows_stays_and_ages(database: Database, before: str, trouble: int | str) -> None:
    """The machine API fails, or names a state that is not listed: nothing is written, no moment of a look either."""
    row = deployed(database, before, machine_id="abc", error_message="old" if before == "unhealthy" else None)
    was = row.read("t::text FROM (SELECT * FROM deployments) t --")
    async with machine_api() as api, monitored(database, configured(api, closed_port())) as monitor:
        api.put("abc", "replacing" if trouble == "replacing" else "stopped")
        api.always = None if trouble == "replacing" else trouble
        await monitor.look_once()

    assert row.read("t::text FROM (SELECT * FROM deployments) t --") == was


async def test_a_stopped_one_is_not_woken(database: Database) -> None:
    """Only the machine API is asked, until that says that it runs."""
    row = deployed(database, "stopped", machine_id="abc")
    async with machine_api() as api, target() as here, monitored(database, configured(api, here.port)) as monitor:
        for state in ("stopped", "suspended", "stopping", "created"):
            api.put("abc", state)
            await monitor.look_once()
        assert here.asked == []
        assert row.read("status") == "stopped"
        api.put("abc", "started")
        await monitor.look_once()

        assert row.read("status") == "running"
        assert len(here.asked) == 1


@pytest.mark.parametrize("machine", ["abc", None])
async def test_a_stopped_one_stands_where_nobody_can_be_asked(
    database: Database, machine: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a machine API it is what was reported, as of then, and the log has nothing to tell of it."""
    async with target() as here, monitored(database, configured(None, here.port)) as monitor:
        row = deployed(database, "stopped", machine_id=machine, health_url=here.url)
        await monitor.look_once()

    assert row.read("status, last_checked_at") == ("stopped", None)
    assert here.asked == []
    assert "cannot be looked at" not in "".join(capfd.readouterr())


async def test_without_a_machine_silence_is_unhealthy(database: Database) -> None:
    """There is nobody else to ask about something that runs elsewhere."""
    row = deployed(database, "running", health_url=f"http://127.0.0.1:{closed_port()}/")
    async with monitored(database, configured(None)) as monitor:
        await monitor.look_once()

    assert row.read() == ("unhealthy", None, "Machine unreachable")


async def test_its_own_health_url_wins(database: Database) -> None:
    """Beside the template."""
    async with target(503) as here, machine_api() as api:
        row = deployed(database, "running", machine_id="abc", health_url=here.url)
        async with monitored(database, configured(api)) as monitor:
            await monitor.look_once()

    assert row.read("error_message") == "Health check failed: 503"


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "http://", "nonsense"]
)
async def test_where_nobody_may_be_asked_nothing_is_known(database: Database, url: str) -> None:
    """Neither well nor ill, and the others are looked at."""
    row = deployed(database, "running", health_url=url)
    async with target() as here, monitored(database, configured(None)) as monitor:
        other = deployed(database, "unhealthy", health_url=here.url)
        await monitor.look_once()

    assert row.read("status, last_checked_at") == ("running", None)
    assert other.read("status") == "running"


async def test_a_failed_one_is_left_alone(database: Database) -> None:
    """It is over."""
    row = deployed(database, "failed", machine_id="abc", error_message="why")
    async with machine_api() as api, target() as here, monitored(database, configured(api, here.port)) as monitor:
        await monitor.look_once()
        assert (here.asked, api.asked) == ([], [])

    assert row.read() == ("failed", None, "why")


async def test_thresholds_are_looks_in_a_row(database: Database) -> None:
    """Three failures to fall, two successes to rise; a look of the other kind begins again."""
    row = deployed(database, "running", machine_id="abc")
    async with machine_api() as api, target() as here:
        settings = configured(api, here.port, probe_failures=3, probe_successes=2)
        async with monitored(database, settings) as monitor:
            seen = []
            for here.behaviour in (500, 500, 200, 500, 500, 500, 200, 500, 200, 200):
                await monitor.look_once()
                seen.append(row.read("status"))

    assert seen == ["running"] * 5 + ["unhealthy"] * 4 + ["running"]


async def test_it_is_written_on_a_change_only(database: Database) -> None:
    """`updated_at` stays while nothing but the moment of the look moves; another code is a change."""
    row = deployed(database, "running", machine_id="abc")
    async with machine_api() as api, target(500) as here, monitored(database, configured(api, here.port)) as monitor:
        await monitor.look_once()
        first = row.read("updated_at, last_checked_at")
        await monitor.look_once()
        second = row.read("updated_at, last_checked_at")
        here.behaviour = 502
        await monitor.look_once()

    assert first[0] == second[0]
    assert first[1] < second[1]
    assert row.read("error_message") == "Health check failed: 502"
