"""`stability watch` shows each change: as a live table in a terminal, as lines in a pipe."""

import json
import os
import subprocess
import sys
from typing import Final

import pytest

from stability.terminal import watching
from tests.fixtures.command import Terminal, environment, running, terminal
from tests.fixtures.postgres import Database, fetch
from tests.fixtures.server import Serving

BUSY_JOB: Final = "INSERT INTO public.import_job (slug, state) VALUES ('people', 'approved')"
INTERRUPTED: Final = 130


def test_a_line_for_each_change_in_a_pipe(serving: Serving, database: Database) -> None:
    """No escape codes, no table: time, state, counts, listener; and the reason when the server goes."""
    with running("watch", STABILITY_URL=serving.url) as watcher:
        watcher.read_until("stable analytics_tasks=0 import_job=0 listener=live\n")
        fetch(database.writer_dsn, BUSY_JOB)
        watcher.read_until("processing analytics_tasks=0 import_job=1 listener=live\n")
        serving.process.terminate()
        watcher.read_until("unknown listener=lost transport=reconnecting (the server said goodbye)\n")
        assert "\x1b" not in watcher.raw


@pytest.mark.parametrize("way", ["http", "database"])
def test_json_lines(way: str, serving: Serving, database: Database) -> None:
    """With --json each change is one object, with the names that the server uses."""
    variables = {"STABILITY_URL": serving.url} if way == "http" else {"DATABASE_URL": database.server_dsn}
    options = ["--json"] if way == "http" else ["--json", "--database"]
    with running("watch", *options, **variables) as watcher:
        watcher.read_until('"state":"stable"')
        fetch(database.writer_dsn, BUSY_JOB)
        watcher.read_until('"state":"processing"')
        watcher.read_until("\n")
        *_, last = watcher.text.splitlines()
    told = json.loads(last)
    assert told["stable"] is False
    assert told["sources"]["import_job"] == {"active": True, "count": 1}
    assert told["transport"] == {"http": "live", "database": "database"}[way]


def test_a_live_table_in_a_terminal(serving: Serving, database: Database) -> None:
    """The table follows the state, fills a resized terminal again, and Ctrl-C leaves the last state behind."""
    with terminal("watch", STABILITY_URL=serving.url) as watcher:
        watcher.read_until("✔ System Stable")
        fetch(database.writer_dsn, BUSY_JOB)
        shown = watcher.read_until("○ Processing Data")
        for fact in ("since", "as of", "listener", f"live stream, {serving.url}", "analytics_tasks", "import_job"):
            assert fact in shown
        watcher.resize(50)
        assert any(_widest_of_next_frame(watcher) <= 50 for _ in range(10))  # the first may have been on its way
        watcher.type("\x03")
        assert watcher.process.wait(10) == INTERRUPTED
        assert "processing analytics_tasks=0 import_job=1 listener=live" in watcher.read_to_the_end()
        assert "Traceback" not in watcher.text


def _widest_of_next_frame(watcher: Terminal) -> int:
    watcher.forget()
    watcher.read_until("○ Processing Data")
    return max(map(len, watcher.read_until("import_job").splitlines()))


def test_without_colours(serving: Serving) -> None:
    """NO_COLOR is honoured: the state is told by a mark and words."""
    with terminal("watch", STABILITY_URL=serving.url) as coloured:
        coloured.read_until("✔ System Stable")
        assert "32m" in coloured.raw
    with terminal("watch", STABILITY_URL=serving.url, NO_COLOR="1") as plain:
        plain.read_until("✔ System Stable")
        assert "32m" not in plain.raw


def test_a_reader_that_leaves_ends_it(serving: Serving, database: Database) -> None:
    """`stability watch | head -1` ends at the next change, without a traceback."""
    ours, theirs = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "stability", "watch"],
        env=environment(STABILITY_URL=serving.url),
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    ) as watcher:
        os.close(theirs)
        assert b"stable" in os.read(ours, 1000)
        os.close(ours)
        fetch(database.writer_dsn, BUSY_JOB)
        _, said = watcher.communicate(timeout=20)
    assert said == ""
    assert watcher.returncode == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (86_400 * 3, "3 d")],
)
def test_ages(seconds: float, words: str) -> None:
    """An age is told in its largest unit; a clock that runs ahead is no negative age."""
    assert watching.age(seconds) == words
