"""Who gets in: with a token set, the badge stays public and everything else asks for it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from stability.app import create_app
from stability.settings import Settings, load

AWAY = "host=/nowhere dbname=none"
TOKEN = "open sesame"
OPEN = ["/livez", "/readyz", "/healthz", "/login", "/api/system-status", "/api/topics", "/system-status.js"]
CLOSED = [
    "/",
    "/metrics",
    "/api/system-status/details",
    "/api/live",
    "/index.html",
    "/%61pi/live",
    "//metrics",
    "/livez/..",
]

pytestmark = pytest.mark.anyio


def client_of(settings: Settings) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(settings, conninfo=AWAY))
    return httpx.AsyncClient(transport=transport, base_url="http://status.example")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(load(token=TOKEN, allowed_origins="https://app.example")) as client:
        yield client


@pytest.mark.parametrize("path", OPEN)
async def test_the_badge_and_the_health_paths_are_public(client: httpx.AsyncClient, path: str) -> None:
    """A visitor's browser and a load balancer know no token."""
    assert (await client.get(path)).status_code != 401


@pytest.mark.parametrize("path", CLOSED)
async def test_everything_else_needs_the_token(client: httpx.AsyncClient, path: str) -> None:
    """Without it: 401 and one sentence, whatever the spelling of the path."""
    answer = await client.get(path)
    assert answer.status_code == 401
    assert "Authorization: Bearer" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/metrics", "/"])
async def test_a_bearer_opens(client: httpx.AsyncClient, path: str) -> None:
    """Programs send the token in the header."""
    assert (await client.get(path, headers={"Authorization": f"Bearer {TOKEN}"})).status_code in {200, 404}


@pytest.mark.parametrize("header", ["Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"])
async def test_a_wrong_bearer_does_not(client: httpx.AsyncClient, header: str) -> None:
    """Anything but the token itself is refused, and no input breaks the comparison."""
    answer = await client.get("/metrics", headers=[(b"Authorization", header.encode())])
    assert answer.status_code == 401


async def test_a_person_signs_in_once(client: httpx.AsyncClient) -> None:
    """The page asks for the token, trades it for a cookie that does not contain it, and the cookie opens."""
    page = await client.get("/", headers={"Accept": "text/html"})
    assert (page.status_code, "<form" in page.text) == (401, True)
    signed_in = await client.post("/login", data={"token": TOKEN})
    assert signed_in.status_code == 303
    cookie = signed_in.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax"))
    assert TOKEN not in cookie
    assert (await client.get("/metrics")).status_code == 200


async def test_a_wrong_token_stays_outside(client: httpx.AsyncClient) -> None:
    """The form says so, and no cookie is set."""
    answer = await client.post("/login", data={"token": "guess"})
    assert answer.status_code == 401
    assert "That is not the token." in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_huge_form_is_refused(client: httpx.AsyncClient) -> None:
    """A login form is small; nobody makes the server hold megabytes."""
    assert (await client.post("/login", content=b"x" * 10_000)).status_code == 413


@pytest.mark.parametrize("cookie", ["stability_session=", "stability_session=x", 'stability_session="', "=;;,\x7f"])
async def test_a_forged_cookie_does_not_open(client: httpx.AsyncClient, cookie: str) -> None:
    """Only the cookie that a login gave counts."""
    assert (await client.get("/metrics", headers={"Cookie": cookie})).status_code == 401


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("https://evil.example", 403), ("null", 403), ("https://app.example", 303), ("http://status.example", 303)],
)
async def test_foreign_pages_may_not_write(client: httpx.AsyncClient, origin: str, expected: int) -> None:
    """A POST from another origin's page is refused unless the operator allowed that origin."""
    answer = await client.post("/login", data={"token": TOKEN}, headers={"Origin": origin})
    assert answer.status_code == expected


async def test_an_allowed_origin_reads_the_details(client: httpx.AsyncClient) -> None:
    """Browsers let pages of STABILITY_ALLOWED_ORIGINS read what needs the token, and no others."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://app.example"}
    allowed = await client.get("/api/system-status/details", headers=headers)
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    foreign = await client.get("/api/system-status/details", headers={**headers, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    preflight["Access-Control-Request-Headers"] = "authorization"
    asked = await client.options("/api/system-status/details", headers=preflight)
    assert (asked.status_code, "Authorization" in asked.headers["access-control-allow-headers"]) == (200, True)


async def test_without_a_token_everything_is_open() -> None:
    """On this machine only, there is nobody to keep out."""
    async with client_of(load()) as client:
        assert (await client.get("/metrics")).status_code == 200


@pytest.mark.parametrize("neighbours", ['prefs={"a":1}; ', "a[b]=1; ", "foo; ", "name=\u00fc; "])
async def test_other_cookies_do_not_hide_ours(client: httpx.AsyncClient, neighbours: str) -> None:
    """All servers of a host share their cookies, however they write them."""
    signed_in = await client.post("/login", data={"token": TOKEN})
    cookie = (neighbours + signed_in.headers["set-cookie"].partition(";")[0]).encode()
    client.cookies.clear()
    assert (await client.get("/metrics", headers={b"Cookie": cookie})).status_code == 200


async def test_an_origin_that_is_none_is_foreign(client: httpx.AsyncClient) -> None:
    """Whatever a client says of itself, it is refused in a sentence."""
    answer = await client.post("/login", data={"token": TOKEN}, headers={"Origin": "http://["})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8642", 202), ("localhost:8642", 202), ("[::1]:8642", 202), ("evil.example:8642", 403)],
)
def test_a_name_that_leads_here_is_not_believed(hosted: str, host: str, status: int) -> None:
    """Without a token a page may write only by our address: a name may be anybody's, bound anew to this machine."""
    headers = {"Host": host, "Origin": f"http://{host}"}
    answer = httpx.post(f"{hosted}/api/deployments", json={"name": "web"}, headers=headers)
    assert answer.status_code == status
