"""What the browser tests share beside the fixtures of their subjects."""

import re
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest

from tests.fixtures.host import Page as HostPage
from tests.fixtures.postgres import Database
from tests.fixtures.server import Serving

Sql = Callable[[str], None]


def page_with_the_tag(module: str, **headers: str) -> HostPage:
    """A page that embeds the element as the README says, loading `module`."""
    return HostPage(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A host page</title>'
        f'<script type="module" src="{module}"></script></head>'
        "<body><main><h1>Ours</h1><system-status></system-status></main></body></html>",
        headers=headers,
    )


def streams(serving: Serving) -> int:
    """How many streams the server has open, by its own count, which it takes when one begins and ends."""
    found = re.search(r"^stability_clients (\d+)", httpx.get(f"{serving.url}/metrics").text, re.MULTILINE)
    assert found
    return int(found[1])


@pytest.fixture
def sql(database: Database) -> Iterator[Sql]:
    """Commit statements as an application would, which has no right on our schema."""
    with psycopg.connect(database.writer_dsn, autocommit=True) as connection:

        def execute(statement: str) -> None:
            connection.execute(statement.encode())

        yield execute
