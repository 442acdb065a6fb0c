"""What is used of uvicorn's inside: a version that lacks any of it is named here, and served without."""

import ast
import inspect
import os
from pathlib import Path

import httpx
import pytest
import uvicorn
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stability.fanout import express, protocol
from tests.fixtures.follower import Follower
from tests.fixtures.postgres import Database
from tests.fixtures.server import serve
from tests.fixtures.work import begin_work

# In any process that finds this first: a uvicorn of the future, in which one method has another name.
_FUTURE = """
import importlib.util, sys
spec = importlib.util.find_spec("uvicorn.protocols.http.httptools_impl")
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
exec(spec.loader.get_source(spec.name).replace("_unset_keepalive_if_required", "_forget_keepalive"), vars(module))
"""


def test_this_uvicorn_has_all_of_it() -> None:
    """Else: adapt `fanout.protocol` and `server` to this version, or leave it out of the range in pyproject.toml."""
    assert protocol.missing() == []
    wanted = {
        uvicorn.Server: {
            "handle_exit",
            "main_loop",
            "on_tick",
            "startup",
            "shutdown",
            "run",
            "should_exit",
            "force_exit",
            "started",
        },
        LifespanOn: {"error_occurred", "state"},
    }
    for kind, names in wanted.items():
        assert not names - set(dir(kind)) - set(kind.__init__.__code__.co_names)


def test_nothing_else_is_used() -> None:
    """Every name that protocol.py and express.py take from uvicorn's objects is among those that are looked for."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(express)))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"server", "self._state"}
    }
    for node in ast.walk(ast.parse(inspect.getsource(protocol.Protocol))):
        if isinstance(node, ast.Attribute):
            source, _, rest = ast.unparse(node.value).partition(".")
            ours = source == "self" and not rest and node.attr in vars(protocol.Protocol)
            if source in {"self", "super()", "cycle"} and rest in {"", "cycle", "flow", "server_state"} and not ours:
                used.add(node.attr)
    relied_on = set(" ".join(protocol.RELIED_ON.values()).split())
    # `send` is called through the application; `lifespan` is there once a server serves: its class is looked at above
    assert used | {"send"} == relied_on | {"lifespan"}


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By class and name."""
    monkeypatch.delattr(HttpToolsProtocol, "_unset_keepalive_if_required")
    assert protocol.missing() == ["HttpToolsProtocol._unset_keepalive_if_required"]


@pytest.mark.parametrize(
    ("future", "lacking"),
    [
        (_FUTURE, "HttpToolsProtocol._unset_keepalive_if_required"),
        ("import sys; sys.modules['stability.fanout.protocol'] = None", "stability.fanout.protocol"),
    ],
    ids=["a name", "a module"],
)
def test_an_unknown_uvicorn_still_serves(database: Database, tmp_path: Path, future: str, lacking: str) -> None:
    """Over the portable way, with one line of log that says so, and a goodbye at the end."""
    (tmp_path / "sitecustomize.py").write_text(future)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with (tmp_path / "log").open("w+") as log:
        with serve(database.server_dsn, log=log, PYTHONPATH=path) as server:
            with Follower(f"{server.url}/api/system-status/live") as client:
                begin_work(database)
                client.wait_for_stable(False)
                assert httpx.get(f"{server.url}/livez").status_code == httpx.codes.OK
                server.process.terminate()
                client.wait_for(lambda client: client.ended)
            assert client.named("bye")
        log.seek(0)
        told = [line for line in log if "this uvicorn is unknown" in line]
    assert len(told) == 1
    assert lacking in told[0]
    assert uvicorn.__version__ in told[0]
