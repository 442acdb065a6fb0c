"""What the browser tests share beside the fixtures of their subjects."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.fixtures.postgres import Database

Sql = Callable[[str], None]


@pytest.fixture
def sql(database: Database) -> Iterator[Sql]:
    """Commit statements as an application would, which has no right on our schema."""
    with psycopg.connect(database.writer_dsn, autocommit=True) as connection:

        def execute(statement: str) -> None:
            connection.execute(statement.encode())

        yield execute
