"""The figures of a run: printed as Markdown as soon as they are there, and kept beside it as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "figures"


@dataclass(frozen=True)
class Column:
    """What a column tells: `form` is how one value of it is written."""

    name: str
    form: str = "{:,.1f}"


@dataclass(frozen=True)
class Table:
    """Values by row, in the columns' order; None where there is none."""

    title: str
    columns: Sequence[Column]
    rows: Mapping[str, Sequence[float | None]]
    note: str = ""

    def markdown(self) -> str:
        """As README shows it."""
        lines = [["", *(column.name for column in self.columns)]]
        for name, values in self.rows.items():
            cells = zip(self.columns, values, strict=True)
            lines.append([name, *("" if value is None else column.form.format(value) for column, value in cells)])
        widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
        lines.insert(1, ["---", *("---:" for _ in self.columns)])
        body = "\n".join(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        )
        return f"### {self.title}\n\n" + (f"{self.note}\n\n" if self.note else "") + body + "\n"


def tell(table: Table, machine: str) -> None:
    """Print a table and put it into the folder of figures, in place of the one with its title."""
    print(f"\n{table.markdown()}", flush=True)
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "figures.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[table.title] = {
        "machine": machine,
        "note": table.note,
        "columns": [column.name for column in table.columns],
        "forms": [column.form for column in table.columns],
        "rows": table.rows,
    }
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    (FOLDER / "figures.md").write_text("\n".join(_again(title, kept) for title, kept in known.items()))


def _again(title: str, kept: dict[str, object]) -> str:
    names, forms, rows = kept["columns"], kept["forms"], kept["rows"]
    assert isinstance(names, list)
    assert isinstance(forms, list)
    assert isinstance(rows, dict)
    table = Table(title, [Column(*pair) for pair in zip(names, forms, strict=True)], rows, str(kept["note"]))
    return f"{table.markdown()}\n{kept['machine']}\n"
