"""Stages for faults: on the cluster that all tests share, or on one of the test's own that it may break."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stability.postgres import EmbeddedPostgres
from tests.chaos.stage import Stage, own_cluster, staged
from tests.fixtures.postgres import Database


@pytest.fixture
def stage(database: Database, tmp_path: Path) -> Iterator[Stage]:
    """On the shared cluster: nothing but this test's database may break."""
    with staged(database, tmp_path / "log") as on_it:
        yield on_it


@pytest.fixture
def own(data_dir: Path) -> Iterator[tuple[EmbeddedPostgres, Database]]:
    """A cluster of this test's own."""
    with own_cluster(data_dir) as made:
        yield made


@pytest.fixture
def postgres(own: tuple[EmbeddedPostgres, Database]) -> EmbeddedPostgres:
    """It, to be broken."""
    return own[0]


@pytest.fixture
def own_stage(own: tuple[EmbeddedPostgres, Database], tmp_path: Path) -> Iterator[Stage]:
    """On a cluster of this test's own."""
    with staged(own[1], tmp_path / "log") as on_it:
        yield on_it
