"""Fixtures by subject, each in its own module under tests/fixtures."""

import pytest

pytest_plugins = (
    "tests.fixtures.postgres",
    "tests.fixtures.browser",
    "tests.fixtures.host",
    "tests.fixtures.node",
    "tests.fixtures.follower",
    "tests.fixtures.server",
    "tests.fixtures.demo",
    "tests.fixtures.pooler",
    "tests.fixtures.standby",
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the server does."""
    return "asyncio"
