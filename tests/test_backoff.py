"""How long whoever failed waits."""

from stability.backoff import Backoff

DRAWS = 200


def test_it_doubles_up_to_the_longest_and_begins_again() -> None:
    """Each wait is drawn from all of its range, and a success makes the next failure the first one."""
    waits = []
    for _ in range(DRAWS):
        backoff = Backoff(1.0, 3.0)
        tries = [backoff.draw() for _ in range(4)]
        backoff.reset()
        waits.append([*tries, backoff.draw()])
    for bound, drawn in zip((1, 2, 3, 3, 1), zip(*waits, strict=True), strict=True):
        assert 0 <= min(drawn) < bound / 4
        assert 3 * bound / 4 < max(drawn) <= bound
