"""The wheel `pg-stability`, installed into an empty environment elsewhere, is a working `stability up`."""

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from stability import __version__
from tests.fixtures.server import Serving, free_port

ROOT = Path(__file__).parents[1]
SHIPPED = ("sql", "migrations", "web")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release would build it: from the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own that holds the wheel; what it depends on is borrowed from ours, where it is locked."""
    home = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(home, with_pip=True)
    site = next(home.glob("lib/python3*/site-packages"))
    ours = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, cwd=home)
    # behind its own packages, and without our .pth files: an editable Stability is not among what is borrowed
    (site / "borrowed.pth").write_text(f"import sys; sys.path.append({str(ours)!r})\n")
    return home


def test_it_ships_everything_it_needs(wheel: Path) -> None:
    """Every file of sql/, migrations/ and web/ is inside, and nothing of tests or bench."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder in SHIPPED:
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"stability/{file.relative_to(ROOT)}" in inside
    assert not [name for name in inside if name.startswith(("tests/", "bench/"))]
    assert "stability/py.typed" in inside
    assert wheel.name.startswith(f"pg_stability-{__version__}-py3-none-any")


def test_it_works_elsewhere(environment: Path, data_dir: Path) -> None:
    """`stability up` from the installed wheel: a live page on a Postgres of its own, far from any checkout."""
    port = free_port()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DATABASE_", "STABILITY_"))
    }
    variables = {**kept, "STABILITY_PORT": str(port), "STABILITY_DATA_DIR": str(data_dir)}
    where = [str(environment / "bin/python"), "-c", "import stability; print(stability.__file__)"]
    found = subprocess.run(where, env=variables, cwd="/", capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(environment)
    program = str(environment / "bin/stability")
    told = subprocess.run([program, "--version"], env=variables, cwd="/", capture_output=True, text=True, check=True)
    assert __version__ in told.stdout
    with subprocess.Popen([program, "up"], env=variables, cwd="/", text=True) as process:
        try:
            server = Serving(f"http://127.0.0.1:{port}", process)
            server.await_ready()
            assert httpx.get(f"{server.url}/").status_code == 200
            assert httpx.get(f"{server.url}/system-status.js").headers["content-type"].startswith("text/javascript")
            assert httpx.get(f"{server.url}/api/system-status").json()["stable"] is True
        finally:
            process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_files_are_whole(lock: str) -> None:
    """Each requirement of the project is locked in a version that fits; all have hashes, none an address."""
    text = (ROOT / lock).read_text("utf-8")
    assert "://" not in text
    locked = dict(re.findall(r"(?m)^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]+\])?==(\S+)", text))
    assert len(re.findall(r"(?m)^[a-z0-9].*==", text)) == len(re.findall(r"==[^\\]*\\\n\s+--hash=sha256:", text))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted: list[str] = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    if "dev" in lock:
        wanted += [each for each in project["dependency-groups"]["dev"] if isinstance(each, str)]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[requirement.name.lower()]), requirement
