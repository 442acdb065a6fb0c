"""How long to wait before the next try: with full jitter, so that all who lost the same thing do not come together."""

import random


class Backoff:
    """Seconds, drawn between 0 and a bound that begins at `first`, doubles with each draw, and ends at `longest`."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self.reset()

    def reset(self) -> None:
        """It worked: the next failure is a first one."""
        self._bound = self._first

    def draw(self) -> float:
        """The seconds to wait after one more failure."""
        seconds = random.uniform(0, self._bound)  # noqa: S311 -- spreads load, keeps no secret
        self._bound = min(2 * self._bound, self._longest)
        return seconds
