"""Squawk reads every SQL file, and each file says what it is for."""

import subprocess
import sys
from pathlib import Path

import pytest

from stability.resources import folder

SQUAWK = Path(sys.executable).parent / "squawk"
SQL_FILES = sorted(folder("sql").glob("*.sql"))


# `stability.schema.migration.migrate` decides on both, once for all files
ELSEWHERE = "require-lock-timeout,require-statement-timeout"


def test_every_file_is_clean() -> None:
    """It parses, and does nothing that is slow or unsafe beside writers."""
    command = [str(SQUAWK), "--reporter=gcc", f"--exclude={ELSEWHERE}", *map(str, SQL_FILES)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (checked.stdout, checked.returncode) == ("", 0)


@pytest.mark.parametrize("file", SQL_FILES, ids=lambda file: file.stem)
def test_a_file_says_what_it_is_for_and_is_named_for_what_it_makes(file: Path) -> None:
    """One comment first; the name after the number is the function's, or what the block does."""
    text = file.read_text("utf-8")
    name = file.stem.partition("_")[2]

    assert text.startswith("-- ")
    assert f".{name}(" in text or "DO $$" in text
