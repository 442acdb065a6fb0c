"""Where `sql/`, `migrations/` and `web/` are: beside the package in a checkout, inside it in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """The folder `name` that ships with Stability, as an absolute path."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
