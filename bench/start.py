"""From nothing to the proven truth: `stability up` in an empty folder, and again in the folder it left."""

from bench import ground


def run(port: int) -> None:
    """Print the seconds of a cold and of a second start."""
    with ground.folder() as data:
        for name in ("cold start, empty folder", "second start, data kept"):
            with ground.server("up", port, STABILITY_DATA_DIR=str(data)) as (_, seconds):
                print(f"{name:<44}{seconds:>9.2f} s")
