"""`web/` is plain JavaScript: a compiler checks the types in its comments, and Node runs its unit tests."""

from pathlib import Path

from tests.fixtures.node import run_node


def test_the_types_hold(node_packages: Path) -> None:
    """tsc finds nothing to object to, in web/ and its tests."""
    run_node(str(node_packages / "typescript" / "bin" / "tsc"), "--project", "tsconfig.json")


def test_the_units_work() -> None:
    """node --test passes."""
    run_node("--experimental-eventsource", "--disable-warning=ExperimentalWarning", "--test", "--test-reporter=dot")
