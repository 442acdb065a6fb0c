"""Pictures of the figures, as SVG: a panel per table, in each a bar per row."""

import json
from collections.abc import Mapping
from html import escape
from typing import Final

from bench.report import FOLDER

PICTURES: Final = {
    "cpu.svg": ("CPU per delivery, µs", "One frame to"),
    "last.svg": ("all have it, ms", "One frame to"),
    "memory.svg": ("memory per idle client, KiB", "One frame to 10,000"),
    "herd.svg": ("until all have their first bytes, s", "10,000 clients come at once"),
}
WIDTH, NAMES, BAR, GAP, HEAD = 760, 270, 16, 6, 34  # pixels
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 } rect { fill: #8c959f }
.ours { fill: #1a7f37 } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #3fb950 } }
"""


def draw() -> None:
    """Draw what figures there are; a row whose name begins with ours stands out."""
    known = json.loads((FOLDER / "figures.json").read_text())
    for name, (column, title) in PICTURES.items():
        panels = {
            table: {row: values[found["columns"].index(column)] for row, values in found["rows"].items()}
            for table, found in known.items()
            if table.startswith(title) and column in found["columns"]
        }
        if panels:
            (FOLDER / name).write_text(_picture(column, panels))


def _picture(column: str, panels: Mapping[str, Mapping[str, float]]) -> str:
    parts, y = [], 0
    for title, rows in panels.items():
        y += HEAD
        parts.append(f'<text class="title" x="0" y="{y - 12}">{escape(title)}: {escape(column)}</text>')
        scale = (WIDTH - NAMES - 70) / max(rows.values())
        for name, value in rows.items():
            ours = ' class="ours"' if name == "Stability" else ""
            parts.append(
                f'<text x="{NAMES - 8}" y="{y + BAR - 3}" text-anchor="end">{escape(name)}</text>'
                f'<rect{ours} x="{NAMES}" y="{y}" width="{max(1, value * scale):.0f}" height="{BAR}" rx="2"/>'
                f'<text x="{NAMES + value * scale + 6:.0f}" y="{y + BAR - 3}">{value:,.3g}</text>'
            )
            y += BAR + GAP
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><style>{STYLE}</style>{"".join(parts)}</svg>\n'
