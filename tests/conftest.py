"""Fixtures by subject, each in its own module under tests/fixtures."""

import signal

import pytest

pytest_plugins = (
    "tests.fixtures.postgres",
    "tests.fixtures.apart",
    "tests.fixtures.browser",
    "tests.fixtures.composed",
    "tests.fixtures.driven",
    "tests.fixtures.clock",
    "tests.fixtures.host",
    "tests.fixtures.node",
    "tests.fixtures.follower",
    "tests.fixtures.server",
    "tests.fixtures.demo",
    "tests.fixtures.engine",
    "tests.fixtures.executions",
    "tests.fixtures.pooler",
    "tests.fixtures.receivers",
    "tests.fixtures.standby",
    "tests.fixtures.wire",
)

# Where a shell started us in the background Ctrl-C is ignored, and every program that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the server does."""
    return "asyncio"
