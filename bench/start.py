"""From nothing to the proven truth: `stability up` in an empty folder, and again in the folder it left."""

from bench import ground
from bench.report import Column, Table, tell


def run(port: int) -> None:
    """Print the seconds of a cold and of a second start."""
    rows = {}
    with ground.folder() as data:
        for name in ("in an empty folder", "again, the data kept"):
            with ground.server("up", port, STABILITY_DATA_DIR=str(data)) as (_, seconds):
                rows[name] = [seconds]
    tell(Table("stability up", [Column("until the truth is told, s", "{:.2f}")], rows), ground.machine())
