"""The shape of the code, held by a few short rules, and what the documents say of it."""

import ast
from pathlib import Path

import pytest

import stability
from stability.settings import PREFIX, Settings

PACKAGE = Path(stability.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(file for file in PACKAGE.rglob("*.py") if not {"sql", "migrations", "web"} & set(file.parts[:-1]))
# Who may know whom: the parts on the left import nothing of what stands on their right.
ORDER = ("errors", "hub", "frames", "hints", "database", "refresher", "stream", "app", "run", "cli")


def imports(file: Path) -> set[str]:
    """The modules of ours that `file` imports, by their first name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            head, _, rest = node.module.partition(".")
            if head == "stability":
                found |= {rest.partition(".")[0]} if rest else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("position", range(len(ORDER)), ids=ORDER)
def test_imports_point_one_way(position: int) -> None:
    """No part knows a part that comes after it."""
    assert not imports(PACKAGE / f"{ORDER[position]}.py") & set(ORDER[position + 1 :])


def test_the_truth_knows_no_other_part() -> None:
    """Neither where it is read nor where it is kept, but for how an error is told and contained."""
    assert imports(PACKAGE / "database.py") <= {"errors"}
    assert imports(PACKAGE / "hub.py") <= {"contained", "snapshot"}


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_composition_roots_know_the_parts(file: Path) -> None:
    """The parts are joined in `app`, and without a server in `direct`; `run` alone knows `app`, nobody `cli`."""
    name = file.relative_to(PACKAGE).with_suffix("").as_posix()
    assert "cli" not in imports(file) or name == "__main__"
    assert "app" not in imports(file) or name == "run"
    assert "refresher" not in imports(file) or name in {"app", "direct"}
    assert "torture" not in imports(file) or name == "cli" or name.startswith("torture/")


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_modules_are_small_and_introduced(file: Path) -> None:
    """At most 300 lines, and a docstring in the reader's terms."""
    text = file.read_text("utf-8")
    assert text.count("\n") <= 300
    assert not text.strip() or ast.get_docstring(ast.parse(text))


def test_the_picture_names_the_flow() -> None:
    """The package's docstring shows every part of the flow, and each of them exists."""
    picture = stability.__doc__ or ""
    for part in ("listener", "refresher", "hub", "stream", "details", "database"):
        assert part in picture
        assert (PACKAGE / f"{part}.py").is_file()


def test_every_setting_is_documented() -> None:
    """README's table has each variable with its meaning as the code has it, and no other."""
    readme = (ROOT / "README.md").read_text("utf-8")
    known = ("| `STABILITY_", "| `DATABASE_URL", "| `CONSUL_", "| `DOCKER_HOST")
    rows = {line for line in readme.splitlines() if line.startswith(known)}
    expected = set()
    for name, field in Settings.model_fields.items():
        if field.exclude:
            continue
        variable = field.validation_alias if isinstance(field.validation_alias, str) else PREFIX + name.upper()
        default = "" if field.default in {None, (), ""} else f"`{field.default}` "
        expected.add(f"| `{variable}` | {default}| {field.description} |")
    assert rows == expected


def test_readme_names_every_command() -> None:
    """What the command line offers is what the README lists."""
    from stability.cli import app  # noqa: PLC0415 -- slow to import, and only needed here

    readme = (ROOT / "README.md").read_text("utf-8")
    offered = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert offered
    assert not [command for command in offered if f"`stability {command}" not in readme]
