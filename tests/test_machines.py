"""The machine API, asked well and badly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from stability.deployments import machines as module
from stability.deployments.allow import Allow
from stability.deployments.machines import BusyError, Machine, MachineError, Machines, is_id, name_of, patiently
from stability.deployments.outbound import Outbound
from tests.fixtures.machines import APP, TOKEN, MachineApi, closed_port, machine_api


@asynccontextmanager
async def asking(api: MachineApi, token: str = TOKEN) -> AsyncIterator[Machines]:
    """A client of it."""
    client = Machines(Outbound(Allow(hosts=frozenset({"127.0.0.1"}))), api.url, APP, token, "ams")
    try:
        yield client
    finally:
        await client.close()


async def test_a_machine_is_made_as_documented() -> None:
    """POST with name, region and config, and the token beside it."""
    async with machine_api() as api, asking(api) as client:
        made = await client.create("stability-7", {"image": "web"})

    assert made == Machine("m1", "started")
    assert (api.asked[0].method, api.asked[0].path) == ("POST", "/v1/apps/app/machines")
    assert api.machines["m1"] == {
        "id": "m1",
        "name": "stability-7",
        "region": "ams",
        "config": {"image": "web"},
        "state": "started",
    }


@pytest.mark.parametrize(
    "state", ["created", "starting", "started", "stopping", "stopped", "suspended", "destroyed", "?"]
)
async def test_a_machine_is_found_in_any_state(state: str) -> None:
    """GET by its id."""
    async with machine_api() as api, asking(api) as client:
        api.put("abc", state)
        assert await client.find("abc") == Machine("abc", state)
        assert api.asked[0].path == "/v1/apps/app/machines/abc"


async def test_one_that_is_not_there_is_none() -> None:
    """404 is an answer."""
    async with machine_api() as api, asking(api) as client:
        assert await client.find("abc") is None


@pytest.mark.parametrize("trouble", [408, 429, 500, 502, 503, "slow", "truncated", "cut", "no json", "lost"])
async def test_what_may_pass_is_told_apart(trouble: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy, broken, slow or cut off: trying again may help."""
    monkeypatch.setattr(module, "TIMEOUT", 0.5)
    async with machine_api() as api, asking(api) as client:
        api.put("abc", "started")
        api.always = trouble
        with pytest.raises(BusyError):
            await client.find("abc")


@pytest.mark.parametrize("trouble", [400, 401, 403, 422, 302])
async def test_what_stays_is_told_with_the_reason(trouble: int) -> None:
    """A refusal is no answer about the machine."""
    async with machine_api() as api, asking(api) as client:
        api.always = trouble
        with pytest.raises(MachineError, match=f"answered {trouble}: trouble {trouble}") as refused:
            await client.find("abc")

    assert not isinstance(refused.value, BusyError)


async def test_a_wrong_token_is_a_refusal() -> None:
    """Not a machine that is gone."""
    async with machine_api() as api, asking(api, "wrong") as client:
        with pytest.raises(MachineError, match="401: unauthorized"):
            await client.find("abc")


@pytest.mark.parametrize(
    "machine_id", ["", "a/b", "../apps", "a?b", "a#b", "%2e%2e", "a b", "a\n", "é", "-a", "a" * 64]
)
async def test_what_is_no_id_is_never_asked_for(machine_id: str) -> None:
    """It would be a part of the URL."""
    assert not is_id(machine_id)
    async with machine_api() as api, asking(api) as client:
        with pytest.raises(MachineError, match="no id"):
            await client.find(machine_id)
        assert api.asked == []


@pytest.mark.parametrize("deployment", ["7", "8b4f1c4e-0000-4000-8000-000000000000", "Ein Name/..", "x" * 500])
def test_a_name_is_always_the_same(deployment: str) -> None:
    """And fits where names of machines fit."""
    assert name_of(deployment) == name_of(deployment)
    assert is_id(name_of(deployment))


@pytest.mark.parametrize("trouble", ["lost", "truncated", "cut", 500, 429, "slow"])
async def test_a_second_try_finds_what_the_first_made(trouble: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not the first was done before its answer was lost, there is one machine."""
    monkeypatch.setattr(module, "TIMEOUT", 0.5)
    async with machine_api() as api, asking(api) as client:
        api.troubles = [trouble]
        made = await patiently(client, "stability-7", {}, 10, again=False)

    assert list(api.machines) == [made.id]


async def test_after_a_crash_the_machine_is_looked_for_first() -> None:
    """Nothing is asked to be made where it is there; one that was destroyed is not it."""
    async with machine_api() as api, asking(api) as client:
        api.put("gone", "destroyed", "stability-7")
        api.put("there", "starting", "stability-7")
        assert (await patiently(client, "stability-7", {}, 0, again=True)).id == "there"

    assert api.made == 0


async def test_two_at_once_make_one() -> None:
    """The second is told that the name is taken, and finds it."""
    async with machine_api() as api, asking(api) as client:
        first, second = await asyncio.gather(*(client.create("stability-7", {}) for _ in range(2)))

    assert first == second
    assert len(api.machines) == 1


async def test_trying_ends_in_time() -> None:
    """With the last reason."""
    began = monotonic()
    async with machine_api() as api, asking(api) as client:
        api.always = 503
        with pytest.raises(BusyError, match="503"):
            await patiently(client, "stability-7", {}, 1.5, again=False)

    assert monotonic() - began < 1.5 + 1
    assert len(api.asked) >= 2


async def test_nobody_there_is_told() -> None:
    """As something that may pass."""
    async with asking(MachineApi(port=closed_port())) as client:
        with pytest.raises(BusyError, match="does not answer"):
            await client.find("abc")
